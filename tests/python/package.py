"""What the package's tests share: the package as it was built, a stand whose rings hold what a test puts there, programs
that run as processes of their own."""
import contextlib
import os
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.environ.get("PYTHONPATH", "").split(":")[0] or os.path.join(ROOT, "build/release/python")
sys.path[:0] = [os.path.join(ROOT, "tests/e2e"), os.path.join(ROOT, "tests/support"), PACKAGE]

import support  # noqa: E402
from ring_stand import RingStand  # noqa: E402

import sluice  # noqa: E402

PATIENCE_S = support.PATIENCE_S
STEP_NS = 1_000_000  # between the stand's frames, where a test says when they are


class Case(support.Case):
    """The package looks where the test's servers stand."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.run_dir, exist_ok=True)
        before = os.environ.get("SLUICE_RUN_DIR")
        os.environ["SLUICE_RUN_DIR"] = self.run_dir
        self.addCleanup(lambda: os.environ.pop("SLUICE_RUN_DIR") if before is None
                        else os.environ.update(SLUICE_RUN_DIR=before))

    def stand(self, *rings, name=None):
        """A RingStand; rings are made by these commands."""
        stand = RingStand(name or self.instance, support.BIN, self.run_dir)
        self.addCleanup(self._end_stand, stand)
        for command in rings:
            stand(command)
        return stand

    @staticmethod
    def _end_stand(stand):
        if not stand.process.stdout.closed:
            stand.end()

    def usual(self, slots=64):
        """A ring `tvac` of two channels: pressure p + 0.25 kPa, and the number 2 p of which 0.01 is a degC."""
        return self.stand("channel pressure f64 le 0 kPa 1 0 0 500", "channel temperature i16 be 8 degC 0.01 0 -200 300",
                          f"ring tvac {slots} 128 64 32 1000")

    def attach(self, name=None):
        server = sluice.attach(name or self.instance)
        self.addCleanup(server.close)
        return server

    def follow(self, ring="tvac", server=None, **options):
        """A Reader, closed at the end of the test."""
        reader = (server or self.attach())[ring].follow(**options)
        self.addCleanup(self._close, reader)
        return reader

    @staticmethod
    def _close(reader):
        with contextlib.suppress(RuntimeError):  # a thread of a test that failed waits in it
            reader.close()

    def raises(self, kind, *words):
        return _Raises(self, kind, words)

    def program(self, text, *arguments, before=(), lazy=False, **options):
        """A Python program as a process of its own, with the package; its text begins with `import sluice`, unless lazy."""
        path = self.path(f"program{self.count()}.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write("import os, sys, time\n" + ("" if lazy else "import sluice\n") + text)
        environment = {**self.environment, "PYTHONPATH": PACKAGE, **options.pop("environment", {})}
        process = subprocess.Popen([*before, support.PYTHON, "-B", path, *map(str, arguments)], env=environment,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=options.pop("preexec", support.die_with_parent), **options)
        self.addCleanup(self._end_program, process)
        return process

    @staticmethod
    def _end_program(process):
        support.stop(process)
        process.stdin.close()

    def done(self, process, code=0):
        """What a program said, once it has ended."""
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, code, f"{out}\n{err}")
        return out, err


class _Raises:
    """As assertRaises, and the message has these words."""

    def __init__(self, case, kind, words):
        self.case, self.kind, self.words = case, kind, words

    def __enter__(self):
        self.context = self.case.assertRaises(self.kind)
        self.caught = self.context.__enter__()
        return self.caught

    def __exit__(self, *what):
        done = self.context.__exit__(*what)
        if what[0] is not None and done:
            for word in self.words:
                self.case.assertIn(word, str(self.caught.exception))
        return done


main = support.main
