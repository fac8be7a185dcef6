#!/usr/bin/env python3
"""Runs tests in a guest of the hardware bench and reports each over the line to the host.

With no argument: what the host asks for. By hand in a guest's shell: run.py test_bench [test_bench.Modules.test_vcan ..]
"""
import os
import sys
import time
import traceback
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import guest  # noqa: E402, the path comes first

WHY_CHARACTERS = 6000


class Reporter(unittest.TestResult):
    """One line to the host for each test; the same on the console."""

    def startTest(self, test):
        super().startTest(test)
        self._from_s = time.monotonic()
        self._said = False

    def _report(self, test, is_ok, why=""):
        if self._said and is_ok:
            return
        self._said = True
        name = test.id()
        since_s = time.monotonic() - getattr(self, "_from_s", time.monotonic())
        guest.tell(test=name, ok=is_ok, why=why[-WHY_CHARACTERS:], s=round(since_s, 2))
        print(f"{ {True: 'ok', False: 'FAILED', None: 'skipped'}[is_ok]} {name} {why}", flush=True)

    def addSuccess(self, test):
        self._report(test, True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._report(test, False, self._words(err))

    def addError(self, test, err):
        super().addError(test, err)
        self._report(test, False, self._words(err))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._report(test, None, reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._report(subtest, False, self._words(err))
            self._said = True

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._report(test, True)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._report(test, False, "passed, and was expected to fail")

    @staticmethod
    def _words(err):
        """Without the frames of unittest itself: of those the reader has seen enough."""
        kind, value, frames = err
        while frames is not None and "__unittest" in frames.tb_frame.f_globals:
            frames = frames.tb_next
        return "".join(traceback.format_exception(kind, value, frames))


def chosen(suite, only):
    """The tests of a suite whose name has one of the words, all if there are none."""
    found = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            found.addTests(chosen(test, only))
        elif not only or any(word in test.id() for word in only):
            found.addTest(test)
    return found


def main():
    by_hand = sys.argv[1:]
    asked = {"tests": by_hand, "only": []} if by_hand else guest.run()
    if not by_hand and guest.is_broken("guest"):
        time.sleep(3600)
    loader = unittest.TestLoader()
    suite = chosen(loader.loadTestsFromNames(asked["tests"]), asked["only"])
    guest.tell(begin=suite.countTestCases())
    result = Reporter()
    suite.run(result)
    guest.tell(done=True)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
