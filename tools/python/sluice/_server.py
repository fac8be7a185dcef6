"""A running server, and its rings without reading them."""
from __future__ import annotations

import weakref
from types import MappingProxyType
from typing import Iterator, Mapping, NamedTuple

import numpy as np

from . import _sluice
from ._arrays import near
from ._batch import Batch
from ._describe import Channel, Gap, Layout, Ledger, Progress, Rate, Stream, Time, tai_ns, whole
from ._fork import connecting
from ._reader import AT_POSITION, AT_TIME, NEWEST, OLDEST, Reader, nanoseconds, open_reader, where
from .errors import Closed, NoSuchRing, NotInRing, ServerGone

__all__ = ["Histogram", "Process", "Ring", "Server", "attach", "instances"]

_HISTOGRAM, _COUNTER, _GAUGE, _STATE = 1, 2, 3, 4
_COPY_FRAMES = 4096  # at once, for last(): what the writer takes back meanwhile is little


class Process(NamedTuple):
    """One of the server's processes."""

    name: str
    pid: int  #: 0: it does not run
    started_time: int  #: TAI ns
    heartbeats: int
    heartbeat_ns: int  #: CLOCK_MONOTONIC of the last one
    core: int  #: pinned to; -1: to none
    policy: int  #: 0 SCHED_OTHER, 1 SCHED_FIFO
    priority: int
    is_locked: bool  #: its memory is
    is_sealed: bool  #: only listed system calls from here on
    refusals: int  #: things that the system refused it
    stalls: int  #: times its loop did not come round for 250 us
    stall_ns: int
    stall_ns_max: int


class Histogram(NamedTuple):
    """A copy of one of the server's histograms of durations."""

    name: str
    count: int  # type: ignore[assignment]
    max_ns: int  #: exact
    sum_ns: int
    late: int  #: values above limit_ns
    limit_ns: int  #: 0: none
    period_ns: int  #: the schedule that it should keep; 0: none, or not known
    data: bytes  #: the buckets as they lie in memory

    @property
    def mean_ns(self) -> float:
        """NaN if it is empty."""
        return self.sum_ns / self.count if self.count else float("nan")

    def quantile_ns(self, q: float) -> int:
        """The lowest value that at least the fraction q (0 .. 1) of all are not above, at most 1/32 too high; 0 if empty."""
        return _sluice.histogram_quantile(self.count, self.max_ns, self.data, q)

    @property
    def buckets(self) -> tuple[np.ndarray, np.ndarray]:
        """(high_ns, counts), uint64 [1152] each: counts[i] values were at most high_ns[i], and above high_ns[i - 1]."""
        return np.frombuffer(_sluice.histogram_highs(), "<u8"), np.frombuffer(self.data, "<u8")


class _Attached:
    """What a server and its rings share: neither keeps the other alive, so that both go at once when they are dropped."""

    __slots__ = ("core", "instance", "readers")

    def __init__(self, instance: str | None) -> None:
        with connecting():
            self.core = _sluice.open_server(instance)
        self.instance: str = self.core.instance()
        self.readers: weakref.WeakSet[Reader] = weakref.WeakSet()

    def check(self) -> None:
        self.core.rings()

    def now(self, ring: str | None = None) -> _sluice.Server:
        """What is asked for facts that change: of a server that has ended these are the last, but not once another one
        writes what they are taken for."""
        if not self.core.alive() and self.instance in instances():
            raise self.replaced(ring)
        return self.core

    def replaced(self, ring: str | None) -> ServerGone:
        what = f"ring '{ring}' of '{self.instance}'" if ring is not None else f"server '{self.instance}'"
        return ServerGone(f"{what}: the server that was attached to has ended, and another one of that name runs, whose rings "
                          "are others: attach again")


