#!/usr/bin/env python3
"""Programs as people write them: what is left out, mistaken or kept for too long is told, and nothing is silently wrong."""
import gc
import inspect
import os
import pickle
import pydoc
import select
import signal
import subprocess
import typing

import numpy as np
import package
import sluice
import support
from package import PATIENCE_S, STEP_NS
from sluice import stats
from support import wait_until

TAI_NS = 1_795_718_081_000_000_000


class Case(package.Case):
    def setUp(self):
        super().setUp()
        self.ring = self.usual()
        self.tvac = self.attach()["tvac"]

    def publish(self, frames, first=0):
        """Frames of which each is STEP_NS newer than the one before."""
        self.ring(f"publish tvac {frames} {TAI_NS + first * STEP_NS} {STEP_NS}")


class Resuming(Case):
    """At a place that was kept: what has been overwritten since is counted."""

    def test_at_a_position(self):
        self.publish(10)
        with self.tvac.follow(start="oldest", timeout=0) as reader:
            self.assertEqual(sum(len(b) for b in reader), 10)
            saved = reader.position
        self.publish(100, 10)
        for place in ({"position": saved}, {"sequence": saved}):
            with self.subTest(str(place)), self.tvac.follow(**place, timeout=0) as reader:
                batches = list(reader)
                gone = batches[0].position - saved
                self.assertGreater(gone, 0)
                self.assertEqual([b.lost for b in batches], [gone] + [0] * (len(batches) - 1))
                self.assertEqual(reader.lost, gone)
                self.assertEqual(sum(len(b) for b in batches) + gone, 100)
                self.assertEqual(reader.seek(**place), batches[0].position)
                again = next(reader)
                self.assertEqual((again.lost, reader.lost), (gone, 2 * gone))
        with self.tvac.follow(start="oldest", timeout=0) as reader:
            self.assertEqual((next(reader).lost, reader.lost), (0, 0))

    def test_where_nothing_is_gone(self):
        """The place is there, or is not there yet; numbers never came."""
        self.publish(5)
        self.ring("gap tvac kernel 3")
        self.publish(5, 6)
        for place, first in (({"position": 2}, 2), ({"sequence": 3}, 3), ({"position": 0}, 0), ({"sequence": 0}, 0)):
            with self.subTest(str(place)), self.tvac.follow(**place, timeout=0) as reader:
                self.assertEqual((next(reader).position, reader.lost), (first, 0))
        with self.tvac.follow(position=10**6, timeout=0) as reader:
            self.assertEqual((reader.position, reader.lost), (11, 0))

    def test_fewer_than_were_asked_for(self):
        """last() and statistics of more frames than the ring has: nothing is lost by that."""
        self.publish(200)
        self.assertEqual(self.tvac.last(frames=150).lost, 0)
        self.assertEqual(stats.summary(self.tvac, "pressure", frames=150).seen.lost, 0)


class Gating(package.Case):
    def test_a_gating_reader(self):
        """It does not go back: nothing is lost by asking it to."""
        self.udp_server(hz=500, slots=256, ring={"gating": {"readers_max": 2, "deadline_ms": 20000}})
        gating = self.follow("udp", self.attach(), mode="gating", start="oldest", timeout=PATIENCE_S)
        next(gating)
        before = gating.position
        self.assertEqual(gating.seek(position=0), before)
        self.assertEqual((next(gating).lost, gating.lost), (0, 0))


