#!/usr/bin/env python3
"""Prints every frame of a ring's recording, from nothing but sluice-recording(5): read_recording.py FILE.slr ..

All segments and stripes of one ring; blocks that are damaged are left out. Python's standard library only."""
import mmap
import struct
import sys

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def blocks(path):
    """(number, kind, frames, header, payload) of each whole block of a file."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    header = data[:4096]
    magic, version, _, run, description_bytes = struct.unpack_from("<8sII16sQ", header)
    if magic != b"SLLREC01" or version != 1 or crc32c(header[:4092]) != struct.unpack_from("<I", header, 4092)[0]:
        raise SystemExit(f"{path}: not a recording of version 1, or damaged")
    at = 4096 + -(-description_bytes // 4096) * 4096
    while at + 4096 <= len(data):
        lead = data[at : at + 4096]
        magic, of_run, kind, _, size, payload_bytes, number = struct.unpack_from("<8s16sIIQQQ", lead)
        frames, payload_crc = struct.unpack_from("<Q", lead, 72)[0], struct.unpack_from("<I", lead, 120)[0]
        whole = (magic, of_run) == (b"SLLBLK01", run) and crc32c(lead[:4092]) == struct.unpack_from("<I", lead, 4092)[0]
        payload = data[at + 4096 : at + 4096 + payload_bytes] if whole else b""
        if whole and kind in (1, 2) and crc32c(payload) == payload_crc:
            yield number, kind, frames, header, payload
        at += size if whole else 4096


def frames(paths):
    """(position, tai_ns, source_sequence, flags, stream, lost_before, payload) of each frame, in order."""
    for _, kind, count, header, data in sorted((b for path in paths for b in blocks(path)), key=lambda b: b[0]):
        slot_bytes, payload_offset = struct.unpack_from("<II", header, 88)
        at = 0
        for _ in range(count):
            word, tai_ns, sequence, length, flags, stream, lost = struct.unpack_from("<QQQHHHH", data, at)
            begin = at + (payload_offset if kind == 1 else 32)
            yield word - 1, tai_ns, sequence, flags, stream, lost, data[begin : begin + length]
            at += slot_bytes if kind == 1 else -(-(32 + length) // 8) * 8


if __name__ == "__main__":
    for *numbers, payload in frames(sys.argv[1:]):
        print(*numbers, payload.hex())
