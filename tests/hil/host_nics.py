"""The other end of a guest's network card: frames go to QEMU one by one, each a datagram of a Unix socket.

A guest's NIC `n0` is `-netdev dgram,id=n0,local.type=unix,local.path={run}/n0.guest,remote.type=unix,remote.path={run}/n0.host`:
the host's end owns n0.host. Numbered frames are made here, see also nics.py, which knows them in the guest.
"""
import contextlib
import os
import socket
import time

from frames import PORT, numbered

# QEMU takes no more datagrams from its socket while a device has no room: then a send waits.
PATIENCE_S = 20.0
NIC_SYNTAX = "abcdefghijklmnopqrstuvwxyz0123456789"


def frames_of(frames, numbers, size, port, spoil):
    yield from (bytes.fromhex(frame) for frame in frames)
    for number in numbers:
        frame = numbered(number, size, port)
        yield frame[:-1] + bytes([frame[-1] ^ 1]) if spoil and number % spoil == 0 else frame


def send_all(sock, wanted, pause_us, deadline):
    sent = 0
    for frame in wanted:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            sock.send(frame)
        except TimeoutError:
            break
        sent += 1
        if pause_us:
            time.sleep(pause_us / 1e6)
    return sent


def inject(run_dir, nic, frames=(), count=0, first=0, size=64, port=PORT, pause_us=0, spoil=0):
    """Sends frames (hexadecimal text), then `count` numbered ones with `size` bytes of payload to UDP port `port`; each
    `spoil`th arrives with a bit changed. Says how many the device has taken or will: fewer than asked for if it took none
    for a long time."""
    if not nic or set(nic) - set(NIC_SYNTAX):
        raise ValueError(f"expected the id of a NIC such as n0, found '{nic}'")
    own, to = (os.path.join(str(run_dir), f"{nic}.{end}") for end in ("host", "guest"))
    if not os.path.exists(to):
        raise ValueError(f"the guest has no NIC '{nic}'; see `qemu` of the guest in tests/hil/guests.py")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(own)
        sock.bind(own)
        sock.connect(to)  # else nobody tells when there is room again
        try:
            wanted = frames_of(frames, range(first, first + count), size, port, spoil)
            return {"sent": send_all(sock, wanted, pause_us, time.monotonic() + PATIENCE_S + count * pause_us / 1e6)}
        finally:
            os.unlink(own)
