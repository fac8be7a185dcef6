#!/usr/bin/env python3
"""Shows each check a tree with the fault it is there for: it must fail, and name the culprit. And a good tree: pass.

Run from anywhere: python3 tests/checks/test_checks.py
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECKS = os.path.join(ROOT, "tools/checks")

GOOD_HEADER = """#ifndef RING_SLUICE_H
#define RING_SLUICE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
uint32_t sluice_version(void);
#ifdef __cplusplus
}
#endif
#endif
"""


class Tree(unittest.TestCase):
    """A temporary tree outside any git repository."""

    def setUp(self):
        # A blank in the name: checks that split paths at blanks do not pass.
        self.root = tempfile.mkdtemp(prefix="sluice checks ")
        self.addCleanup(shutil.rmtree, self.root, True)

    def write(self, name, text, mode=None):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def copy(self, *names):
        for name in names:
            target = os.path.join(self.root, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            (shutil.copytree if os.path.isdir(os.path.join(ROOT, name)) else shutil.copy2)(os.path.join(ROOT, name), target)

    def run_check(self, name, *args):
        return subprocess.run(
            [sys.executable, os.path.join(CHECKS, name), "--root", self.root, *args], capture_output=True, text=True
        )

    def passes(self, name, *args):
        run = self.run_check(name, *args)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run.stdout

    def fails(self, name, *words):
        run = self.run_check(name)
        self.assertNotEqual(run.returncode, 0, f"{name} passed:\n{run.stdout}")
        for word in words:
            self.assertIn(word, run.stdout + run.stderr)
        self.assertNotIn("Traceback", run.stderr)


class Layers(Tree):
    def test_looking_down_passes(self):
        self.write("control/engine.c", '#include "control/engine.h"\n#include "ring/ring.h"\n#include <stdint.h>\n')
        self.write("tests/net/test_uring.c", '#include "daq/server.h"\n#include <criterion/criterion.h>\n')
        self.write("net/uring.c", "#include <liburing.h>\n")
        self.passes("layers")

    def test_looking_up_fails(self):
        self.write("ring/writer.c", '#include "ring/writer.h"\n\n#include "control/engine.h"\n')
        self.fails("layers", "ring/writer.c:3:", "control/engine.h", "may include only ring")

    def test_sideways_fails(self):
        self.write("control/engine.h", ' # include  "net/source.h"\n')
        self.fails("layers", "control/engine.h:1:", "net/source.h", "ring control")

    def test_library_in_the_wrong_file_fails(self):
        for source, header in (
            ("daq/server.c", "liburing.h"),
            ("ring/writer.c", "rte_mbuf.h"),
            ("control/engine.c", "bpf/libbpf.h"),
            ("control/table.c", "cyaml/cyaml.h"),
            ("daq/server.c", "yaml.h"),
            ("daq/server.c", "jansson.h"),
            ("daq/server.c", "seccomp.h"),
        ):
            with self.subTest(source=source, header=header):
                self.setUp()
                self.write(source, f"#include <{header}>\n")
                self.fails("layers", f"{source}:1:", header, "only ")

    def test_libraries_in_their_files_pass(self):
        self.write("net/dpdk_port.c", "#include <rte_mbuf.h>\n")
        self.write("daq/config_load.c", "#include <cyaml/cyaml.h>\n#include <yaml.h>\n")
        self.write("tools/plant/plant.c", "#include <cyaml/cyaml.h>\n")
        self.write("tools/sluice_stat.c", "#include <jansson.h>\n")
        self.write("control/seal.c", "#include <seccomp.h>\n")
        self.passes("layers")

    def test_path_not_from_the_root_fails(self):
        self.write("ring/writer.c", '#include "writer.h"\n')
        self.write("ring/reader.c", '#include "../control/engine.h"\n')
        self.fails("layers", 'ring/writer.c:1: includes "writer.h"', "ring/reader.c:1:", "from the root")

    def test_our_header_in_angle_brackets_fails(self):
        self.write("ring/writer.c", "#include <control/engine.h>\n")
        self.fails("layers", "ring/writer.c:1:", "quotes")

    def test_unknown_folder_fails(self):
        self.write("misc/a.c", "#include <stdio.h>\n")
        self.fails("layers", "misc/a.c:1:", "not a floor")

    def test_computed_include_fails(self):
        self.write("ring/a.c", "#include HEADER\n")
        self.fails("layers", "ring/a.c:1:", "HEADER")

    def test_comment_is_not_an_include(self):
        self.write("ring/a.c", '/*\n#include "daq/server.h"\n*/\n// \\\n#include "ring/a.h"\nchar *s = "/*";\n')
        self.passes("layers")

    def test_include_after_a_string_that_looks_like_a_comment(self):
        self.write("ring/a.c", 'char *s = "/*";\n#include "daq/server.h"\n')
        self.fails("layers", "ring/a.c:2:")

    def test_bad_table_fails(self):
        self.write("tools/checks/layers.txt", "floor ring : cellar\n")
        self.fails("layers", "cellar", "not a floor")


@unittest.skipUnless(shutil.which("gcc") and shutil.which("pkg-config"), "no gcc")
class Headers(Tree):
    def setUp(self):
        super().setUp()
        with open(os.path.join(CHECKS, "headers"), encoding="utf-8") as file:
            self.installed = re.findall(r'"(ring/\w+\.h)"', re.search(r"^INSTALLED = .*$", file.read(), re.M).group(0))
        for header in self.installed:
            self.write(header, GOOD_HEADER)

    def test_good_header_passes(self):
        self.assertIn("ring/sluice.h", self.installed)
        self.assertIn(f"0 problem(s) in {len(self.installed)} headers", self.passes("headers"))

    def test_missing_include_fails(self):
        self.write("net/source.h", "#pragma once\nstatic inline uint32_t one(void)\n{\n    return 1;\n}\n")
        self.fails("headers", "net/source.h:1:", "uint32_t")

    def test_no_guard_fails(self):
        self.write("control/table.h", "struct control_table {\n    int a;\n};\n")
        self.fails("headers", "control/table.h:1:", "redefinition")

    def test_warning_fails(self):
        self.write("daq/server.h", "#pragma once\nvoid daq_server();\n")
        self.fails("headers", "daq/server.h:1:")

    def test_header_in_a_subfolder_is_found(self):
        self.write("tools/plant/plant.h", "#pragma once\nnonsense\n")
        self.fails("headers", "tools/plant/plant.h:1:")

    @unittest.skipUnless(shutil.which("g++") or shutil.which("clang++"), "no C++ compiler")
    def test_installed_header_that_is_not_cxx_fails(self):
        self.write("ring/sluice.h", "#pragma once\nint sluice_open(int class);\n")
        self.fails("headers", "ring/sluice.h:1:", "++")

    def test_installed_header_that_is_gone_fails(self):
        os.remove(os.path.join(self.root, "ring/sluice.h"))
        self.fails("headers", "ring/sluice.h", "does not exist")


@unittest.skipUnless(shutil.which("gcc") and shutil.which("nm"), "no gcc or nm")
class HotSymbols(Tree):
    def build(self, sources, flags=()):
        """As CMake would: FOLDER/CMakeFiles/TARGET.dir/REST.o, and the list."""
        self.write("build/release/hot_sources.txt", "".join(name + "\n" for name in sources))
        for name, text in sources.items():
            self.write(name, text)
            folder, rest = name.split("/", 1)
            target = os.path.join(self.root, "build/release", folder, f"CMakeFiles/sluice_{folder}.dir", rest + ".o")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            subprocess.run(
                ["gcc", "-O2", "-fPIC", "-w", *flags, "-c", os.path.join(self.root, name), "-o", target], check=True
            )

    def test_allowed_calls_pass(self):
        self.build({
            "ring/writer.c": "#include <string.h>\n#include <time.h>\nvoid w(void *a, void *b, unsigned long n)\n"
                             "{ struct timespec t; memcpy(a, b, n); clock_gettime(CLOCK_TAI, &t); }\n",
        })
        self.passes("hot-symbols")

    def test_call_into_another_hot_file_passes(self):
        self.build({
            "ring/writer.c": "int ring_writer_one(void) { return 1; }\n",
            "control/engine.c": "int ring_writer_one(void); int control_engine_run(void) { return ring_writer_one() + 1; }\n",
        })
        self.passes("hot-symbols")

    def test_malloc_fails(self):
        self.build({"ring/writer.c": "#include <stdlib.h>\nvoid *w(unsigned long n) { return malloc(n); }\n"})
        self.fails("hot-symbols", "ring/writer.c: calls malloc", "allocates")

    def test_lock_and_stdio_fail(self):
        self.build({
            "control/engine.c": "#include <pthread.h>\n#include <stdio.h>\n"
                                "void e(pthread_mutex_t *m) { pthread_mutex_lock(m); printf(\"%p\", (void *)m); }\n",
        })
        self.fails("hot-symbols", "control/engine.c: calls pthread_mutex_lock, which locks", "calls printf, which is stdio")

    def test_call_into_a_cold_file_of_ours_fails(self):
        self.build({"ring/writer.c": "int ring_create(void); int w(void) { return ring_create() + 1; }\n"})
        self.fails("hot-symbols", "ring/writer.c: calls ring_create", "HOT_SOURCES")

    def test_unknown_function_fails(self):
        self.build({"net/sequence.c": "int fetch(void); int s(void) { return fetch() + 1; }\n"})
        self.fails("hot-symbols", "net/sequence.c: calls fetch")

    def test_clock_in_the_engine_fails(self):
        self.build({
            "control/engine.c": "#include <time.h>\nvoid e(struct timespec *t) { clock_gettime(CLOCK_MONOTONIC, t); }\n",
        })
        self.fails("hot-symbols", "control/engine.c: calls clock_gettime")

    def test_alloca_fails(self):
        self.build({
            "ring/reader.c": "#include <alloca.h>\nvoid ring_use(void *);\n"
                             "// alloca(1) in a comment is fine\nvoid r(unsigned n) { ring_use(alloca(n)); }\n",
        })
        self.fails("hot-symbols", "ring/reader.c:4: calls alloca")

    def test_link_time_optimisation_fails(self):
        self.build({"ring/writer.c": "int ring_writer_one(void) { return 1; }\n"}, ["-flto", "-fno-fat-lto-objects"])
        self.fails("hot-symbols", "link-time optimisation")

    def test_source_without_object_fails(self):
        self.build({"ring/writer.c": "int ring_writer_one(void) { return 1; }\n"})
        self.write("build/release/hot_sources.txt", "ring/writer.c\nring/reader.c\nring/gone.c\n")
        self.write("ring/reader.c", "int ring_reader_one(void) { return 1; }\n")
        self.fails("hot-symbols", "ring/reader.c: has no object", "ring/gone.c: is in HOT_SOURCES but does not exist")

    def test_object_older_than_its_source_fails(self):
        self.build({"ring/writer.c": "int ring_writer_one(void) { return 1; }\n"})
        later = time.time() + 60
        os.utime(os.path.join(self.root, "ring/writer.c"), (later, later))
        self.fails("hot-symbols", "ring/writer.c: is newer than")

    def test_entry_without_a_reason_fails(self):
        self.build({"ring/writer.c": "int ring_writer_one(void) { return 1; }\n"})
        self.write("tools/checks/hot-symbols.txt", "* malloc\n")
        self.fails("hot-symbols", "hot-symbols.txt:1:", "reason")

    def test_not_built_fails(self):
        self.fails("hot-symbols", "hot_sources.txt", "build first")


class Text(Tree):
    # Written in two pieces, or this file would be found.
    BESIDE = "../shar" + "ed/data"

    def test_clean_text_passes(self):
        self.write("README.md", f"see /dev/shm and https://example.org{self.root}-more\n")
        self.passes("text")

    def test_path_of_the_tree_itself_fails(self):
        self.write("docs/notes.md", f"one\ncd {self.root}/ring\n")
        self.fails("text", "docs/notes.md:2:", "relative")

    def test_data_beside_the_tree(self):
        for name in ("tests/e2e/test_a.py", "tools/demo", "docs/data.md"):
            self.write(name, self.BESIDE)
        self.passes("text")
        self.write("daq/server.c", f'/* */\nopen("{self.BESIDE}");\n')
        self.fails("text", "daq/server.c:2:")

    def test_unfinished_merge_fails(self):
        self.write("ring/a.c", "int a;\n" + "<" * 7 + " HEAD\n")
        self.fails("text", "ring/a.c:2:", "merge")

    def test_binary_is_passed_over(self):
        with open(self.write("tests/fuzz/x", ""), "wb") as file:
            file.write(b"\0" + self.root.encode())
        self.passes("text")


class Requirements(Tree):
    LIST = "# Title\n\n- IL-001 One thing.\n- IL-002 Another.\n"

    def test_cited_ones_pass(self):
        self.write("control/REQUIREMENTS.md", self.LIST)
        self.write("tests/control/test_a.c", "/* IL-001 IL-002: both */\n")
        self.assertIn("2 requirements, cited in 2 places", self.passes("requirements"))

    def test_one_that_no_test_cites(self):
        self.write("control/REQUIREMENTS.md", self.LIST)
        self.write("tests/e2e/test_a.py", "# IL-001\n")
        self.write("control/engine.c", "/* IL-002: not a test */\n")
        self.fails("requirements", "control/REQUIREMENTS.md:4: no test cites IL-002")

    def test_one_that_does_not_exist(self):
        self.write("control/REQUIREMENTS.md", self.LIST)
        self.write("tests/control/test_a.c", "/* IL-001 IL-002 */\n\n/* IL-003 */\n")
        self.fails("requirements", "tests/control/test_a.c:3: cites IL-003")

    def test_twice_malformed_and_missing(self):
        self.fails("requirements", "control/REQUIREMENTS.md: is not there")
        self.write("control/REQUIREMENTS.md", self.LIST + "- IL-001 Again.\n- IL-12 Short.\n")
        self.write("tests/control/test_a.c", "/* IL-001 IL-002 */\n")
        self.fails("requirements", "IL-001 is there twice", "IL-12 is no id")


class Failures(Tree):
    def failures(self, text):
        path = self.write("tests.xml", text)
        return subprocess.run([sys.executable, os.path.join(CHECKS, "failures"), path], capture_output=True, text=True)

    def test_says_why_and_nothing_of_what_passed(self):
        noise = "sluiced: something\n" * 500
        done = self.failures(f"""<testsuite><testcase name="good"><system-out>ValueError: x</system-out></testcase>
