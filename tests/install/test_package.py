#!/usr/bin/env python3
"""The package as it is installed: copied under a prefix, used from outside the tree, on a live ring of the server that
was installed with it. Everything that is compiled sees the prefix only.
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import support
from support import ROOT, wait_until

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build/release"))
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
FRAMES = 20


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def compiler(*names):
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise AssertionError(f"expected one of {', '.join(names)}; tools/setup installs what tools/packages.txt names")
    return found


class Package(support.Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="sluice-install-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.prefix = os.path.join(cls.folder, "prefix")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        found = [folder for folder, _, files in os.walk(cls.prefix) if "sluice.pc" in files]
        if len(found) != 1:
            raise AssertionError(f"expected one sluice.pc below the prefix, found {found}")
        cls.libraries = os.path.dirname(found[0])
        cls.flags = run("pkg-config", "--cflags", "--libs", "sluice", env={**os.environ, "PKG_CONFIG_PATH": found[0]}).split()
        support.BIN = os.path.join(cls.prefix, "bin")

    def build(self, source, *options, command=("gcc", "cc")):
        """The program, which finds its library by LD_LIBRARY_PATH."""
        program = self.path(f"program{self.count()}")
        run(compiler(*command), *options, source, "-o", program, *self.flags, cwd=self.dir)
        return program

    def sending_server(self):
        server, sensor, _ = self.udp_server()
        sensor.values["pressure"] = 123.5
        environment = {**server.environment, "LD_LIBRARY_PATH": self.libraries}
        return server, environment

    def check_batches(self, program, server, environment):
        """Positions are dense, and each payload is the frame that was sent under its number."""
        lines = run(program, server.instance, "udp", str(FRAMES), env=environment).splitlines()
        self.assertEqual(lines[0].split(), [server.instance, "udp", "4096"])
        rows = [line.split() for line in lines[1:]]
        self.assertEqual(len(rows), FRAMES, lines)
        first = int(rows[0][0])
        self.assertEqual([int(row[0]) for row in rows], list(range(first, first + FRAMES)))
        for _, number, length, head in rows:
            self.assertEqual((int(length), head), (support.FRAME_BYTES, f"{support.SYNC:08x}{int(number):08x}"))

    def test_observer_through_pkg_config(self):
        """The command of README, on the example of README."""
        server, environment = self.sending_server()
        shutil.copy(os.path.join(ROOT, "docs/examples/observer.c"), self.dir)
        observer = self.build("observer.c", command=("cc",))
        out = self.path("observer.out")
        with open(out, "wb") as file:
            process = support.spawn(observer, server.instance, "udp", env=environment, stdout=file, stderr=file)
        self.addCleanup(support.stop, process)

        def rows():
            with open(out, encoding="utf-8") as file:
                found = [line.split() for line in file.read().split("\n")[:-1]]
            return found if sum(row[1:] == ["123.5"] for row in found) >= FRAMES else None

        positions = [int(row[0]) for row in wait_until(rows, "values at the observer")]
        self.assertEqual(positions, list(range(positions[0], positions[0] + len(positions))))
        reader, = server.status()["rings"][0]["readers"]
        self.assertEqual((reader["pid"], reader["mode"], reader["lost"]), (process.pid, "observer", 0))
        server.end()
        self.assertEqual(process.wait(support.PATIENCE_S), 0, "the observer ends when the server does")

    def test_standards_through_pkg_config(self):
        server, environment = self.sending_server()
        shutil.copy(os.path.join(HERE, "consumer/batches.c"), self.dir)
        shutil.copy(os.path.join(self.dir, "batches.c"), os.path.join(self.dir, "batches.cpp"))
        programs = [self.build("batches.c", f"-std={standard}", *STRICT) for standard in ("c99", "c11", "c17")]
        programs.append(self.build("batches.cpp", "-std=c++17", *STRICT, command=("g++", "clang++")))
        for program in programs:
            self.check_batches(program, server, environment)

    def test_find_package(self):
        """CMake gives the programs of its build folder the path to the library: nothing in the environment."""
        server, _ = self.sending_server()
        project, build = self.path("consumer"), self.path("build")
        shutil.copytree(os.path.join(HERE, "consumer"), project)
        run("cmake", "-S", project, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={compiler('g++', 'clang++')}")
        run("cmake", "--build", build)
        for name in ("batches_c99", "batches_c11", "batches_cxx17"):
            self.check_batches(os.path.join(build, name), server, server.environment)

    def test_find_package_of_another_version(self):
        project = self.path("consumer")
        os.mkdir(project)
        with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write("cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES C)\nfind_package(sluice 9.9 REQUIRED)\n")
        with self.assertRaisesRegex(AssertionError, "9.9"):
            run("cmake", "-S", project, "-B", self.path("build"), "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}")

    def test_prefix_can_be_moved(self):
        """Neither sluice.pc nor the CMake files know where they were put."""
        moved = self.path("moved")
        shutil.copytree(self.prefix, moved, symlinks=True)
        for folder, _, files in os.walk(os.path.join(moved, os.path.relpath(self.libraries, self.prefix))):
            for name in files:
                if name.endswith((".pc", ".cmake")):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        self.assertNotIn(self.folder, file.read(), name)


if __name__ == "__main__":
    support.main()
