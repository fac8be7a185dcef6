#!/usr/bin/env python3
"""Observers through libsluice: where they begin, what they get, what they lose, how they sleep, and what they are told
when they may not."""
import array
import fcntl
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
import unittest

import reader_case
import readers
import support
from reader_case import EACCES, ECONNREFUSED, ENXIO, EPIPE, EPROTO, EUSERS, descriptors, maps, switches
from readers import AT_POSITION, AT_SEQUENCE, AT_TIME, NEWEST, OLDEST
from support import wait_until

NOBODY = 65534


def processor_s(pid):
    """Processor time it has had so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Observers(reader_case.ReaderCase):
    def first_number(self, **options):
        reader = self.reader(**options)
        got = reader.next()
        position = reader.position
        reader.detach()
        return got[0].source_sequence if got else position

    def test_where_it_begins(self):
        self.data_server(slots=256)
        for _ in range(100):
            self.publish(1)  # one by one: each has its own time
        stamps, reader = [], self.reader(start=OLDEST)
        while got := reader.next():
            stamps.append(got[0].tai_ns)
        self.assertEqual(len(set(stamps)), 100)
        self.assertEqual(stamps, sorted(stamps))
        self.assertEqual(self.first_number(start=OLDEST), 0)
        self.assertEqual(self.first_number(start=NEWEST), 100)  # the next one
        for number in (0, 1, 50, 98, 99):
            self.assertEqual(self.first_number(start=AT_SEQUENCE, at=number), number)
            self.assertEqual(self.first_number(start=AT_POSITION, at=number), number)
            self.assertEqual(self.first_number(start=AT_TIME, at=stamps[number]), number)
            self.assertEqual(self.first_number(start=AT_TIME, at=stamps[number] - 1), number)
            self.assertEqual(self.first_number(start=AT_TIME, at=stamps[number] + 1), number + 1)
        for at in (100, 101, 10**9, 2**63, 2**64 - 1):  # newer than all there is: what comes next
            for start in (AT_SEQUENCE, AT_POSITION):
                self.assertEqual(self.first_number(start=start, at=at), 100, (start, at))
        self.assertEqual(self.first_number(start=AT_TIME, at=2**64 - 1), 100)
        for start, at, number in ((AT_SEQUENCE, 7, 7), (OLDEST, 0, 0), (AT_TIME, stamps[42], 42), (AT_POSITION, 99, 99)):
            self.assertEqual(reader.seek(start, at), 0)
            self.assertEqual(reader.next()[0].source_sequence, number)
        self.assertEqual(reader.seek(NEWEST), 0)
        self.assertIsNone(reader.next())
        self.assertEqual(reader.seek(6), -22)
        self.assertEqual(reader.lost, 0)
        # What has been overwritten is older than all there is.
        self.publish(1000, chunk=100)
        oldest = self.view.claimed - 256
        for options in ({"start": OLDEST}, {"start": AT_SEQUENCE, "at": 3}, {"start": AT_POSITION, "at": oldest - 1},
                        {"start": AT_TIME, "at": stamps[0]}):
            self.assertEqual(self.first_number(**options), oldest, options)
        self.assertEqual(self.first_number(start=AT_SEQUENCE, at=1000), 1000)

    def test_batches_are_what_the_frames_are(self):
        self.data_server(slots=1024)
        one = self.reader(start=OLDEST)
        followers = [(self.follower(start=OLDEST), most) for most in (1, 3, 100, 100000)]
        for _ in range(6):
            self.publish(400)  # the ring's end lies in the middle of one of them
            while got := one.next():
                frame, payload = got
                self.assertEqual(payload, readers.content(frame.position, self.seed))
                self.assertEqual((frame.source_sequence, frame.flags, frame.stream), (frame.position, 0, 0))
                self.assertTrue(one.valid(frame))
            for follower, most in followers:
                largest = 0
                while n := follower.take(most):
                    largest = max(largest, n)
                self.assertLessEqual(largest, most)
        self.assertEqual(one.position, 2400)
        for follower, most in followers:
            report = self.assert_all_accounted(follower)
            self.assertEqual((report["frames"], report["lost"], report["missing"]), (2400, 0, 0), most)

    def test_lapped_by_a_small_ring(self):
        """The writer goes round while they read: what they accept is whole, the rest is counted to the frame."""
        self.data_server(slots=64)
        dice = random.Random(5)
        batches, single = self.follower(start=OLDEST), self.reader(start=OLDEST)
        start, accepted, ended = single.position, 0, threading.Event()

        def send():
            for _ in range(150):
                self.source.send(dice.randrange(1, 200))
                time.sleep(0.003)
            ended.set()

        sender = threading.Thread(target=send)
        sender.start()
        lazy = random.Random(6)

        def read_single(most):
            nonlocal accepted
            while most > 0 and (got := single.next()):
                frame, payload = got
                if single.valid(frame):
                    self.assertEqual(payload, readers.content(frame.source_sequence, self.seed))
                    accepted += 1
                most -= 1

        while not ended.is_set():
            batches.take(lazy.randrange(1, 300))
            read_single(lazy.randrange(0, 60))
            time.sleep(lazy.random() * 0.004)
        sender.join()
        self.published(self.source.next)
        batches.drain()
        read_single(10**6)
        self.assertGreater(accepted, 100)
        report = self.assert_all_accounted(batches)
        self.assertEqual(report["position"], self.source.next)
        self.assertGreater(report["lost"], 0)
        # Every frame has a number, which is its position here: what is missing of them was lost.
        around = report["first_number"] - report["start"] + self.source.next - 1 - report["last_number"]
        self.assertEqual(report["missing"] + around, report["lost"], report)
        # Frame by frame: what was handed out and overwritten before it was used the caller has counted himself.
        self.assertEqual(single.position, self.source.next)
        self.assertLessEqual(accepted + single.lost, self.source.next - start)
        self.assertGreater(single.lost, 0)
        self.assert_ledger()

    def test_gaps_are_records(self):
        self.data_server()
        follower = self.follower()
        self.publish(10)
        for size in (3, 7):
            self.source.socket.send(bytes(size))
        self.published(12)
        self.source.next += 5
        self.publish(10)
        follower.drain()
        report = self.assert_all_accounted(follower)
        self.assertEqual([g[:2] for g in report["gaps"]], [(10, "truncated"), (11, "truncated")])
        self.assertEqual((report["frames"], report["missing"], report["said_lost"], report["lost"]), (20, 5, 5, 0))
        stream = self.assert_ledger()
        self.assertEqual((stream["lost"]["truncated"], stream["lost"]["sender"], stream["gap_records"]), (2, 3, 2))

    def test_worker_is_killed(self):
        self.data_server(slots=4096)
        followers = [self.follower(), self.follower(start=OLDEST)]
        child = self.child()
        self.assertEqual(child.line()["state"], "observer")
        self.publish(100)
        for round_of in range(3):
            self.assertEqual(followers[0].reader.epoch, round_of + 1)
            self.restart_worker()
            self.publish(100)
        for follower in followers:
            follower.drain()
        for report in (*(f.report() for f in followers),
                       wait_until(lambda: (r := child.report())["position"] == self.view.published and r, "the child")):
            self.assert_all_accounted(report)
            self.assertEqual(report["epoch"], 4)
            self.assertEqual([g[1] for g in report["gaps"]], ["restart"] * 3)
            self.assertEqual((report["frames"], report["lost"], report["missing"]), (400, 0, 0))
        self.assert_ledger()

    def test_many_in_one_process(self):
        """Eight threads, two readers each, each thread its own; and one thread that has twenty."""
        self.data_server(slots=16384)
        count, reports, errors = 6000, [], []

        def read(n):
            try:
                mine = [readers.Follower(readers.Reader(self.instance, "data", start=OLDEST), self.seed) for _ in range(n)]
                while any(f.reader.position < count for f in mine):
                    for follower in mine:
                        if follower.take(300) is None:
                            follower.reader.wait(20)
                reports.extend(f.report() for f in mine)
                for follower in mine:
                    follower.reader.detach()
            except Exception as e:  # pylint: disable=broad-except
                errors.append(e)

        threads = [threading.Thread(target=read, args=(n,)) for n in [2] * 8 + [20]]
        for thread in threads:
            thread.start()
        self.publish(count, chunk=500)
        for thread in threads:
            thread.join(60)
        self.assertEqual(errors, [])
        self.assertEqual(len(reports), 36)
        for report in reports:
            self.assert_all_accounted(report)
            self.assertEqual((report["frames"], report["lost"]), (count, 0))
        wait_until(lambda: not self.shown_readers(), "their places to be free")


class Waiting(reader_case.ReaderCase):
    def sleeper(self, timeout_ms=-1):
        child = self.child(do="sleep", timeout_ms=timeout_ms)
        child.line()
        return child

    def wakes(self, child, tries=7):
        """Seconds from a frame to the sleeper's next instruction, in the middle of some tries. It would look by itself
        once in a second: each frame comes while most of that is still to go."""
        took = []
        for _ in range(tries):
            time.sleep(0.1)
            self.assertTrue(child.silent())
            sent = time.monotonic()
            self.source.send()
            said = child.line()
            self.assertEqual((said["code"], said["frames"]), (1, 1))
            took.append(said["at"] - sent)
        return statistics.median(took)

    def test_sleeps_and_is_woken(self):
        self.data_server()
        child = self.sleeper()
        self.assertLess(self.wakes(child), 0.4)
        time.sleep(0.2)
        before = switches(child.pid)
        time.sleep(2)
        self.assertLess(switches(child.pid) - before, 8, "a sleeping reader sleeps")  # it looks by itself once a second
        self.assertTrue(child.silent())

    def test_no_wake_is_missed(self):
        """It looks by itself once in a second, and the server every 5 ms: a wake that went astray would be late."""
        self.data_server()
        child, late = self.sleeper(), 0
        for _ in range(2000):
            sent = time.monotonic()
            self.source.send()
            said = child.line()
            self.assertEqual((said["code"], said["frames"]), (1, 1))
            late += said["at"] - sent > 0.7
        self.assertLess(late, 5)

    def test_time_outs(self):
        self.data_server()
        reader = self.reader()
        for spin_us in (0, 500, 10**9):
            reader.spin(spin_us)
            for timeout_ms in (0, 1, 100) if spin_us < 10**6 else (0,):
                start = time.monotonic()
                self.assertEqual(reader.wait(timeout_ms), 0)
                self.assertGreaterEqual(time.monotonic() - start, timeout_ms / 1000)
        self.publish(1)
        for timeout_ms in (-1, 0, 1000):
            self.assertEqual(reader.wait(timeout_ms), 1)  # and still, as long as nobody reads it
        reader.next()
        self.assertEqual(reader.wait(0), 0)

    def test_spinning_reader(self):
        self.data_server()
        reader = self.reader()
        reader.spin(1000000)
        timer = threading.Timer(0.2, self.source.send)
        timer.start()
        before = switches(os.getpid())
        self.assertEqual(reader.wait(10000), 1)
        self.assertLess(switches(os.getpid()) - before, 50)
        timer.join()

    def test_poll_and_arm(self):
        self.data_server()
        reader = self.reader()
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        for _ in range(20):
            self.assertEqual(reader.arm(), 0)
            self.assertEqual(reader.arm(), 0)  # twice changes nothing
            self.assertEqual(poll.poll(0), [])
            self.source.send()
            self.assertEqual([fd for fd, _ in poll.poll(10000)], [reader.fileno()])
            self.assertEqual(reader.arm(), 1)
            self.assertIsNotNone(reader.next())
            self.assertIsNone(reader.next())
        self.assertEqual(reader.arm(), 0)
        self.assertEqual(poll.poll(100), [])

    def test_epoll_over_several_rings(self):
        self.data_server()
        data, guard, both = self.reader(), self.reader(ring="udp"), select.epoll()
        self.addCleanup(both.close)
        for reader in (data, guard):
            both.register(reader, select.EPOLLIN)
        for round_of in range(10):
            reader, send = (data, self.source.send) if round_of % 2 else (guard, self.sensor.send)
            self.assertEqual((data.arm(), guard.arm()), (0, 0))
            send()
            self.assertEqual([fd for fd, _ in both.poll(10)], [reader.fileno()])
            while not reader.next():
                self.assertGreaterEqual(reader.wait(1000), 0)

    def ends(self, how):
        """A sleeper, one in poll, and one with frames left learn of the server's end."""
        server = self.data_server()
        child, late, polling = self.sleeper(), self.follower(), self.reader()
        self.publish(20)
        woken = 0
        while woken < 20:
            woken += child.line()["frames"]
        while polling.next():
            pass
        self.assertEqual(polling.arm(), 0)
        time.sleep(0.1)
        start = time.monotonic()
        how(server)
        self.assertTrue(select.select([polling], [], [], 5)[0])
        said = child.line()
        self.assertEqual((said["code"], said["frames"]), (EPIPE, 0))
        self.assertLess(said["at"] - start, 0.9, "at once, not when it would have looked by itself")
        self.assertEqual((polling.arm(), polling.wait(-1), polling.wait(0)), (EPIPE, EPIPE, 0))
        self.assertEqual(late.reader.wait(-1), 1)  # what is left can still be read
        late.drain()
        self.assertEqual(self.assert_all_accounted(late)["frames"], 20)
        self.assertEqual(late.reader.wait(-1), EPIPE)

    def test_server_stops(self):
        self.ends(lambda server: server.process.send_signal(signal.SIGTERM))

    def test_server_is_killed(self):
        self.ends(lambda server: server.process.kill())

    def test_server_stands_still(self):
        """Nobody wakes them: they look by themselves, and are woken again afterwards."""
        server = self.data_server()
        child = self.sleeper()
        self.assertLess(self.wakes(child, 3), 0.4)
        server.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                self.source.send()
                said = child.line(10)
                self.assertEqual((said["code"], said["frames"]), (1, 1))
            self.assertTrue(child.silent())
        finally:
            server.process.send_signal(signal.SIGCONT)
        self.assertLess(self.wakes(child), 0.4)

    @unittest.skipUnless(shutil.which("strace"), "SKIPPED: no strace: SYSTEM CALLS OF A READER WERE NOT COUNTED")
    def test_reading_makes_no_system_calls(self):
        self.data_server(slots=65536)
        count, log = 120000, self.path("strace")
        child = self.child(do="busy", before=("strace", "-f", "-o", log), frames=count)
        self.assertEqual(child.line(), "begin")
        while child.silent() and self.source.next < 4 * count:
            self.publish(1000)
        self.assertEqual(child.line(), "end")
        said = child.line()
        child.process.wait()
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        between = re.search(r'write\(1, "\\"begin.*?\n(.*?)[^\n]*write\(1, "\\"end', text, re.DOTALL)
        calls = between.group(1).split("\n")[:-1]
        print(f"{count} frames in {said['batches']} batches, {said['lost']} lost: {len(calls)} system calls")
        self.assertLess(len(calls), 20, calls[:20])  # the interpreter's own