class Ring:
    """One ring of a server. Its facts are read where the server shows them; follow(), last() and at() attach to it. Once
    another server has taken that one's name, all of them raise ServerGone: attach again. progress, ledger and rate of one
    that has only ended are the last that it wrote."""

    __slots__ = ("_attached", "_index", "_layout", "__weakref__")

    def __init__(self, attached: _Attached, index: int) -> None:
        self._attached = attached
        self._index = index
        self._layout = Layout(attached.core.describe(index))

    def __repr__(self) -> str:
        facts = self._layout.facts
        return (f"<sluice.Ring '{facts.name}' of '{facts.instance}': {facts.slots} slots of {facts.slot_bytes} bytes, "
                f"{facts.channels} channels>")

    def __reduce__(self):
        raise TypeError("a Ring is seen by the process that attached to its server: attach() in the other one, by .instance")

    def _layout_of(self, key: tuple) -> Layout:
        """The layout of what a reader was given. It is another ring's if the server was restarted since we looked at it:
        then nothing that we know is true of it."""
        if key == self._layout.key:
            return self._layout
        layout = Layout(key)
        if layout.facts.created_time != self._layout.facts.created_time:
            raise self._attached.replaced(self.name)
        return layout

    # ---- What it is.

    @property
    def name(self) -> str:
        return self._layout.facts.name

    @property
    def instance(self) -> str:
        """The server's name."""
        return self._layout.facts.instance

    @property
    def slots(self) -> int:
        """Room for so many frames and gap records. Some of it the writer has claimed for what comes next: fewer can be read at
        once."""
        return self._layout.facts.slots

    @property
    def slot_bytes(self) -> int:
        return self._layout.facts.slot_bytes

    @property
    def payload_bytes(self) -> int:
        """Room in a slot: no frame is longer."""
        return self._layout.facts.payload_bytes

    @property
    def frame_bytes(self) -> int:
        """Exact payload bytes of every frame; 0: they vary."""
        return self._layout.frame_bytes

    @property
    def channels(self) -> Mapping[str, Channel]:
        """name -> Channel, in the order of the configuration."""
        return MappingProxyType(self._layout.channels)

    @property
    def streams(self) -> tuple[Stream, ...]:
        return self._layout.streams

    @property
    def dtype(self) -> np.dtype:
        """Of batch.raw: a field for each channel."""
        return self._layout.dtype

    @property
    def stamp(self) -> str:
        """What batch.time is the time of: "taken" (when the server took the frame over), "device", "reconstructed", "asked"
        (when its instrument was asked). None is later than the first."""
        return self._layout.stamp

    @property
    def utc_offset_s(self) -> int:
        """TAI - UTC as the kernel knew it when the ring was made; 0: it did not know, and its TAI is UTC."""
        return max(self._layout.facts.utc_offset_s, 0)

    # ---- What it has and counts.

    @property
    def progress(self) -> Progress:
        return Progress(*self._attached.now(self.name).progress(self._index))

    @property
    def ledger(self) -> Ledger:
        return Ledger(*self._attached.now(self.name).ledger(self._index))

    @property
    def rate(self) -> Rate:
        return Rate(*self._attached.now(self.name).rate(self._index))

    # ---- Reading it.

    def follow(self, *, start: str | Time = "newest", at: Time | None = None, sequence: int | None = None,
               position: int | None = None, max_frames: int = 4096, timeout: float | None = None,
               mode: str = "observer", deadline_ms: int = 0, spin_us: int = 0, gaps: bool = False,
               on_overrun: str = "raise", wait: bool = True) -> Reader:
        """Attaches: a Reader, which iterates over batches of frames as they come.

        start       "newest" (what is published from now on), "oldest" (what is there first), or a moment
        at          a moment: from the first frame that is not older. int TAI ns since 1970, float seconds since 1970 UTC (in
                    steps of 0.2 us today), aware datetime, numpy.datetime64 (UTC). Found by bisection: times must rise
        sequence    from the first frame whose sender's number is not lower. Found by bisection: the numbers must rise. What
                    has been overwritten from that number on is lost, at most so many as numbers are missing
        position    from that position, as a reader's .position was kept: what has been overwritten since is lost, and
                    counted in the first batch's .lost and in reader.lost
        max_frames  most frames of a batch; a batch ends at gap records and at the end of the ring's memory, too
        timeout     iteration ends after so many seconds without anything new; None: never
        mode        "observer": never slows the ring's writer; "gating": loses nothing while it keeps the deadline
        deadline_ms gating: may hold the writer up for so long, at most what the ring grants; 0: that
        spin_us     looks by itself for so long before it sleeps: a frame is seen within microseconds, at the cost of a core
        gaps        True: a gap record gives a batch at once, of no frames if none came behind it; False: it comes with the
                    next frames, or in a batch of no frames once 4096 of them wait (a source that is nothing but broken)
        on_overrun  "raise": Overrun, if a batch was overwritten before the next is asked for, or `with` is left, unless
                    valid(), overwritten() or copy() was asked after the last look at it; "count": it counts in reader.lost,
                    and it is for you to ask
        wait        False: what is in the ring now, then iteration ends
        """
        if on_overrun not in ("raise", "count"):
            raise ValueError(f"expected on_overrun 'raise' or 'count', found '{on_overrun}'")
        max_frames = whole(max_frames, "max_frames", 1, 2**32 - 1)
        spin_us = whole(spin_us, "spin_us", 0, 1_000_000)
        deadline_ms = whole(deadline_ms, "deadline_ms", 0, 2**32 - 1)
        timeout_ns = nanoseconds(timeout)
        reader = self._open(where(start, at, sequence, position, self.utc_offset_s), mode, deadline_ms)
        reader._max_frames = max_frames
        reader._timeout_ns = timeout_ns
        reader._spin_ns = spin_us * 1000
        reader._gives_gaps = bool(gaps)
        reader._counts_overruns = on_overrun == "count"
        if not wait:
            reader._end = reader._progress()[1]
            reader._timeout_ns = 0
        return reader

    def _open(self, place: tuple[int, int], mode: str = "observer", deadline_ms: int = 0) -> Reader:
        self._attached.check()
        reader = open_reader(self, place, mode, deadline_ms)
        self._attached.readers.add(reader)
        try:
            self._attached.check()  # another thread may have closed it meanwhile
        except BaseException:
            reader.close()
            raise
        return reader

    def last(self, *, seconds: float | None = None, frames: int | None = None) -> Batch:
        """The newest frames as one copy, valid for good: of so many seconds up to the newest frame (1 s if nothing is said),
        or so many. Fewer, if the ring has fewer. Gap records in that span (of so many frames: behind the first) are in
        .gaps; .lost counts what was overwritten while it was copied."""
        if seconds is not None and frames is not None:
            raise ValueError("expected seconds or frames, found both")
        if frames is not None:
            frames = min(whole(frames, "frames"), self.slots)
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"expected seconds of 0 or more, found {seconds}")
        with self._open((OLDEST, 0)) as reader:
            progress = Progress(*reader._progress())
            reader._end = progress.published
            reader._counts_overruns = True
            reader._gives_gaps = True
            reader._timeout_ns = 0
            reader._max_frames = _COPY_FRAMES
            if frames is None:
                ns = round(min(1.0 if seconds is None else seconds, 1e12) * 1e9)
                reader._seek(AT_TIME, max(reader._newest_frame_time() - ns, 0))
            else:
                self._seek_back(reader, progress, frames)
            batch = _join(reader)
        return batch if frames is None else _newest(batch, frames)

    def _seek_back(self, reader: Reader, progress: Progress, frames: int) -> None:
        """To where so many frames remain, gap records not counted: one step back for each of them that lies there."""
        back = frames
        while True:
            reader._seek(AT_POSITION, max(progress.published - back, 0))
            start = reader.position
            if start > progress.published - back or start == 0:
                return
            found = sum(len(b) for b in reader)
            if found >= frames:
                reader._seek(AT_POSITION, start)
                return
            back += max(frames - found, back)  # few steps, also where there is nothing but gap records

    def at(self, time: Time) -> Batch:
        """One frame, a copy: the first that is not older than this moment. NotInRing if nothing in the ring is as new as
        that, or that moment has been overwritten. Found by bisection: times must rise."""
        ns = tai_ns(time, self.utc_offset_s)
        with self._open((NEWEST, 0)) as reader:
            reader._counts_overruns = True
            for _ in range(_AT_TRIES):
                progress = Progress(*reader._progress())
                if progress.published == 0:
                    raise NotInRing(f"ring '{self.name}' has no frame yet")
                if progress.oldest > 0 and ns < progress.oldest_time:
                    raise NotInRing(f"ring '{self.name}': what was there at {ns} has been overwritten; the oldest frame that "
                                    f"is left is {(progress.oldest_time - ns) / 1e9:.6f} s newer")
                reader._end = progress.published
                reader._seek(AT_TIME, ns)
                batch, skipped = reader.batch(1), list(reader.gaps)
                while batch is not None and len(batch) == 0 and batch.gaps:  # so many of them that they come by themselves
                    skipped += batch.gaps
                    batch, skipped = reader.batch(1), skipped + list(reader.gaps)
                if batch is None:
                    raise NotInRing(f"ring '{self.name}' has nothing as new as {ns}: {_instead(ns, progress, skipped)}")
                if len(found := batch.copy()):
                    return found
        raise NotInRing(f"ring '{self.name}': what was there at {ns} was overwritten while it was looked for")


