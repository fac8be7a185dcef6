#!/usr/bin/env python3
"""sluice-bench net, as short as it goes: the result parses, has every row and key, every frame that was read came out
right, and nothing is left behind, even if the bench is killed.

No figure is judged. SLUICE_BIN names the folder with the programs.
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

ENVIRONMENT = {"machine", "cpus", "kernel", "kernel_build", "kernel_options", "preemption", "clocksource", "governor",
               "page_bytes", "system_page_bytes", "huge_pages", "transparent_huge_pages", "cores", "siblings", "ends",
               "tsc_mhz", "sched_rt_runtime_us", "load_at_start", "vulnerabilities", "watched_s", "gaps_over_10us",
               "gaps_over_1ms", "gap_us_max", "gap_share", "steal_s", "stall_limit_us"}
ROW = {"question", "name", "variant", "size_bytes", "kind", "is_floor", "samples", "stalled", "value", "unit", "min", "median", "max", "runs", "floor_ratio", "peer_ratio",
       "live_ratio", "single_ratio", "best_peer", "stalls_us_max", "capped", "frames_verified",
       "frames_wrong", "frames_lost", "note", "pooled"}
SIZES = [64, 512, 1500, 9000]
VALUES = {"loss_free": "million/s", "loss_free_unstalled": "million/s", "taken_max": "million/s",
          "offered_max": "million/s", "trials": "trials", "repeated": "trials"}
VARIANTS = ["floor-memif", "sluice-memif", "sluice-memif-read", "floor-memif_zc", "sluice-memif_zc",
            "sluice-memif_zc-read", "floor-vhost", "sluice-vhost", "sluice-vhost-read", "floor-af_packet",
            "sluice-afxdp", "sluice-afxdp-read", "recvmmsg", "sluice-udp", "sluice-udp-read", "sluice-udp_gro",
            "sluice-udp_gro-read", "af_packet-pcap", "python"]
# Of each wire its floor, and the others that are run here.
WIRES = {"floor-memif": ["sluice-memif", "sluice-memif-read"], "floor-vhost": ["sluice-vhost", "sluice-vhost-read"],
         "recvmmsg": ["sluice-udp_gro", "sluice-udp_gro-read"]}
RUN = [variant for floor, others in WIRES.items() for variant in (floor, *others)]
# Those on a veth pair, for which it takes root and the program ip.
VETH = {"floor-af_packet": ["sluice-afxdp", "sluice-afxdp-read"]}
VETH_RUN = [variant for floor, others in VETH.items() for variant in (floor, *others)]
NOBODY = 65534


def bench(*arguments, program=BENCH, **how):
    return subprocess.run([program, "net", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, **how)


def traces():
    """What such programs may leave in the file system, among the kernel's abstract sockets and its interfaces."""
    with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
        sockets = {line.split()[-1] for line in file if "sluice-bench-" in line}
    interfaces = {name for name in os.listdir("/sys/class/net") if name.startswith("bench-")}
    return sockets | interfaces | set(glob.glob("/tmp/sluice-bench-*"))


def is_png(path):
    with open(path, "rb") as file:
        data = file.read()
    return data.startswith(b"\x89PNG\r\n\x1a\n") and data.rstrip().endswith(b"IEND\xaeB`\x82")


class Case(unittest.TestCase):
    def setUp(self):
        if len(os.sched_getaffinity(0)) < 2:
            run = bench("--seconds", "0.05", "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("expected two processor cores", run.stderr)
            self.skipTest("one core: there is no result")
        # Whatever outlives its parent becomes a child of this process.
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0)
        self.before = traces()

    def nothing_is_left(self):
        self.assertFalse(leftovers.child_is_left(PATIENCE_S), "a process outlived the bench")
        self.assertEqual(traces() - self.before, set())


