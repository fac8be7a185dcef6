#!/usr/bin/env python3
"""The Debian packages: made, looked into, and used from where they would lie. Nothing is installed on this machine:
they are unpacked into a folder.
"""
import glob
import os
import re
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
from support import ROOT

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build/release"))
PACKAGES = ("sluice", "sluice-bench", "libsluice0", "libsluice-dev", "python3-sluice")


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


class Debs(support.Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="sluice-debs-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", cls.folder, cwd=BUILD)
        found = glob.glob(os.path.join(cls.folder, "*.deb"))
        cls.debs = {os.path.basename(path).split("_")[0]: path for path in found}
        cls.root = os.path.join(cls.folder, "root")
        for path in found:
            run("dpkg-deb", "-x", path, cls.root)

    def field(self, package, name):
        return run("dpkg-deb", "-f", self.debs[package], name).strip()

    def files(self, package):
        lines = run("dpkg-deb", "-c", self.debs[package]).splitlines()
        return [line.split()[5].removeprefix(".") for line in lines if not line.startswith("d")]

    def installed(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def test_there_is_one_of_each(self):
        self.assertEqual(sorted(self.debs), sorted(PACKAGES))
        for package in PACKAGES:
            self.assertEqual(self.field(package, "Package"), package)
            self.assertTrue(self.field(package, "Version"))
            self.assertGreater(len(self.field(package, "Description").splitlines()), 1, "a summary and a description")

    def test_no_file_is_in_two(self):
        owners = {}
        for package in PACKAGES:
            for path in self.files(package):
                owners.setdefault(path, []).append(package)
        self.assertEqual({path: names for path, names in owners.items() if len(names) > 1}, {})
        self.assertTrue(all(path.startswith("/usr/") for path in owners), "nothing lies outside /usr")

    def test_what_each_holds(self):
        self.assertIn("/usr/bin/sluiced", self.files("sluice"))
        self.assertIn("/usr/bin/sluice", self.files("sluice"))
        for name in ("sluice-control", "sluice-worker", "sluice-dpdk", "sluice-observer", "sluice-blackbox", "sluice-recorder", "sluice-export",
                     "sluice-actuator", "sluice-gen"):
            self.assertIn("/usr/bin/" + name, self.files("sluice"), "sluiced looks for it beside itself")
        self.assertIn("/usr/share/man/man5/sluice.yaml.5", self.files("sluice"))
        self.assertTrue(any(path.endswith("/examples/gateway.yaml") for path in self.files("sluice")))
        self.assertTrue(any(path.endswith("/libsluice.so.0") for path in self.files("libsluice0")))
        self.assertFalse(any(path.endswith("/libsluice.so") for path in self.files("libsluice0")))
        self.assertTrue(any(path.endswith("/libsluice.so") for path in self.files("libsluice-dev")))
        headers = {os.path.basename(path) for path in self.files("libsluice-dev") if path.startswith("/usr/include/sluice/")}
        self.assertLessEqual({"sluice.h", "server.h"}, headers)
        self.assertIn("/usr/share/man/man3/libsluice.3", self.files("libsluice-dev"))
        for package in PACKAGES:
            self.assertIn(f"/usr/share/doc/{package}/copyright", self.files(package))

    def test_what_each_needs(self):
        self.assertRegex(self.field("libsluice-dev", "Depends"), r"libsluice0 \(= ")
        self.assertRegex(self.field("python3-sluice", "Depends"), r"python3 \(>= 3\.11\).*python3-numpy")
        for package in PACKAGES:  # dpkg knows every name, so that apt can find them
            for name in re.findall(r"(?:^|, )([a-z0-9.+-]+)", self.field(package, "Depends")):
                if name not in PACKAGES:
                    self.assertIn("Package:", run("apt-cache", "show", "--no-all-versions", name), f"{package} needs {name}")

    def test_programs_run(self):
        for name in ("sluice", "sluiced", "sluice-bench"):
            self.assertRegex(run(self.installed(f"/usr/bin/{name}"), "--version"), r"\d+\.\d+")

    def test_python_reads_a_ring(self):
        packages = self.installed("/usr/lib/python3/dist-packages")
        with RingStand(self.instance, os.path.join(BUILD, "bin"), self.run_dir) as stand:
            stand("channel pressure f64 le 0 kPa 1 0 0 500")
            stand("ring tvac 64 128 64 32 1000")
            stand("publish tvac 5")
            program = ("import sluice\n"
                       f"with sluice.attach({self.instance!r}) as server:\n"
                       "    for batch in server['tvac'].follow(start='oldest', wait=False):\n"
                       "        print(list(batch['pressure']), batch.valid())\n")
            environment = {**os.environ, "PYTHONPATH": packages, "SLUICE_RUN_DIR": self.run_dir}
            said = run("/usr/bin/python3", "-B", "-c", program, env=environment, cwd="/")
        self.assertEqual(said.strip(), "[0.25, 1.25, 2.25, 3.25, 4.25] True")


if __name__ == "__main__":
    support.main()
