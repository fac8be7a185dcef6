#!/usr/bin/env python3
"""Operators who do the wrong thing, all at once, or without end: a trip holds, and nothing but reset and arm ends it."""
import contextlib
import os
import subprocess
import threading

import support
from faults_bench import SAFE, Bench, FaultCase, Plant, config, tai_ns
from support import BIN, connect, wait_until

CROWD = 20
RACES = 25


class Operators(FaultCase):
    group = "operators"

    def test_faults(self):
        self.plant = Plant(self)
        self.bench = Bench(self, self.plant, config(self, self.plant))
        self.manual()
        self.flood()
        self.races()
        self.hammered()
        self.write_rows()

    @contextlib.contextmanager
    def crowd(self, *operations):
        """Many clients that ask for these as fast as they are answered, and faster."""
        clients = [connect(self.socket_path(self.bench.server)) for _ in range(CROWD)]
        ended = threading.Event()
        asked = [0]

        def hammer():
            while not ended.is_set():
                for client in clients:
                    for operation in operations:
                        with contextlib.suppress(BlockingIOError):
                            client.send(support.request(operation))
                            asked[0] += 1
                    with contextlib.suppress(BlockingIOError):
                        client.recv(4096)
                ended.wait(0.001)

        for client in clients:
            client.setblocking(False)
        thread = threading.Thread(target=hammer, daemon=True)
        thread.start()
        try:
            wait_until(lambda: asked[0] > 100, "the flood")
            yield asked
        finally:
            ended.set()
            thread.join(10)
            for client in clients:
                client.close()

    def manual(self):
        server = self.bench.server

        def trip():
            at = tai_ns()
            self.assertEqual(server.cli("trip", server.instance).returncode, 0)
            return at

        self.bench.trips("sluice trip", "an operator", trip, ("manual", None, None))

    def flood(self):
        flood = contextlib.ExitStack()

        def inject():
            flood.enter_context(self.crowd(support.ARM))
            return self.plant.inject("spike", channel="chamber_pressure", value=170, samples=1)

        with flood:
            self.bench.trips("flood of commands while a demand comes", f"{CROWD} clients ask to arm, spike of 170 kPa", inject,
                             ("high", None, "overpressure"), cure=lambda: self.end_flood(flood))

    def end_flood(self, flood):
        """It has gone on for some time with nothing standing any more; the operator gets through again."""
        self.bench.server.wait_status(lambda s: not s["interlock"]["causes"], "nothing stands any more")
        self.bench.steps()
        self.assertEqual(self.bench.interlock()["state"], "tripped")
        flood.close()

    def sluice(self, command):
        return subprocess.Popen([os.path.join(BIN, "sluice"), command, self.bench.server.instance], env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def races(self):
        """Ready; arm and trip at once. Whoever was first, it ends safe."""
        bench = self.bench
        fault = "arm and trip at once"
        outcomes = {0: 0, 1: 0}
        longest = 0
        for round_of in range(RACES):
            wait_until(lambda: bench.server.cli("reset", bench.server.instance).returncode == 0, "the reset")
            at = tai_ns()
            both = [self.sluice(command) for command in (("arm", "trip") if round_of % 2 else ("trip", "arm"))]
            codes = [process.wait(support.PATIENCE_S) for process in both]
            arm, trip = codes if round_of % 2 else codes[::-1]
            self.assertEqual(trip, 0, "a trip was refused")
            outcomes[arm] += 1
            bench.steps(50)
            self.assertEqual(bench.interlock()["state"], "tripped", fault)
            wait_until(lambda: self.plant.truth.now() == SAFE, "the plant, which may be put off, to have read it")
            bench.steps(50)
            self.assertEqual(self.plant.truth.now(), SAFE, fault)
            permits = [c for c in self.plant.truth.since(at) if c[1]]
            if permits:
                safe = [c for c in self.plant.truth.since(permits[0][0]) if not c[1]]
                longest = max(longest, safe[-1][0] - permits[0][0])
        print(f"    of {RACES} races arm was first in {outcomes[0]}, trip in {outcomes[1]}; longest permit {longest / 1e6:.1f} ms")
        self.row(fault, f"{RACES} times, from READY", "ended with both lines dropped, each time", "manual", None)

    def hammered(self):
        bench = self.bench
        fault = "reset and arm hammered while the cause stands"

        def verdict():
            bench.armed()
            at = self.plant.inject("sensor_nan", channel="chamber_pressure")
            when, who = bench._dropped(fault, at)
            self.assertEqual(who, "control")
            name = bench._first_out(fault, ("not_finite", "chamber_pressure", None))
            with self.crowd(support.RESET, support.ARM) as asked:
                before = asked[0]
                wait_until(lambda: asked[0] > before + 2000, "2000 commands")
                bench.steps()
            self.assertEqual(bench.interlock()["state"], "tripped")
            bench.assert_safe_since(fault, when)
            with self.crowd(support.RESET) as asked:  # and with the cause gone, a reset is no permit
                self.plant.inject("sensor_returns")
                bench.server.wait_state("ready")
                before = asked[0]
                wait_until(lambda: asked[0] > before + 1000, "1000 resets")
                bench.steps()
            self.assertEqual(bench.interlock()["state"], "ready")
            bench.assert_safe_since(fault, when)
            self.row(fault, f"{CROWD} clients, sensor_nan", "both lines dropped by control; never energised", name, when - at,
                     bench.reported(fault, bench.interlock()["trips"]))

        bench._try(fault, verdict)


if __name__ == "__main__":
    support.main()
