"""A recording, read by code that shares nothing with the product's but the checksum of a library: the tests' own opinion
of what lies on the disk."""
import ctypes
import json
import os
import struct

LEAD = 4096
KIND_SLOTS, KIND_PACKED, KIND_END = 1, 2, 3
CAUSES = ("none", "overwritten", "demoted", "disk_full", "disk_error", "disk_slow", "decimated", "server", "damaged",
          "unknown")
CLOSES = ("none", "stopped", "rotated", "disk_full", "disk_error", "post", "server", "recovered")
ISAL = ctypes.CDLL("libisal.so.2")
ISAL.crc32_iscsi.restype = ctypes.c_uint32


def crc32c(data):
    return ~ISAL.crc32_iscsi(ctypes.c_char_p(bytes(data)), ctypes.c_int(len(data)), ctypes.c_uint32(0xFFFFFFFF)) & 0xFFFFFFFF


def whole(lead):
    return lead[:8] == b"SLLBLK01" and crc32c(lead[:LEAD - 4]) == struct.unpack("<I", lead[LEAD - 4:])[0]


class Block:
    """One block of a file, if it is whole."""

    def __init__(self, data, offset):
        lead = data[offset:offset + LEAD]
        (self.kind, _, self.bytes, self.payload_bytes, self.number, self.first, self.end, self.frames, self.first_tai_ns,
         self.last_tai_ns, _, _, self.written_tai_ns, crc, gaps) = struct.unpack_from("<IIQQQQQQQQQQQII", lead, 24)
        self.offset = offset
        self.run = lead[8:24]
        self.payload = data[offset + LEAD:offset + LEAD + self.payload_bytes]
        self.good = len(self.payload) == self.payload_bytes and crc32c(self.payload) == crc
        self.gaps = [dict(zip(("from", "to", "count", "tai_ns", "cause"), struct.unpack_from("<QQQQI", lead, 512 + 40 * i)))
                     for i in range(gaps)]


class File:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        head = self.data[:LEAD]
        assert head[:8] == b"SLLREC01", path
        assert crc32c(head[:LEAD - 4]) == struct.unpack("<I", head[LEAD - 4:])[0], path
        self.run = head[16:32]
        (description, _, _, self.segment, self.stripe, self.stripes, channels, numbers, streams, json_bytes,
         config_bytes) = struct.unpack_from("<QIIIIIIIIII", head, 32)
        self.slot_bytes, self.payload_offset = struct.unpack_from("<II", head, 88)
        self.ring = head[184:216].split(b"\0")[0].decode()
        at = LEAD + 128 * channels + 8 * numbers + 128 * streams
        self.json = json.loads(self.data[at:at + json_bytes])
        self.config = self.data[at + json_bytes:at + json_bytes + config_bytes]
        self.first_block = LEAD + (description + LEAD - 1) // LEAD * LEAD
        self.blocks, self.end = [], None
        self.walk()

    def walk(self):
        """Every block whose lead and payload pass their checksums, wherever it lies."""
        at = self.first_block
        while at + LEAD <= len(self.data):
            lead = self.data[at:at + LEAD]
            if whole(lead) and lead[8:24] == self.run:
                block = Block(self.data, at)
                if block.good:
                    if block.kind == KIND_END:
                        self.end = block
                    else:
                        self.blocks.append(block)
                    at += block.bytes
                    continue
            at += LEAD

    def closed(self):
        """Why it was closed, by its end and its trailer; None: it was not."""
        if self.end is None or self.end.offset + self.end.bytes != len(self.data):
            return None
        trailer = self.data[-48:]
        if trailer[:8] != b"SLLEND01" or crc32c(trailer[:44]) != struct.unpack("<I", trailer[44:])[0]:
            return None
        why, _ = struct.unpack_from("<II", self.end.payload, 128)
        return CLOSES[why]

    def totals(self):
        names = ("frames", "bytes")
        found = dict(zip(names, struct.unpack_from("<QQ", self.end.payload)))
        found["missing"] = dict(zip(CAUSES, struct.unpack_from("<10Q", self.end.payload, 16)))
        found["first"], found["next"], found["blocks"] = struct.unpack_from("<QQQ", self.end.payload, 96)
        return found

    def frames(self, block):
        """(position, tai_ns, sequence, flags, lost_before, payload) of each."""
        at = 0
        for _ in range(block.frames):
            sequence, tai_ns, source, length, flags, _, lost = struct.unpack_from("<QQQHHHH", block.payload, at)
            start = at + (self.payload_offset if block.kind == KIND_SLOTS else 32)
            yield sequence - 1, tai_ns, source, flags, lost, block.payload[start:start + length]
            at += self.slot_bytes if block.kind == KIND_SLOTS else (32 + length + 7) // 8 * 8


class Run:
    """A run's directories (one for each stripe), or some of its files."""

    def __init__(self, *directories):
        self.files = [File(os.path.join(d, n)) for d in directories for n in sorted(os.listdir(d)) if n.endswith(".slr")]
        self.directory = directories[0]

    def run_json(self):
        with open(os.path.join(self.directory, "run.json"), encoding="utf-8") as file:
            return json.load(file)

    def of(self, ring):
        return [f for f in self.files if f.ring == ring]

    def blocks(self, ring):
        return sorted(((b.number, f, b) for f in self.of(ring) for b in f.blocks), key=lambda e: e[0])

    def frames(self, ring):
        return sorted((frame for _, f, b in self.blocks(ring) for frame in f.frames(b)), key=lambda f: f[0])

    def gaps(self, ring):
        told = [g for _, _, b in self.blocks(ring) for g in b.gaps]
        ends = [f.end for f in self.of(ring) if f.end is not None and f.stripe == 0]  # each stripe says the same
        told += [g for end in ends for g in end.gaps]
        return [{**g, "cause": CAUSES[g["cause"]]} for g in told]

    def missing(self, ring):
        """Positions told as missing, by cause."""
        found = {}
        for gap in self.gaps(ring):
            found[gap["cause"]] = found.get(gap["cause"], 0) + gap["count"]
        return found

    def unaccounted(self, ring):
        """Positions between the first and the last that neither a frame nor a gap accounts for."""
        there = {f[0] for f in self.frames(ring)}
        told = set()
        for gap in self.gaps(ring):
            told.update(range(gap["from"], gap["to"]))
        everything = there | told
        return sorted(set(range(min(everything), max(everything) + 1)) - everything) if everything else []


def runs(directory, recorder):
    """Directories of a recorder's runs, oldest first."""
    return [os.path.join(directory, n) for n in sorted(os.listdir(directory)) if n.endswith("-" + recorder)]
