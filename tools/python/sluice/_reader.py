"""Readers: what iterates, waits and stands in event loops."""
from __future__ import annotations

import time as _time
from types import MappingProxyType
from typing import TYPE_CHECKING, Mapping

import numpy as np

from . import _sluice
from ._arrays import Source
from ._batch import Batch
from ._describe import Channel, Gap, tai_ns, whole
from ._fork import connecting

if TYPE_CHECKING:
    from ._server import Ring

__all__ = ["Reader"]

OLDEST, NEWEST, AT_TIME, AT_SEQUENCE, AT_POSITION = 1, 2, 3, 4, 5
_MODES = {"observer": 1, "gating": 2}
_STATES = ("unknown", "observer", "gating", "demoted", "evicted")
_SLEEP_S = 1.0  # then look again, whatever the server says or does not say


def nanoseconds(seconds: float | None) -> int:
    """Of a time-out; -1: for ever, which thirty years are, too, and infinity. Less than 0 is 0."""
    if seconds is None:
        return -1
    if isinstance(seconds, (str, bytes)) or seconds != seconds:
        raise ValueError(f"expected a time-out in seconds or None, found {seconds!r}")
    return -1 if seconds >= 1e9 else round(max(0.0, float(seconds)) * 1e9)


def where(start, at, sequence, position, utc_offset_s: int) -> tuple[int, int]:
    """(enum sluice_start, at) of what a user chose."""
    given = [x for x in (at, sequence, position) if x is not None]
    if len(given) > 1 or (given and start not in (None, "newest")):
        raise ValueError("expected one of start, at, sequence and position, found several")
    if sequence is not None:
        return AT_SEQUENCE, whole(sequence, "a sequence")
    if position is not None:
        return AT_POSITION, whole(position, "a position")
    moment = at if at is not None else start
    if moment is None or (isinstance(moment, str) and moment == "newest"):
        return NEWEST, 0
    if isinstance(moment, str):
        if moment != "oldest":
            raise ValueError(f"expected start of 'newest', 'oldest' or a moment, found '{moment}'")
        return OLDEST, 0
    return AT_TIME, tai_ns(moment, utc_offset_s)


