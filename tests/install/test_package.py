#!/usr/bin/env python3
"""The package as it is installed: copied under a prefix, used from outside the tree, on a live ring of the server that
was installed with it. Everything that is compiled sees the prefix only.
"""
import os
import re
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
EXAMPLES = os.path.join(ROOT, "docs/examples")
C_STANDARDS = ("c99", "c11", "c17")
CXX_STANDARDS = ("c++11", "c++17")


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
        programs = [self.build("batches.c", f"-std={standard}", *STRICT) for standard in C_STANDARDS]
        programs += [self.build("batches.cpp", f"-std={standard}", *STRICT, command=("g++", "clang++"))
                     for standard in CXX_STANDARDS]
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

    # ---- What the library and its headers are.

    def headers(self):
        folder = os.path.join(self.prefix, "include/sluice")
        return folder, sorted(os.listdir(folder))

    def test_each_header_compiles_alone(self):
        """Twice, in every standard, and without what the build of this tree defines."""
        folder, names = self.headers()
        self.assertLess({"sluice.h", "server.h"}, set(names))
        languages = [("c", standard, ("gcc", "clang")) for standard in C_STANDARDS]
        languages += [("c++", standard, ("g++", "clang++")) for standard in CXX_STANDARDS]
        for name in names:
            text = f"#include <sluice/{name}>\n" * 2
            for language, standard, compilers in languages:
                for command in filter(shutil.which, compilers):
                    done = subprocess.run(
                        [command, "-fsyntax-only", f"-std={standard}", *STRICT, "-x", language, "-I" + os.path.dirname(folder), "-"],
                        input=text, capture_output=True, text=True, timeout=120)
                    self.assertEqual(done.returncode, 0, f"{name} with {command} -std={standard}:\n{done.stderr}")

    def exported(self):
        """What the dynamic symbol table defines, as "name@@version"."""
        lines = run("nm", "-D", "--defined-only", "--with-symbol-versions", os.path.join(self.libraries, "libsluice.so")).splitlines()
        words = [line.split()[1:] for line in lines]
        self.assertEqual([name for kind, name in words if kind == "A"], ["SLUICE_0"], "the versions that there are")
        self.assertEqual([name for kind, name in words if kind not in ("A", "T")], [], "exported, and no function")
        return sorted(name for kind, name in words if kind == "T")

    def test_symbols_are_the_golden_ones(self):
        """A function that goes away or changes its version breaks programs that are linked already."""
        golden = os.path.join(HERE, "libsluice.symbols")
        with open(golden, encoding="utf-8") as file:
            expected = file.read().splitlines()
        self.assertEqual(expected, sorted(set(expected)), f"{golden} is not sorted")
        found = self.exported()
        self.assertEqual([name for name in expected if name not in found], [],
                         "no longer exported: programs that use it do not start; raise SOVERSION and the version in libsluice.map")
        self.assertEqual([name for name in found if name not in expected], [], f"exported, but not in {golden}: add it there")

    def test_symbols_are_what_the_headers_declare(self):
        folder, names = self.headers()
        declared = set()
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                declared |= set(re.findall(r"^SLUICE_API [^;{]*?\b(sluice_\w+)\(", file.read(), re.M))
        self.assertGreater(len(declared), 50)
        self.assertEqual(sorted(f"{name}@@SLUICE_0" for name in declared), self.exported())

    def test_soname(self):
        dynamic = run("readelf", "-d", "--wide", os.path.join(self.libraries, "libsluice.so"))
        self.assertEqual(re.findall(r"\(SONAME\).*\[(.*)\]", dynamic), ["libsluice.so.0"])
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        self.assertLessEqual(set(needed), {"libc.so.6", "libm.so.6"}, "readers bring in no other library")
        self.assertTrue(os.path.exists(os.path.join(self.libraries, "libsluice.so.0")))

    # ---- The examples, as strictly as somebody else may compile them, and what they print of a live server.

    def example(self, name):
        shutil.copy(os.path.join(EXAMPLES, name + ".c"), self.dir)
        return self.build(name + ".c", "-std=c99", *STRICT)

    def follow(self, program, *arguments, environment):
        """The process, and two functions: the whole lines it has printed so far, and its standard error."""
        out, err = self.path("out"), self.path("err")
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            process = support.spawn(program, *arguments, env=environment, stdout=stdout, stderr=stderr)
        self.addCleanup(support.stop, process)

        def text(path):
            with open(path, encoding="utf-8") as file:
                return file.read()

        return process, lambda: text(out).split("\n")[:-1], lambda: text(err)

    def test_every_example_compiles(self):
        names = sorted(name[:-2] for name in os.listdir(EXAMPLES) if name.endswith(".c"))
        self.assertGreater(len(names), 5)
        for name in names:
            self.example(name)
            shutil.copy(os.path.join(EXAMPLES, name + ".c"), self.path(name + ".c"))
            for standard in C_STANDARDS:
                self.build(name + ".c", f"-std={standard}", *STRICT, command=("clang", "gcc"))

    def test_example_merge(self):
        """Two rings whose sensors send at rates of their own."""
        ports = [support.free_udp_port() for _ in range(2)]
        sources = [support.udp_source(ports[0])]
        sources.append(support.udp_source(ports[1], name="second", ring="second", channels=support.channels("second_")))
        actuator = support.Actuator(self)
        server = self.server(support.config(self.instance, sources, support.outputs_to(actuator.target)))
        server.start()
        for port, hz, pressure in zip(ports, (100, 37), (101.5, 102.5)):
            sensor = support.SensorUdp(self, port, hz)
            sensor.values["pressure"] = pressure
            sensor.start()
        process, lines, said = self.follow(self.example("merge"), server.instance, "udp", "second",
                                           environment={**server.environment, "LD_LIBRARY_PATH": self.libraries})
        enough = lambda: all(sum(f" {ring} " in line for line in lines()) > FRAMES for ring in ("udp", "second"))
        wait_until(enough, "frames of both rings")
        server.end()
        self.assertEqual(process.wait(support.PATIENCE_S), 0, said())
        rows = [line.split() for line in lines()]
        late = newest = 0
        positions = {}
        for time, ring, position, value in rows:
            late += int(time) < newest
            newest = max(newest, int(time))
            if value != "nan":  # a gap record
                self.assertEqual(float(value), {"udp": 101.5, "second": 102.5}[ring])
            self.assertEqual(positions.get(ring, int(position)), int(position), f"{ring}: each once, in its order")
            positions[ring] = int(position) + 1
        self.assertEqual(said(), f"merge: {late} frames were late\n")

    def test_example_values(self):
        server, environment = self.sending_server()
        process, lines, said = self.follow(self.example("values"), server.instance, "udp", "chamber_pressure",
                                           environment=environment)
        wait_until(lambda: len(lines()) >= 2, "means of two seconds")
        server.end()
        self.assertEqual(process.wait(support.PATIENCE_S), 0, said())
        self.assertEqual(said(), "values: 0 frames lost\n")
        for line in lines():
            second, mean, unit, *_, count = line.split()
            self.assertEqual((float(mean), unit), (123.5, "kPa,"), line)
            self.assertGreater(int(count), 0)
        seconds = [int(line.split()[0]) for line in lines()]
        self.assertEqual(seconds, sorted(set(seconds)))
        done = subprocess.run([self.example("values"), server.instance, "udp", "no_such_channel"], env=environment,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 1, done.stdout)

    def test_example_status(self):
        server, environment = self.sending_server()
        server.wait_status(lambda status: status["rings"][0]["published"] > FRAMES, "frames")
        program = self.example("status")

        def shown():
            lines = run(program, server.instance, env=environment).splitlines()
            ring = next(line for line in lines if line.startswith("ring udp: "))
            numbers = re.fullmatch(r"ring udp: (\d+) published, sent (\d+), delivered (\d+), lost (\d+), residual (-?\d+)", ring)
            return (lines, *map(int, numbers.groups())) if numbers.group(5) == "0" else None

        lines, published, sent, delivered, lost, _ = wait_until(shown, "a moment in which nothing is being counted")
        self.assertEqual(lines[0], f"{server.instance} runs")
        self.assertGreater(published, FRAMES)
        self.assertEqual(sent, delivered + lost)
        self.assertTrue(any(line.startswith(f"process sluiced: pid {server.pid},") for line in lines), lines)
        self.assertTrue(any(line.startswith("control.state ") for line in lines), lines)
        steps = [int(ns) for ns in re.findall(r"^    [\d.]+ % up to (\d+) ns$", "\n".join(lines), re.M)]
        most = re.findall(r"^    max (\d+) ns$", "\n".join(lines), re.M)
        self.assertEqual((len(steps), len(most)), (3, 1), lines)
        self.assertEqual(steps, sorted(steps))
        self.assertLessEqual(steps[-1], int(most[0]))

    def test_example_summary(self):
        server, environment = self.sending_server()
        program = self.example("summary")

        def shown():
            lines = run(program, server.instance, "udp", "1", env=environment).splitlines()
            return lines if int(lines[-1].split()[0]) > FRAMES else None

        lines = wait_until(shown, "a second of many frames")
        number = r"(-?[\d.e+-]+)"
        found = {}
        for line in lines[:-1]:
            name, *numbers = re.fullmatch(rf"(\w+): {number} \+- {number} \w+, min {number}, p50 {number}, p99 {number}, max {number}, "
                                          r"(\d+) values, (\d+) are none", line).groups()
            found[name] = [float(n) for n in numbers]
        frames, lost, discarded, missing = map(int, re.fullmatch(
            r"(\d+) frames; not in it: (\d+) lost, (\d+) discarded, (\d+) missing in the ring", lines[-1]).groups())
        self.assertEqual(sorted(found), sorted(channel["name"] for channel in support.channels()))
        self.assertGreater(frames, FRAMES)
        self.assertEqual((lost, discarded, missing), (0, 0, 0))
        mean, spread, least, median, high, most, values, none = found["chamber_pressure"]
        self.assertEqual((mean, spread, least, most, none), (123.5, 0, 123.5, 123.5, 0))
        self.assertEqual(values, frames)
        for quantile in (median, high):
            self.assertLess(abs(quantile / 123.5 - 1), 1 / 256)


if __name__ == "__main__":
    support.main()
