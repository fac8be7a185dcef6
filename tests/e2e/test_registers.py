#!/usr/bin/env python3
"""Registers in mapped memory that are read on a schedule: a file of 4 KiB stands for the device, and a thread for what is
behind it. Values follow and trip; bits that are stuck, a file that is truncated under the reader, one that is missing; a UDP
source of the same worker does not notice. The interrupt of a device is in tests/daq/test_poll_registers.c."""
import os
import struct
import threading

import support
from instrument_ends import AskedCase
from support import Actuator, config, outputs_to, wait_until

WINDOW = 4096
STATUS, ACKNOWLEDGE, MASK, DATA = 0, 8, 16, 64
READY, OTHER = 0x10, 0x8003  # bits of the status


class Device:
    """Has a sample, says so, waits for the acknowledgement, has the next one."""

    def __init__(self, case, path, width=4, order="<"):
        self.path, self.width = path, width
        self.format = order + {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
        self.pressure, self.count, self.acknowledged = 100.0, 0, 0
        self.never_ready = self.deaf = False
        self.lock = threading.Lock()  # held while it looks and answers
        self.ended = threading.Event()
        self.make()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    def make(self):
        with open(self.path, "ab") as file:
            file.truncate(WINDOW)

    def get(self, fd, at):
        data = os.pread(fd, self.width, at)
        return struct.unpack(self.format, data)[0] if len(data) == self.width else 0

    def put(self, fd, at, value):
        os.pwrite(fd, struct.pack(self.format, value & (1 << 8 * self.width) - 1), at)

    def _run(self):
        fd = os.open(self.path, os.O_RDWR)
        while not self.ended.wait(0.001):
            with self.lock:
                if os.fstat(fd).st_size >= WINDOW:
                    self.work(fd)
        os.close(fd)

    def work(self, fd):
        ready = self.get(fd, STATUS) & READY
        if ready and not self.deaf and self.get(fd, ACKNOWLEDGE) == 0x5A:
            self.acknowledged += 1
            self.put(fd, ACKNOWLEDGE, 0)
            self.put(fd, STATUS, OTHER)
        elif not ready and not self.never_ready:
            self.count += 1
            os.pwrite(fd, struct.pack("<If", self.count, self.pressure), DATA)
            self.put(fd, STATUS, OTHER | READY)

    def end(self):
        self.ended.set()
        self.thread.join(10)


class Registers(AskedCase):
    instrument = "card"

    def source(self, width=4, order="little", **changes):
        at = {"width_bytes": width, "byte_order": order}
        return {"name": "card", "kind": "registers", "ring": "card", "period_ms": 2, "timeout_ms": 2000,
                "device": self.path("card"), "window_bytes": WINDOW, "status": {"at_byte": STATUS, "ready_mask": READY, **at},
                "data": {"at_byte": DATA, "count_bytes": 8, "width_bytes": width},
                "acknowledge": {"at_byte": ACKNOWLEDGE, "value": 0x5A, **at},
                "interrupt_mask": {"at_byte": MASK, "value": 0xA1, **at},
                "channels": [{"name": "count", "at_byte": 0, "type": "u32", "byte_order": "little", "unit": "1",
                              "range": [0, 1e9], "stale_ms": 60000},
                             {"name": "pressure", "at_byte": 4, "type": "f32", "byte_order": "little", "unit": "kPa",
                              "range": [0, 500], "stale_ms": 60000}], **changes}

    def begin(self, device=True, wait=True, width=4, order="little", **changes):
        self.device = Device(self, self.path("card"), width, "<" if order == "little" else ">") if device else None
        port = support.free_udp_port()
        rules = [{"name": "overpressure", "channel": "pressure", "high": 150}]
        self.running = self.server(config(self.instance, [self.source(width, order, **changes), support.udp_source(port)],
                                          outputs_to(Actuator(self).target), rules)).start()
        support.SensorUdp(self, port).start()
        if wait:
            self.running.wait_status(lambda s: self.stream(s)["open"], "samples")
        return self.running

    def test_values_follow_and_trip(self):
        server = self.begin()
        server.wait_status(lambda s: s["channels"][1]["value"] == 100, "the pressure")
        with open(self.path("card"), "rb") as file:
            self.assertEqual(file.read(MASK + 4)[MASK:], b"\xa1\0\0\0")
        server.make_armed()
        self.device.pressure = 151.0
        status = server.wait_status(lambda s: not s["interlock"]["armed"], "the trip")
        self.assertEqual(status["interlock"]["first_out"]["rule"], "overpressure")
        self.assert_balanced(self.stream(status))

    def test_samples_in_order(self):
        server = self.begin(period_ms=20)
        tail = server.tail("card")
        tail.wait(lambda lines: len([line for line in lines if "values" in line]) > 100, "samples")
        counts = [frame["values"]["count"] for frame in tail.frames()]
        steps = [after - before for before, after in zip(counts, counts[1:])]
        # A thread is slower to clear its bit than hardware: if the machine stalls, the next poll sees it still.
        self.assertGreaterEqual(min(steps), 0, counts)
        self.assertGreater(sum(steps), 10, counts)

    def test_widths_and_orders(self):
        for width in (1, 2, 4, 8):
            for order in ("little", "big"):
                with self.subTest(width=width, order=order):
                    server = self.begin(width=width, order=order)
                    server.wait_status(lambda s: s["channels"][1]["value"] == 100, "the pressure")
                    with open(self.path("card"), "rb") as file:
                        self.assertEqual(file.read(MASK + width)[MASK:], (0xA1).to_bytes(width, order))
                    self.assertEqual(server.end(), 0)
                    self.device.end()
                    os.unlink(self.path("card"))

    def test_a_bit_that_never_comes(self):
        self.begin(timeout_ms=400)
        self.device.never_ready = True
        self.wait_failed("the status at byte 0 is stuck at 0x8003: the ready bits 0x10 do not come")
        connects = self.stream()["connects"]
        self.device.never_ready = False
        self.wait_good()
        self.assertGreater(self.stream()["connects"], connects)

    def test_a_bit_that_stays(self):
        self.begin(timeout_ms=400)
        self.device.deaf = True
        self.wait_failed("the status at byte 0 is stuck at 0x8013: the ready bits 0x10 stay though they were acknowledged")
        self.device.deaf = False
        self.wait_good()

    def test_truncated(self):
        server = self.begin(timeout_ms=400)
        worker = server.worker()
        for _ in range(3):
            with self.device.lock:  # what it wrote behind the end would make a page of it again
                os.truncate(self.path("card"), 0)
            self.wait_failed("expected 4096 bytes at byte 0, found a file of ")
            self.device.make()
            self.wait_good()
        self.assertIn("its memory is gone (SIGBUS): a file was truncated, or a device pulled", server.log())
        self.assertEqual(server.worker(), worker)

    def test_missing_and_there(self):
        server = self.begin(device=False, wait=False)
        server.wait_status(lambda s: self.stream(s)["open_errno"] == 2, "it to be missed")
        self.assertIn(f"source card: cannot open {self.path('card')}: No such file or directory", server.log())
        self.device = Device(self, self.path("card"))
        self.wait_good()

    def test_a_file_has_no_interrupt(self):
        port = support.free_udp_port()
        Device(self, self.path("card"))
        source = self.source(wait="interrupt")
        self.running = self.server(config(self.instance, [source, support.udp_source(port)], outputs_to(Actuator(self).target))).start()
        wait_until(lambda: "expected a UIO device, found a file, which has no interrupt; see wait" in self.running.log(), "the words")

    def test_data_alone(self):
        """No status, nothing written: as it is at that moment, from a file that may only be read."""
        with open(self.path("card"), "wb") as file:
            file.write(bytes(4096 + 128) + struct.pack("<If", 7, 42.0) + bytes(64))
        os.chmod(self.path("card"), 0o444)
        source = self.source(offset_bytes=4096 + 64, window_bytes=128, data={"at_byte": 64, "count_bytes": 8})
        for key in ("status", "acknowledge", "interrupt_mask"):
            del source[key]
        rules = [{"name": "overpressure", "channel": "pressure", "high": 150}]
        self.running = self.server(config(self.instance, [source], outputs_to(Actuator(self).target), rules)).start()
        self.running.wait_status(lambda s: [c["value"] for c in s["channels"]] == [7, 42], "its numbers")

    def test_what_cannot_be(self):
        good = self.source()
        rules = [{"name": "high", "channel": "pressure", "high": 5}]
        wrong = (
            ({"device": None}, "sources[0].device: expected the path of a UIO device or a file of at most 127 characters, found nothing"),
            ({"data": None}, "sources[0].data: expected data: {at_byte: N, count_bytes: N}, found nothing"),
            ({"data": {"at_byte": 4092, "count_bytes": 8}},
             "sources[0].data: expected at_byte and count_bytes to be multiples of the width, 4, inside the window of 4096 bytes, found 4092 and 8"),
            ({"data": {"at_byte": 2, "count_bytes": 8}}, "sources[0].data: expected at_byte and count_bytes to be multiples of the width, 4"),
            ({"status": {"at_byte": 0, "width_bytes": 3, "ready_mask": 1}}, "sources[0].status: expected width_bytes of 1, 2, 4 or 8, found 3"),
            ({"status": {"at_byte": 0, "ready_mask": 0}}, "sources[0].status.ready_mask: expected one bit at least, found 0"),
            ({"acknowledge": {"at_byte": 4096, "value": 1}}, "sources[0].acknowledge: expected at_byte to be a multiple of the width, 4, inside"),
            ({"acknowledge": {"at_byte": 0, "width_bytes": 1, "value": 256}}, "sources[0].acknowledge: 256 does not fit into 1 bytes"),
            ({"window_bytes": 0}, "sources[0].window_bytes: expected 1 to 1048576 bytes, found 0"),
            ({"offset_bytes": 4}, "sources[0].offset_bytes: expected a multiple of 8 up to 1099511627776, found 4"),
            ({"connect": "1.2.3.4:5"}, "sources[0].connect: belongs to kind"),
        )
        for changes, words in wrong:
            with self.subTest(words):
                source = {k: v for k, v in {**good, **changes}.items() if v is not None}
                text = config(self.instance, [source], outputs_to("127.0.0.1:9"), rules)
                done = self.cli("check", self.server(text).config_path)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    support.main()
