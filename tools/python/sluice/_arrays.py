"""Arrays over a whole ring's memory, or a copy's: made once, and sliced for each batch."""
from __future__ import annotations

import difflib

import numpy as np

from ._describe import Layout
from .layout import DTYPES

_NAMES = {"position_word": "sequence", "time": "tai_ns", "sequence": "source_sequence", "length": "length_bytes",
          "flags": "flags", "stream": "stream", "lost_before": "lost_before"}  # ours, and those of ring/layout.h
_DESCRIPTOR = tuple((ours, *DTYPES["ring_descriptor"].fields[theirs][:2]) for ours, theirs in _NAMES.items())


def near(name: str, names) -> str:
    """Words that help somebody who asked for a name that is not there."""
    names = list(names)
    close = difflib.get_close_matches(str(name), names, 3, 0.5)
    if close:
        return "did you mean " + " or ".join(f"'{n}'" for n in close) + "?"
    if not names:
        return "there is none"
    return "there are " + ", ".join(f"'{n}'" for n in names[:20]) + (", .." if len(names) > 20 else "")


class Source(dict):
    """channel -> array over all slots that a buffer holds. The buffer is read-only, hence they are."""

    __slots__ = ("layout", "buffer", "count", "position_word", "time", "sequence", "length", "flags", "stream", "lost_before")

    def __init__(self, layout: Layout, buffer, count: int) -> None:
        super().__init__()
        self.layout = layout
        self.buffer = buffer
        self.count = count
        shape, strides = (count,), (layout.facts.slot_bytes,)
        for name, kind, offset in _DESCRIPTOR:
            setattr(self, name, np.ndarray(shape, kind, buffer, offset, strides) if count else np.empty(0, kind))

    def over(self, owner: bytes) -> Source:
        """The same over a copy of whole slots."""
        return Source(self.layout, owner, len(owner) // self.layout.facts.slot_bytes)

    def payload(self, dtype, at_byte: int = 0, shape: tuple[int, ...] = (), strides: tuple[int, ...] = ()) -> np.ndarray:
        """An array of what lies at_byte in every payload; shape and strides of what one frame holds."""
        facts = self.layout.facts
        if self.count == 0:
            empty = np.empty((0, *shape), dtype)
            empty.setflags(write=False)
            return empty
        return np.ndarray((self.count, *shape), dtype, self.buffer, facts.payload_offset + at_byte,
                          (facts.slot_bytes, *strides))

    def __missing__(self, name: str) -> np.ndarray:
        channel = self.layout.channels[name]
        column = self[name] = self.payload(channel.dtype, channel.at_byte)
        return column
