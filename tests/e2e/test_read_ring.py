#!/usr/bin/env python3
"""docs/examples/read_ring.pl, a reader in Perl that was written from sluice-ring(5) alone: beside `sluice tail` it must show
the same frames, values, gaps and losses, and say clearly why it cannot."""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import unittest

import readers
import support
from reader_case import ReaderCase
from support import ATTACH, PROTOCOL_MAGIC, PROTOCOL_VERSION, REPLY, REQUEST, Actuator, config, free_udp_port, outputs_to, wait_until

SCRIPT = os.path.join(support.ROOT, "docs/examples/read_ring.pl")
PERL = "/usr/bin/perl"
LINES_MAX = 200
MODULES = {"strict", "warnings", "constant", "Config", "Errno", "Socket"}
F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 1, 2, 4

# A frame: the sender's number, then one value of each type in each byte order.
TYPES = (("i8", "b"), ("u8", "B"), ("i16", "h"), ("u16", "H"), ("i32", "i"), ("u32", "I"), ("f32", "f"), ("f64", "d"))
FRAME_BYTES = 80


def channel_rows():
    """(name, type, byte order, offset, struct format)"""
    at = 8
    rows = []
    for order, sign in (("little", "<"), ("big", ">")):
        for kind, letter in TYPES:
            rows.append((f"{kind}_{order}", kind, order, at, sign + letter))
            at += struct.calcsize(sign + letter)
    assert at <= FRAME_BYTES
    return rows


ROWS = channel_rows()


def frame(number):
    """Extremes, fractions and both signs, differing from frame to frame; every seventh is no number."""
    data = bytearray(FRAME_BYTES)
    struct.pack_into("<Q", data, 0, number)
    for index, (_, kind, _, at, form) in enumerate(ROWS):
        word = ((number + 1) * 0x9E3779B97F4A7C15 + index * 0xD1342543DE82EF95) & (2**64 - 1)
        if kind[0] == "f":
            value = float("nan") if number % 7 == 6 else (word - 2**63) / 2.0 ** (40 + index)
        else:
            bits = 8 * struct.calcsize(form)
            value = word >> 64 - bits
            value -= 2**bits if kind[0] == "i" and value >= 2 ** (bits - 1) else 0
        struct.pack_into(form, data, at, value)
    return bytes(data)


def data_source(port):
    channels = [{"name": name, "at_byte": at, "type": kind, "byte_order": order, "scale": 0.37 + i, "offset": -1.5 * i, "unit": "V",
                 "range": [-1e30, 1e30], "stale_ms": 250} for i, (name, kind, order, at, _) in enumerate(ROWS)]
    return {"name": "data", "kind": "udp", "worker": "sensors", "ring": "data", "listen": f"127.0.0.1:{port}",
            "from": "127.0.0.1", "receive_buffer_kb": 16384, "frame_bytes": FRAME_BYTES,
            "sequence": {"at_byte": 0, "width_bytes": 8, "byte_order": "little"}, "channels": channels}


class Perl:
    """The script as a process: what it has said so far."""

    def __init__(self, case, *arguments, environment=None):
        self.path = case.path(f"perl{case.count()}")
        with open(self.path, "wb") as out, open(self.path + ".err", "wb") as err:
            self.process = support.spawn(PERL, SCRIPT, *arguments, env=environment or case.environment, stdout=out, stderr=err)
        case.addCleanup(support.stop, self.process)

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def lines(self):
        return self.text().split("\n")[:-1]

    def said(self):
        with open(self.path + ".err", encoding="utf-8") as file:
            return file.read()

    def attached(self):
        wait_until(lambda: "ring " in self.said() or self.process.poll() is not None, lambda: f"its word: {self.said()}")
        return self

    def end(self):
        self.process.wait(support.PATIENCE_S)
        return self.process.returncode


