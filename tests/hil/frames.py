"""Numbered Ethernet frames, as the host makes them and as the guest finds them in a ring: IPv4, UDP, and a payload that
is its number again and again. No one frame's payload is another's, and every byte of it is known."""
import struct

NUMBER = struct.Struct(">Q")
MACS = bytes.fromhex("ffffffffffff 0200000000aa")  # to whatever card
HEADERS_BYTES = 42
PORT = 5000


def payload(number, size):
    return (NUMBER.pack(number) * (size // 8 + 1))[:size]


def checksum(data):
    """RFC 1071, of an even number of bytes."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def headers(size, port):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + size, 0, 0x4000, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return MACS + b"\x08\0" + ip + struct.pack(">HHHH", 4000, port, 8 + size, 0)  # 0: no checksum of the payload


def numbered(number, size, port):
    return headers(size, port) + payload(number, size)
