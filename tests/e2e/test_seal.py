#!/usr/bin/env python3
"""After the seal: only the listed system calls, and the heap is never entered. Seen from outside, not by the seal."""
import collections
import os
import re
import shutil
import signal
import subprocess
import time

import support
from support import (BIN, ROOT, Actuator, SensorPty, SensorUdp, TextPty, config, free_udp_port, outputs_to, serial_source,
                     text_source, udp_source, wait_until)

HEAPWATCH = os.environ.get("SLUICE_HEAPWATCH", os.path.join(os.path.dirname(BIN), "lib/libheapwatch.so"))


def listed(array):
    """The names in one of the arrays of control/seal.c."""
    with open(os.path.join(ROOT, "control/seal.c"), encoding="utf-8") as file:
        found = re.search(rf"{array}\[\]\s*=\s*\{{(.*?)\}};", file.read(), re.DOTALL)
    return set(re.findall(r'"(\w+)"', found.group(1)))


class Busy(support.Case):
    """A server with one source of each kind, and everything that happens to it after the seal."""

    def busy_server(self, environment=None):
        port = free_udp_port()
        self.actuator = Actuator(self)
        self.file = self.path("lamp")
        tty, text = self.path("tty"), self.path("text")
        outputs = [*outputs_to(self.actuator.target), {"name": "lamp", "kind": "file", "target": self.file}]
        outputs[0]["acknowledge"] = "udp"
        rules = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150},
                 {"name": "line", "channel": "s_chamber_pressure", "high": 150},
                 {"name": "words", "channel": "t_pressure", "high": 150}]
        sources = [udp_source(port), serial_source(tty, "s_"), text_source(text)]
        server = self.server(config(self.instance, sources, outputs, rules, idle="duty", sleep_us=20, cycle_budget_us=500),
                             environment=environment)
        self.sensors = [SensorUdp(self, port), SensorPty(self, tty), TextPty(self, text)]
        server.start()
        for sensor in self.sensors:
            sensor.start()
        wait_until(lambda: all(p["sealed"] for p in (server.status() or {"processes": []})["processes"][1:]) and server.status(),
                   "sealed processes")
        return server

    def everything(self, server):
        """Arming, trips of every kind, resets, bad input, a hang-up and the line's return."""
        server.make_armed(self.actuator)
        for sensor in self.sensors:
            sensor.send(pressure=160)
            server.wait_state("tripped")
            server.cli("arm")
            server.make_armed()
        server.cli("trip")
        server.make_armed()
        udp, line, text = self.sensors
        for data in (b"", b"x", bytes(31), bytes(33), bytes(2000), support.frame(udp.next)[:-1] + b"?"):
            udp.put(data)
        with line.paused(), text.paused():
            line.put(b"TVAC noise TVAC" * 3)
            for words in (b"no numbers\n", b"1e400 -1e-400\n", b"0." + b"123456789" * 40 + b" 2\n", b"x" * 1000 + b"\n"):
                text.put(words)
        for sensor, name in ((line, "serial"), (text, "text")):
            connects = server.stream(name)["connects"]
            with sensor.paused():
                sensor.unplug()
                server.wait_state("tripped")
                server.cli("reset")
                sensor.plug()
            wait_until(lambda n=name, c=connects: server.stream(n)["connects"] > c, "the line's return")
        tail = server.tail("udp", "--count", "50", "--oldest")
        self.assertEqual(tail.process.wait(support.PATIENCE_S), 0)
        server.make_armed(self.actuator)


