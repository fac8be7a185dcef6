"""The samples of a device in a server that has no source for it yet: hil-bridge (bridge.c), which goes when the sources
come, and this with it."""
import os
import socket
import struct

import support
from support import wait_until

PROGRAM = os.path.join(support.BIN, "hil-bridge")
SO_RCVBUFFORCE = 33
DATAGRAM = struct.Struct(">IIQqiI")


class Bridge:
    """hil-bridge on a device. What it sends comes to a server's `udp` source at `port`, and here: `next` is the newest
    (number, edges, tai_ns, device_ns, value, is_edge)."""

    def __init__(self, case, *device):
        self.case, self.device = case, [str(d) for d in device]
        self.port = support.free_udp_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(support.PATIENCE_S)
        self.process = None
        self.log_path = case.path(f"bridge-{self.device[0]}-{case.count()}.log")
        self.start()

    def start(self):
        copy = f"127.0.0.1:{self.socket.getsockname()[1]}"
        with open(self.log_path, "ab") as log:
            self.process = support.spawn(PROGRAM, *self.device, f"127.0.0.1:{self.port}", copy, stdout=log, stderr=log)
        self.case.addCleanup(support.stop, self.process)
        wait_until(lambda: "open" in self.log() or self.process.poll() is not None, f"hil-bridge {self.device}", pause_s=0.01)
        self.case.assertIsNone(self.process.poll(), self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def next(self):
        return DATAGRAM.unpack(self.socket.recv(64))

    def edge(self, number):
        """The level that this edge went to: those before it are behind."""
        while True:
            _, edges, _, _, value, is_edge = self.next()
            if is_edge and edges >= number:
                assert edges == number, f"expected edge {number}, found {edges}"
                return value

    def find(self, number):
        """The datagram with this number, which has been sent already, and the one before it."""
        before = None
        while True:
            datagram = self.next()
            if datagram[0] >= number:
                return before, datagram
            before = datagram

    def ended(self):
        """Its last words, once it has ended by itself."""
        wait_until(lambda: self.process.poll() is not None, f"the end of hil-bridge {self.device}")
        return self.log()


def source(name, bridge, unit, limits, scale=1, stale_ms=2000):
    """A bridge as a source: ring and channel are called as the source is; NAME_edges counts those of a line."""
    value = {"at_byte": 24, "type": "i32", "scale": scale, "unit": unit, "range": limits, "stale_ms": stale_ms}
    edges = {"at_byte": 4, "type": "u32", "unit": "edges", "range": [0, 1e9], "stale_ms": stale_ms}
    return {"name": name, "kind": "udp", "worker": "sensors", "ring": name, "listen": f"127.0.0.1:{bridge.port}",
            "frame_bytes": DATAGRAM.size, "sequence": {"at_byte": 0, "width_bytes": 4, "byte_order": "big"},
            "channels": [{"name": name, **value}, {"name": f"{name}_edges", **edges}]}
