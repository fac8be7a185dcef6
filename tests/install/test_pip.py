#!/usr/bin/env python3
"""The other way to install the Python package: pip, from the tree, into a virtual environment that is removed again.
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import support
from ring_stand import RingStand
from support import BIN, ROOT


class Pip(support.Case):
    def test_install_and_read(self):
        folder = tempfile.mkdtemp(prefix="sluice-pip-")
        self.addCleanup(shutil.rmtree, folder, True)
        python = os.path.join(folder, "bin/python3")
        self.run_whole("/usr/bin/python3", "-m", "venv", "--system-site-packages", folder)
        self.run_whole(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
                       os.path.join(ROOT, "tools/python"))
        leftovers = [name for name in os.listdir(os.path.join(ROOT, "tools/python")) if name == "build" or name.endswith(".egg-info")]
        self.assertEqual(leftovers, [], "the tree is as it was")
        with RingStand(self.instance, BIN, self.run_dir) as stand:
            stand("ring words 64 128 64 32 0")
            stand("publish words 3")
            program = ("import sluice, sluice.stats\n"
                       "with sluice.attach() as server:\n"
                       "    ring, = server.rings.values()\n"
                       "    print(sluice.__file__, ring.name, ring.last(frames=3).samples('<u8')[:, 0].tolist())\n")
            said = self.run_whole(python, "-B", "-c", program, env={**os.environ, "SLUICE_RUN_DIR": self.run_dir}, cwd="/")
        where, name, numbers = said.strip().split(" ", 2)
        self.assertTrue(where.startswith(folder), where)
        self.assertEqual((name, numbers), ("words", "[0, 1000003, 2000006]"))

    def run_whole(self, *command, **options):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **options)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout


if __name__ == "__main__":
    support.main()
