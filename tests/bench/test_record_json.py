#!/usr/bin/env python3
"""sluice-bench record, as short as it goes: the result parses, has every row and key, every frame that was read back is
right, none is missing where the writer waits; nothing is left on the disk or running, whatever ends the bench.

No figure is judged. SLUICE_BIN names the folder with the programs. Without 8 GiB free nothing is measured, and that is
what is tested then.
"""
import ctypes
import glob
import json
import os
import shutil
import signal
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
ROOM_BYTES = 9 << 30
FIO = shutil.which("fio") is not None

PEER = {"throughput": "MB/s", "cpu_percent": "% of a core", "cpu_per_gb": "s/GB"}
BARE = {**PEER, "payload": "MB/s"}
EXPORT = {**BARE, "pss_kb": "KiB"}
OURS = {**EXPORT, "durable_ms_max": "ms", "lost": "frames"}
GROUPS = [{"fio-1m": PEER, "sluice-slots": OURS, "sluice-packed": OURS, "sluice-slots_1472": OURS,
           "sluice-packed_1472": OURS},
          {"fio-10g": PEER, "sluice-10g": OURS, "sluice-10g-packed": OURS},
          {"hdf5-bare": BARE, "hdf5-sluice": EXPORT}]
VARIANTS = {variant: values for group in GROUPS for variant, values in group.items()}


