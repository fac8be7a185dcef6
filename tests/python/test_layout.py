#!/usr/bin/env python3
"""sluice.layout against what the C compiler makes of the headers (tests/ring/layout.golden), and in use: a ring read by its
dtypes alone, without the package's extension and without libsluice."""
import fcntl
import importlib.util
import json
import mmap
import os
import re
import socket
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))

import numpy as np

import support
from support import wait_until

# By its path: it needs no extension, and the test must not need one either.
SPEC = importlib.util.spec_from_file_location("sluice_layout", os.path.join(ROOT, "tools/python/sluice/layout.py"))
layout = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(layout)

NOT_READERS = {"ring_order", "ring_orders", "ring_hops", "protocol_lease"}  # between the server's own processes
PACKAGE = os.environ.get("SLUICE_PYTHON", os.path.join(ROOT, "build/release/python"))
F_GET_SEALS, F_SEAL_SHRINK = 1034, 2


def text(*names):
    found = []
    for name in names:
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            found.append(file.read())
    return "\n".join(found)


def flat_kind(dtype):
    """(kind, width) of a member's elements; a struct by its name."""
    base = dtype.subdtype[0] if dtype.subdtype else dtype
    named = [name for name, struct in layout.DTYPES.items() if base.names and struct == base]
    return (named[0], base.itemsize) if named else (base.kind, base.itemsize)


class Golden(unittest.TestCase):
    """Every offset, size and constant, both ways: nothing left out, nothing left over."""

    golden = text("tests/ring/layout.golden")

    def test_structs(self):
        sizes = {name: int(size) for name, size in re.findall(r"^struct ((?:ring|protocol)_\w+) (\d+) bytes$", self.golden, re.M)}
        self.assertGreater(len(sizes), 15)
        self.assertEqual(set(layout.DTYPES), set(sizes) - NOT_READERS)
        for name, dtype in layout.DTYPES.items():
            self.assertEqual(dtype.itemsize, sizes[name], name)
            members = [(member, int(at), int(size)) for member, at, size in
                       re.findall(rf"^  {name}\.(\w+) at (\d+), (\d+) bytes$", self.golden, re.M)]
            self.assertEqual([(m, dtype.fields[m][1], dtype.fields[m][0].itemsize) for m in dtype.names], members, name)

    def test_types(self):
        """The golden file has widths only: the header says what is signed, a float, text, or of no meaning."""
        kinds = {"uint64_t": ("u", 8), "int64_t": ("i", 8), "uint32_t": ("u", 4), "int32_t": ("i", 4), "uint16_t": ("u", 2),
                 "uint8_t": ("u", 1), "double": ("f", 8)}
        header = re.sub(r"/\*.*?\*/", "", text("ring/layout.h", "ring/ledger.h", "ring/rate.h", "ring/protocol.h"), flags=re.S)
        for name, dtype in layout.DTYPES.items():
            body = re.search(rf"^struct {name} \{{(.*?)^\}};", header, re.M | re.S).group(1)
            for member in dtype.names:
                written, count = re.search(rf"(?:struct )?(\w+)\s+{member}\s*(\[[^;]*\])?;", body).groups()
                kind, width = flat_kind(dtype.fields[member][0])
                if written == "char":
                    self.assertEqual(kind, "S", f"{name}.{member}")
                elif written == "uint8_t" and count:
                    self.assertEqual(kind, "V", f"{name}.{member}")
                else:
                    self.assertEqual((kind, width), kinds.get(written, (written, width)), f"{name}.{member}")
                self.assertNotEqual(dtype.fields[member][0].base.byteorder, ">", f"{name}.{member}")

    def test_constants(self):
        told = {name: value for name, value in vars(layout).items() if re.match(r"(RING|PROTOCOL)_", name)}
        numbers = {name: int(value, 16) for name, value in re.findall(r"^((?:RING|PROTOCOL)_\w+) (\w+)$", self.golden, re.M)}
        self.assertGreater(len(numbers), 80)
        self.assertEqual(told, numbers)

    def test_installed_descriptor(self):
        """What libsluice's callers compile in as struct sluice_descriptor is the same, but for the word over its end."""
        dtype = layout.DTYPES["ring_descriptor"]
        members = [(member, int(at), int(size)) for member, at, size in
                   re.findall(r"^  sluice_descriptor\.(\w+) at (\d+), (\d+) bytes$", self.golden, re.M)]
        self.assertEqual([(m, dtype.fields[m][1], dtype.fields[m][0].itemsize) for m in dtype.names if m != "rest"], members)

    def test_package(self):
        """What the package's own modules write down of a descriptor."""
        path = os.path.join(ROOT, "tools/python/sluice/_arrays.py")
        found = re.search(r"^_DESCRIPTOR = (\(.*?\)\))", text("tools/python/sluice/_arrays.py"), re.M | re.S) if os.path.exists(path) else None
        if found is None:
            return  # it writes nothing down
        dtype = layout.DTYPES["ring_descriptor"]
        places = {(at, kind.str) for kind, at in (dtype.fields[name][:2] for name in dtype.names)}
        for name, kind, at in eval(found.group(1)):
            self.assertIn((at, kind), places, name)