class SystemCalls(Busy):
    def strace(self, pid):
        """Attached to the first thread, which is the sealed one (a worker's other one opens devices)."""
        out = self.path(f"strace{pid}")
        tracer = support.spawn("strace", "-p", str(pid), "-o", out, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(support.stop, tracer, signal.SIGINT)

        def attached():
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                return tracer.poll() is not None or f"TracerPid:\t{tracer.pid}\n" in file.read()

        wait_until(attached, "strace")
        if tracer.poll() is not None:
            self.skipTest(f"SKIPPED: strace cannot attach: {tracer.stderr.read().decode().strip()}: THE SYSTEM CALLS OF "
                          f"SEALED PROCESSES WERE NOT SEEN")
        return tracer, out

    def calls(self, out):
        found = collections.Counter()
        with open(out, encoding="utf-8", errors="replace") as file:
            for line in file:
                match = re.match(r"(?:\d+ +)?(?:<\.\.\. )?(\w+)(?:\(| resumed>)", line)
                if match:
                    found[match.group(1)] += 1
                else:
                    self.assertRegex(line, r"^(?:\d+ +)?(?:---|\+\+\+|\?\?\?\?)", "a line that was not understood")
        return found

    def test_only_listed_system_calls(self):
        if shutil.which("strace") is None:
            self.skipTest("SKIPPED: no strace: THE SYSTEM CALLS OF SEALED PROCESSES WERE NOT SEEN")
        server = self.busy_server()
        control, worker = server.control(), server.worker()
        traced = {"control_names": self.strace(control), "worker_names": self.strace(worker)}
        self.everything(server)
        time.sleep(2)
        status = server.wait_status(lambda s: all(p["sealed"] for p in s["processes"][1:]), "every process to be sealed")
        self.assertEqual((server.control(), server.worker()), (control, worker))
        self.assertEqual({p["restarts"] for p in status["processes"]}, {0}, server.log())
        server.end()  # how they end is traced as well
        for array, (tracer, out) in traced.items():
            tracer.wait(support.PATIENCE_S)
            found = self.calls(out)
            print(f"{array}: seen {dict(found.most_common())}")
            self.assertLessEqual(set(found), listed(array), f"{array}: not listed: {set(found) - listed(array)}")
            self.assertGreater(sum(found.values()), 500)
        self.assertIn("sendto", self.calls(traced["control_names"][1]))
        self.assertIn("pwrite64", self.calls(traced["control_names"][1]))
        worker_calls = self.calls(traced["worker_names"][1])
        for name in ("io_uring_enter", "close"):
            self.assertIn(name, worker_calls)

    def test_the_kernel_enforces_it(self):
        for name in ("sluice-control", "sluice-worker"):
            with self.subTest(name):
                server = self.busy_server() if name == "sluice-control" else server
                with open(f"/proc/{server.child(name)}/status", encoding="ascii") as file:
                    self.assertRegex(file.read(), r"Seccomp:\t2\n")


class Heap(Busy):
    def setUp(self):
        super().setUp()
        if not os.path.exists(HEAPWATCH):
            self.fail(f"{HEAPWATCH} does not exist: build the target heapwatch")

    def test_never_entered_after_the_seal(self):
        server = self.busy_server({"LD_PRELOAD": HEAPWATCH})
        wait_until(lambda: server.log().count("watching a sealed thread") == 3, "the hook in each")
        for _ in range(2):
            self.everything(server)
        status = server.status()
        self.assertEqual({p["restarts"] for p in status["processes"]}, {0}, server.log())
        self.assertNotIn("a sealed thread called", server.log())
        self.assertGreater(server.stream("text")["delivered"], 20)
        self.assertGreater(server.stream("text")["refused"]["syntax"], 0)
        self.assertEqual(server.end(), 0)
        self.assertNotIn("a sealed thread called", server.log())

    def test_the_watch_catches(self):
        program = os.path.join(BIN, "heapwatch-negative")
        self.assertTrue(os.path.exists(program), f"{program} does not exist: build it")

        def run(how, preload):
            environment = {**self.environment, **({"LD_PRELOAD": HEAPWATCH} if preload else {})}
            return subprocess.run([program, how], env=environment, capture_output=True, text=True, timeout=support.PATIENCE_S)

        for how, called in (("malloc", "malloc"), ("calloc", "calloc"), ("realloc", "realloc"), ("free", "free"),
                            ("aligned_alloc", "aligned_alloc"), ("posix_memalign", "posix_memalign"), ("strdup", "malloc")):
            done = run(how, True)
            self.assertEqual(done.returncode, -signal.SIGABRT, f"{how}: {done}")
            self.assertIn(f"a sealed thread called {called}\n", done.stderr)
        done = run("none", True)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(run("malloc", False).returncode, 2)


if __name__ == "__main__":
    support.main()