def bench(*arguments, before=(), **more):
    return subprocess.run([*before, BENCH, "record", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **more)


class Case(unittest.TestCase):
    def setUp(self):
        if len(os.sched_getaffinity(0)) < 2:
            run = bench("--seconds", "0.05", "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("expected two processor cores", run.stderr)
            self.skipTest("one core: there is no result")
        folder = tempfile.TemporaryDirectory(dir=os.getcwd())
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # Whatever outlives its parent becomes a child of this process.
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.before = set(glob.glob("/tmp/sluice-bench-*"))

    def needs_room(self):
        if shutil.disk_usage(self.folder).free < ROOM_BYTES:
            self.skipTest("the disk has too little room: nothing is measured on it")

    def nothing_is_left(self):
        self.assertFalse(leftovers.child_is_left(PATIENCE_S), "a process outlived the bench")
        self.assertEqual(set(glob.glob("/tmp/sluice-bench-*")) - self.before, set())
        self.assertEqual(os.listdir(self.folder), [], "left on the disk")


class Json(Case):
    def test_result(self):
        self.needs_room()
        run = bench("--seconds", "0.3", "--runs", "1", "--directory", self.folder, "--json", "-")
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual(result["bench"], "record")
        self.assertIn("sluice-recorder", result["environment"]["ends"])
        rows = {(r["name"], r["variant"]): r for r in result["rows"]}
        self.assertEqual(len(rows), len(result["rows"]), "a row twice")
        skipped = {s["variant"] for s in result["skipped"] if s["name"] == "throughput"}
        self.assertEqual(skipped, set() if FIO else {"fio-1m", "fio-10g"})
        for variant, values in VARIANTS.items():
            for name, unit in values.items():
                with self.subTest(row=(name, variant)):
                    if variant not in skipped:
                        self.row(rows[name, variant], unit)
        self.assertEqual(len(rows), sum(len(v) for k, v in VARIANTS.items() if k not in skipped))
        for group in GROUPS:
            self.ratios(rows, [v for v in group if v not in skipped])
        for variant in ("sluice-slots", "sluice-packed", "sluice-slots_1472", "sluice-packed_1472"):
            self.assertEqual(rows["lost", variant]["value"], 0, variant)
        slow = FIO and rows["throughput", "fio-1m"]["value"] < 1250
        for variant in ("sluice-10g", "sluice-10g-packed"):
            self.assertEqual("fio-1m carried less" in (rows["throughput", variant]["note"] or ""), slow, variant)

    def row(self, row, unit):
        self.assertEqual(row["unit"], unit)
        self.assertEqual(row["value"], row["median"])
        self.assertGreaterEqual(row["min"], 0)
        self.assertEqual(row["runs"], 1)
        self.assertEqual(row["frames_wrong"], 0)
        if row["name"] in ("throughput", "payload", "cpu_percent", "pss_kb"):
            self.assertGreater(row["value"], 0)
        if row["variant"].startswith("sluice-"):
            self.assertGreater(row["frames_verified"], 0)
            self.assertEqual(row["kind"], "ours")

    def ratios(self, rows, group):
        """Rows are compared with the first of their group only."""
        peer = rows["throughput", group[0]]
        for variant in group:
            row = rows["throughput", variant]
            self.assertEqual(row["is_floor"], not variant.startswith("sluice-") and variant != "hdf5-sluice")
            if row["is_floor"]:
                self.assertEqual(row["kind"], "peer")
            elif peer["is_floor"]:
                self.assertEqual(row["best_peer"], peer["variant"])
                self.assertAlmostEqual(row["peer_ratio"], row["value"] / peer["value"], places=3)

    def test_table(self):
        self.needs_room()
        run = bench("--seconds", "0.05", "--runs", "1", "--only", "sluice-packed_1472,hdf5-sluice", cwd=self.folder)
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("s/GB", run.stdout)
        for variant in ("sluice-packed_1472", "hdf5-sluice"):
            self.assertRegex(run.stdout, rf"(?m)^(! |  ){variant} ")
        self.assertNotRegex(run.stdout, r"(?m)^(! |  )fio-")

    def test_list(self):
        run = bench("--list")
        self.assertEqual(run.returncode, 0)
        listed = {tuple(line.split()[:2]) for line in run.stdout.splitlines()}
        self.assertEqual(listed, {(n, v) for v, values in VARIANTS.items() for n in values})

    def test_no_fio(self):
        """Fault: fio is not installed. The rows say so, the rest is measured."""
        self.needs_room()
        run = bench("--seconds", "0.1", "--runs", "1", "--only", "fio-1m,sluice-packed_1472", "--directory", self.folder,
                    "--json", "-", env={**os.environ, "PATH": self.folder})
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual({r["variant"] for r in result["rows"]}, {"sluice-packed_1472"})
        self.assertEqual({s["variant"] for s in result["skipped"]}, {"fio-1m"})
        self.assertIn("install", result["skipped"][0]["why"])

    def test_no_room(self):
        """Fault: the disk is too small. Nothing is written there, and the rows say why."""
        if os.geteuid() != 0:
            self.skipTest("mounting a small file system takes root")
        mount = f"mount -t tmpfs -o size=64m none {self.folder} && exec \"$0\" \"$@\""
        run = bench("--seconds", "0.05", "--runs", "1", "--directory", self.folder, "--json", "-",
                    before=("unshare", "-m", "sh", "-c", mount))
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual(result["rows"], [])
        self.assertEqual({s["variant"] for s in result["skipped"]}, set(VARIANTS))
        for row in result["skipped"]:
            self.assertIn("expected 8192 MiB free", row["why"])


class Ends(Case):
    def begun(self, variant, what):
        """A bench of which something of this name runs, and has written something: itself, and that one's number."""
        self.needs_room()
        process = subprocess.Popen([BENCH, "record", "--seconds", "20", "--runs", "1", "--only", variant, "--directory",
                                    self.folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for child in leftovers.children(process.pid):
                for measured in leftovers.children(child):
                    if self.name(measured) == what and self.written(measured) > 1 << 20:
                        return process, measured
            time.sleep(0.01)
        self.fail(f"{what} does not start")
        return None

    @staticmethod
    def name(pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return None

    @staticmethod
    def written(pid):
        try:
            with open(f"/proc/{pid}/io", encoding="ascii") as file:
                return int(dict(line.split(": ") for line in file.read().splitlines())["write_bytes"])
        except OSError:
            return 0

    def test_killed(self):
        """Fault: kill -9 of the bench. Everything it started ends, and what it wrote goes."""
        for variant, what in (("sluice-slots_1472", "sluice-recorder"), ("fio-1m", "fio")):
            with self.subTest(variant=variant):
                if what == "fio" and not FIO:
                    continue
                process, _ = self.begun(variant, what)
                process.kill()
                process.wait()
                self.nothing_is_left()

    def test_interrupted(self):
        """Fault: Ctrl-C."""
        process, _ = self.begun("sluice-slots", "sluice-recorder")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted", said)
        self.nothing_is_left()

    def test_recorder_killed(self):
        """Fault: kill -9 of the recorder. The bench says so, and fails."""
        process, recorder = self.begun("sluice-10g", "sluice-recorder")
        os.kill(recorder, signal.SIGKILL)
        _, said = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertIn("sluice-10g", said)
        self.nothing_is_left()


class Usage(Case):
    def test_wrong_use(self):
        for arguments in (["--seconds", "0"], ["--plot", "a.png"], ["--decisions", "1"], ["--only", "none"], ["extra"],
                          ["--directory", os.path.join(self.folder, "not-there")], ["--directory", __file__],
                          ["--directory"]):
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)
        run = subprocess.run([BENCH, "ring", "--directory", "."], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(run.returncode, 2)
        self.assertIn("--directory", run.stderr)
        self.nothing_is_left()


if __name__ == "__main__":
    sys.exit(unittest.main())
