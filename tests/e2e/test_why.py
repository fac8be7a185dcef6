#!/usr/bin/env python3
"""sluice why: disturbances of known kinds are injected on the control process's core, and each must be named.

What is asserted is who is named, never how long anything took. A disturbance that is injected: a thread of higher priority
that takes the core, an interrupt's work of known origin on a veth pair, a stop by a signal, the kernel's throttling of
real-time threads.
"""
import ctypes
import json
import os

import signal
import socket
import struct
import subprocess
import sys
import time

import support
from support import BIN, LIBC, wait_until

TIMES = 40          # disturbances of each kind
SHARE = 0.95        # of them must be named
CORE = 1            # the control process's
CLONE_NEWNET = 0x40000000
SO_ATTACH_FILTER = 26
ETH_P_ALL = 3
FILTERS, FILTER_STEPS = 300, 4000  # their work for one frame is some 0.5 ms, in a softirq
THIEF = r"""
import os, sys, time
open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[2]))
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
print("ready", flush=True)
for line in sys.stdin:
    start = time.monotonic_ns()
    end = start + int(line)
    while time.monotonic_ns() < end:
        pass
    print(start, time.monotonic_ns(), flush=True)
"""


def unfit():
    """Why nothing can be watched here, or None."""
    if os.geteuid() != 0:
        return "SKIPPED: not root: NOTHING WATCHED WHO TAKES CORES"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "SKIPPED: a kernel without BTF: NOTHING WATCHED WHO TAKES CORES"
    if len(os.sched_getaffinity(0)) < 2:
        return "SKIPPED: one core: NOTHING WATCHED WHO TAKES CORES"
    return None


def is_the_hosts(finding):
    """The machine was not there for most of it: nothing in it can have been to blame."""
    return finding["host_ns"] > finding["took_ns"] / 2


