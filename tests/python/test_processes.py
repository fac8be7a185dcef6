#!/usr/bin/env python3
"""Processes with readers: fork() and multiprocessing under an attached parent, readers that are stopped and killed under a
real server whose ledger goes on, and users who are not permitted."""
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

import package
import sluice
import support
from package import PATIENCE_S
from support import wait_until

NOBODY = 65534


def in_child(action):
    """Forks; what action() returned as text, once the child has ended well."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            os.write(writing, str(action()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return text, os.waitstatus_to_exitcode(status)


def sockets():
    """How many descriptors of this process are sockets."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def attach_and_count(instance):
    """In a pool's process: a reader of its own."""
    with sluice.attach(instance) as server:
        return sum(len(b) for b in server["tvac"].follow(start="oldest", wait=False))


class Forks(package.Case):
    def setUp(self):
        super().setUp()
        self.ring = self.usual()
        self.ring("publish tvac 5")

    def uses(self, server, reader):
        return {"next": lambda: next(reader), "batch": reader.batch, "wait": lambda: reader.wait(1), "arm": reader.arm,
                "seek": lambda: reader.seek("oldest"), "release": reader.release, "fileno": reader.fileno,
                "alive": lambda: server.alive, "status": server.status, "progress": lambda: server["tvac"].progress,
                "follow": server["tvac"].follow, "last": server["tvac"].last}

    def test_a_child_is_refused(self):
        """FAULT: fork() after attaching. Any use in the child raises Forked, and nothing happens to the parent."""
        before = sockets()
        server = self.attach()
        reader = self.follow(server=server, start="oldest")
        batch = next(reader)
        lease = self.ring("readers")

        def child():
            refused = []
            for name, use in self.uses(server, reader).items():
                try:
                    use()
                except sluice.Forked as e:
                    refused.append(name if "attach again in the child" in str(e) else str(e))
            return refused, sockets() - before, batch["pressure"].tolist(), reader.closed, isinstance(reader, sluice.Reader)

        text, code = in_child(child)
        self.assertEqual(code, 0)
        self.assertEqual(text, str((list(self.uses(server, reader)), 0, [p + 0.25 for p in range(5)], True, True)))
        self.assertEqual(self.ring("readers"), lease)
        self.assertTrue(server.alive)
        self.assertTrue(batch.valid())
        self.ring("publish tvac 1")
        self.assertTrue(reader.wait(PATIENCE_S))
        self.assertEqual(next(reader)["pressure"].tolist(), [5.25])

    def test_closing_in_the_child(self):
        """FAULT: the child closes, collects and ends; the parent's place stays its own."""
        server = self.attach()
        reader = self.follow(server=server)

        def child():
            reader.close()
            server.close()
            return reader.closed

        self.assertEqual(in_child(child), ("True", 0))
        program = subprocess.run([sys.executable, "-c", "pass"], check=True, timeout=PATIENCE_S)  # fork and exec
        self.assertEqual(program.returncode, 0)
        self.assertEqual(len(self.ring("readers").split()), 1)
        self.ring("publish tvac 2")
        self.assertTrue(reader.wait(PATIENCE_S))
        self.assertEqual(next(reader).position, 5)

    def test_the_child_attaches_itself(self):
        self.follow()
        self.assertEqual(in_child(lambda: attach_and_count(self.instance)), ("5", 0))
        wait_until(lambda: len(self.ring("readers").split()) == 1, "the stand to see the child's end")

    def test_fork_while_a_thread_waits(self):
        """FAULT: the parent forks while another thread of it sleeps in the reader."""
        reader = self.follow()
        got = []
        thread = threading.Thread(target=lambda: got.append(next(reader)), daemon=True)
        thread.start()
        wait_until(lambda: self.busy(reader), "the thread to wait")

        def child():
            try:
                next(reader)
            except sluice.Forked:
                return "forked"

        self.assertEqual(in_child(child), ("forked", 0))
        self.ring("publish tvac 1")
        thread.join(PATIENCE_S)
        self.assertEqual(got[0].position, 5)

    @staticmethod
    def busy(reader):
        try:
            reader.batch()
        except RuntimeError:
            return True

    def test_fork_while_a_thread_attaches(self):
        """FAULT: the parent forks while another thread is attaching: the child has no end of its connection."""
        before = sockets()
        ring = self.attach()["tvac"]
        self.ring("behave silent")
        got = []
        thread = threading.Thread(target=self.told, args=(ring.follow, got), daemon=True)
        thread.start()
        wait_until(lambda: self.polls(thread), "the thread to wait for an answer")
        self.assertEqual(in_child(lambda: sockets() - before), ("0", 0))
        thread.join(PATIENCE_S)
        self.assertIsInstance(got[0], sluice.ServerGone)

    @staticmethod
    def told(use, result):
        try:
            result.append(use())
        except sluice.Error as e:
            result.append(e)

    @staticmethod
    def polls(thread):
        with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as file:
            return file.read().split()[0] in ("7", "271", "47")

    def test_fork_in_a_handler_while_attaching(self):
        """FAULT: a signal's handler forks in the middle of attaching, in the same thread. Nobody waits for himself."""
        self.ring("behave silent")
        children = []

        def handler(*_):
            children.append(os.fork())

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        result = []
        try:
            self.told(lambda: sluice.attach(self.instance), result)
        finally:
            if children == [0]:
                os._exit(0 if isinstance(result[0], sluice.ServerGone) else 1)
        self.assertIsInstance(result[0], sluice.ServerGone)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]), 0)
        self.ring("behave polite")
        self.assertEqual(in_child(lambda: attach_and_count(self.instance)), ("5", 0))  # nothing is held any more

    def test_the_child_of_a_handler_gets_no_reader(self):
        """FAULT: the same, and the server answers the child."""
        from sluice import _fork

        def child():
            pid = None
            try:
                with _fork.connecting():
                    pid = os.fork()
            except sluice.Forked:
                os._exit(0 if pid == 0 else 1)
            if pid == 0:
                os._exit(1)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        self.assertEqual(in_child(child), ("0", 0))

    def test_multiprocessing(self):
        """A pool by fork, and one by spawn, under a parent that is attached and reads on."""
        server = self.attach()
        reader = self.follow(server=server, start="oldest", timeout=0)
        self.assertEqual(sum(len(b) for b in reader), 5)
        for way in ("fork", "spawn"):
            with self.subTest(way), multiprocessing.get_context(way).Pool(2) as pool:
                self.assertEqual(pool.map(attach_and_count, [self.instance] * 4, 1), [5] * 4)
        self.ring("publish tvac 3")
        self.assertEqual(sum(len(b) for b in reader), 3)
        self.assertTrue(server.alive)

    def test_it_is_not_passed_to_others(self):
        """A reader cannot be pickled by mistake."""
        import pickle

        for thing in (self.follow(), self.attach()["tvac"].last(frames=1)):
            with self.assertRaises(TypeError):
                pickle.dumps(thing)