class Script(ReaderCase):
    def perl(self, *arguments):
        return Perl(self, *arguments)

    def run_perl(self, *arguments, code=0):
        """(what it printed, what it said)"""
        run = Perl(self, *arguments)
        self.assertEqual(run.end(), code, run.said() + run.text())
        return run.text(), run.said()

    def run_tail(self, *arguments):
        done = self.cli("tail", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Live(Script):
    """Beside `sluice tail` on a server."""

    def start(self, slots=1024):
        port = free_udp_port()
        self.actuator = Actuator(self)
        self.guard_port = free_udp_port()
        text = config(self.instance, [support.udp_source(self.guard_port), data_source(port)], outputs_to(self.actuator.target))
        text["rings"][1]["slots"] = slots
        self.sluiced = self.server(text).start()
        self.view = self.map_ring(-1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.port = port

    def put(self, numbers):
        """So many positions later all of them are in the ring."""
        numbers = list(numbers)
        end = self.view.published + len(numbers)
        for number in numbers:
            self.socket.sendto(frame(number), ("127.0.0.1", self.port))
        self.published(end)

    def both(self, *arguments):
        perl, _ = self.run_perl(*arguments[:-1], self.instance, "data", arguments[-1])
        self.assertEqual(perl, self.run_tail(*arguments[:-1], "--count", arguments[-1], self.instance, "data"))
        return perl

    def test_same_frames_and_values(self):
        """Every type in both orders, missing numbers in front of a frame, and a gap record: the fault is a worker that
        is killed. Texts and numbers of 17 digits are equal to the last one."""
        self.start()
        self.put(range(50))
        self.put(range(55, 60))
        self.restart_worker()
        self.put(range(63, 80))
        count = str(self.view.published)
        lines = [json.loads(line) for line in self.both("--json", "--oldest", count).splitlines()]
        frames = [line for line in lines if "values" in line]
        self.assertEqual([f["source_sequence"] for f in frames], [*range(50), *range(55, 60), *range(63, 80)])
        self.assertEqual([line["gap"]["cause"] for line in lines if "gap" in line], ["restart"])
        self.assertEqual([f["lost_before"] for f in frames if f["lost_before"]], [5, 3])
        self.assertEqual(lines[0]["position"], 0)
        for f in frames:
            data = frame(f["source_sequence"])
            for i, (name, _, _, at, form) in enumerate(ROWS):
                value = struct.unpack_from(form, data, at)[0] * (0.37 + i) - 1.5 * i
                self.assertEqual(f["values"][name], value if value == value else None, (f["source_sequence"], name))
        self.assertRegex(self.both("--oldest", count), r"--- gap: sender, 5 frames missing ---")

    def test_follows(self):
        """From the newest on, woken by the server, frame by frame and in bursts, like tail beside it."""
        self.start()
        self.put(range(3))
        tail = self.sluiced.tail("data", "--count", "40")
        perl = self.perl("--json", self.instance, "data", "40").attached()
        wait_until(lambda: len(self.shown_readers()) == 2, "two readers")
        number = 3
        for burst in (1, 1, 5, 1, 20, 2, 10):
            self.put(range(number, number + burst))
            number += burst
            wait_until(lambda: len(perl.lines()) >= number - 3, lambda: f"frame {number}; {perl.said()}")
        self.assertEqual(perl.end(), 0, perl.said())
        tail.wait(lambda lines: len(lines) == 40, "the end of tail")
        self.assertEqual([json.loads(line) for line in perl.lines()], tail.lines())
        self.assertEqual([json.loads(line)["source_sequence"] for line in perl.lines()], list(range(3, 43)))

    def test_lapped_reader_counts(self):
        """The fault: it is stopped while the writer laps it, three times. Every position is shown or counted, and the
        server knows the count, too; so it is with tail."""
        self.start(slots=64)
        perl = self.perl("--json", self.instance, "data").attached()
        tail = self.sluiced.tail("data")
        wait_until(lambda: len(self.shown_readers()) == 2, "two readers")
        readers = (perl, tail)
        number = 0
        for count in (65, 200, 1000):
            for r in readers:
                r.process.send_signal(signal.SIGSTOP)
                wait_until(lambda r=r: self.is_stopped(r.process.pid), "a stopped reader")
            self.put(range(number, number + count))
            number += count
            for r in readers:
                r.process.send_signal(signal.SIGCONT)
            for r in readers:
                wait_until(lambda r=r: (lines := r.lines()) and self.position_of(lines[-1]) == number - 1, "the last frame")
        positions = [json.loads(line)["position"] for line in perl.lines()]
        self.assertEqual(positions, sorted(set(positions)))
        lost = int(re.findall(r"too slow: (\d+) frames were overwritten", perl.said())[-1])
        self.assertGreater(lost, 1000)
        self.assertEqual(len(positions) + lost, number)
        wait_until(lambda: {r["pid"]: r["lost"] for r in self.shown_readers()}.get(perl.process.pid) == lost, "the server's count")
        with open(tail.path + ".err", encoding="utf-8") as file:
            tail_lost = int(re.findall(r"too slow: (\d+) frames were overwritten", file.read())[-1])
        self.assertEqual(len(tail.lines()) + tail_lost, number)

    @staticmethod
    def position_of(line):
        return (json.loads(line) if isinstance(line, str) else line)["position"]

    @staticmethod
    def is_stopped(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "T"

    def test_killed_server(self):
        """The fault: kill -9 of sluiced while it is stopped, with frames that it has not seen: it shows them first."""
        self.start()
        perl = self.perl("--json", self.instance, "data").attached()
        wait_until(self.shown_readers, "the reader")
        perl.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self.is_stopped(perl.process.pid), "a stopped reader")
        self.put(range(30))
        self.sluiced.kill(self.sluiced.pid, signal.SIGKILL)
        self.sluiced.process.wait(support.PATIENCE_S)
        perl.process.send_signal(signal.SIGCONT)
        self.assertEqual(perl.end(), 3)
        self.assertIn("the server has ended", perl.said())
        self.assertEqual([json.loads(line)["source_sequence"] for line in perl.lines()], list(range(30)))

    def test_what_it_asks_for_is_not_there(self):
        self.start()
        _, said = self.run_perl(self.instance, "nothing", code=1)
        self.assertIn("there is no ring 'nothing'; there are: udp, data", said)
        _, said = self.run_perl("nobody", "data", code=3)
        self.assertIn("expected a server of instance 'nobody' at " + os.path.join(self.run_dir, "nobody/server.sock"), said)
        for wrong in ((), ("data",), ("--gating", self.instance, "data"), (self.instance, "data", "many"), ("a/b", "data"),
                      (self.instance, "x" * 32)):
            self.assertIn("usage: ", self.run_perl(*wrong, code=2)[1], wrong)

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become somebody else")
    def test_not_permitted(self):
        """The fault: another user, whom the socket's mode keeps out."""
        self.start()
        for folder in (self.dir, self.run_dir):
            os.chmod(folder, 0o755)
        with open(SCRIPT, "rb") as script:  # read by us: the tree may lie where nobody may look
            run = subprocess.run([PERL, "-e", "$( = $) = 65534; $< = $> = 65534; exec @ARGV or die", PERL, "-", self.instance, "data"],
                                 stdin=script, env=self.environment, capture_output=True, text=True, timeout=support.PATIENCE_S)
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn(f"not permitted to talk to instance '{self.instance}'", run.stderr)


class Impostor:
    """A server that answers one request after the other with what it is told to."""

    def __init__(self, case, instance, ring, lease=b"SLCLASE2", version=PROTOCOL_VERSION, code=0, text="", seals=F_SEAL_SHRINK | F_SEAL_GROW,
                 fds=2, bytes_of_reply=REPLY.size + 512):
        folder = os.path.join(case.run_dir, instance)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "server.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.fds = [self.memory(ring, seals), self.memory(lease.ljust(4096, b"\0"), seals)][:fds]
        self.reply = (REPLY.pack(PROTOCOL_MAGIC, version, len(self.fds), code, 0, 0) + text.encode()).ljust(REPLY.size + 512, b"\0")
        self.reply = self.reply[:bytes_of_reply]
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        self.asked = []
        self.client = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    @staticmethod
    def memory(content, seals):
        fd = os.memfd_create("sluice-test", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.write(fd, content)
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
        return fd

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.client = client
            with client:
                client.settimeout(support.PATIENCE_S)
                self.asked.append(client.recv(4096))
                socket.send_fds(client, [self.reply], self.fds)
                with contextlib.suppress(OSError):
                    client.recv(4096)  # that it waits: it is told that this is the end

    def end_clients(self):
        """As a server ends that has one."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def end(self):
        if self.client is not None:
            self.end_clients()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(support.PATIENCE_S)
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Sample(Script):
    """The ring of sluice-ring(5), and what an impostor makes of it."""

    @classmethod
    def setUpClass(cls):
        path = os.path.join(support.BIN, "ring-sample")
        if not os.path.exists(path):
            raise AssertionError(f"{path} is not there; build it: cmake --build --preset release --target ring-sample")
        run = subprocess.run([path, "/dev/stdout"], stdout=subprocess.PIPE, check=True)
        cls.sample = run.stdout

    def changed(self, *changes):
        """The sample with (offset, struct format, value) in it."""
        ring = bytearray(self.sample)
        for at, form, value in changes:
            struct.pack_into(form, ring, at, value)
        return bytes(ring)

    def impostor(self, ring=None, **options):
        return Impostor(self, "fake", self.sample if ring is None else ring, **options)


class Hostile(Sample):
    """A server of another version, and rings that are corrupt."""

    def refused(self, words, ring=None, code=1, **options):
        server = self.impostor(ring, **options)
        try:
            for form in ([], ["--json"]):
                text, said = self.run_perl(*form, "--oldest", "fake", "small", code=code)
                self.assertEqual(text, "", "nothing is shown of what is refused")
                self.assertIn(words, said)
        finally:
            server.end()
        return server

    def test_sample(self):
        """What the page shows byte by byte, as text; and the request, byte by byte."""
        server = self.impostor()
        text, said = self.run_perl("--oldest", "fake", "small", code=3)
        self.assertIn("ring small: pressure in kPa, temperature in degC (calibrated)", said)
        self.assertIn("the server has ended", said)
        lines = text.splitlines()
        self.assertEqual(lines[0], "           4  1700000037.004000000  #4              8 B  pressure 102 kPa  temperature - degC")
        self.assertEqual(lines[-3:], ["          18  --- gap: restart, 3 frames missing ---",
                                      "          19  --- gap: restart, 3 frames missing ---",
                                      "          19  1700000037.021000000  #21             8 B  pressure 110.5 kPa  temperature - degC"])
        self.assertEqual(len(lines), 17)
        asked = REQUEST.unpack(server.asked[0])
        self.assertEqual(asked, (PROTOCOL_MAGIC, PROTOCOL_VERSION, ATTACH, 0, 0, b"small".ljust(32, b"\0"), bytes(32), bytes(128)))

    def test_other_protocol(self):
        self.refused("expected a reply of protocol version 3, found 536 bytes of version 4; use the same release", version=4)
        self.refused("expected a reply of protocol version 3, found 24 bytes of version 3", bytes_of_reply=24)

    def test_other_layout(self):
        self.refused("expected ring layout version 5, found 6; use the same release", self.changed((8, "<I", 6)))
        self.refused("expected ring layout version 5, found 4; use the same release", self.changed((8, "<I", 4)))
        self.refused("expected a lease", lease=b"SLCLASE1")

    def test_refusals_are_shown(self):
        server = Impostor(self, "fake", self.sample, code=-87, text="all 4 places are taken", fds=0)
        self.assertIn("all 4 places are taken", self.run_perl("fake", "small", code=1)[1])
        server.end()

    def test_descriptors(self):
        self.refused("expected 2 descriptors from the server, found 1", fds=1)
        self.refused("sealed against shrinking", seals=F_SEAL_GROW)
        self.refused("expected a ring of at least 4096 bytes", self.sample[:4095])

    def test_corrupt_header(self):
        """Each number that is used, at and beyond its bounds; and a file that is shorter than it says."""
        words = "the ring header is inconsistent"
        self.refused("expected a ring, found other bytes", self.changed((0, "<Q", 0)))
        for at, form, values in ((12, "<I", (0, 8192)), (24, "<Q", (0, 8, 17, 1 << 31, 1 << 62, 2**64 - 16)), (32, "<I", (0, 32, 96 + 1, 65600)),
                                 (36, "<I", (0, 33, 96, 2**32 - 64)), (40, "<Q", (0, 4096, 8192 + 4096, 2**64 - 4096)),
                                 (48, "<I", (0, 2**32 - 1)), (52, "<I", (1, 65, 2**32 - 1)), (88, "<I", (0, 9, 2**32 - 1)),
                                 (160, "<I", (0, 2**32 - 1)), (164, "<I", (1025, 2**32 - 1))):
            for value in values:
                with self.subTest(at=at, value=value):
                    self.refused(words, self.changed((at, form, value)))
        self.refused(words, self.sample[:-1])

    def test_corrupt_channels(self):
        for change in ((4096, "<32s", b"x" * 32), (4096 + 32, "<16s", b"x" * 16), (4096 + 48, "<I", 65537), (4096 + 52, "<I", 0),
                       (4096 + 52, "<I", 11), (4096 + 56, "<I", 0), (4096 + 56, "<I", 3), (4096 + 60, "<H", 5),
                       (4096 + 108, "<B", 1), (4096 + 109, "<B", 1), (4096 + 128 + 108, "<B", 17), (4096 + 128 + 109, "<B", 1)):
            with self.subTest(change=change):
                self.refused("channel", self.changed(change))

    def test_corrupt_progress(self):
        """Counters that no writer can have written: it ends, and neither spins nor shows anything."""
        for changes in (((512, "<Q", 2**64 - 1), (640, "<Q", 2**63)), ((512, "<Q", 0), (640, "<Q", 1000)),
                        ((512, "<Q", 2**62 + 1), (640, "<Q", 2**62 + 1)), ((512, "<Q", 2**40), (640, "<Q", 20))):
            with self.subTest(changes=changes):
                self.refused("claimed and published cannot be true", self.changed(*changes))

    def test_corrupt_length(self):
        ring = self.changed((8192 + 4 * 64 + 24, "<H", 33))
        self.refused("position 4 has 33 bytes in a slot of 32", ring)

    def test_lapped_before_it_looked(self):
        """Slots that hold later positions than the counters it began by: nothing of them is shown as an earlier one."""
        ring = self.changed((512, "<Q", 22), (640, "<Q", 20))
        self.impostor(ring)
        text, _ = self.run_perl("--json", "--oldest", "fake", "small", code=3)
        self.assertEqual([json.loads(line)["position"] for line in text.splitlines()], list(range(6, 20)))

    def test_short_frames_and_bits(self):
        """A channel that does not lie in its frame has no value; bits of a word, signed and not, in both orders, as tail
        shows them."""
        changes = [(8192 + p % 16 * 64 + 24, "<H", p % 9) for p in range(4, 18)]
        for kind, bits, shift, order in ((4, 12, 4, 1), (3, 12, 4, 2), (3, 16, 0, 1), (2, 3, 5, 1), (1, 3, 2, 1), (5, 31, 1, 2), (6, 1, 31, 1),
                                         (7, 64, 0, 1), (8, 64, 0, 2), (7, 63, 1, 2), (7, 1, 0, 1)):
            at = 4096
            ring = self.changed(*changes, (at + 48, "<I", 0), (at + 52, "<I", kind), (at + 56, "<I", order), (at + 108, "<B", bits),
                                (at + 109, "<B", shift), (at + 64, "<d", 0.25), (at + 72, "<d", 3.5),
                                *((8192 + p % 16 * 64 + 32, "<Q", (p + 1) * 0x9E3779B97F4A7C15 & (2**64 - 1)) for p in range(4, 18)),
                                (at + 128 + 60, "<H", 0), (at + 128 + 100, "<I", 0))
            server = self.impostor(ring)
            with self.subTest(kind=kind, bits=bits, shift=shift, order=order):
                for form in ([], ["--json"]):
                    perl, _ = self.run_perl(*form, "--oldest", "fake", "small", "16")
                    self.assertEqual(perl, self.run_tail(*form, "--oldest", "--count", "16", "fake", "small"))
                    self.assertIn("null" if form else " nan ", perl)
            server.end()


class Library(Sample):
    """libsluice and the same impostor: what it is shown of a corrupt ring stays within the ring."""

    def setUp(self):
        super().setUp()
        self.lib = ctypes.CDLL(readers.LIB_PATH)
        self.lib.sluice_close.argtypes = [ctypes.c_void_p]
        self.lib.sluice_server_alive.argtypes = [ctypes.c_void_p]
        self.lib.sluice_server_progress.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]

    def open(self, ring):
        """A server of which this ring is all that it shows."""
        impostor = self.impostor(ring, fds=1)
        handle, text = ctypes.c_void_p(), ctypes.create_string_buffer(512)
        code = self.lib.sluice_open(ctypes.byref(handle), b"fake", text, ctypes.c_size_t(512))
        self.assertEqual(code, 0, text.value)
        self.addCleanup(self.lib.sluice_close, handle)
        return impostor, handle

    def test_progress_is_never_more_than_a_ring(self):
        for claimed, published in ((20, 20), (0, 2**60), (2**64 - 1, 2**64 - 1), (3, 20), (2**63, 5), (0, 0)):
            impostor, handle = self.open(self.changed((512, "<Q", claimed), (640, "<Q", published)))
            progress = (ctypes.c_uint64 * 6)()
            self.assertEqual(self.lib.sluice_server_progress(handle, 0, progress), 0)
            self.assertLessEqual(progress[0], progress[1])
            self.assertLessEqual(progress[1] - progress[0], 16, (claimed, published))
            impostor.end()

    def test_tail_of_a_corrupt_ring_ends(self):
        """A length and counters that cannot be: it neither shows them nor looks for ever."""
        for changes, start in (([(8192 + 4 * 64 + 24, "<H", 33)], ["--oldest"]), ([(512, "<Q", 3), (640, "<Q", 20)], []),
                               ([(640, "<Q", 2**60)], [])):
            impostor = self.impostor(self.changed(*changes))
            done = self.cli("tail", *start, "fake", "small")
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertIn("the ring's memory was overwritten", done.stderr)
            impostor.end()

    def test_a_signal_is_no_end(self):
        """The fault: two thousand signals while it is asked whether the server lives."""
        impostor, handle = self.open(self.sample)
        before = signal.signal(signal.SIGALRM, lambda *_: counted.append(1))
        counted = []
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        try:
            answers = set()
            while len(counted) < 2000:
                answers.add(self.lib.sluice_server_alive(handle))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(answers, {1})
        impostor.end_clients()
        wait_until(lambda: self.lib.sluice_server_alive(handle) == 0, "the end")


class Source(unittest.TestCase):
    def test_it_is_short_and_needs_perl_base_only(self):
        with open(SCRIPT, encoding="utf-8") as file:
            text = file.read()
        self.assertLess(text.count("\n"), LINES_MAX)
        used = set(re.findall(r"^\s*(?:use|require) +(\w[\w:]*)", text, re.M))
        self.assertEqual(used, MODULES)
        if shutil.which("dpkg-query") is None:
            self.skipTest("no dpkg-query")
        listed = subprocess.run(["dpkg-query", "-L", "perl-base"], capture_output=True, text=True, check=True).stdout.splitlines()
        for module in sorted(used):
            name = module.replace("::", "/") + ".pm"
            self.assertTrue(any(path.endswith("/" + name) for path in listed), f"{name} is not in perl-base")

    def test_it_compiles_without_a_warning(self):
        done = subprocess.run([PERL, "-wc", SCRIPT], capture_output=True, text=True)
        self.assertEqual(done.stderr.splitlines(), [f"{SCRIPT} syntax OK"])


if __name__ == "__main__":
    support.main()
