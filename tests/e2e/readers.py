#!/usr/bin/env python3
"""Readers for the tests: libsluice through ctypes, in this process or in a child that can be stopped and killed, and a
source whose every byte is known.

Run as a program it is such a child: one JSON object as argument, commands on standard input, answers on standard output.
"""
import contextlib
import ctypes
import gc
import json
import mmap
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time

LIB_PATH = os.environ.get(
    "SLUICE_LIB", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/release/lib/libsluice.so"))
OLDEST, NEWEST, AT_TIME, AT_SEQUENCE, AT_POSITION = 1, 2, 3, 4, 5
OBSERVER, GATING = 1, 2
STATES = {1: "observer", 2: "gating", 3: "demoted", 4: "evicted"}
GAP = 1
LOST_BEFORE = 2
MASK = 2**64 - 1


# ---- What is sent: frame n of a seed can be told from any other, and every bit of it is known.

FRAME = struct.Struct("<8Q")
STAMPS = tuple((i * 0x9E3779B97F4A7C15) & MASK for i in range(7))


def content(number, seed):
    word = ((number + 1) * 0xBF58476D1CE4E5B9 + seed * 0x94D049BB133111EB) & MASK
    return FRAME.pack(number, *(word ^ s for s in STAMPS))


# ---- The library (ring/sluice.h).


class Frame(ctypes.Structure):
    _fields_ = [("payload", ctypes.c_void_p), ("position", ctypes.c_uint64), ("tai_ns", ctypes.c_uint64),
                ("source_sequence", ctypes.c_uint64), ("length_bytes", ctypes.c_uint32), ("flags", ctypes.c_uint16),
                ("cause", ctypes.c_uint16), ("lost_before", ctypes.c_uint32), ("stream", ctypes.c_uint16),
                ("reserved", ctypes.c_uint16)]


class Batch(ctypes.Structure):
    _fields_ = [("first", ctypes.c_void_p), ("position", ctypes.c_uint64), ("count", ctypes.c_uint32),
                ("slot_bytes", ctypes.c_uint32), ("payload_offset", ctypes.c_uint32), ("payload_bytes", ctypes.c_uint32)]


class Options(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint32), ("mode", ctypes.c_uint32), ("start", ctypes.c_uint32),
                ("deadline_ms", ctypes.c_uint32), ("at", ctypes.c_uint64)]


class RingInfo(ctypes.Structure):
    _fields_ = [("instance", ctypes.c_char * 32), ("name", ctypes.c_char * 32), ("slots", ctypes.c_uint64),
                ("slot_bytes", ctypes.c_uint32), ("payload_offset", ctypes.c_uint32), ("payload_bytes", ctypes.c_uint32),
                ("channels", ctypes.c_uint32), ("streams", ctypes.c_uint32), ("stamp", ctypes.c_uint32),
                ("page_bytes", ctypes.c_uint64), ("created_tai_ns", ctypes.c_uint64),
                ("tai_minus_monotonic_ns", ctypes.c_int64), ("utc_offset_s", ctypes.c_int32), ("numa_node", ctypes.c_int32)]


_HANDLE = ctypes.c_void_p
_SIGNATURES = {
    "sluice_attach_with": (ctypes.c_int, [ctypes.POINTER(_HANDLE), ctypes.c_char_p, ctypes.c_char_p,
                                          ctypes.POINTER(Options), ctypes.c_char_p, ctypes.c_size_t]),
    "sluice_detach": (None, [_HANDLE]),
    "sluice_reader_next": (ctypes.c_int, [_HANDLE, ctypes.POINTER(Frame)]),
    "sluice_reader_valid": (ctypes.c_int, [_HANDLE, ctypes.POINTER(Frame)]),
    "sluice_reader_batch": (ctypes.c_uint32, [_HANDLE, ctypes.c_uint32, ctypes.POINTER(Batch)]),
    "sluice_reader_overwritten": (ctypes.c_uint32, [_HANDLE, ctypes.POINTER(Batch)]),
    "sluice_reader_release": (None, [_HANDLE]),
    "sluice_reader_seek": (ctypes.c_int, [_HANDLE, ctypes.c_int, ctypes.c_uint64]),
    "sluice_reader_position": (ctypes.c_uint64, [_HANDLE]),
    "sluice_reader_state": (ctypes.c_int, [_HANDLE]),
    "sluice_reader_wait": (ctypes.c_int, [_HANDLE, ctypes.c_int]),
    "sluice_reader_spin": (None, [_HANDLE, ctypes.c_uint32]),
    "sluice_reader_fd": (ctypes.c_int, [_HANDLE]),
    "sluice_reader_arm": (ctypes.c_int, [_HANDLE]),
    "sluice_reader_lost": (ctypes.c_uint64, [_HANDLE]),
    "sluice_reader_epoch": (ctypes.c_uint64, [_HANDLE]),
    "sluice_ring": (None, [_HANDLE, ctypes.POINTER(RingInfo)]),
    "sluice_loss_name": (ctypes.c_char_p, [ctypes.c_uint32]),
}