class Json(Case):
    def ask(self, variants, *more):
        run = bench("--seconds", "0.02", "--only", ",".join(variants), "--json", "-", *more)
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def test_result(self):
        result = self.ask(RUN)
        self.assertNotIn("plot", result)
        self.assertEqual(result["bench"], "net")
        self.assertEqual(set(result["environment"]), ENVIRONMENT)
        self.assertIn("sluice-gen", result["environment"]["ends"])
        rows = {(r["name"], r["variant"], r["size_bytes"]): r for r in result["rows"]}
        self.assertEqual(len(rows), len(result["rows"]), "a row twice")
        wanted = {(name, variant, size) for name in VALUES for variant in RUN for size in SIZES}
        self.assertEqual(set(rows), wanted)
        self.assertEqual(result["skipped"], [])
        for key, row in rows.items():
            with self.subTest(row=key):
                self.row(row, rows, WIRES)

    def test_veth(self):
        result = self.ask(VETH_RUN)
        rows = {(r["name"], r["variant"], r["size_bytes"]): r for r in result["rows"]}
        skipped = {(r["name"], r["variant"], r["size_bytes"]): r["why"] for r in result["skipped"]}
        wanted = {(name, variant, size) for name in VALUES for variant in VETH_RUN for size in SIZES}
        self.assertEqual(rows.keys() | skipped.keys(), wanted)
        self.assertFalse(rows.keys() & skipped.keys())
        for key, why in skipped.items():
            self.assertIn("not available: ", why, key)
        if not rows:
            self.skipTest(f"SKIPPED: {set(skipped.values())}: THE VETH PAIR WAS NOT TESTED")
        self.assertEqual({variant for _, variant, _ in rows}, set(VETH_RUN))
        for key, row in rows.items():
            with self.subTest(row=key):
                self.row(row, rows, VETH)
                self.assertIn("veth", row["note"])

    def row(self, row, rows, wires):
        self.assertEqual(set(row), ROW)
        self.assertEqual(row["unit"], VALUES[row["name"]])
        self.assertEqual(row["runs"], 1)
        self.assertEqual(row["value"], row["median"])
        self.assertEqual(row["frames_wrong"], 0)
        self.assertGreaterEqual(row["stalls_us_max"], 0)
        self.assertGreaterEqual(row["value"], 0)
        if row["name"] in ("offered_max", "trials"):
            self.assertGreater(row["value"], 0)
        if row["name"] != "loss_free":
            return
        if row["variant"].startswith("sluice-"):
            self.assertGreater(row["frames_verified"], 0)
        wire = next(floor for floor, others in wires.items() if row["variant"] in (floor, *others))
        floor = rows["loss_free", wire, row["size_bytes"]]
        if floor["value"] > 0:
            self.assertAlmostEqual(row["floor_ratio"], row["value"] / floor["value"], delta=0.01 * row["floor_ratio"])

    def test_table(self):
        run = bench("--seconds", "0.01", "--only", "python,sluice-udp-read")
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("the receiver alone on the first core", run.stdout)
        for size in SIZES:
            self.assertRegex(run.stdout, rf"(?m)^(! |  )python +{size} ")
            self.assertRegex(run.stdout, rf"(?m)^(! |  )sluice-udp-read +{size} ")

    def test_not_permitted(self):
        """Fault: who may make no network namespace. What needs one is skipped, and says so; the rest goes on."""
        if os.geteuid() != 0:
            self.skipTest("SKIPPED: only root becomes another user: A BENCH WITHOUT PERMISSIONS WAS NOT TESTED")
        with tempfile.TemporaryDirectory() as folder:  # the build's own may be in one that is closed to others
            os.chmod(folder, 0o755)
            for name in ("sluice-bench", "sluice-gen", "net-floor"):
                shutil.copy(os.path.join(os.path.dirname(BENCH), name), folder)
            run = bench("--seconds", "0.01", "--only", "sluice-afxdp@64,recvmmsg@64", "--json", "-", user=NOBODY, cwd="/",
                        program=os.path.join(folder, "sluice-bench"))
        self.nothing_is_left()
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual({row["variant"] for row in result["rows"]}, {"recvmmsg"})
        self.assertEqual({row["variant"] for row in result["skipped"]}, {"sluice-afxdp"})
        for row in result["skipped"]:
            self.assertRegex(row["why"], "^not available: no network namespace .*run it as root$")

    def test_list(self):
        run = bench("--list")
        self.assertEqual(run.returncode, 0)
        listed = {tuple(line.split()[:3]) for line in run.stdout.splitlines()}
        self.assertEqual(listed, {(n, v, str(s)) for n in VALUES for v in VARIANTS for s in SIZES})

    def test_long_list(self):
        """Every name counts, also the last of many."""
        run = bench("--list", "--only", ",".join([f"{v}@9000" for v in VARIANTS] + ["python@64"]))
        listed = {tuple(line.split()[1:3]) for line in run.stdout.splitlines()}
        self.assertEqual(listed, {(v, "9000") for v in VARIANTS} | {("python", "64")})


