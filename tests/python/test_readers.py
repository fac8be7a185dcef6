#!/usr/bin/env python3
"""Readers that wait: in a loop, in threads, in select and in asyncio; the end of the server meanwhile, Ctrl-C, and misuse by
two at once."""
import asyncio
import errno
import os
import select
import selectors
import signal
import threading
import time

import package
import sluice
from package import PATIENCE_S
from support import wait_until


class Waiting(package.Case):
    def setUp(self):
        super().setUp()
        self.ring = self.usual()

    def sleeps(self, thread):
        """True once it sleeps in poll(): its reader is marked."""
        with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as file:
            return file.read().split()[0] in ("7", "271")

    def waiter(self, reader, action):
        """A thread that runs action(reader) and sleeps; what it returned or raised is in the list."""
        result = []

        def run():
            try:
                result.append(action(reader))
            except Exception as e:
                result.append(e)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        wait_until(lambda: result or self.sleeps(thread), "the thread to sleep")
        self.addCleanup(thread.join, PATIENCE_S)
        return thread, result

    def test_timeout(self):
        """Iteration ends after so long without anything new; None would be for ever."""
        reader = self.follow(timeout=0.2)
        start = time.monotonic()
        self.assertEqual(list(reader), [])
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        self.assertFalse(reader.wait(0.05))
        self.assertFalse(reader.wait(0))
        self.ring("publish tvac 3")
        self.assertTrue(reader.wait(PATIENCE_S))
        self.assertTrue(reader.wait())
        self.assertEqual(sum(len(b) for b in reader), 3)
        self.ring("publish tvac 1")
        self.assertEqual(len(next(reader)), 1)  # an iterator that ended goes on when asked again

    def test_a_sleeper_is_woken(self):
        reader = self.follow()
        thread, result = self.waiter(reader, next)
        self.ring("publish tvac 1")
        thread.join(PATIENCE_S)
        self.assertEqual(result[0]["pressure"].tolist(), [0.25])

    def test_spinning(self):
        reader = self.follow(spin_us=1_000_000, timeout=PATIENCE_S)
        thread = threading.Timer(0.05, self.ring, ["publish tvac 1"])
        thread.start()
        self.assertEqual(len(next(reader)), 1)
        thread.join()
        self.assertFalse(self.follow(spin_us=20_000).wait(0.05))
        with self.assertRaises(ValueError):
            self.attach()["tvac"].follow(spin_us=2_000_000)

    def test_others_run_meanwhile(self):
        """The GIL is free while a reader waits."""
        thread, result = self.waiter(self.follow(timeout=PATIENCE_S), next)
        count = sum(1 for _ in range(10000))
        self.assertEqual((count, result), (10000, []))
        self.ring("publish tvac 1")
        thread.join(PATIENCE_S)
        self.assertEqual(len(result), 1)

    def test_two_threads(self):
        """FAULT: a reader is used by a thread while another waits in it. Every use is refused, nothing is disturbed."""
        reader = self.follow()
        thread, result = self.waiter(reader, next)
        for use in (lambda: next(reader), reader.batch, reader.wait, reader.arm, lambda: reader.seek("oldest"), reader.release):
            with self.raises(RuntimeError, "another thread"):
                use()
        self.assertEqual((reader.lost, reader.position, reader.state), (0, 0, "observer"))
        self.ring("publish tvac 2")
        thread.join(PATIENCE_S)
        self.assertEqual(result[0].position, 0)
        self.assertTrue(result[0].valid())
        reader.close()

    def test_a_reader_for_each_thread(self):
        """Many at once, each sees all."""
        total, found = 3000, []
        attached = threading.Barrier(7, timeout=PATIENCE_S)

        def run():
            with sluice.attach(self.instance)["tvac"].follow(start="oldest", on_overrun="count") as reader:
                attached.wait()
                frames = 0
                while frames + reader.lost < total:
                    copy = next(reader).copy()
                    if not (copy["pressure"] == copy.positions + 0.25).all():
                        found.append("a torn frame")
                    frames += len(copy)
                found.append((frames + reader.lost, reader.position))

        threads = [threading.Thread(target=run, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        attached.wait()
        for _ in range(total // 10):
            self.ring("publish tvac 10")
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual(found, [(total, total)] * 6)

    def test_another_thread_uses_a_batch(self):
        self.ring("publish tvac 10")
        reader = self.follow(start="oldest")
        batch = next(reader)
        thread, result = self.waiter(batch, lambda b: (b["pressure"].sum(), b.value("temperature").sum(), b.valid()))
        thread.join(PATIENCE_S)
        self.assertEqual(result[0][0], 47.5)
        self.assertTrue(result[0][2])

    def test_the_server_ends(self):
        """FAULT: the server ends while a reader iterates. What was left is given first; then ServerGone."""
        server = self.attach()
        reader = server["tvac"].follow(start="oldest")
        self.ring("publish tvac 5")
        first = next(reader)
        self.ring("publish tvac 3")
        self.ring("gap tvac kernel 2")
        self.ring("publish tvac 4")
        self.ring.end()
        self.assertFalse(server.alive)
        seen = []
        with self.raises(sluice.ServerGone, "tvac", self.instance, "has ended", "attach again") as caught:
            for batch in reader:
                seen += batch.positions.tolist()
        self.assertEqual(seen, [5, 6, 7, 9, 10, 11, 12])
        self.assertIsInstance(caught.exception, ConnectionError)
        self.assertEqual(first["pressure"].tolist(), [p + 0.25 for p in range(5)])
        for _ in range(2):  # and again
            with self.assertRaises(sluice.ServerGone):
                next(reader)
        with self.assertRaises(sluice.ServerGone):
            reader.wait(1)
        self.assertIsNone(reader.batch())

    def test_the_server_is_killed_while_a_reader_sleeps(self):
        """FAULT: kill -9 of the server."""
        thread, result = self.waiter(self.follow(), next)
        self.ring.kill()
        thread.join(PATIENCE_S)
        self.assertIsInstance(result[0], sluice.ServerGone)
        with self.raises(sluice.ServerNotFound, self.instance, "sluiced FILE.yaml") as caught:
            sluice.attach(self.instance)
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)

    def test_the_writer_restarts(self):
        """FAULT: the ring's writer ends and the next begins: the epoch says so, reading goes on."""
        reader = self.follow(timeout=5)
        self.ring("publish tvac 2")
        self.assertEqual(reader.epoch, 1)
        positions = next(reader).positions.tolist()
        self.ring("restart tvac")
        self.ring("publish tvac 2")
        self.assertEqual(reader.epoch, 2)
        while len(positions) < 4:
            positions += next(reader).positions.tolist()
        self.assertEqual(positions, [0, 1, 2, 3])

    def test_signals(self):
        """A handler runs at once while a reader sleeps, and may use the reader; the wait goes on after it."""
        reader = self.follow()
        seen = []

        def handler(*_):
            seen.append(reader.position)
            if len(seen) == 2:
                self.ring("publish tvac 1")

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        try:
            batch = next(reader)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.assertEqual(len(batch), 1)
        self.assertEqual(seen[0], 0)

    def test_a_handler_that_closes(self):
        """FAULT: a signal's handler closes the reader that waits."""
        reader = self.follow()
        before = signal.signal(signal.SIGALRM, lambda *_: reader.close())
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with self.assertRaises(sluice.Closed):
            next(reader)

    def test_closed(self):
        self.ring("publish tvac 2")
        server = self.attach()
        reader = server["tvac"].follow(start="oldest")
        batch = next(reader)
        reader.close()
        reader.close()
        wait_until(lambda: self.ring("readers") == "", "the stand to see its end")
        for use in (lambda: next(reader), reader.batch, reader.wait, reader.arm, lambda: reader.seek("oldest"), reader.fileno):
            with self.raises(sluice.Closed, "closed"):
                use()
        self.assertEqual(batch["pressure"].tolist(), [0.25, 1.25])
        server.close()
        for use in (lambda: server["tvac"].progress, lambda: server["tvac"].follow(), server.status, lambda: server.measures):
            with self.raises(sluice.Closed, "closed"):
                use()
        self.assertFalse(server.alive)

    def test_closing_the_server_closes_its_readers(self):
        with sluice.attach(self.instance) as server:
            readers = [server["tvac"].follow() for _ in range(3)]
            self.assertEqual(len(self.ring("readers").split()), 3)
        self.assertTrue(all(r.closed for r in readers))
        wait_until(lambda: self.ring("readers") == "", "the stand to see their end")

    def test_closing_the_server_while_a_thread_waits(self):
        """It is closed under readers in use, asleep and spinning: they are told, at once, and all is closed."""
        server = self.attach()
        other = server["tvac"].follow()
        reader = server["tvac"].follow()
        waiters = [self.waiter(reader, next), self.waiter(server["tvac"].follow(), sluice.Reader.wait)]
        spinner = server["tvac"].follow(spin_us=1_000_000)
        spins = threading.Thread(target=self.assertRaises, args=(sluice.Closed, next, spinner), daemon=True)
        spins.start()
        wait_until(lambda: self.is_used(spinner), "the thread to spin")
        server.close()
        server.close()
        self.assertEqual((other.closed, reader.closed, spinner.closed, server.alive), (True, True, True, False))
        for thread, result in waiters:
            thread.join(PATIENCE_S)
            self.assertIsInstance(result[0], sluice.Closed)
        spins.join(PATIENCE_S)
        self.assertFalse(spins.is_alive())
        wait_until(lambda: self.ring("readers") == "", "the stand to see their end")
        with self.raises(sluice.Closed, "closed"):
            next(reader)

    @staticmethod
    def is_used(reader):
        try:
            reader.arm()
        except RuntimeError:
            return True

    def test_a_reader_that_is_dropped(self):
        """Without close(): its place is free when it is collected, also while a view is kept."""
        self.ring("publish tvac 2")
        column = next(self.attach()["tvac"].follow(start="oldest"))["pressure"]
        wait_until(lambda: self.ring("readers") == "", "the stand to see its end")
        self.assertEqual(column.tolist(), [0.25, 1.25])

    def test_what_cannot_be(self):
        ring = self.attach()["tvac"]
        for wrong in ({"on_overrun": "ignore"}, {"max_frames": 0}, {"mode": "master"}):
            with self.assertRaises(ValueError):
                ring.follow(**wrong)
        for make in (sluice.Reader, sluice.Batch):
            with self.assertRaises(TypeError):
                make()
        with self.assertRaises(TypeError):
            object.__new__(sluice.Batch)


class Silence(package.Case):
    """FAULT: the server does not answer."""

    def setUp(self):
        super().setUp()
        self.stand = self.usual()

    def signals(self, handler):
        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)

    def test_signals_while_attaching(self):
        """Signals whose handlers raise nothing change nothing: it is told after its own time, not later."""
        came = []
        self.signals(lambda *_: came.append(1))
        ring = self.attach()["tvac"]
        self.stand("behave silent")
        for request in (lambda: sluice.attach(self.instance), ring.follow):
            start = time.monotonic()
            with self.raises(sluice.ServerGone, "no answer"):
                request()
            self.assertGreater(time.monotonic() - start, 4)
            self.assertLess(time.monotonic() - start, PATIENCE_S)
        self.assertGreater(len(came), 5)

    def test_a_signal_that_raises(self):
        """It ends the request at once, and is what is raised."""

        class Enough(Exception):
            pass

        def handler(*_):
            signal.setitimer(signal.ITIMER_REAL, 0)  # once: the next one would come where nobody waits for it
            raise Enough

        ring = self.attach()["tvac"]
        self.stand("behave silent")
        for request in (lambda: sluice.attach(self.instance), ring.follow, lambda: ring.last(frames=1)):
            start = time.monotonic()
            with self.assertRaises(Enough):
                self.signals(handler)
                request()
            self.assertLess(time.monotonic() - start, 4)
        self.stand("behave polite")
        self.assertEqual(list(self.attach().rings), ["tvac"])


class Corrupt(package.Case):
    def test_a_ring_that_was_scribbled_over(self):
        """FAULT: the ring's header says what no writer can have said. Nobody spins over it, or waits for ever."""
        stand = self.usual()
        stand("publish tvac 10")
        server = self.attach()
        readers = [self.follow(server=server, start="oldest", **how) for how in ({}, {"timeout": 5}, {"spin_us": 1000})]
        for reader in readers:
            self.assertEqual(len(next(reader)), 10)
        stand("scribble tvac")
        for reader in readers:
            with self.assertRaisesRegex(sluice.VersionMismatch, "its memory was overwritten; restart the server"):
                next(reader)
        self.assertRaises(sluice.VersionMismatch, readers[0].arm)
        self.assertRaises(sluice.VersionMismatch, readers[0].wait, 5)
        self.assertRaises(sluice.VersionMismatch, readers[0].batch)

    EACH = """
import asyncio
from sluice import stats
ring = sluice.attach(sys.argv[1])["tvac"]
readers = [ring.follow(timeout=0.2), ring.follow(timeout=0.2), ring.follow(position=3, timeout=0.2)]
print("there", flush=True)
sys.stdin.readline()
async def collect(reader):
    return [len(b) async for b in reader]
def polled(reader):
    return [len(b) for b in iter(reader.batch, None)]
for use in (lambda: [len(b) for b in readers[0]], lambda: asyncio.run(collect(readers[1])), lambda: polled(readers[2]),
            lambda: readers[2].wait(0.2), lambda: [len(b) for b in ring.follow(start="oldest", wait=False)],
            lambda: len(ring.last(frames=3)), lambda: len(ring.last(frames=2**40)), lambda: len(ring.last(seconds=5)),
            lambda: len(ring.at(1)), lambda: stats.summary(ring).keys(), lambda: stats.summary(ring, frames=5).keys(), lambda: ring.ledger):
    try:
        use()
    except (sluice.VersionMismatch, sluice.NotInRing):
        pass
print("done", flush=True)
"""

    def test_nothing_hangs(self):
        """FAULT: each impossible header in turn, under everything that reads: all of it ends."""
        for claimed, published in (("0", ""), ("3", ""), (str(2**63), ""), ("75", ""), (str(2**64 - 1), ""), ("10", str(2**63)),
                                   (str(2**63 + 64), str(2**63)), (str(2**62), str(2**62 - 1)), ("1000", "1000"), ("5", "0")):
            with self.subTest(f"claimed {claimed}, published {published}"):
                stand = self.stand("channel pressure f64 le 0 kPa 1 0 0 500", "ring tvac 64 128 64 32 1000",
                                   name=f"corrupt{self.count()}")
                stand("publish tvac 10")
                program = self.program(self.EACH, stand.instance)
                self.assertEqual(program.stdout.readline(), "there\n")
                stand(f"scribble tvac {claimed} {published}".strip())
                out, _ = program.communicate("\n", timeout=PATIENCE_S)
                self.assertEqual(out, "done\n")
                stand.end()


class EventLoops(package.Case):
    def setUp(self):
        super().setUp()
        self.ring = self.stand(*(f"ring {name} 64 128 64 32 0" for name in "abc"))
        self.server = self.attach()

    def test_select(self):
        """A reader stands in select, poll and selectors by itself."""
        readers = {name: self.follow(name, self.server) for name in "abc"}
        for reader in readers.values():
            self.assertFalse(reader.arm())
        self.assertEqual(select.select(list(readers.values()), [], [], 0)[0], [])
        self.ring("publish b 2")
        ready = select.select(list(readers.values()), [], [], PATIENCE_S)[0]
        self.assertEqual(ready, [readers["b"]])
        self.assertEqual(sum(len(b) for b in iter(readers["b"].batch, None)), 2)
        self.assertFalse(readers["b"].arm())
        selector = selectors.DefaultSelector()
        self.addCleanup(selector.close)
        for name, reader in readers.items():
            selector.register(reader, selectors.EVENT_READ, name)
        self.assertEqual(selector.select(0), [])
        self.ring("publish c 1")
        self.assertEqual([key.data for key, _ in selector.select(PATIENCE_S)], ["c"])
        self.assertEqual(len(readers["c"].batch()), 1)
        self.assertFalse(readers["c"].arm())
        self.ring.end()
        self.assertEqual(len(selector.select(PATIENCE_S)), 3)
        with self.assertRaises(sluice.ServerGone):
            readers["a"].arm()

    def test_arm_tells_what_is_there(self):
        reader = self.follow("a", self.server, start="oldest")
        self.ring("publish a 1")
        self.assertTrue(reader.arm())
        self.assertTrue(reader.arm())
        self.assertEqual(len(reader.batch()), 1)

    async def collect(self, name, count):
        total, reader = [], self.server[name].follow(start="oldest")
        async with reader:
            async for batch in reader:
                total += batch.positions.tolist()
                self.assertTrue(batch.valid())
                if len(total) >= count:
                    return name, total

    def test_asyncio(self):
        """Several rings in one loop, each as it comes."""

        async def work():
            tasks = [asyncio.create_task(self.collect(name, 20)) for name in "abc"]
            for _ in range(20):
                await asyncio.sleep(0.001)
                for name in "abc":
                    self.ring(f"publish {name} 1")
            return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)

        self.assertEqual(asyncio.run(work()), [(name, list(range(20))) for name in "abc"])

    def test_asyncio_ends(self):
        """By the time-out, by cancelling, by the server's end, by an overrun."""

        async def work():
            reader = self.follow("a", self.server, timeout=0.05)
            self.assertEqual([b async for b in reader], [])
            reader = self.follow("a", self.server, start="oldest", wait=False)
            self.ring("publish a 1")
            self.assertEqual([len(b) async for b in reader], [])
            reader = self.follow("b", self.server)
            task = asyncio.create_task(anext(reader))
            await asyncio.sleep(0.02)
            with self.raises(RuntimeError, "another task"):
                await anext(reader)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.ring("publish b 40")
            batch = await asyncio.wait_for(anext(reader), PATIENCE_S)  # it can be used after that
            self.assertGreaterEqual(len(batch), 1)
            self.ring("publish b 100")
            with self.assertRaises(sluice.Overrun):
                await anext(reader)
            reader = self.follow("c", self.server)
            task = asyncio.create_task(anext(reader))
            await asyncio.sleep(0.02)
            self.ring.end()
            with self.assertRaises(sluice.ServerGone):
                await asyncio.wait_for(task, PATIENCE_S)

        asyncio.run(work())

    def test_closed_while_a_task_waits(self):
        """FAULT: another task closes the reader, and the next one gets its descriptor's number. Each is told its own."""
        sleep_s = sluice._reader._SLEEP_S
        self.addCleanup(setattr, sluice._reader, "_SLEEP_S", sleep_s)
        sluice._reader._SLEEP_S = 10 * PATIENCE_S  # else the look that comes each second would find it, too

        async def work():
            first = self.follow("a", self.server)
            fd = first.fileno()
            task = asyncio.create_task(anext(first))
            await asyncio.sleep(0.02)
            first.close()
            second = self.follow("b", self.server)
            self.assertEqual(second.fileno(), fd)
            other = asyncio.create_task(anext(second))
            with self.assertRaises(sluice.Closed):
                await asyncio.wait_for(task, PATIENCE_S)
            await asyncio.sleep(0.02)
            self.ring("publish b 1")
            self.assertEqual(len(await asyncio.wait_for(other, PATIENCE_S)), 1)

        asyncio.run(work())

    def test_closed_by_another_thread_while_a_task_waits(self):
        """The loop is another thread's: the task is told there, of a reader and of a server that is closed."""

        async def work():
            for name, close in (("a", sluice.Reader.close), ("b", lambda _: self.server.close())):
                reader, other = self.follow(name, self.server), self.follow("c", self.server)
                task = asyncio.create_task(anext(reader))
                await asyncio.sleep(0.02)
                await asyncio.to_thread(close, reader)
                with self.assertRaises(sluice.Closed):
                    await asyncio.wait_for(task, PATIENCE_S)
                self.assertTrue(reader.closed)
            self.assertTrue(other.closed)

        asyncio.run(work())

    def test_the_loop_goes_on(self):
        """While a reader waits, the loop's other tasks run."""

        async def work():
            task = asyncio.create_task(anext(self.follow("a", self.server)))
            turns = 0
            while turns < 50:
                await asyncio.sleep(0)
                turns += 1
            self.assertFalse(task.done())
            self.ring("publish a 1")
            return len(await asyncio.wait_for(task, PATIENCE_S))

        self.assertEqual(asyncio.run(work()), 1)


