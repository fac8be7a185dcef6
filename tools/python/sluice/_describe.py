"""What a server says of its rings, as values. The fields stand in the order of tools/python/src/describe.c."""
from __future__ import annotations

import datetime
import operator
import time
from typing import Iterable, NamedTuple, Union

import numpy as np

from ._sluice import LOSSES, REFUSALS, TYPES
from .errors import NoSuchChannel, VersionMismatch

__all__ = ["Channel", "Gap", "Layout", "Ledger", "Progress", "Rate", "Stream", "CAUSES", "REASONS"]

CAUSES: tuple[str, ...] = tuple(name for name in LOSSES if name != "unknown")
REASONS: tuple[str, ...] = tuple(name for name in REFUSALS if name != "unknown")
CALIBRATIONS = ("none", "polynomial", "points", "thermocouple", "logarithmic")
STAMPS = ("unknown", "taken", "device", "reconstructed", "asked")
_NUMPY = {"i8": "i1", "u8": "u1", "i16": "i2", "u16": "u2", "i32": "i4", "u32": "u4", "i64": "i8", "u64": "u8", "f32": "f4",
          "f64": "f8"}


class Gap(NamedTuple):
    """A gap record: here the ring's writer knows that something is missing."""

    position: int  #: of the record itself; it takes a frame's place
    time: int  #: when it was written, TAI ns since 1970
    cause: str  #: one of CAUSES
    count: int  # type: ignore[assignment]  #: frames known to be missing; 0: none, or not known
    from_time: int  #: last thing known before the gap, TAI ns; 0: not known
    stream: int  #: index into Ring.streams


class Channel(NamedTuple):
    """One channel of a ring's frames. Its value is f(raw * scale + offset), in unit; f is its calibration."""

    name: str
    unit: str
    dtype: np.dtype  #: of the raw number, in its own byte order
    at_byte: int  #: in the payload
    scale: float
    offset: float
    range: tuple[float, float]  #: valid values, inclusive, in unit
    calibration: str  #: "none", "polynomial", "points", "thermocouple", "logarithmic"
    bits: int  #: the raw value is so many bits of the number; 0: all of them
    shift: int  #: .. from this one on, the lowest is 0
    index: int  # type: ignore[assignment]  #: among the ring's channels

    @property
    def end_byte(self) -> int:
        """Bytes that a payload must have to hold it."""
        return self.at_byte + self.dtype.itemsize


class Stream(NamedTuple):
    """One stream of a ring and what is known of its sender."""

    name: str
    source: str  #: kind of source: "udp", "serial" ..
    frame_bytes: int  #: exact payload bytes; 0: they vary
    sequence_width_bytes: int  #: of the sender's number; 0: it sends none
    sequence_step: int


class Progress(NamedTuple):
    """What is in a ring now: positions oldest .. published - 1."""

    oldest: int
    published: int
    oldest_time: int  #: TAI ns; 0: there is none
    newest_time: int
    epoch: int  #: grows by one each time the writer (re)starts
    writer_pid: int


class Ledger(NamedTuple):
    """What became of every frame that was sent, counted by the ring's writer: sent = delivered + sum of lost."""

    sent: int
    delivered: int
    lost: dict[str, int]  #: by cause
    residual: int  #: by how much it does not add up: 0, but for the moment in which the writer counts
    duplicated: int
    reordered: int
    refused: dict[str, int]  #: arrivals that were refused, by reason
    noise_bytes: int
    gap_records: int
    connects: int
    disconnects: int
    is_open: int  #: 1: the device or socket is open
    bytes: int  #: payload bytes delivered


class Rate(NamedTuple):
    """How regularly frames come: of the last whole window (about a second), but for `missed`."""

    nominal_hz: float  #: as configured; 0: not
    measured_hz: float  #: 0: none came, or not measured
    window_ns: int  #: 0: there is none
    frames: int
    interval_ns_min: int
    interval_ns_max: int
    missed: int  #: since the start, by the nominal rate, where frames carry no number


class RingFacts(NamedTuple):
    instance: str
    name: str
    slots: int
    slot_bytes: int
    payload_offset: int
    payload_bytes: int
    channels: int
    streams: int
    stamp: int
    page_bytes: int
    created_time: int
    tai_minus_monotonic_ns: int
    utc_offset_s: int
    numa_node: int


def channel_of(row: tuple, index: int) -> Channel:
    name, unit, at_byte, kind, big_endian, calibration, bits, shift, scale, offset, low, high = row
    dtype = np.dtype((">" if big_endian else "<") + _NUMPY[TYPES[kind]])
    words = CALIBRATIONS[calibration] if calibration < len(CALIBRATIONS) else "unknown"
    return Channel(name, unit, dtype, at_byte, scale, offset, (low, high), words, bits, shift, index)


class Channels(dict):
    """name -> Channel; who asks for one that is not there is told which are near it."""

    def __init__(self, ring: str, channels: Iterable[Channel]) -> None:
        super().__init__((c.name, c) for c in channels)
        self.ring = ring

    def __missing__(self, name):
        from ._arrays import near  # which needs this module

        raise NoSuchChannel(f"ring '{self.ring}' has no channel '{name}': {near(name, self)}")


