#!/usr/bin/env python3
"""Memory and time that lie: a hostile writer in the ring, a reader that scribbles, frames overwritten unseen, flipped bits
in the control process, a wall clock that jumps. Bits are flipped through /proc/PID/mem, so this wants root."""
import contextlib
import mmap
import os
import re
import signal
import struct
import time

import faults_bench
import support
from faults_bench import Bench, FaultCase, Plant, config, tai_ns
from support import wait_until

ARMED = 0x195AC33C  # control/machine.h: ENGINE_ARMED
RING_MAGIC = b"SLCRING1"
TABLE_MAGIC = struct.pack("<Q", 0x314C425443534C53)
SLOT_BYTES_AT, SLOTS_OFFSET_AT, CLAIMED_AT, PUBLISHED_AT = 32, 40, 512, 640  # tests/ring/layout.golden
SLOTS = 64


def regions(pid, rights):
    """(from, to) of each mapping with these rights."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        for line in file:
            span, access = line.split()[:2]
            if re.fullmatch(rights, access) and "[v" not in line:
                yield tuple(int(part, 16) for part in span.split("-"))


class Memory:
    """Another process's memory, to read and to flip bits in."""

    def __init__(self, case, pid):
        self.pid = pid
        self.file = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        case.addCleanup(self.file.close)

    def find(self, what, rights="rw-p"):
        for start, end in regions(self.pid, rights):
            with contextlib.suppress(OSError):
                data = os.pread(self.file.fileno(), end - start, start)
                at = data.find(what)
                while at >= 0:
                    yield start + at
                    at = data.find(what, at + 1)

    def flip(self, address, bit):
        byte = os.pread(self.file.fileno(), 1, address)[0]
        os.pwrite(self.file.fileno(), bytes([byte ^ 1 << bit]), address)