class Interrupts(package.Case):
    LOOP = """
reader = sluice.attach(sys.argv[1])["tvac"].follow(spin_us=int(sys.argv[2]))
print("waiting", flush=True)
try:
    reader.wait() if sys.argv[3] == "wait" else next(reader)
except KeyboardInterrupt:
    print("interrupted", reader.position, reader.batch())
"""

    def test_ctrl_c(self):
        """FAULT: Ctrl-C while a reader waits, asleep or spinning."""
        self.usual()
        for spin_us, how in ((0, "wait"), (0, "next"), (1_000_000, "wait")):
            with self.subTest(f"{how}, spin {spin_us}"):
                program = self.program(self.LOOP, self.instance, spin_us, how)
                self.assertEqual(program.stdout.readline(), "waiting\n")
                time.sleep(0.1)
                program.send_signal(signal.SIGINT)
                out, _ = self.done(program)
                self.assertEqual(out, "interrupted 0 None\n")

    def test_exit_while_a_daemon_thread_waits(self):
        """FAULT: the interpreter ends under a thread that sleeps or spins in a reader, and under one that is woken then."""
        stand = self.usual()
        for spin_us in (0, 1_000_000):
            program = self.program("""
import threading
server = sluice.attach(sys.argv[1])
readers = [server["tvac"].follow(spin_us=int(sys.argv[2]), on_overrun="count") for _ in range(4)]
for r in readers:
    threading.Thread(target=lambda r=r: [b["pressure"].sum() for b in r], daemon=True).start()
kept = server["tvac"].follow(start="oldest")
kept_batch = kept.batch()
time.sleep(0.1)
print("ending", flush=True)
""", self.instance, spin_us)
            stand("pace tvac 1000 1" if spin_us else "publish tvac 1")
            out, err = self.done(program)
            self.assertEqual((out, err), ("ending\n", ""))
            stand("rest tvac")
        wait_until(lambda: stand("readers") == "", "the stand to see their end")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONASYNCIODEBUG", "0")
    package.main()
