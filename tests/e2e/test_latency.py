#!/usr/bin/env python3
"""`sluice latency`: its table, curves, JSON, files and pictures of a running server; that intervals take nothing away from
anybody; that nothing half is ever left; and what it says when the server goes and comes back."""
import contextlib
import json
import os
import re
import struct
import subprocess
import unittest
import xml.etree.ElementTree

import support
import test_top

HOPS = {"control.arrival_to_seen", "control.arrival_to_decided", "control.arrival_to_output", "control.loop",
        "control.publish_to_seen", "control.seen_to_decided", "control.decided_to_output", "control.busy",
        "sensors.round", "sensors.busy", "udp.arrival_to_publish"}
FIGURES = {"count", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns", "max_exact", "late",
           "corrected"}
DECIDED = "control.arrival_to_decided"


class Latency(support.Case):
    def setUp(self):
        super().setUp()
        self.live, self.sensor, _ = self.udp_server()
        self.wait_decisions()

    def wait_decisions(self):
        self.live.wait_status(lambda s: s["latency_ns"]["arrival_to_decided"]["count"] > 50, "decisions")

    def latency(self, *arguments, environment=None):
        return self.cli("latency", *arguments, environment={**self.environment, **(environment or {})})

    def good(self, *arguments, environment=None):
        run = self.latency(*arguments, environment=environment)
        self.assertEqual((run.returncode, run.stderr), (0, ""), run)
        return run.stdout

    def hops(self, *arguments):
        return {hop["name"]: hop for hop in json.loads(self.good("--json", *arguments))["hops"]}

    def refused(self, code, words, *arguments, environment=None):
        run = self.latency(*arguments, environment=environment)
        self.assertEqual((run.returncode, run.stdout), (code, ""), run)
        self.assertIn(words, run.stderr)

    def folder(self, name):
        os.mkdir(self.path(name))
        return self.path(name)