class _Library:
    """Loaded at the first use, so that a child may take a copy from elsewhere."""

    def __init__(self):
        self.handle = None

    def __getattr__(self, name):
        if self.handle is None:
            self.handle = ctypes.CDLL(LIB_PATH)
            for function, (result, arguments) in _SIGNATURES.items():
                getattr(self.handle, function).restype = result
                getattr(self.handle, function).argtypes = arguments
        return getattr(self.handle, name)


LIB = _Library()


class AttachError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Reader:
    def __init__(self, instance, ring, mode=0, start=0, at=0, deadline_ms=0):
        options = Options(ctypes.sizeof(Options), mode, start, deadline_ms, at)
        text = ctypes.create_string_buffer(512)
        self.handle = _HANDLE()
        code = LIB.sluice_attach_with(ctypes.byref(self.handle), instance.encode(), ring.encode(), ctypes.byref(options),
                                      text, len(text))
        if code != 0:
            raise AttachError(code, text.value.decode())
        self.batch_place = Batch()
        info = RingInfo()
        LIB.sluice_ring(self.handle, ctypes.byref(info))
        self.info = info

    def detach(self):
        handle, self.handle = self.handle, None
        LIB.sluice_detach(handle)

    def next(self):
        """(Frame, payload), or None."""
        frame = Frame()
        if LIB.sluice_reader_next(self.handle, ctypes.byref(frame)) != 1:
            return None
        return frame, ctypes.string_at(frame.payload, frame.length_bytes)

    def valid(self, frame):
        return LIB.sluice_reader_valid(self.handle, ctypes.byref(frame)) == 1

    def batch(self, most=256):
        return LIB.sluice_reader_batch(self.handle, most, ctypes.byref(self.batch_place))

    def overwritten(self):
        return LIB.sluice_reader_overwritten(self.handle, ctypes.byref(self.batch_place))

    def release(self):
        LIB.sluice_reader_release(self.handle)

    def seek(self, start, at=0):
        return LIB.sluice_reader_seek(self.handle, start, at)

    def wait(self, timeout_ms):
        return LIB.sluice_reader_wait(self.handle, timeout_ms)

    def spin(self, spin_us):
        LIB.sluice_reader_spin(self.handle, spin_us)

    def arm(self):
        return LIB.sluice_reader_arm(self.handle)

    def fileno(self):
        return LIB.sluice_reader_fd(self.handle)

    @property
    def position(self):
        return LIB.sluice_reader_position(self.handle)

    @property
    def lost(self):
        return LIB.sluice_reader_lost(self.handle)

    @property
    def epoch(self):
        return LIB.sluice_reader_epoch(self.handle)

    @property
    def state(self):
        return STATES[LIB.sluice_reader_state(self.handle)]


