#!/usr/bin/env python3
"""The audit log: what stands in it, that a change to it is seen, and that neither a full disk nor a flood of commands
changes anything for the interlock."""
import contextlib
import ctypes
import json
import os
import threading
import unittest

import support
from support import ACKNOWLEDGE_ALARM, LIBC, RESET, call, connect, wait_until

RULES = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150, "bypass_max_s": 60}]
REASON = 'calibration "twice", C:\\temp\t'.replace("\t", "") + " – Jürgen"


class Audit(support.Case):
    def begin(self, start=True, **top):
        self.file = self.path("audit/deep/audit.log")
        server, sensor, actuator = self.udp_server(rules=RULES, start=start, top={"audit": {"file": self.file}, **top})
        if start:
            server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        return server, sensor, actuator

    def lines(self, path=None):
        with open(path or self.file, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def wait_line(self, what, **keys):
        return wait_until(lambda: [line for line in self.lines() if line["what"] == what
                                   and all(line.get(key) == value for key, value in keys.items())],
                          lambda: f"a line '{what}' with {keys}; there are\n" + "\n".join(map(str, self.lines()[-20:])))

    def verify(self, path=None):
        return self.cli("audit", "--verify", path or self.file)

    def assert_whole(self, path=None):
        done = self.verify(path)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("chain is whole", done.stdout)

    def test_what_stands_in_it(self):
        """IL-071"""
        server, sensor, _ = self.begin()
        checksum = server.status()["configuration"]["checksum"]
        server.make_armed()
        server.cli("bypass", self.instance, "overpressure", "--for", "1s", "--reason", REASON, "--by", "alice")
        self.wait_line("expiry")
        sensor.values["pressure"] = 200.0
        server.wait_state("tripped")
        server.cli("reset", self.instance)  # refused: the pressure stands
        server.cli("trip", self.instance)
        self.assertEqual(server.end(), 0)
        lines = self.lines()
        self.assertEqual([line["n"] for line in lines], list(range(1, len(lines) + 1)))
        self.assertEqual([lines[0]["what"], lines[-1]["what"]], ["start", "stop"])
        self.assertIn(checksum, lines[0]["text"])
        for line in lines:
            self.assertRegex(line["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertRegex(line["chain"], r"^[0-9a-f]{16}$")
            self.assertIsInstance(line["tai_ns"], int)
        (asked,) = [line for line in lines if line["what"] == "command" and line["command"] == "bypass"]
        (answer,) = [line for line in lines if line["what"] == "answer" and line["command"] == "bypass"]
        for line in (asked, answer):
            self.assertEqual((line["name"], line["person"], line["reason"], line["seconds"], line["uid"]),
                             ("overpressure", "alice", REASON, 1, os.getuid()))
        self.assertEqual(asked["ticket"], answer["ticket"])
        texts = [(line["what"], line["text"]) for line in lines]
        self.assertIn(("bypass", "overpressure is bypassed for 1 s"), texts)
        self.assertIn(("state", "interlock is armed"), texts)
        self.assertTrue([t for w, t in texts if w == "trip" and "chamber_pressure 200 kPa above 150" in t], texts)
        self.assertTrue([t for w, t in texts if w == "refused" and "while a cause stands" in t], texts)
        self.assert_whole()

    def test_shown(self):
        server, _, _ = self.begin()
        server.cli("trip", self.instance)
        self.wait_line("answer")
        shown = server.cli("audit", self.instance)
        self.assertEqual(shown.returncode, 0, shown)
        self.assertIn("start", shown.stdout.split("\n")[0])
        self.assertIn("trip", shown.stdout)
        raw = server.cli("audit", self.instance, "--json").stdout.splitlines()
        self.assertEqual(json.loads(raw[0])["what"], "start")
        audit = server.wait_status(lambda s: s["audit"]["pending"] == 0, "nothing pending")["audit"]
        self.assertEqual((audit["file"], audit["lost"], audit["errors"], audit["last_errno"]), (self.file, 0, 0, 0))
        self.assertEqual(audit["written"], len(self.lines()))
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o640)

    def test_changes_are_seen(self):
        server, _, _ = self.begin()
        server.make_armed()
        server.cli("trip", self.instance)
        server.end()
        self.assert_whole()
        with open(self.file, "rb") as file:
            lines = file.read().splitlines(True)
        self.assertGreater(len(lines), 6)
        swapped = lines[:2] + [lines[3], lines[2]] + lines[4:]
        for name, text, bad in (
            ("a word", lines[:2] + [lines[2].replace(b'"what":"', b'"what":"x', 1)] + lines[3:], 3),
            ("a number", lines[:1] + [lines[1].replace(b'"n":2', b'"n":3', 1)] + lines[2:], 2),
            ("the hash", lines[:3] + [lines[3][:-6] + b"0000" + lines[3][-6 + 4:]] + lines[4:], 4),
            ("taken out", lines[:3] + lines[4:], 4), ("swapped", swapped, 3), ("doubled", lines[:3] + lines[2:], 4),
            ("the beginning taken out", lines[1:], 1), ("put in", lines[:3] + [b"hello\n"] + lines[3:], 4),
            ("cut", lines[:-1] + [lines[-1][:-20]], len(lines)), ("no log at all", [b"hello\n", b"world\n"], 1),
        ):
            with self.subTest(name):
                path = self.path("changed.log")
                with open(path, "wb") as file:
                    file.write(b"".join(text))
                done = self.verify(path)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(f"line {bad} ", done.stderr)
        self.assertEqual(self.verify(self.path("nosuch")).returncode, 2)

    def test_next_server_goes_on(self):
        """Also after a line that was cut by a sudden end."""
        server, _, _ = self.begin()
        server.end()
        before = len(self.lines())
        server.start()
        server.end()
        lines = self.lines()
        self.assertEqual(lines[before]["what"], "start")
        self.assertEqual(lines[before]["n"], before + 1)
        self.assert_whole()
        with open(self.file, "ab") as file:
            file.write(b'{"n":99,"time":"20')
        server.start()
        server.end()
        self.assert_whole()
        with open(self.file, encoding="utf-8") as file:
            self.assertIn('"torn_bytes":18,', file.read())

    def test_moved_away(self):
        """logrotate: the next line begins a new file that says what it follows."""
        server, _, _ = self.begin()
        server.cli("trip", self.instance)
        self.wait_line("answer")
        wait_until(lambda: server.status()["audit"]["pending"] == 0, "nothing pending")
        os.rename(self.file, self.file + ".1")
        last = self.lines(self.file + ".1")[-1]
        server.cli("trip", self.instance)
        wait_until(lambda: os.path.exists(self.file) and os.path.getsize(self.file) > 0, "a new file")
        server.end()
        first = self.lines()[0]
        self.assertEqual((first["n"], first["follows"]), (last["n"] + 1, last["chain"]))
        self.assert_whole()
        self.assert_whole(self.file + ".1")

    def test_flood_of_commands(self):
        """What changes nothing and comes too fast is counted, not told one by one; trips get through."""
        server, _, actuator = self.begin()
        server.make_armed()
        ended = threading.Event()
        asked = [0]

        def flood():
            client = connect(self.socket_path(server))
            while not ended.is_set():
                call(client, ACKNOWLEDGE_ALARM, "nosuch")
                asked[0] += 1
            client.close()

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            wait_until(lambda: asked[0] > 2000, "2000 commands")
            self.assertEqual(server.cli("trip", self.instance).returncode, 0)
            actuator.wait_permit(False)
        finally:
            ended.set()
            thread.join()
        self.wait_line("trip")
        wait_until(lambda: server.cli("ack", self.instance, "nosuch").returncode == 1 and
                   sum(line["suppressed"] for line in self.lines() if line["what"] == "suppressed") > 0, "the sum")
        told = [line for line in self.lines() if line["what"] == "refused"]
        self.assertLess(len(told), asked[0] / 2)
        server.end()
        self.assert_whole()

    def test_cannot_be_opened(self):
        for path, word in (("/proc/nosuch/audit.log", "No such file"), (self.dir, "Is a directory"), ("/dev/null", "Invalid")):
            text = support.config(self.instance, [support.udp_source(support.free_udp_port())],
                                  support.outputs_to("127.0.0.1:9"))
            text["audit"] = {"file": path}
            server = self.server(text).launch()
            self.assertEqual(server.process.wait(support.PATIENCE_S), 2)
            self.assertIn(word, server.log())
            self.assertIn("audit.file", server.log())

    def test_two_servers_one_file(self):
        server, _, _ = self.begin()
        text = support.config("other" + self.instance[5:], [support.udp_source(support.free_udp_port())],
                              support.outputs_to("127.0.0.1:9"))
        text["audit"] = {"file": self.file}
        other = self.server(text).launch()
        self.assertEqual(other.process.wait(support.PATIENCE_S), 2)
        self.assertIn("another server", other.log())
        self.assertIsNotNone(server.status())

    def test_none(self):
        server, _, _ = self.udp_server(rules=RULES, top={"audit": {"file": "none"}})
        server.cli("trip", self.instance)
        self.assertIsNone(server.status()["audit"]["file"])
        done = server.cli("audit", self.instance)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("no audit log", done.stderr)
        self.assertFalse(os.path.exists("none"))


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot mount a small disk: A FULL DISK WAS NOT TRIED")
class FullDisk(support.Case):
    def test_full_disk(self):
        """IL-071"""
        disk = self.path("disk")
        os.mkdir(disk)
        if LIBC.mount(b"none", disk.encode(), b"tmpfs", 0, b"size=64k") != 0:
            self.skipTest(f"SKIPPED: cannot mount a tmpfs ({os.strerror(ctypes.get_errno())}): A FULL DISK WAS NOT TRIED")
        self.addCleanup(LIBC.umount2, disk.encode(), 2)
        path = os.path.join(disk, "audit.log")
        server, _, actuator = self.udp_server(rules=RULES, top={"audit": {"file": path}})
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        server.make_armed()
        filler = os.path.join(disk, "filler")
        fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, fd)
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(4096))

        def trips():
            for _ in range(20):  # until a line needs a page more
                server.cli("trip", self.instance)
                server.make_armed()
            return server.status()["audit"]["last_errno"] != 0

        wait_until(trips, "the disk to be full")
        # Decisions go on, and whoever commands is told.
        actuator.wait_permit(True)
        done = server.cli("trip", self.instance)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("not in the audit log", done.stdout)
        actuator.wait_permit(False)
        self.assertIn("cannot be written: No space left", server.cli("status", self.instance).stdout)
        self.assertIn("cannot be written", server.log())
        self.assertGreater(server.status()["audit"]["pending"], 0)
        client = connect(self.socket_path(server))
        self.addCleanup(client.close)
        for _ in range(400):  # more than there is room for in memory
            call(client, support.TRIP)
            call(client, RESET)
        self.assertGreater(server.status()["audit"]["lost"], 0)
        # Room again: what waited is written, and how much is missing.
        os.ftruncate(fd, 0)
        server.wait_status(lambda s: s["audit"]["pending"] == 0 and s["audit"]["last_errno"] == 0, "all written")
        lost = server.status()["audit"]["lost"]
        server.cli("trip", self.instance)
        server.end()
        done = self.cli("audit", "--verify", path, "--json")
        self.assertEqual(done.returncode, 0, done)
        said = json.loads(done.stdout)
        self.assertEqual((said["done"], said["lost"]), (True, lost))


if __name__ == "__main__":
    support.main()
