#!/usr/bin/env python3
"""Gating readers: what they are promised, for how long the writer waits for them, what becomes of those that stop, die
or lie, and that the interlock never goes blind because of one."""
import contextlib
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import threading
import time

import reader_case
import readers
import support
from reader_case import EPERM, EUSERS, descriptors, maps
from readers import AT_POSITION, AT_SEQUENCE, GATING, NEWEST, OLDEST
from support import BIN, connect, wait_until

LEASE_AT, LOST_AT = (readers.golden_offsets()["ring_lease." + field] for field in ("position", "lost"))
FREE, IS_GATING, DEMOTED = 0, 1, 2
NEVER_MS = 60000  # a deadline that no test waits for


class GatingCase(reader_case.ReaderCase):
    def gating_child(self, deadline_ms=0, start=NEWEST, **options):
        child = self.child(options={"mode": GATING, "deadline_ms": deadline_ms, "start": start}, **options)
        self.assertEqual(child.line()["state"], "gating")
        return child

    def keep_sending(self, stop):
        while not stop.is_set():
            self.source.send(5)
            time.sleep(0.002)

    def wait_full(self, position):
        """The writer has published up to `position` and can go no further: a reader holds it up."""
        self.published(position)
        wait_until(lambda: self.view.gate(0)[4] > 0, "the writer to wait")

    def caught_up(self, child):
        return wait_until(lambda: (r := child.report())["position"] == self.view.published and r,
                          lambda: f"all to be read: {child.report()}, published {self.view.published}")

    def assert_lossless(self, report, frames):
        self.assert_all_accounted(report)
        self.assertEqual((report["frames"], report["lost"], report["missing"], report["discarded"], report["said_lost"]),
                         (frames, 0, 0, 0, 0), report)