class Follower:
    """Reads batches, checks every byte, and keeps account of every position."""

    def __init__(self, reader, seed):
        self.reader = reader
        self.seed = seed
        info = reader.info
        head, tail = info.payload_offset - 32, info.slot_bytes - info.payload_offset - FRAME.size
        self.slot = struct.Struct(f"<QQQHHHH{head}x{FRAME.size}s{tail}x")
        self.start = self.next = reader.position
        self.accepted = self.frames = self.discarded = self.wrong = 0
        self.holes = 0  # positions that were jumped over, or discarded
        self.first_number = self.last_number = None
        self.missing = 0  # numbers of the sender's that did not come
        self.backwards = 0
        self.gaps = []  # (position, cause, count)
        self.said_lost = 0  # sum of lost_before of frames
        self.epochs = {reader.epoch}

    def take(self, most=256):
        """What of one batch was good; None: nothing new."""
        reader = self.reader
        count = reader.batch(most)
        if count == 0:
            return None
        batch = reader.batch_place
        data = ctypes.string_at(batch.first, count * batch.slot_bytes)
        gone = reader.overwritten()
        self.holes += batch.position - self.next + gone
        self.discarded += gone
        self.next = batch.position + count
        self.accepted += count - gone
        position = batch.position + gone
        for row in self.slot.iter_unpack(memoryview(data)[gone * batch.slot_bytes:]):
            self._check(position, *row)
            position += 1
        return count - gone

    def _check(self, position, word, _tai_ns, number, length, flags, _stream, lost_before, payload):
        if word != position + 1:
            self.wrong += 1
        if flags & GAP:
            cause, _, count = struct.unpack_from("<IIQ", payload)
            self.gaps.append((position, LIB.sluice_loss_name(cause).decode(), count))
            self.epochs.add(self.reader.epoch)
            return
        if length != FRAME.size or payload != content(number, self.seed):
            self.wrong += 1
        if self.last_number is None:
            self.first_number = number
        elif number <= self.last_number:
            self.backwards += 1
        else:
            self.missing += number - self.last_number - 1
        self.last_number = number
        self.said_lost += lost_before
        self.frames += 1

    def drain(self, most=256):
        while self.take(most) is not None:
            pass

    def report(self):
        return {"start": self.start, "next": self.next, "position": self.reader.position, "accepted": self.accepted,
                "frames": self.frames, "discarded": self.discarded, "wrong": self.wrong, "holes": self.holes,
                "first_number": self.first_number, "last_number": self.last_number, "missing": self.missing,
                "backwards": self.backwards, "gaps": self.gaps, "said_lost": self.said_lost, "lost": self.reader.lost,
                "state": self.reader.state, "epoch": self.reader.epoch, "epochs": sorted(self.epochs)}


# ---- The child.


def _say(what):
    os.write(1, json.dumps(what).encode() + b"\n")


def _attach(job):
    """The readers of a job, or the end of the program with the error as its answer."""
    try:
        return [Reader(job["instance"], job["ring"], **job.get("options", {})) for _ in range(job.get("readers", 1))]
    except AttachError as e:
        _say({"code": e.code, "text": e.text})
        sys.exit(1)


def _follow(job):
    """Reads as it is told: `hold` (reads nothing), `go`, `report`, `detach`, `exit`."""
    followers = [Follower(reader, job["seed"]) for reader in _attach(job)]
    _say({"pid": os.getpid(), "start": followers[0].start, "state": followers[0].reader.state})
    commands = select.poll()
    commands.register(0, select.POLLIN)
    crowd = select.epoll()
    for follower in followers:
        crowd.register(follower.reader, select.EPOLLIN)
    holding, left, ends = job.get("hold", False), b"", set()
    while True:
        moved = False
        for i, follower in enumerate(followers):
            if not holding and follower.take(job.get("most", 256)) is not None:
                moved = True
                if job.get("pause_s"):
                    time.sleep(job["pause_s"])
            elif not holding and i not in ends and follower.reader.arm() == -32:
                ends.add(i)
                crowd.unregister(follower.reader)
        if not moved and not holding and len(ends) < len(followers):
            with contextlib.suppress(InterruptedError):
                crowd.poll(0.05)
        for _ in commands.poll(50 if holding else 0):
            data = os.read(0, 4096)
            if not data:
                return
            left += data
        *lines, left = left.split(b"\n")
        for line in lines:
            if line == b"report":
                _say([{**f.report(), "ended": i in ends} for i, f in enumerate(followers)])
            elif line in (b"hold", b"go"):
                holding = line == b"hold"
                _say(line.decode())
            elif line == b"exit":
                return


