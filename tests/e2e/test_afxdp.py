#!/usr/bin/env python3
"""AF_XDP end to end: a whole server in a network namespace, its interface one end of a veth pair, senders at the other
end in a second namespace. Both go with this process."""
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess

import example_case
import readers
import support
from readers import OLDEST
from support import LIBC, PATIENCE_S, SHARED, Actuator, SensorUdp, config, free_udp_port, outputs_to, udp_source, wait_until

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.99.0.2", "10.99.0.1"
PORT, OTHER_PORT = 5000, 5001
HEAPWATCH = os.environ.get("SLUICE_HEAPWATCH", os.path.join(os.path.dirname(support.BIN), "lib/libheapwatch.so"))


def ip(*arguments, fds=()):
    subprocess.run(["ip", *arguments], check=True, pass_fds=fds)


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(payload, port=PORT, corrupt=False):
    """The frame of a UDP datagram, with its checksums as a wire would carry them."""
    udp = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload
    pseudo = socket.inet_aton(THERE) + socket.inet_aton(HERE) + struct.pack(">HH", 17, len(udp))
    udp = udp[:6] + struct.pack(">H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0x4000, 64, 17, 0, socket.inet_aton(THERE),
                       socket.inet_aton(HERE))
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    frame = bytearray(b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0" + head + udp)
    if corrupt:
        frame[-1] ^= 0x10
    return bytes(frame)


class Afxdp(example_case.Case):
    seed = 77

    def setUp(self):
        super().setUp()
        if shutil.which("ip") is None:
            self.skipTest("SKIPPED: no program ip (iproute2): AF_XDP WAS NOT TESTED END TO END")
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, home)
        self.addCleanup(self.enter, home)
        if LIBC.unshare(CLONE_NEWNET) != 0:
            self.skipTest("SKIPPED: no network namespace can be made (root?): AF_XDP WAS NOT TESTED END TO END")
        self.there = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, self.there)
        self.assertEqual(LIBC.unshare(CLONE_NEWNET), 0)
        self.here = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, self.here)
        ip("link", "set", "lo", "up")
        self.make_interface()
        before = os.environ.get("SLUICE_RUN_DIR")
        os.environ["SLUICE_RUN_DIR"] = self.run_dir  # for the library in this process
        self.addCleanup(lambda: os.environ.pop("SLUICE_RUN_DIR") if before is None
                        else os.environ.update(SLUICE_RUN_DIR=before))

    def enter(self, namespace):
        self.assertEqual(LIBC.setns(namespace, CLONE_NEWNET), 0)

    @contextlib.contextmanager
    def at_the_other_end(self):
        self.enter(self.there)
        try:
            yield
        finally:
            self.enter(self.here)

    def make_interface(self):
        ip("link", "add", "taken", "address", "02:00:00:00:00:02", "type", "veth", "peer", "name", "wire", "address",
           "02:00:00:00:00:01", "netns", f"/proc/self/fd/{self.there}", fds=(self.there,))
        ip("addr", "add", f"{HERE}/24", "dev", "taken")
        ip("link", "set", "taken", "up")
        with self.at_the_other_end():
            ip("addr", "add", f"{THERE}/24", "dev", "wire")
            ip("link", "set", "wire", "up")
            self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.wire.bind(("wire", 0))
        self.addCleanup(self.wire.close)

    def socket_there(self, kind=socket.SOCK_DGRAM, protocol=0):
        with self.at_the_other_end():
            s = socket.socket(socket.AF_INET, kind, protocol)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE_S)
        return s

    def start_server(self, environment=None, slot_bytes=None, **source):
        guard = free_udp_port()
        data = {"name": "data", "kind": "afxdp", "worker": "sensors", "ring": "data", "interface": "taken",
                "packet": {"to": f"{HERE}:{PORT}"}, "frame_bytes": readers.FRAME.size, "descriptors": 1024,
                "sequence": {"at_byte": 0, "width_bytes": 8, "byte_order": "little"}, **source}
        data = {key: value for key, value in data.items() if value is not None}
        text = config(self.instance, [udp_source(guard), data], outputs_to(Actuator(self).target))
        for ring in text["rings"]:
            if slot_bytes is not None and ring["name"] == "data":
                ring["slot_bytes"] = slot_bytes
        server = self.server(text, environment=environment).start()
        SensorUdp(self, guard).start()
        return server

    def open(self, server):
        return server.wait_status(lambda s: server.stream("data", s)["open"], "the interface to be open")

    def follow(self):
        reader = readers.Reader(self.instance, "data", start=OLDEST)
        self.addCleanup(reader.detach)
        return readers.Follower(reader, self.seed)

    def send(self, number, **how):
        self.wire.send(ethernet(readers.content(number, self.seed), **how))

    def send_many(self, first, count, server, total):
        """In bursts that the rings take; until `total` frames in all have been published."""
        for start in range(first, first + count, 256):
            for number in range(start, min(start + 256, first + count)):
                self.send(number)
            self.published(server, total - (first + count - min(start + 256, first + count)))
        return self.published(server, total)

    def published(self, server, frames):
        status = server.wait_status(
            lambda s: (d := server.stream("data", s))["delivered"] + d["duplicated"] >= frames, f"{frames} frames")
        stream = server.stream("data", status)
        self.assert_balanced(stream)
        return stream

    def assert_no_restart(self, server):
        status = server.wait_status(lambda s: all(p["sealed"] for p in s["processes"][1:]), "every process to be sealed")
        self.assertEqual({p["restarts"] for p in status["processes"]}, {0}, server.log())

    def assert_read(self, follower, frames, **also):
        follower.drain()
        report = follower.report()
        for key, value in {"frames": frames, "wrong": 0, "holes": 0, **also}.items():
            self.assertEqual(report[key], value, (key, report))
        return report

    def test_everything_arrives_and_the_rest_stays_the_kernels(self):
        server = self.start_server()
        self.open(server)
        follower = self.follow()
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.bind((HERE, OTHER_PORT))
        other.settimeout(PATIENCE_S)
        self.send_many(0, 1500, server, 1500)
        follower.drain()
        self.send_many(1500, 1500, server, 3000)
        follower.drain()

        # A sender with a socket: its kernel leaves checksums to a device that there is not.
        sender = self.socket_there()
        for number in range(3000, 3200):
            sender.sendto(readers.content(number, self.seed), (HERE, PORT))
        stream = self.published(server, 3200)

        # Another port, and a ping.
        for number in range(50):
            sender.sendto(b"other %d" % number, (HERE, OTHER_PORT))
            self.assertEqual(other.recv(100), b"other %d" % number)
        echo = self.socket_there(socket.SOCK_RAW, socket.IPPROTO_ICMP)
        ping = struct.pack(">BBHHH", 8, 0, 0, 5, 1) + b"sluice"
        echo.sendto(ping[:2] + struct.pack(">H", checksum(ping)) + ping[4:], (HERE, 0))
        self.assertEqual(echo.recv(100)[28:], b"sluice")

        self.assert_read(follower, 3200, missing=0, backwards=0, gaps=[], said_lost=0, first_number=0, last_number=3199)
        self.assertEqual((stream["sent"], stream["delivered"], sum(stream["lost"].values())), (3200, 3200, 0))
        self.assertEqual(sum(stream["refused"].values()), 0, stream)
        self.assert_no_restart(server)
        self.assertEqual(server.end(), 0)
        self.assert_nothing_left(server)
        shown = subprocess.run(["ip", "link", "show", "taken"], check=True, capture_output=True, text=True).stdout
        self.assertNotIn("xdp", shown)

    def test_the_ledger_balances_to_what_was_injected(self):
        rng = random.Random(5)
        server = self.start_server()
        self.open(server)
        follower = self.follow()
        lost = repeated = swapped = corrupted = good = 0
        number, since_wait = 0, 0
        while number < 4000:
            kind = rng.random() if 0 < number < 3990 else 1
            if kind < 0.02:
                gap = rng.randint(1, 50)
                number += gap
                lost += gap
            elif kind < 0.03:
                self.send(number, corrupt=True)
                corrupted += 1
                number += 1
                continue
            elif kind < 0.04:
                self.send(number + 1)
                self.send(number)
                swapped += 1
                good += 2
                number += 2
                continue
            self.send(number)
            good += 1
            if 0.05 < kind < 0.06:
                self.send(number)
                repeated += 1
            number += 1
            since_wait += 1
            if since_wait == 200:
                self.published(server, good + repeated)
                since_wait = 0
        stream = self.published(server, good + repeated)
        self.assertEqual((stream["sent"], stream["delivered"]), (good + lost + corrupted, good), stream)
        self.assertEqual((stream["duplicated"], stream["reordered"]), (repeated, swapped), stream)
        self.assertEqual((stream["lost"]["sender"], stream["lost"]["malformed"]), (lost, corrupted), stream)
        self.assertEqual(sum(stream["lost"].values()), lost + corrupted, stream)
        self.assertEqual(stream["refused"]["checksum"], corrupted, stream)
        report = self.assert_read(follower, good + repeated)
        self.assertEqual([cause for _, cause, _ in report["gaps"]], ["malformed"] * corrupted)
        self.assert_no_restart(server)

    def test_the_interface_goes_and_comes_back(self):
        """Under the seal, without a restart, and without ever entering the heap."""
        if not os.path.exists(HEAPWATCH):
            self.fail(f"{HEAPWATCH} does not exist: build the target heapwatch")
        server = self.start_server({"LD_PRELOAD": HEAPWATCH})
        self.open(server)
        follower = self.follow()
        self.send_many(0, 100, server, 100)
        total = 100
        for round_, (vanish, appear, errno) in enumerate((
                (lambda: ip("link", "set", "taken", "down"), lambda: ip("link", "set", "taken", "up"), 100),
                (lambda: ip("link", "del", "taken"), self.make_interface, 19))):
            vanish()
            server.wait_status(lambda s, n=errno: (d := server.stream("data", s))["open_errno"] == n and not d["open"],
                               "the interface to be missed")
            appear()
            self.open(server)
            first = total + 10 * (round_ + 1)  # ten are missed each time
            self.send_many(first, 100, server, total + 100)
            total += 100
        stream = server.stream("data")
        self.assertEqual((stream["connects"], stream["disconnects"]), (3, 2), stream)
        self.assertEqual((stream["lost"]["restart"], sum(stream["lost"].values())), (20, 20), stream)
        report = self.assert_read(follower, 300, missing=20, backwards=0, said_lost=20)
        self.assertEqual([cause for _, cause, _ in report["gaps"]], ["restart", "restart"])
        self.assert_no_restart(server)
        self.assertNotIn("a sealed thread called", server.log())

    def test_killed_worker(self):
        server = self.start_server()
        self.open(server)
        follower = self.follow()
        self.send_many(0, 100, server, 100)
        before = server.worker()
        server.kill(before, signal.SIGKILL)
        wait_until(lambda: server.child("sluice-worker") not in (None, before), "the next worker")
        server.wait_status(lambda s: (d := server.stream("data", s))["open"] and d["connects"] == 2, "it to be open")
        self.send_many(130, 100, server, 200)
        stream = server.stream("data")
        self.assertEqual((stream["lost"]["restart"], sum(stream["lost"].values())), (30, 30), stream)
        report = self.assert_read(follower, 200, missing=30, said_lost=30)
        self.assertEqual([cause for _, cause, _ in report["gaps"]], ["restart"])

    def test_no_such_interface_at_first(self):
        ip("link", "del", "taken")
        server = self.start_server()
        status = server.wait_status(lambda s: server.stream("data", s)["open_errno"] == 19, "the interface to be missed")
        self.assertFalse(server.stream("data", status)["open"])
        self.assertIn("there is no interface taken", server.log())
        self.make_interface()
        self.open(server)
        follower = self.follow()
        self.send_many(0, 50, server, 50)
        self.assert_read(follower, 50, missing=0, gaps=[])
        self.assert_no_restart(server)

    def test_the_example(self):
        case = self

        class Example(example_case.Example):
            name, wanted = "afxdp", {"pressure": 101.5}

            def changes(self):
                return {"interface: eth1": "interface: taken", "192.0.2.2:5000": f"{HERE}:{PORT}"}

            def feed(self):
                case.wire.send(ethernet(struct.pack("<Q", self.sent) + struct.pack(">f52x", 101.5)))
                self.sent += 1

        self.run_example(Example(self))

    def generate(self, *options):
        """What sluice-gen says at its end."""
        with self.at_the_other_end():
            done = subprocess.run([os.path.join(support.BIN, "sluice-gen"), "packet", "wire", "--json", "--to-mac",
                                   "02:00:00:00:00:02", "--to-ip", HERE, "--to-port", str(PORT), *options], check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=4 * PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_generator(self):
        """Everything that it injects, and a tail that only its last word tells of."""
        server = self.start_server(sequence=None, frame_bytes=None, descriptors=2048, stream={"format": "sluice"})
        self.open(server)
        sent = self.generate("--rate", "2kpps", "--count", "5000", "--size", "200", "--lose", "0.01", "--duplicate", "0.01",
                             "--reorder", "0.01", "--corrupt", "0.01", "--lose-tail", "7", "--seed", "3")
        status = server.wait_status(lambda s: server.stream("data", s)["sent"] >= 5000, "the last word")
        stream = server.stream("data", status)
        self.assert_balanced(stream)
        self.assertEqual(stream["sent"], 5000, (stream, sent))
        self.assertEqual(stream["lost"]["sender"], sent["lost"], (stream, sent))
        self.assertEqual(stream["duplicated"], sent["duplicated"], (stream, sent))
        self.assertEqual(stream["reordered"], sent["reordered"], (stream, sent))
        self.assertEqual(stream["refused"]["checksum"], sent["corrupted"], (stream, sent))
        self.assert_no_restart(server)

    def test_more_than_it_can_take(self):
        """Every frame is delivered or lost by a cause, and of those that this host dropped none is the sender's."""
        count = 200000
        server = self.start_server(sequence=None, frame_bytes=None, descriptors=64, stream={"format": "sluice"})
        self.open(server)
        self.generate("--max", "--count", str(count), "--size", "64")
        last = []

        def told():
            """Whatever was dropped at the end is known when a later frame has come through."""
            self.generate("--rate", "1kpps", "--first", str(count + 20 * len(last)), "--count", "20", "--size", "64")
            last.append(server.stream("data"))
            return last[-1] if last[-1]["sent"] == count + 20 * len(last) else None

        stream = wait_until(told, lambda: f"the last frames: {last[-1]}", pause_s=0.2)
        print(f"delivered {stream['delivered']}, lost {stream['lost']}")
        self.assert_balanced(stream)
        self.assertEqual(stream["delivered"] + stream["lost"]["kernel"], stream["sent"], stream)
        self.assertEqual((stream["duplicated"], stream["reordered"], sum(stream["refused"].values())), (0, 0, 0), stream)
        self.assert_no_restart(server)

    def recording(self, name):
        """[(frame)], [thread ids in order]"""
        path = os.path.join(SHARED, "data/vdif", name + ".vdif")
        if not os.path.exists(path):
            self.skipTest(f"SKIPPED: no recording {path}; name the folder above data in SLUICE_SHARED: VDIF OVER AF_XDP WAS "
                          "NOT TESTED")
        with open(path, "rb") as file:
            data = file.read()
        frames, threads = [], []
        while data:
            words = struct.unpack_from("<4I", data)
            length = (words[2] & 0xFFFFFF) * 8
            frames.append(data[:length])
            if (thread := words[3] >> 16 & 0x3FF) not in threads:
                threads.append(thread)
            data = data[length:]
        return frames, threads

    def arrives_bit_identical(self, name, slot_bytes=None):
        frames, threads = self.recording(name)
        server = self.start_server(sequence=None, frame_bytes=None,
                                   stream={"format": "vdif", "frames_per_second": 400000, "threads": threads}, slot_bytes=slot_bytes)
        self.open(server)
        for frame in frames:
            self.wire.send(ethernet(frame))
        stream = self.published(server, len(frames))
        reader = readers.Reader(self.instance, "data", start=OLDEST)
        self.addCleanup(reader.detach)
        got = [reader.next() for _ in frames]
        self.assertEqual([payload for _, payload in got], frames)
        numbers = [frame.source_sequence for frame, _ in got]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(frames))), "every thread's every frame")
        self.assertEqual((stream["sent"], stream["delivered"]), (len(frames), len(frames)), stream)

    def test_recording_with_two_threads(self):
        self.arrives_bit_identical("sample_arochime")

    def test_recording_with_eight_threads(self):
        """Frames of more than a page, in jumbo packets: they come in pieces."""
        ip("link", "set", "taken", "mtu", "9000")
        with self.at_the_other_end():
            ip("link", "set", "wire", "mtu", "9000")
        self.arrives_bit_identical("sample", slot_bytes=8192)

    def test_recording_with_one_thread(self):
        self.arrives_bit_identical("sample_mwa")


if __name__ == "__main__":
    support.main()
