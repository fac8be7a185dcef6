#!/usr/bin/python3
"""sluice.stats against NumPy on copies: arrays of every kind, batches that were overwritten, rings with gaps and losses."""
import copy
import math
import os
import pickle
import struct
import sys
import tempfile
import threading
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/support"))
sys.path.insert(0, os.environ.get("PYTHONPATH") or os.path.join(ROOT, "build/release/python"))
import numpy as np
from ring_stand import RingStand

import sluice
from sluice import stats

BIN = os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin"))
MS = 1_000_000
START = 1_700_000_000 * 10**9
KINDS = ["i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8", "<f4", ">f4", "<f8",
         ">f8"]


def odd(values, seed):
    """Some NaN and infinities among them."""
    rng = np.random.default_rng(seed)
    values = values.copy()
    values[rng.random(values.shape) < 0.02] = np.nan
    values[rng.random(values.shape) < 0.01] = np.inf
    values[rng.random(values.shape) < 0.01] = -np.inf
    return values


class Arrays(unittest.TestCase):
    def check_running(self, running, values):
        finite = values[np.isfinite(values)].astype(np.longdouble)
        self.assertEqual((running.count, running.not_finite), (finite.size, values.size - finite.size))
        if finite.size:
            scale = float(np.abs(finite).max()) or 1.0
            self.assertAlmostEqual(running.mean / scale, float(finite.mean() / scale), 13)
            self.assertEqual((running.min, running.max), (float(finite.min()), float(finite.max())))
            self.assertAlmostEqual(running.std() / scale, float(finite.std() / scale), 12)

    def test_every_type_and_byte_order(self):
        rng = np.random.default_rng(1)
        for kind in KINDS:
            dtype = np.dtype(kind)
            raw = rng.integers(0, 256, 3000 * dtype.itemsize, np.uint8).view(dtype)
            if dtype.kind == "f":
                raw = rng.normal(5, 3, 3000).astype(dtype)
            running, quantiles, edges = stats.Running(), stats.Quantiles(), stats.Edges(0.0)
            for stream in (running, quantiles, edges):
                self.assertEqual(stream.update(raw), 3000)
            with np.errstate(all="ignore"):
                values = raw.astype(np.float64)
            self.check_running(running, values)
            self.assertEqual(quantiles.max, values.max())
            above = values >= 0
            self.assertEqual(edges.rising, int((above[1:] & ~above[:-1]).sum()), kind)

    def test_other_kinds(self):
        running = stats.Running()
        running.update([1, 2, 3])
        running.update(np.array([True, False]))
        running.update(np.array([1.5], np.float16))
        running.update(np.array([2.5], np.longdouble))
        running.update(7.0)
        running.update(np.empty((0, 5)))
        self.check_running(running, np.array([1, 2, 3, 1, 0, 1.5, 2.5, 7]))
        for wrong in (np.array([1j]), np.array(["a"]), np.array([None]), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f8")])):
            with self.assertRaises(TypeError):
                running.update(wrong)
        with self.assertRaises(TypeError):
            running.update([1.0], "pressure")

    def test_strides_and_shapes(self):
        base = np.random.default_rng(2).normal(size=(7, 11, 13))
        struct_array = np.zeros(5000, [("a", "<i2"), ("b", ">f8")])
        struct_array["b"] = np.arange(5000)
        for view in (base, base.T, base[::2, ::-3, 1:], base[:, :, 0], base[..., ::-1], base[3, 4, 5], np.asfortranarray(base),
                     struct_array["b"], np.broadcast_to(np.float64(3), (4, 5)), base.reshape(-1)[::7]):
            running = stats.Running()
            self.assertEqual(running.update(view), view.size)
            self.check_running(running, np.array(view, float).reshape(-1))
            histogram = stats.Histogram(-2, 2, 40)
            histogram.update(view)
            self.assertTrue((histogram.counts == np.histogram(view, 40, (-2, 2))[0]).all())
        ordered = stats.Envelope(1)
        ordered.update(base.transpose(1, 0, 2)[::-1])
        self.assertTrue((ordered.points()["min"] == base.transpose(1, 0, 2)[::-1].reshape(-1)).all(), "in NumPy's order")

    def test_nothing_is_copied(self):
        values = np.arange(10.0)
        values.setflags(write=False)
        running = stats.Running()
        running.update(values)
        self.assertEqual(running.count, 10, "what may not be written is read where it lies")

    def test_histogram_is_numpys(self):
        rng = np.random.default_rng(3)
        for low, high, bins in ((0, 1, 10), (-0.7, 0.9, 333), (1e9, 1e9 + 1, 64), (0.1, 0.3, 7), (-5e-9, 5e-9, 1000)):
            values = np.concatenate((rng.uniform(low - (high - low) / 4, high + (high - low) / 4, 20000),
                                     np.linspace(low, high, bins + 1), [np.nan, np.inf, -np.inf, low, high]))
            stream = stats.Histogram(low, high, bins)
            stream.update(values[:777])
            stream.update(values[777:])
            finite = values[np.isfinite(values)]
            self.assertTrue((stream.counts == np.histogram(finite, bins, (low, high))[0]).all(), (low, high, bins))
            self.assertTrue((stream.edges == np.histogram_bin_edges(finite, bins, (low, high))).all())
            self.assertEqual((stream.below, stream.above, stream.not_finite),
                             ((finite < low).sum(), (finite > high).sum(), 3))
        for wrong in ((1, 1, 5), (2, 1, 5), (0, math.nan, 5), (0, 1, 0), (0, math.inf, 5)):
            with self.assertRaises(ValueError):
                stats.Histogram(*wrong)

    def test_percentiles(self):
        rng = np.random.default_rng(4)
        for values in (rng.normal(size=40000), rng.lognormal(0, 5, 40000), -rng.lognormal(0, 5, 999), 1e9 + rng.normal(size=5000),
                       rng.integers(-3, 4, 1000).astype(float), np.array([-4.2])):
            stream = stats.Quantiles()
            stream.update(odd(values, 5))
            kept = odd(values, 5)
            kept = kept[np.isfinite(kept)]
            if not kept.size:
                continue
            percent = np.linspace(0, 100, 501)
            should = np.percentile(kept, percent, method="inverted_cdf")
            error = np.abs(stream.percentile(percent) - should)
            # The rank itself may be rounded to the next: then the neighbour's value is right, too.
            near = np.minimum.reduce([np.abs(stream.percentile(percent) - np.percentile(kept, np.clip(percent + d, 0, 100),
                                                                                     method="inverted_cdf"))
                                      for d in (-1e-9, 0, 1e-9)])
            self.assertTrue((np.minimum(error, near) <= np.abs(should) / 1024 + 1e-300).all())
            self.assertEqual((stream.min, stream.max), (kept.min(), kept.max()))
        self.assertTrue(math.isnan(stats.Quantiles().quantile(0.5)))
        with self.assertRaisesRegex(ValueError, "percentile"):
            stream.quantile(50)

    def test_merged_is_the_whole_also_when_sent(self):
        values = odd(np.random.default_rng(6).normal(1e9, 1, 30000), 7)
        for make in (stats.Running, stats.Quantiles, lambda: stats.Histogram(1e9 - 2, 1e9 + 2, 77)):
            whole, merged = make(), make()
            whole.update(values)
            for part in np.array_split(values, 7):
                stream = make()
                stream.update(part)
                merged.merge(pickle.loads(pickle.dumps(stream)))
            self.assertEqual((whole.count, whole.not_finite), (merged.count, merged.not_finite))
            if isinstance(whole, stats.Running):
                self.check_running(merged, values)
            else:
                self.assertTrue((whole._state["buckets"] == merged._state["buckets"]).all() if
                                isinstance(whole, stats.Quantiles) else (whole.counts == merged.counts).all())
        with self.assertRaises(ValueError):
            merged.merge(stats.Histogram(0, 1, 77))
        for one, other in ((stats.Running(), stats.Quantiles()), (merged, stats.Running())):
            with self.assertRaises(TypeError):
                one.merge(other)

    def test_envelope(self):
        values = odd(np.random.default_rng(8).normal(size=10000), 9)
        stream = stats.Envelope(64)
        for part in np.array_split(values, 13):
            stream.update(part)
        points = stream.points()
        self.assertEqual(len(points), -(-10000 // 64))
        for i, p in enumerate(points):
            group = values[i * 64:(i + 1) * 64]
            finite = group[np.isfinite(group)]
            self.assertEqual((p["time"], p["count"], p["not_finite"]), (i * 64, finite.size, group.size - finite.size))
            self.assertEqual((p["min"], p["max"]), (finite.min(), finite.max()))
            self.assertAlmostEqual(p["mean"], finite.mean(), 12)
        self.assertEqual(stream.count, 10000)
        kept = stats.Envelope(10, keep=5)
        for part in np.array_split(np.arange(1000.0), 100):
            kept.update(part)
        self.assertEqual(kept.points()["time"].tolist(), [950, 960, 970, 980, 990])
        self.assertLess(kept._kept, 11)
        timed = stats.Envelope(every_ns=1000)
        timed.update(np.arange(4.0), times=[1500, 1999, 2000, 9000])
        self.assertEqual(timed.points()["time"].tolist(), [1500, 2000, 9000])
        with self.assertRaises(ValueError):
            timed.update(np.arange(4.0), times=[1, 2])
        for wrong in ((0,), (-1,), (2.5e19,)):
            with self.assertRaises((TypeError, ValueError)):
                stats.Envelope(*wrong)

    def test_edges(self):
        stream = stats.Edges(3, 1)
        stream.update([0, 2.5, 3, 2.5, 1.9, 5, math.nan, 5])
        found = stream.edges()
        self.assertEqual(found["position"].tolist(), [2, 4, 5])
        self.assertEqual(found["level"].tolist(), [2, 1, 2])
        self.assertEqual(found["held_ns"].tolist(), [2, 2, 1])
        self.assertEqual((stream.rising, stream.falling, stream.level), (2, 1, "above"))
        self.assertAlmostEqual((stream.above_s + stream.below_s + stream.unknown_s) * 1e9, 7)
        stream.gap()
        self.assertEqual(stream.level, "unknown")
        self.assertEqual(len(stream.take()), 3)
        self.assertEqual(len(stream.edges()), 0)
        with self.assertRaises(ValueError):
            stats.Edges(1, -1)

    def test_other_threads_run_meanwhile(self):
        """The GIL is released: with it held, this thread could look at most once or twice."""
        stream, begun = stats.Running(), threading.Event()

        def fold():
            begun.set()
            stream.update(np.broadcast_to(np.float64(2), 200_000_000))

        thread = threading.Thread(target=fold)
        thread.start()
        begun.wait()
        looks = 0
        while thread.is_alive():
            thread.join(0.001)
            looks += 1
        self.assertGreater(looks, 10)
        self.assertEqual((stream.count, stream.mean), (200_000_000, 2.0))

    def test_threads_take_turns(self):
        stream, values = stats.Running(), np.ones(100000)
        threads = [threading.Thread(target=lambda: [stream.update(values) for _ in range(20)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual((stream.count, stream.mean, stream.std()), (8_000_000, 1.0, 0.0))


class Misuse(unittest.TestCase):
    def test_numbers_that_do_not_fit(self):
        """Refused with words, never cut or wrapped around."""
        r = stats.Running()
        r.update(np.arange(5.0))
        for make in (lambda: r.std(-1), lambda: r.std(2**32), lambda: r.std(0.5), lambda: stats.Envelope(2.7), lambda: stats.Envelope(-1),
                     lambda: stats.Envelope(2**64), lambda: stats.Envelope(every_ns=1.5), lambda: stats.Envelope(1, keep=0),
                     lambda: stats.Histogram(0, 1, 2.5), lambda: stats.Histogram(0, 1, 0)):
            with self.assertRaisesRegex((TypeError, ValueError), "expected .* found"):
                make()
        self.assertEqual(stats.Envelope(np.int32(3)).update(np.arange(4.0)), 4)

    def test_times(self):
        """Whole numbers of 0 or more, or datetime64 in UTC, of any unit."""

        def points(times):
            e = stats.Envelope(1)
            e.update(np.arange(2.0), times=times)
            return e.points()["time"].tolist()

        utc = np.array(["2020-01-01", "2020-01-02"], "M8[s]")
        from sluice._describe import kernel_utc_offset_s, tai_ns

        wanted = [tai_ns(t, kernel_utc_offset_s()) for t in utc]
        self.assertEqual(points(utc), wanted)
        self.assertEqual(points(utc.astype("M8[ns]")), wanted)
        self.assertEqual(points(utc.astype("M8[D]")[::-1]), wanted[::-1])
        self.assertEqual(points([5, 6]), [5, 6])
        self.assertEqual(points(np.array([5, 2**64 - 1], ">u8")), [5, 2**64 - 1])
        for times in ([-5, 4], np.array([-1, 0], np.int8), [0.5, 1.5], np.array(["2020-01-01", "NaT"], "M8[ns]"),
                      np.array([1000, 3000], "M8[Y]"), np.array(["1960-01-01", "2020-01-01"], "M8[s]"), [True, False],
                      np.ma.array([1, 2], mask=[0, 1])):
            with self.assertRaisesRegex((TypeError, ValueError), "expected times"):
                points(times)

    def test_masked_arrays(self):
        """Their masked values would count as values."""
        masked = np.ma.array([1.0, 99.0, 3.0], mask=[0, 1, 0])
        r = stats.Running()
        with self.assertRaisesRegex(TypeError, "compressed"):
            r.update(masked)
        self.assertEqual((r.update(masked.compressed()), r.mean), (2, 2.0))

    def test_copies_share_nothing(self):
        for make in (stats.Running, stats.Quantiles, lambda: stats.Histogram(0, 10, 5), lambda: stats.Envelope(3),
                     lambda: stats.Edges(5.0)):
            for way in (copy.copy, copy.deepcopy):
                one = make()
                one.update(np.arange(10.0))
                other, before = way(one), repr(one)
                other.update(np.arange(100.0))
                self.assertEqual((repr(one), one.count), (before, 10))
                self.assertNotEqual(repr(other), before)

    def test_asked_while_updated(self):
        """FAULT: a thread merges and asks while another folds, without the GIL: nothing is lost, nothing seen half done."""
        values = np.concatenate([np.full(100000, 1e6), np.full(100000, -1e6)])
        total, small, is_over, rounds = stats.Running(), stats.Running(), threading.Event(), []
        small.update(np.zeros(3))

        def run():
            while not is_over.is_set():
                total.update(values)
                rounds.append(1)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        for merges in range(1, 301):
            total.merge(small)
            self.assertEqual((total.count - 3 * merges) % len(values), 0)
            self.assertLess(total.std(), 1.1e6)
        is_over.set()
        thread.join()
        self.assertEqual(total.count, len(rounds) * len(values) + 900)

    def test_merged_with_each_other(self):
        """FAULT: two threads merge two into each other. Nobody waits for ever."""
        one, other = stats.Running(), stats.Running()
        threads = [threading.Thread(target=lambda a=a, b=b: [a.merge(b) for _ in range(2000)], daemon=True)
                   for a, b in ((one, other), (other, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        self.assertIs(one.merge(one), one)


class Rings(unittest.TestCase):
    """Channel x of position p is p + 0.25, channel n is 2 p as a big-endian integer (ring_stand.c: fill())."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-stats-")
        self.addCleanup(folder.cleanup)
        old = os.environ.get("SLUICE_RUN_DIR")
        os.environ["SLUICE_RUN_DIR"] = folder.name
        self.addCleanup(lambda: os.environ.pop("SLUICE_RUN_DIR") if old is None else os.environ.update(SLUICE_RUN_DIR=old))
        self.stand = stand = RingStand(f"stats-{os.getpid()}", BIN, folder.name)
        self.addCleanup(stand.end)

    def ring(self, slots=16384, frame_bytes=32, slot_bytes=128):
        self.stand("channel x f64 le 0 kPa 1 0 0 500")
        self.stand("channel n i32 be 8 V 0.5 1 0 500")
        self.stand(f"ring r {slots} {slot_bytes} 64 {frame_bytes} 1000")
        server = sluice.attach(self.stand.instance)
        self.addCleanup(server.close)
        return server["r"]

    def frames(self, values, time, step=MS):
        """One frame each, with these numbers as x."""
        for i, value in enumerate(values):
            self.stand(f"frame r {struct.pack('<d', value).hex()}{'00' * 24} {time + i * step}")

    def test_summary_of_all_and_of_some(self):
        ring = self.ring()
        self.stand(f"publish r 5000 {START} {MS}")
        x = np.arange(5000) + 0.25
        whole = stats.summary(ring, "x")
        self.assertEqual((whole.count, whole.not_finite, whole.min, whole.max, whole.unit), (5000, 0, 0.25, 4999.25, "kPa"))
        self.assertAlmostEqual(whole.mean, x.mean(), 9)
        self.assertAlmostEqual(whole.std, x.std(), 9)
        self.assertEqual(whole.seen, stats.Seen(5000, 0, 0, 0, 0, START, START + 4999 * MS))
        self.assertTrue(whole.seen.is_complete)
        self.assertEqual(stats.summary(ring, "x", frames=10).min, 4990.25)
        self.assertEqual(stats.summary(ring, "x", seconds=0.1).count, 101)
        both = stats.summary(ring)
        self.assertEqual(list(both), ["x", "n"])
        self.assertEqual((both["n"].max, both["n"].unit), (4999 + 1, "V"))
        self.assertEqual(both["x"], whole)
        with self.assertRaisesRegex(sluice.NoSuchChannel, "did you mean|there are"):
            stats.summary(ring, "y")
        with self.assertRaises(ValueError):
            stats.summary(ring, "x", seconds=1, frames=1)
        with self.assertRaises(ValueError):
            stats.summary(ring, "x", seconds=-1)

    def test_of_nothing(self):
        ring = self.ring()
        self.assertEqual(stats.summary(ring, "x").count, 0)
        self.assertTrue(math.isnan(stats.summary(ring, "x").mean))
        self.assertTrue(np.isnan(stats.percentiles(ring, "x").value).all())
        self.assertEqual(stats.histogram(ring, "x").counts.sum(), 0)
        self.assertEqual(len(stats.envelope(ring, "x").points), 0)
        self.assertEqual(len(stats.envelope(ring, "x").seconds), 0)
        self.assertEqual(len(stats.edges(ring, "x", 1).edges), 0)
        spectrum = stats.spectrum(ring, "x", segment=8)
        self.assertTrue(spectrum.segments == 0 and np.isnan(spectrum.density).all())

    def test_each_against_numpy_on_a_copy(self):
        ring = self.ring()
        self.stand(f"publish r 9000 {START} {MS}")
        x = ring.last(frames=9000).value("x")
        p = stats.percentiles(ring, "x", (0, 10, 50, 99, 100))
        self.assertTrue((np.abs(p.value - np.percentile(x, p.percent, method="inverted_cdf")) <= p.value / 1024).all())
        h = stats.histogram(ring, "x", 50)
        self.assertTrue((h.counts == np.histogram(x, 50, (0, 500))[0]).all())
        self.assertEqual((h.below, h.above), (0, int((x > 500).sum())))
        h = stats.histogram(ring, "x", 50, (100, 200))
        self.assertTrue((h.counts == np.histogram(x, 50, (100, 200))[0]).all())
        e = stats.envelope(ring, "x", 90)
        self.assertEqual(len(e.points), 90)
        self.assertTrue((e.points["max"] == x.reshape(90, 100).max(axis=1)).all())
        self.assertAlmostEqual(e.seconds[1], 0.1)
        e = stats.envelope(ring, "x", every_seconds=1)
        self.assertEqual(e.points["count"].tolist(), [1000] * 9)
        c = stats.edges(ring, "x", 4000)
        self.assertEqual((c.rising, c.falling, c.edges["position"].tolist()), (1, 0, [4000]))
        self.assertAlmostEqual(c.above_s, 4.999)
        self.assertAlmostEqual(c.below_s, 4.0)

    def test_gaps_are_told_and_never_spanned(self):
        ring = self.ring()
        self.stand(f"publish r 100 {START} {MS}")
        self.stand(f"gap r kernel 7 {START + 100 * MS}")
        self.stand(f"publish r 100 {START + 107 * MS} {MS}")
        s = stats.summary(ring, "x")
        self.assertEqual((s.count, s.seen.gaps, s.seen.missing, s.seen.is_complete), (200, 1, 7, False))
        e = stats.envelope(ring, "x", every=30)
        self.assertEqual(e.points["count"].tolist(), [30, 30, 30, 10, 30, 30, 30, 10])
        self.assertEqual(e.points["is_after_gap"].tolist(), [1, 0, 0, 0, 1, 0, 0, 0])
        c = stats.edges(ring, "x", 50)
        self.assertAlmostEqual(c.unknown_s, 0.008)
        self.assertEqual(c.edges["flags"].tolist(), [stats_held_unsure])
        running = stats.Running()
        for batch in ring.follow(start="oldest", wait=False):
            running.update(batch, "x")
        self.assertEqual((running.count, running.missing), (200, 7))
        self.assertEqual(stats.spectrum(ring, "x", segment=64).seen, s.seen)
        self.stand(f"gap r sender 5 {START + 300 * MS}")
        self.assertEqual((stats.summary(ring, "x").seen.gaps, stats.summary(ring, "x").seen.missing), (2, 12), "with none behind it")
        copy = ring.last(frames=200)
        again = stats.Edges(50)
        again.update(copy, "x")
        self.assertAlmostEqual(again.unknown_s, 0.008, msg="also of a copy, whose frames adjoin in memory only")
        self.assertEqual(stats.spectrum(ring, "x", segment=64, overlap=0).segments, 2)

    def check_overwritten(self, laps):
        ring = self.ring(slots=64)
        self.stand(f"publish r 64 {START} {MS}")
        running, envelope = stats.Running(), stats.Envelope(1000)
        reader = ring.follow(start="oldest", on_overrun="count", wait=False)
        batch = next(reader)
        self.assertEqual(len(batch), 64)
        self.stand(f"publish r {laps} {START} {MS}")
        gone = batch.overwritten()
        self.assertGreaterEqual(gone, min(laps, 64))
        for stream in (running, envelope):
            self.assertEqual(stream.update(batch, "x"), 64 - gone)
            self.assertEqual((stream.count, stream.discarded), (64 - gone, gone))
        if gone < 64:
            self.assertEqual((running.min, running.max), (gone + 0.25, 63.25))
        reader.close()
        self.assertEqual(running.update(batch, "x"), 64 - gone, "also when the reader is closed")

    def test_overwritten_at_its_start(self):
        """The fault: the writer laps a batch that is in use, here and below."""
        self.check_overwritten(1)

    def test_overwritten_to_its_middle(self):
        self.check_overwritten(30)

    def test_overwritten_whole(self):
        self.check_overwritten(64)

    def test_overwritten_several_times(self):
        self.check_overwritten(200)

    def test_copies_are_whole_for_good(self):
        ring = self.ring(slots=64)
        self.stand(f"publish r 64 {START} {MS}")
        copy = ring.last(frames=40)
        self.stand(f"publish r 500 {START} {MS}")
        running = stats.Running()
        self.assertEqual(running.update(copy, "x"), 40)
        self.assertEqual((running.min, running.max, running.discarded), (24.25, 63.25, 0))

    def test_short_frames_are_not_finite(self):
        ring = self.ring(frame_bytes=0)
        self.frames([1, 2], START)
        self.stand("frame r 0011 5")
        s = stats.summary(ring, "x")
        self.assertEqual((s.count, s.not_finite, s.max), (2, 1, 2))

    def test_a_live_ring_adds_up(self):
        """The fault: the writer laps all the time. Every frame is counted once: folded, lost, or discarded."""
        ring = self.ring(slots=1024)
        self.stand("pace r 200000 100")
        running = stats.Running()
        frames = lost = 0
        with ring.follow(start="oldest", on_overrun="count", timeout=10) as reader:
            first = None
            for batch in reader:
                first = batch.position - batch.lost if first is None else first
                lost += batch.lost
                before = running.discarded
                taken = running.update(batch, "x")
                self.assertEqual(taken + running.discarded - before, len(batch))
                frames += len(batch)
                end = batch.position + len(batch)
                if running.count > 50000:
                    break
        self.stand("rest r")
        self.assertEqual(frames + lost, end - first)
        self.assertEqual(running.not_finite, 0)
        self.assertEqual(running.min % 1, 0.25, "a whole number and a quarter, as every frame has it")

    def test_samples_of_a_payload(self):
        self.stand("ring r 256 512 64 400 0")
        server = sluice.attach(self.stand.instance)
        self.addCleanup(server.close)
        self.stand(f"publish r 100 {START} {MS}")
        running = stats.Running()
        for batch in server["r"].follow(start="oldest", wait=False):
            running.update(batch.samples("<u8"))
            self.assertTrue(batch.valid())
        words = np.arange(100)[:, None] * 1000003 + np.arange(50)
        self.assertEqual((running.count, running.max), (5000, words.max()))
        self.assertAlmostEqual(running.mean, words.mean(), 6)

    # ---- Spectra.

    def test_parseval_and_a_line(self):
        ring = self.ring()
        rng = np.random.default_rng(11)
        n, rate = 2048, 1000
        x = 3 + 2 * np.sin(2 * np.pi * 125 * np.arange(n) / rate) + rng.normal(0, 0.5, n)
        self.frames(x, START)
        df = rate / 256
        for window in ("hann", "hamming", "blackman", "boxcar"):
            s = stats.spectrum(ring, "x", segment=256, overlap=0, window=window, detrend=False)
            self.assertEqual((s.segments, s.rate_from, s.unit), (8, "stamps", "kPa"))
            self.assertAlmostEqual(s.rate_hz, rate, 6)
            w = stats._WINDOWS[window](256)
            power = ((x.reshape(8, 256) * w) ** 2).mean() / (w**2).mean()
            self.assertAlmostEqual(s.density.sum() * df / power, 1, 9, "Parseval")
            self.assertEqual(s.frequency[np.argmax(s.density[10:]) + 10], 125)
        s = stats.spectrum(ring, "x", segment=256)
        self.assertEqual(s.segments, 15, "half a segment of overlap")
        self.assertAlmostEqual(s.density[16:].sum() * df, 2 + 0.25, delta=0.25)
        quiet = np.median(s.density)
        self.assertAlmostEqual(quiet, 0.25 / 500, delta=0.25 / 500)
        odd_segment = stats.spectrum(ring, "x", segment=255, overlap=0, window="boxcar", detrend=False)
        part = x[:255 * 8].reshape(8, 255)
        self.assertAlmostEqual(odd_segment.density.sum() * rate / 255 / (part**2).mean(), 1, 9)
        self.assertEqual(len(odd_segment.frequency), len(odd_segment.density))

    def test_rates(self):
        ring = self.ring()
        self.stand(f"publish r 1000 {START} {2 * MS}")
        self.assertAlmostEqual(stats.spectrum(ring, "x", segment=64).rate_hz, 500)
        self.assertEqual(stats.spectrum(ring, "x", segment=64, rate="nominal").rate_hz, 1000)
        given = stats.spectrum(ring, "x", segment=64, rate=50.0)
        self.assertEqual((given.rate_hz, given.rate_from, given.frequency[-1]), (50, "given", 25))
        self.assertEqual(given.interval_s, (0.002, 0.002))
        for wrong in ({"rate": "fast"}, {"rate": 0}, {"window": "round"}, {"segment": 1}, {"overlap": 1}):
            with self.assertRaises(ValueError):
                stats.spectrum(ring, "x", **wrong)

    def test_no_segment_spans_what_is_missing(self):
        """The faults: a gap record, NaN, a value that is infinite. Each run gives as many segments as it holds."""
        ring = self.ring()
        time = START
        for count in (64, 63, 130):
            self.stand(f"publish r {count} {time} {MS}")
            time += (count + 50) * MS
            self.stand(f"gap r sender 50 {time - 1}")
        self.frames([1] * 64 + [math.nan] + [1] * 64 + [math.inf] + [2] * 65, time)
        s = stats.spectrum(ring, "x", segment=64, overlap=0)
        self.assertEqual(s.segments, 1 + 0 + 2 + 1 + 1 + 1)
        self.assertEqual(s.seen.gaps, 3)
        self.assertAlmostEqual(s.rate_hz, 1000, 6, "the time of gaps is in no rate")

    def test_spectrum_while_overwritten(self):
        ring = self.ring(slots=1024)
        self.stand("pace r 100000 50")
        for _ in range(20):
            s = stats.spectrum(ring, "x", segment=32, detrend=True, window="boxcar")
            if s.segments:
                # A ramp's segments are all alike: one that spans a jump is not.
                ramp = np.arange(32.0)
                one = np.abs(np.fft.rfft(ramp - ramp.mean())) ** 2 / (s.rate_hz * 32)
                one[1:16] *= 2
                self.assertTrue(np.allclose(s.density, one, rtol=1e-6, atol=one.max() * 1e-12))
        self.stand("rest r")


stats_held_unsure = 2

if __name__ == "__main__":
    unittest.main()
