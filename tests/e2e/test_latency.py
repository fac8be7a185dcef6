#!/usr/bin/env python3
"""The latency histograms of a running server as files of HdrHistogram's text format."""
import os
import re

import support

HOPS = {"arrival_to_seen", "arrival_to_decided", "arrival_to_output", "loop", "publish_to_seen", "seen_to_decided",
        "decided_to_output", "busy"}


class Hgrm(support.Case):
    def setUp(self):
        super().setUp()
        self.live, _, _ = self.udp_server()
        self.live.wait_status(lambda s: s["latency_ns"]["arrival_to_decided"]["count"] > 50, "decisions")

    def write(self, *arguments):
        return self.live.cli("latency", *arguments)

    def test_files(self):
        folder = self.path("hgrm")
        os.mkdir(folder)
        for _ in range(2):  # the second one replaces the first
            run = self.write("--hgrm", folder)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(set(os.listdir(folder)), {hop + ".hgrm" for hop in HOPS})
            self.assertEqual(len(run.stdout.splitlines()), len(HOPS))
        with open(os.path.join(folder, "loop.hgrm"), encoding="ascii") as file:
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

    def test_refused(self):
        run = self.write("--hgrm", self.path("none"))
        self.assertEqual(run.returncode, 1)
        self.assertIn("expects a folder that exists", run.stderr)
        self.assertEqual(self.write("--hgrm", "/tmp", "--json").returncode, 2)
        run = self.live.cli("status", "--hgrm", "/tmp")
        self.assertEqual(run.returncode, 2)
        self.assertIn("does not belong here", run.stderr)

    def test_full_disk(self):
        """Fault: no room. Nothing that is half is left."""
        folder = self.path("full")
        os.mkdir(folder)
        os.symlink("/dev/full", os.path.join(folder, "arrival_to_seen.hgrm.new"))
        run = self.write("--hgrm", folder)
        self.assertEqual(run.returncode, 1)
        self.assertIn("No space left on device", run.stderr)
        self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    support.main()