class Plot(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def refused(self, path, code, *words, **how):
        """Before anything is measured: there would be a table."""
        run = bench("--only", "python@64", "--seconds", "0.01", "--plot", path, **how)
        self.nothing_is_left()
        self.assertEqual((run.returncode, run.stdout), (code, ""), run.stderr)
        for word in words:
            self.assertIn(word, run.stderr)

    def test_picture(self):
        if shutil.which("gnuplot") is None:
            self.skipTest("SKIPPED: no program gnuplot (gnuplot-nox): PICTURES WERE NOT TESTED")
        path = os.path.join(self.folder, "it's a plot.png")
        out = os.path.join(self.folder, "net.json")
        run = bench("--only", "sluice-memif@64,floor-memif@64,sluice-vhost@1500,recvmmsg@9000", "--seconds", "0.01",
                    "--plot", path, "--json", out)
        self.nothing_is_left()
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertTrue(is_png(path), "a whole PNG")
        self.assertIn(path, run.stdout)
        with open(out, encoding="ascii") as file:
            self.assertEqual(json.load(file)["plot"], path)

    def test_no_gnuplot(self):
        """Fault: there is no gnuplot."""
        self.refused(os.path.join(self.folder, "a.png"), 1, "gnuplot-nox", env={**os.environ, "PATH": self.folder})
        self.assertEqual(os.listdir(self.folder), [])

    def test_gnuplot_without_png(self):
        """Fault: the gnuplot that there is refuses what it is told."""
        script = os.path.join(self.folder, "gnuplot")
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 3\n")
        os.chmod(script, 0o755)
        self.refused(os.path.join(self.folder, "a.png"), 1, "pngcairo", env={**os.environ, "PATH": self.folder})

    def test_no_file(self):
        self.refused(os.path.join(self.folder, "none", "a.png"), 1, "cannot write", "a folder that exists")
        self.refused(os.path.join(self.folder, "a.pdf"), 2, "ends in .png")


class Ends(Case):
    def begun(self, seconds="60", variant="sluice-memif-read"):
        """A bench that has its processes running."""
        process = subprocess.Popen([BENCH, "net", "--seconds", seconds, "--only", variant],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            names = [self.name(pid) for pid in self.descendants(process.pid)]
            if "sluice-dpdk" in names and "sluice-gen" in names:
                return process
            time.sleep(0.01)
        process.kill()
        self.fail("receiver and generator do not start")
        return None

    @staticmethod
    def name(pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return ""

    def descendants(self, pid):
        found = []
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                found = [int(child) for child in file.read().split()]
        except OSError:
            pass
        return found + [grandchild for child in found for grandchild in self.descendants(child)]

    def test_killed(self):
        """Fault: kill -9 of the bench in a trial. Everything it started ends."""
        for variant in ("sluice-memif-read", "sluice-vhost"):
            with self.subTest(variant=variant):
                process = self.begun(variant=variant)
                process.kill()
                process.wait()
                self.nothing_is_left()

    def test_interrupted(self):
        """Ctrl-C in the first measurement: it is given a moment, and there is no result."""
        process = self.begun("0.1", "sluice-vhost@64,python")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
        self.assertEqual(process.wait(), 1)
        self.assertIn("interrupted", said)
        self.nothing_is_left()

    def test_receiver_killed(self):
        """Fault: kill -9 of sluice-dpdk in the search. The bench says so, and fails."""
        process = self.begun("0.1")
        receiver = next(pid for pid in self.descendants(process.pid) if self.name(pid) == "sluice-dpdk")
        os.kill(receiver, signal.SIGKILL)
        said = process.stderr.read().decode()
        self.assertEqual(process.wait(), 1)
        self.assertIn("sluice-memif-read", said)
        self.nothing_is_left()


class Usage(unittest.TestCase):
    def test_help(self):
        run = bench("--help")
        self.assertEqual(run.returncode, 0)
        self.assertIn("default 1", run.stdout)

    def test_wrong_use(self):
        for arguments in (["--seconds", "0"], ["--runs", "x"], ["--decisions", "1"], ["extra"]):
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)


if __name__ == "__main__":
    sys.exit(unittest.main())
