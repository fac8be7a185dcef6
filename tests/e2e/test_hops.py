#!/usr/bin/env python3
"""Every hop of every frame is counted: from its sender or device into the ring, to the interlock, out again, and how far
behind readers are. Of the times themselves little is asserted: a machine may stall."""
import os
import signal
import socket
import struct
import time

import reader_case
import readers
import support
from support import Actuator, config, free_udp_port, outputs_to, wait_until

DEVICE = struct.Struct(">QfI")  # us of a clock that counts from anywhere, a value, a number
PACKET = struct.Struct(">IHHQQIIf")  # the header of our own format, and a value behind it
SECOND = 10**9


class Hops(support.Case):
    """A device with stamps behind a FIFO, packets that say when they were sent, and files that are polled."""

    def setUp(self):
        super().setUp()
        port = free_udp_port()
        channel = {"type": "f32", "unit": "bar", "range": [0, 100], "stale_ms": 60000}
        sources = [
            {"name": "device", "kind": "fifo", "ring": "device", "path": self.path("fifo"), "frame_bytes": DEVICE.size,
             "sequence": {"at_byte": 12, "width_bytes": 4, "byte_order": "big"},
             "rate": {"stamps": "device", "at_byte": 0, "width_bytes": 8, "unit_ns": 1000},
             "channels": [{"name": "x", "at_byte": 8, **channel}]},
            {"name": "packets", "kind": "udp", "worker": "sensors", "ring": "packets", "listen": f"127.0.0.1:{port}",
             "frame_bytes": PACKET.size, "stream": {"format": "sluice"},
             "channels": [{"name": "y", "at_byte": 32, "byte_order": "big", **channel}]},
            {"name": "files", "kind": "sysfs", "ring": "files", "period_ms": 5, "attributes": [self.path("temperature")],
             "rate": {"stamps": "asked"},
             "channels": [{"name": "z", "field": 0, "unit": "degC", "range": [-40, 120], "stale_ms": 60000}]}]
        text = config(self.instance, sources, outputs_to(Actuator(self).target),
                      [{"name": "high", "channel": "y", "high": 50}])
        self.live = self.server(text).start()
        with open(self.path("temperature.new"), "w", encoding="ascii") as file:
            file.write("20\n")
        os.rename(self.path("temperature.new"), self.path("temperature"))  # not before control sees every frame
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.port = port
        self.packets = 0
        self.frames = 0
        wait_until(lambda: os.path.exists(self.path("fifo")), "the FIFO")
        self.fifo = open(self.path("fifo"), "wb", buffering=0)
        self.addCleanup(self.fifo.close)

    def send_frame(self):
        self.fifo.write(DEVICE.pack(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 + 77_000_000, 1.0, self.frames))
        self.frames += 1

    def send_packet(self, sent_tai_ns=None, number=None, value=1.0):
        if sent_tai_ns is None:
            sent_tai_ns = time.clock_gettime_ns(time.CLOCK_TAI)
        self.socket.sendto(PACKET.pack(0x534C5543, 1, 0, self.packets if number is None else number, sent_tai_ns, 0, 4, value),
                           ("127.0.0.1", self.port))
        self.packets += number is None

    def wait_delivered(self, ring, count):
        return self.live.wait_status(lambda s: self.live.stream(ring, s)["delivered"] == count, f"{count} frames of {ring}")

    def counted(self, status, ring):
        """All that is known of how many of its frames were counted; None: at the moment they do not add up."""
        hops = status["latency_ns"]
        sent, published = hops[f"{ring}.sent_to_arrival"], hops[f"{ring}.arrival_to_publish"]
        delivered = self.live.stream(ring, status)["delivered"]
        same = sent["count"] + sent["ahead"] + sent["undated"] == published["count"] == delivered
        return (sent["count"], sent["ahead"], sent["undated"]) if same and delivered > 0 else None

    def test_every_frame_in_every_hop(self):
        for n in range(40):
            self.send_frame()
            self.send_packet()
            if n % 10 == 9:
                self.wait_delivered("device", n + 1)
                self.wait_delivered("packets", n + 1)
        status = self.live.wait_status(lambda s: all(self.counted(s, ring) for ring in ("device", "packets", "files")),
                                       "all frames to be counted")
        self.assertEqual(self.counted(status, "device"), (40, 0, 0))
        self.assertEqual(self.counted(status, "packets"), (40, 0, 0))
        self.assertGreater(self.counted(status, "files")[0], 0)

        def seen(s):
            hops = s["latency_ns"]
            delivered = sum(stream["delivered"] for stream in s["streams"])
            return (hops["arrival_to_seen"]["count"] == hops["seen_to_decided"]["count"] == hops["arrival_to_decided"]["count"]
                    == delivered)

        hops = self.live.wait_status(seen, "control to have seen them all")["latency_ns"]
        self.assertGreater(hops["publish_to_seen"]["count"], 0)
        self.assertLessEqual(hops["publish_to_seen"]["count"], hops["arrival_to_seen"]["count"])
        self.assertGreater(hops["busy"]["count"], 0)
        self.assertLess(hops["busy"]["count"], hops["loop"]["count"])

    def test_clocks_that_do_not_agree(self):
        """Fault: a sender whose clock is ahead of ours. No time is made of it, and none is lost sight of."""
        self.send_packet()
        self.wait_delivered("packets", 1)
        self.send_packet(time.clock_gettime_ns(time.CLOCK_TAI) + 3600 * SECOND)
        self.wait_delivered("packets", 2)
        self.send_packet(0)
        status = self.wait_delivered("packets", 3)
        self.send_packet(number=2)  # again
        self.live.wait_status(lambda s: self.live.stream("packets", s)["duplicated"] == 1, "the duplicate")
        status = self.live.wait_status(lambda s: self.counted(s, "packets"), "the counts")
        self.assertEqual(self.counted(status, "packets"), (1, 1, 1))
        self.assertLess(status["latency_ns"]["packets.sent_to_arrival"]["max"], 600 * SECOND)

    def test_a_trip_is_timed_to_its_output(self):
        self.send_packet()
        self.send_frame()
        self.live.wait_status(lambda s: all(c["quality"] == "good" for c in s["channels"]), "values")
        self.live.make_armed()
        before = self.live.status()["latency_ns"]["decided_to_output"]["count"]
        self.send_packet(value=60.0)
        self.live.wait_state("tripped")
        hops = self.live.wait_status(lambda s: s["latency_ns"]["decided_to_output"]["count"] > before, "the output")["latency_ns"]
        self.assertEqual(hops["decided_to_output"]["count"], hops["arrival_to_output"]["count"])
        self.assertLessEqual(hops["decided_to_output"]["max"], hops["arrival_to_output"]["max"])

    def test_a_new_worker_goes_on_counting(self):
        """Fault: kill -9 of the worker. What it had counted stays."""
        for _ in range(5):
            self.send_packet()
        self.wait_delivered("packets", 5)
        self.live.wait_status(lambda s: self.counted(s, "packets"), "the counts")
        rounds = self.live.status()["latency_ns"]["sensors.round"]["count"]
        before = self.live.worker()
        self.live.kill(before)
        wait_until(lambda: (pid := self.live.child("sluice-worker")) and pid != before, "another worker")
        self.live.wait_status(lambda s: self.live.stream("packets", s)["open"]
                              and s["latency_ns"]["sensors.round"]["count"] > rounds, "it to work")
        self.send_packet()
        self.wait_delivered("packets", 6)
        status = self.live.wait_status(lambda s: self.counted(s, "packets"), "the counts")
        self.assertEqual(self.counted(status, "packets"), (6, 0, 0))

    def test_who_works_how_much(self):
        """What a thread has worked grows with what it finds to do, and never faster than time."""
        def worked():
            return {p["name"]: p["busy_ns"] for p in self.live.status()["processes"]}

        since_ns = time.monotonic_ns()
        before = worked()
        self.assertIsNone(before["sluiced"], "no real-time thread")
        for _ in range(50):
            self.send_packet()
        self.wait_delivered("packets", 50)
        wait_until(lambda: all(worked()[name] > before[name] for name in ("control", "sensors")), "it to be counted")
        after, passed_ns = worked(), time.monotonic_ns() - since_ns
        for name in ("control", "sensors"):
            self.assertLessEqual(after[name] - before[name], passed_ns, name)
        hops = self.live.status()["latency_ns"]
        self.assertLessEqual(hops["sensors.busy"]["count"], hops["sensors.round"]["count"] + 1)


class Lag(reader_case.ReaderCase):
    def shown(self):
        (reader,) = next(r for r in self.sluiced.status()["rings"] if r["name"] == "data")["readers"]
        return reader

    def test_a_reader_that_is_behind(self):
        """How far, and how long: it grows while it does not read, is over when it has, and the most is kept."""
        self.data_server(slots=256)
        reader = self.reader(start=readers.OLDEST)
        self.publish(100)
        wait_until(lambda: self.shown()["lag_frames_max"] == 100 and self.shown()["lag_ns"] > 0, "the lag")
        first_ns = self.shown()["lag_ns"]
        wait_until(lambda: self.shown()["lag_ns"] > first_ns, "it to grow")
        while reader.next() is not None:
            pass
        reader.release()
        wait_until(lambda: (self.shown()["lag_frames"], self.shown()["lag_ns"]) == (0, 0), "the reader to be up to date")
        self.assertEqual(self.shown()["lag_frames_max"], 100)
        self.assertGreaterEqual(self.shown()["lag_ns_max"], first_ns)
        self.publish(1000)  # it is lapped
        wait_until(lambda: self.shown()["lag_frames_max"] == 1000, "all that it has not seen")
        most_ns = self.shown()["lag_ns_max"]
        lag = self.sluiced.status()["latency_ns"]["data.reader_lag"]
        self.assertGreater(lag["count"], 2)
        self.assertGreaterEqual(lag["max"], most_ns, "the ring's histogram has the reader's most")
        self.assertNotIn("udp.reader_lag", self.sluiced.status()["latency_ns"], "nobody reads that ring")

    def test_a_reader_that_is_stopped_or_dies(self):
        """Fault: SIGSTOP, then kill -9 of a reader. Its lag grows, then it is gone; what the ring has counted stays."""
        self.data_server(slots=1024, gating={"readers_max": 1, "deadline_ms": 60000})
        child = self.child(options={"mode": readers.GATING})
        child.line()
        self.publish(10)
        wait_until(lambda: child.report()["position"] == self.view.published, "it to read")
        child.send_signal(signal.SIGSTOP)
        self.publish(50)
        wait_until(lambda: self.shown()["lag_frames"] == 50 and self.shown()["lag_ns"] > 0, "the lag")
        child.kill()
        ring = wait_until(lambda: (r := next(r for r in self.sluiced.status()["rings"] if r["name"] == "data"))
                          and not r["readers"] and r, "its end")
        self.assertEqual(ring["published"], 60)
        self.assertGreater(self.sluiced.status()["latency_ns"]["data.reader_lag"]["count"], 0)


if __name__ == "__main__":
    support.main()
