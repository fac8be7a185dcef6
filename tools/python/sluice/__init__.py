"""Read the rings of a running sluice server in place, as NumPy arrays.

    import sluice

    with sluice.attach("tvac1") as server:
        for batch in server["tvac"].follow():
            when, mean = batch.utc[-1], batch.value("chamber_pressure").mean()    # kPa, calibrated
            if batch.valid():                     # ask after use: the writer goes on meanwhile
                print(when, mean)

Arrays are views of the ring's own memory, read-only: nothing is copied until you ask for it. Frames that were lost, on
their way or by reading too slowly, are counted exactly (batch.lost, batch.gaps, reader.lost), never hidden.
"""
from . import errors
from . import _sluice
from . import _fork
from ._batch import Batch
from ._describe import CAUSES, REASONS, Channel, Gap, Ledger, Progress, Rate, Stream
from ._reader import Reader
from ._server import Histogram, Process, Ring, Server, attach, instances
from .errors import (Closed, Error, Evicted, Forked, GatingRefused, NoSuchChannel, NoSuchRing, NotInRing, NotPermitted,
                     Overrun, ServerGone, ServerNotFound, ShortFrame, TooManyReaders, VersionMismatch)


def __getattr__(name: str):
    """sluice.stats and sluice.layout are imported when they are first used."""
    if name in ("stats", "layout"):
        import importlib

        return importlib.import_module(f"sluice.{name}")
    raise AttributeError(f"module 'sluice' has no attribute {name!r}")


__version__ = _sluice.version

#: Bits of batch.flags.
LOST_BEFORE, DUPLICATE, REORDERED = 2, 4, 8

__all__ = ["attach", "instances", "Server", "Ring", "Reader", "Batch", "Channel", "Gap", "Histogram", "Ledger", "Process",
           "Progress", "Rate", "Stream", "CAUSES", "REASONS", "LOST_BEFORE", "DUPLICATE", "REORDERED", "errors",
           *errors.__all__]

_fork.register()