def view(memory):
    """(header, channels, numbers, slots) of a ring in memory, by the dtypes alone."""
    header = np.frombuffer(memory, layout.DTYPES["ring_header"], 1)[0]
    identity = header["identity"]
    if identity["magic"] != layout.RING_MAGIC or identity["version"] != layout.RING_LAYOUT_VERSION:
        raise AssertionError("not a ring of this version")
    channels = np.frombuffer(memory, layout.DTYPES["ring_channel"], int(identity["channels"]), int(identity["channels_offset"]))
    numbers = np.frombuffer(memory, "<f8", int(identity["numbers"]), int(identity["numbers_offset"]))
    raw = layout.raw_dtype(channels, identity["slot_bytes"] - identity["payload_offset"])
    slot = layout.slot_dtype(identity["slot_bytes"], identity["payload_offset"], raw)
    return header, channels, numbers, np.frombuffer(memory, slot, int(identity["slots"]), int(identity["slots_offset"]))


class Sample(unittest.TestCase):
    """The ring of sluice-ring(5), number by number."""

    def setUp(self):
        path = os.path.join(support.BIN, "ring-sample")
        self.memory = subprocess.run([path, "/dev/stdout"], stdout=subprocess.PIPE, check=True).stdout
        self.header, self.channels, self.numbers, self.slots = view(self.memory)

    def test_header(self):
        identity, progress = self.header["identity"], self.header["progress"]
        self.assertEqual([identity[n] for n in ("instance", "name", "slots", "slot_bytes", "payload_offset", "slots_offset", "channels",
                                                "numbers", "streams", "numa_node", "header_bytes", "segment_bytes", "stamp")],
                         [b"example", b"small", 16, 64, 32, 8192, 2, 2, 1, -1, 4096, len(self.memory), layout.RING_STAMP_TAKEN])
        self.assertEqual([progress[n] for n in ("claimed", "published", "epoch", "writer_pid")], [20, 20, 1, 4711])
        self.assertEqual(self.header["ledger"]["gap_records"], 1)
        self.assertEqual(self.header["gate"].shape, (layout.RING_GATES_MAX,))
        stream = self.header["stream"][0]
        self.assertEqual([stream[n] for n in ("name", "source", "frame_bytes", "nominal_hz", "sequence_width_bytes")],
                         [b"sensor", b"udp", 8, 1000.0, 4])

    def test_channels(self):
        pressure, temperature = self.channels
        self.assertEqual([pressure[n] for n in ("name", "unit", "at_byte", "type", "byte_order", "scale", "range_high")],
                         [b"pressure", b"kPa", 0, layout.RING_TYPE_F32, layout.RING_BIG_ENDIAN, 1.0, 500.0])
        self.assertEqual([temperature[n] for n in ("name", "at_byte", "type", "calibration", "first_number", "numbers")],
                         [b"temperature", 4, layout.RING_TYPE_I16, layout.RING_CALIBRATION_POLYNOMIAL, 0, 2])
        self.assertEqual(list(self.numbers), [-0.5, 1.25])

    def test_frames(self):
        for position in range(4, 18):
            slot = self.slots[position % 16]
            d = slot["descriptor"]
            self.assertEqual([d[n] for n in ("sequence", "tai_ns", "source_sequence", "length_bytes", "flags", "lost_before")],
                             [position + 1, 1700000037 * 10**9 + position * 10**6, position, 8, 0, 0])
            self.assertEqual((slot["payload"]["pressure"], slot["payload"]["temperature"]), (100 + position / 2, 2000 + position))
            self.assertEqual(d["rest"], 8)
        gap = self.slots[2]
        self.assertEqual(gap["descriptor"]["flags"], layout.RING_FLAG_GAP | layout.RING_LOSS_RESTART << layout.RING_FLAG_CAUSE_SHIFT)
        record = np.frombuffer(self.memory, layout.DTYPES["ring_gap"], 1, 8192 + 2 * 64 + 32)[0]
        self.assertEqual([record[n] for n in ("cause", "count", "from_tai_ns")], [layout.RING_LOSS_RESTART, 3, 1700000037017000000])
        self.assertEqual(self.slots[3]["descriptor"]["lost_before"], 3)

    def test_what_cannot_be(self):
        """A corrupt table is refused, not read beside the payload."""
        for name, value, words in (("type", 0, "type from 1 to 10"), ("type", 11, "type from 1 to 10"), ("byte_order", 3, "byte order 1 or 2"),
                                   ("at_byte", 29, "to lie in a payload of 32"), ("at_byte", 2**32 - 1, "to lie in a payload of 32")):
            channels = self.channels.copy()
            channels[0][name] = value
            with self.assertRaisesRegex(ValueError, words):
                layout.raw_dtype(channels, 32)
        self.assertEqual(layout.raw_dtype(self.channels[:0], 32).itemsize, 32)
        self.assertEqual(layout.slot_dtype(128, 64)["payload"].itemsize, 64)


