#!/usr/bin/env python3
"""The evidence of a trip: what the black box writes, what becomes of it when the disk is full or the black box is killed,
and that the replay comes to the same decisions, bit for bit."""
import glob
import json
import os
import shutil
import subprocess
import time
import unittest

import support
from support import exists, wait_until

FILES = {"trip.json", "config.yaml", "table.bin", "checkpoint.bin", "journal.bin", "ring-udp.slr", "loop.csv", "state.json"}


class BlackBox(support.Case):
    def setUp(self):
        super().setUp()
        self.trips_dir = self.path("trips")

    def start(self, slots=4096, rules=None, hz=100, **black_box):
        options = {"directory": self.trips_dir, "pre_ms": 1200, "post_ms": 200, "room_mb": 16, **black_box}
        return self.udp_server(hz=hz, rules=rules, ring={"slots": slots}, top={"black_box": options})

    def trips(self):
        """Paths of the directories that are there, oldest first."""
        names = os.listdir(self.trips_dir) if os.path.isdir(self.trips_dir) else []
        return [os.path.join(self.trips_dir, n) for n in sorted(names) if not n.startswith(".")]

    def wait_trips(self, count):
        wait_until(lambda: len(self.trips()) >= count, lambda: f"{count} trip directories, there are {self.trips()}")
        return self.trips()

    def story(self, path):
        with open(os.path.join(path, "trip.json"), encoding="utf-8") as file:
            return json.load(file)

    def trip(self, server, sensor):
        """Armed, then one frame too high."""
        server.make_armed()
        before = server.status()["interlock"]["trips"]
        sensor.send(pressure=200.0)
        server.wait_status(lambda s: s["interlock"]["trips"] > before, "the trip")

    def replay(self, *arguments, code=0):
        done = self.cli("replay", "--json", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)["recordings"] if code != 2 else done.stderr

    def assert_identical(self, path):
        recording = self.replay(path)[0]
        self.assertTrue(recording["live"]["identical"], recording)
        self.assertGreater(recording["live"]["compared_steps"], 0)
        return recording

    def blackbox(self, server):
        return wait_until(lambda: server.child("sluice-blackbox"), "sluice-blackbox")


