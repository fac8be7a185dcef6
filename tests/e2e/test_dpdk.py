#!/usr/bin/env python3
"""Packets through a memif port into a ring, whole processes: sluice-gen on one end, sluiced and sluice-dpdk on the other.
What the generator says it sent, lost, doubled and changed round is what the ledger has; every frame's content is checked by a
reader that knows nothing of DPDK."""
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import unittest

import readers
import support
from support import BIN, SHARED, exists, spawn, stop, wait_until

HEADER = struct.Struct(">IHHQQII")
STEP = 0x2545F4914F6CDD1D
MIX = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
RESTART = 7
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None)
HEAPWATCH = os.environ.get("SLUICE_HEAPWATCH", os.path.join(os.path.dirname(BIN), "lib/libheapwatch.so"))
DEATHS = 12


def content(number, size, seed=1):
    """net/payload.h, a second time."""
    base = ((number + 1) * MIX & MASK) ^ seed
    return b"".join(struct.pack("<Q", base + i * STEP & MASK) for i in range(size // 8 + 1))[:size]


class Dpdk(support.Case):
    def config(self, port=None, stream=None, gating=None, slots=16384, slot_bytes=2048, **source):
        self.sock = self.path("adc.sock")
        stream = {"format": "sluice"} if stream is None else stream
        text = support.config(self.instance, [], [], rules=[])
        for key in ("rules", "outputs"):
            del text[key]
        text["workers"] = [{"name": "packets", "idle": "wait", "dpdk_memory_mb": 32}]
        text["rings"] = [{"name": "adc", "slots": slots, "slot_bytes": slot_bytes}]
        if gating:
            text["rings"][0]["gating"] = gating
        text["sources"] = [{"name": "adc", "kind": "dpdk", "worker": "packets", "ring": "adc", "descriptors": 1024,
                            "port": port or f"net_memif0,role=server,socket={self.sock},socket-abstract=no",
                            "packet": {"to": ":5000"}, **({"stream": stream} if stream else {}), **source}]
        return text

    def start(self, environment=None, **changes):
        self.server_process = self.server(self.config(**changes), environment=environment).start()
        os.environ.update(self.environment)  # libsluice in this process finds the server by it
        return self.server_process

    def arguments(self, *options):
        """How sluice-gen is started as the other end."""
        return [os.path.join(BIN, "sluice-gen"), "dpdk", f"net_memif0,role=client,socket={self.sock},socket-abstract=no",
                "--to-port", "5000", *options]

    def gen(self, *options, code=0):
        """What the generator did, as it says."""
        done = subprocess.run(self.arguments("--json", *options), capture_output=True, text=True, timeout=90,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else done.stderr

    def spawn_gen(self, *options):
        gen = spawn(*self.arguments(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(stop, gen)
        return gen

    def reader(self):
        reader = readers.Reader(self.instance, "adc", start=readers.OLDEST)
        self.addCleanup(reader.detach)
        return reader

    def stream(self):
        return self.server_process.status()["streams"][0]

    def wait_delivered(self, count):
        wait_until(lambda: (self.stream() or {}).get("delivered", 0) >= count, f"{count} frames")
        return self.stream()

    def frames(self, reader):
        """All that lies in the ring: (frames, gap records), each (Frame, payload)."""
        found, gaps = [], []
        while (one := reader.next()) is not None:
            self.assertTrue(reader.valid(one[0]))
            (gaps if one[0].flags & 1 else found).append(one)
        return found, gaps

    def worker_pid(self):
        return wait_until(lambda: self.server_process.child("sluice-dpdk"), "sluice-dpdk")


class AnyPort:
    """What a port does of whatever kind, from which a peer can go."""

    def test_every_byte_arrives_in_place(self):
        self.start()
        reader = self.reader()
        sent = self.gen("--count", "3000", "--size", "700", "--rate", "20kpps", "--seed", "3")
        stream = self.wait_delivered(3000)
        self.assertEqual((sent["sent"], stream["sent"], stream["delivered"], stream["residual"]), (3000, 3000, 3000, 0))
        found, _ = self.frames(reader)
        self.assertEqual(len(found), 3000)
        for number, (frame, payload) in enumerate(found):
            self.assertEqual((frame.source_sequence, len(payload)), (number, 700))
            self.assertEqual(payload[32:], content(number, 668, 3), number)
        with open(f"/proc/{os.getpid()}/maps", encoding="ascii") as maps:
            self.assertNotIn("rte", maps.read(), "this process knows nothing of DPDK")

    def test_the_ledger_is_exact(self):
        self.start()
        sent = self.gen("--count", "30000", "--size", "200", "--rate", "100kpps", "--seed", "11", "--lose", "0.01",
                        "--duplicate", "0.01", "--reorder", "0.01", "--lose-tail", "17")
        stream = wait_until(lambda: (s := self.stream())["sent"] == sent["sent"] and s, "the last heartbeat")
        self.assertEqual(stream["lost"]["sender"], sent["lost"])
        self.assertEqual(stream["duplicated"], sent["duplicated"])
        self.assertEqual(stream["reordered"], sent["reordered"])
        self.assertEqual(stream["delivered"], sent["sent"] - sent["lost"])
        self.assertEqual(stream["residual"], 0)

    def test_the_peer_dies_and_comes_again(self):
        self.start()
        reader = self.reader()
        worker = self.worker_pid()
        gen = self.spawn_gen("--rate", "2000pps", "--size", "100")
        self.wait_delivered(500)
        gen.kill()
        gen.wait()
        wait_until(lambda: self.stream()["open"] is False, "the link to be seen down")
        next_number = self.stream()["sent"] + 5000
        self.gen("--count", "100", "--first", str(next_number), "--size", "100")
        stream = wait_until(lambda: (s := self.stream())["sent"] >= next_number + 100 and s, "the new peer's frames")
        self.assertEqual(stream["lost"]["restart"], 5000)
        self.assertEqual(stream["residual"], 0)
        _, gaps = self.frames(reader)
        self.assertIn(RESTART, [frame.cause for frame, _ in gaps])
        self.assertEqual(self.server_process.child("sluice-dpdk"), worker)


class Memif(AnyPort, Dpdk):
    pass


class Streams(Dpdk):
    def test_recordings_arrive_bit_identical(self):
        path = os.path.join(SHARED, "data/vdif/sample.vdif")
        if not os.path.exists(path):
            self.skipTest(f"NO RECORDING at {path}")
        threads = [1, 3, 5, 7, 0, 2, 4, 6]
        self.start(stream={"format": "vdif", "frames_per_second": 1600, "threads": threads}, slot_bytes=8192)
        reader = self.reader()
        with open(path, "rb") as file:
            recording = file.read()
        self.gen("--format", "vdif", "--file", path, "--rate", "1000pps")
        stream = self.wait_delivered(len(recording) // 5032)
        found, _ = self.frames(reader)
        self.assertEqual(b"".join(payload for _, payload in found), recording)
        self.assertEqual((stream["lost"]["sender"], stream["duplicated"], stream["reordered"], stream["residual"]), (0, 0, 0, 0))

    def test_what_is_not_the_streams(self):
        self.start()
        self.gen("--count", "50", "--to-port", "5001")  # the last --to-port counts
        wait_until(lambda: self.server_process.status()["rings"][0]["published"] >= 50, "the strangers' records")
        self.gen("--count", "50", "--first", "0")
        stream = self.wait_delivered(50)
        self.assertEqual((stream["sent"], stream["residual"]), (50, 0))

    def test_frames_longer_than_a_slot(self):
        self.start(slot_bytes=512)
        self.gen("--count", "20", "--size", "200")
        self.gen("--count", "10", "--first", "20", "--size", "1400")
        self.gen("--count", "20", "--first", "30", "--size", "200")
        stream = self.wait_delivered(40)
        self.assertEqual((stream["sent"], stream["lost"]["truncated"], stream["residual"]), (50, 10, 0))

    def test_full_ring_waits_for_its_gating_reader(self):
        self.start(slots=16384, gating={"readers_max": 1, "when_full": "wait", "deadline_ms": 60000})
        reader = readers.Reader(self.instance, "adc", mode=readers.GATING, start=readers.OLDEST)
        self.addCleanup(reader.detach)
        gen = spawn(os.path.join(BIN, "sluice-gen"), "dpdk", f"net_memif0,role=client,socket={self.sock},socket-abstract=no",
                    "--to-port", "5000", "--count", "40000", "--size", "64", "--max", stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)
        self.addCleanup(stop, gen)
        wait_until(lambda: self.server_process.status()["rings"][0]["published"] >= 16384, "a full ring")
        expected = 0

        def drained():
            nonlocal expected
            while (one := reader.next()) is not None:
                if not one[0].flags & 1:
                    self.assertEqual(one[0].source_sequence, expected)
                    expected += 1
                if one[0].position % 256 == 0:
                    reader.release()
            reader.release()
            return expected == 40000

        wait_until(drained, lambda: f"40000 frames, have {expected}")
        self.assertEqual(self.stream()["residual"], 0)
        self.assertEqual(self.stream()["lost"]["ring_full"], 0)
        self.assertEqual(self.server_process.processes()["packets"]["restarts"], 0, "the reader's lease is taken by a sealed worker")


class Life(Dpdk):
    def test_peers_die_at_full_speed(self):
        """memif's driver takes its memory away in another thread while the port is being polled."""
        self.start()
        worker = self.worker_pid()
        for i in range(DEATHS):
            gen = self.spawn_gen("--max", "--content", "same", "--no-checksum", "--full", "drop", "--size", "64", "--first",
                                 str(i * 1000000000))
            before = (self.stream() or {}).get("delivered", 0)
            wait_until(lambda b=before: (self.stream() or {}).get("delivered", 0) > b + 10000, "frames")
            gen.kill()
            gen.wait()
            wait_until(lambda i=i: self.stream()["disconnects"] == i + 1, "the link is down")
            self.assertEqual(self.server_process.child("sluice-dpdk"), worker, f"sluice-dpdk died with peer {i}")
        stream = self.stream()
        self.assertEqual((stream["connects"], stream["residual"]), (DEATHS, 0))
        self.assertEqual(self.server_process.processes()["packets"]["restarts"], 0)

    def test_the_worker_is_killed(self):
        self.start()
        self.gen("--count", "100", "--size", "100")
        self.wait_delivered(100)
        first = self.worker_pid()
        self.server_process.kill(first)
        wait_until(lambda: not exists(first) and self.worker_pid() != first, "another sluice-dpdk")
        self.gen("--count", "100", "--first", "100", "--size", "100")
        stream = self.wait_delivered(200)
        self.assertEqual((stream["sent"], stream["residual"]), (200, 0))

    def test_nothing_else_loads_dpdk(self):
        self.start()
        for pid, program in self.server_process.children().items():
            with open(f"/proc/{pid}/exe", "rb") as file:
                self.assertEqual(b"eth_memif_rx" in file.read(), program == "sluice-dpdk", program)

    def test_stop_leaves_nothing(self):
        server = self.start()
        self.gen("--count", "10", "--size", "100")
        pid = self.worker_pid()
        self.assertTrue(os.path.exists(self.sock))
        self.assertEqual(server.end(), 0, server.log())
        self.assertFalse(exists(pid))
        self.assertFalse(os.path.exists(self.sock), "the port's socket")


def with_sum(header, at):
    """The bytes with the Internet's checksum over them at this offset."""
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total >> 16) + (total & 0xFFFF)
    return header[:at] + struct.pack(">H", ~((total >> 16) + total) & 0xFFFF) + header[at + 2:]


class Groups(Dpdk):
    """Under the seal, and without entering the heap."""
    GROUP, OWN = socket.inet_aton("239.1.2.3"), socket.inet_aton("10.0.0.5")

    def report(self, record):
        """An IGMPv3 report of one record, from IPv4 on."""
        message = with_sum(struct.pack(">BxHHHBxH4s", 0x22, 0, 0, 1, record, 0, self.GROUP), 2)
        head = struct.pack(">BBHHHBBH4s4sI", 0x46, 0xC0, 24 + len(message), 0, 0x4000, 1, 2, 0, self.OWN,
                           socket.inet_aton("224.0.0.22"), 0x94040000)
        return with_sum(head, 10) + message

    def start_watched(self, **changes):
        if not os.path.exists(HEAPWATCH):
            self.fail(f"{HEAPWATCH} does not exist: build the target heapwatch")
        server = self.start(environment={"LD_PRELOAD": HEAPWATCH}, **changes)
        self.first = self.worker_pid()
        return server

    def end(self, server):
        self.assertEqual(self.worker_pid(), self.first, server.log())
        self.assertEqual(server.end(), 0, server.log())
        self.assertIn("watching a sealed thread", server.log())
        self.assertNotIn("a sealed thread called", server.log())
        self.assertFalse(exists(self.first))

    def check_frame(self, frame):
        self.assertEqual((frame[:6].hex(), frame[12:14].hex(), len(frame)), ("01005e000016", "0800", 60))
        return frame[14:54]

    def sent(self):
        """The reports that the port has sent: it writes them into a file."""
        with open(self.path("sent.pcap"), "rb") as file:
            data = file.read()[24:]
        frames = []
        while len(data) >= 16:
            size = struct.unpack("<IIII", data[:16])[2]
            frames.append(data[16:16 + size])
            data = data[16 + size:]
        return [self.check_frame(frame) for frame in frames]

    def test_joined_while_it_runs_and_left_at_the_end(self):
        with open(self.path("empty.pcap"), "wb") as file:
            file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        server = self.start_watched(
            port=f"net_pcap0,rx_pcap={self.path('empty.pcap')},tx_pcap={self.path('sent.pcap')}",
            packet={"to": "239.1.2.3:5000"}, igmp={"address": "10.0.0.5"})
        wait_until(lambda: len(self.sent()) >= 2, "the first reports")
        self.end(server)
        sent = self.sent()
        self.assertEqual(sent[:2], [self.report(4)] * 2)
        self.assertEqual(sent[-1], self.report(3))

    def test_over_memif(self):
        server = self.start_watched(packet={"to": "239.1.2.3:5000"})
        self.gen("--count", "1000", "--size", "200", "--rate", "2000pps", "--to-ip", "239.1.2.3")
        stream = self.wait_delivered(1000)
        self.assertEqual((stream["sent"], stream["residual"]), (1000, 0))
        self.end(server)

    def test_an_interface_of_this_machine_hears_it(self):
        """A tap device, in a network of its own."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, home)
        if LIBC.unshare(CLONE_NEWNET) != 0:
            self.skipTest("SKIPPED: no network namespace can be made (root?): REPORTS OVER A TAP DEVICE WERE NOT TESTED")
        self.addCleanup(LIBC.setns, home, CLONE_NEWNET)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
            ear.settimeout(support.PATIENCE_S)
            server = self.start_watched(port="net_tap0,iface=heard", packet={"to": "239.1.2.3:5000"},
                                        igmp={"address": "10.0.0.5"})
            heard = []
            while len(heard) < 2:
                frame, whence = ear.recvfrom(2048)
                if whence[0] == "heard" and frame[26:30] == self.OWN:  # the kernel says its own there, too
                    heard.append(self.check_frame(frame))
            self.assertEqual(heard, [self.report(4)] * 2)
            self.end(server)


class Refusals(Dpdk):
    def test_a_port_without_rules(self):
        self.refused("expected a port that takes flow rules", "rss_ip", steer="flow")

    def test_a_port_without_hashes(self):
        self.refused("it hashes nothing", "adc", steer="rss_udp")

    def refused(self, *words, **changes):
        server = self.server(self.config(**changes)).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2, server.log())
        for word in words:
            self.assertIn(word, server.log())

    def test_another_process_has_the_socket(self):
        path = self.path("adc.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(path)
            other.listen(1)
            self.refused("another process listens on", path)

    def test_what_is_no_socket_is_not_removed(self):
        path = self.path("adc.sock")
        with open(path, "w", encoding="ascii") as file:
            file.write("mine")
        self.refused("no socket; remove it", path)
        self.assertTrue(os.path.exists(path))

    def test_two_sources_of_a_memif_port(self):
        text = self.config()
        text["rings"].append({**text["rings"][0], "name": "two"})
        text["sources"].append({**text["sources"][0], "name": "two", "ring": "two"})
        server = self.server(text).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2, server.log())
        self.assertIn("a memif port has one queue here; give each source a port", server.log())

    def test_no_such_card(self):
        self.refused("no DPDK port at PCI 0000:7f:1f.7", "dpdk-devbind", port="0000:7f:1f.7")

    def test_no_such_driver(self):
        self.refused("net_nonsense0", port="net_nonsense0,x=1")

    def test_configurations(self):
        cases = [({"slots": 2048}, "8192 slots"),
                 ({"stream": {"format": "vdif"}}, "frames_per_second"),
                 ({"stream": {"format": "spead"}}, "heap_bytes"),
                 ({"packet": {"payload": "ethernet", "to": ":5"}}, "payload: udp"),
                 ({"packet": {"mac": "zz"}}, "six bytes"),
                 ({"listen": "127.0.0.1:5"}, "kind: udp"),
                 ({"port": "x" * 256}, "PCI address"),
                 ({"port": "net_memif0,role=client,zero-copy=yes"}, "the sender may have it"),
                 ({"port": "net_virtio_user0,path=/run/x.sock"}, "net_vhost0,iface=")]
        for changes, word in cases:
            with self.subTest(word):
                text = self.config(**changes)
                path = self.path("refused.yaml")
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(text, file, indent=1)
                done = self.cli("check", path)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
