#!/usr/bin/env python3
"""sluice-bench readers, as short as it goes: the result parses, has every row and key, every sum is right, every frame was
read or told as lost; what is missing is said; nothing is left running or in a folder, whatever ends the bench.

No figure is judged. SLUICE_BIN names the folder with the programs; the Python package is that of the same build, or of the
same prefix. Without it its rows are skipped, and that is what is tested then.
"""
import ctypes
import glob
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import leftovers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin"))
BENCH = os.path.join(BIN, "sluice-bench")
PATIENCE_S = 60
PR_SET_CHILD_SUBREAPER = 36
PACKAGE = any(os.path.exists(os.path.join(BIN, path, "sluice/__init__.py"))
              for path in ("../python", "../lib/python3/dist-packages"))
MODULES = {name: subprocess.run(["/usr/bin/python3", "-I", "-c", f"import {name}"], stdin=subprocess.DEVNULL,
                                capture_output=True, check=False).returncode == 0 for name in ("numpy", "zmq")}

LONG, SHORT = 8960, 64
READY, SLOTS = 1, 32768  # bench/readers_rig.h; of the ring through which frames flow
FLOW = {"flow": "Gbit/s", "flow_cpu": "% of a core", "flow_lost": "frames"}
MOST = {"loss_free": "Gbit/s", "trials": "trials"}
AGAIN = {"attach": "ms", "attach_again": "ms"}
IMPORT = {**AGAIN, "import": "ms", "import_numpy": "ms"}
FULL = {"impact": "GB/s", "impact_ratio": "of none"}
LINE = {"impact_10g": "GB/s", "impact_10g_ratio": "of none"}
FOLD = {"fold": "ns", "fold_rate": "GB/s"}
HOLD = {"readings": "ms", "readings_private": "KiB", "readings_peak": "KiB", "readings_shared": "KiB"}
# Those that are compared with each other: the floor first (None: there is none), then variant -> rows; bytes of a frame.
GROUPS = [("memory", LONG, {v: {"sum": "GB/s"} for v in ("memory", "c", "python", "python-rows", "python-einsum", "numpy")}),
          ("memory-column", SHORT, {v: {"sum": "GB/s"} for v in ("memory-column", "c-column", "python-column", "numpy-column")}),
          ("c-10g", LONG, {v: FLOW for v in ("c-10g", "python-10g")}),
          ("c-most", LONG, {v: MOST for v in ("c-most", "python-most")}),
          *[(f"c-{b}", SHORT, {f"{v}-{b}": {"overhead": "us"} for v in ("c", "ctypes", "ctypes_checked", "python")})
            for b in ("b1", "b32")],
          ("c", SHORT, {"c": AGAIN, "python": IMPORT}),
          *[("none", LONG, {v: rows for v in ("none", "stopped-1", "stopped-4", "stopped-16", "collecting", "killed")})
            for rows in (FULL, LINE)],
          *[(None, LONG, {v: FOLD for v in (what, f"{what}-numpy")})
            for what in ("summary", "percentiles", "histogram", "envelope", "edges")],
          (None, SHORT, {v: FOLD for v in ("summary-column", "summary-column_numpy")}),
          (None, LONG, {v: HOLD for v in ("views", "numpy", "array", "list", "queue", "zmq")})]
ROWS = {(name, variant, size): unit for _, size, group in GROUPS for variant, rows in group.items()
        for name, unit in rows.items()}


def by_package(name, variant):
    return variant.startswith("python") or name.startswith(("impact", "readings", "fold"))


def missing(name, variant):
    """A word that is said of why this row cannot be had here; None: it can."""
    if by_package(name, variant) and not PACKAGE:
        return "Python package sluice"
    if (by_package(name, variant) or variant.startswith(("ctypes", "numpy"))) and not MODULES["numpy"]:
        return "numpy"
    return "zmq" if variant == "zmq" and not MODULES["zmq"] else None


