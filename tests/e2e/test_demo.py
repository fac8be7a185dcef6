#!/usr/bin/env python3
"""tools/demo: the story runs, and its packet stream is accounted for to the packet; what cannot run is left out with a word;
Ctrl-C leaves nothing."""
import glob
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

import support
from support import ROOT, wait_until

sys.path.insert(0, os.path.join(ROOT, "tools/demo.d"))
import packets  # noqa: E402

DEMO = pathlib.Path(ROOT, "build/demo")
SOCKET = DEMO / "packets.sock"
CAUSES = ("sender", "kernel", "nic", "ring_full", "late", "malformed", "truncated", "restart")


def alive():
    """Programs of this tree that run."""
    found = []
    for path in glob.glob("/proc/[0-9]*/exe"):
        try:
            program = os.readlink(path)
        except OSError:
            continue
        if program.startswith(os.path.join(ROOT, "build/release/bin/")):
            found.append(program)
    return found


class Story(support.Case):
    def demo(self, *options):
        self.said = self.path("said")
        with open(self.said, "wb") as output:
            process = support.spawn(os.path.join(ROOT, "tools/demo"), "--skip-python", *options, stdout=output,
                                    stderr=subprocess.STDOUT, env=self.environment)
        self.addCleanup(support.stop, process)
        return process

    def text(self):
        return pathlib.Path(self.said).read_text(encoding="utf-8")

    def interrupt(self, process):
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(90)  # each of its children has 15 s to end
        except subprocess.TimeoutExpired:
            self.fail(f"it does not end; of its programs run {alive()}; it has said: {self.text()}")
        self.assertEqual(code, 130, self.text())
        self.assertEqual(alive(), [])
        self.assertFalse(SOCKET.is_socket(), "the port's socket")

    def wait_said(self, process, words):
        wait_until(lambda: words in self.text() or process.poll() is not None, words, 150)
        self.assertIn(words, self.text())

    def told(self):
        """The result of a story that was told to its end, with its packets. A machine that stalls may trip the chamber before
        its accident, as it should; that is not what is looked at here."""
        for _ in range(3):
            (DEMO / "result.json").unlink(missing_ok=True)
            process = self.demo()
            process.wait(90)
            if (DEMO / "result.json").exists():
                result = json.loads((DEMO / "result.json").read_text(encoding="utf-8"))
                if result["packets"] is not None:
                    self.assertEqual(process.returncode, 1 if result["problems"] else 0, self.text())
                    return result
        raise AssertionError(self.text())

    def test_every_packet_is_accounted_for(self):
        result = self.told()
        self.assertEqual([problem for problem in result["problems"] if "packet" in problem], [])
        ledger, gen = result["packets"]["ledger"], result["packets"]["generator_says"]
        self.assertGreater(ledger["delivered"], 0)
        self.assertEqual(ledger["residual"], 0)
        self.assertEqual(ledger["sent"], gen["sent"])
        self.assertEqual(ledger["sent"], ledger["delivered"] + sum(ledger["lost"].values()))
        self.assertEqual(ledger["lost"]["sender"], gen["dropped"])
        for words in ("numbered by the sender", "delivered into the ring", "residual", "in percent of one"):
            self.assertIn(words, self.text())
        self.assertEqual(alive(), [])
        self.assertFalse(SOCKET.is_socket(), "the port's socket")

    def test_interrupted_while_packets_come(self):
        process = self.demo()
        self.wait_said(process, "running, every channel good")
        self.interrupt(process)

    def test_kept_for_programs(self):
        """README's first program, on what `tools/demo --keep` leaves running, called as the demo says."""
        process = self.demo("--keep", "--packets", "0")
        self.wait_said(process, "ls build/demo/trips")
        line, = (line for line in self.text().splitlines() if "first.py" in line)
        said = self.path("first")
        with open(said, "wb") as output:
            first = support.spawn("/bin/sh", "-c", "exec env " + line.strip(), stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
                                  env={**self.environment, "SLUICE_RUN_DIR": "build/demo/run", "PYTHONDONTWRITEBYTECODE": "1"})
        self.addCleanup(support.stop, first)
        row = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]{18}  +(\d+) frames  mean (\S+)  highest (\S+) kPa$", re.M)
        wait_until(lambda: len(row.findall(pathlib.Path(said).read_text(encoding="utf-8"))) >= 3, "three seconds of it")
        text = pathlib.Path(said).read_text(encoding="utf-8")
        self.assertRegex(text, r"^the interlock is (armed|ready|tripped)\n")
        for count, mean, highest in row.findall(text):
            self.assertGreater(int(count), 0)
            self.assertTrue(90 < float(mean) <= float(highest) < 150, text)  # the chamber is quiet
        first.send_signal(signal.SIGINT)
        self.assertNotEqual(first.wait(support.PATIENCE_S), 0)
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(90), (0, 1), self.text())  # the story's own
        self.assertEqual(alive(), [])

    def test_without_a_port_it_goes_on(self):
        SOCKET.mkdir(parents=True)  # where the port would listen
        self.addCleanup(SOCKET.rmdir)
        process = self.demo()
        self.wait_said(process, "goes on without it")
        self.assertIn("NO STREAM OF PACKETS", self.text())
        self.assertIn(str(SOCKET), self.text())
        self.wait_said(process, "running, every channel good")
        self.interrupt(process)

    def test_a_wrong_rate(self):
        process = self.demo("--packets", "-1")
        self.assertEqual(process.wait(60), 2)
        self.assertIn("expected 0, or 0.001 to 40, found -1", self.text())


class Example(support.Case):
    def check(self, text):
        path = self.path("example.yaml")
        pathlib.Path(path).write_text(text, encoding="utf-8")
        done = self.cli("check", path)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_with_its_stream_and_without(self):
        text = pathlib.Path(ROOT, "tools/examples/tvac.yaml").read_text(encoding="utf-8")
        self.assertEqual(text.count(packets.EXAMPLE_PORT), 1)
        self.check(text)
        without = packets.without(text)
        self.check(without)
        body = [line.partition("#")[0] for line in without.splitlines()]
        self.assertFalse([line for line in body if "packets" in line or "dpdk" in line])
        self.assertIn("rules:", without)


class Ledger(unittest.TestCase):
    """What the demo fails for."""

    def problems(self, sent=1000, dropped=0, seen=1000, residual=0, **lost):
        stream = packets.Stream(None, DEMO, 10)
        stream.report = {"sent": sent, "dropped": dropped}
        stream.ledger = {"sent": seen, "residual": residual, "lost": {**dict.fromkeys(CAUSES, 0), **lost}}
        return stream.problems()

    def test_losses_with_a_cause_are_no_failure(self):
        self.assertEqual(self.problems(), [])
        self.assertEqual(self.problems(dropped=7, sender=7), [])
        self.assertEqual(self.problems(dropped=7, sender=7, nic=3), [])
        self.assertEqual(self.problems(dropped=7, restart=9), [], "a worker that was away saw neither")

    def test_what_nobody_can_explain_is(self):
        self.assertIn("residual of 3", self.problems(residual=3)[0])
        self.assertIn("numbered 1,000 packets, the ledger has 999", self.problems(seen=999)[0])
        self.assertIn("7 of them before the port", self.problems(dropped=6, sender=7)[0])
        self.assertIn("did not take 6", self.problems(dropped=6)[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
