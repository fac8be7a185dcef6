#!/usr/bin/env python3
"""sluice tail as a gating reader, and where it begins; what status and ledger say of gating readers to people."""
import json
import os
import signal

import support
from support import wait_until

SLOTS = 64


class Tailing(support.Case):
    def gating_server(self, hz=100, **gating):
        return self.udp_server(hz=hz, slots=SLOTS, ring={"gating": {"readers_max": 1, **gating}})

    def reader(self, server):
        return next(iter(server.status()["rings"][0]["readers"]), {})

    def wait_gating(self, server, tail):
        """The server's word comes before the reader has joined: it must have read something too."""
        wait_until(lambda: self.reader(server).get("mode") == "gating", "a gating reader")
        tail.wait(bool, "its first frame")

    def said(self, tail):
        with open(tail.path + ".err", encoding="utf-8") as file:
            return file.read()

    def test_gating_tail_loses_nothing(self):
        server, _, _ = self.gating_server()
        tail = server.tail("udp", "--gating", "--oldest", "--count", "200")
        wait_until(lambda: self.reader(server).get("mode") == "gating", "a gating reader")
        self.assertEqual(tail.process.wait(support.PATIENCE_S), 0, self.said(tail))
        positions = [line["position"] for line in tail.lines()]
        self.assertEqual(positions, list(range(positions[0], positions[0] + 200)))
        self.assertEqual(self.said(tail), "")

    def test_stopped_tail_is_demoted_and_says_so(self):
        """The fault: SIGSTOP. It is demoted, not evicted yet, goes on as an observer, and everybody is told."""
        server, _, _ = self.gating_server(hz=500, deadline_ms=700, evict_ms=600000)
        tail = server.tail("udp", "--gating")
        self.wait_gating(server, tail)
        os.kill(tail.process.pid, signal.SIGSTOP)
        wait_until(lambda: self.reader(server).get("mode") == "demoted", "a demoted reader")
        reader = self.reader(server)
        self.assertEqual((reader["reason"], reader["deadline_ms"]), ("deadline", 700))
        self.assertGreater(reader["waited_ns_max"], 700 * 10**6)
        wait_until(lambda: server.status()["rings"][0]["gating"]["events"], "the event")
        for command in ("status", "ledger"):
            text = server.cli(command, server.instance).stdout
            self.assertIn(f"reader pid {tail.process.pid}: demoted", text)
            self.assertRegex(text, r"the writer waited for it \d+ times?, ")
            self.assertIn(f"pid {tail.process.pid} demoted: it held the writer up for longer than it may", text)
        os.kill(tail.process.pid, signal.SIGCONT)
        wait_until(lambda: "demoted: held the writer up" in self.said(tail), "the word of tail")
        wait_until(lambda: "too slow" in self.said(tail), "its loss")
        frames = len(tail.lines())
        tail.wait(lambda lines: len(lines) > frames + 10, "frames for an observer")
        ledger = json.loads(server.cli("ledger", "--json", server.instance).stdout)
        stream, = ledger["streams"]
        self.assert_balanced(stream)
        self.assertGreater(stream["lost"]["ring_full"], 0)
        self.assertEqual(stream["lost"]["restart"], 0)
        self.assertEqual(server.status()["rings"][0]["epoch"], 1, "the worker lives through it")
        ring, = ledger["rings"]
        self.assertEqual((ring["name"], ring["slots"], ring["gating"]["demotions"]), ("udp", SLOTS, 1))
        self.assertEqual(ring["readers"][0]["pid"], tail.process.pid)

    def test_evicted_tail_ends_with_one(self):
        """The same fault, for longer than evict_ms."""
        server, _, _ = self.gating_server(hz=500, deadline_ms=500, evict_ms=700)
        tail = server.tail("udp", "--gating")
        self.wait_gating(server, tail)
        os.kill(tail.process.pid, signal.SIGSTOP)
        wait_until(lambda: server.status()["rings"][0]["gating"]["evictions"] == 1, "an eviction")
        self.assertIn(f"pid {tail.process.pid} evicted", server.cli("status", server.instance).stdout)
        os.kill(tail.process.pid, signal.SIGCONT)
        self.assertEqual(tail.process.wait(support.PATIENCE_S), 1, self.said(tail))
        self.assertIn("evicted: the server has given", self.said(tail))

    def test_ring_without_places_refuses(self):
        server, _, _ = self.udp_server()
        done = server.cli("tail", "--gating", server.instance, "udp")
        self.assertEqual(done.returncode, 1)
        self.assertIn("takes no gating readers", done.stderr)

    def test_all_places_are_taken(self):
        server, _, _ = self.gating_server()
        tail = server.tail("udp", "--gating")
        self.wait_gating(server, tail)
        done = server.cli("tail", "--gating", server.instance, "udp")
        self.assertIn("places for gating readers of ring 'udp' are taken", done.stderr)
        self.assertEqual(done.returncode, 1, "the server was reached")

    def test_begins_where_it_is_told(self):
        server, sensor, _ = self.udp_server()
        server.wait_status(lambda s: s["rings"][0]["published"] > 40, "frames")
        oldest = json.loads(server.cli("tail", "--json", "--oldest", "--count", "40", server.instance, "udp")
                            .stdout.splitlines()[-1])
        for option, value in (("--from-sequence", "source_sequence"), ("--from-time", "tai_ns")):
            done = server.cli("tail", "--json", option, str(oldest[value]), "--count", "1", server.instance, "udp")
            self.assertEqual(json.loads(done.stdout)["position"], oldest["position"], option)
        # Older than everything: the oldest. Newer: what comes next.
        done = server.cli("tail", "--json", "--from-time", "0", "--count", "1", server.instance, "udp")
        self.assertEqual(json.loads(done.stdout)["position"], 0)
        published = server.status()["rings"][0]["published"]
        done = server.cli("tail", "--json", "--from-sequence", str(2**63), "--count", "1", server.instance, "udp")
        self.assertGreaterEqual(json.loads(done.stdout)["position"], published)

    def test_wrong_use(self):
        for wrong in (("--oldest", "--from-time", "1"), ("--from-sequence", "1", "--from-time", "1"),
                      ("--oldest", "--oldest"), ("--from-sequence", "x"), ("--from-time", "-1")):
            done = self.cli("tail", *wrong, "udp")
            self.assertEqual((done.returncode, done.stdout), (2, ""), wrong)
            self.assertIn("only one", done.stderr)
        for command in ("status", "ledger"):
            self.assertEqual(self.cli(command, "--gating").returncode, 2)


if __name__ == "__main__":
    support.main()