class Printed(Latency):
    def test_table(self):
        text = self.good()
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertRegex(text, rf"^{self.instance}: latency in us, since the start, \d")
        self.assertRegex(text, r"\n +count +p50 +p90 +p99 +p99.9 +p99.99 +max +late\n")
        for hop in HOPS:
            owner, name = hop.split(".")
            self.assertRegex(text, rf"(?s)\n{owner}\n.*  {name} +\d")

    def test_chosen(self):
        text = self.good("--hop", "arrival_to_decided,control.loop")
        self.assertIn("arrival_to_decided", text)
        self.assertIn("loop", text)
        self.assertNotIn("arrival_to_seen", text)
        self.assertEqual(set(self.hops("--hop", "control")), {hop for hop in self.hops() if hop.startswith("control.")})
        self.refused(2, f"found 'lop'; there are ", "--hop", "loop,lop")
        self.refused(2, DECIDED, "--hop", "lop", "--watch")
        for bad in ("", ",", "loop,", "loop,,control"):
            self.refused(2, "--hop expects names", "--hop", bad)

    def test_json(self):
        report = json.loads(self.good("--json"))
        self.assertEqual(set(report), {"instance", "tai_ns", "uptime_s", "interval_s", "value_error_max", "hops",
                                       "latency_ns"})
        self.assertIsNone(report["interval_s"])
        self.assertLessEqual(HOPS, {hop["name"] for hop in report["hops"]})
        self.assertEqual(set(report["latency_ns"]), set(self.live.status()["latency_ns"]))
        for hop in report["hops"]:
            figures = hop["total"]
            self.assertEqual(set(figures), FIGURES)
            self.assertEqual(figures["corrected"] is None, hop["period_ns"] == 0)
            values = [figures[key] for key in ("p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns")]
            self.assertEqual(values, sorted(values))

    def test_buckets(self):
        for hop in self.hops("--buckets").values():
            buckets = hop["total"]["buckets"]
            self.assertEqual(sum(b["count"] for b in buckets), hop["total"]["count"])
            edges = [edge for b in buckets for edge in (b["from_ns"], b["to_ns"])]
            self.assertEqual(edges, sorted(edges))
            half = hop["total"]["p50_ns"]
            self.assertTrue(not buckets or any(b["from_ns"] <= half <= b["to_ns"] for b in buckets))

    def test_interval(self):
        """Only what came in it; the server's own counts go on."""
        before = self.hops()["control.loop"]["total"]["count"]

        def some():
            loop = self.hops("--interval", "0.2")["control.loop"]
            return loop if loop["interval"]["count"] > 0 else None

        loop = support.wait_until(some, "an interval with a cycle in it")
        self.assertLess(loop["interval"]["count"], loop["total"]["count"])
        self.assertGreaterEqual(loop["total"]["count"], before + loop["interval"]["count"])
        self.assertLessEqual(loop["interval"]["max_ns"], loop["total"]["max_ns"])
        self.assertRegex(self.good("--interval", "0.2"), r"of an interval of \d")
        folder = self.folder("interval")
        self.good("--interval", "0.2", "--hgrm", folder, "--plot", os.path.join(folder, "a.svg"))
        self.assertIn("a.svg", os.listdir(folder))

    def test_curve(self):
        text = self.good("--curve")
        lines = text.splitlines()
        self.assertLessEqual(len(lines), 23)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertTrue(text.isascii(), "LC_ALL=C")
        for words in ("latency by percentile", "0%", "90%", "late: over 500 us", "o control.arrival_to_seen"):
            self.assertIn(words, text)
        wide = self.good("--curve", environment={"COLUMNS": "140", "LINES": "50", "LC_ALL": "C.UTF-8"}).splitlines()
        self.assertEqual(len(wide), 49)
        self.assertGreater(max(map(len, wide)), 130)
        self.assertIn("●", "\n".join(wide))

    def test_combinations(self):
        folder = self.folder("none")
        for arguments in (["--watch", "--hgrm", folder], ["--watch", "1", "--plot", "a.png"], ["--watch", "--interval", "1"],
                          ["--hgrm", folder, "--json"], ["--plot", "a.svg", "--curve"], ["--json", "--curve"]):
            self.refused(2, "leave", *arguments)
        self.refused(2, "--buckets belongs to --json", "--buckets")
        for seconds in ("0", "-1", "nan", "3601", "1x", ""):
            self.refused(2, f"expected 0.1 to 3600 seconds for --interval, found '{seconds}'", f"--interval={seconds}")
            self.refused(2, "expected 0.1 to 3600 seconds for --watch", f"--watch={seconds}")
        self.refused(2, "usage: sluice latency", "one", "two")
        self.assertEqual(os.listdir(folder), [])
        run = self.live.cli("status", "--hgrm", "/tmp")
        self.assertEqual(run.returncode, 2)

    def test_no_server(self):
        self.refused(3, "expected a server of instance 'nobody'", "nobody")
        self.refused(3, "expected a server of instance 'nobody'", "--watch", "1", "nobody")
        self.assertEqual(self.live.end(), 0)
        self.refused(3, "none", "--json")

    def test_full_output(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for arguments in ([], ["--json"], ["--curve"], ["--watch", "1"]):
                run = subprocess.run([test_top.SLUICE, "latency", *arguments], env=self.environment, stdout=full,
                                     stderr=subprocess.PIPE, text=True, timeout=support.PATIENCE_S)
                self.assertEqual(run.returncode, 1, run)
                self.assertIn("cannot write to standard output", run.stderr)


class Files(Latency):
    def test_hgrm(self):
        folder = self.folder("hgrm")
        for _ in range(2):  # the second one replaces the first
            said = self.good("--hgrm", folder).splitlines()
            names = {name.removesuffix(".hgrm").removesuffix(".corrected") for name in os.listdir(folder)}
            self.assertEqual(names, set(self.hops()))
            self.assertEqual(len(said), len(os.listdir(folder)))
        with open(os.path.join(folder, "control.loop.hgrm"), encoding="ascii") as file:
            text = file.read()
        self.assertRegex(text.splitlines()[0], r"^ +Value +Percentile TotalCount 1/\(1-Percentile\)$")
        lines = [line.split() for line in text.splitlines()[2:] if not line.startswith("#")]
        shares = [float(line[1]) for line in lines]
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(shares[-1], 1.0)
        total = int(re.search(r"Total count +=\s+(\d+)\]", text)[1])
        self.assertEqual(int(lines[-1][2]), total)
        self.assertGreater(total, 50)
        self.assertEqual(float(lines[-1][0]), float(re.search(r"#\[Max +=\s+([\d.]+),", text)[1]))

    def test_png(self):
        path = self.path("a.png")
        for _ in range(2):
            self.assertEqual(self.good("--plot", path), f"{path}: drawn\n")
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        self.assertGreaterEqual(width, 1000)
        self.assertGreaterEqual(height, 600)
        self.assertGreater(len(data), 10000)
        self.assertEqual(data[-8:-4], b"IEND")

    def test_svg(self):
        path = self.path("it's %d.svg")
        self.good("--plot", path)
        root = xml.etree.ElementTree.parse(path).getroot()
        self.assertTrue(root.tag.endswith("}svg"), root.tag)
        texts = " ".join(" ".join(root.itertext()).split())
        for words in (self.instance, "since the start", os.uname().release, "UTC", "values", "control.arrival_to_seen",
                      "control.loop", "late: over 500 µs, control.arrival_to_decided", "99 %", "100 µs"):
            self.assertIn(words, texts)

    def test_refused(self):
        self.refused(1, "expects a folder that exists", "--hgrm", self.path("none"))
        self.refused(1, "is no folder", "--hgrm", self.live.config_path)
        self.refused(2, "ends in .png or .svg, found", "--plot", self.path("a.pdf"))
        self.refused(2, "ends in .png or .svg, found", "--plot", ".png")
        self.refused(1, "No such file or directory; name a file in a folder that exists", "--plot", self.path("no/a.png"))
        self.refused(1, "Debian package gnuplot-nox", "--plot", self.path("a.png"), environment={"PATH": self.folder("empty")})
        self.assertFalse(os.path.exists(self.path("a.png")))

    def test_full_disk(self):
        """Fault: no room. Nothing that is half is left, and what was there stays."""
        folder = self.folder("full")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"SKIPPED: cannot mount ({mounted.stderr.strip()}): A FULL DISK WAS NOT TRIED")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
        for name in ("a.png", "a.svg"):
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write("before")
        with open(os.path.join(folder, "hog"), "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        self.refused(1, "No space left on device", "--hgrm", folder)
        for name in ("a.png", "a.svg"):
            path = os.path.join(folder, name)
            self.refused(1, "No space left on device", "--plot", path)
            with open(path, encoding="ascii") as file:
                self.assertEqual(file.read(), "before")
        self.assertEqual(sorted(os.listdir(folder)), ["a.png", "a.svg", "hog"])

    def test_gnuplot_that_fails(self):
        """Fault: a gnuplot that dies, or draws half a picture and says that all is well."""
        folder = self.folder("bin")
        for script, words in (("kill -9 $$", "this one lacks"), ("cat > /dev/null; printf half", "expected a whole picture"),
                              ("cat > /dev/null", "expected a whole picture")):
            with open(os.path.join(folder, "gnuplot"), "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\n{script}\n")
            os.chmod(os.path.join(folder, "gnuplot"), 0o755)
            self.refused(1, words, "--plot", self.path("a.png"), environment={"PATH": folder + ":/bin:/usr/bin"})
            self.assertFalse([name for name in os.listdir(self.dir) if name.startswith("a.png")])


class Watched(Latency):
    def watch(self, *arguments):
        process = support.spawn(test_top.SLUICE, "latency", *arguments, env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        self.addCleanup(support.stop, process)
        return process

    def test_interval_beside_total(self):
        process = self.watch("--watch=0.1", self.instance)
        blocks = []
        for _ in range(3):
            blocks.append("".join(iter(process.stdout.readline, "\n")))
        self.assertIn("the first interval", blocks[0])
        for block in blocks[1:]:
            self.assertRegex(block, r"the last [\d.]+ s +since the start, [\d.]+ s\n")
            self.assertIn("\ncontrol\n", block)
        self.assertLessEqual(max(map(len, "".join(blocks).splitlines())), 80)

    def test_intervals_add_up_and_a_restart_begins_anew(self):
        process = self.watch("--watch", "0.1", "--json", "--hop", "loop")

        def following():
            report = json.loads(process.stdout.readline())
            return report, report["hops"] and report["hops"][0]

        report, first = following()
        self.assertIsNone(first["interval"])
        count = first["total"]["count"]
        for _ in range(5):
            report, hop = following()
            count += hop["interval"]["count"]
            self.assertEqual(count, hop["total"]["count"], "what an interval has, and nothing else, is new")
        self.assertEqual(self.live.end(), 0)
        report = None
        while report is None or report["hops"] is not None:
            report, _ = following()
        self.assertEqual(set(report), {"instance", "hops", "text"})
        self.live.start()
        hop = None
        while not hop:
            report, hop = following()
        self.assertIsNone(hop["interval"], "another run")
        count = hop["total"]["count"]
        report, hop = following()
        self.assertEqual(count + hop["interval"]["count"], hop["total"]["count"])

    @unittest.skipIf(test_top.TMUX is None, "SKIPPED: there is no tmux: NO SCREEN WAS LOOKED AT")
    def test_restart_on_a_screen(self):
        screen = test_top.Screen(self, 80, 24, "--watch=0.3", command="latency")
        screen.wait(r"the last [\d.]+ s", "since the start", r"  loop +\d")
        self.assertEqual(self.live.end(), 0)
        screen.wait("! the server is not there; waiting for it", without=["since the start"])
        self.live.start()
        lines = screen.wait("since the start", r"  loop +\d", without=["not there"])
        self.assertEqual(len(lines), 24)

    @unittest.skipIf(test_top.TMUX is None, "SKIPPED: there is no tmux: NO SCREEN WAS LOOKED AT")
    def test_a_screen_that_is_too_low(self):
        screen = test_top.Screen(self, 80, 6, "--watch=0.3", command="latency")
        lines = screen.wait(r"the last [\d.]+ s", r"\d+ more lines: choose with --hop")
        self.assertRegex(lines[0], "the last .* since the start")
        self.assertIn("more lines", lines[4])

    @unittest.skipIf(test_top.TMUX is None, "SKIPPED: there is no tmux: NO SCREEN WAS LOOKED AT")
    def test_curve_at_80x24(self):
        for locale, signs in (("C.UTF-8", "●│┤└"), ("C", "o|+-")):
            screen = test_top.Screen(self, 80, 24, "--watch=0.5", "--curve", command="latency", LC_ALL=locale)
            lines = screen.wait("latency by percentile, of an interval", "late: over 500 us", "control.arrival_to_decided")
            self.assertEqual(len(lines), 24)
            self.assertIn("latency by percentile", lines[0], "nothing has scrolled away")
            for sign in signs:
                self.assertIn(sign, "\n".join(lines))
            print("\n".join(lines))
            screen.end()

    def test_no_cursor_on_a_dumb_terminal(self):
        dumb = test_top.Terminal(self, "--watch=0.1", command="latency", term="dumb")
        dumb.wait(b"since the start")
        self.assertNotIn(b"\033", dumb.read())
        fine = test_top.Terminal(self, "--watch=0.1", command="latency", term="vt100")
        fine.wait(b"\033[H\033[J")


if __name__ == "__main__":
    support.main()
