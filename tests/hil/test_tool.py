#!/usr/bin/env python3
"""tools/hil itself, on this machine: what it says when something is wrong, and that it leaves nothing behind. Boots small
guests where it must; without Debian's packages those cases are skipped."""
import contextlib
import fcntl
import glob
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HIL = str(ROOT / "tools/hil")
sys.path[:0] = [str(ROOT / "tools/hil.d"), str(ROOT / "tests/e2e")]

import packages  # noqa: E402, the path comes first
import support  # noqa: E402
from support import wait_until  # noqa: E402
from words import BenchError, Unavailable  # noqa: E402

LOCK = ROOT / "build/hil/lock"
RUN_PATIENCE_S = 300
GOOD_LINE = f"guest busybox-static 1:1.35.0-4 amd64 928188 {'0' * 64}\n"


def hil(*arguments, **environment):
    return subprocess.run([HIL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_PATIENCE_S,
                          env={**os.environ, **environment}, check=False)


def has_packages():
    """Whether the cache is filled, so that guests can boot without a network."""
    return hil("--fetch", "--or-skip").returncode == 0


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-hiltool-"))
        self.addCleanup(shutil.rmtree, self.folder, True)

    def stand_in(self, name, text):
        """A program of this name, first in PATH."""
        programs = self.folder / "programs"
        programs.mkdir(exist_ok=True)
        path = programs / name
        path.write_text(text, encoding="ascii")
        path.chmod(0o755)
        return f"{programs}:{os.environ['PATH']}"


class CommandLine(unittest.TestCase):
    def assert_refused(self, words, *arguments):
        run = hil(*arguments)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertRegex(run.stderr, words)
        self.assertEqual(run.stdout, "")

    def test_wrong_use(self):
        self.assert_refused("--guest.*'nosuch'.*choose from 'valves'", "--guest", "nosuch")
        self.assert_refused("--kernel.*'arm'.*choose from 'amd64', 'rt'", "--kernel", "arm")
        self.assert_refused("--jobs: expected 1 to 16, found 0", "--jobs", "0")
        self.assert_refused("--break.*'everything'", "--break", "everything")
        self.assert_refused("unrecognized arguments: --fast", "--fast")
        self.assert_refused("factor of 0.1 to 100, found 0", "--patience", "0")

    def test_help_and_list(self):
        run = hil("--help")
        self.assertEqual(run.returncode, 0)
        for option in ("--kernel", "--shell", "--or-skip", "--repin", "--break"):
            self.assertIn(option, run.stdout)
        run = hil("--list")
        self.assertEqual(run.returncode, 0)
        self.assertRegex(run.stdout, "(?m)^valves +the bench itself")


class Packages(Folder):
    """An empty or spoilt cache, with stand-ins for apt-get: no network is asked."""

    NO_NETWORK = '#!/bin/sh\necho "E: Failed to fetch x  Temporary failure resolving" >&2\nexit 100\n'

    def cache(self):
        return str(self.folder / "cache")

    def test_no_network(self):
        path = self.stand_in("apt-get", self.NO_NETWORK)
        run = hil("--fetch", SLUICE_HIL_CACHE=self.cache(), PATH=path)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertRegex(run.stderr, r"downloading \d+ packages, \d+\.\d MB, to .*cache/debs")
        self.assertRegex(run.stderr, "cannot download the pinned packages: E: Failed to fetch .*No network\\? Then copy them to")
        self.assertEqual(list((self.folder / "cache/trees").iterdir()), [], "nothing half-done")
        run = hil("--or-skip", "--no-build", SLUICE_HIL_CACHE=self.cache(), PATH=path)
        self.assertEqual(run.returncode, 77, run.stderr)
        self.assertIn("SKIPPED: cannot download", run.stderr)

    def test_apt_brings_nothing(self):
        run = hil("--fetch", SLUICE_HIL_CACHE=self.cache(), PATH=self.stand_in("apt-get", "#!/bin/sh\nexit 0\n"))
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertRegex(run.stderr, r"expected apt-get to bring .*\.deb, found \[\]")

    def test_other_bytes_than_pinned(self):
        """As a kernel of another build under the right name: not unpacked, and not kept."""
        pins = packages.read_pins()
        cache = packages.Cache(self.cache(), pins)
        pin = min(pins, key=lambda one: one.bytes)
        (cache.debs / pin.file).write_bytes(b"x" * pin.bytes)
        path = self.stand_in("apt-get", self.NO_NETWORK)
        with unittest.mock.patch.dict(os.environ, PATH=path), contextlib.redirect_stderr(self.sink()):
            with self.assertRaisesRegex(Unavailable, "cannot download"):
                cache.unpack(pin, self.folder)
        self.assertFalse((cache.debs / pin.file).exists())

    def test_download_with_wrong_bytes(self):
        """A mirror that lies, or a package that was built anew."""
        pin = packages.Pin("guest", "thing", "1:2", "amd64", 5, "1" * 64)
        cache = packages.Cache(self.cache(), [pin])
        path = self.stand_in("apt-get", "#!/bin/sh\nprintf 12345 >thing_1%3a2_amd64.deb\n")
        with unittest.mock.patch.dict(os.environ, PATH=path), contextlib.redirect_stderr(self.sink()):
            with self.assertRaisesRegex(Unavailable, f"expected the SHA-256 {'1' * 64}.*found [0-9a-f]+; it is not used"):
                cache.fetch([pin])
        self.assertEqual(list(cache.debs.iterdir()), [])

    def test_a_tree_of_another_version_is_not_taken(self):
        cache = packages.Cache(self.cache(), [])
        for version in ("6.1.0-1", "6.1.0-2"):
            tree = cache.tree("kernel", packages.digest_of(version), 1,
                              lambda folder, v=version: (folder / "vmlinux").write_text(v, encoding="ascii"))
            self.assertEqual((tree / "vmlinux").read_text(encoding="ascii"), version)

    def test_a_tree_that_lost_a_file_is_made_again(self):
        cache = packages.Cache(self.cache(), [])
        made = []

        def make(folder):
            made.append(folder)
            (folder / "qemu").write_bytes(b"program")

        tree = cache.tree("qemu", "1", 1, make)
        cache.tree("qemu", "1", 1, make)
        self.assertEqual(len(made), 1)
        (tree / "qemu").unlink()
        with contextlib.redirect_stderr(self.sink()) as words:
            cache.tree("qemu", "1", 1, make)
        self.assertEqual(len(made), 2)
        self.assertTrue((tree / "qemu").exists())
        words.seek(0)
        self.assertRegex(words.read(), "expected .*qemu of 7 bytes, found none: making its folder again")

    def sink(self):
        file = open(self.folder / "words", "w+", encoding="utf-8")  # pylint: disable=consider-using-with
        self.addCleanup(file.close)
        return file

    def test_no_room(self):
        cache = packages.Cache(self.cache(), [])
        with self.assertRaisesRegex(Unavailable, r"no room for a kernel: expected \d+\.\d MB free in .*, found"):
            packages.need_space(cache.debs, 1 << 60, "a kernel")

    def test_the_disk_is_full_while_it_is_written(self):
        """A tree appears whole or not at all."""
        cache = packages.Cache(self.cache(), [])

        def make(folder):
            (folder / "half").write_bytes(b"half")
            raise OSError(28, "No space left on device")

        with self.assertRaisesRegex(Unavailable, "cannot make .*No space left on device"):
            cache.tree("kernel", "1", 1, make)
        self.assertEqual(list(cache.trees.iterdir()), [])

    def test_the_cache_cannot_be_written(self):
        (self.folder / "file").write_bytes(b"")
        run = hil("--fetch", SLUICE_HIL_CACHE=str(self.folder / "file" / "cache"))
        self.assertEqual(run.returncode, 2)
        self.assertRegex(run.stderr, "cannot keep packages in .*: Not a directory; name another folder in SLUICE_HIL_CACHE")

    def test_wrong_lines(self):
        path = self.folder / "packages.txt"
        for line in ("guest busybox-static 1:1.35.0-4 amd64 928188\n", GOOD_LINE.replace("928188", "many"), "?\n"):
            path.write_text(GOOD_LINE + line, encoding="ascii")
            with self.assertRaisesRegex(BenchError, r"packages.txt:2: expected GROUP PACKAGE VERSION .*--repin"):
                packages.read_pins(path)

    def test_killed_while_it_filled_the_cache(self):
        cache = packages.Cache(self.cache(), [])
        (cache.trees / "part-x").mkdir()
        (cache.debs / "part-y").mkdir()
        with cache.locked():
            self.assertEqual(list(cache.trees.iterdir()) + list(cache.debs.iterdir()), [])

    def test_two_fill_it_at_once(self):
        cache = packages.Cache(self.cache(), [])
        path = self.stand_in("apt-get", self.NO_NETWORK)
        with cache.locked():
            run = subprocess.Popen([HIL, "--fetch"], stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "SLUICE_HIL_CACHE": self.cache(), "PATH": path})
            self.addCleanup(support.stop, run)
            self.assertRegex(run.stderr.readline(), "another run fills .*; waiting for it")
        self.assertIn("downloading", run.stderr.readline())
        self.assertEqual(run.wait(RUN_PATIENCE_S), 2)


