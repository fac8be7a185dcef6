#!/usr/bin/env python3
"""A bypass that runs out, an arming gate that does not pass any more, a disk that is full or slow: what an operator or an
administrator has allowed, and its end."""
import contextlib
import os
import subprocess

import faults_bench
import support
from faults_bench import Bench, FaultCase, Plant, Preload, config, tai_ns
from support import wait_until

BYPASS_S = 3
HOT = {"channel": "shroud_temperature", "value": 150}


class Overrides(FaultCase):
    group = "overrides"

    def setUp(self):
        super().setUp()
        self.plant = Plant(self)
        self.preload = Preload(self)
        self.bench = None

    def start(self, directory=None, waived=(), on_loss="alarm"):
        if self.bench is not None:
            self.bench.server.end()
        rules = [*faults_bench.RULES, {"name": "shroud_hot", "channel": "shroud_temperature", "high": 120, "bypass_max_s": 600}]
        text = config(self, self.plant, rules)
        text["arming"] = {"waive": [check for check in support.WAIVED if check not in waived], "on_loss": on_loss}
        if directory is not None:
            text["audit"] = {"file": os.path.join(directory, "audit.log")}
            if faults_bench.BLACK_BOX:
                text["black_box"]["directory"] = os.path.join(directory, "trips")
        self.bench = Bench(self, self.plant, text, environment=self.preload.environment)

    def test_faults(self):
        self.start(self.disk())
        self.bypass_expires()
        self.bypass_ends_at_a_trip()
        self.slow_disk()
        self.full_disk()
        self.start(waived=["clock"], on_loss="trip")
        self.gate()
        self.write_rows()

    def heal(self):
        self.plant.inject("sensor_returns")

    def bypass(self, seconds, code=0):
        server = self.bench.server
        done = server.cli("bypass", server.instance, "shroud_hot", "--for", f"{seconds}s", "--reason", "probe is out", "--by", "alice")
        self.assertEqual(done.returncode, code, done)

    def hot_and_bypassed(self):
        server = self.bench.server
        self.plant.inject("offset", **HOT)
        server.wait_status(lambda s: next(r for r in s["rules"] if r["name"] == "shroud_hot")["truth"] == "demand", "the demand")

    def bypass_expires(self):
        """The cause stands all the while; asking for more time does not give any."""
        bench = self.bench

        def inject():
            given = tai_ns()
            self.bypass(BYPASS_S)
            self.hot_and_bypassed()
            self.bypass(600, code=1)
            if self.plant.truth.now() != faults_bench.BOTH:
                raise faults_bench.Disturbed("tripped under the bypass")
            return given + BYPASS_S * 10**9

        bench.trips("bypass runs out while the cause stands", f"bypass for {BYPASS_S} s, extending it refused; offset", inject,
                    ("high", None, "shroud_hot"), cure=self.heal)

    def bypass_ends_at_a_trip(self):
        """The next permit has all its rules again."""
        bench = self.bench

        def inject():
            self.bypass(600)
            bench.server.cli("trip", bench.server.instance)
            bench.armed()
            return self.plant.inject("offset", **HOT)

        bench.trips("a cause that was bypassed before an earlier trip", "bypass, trip, reset, arm; offset", inject,
                    ("high", None, "shroud_hot"), cure=self.heal)

    # ---- The disk: of the audit log and the black box. A place of its own, so that it can be filled.

    def disk(self):
        directory = self.path("disk")
        os.mkdir(directory)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", directory],
                                               check=False).returncode != 0:
            self.skipTest("filling a disk wants root and a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", directory], check=False)
        return directory

    def slow_disk(self):
        bench = self.bench

        def inject():
            self.preload.set(sync_s=1.5)
            bench.server.cli("ack", bench.server.instance, "all")  # something to be written down
            return self.plant.inject("spike", channel="chamber_pressure", value=170, samples=1)

        bench.trips("disk takes 1.5 s for each fsync, then a peak", "fdatasync preloaded, spike of 170 kPa", inject,
                    ("high", None, "overpressure"), cure=self.preload.set)

    def full_disk(self):
        bench = self.bench
        path = self.path("disk/filler")

        def inject():
            with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
                while file.write(bytes(1 << 16)):
                    pass
            return self.plant.inject("spike", channel="chamber_pressure", value=170, samples=1)

        def cure():
            def cannot_be_written():
                """The last page may have room for some lines."""
                bench.server.cli("arm", bench.server.instance)
                return bench.status()["audit"]["errors"] > 0

            wait_until(cannot_be_written, "the audit log to say that it cannot be written")
            os.unlink(path)
            wait_until(lambda: bench.status()["audit"]["pending"] == 0, "what was to be written down")

        bench.trips("disk of the audit log and the black box full, then a peak", "tmpfs filled, spike of 170 kPa", inject,
                    ("high", None, "overpressure"), cure=cure, box=False)

    # ---- The gate.

    def gate(self):
        self.bench.trips("arming gate lost while armed (clock), on_loss: trip", "wall clock steps by an hour",
                         lambda: self.preload.set(ahead_s=3600), ("gate", None, None), cure=self.preload.set)


if __name__ == "__main__":
    support.main()