class Trips(BlackBox):
    def test_a_trip_makes_a_directory(self):
        """IL-072, IL-073"""
        server, sensor, _ = self.start()
        server.make_armed()
        armed = time.monotonic()
        wait_until(lambda: time.monotonic() - armed > 2.5, "as much as is wanted before the trip")
        self.trip(server, sensor)
        path = self.wait_trips(1)[0]
        self.assertEqual(set(os.listdir(path)), FILES)
        self.assertRegex(os.path.basename(path), r"^\d{8}T\d{6}\.\d{3}Z-trip1$")
        story = self.story(path)
        self.assertEqual(story["trip"], 1)
        self.assertEqual([c["rule"] for c in story["first_out"]], ["overpressure"])
        self.assertIn("chamber_pressure 200 kPa above 150", story["first_out"][0]["text"])
        self.assertEqual(story["missing"], [])
        self.assertEqual(story["journal"]["lost"], 0)
        with open(os.path.join(path, "config.yaml"), encoding="utf-8") as a, open(server.config_path, encoding="utf-8") as b:
            self.assertEqual(a.read(), b.read())
        with open(os.path.join(path, "state.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["state"], "tripped")
        # From pre_ms before to post_ms after the trip, at 100 frames a second.
        ring = story["rings"][0]
        self.assertLessEqual(ring["first_tai_ns"], story["tai_ns"] - 1_100_000_000)
        self.assertGreater(ring["last_tai_ns"], story["tai_ns"])
        recording = self.assert_identical(path)
        self.assertEqual(recording["trips"], 1)
        self.assertEqual(recording["trip"][0]["first_out"][0]["rule"], "overpressure")
        self.assertEqual(recording["live"]["not_compared_steps"], 0)
        self.assertGreater(recording["live"]["checkpoints"], 0)
        self.assertEqual(recording["margins"][0]["margin"], -50)
        # Other limits on the same frames: this one would have let it pass, that one not.
        with open(server.config_path, encoding="utf-8") as file:
            text = json.load(file)
        for high, trips in ((250, 0), (120, 1)):
            text["rules"][0]["high"] = high
            with open(self.path("rules.yaml"), "w", encoding="utf-8") as file:
                json.dump(text, file)
            recording = self.replay("--rules", self.path("rules.yaml"), path)[0]
            self.assertEqual((recording["trips"], recording["live_trips"]), (trips, 1))
            self.assertEqual(recording["margins"][0]["margin"], high - 200)
        text["sources"][0]["channels"][0]["name"] = text["rules"][0]["channel"] = "other"
        with open(self.path("rules.yaml"), "w", encoding="utf-8") as file:
            json.dump(text, file)
        self.assertIn("other, which this recording does not have", self.replay("--rules", self.path("rules.yaml"), path, code=2))
        self.assertIn("blackbox", server.processes())

    def test_control_killed_while_armed(self):
        server, _, _ = self.start()
        server.make_armed()
        server.kill(server.control())
        path = self.wait_trips(1)[0]
        story = self.story(path)
        self.assertEqual([c["kind"] for c in story["first_out"]], ["control_died"])
        self.assert_identical(path)

    def test_every_form_of_rule_is_replayed(self):
        """IL-073: Noise, late and repeated frames, a worker that dies: whatever the interlock made of it, the replay does, too."""
        rules = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150, "low": 5, "hysteresis": 2,
                  "pre_alarm_high": 140, "on_delay_samples": 2},
                 {"name": "ramp", "channel": "chamber_pressure", "rate_high": 4000, "rate_low": -4000, "window_ms": 40},
                 {"name": "frozen", "channel": "shroud_temperature", "stuck_ms": 800, "band": 0.01, "role": "alarm"},
                 {"name": "counter", "channel": "coolant_pressure", "heartbeat_ms": 300},
                 {"name": "apart", "channel": "shroud_temperature", "deviates_from": "article_temperature", "by": 30,
                  "role": "alarm"},
                 {"name": "cold", "channel": "shroud_temperature", "low": -150, "role": "permit"},
                 {"name": "held", "channel": "article_temperature", "high": 29, "role": "hold", "outputs": ["supply_open"]},
                 {"name": "two", "vote": 2, "of": ["a", "b", "c"], "role": "alarm"}]
        conditions = [{"name": "a", "channel": "chamber_pressure", "high": 100},
                      {"name": "b", "channel": "article_temperature", "high": 25},
                      {"name": "c", "channel": "shroud_temperature", "high": 20, "off_delay_ms": 30}]
        options = {"directory": self.trips_dir, "pre_ms": 3000, "post_ms": 1500, "room_mb": 16}
        server, sensor, _ = self.udp_server(hz=400, rules=rules, start=False,
                                            top={"black_box": options, "conditions": conditions})
        random = __import__("random").Random(7)
        plain = sensor.put

        def put(data):
            """Some frames twice, some late, some not at all."""
            chance = random.random()
            sensor.values = {"pressure": random.gauss(100, 4), "coolant_kpa": random.uniform(200, 400),
                             "shroud": random.gauss(20, 1), "article": random.gauss(26, 1)}
            if chance < 0.02:
                sensor.late = data
            elif chance < 0.98:
                plain(data)
                if chance < 0.04:
                    plain(data)
                if chance < 0.06 and sensor.late:
                    plain(sensor.late)
                    sensor.late = None

        sensor.late = None
        sensor.put = put
        server.start()
        sensor.start()
        server.make_armed()
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 3, "some noise")
        server.make_armed()
        server.kill(server.worker())
        wait_until(lambda: self.trips(), "a report")
        for path in self.trips():
            recording = self.assert_identical(path)
            print("steps compared", recording["live"]["compared_steps"], "checkpoints", recording["live"]["checkpoints"],
                  "trips", recording["trips"], [(a["rule"], a["count"]) for a in recording["alarm"]])
            self.assertEqual(recording["live"]["not_compared_steps"], 0, recording["notes"])

    def test_a_second_trip_is_in_the_same_report(self):
        server, sensor, _ = self.start(post_ms=6000)
        self.trip(server, sensor)
        self.trip(server, sensor)
        path = self.wait_trips(1)[0]
        self.assertEqual([t["trip"] for t in self.story(path)["trips"]], [1, 2])
        self.assertEqual(self.assert_identical(path)["trips"], 2)
        self.trip(server, sensor)
        self.assertEqual(self.story(self.wait_trips(2)[1])["trip"], 3)

    def test_only_so_many_are_kept(self):
        server, sensor, _ = self.start(keep=2, post_ms=0)
        for n in range(1, 5):
            self.trip(server, sensor)
            wait_until(lambda n=n: [p for p in self.trips() if p.endswith(f"-trip{n}")], f"the report of trip {n}")
        wait_until(lambda: len(self.trips()) == 2, "two directories")
        self.assertEqual([self.story(p)["trip"] for p in self.trips()], [3, 4])

    def test_stopped_in_the_middle_of_a_report(self):
        server, sensor, _ = self.start(post_ms=60000)
        self.trip(server, sensor)
        self.assertEqual(server.end(), 0)
        self.assertEqual(len(self.trips()), 1)
        story = self.story(self.trips()[0])
        self.assertTrue(story["window"]["ended_early"])
        self.assertTrue([m for m in story["missing"] if "stopped before post_ms" in m])
        self.assert_identical(self.trips()[0])
        self.assert_nothing_left(server)

    def test_server_killed_in_the_middle_of_a_report(self):
        server, sensor, _ = self.start(post_ms=60000)
        self.trip(server, sensor)
        server.children()
        server.kill(server.pid)
        self.assert_identical(self.wait_trips(1)[0])
        wait_until(lambda: not any(exists(pid) for pid in server.known), "the end of its processes")

    def test_a_short_ring_says_what_is_missing(self):
        server, sensor, _ = self.start(slots=32)
        server.make_armed()
        wait_until(lambda: server.stream("udp")["delivered"] > 200, "some frames")
        self.trip(server, sensor)
        story = self.story(self.wait_trips(1)[0])
        self.assertTrue([m for m in story["missing"] if "overwritten before they could be copied" in m], story["missing"])
        self.assertGreater(story["rings"][0]["missing"], 0)
        # What is there is compared all the same, from the next whole checkpoint on.
        done = self.cli("replay", self.trips()[0])
        self.assertNotIn("DIFFERENT", done.stdout)
        self.assertIn("could not be compared", done.stdout)

    def test_it_can_change_nothing(self):
        """Of all that it maps its own board is writable, and nothing else."""
        server, _, _ = self.start()
        pid = self.blackbox(server)
        regions = json.loads(self.cli("map", self.instance, "--json").stdout)["regions"]
        writable = {r["kind"] for r in regions for m in r["mappings"] if m["pid"] == pid and m["writable"]}
        mapped = {r["kind"] for r in regions for m in r["mappings"] if m["pid"] == pid}
        self.assertEqual(writable, {"blackbox_board"})
        self.assertEqual(mapped, {"blackbox_board", "blackbox_plan", "config", "table", "control_board", "journal", "ring"})
        screen = self.cli("status", self.instance).stdout
        self.assertIn("black box: ready, 0 reports written", screen)

    def test_without_it_nothing_is_started(self):
        server, _, _ = self.udp_server()
        self.assertNotIn("sluice-blackbox", server.children().values())
        self.assertNotIn("blackbox", server.processes())

    def test_bad_configurations(self):
        for key, value, says in (("directory", "trips", "absolute path"), ("pre_ms", 5, "10 to 60000 ms"),
                                 ("keep", 0, "1 to 100000"), ("room_mb", 1, "8 to 1000000 MiB"), ("colour", 1, "colour")):
            text = support.config(self.instance, [support.udp_source(1234)], support.outputs_to("127.0.0.1:9"))
            text["black_box"] = {key: value}
            path = self.path("bad.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(text, file, indent=1)
            done = self.cli("check", path)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(says, done.stderr)


class Faults(BlackBox):
    def test_killed(self):
        """kill -9 of the black box: started again, control undisturbed, the next trip is reported."""
        server, sensor, actuator = self.start()
        server.make_armed()
        control = server.control()
        first = self.blackbox(server)
        killed_ns = time.time_ns()
        server.kill(first)
        wait_until(lambda: server.child("sluice-blackbox") not in (None, first), "a new one")
        server.wait_status(lambda s: server.processes(s)["blackbox"]["alive"], "it on the board")
        self.assertEqual(server.control(), control)
        self.assertFalse([c for c in actuator.since(killed_ns) if not c.energised], "the permit was withdrawn")
        self.trip(server, sensor)
        self.assert_identical(self.wait_trips(1)[0])

    def test_killed_while_it_writes(self):
        """Nothing half-written stays, and its successor reports what there still is."""
        server, sensor, _ = self.start(post_ms=3000)
        self.trip(server, sensor)
        wait_until(lambda: glob.glob(os.path.join(self.trips_dir, ".writing-*-trip", "ring-udp.slr")), "a report under way")
        first = self.blackbox(server)
        server.kill(first)
        wait_until(lambda: server.child("sluice-blackbox") not in (None, first), "a new one")
        path = self.wait_trips(1)[0]
        self.assertEqual(self.story(path)["trip"], 1)
        self.assertEqual(set(os.listdir(path)), FILES)
        self.assertFalse(glob.glob(os.path.join(self.trips_dir, ".writing-*")))

    def small_disk(self, size_mb):
        os.mkdir(self.trips_dir)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", self.trips_dir],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"SKIPPED, cannot mount a small tmpfs: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.trips_dir], check=False)

    def fill(self):
        with open(os.path.join(self.trips_dir, ".filler"), "wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 65536) > 0:
                    pass
            except OSError:
                pass

    def refusals(self, server):
        return [r for r in server.processes()["blackbox"]["refusals"] if "lost" in r or "room" in r]

    def test_full_disk(self):
        """IL-072: The report is lost and said to be; the trip is not; nothing half-written; room again: reported again."""
        self.small_disk(12)
        server, sensor, actuator = self.start(room_mb=8)
        server.make_armed()
        control = server.control()
        self.fill()
        wait_until(lambda: "no room for a report" in server.log(), "the word that there is no room")
        self.trip(server, sensor)
        actuator.wait_permit(False)
        wait_until(lambda: "the report of trip 1 is lost" in server.log(), "the word that it is lost")
        self.assertEqual(self.trips(), [])
        self.assertEqual(os.listdir(self.trips_dir), [".filler"])
        self.assertEqual(server.control(), control)
        self.assertTrue(self.refusals(server))
        os.unlink(os.path.join(self.trips_dir, ".filler"))
        # Not to make a race of it: until the next probe it would still be refused to arm where that is configured.
        self.trip(server, sensor)
        self.assert_identical(self.wait_trips(1)[0])

    def test_directory_cannot_be_written(self):
        """IL-072"""
        with open(self.trips_dir, "w", encoding="ascii"):
            pass
        server, sensor, actuator = self.start()
        wait_until(lambda: "no room for a report" in server.log(), "the refusal")
        self.trip(server, sensor)
        actuator.wait_permit(False)
        wait_until(lambda: "the report of trip 1 is lost" in server.log(), "the word that it is lost")

    def test_damaged_directories(self):
        server, sensor, _ = self.start()
        self.trip(server, sensor)
        good = self.wait_trips(1)[0]
        server.end()
        damaged = self.path("damaged")

        def refused(says):
            error = self.replay(damaged, code=2)
            self.assertIn(says, error)

        for name in sorted(FILES - {"loop.csv", "state.json", "config.yaml"}):
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(good, damaged)
            path = os.path.join(damaged, name)
            with open(path, "rb") as file:
                data = file.read()
            os.unlink(path)
            refused(name)
            with open(path, "wb") as file:
                file.write(data[: len(data) // 2])
            refused(name)
            if name != "trip.json":
                with open(path, "wb") as file:
                    file.write(data[:100] + bytes([data[100] ^ 4]) + data[101:])
                refused("changed or damaged")
        for wrong, says in (({}, "format"), ([], "object"), ({"format": 2}, "format 1"),
                            ({"format": 1, "files": [{"name": "table.bin"}]}, "table.bin"),
                            ({"format": 1, "files": 7, "rings": [1] * 100}, "table.bin")):
            with open(os.path.join(damaged, "trip.json"), "w", encoding="utf-8") as file:
                json.dump(wrong, file)
            refused(says)


def csv_rules(channels, rules):
    """A rules file for recordings: only channels and rules count."""
    source = {"name": "csv", "kind": "udp", "worker": "w", "ring": "csv", "listen": "127.0.0.1:9", "frame_bytes": 8 * len(channels),
              "channels": [{"name": n, "at_byte": 8 * i, "type": "f64", "unit": u, "range": r, "stale_ms": s}
                           for i, (n, u, r, s) in enumerate(channels)]}
    return {"instance": "csv", "workers": [{"name": "w"}], "rings": [{"name": "csv", "slots": 64}], "sources": [source],
            "rules": rules, "outputs": support.outputs_to("127.0.0.1:9")}


class Csv(BlackBox):
    def rules(self, *arguments):
        path = self.path(f"rules{self.count()}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(csv_rules(*arguments), file, indent=1)
        return path

    def shared(self, name):
        path = os.path.join(support.SHARED, "data", name)
        if not os.path.exists(path):
            raise unittest.SkipTest(f"SKIPPED, there is no {path}")
        return path

    def test_small_files(self):
        rules = self.rules([("p", "bar", [-10, 10], 3000)], [{"name": "high", "channel": "p", "high": 5}])
        with open(self.path("a.csv"), "w", encoding="ascii") as file:
            file.write("t,p\n" + "".join(f"{i},{6 if i == 7 else 1}\n" for i in range(20)))
        with open(self.path("b.csv"), "w", encoding="ascii") as file:
            file.write("t,p\n" + "".join(f"{i},1.5\n" for i in range(20)))
        a, b = self.replay("--rules", rules, "--time", "t", self.path("a.csv"), self.path("b.csv"))
        self.assertEqual((a["kind"], a["rows"], a["trips"], b["trips"]), ("csv", 20, 1, 0))
        self.assertEqual(a["trip"][0]["first_out"][0]["source_sequence"], 7)
        self.assertEqual((b["margins"][0]["margin"], b["margins"][0]["margin_percent"]), (3.5, 70))
        table = self.cli("replay", "--rules", rules, "--time", "t", self.path("a.csv"), self.path("b.csv"))
        self.assertEqual(len(table.stdout.splitlines()), 6, table.stdout)  # and the rules over all of them
        for arguments, says in ((("--rules", rules, self.path("a.csv")), "--time COLUMN or --period-ms"),
                                ((self.path("a.csv"),), "needs --rules"),
                                (("--rules", rules, "--time", "t", "--column", "x", self.path("a.csv")), "COLUMN=CHANNEL"),
                                (("--rules", rules, "--time", "t", self.path("none.csv")), "cannot read")):
            self.assertIn(says, self.replay(*arguments, code=2))

    def test_a_water_circuit(self):
        """skab: semicolons, dates, columns of other names, several files; the same answer every time."""
        rules = self.rules([("current", "A", [0, 10], 10000), ("flow", "l/min", [-50, 500], 10000)],
                           [{"name": "flow_low", "channel": "flow", "low": 28, "on_delay_samples": 3}])
        options = ("--rules", rules, "--delimiter", ";", "--time", "datetime", "--column", "Volume Flow RateRMS=flow",
                   "--column", "Current=current")
        free = self.replay(*options, self.shared("skab/anomaly-free/anomaly-free.csv"))[0]
        files = sorted(glob.glob(self.shared("skab/valve1") + "/*.csv") + glob.glob(self.shared("skab/valve2") + "/*.csv"))
        runs = self.replay(*options, *files)
        self.assertGreater(free["rows"], 1000)
        for run in (free, *runs):
            print(os.path.relpath(run["recording"], support.SHARED), "rows", run["rows"], "trips", run["trips"],
                  "margin l/min", run["margins"][0]["margin"])
        self.assertTrue(all(run["rows"] > 100 for run in runs))
        # The same recording gives the same answer every time.
        self.assertEqual(runs, self.replay(*options, *files))

    def test_a_large_machine(self):
        """nab: one value per 5 minutes; its temperature falls far below the usual when it fails."""
        rules = self.rules([("temperature", "degF", [-50, 200], 3600000)],
                           [{"name": "cold", "channel": "temperature", "low": 40}])
        run = self.replay("--rules", rules, "--time", "timestamp", "--column", "value=temperature",
                          self.shared("nab/machine_temperature_system_failure.csv"))[0]
        self.assertGreater(run["rows"], 20000)
        self.assertGreater(run["trips"], 0)
        print("nab: rows", run["rows"], "trips", run["trips"], "margin", run["margins"][0])


if __name__ == "__main__":
    support.main()
