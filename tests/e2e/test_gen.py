#!/usr/bin/env python3
"""sluice-gen against plain sockets and files: every frame's bytes, its number, and that the report says what came.

As root the test lives in a network namespace of its own, which the kernel removes with it: veth pairs are made there.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import support
from support import BIN, SHARED, wait_until

MAGIC = 0x534C5543
HEADER = struct.Struct(">IHHQQII")
HEARTBEAT, END = 1, 2
STEP = 0x2545F4914F6CDD1D
MIX = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33
PACKET_AUXDATA = 8
SOL_PACKET = 263
ETH_P_ALL = 3


def own_namespace():
    """True if this process now lives in a network namespace of its own, with its loopback up."""
    if os.geteuid() != 0 or support.LIBC.unshare(CLONE_NEWNET) != 0 or shutil.which("ip") is None:
        return False
    return subprocess.run(["ip", "link", "set", "dev", "lo", "up"], check=False).returncode == 0


NAMESPACE = own_namespace()


def content(number, size, seed=1):
    """net/payload.h, a second time."""
    base = ((number + 1) * MIX & MASK) ^ seed
    words = b"".join(struct.pack("<Q", base + i * STEP & MASK) for i in range(size // 8 + 1))
    return words[:size]


def internet_sum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Frame:
    """A payload of format sluice, checked in full."""

    def __init__(self, payload, seed=1, same=False):
        magic, version, self.flags, self.number, self.tai_ns, self.stream, self.bytes = HEADER.unpack_from(payload)
        self.good_head = magic == MAGIC and version == 1 and self.bytes == len(payload) - HEADER.size
        self.good = self.good_head and payload[HEADER.size:] == content(0 if same else self.number, self.bytes, seed)
        self.size = len(payload)


class Receiver:
    """A UDP socket that keeps all datagrams, with a buffer that loses none of a short test."""

    def __init__(self, case, address="127.0.0.1", port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.socket.bind((address, port))
        self.socket.settimeout(0.1)
        self.target = "%s:%d" % self.socket.getsockname()
        self.datagrams = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    def _run(self):
        while True:
            try:
                self.datagrams.append(self.socket.recv(65536))
            except socket.timeout:
                if self.ended.is_set():
                    return

    def end(self):
        """All datagrams: what has been sent on this machine is in the socket's buffer by now."""
        self.ended.set()
        self.thread.join(support.PATIENCE_S)
        return self.datagrams