class Watching(support.Case):
    def setUp(self):
        super().setUp()
        if unfit():
            self.skipTest(unfit())

    def watch(self, top=None, **control):
        duty = {"idle": "duty", "spin_us": 100, "sleep_us": 20}
        control = {"core": CORE, "policy": "fifo", "priority": 40, **(control or duty)}
        server, sensor, actuator = self.udp_server(hz=200, top={"observer": {"threshold_us": 5}, **(top or {})}, **control)
        wait_until(lambda: (w := self.why(server)) and w["observer"] == "watching" and w["threads"], "the observer to watch")
        return server, sensor, actuator

    def why(self, server, *options):
        done = server.cli("why", self.instance, "--json", *options)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def thief(self, name=b"why-thief"):
        process = subprocess.Popen([support.PYTHON, "-c", THIEF, str(CORE), name.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_thief, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    @staticmethod
    def end_thief(process):
        process.stdin.close()
        process.wait(support.PATIENCE_S)
        process.stdout.close()

    def overlapping(self, server, start, end):
        """What is known of this stretch of time, once the observer has looked at it."""

        def look():
            report = self.why(server, "--latest", "--count", "1000", "--since", "20")
            found = [f for f in report["decisions"] + report["loops"]
                     if f["monotonic_ns"] < end and f["monotonic_ns"] + f["took_ns"] > start]
            return found

        try:
            return wait_until(look, "a finding", seconds=3)
        except AssertionError:
            return []

    def disturbed(self, server, inject):
        """A disturbance and what is known of it; another one if the machine itself was away for most of the time."""
        for _ in range(3):
            start, end = inject()
            found = self.overlapping(server, start, end)
            if not any(map(is_the_hosts, found)):
                break
        return start, end, found

    def each_is_named(self, server, inject, matches, times=TIMES):
        """inject() gives (start, end) of a disturbance; matches(culprit): is it the right one?"""
        named, missed = 0, []
        for _ in range(times):
            start, end, found = self.disturbed(server, inject)
            if any(f["culprits"] and matches(f["culprits"][0]) for f in found):
                named += 1
            else:
                missed.append([end - start, [[f["what"], f["complete"], f["took_ns"], [(c["who"], c["ns"]) for c in f["culprits"]]] for f in found]])
        print(f"{self.id()}: {named} of {times} named")
        self.assertGreaterEqual(named, SHARE * times, json.dumps(missed)[:6000])
        return named


class Watched(Watching):
    def test_a_thread_of_higher_priority(self):
        server, _, _ = self.watch()
        thief = self.thief()

        def inject():
            print(2_000_000, file=thief.stdin, flush=True)
            return map(int, thief.stdout.readline().split())

        self.each_is_named(server, inject, lambda c: c["kind"] == "task" and c["name"] == "why-thief" and c["pid"] == thief.pid)
        start, end = inject()
        wait_until(lambda: any(e["name"] == "why-thief" and e["thread"] == "control" and e["cpu"] == CORE and
                               start < e["monotonic_ns"] + e["ns"] and e["monotonic_ns"] < end
                               for e in self.why(server, "--log", "5000")["log"]), "it in the log")
        report = self.why(server)
        self.assertGreaterEqual(next(t for t in report["threads"] if t["thread"] == "control")["causes"]["task"]["count"], SHARE * TIMES)
        for finding in report["decisions"] + report["loops"]:
            self.assertEqual(finding["took_ns"], finding["named_ns"] + finding["host_ns"] + finding["own_ns"])
        text = server.cli("why", self.instance).stdout
        self.assertIn("why-thief (pid", text)
        self.assertIn("keep other work off the core", text)
        self.assertRegex(text, r"(?m)^control +\d+ .*task \d+ \(max ")

    def test_a_name_that_is_no_text(self):
        """Anybody may call his program as he likes: it is named all the same, and tells a terminal nothing."""
        server, _, _ = self.watch()
        thief = self.thief(b"\xfcber\x1b]0;x\a")

        def inject():
            print(2_000_000, file=thief.stdin, flush=True)
            return map(int, thief.stdout.readline().split())

        self.each_is_named(server, inject, lambda c: c["kind"] == "task" and c["name"] == "?ber?]0;x?", times=3)
        text = server.cli("why", self.instance).stdout
        self.assertIn("?ber?]0;x? (pid", text)
        self.assertNotIn("\x1b", text)

    def test_a_stop(self):
        server, _, _ = self.watch()
        control = server.control()

        def inject():
            start = time.monotonic_ns()
            os.kill(control, signal.SIGSTOP)
            time.sleep(0.005)
            os.kill(control, signal.SIGCONT)
            return start, time.monotonic_ns()

        self.each_is_named(server, inject,
                           lambda c: c["kind"] == "stopped" and c["what"] == signal.SIGSTOP and c["pid"] == os.getpid())

    def namespace(self, name):
        name = f"{name}{os.getpid()}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", name], check=True)
        return name

    @staticmethod
    def within(name, do):
        """do() in that network namespace."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            if LIBC.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            return do()
        finally:
            LIBC.setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(there)

    def slow_receivers(self, device):
        """Sockets that look at every frame for long, and take none: a filter's work is done where the frame arrives."""
        steps = [struct.pack("=HBBI", 0x04, 0, 0, 1)] * (FILTER_STEPS - 1) + [struct.pack("=HBBI", 0x06, 0, 0, 0)]
        code = ctypes.create_string_buffer(b"".join(steps))
        program = struct.pack("HL", len(steps), ctypes.addressof(code))
        for _ in range(FILTERS):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.addCleanup(s.close)
            s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
            s.bind((device, ETH_P_ALL))

    def test_an_interrupts_work(self):
        """A frame on a veth pair whose receiving end is steered to the control process's core."""
        server, _, _ = self.watch()
        one, two = self.namespace("whya"), self.namespace("whyb")
        subprocess.run(["ip", "-n", one, "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", two], check=True)
        for name, device in ((one, "va"), (two, "vb")):
            subprocess.run(["ip", "-n", name, "link", "set", device, "up"], check=True)
        subprocess.run(["ip", "netns", "exec", two, "sh", "-c", f"echo {1 << CORE:x} > /sys/class/net/vb/queues/rx-0/rps_cpus"],
                       check=True)
        self.within(two, lambda: self.slow_receivers("vb"))
        sender = self.within(one, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        self.addCleanup(sender.close)
        sender.bind(("va", 0))
        frame = b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + bytes(46)
        own = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, own)
        os.sched_setaffinity(0, own - {CORE})

        def inject():
            start = time.monotonic_ns()
            sender.send(frame)
            time.sleep(0.003)
            return start, time.monotonic_ns()

        self.each_is_named(server, inject, lambda c: c["kind"] == "softirq" and c["who"] == "softirq NET_RX")

    def test_throttling(self):
        """A real-time thread that never sleeps is stopped for some 50 ms of every second: either the core idles meanwhile, or
        ordinary tasks run there."""
        with open("/proc/sys/kernel/sched_rt_runtime_us", encoding="ascii") as file:
            if file.read().strip() == "-1":
                self.skipTest("SKIPPED: sched_rt_runtime_us is -1: THROTTLING WAS NOT SEEN")
        server, _, _ = self.watch(idle="busy")

        def gaps():
            report = self.why(server, "--latest", "--count", "1000")
            return [f for f in report["loops"] if f["took_ns"] > 20_000_000 and f["complete"] and not is_the_hosts(f)]

        wait_until(lambda: len(gaps()) >= 5, "gaps by throttling", seconds=60, pause_s=0.5)
        found = gaps()
        named = [f for f in found if f["culprits"][0]["kind"] in ("idle", "task")]
        print(f"{self.id()}: {len(named)} of {len(found)} named, "
              f"{sum(f['culprits'][0]['kind'] == 'idle' for f in found)} with an idle core")
        self.assertGreaterEqual(len(named), SHARE * len(found), json.dumps(found, indent=1)[:4000])
        text = server.cli("why", self.instance).stdout
        if any(f["culprits"][0]["kind"] == "idle" for f in found):
            self.assertIn("throttled: the core idled", text)
            self.assertIn("sched_rt_runtime_us", text)