def ring_of(pid):
    """The ring of this worker, mapped writable: what a program can do that has got into it."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        with contextlib.suppress(OSError, ValueError):
            if "memfd" not in os.readlink(path):
                continue
            own = os.open(path, os.O_RDWR)
            try:
                page = mmap.mmap(own, os.fstat(own).st_size)
            finally:
                os.close(own)
            if page[:8] == RING_MAGIC:
                return page
            page.close()
    raise AssertionError(f"no ring in process {pid}")


class Lies(FaultCase):
    group = "memory"

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("flipping bits in another process wants root")
        self.plant = Plant(self)
        self.bench = None

    def start(self, slots=4096, environment=None, source=None, **control):
        if self.bench is not None:
            self.bench.server.end()
        text = config(self, self.plant, **control)
        text["rings"][0]["slots"] = slots
        text["sources"][0].update(source or {})
        self.bench = Bench(self, self.plant, text, environment=environment)

    def test_faults(self):
        self.start(slots=SLOTS, silence_ms=8000, stall_trip_ms=4000, source={"receive_buffer_kb": 16})
        self.overrun()
        self.hostile_writer()
        self.hostile_reader()
        self.preload = faults_bench.Preload(self)
        self.start(environment={**self.preload.environment, "SLUICE_TEST_TABLE": "1"})
        self.clock()
        self.flipped_bits()
        self.write_rows()

    # ---- The ring.

    def overrun(self):
        bench = self.bench
        overrun = ("overrun", None, None)

        def while_control_sleeps():
            control = bench.server.control()
            os.kill(control, signal.SIGSTOP)
            try:
                at = self.plant.inject("spike", channel="chamber_pressure", value=170, samples=5)
                published = bench.server.status()["rings"][0]["published"]
                wait_until(lambda: bench.server.status()["rings"][0]["published"] > published + 2 * SLOTS, "two laps")
            finally:
                os.kill(control, signal.SIGCONT)
            return at

        bench.trips("ring overrun, a peak in what was overwritten", f"control stopped for two laps of {SLOTS} slots",
                    while_control_sleeps, overrun)

        def while_worker_sleeps():
            worker = bench.server.worker()
            os.kill(worker, signal.SIGSTOP)
            try:
                dropped = support.udp_socket(self.plant.udp_port)[1]
                at = self.plant.inject("flood", stream="udp", frames=3000)
                wait_until(lambda: support.udp_socket(self.plant.udp_port)[1] > dropped, "the kernel to drop some")
            finally:
                os.kill(worker, signal.SIGCONT)
            return at

        bench.trips("frames dropped by the kernel", "worker stopped, flood of 3000 frames into 16 KiB", while_worker_sleeps, overrun)

    def hostile_writer(self):
        """It writes beside the worker, which goes on. What lies is seen; what says nothing to a reader changes nothing."""
        bench = self.bench

        page = ring_of(bench.server.worker())
        self.addCleanup(page.close)

        def write(at, data):
            now = tai_ns()
            page[at:at + len(data)] = data
            return now

        def claim(position):
            """For so long that control sees it between two claims of the worker's own."""
            now = tai_ns()
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                page[CLAIMED_AT:CLAIMED_AT + 8] = struct.pack("<Q", position)
            return now

        def sequence_words():
            now = tai_ns()
            slot_bytes, = struct.unpack_from("<I", page, SLOT_BYTES_AT)
            slots_at, = struct.unpack_from("<Q", page, SLOTS_OFFSET_AT)
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                for slot in range(SLOTS):
                    at = slots_at + slot * slot_bytes
                    page[at:at + 8] = b"\xff" * 8
            return now

        broken = ("overrun", None, None)
        bench.trips("ring header: claim far ahead", "claimed = 2^63, for 0.3 s", lambda: claim(2**63), broken)
        bench.trips("ring header: claim taken back", "claimed = 5, for 0.3 s", lambda: claim(5), broken)
        bench.trips("ring slots: sequence words overwritten", "2^64 - 1 in every slot for 0.5 s", sequence_words,
                    broken)
        bench.holds_on("ring header: magic overwritten", "magic = 0", lambda: write(0, bytes(8)), None,
                       cure=lambda: write(0, RING_MAGIC))
        bench.holds_on("ring header: published far ahead", "published = 2^63",
                       lambda: write(PUBLISHED_AT, struct.pack("<Q", 2**63)), None)

    def hostile_reader(self):
        bench = self.bench

        def scribble():
            client = support.connect(self.socket_path(bench.server))
            self.addCleanup(client.close)
            code, _, fds = support.call(client, support.ATTACH, "udp")
            self.assertEqual(code, 0)
            at = tai_ns()
            ring, lease = fds
            with self.assertRaises(OSError):
                os.pwrite(ring, b"\0" * 8, CLAIMED_AT)
            with self.assertRaises((OSError, PermissionError)):
                mmap.mmap(ring, 4096)
            with self.assertRaises(OSError):
                os.ftruncate(ring, 0)
            with mmap.mmap(lease, 4096) as page:
                for round_of in range(2000):
                    page[:] = bytes([round_of & 0xFF]) * 4096
            client.close()
            for fd in fds:
                os.close(fd)
            return at

        bench.holds_on("a reader that scribbles", "writes to the ring (refused), fills its lease", scribble, None)

    # ---- Time.

    def clock(self):
        """IL-069"""
        bench = self.bench

        def sees(seconds):
            return lambda s: abs(s["clock_step_s"] - seconds) < 60

        bench.holds_on("wall clock jumps an hour ahead", "clock_gettime preloaded", lambda: self.preload.set(ahead_s=3600), sees(3600))
        bench.holds_on("wall clock jumps two hours back", "clock_gettime preloaded", lambda: self.preload.set(ahead_s=-3600), sees(-3600))

        def jump_and_peak():
            self.preload.set(ahead_s=86400)
            return self.plant.inject("spike", channel="chamber_pressure", value=170, samples=1)

        bench.trips("wall clock jumps a day ahead, then a peak", "clock_gettime preloaded, spike of 170 kPa", jump_and_peak,
                    ("high", None, "overpressure"), cure=lambda: self.preload.set(ahead_s=0))

    # ---- Bits.

    def faults(self, fault, how, flip):
        """FAULT: safe, for good, until a new control process."""
        bench = self.bench

        def verdict():
            bench.armed()
            memory = Memory(self, bench.server.control())
            at = tai_ns()
            flip(memory)
            when, who = bench._dropped(fault, at)
            self.assertEqual(who, "control")
            name = bench._first_out(fault, ("self_test", None, None), state="fault")
            for command in ("reset", "arm"):
                self.assertEqual(bench.server.cli(command, bench.server.instance).returncode, 1, fault)
            bench.steps()
            self.assertEqual(bench.interlock()["state"], "fault")
            bench.assert_safe_since(fault, when)
            self.row(fault, how, "both lines dropped by control; FAULT, reset refused", name, when - at,
                     bench.reported(fault, bench.interlock()["trips"]))
            restarts = bench.server.processes()["control"]["restarts"]
            os.kill(memory.pid, signal.SIGKILL)
            bench.server.wait_status(lambda s: bench.server.processes(s)["control"]["restarts"] > restarts
                                     and s["interlock"]["state"] == "tripped", "a new control process")
            bench.assert_safe_since(fault, when)

        bench._try(fault, verdict)

    def flipped_bits(self):
        """IL-067"""
        def state(memory):
            found = [a for a in memory.find(struct.pack("<I", ARMED)) if a % 4 == 0]
            self.assertTrue(found, "the state word in control's memory")
            for address in found:
                memory.flip(address, 3)

        self.faults("a flipped bit in the state word", "/proc/PID/mem", state)

        def limit(memory):
            table = next(memory.find(TABLE_MAGIC, "r--p"))
            size = struct.unpack("<I", os.pread(memory.file.fileno(), 4, table + 12))[0]
            data = os.pread(memory.file.fileno(), size, table)
            at = data.find(struct.pack("<d", 150.0))
            self.assertGreater(at, 0, "the limit of 150 kPa in the table")
            memory.flip(table + at + 6, 0)  # of the fraction: another limit

        self.faults("a flipped bit in the table: a limit", "/proc/PID/mem, table mapped privately", limit)


if __name__ == "__main__":
    support.main()