def bench(*arguments, program=BENCH, **more):
    return subprocess.run([program, "readers", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **more)


class Case(unittest.TestCase):
    def setUp(self):
        if len(os.sched_getaffinity(0)) < 2:
            run = bench("--seconds", "0.05", "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("expected two processor cores", run.stderr)
            self.skipTest("one core: there is no result")
        # Whatever outlives its parent becomes a child of this process.
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.before = self.places()

    @staticmethod
    def places():
        return {path for pattern in ("/tmp/sluice-bench-*", "/dev/shm/*", "/run/sluice/bench*") for path in glob.glob(pattern)}

    def nothing_is_left(self):
        self.assertFalse(leftovers.child_is_left(PATIENCE_S), "a process outlived the bench")
        # Another bench of this machine may have a folder, too, for as long as it measures.
        left = self.places() - self.before
        end = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < end:
            time.sleep(0.05)
            left = {path for path in left if os.path.lexists(path)}
        self.assertEqual(left, set())

    def needs_package(self):
        if missing("impact", "python") is not None:
            self.skipTest(f"not here: {missing('impact', 'python')}")


class Json(Case):
    def test_result(self):
        run = bench("--seconds", "0.2", "--runs", "1", "--json", "-")
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual(result["bench"], "readers")
        self.assertIn("in Python", result["environment"]["ends"])
        rows = {(r["name"], r["variant"], r["size_bytes"]): r for r in result["rows"]}
        self.assertEqual(len(rows), len(result["rows"]), "a row twice")
        skipped = {(s["name"], s["variant"], s["size_bytes"]): s["why"] for s in result["skipped"]}
        for key, unit in ROWS.items():
            with self.subTest(row=key):
                why = missing(key[0], key[1])
                if why is None:
                    self.row(rows[key], unit)
                else:
                    self.assertIn(why, skipped[key])
        self.assertEqual(set(rows) | set(skipped), set(ROWS))
        for floor, size, group in GROUPS:
            self.ratios(rows, floor, size, group)
        for variant in ("views", "numpy", "array", "list"):
            if missing("readings", variant) is None:
                self.memory(rows, variant)

    def row(self, row, unit):
        self.assertEqual(row["unit"], unit)
        self.assertEqual(row["value"], row["median"])
        self.assertEqual(row["runs"], 1)
        self.assertEqual(row["frames_wrong"], 0)
        self.assertGreater(row["frames_verified"], 0)
        if row["name"] not in ("flow_lost", "readings_private", "readings_peak", "readings_shared", "loss_free"):
            self.assertGreater(row["value"], 0)
        if row["name"] == "flow_lost":
            self.assertEqual(row["value"], row["frames_lost"])
        others = ("ctypes", "numpy", "array", "list", "queue", "zmq")
        kind = ("floor" if row["variant"].startswith("memory") else
                "peer" if row["variant"].startswith(others) or row["variant"].endswith("numpy") else "ours")
        self.assertEqual(row["kind"], kind)

    def ratios(self, rows, floor, size, group):
        """Rows are compared with the floor of their group only."""
        for variant, names in group.items():
            for name in names:
                row = rows.get((name, variant, size))
                if row is None:
                    continue
                self.assertEqual(row["is_floor"], variant == floor, row)
                other = rows.get((name, floor, size))
                if other is None or other["value"] == 0:
                    self.assertIsNone(row["floor_ratio"], row)
                else:
                    self.assertAlmostEqual(row["floor_ratio"] * other["value"] / row["value"], 1, places=3)

    def memory(self, rows, variant):
        """What must lie in memory by its nature does: eight bytes for each of ten million readings, 24 and 8 in a list."""
        least = {"views": 0, "numpy": 80e6, "array": 80e6, "list": 320e6}[variant] / 1024
        self.assertGreaterEqual(rows["readings_private", variant, LONG]["value"], 0.99 * least)
        self.assertGreaterEqual(rows["readings_peak", variant, LONG]["value"], rows["readings_private", variant, LONG]["value"])
        if variant == "views":
            self.assertLess(rows["readings_private", variant, LONG]["value"], 8e6 / 1024, "a view is no copy")

    def test_table(self):
        run = bench("--seconds", "0.02", "--runs", "1", "--only", "memory,c-b1,flow")
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        for name, variant in (("sum", "memory"), ("sum", "memory-column"), ("overhead", "c-b1"), ("flow_cpu", "c-10g")):
            self.assertRegex(run.stdout, rf"(?m)^(! |  ){name} +{variant} ")
        self.assertNotRegex(run.stdout, r"(?m)^(! |  )overhead +c-b32 ")

    def test_list(self):
        run = bench("--list")
        self.assertEqual(run.returncode, 0)
        listed = {(w[0], w[1], int(w[2])) for w in (line.split() for line in run.stdout.splitlines())}
        self.assertEqual(listed, set(ROWS))

    def test_no_package(self):
        """Fault: the bench lies where no package is, and no library. The rows say what was expected where; C is measured."""
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "bin"))
            program = shutil.copy(BENCH, os.path.join(folder, "bin"))
            run = bench("--seconds", "0.02", "--runs", "1", "--only", "python,c-10g,c-column,stopped,views", "--json", "-", program=program)
            self.nothing_is_left()
            self.assertEqual(run.returncode, 0, run.stderr)
            result = json.loads(run.stdout)
            self.assertEqual({r["variant"] for r in result["rows"]}, {"c-10g", "c-column"})
            self.assertGreater(len(result["skipped"]), 10)
            for row in result["skipped"]:
                self.assertIn("expected the Python package sluice in", row["why"])
                self.assertIn(folder, row["why"])


