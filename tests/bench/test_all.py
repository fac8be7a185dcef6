#!/usr/bin/env python3
"""sluice-bench all, as short as it goes: one environment, every question, marks where the machine stalled, histograms,
a report that a browser takes without a word; what Ctrl-C leaves.

No figure is judged. SLUICE_BIN names the folder with the programs. The browser is Debian's chromium (115 MB to fetch,
350 MB installed: too much for every build server); without it that case is skipped, and says so.
"""
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import leftovers
import test_files

BENCH = test_files.BENCH
PATIENCE_S = 60
PR_SET_CHILD_SUBREAPER = 36
EXIT_SKIPPED = 77
# A floor and one of ours of each question.
ONLY = ("floor-counter,sluice-gating-b32,latency,udp-bare,udp-sluice,polls-timer,recvmmsg@1500,sluice-udp@1500,"
        "floor-busy-idle,sluice-busy-idle-r16,mixed-idle-r16,hdf5-bare,sluice-packed_1472,memory,c-column")
QUESTIONS = ["ring", "daq", "net", "control", "record", "readers"]
ENVIRONMENT = {"machine", "cpus", "kernel", "kernel_build", "kernel_options", "preemption", "clocksource", "governor",
               "page_bytes", "system_page_bytes", "huge_pages", "transparent_huge_pages", "cores", "siblings", "tsc_mhz",
               "sched_rt_runtime_us", "load_at_start", "vulnerabilities", "watched_s", "gaps_over_10us",
               "gaps_over_1ms", "gap_us_max", "gap_share", "steal_s", "stall_limit_us", "real_time"}


