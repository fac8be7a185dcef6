#!/usr/bin/env python3
"""What `sluice doctor --certify` leaves, and what the arming gate makes of it: the real tool's verdict on this host, and
verdicts that are of another boot, of another configuration, of others, or no verdict at all."""
import json
import os
import re
import shutil
import subprocess
import unittest

import support
from support import BIN, wait_until

WAIVED = [check for check in support.WAIVED if check != "doctor"]
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def verdict(checksum, boot=None, dangers=0, unknowns=0, seconds=1):
    """As the tool writes it; test_what_the_tool_finds compares."""
    return (f"sluice doctor verdict 1\nboot {boot or boot_id()}\nconfig {checksum}\ndangers {dangers}\n"
            f"unknowns {unknowns}\ntime 1795690000\nseconds {seconds}\nend\n")


class Case(support.Case):
    def begin(self, on_loss="alarm", start=True):
        server, sensor, actuator = self.udp_server(
            start=start, top={"arming": {"waive": WAIVED, "on_loss": on_loss}}, rules=None)
        self.file = os.path.join(self.run_dir, self.instance + ".doctor")
        self.sum = re.search(r"checksum ([0-9a-f]{16})", self.cli("check", server.config_path).stdout).group(1)
        return server, sensor, actuator

    def put(self, text, mode=0o600):
        """Whole, as the tool does it."""
        os.makedirs(self.run_dir, exist_ok=True)
        with open(self.file + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.file + ".new", mode)
        os.rename(self.file + ".new", self.file)

    def misses(self, server, checks):
        server.wait_status(lambda s: s["interlock"]["gate"]["missing"] == checks, f"the gate to miss {checks}")

    def refused(self, server, says):
        wait_until(lambda: server.cli("reset", self.instance).returncode == 0, "reset")
        done = server.cli("arm", self.instance)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, "arming gate misses doctor.*sluice doctor --config FILE --certify")
        self.assertIn("arming gate misses doctor", server.cli("status", self.instance).stdout)
        wait_until(lambda: says in server.log(), lambda: f"'{says}' in the log: {server.log()[-2000:]}")


class Certificate(Case):
    def test_not_certified(self):
        server, _, _ = self.begin()
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        gate = server.status()["interlock"]["gate"]
        self.assertEqual((gate["required"], gate["missing"]), (["doctor"], ["doctor"]))
        self.refused(server, "there is none that can be believed")

    def test_certified(self):
        """It is there before the server is: nothing more is asked of an operator."""
        server, sensor, actuator = self.begin(start=False)
        self.put(verdict(self.sum))
        server.start()
        sensor.start()
        self.misses(server, [])
        self.assertIn("fit for this configuration", server.log())
        server.make_armed(actuator)

    def test_whatever_else_does_not_pass(self):
        server, _, _ = self.begin()
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        good = verdict(self.sum)
        other = f"{int(self.sum, 16) ^ 1:016x}"
        cases = (("it is of another boot", verdict(self.sum, boot=OTHER_BOOT), 0o600),
                 ("it is of another configuration", verdict(other), 0o600),
                 ("it found dangers", verdict(self.sum, dangers=1), 0o600),
                 ("it found dangers", verdict(self.sum, unknowns=1), 0o600),
                 ("none that can be believed", verdict(self.sum, seconds=0), 0o600),
                 ("none that can be believed", good, 0o666),
                 ("none that can be believed", good, 0o620),
                 ("none that can be believed", good[:-4], 0o600),
                 ("none that can be believed", good + good, 0o600),
                 ("none that can be believed", "", 0o600),
                 ("none that can be believed", "\0\x1b[2J%n" * 1000, 0o600))
        for says, text, mode in cases:
            with self.subTest(says, text=text[:200], mode=mode):
                self.put(good)
                self.misses(server, [])
                before = len(server.log())
                self.put(text, mode)
                self.misses(server, ["doctor"])
                self.assertIn(says, server.log()[before:])
        self.refused(server, "none that can be believed")

    def test_what_is_no_file(self):
        """The faults: a link, a fifo that nobody writes to, a directory: neither followed nor waited for."""
        server, _, _ = self.begin()
        elsewhere = self.path("elsewhere")
        with open(elsewhere, "w", encoding="ascii") as file:
            file.write(verdict(self.sum))
        os.chmod(elsewhere, 0o600)
        for make in (lambda: os.symlink(elsewhere, self.file), lambda: os.mkfifo(self.file, 0o600),
                     lambda: os.mkdir(self.file, 0o700)):
            self.put(verdict(self.sum))
            self.misses(server, [])
            os.unlink(self.file)
            make()
            self.misses(server, ["doctor"])
            if os.path.isdir(self.file):
                os.rmdir(self.file)
        server.kill(server.control())  # and sluiced still minds its processes
        server.wait_status(lambda s: s["processes"][1]["restarts"] == 1, "a new control")

    def test_lost_while_armed(self):
        """The fault: the verdict is withdrawn while armed. on_loss says what comes of it."""
        server, sensor, actuator = self.begin(on_loss="trip", start=False)
        self.put(verdict(self.sum))
        server.start()
        sensor.start()
        server.make_armed(actuator)
        os.unlink(self.file)
        actuator.wait_permit(False)
        first = server.wait_state("tripped")["interlock"]["first_out"]
        self.assertIn("the arming gate does not pass any more: doctor", json.dumps(first))
        self.put(verdict(self.sum))
        server.make_armed(actuator)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"),
                     "SKIPPED: not root, cannot be alone on this host: THE TOOL'S OWN VERDICT WAS NOT TRIED")
