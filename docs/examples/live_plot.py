#!/usr/bin/env python3
"""A channel as it comes, in a window: live_plot.py INSTANCE RING CHANNEL [--seconds 10] [--frames N --save FILE.png]

The band is from the least to the greatest value of each pixel's time, so that no spike is missed, however fast the channel
is; the line is their mean. Where frames are missing the line has a gap. With --frames it ends after so many, and writes the
last picture into a file.
"""
import argparse

import numpy as np

import sluice
from sluice import stats

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("instance")
parser.add_argument("ring")
parser.add_argument("channel")
parser.add_argument("--seconds", type=float, default=10, help="of the plot (10)")
parser.add_argument("--frames", type=int, help="end after so many")
parser.add_argument("--save", metavar="FILE", help="write the last picture there, without a window")
arguments = parser.parse_args()

import matplotlib  # noqa: E402: after the arguments, since --save wants no window

if arguments.save:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PIXELS = 1000
REDRAW_S = 0.1


def with_gaps(points):
    """A point of NaN before each that does not follow the one before: matplotlib draws nothing there."""
    return np.insert(points, np.flatnonzero(points["is_after_gap"][1:]) + 1,
                     np.array([(0, 0, 0, np.nan, np.nan, np.nan, 0)], points.dtype))


def draw(axes, points, running, reader):
    points = with_gaps(points)
    # A gap's point has no time of its own: it takes that of the next.
    times = np.where(points["count"] + points["not_finite"] > 0, points["time"], np.roll(points["time"], -1))
    seconds = (times - times[-1]).astype(np.int64) / 1e9
    axes.clear()
    axes.fill_between(seconds, points["min"], points["max"], alpha=0.35, step="post", color="C0", linewidth=0.8)
    axes.plot(seconds, points["mean"], linewidth=1)
    axes.set_xlim(-arguments.seconds, 0)
    axes.set_xlabel("s before the newest frame")
    axes.set_ylabel(f"{arguments.channel}, {channel.unit}")
    # Three things that may be missing: what never came to the ring, what came as no number, what this program was too slow for.
    axes.set_title(f"{arguments.instance}: {arguments.ring}   {running.count + running.not_finite:,} frames, {running.missing} "
                   f"missing before, {reader.lost} overwritten, {running.not_finite} not numbers\n"
                   f"mean {running.mean:.4g}, std {running.std():.3g}, {running.min:.4g} to {running.max:.4g} {channel.unit}",
                   fontsize=9)


try:
    server = sluice.attach(arguments.instance)
    ring = server[arguments.ring]
    channel = ring.channels[arguments.channel]
except sluice.Error as e:
    raise SystemExit(str(e)) from None

with server:
    running = stats.Running()
    # Everything that is drawn is in these points, whatever the rate: the memory does not grow.
    envelope = stats.Envelope(every_ns=max(round(arguments.seconds * 1e9 / PIXELS), 1), keep=PIXELS)
    figure, axes = plt.subplots(figsize=(10, 4), constrained_layout=True)

    # on_overrun="count": update() takes only what was whole, and lost frames are counted. start="oldest": what the ring
    # holds is there at once.
    with ring.follow(start="oldest", on_overrun="count") as reader:
        done = False
        while not done and (arguments.save or plt.fignum_exists(figure.number)):
            while not done and (batch := reader.batch()) is not None:
                running.update(batch, arguments.channel)
                envelope.update(batch, arguments.channel)
                done = arguments.frames is not None and running.count + running.not_finite >= arguments.frames
            if not arguments.save and running.count:
                draw(axes, envelope.points(), running, reader)
                plt.pause(REDRAW_S)
            try:
                done = done or not (reader.wait(REDRAW_S) or server.alive)
            except sluice.ServerGone:
                done = True  # what it left has been read
        if arguments.save and running.count:
            draw(axes, envelope.points(), running, reader)
            figure.savefig(arguments.save, dpi=80)
            print(f"{running.count + running.not_finite} frames in {len(envelope.points())} points: {arguments.save}")