class Case(unittest.TestCase):
    def setUp(self):
        if len(os.sched_getaffinity(0)) < 2:
            run = subprocess.run([BENCH, "all", "--json", "-"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)
            self.assertIn("expected two processor cores", run.stderr)
            self.skipTest("one core: there is no result")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # Whatever outlives its parent becomes a child of this process.
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.before = set(glob.glob("/tmp/sluice-bench-*"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *arguments):
        return subprocess.run([BENCH, "all", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def nothing_is_left(self):
        self.assertFalse(leftovers.child_is_left(PATIENCE_S), "a process outlived the bench")
        self.assertEqual(set(glob.glob("/tmp/sluice-bench-*")) - self.before, set())


class All(Case):
    def test_everything(self):
        arguments = ["--seconds", "0.02", "--runs", "1", "--only", ONLY, "--json", self.path("a.json"), "--html",
                     self.path("a.html"), "--hgrm", self.folder]
        run = self.bench(*arguments)
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(self.read("a.json"))
        self.assertEqual(result["bench"], "all")
        self.assertFalse(result["interrupted"])
        self.assertEqual(result["command"], " ".join(["sluice-bench all", *arguments]))
        self.assertEqual(set(result["environment"]), ENVIRONMENT)
        self.assertEqual([q["name"] for q in result["questions"]], QUESTIONS)
        self.assertEqual([q["warm_up_rounds"] for q in result["questions"]], [1, 0, 0, 1, 0, 0])
        self.assertEqual({q["rounds"] for q in result["questions"]}, {1})
        keys = [(r["question"], r["name"], r["variant"], r["size_bytes"]) for r in result["rows"]]
        self.assertEqual(len(keys), len(set(keys)), "a row twice")
        for wanted in (("ring", "throughput", "sluice-gating-b32", 64), ("daq", "cpu_percent", "udp-sluice", 16),
                       ("net", "loss_free", "sluice-udp", 1500), ("control", "decision_p50", "sluice-busy-idle-r16", 0),
                       ("record", "throughput", "sluice-packed_1472", 0), ("readers", "sum", "c-column", 64)):
            self.assertIn(wanted, keys)
        self.rows(result["rows"], run.stdout)
        self.progress(run.stderr)
        self.histograms(result)
        said = test_files.check_report(self, self.read("a.html"))
        self.assertIn(result["command"], said)
        for question in QUESTIONS:
            self.assertRegex(run.stdout, rf"(?m)^==== {question} ====$")
        self.assertEqual(run.stdout.count("cores watched for"), 1, "one environment")
        self.itself()
        self.browser()

    def rows(self, rows, table):
        """What a stall fell into is marked wherever it is printed."""
        for row in rows:
            stalled = row["stalled"]
            self.assertEqual(row["frames_wrong"], 0)
            self.assertEqual(len(row["samples"]), 1)
            self.assertIn(row["kind"], ("ours", "floor", "peer"))
            self.assertIn(stalled["rounds"], (0, 1))
            self.assertEqual(stalled["decide"], stalled["rounds"] == 1 and not stalled["excused"])
            if row["stalls_us_max"] is not None and row["stalls_us_max"] > 1000 and row["name"] != "death":
                self.assertEqual(stalled["rounds"], 1, row)
            if row["name"] in ("throughput", "cpu_percent", "loss_free"):
                variant = re.escape(row["variant"])
                mark = r"! " if stalled["rounds"] else r"  "
                self.assertRegex(table, rf"(?m)^{mark}(throughput +)?{variant} ")

    def progress(self, said):
        self.assertRegex(said, r"(?m)^sluice-bench: ring, warm-up, about \d+ (s|min) left$")
        for question in QUESTIONS:
            self.assertRegex(said, rf"(?m)^sluice-bench: {question}, round 1 of 1, about \d+ (s|min) left$")

    def histograms(self, result):
        names = {f"control-{h['variant']}.hgrm": h for h in result["histograms"]}
        self.assertEqual({os.path.basename(f) for f in glob.glob(self.path("*.hgrm"))}, set(names))
        self.assertIn("control-sluice-busy-idle-r16.hgrm", names)
        for name, histogram in names.items():
            text = self.read(name)
            self.assertIn("1/(1-Percentile)", text)
            self.assertIn(f"Total count    = {histogram['count']:12}]", text)
            times = [ns for _, ns in histogram["curve"]]
            self.assertEqual(times, sorted(times))
            self.assertEqual(histogram["curve"][-1][0], histogram["count"])

    def itself(self):
        """Beside itself nothing is worse, nor better."""
        run = self.bench("--from", self.path("a.json"), "--compare", self.path("a.json"), "--html", self.path("b.html"))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(" 0 worse, 0 better, ", run.stdout)
        self.assertNotIn("NOT THE SAME", run.stdout)

    def browser(self):
        program = shutil.which("chromium")
        if program is None:
            print("SKIPPED: the report in a browser: there is no chromium", flush=True)
            All.skipped = True
            return
        said, page = self.open(program, self.path("b.html"))
        self.assertNotIn("CONSOLE", said)
        self.assertIn("sluice-busy-idle-r16", page)
        # What it is asked for it does tell of.
        with open(self.path("bad.html"), "w", encoding="utf-8") as file:
            file.write("<!DOCTYPE html><title>x</title><script>console.error('hear me')</script>")
        said, _ = self.open(program, self.path("bad.html"))
        self.assertRegex(said, "CONSOLE.*hear me")

    def open(self, program, page):
        """What it says, and the page as it has it. It may use no network, and nothing of ours."""
        home = self.path("home")
        os.makedirs(home, exist_ok=True)
        # It is given a session of its own, so that all of it can be ended.
        process = subprocess.Popen([program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                                    "--v=0", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
                                    f"--user-data-dir={home}/profile", "--dump-dom", f"file://{page}"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   encoding="utf-8", errors="replace", start_new_session=True,
                                   env={"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home})
        try:
            dom, said = process.communicate(timeout=PATIENCE_S)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.assertEqual(process.returncode, 0, said)
        self.nothing_is_left()
        return said, dom

    def test_questions_by_name(self):
        run = self.bench("--only", "ring,fifo-sluice", "--list")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stdout, r"(?m)^death +iceoryx ")
        self.assertRegex(run.stdout, r"(?m)^cpu_percent +fifo-sluice ")
        self.assertNotIn("udp-sluice", run.stdout)
        self.assertNotIn("decision_p50", run.stdout)


class Ends(Case):
    def begun(self, seconds, only):
        """A bench that is in its second question, or has just begun if there is one only."""
        process = subprocess.Popen([BENCH, "all", "--seconds", seconds, "--runs", "1", "--only", only, "--json",
                                    self.path("a.json"), "--html", self.path("a.html")], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        return process

    def until(self, process, words):
        said = ""
        while words not in said:
            line = process.stderr.readline()
            self.assertNotEqual(line, "", f"ended before it said '{words}': {said}")
            said += line

    def test_interrupted(self):
        """Ctrl-C in the second question: the first one is reported, to the files too, and nothing is left."""
        process = self.begun("0.5", "memcpy,fifo-sluice,udp-sluice,polls")
        self.until(process, "daq, round 1")
        process.send_signal(signal.SIGINT)
        table, said = process.communicate(timeout=PATIENCE_S)
        self.nothing_is_left()
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted, this is what was measured until then", said)
        self.assertRegex(table, r"(?m)^(! |  )memcpy +floor-memcpy +64 ")
        result = json.loads(self.read("a.json"))
        self.assertTrue(result["interrupted"])
        self.assertEqual({r["name"] for r in result["rows"] if r["question"] == "ring"}, {"memcpy"})
        self.assertIn("it was not its turn yet", {s["why"] for s in result["skipped"]})
        self.assertIn("It was interrupted", test_files.check_report(self, self.read("a.html")))

    def test_interrupted_at_once(self):
        """In a long measurement, before there is anything to tell: that is given a moment, and ended."""
        process = self.begun("60", "fifo-sluice")
        self.until(process, "daq, round 1")
        process.send_signal(signal.SIGTERM)
        table, said = process.communicate(timeout=PATIENCE_S)
        self.nothing_is_left()
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted, there is no result", said)
        self.assertEqual(table, "")
        self.assertFalse(os.path.exists(self.path("a.json")))

    def test_killed(self):
        """Fault: kill -9 of the bench."""
        process = self.begun("60", "sluice-gating-b32,udp-sluice")
        self.until(process, "ring, round 1")
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        self.nothing_is_left()


if __name__ == "__main__":
    All.skipped = False
    ended = unittest.main(verbosity=2, exit=False).result
    sys.exit(1 if not ended.wasSuccessful() else EXIT_SKIPPED if All.skipped or ended.skipped else 0)
