"""Statistics that stream: over arrays, over batches as they come, or over what a ring holds, in one call.

    from sluice import stats

    stats.summary(ring, "pressure", seconds=10)            # count, mean, std, min, max of the last 10 s
    stats.percentiles(ring, "pressure", (50, 99, 99.9))    # of all that is there
    stats.spectrum(ring, "acceleration", segment=4096)     # Welch: Hz, unit^2/Hz

    s = stats.Running()                                    # or without an end:
    for batch in ring.follow(on_overrun="count"):
        s.update(batch, "pressure")
        print(s.mean, s.std())

In those calls, seconds is counted back from the newest frame; frames is how many of the ring's newest positions are looked
at (a gap record takes one, too). Every result says in .seen which frames it is of, and what is missing.

They take memory of a fixed size, however many values there are; but an Envelope without `keep` keeps all its points, and Edges
all crossings until they are taken by take(). NaN and infinities are counted (not_finite) and never
folded in. Of a batch only frames that were still whole after they had been read count; how many were not is told
(discarded), as is everything else that is missing: no result is of other frames than it says.

The sums are made in C (ring/stats.h) at the speed of memory, with the GIL released where there is much to do.
"""
from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Iterable, Iterator, NamedTuple

import numpy as np

from . import _sluice
from ._batch import Batch
from ._describe import tai_ns_array, whole
from ._reader import AT_POSITION, AT_TIME

if TYPE_CHECKING:
    from ._server import Ring

__all__ = ["Running", "Quantiles", "Histogram", "Envelope", "Edges", "Seen", "summary", "percentiles", "histogram",
           "envelope", "edges", "spectrum", "Summary", "Percentiles", "Counts", "Bands", "Crossings", "Spectrum",
           "ENVELOPE_POINT", "EDGE"]

_SUMMARY, _QUANTILES, _BINS, _ENVELOPE, _EDGES = range(5)  # enum kind of src/stats.c
_U8, _F8, _U4 = np.uint64, np.float64, np.uint32

#: One group of an Envelope: time of its first value (TAI ns), finite values, others, their extremes and mean (NaN if there
#: is none), and 1 where something is missing before it (draw no line to it).
ENVELOPE_POINT = np.dtype([("time", _U8), ("count", _U8), ("not_finite", _U8), ("min", _F8), ("max", _F8), ("mean", _F8),
                           ("is_after_gap", _U8)])
#: One crossing: position and time (TAI ns) of the first value beyond; how long the level before it was held, ns; level: 2 it
#: rises, 1 it falls; flags: 1 it lies in a gap, 2 held_ns is not all known.
EDGE = np.dtype([("position", _U8), ("time", _U8), ("held_ns", _U8), ("level", _U4), ("flags", _U4)])

# ring/stats.h's structures.
_STATES = {
    _SUMMARY: np.dtype([("count", _U8), ("not_finite", _U8), ("mean", _F8), ("mean_low", _F8), ("m2", _F8), ("min", _F8),
                        ("max", _F8)]),
    _QUANTILES: np.dtype([("count", _U8), ("not_finite", _U8), ("min", _F8), ("max", _F8), ("buckets", _U8, 2096128)]),
    _BINS: np.dtype([("low", _F8), ("high", _F8), ("bins", _U8), ("counts", _U8), ("count", _U8), ("below", _U8),
                     ("above", _U8), ("not_finite", _U8), ("step", _F8), ("scale", _F8)]),
    _ENVELOPE: np.dtype([("every_values", _U8), ("every_ns", _U8), ("open", ENVELOPE_POINT), ("shift", _F8), ("sum", _F8),
                         ("end_ns", _U8), ("values", _U8), ("is_after_gap", _U8)]),
    _EDGES: np.dtype([("low", _F8), ("high", _F8), ("level", _U4), ("is_broken", _U4), ("is_since_sure", _U4),
                      ("has_last", _U4), ("since_tai_ns", _U8), ("last_tai_ns", _U8), ("count", _U8), ("not_finite", _U8),
                      ("rising", _U8), ("falling", _U8), ("above_ns", _U8), ("below_ns", _U8), ("unknown_ns", _U8)]),
}
_TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "i8": 7, "u8": 8, "f4": 9, "f8": 10}


