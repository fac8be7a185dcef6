#!/usr/bin/env python3
"""One sluice-dpdk process, two polling threads: two memif ports with a generator each, and one port with two queues, each into
a ring of its own with a gating reader on it. Ledgers are exact, also over an orderly and a sudden end of the worker; a thread
that hangs is seen as a worker that hangs is."""
import contextlib
import ctypes
import json
import os
import signal
import struct
import subprocess
import unittest

import readers
import support
import test_dpdk
from support import BIN, exists, spawn, stop, wait_until
from test_dpdk import RESTART, content

PORTS = ("a", "b")
HEAPWATCH = os.environ.get("SLUICE_HEAPWATCH", os.path.join(os.path.dirname(BIN), "lib/libheapwatch.so"))
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000


class Threads(test_dpdk.Dpdk):
    def setUp(self):
        super().setUp()
        if os.cpu_count() < 2:
            self.skipTest("SKIPPED: one core: SEVERAL POLLING THREADS WERE NOT TRIED")

    def sock_of(self, name):
        return self.path(name + ".sock")

    def two(self, port=None, **source):
        """Both sources on one worker; by default each has a port of its own and nobody says which core."""
        text = self.config(**source)
        text["workers"][0].update(cores=[1, 0], idle="duty", spin_us=50, sleep_us=50)
        ring, one = text["rings"][0], text["sources"][0]
        text["rings"] = [{**ring, "name": n, "gating": {"readers_max": 1, "when_full": "wait", "deadline_ms": 60000}}
                         for n in PORTS]
        text["sources"] = [{**one, "name": n, "ring": n,
                            "port": port or f"net_memif{i},role=server,id={i},socket={self.sock_of(n)},socket-abstract=no"}
                           for i, n in enumerate(PORTS)]
        return text

    def run_server(self, environment=None, **changes):
        self.server_process = self.server(self.two(**changes), environment=environment).start()
        os.environ.update(self.environment)
        return self.server_process

    def start_gen(self, name, *options):
        index = PORTS.index(name)
        process = spawn(os.path.join(BIN, "sluice-gen"), "dpdk",
                        f"net_memif0,role=client,id={index},socket={self.sock_of(name)},socket-abstract=no", "--to-port", "5000",
                        "--json", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(stop, process)
        return process

    def said(self, process):
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        return json.loads(out.splitlines()[-1])

    def of(self, name):
        return self.server_process.stream(name)

    def gating(self, name):
        reader = readers.Reader(self.instance, name, mode=readers.GATING, start=readers.OLDEST)
        self.addCleanup(reader.detach)
        return reader

    def take(self, reader, frames, gaps):
        """What has come, each frame released when it has been seen."""
        while (one := reader.next()) is not None:
            self.assertTrue(reader.valid(one[0]))
            (gaps if one[0].flags & 1 else frames).append((one[0].source_sequence, one[0].cause, one[1]))
            if one[0].position % 256 == 0:
                reader.release()
        reader.release()

    def unharmed(self):
        """Nobody has died meanwhile: a worker that does is started again, and might do all that is asked of it then."""
        self.assertEqual({p["restarts"] for p in self.server_process.status()["processes"]}, {0}, self.server_process.log())

    def threads(self):
        """As `sluice status` tells of the worker's."""
        return wait_until(lambda: self.server_process.processes()["packets"]["threads"], "the worker's threads")


class TwoPorts(Threads):
    def test_each_ledger_is_exact(self):
        self.run_server()
        reading = {name: (self.gating(name), [], []) for name in PORTS}
        gens = {name: self.start_gen(name, "--count", "20000", "--size", "300", "--rate", "20kpps", "--seed", str(seed), "--lose",
                                     "0.01", "--duplicate", "0.01", "--reorder", "0.01", "--lose-tail", str(seed))
                for name, seed in zip(PORTS, (5, 9))}

        def all_ended():
            for name in PORTS:
                self.take(*reading[name])
            return all(process.poll() is not None for process in gens.values())

        wait_until(all_ended, "both generators' end", 120)
        for name in PORTS:
            sent = self.said(gens[name])
            stream = wait_until(lambda n=name, s=sent: (of := self.of(n))["sent"] == s["sent"] and of, "the last heartbeat")
            self.assertEqual(stream["lost"]["sender"], sent["lost"])
            self.assertEqual((stream["duplicated"], stream["reordered"]), (sent["duplicated"], sent["reordered"]))
            self.assertEqual((stream["delivered"], stream["residual"]), (sent["sent"] - sent["lost"], 0))
            self.take(*reading[name])
            reader, frames, _ = reading[name]
            seed = {"a": 5, "b": 9}[name]
            self.assertEqual((reader.lost, reader.state), (0, "gating"))
            self.assertEqual(len({number for number, _, _ in frames}), stream["delivered"])
            for number, _, payload in frames:
                self.assertEqual(payload[32:], content(number, 268, seed), (name, number))
            self.all_are_timed(name)
        self.unharmed()

    def all_are_timed(self, name):
        """Each frame, in bursts of whatever size, is in the histograms of its way into the ring."""
        def good():
            status = self.server_process.status()
            hops = status["latency_ns"]
            sent = hops[f"{name}.sent_to_arrival"]
            delivered = self.server_process.stream(name, status)["delivered"]
            return (sent["count"] + sent["ahead"] + sent["undated"], hops[f"{name}.arrival_to_publish"]["count"]) == (
                delivered, delivered) and sent["count"] > 0

        wait_until(good, "all frames to be counted")

    def test_status_and_map_tell_of_the_threads(self):
        server = self.run_server()
        pid = self.worker_pid()
        threads = self.threads()
        self.assertEqual([t["core"] for t in threads], [1, 0])
        self.assertEqual([t["name"] for t in threads], ["sluice-dpdk", "sluice-poll-1"])
        self.assertEqual(threads[0]["tid"], pid)
        self.assertEqual(len({t["tid"] for t in threads}), 2)
        for told in threads:
            with open(f"/proc/{pid}/task/{told['tid']}/status", encoding="ascii") as file:
                status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
            self.assertEqual(status["Name"], told["name"])
            self.assertEqual(status["Cpus_allowed_list"], str(told["core"]))
            self.assertEqual((told["sealed"], status["Seccomp"]), (True, "2"))
        self.assertTrue(server.processes()["packets"]["sealed"])
        self.assertEqual(server.processes()["control"]["threads"], [], "a process of one thread")
        for word in ("sluice-poll-1", "thread, sealed"):
            self.assertIn(word, server.cli("status", self.instance).stdout)
        found = json.loads(server.cli("map", self.instance, "--json").stdout)
        tasks = {t["tid"]: t for p in found["processes"] if p["pid"] == pid for t in p["threads"]}
        self.assertEqual(set(tasks), {int(tid) for tid in os.listdir(f"/proc/{pid}/task")})
        for told in threads:
            self.assertEqual((tasks[told["tid"]]["name"], tasks[told["tid"]]["cores"]), (told["name"], str(told["core"])))
        self.assertIn("sluice-poll-1", server.cli("map", self.instance).stdout)

    def test_ends_of_the_worker_are_accounted_to_the_frame(self):
        """An orderly end in the middle of both streams, then kill -9: the gating readers stay, and what nobody received is
        lost by a restart, to the frame."""
        server = self.run_server()
        reading = {name: (self.gating(name), [], []) for name in PORTS}
        gens = {name: self.start_gen(name, "--size", "100", "--rate", "5kpps") for name in PORTS}

        def more(than):
            for name in PORTS:
                self.take(*reading[name])
            return all(len(reading[name][1]) > count for name, count in than.items())

        wait_until(lambda: more(dict.fromkeys(PORTS, 1000)), "both streams")
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self.worker_pid()
            server.kill(pid, number)
            wait_until(lambda p=pid: not exists(p) and self.worker_pid() != p, "another sluice-dpdk")
            before = {name: len(reading[name][1]) for name in PORTS}
            wait_until(lambda b=before: more({name: count + 500 for name, count in b.items()}), "both streams again")

        for process in gens.values():
            process.send_signal(signal.SIGTERM)  # it says how far it has come, to the port as well
        self.assertIn("ended with exit code 0", server.log())
        for name in PORTS:
            sent = self.said(gens[name])
            stream = wait_until(lambda n=name, s=sent: (of := self.of(n))["sent"] == s["sent"] and of, "the last heartbeat")
            self.take(*reading[name])
            reader, frames, gaps = reading[name]
            numbers = [number for number, _, _ in frames]
            self.assertEqual(stream["residual"], 0)
            self.assertEqual(stream["delivered"] + stream["lost"]["restart"], sent["sent"])
            self.assertEqual(len(numbers), stream["delivered"])
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertGreaterEqual([cause for _, cause, _ in gaps].count(RESTART), 2)
            self.assertEqual((reader.lost, reader.state), (0, "gating"))

    def test_no_thread_enters_the_heap(self):
        server = self.run_server(environment={"LD_PRELOAD": HEAPWATCH})
        wait_until(lambda: server.log().count("watching a sealed thread") == 4, "the hook in control, both threads and the observer")
        reading = {name: (self.gating(name), [], []) for name in PORTS}
        for name in PORTS:
            self.said(self.start_gen(name, "--count", "500", "--size", "100", "--lose", "0.01"))
            wait_until(lambda n=name: self.of(n)["sent"] == 500, "its frames")
            self.take(*reading[name])
        self.unharmed()
        self.assertEqual(server.end(), 0)
        self.assertNotIn("a sealed thread called", server.log())

    def test_stop_leaves_nothing(self):
        server = self.run_server()
        gens = [self.start_gen(name, "--rate", "5kpps", "--size", "100") for name in PORTS]
        reading = {name: (self.gating(name), [], []) for name in PORTS}
        wait_until(lambda: all(self.of(name)["delivered"] > 500 for name in PORTS), "both streams")
        pid = self.worker_pid()
        self.assertEqual(server.end(), 0, server.log())
        self.assertNotIn("does not end", server.log())
        self.assertFalse(exists(pid))
        for gen in gens:
            gen.kill()
        for name in PORTS:
            self.assertFalse(os.path.exists(self.sock_of(name)), "the port's socket")
            reader, frames, gaps = reading[name]
            self.take(reader, frames, gaps)
            self.assertEqual([number for number, _, _ in frames], list(range(len(frames))), "all that was received, in order")

    def test_a_thread_that_hangs_is_a_worker_that_hangs(self):
        server = self.run_server()
        pid = self.worker_pid()
        tid = self.threads()[1]["tid"]
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(PTRACE_SEIZE, tid, None, None) != 0:
            self.skipTest(f"SKIPPED: cannot stop one thread ({os.strerror(ctypes.get_errno())}): A THREAD THAT HANGS WAS NOT TRIED")
        self.assertEqual(libc.ptrace(PTRACE_INTERRUPT, tid, None, None), 0)
        os.waitpid(tid, WALL)  # it stands
        wait_until(lambda: f"(pid {pid}) has been silent for" in server.log(), "its silence to be noticed")
        with contextlib.suppress(ChildProcessError):
            os.waitpid(tid, WALL)  # its end is shown to us first
        wait_until(lambda: not exists(pid) and self.worker_pid() != pid, "another sluice-dpdk")
        for name in PORTS:
            self.said(self.start_gen(name, "--count", "100", "--size", "100"))
            wait_until(lambda n=name: self.of(n)["delivered"] == 100, "its frames")
            self.assertEqual(self.of(name)["residual"], 0)


def udp_frame(payload):
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, 0x0A000001, 0x0A000002)
    total = sum(struct.unpack(">10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + ip[12:]
    return bytes(12) + b"\x08\x00" + ip + struct.pack(">HHHH", 1, 5000, 8 + len(payload), 0) + payload


class TwoQueues(Threads):
    def test_one_port_two_queues_two_threads(self):
        """A port of files: a queue for each, which nothing but its own thread may touch."""
        counts = {"a": 3000, "b": 2500}
        for seed, (name, count) in enumerate(counts.items()):
            with open(self.path(name + ".pcap"), "wb") as file:
                file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
                for number in range(count):
                    frame = udp_frame(struct.pack(">Q", number) + content(number, 200, seed))
                    file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
        port = f"net_pcap0,rx_pcap={self.path('a.pcap')},rx_pcap={self.path('b.pcap')}"
        self.run_server(port=port, stream={}, sequence={"at_byte": 0, "width_bytes": 8, "byte_order": "big"})
        self.assertEqual([t["core"] for t in self.threads()], [1, 0])
        for seed, (name, count) in enumerate(counts.items()):
            stream = wait_until(lambda n=name, c=count: (of := self.of(n))["delivered"] >= c and of, f"{count} frames")
            self.assertEqual((stream["sent"], stream["delivered"], stream["residual"]), (count, count, 0))
            wait_until(lambda n=name: self.of(n)["open"], "the port's link, as its first queue's thread has told")
            reader, frames, gaps = self.gating(name), [], []
            self.take(reader, frames, gaps)
            self.assertEqual([number for number, _, _ in frames], list(range(count)))
            for number, _, payload in frames:
                self.assertEqual(payload[8:], content(number, 200, seed), (name, number))
        self.unharmed()


if __name__ == "__main__":
    support.main()