class Gen(support.Case):
    def gen(self, *options, code=0):
        """The finished process; its report is .report."""
        done = subprocess.run([os.path.join(BIN, "sluice-gen"), *map(str, options), "--json"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        done.report = json.loads(done.stdout) if done.stdout else None
        return done

    def check_stream(self, frames, report, first=0):
        """Frames of format sluice in their order of arrival against the report."""
        frames = [f for f in frames if not f.flags]
        self.assertEqual(len(frames), report["frames"])
        self.assertEqual([f.number for f in frames if not f.good_head], [])
        self.assertEqual(sum(not f.good for f in frames), report["corrupted"])
        numbers = [f.number for f in frames]
        self.assertTrue(all(first <= n < first + report["sent"] for n in numbers))
        self.assertEqual(report["next"], first + report["sent"])
        self.assertEqual(report["sent"] - len(set(numbers)), report["lost"])
        self.assertEqual(len(numbers) - len(set(numbers)), report["duplicated"])
        behind, highest = [], -1
        for n in numbers:
            if n < highest:
                behind.append(highest - n)
            highest = max(highest, n)
        self.assertEqual(sum(b < 64 for b in behind), report["reordered"])
        self.assertEqual(sum(b >= 64 for b in behind), report["late"])


class Udp(Gen):
    def test_every_frame_arrives_as_it_was_told(self):
        receiver = Receiver(self)
        before = time.clock_gettime_ns(time.CLOCK_TAI)
        report = self.gen("udp", receiver.target, "--count", 3000, "--rate", "30kpps", "--size", 333, "--seed", 7).report
        after = time.clock_gettime_ns(time.CLOCK_TAI)
        frames = [Frame(d, 7) for d in receiver.end()]
        self.check_stream(frames, report)
        self.assertEqual([f.number for f in frames if not f.flags], list(range(3000)))
        self.assertEqual(report["sent"], 3000)
        self.assertTrue(all(before - 1000 <= f.tai_ns <= after + 1000 for f in frames))
        self.assertEqual((frames[-1].flags, frames[-1].number), (HEARTBEAT | END, 3000))
        self.assertLessEqual(report["rate_hz"], 30000 * 1.0001, "never faster than asked for")

    def test_injections_are_counted_exactly(self):
        receiver = Receiver(self)
        report = self.gen("udp", receiver.target, "--count", 4000, "--max", "--size", 64, "--lose", 0.02, "--duplicate", 0.02,
                          "--reorder", 0.02, "--late", 0.02, "--corrupt", 0.02, "--first", 10).report
        for what in ("lost", "duplicated", "reordered", "late", "corrupted"):
            self.assertGreater(report[what], 20, what)
        self.check_stream([Frame(d) for d in receiver.end()], report, first=10)

    def test_gso_sends_the_same_datagrams(self):
        got = []
        for option in ("--max", "--no-gso"):
            receiver = Receiver(self)
            self.gen("udp", receiver.target, "--count", 1000, "--rate", "1Mpps", "--burst", 64, "--sizes", "64:1,200:5,9000:1",
                     "--format", "field", option)
            got.append(receiver.end())
        self.assertEqual(got[0], got[1])
        self.assertEqual(len(got[0]), 1000)
        self.assertEqual({len(d) for d in got[0]}, {64, 200, 9000})
        for number, datagram in enumerate(got[0]):
            self.assertEqual(datagram, struct.pack(">Q", number) + content(number, len(datagram) - 8))

    def test_raw_content(self):
        receiver = Receiver(self)
        self.gen("udp", receiver.target, "--count", 50, "--max", "--format", "raw", "--sizes", "0,1,7,100")
        for number, datagram in enumerate(receiver.end()):
            self.assertEqual(datagram, content(number, len(datagram)))

    def test_the_same_content_in_all(self):
        receiver = Receiver(self)
        self.gen("udp", receiver.target, "--count", 50, "--max", "--content", "same", "--size", 100)
        self.assertTrue(all(Frame(d, same=True).good for d in receiver.end()[:50]))

    def test_a_heartbeat_tells_of_a_lost_tail(self):
        receiver = Receiver(self)
        report = self.gen("udp", receiver.target, "--count", 300, "--rate", "1000pps", "--heartbeat-ms", 20, "--lose-tail", 9,
                          "--stream", 77).report
        frames = [Frame(d) for d in receiver.end()]
        beats = [f for f in frames if f.flags]
        self.assertEqual(len(beats), report["heartbeats"])
        self.assertGreaterEqual(len(beats), 2)
        self.assertEqual(beats[-1].number, 300)
        self.assertEqual(max(f.number for f in frames if not f.flags), 290)
        self.assertEqual(report["lost"], 9)
        self.assertTrue(all(f.size == 32 and f.stream == 77 and f.good_head for f in beats))
        numbers = [f.number for f in frames]
        self.assertEqual(numbers, sorted(numbers), "a heartbeat's number is the next to be sent")

    def test_no_end(self):
        receiver = Receiver(self)
        report = self.gen("udp", receiver.target, "--count", 3, "--max", "--no-end").report
        self.assertEqual([Frame(d).flags for d in receiver.end()], [0, 0, 0])
        self.assertEqual(report["heartbeats"], 0)

    def test_seconds_and_bits(self):
        receiver = Receiver(self)
        report = self.gen("udp", receiver.target, "--seconds", 0.2, "--rate", "1Mbit/s", "--size", 250).report
        self.check_stream([Frame(d) for d in receiver.end()], report)
        self.assertLessEqual(report["sent"], 101)
        self.assertGreater(report["sent"], 1)
        self.assertEqual(report["asked_bit_per_s"], 1e6)

    def test_a_sender_that_only_sleeps(self):
        receiver = Receiver(self)
        report = self.gen("udp", receiver.target, "--count", 2000, "--rate", "10kpps", "--burst", 50, "--spin-us", 0).report
        self.check_stream([Frame(d) for d in receiver.end()], report)
        self.assertEqual((report["sent"], report["longest_full_ns"]), (2000, 0))
        self.assertLessEqual(report["rate_hz"], 10000 * 1.0001, "never faster than asked for")

    def test_a_moment_to_start_at(self):
        at_ns = time.monotonic_ns() + 300_000_000
        report = self.gen("udp", Receiver(self).target, "--count", 1, "--start-at-ns", at_ns).report
        self.assertGreaterEqual(report["start_ns"], at_ns)

    def test_a_signal_ends_it_with_a_true_report(self):
        receiver = Receiver(self)
        process = support.spawn(os.path.join(BIN, "sluice-gen"), "udp", receiver.target, "--rate", "5kpps", "--late", "0.05",
                                "--reorder", "0.05", "--size", "64", "--json", stdout=subprocess.PIPE, text=True)
        self.addCleanup(support.stop, process)
        wait_until(lambda: len(receiver.datagrams) > 500, "500 frames")
        process.send_signal(signal.SIGTERM)
        report = json.loads(process.communicate(timeout=30)[0])
        self.assertEqual(process.returncode, 0)
        self.assertTrue(report["interrupted"])
        self.check_stream([Frame(d) for d in receiver.end()], report)

    def test_nobody_listens(self):
        report = self.gen("udp", f"127.0.0.1:{support.free_udp_port()}", "--count", 100, "--rate", "10kpps").report
        self.assertGreater(report["refused"], 0)
        self.assertEqual(report["frames"], 100)

    def test_control(self):
        receiver = Receiver(self)
        lines = "--count 100 --max\n--bad\n--size 5000\n\n--count 50 --lose 0.2\n--count 10 --first 1000\n"
        done = subprocess.run([os.path.join(BIN, "sluice-gen"), "udp", receiver.target, "--size", "200", "--rate", "10kpps",
                               "--count", "1", "--control"], input=lines, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([s["event"] for s in said], ["ready", "run", "error", "error", "run", "run", "run"])
        self.assertIn("--bad", said[2]["text"])
        self.assertIn("at most the 200 bytes", said[3]["text"])
        self.assertEqual([(s["first"], s["sent"]) for s in said if s["event"] == "run"],
                         [(0, 100), (100, 1), (101, 50), (1000, 10)])
        frames = [Frame(d) for d in receiver.end()]
        self.assertEqual(sum(not f.flags for f in frames), sum(s["frames"] for s in said if s["event"] == "run"))
        self.assertTrue(all(f.good for f in frames if not f.flags))

    def test_bad_usage_gets_a_sentence(self):
        for words, says in ((["udp", "127.0.0.1"], "expected ADDRESS:PORT of IPv4"),
                            (["udp", "127.0.0.1:0"], "expected ADDRESS:PORT"),
                            (["udp", "127.0.0.1:70000"], "found '127.0.0.1:70000'"),
                            (["udp", "nowhere.invalid:5"], "expected ADDRESS:PORT"),
                            (["udp", "127.0.0.1:5", "--lose", "2"], "--lose: expected a number from 0 to 1, found '2'"),
                            (["udp", "127.0.0.1:5", "--core", "4000"], "--core: expected a core"),
                            (["udp", "127.0.0.1:5", "--from-ip", "203.0.113.1"], "--from-ip is an address of this machine"),
                            (["udp", "127.0.0.1:5", "--file", "/nowhere.vdif"], "No such file"),
                            (["udp", "127.0.0.1:5", "--file", "/nowhere.pcap"], "No such file"),
                            (["carrier-pigeon", "x"], "expected one of udp, packet, dpdk")):
            with self.subTest(words):
                done = subprocess.run([os.path.join(BIN, "sluice-gen"), *words], stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=60)
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(says, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_help_and_version(self):
        done = subprocess.run([os.path.join(BIN, "sluice-gen"), "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertIn("--rate N[k|M|G]pps|bit/s", done.stdout)
        done = subprocess.run([os.path.join(BIN, "sluice-gen"), "--version"], capture_output=True, text=True, timeout=60)
        self.assertRegex(done.stdout, r"^sluice-gen \d+\.\d+\.\d+\n$")

    def test_text_report(self):
        receiver = Receiver(self)
        done = subprocess.run([os.path.join(BIN, "sluice-gen"), "udp", receiver.target, "--count", "5", "--max"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertIn("5 numbers, 5 frames and 1 heartbeats", done.stdout)

    def test_sluice_gen_is_found_beside_sluice(self):
        receiver = Receiver(self)
        done = self.cli("gen", "udp", receiver.target, "--count", "5", "--max", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["sent"], 5)
        alone = shutil.copy(os.path.join(BIN, "sluice"), self.path("sluice"))
        done = subprocess.run([alone, "gen", "udp", "x"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"expected sluice-gen at {os.path.realpath(self.path('sluice-gen'))}", done.stderr)
        self.assertIn("build it", done.stderr)


def capture_of(frames):
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return head + b"".join(struct.pack("<IIII", 1, 0, len(f), len(f)) + f for f in frames)


def ethernet(payload, ethertype=0x0800):
    return bytes.fromhex("ffffffffffff020000000009") + struct.pack(">H", ethertype) + payload


def udp_packet(payload):
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17, 0, 0xC0000201, 0xC0000202)
    ip = ip[:10] + struct.pack(">H", ~internet_sum(ip) & 0xFFFF) + ip[12:]
    return ip + struct.pack(">HHHH", 5, 6, 8 + len(payload), 0) + payload


class Recordings(Gen):
    def vdif(self, name):
        path = os.path.join(SHARED, "data/vdif", name)
        if not os.path.exists(path):
            self.skipTest(f"SKIPPED: {path} is not there: NO REAL VDIF WAS SENT (SLUICE_SHARED names the folder)")
        with open(path, "rb") as file:
            data = file.read()
        frames = []
        while data:
            size = 8 * int.from_bytes(data[8:11], "little")
            frames.append(data[:size])
            data = data[size:]
        return path, frames

    def send_vdif(self, name):
        path, frames = self.vdif(name)
        receiver = Receiver(self)
        report = self.gen("udp", receiver.target, "--file", path, "--rate", "20kpps", "--repeat", 2).report
        self.assertEqual(receiver.end(), frames * 2)
        self.assertEqual(report["sent"], 2 * len(frames))
        self.assertEqual(report["heartbeats"], 0)

    def test_vdif_of_eight_threads(self):
        self.send_vdif("sample.vdif")

    def test_vdif_of_a_telescope(self):
        self.send_vdif("sample_arochime.vdif")

    def test_vdif_of_an_array(self):
        self.send_vdif("sample_mwa.vdif")

    def test_no_vdif(self):
        path = self.path("x.vdif")
        with open(path, "wb") as file:
            file.write(bytes(100))
        done = self.gen("udp", "127.0.0.1:5", "--file", path, code=2)
        self.assertIn("expected at byte 0 the header of a VDIF frame", done.stderr)

    def test_a_captures_payloads(self):
        payloads = [content(i, 20 + i) for i in range(40)]
        path = self.path("x.pcap")
        with open(path, "wb") as file:
            file.write(capture_of([ethernet(b"arp", 0x0806)] + [ethernet(udp_packet(p)) for p in payloads]))
        receiver = Receiver(self)
        self.gen("udp", receiver.target, "--file", path, "--max")
        self.assertEqual(receiver.end(), payloads)


class Tap:
    """Everything that arrives on an interface, Ethernet and all; VLAN tags as the kernel took them off."""

    def __init__(self, case, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        case.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)

    def frames(self):
        """[(frame, VLAN id or None)] of all that has been sent by now."""
        got = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, address = self.socket.recvmsg(65536, 256)
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                vlan = None
                for _, kind, auxiliary in ancillary:
                    status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", auxiliary[:20])
                    if kind == PACKET_AUXDATA and status & 0x10:
                        vlan = tci & 0xFFF
                got.append((data, vlan))
        return got


class Wire(Gen):
    """Frames with all their headers, on what carries them."""

    def check_frame(self, data, report_of=None, head=None):
        """The payload of an IPv4 UDP frame whose lengths and header checksum are right; and whether UDP's is."""
        head = head or bytes.fromhex("ffffffffffff")
        self.assertEqual(data[:6], head)
        self.assertEqual(data[12:14], b"\x08\x00")
        ip = data[14:34]
        size = len(data) - 14
        self.assertEqual(struct.unpack_from(">BBH", ip), (0x45, 0, size))
        self.assertEqual(internet_sum(ip), 0xFFFF)
        self.assertEqual(struct.unpack_from(">HHH", data, 34), (40000, 4000, size - 20))
        self.assertNotEqual(data[40:42], b"\0\0")
        pseudo = ip[12:20] + struct.pack(">HH", 17, size - 20)
        return data[42:], internet_sum(pseudo + data[34:]) == 0xFFFF

    def check_wire(self, frames, report, **options):
        payloads = [self.check_frame(data) for data in frames]
        self.assertEqual(sum(not good for _, good in payloads), report["corrupted"])
        self.check_stream([Frame(p, **options) for p, _ in payloads], report)


@unittest.skipUnless(NAMESPACE, "SKIPPED: no network namespace (root and iproute2 are needed): NO RAW FRAME WAS SENT")
class Packet(Wire):
    def setUp(self):
        super().setUp()
        subprocess.run(["ip", "link", "add", "gen0", "type", "veth", "peer", "name", "gen1"], check=True)
        self.addCleanup(subprocess.run, ["ip", "link", "del", "gen0"], check=True)
        for name in ("gen0", "gen1"):
            with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as file:
                file.write("1")  # nothing speaks here but we
            subprocess.run(["ip", "link", "set", "dev", name, "up"], check=True)
        self.tap = Tap(self, "gen1")

    def mac(self, interface):
        """Not from /sys, which shows the namespace that it was mounted in."""
        said = subprocess.run(["ip", "-json", "link", "show", interface], check=True, capture_output=True, text=True).stdout
        return json.loads(said)[0]["address"]

    def test_headers_checksums_content_and_counts(self):
        report = self.gen("packet", "gen0", "--count", 2000, "--rate", "50kpps", "--sizes", "33,64:3,333,1472", "--lose", 0.02,
                          "--duplicate", 0.02, "--reorder", 0.02, "--corrupt", 0.02).report
        frames = [data for data, _ in self.tap.frames()]
        self.assertEqual(frames[0][6:12], bytes.fromhex(self.mac("gen0").replace(":", "")))
        self.check_wire(frames, report)

    def test_the_kernel_takes_them(self):
        subprocess.run(["ip", "address", "add", "192.0.2.2/24", "dev", "gen1"], check=True)
        for name in ("all", "gen1"):
            with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w", encoding="ascii") as file:
                file.write("0")
        receiver = Receiver(self, "192.0.2.2", 4000)
        report = self.gen("packet", "gen0", "--count", 500, "--rate", "20kpps", "--to-mac", self.mac("gen1"), "--lose",
                          0.05).report
        self.check_stream([Frame(d) for d in receiver.end()], report)

    def test_a_tag(self):
        self.gen("packet", "gen0", "--count", 5, "--vlan", 123, "--max")
        frames = self.tap.frames()
        self.assertEqual([vlan for _, vlan in frames], [123] * 6)
        self.assertTrue(all(self.check_frame(data)[1] for data, _ in frames))

    def test_an_ethertype(self):
        self.gen("packet", "gen0", "--count", 5, "--ethertype", "88b5", "--format", "field", "--size", 60, "--max")
        for number, (data, _) in enumerate(self.tap.frames()):
            self.assertEqual(data[12:14], b"\x88\xb5")
            self.assertEqual(data[14:], struct.pack(">Q", number) + content(number, 52))

    def test_no_checksum(self):
        self.gen("packet", "gen0", "--count", 5, "--no-checksum", "--max")
        self.assertEqual({data[40:42] for data, _ in self.tap.frames()}, {b"\0\0"})

    def test_a_capture_goes_out_as_it_is(self):
        sent = [ethernet(b"\0" * 46, 0x0806), ethernet(udp_packet(b"hello")), ethernet(b"x" * 1500, 0x88B5)]
        path = self.path("x.pcap")
        with open(path, "wb") as file:
            file.write(capture_of(sent))
        self.gen("packet", "gen0", "--file", path, "--repeat", 3, "--max")
        self.assertEqual([data for data, _ in self.tap.frames()], sent * 3)

    def test_vdif(self):
        path = os.path.join(SHARED, "data/vdif/sample_arochime.vdif")
        if not os.path.exists(path):
            self.skipTest(f"SKIPPED: {path} is not there: NO REAL VDIF WAS SENT (SLUICE_SHARED names the folder)")
        self.gen("packet", "gen0", "--file", path, "--max")
        with open(path, "rb") as file:
            self.assertEqual(b"".join(self.check_frame(data)[0] for data, _ in self.tap.frames()), file.read())

    def test_larger_than_the_interface_allows(self):
        done = self.gen("packet", "gen0", "--size", 2000, "--count", 5, code=1)
        self.assertIn("a frame of 2042 bytes is larger than the interface's MTU of 1500 allows", done.stderr)
        self.assertEqual(done.report["dropped"], 1)

    def test_no_interface_and_one_that_is_down(self):
        done = self.gen("packet", "nothere", "--count", 5, code=1)
        self.assertIn("expected the name of a network interface, found 'nothere'", done.stderr)
        subprocess.run(["ip", "link", "set", "dev", "gen0", "down"], check=True)
        done = self.gen("packet", "gen0", "--count", 5, code=1)
        self.assertIn("ip link set dev INTERFACE up", done.stderr)

    def test_a_dpdk_port_on_an_interface(self):
        report = self.gen("dpdk", "net_af_packet0,iface=gen0", "--count", 1000, "--rate", "20kpps", "--size", 100,
                          "--corrupt", 0.05).report
        self.check_wire([data for data, _ in self.tap.frames()], report)


class Dpdk(Wire):
    def read_capture(self, path):
        with open(path, "rb") as file:
            data = file.read()
        magic = struct.unpack_from("<I", data)[0]
        self.assertIn(magic, (0xA1B2C3D4, 0xA1B23C4D))
        at, frames = 24, []
        while at < len(data):
            count, whole = struct.unpack_from("<II", data, at + 8)
            self.assertEqual(count, whole)
            frames.append(data[at + 16:at + 16 + count])
            at += 16 + count
        return frames

    def test_frames_through_a_port_into_a_file(self):
        path = self.path("out.pcap")
        report = self.gen("dpdk", f"net_pcap0,tx_pcap={path}", "--count", 3000, "--max", "--sizes", "33,64:3,333,1472,9000",
                          "--lose", 0.02, "--duplicate", 0.02, "--reorder", 0.02, "--late", 0.01, "--corrupt", 0.02,
                          "--linger-ms", 0).report
        self.check_wire(self.read_capture(path), report)
        self.assertIn("net_pcap", report["about"])
        self.assertGreater(report["open_ns"], 0)
        print(f"a DPDK port was open after {report['open_ns'] / 1e6:.0f} ms, {report['resident_kb']} kB resident")

    def test_content_that_is_written_once(self):
        path = self.path("out.pcap")
        report = self.gen("dpdk", f"net_pcap0,tx_pcap={path}", "--count", 20000, "--max", "--sizes", "33,64:3,333,1472",
                          "--content", "same", "--linger-ms", 0).report
        self.check_wire(self.read_capture(path), report, same=True)

    def test_a_port_that_swallows(self):
        report = self.gen("dpdk", "net_null0", "--seconds", 0.2, "--max", "--size", 64, "--full", "drop", "--linger-ms", 0).report
        self.assertGreater(report["frames"], 1000)
        self.assertEqual(report["dropped"], 0)

    def test_ports_that_are_none(self):
        for port, says in (("net_nonsense0", "DPDK made no port 'net_nonsense0'"),
                           ("net_memif0,role=nobody", "DPDK made no port 'net_memif0'"),
                           ("0000:ff:1f.7", "no DPDK port at PCI 0000:ff:1f.7"),
                           (f"net_pcap0,tx_pcap={self.path('no/such/folder')}", "DPDK made no port 'net_pcap0'"),
                           ("x" * 600, "expected a port's arguments of at most")):
            with self.subTest(port):
                done = self.gen("dpdk", port, "--count", 5, code=1)
                self.assertIn(says, done.stderr)

    def test_a_memif_client_waits_for_its_server_and_says_so(self):
        done = self.gen("dpdk", f"net_memif0,role=client,socket={self.path('x.sock')},socket-abstract=no", "--wait", 1,
                        "--count", 5, code=1)
        self.assertIn("waits for the other end of net_memif0", done.stderr)
        self.assertIn("Failed to connect socket", done.stderr)
        self.assertIn("expected its other end; start it first, or --wait for longer", done.stderr)


if __name__ == "__main__":
    support.main()