<testcase name="e2e_bad"><failure message="Failed"/><system-out>{noise}FAIL: test_a (B)
  File "x.py", line 3
AssertionError: 1 != 2
{noise}Ran 1 test</system-out></testcase>
<testcase name="unit_bad"><failure message="SEGFAULT"/><system-out>[----] a.c:3: Assertion Failed</system-out></testcase>
<testcase name="silent"><failure/><system-out/></testcase></testsuite>""")
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("why e2e_bad failed: Failed\n    FAIL: test_a (B)\n    AssertionError: 1 != 2\n    sluiced", "Ran 1 test",
                      "why unit_bad failed: SEGFAULT\n    [----] a.c:3", "why silent failed\n"):
            self.assertIn(words, done.stdout)
        self.assertNotIn("ValueError", done.stdout)
        self.assertLess(len(done.stdout.split("\n")), 20)

    def test_no_such_file_or_not_xml(self):
        done = self.failures("<testsuite>")
        self.assertEqual(done.returncode, 2)
        self.assertIn("expected ctest's --output-junit", done.stderr)


class Scripts(Tree):
    def test_good_scripts_pass(self):
        self.write("tools/a", "#!/usr/bin/env bash\necho a\n", 0o755)
        self.write("tests/b.py", "print(1)\n")
        self.assertIn("2 scripts", self.passes("scripts"))
        self.assertFalse(os.path.exists(os.path.join(self.root, "tests/__pycache__")), "compiled Python in the tree")

    def test_bad_shell_fails(self):
        self.write("tools/a", "#!/bin/bash\nif true; then\n", 0o755)
        self.fails("scripts", "tools/a: does not parse as sh")

    def test_bad_python_without_ending_fails(self):
        self.write("tools/demo", "#!/usr/bin/env python3\ndef f(:\n", 0o755)
        self.fails("scripts", "tools/demo: does not parse as python")

    def test_program_that_may_not_be_executed_fails(self):
        self.write("tools/a", "#!/bin/sh\n", 0o644)
        self.fails("scripts", "tools/a:1:", "chmod")


@unittest.skipUnless(shutil.which("git"), "no git")
class Files(Tree):
    def git(self, *args):
        subprocess.run(["git", "-C", self.root, *args], check=True, capture_output=True)

    def names(self, *patterns):
        return self.passes("tree.py", *patterns).split("\n")[:-1]

    def test_untracked_counts_and_ignored_does_not(self):
        self.git("init")
        self.write(".gitignore", "/build/\n")
        for name in ("ring/a.c", "ring/b.h", "build/c.c", "new.c", "gone.c"):
            self.write(name, "")
        self.git("add", "ring/a.c", "gone.c")
        os.remove(os.path.join(self.root, "gone.c"))
        self.assertEqual(self.names("*.c"), ["new.c", "ring/a.c"])
        self.assertEqual(self.names("*.c", "*.h"), ["new.c", "ring/a.c", "ring/b.h"])

    def test_without_git(self):
        for name in ("ring/a.c", "build/c.c"):
            self.write(name, "")
        self.assertEqual(self.names("*.c"), ["ring/a.c"])


class Setup(Tree):
    """tools/setup with a pretended pool of huge pages and pretended Debian tools."""

    def setUp(self):
        super().setUp()
        self.copy("tools/setup")
        self.state = os.path.join(self.root, "state")

    def pool(self, total, free):
        self.write("pool/nr_hugepages", f"{total}\n")
        self.write("pool/free_hugepages", f"{free}\n")

    def total(self):
        with open(os.path.join(self.root, "pool/nr_hugepages"), encoding="ascii") as file:
            return int(file.read())

    def setup(self, *args, path=None):
        environment = dict(os.environ, SLUICE_HUGE_PAGES_DIR=os.path.join(self.root, "pool"))
        if path:
            environment["PATH"] = path + ":" + environment["PATH"]
        return subprocess.run(
            ["bash", os.path.join(self.root, "tools/setup"), *args],
            env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )

    @unittest.skipUnless(os.geteuid() == 0, "the pool is raised as root")
    def test_raises_and_restores(self):
        self.pool(10, 4)
        run = self.setup("--huge-pages", "16", "--state", self.state)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.total(), 22)  # 6 in use, 16 free
        self.assertEqual(self.setup("--restore-huge-pages", self.state).returncode, 0)
        self.assertEqual(self.total(), 10)
        self.assertFalse(os.path.exists(self.state))

    def test_never_lowers(self):
        self.pool(100, 80)
        self.assertEqual(self.setup("--huge-pages", "16", "--state", self.state).returncode, 0)
        self.assertEqual(self.total(), 100)

    @unittest.skipUnless(os.geteuid() == 0, "the pool is raised as root")
    def test_leaves_what_someone_else_changed(self):
        self.pool(0, 0)
        self.setup("--huge-pages", "16", "--state", self.state)
        self.pool(64, 64)
        self.assertIn("left alone", self.setup("--restore-huge-pages", self.state).stdout)
        self.assertEqual(self.total(), 64)

    @unittest.skipUnless(os.geteuid() == 0, "the pool is raised as root")
    def test_run_after_one_that_died_restores_the_first_value(self):
        self.pool(0, 0)
        self.setup("--huge-pages", "16", "--state", self.state)
        self.pool(16, 16)
        self.setup("--huge-pages", "16", "--state", self.state)
        self.setup("--restore-huge-pages", self.state)
        self.assertEqual(self.total(), 0)

    def test_without_huge_pages_says_what_it_costs(self):
        run = self.setup("--huge-pages", "16", "--state", self.state)
        self.assertEqual(run.returncode, 0)
        self.assertIn("13 against 20 GB/s", run.stdout)

    def test_wrong_number_fails(self):
        self.assertEqual(self.setup("--huge-pages", "many").returncode, 2)

    def fake(self, installed):
        """A dpkg-query that knows what is in a file, and an apt-get that writes its words down."""
        self.write("tools/packages.txt", "gcc   # one\nclang\n\n# ninja\n")
        self.write("installed", installed)
        self.write("bin/dpkg-query", f'#!/bin/sh\nsed "s/^/installed /" "{self.root}/installed"\n', 0o755)
        self.write("bin/sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n', 0o755)
        self.write("bin/apt-get", f'#!/bin/sh\necho "$@" >>"{self.root}/apt"\n[ "$1" = update ] && exit 0\nexit 100\n', 0o755)
        return os.path.join(self.root, "bin")

    def test_nothing_missing_calls_no_apt(self):
        run = self.setup(path=self.fake("gcc\nclang\n"))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.root, "apt")))

    def test_missing_is_installed_and_failure_is_told(self):
        run = self.setup(path=self.fake("gcc\n"))
        self.assertEqual(run.returncode, 1)
        self.assertIn("installing: clang", run.stdout)
        self.assertIn("could not install: clang", run.stderr)
        with open(os.path.join(self.root, "apt"), encoding="ascii") as file:
            words = file.read()
        self.assertIn("--no-install-recommends", words)
        self.assertNotIn("gcc", words)

    def test_not_wanted_where_the_command_is_there(self):
        path = self.fake("gcc\nclang\n")
        self.write("tools/packages.txt", "gcc\nshell unless sh   # one\nother unless no-such-command   # two\n")
        run = self.setup("--check", path=path)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("other", run.stdout)
        self.assertNotIn("shell", run.stdout)

    def test_check_only_tells(self):
        run = self.setup("--check", path=self.fake("clang\n"))
        self.assertEqual((run.returncode, run.stdout), (1, "setup: missing: gcc\n"))

    def test_sourced_runs_nothing(self):
        run = subprocess.run(
            ["bash", "-c", '. "$1"; false; echo "alive $(type -t setup_huge_pages) $-"', "bash",
             os.path.join(self.root, "tools/setup")], capture_output=True, text=True,
        )
        self.assertIn("alive function", run.stdout)


class Stages(Tree):
    """tools/test itself, in a tree whose clang-format is pretended."""

    def setUp(self):
        super().setUp()
        self.copy("tools/test", "tools/setup", "tools/checks")
        self.write("ring/a.c", "int a;\n")

    def command(self, *args):
        return ["bash", os.path.join(self.root, "tools/test"), *args]

    def environment(self):
        return dict(os.environ, PATH=os.path.join(self.root, "bin") + ":" + os.environ["PATH"])

    def run_test(self, *args):
        return subprocess.run(
            self.command(*args), env=self.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def test_failure_is_shown_and_does_not_stop_the_rest(self):
        self.write("bin/clang-format", "#!/bin/sh\necho the words of clang-format\nexit 1\n", 0o755)
        run = self.run_test("--stage", "layers", "--stage", "format")
        self.assertEqual(run.returncode, 1)
        self.assertIn("the words of clang-format", run.stdout)
        self.assertRegex(run.stdout, r"layers +passed")
        self.assertTrue(run.stdout.endswith("FAILED: format\n"), run.stdout)

    def test_passing_stage(self):
        run = self.run_test("--stage", "layers")
        self.assertEqual(run.returncode, 0, run.stdout)

    def test_skipped_is_loud_and_no_failure(self):
        run = self.run_test("--stage", "man")
        self.assertEqual(run.returncode, 0)
        self.assertIn("*** SKIPPED: no page", run.stdout)

    def test_what_needs_a_failed_stage_is_not_run_and_fails(self):
        run = self.run_test("--stage", "build-release", "--stage", "tests")  # no CMakeLists.txt here
        self.assertEqual(run.returncode, 1)
        self.assertIn("tests              NOT RUN: build-release failed", run.stdout)
        self.assertTrue(run.stdout.endswith("FAILED: build-release tests\n"), run.stdout)

    def test_unknown_stage_is_wrong_use(self):
        run = self.run_test("--stage", "nonsense")
        self.assertEqual(run.returncode, 2)
        self.assertIn("nonsense", run.stderr)

    def test_list_names_every_stage(self):
        names = [line.split()[0] for line in self.run_test("--list").stdout.splitlines()]
        self.assertEqual((names[0], names[-1]), ("packages", "tests"))

    def interrupt(self, number):
        mark = os.path.join(self.root, "pid")
        self.write("bin/clang-format", f'#!/bin/sh\nsleep 60 &\necho $! >"{mark}.new"; mv "{mark}.new" "{mark}"\nwait\n', 0o755)
        run = subprocess.Popen(
            self.command("--stage", "format"), env=self.environment(), stdout=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL,
        )
        self.addCleanup(run.stdout.close)
        deadline = time.monotonic() + 20
        while not os.path.exists(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        with open(mark, encoding="ascii") as file:
            pid = int(file.read())
        run.send_signal(number)
        self.assertEqual(run.wait(20), 130)
        self.assertIn("interrupted", run.stdout.read())
        deadline = time.monotonic() + 5
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(alive(pid), "the stage's own process outlived it")

    def test_interrupt_ends_the_stage(self):
        self.interrupt(signal.SIGINT)

    def test_terminate_ends_the_stage(self):
        self.interrupt(signal.SIGTERM)

    def test_two_runs_do_not_share_a_tree(self):
        os.makedirs(os.path.join(self.root, "build/test"))
        lock = os.path.join(self.root, "build/test/lock")
        with subprocess.Popen(["flock", lock, "sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            run = self.run_test("--stage", "layers")
            other.communicate(b"\n")
        self.assertEqual(run.returncode, 1)
        self.assertIn("another run", run.stderr)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    unittest.main()
