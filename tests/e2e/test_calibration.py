#!/usr/bin/env python3
"""Calibrated channels: a thermocouple with its cold junction, a Pirani gauge and a level by a table in one frame. What
`sluice tail` and status show is in units, what trips is the calibrated value, and what a calibration has no value for
is bad, and safe."""
import glob
import json
import os
import struct

import support
from support import Actuator, config, outputs_to, wait_until

CHANNELS = [
    # Type K at 2 uV a count; its cold junction lies at the connector.
    {"name": "oven", "at_byte": 4, "type": "i16", "scale": 0.002, "unit": "degC", "range": [-200, 1300], "stale_ms": 2000,
     "calibration": {"thermocouple": "K", "reference_channel": "connector"}},
    {"name": "connector", "at_byte": 6, "type": "i16", "scale": 0.01, "unit": "degC", "range": [-20, 60], "stale_ms": 2000},
    {"name": "vacuum", "at_byte": 8, "type": "u16", "scale": 0.001, "unit": "mbar", "range": [1e-7, 1000], "stale_ms": 2000,
     "calibration": {"logarithmic": {"slope": 1.667, "intercept": -9.33}}},
    {"name": "level", "at_byte": 10, "type": "u16", "unit": "l", "range": [0, 100], "stale_ms": 2000,
     "calibration": {"points": [[1000, 0], [2000, 20], [4000, 90]]}},
]
RULES = [{"name": "too_hot", "channel": "oven", "high": 300},
         {"name": "air", "channel": "vacuum", "high": 0.5},
         {"name": "full", "channel": "level", "high": 85}]
# NIST's table for type K: 200 degC 8.138 mV, 300 degC 12.209 mV, 25 degC 1.000 mV.
GOOD = {"oven_mv": 8.138 - 1.000, "connector_c": 25.0, "vacuum_v": 4.397, "level": 3000}


def frame(number, oven_mv, connector_c, vacuum_v, level):
    return struct.pack(">IhhHHI", number, round(oven_mv * 500), round(connector_c * 100), round(vacuum_v * 1000), level, 0)


class Gauges(support.SensorUdp):
    """Sends frame() of its values."""

    def __init__(self, case, port):
        super().__init__(case, port, 200)
        self.values = dict(GOOD)

    def send(self, **values):
        with self.hand:
            self.put(frame(self.next, **{**self.values, **values}))
            self.next += 1

    def change(self, **values):
        with self.hand:
            self.values.update(values)


class Calibration(support.Case):
    def start(self, rules=None, **top):
        port = support.free_udp_port()
        source = {"name": "gauges", "kind": "udp", "ring": "gauges", "listen": f"127.0.0.1:{port}", "frame_bytes": 16,
                  "sequence": {"at_byte": 0, "width_bytes": 4}, "channels": CHANNELS}
        self.actuator = Actuator(self)
        text = config(self.instance, [source], outputs_to(self.actuator.target), rules or RULES)
        text.update(top)
        server = self.server(text).start()
        gauges = Gauges(self, port)
        gauges.start()
        server.wait_status(lambda s: all(c["quality"] == "good" for c in s["channels"]), "values")
        return server, gauges

    def channel(self, status, name):
        return next(c for c in status["channels"] if c["name"] == name)

    def wait_trip(self, server, **first_out):
        status = server.wait_status(lambda s: not s["interlock"]["armed"], "the trip")
        self.assertEqual({key: status["interlock"]["first_out"][key] for key in first_out}, first_out, status["interlock"])
        self.actuator.wait_permit(False)
        return status

    def test_values_in_units(self):
        server, _ = self.start()
        values = {c["name"]: (c["value"], c["unit"]) for c in server.status()["channels"]}
        self.assertAlmostEqual(values["oven"][0], 200, delta=0.05)
        self.assertAlmostEqual(values["vacuum"][0], 10 ** (1.667 * 4.397 - 9.33), delta=1e-6)
        self.assertAlmostEqual(values["level"][0], 55)
        self.assertEqual([unit for _, unit in values.values()], ["degC", "degC", "mbar", "l"])
        tail = server.tail("gauges", "--count", "5")
        shown = tail.wait(bool, "a frame")[0]["values"]
        self.assertEqual(shown, {name: value for name, (value, _) in values.items()}, "to the last bit")
        text = server.cli("tail", "--count", "1", server.instance, "gauges").stdout
        self.assertRegex(text, r"oven (199\.9|200)\S* degC  connector 25 degC  vacuum 0\.00999\S* mbar  level 55 l")

    def test_the_calibrated_value_trips(self):
        """The faults: the oven at 318 degC, which is 6000 counts; then air in the vacuum."""
        server, gauges = self.start()
        server.make_armed()
        gauges.change(oven_mv=12.0)
        wait_until(lambda: self.channel(server.status(), "oven")["value"] > 315, "an oven that is hot")
        status = self.wait_trip(server, rule="too_hot", kind="high")
        self.assertIn("oven 31", json.dumps(status["interlock"]["first_out"]))
        gauges.change(**GOOD)
        server.make_armed()
        gauges.change(vacuum_v=5.7)  # 1.49 mbar
        self.wait_trip(server, rule="air", kind="high")

    def test_a_value_outside_its_table_is_bad(self):
        """The fault: a level of 4001 counts, where the table ends at 4000 with 90 l; and one below its begin."""
        server, gauges = self.start()
        for outside in (4001, 999, 65535, 0):
            server.make_armed()
            gauges.change(level=outside)
            status = self.wait_trip(server, channel="level", kind="not_finite")
            level = self.channel(status, "level")
            self.assertEqual((level["quality"], level["value"]), ("bad", None), level)
            self.assertEqual(self.channel(status, "oven")["quality"], "good")
            tail = server.tail("gauges", "--count", "1")
            self.assertIsNone(tail.wait(bool, "a frame")[0]["values"]["level"])
            gauges.change(**GOOD)

    def test_a_cold_junction_that_is_no_good(self):
        """The fault: the connector says 75 degC, beyond what it can say when it is well. Nobody knows the oven then."""
        server, gauges = self.start([RULES[0]])
        server.make_armed()
        gauges.change(connector_c=75.0)
        status = self.wait_trip(server, channel="oven", kind="not_finite")
        self.assertEqual(self.channel(status, "connector")["quality"], "bad")
        self.assertEqual(self.channel(status, "oven")["quality"], "bad")
        self.assertEqual(self.channel(status, "level")["quality"], "good")

    def test_the_evidence_of_a_trip_is_decoded_alike(self):
        """The black box keeps raw bytes; the replay calibrates them with the recorded table and decides the same."""
        trips = self.path("trips")
        server, gauges = self.start(black_box={"directory": trips, "pre_ms": 500, "post_ms": 100, "room_mb": 16})
        server.make_armed()
        gauges.change(oven_mv=12.5)
        self.wait_trip(server, rule="too_hot", kind="high")
        path = wait_until(lambda: next(iter(glob.glob(os.path.join(trips, "2*"))), None), "a trip's directory")
        done = self.cli("replay", "--json", path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        recording, = json.loads(done.stdout)["recordings"]
        self.assertTrue(recording["live"]["identical"], recording)
        self.assertGreater(recording["live"]["compared_steps"], 0)
        self.assertEqual(recording["trip"][0]["first_out"][0]["rule"], "too_hot")


if __name__ == "__main__":
    support.main()
