#!/usr/bin/env python3
"""Recorders: what is in the rings is in the files, and what is not is told there with its cause."""
import json
import os
import signal
import struct
import subprocess
import unittest

import recordings
import support
from support import BIN, free_udp_port, wait_until


def payload(number, filler=64):
    """A frame that says its number, and whose every byte follows from it."""
    return struct.pack("<If", number, 100.0) + bytes((number * 7 + i) & 255 for i in range(filler - 8))


class RecordCase(support.Case):
    RING = "tvac"

    def config(self, port, recorders, **more):
        source = {"name": "sensors", "kind": "udp", "ring": self.RING, "worker": "sensors", "listen": f"127.0.0.1:{port}",
                  "frame_bytes": 64, "sequence": {"at_byte": 0, "width_bytes": 4, "byte_order": "little"},
                  "channels": [{"name": "chamber_pressure", "at_byte": 4, "type": "f32", "byte_order": "little", "unit": "kPa", "range": [0, 500],
                                "stale_ms": 1500}]}
        text = support.config(self.instance, [source], support.outputs_to(support.Actuator(self).target), slots=8192)
        if any(r.get("reading") == "gating" for r in recorders):  # the interlock must not watch such a ring
            del source["channels"], text["rules"], text["outputs"]
        text["recorders"] = recorders
        text["observer"] = {"watch": False}
        text.update(more)
        return text

    def recorder(self, **changes):
        return {"name": "main", "directories": [self.folder("data")], "sync_ms": 200, "room_mb": 8, **changes}

    def folder(self, name):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        return path

    def begin(self, recorders, **more):
        self.port = free_udp_port()
        self.sender = support.SensorUdp(self, self.port)
        self.sent = 0
        server = self.server(self.config(self.port, recorders, **more)).start()
        return server

    def send(self, count, **options):
        """Numbered frames, as fast as they are received: none is lost on the way."""
        for _ in range(count):
            self.sender.put(payload(self.sent, **options))
            self.sent += 1

    def board(self, server, name="main"):
        status = server.status()
        return next(r for r in status["recorders"] if r["name"] == name) if status else None

    def wait_board(self, server, condition, what, name="main"):
        last = []

        def good():
            board = self.board(server, name)
            last[:] = [board]
            return board if board is not None and condition(board) else None

        return wait_until(good, lambda: f"{what}; the last is {json.dumps(last)}")

    def wait_recording(self, server, name="main"):
        return self.wait_board(server, lambda b: b["state"] == "recording", "a recorder that records", name)

    def feed(self, server, count):
        """Sends so many, in portions that a socket holds, and waits until they are in the ring."""
        for done in range(0, count, 200):
            self.send(min(200, count - done))
            wait_until(lambda: server.stream("sensors")["delivered"] >= self.sent, "frames in the ring")

    def record(self, server, *arguments):
        return server.cli("record", *arguments, self.instance)

    def latest(self, name="main", folder="data"):
        return recordings.runs(self.path(folder), name)[-1]

    def check(self, run, first=0, count=None, ring=RING):
        """Every frame from `first` on is there, in order, byte for byte; nothing is unaccounted for."""
        frames = run.frames(ring)
        numbers = [f[2] for f in frames]
        self.assertEqual(numbers, list(range(first, first + (len(frames) if count is None else count))))
        for _, _, number, flags, _, data in frames:
            self.assertEqual(data, payload(number))
            self.assertEqual(flags & 1, 0)
        self.assertEqual(run.unaccounted(ring), [])
        return frames


