#!/usr/bin/env python3
"""sluice replay: a recording into rings, as if live. Every frame that was recorded comes out as it was, in order, with
its gaps and losses; and no output is touched."""
import json
import os
import signal
import socket
import struct
import subprocess
import time
import unittest

import readers
import reader_case
import support
from readers import GATING, OLDEST
from support import BIN, PATIENCE_S, wait_until

MAKE = os.path.join(BIN, "replay-make")
GAP = 1
TAI_MINUS_UTC_S = 37


class Player(support.Server):
    """A server that `sluice replay` has started: it is that process."""

    def __init__(self, case, instance, *arguments):
        super().__init__(case, {"instance": instance})
        self.arguments = arguments

    def launch(self):
        with open(self.log_path, "ab") as log:
            self.process = support.spawn(os.path.join(BIN, "sluice"), "replay", *self.arguments, env=self.environment,
                                         cwd=self.case.dir, stdout=log, stderr=log)
        return self

    def wait_played(self, rings=1):
        wait_until(lambda: self.log().count("has been played to its end") == rings, lambda: f"the end: {self.log()}")


class ReplayCase(reader_case.ReaderCase):
    def setUp(self):
        super().setUp()
        if not os.path.exists(MAKE):
            self.skipTest("SKIPPED: replay-make has not been built")
        self.replayed = "played"

    def text(self, outputs=None, **data_ring):
        text = support.config(self.instance, [support.udp_source(14001), reader_case.data_source(14002)],
                              outputs or support.outputs_to(self.path("valve"), "file"))
        text["rings"][1].update({"slots": 8192, **data_ring})
        return text

    def write(self, name, what):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(what, indent=1) if isinstance(what, dict) else what)
        return path

    def make(self, ring="data", frames=1000, step_us=500, events=True, text=None, directory="run"):
        """A recording; what a replay of it must give."""
        config = self.write("recorded.yaml", text or self.text())
        os.makedirs(self.path(directory), exist_ok=True)
        done = subprocess.run([MAKE, config, self.path(directory), ring, str(frames), str(step_us), *(["events"] if events else [])],
                              capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        return json.loads(done.stdout)

    def play(self, *arguments, directory="run", start=True):
        player = Player(self, self.replayed, "--as", self.replayed, *arguments, self.path(directory))
        return player.start() if start else player.launch()

    def attach(self, ring="data", **options):
        reader = readers.Reader(self.replayed, ring, **options)
        self.addCleanup(lambda: reader.handle and reader.detach())
        return reader

    def read(self, reader, count):
        """[(number, tai_ns, flags, cause, lost_before, payload in hex)]"""
        rows = []

        def enough():
            while len(rows) < count and (got := reader.next()) is not None:
                f, payload = got
                self.assertTrue(reader.valid(f))
                rows.append((f.source_sequence, f.tai_ns, f.flags, f.cause, f.lost_before, payload.hex()))
            reader.release()
            return len(rows) >= count

        wait_until(enough, lambda: f"{count} frames, found {len(rows)}", pause_s=0.001)
        return rows

    def assert_same(self, rows, items):
        self.assertEqual(len(rows), len(items))
        for row, item in zip(rows, items):
            if item[0] is None:  # the recorder's own
                self.assertEqual((row[2], row[3], row[4]), tuple(item[2:5]))
                self.assertEqual(struct.unpack_from("<IIQ", bytes.fromhex(row[5])), (item[3], 0, item[4]))
            else:
                self.assertEqual((row[0], *row[2:]), (item[0], *item[2:]))

    def refused(self, *arguments, code=2):
        done = self.cli("replay", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stderr


class Rings(ReplayCase):
    def test_same_frames_and_ledger(self):
        """As fast as a gating reader allows: it gets every frame and gap record, byte for byte, in order."""
        made = self.make(frames=30000)
        player = self.play("--speed", "fastest", "--wait-reader", "data", "--json")
        reader = self.attach(mode=GATING, start=OLDEST)
        self.assert_same(self.read(reader, len(made["items"])), made["items"])
        self.assertEqual((reader.lost, reader.state), (0, "gating"))
        player.wait_played()
        stream = wait_until(lambda: (s := player.stream("data")) and s, "the stream")
        self.assert_balanced(stream)
        self.assertEqual({key: stream[key] for key in ("sent", "delivered", "duplicated", "reordered", "lost")}, made["ledger"])
        self.assertIn("1 gap of the recorder's own", player.log())
        said = json.loads(next(line for line in player.log().split("\n") if line.startswith("{")))
        self.assertEqual((said["instance"], said["silent_rings"], said["speed"]), (self.replayed, ["udp"], 0))
        self.assertEqual(player.end(), 0)
        self.assert_nothing_left(player)

    def test_times_and_tail(self):
        """The stamps are moved by one constant and scaled by the speed; top, tail and status take it for live."""
        made = self.make(frames=400, step_us=1000, events=False)
        player = self.play("--speed", "4")
        player.wait_played()
        reader = self.attach(start=OLDEST)
        rows = self.read(reader, 400)
        self.assert_same(rows, made["items"])
        for row, item in zip(rows, made["items"]):
            self.assertAlmostEqual(4 * (row[1] - rows[0][1]), item[1] - made["items"][0][1], delta=8)
        now_ns = time.clock_gettime_ns(time.CLOCK_TAI)
        self.assertTrue(0 <= now_ns - rows[-1][1] < 60e9)
        tail = player.cli("tail", self.replayed, "data", "--oldest", "--count", "3", "--json")
        self.assertEqual(tail.returncode, 0, tail.stderr)
        self.assertEqual([json.loads(line)["source_sequence"] for line in tail.stdout.split("\n") if line],
                         [item[0] for item in made["items"][:3]])
        self.assertEqual(player.cli("top", self.replayed, "--once").returncode, 0)

    def test_original_stamps(self):
        made = self.make(frames=50, events=False)
        player = self.play("--original-stamps", "--speed", "fastest")
        player.wait_played()
        rows = self.read(self.attach(start=OLDEST), 50)
        self.assertEqual([row[1] for row in rows], [item[1] for item in made["items"]])

    def test_loop(self):
        """Positions and numbers go on, nothing is lost between two rounds."""
        made = self.make(frames=200, step_us=100)
        count = len(made["items"])
        player = self.play("--loop", "--speed", "fastest", "--wait-reader", "data")
        reader = self.attach(mode=GATING, start=OLDEST)
        rows = self.read(reader, 3 * count)
        numbers = [item[0] for item in made["items"] if item[0] is not None]
        span = max(numbers) + 1 - min(numbers)
        for turn in range(3):
            part = rows[turn * count:(turn + 1) * count]
            moved = [(row[0] - turn * span, *row[1:]) for row in part]
            self.assert_same(moved, made["items"])
        reader.detach()
        self.assertEqual(player.end(signal.SIGINT), 0)
        self.assert_nothing_left(player)

    def test_slice(self):
        """--from and --to by seconds, and by TAI ns."""
        made = self.make(frames=1000, step_us=1000, events=False)
        items = made["items"]
        player = self.play("--from", "0.25", "--to", f"@{items[500][1]}", "--speed", "fastest")
        player.wait_played()
        self.assertIn(": 250 frames", player.log())
        self.assert_same(self.read(self.attach(start=OLDEST), 250), items[250:500])
        player.end()
        self.assertIn("expected a part of the recording's", self.refused("--from", "5", self.path("run")))
        self.assertIn("expected seconds since the begin", self.refused("--from", "noon", self.path("run")))

    def test_two_rings_together(self):
        """Rings of one run begin together; one that is not asked for is silent, and its channels are stale."""
        for ring in ("udp", "data"):
            self.make(ring, frames=300, step_us=1000, events=False)
        player = self.play()
        player.wait_played(2)
        first = [self.read(self.attach(ring, start=OLDEST), 1)[0][1] for ring in ("udp", "data")]
        self.assertEqual(first[0], first[1])
        player.end()
        player = self.play("--ring", "data", "--speed", "fastest")
        player.wait_played()
        status = player.wait_status(lambda s: s["channels"], "channels")
        self.assertEqual({channel["quality"] for channel in status["channels"]}, {"stale"})
        self.assertIn("ring udp is silent: it is not played, and its channels are stale", player.log())

    def test_worker_dies(self):
        """It plays from the begin again, and says in the ring that it was gone."""
        self.make(frames=300, step_us=20000, events=False)
        player = self.play()
        player.kill(player.worker())
        reader = self.attach(start=OLDEST)
        wait_until(lambda: reader.epoch > 1, "the next worker")
        gap = wait_until(lambda: next((row for row in self.read(reader, 1) if row[2] & GAP), None), "the gap record")
        self.assertEqual(readers.LIB.sluice_loss_name(gap[3]), b"restart")


class Outputs(ReplayCase):
    def test_nothing_is_touched(self):
        """The recorded configuration drives a file, a datagram socket and Modbus coils; has a watchdog, an audit log, a
        black box. Nothing of that is opened, made or spoken to by its replay."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        coils = socket.socket()
        coils.bind(("127.0.0.1", 0))
        coils.listen()
        for s in (udp, coils):
            self.addCleanup(s.close)
            s.setblocking(False)
        valve = self.write("valve", "as it was\n")
        before = os.stat(valve)
        outputs = [{"name": "a", "kind": "file", "target": valve},
                   {"name": "b", "kind": "udp", "target": f"127.0.0.1:{udp.getsockname()[1]}"},
                   {"name": "c", "kind": "modbus", "target": f"127.0.0.1:{coils.getsockname()[1]}"},
                   {"name": "d", "kind": "file", "target": self.path("other-valve"),
                    "feedback": {"channel": "chamber_pressure", "energised_at": 50, "safe_at": 20, "time_ms": 100}}]
        text = self.text(outputs)
        text["control"]["watchdog"] = {"device": self.path("watchdog")}
        text["audit"] = {"file": self.path("audit.log")}
        text["black_box"] = {"directory": self.path("trips")}
        text["recorders"] = [{"name": "r", "directories": [self.path("recordings")]}]
        self.make("udp", frames=2000, step_us=1000, events=False, text=text)
        player = self.play("--loop")
        for command in ("reset", "arm"):
            wait_until(lambda c=command: player.cli(c, self.replayed).returncode == 0, command)
        status = player.wait_status(lambda s: s["interlock"]["trips"] > 0, "the trip that the recording has in it")
        self.assertEqual(status["interlock"]["first_out"]["rule"] if isinstance(status["interlock"]["first_out"], dict)
                         else "overpressure", "overpressure")
        self.assertEqual({output["name"] for output in status["outputs"]}, {"a", "b", "c", "d"})
        names = set(player.children().values())
        self.assertNotIn("sluice-actuator", names)
        self.assertNotIn("sluice-blackbox", names)
        self.assertNotIn("sluice-recorder", names)
        for pid in [player.pid, *player.children()]:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            self.assertFalse([link for link in links if "valve" in link or "watchdog" in link or "audit" in link], links)
        player.end()
        for s in (udp, coils):
            with self.assertRaises(BlockingIOError):
                s.accept() if s is coils else s.recv(100)
        after = os.stat(valve)
        self.assertEqual((before.st_mtime_ns, before.st_ctime_ns, before.st_size), (after.st_mtime_ns, after.st_ctime_ns, after.st_size))
        for name in ("other-valve", "watchdog", "audit.log", "trips", "recordings", "state"):
            self.assertFalse(os.path.exists(self.path(name)), name)

    def test_shadow_is_no_word_of_a_configuration(self):
        text = self.text([{"name": "a", "kind": "shadow", "target": self.path("valve")}])
        done = self.cli("check", self.write("shadow.yaml", text))
        self.assertEqual(done.returncode, 2)
        self.assertIn("kind", done.stderr + done.stdout)


class Refusals(ReplayCase):
    def test_refusals(self):
        self.make(frames=20, events=False)
        run = self.path("run")
        self.assertIn("not in this recording", self.refused("--ring", "nowhere", run))
        self.assertIn("not in this recording", self.refused("--stream", "nowhere", run))
        self.assertIn("that ring is not played", self.refused("--wait-reader", "udp", run))
        self.assertIn("--speed wants", self.refused("--speed", "0", run))
        self.assertIn("--speed wants", self.refused("--speed", "quick", run))
        self.assertIn("for foreign files", self.refused("--period-ms", "1", run))
        self.assertIn("have no part in", self.refused("--own-rules", "--loop", run))
        os.mkdir(self.path("empty"))
        self.assertIn("expected a recording", self.refused(self.path("empty")))
        self.assertIn("--config FILE", self.refused(self.write("x.csv", "a\n1\n")))
        os.makedirs(self.path("other"))
        self.make(frames=20, events=False, directory="other")
        self.assertIn("expected one run", self.refused(run, self.path("other")))

    def test_channels_must_agree(self):
        """By name, type, place and calibration; the difference is named. Limits and rules may differ."""
        self.make("udp", frames=20, events=False)
        changes = (("at_byte", 15, "at_byte"), ("scale", 2.0, "scale"), ("type", "i32", "has f32, the configuration i32"),
                   ("unit", "bar", "unit"), ("name", "other", "channel chamber_pressure where the configuration has other"))
        for key, value, said in changes:
            text = self.text()
            text["sources"][0]["channels"][0][key] = value
            text["rules"][0]["channel"] = text["sources"][0]["channels"][0]["name"]
            told = self.refused("--config", self.write("changed.yaml", text), self.path("run"))
            self.assertIn(said, told)
        text = self.text()
        del text["sources"][0]["channels"][3]
        self.assertIn("has 4 channels, the configuration 3", self.refused("--config", self.write("few.yaml", text), self.path("run")))
        text = self.text()
        text["sources"][0]["channels"][0]["range"] = [0, 1000]
        text["rules"] = [{"name": "new", "channel": "chamber_pressure", "high": 110}]
        player = self.play("--config", self.write("rules.yaml", text), "--speed", "fastest")
        player.wait_played()

    def test_a_simulator(self):
        """A source of kind recording in an ordinary configuration; its errors are the source's, not the server's."""
        made = self.make("udp", frames=100, step_us=1000, events=False)
        text = self.text()
        text["sources"][0] = {"name": "udp", "kind": "recording", "worker": "sensors", "ring": "udp", "path": self.path("run"),
                              "frame_bytes": 32, "channels": support.channels(), "speed": 0}
        text["sources"][1] = {"name": "data", "kind": "recording", "worker": "sensors", "ring": "data",
                              "path": self.path("nowhere"), "frame_bytes": 64}
        server = self.server(text).start()
        self.instance = server.instance
        wait_until(lambda: "played to its end: 100 frames" in server.log(), server.log)
        wait_until(lambda: "source data: cannot play" in server.log(), server.log)
        reader = readers.Reader(server.instance, "udp", start=OLDEST)
        self.addCleanup(reader.detach)
        self.assert_same(self.read(reader, 100), made["items"])
        server.end()

    def test_keys(self):
        """What cannot be right is an error of the configuration."""
        good = {"name": "udp", "kind": "recording", "worker": "sensors", "ring": "udp", "path": "/x", "frame_bytes": 32,
                "channels": support.channels()}
        for change, said in (({"path": None}, "either path or paths"), ({"paths": ["/y"]}, "either path or paths"),
                             ({"speed": 1e9}, "times as fast"), ({"from_s": 3, "to_s": 2}, "behind from_s"),
                             ({"from_s": -1}, "from_s"), ({"wait_readers": 1}, "which its ring must take"),
                             ({"listen": "127.0.0.1:1"}, "belongs to kind"), ({"paths": ["x" * 250] * 5, "path": None}, "at most 32 paths")):
            text = self.text()
            text["sources"][0] = {key: value for key, value in {**good, **change}.items() if value is not None}
            done = self.cli("check", self.write("keys.yaml", text))
            self.assertEqual(done.returncode, 2, change)
            self.assertIn(said, done.stdout + done.stderr)


CSV_HEAD = "t,chamber_pressure,coolant_pressure,shroud_temperature,article\n"
COLUMNS = ("--column", "article=article_temperature", "--time", "t")


def csv_rows(count):
    return "".join(f"{1700000000 + i / 1000:.3f},{100 + i / 8},{300 + i / 1000:.3f},{20 - i / 100:.2f},{25.25}\n" for i in range(count))


def packet(port, payload, address="127.0.0.1", source=5000):
    udp = struct.pack(">HHHH", source, port, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton("127.0.0.1"),
                     socket.inet_aton(address))
    return b"\x02" * 12 + b"\x08\x00" + ip + udp


def pcap(packets):
    """Nanosecond stamps; packets: [(ns, bytes)]."""
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for ns, body in packets:
        data += struct.pack("<IIII", ns // 10**9, ns % 10**9, len(body), len(body)) + body
    return data


class Imports(ReplayCase):
    def imported(self, name, *arguments, ring, code=0):
        done = self.cli("import", "--config", self.write("import.yaml", self.text()), "--ring", ring, *arguments,
                        self.path(name), "-o", self.path("imported"), "--json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code != 0:
            self.assertFalse(os.path.exists(self.path("imported")))
            return done.stderr
        return json.loads(done.stdout)

    def write_bytes(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def test_csv_round_trip(self):
        self.write("a.csv", CSV_HEAD + csv_rows(200))
        done = self.imported("a.csv", *COLUMNS, ring="udp")
        self.assertEqual((done["frames"], done["lost"], done["refused"]), (200, 0, 0))
        self.assertEqual(done["first_tai_ns"], (1700000000 + TAI_MINUS_UTC_S) * 10**9)
        player = self.play("--speed", "fastest", directory="imported")
        player.wait_played()
        rows = self.read(self.attach("udp", start=OLDEST), 200)
        for i, row in enumerate(rows):
            data = bytes.fromhex(row[5])
            number, pressure, coolant, shroud, article = struct.unpack_from(">I8xfihh", data, 4)
            self.assertEqual((row[0], number), (i, i))
            self.assertEqual((pressure, coolant, shroud, article), (100 + i / 8, 300000 + i, 2000 - i, 2525))
            self.assertEqual(support.crc16(data[4:30]), struct.unpack_from(">H", data, 30)[0])

    def test_csv_errors_have_a_line(self):
        for row, said in (("1700000009,1e300,1,1,1", "line 12, column 2"), ("1700000009,1,9e9,1,1", "line 12, column 3"),
                          ("1700000009,1,1,x,1", "line 12, column 4"), ("1700000009,1,1,,1", "line 12, column 4"),
                          ("yesterday,1,1,1,1", "line 12: expected a time"), ("1600000000,1,1,1,1", "line 12: expected a time")):
            self.write("a.csv", CSV_HEAD + csv_rows(10) + row + "\n")
            self.assertIn(said, self.imported("a.csv", *COLUMNS, ring="udp", code=2))
        self.write("a.csv", CSV_HEAD + csv_rows(10))
        self.assertIn("expected one column for channel article_temperature", self.imported("a.csv", "--time", "t", ring="udp", code=2))
        self.assertIn("either --time COLUMN or --period-ms", self.imported("a.csv", ring="udp", code=2))
        self.assertIn("channels in them", self.imported("a.csv", *COLUMNS, ring="data", code=2))
        self.write("b.csv", "")
        self.assertIn("empty file", self.imported("b.csv", *COLUMNS, ring="udp", code=2))
        self.write("c.csv", "x" * 100000)
        self.assertIn("line 1: expected at most", self.imported("c.csv", *COLUMNS, ring="udp", code=2))

    def test_capture(self):
        """Payloads of the packets that the ring's source would have taken; a number that is missing is a loss."""
        numbers = [0, 1, 2, 5, 6, 7]
        base = 1700000000 * 10**9 + 123456789
        good = [(base + i * 1000, packet(14002, readers.content(n, 20))) for i, n in enumerate(numbers)]
        others = [(base, packet(14003, b"x" * 64)), (base, b"\x02" * 12 + b"\x08\x06" + b"\0" * 46)]
        self.write_bytes("a.pcap", pcap(others + good + [(base + 9000, packet(14002, b"short"))]))
        done = self.imported("a.pcap", ring="data")
        self.assertEqual((done["frames"], done["skipped"], done["lost"], done["refused"]), (7, 2, 2, 1))
        self.assertEqual(done["first_tai_ns"], base + TAI_MINUS_UTC_S * 10**9)
        player = self.play("--original-stamps", directory="imported")
        player.wait_played()
        rows = self.read(self.attach(start=OLDEST), 7)
        self.assertEqual([(row[0], row[5]) for row in rows[:6]], [(n, readers.content(n, 20).hex()) for n in numbers])
        self.assertEqual([row[1] - TAI_MINUS_UTC_S * 10**9 - base for row in rows[:6]], [i * 1000 for i in range(6)])
        self.assertEqual((rows[3][2], rows[3][4], rows[6][2] & GAP), (readers.LOST_BEFORE, 2, GAP))
        self.assert_balanced(player.stream("data"))

    def test_capture_errors(self):
        self.write_bytes("a.pcap", pcap([(0, packet(14002, readers.content(1, 20)))])[:-10])
        self.assertIn("expected a whole capture", self.imported("a.pcap", ring="data", code=2))
        self.write_bytes("b.pcap", b"no capture at all")
        self.assertIn("expected a capture", self.imported("b.pcap", ring="data", code=2))
        self.write_bytes("c.pcap", pcap([(0, packet(1, b""))]))
        self.assertIn("none of the 1 packets", self.imported("c.pcap", ring="data", code=2))
        self.write_bytes("d.bin", b"what is this")
        self.assertIn("expected a name that ends with", self.imported("d.bin", ring="data", code=2))

    def vdif_text(self, frame_bytes, rate):
        text = self.text()
        text["sources"][1] = {"name": "data", "kind": "udp", "worker": "sensors", "ring": "data", "listen": "127.0.0.1:14002",
                              "frame_bytes": frame_bytes, "stream": {"format": "vdif", "frames_per_second": rate}}
        text["rings"][1]["slots"] = 1024
        return text

    def vdif(self, count, frame_bytes=96, rate=100):
        return b"".join(struct.pack("<IIII", 5, 47 << 24 | i % rate, frame_bytes // 8, 0) + bytes([i % 251]) * (frame_bytes - 16)
                        for i in range(count))

    def test_vdif(self):
        """Frames as they are, each at the time that its header says: epoch 47 began on 1 July 2023."""
        data = self.vdif(50)
        self.write_bytes("a.vdif", data)
        config = self.write("vdif.yaml", self.vdif_text(96, 100))
        done = self.cli("import", "--config", config, "--ring", "data", self.path("a.vdif"), "-o", self.path("imported"), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["frames"], said["lost"]), (50, 0))
        self.assertEqual(said["first_tai_ns"], (1688169600 + 5 + TAI_MINUS_UTC_S) * 10**9)
        self.assertEqual(said["last_tai_ns"] - said["first_tai_ns"], 490 * 10**6)
        player = self.play("--speed", "fastest", directory="imported")
        player.wait_played()
        self.assertEqual("".join(row[5] for row in self.read(self.attach(start=OLDEST), 50)), data.hex())
        player.end()
        for cut, offset in ((len(data) - 10, 49 * 96), (100, 96)):
            self.write_bytes("b.vdif", data[:cut])
            done = self.cli("import", "--config", config, "--ring", "data", self.path("b.vdif"), "-o", self.path("b"))
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"offset {offset}:", done.stderr)

    def test_foreign_file_leaves_nothing(self):
        """Played at once: the directory in between is gone after Ctrl-C, and so is everything else."""
        self.write("a.csv", CSV_HEAD + csv_rows(200))
        config = self.write("import.yaml", self.text())
        os.mkdir(self.path("tmp"))
        player = Player(self, self.replayed, "--as", self.replayed, "--config", config, "--ring", "udp", *COLUMNS, "--loop",
                        self.path("a.csv"))
        player.environment["TMPDIR"] = self.path("tmp")
        player.start()
        self.assertEqual(len(os.listdir(self.path("tmp"))), 1)
        server = next(iter(player.children()))
        player.known.update(support.children(server))
        self.assertEqual(player.end(signal.SIGTERM), 0)
        self.assertEqual(os.listdir(self.path("tmp")), [])
        self.assert_nothing_left(player)


class BackTest(ReplayCase):
    def test_own_rules_and_others(self):
        """The engine over recordings: the trip, its frame, the margins; a directory of many runs is a table."""
        for name, frames in (("runs/one", 300), ("runs/two", 600)):
            self.make("udp", frames=frames, step_us=10000, events=False, directory=name)
        done = self.cli("replay", "--own-rules", "--json", self.path("runs/one"))
        self.assertEqual(done.returncode, 0, done.stderr)
        run = json.loads(done.stdout)["recordings"][0]
        self.assertEqual((run["kind"], run["frames"], run["trips"]), ("recording", 300, 1))
        self.assertEqual(run["trip"][0]["first_out"][0]["source_sequence"], 1200)
        self.assertEqual(run["margins"][0]["margin"], -50)
        text = self.text()
        text["rules"] = [{"name": "higher", "channel": "chamber_pressure", "high": 250}]
        rules = self.write("rules.yaml", text)
        done = self.cli("replay", "--rules", rules, "--json", self.path("runs"))
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual([run["trips"] for run in told["recordings"]], [0, 0])
        self.assertEqual((told["nearest"][0]["rule"], told["nearest"][0]["margin"]), ("higher", 50))
        table = self.cli("replay", "--own-rules", self.path("runs")).stdout
        self.assertEqual(table.count("overpressure"), 4)  # first out and nearest rule of each
        self.assertEqual(self.cli("replay", "--own-rules", "--no-arm", self.path("runs/one")).stdout.count("no trip"), 1)

    def test_rings_that_are_missing(self):
        self.make(frames=20, events=False)
        self.assertIn("which this recording does not have", self.refused("--own-rules", self.path("run")))


if __name__ == "__main__":
    support.main()
