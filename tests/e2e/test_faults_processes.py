#!/usr/bin/env python3
"""IL-068: each process killed, stopped, stopped for a while; two at once; a busy core; a relay box that is off the network."""
import os
import signal
import sys
import time

import support
from faults_bench import Bench, FaultCase, Plant, config, tai_ns
from support import exists, wait_until

HOLD_S = 0.5  # a stop that ends: longer than stale and stall_trip, shorter than the relay's watchdog
BUSY = "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end: pass\n"


class Processes(FaultCase):
    group = "processes"

    def setUp(self):
        super().setUp()
        self.plant = Plant(self)
        self.bench = None

    def start(self, **control):
        """Another server on the same plant; the one before has ended."""
        if self.bench is not None and self.bench.server.process.poll() is None:
            self.bench.server.end()
        self.bench = Bench(self, self.plant, config(self, self.plant, **control))

    def test_faults(self):
        self.start()
        self.worker()
        self.control()
        self.relay()
        self.core()
        self.supervisor_stopped()
        self.several()
        self.supervisor_killed()
        self.bench.server.end()
        self.socket_removed()
        self.start(stall_trip_ms=200, silence_ms=8000)
        self.stopped_for_a_while()
        self.write_rows()

    def signal(self, *pids, number=signal.SIGKILL):
        at = tai_ns()
        for pid in pids:
            os.kill(pid, number)
        return at

    def wait_restarts(self, name, count):
        self.bench.server.wait_status(lambda s: self.bench.server.processes(s)[name]["restarts"] > count
                                      and self.bench.server.processes(s)[name]["alive"]
                                      and all(c["quality"] == "good" for c in s["channels"]), f"a new {name}")

    def restarts(self, name):
        return self.bench.server.processes()[name]["restarts"]

    def gone(self, fault, how, name, pid, number, first, by):
        """It is killed, or hangs and is killed by the supervisor: the next one is there, and safe."""
        before = []

        def inject():
            before[:] = [self.restarts(name)]
            return self.signal(pid(), number=number)

        self.bench.trips(fault, how, inject, first, by, cure=lambda: self.wait_restarts(name, before[0]))

    def worker(self):
        stale = ("stale", "chamber_pressure", None)
        self.gone("worker killed", "SIGKILL", "sensors", self.bench.server.worker, signal.SIGKILL, stale, "control")
        self.gone("worker hangs", "SIGSTOP", "sensors", self.bench.server.worker, signal.SIGSTOP, stale, "control")

    def control(self):
        died = ("control_died", None, None)
        self.gone("control killed", "SIGKILL", "control", self.bench.server.control, signal.SIGKILL, died, "supervisor")
        self.gone("control hangs", "SIGSTOP (silence_ms 300)", "control", self.bench.server.control, signal.SIGSTOP, died,
                  "supervisor")

    def stopped_for_a_while(self):
        """SIGSTOP and, before anybody kills it, SIGCONT."""
        def stop_and_go(pid):
            at = self.signal(pid, number=signal.SIGSTOP)
            time.sleep(HOLD_S)  # this is the fault
            os.kill(pid, signal.SIGCONT)
            return at

        how = f"SIGSTOP, SIGCONT after {HOLD_S:g} s"
        self.bench.trips("worker stopped for a while", how, lambda: stop_and_go(self.bench.server.worker()),
                         ("stale", "chamber_pressure", None))
        self.bench.trips("control stopped for a while", how, lambda: stop_and_go(self.bench.server.control()),
                         ("deadline", None, None))
        self.bench.holds_on("supervisor stopped for a while", how, lambda: stop_and_go(self.bench.server.pid), None)
        self.assertNotIn("silent", self.bench.server.log(), "the supervisor blames others for its own gap")

    def supervisor_stopped(self):
        """Nobody answers an operator, and a peak trips all the same."""
        bench = self.bench
        fault = "supervisor hangs, then a peak"

        def verdict():
            bench.armed()
            control = bench.server.control()
            self.signal(bench.server.pid, number=signal.SIGSTOP)
            try:
                at = bench.plant.inject("spike", channel="chamber_pressure", value=170, samples=1)
                when, who = bench._dropped(fault, at)
            finally:
                os.kill(bench.server.pid, signal.SIGCONT)
            self.assertEqual(who, "control")
            name = bench._first_out(fault, ("high", None, "overpressure"))
            bench._no_rearm(fault, when)
            self.assertEqual(bench.server.control(), control)
            self.row(fault, "SIGSTOP, spike of 170 kPa", "both lines dropped by control", name, when - at,
                     bench.reported(fault, bench.interlock()["trips"]))

        bench._try(fault, verdict)

    def several(self):
        """Nobody is left to say anything: the relay's own watchdog."""
        bench = self.bench

        def all_dead(fault, how, kill):
            def verdict():
                bench.armed()
                pids = list(bench.server.children())
                at = kill()
                when, who = bench._dropped(fault, at)
                self.assertEqual(who, "watchdog", fault)
                bench.server.process.send_signal(signal.SIGCONT)
                if bench.server.process.poll() is None:
                    bench.server.process.kill()
                bench.server.process.wait(support.PATIENCE_S)
                wait_until(lambda: not any(exists(pid) for pid in pids), "their end")
                bench.server.start()
                self.assertEqual(bench.server.cli("arm", bench.server.instance).returncode, 1, fault)
                bench.steps()
                bench.assert_safe_since(fault, when)
                self.row(fault, how, "both lines dropped by the relay's watchdog (800 ms)", "none: a new server", when - at)

            bench._try(fault, verdict)

        server = bench.server
        all_dead("control and supervisor killed together", "SIGKILL to both",
                 lambda: self.kill_together(server.control(), server.pid))
        all_dead("supervisor hangs and control is killed", "SIGSTOP, SIGKILL",
                 lambda: (self.signal(server.pid, number=signal.SIGSTOP), self.signal(server.control()))[1])
        all_dead("everything killed at once", "SIGKILL to all three",
                 lambda: self.kill_together(*server.children(), server.pid))

    def kill_together(self, *pids):
        """None of them sees another's death: they are stopped first, and the supervisor dies last (a stopped process whose
        parent dies is continued by the kernel)."""
        self.signal(*pids, number=signal.SIGSTOP)
        return self.signal(*pids)

    def supervisor_killed(self):
        bench = self.bench
        fault = "supervisor killed"

        def verdict():
            bench.armed()
            at = self.signal(bench.server.pid)
            when, who = bench._dropped(fault, at)
            self.assertEqual(who, "control", fault)
            bench.server.process.wait(support.PATIENCE_S)
            self.assert_nothing_left(bench.server)
            bench.server.start()
            self.assertEqual(bench.server.cli("arm", bench.server.instance).returncode, 1, fault)
            bench.steps()
            bench.assert_safe_since(fault, when)
            self.row(fault, "SIGKILL", "both lines dropped by control, which ends", "none: a new server", when - at)

        bench._try(fault, verdict)

    def relay(self):
        """The box's own watchdog drops the lines; the server knows that it talks to nobody."""
        bench = self.bench
        bench.trips("relay box off the network", "relay_gone (ECONNREFUSED)", lambda: bench.plant.inject("relay_gone"),
                    ("output", None, None), by="watchdog", cure=lambda: bench.plant.inject("relay_returns"))

    def socket_removed(self):
        """A relay box on a Unix socket, whose name somebody removes: nobody finds it any more."""
        plant = Plant(self, actuator=f"unix:{self.path('relay')}")
        bench = Bench(self, plant, config(self, plant, outputs="unix"))

        def inject():
            at = tai_ns()
            os.unlink(self.path("relay"))
            return at

        def cure():
            plant.inject("relay_gone")
            plant.inject("relay_returns")

        bench.trips("relay box's Unix socket removed", "unlink", inject, ("output", None, None), by="watchdog", cure=cure)
        bench.server.end()

    def core(self):
        """An ordinary process that wants all of control's core."""
        bench = self.bench
        core = bench.server.processes()["control"]["core"]
        cores = [core] if core >= 0 else sorted(os.sched_getaffinity(0))
        hogs = []

        def hog():
            for number in cores:
                hogs.append(support.spawn(sys.executable, "-c", f"import os\nos.sched_setaffinity(0, [{number}])\n{BUSY}"))

        def end():
            while hogs:
                support.stop(hogs.pop(), signal.SIGKILL)

        self.addCleanup(end)
        hog()
        bench.trips("a busy process on control's core, then a peak", "spin on its core, spike of 170 kPa",
                    lambda: bench.plant.inject("spike", channel="chamber_pressure", value=170, samples=1),
                    ("high", None, "overpressure"))
        end()


if __name__ == "__main__":
    support.main()