class Crowd(reader_case.ReaderCase):
    def test_three_hundred(self):
        """All see all of a slow stream; one more is told why not; nothing is left of them."""
        server = self.data_server(slots=1024, top={"readers_max": 300})
        self.publish(1)
        server.status()
        before = descriptors(server.pid)
        children = [self.child(readers=30, options={"start": OLDEST}) for _ in range(10)]
        for child in children:
            child.line()
        self.assertIn("readers_max", self.refused(EUSERS, "all 300 places for readers are taken"))
        self.assertEqual(len(self.shown_readers()), 300)
        for _ in range(60):
            self.publish(1)
            time.sleep(0.01)
        for child in children:
            wait_until(lambda c=child: all(r["position"] == 61 for r in c.ask("report")), "all frames")
            for report in child.ask("report"):
                self.assert_all_accounted(report)
                self.assertEqual((report["frames"], report["lost"]), (61, 0))
        self.assertEqual(self.assert_ledger()["delivered"], 61)
        for child in children[:5]:
            child.kill()
        for child in children[5:]:
            child.process.stdin.close()
            child.process.wait(10)
            child.process.stdin = open(os.devnull, "wb")
        wait_until(lambda: not self.shown_readers(), "all to have left")
        wait_until(lambda: descriptors(server.pid) <= before, lambda: f"{before} descriptors, not {descriptors(server.pid)}")
        self.assertEqual(maps(server.pid, "sluice-lease"), 0)
        self.assertEqual(self.reader(start=OLDEST).position, 0)

    def test_more_than_the_usual_limit_of_descriptors(self):
        """Three for each reader of sluiced's own: 400 do not fit into 1024."""
        server = self.data_server(top={"readers_max": 400})
        children = [self.child(readers=80) for _ in range(5)]
        for child in children:
            child.line()
        self.assertGreater(descriptors(server.pid), 1024)
        self.publish(1)
        for child in children:
            wait_until(lambda c=child: all(r["frames"] == 1 for r in c.ask("report")), "the frame")


