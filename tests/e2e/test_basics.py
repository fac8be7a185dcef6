#!/usr/bin/env python3
"""The server as an operator meets it: every key of --json, every command, latching, outputs, delays."""
import json
import os
import stat
import time

import support
from support import Actuator, Command, SensorUdp, config, free_udp_port, outputs_to, udp_source, wait_until

NUMBER = (int, float)

# What scripts may rely on: the keys of DESIGN.md, and nothing that is not.
PROCESS = {"name": str, "pid": int, "core": int, "policy": str, "pss_kb": NUMBER, "alive": bool}
RING = {"name": str, "slot_bytes": int, "slots": int, "page_bytes": int, "published": int, "rate_hz": NUMBER, "lost": int,
        "readers": list}
READER = {"pid": int, "mode": str, "lag_frames": int, "lost": int}
STREAM = {"name": str, "ring": str, "sent": int, "delivered": int, "lost": dict, "duplicated": int, "reordered": int,
          "residual": int}
CHANNEL = {"name": str, "value": NUMBER, "quality": str, "unit": str, "age_ns": int}
INTERLOCK = {"state": str, "armed": bool, "trips": int, "first_out": dict, "causes": list, "bypasses": list}
OUTPUT = {"name": str, "energised": bool, "feedback": str}
HOP = {"count": int, "p50": int, "p99": int, "p999": int, "max": int}
LOSSES = {"sender", "kernel", "nic", "ring_full", "late", "malformed", "truncated", "restart"}