class Readers(package.Case):
    """Under a real server."""

    READER = """
reader = sluice.attach(sys.argv[1])["udp"].follow(mode=sys.argv[2], on_overrun="count")
print(next(reader).position, flush=True)
for batch in reader:
    pass
"""

    def reader(self, mode="observer"):
        process = self.program(self.READER, self.instance, mode)
        self.assertTrue(process.stdout.readline().strip().isdigit())
        return process

    def shown(self, server):
        return next(r for r in server.status()["rings"] if r["name"] == "udp")["readers"]

    def goes_on(self, server, what):
        """Frames are delivered, none is lost, all add up."""
        before = server.stream("udp")["delivered"]
        stream = wait_until(lambda: (s := server.stream("udp"))["delivered"] > before + 30 and s, lambda: f"frames {what}")
        self.assert_balanced(stream)
        self.assertEqual(sum(stream["lost"].values()), 0, stream)

    def test_stopped_and_killed(self):
        """FAULT: SIGSTOP, then SIGKILL of a reading process. The server's ledger goes on; the place is free at once."""
        server, _, _ = self.udp_server(hz=500, slots=256)
        reader = self.reader()
        wait_until(lambda: len(self.shown(server)) == 1, "the server to show the reader")
        reader.send_signal(signal.SIGSTOP)
        self.goes_on(server, "while the reader is stopped")
        self.assertEqual(len(self.shown(server)), 1)
        reader.send_signal(signal.SIGKILL)
        wait_until(lambda: len(self.shown(server)) == 0, "the server to see the reader's end")
        self.goes_on(server, "after the reader was killed")

    def test_stopped_and_continued(self):
        """FAULT: a reader stands still for longer than the ring holds: it knows what it missed, exactly."""
        server, _, _ = self.udp_server(hz=1000, slots=64)
        reader = self.program("""
reader = sluice.attach(sys.argv[1])["udp"].follow(on_overrun="count")
first = next(reader).copy()
frames, lost = len(first), first.lost
print(first.position, flush=True)
while not lost:
    copy = next(reader).copy()
    frames, lost = frames + len(copy) + len(copy.gaps), lost + copy.lost
print(first.position - first.lost + frames + lost == reader.position, frames > 0, lost > 0, reader.lost == lost, flush=True)
""", self.instance)
        self.assertTrue(reader.stdout.readline().strip().isdigit())
        reader.send_signal(signal.SIGSTOP)
        before = server.stream("udp")["delivered"]
        wait_until(lambda: server.stream("udp")["delivered"] > before + 200, "a lap of the ring and more")
        reader.send_signal(signal.SIGCONT)
        out, _ = self.done(reader)
        self.assertEqual(out, "True True True True\n")
        self.goes_on(server, "after all that")

    def test_gating_reader_that_stands_still(self):
        """FAULT: a gating reader does not move: it is demoted, then evicted, and both are told."""
        server, _, _ = self.udp_server(hz=500, slots=64, ring={"gating": {"readers_max": 2, "deadline_ms": 200, "evict_ms": 300}})
        reader = self.follow("udp", mode="gating", deadline_ms=20, on_overrun="count")
        self.assertEqual(reader.state, "gating")
        wait_until(lambda: reader.state != "gating", "it to be demoted")
        wait_until(lambda: reader.state == "evicted", "it to be evicted")
        with self.raises(sluice.Evicted, "given this reader's place away", "observer"):
            for _ in reader:  # what is left can be read
                pass
        before = server.stream("udp")["delivered"]
        wait_until(lambda: server.stream("udp")["delivered"] > before + 30, "frames after it is gone")
        self.assert_balanced(server.stream("udp"))

    def test_gating_reader_that_keeps_up(self):
        server, _, _ = self.udp_server(hz=500, slots=64, ring={"gating": {"readers_max": 2, "deadline_ms": 20000}})
        reader = self.follow("udp", mode="gating", timeout=PATIENCE_S)
        positions = []
        for batch in reader:
            positions += batch.positions.tolist()
            self.assertTrue(batch.valid())
            if len(positions) > 300:
                break
        self.assertEqual(positions, list(range(positions[0], positions[0] + len(positions))))
        self.assertEqual((reader.lost, reader.state), (0, "gating"))
        reader.release()

    def test_no_gating_reader(self):
        self.udp_server()
        with self.assertRaises(sluice.GatingRefused) as caught:
            self.follow("udp", mode="gating")
        self.assertEqual(caught.exception.errno, 1)
        self.assertIn("gating", str(caught.exception))


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot be another user: PERMISSIONS WERE NOT TRIED")
class Permissions(package.Case):
    """Another user with a copy of the package that it may read."""

    PROGRAM = """
try:
    with sluice.attach(sys.argv[1]) as server:
        print(sorted(server.rings), server["udp"].last(frames=1).valid(), sluice.instances())
except sluice.NotPermitted as e:
    print("not permitted", isinstance(e, PermissionError), e.errno, sys.argv[1] in str(e), "group" in str(e))
"""

    def test_another_user(self):
        """FAULT: the server's socket is not open to this user; then it is."""
        os.chmod(self.dir, 0o755)
        self.udp_server()
        shutil.copytree(package.PACKAGE, self.path("package"))
        environment = {"PYTHONPATH": self.path("package")}
        process = self.program(self.PROGRAM, self.instance, environment=environment, user=NOBODY, group=NOBODY,
                               extra_groups=[], cwd="/", preexec=None)
        self.assertEqual(self.done(process)[0], "not permitted True 13 True True\n")
        os.chown(os.path.join(self.run_dir, self.instance, "server.sock"), 0, NOBODY)
        process = self.program(self.PROGRAM, self.instance, environment=environment, user=NOBODY, group=NOBODY,
                               extra_groups=[], cwd="/", preexec=None)
        self.assertEqual(self.done(process)[0], f"['udp'] True ['{self.instance}']\n")


if __name__ == "__main__":
    package.main()
