#!/usr/bin/env python3
"""Statistics of ten million live readings, in no more memory than before: ten_million.py INSTANCE RING [READINGS]

Every channel of every frame is folded into mean, spread and percentiles as it comes. The frames are read where they lie, in
the server's ring; this process keeps 56 bytes a channel, and one histogram of which a few pages are touched.
"""
import argparse
import time

import sluice
from sluice import stats


def private_kb():
    """What this process has for itself, and shares with nobody: anonymous memory."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instance")
    parser.add_argument("ring")
    parser.add_argument("readings", nargs="?", type=int, default=10_000_000)
    arguments = parser.parse_args()
    try:
        run(arguments.instance, arguments.ring, arguments.readings)
    except sluice.Error as e:
        raise SystemExit(str(e)) from None


def run(instance, name, wanted):
    with sluice.attach(instance) as server:
        ring = server[name]
        names = list(ring.channels)
        running = {n: stats.Running() for n in names}
        median = stats.Quantiles()  # of the first channel
        lost = taken = 0
        start = before = None
        # update() takes only frames that were whole after they had been read: overruns are counted, and raise nothing.
        with ring.follow(start="newest", on_overrun="count", max_frames=512, timeout=10) as reader:
            for batch in reader:
                if before is None:  # all is imported and attached; what comes now is the work itself
                    start, before = time.monotonic(), private_kb()
                lost += batch.lost
                taken += sum(running[n].update(batch, n) for n in names)
                median.update(batch, names[0])
                if taken >= wanted:
                    break
        if before is None:
            raise SystemExit("no frame came within 10 s")
        seconds = time.monotonic() - start
        grown = private_kb() - before
    everything = stats.Running()
    for one in running.values():
        everything.merge(one)
    discarded = sum(one.discarded for one in running.values())
    print(f"{taken:,} readings of {len(names)} channels in {seconds:.2f} s: {taken / seconds / 1e6:.1f} million a second")
    print(f"mean {everything.mean:.6g}, std {everything.std():.6g}, {everything.min:g} to {everything.max:g}, "
          f"{everything.not_finite} not numbers; median of {names[0]} {median.quantile(0.5):.6g}")
    print(f"{lost} frames lost, {discarded} readings overwritten while they were read, and left out")
    print(f"the ring: {ring.slots * ring.slot_bytes:,} bytes, shared; this process: {grown:,} kB more than before")


if __name__ == "__main__":
    main()
