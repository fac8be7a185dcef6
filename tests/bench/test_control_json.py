#!/usr/bin/env python3
"""sluice-bench control, as short as it goes: the result parses, has every row and key, and adds up.

No figure is judged. SLUICE_BIN names the folder with the programs.
"""
import json
import math
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin")), "sluice-bench")

REAL_TIME = {"policy", "priority", "memory_locked", "sched_rt_runtime_us"}
ROW = {"name", "variant", "size_bytes", "value", "unit", "min", "median", "max", "runs", "pooled", "floor_ratio",
       "peer_ratio", "stalls_us_max", "note"}
FLOOR = ["decision_p50", "decision_p99", "decision_p999", "decision_p9999", "decision_p99999", "decision_max",
         "late_per_million", "unexplained", "stalls_5us", "stalls_50us", "stalls_500us", "stall_share", "stall_max",
         "wake_max", "preempted"]
LOOP = FLOOR + ["undetected", "misses", "unacted", "trips", "decision_added"]
PLACES = [f"{idle}-{load}" for idle in ("busy", "duty") for load in ("idle", "loaded")]
SHORT = ["--seconds", "0.01", "--runs", "1"]


def bench(*arguments, program=BENCH, **options):
    return subprocess.run([program, "control", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **options)


def result_of(run):
    return {(r["name"], r["variant"]): r for r in json.loads(run.stdout)["rows"]}


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one core: there is no result")
class Json(unittest.TestCase):
    def check(self, run):
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        rows = result_of(run)
        self.assertEqual(result["bench"], "control")
        self.assertEqual(len(rows), len(result["rows"]), "a row twice")
        for key, row in rows.items():
            with self.subTest(row=key):
                self.assertEqual(ROW - set(row), set())
                for name in ("value", "min", "median", "max"):
                    self.assertTrue(math.isfinite(row[name]), name)
                self.assertLessEqual(row["min"], row["median"])
                self.assertLessEqual(row["median"], row["max"])
        return result, rows

    def test_every_decision(self):
        result, rows = self.check(bench(*SHORT, "--only", "decisions", "--json", "-"))
        self.assertEqual(set(result["environment"]["real_time"]), REAL_TIME)
        self.assertIn(result["environment"]["real_time"]["policy"], ("SCHED_FIFO", "SCHED_OTHER"))
        wanted = [(n, f"floor-{p}{port}") for n in FLOOR for p in PLACES for port in ("", "-udp")]
        wanted += [(n, f"sluice-{p}-r{rules}") for n in LOOP for p in PLACES for rules in (1, 16, 256)]
        wanted += [(n, f"sluice-{p}-udp-r16") for n in LOOP for p in PLACES]
        self.assertEqual(sorted(rows), sorted(wanted))
        for (name, variant), row in rows.items():
            with self.subTest(row=(name, variant)):
                if name == "decision_p50":
                    self.assertGreater(row["frames_verified"], 0)
                    self.assertGreater(row["floor_ratio"], 0)
                if name in ("unexplained", "unacted", "undetected"):
                    self.assertGreaterEqual(row["pooled"], 0)
        for p in PLACES:
            order = [rows[(n, f"sluice-{p}-r16")]["pooled"] for n in FLOOR[:6]]
            self.assertEqual(order, sorted(order), "percentiles of one distribution")

    def test_a_number_of_decisions(self):
        run = bench("--decisions", "3000", "--runs", "3", "--only", "floor-busy-idle,sluice-busy-idle-r1", "--json", "-")
        _, rows = self.check(run)
        for variant in ("floor-busy-idle", "sluice-busy-idle-r1"):
            row = rows[("decision_p50", variant)]
            self.assertEqual((row["frames_verified"], row["runs"]), (3000, 3))

    def test_the_engine_alone(self):
        run = bench(*SHORT, "--only", "mixed,cycle", "--json", "-")
        result, rows = self.check(run)
        variants = [f"mixed-{w}-r{n}" for n in (1, 16, 64, 256) for w in ("frame", "idle")]
        for variant in variants:
            self.assertGreater(rows[("engine_step", variant)]["value"], 0)
        for rules in (1, 16, 64, 256):
            for name in ("cycle_idle", "cycle_frame", "cycle_full", "cycle_idle_off", "cycle_frame_off"):
                self.assertGreater(rows[(name, f"sluice-r{rules}")]["value"], 0)
        if shutil.which("valgrind") is None:
            self.assertRegex(result["skipped"][0]["why"], "valgrind is not available")
            return
        counted = {v: rows[("engine_instructions", v)]["value"] for v in variants}
        self.assertGreater(counted["mixed-frame-r256"], counted["mixed-idle-r256"])
        self.assertGreater(counted["mixed-frame-r256"], counted["mixed-frame-r64"])

    def test_what_measuring_costs(self):
        """That every packet was taken in every variant; what it costs is for people to read."""
        run = bench(*SHORT, "--only", "instruments", "--json", "-")
        _, rows = self.check(run)
        for name in ("record", "plain_off", "plain", "packet_off", "packet"):
            row = rows[(f"instruments_{name}", "sluice-writer")]
            self.assertGreater(row["value"], 0)
            self.assertGreater(row["frames_verified"], 0)
        run = bench(*SHORT, "--only", "instruments,cycle")
        self.assertRegex(run.stdout, r"what measuring costs \(ns, medians\): one record")
        self.assertRegex(run.stdout, r"a cycle of control with a frame +\d")

    def test_what_the_observer_costs(self):
        run = bench(*SHORT, "--only", "observer", "--json", "-")
        result, rows = self.check(run)
        if os.geteuid() != 0 or not os.path.exists("/sys/kernel/btf/vmlinux"):
            self.assertEqual(len(result["skipped"]), 3)
            return
        for name in ("off", "others", "watched"):
            self.assertGreater(rows[(f"switch_{name}", "sluice-observer")]["value"], 0)
        self.assertRegex(bench(*SHORT, "--only", "observer").stdout, r"what the observer costs .* \d+ without it, \d+ with it")

    def test_without_valgrind(self):
        """A row that cannot be had says so, and the others are there."""
        with tempfile.TemporaryDirectory() as empty:
            run = bench(*SHORT, "--only", "mixed-idle-r1", "--json", "-", env={"PATH": empty})
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual([(s["name"], s["variant"]) for s in result["skipped"]],
                         [("engine_instructions", "mixed-idle-r1")])
        self.assertIn("install it", result["skipped"][0]["why"])

    @unittest.skipIf(os.geteuid() != 0, "is another user already")
    def test_as_another_user(self):
        nobody = pwd.getpwnam("nobody")
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(BENCH, folder)
            run = bench(*SHORT, "--only", "sluice-duty-idle-r16,floor-duty-idle", "--json", "-", program=program,
                        user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/")
        result, rows = self.check(run)
        self.assertEqual(result["environment"]["real_time"]["policy"], "SCHED_OTHER")
        self.assertGreater(rows[("decision_p50", "sluice-duty-idle-r16")]["frames_verified"], 0)

    def test_table(self):
        run = bench(*SHORT, "--only", "decisions-none,floor-busy-idle,sluice-busy-idle-r16,mixed-frame-r16")
        self.assertEqual(run.returncode, 0, run.stderr)
        for text in ("control thread: ", r"floor-busy-idle ", r"sluice-busy-idle-r16 ", "the engine alone"):
            self.assertRegex(run.stdout, text)


class Usage(unittest.TestCase):
    def test_help_and_list(self):
        run = bench("--help")
        self.assertEqual(run.returncode, 0)
        for option in ("--seconds", "--runs", "--decisions", "--json", "--only", "--list"):
            self.assertIn(option, run.stdout)

    def test_wrong_use(self):
        for arguments in (["--decisions", "0"], ["--decisions", "-1"], ["--decisions", "x"], ["--seconds", "0"],
                          ["--runs", "102"], ["extra"], ["--what"]):
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)
        run = subprocess.run([BENCH, "ring", "--decisions", "5"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 2)
        self.assertIn("no --decisions", run.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
