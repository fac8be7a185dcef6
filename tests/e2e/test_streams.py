#!/usr/bin/env python3
"""Sources that are read as streams of bytes or messages, all kinds at once on one worker: each is broken and mended while
the others go on, and every frame of theirs is accounted for."""
import os
import socket
import struct
import time

import stream_ends
import support
from support import Actuator, config, frame, outputs_to, wait_until

HANG_UP = {"tcp", "tcplisten", "unixstream", "unixpackets", "exec", "delimited", "length", "file"}


class Streams(support.Case):
    def start(self, kinds=tuple(stream_ends.KINDS), **more):
        self.ends = {kind: stream_ends.KINDS[kind](self, kind, f"s{n}_") for n, kind in enumerate(kinds)}
        sources = [{**end.source(), **more} for end in self.ends.values()]
        watched = next(s for s in sources if "channels" in s)
        rules = [{"name": "overpressure", "channel": watched["channels"][0]["name"], "high": 150}]
        self.running = self.server(config(self.instance, sources, outputs_to(Actuator(self).target), rules)).start()
        for end in self.ends.values():
            end.connected()
        self.running.wait_status(lambda s: all(stream["open"] for stream in s["streams"]), "every source to be open")
        return self.running

    def wait_delivered(self, *kinds):
        """All that these ends sent is in their rings, and no more."""
        expected = {kind: self.ends[kind].next for kind in kinds or self.ends}

        def there(status):
            return all(s["delivered"] >= expected[s["name"]] for s in status["streams"] if s["name"] in expected)

        status = self.running.wait_status(there, f"frames {expected}")
        for stream in status["streams"]:
            if stream["name"] in expected:
                self.assertEqual(stream["delivered"], expected[stream["name"]], stream)
                self.assert_balanced(stream)
        return {stream["name"]: stream for stream in status["streams"]}

    def test_one_after_another_breaks_and_the_others_go_on(self):
        self.start()
        for end in self.ends.values():
            end.send(20)
        self.wait_delivered()
        for kind, end in self.ends.items():
            with self.subTest(kind):
                connects = self.running.stream(kind)["connects"]
                end.break_()
                for other in self.ends.values():
                    if other is not end:
                        other.send(10)
                self.wait_delivered(*(other for other in self.ends if other != kind))
                end.mend()
                if kind in HANG_UP:
                    self.running.wait_status(
                        lambda s, k=kind, n=connects: self.running.stream(k, s)["connects"] > n and self.running.stream(k, s)["open"],
                        f"{kind} to be opened again")
                end.send(10)
                self.wait_delivered(kind)
        streams = self.wait_delivered()
        for kind, stream in streams.items():
            self.assertEqual(sum(stream["lost"].values()), 0, stream)
            self.assertEqual(stream["gap_records"] > 0, kind in HANG_UP, stream)
            self.assertEqual(stream["noise_bytes"], 0, stream)

    def test_every_byte_boundary(self):
        """Frames in two pieces, cut at every byte."""
        self.start(("tcp", "unixstream", "fifo", "exec", "file", "delimited", "length"))
        for kind, end in self.ends.items():
            for cut in range(1, len(self.whole(kind, 0))):
                data = self.whole(kind, end.next)
                end.raw(data[:cut])
                time.sleep(0.001)
                end.raw(data[cut:])
                end.next += 1
            self.wait_delivered(kind)

    @staticmethod
    def whole(kind, number):
        if kind == "delimited":
            return frame(number) + b"\xff\xfe\xfd\xfc"
        head = b"\xa5\x5a" + struct.pack(">H", support.FRAME_BYTES) if kind == "length" else b""
        return head + frame(number)

    def test_wrong_frames_are_counted(self):
        """Each wrong in its own way, the next good one arrives."""
        self.start(("tcp", "unixpackets", "unixdatagrams", "delimited", "length"))
        bad = bytearray(frame(0))
        bad[10] ^= 1
        wrong = {
            "tcp": (bytes(bad), "checksum"),
            "unixpackets": (frame(0)[:-1], "short"),
            "unixdatagrams": (frame(0) + b"x", "long"),
            "delimited": (frame(0)[:7], "short"),
        }
        for kind, (data, reason) in wrong.items():
            with self.subTest(kind):
                end = self.ends[kind]
                end.put(data)
                self.running.wait_status(lambda s, k=kind, r=reason: self.running.stream(k, s)["refused"][r] == 1, f"{kind} {reason}")
        with self.subTest("a length that cannot be"):
            end = self.ends["length"]
            end.peer.sendall(b"\xa5\x5a\xff\xff")
            end.send(3)
            self.running.wait_status(lambda s: self.running.stream("length", s)["delivered"] == 3, "what comes behind it")
            self.assertEqual(self.running.stream("length")["refused"]["syntax"], 1)
        for kind in wrong:
            self.ends[kind].send(5)
        for kind in wrong:
            self.running.wait_status(lambda s, k=kind: self.running.stream(k, s)["delivered"] >= 5, f"{kind}: what comes behind")
            self.assert_balanced(self.running.stream(kind))

    def test_a_length_without_a_mark_is_a_new_connection(self):
        end = stream_ends.Length(self, "length", "length_")
        source = end.source()
        del source["sync"]
        sources = [source, support.udp_source(support.free_udp_port())]
        self.running = self.server(config(self.instance, sources, outputs_to(Actuator(self).target))).start()
        end.connected()
        end.peer.sendall(b"\xff\xff\xff\xff")
        end.connected()
        end.send(2)
        stream = self.running.wait_status(lambda s: s["streams"][0]["delivered"] == 2, "frames after it")["streams"][0]
        self.assertEqual((stream["connects"], stream["refused"]["syntax"]), (2, 1), stream)

    def test_listener_takes_one_and_only_whom_it_should(self):
        self.start(("tcplisten",))
        end = self.ends["tcplisten"]
        end.send(5)
        self.wait_delivered()
        second = socket.create_connection(("127.0.0.1", end.port))
        self.addCleanup(second.close)
        second.sendall(frame(10))
        end.send(5)
        self.wait_delivered()
        end.break_()
        self.running.wait_status(lambda s: s["streams"][0]["delivered"] == 11, "the next client's frame")

    def test_a_stranger_may_not_connect(self):
        end = stream_ends.TcpListen(self, "tcplisten", "t_")
        source = {**end.source(), "from": "127.0.0.9"}
        rules = [{"name": "overpressure", "channel": "t_chamber_pressure", "high": 150}]
        server = self.server(config(self.instance, [source], outputs_to(Actuator(self).target), rules)).start()
        end.connected()
        end.peer.settimeout(support.PATIENCE_S)
        self.assertEqual(end.peer.recv(1), b"", "it hangs up")
        self.assertIn("refused a client from 127.0.0.1", server.log())
        self.assertEqual(server.status()["streams"][0]["connects"], 0)

    def test_replay_to_the_end(self):
        path = self.path("old")
        with open(path, "wb") as file:
            file.write(b"".join(frame(n) for n in range(300)) + b"half")
        source = {"name": "old", "kind": "file", "ring": "old", "path": path, "follow": "replay", "frames_hz": 1000,
                  **stream_ends.FRAME, "channels": support.channels("r_")}
        rules = [{"name": "overpressure", "channel": "r_chamber_pressure", "high": 150}]
        server = self.server(config(self.instance, [source], outputs_to(Actuator(self).target), rules)).start()
        stream = server.wait_status(lambda s: s["streams"][0]["disconnects"] == 1, "its end")["streams"][0]
        self.assertEqual((stream["delivered"], stream["noise_bytes"], stream["open"]), (300, 4, False), stream)
        frames = [f for f in server.tail("old", "--oldest", "--count", "300").wait(lambda x: len(x) >= 300, "all")]
        times = [f["tai_ns"] for f in frames if "values" in f]
        self.assertGreater(times[-1] - times[0], 250e6, "299 frames at 1 kHz cannot take less than they are due")

    def test_a_file_that_is_cut(self):
        self.start(("file",))
        end = self.ends["file"]
        end.send(30)
        self.wait_delivered()
        with open(end.path, "wb"):
            pass
        self.running.wait_status(lambda s: s["streams"][0]["connects"] == 2, "it to be opened again")
        end.send(3)
        self.wait_delivered()

    def test_exec_that_cannot_be(self):
        for command, words in ((["/nonexistent/adc"], "cannot run /nonexistent/adc: No such file or directory"),
                               (["/bin/sh", "-c", "exit 3"], "ended with status 3")):
            with self.subTest(command):
                self.instance = self.instance[:20] + str(self.count())
                source = {"name": "x", "kind": "exec", "ring": "x", "command": command, **stream_ends.FRAME,
                          "channels": support.channels("x_")}
                rules = [{"name": "overpressure", "channel": "x_chamber_pressure", "high": 150}]
                server = self.server(config(self.instance, [source], outputs_to(Actuator(self).target), rules)).start()
                wait_until(lambda s=server, w=words: w in s.log(), lambda s=server: s.log())
                self.assertEqual(server.status()["streams"][0]["delivered"], 0)
                self.assertEqual(server.end(), 0)

    def test_children_end_with_the_server(self):
        """Orderly, and when the worker is killed."""
        self.start(("exec",))
        end = self.ends["exec"]
        first = end.pid
        self.running.kill(self.running.worker())
        wait_until(lambda: not support.exists(first), "the child's end")
        os.close(end.fd)
        end.connected()
        second = end.pid
        self.assertEqual(self.running.end(), 0)
        wait_until(lambda: not support.exists(second), "the second child's end")
        end.fd = -1

    def test_missing_and_refused(self):
        """`missing: refuse`: the server does not start, and says why; the default waits."""
        path = self.path("nothing")
        source = {"name": "f", "kind": "file", "ring": "f", "path": path, "missing": "refuse", **stream_ends.FRAME,
                  "channels": support.channels("f_")}
        rules = [{"name": "overpressure", "channel": "f_chamber_pressure", "high": 150}]
        text = config(self.instance, [source], outputs_to(Actuator(self).target), rules)
        server = self.server(text).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2)
        self.assertIn(f"cannot open {path}: No such file or directory", server.log())
        source["missing"] = "wait"
        server = self.server(text).start()
        wait_until(lambda: "trying again" in server.log(), "what is missing to be said")
        self.assertEqual(server.status()["streams"][0]["open_errno"], 2)
        with open(path, "wb"):
            pass
        server.wait_status(lambda s: s["streams"][0]["open"], "the file")


if __name__ == "__main__":
    support.main()