class Live(support.Case):
    """A server's ring by socket.recv_fds(), mmap and the dtypes."""

    def attach(self, server, ring):
        """(the connection, the ring's map, the lease's)"""
        connection = support.connect(self.socket_path(server))
        self.addCleanup(connection.close)
        request = np.zeros(1, layout.DTYPES["protocol_request"])
        request["magic"], request["version"] = layout.PROTOCOL_MAGIC, layout.PROTOCOL_VERSION
        request["op"], request["name"] = layout.PROTOCOL_ATTACH, ring.encode()
        connection.send(request.tobytes())
        packet, fds, flags, _ = socket.recv_fds(connection, layout.DTYPES["protocol_reply"].itemsize, layout.PROTOCOL_FDS_MAX)
        reply = np.frombuffer(packet, layout.DTYPES["protocol_reply"])[0]
        self.assertEqual((reply["magic"], reply["version"], reply["code"], flags & socket.MSG_CTRUNC),
                         (layout.PROTOCOL_MAGIC, layout.PROTOCOL_VERSION, 0, 0), reply["text"])
        self.assertEqual((reply["fds"], len(fds)), (2, 2))
        maps = []
        for fd, access in zip(fds, (mmap.ACCESS_READ, mmap.ACCESS_WRITE)):
            self.assertTrue(fcntl.fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK)
            maps.append(mmap.mmap(fd, os.fstat(fd).st_size, access=access))
            os.close(fd)
        return connection, *maps

    def test_ring_by_its_dtypes(self):
        server, _, _ = self.udp_server(hz=200, slots=16384)
        server.wait_status(lambda s: s["rings"][0]["published"] > 100, "frames")
        connection, memory, lease_memory = self.attach(server, "udp")
        lease = np.frombuffer(lease_memory, layout.DTYPES["ring_lease"], 1)
        self.assertEqual(lease["magic"][0], layout.RING_LEASE_MAGIC)
        header, channels, _, slots = view(memory)
        self.assertFalse(slots.flags.writeable)
        self.assertEqual((header["identity"]["instance"].decode(), header["identity"]["name"]), (server.instance, b"udp"))
        self.assertEqual([name.decode() for name in channels["name"]], [c["name"] for c in support.channels()])
        self.assertEqual(list(channels["scale"]), [1.0, 0.001, 0.01, 0.01])
        # The first hundred are looked at; that they were whole is asked afterwards.
        done = server.cli("tail", "--json", "--oldest", "--count", "100", server.instance, "udp")
        shown = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["position"] for line in shown], list(range(100)))
        frames = slots[:100].copy()
        self.assertLessEqual(int(header["progress"]["claimed"]), 16384)
        descriptor = frames["descriptor"]
        self.assertEqual(list(descriptor["sequence"]), list(range(1, 101)))
        for member in ("tai_ns", "source_sequence", "length_bytes", "lost_before"):
            self.assertEqual([int(n) for n in descriptor[member]], [line[member] for line in shown], member)
        for channel in channels:
            name = channel["name"].decode()
            values = frames["payload"][name].astype(float) * channel["scale"] + channel["offset"]
            self.assertEqual(list(values), [line["values"][name] for line in shown], name)
        self.ledger_and_status(server, header)
        self.woken(connection, header)
        lease["lost"], lease["position"] = 77, int(header["progress"]["published"])
        wait_until(lambda: [r["lost"] for r in server.status()["rings"][0]["readers"] if r["pid"] == os.getpid()] == [77],
                   "what the lease says, in the status")
        self.package(server, header, channels, frames)

    def ledger_and_status(self, server, header):
        published = int(header["progress"]["published"])
        status = server.status()
        self.assertGreaterEqual(status["rings"][0]["published"], published)
        self.assertEqual(int(header["progress"]["epoch"]), status["rings"][0]["epoch"])
        self.assertEqual(int(header["ledger"]["lost"].sum()), sum(server.stream("udp")["lost"].values()))
        self.assertEqual(int(header["ledger"]["connects"]), 1)
        self.assertEqual(header["stream"][0]["name"], b"udp")

    def woken(self, connection, header):
        """A wake, once the position that was asked for is published."""
        request = np.zeros(1, layout.DTYPES["protocol_request"])
        request["magic"], request["version"] = layout.PROTOCOL_MAGIC, layout.PROTOCOL_VERSION
        request["op"], request["argument"] = layout.PROTOCOL_WAIT, header["progress"]["published"] + np.uint64(20)
        connection.send(request.tobytes())
        wake = np.frombuffer(connection.recv(64), layout.DTYPES["protocol_wake"])[0]
        self.assertEqual(wake["magic"], layout.PROTOCOL_MAGIC)
        self.assertGreater(int(wake["published"]), int(request["argument"][0]))

    def package(self, server, header, channels, frames):
        """What the package says of the same ring, where it was built."""
        folder = os.path.join(PACKAGE, "sluice")
        if not os.path.isdir(folder) or not any(name.startswith("_sluice.") for name in os.listdir(folder)):
            print(f"SKIPPED: {self.id()}: the comparison with the package: it is not in {PACKAGE}", file=sys.stderr, flush=True)
            return
        program = """if True:
            import json, sys, sluice
            with sluice.attach(sys.argv[1]) as server:
                ring = server["udp"]
                with ring.follow(start="oldest", max_frames=100, wait=False) as reader:
                    batch = next(iter(reader)).copy()
                print(json.dumps({"slots": ring.slots, "slot_bytes": ring.slot_bytes, "channels": list(ring.channels),
                    "position": batch.position, "time": batch.time.tolist(), "sequence": batch.sequence.tolist(),
                    "raw": {name: batch[name].tolist() for name in ring.channels}}))"""
        done = subprocess.run([sys.executable, "-B", "-c", program, server.instance], capture_output=True, text=True,
                              env={**server.environment, "PYTHONPATH": PACKAGE})
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        n = len(said["time"])
        self.assertGreater(n, 10)
        identity = header["identity"]
        self.assertEqual([said[key] for key in ("slots", "slot_bytes", "channels", "position")],
                         [identity["slots"], identity["slot_bytes"], [name.decode() for name in channels["name"]], 0])
        self.assertEqual(said["time"], frames["descriptor"]["tai_ns"][:n].tolist())
        self.assertEqual(said["sequence"], frames["descriptor"]["source_sequence"][:n].tolist())
        for name, values in said["raw"].items():
            self.assertEqual(values, frames["payload"][name][:n].tolist(), name)


if __name__ == "__main__":
    support.main()
