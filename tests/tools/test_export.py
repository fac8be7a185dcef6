#!/usr/bin/env python3
"""sluice export: what is read back by h5py, tshark, @mcap/core, csv and byte by byte is what was recorded.

Run by hand: SLUICE_BIN=build/release/bin SLUICE_MCAP=/tmp/mcap /usr/bin/python3 -B tests/tools/test_export.py
record-make makes the recordings and tells every frame and gap of them.
"""
import base64
import csv
import decimal
import io
import json
import math
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.path.abspath(os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin")))
MCAP = os.path.abspath(os.environ.get("SLUICE_MCAP", os.path.join(os.path.dirname(BIN), "mcap")))
SHARED = os.environ.get("SLUICE_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
BEGIN_NS = 1795703437000000000  # of record-make
OFFSET_NS = 37 * 10**9
WAIT_S = 120
MEMORY_KB = 64 * 1024
# What npm says when it is the network that is missing, not the package.
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH",
               "ERR_SOCKET_TIMEOUT", "E403", "E502", "E503", "ENOTCACHED")


def skip_loudly(test, why):
    print(f"SKIPPED: {test.id()}: {why}", file=sys.stderr, flush=True)
    test.skipTest(why)


def export(*arguments):
    return subprocess.run([os.path.join(BIN, "sluice-export"), *arguments], capture_output=True, text=True,
                          timeout=WAIT_S, check=False)


class Recording:
    """One made by record-make, and what it told."""

    def __init__(self, path, kind, *options):
        self.path = path
        made = subprocess.run([os.path.join(BIN, "record-make"), path, kind, *options], capture_output=True, text=True,
                              timeout=WAIT_S, check=True)
        self.told = [json.loads(line) for line in made.stdout.splitlines()]

    def frames(self, ring):
        return [one for one in self.told if one["ring"] == ring and "payload" in one]

    def gaps(self, ring):
        return [one for one in self.told if one["ring"] == ring and "told_by" in one]

    def files(self):
        return sorted(os.path.join(self.path, name) for name in os.listdir(self.path) if name.endswith(".slr"))


def values(frame):
    return [math.nan if value == "nan" else float.fromhex(value) for value in frame["values"]]


def same(one, other):
    """The same number, bit for bit; any NaN is one."""
    return math.isnan(one) and math.isnan(other) or struct.pack("<d", one) == struct.pack("<d", other)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="sluice-export-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, f"{self._testMethodName}-{name}")

    def good(self, *arguments, code=0):
        done = export(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def refused(self, code, *arguments):
        """Fails with this code and one line that is returned; leaves nothing."""
        before = sorted(os.listdir(self.dir))
        done = export(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertTrue(done.stderr.startswith("sluice export: "), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(sorted(os.listdir(self.dir)), before)
        return done.stderr


class Both(Case):
    """A ring with channels of every type, and one of datagrams."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.both = Recording(os.path.join(cls.dir, "run"), "both", "--frames", "1000")
        cls.names = ["i8", "u8", "i16be", "u16", "i32be", "u32", "i64", "u64be", "f32", "f32be", "pressure", "f64be", "adc",
                     "poly/2", "position", 'temp, "K"', "time"]


class Hdf5(Both):
    def open(self, path):
        try:
            import h5py
        except ImportError:
            skip_loudly(self, "h5py is not there (Debian: python3-h5py): NO HDF5 FILE WAS READ BACK")
        file = h5py.File(path, "r")
        self.addCleanup(file.close)
        return file

    def export(self, recording, *options):
        out = self.path("out.h5")
        self.good(recording.path, "-o", out, *options)
        return self.open(out)

    def check_axes(self, ring, frames):
        self.assertEqual(ring["time"][:].tolist(), [frame["tai_ns"] for frame in frames])
        self.assertEqual(ring["position"][:].tolist(), [frame["position"] for frame in frames])
        self.assertEqual(ring["source_sequence"][:].tolist(), [frame["sequence"] for frame in frames])

    def check_gaps(self, ring, gaps):
        fields = ("from_position", "to_position", "count", "tai_ns", "cause", "told_by")
        found = [tuple(value.decode() if isinstance(value, bytes) else value for value in row)
                 for row in ring["gaps"][:].tolist()]
        self.assertEqual(found, [tuple(gap[field] for field in fields) for gap in gaps])

    def check_channels(self, ring, frames):
        own = {"position": "position_", "time": "time_", "poly/2": "poly_2"}
        for index, name in enumerate(self.names):
            group = ring[own.get(name, name)]
            self.assertEqual(group.attrs["NX_class"], b"NXlog")
            self.assertEqual(group["time"], ring["time"])  # a hard link
            value = group["value"]
            self.assertEqual(value.attrs["long_name"].decode(), name)
            for row, frame in zip(value[:].tolist(), frames, strict=True):
                self.assertTrue(same(row, values(frame)[index]), (name, frame["position"]))
            raw = group["raw"]
            at, bytes_ = int(raw.attrs["at_byte"]), raw.dtype.itemsize
            payloads = [bytes.fromhex(frame["payload"]) for frame in frames]
            self.assertEqual(raw[:].tobytes(), b"".join(
                payload[at:at + bytes_] if len(payload) >= at + bytes_ else bytes(bytes_) for payload in payloads), name)

    def test_channels(self):
        ring = self.export(self.both)["entry/sensors"]
        frames = self.both.frames("sensors")
        self.check_axes(ring, frames)
        self.check_gaps(ring, self.both.gaps("sensors"))
        self.check_channels(ring, frames)
        self.assertEqual(ring["i16be/raw"].dtype.str, ">i2")
        scale = ring["i16be/value"].attrs
        linear = ring["i16be/raw"][:].astype("f8") * scale["scale"] + scale["offset"]
        whole = [len(frame["payload"]) > 40 for frame in frames]
        self.assertTrue((linear == ring["i16be/value"][:])[whole].all())

    def test_attributes(self):
        file = self.export(self.both)
        entry = file["entry"]
        self.assertEqual(entry.attrs["NX_class"], b"NXentry")
        self.assertEqual(entry["title"][()], b"T-17")
        self.assertEqual(entry["experiment_identifier"][()], b"T-17")
        self.assertEqual(entry["experiment_description"][()].decode(), "leak µ\ntight")
        self.assertEqual(entry["user"].attrs["NX_class"], b"NXuser")
        self.assertEqual(entry["user/name"][()], b"Ada Lovelace")
        self.assertEqual(entry["start_time"][()], b"2026-11-26T14:30:00.000000000Z")
        self.assertTrue(entry["end_time"][()].startswith(b"2026-11-26T14:30:0"))
        self.assertEqual(json.loads(entry["sluice/metadata"][()])["attempt"], 3)
        self.assertTrue(entry["sluice/config"][()].startswith(b"instance: stand\n"))
        stamp = entry["sensors/time"].attrs
        self.assertEqual((stamp["units"], stamp["utc_offset_s"]), (b"ns", 37))
        self.assertEqual(entry["sensors/time"].dtype.str, "<u8")
        couple = entry['sensors/temp, "K"/value'].attrs
        self.assertEqual((couple["units"].decode(), couple["thermocouple"], couple["calibration_numbers"]),
                         ("°C", b"K", 25.0))
        self.assertEqual(entry["sensors/poly_2/value"].attrs["calibration_numbers"].tolist(), [1, 2, 0.5])
        adc = entry["sensors/adc/raw"].attrs
        self.assertEqual((adc["bits"], adc["shift"], adc["byte_order"]), (12, 4, b"little"))
        ledger = entry["sensors/ledger"].attrs
        self.assertEqual(ledger["residual"], 0)
        self.assertEqual(ledger["sent"], ledger["delivered"] + sum(
            ledger[name] for name in ledger if name.startswith("lost_")))

    def test_frames_of_any_length(self):
        ring = self.export(self.both)["entry/packets"]
        frames = self.both.frames("packets")
        self.check_axes(ring, frames)
        self.check_gaps(ring, self.both.gaps("packets"))
        data, offset, length = ring["frames/data"], ring["frames/offset"][:], ring["frames/length"][:]
        everything = data[:].tobytes()
        for frame, at, count in zip(frames, offset.tolist(), length.tolist(), strict=True):
            self.assertEqual(everything[at:at + count].hex(), frame["payload"])

    def test_frames_of_one_length(self):
        blocks = Recording(self.path("run"), "blocks", "--frames", "2000", "--bytes", "1500")
        frames = self.export(blocks)["entry/blocks/frames"]
        data = frames["data"]
        self.assertEqual(data.shape, (2000, 1500))
        self.assertLess(data.chunks[0], 2000)  # several chunks, and the last is not full
        self.assertEqual([row.tobytes().hex() for row in data[:]],
                         [frame["payload"] for frame in blocks.frames("blocks")])
        self.assertEqual(set(frames["length"][:].tolist()), {1500})

    def test_deflate(self):
        out = self.path("out.h5")
        plain = self.path("plain.h5")
        self.good(self.both.path, "-o", out, "--deflate", "6")
        self.good(self.both.path, "-o", plain)
        ring = self.open(out)["entry/sensors"]
        self.assertEqual(ring["pressure/value"].compression, "gzip")
        self.check_channels(ring, self.both.frames("sensors"))
        self.assertLess(os.path.getsize(out), os.path.getsize(plain))

    def test_many_chunks(self):
        wide = Recording(self.path("run"), "wide", "--frames", "30000", "--channels", "64", "--quiet")
        ring = self.export(wide)["entry/wide"]
        self.assertLess(ring["c63/value"].chunks[0], 30000)
        for k in (0, 31, 63):
            self.assertEqual(ring[f"c{k}/value"][:].tolist(), [(i * 1000 + k) / 7 for i in range(30000)])
            self.assertEqual(ring[f"c{k}/raw"][:].tolist(), ring[f"c{k}/value"][:].tolist())

    def test_nothing_in_the_slice(self):
        ring = self.export(self.both, "--from", "5000")["entry/sensors"]
        self.assertEqual((ring["time"].shape, ring["gaps"].shape, ring["pressure/value"].shape), ((0,), (0,), (0,)))

    def test_one_channel(self):
        entry = self.export(self.both, "--channel", "pressure")["entry"]
        self.assertNotIn("packets", entry)
        self.assertIn("pressure", entry["sensors"])
        self.assertNotIn("adc", entry["sensors"])

    def test_slice(self):
        every = self.both.frames("sensors")
        low, high = every[100]["tai_ns"], every[200]["tai_ns"]
        wanted = [frame["position"] for frame in every[100:200]]
        seconds = [f"{(at - BEGIN_NS) // 10**9}.{(at - BEGIN_NS) % 10**9:09}" for at in (low, high)]
        utc = [time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime((at - OFFSET_NS) // 10**9)) + f".{at % 10**9:09}Z"
               for at in (low, high)]
        for begin, end in ((f"@{low}", f"@{high}"), seconds, ("+" + seconds[0], seconds[1]), utc):
            out = self.path(f"{begin}.h5")
            self.good(self.both.path, "-o", out, "--from", begin, "--to", end, "--ring", "sensors")
            ring = self.open(out)["entry/sensors"]
            self.assertEqual(ring["position"][:].tolist(), wanted)
            self.check_gaps(ring, [gap for gap in self.both.gaps("sensors") if low <= gap["tai_ns"] < high])


class Csv(Both):
    def read(self, path, delimiter=","):
        with open(path, encoding="utf-8", newline="") as file:
            lines = file.read().split("\n")
        comments = [line for line in lines if line.startswith("#")]
        return comments, list(csv.reader(io.StringIO("\n".join(
            line for line in lines if not line.startswith("#"))), delimiter=delimiter))

    def check(self, rows, frames):
        for row, frame in zip(rows, frames, strict=True):
            at = frame["tai_ns"] - OFFSET_NS
            iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at % 10**9:09}Z"
            self.assertEqual(row[:4], [iso, str(frame["tai_ns"]), str(frame["position"]), str(frame["sequence"])])
            for cell, value in zip(row[4:], values(frame), strict=True):
                self.assertTrue(same(float(cell), value) if cell else not math.isfinite(value), (cell, value))

    def test_all(self):
        out = self.path("out.csv")
        self.good(self.both.path, "--ring", "sensors", "-o", out)
        comments, rows = self.read(out)
        self.assertEqual(rows[0][:5], ["time_utc", "tai_ns", "position", "sequence", "i8 [kPa]"])
        self.assertEqual(rows[0][19], 'temp, "K" [°C]')
        self.check(rows[1:], self.both.frames("sensors"))
        told = [line for line in comments if line.startswith("# gap: ")]
        gaps = self.both.gaps("sensors")
        self.assertEqual(len(told), len(gaps))
        for line, gap in zip(told, gaps):
            self.assertTrue(line.startswith(f"# gap: {gap['count']} missing, cause {gap['cause']}, told by {gap['told_by']}, "
                                            f"positions {gap['from_position']} to {gap['to_position']}, at "), line)

    def test_shortest(self):
        out = self.path("out.csv")
        self.good(self.both.path, "-o", out, "--channel", "u8", "--delimiter", ";")
        _, rows = self.read(out, ";")
        self.assertEqual(rows[0][4:], ["u8 [kPa]"])
        digits = {len(decimal.Decimal(cell).normalize().as_tuple().digits)
                  - len(decimal.Decimal(repr(float(cell))).normalize().as_tuple().digits)
                  for cell in (row[4] for row in rows[1:]) if cell}
        self.assertEqual(digits, {0})  # Python's repr is the shortest

    def test_kernel_without_utc(self):
        """TAI - UTC is then what lay between the clocks when the recording began."""
        recording = Recording(self.path("run"), "sensors", "--frames", "100", "--no-utc")
        out = self.path("out.csv")
        said = json.loads(self.good(recording.path, "-o", out, "--json").stdout)
        self.assertEqual(said["rings"][0]["utc_offset_ns"], OFFSET_NS)
        self.check(self.read(out)[1][1:], recording.frames("sensors"))

    def test_segments(self):
        recording = Recording(self.path("run"), "sensors", "--frames", "500", "--rotate")
        self.assertEqual(len(recording.files()), 2)
        for number, paths in enumerate(([recording.path], recording.files()[::-1])):
            out = self.path(f"{number}.csv")
            self.good(*paths, "-o", out)
            self.check(self.read(out)[1][1:], recording.frames("sensors"))

    def test_segment_missing(self):
        recording = Recording(self.path("run"), "sensors", "--frames", "500", "--rotate")
        first, second = recording.files()
        self.good(first, "-o", self.path("first.csv"))  # no more was asked for
        os.unlink(second)
        done = self.good(recording.path, "-o", self.path("out.csv"), code=1)
        self.assertIn("segment 1 is not here", done.stderr)

    def test_without_channels(self):
        said = self.refused(2, self.both.path, "--ring", "packets", "-o", self.path("out.csv"))
        self.assertIn("raw, pcapng or hdf5", said)


class Packets(Both):
    def tshark(self, path, *arguments):
        if shutil.which("tshark") is None:
            skip_loudly(self, "tshark is not there: NO PCAPNG FILE WAS READ BACK")
        done = subprocess.run(["tshark", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
                               *arguments], capture_output=True, text=True, timeout=WAIT_S, check=True)
        said = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
        self.assertEqual(said, [])
        return done.stdout

    def test_datagrams(self):
        out = self.path("out.pcapng")
        self.good(self.both.path, "--ring", "packets", "-o", out)
        fields = ("frame.time_epoch", "frame.interface_name", "ip.src", "ip.dst", "udp.srcport", "udp.dstport",
                  "ip.checksum.status", "udp.checksum.status", "udp.payload", "frame.comment", "eth.dst")
        text = self.tshark(out, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|",
                           *(word for field in fields for word in ("-e", field)))
        rows = [line.split("\t") for line in text.splitlines()]
        gaps = [gap for gap in self.both.gaps("packets") if gap["told_by"] != "frame"]
        told = []
        for row, frame in zip(rows, self.both.frames("packets"), strict=True):
            at = frame["tai_ns"] - OFFSET_NS
            self.assertEqual(row[0], f"{at // 10**9}.{at % 10**9:09}")
            self.assertEqual(row[1:8], ["packets/packets", "192.0.2.20", "239.1.2.3", "4321", "5000", "1", "1"])
            self.assertEqual(row[8].replace(":", ""), frame["payload"])
            self.assertEqual(row[10], "01:00:5e:01:02:03")
            lost = f" lost_before {frame['lost_before']} kernel" if frame["lost_before"] else ""
            comments = row[9].split("|")
            self.assertEqual(comments[0], f"sluice: sequence {frame['sequence']} position {frame['position']}{lost}")
            told += comments[1:]
        self.assertEqual(told, [
            f"sluice gap: {gap['count']} missing, cause {gap['cause']}, told by {gap['told_by']}, positions "
            f"{gap['from_position']} to {gap['to_position']}" for gap in gaps[:-1]])  # behind the last there is no packet
        with open(out, "rb") as file:
            self.assertIn(b"2 missing, cause ring_full, told by ring", file.read()[-400:])

    def test_no_warnings(self):
        out = self.path("out.pcapng")
        self.good(self.both.path, "--ring", "packets", "-o", out)
        experts = self.tshark(out, "-q", "-z", "expert,warn", "-d", "udp.port==5000,data")
        self.assertNotIn("Warn", experts)
        self.assertNotIn("Errors", experts)

    def test_interfaces(self):
        out = self.path("out.pcapng")
        self.good(self.both.path, "-o", out)
        if shutil.which("capinfos") is None:
            skip_loudly(self, "capinfos is not there: THE INTERFACES WERE NOT READ BACK")
        said = subprocess.run(["capinfos", out], capture_output=True, text=True, timeout=WAIT_S, check=True).stdout
        for words in ("Number of packets:   2000", "Name = packets/packets", "Name = sensors/sensors", "USER 0", "Ethernet",
                      "nanoseconds (9)", "sluice", "TAI - 37000000000 ns", "headers before them were made up"):
            self.assertIn(words, said)

    def test_no_configuration(self):
        bare = Recording(self.path("run"), "packets", "--frames", "10")
        os.unlink(os.path.join(bare.path, "config.yaml"))  # that in the file's own description is still there
        out = self.path("out.pcapng")
        self.good(bare.path, "-o", out)
        self.assertEqual(self.tshark(out, "-T", "fields", "-e", "ip.dst").split(), ["239.1.2.3"] * 10)

    def test_other_packets(self):
        blocks = Recording(self.path("run"), "blocks", "--frames", "10", "--bytes", "64")
        out = self.path("out.pcapng")
        self.good(blocks.path, "-o", out)
        self.assertEqual(self.tshark(out, "-T", "fields", "-e", "ip.dst", "-e", "udp.checksum.status").split(),
                         ["192.0.2.2", "1"] * 10)  # addresses that can be nobody's


class Mcap(Both):
    def install(self):
        """Once for each state of the lock file."""
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                skip_loudly(self, f"{program} is not there: NO MCAP FILE WAS READ BACK BY @mcap/core")
        with open(os.path.join(HERE, "mcap/package-lock.json"), encoding="utf-8") as file:
            lock = file.read()
        stamp = os.path.join(MCAP, "installed")
        try:
            with open(stamp, encoding="utf-8") as file:
                installed = file.read() == lock
        except FileNotFoundError:
            installed = False
        os.makedirs(MCAP, exist_ok=True)
        for name in ("package.json", "package-lock.json", "read.mjs"):
            shutil.copy(os.path.join(HERE, "mcap", name), MCAP)
        if installed:
            return
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=MCAP, capture_output=True,
                              text=True, timeout=300, check=False)
        if done.returncode != 0 and any(word in done.stderr for word in UNREACHABLE):
            skip_loudly(self, "npm reaches no registry: NO MCAP FILE WAS READ BACK BY @mcap/core\n" + done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(lock)

    def read(self, path):
        self.install()
        done = subprocess.run(["node", os.path.join(MCAP, "read.mjs"), path], capture_output=True, text=True, timeout=WAIT_S,
                              cwd=MCAP, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def topic(self, read, name):
        return [message for message in read["messages"] if message["topic"] == name]

    def check_stamps(self, messages, frames):
        for message, frame in zip(messages, frames, strict=True):
            self.assertEqual(message["logTime"], str(frame["tai_ns"] - OFFSET_NS))
            self.assertEqual(message["publishTime"], message["logTime"])
            self.assertEqual(message["sequence"], frame["sequence"] % 2**32)

    def test_messages(self):
        out = self.path("out.mcap")
        self.good(self.both.path, "-o", out)
        read = self.read(out)
        for ring in ("sensors", "packets"):
            frames = self.both.frames(ring)
            raw = self.topic(read, f"/{ring}/raw")
            self.check_stamps(raw, frames)
            self.assertEqual([base64.b64decode(message["data"]).hex() for message in raw],
                             [frame["payload"] for frame in frames])
            told = [json.loads(base64.b64decode(message["data"])) for message in self.topic(read, f"/{ring}/gaps")]
            self.assertEqual([gap | {"ring": ring} for gap in told], self.both.gaps(ring))
        texts = self.topic(read, "/sensors")
        self.check_stamps(texts, self.both.frames("sensors"))
        for message, frame in zip(texts, self.both.frames("sensors")):
            one = json.loads(base64.b64decode(message["data"]))
            self.assertEqual((one["tai_ns"], one["position"]), (frame["tai_ns"], frame["position"]))
            for name, value in zip(self.names, values(frame), strict=True):
                found = one["values"][name]
                self.assertTrue(same(float(found), value) if found is not None else not math.isfinite(value))

    def test_records(self):
        out = self.path("out.mcap")
        self.good(self.both.path, "-o", out)
        read = self.read(out)
        self.assertEqual((read["header"]["profile"], read["header"]["library"].split()[0]), ("", "sluice"))
        self.assertGreater(read["chunks"], 1)
        self.assertTrue(read["stream"]["done"])
        self.assertEqual(read["stream"]["types"]["Message"], len(read["messages"]))
        self.assertEqual(read["statistics"]["messageCount"], str(len(read["messages"])))
        self.assertEqual(base64.b64decode(read["attachments"][0]["data"])[:16], b"instance: stand\n")
        metadata = {one["name"]: one["metadata"] for one in read["metadata"]}
        self.assertEqual(metadata["sluice.run"]["operator"], "Ada Lovelace")
        self.assertEqual(metadata["sluice.ledger.sensors"]["residual"], "0")
        schema = next(one for one in read["schemas"] if one["name"] == "sluice.sensors")
        self.assertEqual(schema["encoding"], "jsonschema")
        properties = json.loads(base64.b64decode(schema["data"]))["properties"]["values"]["properties"]
        self.assertEqual(properties['temp, "K"']["description"], "°C")

    def test_checksums(self):
        """Of the data and of the summary, as the specification says; no reader looks at both."""
        out = self.path("out.mcap")
        self.good(self.both.path, "-o", out)
        with open(out, "rb") as file:
            everything = file.read()
        magic = b"\x89MCAP0\r\n"
        self.assertTrue(everything.startswith(magic) and everything.endswith(magic))
        summary, _, crc = struct.unpack("<QQI", everything[-28:-8])
        self.assertEqual(zlib.crc32(everything[summary:-12]), crc)
        opcode, length, crc = struct.unpack("<BQI", everything[summary - 13:summary])
        self.assertEqual((opcode, length), (15, 4))
        self.assertEqual(zlib.crc32(everything[:summary - 13]), crc)


class Raw(Both):
    def test_payloads(self):
        out = self.path("out.raw")
        self.good(self.both.path, "--ring", "packets", "-o", out)
        with open(out, "rb") as file:
            self.assertEqual(file.read().hex(), "".join(frame["payload"] for frame in self.both.frames("packets")))

    def test_one_ring(self):
        said = self.refused(2, self.both.path, "-o", self.path("out.raw"))
        self.assertIn("choose by --ring one of packets, sensors", said)

    def test_vdif(self):
        folder = os.path.join(SHARED, "data/vdif")
        if not os.path.isdir(folder):
            skip_loudly(self, f"{folder} is not there: NO REAL VDIF FILE CAME BACK (SLUICE_SHARED names the folder)")
        for name in sorted(os.listdir(folder)):
            with self.subTest(name), open(os.path.join(folder, name), "rb") as file:
                recording = Recording(self.path(name + "-run"), "vdif", "--file", os.path.join(folder, name))
                out = self.path(name)
                self.good(recording.path, "-o", out)
                with open(out, "rb") as exported:
                    self.assertEqual(exported.read(), file.read())

    def test_no_vdif(self):
        said = self.refused(1, self.both.path, "--ring", "packets", "-o", self.path("out.vdif"))
        self.assertIn("expected a VDIF frame", said)


class Streams(Case):
    """Two in one ring, their frames in turn."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.two = Recording(os.path.join(cls.dir, "run"), "two", "--frames", "100", "--bytes", "64")

    def of(self, stream):
        return [frame for frame in self.two.frames("two") if frame["stream"] == stream]

    def test_one_must_be_chosen(self):
        said = self.refused(2, self.two.path, "-o", self.path("out.raw"))
        self.assertIn("ring two has 2: choose by --stream", said)

    def test_one(self):
        for stream, name in ((0, "two"), (1, "two_b")):
            out = self.path(name + ".raw")
            self.good(self.two.path, "-o", out, "--stream", name)
            with open(out, "rb") as file:
                self.assertEqual(file.read().hex(), "".join(frame["payload"] for frame in self.of(stream)))

    def test_hdf5(self):
        try:
            import h5py
        except ImportError:
            skip_loudly(self, "h5py is not there (Debian: python3-h5py): NO HDF5 FILE WAS READ BACK")
        out = self.path("out.h5")
        self.good(self.two.path, "-o", out)
        with h5py.File(out, "r") as file:
            self.assertEqual(file["entry/two/stream"][:].tolist(), [0, 1] * 50)
            self.assertEqual(file["entry/two"].attrs["stream_1"], b"two_b")
            self.assertEqual(file["entry/two/frames/data"][:].tobytes().hex(),
                             "".join(frame["payload"] for frame in self.two.frames("two")))
        self.good(self.two.path, "-o", out, "--force", "--stream", "two_b")
        with h5py.File(out, "r") as file:
            self.assertEqual(file["entry/two/position"][:].tolist(), [frame["position"] for frame in self.of(1)])

    def test_packets_and_messages(self):
        for suffix, words in (("mcap", (b"/two/two/raw", b"/two/two_b/raw")), ("pcapng", (b"two/two", b"two/two_b"))):
            out = self.path("out." + suffix)
            self.good(self.two.path, "-o", out)
            with open(out, "rb") as file:
                text = file.read()
            for word in words:
                self.assertIn(word, text)


class Asking(Both):
    """What is asked for and is not there, or must not be."""

    def test_names(self):
        out = self.path("out.h5")
        self.assertIn("there are packets, sensors", self.refused(2, self.both.path, "--ring", "x", "-o", out))
        self.assertIn("there are i8, u8", self.refused(2, self.both.path, "--channel", "x", "-o", out))
        self.assertIn("there are packets, sensors", self.refused(2, self.both.path, "--stream", "x", "-o", out))
        self.assertIn("whole frames", self.refused(2, self.both.path, "--channel", "u8", "-o", self.path("x.pcapng")))
        self.assertIn("nothing in the recording is both",
                      self.refused(2, self.both.path, "--ring", "packets", "--channel", "u8", "-o", out))

    def test_usage(self):
        out = self.path("out.h5")
        run = self.both.path
        self.assertIn("expected a recording", self.refused(2, "-o", out))
        self.assertIn("expected -o FILE", self.refused(2, run))
        self.assertIn("hdf5, pcapng, mcap, csv, raw, vdif", self.refused(2, run, "-o", self.path("out.xyz")))
        self.assertIn("hdf5, pcapng, mcap, csv, raw, vdif", self.refused(2, run, "-o", out, "--format", "xls"))
        self.assertIn("--frmat", self.refused(2, run, "-o", out, "--frmat", "csv"))
        self.assertIn("--deflate", self.refused(2, run, "-o", out, "--deflate", "10"))
        self.assertIn("only hdf5", self.refused(2, run, "-o", self.path("x.mcap"), "--deflate", "1"))
        self.assertIn("--delimiter", self.refused(2, run, "-o", out, "--delimiter", ",,"))
        for bad in ("x", "-1", "2026-02-31T00:00:00Z", "2026-01-01", "@", "@1x", "1.", "99999999999999999999"):
            self.assertIn("expected seconds from the begin", self.refused(2, run, "-o", out, f"--from={bad}"))
        self.assertIn("behind --from", self.refused(2, run, "-o", out, "--from", "2", "--to", "1"))

    def test_output_is_there(self):
        out = self.path("out.raw")
        with open(out, "w", encoding="utf-8") as file:
            file.write("precious")
        self.assertIn("--force", self.refused(1, self.both.path, "--ring", "packets", "-o", out))
        with open(out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")
        self.good(self.both.path, "--ring", "packets", "-o", out, "--force")
        self.assertGreater(os.path.getsize(out), 1000)
        for force in ([], ["--force"]):
            self.assertIn("of the recording itself", self.refused(1, self.both.path, "-o", self.both.files()[0], "--format",
                                                                  "hdf5", *force))
        os.mkdir(self.path("dir.h5"))
        self.assertIn("something else", self.refused(1, self.both.path, "-o", self.path("dir.h5"), "--force"))
        self.assertIn("cannot write beside", self.refused(1, self.both.path, "-o", self.path("none/out.h5")))

    def test_foreign(self):
        foreign = self.path("foreign.slr")
        with open(foreign, "wb") as file:
            file.write(b"no recording " * 1000)
        empty = self.path("empty")
        os.mkdir(empty)
        for path in (foreign, empty, self.path("none"), os.path.join(self.both.path, "run.json")):
            self.refused(1, path, "-o", self.path("out.h5"))

    def test_json(self):
        out = self.path("out.h5")
        said = json.loads(self.good(self.both.path, "-o", out, "--json").stdout)
        self.assertEqual((said["output"], said["format"], said["complete"], said["frames"]), (out, "hdf5", True, 2000))
        self.assertEqual(said["file_bytes"], os.path.getsize(out))
        self.assertEqual([ring["ring"] for ring in said["rings"]], ["packets", "sensors"])
        self.assertEqual(said["rings"][1]["first_tai_ns"], BEGIN_NS)
        self.assertEqual(said["rings"][1]["gaps"], len(self.both.gaps("sensors")))
        self.assertEqual(said["problems"], [])

    def test_by_sluice(self):
        out = self.path("out.h5")
        done = subprocess.run([os.path.join(BIN, "sluice"), "export", self.both.path, "-o", out], capture_output=True,
                              text=True, timeout=WAIT_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(os.path.exists(out))

    def test_progress(self):
        command = [os.path.join(BIN, "sluice-export"), self.both.path, "-o"]
        for name, extra, shown in (("a.h5", [], True), ("b.h5", ["--no-progress"], False)):
            leader, follower = pty.openpty()
            done = subprocess.run([*command, self.path(name), *extra], stderr=follower, timeout=WAIT_S, check=False)
            os.close(follower)
            said = b""
            try:
                while piece := os.read(leader, 4096):
                    said += piece
            except OSError:  # its other end is closed
                pass
            os.close(leader)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(b"MB/s" in said, shown, said)


class Broken(Case):
    """Recordings that lack something."""

    def make(self, *options):
        return Recording(self.path("run"), "sensors", "--frames", "2000", *options)

    def test_damaged(self):
        recording = self.make()
        path = recording.files()[0]
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2 // 4096 * 4096 + 2000)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        out = self.path("out.csv")
        done = self.good(recording.path, "-o", out, "--json", code=1)
        said = json.loads(done.stdout)
        self.assertFalse(said["complete"])
        self.assertGreater(said["rings"][0]["unaccounted_positions"], 0)
        self.assertIn("are damaged", done.stderr)
        with open(out, encoding="utf-8") as file:
            lines = file.read().splitlines()
        # What the block itself told as missing is missing still: its own gaps stand between these.
        lost = set()
        for line in lines:
            if ", cause damaged, told by recorder, " in line:
                first, end = line.split("positions ")[1].split(",")[0].split(" to ")
                lost |= {str(position) for position in range(int(first), int(end))}
        self.assertTrue(lost)
        rows = {line.split(",")[2] for line in lines[3:] if not line.startswith("#")}
        wanted = {str(frame["position"]) for frame in recording.frames("sensors")}
        self.assertTrue(rows < wanted)
        self.assertEqual(wanted - rows, wanted & lost)
        # What is damaged is no matter where it was not asked for.
        self.good(recording.path, "-o", self.path("part.csv"), "--to", "0.1")

    def test_not_closed(self):
        recording = self.make("--abandon")
        out = self.path("out.csv")
        done = self.good(recording.path, "-o", out, code=1)
        self.assertIn(recording.files()[0], done.stderr)
        with open(out, encoding="utf-8") as file:
            rows = [line for line in file if not line.startswith("#")]
        self.assertEqual(len(rows) - 1, len(recording.frames("sensors")))
        self.good(recording.path, "-o", self.path("part.csv"), "--to", "0.5")


class Ends(Case):
    """Nothing is left of an export that came to no good end, and memory is bounded."""

    FORMATS = ("h5", "pcapng", "mcap", "csv", "raw")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wide = Recording(os.path.join(cls.dir, "wide"), "wide", "--frames", "60000", "--channels", "64", "--quiet")
        cls.blocks = Recording(os.path.join(cls.dir, "blocks"), "blocks", "--frames", "100000", "--bytes", "1500", "--quiet")

    def source(self, suffix):
        return self.wide if suffix == "csv" else self.blocks

    def test_full_disk(self):
        script = ('mount -t tmpfs -o size=1m none "$1" && "$2" "$3" -o "$1/out.$4"; code=$?; '
                  'ls -A "$1" | sed "s/^/LEFT /"; exit $code')
        for suffix in self.FORMATS:
            with self.subTest(suffix):
                at = self.path(suffix)
                os.mkdir(at)
                done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", at, os.path.join(BIN, "sluice-export"),
                                       self.source(suffix).path, suffix], capture_output=True, text=True, timeout=WAIT_S,
                                      check=False)
                if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
                    skip_loudly(self, "no mount namespace may be made here: NO DISK WAS FULL")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("the disk is full", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertEqual(done.stdout, "")

    def begun(self, process, folder):
        """Waits until something was written; false: it has ended before."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end and process.poll() is None:
            for name in os.listdir(folder):
                try:
                    if os.path.getsize(os.path.join(folder, name)) > 0:
                        return True
                except FileNotFoundError:
                    pass
            time.sleep(0.001)
        return False

    def test_interrupted(self):
        for suffix, sign in (("csv", signal.SIGINT), ("csv", signal.SIGTERM), ("h5", signal.SIGINT),
                             ("mcap", signal.SIGTERM)):
            with self.subTest(suffix=suffix, sign=sign):
                folder = tempfile.mkdtemp(dir=self.dir)
                # Slowly: compressed, or all those numbers as text.
                source = [self.wide.path, "--deflate", "9"] if suffix == "h5" else [self.wide.path]
                with subprocess.Popen([os.path.join(BIN, "sluice-export"), *source, "-o", os.path.join(folder, "out." + suffix)],
                                      stderr=subprocess.PIPE, text=True) as process:
                    self.assertTrue(self.begun(process, folder), "it was over before it could be interrupted")
                    process.send_signal(sign)
                    _, said = process.communicate(timeout=WAIT_S)
                self.assertEqual(process.returncode, 1)
                self.assertEqual(said, "sluice export: interrupted; nothing was left of it\n")
                self.assertEqual(os.listdir(folder), [])

    def watch_pss(self, pid):
        """The highest that was seen until it ended."""
        most = 0
        while True:
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                    found = [int(line.split()[1]) for line in file if line.startswith("Pss:")]
            except (FileNotFoundError, ProcessLookupError):
                return most
            if not found:  # it has ended, and waits to be asked
                return most
            most = max(most, found[0])
            time.sleep(0.005)

    def test_memory(self):
        if os.environ.get("SLUICE_SANITIZE", "none") != "none":
            skip_loudly(self, "the memory of a sanitizer is not that of the product")
        for source, suffix in [(self.blocks, suffix) for suffix in self.FORMATS if suffix != "csv"] + [
                (self.wide, "h5"), (self.wide, "csv"), (self.wide, "mcap")]:
            with self.subTest(source=os.path.basename(source.path), suffix=suffix):
                out = self.path(suffix + "." + suffix)
                process = subprocess.Popen([os.path.join(BIN, "sluice-export"), source.path, "-o", out, "--force"])
                most = self.watch_pss(process.pid)
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 0)
                print(f"{os.path.basename(source.path)} as {suffix}: PSS {most} kB at most, as far as was looked; "
                      f"{os.path.getsize(out) / 1e6:.0f} MB written")
                # What was resident at any time, of which the PSS is a part. Before its exec it was this Python.
                self.assertLess(used.ru_maxrss, MEMORY_KB)
                os.unlink(out)


if __name__ == "__main__":
    unittest.main(verbosity=1)