class GapsBehind(Case):
    """FAULT: the last that the writer wrote are gap records, a minute after the last frame."""

    def test_seconds_are_counted_from_the_newest_frame(self):
        self.publish(20)
        for count in range(1, 30):
            self.ring(f"gap tvac restart 1 {TAI_NS + 60 * 10**9 + count}")
            if count not in (1, 2, 10, 29):
                continue
            found = self.tvac.last(seconds=0.005)
            self.assertEqual((found.positions.tolist(), len(found.gaps)), (list(range(14, 20)), count))
            summary = stats.summary(self.tvac, "pressure", seconds=0.005)
            self.assertEqual((summary.count, summary.seen.gaps, summary.seen.missing), (6, count, count))
        self.assertEqual(len(self.tvac.last(seconds=1)), 20)
        self.assertEqual(stats.summary(self.tvac, "pressure", seconds=1e300).count, 20)

    def test_nothing_but_gap_records(self):
        self.assertEqual(len(self.tvac.last(seconds=1)), 0)
        for _ in range(70):
            self.ring(f"gap tvac restart 1 {TAI_NS}")
        self.assertEqual(len(self.tvac.last(seconds=1)), 0)
        self.assertEqual(stats.summary(self.tvac, "pressure", seconds=1).count, 0)


class Leaving(Case):
    """A loop is left before the next batch is asked for: the last one is looked at all the same."""

    def lapped(self, **options):
        """A reader whose last batch was looked at, and overwritten after that."""
        self.publish(20)
        reader = self.follow(start="oldest", **options)
        self.assertGreater(next(reader)["pressure"][0], 0)
        self.publish(100, 20)
        return reader

    def test_with(self):
        """FAULT: the last batch of a with block is overwritten before it is left."""
        with self.assertRaises(sluice.Overrun) as caught:
            with self.lapped() as reader:
                pass
        self.assertEqual((caught.exception.position, caught.exception.count), (0, 20))
        self.assertTrue(reader.closed)
        self.assertEqual(reader.lost, 20)

    def test_async_with(self):
        """FAULT: the same."""
        import asyncio

        async def work():
            async with self.lapped():
                pass

        self.assertRaises(sluice.Overrun, asyncio.run, work())

    def test_with_after_asking(self):
        self.publish(20)
        with self.follow(start="oldest") as reader:
            for batch in reader:
                self.assertEqual(batch["pressure"][0], 0.25)
                self.assertTrue(batch.valid())
                self.publish(100, 20)
                break
        self.assertEqual(reader.lost, 0)

    def test_another_exception(self):
        """It is not covered by an Overrun; what was lost is counted."""
        with self.assertRaises(ZeroDivisionError):
            with self.lapped() as reader:
                1 / 0
        self.assertEqual((reader.closed, reader.lost), (True, 20))

    def test_close(self):
        reader = self.lapped()
        reader.close()
        reader.close()
        self.assertEqual(reader.lost, 20)
        with self.lapped(on_overrun="count") as reader:
            pass
        self.assertGreaterEqual(reader.lost, 20)


class Interrupted(Case):
    PROGRAM = """
import threading
with sluice.attach(sys.argv[1]) as server:
    threading.Thread(target=lambda: [None for _ in server["tvac"].follow(spin_us=int(sys.argv[2]))]).start()
    print("waiting", flush=True)
    for batch in server["tvac"].follow():
        pass
"""

    def test_with_a_thread_that_waits(self):
        """FAULT: Ctrl-C, while another thread of the program waits for frames, too. It ends, and says KeyboardInterrupt."""
        for spin_us in (0, 1_000_000):
            with self.subTest(spin_us=spin_us):
                program = self.program(self.PROGRAM, self.instance, spin_us)
                self.assertEqual(program.stdout.readline(), "waiting\n")
                wait_until(lambda: len(self.ring("readers").split()) == 2, "both readers")
                program.send_signal(signal.SIGINT)
                _, err = program.communicate(timeout=PATIENCE_S)
                self.assertIn("KeyboardInterrupt", err)
                self.assertNotIn("RuntimeError", err)
                wait_until(lambda: self.ring("readers") == "", "the stand to see their end")


class Told(Case):
    def test_every_exception_can_be_pickled(self):
        """A pool's worker sends its exception on: one that cannot be read there would hang the pool."""
        for name in sluice.errors.__all__:
            kind = getattr(sluice, name)
            if kind is sluice.Overrun:
                error = kind(5, 3, 10, 64)
            elif kind is sluice.ShortFrame:
                error = kind("too short", 7)
            else:
                error = kind("words")
                error.errno = 111
            with self.subTest(name):
                for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                    again = pickle.loads(pickle.dumps(error, protocol))
                    self.assertIs(type(again), kind)
                    self.assertEqual((str(again), again.errno), (str(error), error.errno))
                    for attribute in ("position", "count"):
                        if isinstance(getattr(error, attribute, None), int):
                            self.assertEqual(getattr(again, attribute), getattr(error, attribute))

    def test_moments_beyond_what_ns_can_hold(self):
        """FAULT: NumPy wraps such moments into others without a word."""
        self.publish(20)
        for wrong in (np.datetime64("2600-01-01"), np.datetime64(TAI_NS, "us"), np.datetime64("1600-01-01", "s"),
                      np.datetime64(2**40, "D")):
            with self.subTest(str(wrong)), self.raises(ValueError, "1970 to 2261"):
                self.tvac.at(wrong)
        self.assertEqual(self.tvac.at(np.datetime64("2026-01-01")).position, 0)
        self.assertEqual(self.tvac.follow(at=np.datetime64("1970-02-01T00:00:00.000000000001")).position, 0)
        self.assertEqual(self.tvac.at(np.datetime64("2026")).position, 0)
        self.assertEqual(self.tvac.follow(at=np.datetime64("2261-01-01")).position, 20)


class Mistakes(Case):
    """What is close to what was meant says what that is."""

    def setUp(self):
        super().setUp()
        self.publish(20)
        self.batch = self.tvac.last(frames=10)

    def test_a_server_is_like_its_rings(self):
        server = self.attach()
        self.assertEqual((list(server), len(server), "tvac" in server, "x" in server), (["tvac"], 1, True, False))
        self.assertTrue(server)

    def test_channels(self):
        for channels in (self.tvac.channels, self.follow().channels):
            with self.raises(sluice.NoSuchChannel, "did you mean 'pressure'?"):
                channels["presure"]
            self.assertIsNone(channels.get("presure"))
            self.assertEqual(("presure" in channels, list(channels)), (False, ["pressure", "temperature"]))
        with self.raises(TypeError, "batch.values(['pressure'])"):
            self.batch.values("pressure")
        with self.raises(TypeError, "expected a channel's name"):
            self.batch.value(0)

    def test_a_batch_is_no_array(self):
        with self.raises(TypeError, "several in their units"):
            self.batch[["pressure", "temperature"]]
        for key in (slice(5), 0, np.arange(3)):
            with self.raises(TypeError, "batch.raw[:5]"):
                self.batch[key]
        with self.raises(TypeError, "batch.raw"):
            np.asarray(self.batch)
        with self.raises(TypeError, "array of float64"):
            self.batch.value("pressure", out=[0.0] * 10)

    def test_statistics(self):
        with self.raises(ValueError, "bins"):
            stats.histogram(self.tvac, "pressure", bins=0)
        with self.raises(TypeError, "bins", "'auto'"):
            stats.histogram(self.tvac, "pressure", bins="auto")
        with self.raises(ValueError, "low < high"):
            stats.histogram(self.tvac, "pressure", range=(1, 1))
        for rate in (None, "fast", 0, float("nan"), [5]):
            with self.raises(ValueError, "expected a rate of 'stamps', 'nominal' or Hz"):
                stats.spectrum(self.tvac, "pressure", rate=rate)
        for other in (None, stats.Running(), 5):
            with self.raises(TypeError, "expected Histogram, found"):
                stats.Histogram(0, 1, 5).merge(other)
        with self.assertRaises(sluice.NoSuchChannel):
            stats.summary(self.tvac, "presure")

    def test_keywords(self):
        reader = self.follow(start="oldest")
        self.assertEqual((len(reader.batch(max_frames=3)), len(reader.batch(4)), len(reader.batch())), (3, 4, 13))
        with self.assertRaises(TypeError):
            reader.batch(frames=3)

    def test_truth(self):
        """A batch of gap records only is true: `while batch := reader.batch()` goes on."""
        self.ring("gap tvac kernel 3")
        self.publish(2, 21)
        with self.tvac.follow(position=20, gaps=True) as reader:
            frames = gaps = 0
            while batch := reader.batch():
                frames, gaps = frames + len(batch), gaps + len(batch.gaps)
        self.assertEqual((frames, gaps), (2, 1))
        self.ring("gap tvac kernel 3")
        with self.tvac.follow(position=23, gaps=True) as reader:
            self.assertTrue(batch := reader.batch())
            self.assertEqual(len(batch), 0)
        self.assertIn("1 frames at 22, 1 gap record, a copy", repr(self.tvac.last(frames=1)))
        self.assertFalse(self.tvac.last(frames=0))

    def test_what_cannot_be_sent(self):
        for thing, words in ((self.batch, "raw.copy()"), (self.follow(), "reader.position"), (self.tvac, ".instance"),
                             (self.attach(), ".instance")):
            with self.raises(TypeError, words):
                pickle.dumps(thing)

    def test_types_of_arguments(self):
        """Tools that ask for them get types, of everything public."""
        self.assertIs(typing.get_type_hints(sluice.Ring.at)["time"], sluice._describe.Time)
        self.assertNotIn("\"'", pydoc.render_doc(sluice.Ring.follow))
        self.assertNotIn("'\"", pydoc.render_doc(sluice.Ring.follow))
        for kind in (sluice.Server, sluice.Ring, sluice.Reader, sluice.Batch):
            for name, found in vars(kind).items():
                function = getattr(found, "fget", found)
                if inspect.isfunction(function) and not name.startswith("_"):
                    typing.get_type_hints(function)

    def test_select(self):
        """As docs/python.md has it."""
        reader, seen = self.follow(), 0
        self.publish(3, 20)
        while seen < 6:
            while (batch := reader.batch()) is not None:
                seen += len(batch)
                if seen == 3:
                    self.publish(3, 23)
            if not reader.arm():
                self.assertTrue(seen == 6 or select.select([reader], [], [], PATIENCE_S)[0])

    def test_examples_without_a_server(self):
        """FAULT: no arguments, no such server, ring or channel: a sentence, no traceback."""
        for name in ("live_plot", "ten_million"):
            path = os.path.join(package.ROOT, "docs/examples", f"{name}.py")
            rest = ["pressure"] if name == "live_plot" else []
            for arguments, words in (([], "usage:"), (["absent", "tvac", *rest], "absent"), ([self.instance, "x", *rest], "'tvac'"),
                                     ([self.instance, "tvac", "presure"], "presure")):
                done = subprocess.run([support.PYTHON, "-B", path, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                                      env={**self.environment, "PYTHONPATH": package.PACKAGE}, text=True, timeout=PATIENCE_S)
                with self.subTest(f"{name} {arguments}"):
                    if "No module named 'matplotlib'" in done.stderr:
                        continue
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(words, done.stderr)
                    self.assertNotIn("Traceback", done.stderr)

    def test_modules(self):
        """sluice.stats without having been imported."""
        program = self.program("print(sluice.stats.Running, sluice.layout.__name__, hasattr(sluice, 'no'))")
        self.assertEqual(self.done(program)[0], "<class 'sluice.stats.Running'> sluice.layout False\n")

    def test_nothing_is_kept_in_circles(self):
        """What is dropped is gone, without the cyclic collector: descriptors and maps."""
        gc.disable()
        try:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                self.assertEqual(sluice.attach(self.instance)["tvac"].progress.published, 20)
            self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        finally:
            gc.enable()


if __name__ == "__main__":
    package.main()
