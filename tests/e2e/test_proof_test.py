#!/usr/bin/env python3
"""Proof tests: a valve that moves passes, one that is stuck fails and trips; and a valve that is not where it was told
to be is shown."""
import json
import threading

import support
from support import wait_until

SAFE, ENERGISED = 1, 2  # the two switches at the valve
TIME_MS = 2000  # generous: the machine stalls


class ProofTest(support.Case):
    def begin(self):
        """Output supply_open has a valve with two switches; the valve follows its line unless `stuck`."""
        port = support.free_udp_port()
        actuator = support.Actuator(self)
        source = support.udp_source(port)
        source["channels"].append({"name": "switches", "at_byte": 28, "type": "u16", "unit": "bits", "range": [0, 65535],
                                   "stale_ms": 60000})
        outputs = support.outputs_to(actuator.target)
        outputs[1]["feedback"] = {"channel": "switches", "energised_bits": ENERGISED, "safe_bits": SAFE, "time_ms": TIME_MS}
        server = self.server(support.config(self.instance, [source], outputs))
        sensor = support.SensorUdp(self, port, 200)
        sensor.values["bits"] = SAFE
        self.stuck = threading.Event()
        ended = threading.Event()

        def valve():
            while not ended.wait(0.002):
                last = actuator.last()
                if last is not None and not self.stuck.is_set():
                    sensor.values["bits"] = ENERGISED if last.energised >> 1 & 1 else SAFE

        thread = threading.Thread(target=valve, daemon=True)
        self.addCleanup(thread.join)
        self.addCleanup(ended.set)
        server.start()
        sensor.start()
        thread.start()
        server.wait_status(lambda s: s["channels"][-1]["quality"] == "good", "data")
        return server, sensor, actuator

    def arm(self, server):
        wait_until(lambda: server.make_armed() and server.status()["interlock"]["state"] == "armed", "armed, not arming")

    def test_a_valve_that_moves(self):
        server, _, actuator = self.begin()
        self.arm(server)
        before = len(actuator.commands)
        done = server.cli("proof-test", self.instance, "supply_open", "--json")
        self.assertEqual(done.returncode, 0, done)
        said = json.loads(done.stdout)
        self.assertEqual((said["done"], said["output"], said["result"]), (True, "supply_open", "passed"))
        self.assertGreater(said["safe_ns"], 0)
        self.assertGreater(said["back_ns"], 0)
        masks = [c.energised for c in actuator.commands[before:]]
        self.assertIn(0b01, masks)  # that line alone
        self.assertNotIn(0b10, masks)
        self.assertNotIn(0b00, masks)
        status = server.status()
        self.assertEqual(status["interlock"]["state"], "armed")
        self.assertEqual(status["interlock"]["test"]["result"], "passed")
        self.assertEqual({o["name"]: o["feedback"] for o in status["outputs"]},
                         {"relief_closed": "none", "supply_open": "energised"})
        done = server.cli("proof-test", self.instance, "supply_open")  # again, in words
        self.assertRegex(done.stdout, r"passed; safe after [\d.]+ ms, back after [\d.]+ ms")
        self.assertRegex(server.cli("status", self.instance).stdout, "proof test of supply_open: passed")

    def test_a_valve_that_is_stuck(self):
        server, _, actuator = self.begin()
        self.arm(server)
        self.stuck.set()
        done = server.cli("proof-test", self.instance, "supply_open", "--json")
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(json.loads(done.stdout)["result"], "failed")
        self.assertIn("FAILED", done.stderr)
        actuator.wait_permit(False)
        status = server.status()
        self.assertEqual(status["interlock"]["first_out"]["output"], "supply_open", status["interlock"])
        self.assertEqual(status["outputs"][1]["feedback"], "energised")  # though told to be safe

    def test_what_is_refused(self):
        server, _, _ = self.begin()
        for text, words in (("state armed", ["supply_open"]), ("no feedback", ["relief_closed"]),
                            ("relief_closed, supply_open", ["nosuch"])):
            done = server.cli("proof-test", self.instance, *words)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    support.main()