class Layout:
    """How frames of a ring lie in memory. Built once for a ring."""

    __slots__ = ("key", "facts", "channels", "streams", "frame_bytes", "dtype", "stamp")

    def __init__(self, key: tuple) -> None:
        ring, channels, streams = key
        self.key = key
        self.facts = RingFacts(*ring)
        self.channels = Channels(self.facts.name, (channel_of(row, i) for i, row in enumerate(channels)))
        if len(self.channels) != len(channels):
            raise VersionMismatch(f"ring '{self.facts.name}' of '{self.facts.instance}' has two channels of one name: what "
                                  "its server shows is corrupt")
        self.streams = tuple(Stream(*row) for row in streams)
        lengths = {s.frame_bytes for s in self.streams}
        #: exact payload bytes of every frame; 0: they vary
        self.frame_bytes = lengths.pop() if len(lengths) == 1 else 0
        if self.frame_bytes > self.facts.payload_bytes:
            self.frame_bytes = 0
        end = max((c.end_byte for c in self.channels.values()), default=0)
        self.dtype = np.dtype({
            "names": list(self.channels), "formats": [c.dtype for c in self.channels.values()],
            "offsets": [c.at_byte for c in self.channels.values()],
            "itemsize": max(self.frame_bytes, end) if self.frame_bytes else self.facts.payload_bytes})
        self.stamp = STAMPS[self.facts.stamp] if self.facts.stamp < len(STAMPS) else "unknown"


# ---- Numbers and moments.


def whole(number, what: str, least: int = 0, most: int = 2**64 - 1) -> int:
    """A whole number in a range: what does not fit is refused, never cut."""
    try:
        found = operator.index(number)
    except TypeError:
        raise TypeError(f"expected {what} as a whole number, found {type(number).__name__} {number!r}") from None
    if not least <= found <= most:
        raise ValueError(f"expected {what} of {least} to {most}, found {found}")
    return found


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
_YEARS = 292  # from 1970 on: beyond, NumPy's conversion to ns wraps around
Time = Union[int, float, datetime.datetime, np.datetime64]


def _years(moments):
    """Of datetime64, since 1970; NaT is far below."""
    if np.datetime_data(moments.dtype)[0] in ("ps", "fs", "as"):  # from which NumPy knows no way to years
        moments = moments.astype("datetime64[s]")
    return moments.astype("datetime64[Y]").astype(np.int64)


def tai_ns(moment, utc_offset_s: int) -> int:
    """TAI ns since 1970 of an int (that already), an aware datetime, a numpy.datetime64 (UTC), or seconds since 1970 UTC."""
    if isinstance(moment, (bool, np.bool_)):
        raise TypeError("expected a moment, found a bool")
    if isinstance(moment, (int, np.integer)):
        ns = int(moment)
    elif isinstance(moment, datetime.datetime):
        if moment.tzinfo is None:
            raise ValueError(f"expected a datetime with a time zone, found {moment!r}; which zone is meant? "
                             "datetime.now(timezone.utc) has one")
        ns = (moment - _EPOCH) // _MICROSECOND * 1000 + utc_offset_s * 10**9
    elif isinstance(moment, np.datetime64):
        if np.isnat(moment):
            raise ValueError("expected a moment, found NaT")
        if not 0 <= _years(moment) < _YEARS:
            raise ValueError(f"expected a moment of 1970 to 2261, found {moment!r}")
        ns = int(moment.astype("datetime64[ns]").astype(np.int64)) + utc_offset_s * 10**9
    elif isinstance(moment, (float, np.floating)):
        if not np.isfinite(moment):
            raise ValueError(f"expected a moment, found {moment}")
        ns = round(float(moment) * 1e9) + utc_offset_s * 10**9
    else:
        raise TypeError("expected a moment: int (TAI ns since 1970), float (seconds since 1970 UTC), aware datetime or "
                        f"numpy.datetime64 (UTC), found {type(moment).__name__}")
    if not 0 <= ns < 2**64:
        raise ValueError(f"expected a moment from 1970 on that fits 64 bits of ns, found {moment!r}")
    return ns


def kernel_utc_offset_s() -> int:
    """TAI - UTC as the kernel knows it, from which rings have theirs; 0: it does not know, and its TAI is UTC."""
    return round((time.clock_gettime_ns(time.CLOCK_TAI) - time.time_ns()) / 1e9)


def tai_ns_array(times) -> np.ndarray:
    """uint64: tai_ns() of an array of whole numbers (TAI ns) or datetime64 (UTC)."""
    if np.ma.isMaskedArray(times):
        raise TypeError("expected times without a mask, found a masked array: take times.compressed(), and the values with it")
    array = np.asarray(times)
    if array.dtype.kind == "M":
        years = _years(array)
        if not ((years >= 0) & (years < _YEARS)).all():  # NaT is no year
            raise ValueError("expected times of 1970 to 2261, found others, or NaT")
        array = array.astype("datetime64[ns]").astype(np.int64).astype(np.uint64)
        return np.ascontiguousarray(array + np.uint64(kernel_utc_offset_s() * 10**9))
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"expected times as whole numbers (TAI ns since 1970) or datetime64 (UTC), found {array.dtype}")
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        raise ValueError(f"expected times of 0 or more, found {array.min()}")
    return np.ascontiguousarray(array, np.uint64)