class Record(RecordCase):
    def test_what_is_sent_is_recorded(self):
        server = self.begin([self.recorder(operator="ann", test_id="T-17", note="first light")])
        self.wait_recording(server)
        self.feed(server, 3000)
        server.end()
        run = recordings.Run(self.latest())
        self.check(run, count=3000)
        self.assertEqual([f.closed() for f in run.files], ["stopped"])
        totals = run.files[0].totals()
        self.assertEqual((totals["frames"], totals["next"]), (3000, 3000))
        self.assertEqual(sum(totals["missing"].values()), 0)
        told = run.run_json()
        self.assertEqual((told["operator"], told["test_id"], told["ended_because"]), ("ann", "T-17", "stopped"))
        self.assertEqual([n["text"] for n in told["notes"]], ["first light"])
        self.assertEqual(told["rings"], [{"name": "tvac", "frames": 3000, "bytes": told["rings"][0]["bytes"]}])
        with open(server.config_path, "rb") as file:
            text = file.read()
        self.assertEqual(run.files[0].config, text)
        with open(os.path.join(self.latest(), "config.yaml"), "rb") as file:
            self.assertEqual(file.read(), text)
        self.assertEqual(run.files[0].json["run"], told["run"])

    def test_the_product_agrees(self):
        """sluice info says of it what it should, and finds it whole."""
        server = self.begin([self.recorder(operator="ann")])
        self.wait_recording(server)
        self.feed(server, 500)
        server.end()
        done = self.cli("info", "--check", "--json", self.latest())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ann", done.stdout)

    def test_striped(self):
        server = self.begin([self.recorder(directories=[self.folder("a"), self.folder("b"), self.folder("c")], block_kb=64)])
        self.wait_recording(server)
        self.feed(server, 6000)
        server.end()
        directories = [self.latest(folder=f) for f in "abc"]
        run = recordings.Run(*directories)
        self.check(run, count=6000)
        self.assertEqual(sorted(f.stripe for f in run.files), [0, 1, 2])
        for file in run.files:
            self.assertGreater(len(file.blocks), 0)
        done = self.cli("info", "--check", *directories)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_segments_by_size_and_retention(self):
        server = self.begin([self.recorder(rotate_mb=1, block_kb=64, keep_runs=2)])
        self.wait_recording(server)
        self.feed(server, 12000)
        server.end()
        run = recordings.Run(self.latest())
        self.check(run, count=12000)
        self.assertGreater(len(run.files), 1)
        self.assertEqual([f.closed() for f in run.files], ["rotated"] * (len(run.files) - 1) + ["stopped"])
        for _ in range(3):
            server.start()
            self.wait_recording(server)
            server.end()
        self.assertLessEqual(len(recordings.runs(self.path("data"), "main")), 3, "two, and the one that was begun")

    def test_segments_by_time(self):
        server = self.begin([self.recorder(rotate_s=1)])
        self.wait_recording(server)
        wait_until(lambda: self.feed(server, 50) or self.board(server)["rings"][0]["segment"] >= 2, "a third segment")
        server.end()
        self.check(recordings.Run(self.latest()), count=self.sent)

    def test_whole_slots_from_the_ring_itself(self):
        ring = {"name": self.RING, "slots": 4096, "slot_bytes": 512,
                "gating": {"readers_max": 2, "when_full": "drop", "deadline_ms": 5000}}
        server = self.begin([self.recorder(reading="gating", layout="slots", block_kb=64)], rings=[ring])
        board = self.wait_recording(server)
        self.assertEqual(board["rings"][0]["name"], self.RING)
        self.feed(server, 5000)
        board = self.wait_board(server, lambda b: b["rings"][0]["position"] == 5000, "all of it read")
        self.assertTrue(board["rings"][0]["gating"])
        server.end()
        run = recordings.Run(self.latest())
        self.check(run, count=5000)
        kinds = {b.kind for _, _, b in run.blocks(self.RING)}
        self.assertIn(recordings.KIND_SLOTS, kinds)
        self.assertEqual(self.cli("info", "--check", self.latest()).returncode, 0)

    def test_slots_that_do_not_align_with_a_block_are_copied(self):
        """65472 bytes align after 64 of them: more than a block holds."""
        ring = {"name": self.RING, "slots": 1024, "slot_bytes": 65472,
                "gating": {"readers_max": 2, "when_full": "drop", "deadline_ms": 5000}}
        server = self.begin([self.recorder(reading="gating", layout="slots", block_kb=256)], rings=[ring])
        self.wait_recording(server)
        self.feed(server, 600)
        self.record(server, "stop")
        self.check(recordings.Run(self.latest()), count=600)
        server.end()

    def test_slots_and_a_small_ring(self):
        """What waits for a large piece must not fill the ring meanwhile; and nothing is left in it at the end."""
        ring = {"name": self.RING, "slots": 256, "slot_bytes": 192,
                "gating": {"readers_max": 2, "when_full": "drop", "deadline_ms": 5000}}
        server = self.begin([self.recorder(reading="gating", layout="slots", sync_ms=60000)], rings=[ring])
        self.wait_recording(server)
        for _ in range(40):
            self.feed(server, 50)
            self.wait_board(server, lambda b: b["rings"][0]["position"] > self.sent - 64, "all but a quarter of the ring")
        self.assertEqual(server.stream("sensors")["lost"]["ring_full"], 0)
        done = self.record(server, "stop")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check(recordings.Run(self.latest()), count=2000)
        server.end()

    def test_many_segments_within_one_sync(self):
        server = self.begin([self.recorder(rotate_mb=1, block_kb=64, sync_ms=60000)])
        self.wait_recording(server)
        self.feed(server, 60000)
        self.wait_board(server, lambda b: b["rings"][0]["position"] == 60000, "all of it read")
        board = self.board(server)
        self.assertEqual((board["failures"], board["missing"]), (0, 0))
        self.assertGreater(board["rings"][0]["segment"], 3)
        server.end()
        self.check(recordings.Run(self.latest()), count=60000)

    def test_retention_touches_nothing_else(self):
        """Not what a link leads to, not another instance's run, nor one that is being written, nor a stranger's directory."""
        data, elsewhere = self.folder("data"), self.folder("archive")
        for name in ("run.json", "config.yaml", "tvac.000000.slr"):
            with open(os.path.join(elsewhere, name), "w", encoding="ascii") as file:
                file.write("precious")
        os.symlink(elsewhere, os.path.join(data, "20200101T000000.000Z-main"))
        strange = os.path.join(data, "20200102T000000.000Z-main")
        os.mkdir(strange)
        with open(os.path.join(strange, "thesis.txt"), "w", encoding="ascii") as file:
            file.write("precious")
        server = self.begin([self.recorder(keep_runs=1)])
        self.wait_recording(server)
        self.feed(server, 100)
        other = self.config(free_udp_port(), [self.recorder(keep_runs=1)])
        other["instance"] = self.instance[:27] + "-b"
        second = self.server(other)
        second.start()
        self.wait_recording(second)
        for _ in range(3):
            self.assertEqual(self.record(server, "next").returncode, 0)
            self.assertEqual(second.cli("record", "next", second.instance).returncode, 0)
        self.assertEqual(sorted(os.listdir(elsewhere)), ["config.yaml", "run.json", "tvac.000000.slr"])
        self.assertTrue(os.path.exists(os.path.join(strange, "thesis.txt")))
        for each in (server, second):
            board = self.board(each)
            self.assertEqual(board["state"], "recording")
            self.assertTrue(os.path.exists(os.path.join(data, board["run"], "tvac.000000.slr")), board["run"])
            self.assertGreater(board["removed_runs"], 0)
        server.end()
        second.end()

    def test_gap_records_of_the_ring_are_recorded(self):
        server = self.begin([self.recorder()])
        self.wait_recording(server)
        self.feed(server, 100)
        self.sent += 7  # numbers that never come
        self.send(100)
        wait_until(lambda: server.stream("sensors")["delivered"] >= 200, "frames in the ring")
        ledger = server.stream("sensors")
        server.end()
        run = recordings.Run(self.latest())
        frames = run.frames(self.RING)
        self.assertEqual(sum(f[4] for f in frames if f[3] & 2), 7, "the frame behind them says how many")
        self.assertEqual(len([f for f in frames if f[3] & 1 == 0]), 200)
        self.assertEqual(ledger["residual"], 0)
        self.assertEqual(run.unaccounted(self.RING), [])

    def test_orders(self):
        server = self.begin([self.recorder(begins="on_command")])
        self.wait_board(server, lambda b: b["state"] == "idle", "an idle recorder")
        self.feed(server, 50)
        refused = self.record(server, "note", "too early")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("there is no run", refused.stderr)
        done = self.record(server, "start")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.feed(server, 100)
        self.assertEqual(self.record(server, "operator", "bob").returncode, 0)
        self.assertEqual(self.record(server, "test-id", "T-2").returncode, 0)
        self.assertEqual(self.record(server, "note", 'valve "4" was stiff', "--by", "carol").returncode, 0)
        self.assertEqual(self.record(server, "next").returncode, 0)
        self.feed(server, 100)
        self.assertEqual(self.record(server, "stop").returncode, 0)
        self.feed(server, 30)
        self.assertEqual(self.record(server, "stop").returncode, 0, "twice is no fault")
        first, second = (recordings.Run(d) for d in recordings.runs(self.path("data"), "main"))
        self.check(first, first=50, count=100)
        self.check(second, first=150, count=100)
        told = first.run_json()
        self.assertEqual((told["operator"], told["test_id"]), ("bob", "T-2"))
        self.assertEqual([(n["by"], n["text"]) for n in told["notes"]], [("carol", 'valve "4" was stiff')])
        self.assertEqual(told["began_because"], "command")
        long = self.record(server, "operator", "x" * 32)
        self.assertEqual(long.returncode, 1)
        self.assertIn("too long", long.stderr)
        unknown = server.cli("record", "stop", "--recorder", "none", self.instance)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("expected one of: main", unknown.stderr)
        self.assertIn("record by carol", server.log())

    def test_on_a_condition_with_what_was_before(self):
        condition = {"channel": "chamber_pressure", "above": 120}
        server = self.begin([self.recorder(begins="on_condition", condition=condition, pre_s=60, post_s=1)])
        self.wait_board(server, lambda b: b["state"] == "ready", "a recorder that waits")
        self.feed(server, 300)
        self.assertEqual(recordings.runs(self.path("data"), "main"), [])
        self.sender.put(struct.pack("<If", self.sent, 130.0) + bytes(56))
        self.sent += 1
        self.wait_board(server, lambda b: b["state"] == "post", "the trigger")
        self.feed(server, 100)
        self.wait_board(server, lambda b: b["state"] == "ready", "the end of the time after it")
        frames = recordings.Run(self.latest()).frames(self.RING)
        self.assertEqual([f[2] for f in frames], list(range(len(frames))), "from the first on, without a gap")
        self.assertGreaterEqual(len(frames), 301)
        told = recordings.Run(self.latest()).run_json()
        self.assertEqual((told["began_because"], told["ended_because"]), ("condition", "post"))

    def test_on_a_trip_with_what_was_before(self):
        server = self.begin([self.recorder(begins="on_trip", pre_s=60, post_s=1)])
        self.wait_board(server, lambda b: b["state"] == "ready", "a recorder that waits")
        sensor = support.SensorUdp(self, self.port, hz=200)
        sensor.put = lambda data: self.send(1)
        sensor.start()
        server.make_armed()
        self.assertEqual(server.cli("trip", self.instance).returncode, 0)
        board = self.wait_board(server, lambda b: b["runs"] >= 1 and b["state"] == "ready", "the run of the trip")
        self.assertGreaterEqual(board["runs"], 1)
        sensor.end()
        run = recordings.Run(self.latest())
        frames = run.frames(self.RING)
        self.assertEqual(frames[0][2], 0, "the ring still had the first one")
        self.assertEqual([f[2] for f in frames], list(range(len(frames))))
        self.assertEqual(run.run_json()["began_because"], "trip")

    def test_by_hand(self):
        server = self.begin([])
        self.feed(server, 10)
        out = self.folder("own")
        hand = subprocess.Popen([os.path.join(BIN, "sluice"), "record", self.instance, "--output", out, "--ring", self.RING,
                                 "--note", "by hand", "--room-mb", "1", "--json"], env=server.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=support.die_with_parent)
        self.addCleanup(support.stop, hand)
        server.wait_status(lambda s: len(s["rings"][0]["readers"]) == 1, "its reader")
        self.feed(server, 400)
        hand.send_signal(signal.SIGINT)
        said, err = hand.communicate(timeout=support.PATIENCE_S)
        self.assertEqual(hand.returncode, 0, err)
        report = json.loads(said)
        self.assertEqual((report["run_frames"], report["missing"]), (400, 0))
        run = recordings.Run(self.latest("record", "own"))
        self.check(run, first=10, count=400)
        self.assertEqual(run.files[0].closed(), "stopped")
        with open(server.config_path, "rb") as file:
            self.assertEqual(run.files[0].config, file.read())

    def test_by_hand_until_the_server_goes(self):
        server = self.begin([])
        out = self.folder("own")
        hand = support.spawn(os.path.join(BIN, "sluice"), "record", self.instance, "-o", out, "--room-mb", "1",
                             env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(support.stop, hand)
        server.wait_status(lambda s: len(s["rings"][0]["readers"]) == 1, "its reader")
        self.feed(server, 100)
        server.end()
        _, err = hand.communicate(timeout=support.PATIENCE_S)
        self.assertEqual(hand.returncode, 0, err)
        run = recordings.Run(self.latest("record", "own"))
        self.check(run, count=100)
        self.assertEqual(run.files[0].closed(), "server")

    def test_bad_usage(self):
        server = self.begin([])
        for arguments, words, code in ((["--ring", "none"], "no ring 'none'", 2), (["--layout", "slots"], "--gating", 2),
                                       (["-o", "/nonexistent"], "existing directory", 2), (["--for", "soon"], "not right", 2),
                                       (["--block-kb", "1"], "not right", 2), (["note"], "wants a text", 2),
                                       (["start"], "no `recorders`", 1)):
            done = server.cli("record", *arguments, self.instance) if arguments != ["note"] else server.cli("record", "note")
            self.assertEqual(done.returncode, code, arguments)
            self.assertIn(words, done.stderr)
        self.assertEqual(self.cli("record", self.instance + "x").returncode, 3)
        self.assertEqual(os.listdir(self.dir + "/"), os.listdir(self.dir))

    def test_bounded_memory(self):
        server = self.begin([self.recorder()])
        self.wait_recording(server)
        self.feed(server, 8000)
        pss = {p["name"]: p["pss_kb"] for p in server.status()["processes"]}["main"]
        self.assertLess(pss, 64 * 1024)
        self.assertGreater(pss, 100)

    def test_configurations_that_cannot_be(self):
        port = free_udp_port()
        bad = [({"only_rings": ["none"]}, "there is no ring 'none'"), ({"directories": ["relative"]}, "absolute path"),
               ({"directories": ["/a", "/a"]}, "named twice"), ({"reading": "gating"}, "takes no gating readers"), ({"directories": ["/a", "/a/"]}, "named twice"),
               ({"layout": "slots"}, "reading: gating"), ({"begins": "on_trip"}, "post_s"),
               ({"begins": "on_condition", "post_s": 1}, "condition"), ({"pre_s": 5}, "begins: at_once"),
               ({"begins": "on_condition", "post_s": 1, "condition": {"channel": "none", "above": 1}}, "carries a channel"),
               ({"condition": {"channel": "chamber_pressure", "above": 1}}, "on_condition"), ({"decimate": 3}, "on_full"),
               ({"block_kb": 1}, "block_kb"), ({"sync_ms": 1}, "sync_ms"), ({"sync_mb": 1, "block_kb": 1024}, "sync_mb"),
               ({"test_id": "x" * 100}, "test_id"), ({"nonsense": 1}, "nonsense")]
        for changes, words in bad:
            path = self.path("bad.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self.config(port, [self.recorder(**changes)]), file)
            done = self.cli("check", path)
            self.assertEqual(done.returncode, 2, changes)
            self.assertIn(words, done.stderr, changes)
        with open(self.path("bad.yaml"), "w", encoding="utf-8") as file:
            json.dump(self.config(port, [self.recorder(), self.recorder()]), file)
        self.assertIn("two recorders are called", self.cli("check", self.path("bad.yaml")).stderr)


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot be another user: AUTHORITY WAS NOT TRIED")
class Authority(RecordCase):
    def test_who_may(self):
        server = self.begin([self.recorder(begins="on_command")])
        os.chmod(self.dir, 0o755)
        nobody = 65534
        os.chown(self.socket_path(server), 0, nobody)
        program = self.path("sluice")
        with open(os.path.join(BIN, "sluice"), "rb") as source, open(program, "wb") as target:
            target.write(source.read())
        os.chmod(program, 0o755)
        done = subprocess.run([program, "record", "start", self.instance], user=nobody, group=nobody, extra_groups=[], cwd="/",
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=support.PATIENCE_S)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("authority.record.users", done.stderr)
        self.assertEqual(self.board(server)["state"], "idle")


if __name__ == "__main__":
    support.main()
