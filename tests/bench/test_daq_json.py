#!/usr/bin/env python3
"""sluice-bench daq, as short as it goes: the result parses, has every row and key, every sample that was read came out
right, and nothing is left behind, even if the bench is killed.

No figure is judged. SLUICE_BIN names the folder with the programs.
"""
import ctypes
import glob
import json
import os
import signal
import subprocess
import sys
import time
import unittest

import leftovers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin"))
BENCH = os.path.join(BIN, "sluice-bench")
PATIENCE_S = 60
PR_SET_CHILD_SUBREAPER = 36

VALUES = {"cpu_percent": "% of a core", "cpu_per_sample": "us", "calls_per_sample": "calls", "late_p50": "us",
          "late_p99": "us", "late_max": "us", "lost": "ppm"}
GROUPS = {"fifo": ["fifo-bare", "fifo-epoll", "fifo-sluice", "fifo-sluice_each"],
          "udp": ["udp-bare", "udp-epoll", "udp-recvmmsg", "udp-sluice", "udp-sluice_each"],
          "fifos": ["fifos-epoll", "fifos-sluice"],
          "polls": ["polls-timer", "polls-loop", "polls-sluice"]}
VARIANTS = [variant for group in GROUPS.values() for variant in group]


def bench(*arguments):
    return subprocess.run([BENCH, "daq", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)


class Case(unittest.TestCase):
    def setUp(self):
        if len(os.sched_getaffinity(0)) < 2:
            run = bench("--seconds", "0.05", "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("expected two processor cores", run.stderr)
            self.skipTest("one core: there is no result")
        # Whatever outlives its parent becomes a child of this process.
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.before = set(glob.glob("/tmp/sluice-bench-*"))

    def nothing_is_left(self):
        self.assertFalse(leftovers.child_is_left(PATIENCE_S), "a process outlived the bench")
        self.assertEqual(set(glob.glob("/tmp/sluice-bench-*")) - self.before, set())


class Json(Case):
    def test_result(self):
        run = bench("--seconds", "0.1", "--runs", "2", "--json", "-")
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual(result["bench"], "daq")
        self.assertIn("sluice-worker", result["environment"]["ends"])
        rows = {(r["name"], r["variant"]): r for r in result["rows"]}
        self.assertEqual(len(rows), len(result["rows"]), "a row twice")
        for variant in VARIANTS:
            for name, unit in VALUES.items():
                with self.subTest(row=(name, variant)):
                    if name == "calls_per_sample" and (name, variant) not in rows:
                        continue  # it takes root, and a kernel with BPF
                    self.row(rows[name, variant], unit)
        for group in GROUPS.values():
            self.ratios(rows, group)

    def row(self, row, unit):
        self.assertEqual(row["unit"], unit)
        self.assertEqual(row["value"], row["median"])
        self.assertLessEqual(row["min"], row["median"])
        self.assertLessEqual(row["median"], row["max"])
        self.assertGreaterEqual(row["min"], 0)
        self.assertEqual(row["frames_wrong"], 0)
        if row["name"] == "calls_per_sample":
            self.assertGreater(row["value"], 0)
        if row["name"] == "cpu_percent":
            self.assertGreater(row["frames_verified"], 0)
            self.assertEqual(row["runs"], 2)

    def ratios(self, rows, group):
        """Rows are compared within their question only."""
        floor = next((v for v in group if v.endswith(("-bare", "-timer"))), None)
        for variant in group:
            row = rows["cpu_percent", variant]
            if row["best_peer"] is not None:
                self.assertIn(row["best_peer"], group)
            if floor is None:
                self.assertIsNone(row["floor_ratio"])
            else:
                self.assertGreater(row["floor_ratio"], 0)

    def test_table(self):
        run = bench("--seconds", "0.05", "--runs", "1", "--only", "fifo-sluice,polls")
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("late p99", run.stdout)
        for variant in ("fifo-sluice", "polls-timer", "polls-loop", "polls-sluice"):
            self.assertRegex(run.stdout, rf"(?m)^(! |  ){variant} ")
        self.assertNotRegex(run.stdout, r"(?m)^(! |  )udp-")

    def test_list(self):
        run = bench("--list")
        self.assertEqual(run.returncode, 0)
        listed = {tuple(line.split()[:2]) for line in run.stdout.splitlines()}
        self.assertEqual(listed, {(n, v) for n in VALUES for v in VARIANTS})


class Ends(Case):
    def begun(self, variant):
        """A bench whose receiver runs."""
        process = subprocess.Popen([BENCH, "daq", "--seconds", "60", "--only", variant], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            # The first child measures, its child receives.
            for child in self.children(process.pid):
                receivers = self.children(child)
                if receivers and not set(glob.glob("/tmp/sluice-bench-*")) - self.before:
                    return process, receivers[0]
            time.sleep(0.01)
        self.fail("the receiver does not start")
        return None

    @staticmethod
    def children(pid):
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                return [int(child) for child in file.read().split()]
        except OSError:
            return []

    def test_killed(self):
        """Fault: kill -9 of the bench. Everything it started ends."""
        for variant in ("fifo-sluice", "udp-epoll"):
            with self.subTest(variant=variant):
                process, _ = self.begun(variant)
                process.kill()
                process.wait()
                self.nothing_is_left()

    def test_receiver_killed(self):
        """Fault: kill -9 of the receiver. The bench says so, and fails."""
        process = subprocess.Popen([BENCH, "daq", "--seconds", "2", "--runs", "1", "--only", "fifo-sluice"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + PATIENCE_S
        receivers = []
        while not receivers and time.monotonic() < end:
            receivers = [r for child in self.children(process.pid) for r in self.children(child)]
            time.sleep(0.01)
        os.kill(receivers[0], signal.SIGKILL)
        _, said = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertIn("fifo-sluice", said)
        self.nothing_is_left()


class Usage(unittest.TestCase):
    def test_wrong_use(self):
        for arguments in (["--seconds", "0"], ["--plot", "a.png"], ["--decisions", "1"], ["--only", "none"], ["extra"]):
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)


if __name__ == "__main__":
    sys.exit(unittest.main())
