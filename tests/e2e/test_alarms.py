#!/usr/bin/env python3
"""Alarms: they act on nothing; they want to be seen, may be shelved for a while, and come back."""
import support

RULES = [
    {"name": "overpressure", "channel": "chamber_pressure", "high": 400},
    {"name": "warm", "channel": "article_temperature", "high": 80, "role": "alarm", "severity": 3},
    {"name": "hot", "channel": "article_temperature", "high": 90, "role": "alarm", "severity": 1},
]


class Alarms(support.Case):
    def begin(self, **top):
        server, sensor, actuator = self.udp_server(rules=RULES, top=top)
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        server.make_armed()
        server.cli("ack", self.instance, "all")  # before the first sample everything was unknown, which is an alarm too
        self.wait_alarms(server, {})
        return server, sensor, actuator

    def alarms(self, status):
        return {a["rule"]: a for a in status["interlock"]["alarms"]}

    def wait_alarms(self, server, states):
        return self.alarms(server.wait_status(
            lambda s: {n: a["state"] for n, a in self.alarms(s).items()} == states, f"the alarms {states}"))

    def test_life_of_an_alarm(self):
        server, sensor, actuator = self.begin()
        sensor.values["article"] = 85.0
        alarm = self.wait_alarms(server, {"warm": "unacknowledged"})["warm"]
        self.assertEqual((alarm["severity"], alarm["truth"]), (3, "demand"))
        self.assertAlmostEqual(alarm["value"], 85.0, 1)
        actuator.wait_permit(True)  # no action
        self.assertRegex(server.cli("status", self.instance).stdout, r"alarm \(severity 3\): warm unacknowledged")
        done = server.cli("ack", self.instance, "warm")
        self.assertEqual(done.returncode, 0, done)
        self.wait_alarms(server, {"warm": "acknowledged"})
        self.assertIn("nothing to do", server.cli("ack", self.instance, "warm").stdout)
        sensor.values["article"] = 25.0
        self.wait_alarms(server, {})
        self.assertTrue(server.status()["interlock"]["armed"])

    def test_gone_before_anybody_saw_it(self):
        server, sensor, _ = self.begin()
        sensor.values["article"] = 95.0
        self.wait_alarms(server, {"warm": "unacknowledged", "hot": "unacknowledged"})
        sensor.values["article"] = 25.0
        self.wait_alarms(server, {"warm": "returned", "hot": "returned"})
        self.assertEqual(server.cli("ack").returncode, 0)  # all of them, and of the only server
        self.wait_alarms(server, {})

    def test_shelving(self):
        server, sensor, _ = self.begin(alarms={"shelve_max_s": 60})
        for text, words in (("at most 1 min", ["shelve", self.instance, "warm", "--for", "2m"]),
                            ("no alarm", ["shelve", self.instance, "overpressure", "--for", "10s"]),
                            ("warm, hot", ["shelve", self.instance, "nosuch", "--for", "10s"])):
            done = server.cli(*words)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(text, done.stderr)
        self.assertEqual(server.cli("shelve", self.instance, "warm").returncode, 2)
        done = server.cli("shelve", self.instance, "warm", "--for", "1m")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("1 min", done.stdout)
        sensor.values["article"] = 85.0
        alarm = self.wait_alarms(server, {"warm": "unacknowledged"})["warm"]
        self.assertTrue(0 < alarm["shelved_s"] <= 60, alarm)
        self.assertIn("shelved for another", server.cli("status", self.instance).stdout)
        self.assertIn("already", server.cli("shelve", self.instance, "warm", "--for", "10s").stderr)
        self.assertEqual(server.cli("unshelve", self.instance, "warm").returncode, 0)
        server.wait_status(lambda s: self.alarms(s)["warm"]["shelved_s"] == 0, "no shelving")
        self.assertEqual(server.cli("shelve", self.instance, "warm", "--for", "1s").returncode, 0)
        server.wait_status(lambda s: self.alarms(s)["warm"]["shelved_s"] == 0, "the end of its time")

    def test_rules(self):
        server, _, _ = self.begin()
        done = server.cli("rules", self.instance, "--json")
        rules = {r["name"]: r for r in support.json.loads(done.stdout)["rules"]}
        self.assertEqual(list(rules), [r["name"] for r in RULES])
        self.assertEqual((rules["overpressure"]["form"], rules["overpressure"]["role"]), ("limit", "protect"))
        self.assertEqual(rules["overpressure"]["truth"], "clear")
        self.assertAlmostEqual(rules["overpressure"]["value"], 100.0, 3)
        self.assertAlmostEqual(rules["overpressure"]["margin"], 300.0, 3)
        self.assertEqual(rules["overpressure"]["outputs"], ["relief_closed", "supply_open"])
        self.assertEqual(rules["warm"]["alarm"], "normal")
        self.assertIsNone(rules["overpressure"]["alarm"])


if __name__ == "__main__":
    support.main()
