#!/usr/bin/env python3
"""Bypasses: a person, a reason, a time; how many, how long, how they end; and the arming gate and its checksum."""
import re
import time

import support
from support import wait_until

RULES = [
    {"name": "overpressure", "channel": "chamber_pressure", "high": 150, "bypass_max_s": 60},
    {"name": "coolant_low", "channel": "coolant_pressure", "low": 100, "bypass_max_s": 60},
    {"name": "too_hot", "channel": "shroud_temperature", "high": 90, "bypass_max_s": 60},
    {"name": "never", "channel": "article_temperature", "high": 90},
    {"name": "warm", "channel": "article_temperature", "high": 80, "role": "alarm"},
]


class Bypass(support.Case):
    def begin(self, **top):
        server, sensor, actuator = self.udp_server(rules=RULES, top=top)
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        return server, sensor, actuator

    def refused(self, server, *arguments, code=1):
        done = server.cli(*arguments)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def bypass(self, server, rule, *more, time_s="30s", reason="sensor is out for calibration"):
        done = server.cli("bypass", self.instance, rule, "--for", time_s, "--reason", reason, *more)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def test_a_bypassed_rule_does_not_act_and_is_seen(self):
        server, sensor, actuator = self.begin()
        server.make_armed()
        said = self.bypass(server, "overpressure", "--by", "Jürgen")
        self.assertIn("30 s", said)
        self.assertIn("Jürgen", said)
        sensor.values["pressure"] = 200.0
        status = server.wait_status(lambda s: next(r for r in s["rules"] if r["name"] == "overpressure")["truth"] == "demand",
                                    "the demand")
        self.assertTrue(status["interlock"]["armed"])
        actuator.wait_permit(True)
        (shown,) = status["interlock"]["bypasses"]
        self.assertEqual((shown["rule"], shown["person"], shown["reason"]),
                         ("overpressure", "Jürgen", "sensor is out for calibration"))
        self.assertTrue(0 < shown["until_s"] <= 30, shown)
        screen = server.cli("status", self.instance).stdout
        self.assertRegex(screen, r"BYPASSED: overpressure by Jürgen for another \d+ s: sensor is out")
        self.assertRegex(server.cli("rules", self.instance).stdout, r"overpressure +limit +protect .*BYPASSED for another")
        # Its end lets the rule act again: the demand stands.
        self.assertEqual(server.cli("unbypass", self.instance, "overpressure").returncode, 0)
        actuator.wait_permit(False)
        status = server.wait_state("tripped")
        self.assertEqual(status["interlock"]["first_out"]["rule"], "overpressure")
        server.wait_status(lambda s: s["interlock"]["bypasses"] == [], "no bypass")

    def test_a_trip_ends_it(self):
        server, _, actuator = self.begin()
        server.make_armed()
        self.bypass(server, "overpressure")
        server.cli("trip", self.instance)
        actuator.wait_permit(False)
        server.wait_status(lambda s: s["interlock"]["bypasses"] == [], "no bypass")

    def test_its_time_is_over(self):
        server, sensor, actuator = self.begin()
        server.make_armed()
        self.bypass(server, "overpressure", time_s="1s")
        sensor.values["pressure"] = 200.0
        actuator.wait_permit(False)
        self.assertEqual(server.wait_state("tripped")["interlock"]["first_out"]["rule"], "overpressure")

    def test_the_default_person_is_the_user(self):
        server, _, _ = self.begin()
        self.bypass(server, "overpressure")
        (shown,) = server.wait_status(lambda s: s["interlock"]["bypasses"], "the bypass")["interlock"]["bypasses"]
        self.assertTrue(shown["person"])
        self.assertNotEqual(shown["person"], "?")

    def test_what_is_refused(self):
        server, _, _ = self.begin(bypass={"at_once_max": 2})
        ask = lambda rule, time_s="10s", reason="a reason": self.refused(
            server, "bypass", self.instance, rule, "--for", time_s, "--reason", reason)
        self.assertIn("bypass_max_s", ask("never"))
        self.assertRegex(ask("overpressure", time_s="61s"), "at most 1 min .*61 s")
        self.assertIn("alarm", ask("warm"))
        self.assertRegex(ask("nosuch"), "no rule 'nosuch'.*overpressure, coolant_low, too_hot, never")
        self.assertIn("3 characters", ask("overpressure", reason="no"))
        self.assertIn("3 characters", ask("overpressure", reason="      "))
        self.bypass(server, "overpressure", "--by", "alice")
        text = ask("overpressure")  # not extended
        self.assertRegex(text, "already.*alice.*calibration.*not extended.*sluice unbypass overpressure")
        self.bypass(server, "coolant_low", "--by", "bob")
        text = ask("too_hot")
        self.assertRegex(text, "2 at once.*at_once_max.*overpressure .by alice., coolant_low .by bob.")
        done = server.cli("unbypass", self.instance, "too_hot")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("nothing to do", done.stdout)
        server.cli("unbypass", self.instance, "overpressure")
        self.bypass(server, "too_hot")

    def test_bad_use(self):
        server, _, _ = self.begin()
        for words in (["overpressure"], ["overpressure", "--for", "10s"], ["overpressure", "--reason", "why not"],
                      ["overpressure", "--for", "10", "--reason", "why"], ["overpressure", "--for", "0s", "--reason", "why"],
                      ["overpressure", "--for", "10d", "--reason", "why"], ["--for", "10s", "--reason", "why"],
                      ["overpressure", "--for", "10s", "--reason", "x" * 200], ["overpressure", "--gating"]):
            self.refused(server, "bypass", *words, code=2)
        text = self.refused(server, "bypass", self.instance, "overpressure", "--for", "10s", "--reason", "two\nlines")
        self.assertIn("one line", text)

    def test_control_that_dies_takes_them_along(self):
        server, _, _ = self.begin()
        server.make_armed()
        self.bypass(server, "overpressure")
        server.kill(server.control())
        status = server.wait_status(lambda s: s["processes"][1]["restarts"] == 1 and s["interlock"]["state"] == "tripped",
                                    "a new control")
        self.assertEqual(status["interlock"]["bypasses"], [])
        self.bypass(server, "overpressure", "--by", "carol")  # shown as the new one's
        (shown,) = server.wait_status(lambda s: s["interlock"]["bypasses"], "the bypass")["interlock"]["bypasses"]
        self.assertEqual(shown["person"], "carol")


