#!/usr/bin/python3
"""The Python examples of docs/examples as people run them: on a server that takes a simulated chamber's frames, faults and
all, and on a stand's ring of 64 channels."""
import os
import re
import shutil
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
sys.path.insert(0, os.path.join(ROOT, "tests/support"))
import subprocess

import support
from ring_stand import RingStand
from support import BIN, wait_until

PACKAGE = os.environ.get("PYTHONPATH") or os.path.join(ROOT, "build/release/python")
PYTHON = "/usr/bin/python3"
READINGS = 10_000_000
FRAMES = int(os.environ.get("SLUICE_EXAMPLE_FRAMES", 3000))  # of the picture
KEEP = os.environ.get("SLUICE_KEEP_EXAMPLES")  # a folder in which pictures and outputs are left: what docs/python.md shows


def example(name, *arguments, run_dir, **options):
    environment = {**os.environ, "PYTHONPATH": PACKAGE, "SLUICE_RUN_DIR": run_dir, "MPLCONFIGDIR": run_dir, "LC_ALL": "C.UTF-8"}
    done = subprocess.run([PYTHON, "-B", os.path.join(ROOT, "docs/examples", name), *map(str, arguments)], env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **options)
    if done.returncode != 0:
        raise AssertionError(f"{name}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def png_size(path):
    with open(path, "rb") as file:
        head = file.read(24)
    assert head[:8] == b"\x89PNG\r\n\x1a\n", head
    return struct.unpack(">II", head[16:24])


def keep(what, name):
    """A file's path, or text."""
    if KEEP and os.path.exists(what):
        shutil.copy(what, os.path.join(KEEP, name))
    elif KEEP:
        with open(os.path.join(KEEP, name), "w", encoding="utf-8") as file:
            file.write(what)


def tour():
    """The blocks of Python in docs/python.md, each with the line it begins at."""
    with open(os.path.join(ROOT, "docs/python.md"), encoding="utf-8") as file:
        text = file.read()
    return [(text[:m.start()].count("\n") + 2, m.group(1)) for m in re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S)]


class Chamber(support.Case):
    """sluice-plant plays tools/examples/scenarios/rough.yaml: lost, doubled and overtaken frames, spikes, silence, NaN."""

    def chamber(self, slots=16384):
        self.instance = "tvac1" if KEEP else self.instance
        port = support.free_udp_port()
        actuator = support.Actuator(self)
        text = support.config(self.instance, [support.udp_source(port)], support.outputs_to(actuator.target), slots=slots)
        server = self.server(text)
        server.start()
        with open(self.path("plant.out"), "wb") as out:
            plant = support.spawn(os.path.join(BIN, "sluice-plant"), "--scenario",
                                  os.path.join(ROOT, "tools/examples/scenarios/rough.yaml"), "--udp", f"127.0.0.1:{port}",
                                  "--serial-hz", "0", stdout=out, stderr=out, env=self.environment)
        self.addCleanup(support.stop, plant)
        return server, plant

    def test_live_plot(self):
        server, _ = self.chamber()
        picture = self.path("live.png")
        out = example("live_plot.py", server.instance, "udp", "chamber_pressure", "--frames", FRAMES, "--save", picture,
                      run_dir=self.run_dir)
        self.assertRegex(out, r"^\d{4,5} frames in \d+ points: ")
        self.assertEqual(png_size(picture), (800, 320))
        self.assertGreater(os.path.getsize(picture), 5000)
        keep(picture, "live_plot.png")

    def test_live_plot_ends_with_its_server(self):
        """The fault: the server ends while it is looked at."""
        server, _ = self.chamber()
        picture = self.path("live.png")
        with open(self.path("live.out"), "wb") as out:
            plot = support.spawn(PYTHON, "-B", os.path.join(ROOT, "docs/examples/live_plot.py"), server.instance, "udp",
                                 "chamber_pressure", "--save", picture, stdout=out, stderr=out,
                                 env={**self.environment, "PYTHONPATH": PACKAGE, "MPLCONFIGDIR": self.dir})
        self.addCleanup(support.stop, plot)
        wait_until(lambda: server.status()["rings"][0]["readers"], "the plot at the ring")
        wait_until(lambda: server.stream("udp")["delivered"] > 100, "frames")
        server.end()
        self.assertEqual(plot.wait(support.PATIENCE_S), 0)
        self.assertEqual(png_size(picture), (800, 320))

    def test_notebook(self):
        server, plant = self.chamber()
        self.assertEqual(plant.wait(60), 0)
        out = example("notebook.py", server.instance, "udp", "chamber_pressure", run_dir=self.run_dir)
        keep(out, "notebook.txt")
        self.assertIn(f"servers: {server.instance}", out)
        # "Sequence numbers: lost, repeated and overtaken frames": what the scenario did is what the ledger shows.
        ledger = server.stream("udp")
        self.assertIn(f"sent {ledger['sent']} = delivered {ledger['delivered']} + lost {sum(ledger['lost'].values())} (residual 0)",
                      out)
        self.assertGreaterEqual(ledger["duplicated"], 3)
        mean = float(re.search(r"chamber_pressure +(-?\d+\.\d+) \+-", out).group(1))
        self.assertTrue(50 < mean < 150, mean)
        self.assertRegex(out, r"\d+ segments at [\d.]+ Hz \(stamps\), hann")
        self.assertEqual(len(re.findall(r"^ *-?[\d.]+ +\d+ #*$", out, re.M)), 12, "a histogram of 12 bins")


    def test_the_tour_of_the_document(self):
        """Everything that docs/python.md says runs as it stands there, one block after the other."""
        server, plant = self.chamber()
        self.assertEqual(plant.wait(60), 0)
        blocks = tour()
        self.assertGreater(len(blocks), 8)
        program = self.path("tour.py")
        with open(program, "w", encoding="utf-8") as file:
            for line, text in blocks:
                file.write(f"print('== line {line}')\n{text}")
        environment = {**self.environment, "PYTHONPATH": PACKAGE, "LC_ALL": "C.UTF-8"}
        done = subprocess.run([PYTHON, "-B", program], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120)
        keep(done.stdout + done.stderr, "tour.txt")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertTrue(server.process.poll() is None)


class TenMillion(unittest.TestCase):
    def test_in_no_memory(self):
        with tempfile.TemporaryDirectory(prefix="sluice-examples-") as run_dir:
            with RingStand(f"ten-{os.getpid()}", BIN, run_dir) as stand:
                for i in range(64):
                    stand(f"channel c{i} f64 le {8 * i} V 1 0 0 500")
                stand("ring wide 8192 576 64 512 0")
                stand("pace wide 50000 64")
                out = example("ten_million.py", stand.instance, "wide", READINGS, run_dir=run_dir)
                stand("rest wide")
        keep(out, "ten_million.txt")
        readings = int(re.match(r"([\d,]+) readings of 64 channels", out).group(1).replace(",", ""))
        self.assertGreaterEqual(readings, READINGS)
        self.assertIn("the ring: 4,718,592 bytes", out)
        self.assertIn(" 0 not numbers", out)
        grown = int(re.search(r"this process: (-?[\d,]+) kB more", out).group(1).replace(",", ""))
        # A copy of the readings would be 80,000 kB. What grows is the interpreter's heap, once, and pages of a histogram.
        self.assertLess(grown, 2048)


if __name__ == "__main__":
    unittest.main()