def _busy(job):
    """Reads `frames` frames at batch reads and does nothing else: what the kernel sees stands between two marks."""
    reader = _attach(job)[0]
    batch, place, handle = LIB.sluice_reader_batch, ctypes.byref(reader.batch_place), reader.handle
    overwritten = LIB.sluice_reader_overwritten
    left, batches = job["frames"], 0
    gc.disable()
    _say("begin")
    while left > 0:
        n = batch(handle, 256, place)
        if n:
            left -= n - overwritten(handle, place)
            batches += 1
    _say("end")
    _say({"batches": batches, "lost": reader.lost})


def _sleep(job):
    """Sleeps in one wait, tells what it returned and how many frames it found."""
    reader = _attach(job)[0]
    _say({"pid": os.getpid()})
    while True:
        code = reader.wait(job["timeout_ms"])
        count = 0
        while n := reader.batch():
            count += n
        _say({"code": code, "frames": count, "at": time.monotonic()})
        if code <= 0:
            return


def child_main():
    global LIB_PATH
    job = json.loads(sys.argv[1])
    LIB_PATH = job.get("lib", LIB_PATH)
    {"follow": _follow, "busy": _busy, "sleep": _sleep, "attach": lambda j: _attach(j) and _say({"code": 0})}[job["do"]](job)


# ---- In the test: the child as it is seen from outside, the source, the ring's header.


class Child:
    """A reader's process."""

    def __init__(self, case, server, do="follow", before=(), environment=None, options=None, preexec=None, **job):
        job = {"do": do, "instance": server.instance, "ring": "data", "seed": getattr(case, "seed", 0),
               "options": options or {}, **job}
        self.process = subprocess.Popen(
            [*before, "/usr/bin/python3", "-B", os.path.abspath(__file__), json.dumps(job)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=environment or server.environment, preexec_fn=preexec or case.die_with_parent)
        case.addCleanup(self.end)
        self.left = b""

    @property
    def pid(self):
        return self.process.pid

    def line(self, seconds=30):
        """The next thing it says."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.left:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError(f"the reader's process said nothing more ({'its end' if ready else 'time is up'})")
            self.left += data
        line, self.left = self.left.split(b"\n", 1)
        return json.loads(line)

    def silent(self):
        """True if it has said nothing since."""
        return b"\n" not in self.left and not select.select([self.process.stdout], [], [], 0)[0]

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def report(self):
        return self.ask("report")[0]

    def send_signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Source:
    """Sends frames 0, 1, 2 .. of a seed to a port."""

    def __init__(self, case, port, seed):
        self.seed = seed
        self.next = 0
        self.port = port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.connect(("127.0.0.1", port))

    def send(self, count=1):
        send, seed = self.socket.send, self.seed
        for number in range(self.next, self.next + count):
            try:
                send(content(number, seed))
            except ConnectionRefusedError:  # of an earlier one: nobody has the port for a moment
                with contextlib.suppress(ConnectionRefusedError):
                    send(content(number, seed))
        self.next += count


def golden_offsets():
    """struct.field -> offset, as tests/ring/layout.golden pins them."""
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "ring/layout.golden")
    with open(path, encoding="ascii") as file:
        return {name: int(at) for name, at in re.findall(r"^  (\w+\.\w+) at (\d+),", file.read(), re.MULTILINE)}


class View:
    """A ring's header and a lease's place, by the golden layout."""

    def __init__(self, case, fd):
        self.offsets = golden_offsets()
        self.map = mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ)
        os.close(fd)
        case.addCleanup(self.map.close)

    def word(self, outer, inner):
        return struct.unpack_from("<Q", self.map, self.offsets["ring_header." + outer] + self.offsets[inner])[0]

    @property
    def published(self):
        return self.word("progress", "ring_progress.published")

    @property
    def claimed(self):
        return self.word("progress", "ring_progress.claimed")

    @property
    def epoch(self):
        return self.word("progress", "ring_progress.epoch")

    @property
    def connects(self):
        """How often its source has been opened: from then on nothing that is sent is lost."""
        return self.word("ledger", "ring_ledger.connects")

    def gate(self, index):
        """(generation, state, reason, base, waits)"""
        return GATE_STATUS.unpack_from(self.map, self.offsets["ring_header.gate"] + index * GATE_STATUS.size)[:5]


GATE_STATUS = struct.Struct("<QIIQQ32x")


if __name__ == "__main__":
    child_main()