class Ends(Case):
    def begun(self, variant, enough, *more):
        """A bench whose measurement has children of which enough() is true; itself, and those."""
        process = subprocess.Popen([BENCH, "readers", "--seconds", "20", "--runs", "1", "--only", variant, *more],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and process.poll() is None:
            for child in leftovers.children(process.pid):
                readers = [c for c in leftovers.children(child) if self.stat(c)[0] == "python3"]
                if enough(readers):
                    return process, readers
            time.sleep(0.01)
        self.fail(f"readers do not start: {process.poll()}")
        return None

    @staticmethod
    def stat(pid):
        """Its name and state."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
                return name, rest.split()[0]
        except OSError:
            return None, None

    def all_stopped(self, readers):
        return len(readers) == 16 and all(self.stat(r)[1] == "T" for r in readers)

    def flows(self, readers):
        """One reader, and frames flow: in the page that it shares with the bench it is ready, and has come far."""
        try:
            with open(f"/proc/{readers[0]}/fd/3", "rb") as file:
                state, _, position = struct.unpack("3Q", file.read(24))
                return state == READY and position > SLOTS + 1024
        except (OSError, IndexError, struct.error):
            return False

    def test_reader_stopped(self):
        """Fault: a reader that consumes is stopped for longer than the ring has room. It is told what it lost, every frame."""
        self.needs_package()
        process, readers = self.begun("python-10g", self.flows, "--seconds", "5", "--json", "-")
        os.kill(readers[0], signal.SIGSTOP)
        time.sleep(7)  # until the writer has ended, twenty times as long as the ring has room for
        os.kill(readers[0], signal.SIGCONT)
        said, errors = process.communicate()
        self.assertEqual(process.returncode, 0, errors)
        rows = {r["name"]: r for r in json.loads(said)["rows"]}
        self.assertGreater(rows["flow_lost"]["value"], SLOTS)
        self.assertEqual(rows["flow_lost"]["value"], rows["flow"]["frames_lost"])
        self.assertEqual(rows["flow"]["frames_wrong"], 0)
        self.assertGreater(rows["flow"]["frames_verified"], 0)
        self.nothing_is_left()

    def test_killed(self):
        """Fault: kill -9 of the bench while 16 readers are stopped. They end too, and the folder of the socket goes."""
        self.needs_package()
        process, _ = self.begun("stopped-16", self.all_stopped)
        process.kill()
        process.wait()
        self.nothing_is_left()

    def test_killed_with_sender(self):
        """Fault: kill -9 of the bench while a reader has started a process of its own."""
        self.needs_package()
        process, _ = self.begun("queue", lambda readers: any(leftovers.children(r) for r in readers))
        process.kill()
        process.wait()
        self.nothing_is_left()

    def test_interrupted(self):
        """Fault: Ctrl-C."""
        self.needs_package()
        process, _ = self.begun("stopped-16", self.all_stopped)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted", said)
        self.nothing_is_left()

    def test_reader_killed(self):
        """Fault: kill -9 of a reader that consumes. The bench says so, and fails."""
        self.needs_package()
        for variant, enough, more in (
                ("python-b1", lambda readers: len(readers) == 1 and self.stat(readers[0])[1] == "R", ()),
                ("python-10g", self.flows, ("--seconds", "3"))):
            with self.subTest(variant=variant):
                process, readers = self.begun(variant, enough, *more)
                os.kill(readers[0], signal.SIGKILL)
                _, said = process.communicate()
                self.assertEqual(process.returncode, 1)
                self.assertIn(variant, said)
                self.nothing_is_left()


class Usage(Case):
    def test_wrong_use(self):
        for arguments in (["--seconds", "0"], ["--plot", "a.png"], ["--decisions", "1"], ["--only", "nobody"], ["extra"],
                          ["--directory", "."]):
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)
        self.nothing_is_left()


if __name__ == "__main__":
    sys.exit(unittest.main())
