"""What the bench says, and how it fails."""
import sys


class BenchError(Exception):
    """The bench itself cannot go on: exit code 2."""


class Unavailable(BenchError):
    """Something from outside cannot be had: no network, no room, no such version. With --or-skip the run is skipped."""


def say(text):
    print(f"hil: {text}", file=sys.stderr, flush=True)


def megabytes(size):
    return f"{size / 1e6:.1f} MB"
