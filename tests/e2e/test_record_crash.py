#!/usr/bin/env python3
"""kill -9 of a recorder at random points, many times, and what a power cut makes of its last blocks: everything that it had
called synced is there, frame by frame what was sent, and sluice recover says exactly what was saved and what is missing.

The table is printed. How many kills: SLUICE_CRASHES, default 24."""
import json
import os
import random
import re
import shutil
import signal
import threading

import recordings
import support
from support import wait_until
from test_record import RecordCase, payload

CRASHES = int(os.environ.get("SLUICE_CRASHES", "24"))
DAMAGES = ("none", "cut", "torn", "zeros", "garbage", "swapped")


class Crash(RecordCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(20261126)

    def keep_sending(self):
        """Frames at some thousand a second until told to stop; how many is self.sent."""
        stop = threading.Event()

        def run():
            while not stop.is_set():
                self.send(20)
                stop.wait(0.004)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end():
            stop.set()
            thread.join()

        self.addCleanup(end)
        return end

    def pid_of(self, server):
        """Never 0, which would be ourselves: while it is started again it has none."""
        running = wait_until(lambda: [p["pid"] for p in server.status()["processes"] if p["name"] == "main" and p["pid"] > 1],
                             "a recorder that runs")
        return running[0]

    def kill(self, server):
        """kill -9, and it runs again: the board is the new one's."""
        pid = self.pid_of(server)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pid_of(server) != pid, "another recorder")
        return self.wait_board(server, lambda b: b["state"] != "ended", "its state")

    def stays(self, server, state, runs):
        """Over many of its turns, in which frames come."""
        self.feed(server, 200)
        threading.Event().wait(0.5)
        board = self.board(server)
        self.assertEqual((board["state"], board["runs"]), (state, runs))

    def crash(self, server):
        """(run's directory, position that it had called synced) of a recorder that is killed while it records."""
        board = self.wait_board(server, lambda b: b["state"] == "recording" and b["rings"][0]["synced_position"] > 0,
                                "a recorder that has synced something")
        pid = self.pid_of(server)
        threading.Event().wait(self.random.random() * 0.4)
        now = self.board(server)
        board = now if now is not None and now["run"] == board["run"] else board
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not support.exists(pid), "its end")
        return os.path.join(board["directory"], board["run"]), board["rings"][0]["synced_position"]

    def damage(self, run, kind, synced):
        """What a disk may have made of what was not synced: only blocks that end behind `synced` are touched."""
        for file in recordings.Run(run).files:
            loose = [b for b in file.blocks if b.end > synced]
            at = loose[0].offset if loose else max((b.offset + b.bytes for b in file.blocks), default=file.first_block)
            if kind == "none" or at >= len(file.data):
                continue
            with open(file.path, "r+b") as out:
                if kind == "cut":
                    out.truncate(at + self.random.randrange(len(file.data) - at))
                elif kind == "torn":  # the last block's second half was never written
                    block = loose[-1] if loose else None
                    if block is not None:
                        half = block.bytes // 2 // 512 * 512
                        out.seek(block.offset + half)
                        out.write(bytes(block.bytes - half))
                elif kind == "zeros":
                    out.seek(at)
                    out.write(bytes(len(file.data) - at))
                elif kind == "garbage":
                    out.seek(at)
                    out.write(self.random.randbytes(min(len(file.data) - at, 200000)))
                elif kind == "swapped" and len(loose) > 1:  # the last one reached the disk, one before it did not
                    out.seek(loose[-2].offset)
                    out.write(bytes(loose[-2].bytes))

    def judge(self, run, synced):
        """Frames that are there: exactly what was sent, and all below `synced` without a hole."""
        found = recordings.Run(run)
        frames = found.frames(self.RING)
        positions = set()
        for position, _, number, _, _, data in frames:
            self.assertEqual(data, payload(number), f"position {position} of {run}")
            self.assertNotIn(position, positions)
            positions.add(position)
        told = {p for g in found.gaps(self.RING) for p in range(g["from"], g["to"])}
        first = min(positions | told, default=synced)
        lost = set(range(first, synced)) - positions - told
        self.assertEqual(lost, set(), f"synced and not there, {run}")
        return frames, told

    def recover(self, run):
        """What sluice recover says, and that afterwards the file is a good one with the same frames."""
        before = recordings.Run(run).frames(self.RING)
        done = self.cli("recover", "--json", run)
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)
        report = json.loads(done.stdout)
        after = recordings.Run(run)
        self.assertEqual(after.frames(self.RING), before)
        for file in after.files:
            self.assertEqual(file.closed(), "recovered")
        again = self.cli("recover", "--json", run)
        self.assertEqual(recordings.Run(run).frames(self.RING), before, "a second time changes nothing")
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        ring = next(r for r in report["rings"] if r["ring"] == self.RING)
        self.assertEqual(ring["frames"], len(before))
        return done.returncode, ring

    def test_killed_at_random(self):
        server = self.begin([self.recorder(sync_ms=60, block_kb=64, sync_mb=4)])
        end = self.keep_sending()
        rows = []
        for i in range(CRASHES):
            run, synced = self.crash(server)
            kind = DAMAGES[i % len(DAMAGES)]
            kept = run + ".kept"
            self.judge(run, synced)
            shutil.copytree(run, kept)
            self.damage(kept, kind, synced)
            frames, told = self.judge(kept, synced)
            code, ring = self.recover(kept)
            last = max((f[0] for f in frames), default=-1) + 1
            rows.append((i, kind, synced, len(frames), last, len(told), code, sum(g["count"] for g in ring["missing"])))
            shutil.rmtree(kept)
            shutil.rmtree(run)
        end()
        print(f"\n{'kill':>4} {'damage':8} {'synced to':>10} {'frames':>8} {'last':>10} {'told':>6} {'recover':>7} {'missing':>8}")
        for row in rows:
            print(f"{row[0]:>4} {row[1]:8} {row[2]:>10} {row[3]:>8} {row[4]:>10} {row[5]:>6} {row[6]:>7} {row[7]:>8}")
        stream = server.stream("sensors")
        self.assertEqual(stream["delivered"], self.sent, "acquisition has not noticed")
        self.assertEqual(stream["residual"], 0)
        self.assertEqual(len(re.findall(r"main \(pid \d+\) killed by signal 9", server.log())), CRASHES)

    def test_what_was_ordered_outlives_it(self):
        """kill -9 after `record start`: it records again. After `record stop`: it does not."""
        server = self.begin([self.recorder(begins="on_command")])
        self.wait_board(server, lambda b: b["state"] == "idle", "an idle recorder")
        self.kill(server)
        self.stays(server, "idle", 0)
        self.assertEqual(self.record(server, "start").returncode, 0)
        self.feed(server, 100)
        self.kill(server)
        self.wait_board(server, lambda b: b["state"] == "recording" and b["runs"] == 2, "the next run")
        first = self.sent
        self.feed(server, 100)
        self.assertEqual(self.record(server, "stop").returncode, 0)
        run = recordings.Run(self.latest())
        numbers = [f[2] for f in run.frames(self.RING)]
        self.assertEqual(numbers, list(range(numbers[0], first + 100)))
        self.assertLessEqual(numbers[0], first)
        self.assertEqual(run.unaccounted(self.RING), [])
        self.assertEqual(run.run_json()["began_because"], "command")
        self.kill(server)
        self.stays(server, "idle", 2)

    def test_told_to_stop_it_stays_so(self):
        """kill -9 of one that records at once, but was told to stop."""
        server = self.begin([self.recorder()])
        self.wait_recording(server)
        self.assertEqual(self.record(server, "stop").returncode, 0)
        self.kill(server)
        self.stays(server, "idle", 1)

    def begin_on_trip(self, **changes):
        """(server, sensor) that is armed, with a recorder that waits for the trip."""
        server = self.begin([self.recorder(begins="on_trip", **changes)])
        self.wait_board(server, lambda b: b["state"] == "ready", "a recorder that waits")
        sensor = support.SensorUdp(self, self.port, hz=200)
        sensor.put = lambda data: self.send(1)
        sensor.start()
        server.make_armed()
        return server, sensor

    def test_a_trip_while_it_was_away(self):
        """Stopped, a trip, killed: the next one records the trip, from before it on, and only once."""
        server, sensor = self.begin_on_trip(post_s=1)
        runs = self.board(server)["runs"]
        pid = self.pid_of(server)
        os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(0.2)
        before = self.sent
        self.assertEqual(server.cli("trip", self.instance).returncode, 0)
        after = self.sent
        threading.Event().wait(0.2)
        self.kill(server)
        self.wait_board(server, lambda b: b["runs"] == runs + 1 and b["state"] == "ready", "the run of the trip")
        sensor.end()
        run = recordings.Run(self.latest())
        numbers = [f[2] for f in run.frames(self.RING)]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertLess(numbers[0], before)
        self.assertGreater(numbers[-1], after)
        told = run.run_json()
        self.assertEqual((told["began_because"], told["ended_because"]), ("trip", "post"))
        self.kill(server)
        self.stays(server, "ready", runs + 1)

    def test_killed_after_a_trip(self):
        """While it records on after a trip: what is left of that time is another run."""
        server, sensor = self.begin_on_trip(post_s=3)
        runs = self.board(server)["runs"]
        self.assertEqual(server.cli("trip", self.instance).returncode, 0)
        self.wait_board(server, lambda b: b["state"] == "post", "the run of the trip")
        self.kill(server)
        self.wait_board(server, lambda b: b["runs"] == runs + 2 and b["state"] == "post", "the rest of it")
        self.wait_board(server, lambda b: b["state"] == "ready", "its end")
        sensor.end()
        told = recordings.Run(self.latest()).run_json()
        self.assertEqual((told["began_because"], told["ended_because"]), ("trip", "post"))
        self.kill(server)
        self.stays(server, "ready", runs + 2)

    def test_the_server_is_killed(self):
        """Nobody is left to stop it: it ends its run well by itself."""
        server = self.begin([self.recorder()])
        self.wait_recording(server)
        self.feed(server, 500)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == 500, "all of it read")
        recorder = self.pid_of(server)
        server.children()
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: not support.exists(recorder), "the end of the recorder")
        run = recordings.Run(self.latest())
        self.check(run, count=500)
        self.assertIn(run.files[0].closed(), ("stopped", "server"))

    def test_what_is_promised_is_bounded(self):
        """Never more than sync_mb are written and not synced."""
        server = self.begin([self.recorder(sync_ms=60000, block_kb=64, sync_mb=1)])
        self.wait_recording(server)
        self.feed(server, 30000)
        board = self.wait_board(server, lambda b: b["rings"][0]["position"] == 30000, "all of it read")
        self.assertLessEqual(board["unsynced_bytes_max"], 1 << 20)
        self.assertGreater(board["rings"][0]["synced_position"], 0, "long before 60 s are over")


if __name__ == "__main__":
    support.main()