def _instead(ns: int, progress: Progress, gaps: list[Gap]) -> str:
    """What there is where no frame is."""
    if gaps:
        return (f"behind it are gap records only ({len(gaps)}, the first at {gaps[0].time}: {gaps[0].cause}), and no frame has "
                "come since; last(seconds=..).gaps shows them")
    older_s = (ns - progress.newest_time) / 1e9
    return f"its newest frame is {older_s:.6f} s older" if older_s > 0 else "what is there is no frame"


_AT_TRIES = 8  # the oldest frame of a fast ring goes while it is looked at


def _join(reader: Reader) -> Batch:
    """What iteration gives, as one copy."""
    parts: list[Batch] = []
    gaps: list[Gap] = []
    lost = 0
    for batch in reader:
        copy = batch.copy()
        gaps += copy.gaps
        if copy.lost and parts:  # what is left of before is older than a hole
            lost += sum(len(p) for p in parts)
            parts.clear()
        lost += copy.lost
        if len(copy):
            parts.append(copy)
    if not parts:
        return reader._empty(tuple(gaps), lost)
    if len(parts) == 1 and parts[0].gaps == tuple(gaps) and parts[0].lost == lost:
        return parts[0]
    data = b"".join(bytes(p._source.buffer) for p in parts)
    return _sluice.joined(parts[0], data, parts[0].position, lost, tuple(gaps))