class Life(Watching):
    def test_its_death_harms_nobody(self):
        server, _, actuator = self.watch()
        server.make_armed()
        for count in (1, 2):
            server.kill(wait_until(lambda: server.child("sluice-observer"), "the observer"))
            server.wait_status(lambda s: server.processes(s)["observer"]["restarts"] == count
                               and server.processes(s)["observer"]["alive"] and server.processes(s)["observer"]["sealed"],
                               "it to be started again")
        processes = server.processes()
        self.assertEqual((processes["control"]["restarts"], processes["sensors"]["restarts"]), (0, 0))
        known = self.why(server)["told"]
        wait_until(lambda: self.why(server)["told"] > known, "more events")
        pid = server.child("sluice-observer")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.3)
        server.make_armed()
        os.kill(pid, signal.SIGCONT)
        actuator.wait_permit(True)
        self.assertEqual(server.end(), 0)
        self.assert_nothing_left(server)

    def test_a_new_control_process_is_watched(self):
        server, _, _ = self.watch()
        old = server.control()
        server.kill(old)
        wait_until(lambda: server.child("sluice-control") not in (None, old), "the next control process")
        new = server.child("sluice-control")
        wait_until(lambda: any(t["thread"] == "control" and t["tid"] == new for t in self.why(server)["threads"]), "it to be watched")
        judged = self.why(server, "--latest", "--count", "1000")
        newest = max((f["monotonic_ns"] for f in judged["loops"] + judged["decisions"]), default=0)
        wait_until(lambda: any(f["monotonic_ns"] > newest and f["complete"] for f in self.why(server, "--latest")["loops"]), "findings of it")

    def test_without_the_kernels_types(self):
        """No BTF: it says so, lists what is late, blames nobody, and the server runs as ever."""
        server, _, _ = self.udp_server(start=False)
        with open(server.log_path, "ab") as log:
            server.process = support.spawn("unshare", "--mount", "sh", "-c",
                                           'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$1"', os.path.join(BIN, "sluiced"),
                                           server.config_path, env=server.environment, stdout=log, stderr=log)
        report = wait_until(lambda: (w := self.why(server)) and w["observer"] == "blind" and w["loops"] and w, "a blind observer")
        self.assertRegex(report["refusals"][0], r"/sys/kernel/btf/vmlinux is not there: .*CONFIG_DEBUG_INFO_BTF")
        self.assertTrue(all(f["culprits"] == [] and not f["complete"] for f in report["loops"]), report["loops"])
        text = server.cli("why", self.instance).stdout
        self.assertIn("observer blind", text)
        self.assertIn("! /sys/kernel/btf/vmlinux is not there", text)
        self.assertGreater(text.count("not all that happened then is known"), 0)
        self.assertEqual(server.processes()["observer"]["restarts"], 0)


class Command(support.Case):
    def test_not_wanted(self):
        server, _, _ = self.udp_server(top={"observer": {"watch": False}})
        self.assertNotIn("observer", server.processes())
        done = server.cli("why", self.instance)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("watch: false", done.stdout)
        self.assertEqual(json.loads(server.cli("why", "--json").stdout), {"instance": self.instance, "observer": "off"})

    def test_wrong_use(self):
        for options, words in ((["--count", "0"], "--count expects a whole number from 1"), (["--log", "x"], "--log expects"),
                               (["--since", "-1"], "--since expects"), (["--worst"], "usage: sluice why"), (["a", "b"], "usage: sluice why")):
            done = self.cli("why", *options)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(words, done.stderr)
        done = self.cli("why", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.startswith("usage: sluice why"))
        done = self.cli("why", "nobody")
        self.assertEqual(done.returncode, 3)
        self.assertIn("nobody", done.stderr)


if __name__ == "__main__":
    support.main()