class Tool(Case):
    """With the real tool. In a process namespace of its own it does not see the servers of other tests."""

    def certify(self, config, *arguments, **environment):
        return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", os.path.join(BIN, "sluice"), "doctor",
                               "--config", config, "--certify", *arguments],
                              env={**self.environment, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=support.PATIENCE_S)

    def certified(self, config):
        done = self.certify(config, "--seconds", "1", "--json")
        self.assertIn(done.returncode, (0, 1, 3), done.stderr)
        report = json.loads(done.stdout)
        found = [finding["severity"] for finding in report["findings"]]
        self.assertEqual(report["certified"], self.file)
        self.assertEqual(report["measurements"]["seconds"], 1)
        return found.count("danger"), found.count("unknown")

    def test_what_the_tool_finds(self):
        """The whole way: measured, left, read, and judged as the tool has judged; whatever this host is like."""
        server, sensor, actuator = self.begin(start=False)
        dangers, unknowns = self.certified(server.config_path)
        with open(self.file, encoding="ascii") as file:
            text = file.read()
        expected = verdict(self.sum, dangers=dangers, unknowns=unknowns)
        self.assertEqual(re.sub(r"(?m)^time \d+$", "time 1795690000", text), expected)
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.run_dir), [os.path.basename(self.file)])
        server.start()
        sensor.start()
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        if dangers + unknowns > 0:
            self.refused(server, "it found dangers, or something that is not known")
            text = re.sub(r"(?m)^(dangers|unknowns) \d+$", r"\1 0", text)  # had it been fit
            self.put(text)
        self.misses(server, [])
        server.make_armed(actuator)
        self.assertEqual(server.end(), 0, server.log())
        self.assertTrue(os.path.exists(self.file), "it outlives the server")

    def test_another_configuration(self):
        """Certified for one limit, started with another: equal names do not do."""
        server, sensor, _ = self.begin(start=False)
        with open(server.config_path, encoding="utf-8") as file:
            text = json.load(file)
        text["rules"][0]["high"] += 1
        other = self.path("other.yaml")
        with open(other, "w", encoding="utf-8") as file:
            json.dump(text, file)
        self.certified(other)
        server.start()
        sensor.start()
        self.misses(server, ["doctor"])
        self.refused(server, "it is of another configuration")

    def test_while_a_server_runs(self):
        """Nothing can be measured then, and what was left before stays as it is."""
        server, sensor, _ = self.begin(start=False)
        self.put(verdict(self.sum))
        server.start()
        sensor.start()
        done = self.certify(server.config_path)
        self.assertEqual(done.returncode, 2, done)
        self.assertRegex(done.stderr, "--certify: a sluice server runs.*stop it, certify, and start it again")
        with open(self.file, encoding="ascii") as file:
            self.assertEqual(file.read(), verdict(self.sum))

    def test_no_place(self):
        """The fault: the run directory cannot be made."""
        server, _, _ = self.begin(start=False)
        place = self.path("a-file")
        with open(place, "w", encoding="ascii"):
            pass
        done = self.certify(server.config_path, "--seconds", "1", SLUICE_RUN_DIR=place)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("SLUICE_RUN_DIR", done.stderr)
        self.assertNotIn("left for the arming gate", done.stdout)


class Use(support.Case):
    def test_what_cannot_be_certified(self):
        for arguments, says in (((), "expected --config FILE"), (("--instance", "stand"), "expected --config FILE"),
                                (("--config", "a", "--seconds", "0"), "expected this host, measured"),
                                (("--config", "a", "--root", self.dir), "expected this host, measured"),
                                (("--undo",), "--undo goes with"), (("--config", "/nonexistent"), "nothing was looked at")):
            done = self.cli("doctor", "--certify", *arguments)
            self.assertEqual(done.returncode, 2, (arguments, done))
            self.assertIn(says, done.stderr, arguments)
        self.assertFalse(os.path.exists(self.run_dir))


if __name__ == "__main__":
    support.main()
