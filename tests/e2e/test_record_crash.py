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
