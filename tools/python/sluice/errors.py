"""What can go wrong. Every message says what was expected, what was found, and what to do."""
import errno as _errno
from typing import Any as _Any

__all__ = ["Error", "ServerNotFound", "NotPermitted", "VersionMismatch", "ServerGone", "NoSuchRing", "NoSuchChannel",
           "NotInRing", "Overrun", "ShortFrame", "Forked", "Closed", "TooManyReaders", "GatingRefused",
           "Evicted"]


class Error(Exception):
    """Any failure of this package. `errno` is the number that libsluice gave (positive), None where there is none."""

    errno: _Any = None  # int or None; OSError, from which some derive, has its own word for it


class ServerNotFound(Error, ConnectionRefusedError):
    """No such server runs, or several do and none was named."""


class NotPermitted(Error, PermissionError):
    """The server's socket is not open to this user."""


class VersionMismatch(Error):
    """The server is of a release that this package does not understand, or what it shows is corrupt."""


class ServerGone(Error, ConnectionError):
    """The server has ended, or does not answer. What was read before stays readable."""


class _NotFound(Error, KeyError):
    def __str__(self) -> str:  # KeyError shows its argument's repr
        return str(self.args[0]) if self.args else ""


class NoSuchRing(_NotFound):
    """The server has no ring of that name."""


class NoSuchChannel(_NotFound):
    """The ring has no channel of that name."""


class NotInRing(Error, LookupError):
    """What was asked for is not in the ring: overwritten already, or not there yet."""


class Overrun(Error):
    """Frames were overwritten while they were in use: what was computed from them means nothing.

    `position` of the first of them, `count` of them."""

    position: int
    count: int

    def __init__(self, position: int, count: int, frames: int, slots: int) -> None:
        super().__init__(
            f"the first {count} of the {frames} frames at position {position} were overwritten while they were in use: "
            f"expected them to be done with before the writer came round its {slots} slots; discard what came of them, and "
            "ask batch.valid() after use, take fewer frames at once (max_frames), copy first (batch.copy()), give the ring "
            "more slots, or follow with on_overrun='count'")
        self.position = position
        self.count = count
        self._given = (position, count, frames, slots)

    def __reduce__(self):
        return type(self), self._given, self.__dict__


class ShortFrame(Error, ValueError):
    """A frame of the batch ends before the bytes that were asked for. `position` of the first such frame."""

    position: int

    def __init__(self, text: str, position: int) -> None:
        super().__init__(text)
        self.position = position

    def __reduce__(self):
        return type(self), (str(self), self.position), self.__dict__


class Forked(Error, RuntimeError):
    """Used in a child of fork(): it belongs to the parent. Attach again in the child."""


class Closed(Error, ValueError):
    """Used after close()."""


class TooManyReaders(Error):
    """The server has no place left for a reader."""


class GatingRefused(Error):
    """The ring takes no gating reader, or its writer did not answer."""


class Evicted(Error):
    """The server has given this gating reader's place away: it held the writer up for longer than its ring grants, and did
    not move even then."""


_BY_CODE = {
    _errno.ECONNREFUSED: ServerNotFound, _errno.ENOENT: ServerNotFound, _errno.E2BIG: ServerNotFound,
    _errno.EACCES: NotPermitted, _errno.EPROTO: VersionMismatch, _errno.ETIMEDOUT: ServerGone, _errno.EPIPE: ServerGone,
    _errno.ENXIO: NoSuchRing, _errno.EUSERS: TooManyReaders, _errno.EPERM: GatingRefused, _errno.EAGAIN: GatingRefused,
}


def _of(code: int, text: str) -> Exception:
    """The exception for what libsluice returned (-errno) and said."""
    if code == -_errno.ENOMEM:
        return MemoryError(text)
    if code in (-_errno.EINVAL, -_errno.ENAMETOOLONG):
        return ValueError(text)
    e = _BY_CODE.get(-code, Error)(text)
    e.errno = -code
    return e
