"""No fork() while a connection is being made: the child would hold the other end of it, and the server would not see the
parent's end."""
from __future__ import annotations

import contextlib
import os
import threading
from typing import Iterator

from . import _sluice
from .errors import Forked


class _State:
    """Changed by os.fork()'s hooks and by connecting() only. A handler of a signal that comes meanwhile may come here again,
    in the same thread: it never waits for itself."""

    def __init__(self, connecting: int = 0) -> None:
        self.changed = threading.Condition()  # its lock may be taken again by the same thread
        self.connecting = connecting  # how many times, in all threads
        self.forking = 0


_state = _State()
_own = threading.local()


def _mine() -> int:
    return getattr(_own, "connecting", 0)


@contextlib.contextmanager
def connecting() -> "Iterator[None]":
    """Around whatever makes a connection. A fork() of another thread waits for its end."""
    pid = os.getpid()
    with _state.changed:
        while _state.forking and not _mine():
            _state.changed.wait()
        _state.connecting += 1
        _own.connecting = _mine() + 1
    try:
        yield
        if os.getpid() != pid:  # a signal's handler forked, and we are in the child
            raise Forked("fork() came while this connection was being made: it belongs to the parent; attach again in the child")
    finally:
        with _state.changed:
            _state.connecting -= 1
            _own.connecting -= 1
            _state.changed.notify_all()


def _before() -> None:
    with _state.changed:
        _state.forking += 1
        while _state.connecting > _mine():
            _state.changed.wait()


def _after_in_parent() -> None:
    with _state.changed:
        _state.forking = max(_state.forking - 1, 0)
        _state.changed.notify_all()


def _after_in_child() -> None:
    global _state
    _state = _State(_mine())
    _sluice.after_fork_in_child()


def register() -> None:
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
