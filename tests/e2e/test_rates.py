#!/usr/bin/env python3
"""What a stream's stamps are, how regularly it comes, and replays that keep a recording's own times."""
import calendar
import os
import struct
import threading
import time

import support
from support import Actuator, config, outputs_to

FRAME = struct.Struct(">QfI")  # us of a clock that counts from anywhere, a value, a number


def device_us():
    """The device's clock is ours, from another beginning."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 + 77_000_000


class Fifo:
    """Frames of a device, by hand or at a rate from a thread of its own."""

    def __init__(self, case, path):
        self.case = case
        self.path = path
        self.next = 0
        self.ended = threading.Event()
        self.thread = None
        self.file = None
        case.addCleanup(self.end)

    def open(self):
        support.wait_until(lambda: os.path.exists(self.path), "the FIFO")
        self.file = open(self.path, "wb", buffering=0)
        return self

    def send(self, at_us=None, value=1.0):
        sampled_us = device_us() if at_us is None else at_us
        self.file.write(FRAME.pack(sampled_us, value, self.next))
        self.next += 1
        return sampled_us

    def run(self, hz, at_us=None):
        def go():
            while not self.ended.wait(1 / hz):
                self.send(at_us)

        self.ended.clear()
        self.thread = threading.Thread(target=go, daemon=True)
        self.thread.start()

    def halt(self):
        self.ended.set()
        if self.thread is not None:
            self.thread.join(10)
            self.thread = None

    def end(self):
        self.halt()
        if self.file is not None:
            self.file.close()
            self.file = None


class Rates(support.Case):
    def start(self, sources, rules):
        self.running = self.server(config(self.instance, sources, outputs_to(Actuator(self).target), rules)).start()
        return self.running

    def fifo(self, rate, stale_ms=300, **more):
        source = {"name": "device", "kind": "fifo", "ring": "device", "path": self.path("fifo"), "frame_bytes": FRAME.size,
                  "rate": rate,
                  "channels": [{"name": "x", "at_byte": 8, "type": "f32", "unit": "bar", "range": [0, 100], "stale_ms": stale_ms}],
                  **more}
        self.start([source], [{"name": "high", "channel": "x", "high": 50}])
        return Fifo(self, self.path("fifo")).open()

    def rate(self, name="device", status=None):
        return self.running.stream(name, status)["rate"]

    def quality(self, status):
        return status["channels"][0]["quality"]

    def wait_quality(self, quality):
        return self.running.wait_status(lambda s: self.quality(s) == quality, f"a {quality} channel")

    DEVICE = {"stamps": "device", "at_byte": 0, "width_bytes": 8, "unit_ns": 1000}

    def test_stamps_of_a_device(self):
        """The distances of the stamps are those of the device's clock, whenever the frames arrive."""
        device = self.fifo(dict(self.DEVICE))
        tail = self.running.tail("device", "--oldest")
        for n in range(5):  # the least delay of these is what the others are set against
            last_us = device.send()
            self.running.wait_status(lambda s, n=n: self.running.stream("device", s)["delivered"] == n + 1, "a frame")
        support.wait_until(lambda: device_us() - 540_000 > last_us, "time to pass")
        now_us = device_us()
        for n in range(10):
            device.send(now_us - 540_000 + 60_000 * n)
        lines = tail.wait(lambda seen: len([x for x in seen if "values" in x]) == 15, "frames")
        stamps = [x["tai_ns"] for x in lines if "values" in x]
        self.assertEqual(stamps, sorted(stamps))
        # The newest of them may have had the least delay of all: its stamp says so.
        self.assertEqual([b - a for a, b in zip(stamps[5:], stamps[6:-1])], [60_000_000] * 8)
        rate = self.rate()
        self.assertEqual(rate["stamps"], "device")
        self.assertEqual(rate["stamps_backwards"], 0, rate)

    def test_a_clock_that_stands_still_is_stale(self):
        """Frames go on, their time does not: STALE, and a trip. Good again when it goes on."""
        device = self.fifo(dict(self.DEVICE))
        device.run(100)
        self.wait_quality("good")
        self.running.make_armed()
        device.halt()
        frozen_us = device.send()
        device.run(100, frozen_us)
        status = self.running.wait_status(lambda s: not s["interlock"]["armed"], "the trip")
        status = self.wait_quality("stale")
        delivered = self.running.stream("device", status)["delivered"]
        status = self.running.wait_status(lambda s: self.running.stream("device", s)["delivered"] > delivered + 150
                                          and self.rate(status=s)["stamps_too_old"] > 0, "frames that are too old")
        self.assertEqual(self.quality(status), "stale")
        self.assertIn("a stamp is older than rate.lag_max_ms", self.running.log())
        self.assertEqual(self.running.log().count("said once"), self.running.log().count("(said once; sluice status counts)"))
        device.halt()
        device.run(100)
        self.wait_quality("good")

    def test_what_is_sent_again_is_stale(self):
        """An old recording, played at its own speed by a device that has sent newer frames."""
        device = self.fifo(dict(self.DEVICE))
        device.run(100)
        self.wait_quality("good")
        device.halt()
        begin_us = device.send()
        self.wait_quality("stale")
        for n in range(100):
            device.send(begin_us - 10_000_000 + 10_000 * n, value=60.0)
            if n % 10 == 0:
                self.assertEqual(self.quality(self.running.status()), "stale")
        status = self.running.wait_status(lambda s: self.rate(status=s)["stamps_backwards"] == 100, "stamps that went back")
        self.assertEqual(self.quality(status), "stale")

    def test_a_declared_rate(self):
        """Reconstructed stamps are 1 / nominal_hz apart; a rate that is not kept is told, and when it is again."""
        device = self.fifo({"nominal_hz": 50, "tolerance_percent": 40, "stamps": "reconstructed", "lag_max_ms": 299},
                           sequence={"at_byte": 12, "width_bytes": 4})
        tail = self.running.tail("device")
        device.run(50)
        status = self.running.wait_status(lambda s: self.rate(status=s)["measured_hz"] is not None
                                          and not self.rate(status=s)["off"], "a measured rate")
        rate = self.rate(status=status)
        self.assertEqual((rate["stamps"], rate["nominal_hz"], rate["missed"]), ("reconstructed", 50, 0))
        self.assertGreater(rate["interval_ns"]["max"], 0)
        frames = [x for x in tail.lines() if "values" in x]
        steps = [b["tai_ns"] - a["tai_ns"] for a, b in zip(frames, frames[1:])]
        self.assertIn(20_000_000, steps)
        device.halt()
        device.run(5)
        self.running.wait_status(lambda s: self.rate(status=s)["off"], "the complaint")
        support.wait_until(lambda: "expected 50 frames/s (within 40 %), measured" in self.running.log(), "it in the log")
        shown = self.running.cli("status", self.instance).stdout
        self.assertIn("50 declared", shown)
        device.halt()
        device.run(50)
        self.running.wait_status(lambda s: not self.rate(status=s)["off"], "the end of it")
        support.wait_until(lambda: "frames/s again" in self.running.log(), "it in the log")
        self.assert_balanced(self.running.stream("device"))

    def test_polls_have_a_schedule(self):
        with open(self.path("value"), "w", encoding="ascii") as file:
            file.write("7\n")
        source = {"name": "device", "kind": "sysfs", "ring": "device", "period_ms": 20, "attributes": [self.path("value")],
                  "rate": {"stamps": "asked", "tolerance_percent": 50},
                  "channels": [{"name": "x", "field": 0, "unit": "bar", "range": [0, 100], "stale_ms": 1000}]}
        self.start([source], [{"name": "high", "channel": "x", "high": 50}])
        status = self.running.wait_status(lambda s: self.rate(status=s)["poll_ns"] is not None, "a window of polls")
        rate = self.rate(status=status)
        self.assertEqual((rate["stamps"], rate["nominal_hz"]), ("asked", 50))
        self.assertGreater(rate["poll_ns"]["took_max"], 0)
        self.assertLessEqual(rate["poll_ns"]["late_mean"], rate["poll_ns"]["late_max"])
        self.assertIn("asked late by", self.running.cli("status", self.instance).stdout)

    def test_datagrams_have_a_rate(self):
        """Counted by the batch; what is missing shows by their numbers."""
        self.running, sensor, _ = self.udp_server(hz=100, source={"rate": {"nominal_hz": 100, "tolerance_percent": 50}})
        status = self.running.wait_status(lambda s: self.rate("udp", s)["measured_hz"] is not None
                                          and not self.rate("udp", s)["off"], "a measured rate")
        rate = self.rate("udp", status)
        self.assertEqual((rate["stamps"], rate["nominal_hz"], rate["missed"]), ("arrival", 100, 0))
        with sensor.paused():
            self.running.wait_status(lambda s: self.rate("udp", s)["off"], "the complaint")
        self.running.wait_status(lambda s: not self.rate("udp", s)["off"], "the end of it")

    # ---- Replays.

    def replay(self, lines, speed, fields, gap_max_s=60, **more):
        with open(self.path("recording.csv"), "w", encoding="ascii") as file:
            file.write("".join(line + "\n" for line in lines))
        source = {"name": "replay", "kind": "file", "ring": "replay", "path": self.path("recording.csv"), "missing": "wait",
                  "follow": "replay", "format": "text", "fields": fields,
                  "timing": {"field": 0, "gap_max_s": gap_max_s}, "speed": speed,
                  "channels": [{"name": "x", "field": 1, "unit": "bar", "range": [-1000, 1000], "stale_ms": 60000}], **more}
        self.start([source], [{"name": "high", "channel": "x", "high": 999}])
        self.running.wait_status(lambda s: self.running.stream("replay", s)["delivered"] == len(lines), "the whole recording")
        return [x for x in self.running.tail("replay", "--oldest").wait(
            lambda seen: len([x for x in seen if "values" in x]) == len(lines), "every frame") if "values" in x]

    def assert_paced(self, frames, times, speed):
        """Never early: a frame comes at its time or later, by our own stamps; by how much later is the machine's."""
        begin_ns = frames[0]["tai_ns"]
        for frame, at_s in zip(frames, times):
            due_ns = (at_s - times[0]) / speed * 1e9
            self.assertGreaterEqual(frame["tai_ns"] - begin_ns, due_ns - 1000, f"{frame} is early")

    def test_a_replay_ten_times_as_fast(self):
        times = [1000.0, 1000.5, 1001.25, 1001.5, 1004.0, 1010.0]
        frames = self.replay([f"{t}, {n}" for n, t in enumerate(times)], 10, 2)
        self.assertEqual([f["values"]["x"] for f in frames], list(range(len(times))))
        self.assert_paced(frames, times, 10)
        stream = self.running.stream("replay")
        self.assertEqual(stream["rate"]["replay_jumps"], 0)
        self.assertEqual(stream["noise_bytes"], 0)

    def test_times_that_make_no_sense_do_not_hang_it(self):
        lines = ["10,0", "10.1,1", "3,2", "3.1,3", "1e12,4", "nan,5", "1e12,6", "1000000000000.1,7"]
        frames = self.replay(lines, 1, 2, gap_max_s=5)
        self.assertEqual([f["values"]["x"] for f in frames], list(range(len(lines))))
        self.assertEqual(self.running.stream("replay")["rate"]["replay_jumps"], 5)
        support.wait_until(lambda: "is further on than timing.gap_max_s" in self.running.log(), "it in the log")

    def test_a_real_recording(self):
        """The water circulation of SKAB, one sample a second, two hundred times as fast."""
        path = os.path.join(support.SHARED, "data/skab/valve1/0.csv")
        if not os.path.exists(path):
            self.skipTest(f"SKIPPED: {path} is not there: NO REAL RECORDING WAS REPLAYED (SLUICE_SHARED names the folder)")
        with open(path, encoding="ascii") as file:
            rows = [line.rstrip("\n").split(";") for line in file][1:601]
        times = [calendar.timegm(time.strptime(row[0], "%Y-%m-%d %H:%M:%S")) for row in rows]
        frames = self.replay([f"{t};{row[4]};{row[5]}" for t, row in zip(times, rows)], 200, 3)
        self.assertEqual([f["values"]["x"] for f in frames], [float(row[4]) for row in rows])
        self.assert_paced(frames, times, 200)
        self.assertEqual(self.running.stream("replay")["rate"]["replay_jumps"], sum(b < a for a, b in zip(times, times[1:])))


if __name__ == "__main__":
    support.main()