class Basics(support.Case):
    def assert_keys(self, thing, keys):
        for key, kinds in keys.items():
            self.assertIn(key, thing)
            self.assertIsInstance(thing[key], kinds, f"{key} of {thing}")
            if kinds is not bool and bool not in (kinds if isinstance(kinds, tuple) else (kinds,)):
                self.assertNotIsInstance(thing[key], bool, f"{key} of {thing}")

    def test_status_has_every_key(self):
        server, _, _ = self.udp_server()
        tail = server.tail("udp")
        status = server.wait_status(
            lambda s: s["rings"][0]["readers"] and s["channels"][0]["quality"] == "good" and s["interlock"]["first_out"],
            "a reader, good channels, a first-out")
        self.assertEqual(status["instance"], self.instance)
        self.assertIsInstance(status["uptime_s"], float)
        self.assertEqual([p["name"] for p in status["processes"]], ["sluiced", "control", "sensors", "observer"])
        for process in status["processes"]:
            self.assert_keys(process, PROCESS)
            self.assertTrue(process["alive"])
            self.assertGreater(process["pss_kb"], 100)
        self.assertEqual(status["processes"][0]["pid"], server.pid)
        for ring in status["rings"]:
            self.assert_keys(ring, RING)
        for reader in status["rings"][0]["readers"]:
            self.assert_keys(reader, READER)
            self.assertEqual((reader["pid"], reader["mode"]), (tail.process.pid, "observer"))
        for stream in status["streams"]:
            self.assert_keys(stream, STREAM)
            self.assertEqual(set(stream["lost"]), LOSSES)
            self.assert_balanced(stream)
        self.assertEqual(len(status["channels"]), 4)
        for channel in status["channels"]:
            self.assert_keys(channel, CHANNEL)
            self.assertEqual(channel["quality"], "good")
        self.assertEqual([round(c["value"], 3) for c in status["channels"]], [100, 300, 20, 25])
        self.assertEqual([c["unit"] for c in status["channels"]], ["kPa", "kPa", "degC", "degC"])
        self.assert_keys(status["interlock"], INTERLOCK)
        self.assertEqual(status["interlock"]["first_out"]["kind"], "startup")
        for output in status["outputs"]:
            self.assert_keys(output, OUTPUT)
            self.assertFalse(output["energised"])
        self.assertGreater(len(status["latency_ns"]), 0)
        for hop in status["latency_ns"].values():
            self.assert_keys(hop, HOP)
        self.assertGreater(status["latency_ns"]["arrival_to_decided"]["count"], 0)

    def test_commands_print_for_people_and_for_programs(self):
        server, sensor, _ = self.udp_server()
        with open(server.config_path, encoding="utf-8") as file:
            self.assertIn("instance", file.read())
        done = server.cli("check", server.config_path)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        for command in ("status", "latency", "ledger"):
            for options in ([], ["--json"], [self.instance]):
                done = server.cli(command, *options)
                self.assertEqual(done.returncode, 0, done)
                self.assertTrue(done.stdout.strip())
                if options == ["--json"]:
                    json.loads(done.stdout)
        for word in ("control", "sensors", "udp", "chamber_pressure", "kPa", "tripped"):
            self.assertIn(word, server.cli("status").stdout)
        done = server.cli("tail", "--count", "3", "udp")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("chamber_pressure 100 kPa", done.stdout)
        frames = [json.loads(line) for line in server.cli("tail", "--json", "--count", "5", "udp").stdout.splitlines()]
        self.assertEqual(len(frames), 5)
        positions = [f["position"] for f in frames]
        self.assertEqual(positions, list(range(positions[0], positions[0] + 5)))
        self.assertEqual(frames[0]["length_bytes"], 32)
        self.assertAlmostEqual(frames[0]["values"]["coolant_pressure"], 300)
        with sensor.paused():
            ledger = json.loads(server.cli("ledger", "--json").stdout)
            self.assertIn("residual", json.dumps(ledger))

    def test_wrong_use_is_told_apart(self):
        server, _, _ = self.udp_server()
        self.assertEqual(server.cli("tail", "nosuch").returncode, 1)
        self.assertIn("udp", server.cli("tail", "nosuch").stderr)
        self.assertEqual(server.cli("status", "nosuch").returncode, 3)
        self.assertIn("sluiced FILE.yaml", server.cli("status", "nosuch").stderr)
        for arguments in ([], ["nosuch"], ["status", "--nosuch"], ["tail"], ["check"], ["arm", "a", "b"],
                          ["tail", "--count", "x", "udp"], ["status", "--watch", "0"]):
            done = server.cli(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr, arguments)

    def test_life_of_a_trip(self):
        server, sensor, actuator = self.udp_server()
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        # Arming before the reset is refused and says what to do.
        done = server.cli("arm")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("sluice reset", done.stderr)
        # The reset is refused while a cause stands, and names it.
        sensor.values["pressure"] = 160.0
        server.wait_status(lambda s: s["channels"][0]["value"] == 160, "the high value")
        done = server.cli("reset")
        self.assertEqual(done.returncode, 1, done)
        for word in ("chamber_pressure", "160", "150", "overpressure"):
            self.assertIn(word, done.stderr)
        self.assertEqual(server.cli("arm").returncode, 1)
        self.assertIs(actuator.permit(), False)
        sensor.values["pressure"] = 100.0

        status = server.make_armed()
        self.assertTrue(all(o["energised"] for o in status["outputs"]))
        self.assertIsNone(status["interlock"]["first_out"])
        actuator.wait_permit(True)
        trips = status["interlock"]["trips"]
        # One sample is enough, and the first-out is that very sample.
        with sensor.paused():
            number = sensor.send(pressure=180.5)
            sensor.send()
        status = server.wait_state("tripped")
        actuator.wait_permit(False)
        first = status["interlock"]["first_out"]
        if first["kind"] == "high":  # else the machine stalled just then: the latch is tested all the same
            self.assertEqual((first["rule"], first["channel"], first["value"], first["limit"], first["source_sequence"]),
                             ("overpressure", "chamber_pressure", 180.5, 150, number))
            self.assertEqual(status["interlock"]["trips"], trips + 1)
        self.assertIn(first["kind"], ("high", "stale", "deadline"), first)
        # Latched: the cause has gone, the trip has not.
        server.wait_status(lambda s: not s["interlock"]["causes"] and s["channels"][0]["value"] == 100, "the cause's end")
        self.assertEqual(server.status()["interlock"]["state"], "tripped")
        self.assertEqual(server.status()["interlock"]["first_out"], first)
        self.assertEqual(server.cli("arm").returncode, 1)
        self.assertIs(actuator.permit(), False)
        # Reset alone gives no permit; reset and arm do.
        wait_until(lambda: server.cli("reset").returncode == 0, "the reset")
        self.assertIs(actuator.permit(), False)
        server.make_armed(actuator)

    def test_first_out_is_exact(self):
        """The sample that tripped, of several beyond the limit, in up to five tries on a machine that stalls."""
        server, sensor, _ = self.udp_server()
        for _ in range(5):
            server.make_armed()
            with sensor.paused():
                number = sensor.send(pressure=151.25)
                for _ in range(3):
                    sensor.send(pressure=200)
                sensor.send()
            first = server.wait_state("tripped")["interlock"]["first_out"]
            if first["kind"] == "high":
                self.assertEqual(first["source_sequence"], number)
                self.assertEqual(first["value"], 151.25)
                wait_until(lambda: "TRIP" in server.log(), "the word in the log")
                return
        self.fail(f"tripped by {first['kind']} five times")

    def test_manual_trip(self):
        server, _, actuator = self.udp_server()
        server.make_armed(actuator)
        self.assertEqual(server.cli("trip").returncode, 0)
        actuator.wait_permit(False)
        status = server.wait_state("tripped")
        self.assertIn(status["interlock"]["first_out"]["kind"], ("manual", "stale", "deadline"))
        wait_until(lambda: "operator" in server.log(), "the word in the log")
        server.make_armed(actuator)

    def test_outputs_follow(self):
        """File and Unix datagram: energised only while armed, safe at the start and at the end."""
        port = free_udp_port()
        actuator = Actuator(self, self.path("relay.sock"))
        one, both = self.path("one"), self.path("both")
        with open(one, "w", encoding="ascii") as file:
            file.write("1\n")  # left by somebody else
        text = config(self.instance, [udp_source(port)], [
            {"name": "lamp", "kind": "file", "target": one},
            {"name": "relief", "kind": "file", "target": both, "line": 0},
            {"name": "supply", "kind": "file", "target": both, "line": 5},
            {"name": "valve", "kind": "unix", "target": actuator.target, "line": 3, "acknowledge": "udp"},
        ])

        def files():
            with open(one, encoding="ascii") as a, open(both, encoding="ascii") as b:
                return a.read(), b.read()

        safe, permit = ("0\n", "relief=0 supply=0\n"), ("1\n", "relief=1 supply=1\n")
        server = self.server(text).start()
        self.assertEqual(files(), safe)
        wait_until(lambda: actuator.permit() is False, "the first command")
        sensor = SensorUdp(self, port).start()
        server.make_armed()
        wait_until(lambda: files() == permit, "the files' permit")
        actuator.wait_permit(True)
        last = actuator.last()
        self.assertEqual((last.magic, last.lines, last.energised, last.origin, last.zero), (0x534C4F31, 8, 8, 1, 0))
        server.cli("trip")
        wait_until(lambda: files() == safe, "the files' safe state")
        actuator.wait_permit(False)
        server.make_armed()
        wait_until(lambda: files() == permit, "the files' permit")
        actuator.wait_permit(True)
        # Frames evaluated are acknowledged.
        wait_until(lambda: actuator.last().evaluated > 0 and actuator.last().sequence > 0, "an acknowledgement")
        self.assertLess(actuator.last().sequence, sensor.next)
        self.assertEqual(server.end(), 0)
        self.assertEqual(files(), safe)
        wait_until(lambda: actuator.permit() is False and actuator.last().origin == Command.SUPERVISOR, "the last command")
        self.assertFalse(actuator.wrong)
        # Numbers of one origin only grow.
        control = [c.number for c in actuator.commands if c.origin == Command.CONTROL]
        self.assertEqual(control, sorted(set(control)))

    def test_delay_in_samples(self):
        rules = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150, "delay_samples": 4},
                 {"name": "cold", "channel": "shroud_temperature", "low": -50, "delay_samples": 1}]
        server, sensor, _ = self.udp_server(rules=rules)
        for _ in range(5):
            server.make_armed()
            with sensor.paused():
                for _ in range(6):  # three beyond, one inside: never four in a row
                    for _ in range(3):
                        sensor.send(pressure=170)
                    mark = sensor.send()
            status = server.wait_status(lambda s: s["streams"][0]["delivered"] > mark, "those frames")
            if status["interlock"]["state"] != "armed":
                self.assertNotEqual(status["interlock"]["first_out"]["kind"], "high", status["interlock"])
                continue
            with sensor.paused():
                numbers = [sensor.send(pressure=170 + i) for i in range(4)]
                sensor.send()
            first = server.wait_state("tripped")["interlock"]["first_out"]
            if first["kind"] == "high":
                self.assertEqual((first["source_sequence"], first["value"]), (numbers[-1], 173))
                break
        else:
            self.fail("the machine tripped it five times")
        # The other rule has no delay.
        for _ in range(5):
            server.make_armed()
            with sensor.paused():
                number = sensor.send(shroud=-60)
                sensor.send()
            first = server.wait_state("tripped")["interlock"]["first_out"]
            if first["kind"] == "low":
                self.assertEqual((first["rule"], first["source_sequence"], first["value"]), ("cold", number, -60))
                return
        self.fail("the machine tripped it five times")

    def test_delay_in_time(self):
        delay_ms = 400
        rules = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150, "delay_ms": delay_ms}]
        server, sensor, actuator = self.udp_server(rules=rules)
        for _ in range(5):
            server.make_armed(actuator)
            with sensor.paused():
                begin = time.monotonic()
                for _ in range(3):
                    sensor.send(pressure=170)
                    time.sleep(0.03)
                mark = sensor.send()
                lasted_ms = (time.monotonic() - begin) * 1000
            status = server.wait_status(lambda s: s["streams"][0]["delivered"] > mark, "those frames")
            if status["interlock"]["state"] != "armed" or lasted_ms >= delay_ms:
                continue
            begin_ns = time.time_ns()
            sensor.values["pressure"] = 170
            first = server.wait_state("tripped")["interlock"]["first_out"]
            sensor.values["pressure"] = 100
            if first["kind"] == "high":
                # Not before the delay is over: the command was received after that.
                actuator.wait_permit(False)
                safe = next(c for c in actuator.since(begin_ns) if c.energised == 0)
                self.assertGreaterEqual(safe.at_ns - begin_ns, delay_ms * 10**6)
                return
        self.fail("the machine tripped it five times")

    def test_run_directory_and_socket(self):
        server, _, _ = self.udp_server()
        path = self.socket_path(server)
        mode = os.stat(path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o660)
        with open(os.path.join(os.path.dirname(path), "server.lock"), encoding="ascii") as file:
            self.assertEqual(int(file.read()), server.pid)


if __name__ == "__main__":
    support.main()
