#!/usr/bin/env python3
"""Bad input over a serial line: noise, half frames, hang-ups, text that is none."""
import os
import random
import time

import support
from support import Actuator, SensorPty, TextPty, config, frame, outputs_to, serial_source, text_source


class Serial(support.Case):
    def by_hand(self, kind=SensorPty, source=serial_source, **control):
        """A server with one line, open, and a sensor that sends only what the test says."""
        path = self.path("tty")
        sensor = kind(self, path)
        channel = source(path)["channels"][0]["name"]
        rules = [{"name": "overpressure", "channel": channel, "high": 150}]
        server = self.server(config(self.instance, [source(path)], outputs_to(Actuator(self).target), rules, **control)).start()
        self.opened(server)
        return server, sensor

    def opened(self, server, connects=1):
        return server.wait_status(lambda s: s["streams"][0]["open"] and s["streams"][0]["connects"] >= connects,
                                  "the line to be open")

    def delivered(self, server, count):
        stream = server.wait_status(lambda s: s["streams"][0]["delivered"] >= count, f"{count} frames")["streams"][0]
        self.assertEqual(stream["delivered"], count)
        self.assert_balanced(stream)
        return stream

    def test_noise_between_frames(self):
        server, sensor = self.by_hand()
        dice = random.Random(2)
        noise = 0
        for size in (1, 3, 31, 32, 33, 100, 1000):
            for _ in range(3):
                sensor.send()
            data = bytes(b for b in dice.randbytes(size) if b != 0x54)  # nothing like a sync
            noise += len(data)
            sensor.put(data)
            time.sleep(0.02)
        sensor.send()
        stream = self.delivered(server, 22)
        self.assertEqual(stream["noise_bytes"], noise)
        self.assertEqual(sum(stream["lost"].values()), 0)

    def test_noise_that_looks_like_frames(self):
        """Sync patterns in the noise: every good frame that is not hit must still come through."""
        server, sensor = self.by_hand()
        for junk in (b"T", b"TV", b"TVA", b"TVAC", b"TTVAC", b"TVACTVAC", b"TVAC" + bytes(40), b"TVTVAC" * 20):
            sensor.put(junk)
            for _ in range(3):
                sensor.send()
            time.sleep(0.02)
        stream = self.delivered(server, 24)
        self.assertEqual(sum(stream["lost"].values()), 0, stream)
        self.assertGreater(stream["refused"]["checksum"], 0)
        self.assertGreater(stream["noise_bytes"], 0)

    def test_half_frames_and_flipped_bits(self):
        server, sensor = self.by_hand()
        lost = 0
        for size in (1, 4, 8, 16, 28, 31):
            sensor.send()
            sensor.put(frame(sensor.next)[:size])
            sensor.next += 1
            lost += 1
            sensor.send()
        damaged = bytearray(frame(sensor.next))
        damaged[18] ^= 4
        sensor.next += 1
        lost += 1
        sensor.put(bytes(damaged))
        sensor.send()
        stream = self.delivered(server, 13)
        self.assertEqual(sum(stream["lost"].values()), lost, stream)
        self.assertGreater(stream["lost"]["malformed"], 0)
        self.assertGreaterEqual(stream["refused"]["checksum"], 1)

    def test_byte_by_byte(self):
        server, sensor = self.by_hand()
        for _ in range(3):
            for byte in frame(sensor.next):
                sensor.put(bytes([byte]))
                time.sleep(0.001)
            sensor.next += 1
        self.assertEqual(self.delivered(server, 3)["noise_bytes"], 0)

    def test_many_frames_at_once(self):
        server, sensor = self.by_hand()
        for _ in range(20):
            sensor.put(b"".join(frame(sensor.next + i) for i in range(30)))
            sensor.next += 30
            self.delivered(server, sensor.next)

    def test_line_that_goes_and_comes_back(self):
        server, sensor = self.by_hand()
        tail = server.tail("serial", "--oldest")
        for _ in range(10):
            sensor.send()
        self.delivered(server, 10)
        for again in range(1, 4):
            sensor.put(frame(sensor.next)[:7])  # it goes in the middle of a frame
            time.sleep(0.02)
            sensor.unplug()
            status = server.wait_status(lambda s: not s["streams"][0]["open"], "the hang-up")
            self.assertEqual(status["streams"][0]["disconnects"], again)
            for _ in range(5):
                sensor.send()  # into nothing
            sensor.plug()
            self.opened(server, again + 1)
            for _ in range(10):
                sensor.send()
            stream = self.delivered(server, 10 + 10 * again)
            self.assertEqual(stream["connects"], again + 1)
            self.assertEqual(stream["lost"]["restart"], 5 * again, stream)
            self.assertEqual(sum(stream["lost"].values()), 5 * again, stream)
            self.assertGreaterEqual(stream["gap_records"], again)
        lines = tail.wait(lambda lines: len([x for x in lines if "values" in x]) >= 40, "all frames")
        gaps = [line["gap"]["cause"] for line in lines if "gap" in line]
        self.assertEqual(gaps, ["restart"] * 3)
        told = [(line["lost_before"], line["cause"]) for line in lines if line.get("lost_before")]
        self.assertEqual(told, [(5, "restart")] * 3)
        self.assertEqual([line["position"] for line in lines], list(range(len(lines))))
        self.assertEqual(server.processes()["sensors"]["restarts"], 0)

    def test_hang_up_trips_and_can_be_armed_again(self):
        server, sensor = self.by_hand()
        sensor.start()
        server.make_armed()
        with sensor.paused():
            sensor.unplug()
            status = server.wait_state("tripped")
            self.assertIn(status["interlock"]["first_out"]["kind"], ("stale", "deadline"))
            self.assertEqual(server.cli("reset").returncode, 1)
            sensor.plug()
        server.make_armed()

    def test_device_that_comes_late(self):
        path = self.path("tty")
        server = self.server(config(self.instance, [serial_source(path)], outputs_to(Actuator(self).target))).start()
        status = server.wait_status(lambda s: s["channels"][0]["quality"] == "stale", "a stale channel")
        self.assertFalse(status["streams"][0]["open"])
        self.assertIsNone(status["channels"][0]["value"])
        self.assertEqual(server.cli("reset").returncode, 1)
        sensor = SensorPty(self, path).start()
        server.make_armed()
        self.assertEqual(sensor.dropped, 0)

    def test_device_that_is_no_line(self):
        """A file, a directory, a device that is no tty: said in the status, and the server goes on."""
        path = self.path("tty")
        server = self.server(config(self.instance, [serial_source(path)], outputs_to(Actuator(self).target))).start()
        for make in (lambda: open(path, "wb").close(), lambda: os.mkdir(path), lambda: os.symlink("/dev/null", path),
                     lambda: os.symlink("/dev/zero", path), lambda: os.mkfifo(path), lambda: os.symlink(path, path)):
            make()
            time.sleep(0.3)  # some attempts
            status = server.status()
            self.assertFalse(status["streams"][0]["open"])
            self.assertEqual({p["restarts"] for p in status["processes"]}, {0}, server.log())
            os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
        SensorPty(self, path).start()
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "good data at last")

    def test_text(self):
        server, sensor = self.by_hand(TextPty, text_source)
        tail = server.tail("text", "--oldest")
        sensor.send(pressure=1.5, coolant_kpa=2)
        for line in (b"3 4\n", b"  5e0 ; 6 \r\n", b"7\t8\n", b"\n", b"\r\n", b"+9.25,-1e1\n", b"nan inf\n"):
            sensor.put(line)
        good = [(1.5, 2), (3, 4), (5, 6), (7, 8), (9.25, -10), (None, None)]
        bad = (b"1\n", b"1 2 3\n", b"a b\n", b"1;;2x\n", b"1.5.5 2\n", b"12\n", b"1 2\x00\n", b"\xff\xfe 1\n", b"--1 2\n")
        for line in bad:
            sensor.put(line)
        sensor.put(b"1" * 2000 + b" 2\n")  # longer than a line may be: refused whole
        sensor.put(b"10 11\n")
        good.append((10, 11))
        lines = tail.wait(lambda lines: len([x for x in lines if "values" in x]) >= len(good), "the good lines")
        found = [tuple(line["values"].values()) for line in lines if "values" in line]
        self.assertEqual(found, good)
        stream = server.stream("text")
        self.assertEqual(stream["delivered"], len(good))
        self.assertEqual((stream["refused"]["syntax"], stream["refused"]["long"]), (len(bad), 1), stream)
        self.assertEqual((stream["lost"]["malformed"], stream["lost"]["truncated"]), (len(bad), 1), stream)
        self.assert_balanced(stream)

    def test_text_in_pieces_and_hang_up(self):
        server, sensor = self.by_hand(TextPty, text_source)
        for byte in b"12.5, 13.5\r\n":
            sensor.put(bytes([byte]))
            time.sleep(0.001)
        self.delivered(server, 1)
        sensor.put(b"14.5, 15")
        time.sleep(0.05)
        sensor.unplug()
        server.wait_status(lambda s: s["streams"][0]["disconnects"] == 1, "the hang-up")
        sensor.plug()
        self.opened(server, 2)
        sensor.put(b"16.5, 17.5\n")
        # The ledger counts a frame before control has looked at it and shows its value.
        status = server.wait_status(lambda s: [c["value"] for c in s["channels"]] == [16.5, 17.5], "the second line")
        self.assertEqual(status["streams"][0]["delivered"], 2)

    def test_text_trips(self):
        server, sensor = self.by_hand(TextPty, text_source)
        sensor.start()
        for _ in range(5):
            server.make_armed()
            sensor.send(pressure=151)
            first = server.wait_state("tripped")["interlock"]["first_out"]
            if first["kind"] == "high":
                self.assertEqual((first["channel"], first["value"]), ("t_pressure", 151))
                return
        self.fail("the machine tripped it five times")


if __name__ == "__main__":
    support.main()