class FakeServer:
    """Answers whoever attaches with descriptors of the test's."""

    def __init__(self, case, instance):
        directory = os.path.join(case.run_dir, instance)
        os.makedirs(directory, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        case.addCleanup(self.listener.close)
        self.listener.bind(os.path.join(directory, "server.sock"))
        self.listener.listen(1)

    def answer(self, fds, code=0, text="attached", version=support.PROTOCOL_VERSION, cut=None):
        def run():
            client, _ = self.listener.accept()
            with client:
                client.recv(4096)
                head = support.REPLY.pack(support.PROTOCOL_MAGIC, version, len(fds), code, 0, 0)
                client.sendmsg([(head + text.encode().ljust(512, b"\0"))[:cut]],
                               [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])

        self.thread = threading.Thread(target=run)
        self.thread.start()


class Refused(reader_case.ReaderCase):
    def test_names_that_are_not_there(self):
        self.refused(ECONNREFUSED, "expected a server of instance", self.instance, "sluiced FILE.yaml")
        self.data_server()
        self.assertIn("udp, data", self.refused(ENXIO, "there is no ring 'nosuch'", ring="nosuch"))
        self.refused(ENXIO, ring="x" * 32)
        self.refused(ENXIO, ring="")
        self.refused(-22, "start", start=6)
        self.refused(-22, "mode", mode=3)
        self.sluiced.end()
        self.refused(ECONNREFUSED, "expected a server")

    def test_other_versions_of_the_protocol(self):
        self.data_server()
        for version in (1, support.PROTOCOL_VERSION - 1, support.PROTOCOL_VERSION + 1, 65535):
            client = support.connect(self.socket_path(self.sluiced))
            client.send(support.request(support.ATTACH, "data", version=version))
            answer = client.recv(4096)
            self.assertEqual(support.REPLY.unpack(answer[:support.REPLY.size])[3], EPROTO)
            self.assertIn(b"same release", answer)
            self.assertEqual(client.recv(4096), b"")
            client.close()
        self.assertEqual(self.reader().position, 0)

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot be another user: PERMISSIONS WERE NOT TRIED")
    def test_another_user(self):
        os.chmod(self.dir, 0o755)
        self.data_server(gating={"readers_max": 1})
        library, program = self.path("libsluice.so"), self.path("readers.py")
        shutil.copy(readers.LIB_PATH, library)
        shutil.copy(readers.__file__, program)
        os.chmod(library, 0o755)
        for mode in (readers.OBSERVER, readers.GATING):
            job = readers.json.dumps({"do": "attach", "lib": library, "instance": self.instance, "ring": "data",
                                      "options": {"mode": mode}})
            done = subprocess.run([support.PYTHON, "-B", program, job], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                                  env=self.environment, capture_output=True, text=True, timeout=30)
            said = readers.json.loads(done.stdout)
            self.assertEqual(said["code"], EACCES, said)
            self.assertIn("not permitted to talk to instance", said["text"])
        self.assertEqual(self.shown_readers(), [])

    def memfd(self, data, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL, size=None):
        fd = os.memfd_create("fake", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, fd)
        os.write(fd, data)
        if size is not None:
            os.ftruncate(fd, size)
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    def test_where_descriptors_are_few_readers_are_fewer(self):
        """The hard limit leaves no room for what the configuration allows: the server keeps what it needs itself."""
        self.data_server(start=False)
        with open(self.sluiced.log_path, "ab") as log:
            self.sluiced.process = support.spawn(
                "prlimit", "--nofile=600:600", os.path.join(support.BIN, "sluiced"), self.sluiced.config_path,
                env=self.sluiced.environment, stdout=log, stderr=log)
        wait_until(lambda: "is running\n" in self.sluiced.log(), "the server to run")
        taken = int(re.search(r"found 600: takes (\d+) readers", self.sluiced.log()).group(1))
        attached = [readers.Reader(self.instance, "data") for _ in range(taken)]
        with self.assertRaises(readers.AttachError) as caught:
            readers.Reader(self.instance, "data")
        self.assertEqual(caught.exception.code, EUSERS, caught.exception.text)
        worker = self.sluiced.worker()
        self.sluiced.kill(worker)
        wait_until(lambda: self.sluiced.child("sluice-worker") not in (None, worker), "the next worker")
        self.assertNotIn("ended with exit code 127", self.sluiced.log())
        for reader in attached:
            reader.detach()

    def test_without_a_descriptor_for_a_client_the_server_does_not_spin(self):
        self.data_server()
        used = {int(fd) for fd in os.listdir(f"/proc/{self.sluiced.pid}/fd")}
        free = next(fd for fd in range(len(used) + 1) if fd not in used)
        before = resource.prlimit(self.sluiced.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.sluiced.pid, resource.RLIMIT_NOFILE, (free, before[1]))
        client = support.connect(self.socket_path(self.sluiced))
        since, start = processor_s(self.sluiced.pid), time.monotonic()
        time.sleep(1)
        busy = (processor_s(self.sluiced.pid) - since) / (time.monotonic() - start)
        self.assertLess(busy, 0.5)
        resource.prlimit(self.sluiced.pid, resource.RLIMIT_NOFILE, before)
        code, _, fds = support.call(client, support.BOARDS)
        self.assertEqual(code, 0)
        for fd in fds:
            os.close(fd)
        client.close()

    def test_servers_that_are_not_ours(self):
        """Each ring and lease that a server could hand out by mistake is refused for what it is."""
        self.data_server()
        client = support.connect(self.socket_path(self.sluiced))
        _, _, (ring, lease) = support.call(client, support.ATTACH, "data")
        image, lease_image = os.pread(ring, 1 << 24, 0), os.pread(lease, 4096, 0)
        for fd in (ring, lease):
            os.close(fd)
        client.close()
        fake = FakeServer(self, "fake")
        good, good_lease = self.memfd(image), self.memfd(lease_image)

        def changed(at, value, width):
            return self.memfd(image[:at] + value.to_bytes(width, "little") + image[at + width:])

        def attempt(words, fds, **options):
            fake.answer(fds, **options)
            with self.assertRaises(readers.AttachError) as caught:
                readers.Reader("fake", "data")
            fake.thread.join()
            self.assertEqual(caught.exception.code, options.get("code") or EPROTO, caught.exception.text)
            self.assertIn(words, caught.exception.text)

        before = descriptors(os.getpid())
        fake.answer([good, good_lease])
        reader = readers.Reader("fake", "data")  # the copies themselves are fine
        fake.thread.join()
        reader.detach()
        attempt("expected ring layout version 5, found 1", [changed(8, 1, 4), good_lease])
        attempt("expected ring layout version 5, found 3", [changed(8, 3, 4), good_lease])
        attempt("found other bytes (magic 0)", [changed(0, 0, 8), good_lease])
        attempt("header is inconsistent", [changed(24, 2048, 8), good_lease])
        attempt("header is inconsistent", [self.memfd(image, size=len(image) - 4096), good_lease])
        attempt("it is truncated", [self.memfd(image[:2048]), good_lease])
        attempt("it is truncated", [self.memfd(b""), good_lease])
        attempt("sealed against shrinking", [self.memfd(image, seals=0), good_lease])
        attempt("sealed against shrinking", [self.memfd(image, seals=fcntl.F_SEAL_GROW), good_lease])
        attempt("found other bytes", [self.memfd(os.urandom(len(image))), good_lease])
        attempt("expected a reader's lease", [good, self.memfd(bytes(4096))])
        attempt("sealed against shrinking", [good, self.memfd(lease_image, seals=0)])
        attempt("it is truncated", [good, self.memfd(lease_image[:100])])
        with open("/dev/null", "rb") as null, open(self.path("file"), "w+b") as file:
            file.write(image)
            file.flush()
            attempt("sealed against shrinking", [null.fileno(), good_lease])
            attempt("sealed against shrinking", [file.fileno(), good_lease])
        attempt("expected 2 descriptors from the server, found 1", [good])
        attempt("expected 2 descriptors from the server, found 0", [])
        attempt(f"expected a reply of protocol version {support.PROTOCOL_VERSION}", [good, good_lease], version=1)
        attempt(f"expected a reply of protocol version {support.PROTOCOL_VERSION}", [good, good_lease], cut=40)
        attempt("the words of the server", [], code=-16, text="the words of the server")
        self.assertLessEqual(descriptors(os.getpid()), before + 40)  # the memfds of the attempts, none twice
        leaked = [p for p in (os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                              if os.path.lexists(f"/proc/self/fd/{fd}")) if "server.sock" in p]
        self.assertEqual(leaked, [])
        self.assertEqual(maps("self", "memfd:fake"), 0, "what was refused is not left mapped")


if __name__ == "__main__":
    support.main()