class Reader(_sluice.Reader):
    """Reads one ring on, batch by batch: an iterator, an asynchronous iterator, and a context manager.

    It never slows the ring's writer (mode "observer"), or not for longer than the ring grants ("gating"). A batch has frames,
    unless follow(gaps=True) asked for gap records at once, or so many of them wait (4096) that they come by themselves. Any
    number of readers in a process. Not to be used in a child of fork().

    One thread at a time. RuntimeError is raised to a thread that uses the reader while another waits in it, or while another,
    which used it last, still has a batch in hand: one with frames that was not asked valid(), overwritten() or copy() after
    the last look at it. To hand a reader over, ask one of these last, release() the reader, or end the thread. What is not
    seen: looks at arrays that were taken out of a batch before. close() is everybody's: a thread that waits gets Closed.
    """

    __slots__ = ("__weakref__", "ring", "_awaiting", "_waiter")

    ring: Ring  #: that it reads
    _awaiting: bool
    _waiter: tuple | None  # (loop, descriptor, future) of the task that waits
    position: int
    lost: int
    epoch: int
    closed: bool
    gaps: tuple[Gap, ...]
    max_frames: int

    if TYPE_CHECKING:

        def __iter__(self) -> Reader: ...
        def __next__(self) -> Batch: ...
        def batch(self, max_frames: int = ...) -> Batch | None: ...

    def __reduce__(self):
        raise TypeError("a Reader belongs to the process that attached it: follow() the ring in the other one, from "
                        "reader.position on")

    def __repr__(self) -> str:
        return (f"<sluice.Reader of '{self.ring.name}': {'closed' if self.closed else self.state}, position {self.position}, "
                f"{self.lost} lost>")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:  # else that is told already
                self._finish()
        finally:
            self.close()

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, *what) -> None:
        self.__exit__(*what)

    def close(self) -> None:
        """Gives the server's place back at once. What of the last batch was overwritten, unasked, counts in lost. Arrays stay
        readable; twice is fine. Any thread: whoever waits in it, a thread or a task, gets Closed at once. (If that is a task of
        another thread's event loop, it is closed there, in that loop's next turn.)"""
        if self._waiter is None or self._wake():
            super().close()

    @property
    def state(self) -> str:
        """"observer", or what a gating reader has become: "gating", "demoted" (it held the writer up for too long and is an
        observer now), "evicted" (its place was given away)."""
        return _STATES[self._state]

    @property
    def channels(self) -> Mapping[str, Channel]:
        """name -> Channel, as this ring had them when the reader attached."""
        return MappingProxyType(self._source.layout.channels)

    @property
    def dtype(self) -> np.dtype:
        """Of batch.raw."""
        return self._source.layout.dtype

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until something new is there: True, or False after so many seconds (None: for ever). Spins for as long as
        follow() was told, then sleeps. Gives back what was handed out. Raises ServerGone, Evicted."""
        return self._wait(nanoseconds(timeout))

    def seek(self, start=None, *, at=None, sequence=None, position=None) -> int:
        """Moves to another place, given as to Ring.follow(); to the end if nothing there is as new as that. A gating reader
        only moves forward. What has been overwritten from that position or number on is lost, and counted. Returns the
        position."""
        return self._seek(*where(start, at, sequence, position, self.ring.utc_offset_s), True)

    def _newest_frame_time(self) -> int:
        """TAI ns of the newest frame before the end of iteration, from which seconds are counted back: gap records may stand
        behind it, long after it. Of the newest of them where there is nothing else; 0 of nothing. Moves."""
        end, back = self._end, 1
        while True:
            self._seek(AT_POSITION, max(end - back, 0))
            start, found = self.position, 0
            for batch in self:
                if len(batch):
                    time = int(batch.time[-1])
                    found = time if batch.valid() else found
            if found or start > end - back or start == 0:
                return found or self._progress()[3]
            back *= 4

    def _empty(self, gaps: tuple[Gap, ...], lost: int) -> Batch:
        """A copy of nothing, here."""
        return _sluice.empty(self, gaps, lost).copy()

    # ---- asyncio.

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Batch:
        batch = self.batch()
        while batch is None:
            if self.position >= self._end or not await self._until_new():
                raise StopAsyncIteration
            batch = self.batch()
            if batch is None:  # overwritten again and again: the loop goes on meanwhile
                import asyncio

                await asyncio.sleep(0)
        return batch

    async def _until_new(self) -> bool:
        """As wait() with follow()'s time-out, without keeping the loop."""
        if self._awaiting:
            raise RuntimeError("another task waits in this reader: one task at a time, or a reader for each")
        import asyncio  # it takes longer to import than all of this package

        loop = asyncio.get_running_loop()
        deadline = None if self._timeout_ns < 0 else _time.monotonic() + self._timeout_ns / 1e9
        self._awaiting = True
        try:
            while not self.arm():
                left = _SLEEP_S if deadline is None else min(deadline - _time.monotonic(), _SLEEP_S)
                if left <= 0:
                    return False
                await self._readable(loop, left)
            return True
        finally:
            self._awaiting = False

    async def _readable(self, loop, seconds: float) -> None:
        fd = self.fileno()
        ready = loop.create_future()

        def done() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(fd, done)
        timer = loop.call_later(seconds, done)
        self._waiter = loop, fd, ready
        try:
            await ready
        finally:
            timer.cancel()
            if self._waiter is not None:  # else that was done before the descriptor was closed: it may be another's by now
                self._waiter = None
                loop.remove_reader(fd)

    def _wake(self) -> bool:
        """Before the descriptor is closed: its number may be another reader's in the same loop soon. False: another thread's
        loop was told to close it."""
        import asyncio

        assert self._waiter is not None
        loop, fd, ready = self._waiter
        if not loop.is_closed():
            if loop.is_running() and asyncio._get_running_loop() is not loop:
                try:
                    loop.call_soon_threadsafe(self.close)
                    return False
                except RuntimeError:  # it was closed in this moment
                    self._waiter = None
                    return True
            loop.remove_reader(fd)
            if not ready.done():
                ready.set_result(None)
        self._waiter = None
        return True


def open_reader(ring: Ring, place: tuple[int, int], mode: str = "observer", deadline_ms: int = 0) -> Reader:
    if mode not in _MODES:
        raise ValueError(f"expected mode 'observer' or 'gating', found '{mode}'")
    with connecting():
        reader = _sluice.open_reader(Reader, Batch, Gap, ring.instance, ring.name, _MODES[mode], place[0], place[1], deadline_ms)
    reader._awaiting = False
    reader._waiter = None
    reader.ring = ring
    try:
        layout = ring._layout_of(reader._describe())
    except BaseException:
        reader.close()
        raise
    reader._source = Source(layout, reader._memory, layout.facts.slots)
    return reader