class Waits(GatingCase):
    """when_full: wait."""

    def test_slow_reader_gets_everything(self):
        """Bursts far larger than the ring, two slow gating readers, an observer that is lapped."""
        self.data_server(slots=128, gating={"readers_max": 4, "deadline_ms": NEVER_MS})
        slow = [self.gating_child(start=start, most=most, pause_s=0.001) for start, most in ((OLDEST, 40), (NEWEST, 100))]
        lazy = self.follower()
        for _ in range(3):
            self.source.send(4000)
        self.published(12000)
        for child in slow:
            report = self.caught_up(child)
            self.assert_lossless(report, 12000)
            self.assertEqual((report["first_number"], report["last_number"], report["state"]), (0, 11999, "gating"))
        lazy.drain()
        self.assertGreater(self.assert_all_accounted(lazy)["lost"], 0)
        self.assertTrue(any(r["mode"] == "gating" and r["waits"] > 0 and r["waited_ns"] > 0 for r in self.shown_readers()))
        stream = self.assert_ledger()
        self.assertEqual((stream["delivered"], sum(stream["lost"].values())), (12000, 0))
        self.assertEqual(self.gating_events()["demotions"], 0)

    def test_where_it_begins(self):
        self.data_server(slots=256, gating={"readers_max": 8})
        self.publish(100)
        for options, position in (({"start": OLDEST}, 0), ({"start": NEWEST}, 100), ({"start": AT_SEQUENCE, "at": 70}, 70),
                                  ({"start": AT_POSITION, "at": 30}, 30), ({"start": AT_POSITION, "at": 10**9}, 100)):
            reader = self.reader(mode=GATING, **options)
            self.assertEqual((reader.state, reader.position), ("gating", position), options)
            self.assertEqual(reader.seek(AT_POSITION, 5), 0)
            self.assertGreaterEqual(reader.position, position, "what is released stays so")
            reader.detach()

    def test_demoted_after_its_deadline(self):
        self.data_server(slots=128, gating={"readers_max": 2, "deadline_ms": 700, "evict_ms": 60000})
        child = self.gating_child()
        self.publish(100)
        self.caught_up(child)
        child.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        self.source.send(1000)
        self.published(1100)
        self.assertGreaterEqual(time.monotonic() - start, 0.6)
        self.wait_log("demoted to an observer: it held the writer up for longer than its deadline (700 ms)")
        shown = self.shown_readers()[0]
        self.assertEqual((shown["mode"], shown["reason"], shown["deadline_ms"]), ("demoted", "deadline", 700))
        self.assertGreaterEqual(shown["waited_ns_max"], 600_000_000)
        events = self.gating_events()
        self.assertEqual((events["demotions"], events["evictions"]), (1, 0))
        self.assertEqual([(e["event"], e["reason"], e["pid"]) for e in events["events"]],
                         [("demoted", "deadline", child.pid)])
        child.send_signal(signal.SIGCONT)
        report = self.caught_up(child)
        self.assert_all_accounted(report)
        self.assertEqual(report["state"], "demoted")
        self.assertGreater(report["lost"], 0)
        self.assertEqual(report["missing"], report["lost"])
        for _ in range(20):  # and on, as an observer does
            self.publish(10)
            again = self.caught_up(child)
        self.assert_all_accounted(again)
        self.assertEqual((again["frames"] - report["frames"], again["lost"]), (200, report["lost"]))
        self.assertEqual(self.assert_ledger()["delivered"], 1300)

    def test_demoted_stays_demoted(self):
        """Also for the next worker."""
        self.data_server(slots=64, gating={"readers_max": 2, "deadline_ms": 300, "evict_ms": 60000})
        child = self.gating_child(hold=True)
        self.source.send(200)
        self.published(200)
        self.restart_worker()
        waits = self.view.gate(0)[4]
        self.publish(200, chunk=20)
        self.assertEqual((self.view.gate(0)[1:3], self.view.gate(0)[4]), ((DEMOTED, 1), waits))
        child.ask("go")
        self.assertEqual(self.assert_all_accounted(self.caught_up(child))["state"], "demoted")

    def test_own_deadline_is_honoured(self):
        """Smaller than the ring's is what it asks for; larger is the ring's."""
        self.data_server(slots=64, gating={"readers_max": 2, "deadline_ms": 30000, "evict_ms": 60000})
        child = self.gating_child(deadline_ms=300)
        self.gating_child(deadline_ms=40000)
        self.assertEqual(sorted(r["deadline_ms"] for r in self.shown_readers()), [300, 30000])
        child.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        self.source.send(200)
        self.published(200, 10)
        self.assertGreater(time.monotonic() - start, 0.2)
        self.assertEqual(sorted(r["mode"] for r in self.shown_readers()), ["demoted", "gating"])

    def test_evicted(self):
        self.data_server(slots=64, gating={"readers_max": 1, "deadline_ms": 200, "evict_ms": 500})
        child = self.gating_child()
        self.publish(32)
        self.caught_up(child)
        wait_until(lambda: self.shown_readers()[0]["lag_frames"] == 0, "it to release all")
        child.send_signal(signal.SIGSTOP)
        self.source.send(500)
        self.published(532)
        wait_until(lambda: self.gating_events()["evictions"] == 1, "the eviction")
        events = self.gating_events()["events"]
        self.assertEqual([(e["event"], e["pid"]) for e in events], [("demoted", child.pid), ("evicted", child.pid)])
        self.assertEqual(events[1]["lost"], self.view.claimed - 64 - 32)
        self.wait_log("evicted: it has not moved for")
        self.assertIn(f"{events[1]['lost']} frames lost", self.sluiced.log())
        self.assertEqual(self.shown_readers(), [])
        other = self.reader(mode=GATING)  # its place is free
        self.assertEqual(other.state, "gating")
        child.send_signal(signal.SIGCONT)
        report = wait_until(lambda: (r := child.report())["ended"] and r["position"] == 532 and r, "its end")
        self.assertEqual(report["state"], "evicted")
        self.assert_all_accounted(report, 532)  # what was left it could still read
        self.assertEqual(other.state, "gating")

    def test_killed_while_it_holds_the_gate(self):
        """The writer goes on at once: the deadline is far away."""
        self.data_server(slots=64, gating={"readers_max": 1, "deadline_ms": 20000})
        for _ in range(5):
            before = self.view.published
            child = self.gating_child(hold=True)
            self.source.send(300)
            self.published(before + 64)
            time.sleep(0.1)
            self.assertEqual(self.view.published, before + 64, "it is held up")
            start = time.monotonic()
            child.kill()
            self.published(before + 300, 10)
            self.assertLess(time.monotonic() - start, 2)
            wait_until(lambda: not self.shown_readers(), "a free place")
        self.assertEqual(self.gating_events()["demotions"], 0)
        stream = self.assert_ledger()
        self.assertEqual((stream["delivered"], sum(stream["lost"].values())), (1500, 0))

    def test_places(self):
        self.data_server(gating={"readers_max": 3})
        three = [self.reader(mode=GATING) for _ in range(3)]
        self.refused(EUSERS, "all 3 places for gating readers of ring 'data' are taken", "gating.readers_max", mode=GATING)
        observer = self.reader()
        self.assertEqual(observer.state, "observer")
        three[1].detach()
        wait_until(lambda: len(self.shown_readers()) == 3, "a place")
        self.assertEqual(self.reader(mode=GATING).state, "gating")
        self.refused(EUSERS, mode=GATING)
        self.assertEqual({r.state for r in (three[0], three[2])}, {"gating"})
        self.refused(EPERM, "ring 'udp' takes no gating readers", "gating: {readers_max: 1}", ring="udp", mode=GATING)
        self.assertEqual(self.reader(ring="udp").state, "observer")

    def test_release_lets_the_writer_on(self):
        """A reader that pauses gives back what it has: nothing of it holds the writer up."""
        self.data_server(slots=64, gating={"readers_max": 1, "deadline_ms": NEVER_MS})
        reader = self.reader(mode=GATING)
        self.source.send(100)
        self.wait_full(64)
        self.assertEqual(reader.batch(64), 64)
        time.sleep(0.1)
        self.assertEqual(self.view.published, 64)
        self.assertEqual(reader.overwritten(), 0)
        reader.release()
        self.published(100)
        self.assertEqual(reader.lost, 0)

    def test_worker_is_killed(self):
        """Twenty times, every other time while the gate is held: the next one honours it."""
        self.data_server(slots=256, gating={"readers_max": 2, "deadline_ms": NEVER_MS})
        child = self.gating_child(most=50)
        stop = threading.Event()
        sent = threading.Thread(target=self.keep_sending, args=(stop,))
        sent.start()
        try:
            for round_of in range(20):
                time.sleep(0.9)  # one that lived for a second is started again at once
                if round_of % 2:
                    child.ask("hold")
                    position = child.report()["position"]
                    time.sleep(0.15)  # 256 frames and more are sent meanwhile
                    self.restart_worker()
                    time.sleep(0.05)
                    self.assertLessEqual(self.view.claimed, position + 256, "the gate is honoured")
                    child.ask("go")
                else:
                    self.restart_worker()
                self.assertEqual(self.view.epoch, round_of + 2)
        finally:
            stop.set()
            sent.join()
        self.publish(200, chunk=50)
        report = self.caught_up(child)
        self.assert_all_accounted(report)
        self.assertEqual((report["lost"], report["state"], report["epoch"]), (0, "gating", 21))
        self.assertEqual(report["accepted"], self.view.published - report["start"])
        self.assertEqual([g[1] for g in report["gaps"] if g[1] == "restart"], ["restart"] * 20)
        stream = self.assert_ledger()
        self.assertEqual(stream["delivered"], report["frames"])
        self.assertEqual(self.gating_events()["demotions"], 0)