@unittest.skipUnless(has_packages(), "NO GUEST WAS BOOTED: Debian's packages cannot be had (tools/hil --fetch says why)")
class Runs(unittest.TestCase):
    def start(self, *arguments):
        run = subprocess.Popen([HIL, "--no-build", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        self.addCleanup(support.stop, run)
        return run

    def lines_until(self, run, pattern):
        seen = []
        for line in run.stdout:
            seen.append(line)
            if re.search(pattern, line):
                return "".join(seen)
        return self.fail(f"expected {pattern}, found {''.join(seen)}")

    def assert_nothing_left(self, run, machines):
        wait_until(lambda: not any(support.exists(pid) for pid in machines), "the end of QEMU")
        self.assertEqual(glob.glob(f"{tempfile.gettempdir()}/sluice-hil-{run.pid}-*"), [])

    def machines(self, run):
        return wait_until(lambda: [pid for pid, name in support.children(run.pid).items() if "qemu" in name], "QEMU to start")

    def test_interrupted(self):
        run = self.start("--guest", "valves")
        machines = self.machines(run)
        run.send_signal(signal.SIGINT)
        self.assertEqual(run.wait(60), 130)
        self.assertIn("interrupted", run.stdout.read())
        self.assert_nothing_left(run, machines)

    def test_killed(self):
        """QEMU dies with it; the next run removes the folder."""
        run = self.start("--guest", "valves")
        machines = self.machines(run)
        run.kill()
        run.wait(60)
        wait_until(lambda: not any(support.exists(pid) for pid in machines), "the end of QEMU")
        self.assertEqual(hil("--no-build", "--guest", "valves", "--only", "test_unknown").returncode, 0)
        self.assert_nothing_left(run, machines)

    def test_qemu_dies(self):
        run = self.start("--guest", "valves")
        machine = self.machines(run)[0]
        self.lines_until(run, "^ok 1 ")
        os.kill(machine, signal.SIGKILL)
        words = self.lines_until(run, r"^# \d+ passed, \d+ failed")
        self.assertEqual(run.wait(60), 1)
        self.assertRegex(words, "not ok .* - valves: the guest itself")
        self.assertRegex(words, "the guest ended before its tests did")

    def test_a_guest_that_hangs(self):
        run = hil("--no-build", "--guest", "valves", "--break", "guest", "--patience", "0.1")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, r"(?m)^not ok 1 - valves: the guest itself")
        self.assertRegex(run.stdout, r"not done after 15 s\n#   the end of .*build/hil/amd64/valves.console:")
        self.assertTrue((ROOT / "build/hil/amd64/valves.console").exists())

    def test_a_broken_stand_in_fails_its_test(self):
        run = hil("--no-build", "--guest", "valves", "--break", "bench", "--only", "Loopback")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, "(?m)^not ok 1 - valves: test_bench.Loopback.test_udp")
        self.assertRegex(run.stdout, "(?m)^# 0 passed, 1 failed, 0 skipped")

    def test_no_test_of_that_name(self):
        run = hil("--no-build", "--guest", "valves", "--only", "nosuchtest")
        self.assertEqual(run.returncode, 2, run.stdout)
        self.assertIn("no test has a name with nosuchtest", run.stderr)

    def test_two_runs_in_one_tree(self):
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        with open(LOCK, "a+", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run = self.start("--guest", "valves", "--only", "test_unknown")
            self.lines_until(run, r"another run works in this tree \(process .*\); waiting for it")
        self.lines_until(run, "^# 1 passed, 0 failed")
        self.assertEqual(run.wait(60), 0)

    def test_shell(self):
        """On a terminal, as a person has it: a prompt, a command, 'exit' powers off."""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(HIL, [HIL, "--no-build", "--shell", "valves"])
        seen = b""

        def until(words):
            nonlocal seen
            deadline = time.monotonic() + RUN_PATIENCE_S
            while words not in seen:
                ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
                self.assertTrue(ready, seen[-2000:])
                seen += os.read(terminal, 4096)
            seen = seen.split(words, 1)[1]

        try:
            until(b"# ")
            os.write(terminal, b"echo $((6 * 7)) $(ls /sluice/tests/hil/test_bench.py)\r")
            until(b"42 /sluice/tests/hil/test_bench.py")
            os.write(terminal, b"python3 -B run.py test_bench.Modules.test_unknown\r")
            until(b"ok test_bench.Modules.test_unknown")
            os.write(terminal, b"exit\r")
            _, status = os.waitpid(child, 0)
            self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        finally:
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                os.kill(child, signal.SIGTERM)
                os.waitpid(child, 0)
            os.close(terminal)


if __name__ == "__main__":
    import unittest.mock

    support.main()
