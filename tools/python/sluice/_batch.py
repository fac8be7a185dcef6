"""Frames that adjoin: arrays over them where they lie."""
from __future__ import annotations

from typing import TYPE_CHECKING, Iterable

import numpy as np

from . import _sluice
from .errors import ShortFrame

if TYPE_CHECKING:
    from ._describe import Channel, Gap

__all__ = ["Batch"]


class Batch(_sluice.Batch):
    """Frames that adjoin, never a gap record among them: len(batch) of them.

    What it gives are arrays over the ring's own memory, read-only, for good: nothing is copied. The ring's writer goes on
    meanwhile, so ask valid() or overwritten() *after* use, or copy() first: if neither is asked after the last look, and it
    was overwritten, the reader raises Overrun when the next batch is asked for, or its `with` block left. Arrays stay
    readable after reader and server are closed. A batch belongs to the reader's thread, or to whom that hands it, until the
    next is asked for.
    """

    __slots__ = ()

    position: int
    lost: int
    gaps: tuple[Gap, ...]
    is_copy: bool

    if TYPE_CHECKING:

        def copy(self) -> Batch: ...

    # ---- Channels.

    def __repr__(self) -> str:
        where = f"{len(self)} frames at {self.position}" if len(self) else f"no frames at {self.position}"
        more = (f", {self.lost} lost before" if self.lost else "")
        if self.gaps:
            more += f", {len(self.gaps)} gap record{'s' if len(self.gaps) > 1 else ''}"
        return f"<sluice.Batch of '{self._source.layout.facts.name}': {where}{more}{', a copy' if self.is_copy else ''}>"

    def __bool__(self) -> bool:
        """False of what tells nothing: no frames and no gap records."""
        return len(self) > 0 or bool(self.gaps)

    def __array__(self, *_, **__):
        raise TypeError("a Batch is no array: which of its arrays? batch.raw (structured), batch['name'], batch.value('name'), "
                        "batch.values(['name', ..])")

    def __reduce__(self):
        raise TypeError("a Batch lies in memory that no other process has: send its arrays, copied, such as "
                        "batch.raw.copy(), batch.value('name'), batch.time.copy()")

    def _check_key(self, key) -> None:
        """What batch[key] says of what is no name."""
        if isinstance(key, (slice, int, np.integer, np.ndarray)):
            raise TypeError(f"expected a channel's name, found {key!r}: frames are picked out of an array, such as "
                            "batch.raw[:5], batch['name'][:5]")
        raise TypeError(f"expected one channel's name, found {key!r}: batch.values(['a', 'b']) gives several in their units, "
                        "batch.raw[['a', 'b']] as they lie there")

    def _check_length(self, name: str) -> None:
        channel = self._source.layout.channels.get(name)
        if channel is not None:
            self._check_end(channel.end_byte, f"channel '{name}'", f"batch.value('{name}') gives NaN there")

    def _check_end(self, end_byte: int, what: str, instead: str) -> None:
        """Nothing shows bytes behind a frame's end as if they were the frame's."""
        if self._length_min >= end_byte or len(self) == 0:
            return
        lengths = self.length
        short = np.flatnonzero(lengths < end_byte)
        first = int(short[0]) if len(short) else 0
        raise ShortFrame(
            f"expected frames of at least {end_byte} bytes for {what}, found {int(lengths[first])} bytes at position "
            f"{int(self._source.position_word[self._slice][first]) - 1} ({len(short)} of the batch's {len(self)} frames are "
            f"too short); {instead}, batch.length has every length, and follow(max_frames=1) gives frames one by one",
            int(self._source.position_word[self._slice][first]) - 1)

    @property
    def raw(self) -> np.ndarray:
        """Structured array (n,), a field for each channel in its own type and byte order: a view."""
        source = self._source
        end = max((c.end_byte for c in source.layout.channels.values()), default=0)
        self._check_end(end, "all channels", "batch['name'] needs one of them only")
        return source.payload(source.layout.dtype)[self._slice]

    def _channel(self, name: str) -> Channel:
        if not isinstance(name, str):
            raise TypeError(f"expected a channel's name, found {name!r}")
        return self._source.layout.channels[name]

    def value(self, name: str, out: np.ndarray | None = None) -> np.ndarray:
        """float64 (n,): the channel in its unit, calibrated; NaN where its frame is too short for it, and where its
        calibration says nothing. out: an array of that shape and type to write into, which is returned."""
        index = self._channel(name).index
        if out is None:
            out = np.empty(len(self))
        elif not isinstance(out, np.ndarray):
            raise TypeError(f"expected an array of float64 to write into, found {type(out).__name__}")
        elif out.dtype != np.float64 or out.shape != (len(self),):
            raise ValueError(f"expected out of float64 ({len(self)},), found {out.dtype} {out.shape}")
        elif not out.flags.c_contiguous or not out.dtype.isnative:
            out[:] = self.value(name)
            return out
        self._values(index, out)
        return out

    def values(self, names: Iterable[str] | None = None) -> np.ndarray:
        """float64 (n, k): the named channels in their units (None: all, in the ring's order), each as value() gives it.
        Columns are contiguous."""
        if isinstance(names, str):
            raise TypeError(f"expected several names, found one: batch.value({names!r}), or batch.values([{names!r}])")
        names = list(self._source.layout.channels) if names is None else list(names)
        table = np.empty((len(names), len(self)))
        for row, name in zip(table, names):
            self._values(self._channel(name).index, row)
        return table.T

    # ---- What a frame is besides.

    @property
    def time(self) -> np.ndarray:
        """uint64 (n,), TAI ns since 1970: a view. ring.stamp says what it is the time of. Unsigned: a difference below 0
        wraps; take batch.utc's, or .astype(np.int64) first."""
        return self._source.time[self._slice]

    @property
    def utc(self) -> np.ndarray:
        """datetime64[ns] (n,), UTC: a copy."""
        offset = np.uint64(max(self._source.layout.facts.utc_offset_s, 0) * 10**9)
        return (self._source.time[self._slice] - offset).astype("datetime64[ns]")

    @property
    def sequence(self) -> np.ndarray:
        """uint64 (n,): the sender's own numbers, unwrapped; the position where it has none. A view.
        Unsigned: a difference below 0 wraps; .astype(np.int64) first."""
        return self._source.sequence[self._slice]

    @property
    def positions(self) -> np.ndarray:
        """uint64 (n,): each frame's position in the ring's whole life. A copy."""
        if self.is_copy:
            return self._source.position_word[self._slice] - np.uint64(1)
        return np.arange(self.position, self.position + len(self), dtype=np.uint64)

    @property
    def flags(self) -> np.ndarray:
        """uint16 (n,): LOST_BEFORE, DUPLICATE, REORDERED; bits 8 to 15: the cause of what is missing before, an index into
        CAUSES. A view."""
        return self._source.flags[self._slice]

    @property
    def lost_before(self) -> np.ndarray:
        """uint16 (n,): frames of the stream that are missing just before each, before they came to the ring (65535: that
        many or more). A view."""
        return self._source.lost_before[self._slice]

    @property
    def stream(self) -> np.ndarray:
        """uint16 (n,): index into ring.streams. A view."""
        return self._source.stream[self._slice]

    @property
    def length(self) -> np.ndarray:
        """uint16 (n,): payload bytes of each frame. A view."""
        return self._source.length[self._slice]

    # ---- Payloads as they are.

    @property
    def bytes(self) -> np.ndarray:
        """uint8 (n, frame_bytes) where all frames of the ring are that long, else (n, payload_bytes): what lies behind
        batch.length of a frame is not the frame's then. A view."""
        layout = self._source.layout
        room = layout.facts.payload_bytes
        fixed = layout.frame_bytes
        if fixed and len(self) and self._length_min < fixed:
            fixed = 0
        return self._source.payload("u1", 0, (fixed or room,), (1,))[self._slice]

    def samples(self, dtype, at_byte: int = 0, count: int | None = None) -> np.ndarray:
        """A payload that is an array (a waveform, VDIF words): view (n, count) of dtype, from at_byte of the payload on.
        count None: to the end of the shortest frame. Rows do not adjoin: over all of it, .sum(axis=1).sum() or
        np.einsum("ij->", x) run at the speed of memory, NumPy's plain .sum() at a third of it."""
        dtype = np.dtype(dtype)
        if at_byte < 0 or (count is not None and count < 0) or dtype.itemsize == 0 or dtype.hasobject:
            raise ValueError(f"expected at_byte and count of 0 or more and a type of numbers, found {at_byte}, {count}, {dtype}")
        facts = self._source.layout.facts
        end = min(self._length_min, facts.payload_bytes) if len(self) else facts.payload_bytes
        if count is None:
            count = max(end - at_byte, 0) // dtype.itemsize
        self._check_end(at_byte + count * dtype.itemsize, f"{count} samples of {dtype.itemsize} bytes from byte {at_byte}",
                        "take fewer (count)")
        if at_byte + count * dtype.itemsize > facts.payload_bytes:
            raise ValueError(f"expected samples within a payload of at most {facts.payload_bytes} bytes, found {count} of "
                             f"{dtype.itemsize} bytes from byte {at_byte}")
        return self._source.payload(dtype, at_byte, (count,), (dtype.itemsize,))[self._slice]