class Watched(GatingCase):
    """A ring that the interlock watches: a reader must not hold its frames back."""

    def check(self, **gating):
        text = support.config(self.instance, [support.udp_source(support.free_udp_port())], [])
        text["rings"][0]["gating"] = gating
        path = self.path("check.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(text, file)
        return subprocess.run([os.path.join(BIN, "sluiced"), "--check", path], capture_output=True, text=True, timeout=30)

    def test_configuration_refuses_to_wait(self):
        done = self.check(readers_max=1, when_full="wait")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("rings[0].gating.when_full: the interlock watches ring 'udp'", done.stderr + done.stdout)
        self.assertIn("expected drop", done.stderr + done.stdout)
        for gating in ({"readers_max": 1, "when_full": "drop"}, {"readers_max": 1}, {}):
            text = (done := self.check(**gating)).stderr + done.stdout
            self.assertNotIn("when_full", text)
        for gating, word in (({"readers_max": 17}, "16"), ({"readers_max": 1, "deadline_ms": 0}, "deadline_ms"),
                             ({"readers_max": 1, "when_full": "maybe"}, "when_full"), ({"places": 1}, "places")):
            done = self.check(**gating)
            self.assertNotEqual(done.returncode, 0, gating)
            self.assertIn(word, done.stderr + done.stdout)

    def test_stopped_reader_makes_frames_dropped(self):
        server = self.data_server(guard={"slots": 64, "gating": {"readers_max": 1, "deadline_ms": 1500, "evict_ms": 60000}})
        self.view = self.map_ring(-2)
        stop, seen, numbers = threading.Event(), [], []
        observer = self.reader(ring="udp", start=OLDEST)

        def observe():
            while not stop.is_set():
                observer.wait(50)
                while got := observer.next():
                    frame, payload = got
                    if frame.flags & readers.GAP:
                        seen.append((readers.LIB.sluice_loss_name(frame.cause).decode(),
                                     struct.unpack_from("<IIQ", payload)[2]))
                    else:
                        numbers.append(frame.source_sequence)

        watcher = threading.Thread(target=observe)
        watcher.start()
        self.addCleanup(watcher.join)
        self.addCleanup(stop.set)
        self.sensor.start()
        child = self.child(ring="udp", options={"mode": GATING})
        child.line()
        for round_of in range(2):
            server.make_armed(self.actuator)
            self.assertEqual(self.shown_readers("udp")[-1]["mode"], "gating")
            child.send_signal(signal.SIGSTOP)
            self.actuator.wait_permit(False)
            # Until frames flow again nothing is energised.
            dropping = time.time_ns()
            first = server.wait_state("tripped")["interlock"]["first_out"]
            self.assertIn(first["kind"], ("stale", "overrun"), first)
            wait_until(lambda n=round_of: self.gating_events("udp")["demotions"] > n, "the demotion")
            self.assertFalse([c for c in self.actuator.since(dropping) if c.energised])
            before = self.view.published
            self.published(before + 20)
            child.send_signal(signal.SIGCONT)
            server.make_armed(self.actuator)
            child.kill()
            wait_until(lambda: len(self.shown_readers("udp")) == 1, "its place")
            child = self.child(ring="udp", options={"mode": GATING})
            child.line()
        with self.sensor.paused():
            server.wait_status(lambda s: server.stream("udp", s)["sent"] == self.sensor.next, "all to be counted")
            stream = self.assert_ledger("udp")
            wait_until(lambda: observer.position == self.view.published and not observer.wait(0), "the observer")
        stop.set()
        watcher.join()
        dropped = stream["lost"]["ring_full"]
        print(f"{dropped} frames dropped, gap records {seen}")
        self.assertGreater(dropped, 100)
        self.assertEqual(sum(stream["lost"].values()), dropped, stream)
        self.assertEqual({cause for cause, _ in seen}, {"ring_full"})
        self.assertEqual(sum(count for _, count in seen), dropped)
        self.assertEqual(numbers[-1] - numbers[0] + 1 - len(numbers), dropped)
        self.assertEqual(observer.lost, 0)

    def peaks_among_dropped_frames(self):
        """Dropped, and too short for silence: what was not seen trips all the same. By what, as often as it takes to
        see that it was by the drop itself; on a slow machine silence may come first, or the worker may be too late to
        find the ring full."""
        server = self.sluiced
        self.view = self.map_ring(-2)
        self.sensor.start()
        for _ in range(10):
            server.make_armed(self.actuator)
            dropped = server.stream("udp")["lost"]["ring_full"]
            reader = self.reader(ring="udp", mode=GATING)
            with self.sensor.paused():
                full = self.view.gate(0)[3] + 64
                while self.view.published < full:
                    before = self.view.published
                    self.sensor.send()
                    self.published(before + 1)
                time.sleep(0.02)
                self.sensor.send(pressure=499)  # into nowhere
                time.sleep(0.02)
                reader.seek(NEWEST)
                self.published(full + 1)  # its record
                self.sensor.send()
                self.published(full + 2)
                if server.stream("udp")["lost"]["ring_full"] == dropped + 1:
                    self.actuator.wait_permit(False, support.STALE_MS / 1000 - 0.5)  # before it is stale: else armed, and blind
            first = server.wait_state("tripped")["interlock"]["first_out"]
            reader.detach()
            wait_until(lambda: not self.shown_readers("udp"), "its place")
            self.assert_ledger("udp")
            if first["kind"] == "overrun":
                return
        self.fail(f"never tripped by a drop, last by {first}")

    def test_a_peak_among_dropped_frames(self):
        self.data_server(guard={"slots": 64, "gating": {"readers_max": 1, "deadline_ms": 20000}})
        self.peaks_among_dropped_frames()

    def test_a_peak_among_dropped_frames_without_numbers(self):
        """Only the record says that something is missing."""
        self.data_server(guard={"slots": 64, "gating": {"readers_max": 1, "deadline_ms": 20000}},
                         guard_source={"sequence": None})
        self.peaks_among_dropped_frames()

    def test_drop_is_counted_to_the_frame(self):
        """Numbers by hand: what was dropped is one gap record, its count, the next frame's, and the ledger's."""
        self.data_server(slots=64, gating={"readers_max": 1, "deadline_ms": NEVER_MS, "when_full": "drop"})
        observer = self.follower()
        for round_of in range(5):
            reader = self.reader(mode=GATING)
            start = self.view.published
            self.source.send(64)
            self.published(start + 64)
            observer.drain()
            dropped = random.Random(round_of).randrange(1, 3000)
            self.source.send(dropped)
            wait_until(lambda: support.udp_socket(self.source.port)[0] == 0, "the worker to have taken all")
            time.sleep(0.3)
            self.assertEqual(self.view.published, start + 64)
            reader.detach()
            self.published(start + 65)  # the record
            self.publish(30)
            observer.drain()
            report = self.assert_all_accounted(observer)
            self.assertEqual(report["gaps"][-1], (start + 64, "ring_full", dropped))
            self.assertEqual((report["missing"], report["lost"]), (report["said_lost"], 0))
            stream = self.assert_ledger()
            self.assertEqual(stream["lost"]["ring_full"], sum(g[2] for g in report["gaps"]))
            self.assertEqual((stream["lost"]["ring_full"], sum(stream["lost"].values())), (report["missing"],) * 2)
            self.assertEqual(stream["sent"], self.source.next)


    def test_worker_is_killed_while_it_drops(self):
        """The ledger accounts for every frame, whatever its record has become."""
        self.data_server(slots=64, gating={"readers_max": 4, "deadline_ms": NEVER_MS, "when_full": "drop"})
        child = self.child()
        child.line()
        stop, dice = threading.Event(), random.Random(4)
        sender = threading.Thread(target=self.keep_sending, args=(stop,))
        sender.start()
        try:
            for round_of in range(4):
                reader = self.reader(mode=GATING)
                time.sleep(dice.random() * 0.3)
                if round_of % 2 == 0:
                    self.restart_worker()
                time.sleep(dice.random() * 0.2)
                reader.detach()
                time.sleep(dice.random() * 0.1)
                if round_of % 2 == 1:
                    self.restart_worker()
        finally:
            stop.set()
            sender.join()
        self.publish(50, chunk=10)
        report = self.assert_all_accounted(self.caught_up(child))
        stream = self.assert_ledger()
        self.assertEqual(stream["sent"], self.source.next)
        self.assertTrue(report["frames"] <= stream["delivered"] <= report["frames"] + report["lost"])
        self.assertGreater(stream["lost"]["ring_full"], 0)
        self.assertEqual(stream["lost"]["ring_full"] + stream["lost"]["restart"], sum(stream["lost"].values()), stream)


class Hostile(GatingCase):
    """Whatever a reader writes into its lease or its socket, it harms itself alone."""

    def attach(self, ring="data", op=support.GATE, **options):
        client = connect(self.socket_path(self.sluiced))
        self.addCleanup(client.close)
        client.send(support.request(op, ring, **options))
        data, fds, _, _ = support.socket.recv_fds(client, 4096, 8)
        code = support.REPLY.unpack(data[: support.REPLY.size])[3]
        self.assertEqual((code, len(fds)), (0, 2), data)
        os.close(fds[0])
        page = mmap.mmap(fds[1], 4096)
        os.close(fds[1])
        self.addCleanup(page.close)
        return client, page

    def release(self, page, position):
        struct.pack_into("<Q", page, LEASE_AT, position & readers.MASK)

    def test_leases_that_lie(self):
        server = self.data_server(slots=64, gating={"readers_max": 4, "deadline_ms": NEVER_MS, "evict_ms": 60000})
        honest = self.gating_child()
        pids = {name: p["pid"] for name, p in server.processes().items()}
        for lie in (2**63, 2**64 - 1, 2**63 - 1, 10**6):
            client, page = self.attach(start=2**64 - 1)
            wait_until(lambda: self.view.gate(1)[1] == IS_GATING, "the gate")
            self.release(page, lie)
            before = self.view.published
            self.source.send(500)
            self.published(before + 500)
            self.assertEqual(self.view.gate(1)[1:3], (DEMOTED, 2))
            self.assertIn(("demoted", "nonsense"), [(r["mode"], r.get("reason")) for r in self.shown_readers()])
            client.close()
            wait_until(lambda: self.view.gate(1)[1] == FREE, "the gate to be free")
        self.wait_log("it released frames that were not published yet")
        # Backwards is no lie that helps: a release cannot be taken back, and nothing is overwritten early.
        client, page = self.attach(start=2**64 - 1)
        wait_until(lambda: self.view.gate(1)[1] == IS_GATING, "the gate")
        base = self.view.published
        self.source.send(200)
        self.published(base + 64)
        self.release(page, base + 40)
        self.published(base + 104)
        self.release(page, base)
        time.sleep(0.1)
        self.assertEqual((self.view.published, self.view.gate(1)[1]), (base + 104, IS_GATING))
        self.release(page, base + 104)
        self.published(base + 168)
        client.close()
        self.published(base + 200)
        self.assert_lossless(self.caught_up(honest), self.source.next)
        self.assertEqual({name: p["pid"] for name, p in server.processes().items()}, pids)

    def test_lost_by_those_who_say_nothing(self):
        """Who leaves without a word has lost nothing; who lies, never more than there was."""
        self.data_server(slots=64, gating={"readers_max": 2})
        self.publish(1000, chunk=30)
        for _ in range(20):
            for op in (support.ATTACH, support.GATE):
                self.attach(op=op, start=2**64 - 1)[0].close()
            wait_until(lambda: not self.shown_readers(), "both to have left")
        self.assertEqual(self.gating_events()["readers_lost"], 0)
        clients = [self.attach(op=op, start=2**64 - 1) for op in (support.ATTACH, support.GATE)]
        wait_until(lambda: self.view.gate(0)[1] == IS_GATING, "the gate")
        for _, page in clients:
            struct.pack_into("<Q", page, LOST_AT, 2**63)
        self.assertEqual([r["lost"] for r in self.shown_readers()], [1000, 1000])
        for client, _ in clients:
            client.close()
        wait_until(lambda: not self.shown_readers(), "all to have left")
        self.assertEqual(self.gating_events()["readers_lost"], 2000)

    def test_random_bytes_without_end(self):
        """Over whole lease pages, an observer's and gating readers', on both rings, while all goes on."""
        server = self.data_server(slots=64, gating={"readers_max": 4, "deadline_ms": 500, "evict_ms": 1000},
                                  guard={"slots": 64, "gating": {"readers_max": 2, "deadline_ms": 500, "evict_ms": 1000}})
        self.sensor.start()
        honest = self.gating_child(deadline_ms=0)
        server.make_armed()
        pids = {name: p["pid"] for name, p in server.processes().items()}
        pages = [self.attach(start=2**64 - 1)[1] for _ in range(3)] + [self.attach("udp")[1] for _ in range(2)]
        pages += [self.attach(op=support.ATTACH)[1]]
        stop, dice = threading.Event(), random.Random(9)

        def scribble():
            while not stop.is_set():
                for page in pages:
                    page[:] = dice.randbytes(4096)
                    time.sleep(0)

        writer = threading.Thread(target=scribble)
        writer.start()
        try:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                before = self.view.published
                self.source.send(100)
                self.published(before + 100)
                done = server.cli("status", self.instance, "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
        finally:
            stop.set()
            writer.join()
        self.assert_lossless(self.caught_up(honest), self.source.next)
        server.make_armed(self.actuator)
        self.assertEqual({name: p["pid"] for name, p in server.processes().items()}, pids)
        self.assert_ledger("udp")
        self.assert_ledger()

    def test_flood_of_waits(self):
        """Ten readers that ask to be woken without end and take no answer: others are woken, attached, served."""
        server = self.data_server(gating={"readers_max": 2})
        self.sensor.start()
        server.make_armed()
        self.publish(10)
        before = descriptors(server.pid)
        crowd = [self.attach(op=support.ATTACH)[0] for _ in range(10)]
        for client in crowd:
            client.setblocking(False)
        sleeper = self.child(do="sleep", timeout_ms=-1)
        sleeper.line()
        stop, flooded = threading.Event(), [0]

        def flood():
            while not stop.is_set():
                for i, client in enumerate(crowd):
                    with contextlib.suppress(BlockingIOError):
                        client.send(support.request(support.WAIT, argument=(0, 2**64 - 1, 5)[i % 3]))
                        flooded[0] += 1

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            took = []
            for _ in range(10):
                time.sleep(0.1)
                start = time.monotonic()
                self.source.send()
                self.assertEqual(sleeper.line(5)["code"], 1)
                took.append(time.monotonic() - start)
            self.assertLess(sorted(took)[5], 0.4)
            for _ in range(5):
                reader = self.reader(mode=GATING)
                self.assertEqual(reader.state, "gating")
                reader.detach()
                wait_until(lambda: not any(r["mode"] == "gating" for r in self.shown_readers()), "its place")
            self.assertIsNotNone(server.status())
        finally:
            stop.set()
            thread.join()
        self.assertGreater(flooded[0], 1000)
        server.make_armed()
        for client in crowd:
            client.close()
        wait_until(lambda: descriptors(server.pid) <= before + 3, "their descriptors to be closed")
        self.assertEqual({p["restarts"] for p in server.processes().values()}, {0})

    def test_bytes_that_are_no_requests(self):
        server = self.data_server(gating={"readers_max": 2})
        dice = random.Random(11)
        for packet in (b"x", dice.randbytes(56), dice.randbytes(4000), bytes(56)):
            client, _ = self.attach()
            client.send(packet)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(client.recv(4096), b"")
        client, _ = self.attach()
        for op in (support.ATTACH, support.GATE, support.BOARDS, support.TRIP):  # a reader's connection is a reader's
            client.send(support.request(op, "data"))
            answer = client.recv(4096)
            self.assertEqual(support.REPLY.unpack(answer[: support.REPLY.size])[3], -16)
            self.assertIn(b"this connection is a reader's", answer)
        self.assertEqual({p["restarts"] for p in server.processes().values()}, {0})
        self.publish(10)

    def test_come_and_go(self):
        """500 clients that attach gating and are gone at once: no place, no mapping, no descriptor stays taken."""
        server = self.data_server(slots=64, gating={"readers_max": 4, "deadline_ms": NEVER_MS})
        honest = self.gating_child()
        worker = server.worker()
        self.publish(10)
        server.status()
        before = descriptors(server.pid), descriptors(worker), maps(worker), maps(server.pid)
        stop = threading.Event()
        sender = threading.Thread(target=self.keep_sending, args=(stop,))
        sender.start()
        try:
            for round_of in range(500):
                client = connect(self.socket_path(server))
                client.send(support.request(support.GATE, "data", start=0 if round_of % 2 else 2**64 - 1))
                if round_of % 3 == 0:
                    _, fds, _, _ = support.socket.recv_fds(client, 4096, 8)
                    for fd in fds:
                        os.close(fd)
                client.close()
        finally:
            stop.set()
            sender.join()
        wait_until(lambda: len(self.shown_readers()) == 1, "all but one to have left")
        self.published(self.source.next)
        self.assert_lossless(self.caught_up(honest), self.source.next)
        wait_until(lambda: descriptors(server.pid) <= before[0], lambda: f"{descriptors(server.pid)} descriptors, {before}")
        self.assertLessEqual(descriptors(worker), before[1])
        self.assertLessEqual(maps(worker), before[2] + 3)  # a mapped lease splits what was reserved
        self.assertLessEqual(maps(server.pid), before[3])
        three = [self.reader(mode=GATING) for _ in range(3)]
        self.assertEqual({r.state for r in three}, {"gating"})
        self.assertEqual({p["restarts"] for p in server.processes().values()}, {0})


if __name__ == "__main__":
    support.main()
