#!/usr/bin/env python3
"""sluice info and sluice recover on recordings that something has happened to: word by word, and frame by frame.

The recordings come from recorded-make; what their frames must be follows from their positions (tests/support/recorded.h).
They are read back by docs/examples/read_recording.py, which knows nothing of the program's own reader.

Run: SLUICE_BIN=build/release/bin python3 tests/tools/test_recordings.py
"""
import fcntl
import glob
import hashlib
import json
import os
import pty
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin"))
sys.path.insert(0, os.path.join(ROOT, "docs/examples"))
import read_recording  # noqa: E402

TAI_NS = 1790000000000000000
PAGE = 4096


def expected(position):
    """What read_recording gives for the frame at this position."""
    payload = bytearray((position * 31 + i) & 0xFF for i in range(96))
    payload[0:4] = struct.pack("<I", position)
    payload[4] = position >> 8 & 0x7F
    payload[5] = position & 0xFF
    length, flags, lost = 8 + position * 7 % 88, 0, 0
    if position % 100 == 99:
        payload[0:32] = struct.pack("<IIQQQ", 1, 0, 5, TAI_NS, 0)
        length, flags, lost = 32, 1 | 1 << 8, 5
    return position, TAI_NS + position * 1000000, 1000 + position, flags, 0, lost, bytes(payload[:length])


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Recordings(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-recordings-")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def make(self, *arguments):
        subprocess.run([os.path.join(BIN, "recorded-make"), *map(str, arguments)], check=True, timeout=60)

    def packed(self, frames, segment, end, name="a"):
        os.mkdir(self.path(name))
        self.make("packed", self.path(name), frames, segment, end)
        return self.path(name)

    def slots(self, stripes, blocks, absent, end):
        places = [self.path(f"b{i}") for i in range(stripes)]
        for place in places:
            os.mkdir(place)
        self.make("slots", blocks, absent, end, *places)
        return places

    def sluice(self, *arguments, code=0, **how):
        done = subprocess.run([os.path.join(BIN, "sluice"), *arguments], capture_output=True, text=True, timeout=60, **how)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def json(self, *arguments, code=0):
        return json.loads(self.sluice(*arguments, "--json", code=code))

    def info(self, *paths, code=0):
        return self.json("info", "--check", *paths, code=code)

    def same_frames(self, places, positions):
        """That these, and no others, are in the files."""
        files = [f for place in places for f in sorted(glob.glob(os.path.join(place, "*.slr")))]
        got = list(read_recording.frames(files))
        self.assertEqual([frame[0] for frame in got], list(positions))
        for frame in got:
            self.assertEqual(frame, expected(frame[0]))

    def blocks(self, path):
        """(offset, bytes, first, end, payload_bytes) of each block by the index of a closed file."""
        with open(path, "rb") as file:
            data = file.read()
        end_offset = struct.unpack_from("<Q", data, len(data) - 24)[0]
        n = struct.unpack_from("<I", data, end_offset + PAGE + 132)[0]
        at = end_offset + PAGE + 904
        found = [struct.unpack_from("<QQQQQ", data, at + 64 * i) for i in range(n)]
        return [(b[0], b[1], b[3], b[4], struct.unpack_from("<Q", data, b[0] + 40)[0]) for b in found]

    def scribble(self, path, offset, data):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    # info

    def test_whole(self):
        place = self.packed(1000, 300, "closed")
        text = self.sluice("info", place)
        for words in ("recording of rig by all, run 0101", "operator: me", "test_id: T-7", "stopped",
                      "ring slow: 1000 frames in 24 blocks, 4 files", "channel count", "then polynomial",
                      "stream  one                  udp",
                      "2026-09-21T14:12:43.000000000Z to 2026-09-21T14:12:43.999000000Z, 0.999 s, 1000 frames/s",
                      "TAI ns 1790000000000000000 to 1790000000999000000, positions 0 to 999",
                      "ledger: sent 120 = delivered 100 + lost 20, kernel 20; residual 0",
                      "gap at position 99: 5 frames of stream one lost: kernel, 2026-09-21T14:12:43.099000000Z"):
            self.assertIn(words, text)
        self.assertTrue(text.endswith("whole; --check reads every byte\n"), text)
        self.assertTrue(self.sluice("info", "--check", place).endswith("whole; every byte was checked\n"))
        self.same_frames([place], range(1000))
        found = self.info(place)
        ring = found["rings"][0]
        self.assertEqual((found["whole"], found["checked"], found["problems_total"], found["instance"]), (True, True, 0, "rig"))
        self.assertEqual(found["metadata"], {"operator": "me", "test_id": "T-7"})
        self.assertEqual((ring["frames"], ring["end_position"], ring["closed"], ring["ended_because"]),
                         (1000, 1000, True, "stopped"))
        self.assertEqual((ring["gaps_ring"], ring["gaps_recorder"], ring["ledger"]["residual"]), (10, 0, 0))
        self.assertEqual(ring["channels"][1]["numbers"], [10.0, 2.0])
        self.assertAlmostEqual(ring["rate_hz"], 1000.0, 6)
        self.assertAlmostEqual(ring["span_s"], 0.999, 9)
        self.assertEqual([f["segment"] for f in ring["file"]], [0, 1, 2, 3])

    def test_gaps_that_are_told_are_no_harm(self):
        place = self.path("a")
        os.mkdir(place)
        self.make("gaps", place)
        text = self.sluice("info", place)
        self.assertIn("not recorded: 1 overwritten, 2 demoted, 3 disk_full, 4 disk_error, 5 disk_slow, 1 decimated, 7 server",
                      text)
        self.assertIn("gap, positions 366 to 372: 7 frames not recorded: server", text)
        self.assertIn("whole but for the gaps that are told", text)
        ring = self.info(place)["rings"][0]
        self.assertEqual((ring["gaps_recorder"], ring["gaps_ring"]), (7, 4))
        self.assertEqual([g["cause"] for g in ring["gaps"] if g["by"] == "recorder"],
                         ["overwritten", "demoted", "disk_full", "disk_error", "disk_slow", "decimated", "server"])
        short = self.sluice("info", "--gaps", "3", place)
        self.assertIn("8 more gaps; --gaps N shows them", short)
        self.assertEqual(short.count("  gap"), 3)
        self.assertEqual(len(self.json("info", "--gaps", "0", place)["rings"][0]["gaps"]), 0)

    def test_a_flipped_bit(self):
        place = self.packed(1000, 0, "closed")
        file = self.path("a", "slow.000000.slr")
        offset, size, first, end, _ = self.blocks(file)[5]
        self.scribble(file, offset + PAGE + 40, b"\xff")
        self.sluice("info", place)  # quick
        found = self.info(place, code=1)
        self.assertEqual([p["kind"] for p in found["problems"]], ["torn"])
        self.assertEqual((found["problems"][0]["offset_bytes"], found["problems"][0]["bytes"]), (offset, size))
        self.assertEqual(found["rings"][0]["missing"]["damaged"], end - first)
        self.assertIn("not whole: something is missing or damaged; every byte was checked",
                      self.sluice("info", "--check", place, code=1))
        self.same_frames([place], [*range(first), *range(end, 1000)])
        # In its lead it shows at once, and there is nothing that recover could do.
        self.scribble(file, offset + 60, b"\xff")
        self.assertIn(f"expected block 5 at byte {offset}, found damage", self.sluice("info", place, code=1))
        before = hash_of(file)
        text = self.sluice("recover", place, code=1)
        self.assertIn(f"missing: {end - first} frames, positions {first} to {end - 1}, in a block that is not whole", text)
        self.assertIn("cannot be brought back", text)
        self.assertEqual(hash_of(file), before)

    def test_removed_and_doubled_files(self):
        place = self.packed(1000, 250, "closed")
        shutil.copy(self.path("a", "slow.000001.slr"), self.path("a", "slow.000001-copy.slr"))
        found = self.info(place, code=1)
        self.assertEqual([p["kind"] for p in found["problems"]], ["damaged"])
        self.assertIn("it is the same segment as", found["problems"][0]["text"])
        self.assertEqual(found["rings"][0]["frames"], 1000)
        os.unlink(self.path("a", "slow.000001-copy.slr"))
        os.unlink(self.path("a", "slow.000002.slr"))
        found = self.info(place, code=1)
        self.assertEqual([p["kind"] for p in found["problems"]], ["file_missing", "unaccounted"])
        self.assertEqual(found["rings"][0]["missing"]["unknown"], 250)
        self.assertIn("segment 2 is not here", self.sluice("info", place, code=1))

    def test_progress_is_for_terminals(self):
        place = self.packed(1000, 0, "closed")
        main, terminal = pty.openpty()
        subprocess.run([os.path.join(BIN, "sluice"), "info", "--check", place], stdout=subprocess.DEVNULL, stderr=terminal,
                       check=True, timeout=60)
        os.close(terminal)
        self.assertIn(b"(100 %)", os.read(main, 65536))
        os.close(main)

    def test_refused(self):
        place = self.packed(10, 0, "closed")
        file = self.path("a", "slow.000000.slr")
        foreign = self.path("text")
        with open(foreign, "w", encoding="ascii") as out:
            out.write("hello")
        os.mkdir(self.path("empty"))
        newer = shutil.copytree(place, self.path("newer"))
        self.scribble(os.path.join(newer, "slow.000000.slr"), 8, struct.pack("<I", 2))
        other = self.packed(10, 0, "closed", "c")
        self.scribble(os.path.join(other, "slow.000000.slr"), 0, b"SLSBRNG1")
        for command in ("info", "recover"):
            self.assertIn("usage: sluice " + command, self.sluice(command, code=2))
            self.assertIn("unrecognized option", self.sluice(command, "--nonsense", place, code=2))
            self.assertIn("found none: No such file", self.sluice(command, self.path("none"), code=2))
            self.assertIn("its first bytes are SLLREC01", self.sluice(command, foreign, code=2))
            self.assertIn("found none in this directory", self.sluice(command, self.path("empty"), code=2))
            self.assertIn("expected the directory of one run, found", self.sluice(command, self.dir, code=2))
            self.assertIn("written by a newer release, version 2 of the format; this one reads 1",
                          self.sluice(command, newer, code=2))
            self.assertIn("a ring's file of a trip directory", self.sluice(command, other, code=2))
        self.assertIn("expected --gaps 0 to", self.sluice("info", "--gaps", "many", place, code=2))
        self.sluice("info", file)
        with open("/dev/full", "w", encoding="ascii") as full:
            subprocess.run([os.path.join(BIN, "sluice"), "info", file], stdout=full, check=False, timeout=60)

    def test_a_file_that_may_not_be_read(self):
        place = self.packed(1000, 500, "closed")
        os.chmod(self.dir, 0o755)
        os.chmod(place, 0o755)
        os.chmod(self.path("a", "slow.000000.slr"), 0o644)
        os.chmod(self.path("a", "slow.000001.slr"), 0)
        how = {"user": 65534} if os.getuid() == 0 else {}
        try:
            subprocess.run([os.path.join(BIN, "sluice"), "--version"], check=True, timeout=60, capture_output=True, **how)
        except (OSError, subprocess.SubprocessError):
            self.skipTest("another user may not run the programs")
        self.assertIn("slow.000001.slr: Permission denied", self.sluice("info", place, code=2, **how))

    # recover

    def test_nothing_to_recover(self):
        place = self.packed(1000, 300, "closed")
        before = [hash_of(f) for f in sorted(glob.glob(place + "/*"))]
        self.assertIn("everything had been closed: there is nothing to recover", self.sluice("recover", place))
        self.assertEqual([hash_of(f) for f in sorted(glob.glob(place + "/*"))], before, "and nothing is written")

    def test_killed_between_blocks(self):
        place = self.packed(1000, 300, "killed")
        self.assertIn("it was not closed", self.sluice("info", place, code=1))
        file = self.path("a", "slow.000003.slr")
        before = hash_of(file)
        text = self.sluice("recover", "--dry-run", place, code=1)
        self.assertIn("would be closed behind 3 whole blocks", text)
        self.assertIn("nothing was changed", text)
        self.assertEqual(hash_of(file), before)
        text = self.sluice("recover", place, code=1)
        self.assertIn("ring slow: 1000 frames saved, positions 0 to 999, 2026-09-21T14:12:43.000000000Z to "
                      "2026-09-21T14:12:43.999000000Z", text)
        self.assertIn("what came behind position 999 had not reached the disk", text)
        self.assertIn("slow.000003.slr: closed behind 3 whole blocks", text)
        self.assertNotIn("missing:", text)
        self.same_frames([place], range(1000))
        found = self.info(place)
        self.assertEqual(found["rings"][0]["ended_because"], "recovered")
        with open(self.path("a", "recovered.json"), encoding="utf-8") as report:
            recovery = json.load(report)["recoveries"][0]
        self.assertEqual((recovery["rings"][0]["frames"], recovery["rings"][0]["missing"]), (1000, []))
        self.assertIn("there is nothing to recover", self.sluice("recover", place))

    def test_cut_off_anywhere(self):
        """Here and there: whole blocks before the cut are saved, all of them, and nothing else."""
        place = self.packed(300, 0, "closed")
        file = self.path("a", "slow.000000.slr")
        blocks = self.blocks(file)
        whole = os.path.getsize(file)
        for cut in [*range(whole - 1, blocks[0][0] - 1, -5000), blocks[-1][0] + PAGE + blocks[-1][4]]:
            with self.subTest(cut=cut):
                cut_off = shutil.copytree(place, self.path("cut"))
                os.truncate(os.path.join(cut_off, "slow.000000.slr"), cut)
                before = hash_of(os.path.join(cut_off, "slow.000000.slr"))
                # The zeros behind a payload may be cut off, too.
                saved = max([b[3] for b in blocks if b[0] + PAGE + b[4] <= cut], default=0)
                torn = [b for b in blocks if b[0] + PAGE <= cut < b[0] + PAGE + b[4]]
                told = self.json("recover", "--output", self.path("out"), cut_off, code=1)
                ring = told["rings"][0]
                self.assertEqual(ring["frames"], saved)
                self.assertEqual([(m["from_position"], m["to_position"]) for m in ring["missing"]],
                                 [(b[2], b[3]) for b in torn])
                self.assertEqual(hash_of(os.path.join(cut_off, "slow.000000.slr")), before, "the original is touched")
                self.same_frames([self.path("out")], range(saved))
                found = self.info(self.path("out"))  # told from now on
                self.assertEqual(found["rings"][0]["missing"]["unknown"], sum(b[3] - b[2] for b in torn))
                # In place it comes to the same.
                self.sluice("recover", cut_off, code=1)
                self.assertEqual(self.info(cut_off)["rings"][0]["frames"], saved)
                self.same_frames([cut_off], range(saved))
                shutil.rmtree(cut_off)
                shutil.rmtree(self.path("out"))

    def test_torn_last_block(self):
        place = self.packed(1000, 0, "closed")
        file = self.path("a", "slow.000000.slr")
        offset, size, first, end, _ = self.blocks(file)[-1]
        os.truncate(file, offset + size)
        self.scribble(file, offset + PAGE + 10, b"torn")
        text = self.sluice("recover", place, code=1)
        self.assertIn(f"missing: {end - first} frames, positions {first} to {end - 1}, in a block that is not whole", text)
        self.assertRegex(text, r"; \d+ bytes behind them are no whole block: dropped")
        self.same_frames([place], range(first))
        ring = self.info(place)["rings"][0]
        self.assertEqual((ring["missing"]["unknown"], ring["end_position"]), (end - first, end))
        self.assertIn(f"gap, positions {first} to {end - 1}: {end - first} frames not recorded: unknown",
                      self.sluice("info", place))

    def test_a_hole_in_the_middle(self):
        """As of writes that were done out of order: what lies behind it is kept."""
        place, = self.slots(1, 30, 12, "full")
        size = os.path.getsize(self.path("b0", "fast.000000.slr"))
        text = self.sluice("recover", place, code=1)
        self.assertIn("missing: 10 frames, positions 120 to 129, in no block", text)
        self.assertLess(os.path.getsize(self.path("b0", "fast.000000.slr")), size, "what was allocated beforehand is given back")
        self.assertNotIn("dropped", text)
        self.same_frames([place], [*range(120), *range(130, 300)])
        self.assertEqual(self.info(place)["rings"][0]["missing"]["unknown"], 10)
        self.assertIn("gap, positions 120 to 129: 10 frames not recorded: unknown", self.sluice("info", place))
        self.assertIn("there is nothing to recover", self.sluice("recover", place))

    def test_zeroed_and_garbled_pages(self):
        """Seeded, in a file without an end: each page that is hit takes its block, and none other."""
        chance = random.Random(1)
        for turn in range(12):
            with self.subTest(turn=turn):
                place = self.packed(600, 0, "killed", f"z{turn}")
                file = os.path.join(place, "slow.000000.slr")
                pages = os.path.getsize(file) // PAGE
                hit = sorted({chance.randrange(2, pages) for _ in range(chance.randrange(1, 4))})
                for page in hit:
                    self.scribble(file, page * PAGE, bytes(PAGE) if turn % 2 else chance.randbytes(PAGE))
                told = self.json("recover", place, code=1)["rings"][0]
                lost = [p for m in told["missing"] for p in range(m["from_position"], m["to_position"])]
                positions = [frame[0] for frame in read_recording.frames([file])]
                self.same_frames([place], positions)
                self.assertEqual(told["frames"], len(positions))
                self.assertEqual(sorted(positions + lost), list(range(told["to_position"])))
                found = self.info(place)["rings"][0]  # all of it is told
                self.assertEqual((found["frames"], found["missing"]["unknown"]), (len(positions), len(lost)))

    def test_stripes(self):
        places = self.slots(3, 60, 7, "full")
        told = self.json("recover", *places, code=1)["rings"][0]
        self.assertEqual([(m["from_position"], m["to_position"]) for m in told["missing"]], [(70, 80)])
        self.assertEqual([f["action"] for f in told["files"]], ["ended"] * 3)
        self.same_frames(places, [*range(70), *range(80, 600)])
        self.assertEqual(self.info(*places)["rings"][0]["missing"]["unknown"], 10)
        shutil.rmtree(places[1])
        found = self.info(places[0], places[2], code=1)
        self.assertIn("file_missing", [p["kind"] for p in found["problems"]])
        self.assertEqual(found["rings"][0]["frames"], 400)

    def test_one_file_of_several_may_have_its_end(self):
        """As if recover had been killed between two stripes."""
        places = self.slots(2, 40, 1000, "full")
        copies = [shutil.copytree(place, place + "-again") for place in places]
        self.sluice("recover", *copies, code=1)
        shutil.copy(os.path.join(copies[0], "fast.000000.0.slr"), places[0])
        self.sluice("recover", *places, code=1)
        self.same_frames(places, range(400))
        self.info(*places)

    def test_killed_at_any_point(self):
        place = self.packed(3000, 1000, "killed")
        chance = random.Random(2)
        for turn in range(15):
            again = shutil.copytree(place, self.path("again"))
            process = subprocess.Popen([os.path.join(BIN, "sluice"), "recover", again], stdout=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.01))  # the fault: at a point that is nobody's choice
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)
            self.sluice("recover", again, code=None)
            self.assertEqual(self.info(again)["rings"][0]["frames"], 3000, f"turn {turn}")
            shutil.rmtree(again)

    def test_end_that_is_half_written(self):
        place = self.packed(300, 0, "closed")
        file = self.path("a", "slow.000000.slr")
        end = sum(self.blocks(file)[-1][:2])
        self.scribble(file, end + PAGE + 500, bytes(600))
        before = self.json("info", place, code=1)
        self.assertEqual(before["problems"][0]["kind"], "not_closed")
        self.sluice("recover", place, code=1)
        self.same_frames([place], range(300))
        self.info(place)

    def test_a_recorder_that_is_still_writing(self):
        place = self.packed(1000, 300, "killed")
        file = self.path("a", "slow.000003.slr")
        before = hash_of(file)
        with open(file, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for options in ((), ("--dry-run",), ("--output", self.path("out"))):
                text = self.sluice("recover", *options, place, code=1)
                self.assertIn("slow.000003.slr: its recorder is still writing it", text)
            self.assertFalse(os.path.exists(self.path("out")))
            self.sluice("info", place, code=1)
        self.assertEqual(hash_of(file), before)
        self.sluice("recover", place, code=1)

    def test_files_that_nothing_was_written_to(self):
        place = self.packed(600, 300, "closed")
        for name, size in (("slow.000002.slr", 0), ("slow.000003.slr", 1 << 20)):
            with open(self.path("a", name), "wb") as out:
                out.truncate(size)
        with open(self.path("a", "slow.000004.slr"), "wb") as out:
            out.write(b"\x00" * 8192 + b"something")
        self.assertIn("slow.000002.slr: it has no header", self.sluice("info", place, code=1))
        text = self.sluice("recover", place, code=1)
        self.assertIn("slow.000002.slr: removed: nothing had been written to it", text)
        self.assertIn("slow.000004.slr: it has no header that can be read; left as it is", text)
        self.assertEqual(sorted(os.listdir(place)),
                         ["recovered.json", "slow.000000.slr", "slow.000001.slr", "slow.000004.slr"])

    def test_output(self):
        place = self.packed(1000, 300, "killed")
        for name in ("run.json", "config.yaml"):
            with open(self.path("a", name), "w", encoding="ascii") as out:
                out.write('{"operator": "you"}\n')
        before = {f: hash_of(f) for f in glob.glob(place + "/*")}
        told = self.json("recover", "--output", self.path("out"), place, code=1)
        self.assertEqual([f["action"] for f in told["rings"][0]["files"]], ["copied"] * 3 + ["ended"])
        self.assertEqual({f: hash_of(f) for f in glob.glob(place + "/*")}, before)
        self.assertEqual(sorted(os.listdir(self.path("out"))),
                         ["config.yaml", "recovered.json", "run.json"] + [f"slow.00000{i}.slr" for i in range(4)])
        self.same_frames([self.path("out")], range(1000))
        self.assertEqual(self.info(self.path("out"))["metadata"], {"operator": "you"})
        text = self.sluice("recover", "--output", self.path("out"), place, code=1)
        self.assertIn("File exists; name one that is not there yet", text)

    def test_a_damaged_header_is_left_alone(self):
        place = self.packed(1000, 300, "killed")
        self.scribble(self.path("a", "slow.000001.slr"), 20, b"damage")
        before = hash_of(self.path("a", "slow.000001.slr"))
        told = self.json("recover", place, code=1)["rings"][0]
        self.assertEqual([f["action"] for f in told["files"]], ["whole", "left", "whole", "ended"])
        self.assertEqual([(m["from_position"], m["to_position"]) for m in told["missing"]], [(300, 600)])
        self.assertEqual(hash_of(self.path("a", "slow.000001.slr")), before)
        self.assertEqual(self.info(place, code=1)["rings"][0]["frames"], 700)


if __name__ == "__main__":
    unittest.main(verbosity=2)
