#!/usr/bin/env python3
"""sluice-bench ring, as short as it goes: the result parses, has every row and key, and every frame came out right.

No figure is judged. SLUICE_BIN names the folder with the programs.
"""
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin")), "sluice-bench")

ENVIRONMENT = {"machine", "cpus", "kernel", "kernel_build", "kernel_options", "preemption", "clocksource", "governor",
               "page_bytes", "system_page_bytes", "huge_pages", "transparent_huge_pages", "cores", "siblings", "ends",
               "tsc_mhz", "sched_rt_runtime_us", "load_at_start", "vulnerabilities", "watched_s", "gaps_over_10us",
               "gaps_over_1ms", "gap_us_max", "gap_share", "steal_s", "stall_limit_us"}
ROW = {"question", "name", "variant", "size_bytes", "kind", "is_floor", "samples", "stalled", "value", "unit", "min", "median", "max", "runs", "floor_ratio", "peer_ratio",
       "live_ratio", "single_ratio", "best_peer", "stalls_us_max", "capped", "frames_verified",
       "frames_wrong", "frames_lost", "note", "pooled"}
EVERY_SIZE = ["floor-counter", "sluice-observer", "sluice-observer-b32", "sluice-observer-b32-r2", "sluice-gating",
              "sluice-gating-b32", "sluice-gating-b32-r2", "rte_ring-zc",
              "rte_ring-zc-b32", "ck_ring-pointer", "iceoryx", "zmq-inproc", "zmq-ipc", "pipe"]
SMALL = ["rte_ring-copy", "rte_ring-copy-b32", "ck_ring-value"]
LATENCY = ["floor-line", "sluice-observer", "sluice-gating", "rte_ring-zc", "ck_ring-value", "iceoryx", "zmq-inproc", "zmq-ipc", "pipe"]
IMPACT = ["none", "live", "stopped", "killed", "hostile"]


def bench(*arguments, **options):
    return subprocess.run([BENCH, "ring", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **options)


def one_core():
    return len(os.sched_getaffinity(0)) < 2


class Json(unittest.TestCase):
    def setUp(self):
        if one_core():
            run = bench("--seconds", "0.05", "--runs", "1", "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("expected two processor cores", run.stderr)
            self.skipTest("one core: there is no result")

    def test_result(self):
        run = bench("--seconds", "0.05", "--runs", "1", "--json", "-")
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual(result["bench"], "ring")
        self.assertEqual(set(result["environment"]), ENVIRONMENT)
        rows = {(r["name"], r["variant"], r["size_bytes"]): r for r in result["rows"]}
        self.assertEqual(len(rows), len(result["rows"]), "a row twice")

        sizes = sorted({size for name, _, size in rows if name == "throughput"})
        self.assertEqual(sizes[:3], [64, 1500, 9000])
        self.assertGreater(sizes[3], 65000)
        wanted = [("throughput", v, s) for v in EVERY_SIZE for s in sizes]
        wanted += [("throughput", v, 64) for v in SMALL]
        wanted += [("memcpy", "floor-memcpy", s) for s in sizes]
        wanted += [(f"latency_{q}", v, 64) for q in ("p50", "p99") for v in LATENCY]
        wanted += [("impact", f"sluice-observer-{state}", 64) for state in IMPACT]
        wanted += [("impact_10g", f"sluice-observer-{state}", 1500) for state in IMPACT]
        wanted += [("attach", "sluice-attach", 64), ("attach_rate", "sluice-attach", 64), ("death", "sluice-gating", 64), ("death", "iceoryx", 64)]
        self.assertEqual([w for w in wanted if w not in rows], [], "rows that are missing")

        for key, row in rows.items():
            with self.subTest(row=key):
                self.row(row)
        for skipped in result["skipped"]:
            self.assertRegex(skipped["why"], "not available", skipped)

    def row(self, row):
        self.assertEqual(set(row), ROW)
        self.assertEqual(row["frames_wrong"], 0)
        self.assertEqual(row["runs"], 1)
        self.assertEqual(row["value"], row["median"])
        for key in ("min", "median", "max"):
            self.assertTrue(math.isfinite(row[key]) and row[key] > 0, key)
        self.assertLessEqual(row["min"], row["median"])
        self.assertLessEqual(row["median"], row["max"])
        if row["name"] in ("throughput", "latency_p50", "latency_p99"):
            self.assertGreater(row["frames_verified"], 0)
            self.assertGreater(row["floor_ratio"], 0)
            self.assertGreater(row["peer_ratio"], 0)
            self.assertIsNotNone(row["stalls_us_max"])
        if "observer" not in row["variant"]:
            self.assertEqual(row["frames_lost"], 0, "only an observer may lose a frame")
        self.assertEqual(row["single_ratio"] is not None, row["variant"].endswith("-r2"))
        if row["name"] == "impact":
            self.assertGreater(row["live_ratio"], 0)

    def test_file_and_table(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "result.json")
            run = bench("--seconds", "0.01", "--runs", "2", "--only", "floor-counter,ck_ring", "--json", path)
            self.assertEqual(run.returncode, 0, run.stderr)
            with open(path, encoding="utf-8") as file:
                rows = json.load(file)["rows"]
        self.assertEqual({r["variant"] for r in rows}, {"floor-counter", "ck_ring-value", "ck_ring-pointer"})
        self.assertEqual({r["runs"] for r in rows}, {2})
        for row in rows:
            self.assertRegex(run.stdout, rf"(?m)^(! |  ){row['name']} +{row['variant']} +{row['size_bytes']} ")

    def test_no_system_call_for_a_frame(self):
        """Writer and reader of our ring together: fewer than one system call in 1000 frames, the start included."""
        if shutil.which("strace") is None:
            self.skipTest("no strace")
        with tempfile.TemporaryDirectory() as folder:
            counts = os.path.join(folder, "counts")
            command = ["strace", "-f", "-c", "-U", "name,calls", "-o", counts, BENCH, "ring", "--seconds", "0.3",
                       "--runs", "1", "--only", "sluice-gating,sluice-observer-b32", "--json", "-"]
            run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            with open(counts, encoding="utf-8") as file:
                calls = sum(int(n) for n in re.findall(r"^(?!total)\w+ +(\d+)\s*$", file.read(), re.M))
        frames = sum(r["frames_verified"] for r in json.loads(run.stdout)["rows"])
        self.assertGreater(calls, 100, "strace counted next to nothing: correct this test")
        self.assertLess(calls, frames / 1000, f"{calls} system calls, {frames} frames")


class Usage(unittest.TestCase):
    def test_help(self):
        run = bench("--help")
        self.assertEqual(run.returncode, 0)
        for option in ("--seconds", "--runs", "--json", "--only", "--list"):
            self.assertIn(option, run.stdout)

    def test_wrong_use(self):
        for arguments in (["--seconds", "0"], ["--seconds", "x"], ["--runs", "0"], ["--runs", "5x"], ["--what"],
                          ["extra"], ["--only", "nothing-of-that-name"]):
            if one_core() and arguments[0] == "--only":
                continue
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)
        for arguments in ([], ["rings"], ["--what"]):
            run = subprocess.run([BENCH, *arguments], capture_output=True, text=True)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertIn("usage:", run.stderr)

    def test_a_file_that_cannot_be_written(self):
        if one_core():
            self.skipTest("one core: there is no result")
        run = bench("--seconds", "0.01", "--runs", "1", "--only", "memcpy", "--json", "/nonexistent/result.json")
        self.assertEqual(run.returncode, 1)
        self.assertIn("/nonexistent/result.json", run.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
