#!/usr/bin/env python3
"""Numbers in files of the kernel's, polled on a schedule; a file that is none of the kernel's stands for one."""
import os

import support
from support import Actuator, config, outputs_to


class Sysfs(support.Case):
    def write(self, name, text):
        """In place of the old one, whole."""
        with open(self.path(name + ".new"), "w", encoding="ascii") as file:
            file.write(text)
        os.rename(self.path(name + ".new"), self.path(name))

    def overwrite(self, name, text):
        """As an attribute changes: in the same file."""
        with open(self.path(name), "r+", encoding="ascii") as file:
            file.write(text)
            file.truncate()

    def start(self):
        self.write("temp1_input", "23500\n")
        self.write("in0_input", " -1.25\n")
        source = {"name": "board", "kind": "sysfs", "ring": "board", "period_ms": 5,
                  "attributes": [self.path("temp1_input"), self.path("in0_input")],
                  "channels": [{"name": "temperature", "field": 0, "scale": 0.001, "unit": "degC", "range": [-40, 120],
                                "stale_ms": 500},
                               {"name": "volts", "field": 1, "unit": "V", "range": [-5, 5], "stale_ms": 500}]}
        rules = [{"name": "hot", "channel": "temperature", "high": 80}]
        return self.server(config(self.instance, [source], outputs_to(Actuator(self).target), rules)).start()

    def channel(self, status, name):
        return next(c for c in status["channels"] if c["name"] == name)

    def test_values_follow_and_trip(self):
        server = self.start()
        server.wait_status(lambda s: self.channel(s, "temperature")["quality"] == "good", "values")
        status = server.status()
        self.assertEqual([c["value"] for c in status["channels"]], [23.5, -1.25])
        server.make_armed()
        self.overwrite("temp1_input", "80500\n")
        status = server.wait_status(lambda s: not s["interlock"]["armed"], "the trip")
        self.assertEqual(status["interlock"]["first_out"]["rule"], "hot")
        self.assert_balanced(server.stream("board"))

    def test_a_sensor_that_says_no_number_and_recovers(self):
        server = self.start()
        server.wait_status(lambda s: self.channel(s, "volts")["quality"] == "good", "values")
        self.overwrite("in0_input", "oops\n")
        server.wait_status(lambda s: self.channel(s, "temperature")["quality"] == "stale" and not s["streams"][0]["open"],
                           "stale channels")
        self.assertIn("expected a number, found 'oops", server.log())
        self.assertGreater(server.stream("board")["polls_failed"], 0)
        self.overwrite("in0_input", "2\n")
        status = server.wait_status(lambda s: self.channel(s, "volts")["value"] == 2 and s["streams"][0]["open"], "values again")
        stream = status["streams"][0]
        self.assertEqual((stream["connects"], stream["disconnects"], stream["gap_records"]), (2, 1, 1), stream)
        self.assert_balanced(stream)
        self.assertIn("source board: answers again", server.log())

    def test_a_missing_one(self):
        server = self.start()
        os.unlink(self.path("temp1_input"))  # the open one is still there: as long as it is, so are its numbers
        server.kill(server.worker())
        server.wait_status(lambda s: s["streams"][0]["open_errno"] == 2, "it to be missed")
        self.write("temp1_input", "1000\n")
        server.wait_status(lambda s: self.channel(s, "temperature")["value"] == 1, "its value")


if __name__ == "__main__":
    support.main()
