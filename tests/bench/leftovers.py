"""What a bench must not leave behind. Its tests are subreapers: whatever outlives its parent becomes a child of theirs."""
import os
import time


def child_is_left(seconds):
    """Whether there still is a child when so long has been waited for all of them to end."""
    end = time.monotonic() + seconds
    left = True
    while left and time.monotonic() < end:
        try:
            left = os.waitpid(-1, os.WNOHANG) is not None
        except ChildProcessError:
            left = False
        time.sleep(0.01)
    return left


def children(pid):
    """Of a process that may have ended; its first thread's."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []
