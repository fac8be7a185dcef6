#!/usr/bin/env python3
"""Readers under attack: gap records without end, code that runs in the middle of a call, two threads, fork() and close() at
the wrong moment, names that are no text, numbers that do not fit."""
import asyncio
import gc
import os
import socket
import threading
import time

import numpy as np
import package
import sluice
import standin
from package import PATIENCE_S
from standin import StandIn

GAPS_MAX = 4096  # of tools/python/src/reader.c


class Endless(package.Case):
    """FAULT: gap records without end and no frame behind them, as anybody can cause who may send datagrams."""

    def setUp(self):
        super().setUp()
        self.ring = self.usual(16384)
        self.ring("publish tvac 3 1000 1000")

    def gaps(self, count):
        for _ in range(count):
            self.ring("gap tvac kernel 1 5000")

    def test_they_come_by_themselves(self):
        """No more than so many wait; the user's loop runs, whatever it chose."""
        reader = self.follow(timeout=0)
        self.gaps(2 * GAPS_MAX + 10)
        first, second = next(reader), next(reader)
        self.assertEqual([len(b.gaps) for b in (first, second)], [GAPS_MAX] * 2)
        self.assertEqual((len(first), len(second), first.lost, second.position), (0, 0, 0, 3 + 2 * GAPS_MAX))
        self.assertEqual([g.position for g in first.gaps + second.gaps], list(range(3, 3 + 2 * GAPS_MAX)))
        self.assertEqual(list(reader), [])
        self.assertEqual(len(reader.gaps), 10)
        self.ring("publish tvac 1")
        last = next(reader)
        self.assertEqual((len(last.gaps), last["pressure"].tolist()), (10, [3 + 2 * GAPS_MAX + 10 + 0.25]))
        self.assertEqual(reader.lost, 0)

    def test_other_ways_to_read(self):
        count = 2 * GAPS_MAX + 10
        reader, other = self.follow(), self.follow(gaps=True)
        self.gaps(count)
        self.assertEqual([len(reader.batch().gaps), len(reader.batch().gaps), reader.batch()], [GAPS_MAX, GAPS_MAX, None])
        self.assertEqual([len(next(other).gaps) for _ in range(3)], [GAPS_MAX, GAPS_MAX, 10])
        ring = self.attach()["tvac"]
        self.assertEqual(sum(len(b.gaps) for b in ring.follow(start="oldest", wait=False)), 2 * GAPS_MAX)
        last = ring.last(frames=2)
        self.assertEqual((last["pressure"].tolist(), len(last.gaps)), ([1.25, 2.25], count))
        with self.raises(sluice.NotInRing, "gap record"):
            ring.at(4000)
        self.ring("publish tvac 1 6000 0")
        self.assertEqual(ring.at(4000)["pressure"].tolist(), [3 + count + 0.25])
        self.assertEqual(len(ring.last(frames=2).gaps), count)

        seeks = []

        def seek(reader, start, at):
            seeks.append(at)
            return sluice._sluice.Reader._seek(reader, start, at)

        self.addCleanup(delattr, sluice.Reader, "_seek")
        sluice.Reader._seek = seek
        self.assertEqual(len(ring.last(frames=3)), 3)
        self.assertLess(len(seeks), 20)  # the step back doubles

        async def collect():
            reader = self.follow(timeout=0.01, position=3)
            return [(len(b), len(b.gaps)) async for b in reader]

        self.assertEqual(asyncio.run(collect()), [(0, GAPS_MAX), (0, GAPS_MAX), (1, 10)])


class InBetween(package.Case):
    """FAULT: the cyclic collector runs inside of a call, and a finalizer uses what that call works on."""

    def setUp(self):
        super().setUp()
        self.ring = self.usual()
        for _ in range(12):
            self.ring("publish tvac 3")
            self.ring("gap tvac kernel 2")
            self.ring("gap tvac nic 1")
        self.server = self.attach()
        self.addCleanup(gc.set_threshold, *gc.get_threshold())

    def collects(self, action):
        """An object that runs this as soon as a collection comes."""
        ran = []

        class Cycle:
            def __init__(self):
                self.me = self

            def __del__(self):
                try:
                    ran.append(action())
                except (sluice.Error, RuntimeError) as e:
                    ran.append(e)

        Cycle()
        return ran

    def test_a_reader(self):
        """Whatever it does to the reader, what is handed out is right, and so is all that follows."""
        for name in ("seek", "batch", "close"):
            with self.subTest(name):
                moments = sum(self.one_moment(name, after) for after in range(40))
                self.assertGreater(moments, 4)

    def one_moment(self, name, after):
        """A collection after so many allocations, while a batch that has gap records before it is made."""
        gc.set_threshold(0)
        reader = self.server["tvac"].follow(start="oldest", max_frames=2, on_overrun="count")
        for _ in range(2):
            reader.batch()
        gc.collect()
        ran = self.collects(lambda: reader.seek("oldest") if name == "seek" else getattr(reader, name)())
        gc.set_threshold(gc.get_count()[0] + after, 1000, 1000)
        try:
            batch = reader.batch()
        finally:
            gc.set_threshold(0)
        fell_into_it = bool(ran)
        self.assert_right(reader, batch)
        self.assertGreaterEqual(len(batch), 1)
        for _ in range(40):
            try:
                if (batch := reader.batch()) is not None:
                    self.assert_right(reader, batch)
            except sluice.Closed:
                self.assertEqual(name, "close")
        gc.collect()
        reader.close()
        return fell_into_it

    def assert_right(self, reader, batch):
        self.assertEqual(batch["pressure"].tolist(), [p + 0.25 for p in range(batch.position, batch.position + len(batch))])
        self.assertLessEqual(batch.position + len(batch), 60)
        for gap in batch.gaps:
            self.assertIsInstance(gap, sluice.Gap)
            self.assertIn((gap.position % 5, gap.cause, gap.count), ((3, "kernel", 2), (4, "nic", 1)))
        self.assertLessEqual(reader.position, 60)


class TwoThreads(package.Case):
    """FAULT: two threads use one reader, none of them waits."""

    def setUp(self):
        super().setUp()
        self.usual()("publish tvac 20")
        self.reader = self.follow(start="oldest", max_frames=2, wait=False)

    @staticmethod
    def elsewhere(action):
        """In a thread that has ended when this returns."""
        result = []

        def run():
            try:
                result.append(action())
            except Exception as e:
                result.append(e)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return result[0]

    def test_a_batch_in_hand(self):
        """Whatever would give it back under its user's hands is refused, and disturbs nothing."""
        batch = next(self.reader)
        self.assertEqual(batch["pressure"].tolist(), [0.25, 1.25])
        for use in (lambda: next(self.reader), self.reader.batch, self.reader.wait, self.reader.arm, self.reader.release,
                    lambda: self.reader.seek("oldest")):
            error = self.elsewhere(use)
            self.assertIsInstance(error, RuntimeError)
            self.assertIn("another thread uses a batch", str(error))
        self.assertEqual((self.reader.position, self.reader.state), (2, "observer"))
        self.assertEqual(next(self.reader).position, 2)

    def test_handed_over(self):
        """By having asked, by release(), by the end of a thread; to close it is everybody's."""
        self.assertTrue(next(self.reader).valid())
        self.assertEqual(self.elsewhere(lambda: next(self.reader).position), 2)
        self.assertEqual(next(self.reader).position, 4)  # that thread has ended
        self.reader.release()
        self.assertEqual(self.elsewhere(lambda: len(next(self.reader).copy())), 2)
        self.assertIsNone(self.elsewhere(self.reader.close))


class Numbers(package.Case):
    """Numbers that do not fit are refused with words, never masked."""

    def test_numbers(self):
        stand = self.usual()
        stand("publish tvac 50")
        ring = self.attach()["tvac"]
        reader = self.follow(start="oldest")
        for use in (lambda: ring.follow(position=-1), lambda: ring.follow(position=2**64 + 5), lambda: ring.follow(position=3.9),
                    lambda: ring.follow(sequence=-1), lambda: ring.follow(sequence=2**64), lambda: ring.follow(max_frames=1.5),
                    lambda: ring.follow(max_frames=2**32), lambda: ring.follow(deadline_ms=2**32 + 7),
                    lambda: ring.follow(deadline_ms=-1), lambda: ring.follow(spin_us=0.5), lambda: ring.last(frames=1.5),
                    lambda: ring.last(frames=-1), lambda: ring.last(seconds=float("nan")), lambda: ring.follow(timeout=float("nan")),
                    lambda: ring.follow(timeout="5"), lambda: reader.seek(position=2**64), lambda: reader.batch(0),
                    lambda: reader.batch(-1), lambda: reader.batch(2**32), lambda: reader.batch(2**70),
                    lambda: ring.at(np.datetime64("3000-01-01")), lambda: ring.at(np.datetime64(10**13, "Y")), lambda: ring.at(np.datetime64("1960-01-01", "D")),
                    lambda: ring.at(-1), lambda: ring.at(2**64)):
            with self.assertRaisesRegex((TypeError, ValueError), "expected .*, found"):
                use()
        self.assertRaises(TypeError, reader.batch, 1.5)
        self.assertEqual(len(reader.batch(np.int64(3))), 3)
        self.assertEqual(ring.follow(position=np.uint64(7), wait=False).position, 7)

    def test_what_is_for_ever(self):
        stand = self.usual()
        stand("publish tvac 5")
        ring = self.attach()["tvac"]
        for timeout in (None, float("inf"), 1e10, 10**400):
            self.assertEqual(ring.follow(timeout=timeout)._timeout_ns, -1)
        self.assertEqual(ring.follow(timeout=-1)._timeout_ns, 0)
        self.assertEqual([len(ring.last(seconds=s)) for s in (float("inf"), 1e300, 10**400)], [5] * 3)
        self.assertEqual(len(ring.last(frames=2**64 - 1)), 5)
        nothing = ring.last(frames=0)
        self.assertEqual((len(nothing), nothing.is_copy, nothing.valid(), len(nothing["pressure"])), (0, True, True, 0))


class Impossible(package.Case):
    """FAULT: a server that is none says what no server says."""

    def stand_in(self, **what):
        stand_in = StandIn(self.run_dir, self.instance, **what)
        self.addCleanup(stand_in.close)
        return stand_in

    def test_text_that_is_none(self):
        """Names and sentences that are no UTF-8 are shown."""
        self.stand_in(boards=(standin.measures(1, b"\xff\xfecontrol", b"\xff\xfecontrol"), standin.board(b"\xff\xfecontrol")),
                      answer=lambda s, c, op: op != standin.BOARDS and not s.reply(c, code=-22, text=b"\xff\xfe is no ring"))
        server = self.attach()
        self.assertEqual([p.name for p in server.processes], ["\\xff\\xfecontrol"])
        self.assertEqual(list(server.measures), ["\\xff\\xfecontrol"])
        self.assertEqual(server.status()["processes"][0]["name"], "\\xff\\xfecontrol")
        with self.raises(ValueError, "is no ring"):
            sluice._sluice.open_reader(sluice.Reader, sluice.Batch, sluice.Gap, self.instance, "tvac", 1, 1, 0, 0)

    CLOSED = """
import gc
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        server.close()
class Number:
    def __index__(self):
        server.close()
        return 0
server = sluice.attach(sys.argv[1])
print(len(server.measures))
for ask in (lambda: server.measures, lambda: server.processes, server.status, lambda: server.histograms):
    server = sluice.attach(sys.argv[1])
    gc.collect()
    Cycle()
    gc.set_threshold(gc.get_count()[0] + 20)
    try:
        ask()
    except sluice.Closed as e:
        print("closed", flush=True)
    gc.set_threshold(0)
for name in ("describe", "progress", "ledger", "rate", "histogram"):
    server = sluice.attach(sys.argv[1])
    try:
        getattr(server._attached.core, name)(Number())
    except sluice.Closed as e:
        print("closed", flush=True)
"""

    def test_closed_in_the_middle(self):
        """FAULT: a finalizer, or a number that runs code, closes the server while it is asked. That is told."""
        self.stand_in(boards=(standin.measures(512), standin.board()))
        out, _ = self.done(self.program(self.CLOSED, self.instance))
        self.assertEqual(out.split()[0], "512")
        self.assertGreaterEqual(out.count("closed"), 7, out)

    def test_others_run_while_instances_are_looked_for(self):
        """FAULT: a server does not take connections. The GIL is free meanwhile: another thread makes room."""
        path = os.path.join(self.run_dir, "slow")
        os.makedirs(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(listener.close)
        listener.bind(os.path.join(path, "server.sock"))
        listener.listen(0)
        waiting = []
        while True:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.addCleanup(s.close)
            s.setblocking(False)
            try:
                s.connect(os.path.join(path, "server.sock"))
            except BlockingIOError:
                break
            waiting.append(s)
        ran, is_over = [], threading.Event()

        def run():
            while not is_over.is_set():
                ran.append(time.monotonic())
                time.sleep(0.02)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        start = time.monotonic()
        names = sluice.instances()
        end = time.monotonic()
        is_over.set()
        thread.join(PATIENCE_S)
        self.assertEqual(names, ["slow"])
        if end - start > 0.5:
            self.assertGreater(sum(start < t < end for t in ran), 3)


class Interpreters(package.Case):
    PROGRAM = """
import _xxsubinterpreters as sub
CODE = "import sys, warnings; warnings.simplefilter('ignore'); sys.path[:0] = %r; import sluice; print('imported', flush=True)"
for _ in range(12):
    each = sub.create()
    try:
        sub.run_string(each, CODE % sys.path[:2])
    except sub.RunFailedError as e:
        print(e, flush=True)
    sub.destroy(each)
    try:
        import sluice
    except ImportError as e:
        refused = e
print(refused)
"""

    def test_it_stays_with_the_first(self):
        """FAULT: a subinterpreter imports the package and ends; the main one and others come after it. They are refused with
        words; one that lies where the first one lay is another one all the same."""
        out, _ = self.done(self.program(self.PROGRAM, lazy=True))
        lines = out.splitlines()
        self.assertEqual((len(lines), lines[0]), (13, "imported"), out)
        for line in lines[1:]:
            self.assertIn("one interpreter of a process", line)


if __name__ == "__main__":
    package.main()
