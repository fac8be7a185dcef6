#!/usr/bin/env python3
"""Who may command: by user, by group, by nobody's leave; what is refused says which key would allow it, and is logged."""
import json
import os
import shutil
import subprocess
import unittest

import support
from support import BIN, PATIENCE_S

NOBODY, DAEMON, SYS = 65534, 1, 3  # of every Debian: nobody, daemon (group daemon), group sys
COMMANDS = {  # key of `authority` -> what is typed
    "arm": ["arm"],
    "reset": ["reset"],
    "trip": ["trip"],
    "bypass": ["bypass", "overpressure", "--for", "10s", "--reason", "a test"],
    "proof_test": ["proof-test", "supply_open"],
    "acknowledge": ["ack"],
}


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot be another user: AUTHORITY WAS NOT TRIED")
class Authority(support.Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.program = self.path("sluice")
        shutil.copy(os.path.join(BIN, "sluice"), self.program)
        os.chmod(self.program, 0o755)

    def open_server(self, authority=None):
        """A server that every user of this machine can connect to."""
        rules = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150, "bypass_max_s": 60}]
        server, sensor, actuator = self.udp_server(rules=rules, top={"authority": authority} if authority is not None else {})
        os.chmod(self.socket_path(server), 0o666)
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        return server, sensor, actuator

    def as_user(self, *command, user=NOBODY, group=NOBODY, groups=()):
        return subprocess.run([self.program, *command], user=user, group=group, extra_groups=list(groups), cwd="/",
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_S)

    def assert_refused(self, done, key):
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("may not", done.stderr)
        self.assertIn(f"authority.{key}.users", done.stderr)
        self.assertIn(f"authority.{key}.groups", done.stderr)

    def assert_allowed(self, done):
        self.assertNotIn("may not", done.stderr)

    def lines(self, what):
        path = os.path.join(self.dir, "state", self.instance, "audit.log")
        with open(path, encoding="utf-8") as file:
            return [line for line in map(json.loads, file) if line["what"] == what]

    def test_default(self):
        """IL-070: A stranger may withdraw the permit and nothing else; root may everything."""
        server, _, actuator = self.open_server()
        server.make_armed()
        for key, command in COMMANDS.items():
            if key != "trip":
                self.assert_refused(self.as_user(*command), key)
        self.assertNotIn("tripped by an operator", server.log())
        self.assertEqual(self.as_user("trip").returncode, 0)
        actuator.wait_permit(False)
        server.make_armed()
        support.wait_until(lambda: len(self.lines("refused")) >= len(COMMANDS) - 1, "the refusals in the audit log")
        said = [line for line in self.lines("refused") if line["user"] == "nobody"]
        self.assertEqual({line["command"] for line in said}, {c[0] for k, c in COMMANDS.items() if k != "trip"})
        self.assertEqual({line["uid"] for line in said}, {NOBODY})
        self.assertTrue(all(line["pid"] > 0 and "authority." in line["text"] for line in said), said)

    def test_a_user_by_name(self):
        """IL-070"""
        server, _, _ = self.open_server({"reset": {"users": ["nobody"]}})
        self.assertEqual(self.as_user("reset").returncode, 0)
        self.assert_refused(self.as_user("arm"), "arm")
        self.assert_refused(self.as_user("reset", user=DAEMON, group=DAEMON), "reset")
        self.assertEqual(server.cli("arm", self.instance).returncode, 0)  # root is on no list

    def test_all_groups_count(self):
        """IL-070: The group that a user is in first, and each of the others."""
        self.open_server({"arm": {"groups": ["daemon", "sys"]}, "reset": {"groups": ["daemon"]}})
        self.assert_refused(self.as_user("reset"), "reset")
        self.assertEqual(self.as_user("reset", group=DAEMON).returncode, 0)
        self.assertEqual(self.as_user("reset", groups=[100, DAEMON, 65000]).returncode, 0)
        self.assert_refused(self.as_user("arm", groups=[100, 65000]), "arm")
        self.assertEqual(self.as_user("arm", groups=[65000, SYS]).returncode, 0)
        # More groups than a small buffer holds, the one that counts among the last.
        self.assert_allowed(self.as_user("arm", groups=[*range(20000, 21000), SYS, *range(21000, 21500)]))

    def test_anybody(self):
        self.open_server({"reset": {"users": ["*"]}})
        self.assertEqual(self.as_user("reset").returncode, 0)

    def test_trip_can_be_kept_to_some(self):
        server, _, actuator = self.open_server({"trip": {"users": ["daemon"]}})
        server.make_armed()
        self.assert_refused(self.as_user("trip"), "trip")
        self.assertNotIn("tripped by an operator", server.log())
        self.assertEqual(self.as_user("trip", user=DAEMON, group=DAEMON).returncode, 0)
        actuator.wait_permit(False)

    def test_a_user_who_takes_every_place_keeps_nobody_from_a_trip(self):
        server, _, actuator = self.open_server({"trip": {"users": ["daemon"]}})
        server.make_armed()
        crowd = ("import socket, sys\nheld = []\nfor _ in range(300):\n"
                 "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n    s.connect(sys.argv[1])\n"
                 "    held.append(s)\nprint('held', flush=True)\nsys.stdin.read()\n")
        with subprocess.Popen([support.PYTHON, "-c", crowd, self.socket_path(server)], user=NOBODY, group=NOBODY, cwd="/",
                              extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                self.assertEqual(process.stdout.readline(), b"held\n")
                support.wait_until(lambda: "refused a connection" in server.log(), "the refusal")
                self.assertEqual(self.as_user("trip", user=DAEMON, group=DAEMON).returncode, 0)
                actuator.wait_permit(False)
            finally:
                process.kill()

    def test_every_command_has_its_key(self):
        """IL-070"""
        for key, command in COMMANDS.items():
            with self.subTest(key):
                self.instance = f"a-{os.getpid()}-{key}"[:31]
                server, _, _ = self.open_server({key: {"users": ["nobody"]}})
                self.assert_allowed(self.as_user(command[0], self.instance, *command[1:]))
                server.clean()

    def test_names_that_nobody_has(self):
        text = support.config(self.instance, [support.udp_source(12345)], support.outputs_to("127.0.0.1:7"))
        text["authority"] = {"arm": {"users": ["root", "nosuchuser"], "groups": ["nosuchgroup"]}}
        path = self.path("names.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(text, indent=1))
        done = self.cli("check", path)
        self.assertEqual(done.returncode, 2, done)
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        for name, kind in (("nosuchuser", "users[1]"), ("nosuchgroup", "groups[0]")):
            line = next(i for i, text in enumerate(lines, 1) if name in text)
            self.assertRegex(done.stderr, rf"{path}:{line}:\d+: authority\.arm\.{kind[:-3]}\[\d\]: .*'{name}'")


if __name__ == "__main__":
    support.main()