def _newest(batch: Batch, frames: int) -> Batch:
    """The newest so many of a copy, and the gaps behind the first of them."""
    more = max(len(batch) - frames, 0)
    position = int(batch.positions[more]) if more < len(batch) else batch.position + more
    gaps = tuple(g for g in batch.gaps if g.position > position)
    if more == 0 and len(gaps) == len(batch.gaps):
        return batch
    slot_bytes = batch._source.layout.facts.slot_bytes
    return _sluice.joined(batch, bytes(batch._source.buffer)[more * slot_bytes:], position, batch.lost, gaps)


class Rings(Mapping):
    """name -> Ring, in the order of the configuration."""

    __slots__ = ("_rings",)

    def __init__(self, rings: list[Ring]) -> None:
        self._rings = {r.name: r for r in rings}

    def __getitem__(self, name: str) -> Ring:
        try:
            return self._rings[name]
        except (KeyError, TypeError):
            raise NoSuchRing(f"the server has no ring '{name}': {near(name, self._rings)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rings)

    def __len__(self) -> int:
        return len(self._rings)

    def __repr__(self) -> str:
        return f"<rings {', '.join(self._rings)}>"


class Server:
    """A running server, seen from outside: it is neither slowed nor changed by what is asked here. Closing it closes its
    readers, too; arrays and copies stay readable."""

    __slots__ = ("_attached", "rings", "__weakref__")

    rings: Mapping[str, Ring]

    def __init__(self, instance: str | None = None) -> None:
        self._attached = _Attached(instance)
        self.rings = Rings([Ring(self._attached, i) for i in range(self._attached.core.rings())])

    def __repr__(self) -> str:
        return f"<sluice.Server '{self.instance}': rings {', '.join(self.rings)}>"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __getitem__(self, name: str) -> Ring:
        return self.rings[name]

    def __iter__(self) -> Iterator[str]:
        """Names of its rings."""
        return iter(self.rings)

    def __contains__(self, name: object) -> bool:
        return name in self.rings

    def __len__(self) -> int:
        return len(self.rings)

    def __reduce__(self):
        raise TypeError("a Server is attached to by the process that made it: attach() in the other one, by its .instance")

    def ring(self, name: str) -> Ring:
        """One of rings. NoSuchRing suggests what could have been meant."""
        return self.rings[name]

    def close(self) -> None:
        """Closes the view and every reader that was opened by it; threads that wait in one get Closed. Twice is fine."""
        self._attached.core.close()
        for reader in list(self._attached.readers):
            reader.close()

    @property
    def instance(self) -> str:
        return self._attached.instance

    @property
    def alive(self) -> bool:
        """True while the server that was attached to runs; False: it has ended, or another has taken its place, or this view
        is closed."""
        try:
            return self._attached.core.alive()
        except Closed:
            return False

    @property
    def processes(self) -> list[Process]:
        return [Process(*row) for row in self._attached.now().processes()]

    @property
    def measures(self) -> dict[str, int | str]:
        """What the server counts and measures, as it is now: counters and gauges as numbers, states as words. Names are
        stable. Histograms are not among them."""
        return {name: word if kind == _STATE else value
                for _, name, kind, value, _, word in self._attached.now().measures() if kind != _HISTOGRAM}

    @property
    def histograms(self) -> dict[str, Histogram]:
        """Copies of the server's histograms of durations."""
        rows = [(index, name, period_ns) for index, name, kind, _, period_ns, _ in self._attached.now().measures()
                if kind == _HISTOGRAM]
        found = {}
        for index, name, period_ns in rows:
            count, max_ns, sum_ns, late, limit_ns, data = self._attached.core.histogram(index)
            found[name] = Histogram(name, count, max_ns, sum_ns, late, limit_ns, period_ns, data)
        return found

    def status(self) -> dict:
        """All of it that is cheap, as plain values: fit for json.dumps()."""
        return {
            "instance": self.instance,
            "alive": self.alive,
            "processes": [p._asdict() for p in self.processes],
            "rings": {name: {"slots": r.slots, "slot_bytes": r.slot_bytes, "channels": len(r.channels), "stamp": r.stamp,
                             "progress": r.progress._asdict(), "ledger": r.ledger._asdict(), "rate": r.rate._asdict()}
                      for name, r in self.rings.items()},
            "measures": self.measures,
        }


def attach(instance: str | None = None) -> Server:
    """A running server by its instance's name; without one, the only one that runs. ServerNotFound, NotPermitted,
    VersionMismatch, ServerGone (no answer)."""
    return Server(instance)


def instances() -> list[str]:
    """Names of the servers that run here, as far as this user may know of them."""
    with connecting():
        return _sluice.instances()