class Gate(support.Case):
    def test_arming_is_refused_until_the_configuration_is_acknowledged(self):
        waive = [c for c in support.WAIVED if c != "config"]
        server, _, actuator = self.udp_server(top={"arming": {"waive": waive}})
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        checked = server.cli("check", server.config_path)
        self.assertEqual(checked.returncode, 0, checked)
        checksum = re.search(r"checksum ([0-9a-f]{16})", checked.stdout).group(1)
        status = server.status()
        self.assertEqual(status["configuration"]["checksum"], checksum)
        self.assertFalse(status["configuration"]["acknowledged"])
        self.assertEqual(status["interlock"]["gate"]["required"], ["config"])
        self.assertEqual(status["interlock"]["gate"]["missing"], ["config"])
        wait_until(lambda: server.cli("reset", self.instance).returncode == 0, "reset")
        refused = server.cli("arm", self.instance)
        self.assertEqual(refused.returncode, 1, refused)
        self.assertRegex(refused.stderr, "arming gate misses config.*sluice acknowledge CHECKSUM")
        wrong = f"{int(checksum, 16) ^ 1:016x}"
        done = server.cli("acknowledge", self.instance, wrong)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(checksum, done.stderr)
        self.assertIn(wrong, done.stderr)
        self.assertEqual(server.cli("acknowledge", self.instance, "12").returncode, 2)
        done = server.cli("acknowledge", self.instance, checksum, "--by", "alice")
        self.assertEqual(done.returncode, 0, done)
        server.make_armed(actuator)
        status = server.status()
        self.assertEqual(status["configuration"]["by"], "alice")
        self.assertEqual(status["interlock"]["gate"]["missing"], [])
        # It lives as long as the server: control's death does not end it.
        server.kill(server.control())
        server.wait_status(lambda s: s["processes"][1]["restarts"] == 1 and s["interlock"]["state"] == "tripped",
                           "a new control")
        self.assertTrue(server.status()["configuration"]["acknowledged"])
        self.assertTrue(server.make_armed())

    def test_everything_is_required_unless_waived(self):
        server, _, _ = self.udp_server(top={"arming": {}})
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        gate = server.status()["interlock"]["gate"]
        self.assertEqual(sorted(gate["required"]), sorted(support.WAIVED))
        self.assertEqual(gate["waived"], [])
        wait_until(lambda: server.cli("reset", self.instance).returncode == 0, "reset")
        refused = server.cli("arm", self.instance)
        self.assertEqual(refused.returncode, 1, refused)
        for name in ("pinned", "unthrottled", "config", "black_box", "doctor"):  # nothing of it is configured or certified
            self.assertIn(name, refused.stderr)
        self.assertIn("arming gate misses", server.cli("status", self.instance).stdout)

    def test_what_is_waived_is_seen(self):
        server, _, _ = self.udp_server()
        self.assertIn("NOT ASKED FOR (waived): pinned", server.cli("status", self.instance).stdout)

    def test_checksums(self):
        """Equal meaning, equal number: comments and order do not count, a limit, a source and an authority do."""
        def checksum(change=lambda text: None, tail=""):
            text = support.config(self.instance, [support.udp_source(12345)], support.outputs_to("127.0.0.1:7"))
            change(text)
            path = self.path(f"{self.count()}.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(support.json.dumps(text, indent=1) + tail)
            done = self.cli("check", path)
            self.assertEqual(done.returncode, 0, done)
            return re.search(r"checksum ([0-9a-f]{16})", done.stdout).group(1)

        same = checksum()
        self.assertEqual(checksum(), same)
        self.assertEqual(checksum(tail="\n# a comment\n"), same)
        changes = [lambda t: t["rules"][0].update(high=151), lambda t: t["sources"][0].update(listen="127.0.0.1:12346"),
                   lambda t: t.update(authority={"arm": {"users": ["*"]}}), lambda t: t["arming"]["waive"].pop(),
                   lambda t: t.update(bypass={"at_once_max": 1})]
        numbers = [checksum(change) for change in changes]
        self.assertEqual(len({same, *numbers}), len(changes) + 1, numbers)


if __name__ == "__main__":
    support.main()