def _numbers(values) -> "tuple[np.ndarray, int, bool]":
    """An array as C takes it, its type and whether it is big-endian. Copied only where C has no such type."""
    if np.ma.isMaskedArray(values):
        raise TypeError("expected an array without a mask, found a masked array, whose masked values would count as values: "
                        "take values.compressed(), or values.filled(np.nan), which counts them as not_finite")
    array = np.asarray(values)
    kind = array.dtype.str[1:]
    if kind == "b1":
        array, kind = array.view(np.uint8), "u1"
    elif array.dtype.kind == "f" and kind not in _TYPES:
        array, kind = array.astype(np.float64), "f8"
    if kind not in _TYPES:
        raise TypeError(f"expected an array of real numbers, found {array.dtype}"
                        + ("; take a field of it" if array.dtype.names else ""))
    return array, _TYPES[kind], not array.dtype.isnative


def _gap_frames(batch: Batch) -> int:
    return sum(g.count for g in batch.gaps)


class _Stream:
    """What all have in common: a state in C's form, and what was missing in what it was given."""

    _kind: int

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may ask in the middle of an update()
        self._state = np.zeros(1, _STATES[self._kind])
        self._counts: "np.ndarray | None" = None
        self._next = 0  # position that would follow
        self._is_broken = True
        #: frames that were overwritten before they had been read: they are not in the result
        self.discarded = 0
        #: frames that the ring says never came: of gap records, and before others (65535 of those each at most: the ledger has
        #: the exact sum)
        self.missing = 0

    def __getstate__(self) -> dict:
        """Of its own: copy.copy() shares nothing."""
        with self._lock:
            return {k: v.copy() if isinstance(v, (np.ndarray, list)) else v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()  # a signal's handler may ask in the middle of an update()

    def _get(self, name: str):
        with self._lock:  # C may be in the middle of it, without the GIL
            return self._state[0][name].item()

    @property
    def count(self) -> int:
        """Finite values so far."""
        return self._get("count")

    @property
    def not_finite(self) -> int:
        """NaN and infinities so far."""
        return self._get("not_finite")

    def update(self, values, channel: "str | None" = None, times=None) -> int:
        """Takes an array of any real type, byte order and strides (nothing is copied), or a Batch and the name of a channel,
        in its unit, calibrated. times: of an array's values, whole numbers (TAI ns since 1970) or datetime64 (UTC; by the
        kernel's TAI - UTC, as rings have it); None: their numbers. Returns how many values were
        taken: of a batch those whose frames were still whole after they had been read. That batch need not be asked valid();
        follow(on_overrun="count") does not ask for it."""
        if isinstance(values, Batch):
            if channel is None:
                raise TypeError("expected update(batch, channel): which channel?")
            return self._update_batch(values, channel)
        if channel is not None:
            raise TypeError(f"expected update(batch, channel) or update(array), found {type(values).__name__} and a channel")
        array, kind, is_big = _numbers(values)
        if times is not None:
            times = tai_ns_array(times)
        with self._lock:
            return self._told(_sluice.stats_fold_array(self._kind, self._state, self._counts, self._is_broken, array, kind,
                                                       is_big, times, self._next), self._next + array.size)

    def _update_batch(self, batch: Batch, channel: str) -> int:
        index = batch._channel(channel).index
        with self._lock:
            is_broken = self._is_broken or bool(batch.lost) or bool(batch.gaps)
            end = batch.position + len(batch)
            if batch.is_copy and len(batch):
                end = int(batch.positions[-1]) + 1
            taken = self._told(_sluice.stats_fold_batch(self._kind, self._state, self._counts, is_broken, batch, index,
                                                        self._next), end)
            self.missing += _gap_frames(batch)
        return taken

    def _told(self, told: tuple, end: int) -> int:
        taken, discarded, missing, is_broken, out = told
        self.discarded += discarded
        self.missing += missing
        self._is_broken = is_broken
        self._next = end
        self._take(out)
        return taken

    def _take(self, out: bytes) -> None:
        pass

    def gap(self) -> None:
        """Something is missing before the next value. Batches tell that by themselves."""
        with self._lock:
            self._is_broken = True

    @contextlib.contextmanager
    def _both(self, other: "_Stream") -> "Iterator[None]":
        """Both are held, in the same order whoever merges whom."""
        if type(other) is not type(self):
            raise TypeError(f"expected {type(self).__name__}, found {type(other).__name__}")
        first, second = sorted((self, other), key=id)
        with first._lock, second._lock:
            yield

    def _merge_told(self, other: "_Stream") -> None:
        self.discarded += other.discarded
        self.missing += other.missing


class Running(_Stream):
    """Count, mean, spread and extremes (Welford's recurrence, pairwise): 56 bytes."""

    _kind = _SUMMARY

    def merge(self, other: "Running") -> "Running":
        """Takes in what another has seen: as if it had seen both. Returns itself."""
        with self._both(other):
            self._merge_told(other)
            _sluice.stats_merge(self._kind, self._state, other._state)
        return self

    @property
    def mean(self) -> float:
        return self._of_some("mean")

    @property
    def min(self) -> float:
        return self._of_some("min")

    @property
    def max(self) -> float:
        return self._of_some("max")

    def _of_some(self, name: str) -> float:
        with self._lock:
            return self._get(name) if self.count else float("nan")

    def std(self, ddof: int = 0) -> float:
        """Standard deviation: of what was seen (ddof 0, as NumPy has it), or as estimated from it as a sample (1). NaN of
        not more than ddof values."""
        with self._lock:
            return _sluice.stats_std(self._state, whole(ddof, "ddof", 0, 2**32 - 1))

    def __repr__(self) -> str:
        with self._lock:
            return f"<Running: {self.count} values, {self.mean:g} +- {self.std():g}, {self.min:g} to {self.max:g}>"


class Quantiles(_Stream):
    """Percentiles to 0.1 % of themselves, of any number of values of any size: 16 MiB of address space, of which only those
    pages are touched in which values lie (8 KiB for a signal that stays within a power of two). min and max are exact, what
    lies between comes in steps of 1/512 of the value's power of two (0.125 from 64 to 128): for a small spread on a large
    offset take the offset off first, or np.percentile() of the values."""

    _kind = _QUANTILES

    def merge(self, other: "Quantiles") -> "Quantiles":
        """Takes in what another has seen: as if it had seen both. Returns itself."""
        with self._both(other):
            self._merge_told(other)
            _sluice.stats_merge(self._kind, self._state, other._state)
        return self

    def quantile(self, q):
        """The lowest value that at least the fraction q (0 to 1) of all are not above, within 0.1 % of itself; an array for
        an array. NaN of nothing."""
        if np.ndim(q):
            with self._lock:  # all of one moment
                return np.array([self.quantile(float(x)) for x in np.ravel(q)]).reshape(np.shape(q))
        if not 0 <= q <= 1:
            raise ValueError(f"expected a quantile of 0 to 1, found {q} (percentile() takes 0 to 100)")
        with self._lock:
            return _sluice.stats_quantile(self._state, float(q))

    def percentile(self, p):
        """quantile(p / 100)."""
        return self.quantile(np.asarray(p, float) / 100 if np.ndim(p) else p / 100)

    @property
    def min(self) -> float:
        return self.quantile(0.0)

    @property
    def max(self) -> float:
        return self.quantile(1.0)

    def __getstate__(self) -> dict:
        """Without the buckets beyond min and max, which are empty."""
        with self._lock:
            state = {k: v for k, v in self.__dict__.items() if k != "_lock"}
            used = np.flatnonzero(self._state[0]["buckets"]) if self.count else np.empty(0, int)
            head = tuple(self._get(n) for n in ("count", "not_finite", "min", "max"))
            state["_state"] = (head, used, self._state[0]["buckets"][used])
        return state

    def __setstate__(self, state: dict) -> None:
        (count, not_finite, low, high), used, buckets = state["_state"]
        super().__setstate__(state)
        self._state = np.zeros(1, _STATES[self._kind])
        for name, value in (("count", count), ("not_finite", not_finite), ("min", low), ("max", high)):
            self._state[name] = value
        self._state[0]["buckets"][used] = buckets

    def __repr__(self) -> str:
        return f"<Quantiles: {self.count} values, median {self.quantile(0.5):g}, {self.min:g} to {self.max:g}>"


class Histogram(_Stream):
    """Counts in `bins` bins of equal width from low to high: low <= value < high, and high itself in the last one, exactly as
    numpy.histogram(values, bins, (low, high)) counts. What lies outside counts as below or above."""

    _kind = _BINS

    def __init__(self, low: float, high: float, bins: int = 100) -> None:
        super().__init__()
        bins = whole(bins, "bins", 1, 2**31)
        self._counts = np.zeros(bins, np.uint64)
        if not _sluice.stats_init(self._kind, self._state, self._counts, low, high):
            raise ValueError(f"expected finite low < high, and {bins} bins that are wider than nothing, found {low} and {high}")

    def merge(self, other: "Histogram") -> "Histogram":
        """Takes in what another of the same bins has seen. Returns itself."""
        with self._both(other):
            if any(self._state[n] != other._state[n] for n in ("low", "high", "bins")):
                raise ValueError("expected a histogram of the same bins")
            self._merge_told(other)
            self._counts += other._counts
            for name in ("count", "below", "above", "not_finite"):
                self._state[name] += other._state[name]
        return self

    @property
    def counts(self) -> np.ndarray:
        """uint64 (bins,), a copy."""
        with self._lock:
            return self._counts.copy()

    @property
    def edges(self) -> np.ndarray:
        """float64 (bins + 1,)"""
        return np.linspace(self._get("low"), self._get("high"), self._get("bins") + 1)

    @property
    def below(self) -> int:
        """Finite values below low."""
        return self._get("below")

    @property
    def above(self) -> int:
        """Finite values above high."""
        return self._get("above")

    def __repr__(self) -> str:
        return f"<Histogram: {self.count} values in {len(self._counts)} bins, {self.below} below, {self.above} above>"


class Envelope(_Stream):
    """What a plot needs of more values than it has pixels: groups of `every` values, or of steps of `every_ns` ns (which begin
    at multiples of that; empty ones have no point), each with time, min, max and mean. A group ends where something is
    missing, so that none spans a gap. It keeps the newest `keep` points (None: all)."""

    _kind = _ENVELOPE

    def __init__(self, every: int = 0, *, every_ns: int = 0, keep: "int | None" = None) -> None:
        super().__init__()
        every, every_ns = whole(every, "every", 0, 2**53), whole(every_ns, "every_ns", 0, 2**53)
        if not _sluice.stats_init(self._kind, self._state, None, every, every_ns):
            raise ValueError(f"expected either every or every_ns, 1 or more, found {every} and {every_ns}")
        self.keep = None if keep is None else whole(keep, "points to keep", 1)
        self._parts: "list[np.ndarray]" = []
        self._kept = 0

    def _take(self, out: bytes) -> None:
        if out:
            self._parts.append(np.frombuffer(out, ENVELOPE_POINT))
            self._kept += len(self._parts[-1])
            if self.keep is not None and self._kept > 2 * self.keep:
                self._join()

    def _join(self) -> np.ndarray:
        if len(self._parts) != 1 or (self.keep is not None and self._kept > self.keep):
            joined = np.concatenate(self._parts) if self._parts else np.empty(0, ENVELOPE_POINT)
            self._parts = [joined[-self.keep:].copy() if self.keep is not None else joined]
            self._kept = len(self._parts[0])
        return self._parts[0]

    @property
    def count(self) -> int:
        """Values so far."""
        return self._get("values")

    @property
    def not_finite(self) -> int:
        """NaN and infinities in the points that are kept, and in the open group."""
        return int(self.points()["not_finite"].sum())

    def points(self) -> np.ndarray:
        """ENVELOPE_POINT (n,): complete groups, and the open one as it is so far."""
        with self._lock:
            done = self._join()
            last = np.frombuffer(_sluice.stats_flush(self._state.copy()), ENVELOPE_POINT)
        return np.concatenate((done, last)) if len(last) else done.copy()

    def __repr__(self) -> str:
        return f"<Envelope: {self.count} values>"


class Edges(_Stream):
    """Crossings: the level rises where a value is `threshold` or more, and falls where one is below threshold - hysteresis.
    Where something is missing, or is not a finite number, it is unknown until a value says which it is; a crossing that is
    seen then is marked (EDGE's flags)."""

    _kind = _EDGES

    def __init__(self, threshold: float, hysteresis: float = 0.0) -> None:
        super().__init__()
        if not hysteresis >= 0 or not _sluice.stats_init(self._kind, self._state, None, threshold - hysteresis, threshold):
            raise ValueError(f"expected a finite threshold and a hysteresis of 0 or more, found {threshold} and {hysteresis}")
        self._parts: "list[np.ndarray]" = []

    def _take(self, out: bytes) -> None:
        if out:
            self._parts.append(np.frombuffer(out, EDGE))

    def edges(self) -> np.ndarray:
        """EDGE (n,): all so far."""
        with self._lock:
            if len(self._parts) != 1:
                self._parts = [np.concatenate(self._parts) if self._parts else np.empty(0, EDGE)]
            return self._parts[0].copy()

    def take(self) -> np.ndarray:
        """edges(), which are forgotten then: for streams without an end."""
        with self._lock:
            found, self._parts = self._parts, []
        return np.concatenate(found) if found else np.empty(0, EDGE)

    @property
    def level(self) -> str:
        """"above", "below", "unknown": now."""
        with self._lock:
            return ("unknown", "below", "above")[0 if self._is_broken or self._get("is_broken") else self._get("level")]

    @property
    def rising(self) -> int:
        return self._get("rising")

    @property
    def falling(self) -> int:
        return self._get("falling")

    @property
    def above_s(self) -> float:
        """Seconds for which the level was seen to be above (from each value to the next)."""
        return self._get("above_ns") / 1e9

    @property
    def below_s(self) -> float:
        return self._get("below_ns") / 1e9

    @property
    def unknown_s(self) -> float:
        """Seconds in which something is missing, or not a finite number."""
        return self._get("unknown_ns") / 1e9

    def __repr__(self) -> str:
        return f"<Edges: {self.rising} rising, {self.falling} falling, now {self.level}>"


# ---- Over what a ring holds.


class Seen(NamedTuple):
    """Which frames a result is of, and what is not in it."""

    frames: int  #: that were whole, and are in it
    lost: int  #: overwritten before they were read
    discarded: int  #: overwritten while they were read
    gaps: int  #: gap records among them
    missing: int  #: frames that the ring says never came: of gap records, and before others
    first_time: int  #: TAI ns; 0: there was no frame
    last_time: int

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (self.last_time - self.first_time) / 1e9

    @property
    def is_complete(self) -> bool:
        """True if nothing is missing between the first frame and the last, as far as the ring knows."""
        return self.lost == self.discarded == self.gaps == self.missing == 0


class Summary(NamedTuple):
    count: int  #: finite values
    not_finite: int
    mean: float
    std: float  #: of all there is (ddof 0)
    min: float
    max: float
    unit: str
    seen: Seen


class Percentiles(NamedTuple):
    percent: np.ndarray
    value: np.ndarray  #: in unit, within 0.1 % of itself
    count: int
    not_finite: int
    unit: str
    seen: Seen


class Counts(NamedTuple):
    counts: np.ndarray  #: uint64 (n,)
    edges: np.ndarray  #: float64 (n + 1,), in unit
    below: int
    above: int
    not_finite: int
    unit: str
    seen: Seen


class Bands(NamedTuple):
    points: np.ndarray  #: ENVELOPE_POINT (n,)
    unit: str
    seen: Seen

    @property
    def seconds(self) -> np.ndarray:
        """float64 (n,): each point's time from the first one on."""
        time = self.points["time"]
        return (time - time[0]).astype(np.int64) / 1e9 if len(time) else np.empty(0)


class Crossings(NamedTuple):
    edges: np.ndarray  #: EDGE (n,)
    rising: int
    falling: int
    above_s: float
    below_s: float
    unknown_s: float
    unit: str
    seen: Seen


class Spectrum(NamedTuple):
    frequency: np.ndarray  #: Hz, float64 (segment // 2 + 1,)
    density: np.ndarray  #: unit^2 / Hz, one-sided: its sum times the step of frequency is the variance; NaN if segments is 0
    segments: int  #: averaged
    segment: int  #: values in each
    window: str
    rate_hz: float
    rate_from: str  #: "given", "nominal", "stamps"
    interval_s: "tuple[float, float]"  #: least and greatest from one frame to the next: how even the stamps are
    unit: str
    seen: Seen


def _span(batch: Batch) -> "tuple[int, int]":
    """Times of the first and the last of its frames that are whole; 0: of none."""
    times, whole = batch.time, 0
    while whole < len(batch):
        first, last = int(times[whole]), int(times[-1])
        gone = batch.overwritten()
        if gone <= whole:
            return first, last
        whole = gone
    return 0, 0


class _Pass:
    """Reads once through what a ring holds."""

    def __init__(self, ring: "Ring", seconds: "float | None", frames: "int | None") -> None:
        if seconds is not None and frames is not None:
            raise ValueError("expected seconds or frames, found both")
        if seconds is not None and not seconds > 0:
            raise ValueError(f"expected seconds of more than 0, found {seconds}")
        if frames is not None:
            frames = whole(frames, "frames", 1)
        self.reader = reader = ring.follow(start="oldest", wait=False, on_overrun="count", gaps=True)
        if seconds is not None:
            ns = round(min(seconds, 1e12) * 1e9)
            reader._seek(AT_TIME, max(reader._newest_frame_time() - ns, 0))
        elif frames is not None:
            reader._seek(AT_POSITION, max(reader._end - frames, 0))
        self.frames = self.lost = self.discarded = self.gaps = self.missing = self.first = self.last = 0

    def __enter__(self) -> "_Pass":
        return self

    def __exit__(self, *_) -> None:
        self.reader.close()

    def __iter__(self):
        for batch in self.reader:
            self.lost += batch.lost
            self.gaps += len(batch.gaps)
            if not len(batch):
                self.missing += _gap_frames(batch)  # else who takes the batch counts them
            else:
                first, last = _span(batch)
                yield batch
                self.first = self.first or first
                self.last = last or self.last

    def took(self, streams: "list[_Stream]", batch: Batch, names: "list[str]") -> None:
        """Every stream takes its channel; frames are those of the first."""
        before = streams[0].missing, streams[0].discarded
        taken = streams[0].update(batch, names[0])
        gone = streams[0].discarded - before[1]
        self.frames += taken
        self.discarded += gone
        self.missing += streams[0].missing - before[0]
        for stream, name in zip(streams[1:], names[1:]):
            stream.update(batch, name)

    def seen(self) -> Seen:
        return Seen(self.frames, self.lost, self.discarded, self.gaps, self.missing, self.first, self.last)


def _run(ring: "Ring", stream: _Stream, channel: str, seconds, frames) -> Seen:
    with _Pass(ring, seconds, frames) as read:
        for batch in read:
            read.took([stream], batch, [channel])
        return read.seen()


def _channel(ring: "Ring", name: str):
    return ring.channels[name]


def summary(ring: "Ring", channel: "str | Iterable[str] | None" = None, *, seconds: "float | None" = None,
            frames: "int | None" = None) -> "Summary | dict[str, Summary]":
    """Count, mean, spread and extremes of a channel: of the last so many seconds or positions, else of all that is in the ring
    now. Of several channels (None: of all) a dict, in one pass."""
    names = [channel] if isinstance(channel, str) else list(ring.channels if channel is None else channel)
    units = {name: _channel(ring, name).unit for name in names}
    streams = {name: Running() for name in names}
    with _Pass(ring, seconds, frames) as read:
        for batch in read:
            if names:
                read.took(list(streams.values()), batch, names)
        seen = read.seen()
    found = {}
    for name, s in streams.items():
        # A frame may be overwritten between one channel and the next: each says what it had.
        own = seen._replace(frames=s.count + s.not_finite, discarded=s.discarded)
        found[name] = Summary(s.count, s.not_finite, s.mean, s.std(), s.min, s.max, units[name], own)
    return found[channel] if isinstance(channel, str) else found


def percentiles(ring: "Ring", channel: str, percent=(0, 1, 5, 25, 50, 75, 95, 99, 100), *, seconds: "float | None" = None,
                frames: "int | None" = None) -> Percentiles:
    """Percentiles of a channel, within 0.1 % of themselves (0 and 100: exact), over any number of values."""
    unit = _channel(ring, channel).unit
    percent = np.atleast_1d(np.asarray(percent, float))
    if not ((percent >= 0) & (percent <= 100)).all():
        raise ValueError(f"expected percentiles of 0 to 100, found {percent}")
    stream = Quantiles()
    seen = _run(ring, stream, channel, seconds, frames)
    return Percentiles(percent, stream.percentile(percent), stream.count, stream.not_finite, unit, seen)


def histogram(ring: "Ring", channel: str, bins: int = 100, range: "tuple[float, float] | None" = None, *,
              seconds: "float | None" = None, frames: "int | None" = None) -> Counts:
    """Counts in bins as numpy.histogram() has them. range None: that in which the channel's values are valid; what lies
    outside is counted as below and above."""
    about = _channel(ring, channel)
    low, high = about.range if range is None else range
    if range is None and not (np.isfinite((low, high)).all() and low < high):
        raise ValueError(f"channel '{channel}' has no range to take bins from ({low} to {high}): give one, range=(low, high)")
    stream = Histogram(low, high, bins)
    seen = _run(ring, stream, channel, seconds, frames)
    return Counts(stream.counts, stream.edges, stream.below, stream.above, stream.not_finite, about.unit, seen)


def envelope(ring: "Ring", channel: str, points: int = 1000, *, every: "int | None" = None,
             every_seconds: "float | None" = None, seconds: "float | None" = None,
             frames: "int | None" = None) -> Bands:
    """min, max and mean of groups, for a plot: of `every` frames, or of every_seconds; else of as many as give about so many
    points."""
    unit = _channel(ring, channel).unit
    if every is not None and every_seconds is not None:
        raise ValueError("expected every or every_seconds, found both")
    if every_seconds is not None:
        if not 1e-9 <= every_seconds < 2**53 / 1e9:
            raise ValueError(f"expected every_seconds of 1e-9 to {2**53 / 1e9:.0f}, found {every_seconds}")
        stream = Envelope(every_ns=round(every_seconds * 1e9))
    elif every is not None:
        stream = Envelope(every)
    else:
        points = whole(points, "points", 1)
        p = ring.progress
        span_ns = p.newest_time - p.oldest_time
        held = p.published - p.oldest
        if seconds is not None and span_ns > 0:
            held = min(held, round(held * min(seconds, 1e12) * 1e9 / span_ns))
        held = min(held, frames) if frames is not None else held
        stream = Envelope(max(-(-held // points), 1))
    seen = _run(ring, stream, channel, seconds, frames)
    return Bands(stream.points(), unit, seen)


def edges(ring: "Ring", channel: str, threshold: float, hysteresis: float = 0.0, *, seconds: "float | None" = None,
          frames: "int | None" = None) -> Crossings:
    """Where a channel crosses a threshold, and for how long it was above. See Edges."""
    unit = _channel(ring, channel).unit
    stream = Edges(threshold, hysteresis)
    seen = _run(ring, stream, channel, seconds, frames)
    return Crossings(stream.edges(), stream.rising, stream.falling, stream.above_s, stream.below_s, stream.unknown_s, unit, seen)


# ---- Spectra.

_WINDOWS = {"hann": lambda n: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n),
            "hamming": lambda n: 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(n) / n),
            "blackman": lambda n: (0.42 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
                                   + 0.08 * np.cos(4 * np.pi * np.arange(n) / n)),
            "boxcar": np.ones}
_UNEVEN = 4 | 8  # flags: DUPLICATE, REORDERED


class _Welch:
    """Averages |rfft|^2 of windowed segments that overlap, over runs with nothing missing in them."""

    def __init__(self, segment: int, step: int, window: np.ndarray, is_mean_taken: bool) -> None:
        self.segment, self.step, self.window, self.is_mean_taken = segment, step, window, is_mean_taken
        self.sum = np.zeros(segment // 2 + 1)
        self.segments = 0
        self.values = np.empty(0)
        self.last: "int | None" = None
        self.intervals = self.ns = 0
        self.least, self.most = float("inf"), 0.0

    def cut(self) -> None:
        """What comes next does not follow."""
        self.values = np.empty(0)
        self.last = None

    def take(self, values: np.ndarray, times: np.ndarray) -> None:
        """Values that follow each other, and what came before."""
        if not len(values):
            return
        if self.last is not None:
            times = np.concatenate(([self.last], times))
        steps = np.diff(times.astype(np.int64))
        if len(steps):
            self.intervals += len(steps)
            self.ns += int(steps.sum())
            self.least = min(self.least, int(steps.min()))
            self.most = max(self.most, int(steps.max()))
        self.last = np.uint64(times[-1])
        self.values = np.concatenate((self.values, values))
        at = 0
        while len(self.values) - at >= self.segment:
            x = self.values[at:at + self.segment]
            if self.is_mean_taken:
                x = x - x.mean()
            self.sum += np.abs(np.fft.rfft(x * self.window)) ** 2
            self.segments += 1
            at += self.step
        self.values = self.values[at:]

    def density(self, rate_hz: float) -> np.ndarray:
        if self.segments == 0:
            return np.full(len(self.sum), np.nan)
        density = self.sum / (self.segments * rate_hz * (self.window ** 2).sum())
        density[1:(self.segment + 1) // 2] *= 2  # one-sided: all but 0 and, of an even segment, half the rate
        return density


def spectrum(ring: "Ring", channel: str, *, segment: int = 1024, overlap: float = 0.5, window: str = "hann",
             detrend: bool = True, rate: "float | str" = "stamps", seconds: "float | None" = None,
             frames: "int | None" = None) -> Spectrum:
    """Power spectral density by Welch's method: the mean over windowed segments that overlap.

    segment  values in each: the resolution is rate / segment
    window   "hann", "hamming", "blackman", "boxcar" (none)
    detrend  each segment's mean is taken off it
    rate     frames per second: "stamps" (over the runs that were used, as their time stamps say; interval_s tells how even
             they are), "nominal" (as configured), or a number of Hz

    No segment spans a gap, a loss, a value that is not finite, or a frame that came twice or late: there the next one begins.
    Memory: one segment beyond the ring.
    """
    unit = _channel(ring, channel).unit
    if window not in _WINDOWS:
        raise ValueError(f"expected a window of {', '.join(_WINDOWS)}, found '{window}'")
    segment = whole(segment, "a segment", 2, 2**40)
    if not 0 <= overlap < 1:
        raise ValueError(f"expected an overlap of 0 to below 1, found {overlap}")
    nominal_hz = ring.rate.nominal_hz
    if rate == "nominal" and not nominal_hz > 0:
        raise ValueError(f"ring '{ring.name}' has no nominal rate: take rate='stamps', or give one in Hz")
    if rate not in ("nominal", "stamps") and (not isinstance(rate, (int, float, np.number)) or not rate > 0):
        raise ValueError(f"expected a rate of 'stamps', 'nominal' or Hz, found {rate!r}")
    welch = _Welch(segment, max(round(segment * (1 - overlap)), 1), _WINDOWS[window](segment), detrend)
    following = None
    with _Pass(ring, seconds, frames) as read:
        for batch in read:
            values = batch.value(channel)
            times = batch.time.copy()
            flags = batch.flags.copy()
            missing = np.where(flags & 2, batch.lost_before, 0)
            gone = batch.overwritten()
            read.discarded += gone
            read.frames += len(values) - gone
            if gone or batch.gaps or batch.lost or batch.position != following:
                welch.cut()
            following = batch.position + len(batch)
            values, times, flags, missing = values[gone:], times[gone:], flags[gone:], missing[gone:]
            read.missing += int(missing.sum()) + _gap_frames(batch)
            _take_runs(welch, values, times, flags)
        seen = read.seen()
    rate_from = rate if isinstance(rate, str) else "given"
    measured_hz = welch.intervals * 1e9 / welch.ns if welch.ns > 0 else float("nan")
    rate_hz = {"stamps": measured_hz, "nominal": nominal_hz}.get(rate_from) if rate_from != "given" else float(rate)
    if not rate_hz > 0:
        density = np.full(segment // 2 + 1, np.nan)
    else:
        density = welch.density(rate_hz)
    return Spectrum(np.fft.rfftfreq(segment, 1 / rate_hz) if rate_hz > 0 else np.full(segment // 2 + 1, np.nan), density,
                    welch.segments, segment, window, rate_hz, rate_from, (welch.least / 1e9, welch.most / 1e9), unit, seen)


def _take_runs(welch: _Welch, values: np.ndarray, times: np.ndarray, flags: np.ndarray) -> None:
    """Parts of a batch between what does not follow."""
    bad = ~np.isfinite(values) | ((flags & _UNEVEN) != 0)  # itself left out
    cuts = np.flatnonzero(bad | ((flags & 2) != 0))
    start = 0
    for i in cuts:
        welch.take(values[start:i], times[start:i])
        welch.cut()
        start = i + 1 if bad[i] else i
    welch.take(values[start:], times[start:])
