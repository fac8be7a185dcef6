#!/usr/bin/env python3
"""Disks that are full, slow, failing, gone, and readers that are stopped: acquisition is unharmed, the interlock too, and
what could not be recorded is counted, with its cause, on the board and in the files."""
import contextlib
import errno
import json
import os
import signal
import subprocess
import unittest

import recordings
import support
from support import wait_until
from test_record import RecordCase

SLOWDISK = os.environ.get("SLUICE_SLOWDISK", os.path.join(support.BIN, "slowdisk"))


def losses(board, ring=0):
    return {cause: n for cause, n in board["rings"][ring]["missing"].items() if n > 0}


class FaultCase(RecordCase):
    def unharmed(self, server):
        """Every frame that was sent is in the ring, and the ledger balances."""
        stream = server.stream("sensors")
        self.assertEqual((stream["delivered"], stream["residual"]), (self.sent, 0))

    def steady(self, server, hz=400):
        """Frames from now on; they end with the test."""
        sensor = support.SensorUdp(self, self.port, hz=hz)
        sensor.put = lambda data: self.send(1)
        return sensor.start()

    def all_runs(self, folder="data"):
        return [recordings.Run(d) for d in recordings.runs(self.path(folder), "main")]

    def account(self, found, upto):
        """Over all runs: each position is recorded, or told as missing; never both, never neither. {cause: count}."""
        positions, told, causes = set(), set(), {}
        for run in found:
            for frame in run.frames(self.RING):
                self.assertNotIn(frame[0], positions, "recorded twice")
                positions.add(frame[0])
            for gap in run.gaps(self.RING):
                causes[gap["cause"]] = causes.get(gap["cause"], 0) + gap["count"]
                told.update(range(gap["from"], gap["to"]))
        for run in found:  # the product's own reading of it
            done = self.cli("info", "--check", "--json", run.directory)
            ended = all(file.closed() for file in run.files)  # a disk that fails takes no end either
            self.assertEqual(done.returncode, 0 if ended else 1, done.stdout[-3000:] + done.stderr)
            ring = json.loads(done.stdout)["rings"][0]
            self.assertEqual({c: n for c, n in ring["missing"].items() if n > 0}, run.missing(self.RING))
            self.assertEqual(ring["frames"], len(run.frames(self.RING)))
        neither = sorted(set(range(upto)) - positions - told)
        self.assertEqual(neither[:5], [], f"{len(neither)} positions are neither recorded nor told as missing")
        if "decimated" not in causes:
            self.assertEqual(sorted(positions & told)[:5], [], "told as missing, and there")
        return causes


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot mount: FULL DISKS WERE NOT TRIED")
class Full(FaultCase):
    def small_disk(self, mib):
        """A file system of its own in the folder `data`."""
        folder = self.folder("data")
        image = self.path("disk.img")
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True, capture_output=True)
        done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"SKIPPED: cannot mount a file system of its own ({done.stderr.strip()}): FULL DISKS WERE NOT TRIED")

        def unmount():
            for _ in range(100):
                if subprocess.run(["umount", folder], capture_output=True, check=False).returncode == 0:
                    return
                support.time.sleep(0.05)
            subprocess.run(["umount", "-l", folder], capture_output=True, check=False)

        self.addCleanup(unmount)
        return folder

    def test_stops_and_goes_on_when_there_is_room(self):
        folder = self.small_disk(32)
        server = self.begin([self.recorder(block_kb=64, room_mb=20)])
        self.wait_recording(server)
        hog = os.path.join(folder, "hog")
        self.feed(server, 2000)
        with open(hog, "wb") as file:
            file.write(bytes(12 << 20))
        board = self.wait_board(server, lambda b: b["state"] == "failed", "no room")
        self.assertIn("room_mb", board["error"])
        self.feed(server, 9000)  # more than the ring holds: some of it will be lost
        self.unharmed(server)
        os.unlink(hog)
        self.wait_recording(server)
        self.feed(server, 1000)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "all of it read")
        self.unharmed(server)
        server.end()
        found = self.all_runs()
        self.assertEqual(found[0].files[0].closed(), "disk_full")
        causes = self.account(found, self.sent)
        self.assertEqual(set(causes), {"disk_full"})
        self.assertGreater(causes["disk_full"], 0)

    def test_really_full(self):
        """Not even what the file system calls free is there: another one takes it between two looks."""
        folder = self.small_disk(24)
        server = self.begin([self.recorder(block_kb=64, room_mb=8)])
        self.wait_recording(server)
        self.steady(server, hz=1000)
        with open(os.path.join(folder, "hog"), "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        self.wait_board(server, lambda b: b["state"] == "failed", "no room")
        os.unlink(os.path.join(folder, "hog"))
        self.wait_recording(server)
        self.wait_board(server, lambda b: b["run_frames"] > 500, "frames of the next run")
        self.unharmed_after_end(server)

    def unharmed_after_end(self, server):
        stream = server.stream("sensors")
        self.assertEqual(stream["residual"], 0)
        self.assertEqual(stream["lost"]["ring_full"] + stream["lost"]["kernel"], 0)
        server.end()
        upto = max(max((f[0] for f in r.frames(self.RING)), default=0) for r in self.all_runs()) + 1
        self.account(self.all_runs(), upto)
        for run in self.all_runs():
            for file in run.files:
                self.assertIsNotNone(file.closed(), "ended well, whatever it was that ended it")

    def test_drops_the_oldest(self):
        self.small_disk(48)
        server = self.begin([self.recorder(block_kb=64, room_mb=24, rotate_mb=1, on_full="drop_oldest")])
        self.wait_recording(server)
        folder = self.path("data")
        disk = os.statvfs(folder)
        most = disk.f_bavail * disk.f_frsize // (12000 * 64) + 2  # runs that hold more than the whole disk has
        for _ in range(most):
            self.feed(server, 12000)
            self.record(server, "next")
            if self.board(server)["removed_runs"] > 0:
                break
        board = self.board(server)
        self.assertGreater(board["removed_runs"] + board["removed_segments"], 0)
        self.assertEqual((board["state"], losses(board)), ("recording", {}))
        self.unharmed(server)
        server.end()
        for run in self.all_runs():
            done = self.cli("info", "--check", run.directory)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_decimates(self):
        folder = self.small_disk(32)
        server = self.begin([self.recorder(block_kb=64, room_mb=20, on_full="decimate", decimate=10)])
        self.wait_recording(server)
        self.feed(server, 1000)
        with open(os.path.join(folder, "hog"), "wb") as file:
            file.write(bytes(12 << 20))
        self.wait_board(server, lambda b: b["decimating"], "that it leaves frames out")
        self.feed(server, 5000)
        os.unlink(os.path.join(folder, "hog"))
        self.wait_board(server, lambda b: not b["decimating"], "that it takes all again")
        self.feed(server, 1000)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "all of it read")
        board = self.board(server)
        server.end()
        found = self.all_runs()
        self.assertEqual(len(found), 1, "one run all the time")
        causes = self.account(found, self.sent)
        self.assertEqual(set(causes), {"decimated"})
        self.assertEqual(causes["decimated"], board["decimated"])
        self.assertEqual(len(found[0].frames(self.RING)) + causes["decimated"], self.sent)
        self.assertAlmostEqual(causes["decimated"], 4500, delta=1000)

    def test_beginnings_that_fail_leave_nothing(self):
        folder = self.small_disk(16)
        server = self.begin([self.recorder(block_kb=64, room_mb=8, on_full="decimate", decimate=10, keep_runs=2)])
        self.wait_recording(server)
        self.feed(server, 1000)
        self.assertEqual(self.record(server, "next").returncode, 0)
        self.assertEqual(self.record(server, "stop").returncode, 0)
        before = recordings.runs(folder, "main")
        self.assertEqual(len(before), 2)
        with open(os.path.join(folder, "hog"), "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 12))
        self.record(server, "start")
        self.wait_board(server, lambda b: b["failures"] > 2, "that it tries again and again")
        self.assertEqual(recordings.runs(folder, "main"), before, "good runs are kept, failed ones leave nothing")
        server.end()

    def test_the_disk_is_pulled_out(self):
        folder = self.small_disk(64)
        server = self.begin([self.recorder(block_kb=64)])
        self.wait_recording(server)
        self.feed(server, 1000)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=False, capture_output=True)
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)
        os.chmod(folder, 0)
        self.record(server, "next")
        self.feed(server, 1000)
        self.unharmed(server)
        os.chmod(folder, 0o755)
        self.assertEqual(server.end(), 0)


