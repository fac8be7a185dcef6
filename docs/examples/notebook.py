# A first look at a ring, cell by cell: open it in an editor that knows "# %%", or run it: notebook.py INSTANCE RING CHANNEL

# %% What runs here, and what it has
import sys

import numpy as np

import sluice
from sluice import stats

instance, name, channel = sys.argv[1:4] if len(sys.argv) > 3 else (None, None, None)
print("servers:", ", ".join(sluice.instances()) or "none")
server = sluice.attach(instance)  # without a name: the only one that runs
print(server)

# %% Its rings: how much is there, and is it coming?
for ring in server.rings.values():
    progress = ring.progress
    held = progress.published - progress.oldest
    span_s = (progress.newest_time - progress.oldest_time) / 1e9
    print(f"{ring.name}: {held} of {ring.slots} slots, {span_s:.1f} s, {ring.rate.measured_hz:.0f} Hz now"
          f" (nominal {ring.rate.nominal_hz:.0f}), stamps: {ring.stamp}")
ring = server[name] if name else next(iter(server.rings.values()))

# %% The channels of one of them
for c in ring.channels.values():
    print(f"{c.name:24} {c.dtype.str:4} at byte {c.at_byte:3}  {c.range[0]:g} to {c.range[1]:g} {c.unit}")
channel = channel or next(iter(ring.channels))

# %% What was lost: the ledger says what became of every frame that was sent
ledger = ring.ledger
print(f"sent {ledger.sent} = delivered {ledger.delivered} + lost {sum(ledger.lost.values())} (residual {ledger.residual})")
print({cause: n for cause, n in ledger.lost.items() if n} or "nothing lost",
      {reason: n for reason, n in ledger.refused.items() if n} or "nothing refused",
      f"{ledger.duplicated} twice, {ledger.reordered} late")

# %% The newest frame, in engineering units
newest = ring.last(frames=1)
if len(newest):
    print(newest.utc[0], {n: round(float(newest.value(n)[0]), 4) for n in ring.channels})

# %% Where something is missing
last = ring.last(seconds=60)
for gap in last.gaps[:10]:
    print(f"gap at {gap.position}: {gap.cause}, {gap.count} frames")
before = np.flatnonzero(last.lost_before)
print(f"{len(last)} frames, {len(last.gaps)} gap records, {len(before)} frames with others missing before them"
      f" ({int(last.lost_before.sum())} in all)")

# %% How regularly they come
steps_ms = np.diff(last.time.astype(np.int64)) / 1e6
if len(steps_ms):
    print("ms between frames: median {:.3f}, 99 % below {:.3f}, max {:.3f}".format(
        *np.percentile(steps_ms, (50, 99)), steps_ms.max()))

# %% Statistics of everything that the ring holds: in one pass, in place
for n, s in stats.summary(ring).items():
    print(f"{n:24} {s.mean:10.4f} +- {s.std:.4f} {s.unit}, {s.min:.4f} to {s.max:.4f}, {s.not_finite} not numbers")
print(s.seen)

# %% Percentiles: exact at both ends, within 0.1 % between them
p = stats.percentiles(ring, channel, (0, 1, 50, 99, 100))
print(channel, ", ".join(f"{q:g} %: {v:.4f}" for q, v in zip(p.percent, p.value)), p.unit)

# %% A histogram
s = stats.summary(ring, channel)
h = stats.histogram(ring, channel, 12, (s.min, s.max) if s.max > s.min else (s.min - 1, s.min + 1))
for low, n in zip(h.edges, h.counts):
    print(f"{low:10.3f} {int(n):8} {'#' * int(np.ceil(50 * n / max(h.counts.max(), 1)))}")

# %% How often did it go halfway to its greatest value, and for how long?
c = stats.edges(ring, channel, (s.min + s.max) / 2, hysteresis=(s.max - s.min) / 10)
print(f"{c.rising} times up, {c.falling} down; {c.above_s:.3f} s above, {c.below_s:.3f} s below, {c.unknown_s:.3f} s unknown")
for edge in c.edges[:5]:
    where = "up" if edge["level"] == 2 else "down"
    unsure = ", within a gap" if edge["flags"] & 1 else ""
    print(f"  {where} at position {edge['position']} after {edge['held_ns'] / 1e9:.3f} s{unsure}")

# %% Its spectrum: no segment spans a gap
f = stats.spectrum(ring, channel, segment=256)
if f.segments:
    top = np.argsort(f.density[2:])[-3:][::-1] + 2
    print(f"{f.segments} segments at {f.rate_hz:.1f} Hz ({f.rate_from}), {f.window}; strongest:",
          ", ".join(f"{f.frequency[i]:.1f} Hz {f.density[i]:.3g} {f.unit}^2/Hz" for i in top))

# %% And its shape, in 16 points: least, mean, greatest
for point, at in zip((e := stats.envelope(ring, channel, 16)).points, e.seconds):
    print(f"{at:8.2f} s  {point['min']:10.3f} {point['mean']:10.3f} {point['max']:10.3f}"
          + ("   something is missing before it" if point["is_after_gap"] and at else ""))

# %%
server.close()