class Gone(FaultCase):
    def test_no_directory_at_first(self):
        server = self.begin([self.recorder(directories=[self.path("later")])])
        board = self.wait_board(server, lambda b: b["state"] == "failed", "that it cannot record")
        self.assertIn("No such file or directory", board["error"])
        self.assertIn(self.path("later"), board["error"])
        self.feed(server, 500)
        self.unharmed(server)
        os.mkdir(self.path("later"))
        self.wait_recording(server)
        self.feed(server, 500)
        server.end()
        frames = recordings.Run(self.latest(folder="later")).frames(self.RING)
        self.assertEqual([f[2] for f in frames], list(range(frames[0][2], 1000)))

    def test_what_came_before_a_trigger_that_failed_at_first(self):
        """The disk is not there when the trigger comes; what the ring held then is in the run that begins later."""
        condition = {"channel": "chamber_pressure", "above": 120}
        server = self.begin([self.recorder(directories=[self.path("later")], begins="on_condition", condition=condition, pre_s=60,
                                           post_s=60)])
        self.wait_board(server, lambda b: b["state"] == "ready", "a recorder that waits")
        self.feed(server, 300)
        self.sender.put(support.struct.pack("<If", self.sent, 130.0) + bytes(56))
        self.sent += 1
        self.wait_board(server, lambda b: b["state"] == "failed", "that it cannot record")
        self.feed(server, 100)
        self.assertLess(server.log().count("No such file"), 3, "said once, not again and again")
        os.mkdir(self.path("later"))
        self.wait_board(server, lambda b: b["state"] == "post", "that it records")
        self.feed(server, 100)
        self.record(server, "stop")
        frames = recordings.Run(self.latest(folder="later")).frames(self.RING)
        self.assertEqual([f[2] for f in frames], list(range(self.sent)))
        server.end()

    def test_a_start_that_was_refused_counts_nothing_as_lost(self):
        server = self.begin([self.recorder(directories=[self.path("later")], begins="on_command")])
        self.assertEqual(self.record(server, "start").returncode, 1)
        self.feed(server, 300)
        os.mkdir(self.path("later"))
        self.wait_recording(server)
        self.feed(server, 100)
        self.record(server, "stop")
        run = recordings.Run(self.latest(folder="later"))
        self.assertEqual(run.missing(self.RING), {})
        self.check(run, first=run.frames(self.RING)[0][2])
        server.end()

    def test_the_run_is_removed_under_it(self):
        server = self.begin([self.recorder(rotate_mb=1, block_kb=64)])
        self.wait_recording(server)
        self.feed(server, 1000)
        support.shutil.rmtree(self.latest())
        self.feed(server, 1000)
        self.wait_board(server, lambda b: b["failures"] > 0, "that it is noticed")
        self.wait_board(server, lambda b: b["runs"] == 2 and b["state"] == "recording", "another run")  # not yet the old one's state
        self.feed(server, 1000)
        self.unharmed(server)
        server.end()
        self.assertEqual(len(recordings.runs(self.path("data"), "main")), 1)

    def test_it_is_stopped(self):
        """SIGSTOP: the ring goes on without it; what it missed is told as overwritten."""
        server = self.begin([self.recorder()])
        self.wait_recording(server)
        self.feed(server, 100)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == 100, "all of it read")
        pid = next(p["pid"] for p in server.status()["processes"] if p["name"] == "main")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.path.exists(f"/proc/{pid}") and os.kill(pid, signal.SIGCONT))
        self.feed(server, 20000)
        self.unharmed(server)
        os.kill(pid, signal.SIGCONT)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "that it has caught up")
        self.feed(server, 100)
        board = self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "all of it read")
        self.assertEqual(set(losses(board)), {"overwritten"})
        server.end()
        causes = self.account(self.all_runs(), self.sent)
        self.assertEqual(causes, losses(board))
        self.assertGreater(causes["overwritten"], 20000 - 8192)

    def test_a_gating_one_is_stopped(self):
        """The ring's writer waits for it only so long; then it is told as demoted, and the sender loses nothing more."""
        ring = {"name": self.RING, "slots": 4096, "gating": {"readers_max": 2, "when_full": "drop", "deadline_ms": 100,
                                                              "evict_ms": 60000}}
        server = self.begin([self.recorder(reading="gating", block_kb=64)], rings=[ring])
        self.wait_recording(server)
        self.feed(server, 100)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == 100, "all of it read")
        pid = next(p["pid"] for p in server.status()["processes"] if p["name"] == "main")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.path.exists(f"/proc/{pid}") and os.kill(pid, signal.SIGCONT))
        self.steady(server, hz=2000)
        server.wait_status(lambda s: s["rings"][0]["readers"][0]["mode"] == "demoted", "its demotion")
        published = server.status()["rings"][0]["published"]
        server.wait_status(lambda s: s["rings"][0]["published"] > published + 9000, "that the ring goes on")
        os.kill(pid, signal.SIGCONT)
        board = self.wait_board(server, lambda b: losses(b) and b["rings"][0]["lag_frames"] < 1000, "that it has caught up")
        self.assertEqual(set(losses(board)), {"demoted"})
        server.wait_status(lambda s: [r["mode"] for r in s["rings"][0]["readers"]] == ["gating"],
                           "that it gates again")
        server.end()
        found = self.all_runs()
        upto = max(f[0] for r in found for f in r.frames(self.RING)) + 1
        self.assertEqual(set(self.account(found, upto)), {"demoted"})

    def test_the_wall_clock_jumps(self):
        """Names of runs follow the wall clock, positions and stamps do not care; none overwrites another."""
        steps = self.path("steps")
        with open(steps, "wb") as file:
            file.write((0).to_bytes(8, "little", signed=True))
        library = os.path.join(os.path.dirname(support.BIN), "lib/libfaultclock.so")
        if not os.path.exists(library):
            self.skipTest("SKIPPED: libfaultclock.so is not built: CLOCKS THAT JUMP WERE NOT TRIED")
        self.port = support.free_udp_port()
        self.sender = support.SensorUdp(self, self.port)
        self.sent = 0
        server = self.server(self.config(self.port, [self.recorder()]),
                             environment={"LD_PRELOAD": library, "SLUICE_TEST_CLOCK": steps}).start()
        self.wait_recording(server)
        for step_s in (3600, -7200, 0):
            self.feed(server, 300)
            with open(steps, "r+b") as file:
                file.write((step_s * 10**9).to_bytes(8, "little", signed=True))
            self.assertEqual(self.record(server, "next").returncode, 0)
        self.feed(server, 300)
        server.end()
        found = self.all_runs()
        self.assertEqual(len(found), 4)
        self.assertEqual(self.account(found, self.sent), {})
        stamps = sorted((f[0], f[1]) for r in found for f in r.frames(self.RING))
        self.assertEqual(sorted(s[1] for s in stamps), [s[1] for s in stamps], "stamps rise with positions")


@unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/fuse") and os.path.exists(SLOWDISK),
                     "SKIPPED: no root, no /dev/fuse or no slowdisk: SLOW AND FAILING DISKS WERE NOT TRIED")
class Slow(FaultCase):
    def faulty_disk(self):
        folder, backing = self.folder("data"), self.folder("backing")
        self.faults = self.path("faults")
        self.fault("")
        disk = support.spawn(SLOWDISK, backing, self.faults, folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            subprocess.run(["fusermount3", "-u", "-z", folder], capture_output=True, check=False)
            support.stop(disk)

        self.addCleanup(end)
        wait_until(lambda: os.path.ismount(folder), "the file system")

    def fault(self, text):
        with open(self.faults + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(self.faults + ".new", self.faults)

    def test_slow(self):
        self.faulty_disk()
        server = self.begin([self.recorder(block_kb=64, sync_ms=100)])
        self.wait_recording(server)
        self.feed(server, 500)
        self.fault("write_ms=150 fsync_ms=300")
        for _ in range(8):
            self.feed(server, 8000)
        self.unharmed(server)
        board = self.wait_board(server, lambda b: b["durable_late"] > 0, "that the promise was broken, and that it says so")
        self.assertGreater(board["durable_ms_max"], 100)
        self.fault("")
        self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "that it has caught up")
        self.feed(server, 500)
        board = self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "all of it read")
        server.end()
        causes = self.account(self.all_runs(), self.sent)
        self.assertEqual(causes, losses(board))
        self.assertLessEqual(set(causes), {"disk_slow", "overwritten"})

    def test_fails_in_the_middle_of_a_block(self):
        for number, word in ((errno.EIO, "disk_error"), (errno.ENOSPC, "disk_full")):
            with self.subTest(word):
                self.faulty_disk()
                server = self.begin([self.recorder(block_kb=64)])
                self.wait_recording(server)
                self.feed(server, 1000)
                self.fault(f"errno={number} after=20000")
                self.feed(server, 4000)
                board = self.wait_board(server, lambda b: b["failures"] > 0, "the failure")
                self.assertIn(os.strerror(number), server.log())
                self.feed(server, 9000)
                self.unharmed(server)
                self.fault("")
                self.wait_recording(server)
                self.feed(server, 500)
                board = self.wait_board(server, lambda b: b["rings"][0]["position"] == self.sent, "all of it read")
                server.end()
                causes = self.account(self.all_runs(), self.sent)
                self.assertEqual(causes, losses(board))
                self.assertEqual(set(causes), {word})
                support.shutil.rmtree(self.path("backing"))
                self.doCleanups()
                self.setUp()


if __name__ == "__main__":
    support.main()
