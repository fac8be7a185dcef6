"""The far ends of sources that are read as streams: each puts frames in, breaks, and is mended. `source()` is its part of
the configuration."""
import contextlib
import os
import socket
import struct
import sys

import support
from support import BINARY, frame, wait_until

FRAME = {"frame_bytes": support.FRAME_BYTES, "sequence": BINARY["sequence"], "checksum": BINARY["checksum"]}


class End:
    """Frames of support.frame(), numbered from 0. kind: in the configuration; name: the source's and its ring's."""

    kind = None

    def __init__(self, case, name, prefix):
        self.case, self.name, self.prefix = case, name, prefix
        self.next = 0
        self.set_up()
        case.addCleanup(self.break_)

    def set_up(self):
        """Before the server starts."""

    def keys(self):
        raise NotImplementedError

    def source(self):
        return {"name": self.name, "kind": self.kind, "worker": "sensors", "ring": self.name, **self.framing(), **self.keys(),
                "channels": support.channels(self.prefix, stale_ms=60000)}

    @staticmethod
    def framing():
        return FRAME

    def connected(self):
        """Once the server is there: what can be written to."""

    def put(self, data):
        """A frame."""
        self.raw(data)

    def raw(self, data):
        """Bytes of any kind."""
        raise NotImplementedError

    def send(self, count=1):
        for _ in range(count):
            self.put(frame(self.next))
            self.next += 1

    def break_(self):
        raise NotImplementedError

    def mend(self):
        raise NotImplementedError


class Socket(End):
    """Sends through self.peer."""

    peer = None

    def raw(self, data):
        self.peer.sendall(data)

    def break_(self):
        if self.peer is not None:
            self.peer.close()
            self.peer = None


class Tcp(Socket):
    """The server connects to us."""

    kind = "tcp"

    def set_up(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def keys(self):
        return {"connect": f"127.0.0.1:{self.port}"}

    def connected(self):
        self.listener.settimeout(support.PATIENCE_S)
        self.peer, _ = self.listener.accept()
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def break_(self):
        super().break_()
        self.listener.close()

    def mend(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.connected()


class TcpListen(Socket):
    """We connect to the server."""

    kind = "tcp_listen"

    def set_up(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as any_port:
            self.port = any_port.getsockname()[1]

    def keys(self):
        return {"listen": f"127.0.0.1:{self.port}", "from": "127.0.0.1"}

    def connected(self):
        def try_once():
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self.port))
            return None

        self.peer = wait_until(try_once, "the server to listen")
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    mend = connected


class UnixStream(Socket):
    kind = "unix"
    type, word = socket.SOCK_STREAM, "stream"

    def set_up(self):
        self.path = self.case.path(self.name)
        self.listen()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, self.type)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.listener.settimeout(support.PATIENCE_S)

    def keys(self):
        return {"path": self.path, "socket": self.word}

    def connected(self):
        self.peer, _ = self.listener.accept()

    def break_(self):
        super().break_()
        self.listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def mend(self):
        self.listen()
        self.connected()


class UnixPackets(UnixStream):
    type, word = socket.SOCK_SEQPACKET, "seqpacket"


class UnixDatagrams(Socket):
    """Nobody hangs up here: broken is a sender that sends no more."""

    kind = "unix"

    def set_up(self):
        self.path = self.case.path(self.name)

    def keys(self):
        return {"path": self.path, "socket": "datagram"}

    def connected(self):
        self.peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        wait_until(lambda: os.path.exists(self.path), "the server's socket")
        self.peer.connect(self.path)

    mend = connected


class Fifo(End):
    kind = "fifo"
    fd = -1

    def set_up(self):
        self.path = self.case.path(self.name)

    def keys(self):
        return {"path": self.path}

    def connected(self):
        wait_until(lambda: os.path.exists(self.path), "the FIFO")
        self.fd = os.open(self.path, os.O_WRONLY)

    mend = connected

    def raw(self, data):
        os.write(self.fd, data)

    def break_(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class File(End):
    """A log that grows; broken: it is rotated away."""

    kind = "file"

    def set_up(self):
        self.path = self.case.path(self.name)
        with open(self.path, "wb") as file:
            file.write(b"older frames are not read")

    def keys(self):
        return {"path": self.path}

    def raw(self, data):
        with open(self.path, "ab") as file:
            file.write(data)

    def break_(self):
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, self.path + ".1")

    def mend(self):
        with open(self.path, "wb"):
            pass


CHILD = """
import os, sys
fifo = os.open(sys.argv[1], os.O_RDONLY)
open(sys.argv[2], "w").write(str(os.getpid()))
while True:
    data = os.read(fifo, 65536)
    if not data:
        break
    os.write(1, data)
"""


class Exec(End):
    """A child that passes on what it gets; broken: it is killed."""

    kind = "exec"
    fd = -1

    def set_up(self):
        self.fifo, self.pid_file = self.case.path(self.name + ".in"), self.case.path(self.name + ".pid")
        os.mkfifo(self.fifo)
        with open(self.case.path("child.py"), "w", encoding="ascii") as file:
            file.write(CHILD)

    def keys(self):
        return {"command": [sys.executable, "-B", self.case.path("child.py"), self.fifo, self.pid_file]}

    def connected(self):
        self.fd = os.open(self.fifo, os.O_WRONLY)  # waits for the child
        self.pid = int(wait_until(self._pid, "the child's pid"))

    def _pid(self):
        with contextlib.suppress(FileNotFoundError), open(self.pid_file, encoding="ascii") as file:
            return file.read()
        return None

    mend = connected

    def raw(self, data):
        os.write(self.fd, data)

    def break_(self):
        if self.fd >= 0:
            with contextlib.suppress(ProcessLookupError):  # it may have ended with the server
                os.kill(self.pid, 9)
            os.close(self.fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.pid_file)
            self.fd = -1


class Delimited(Tcp):
    """Frames of any length up to a mark; here all are of one."""

    @staticmethod
    def framing():
        return {**FRAME, "format": "delimited", "delimiter": "fffefdfc"}

    def put(self, data):
        self.raw(data + b"\xff\xfe\xfd\xfc")


class Length(Tcp):
    """A head with a mark, the length of what follows, then the frame."""

    @staticmethod
    def framing():
        return {"format": "length", "sync": "a55a", "length": {"at_byte": 2, "width_bytes": 2, "byte_order": "big", "adds": 4},
                "sequence": {"at_byte": 8, "width_bytes": 4, "byte_order": "big"}}

    def source(self):
        return {key: value for key, value in super().source().items() if key != "channels"}

    def put(self, data):
        self.raw(b"\xa5\x5a" + struct.pack(">H", len(data)) + data)


KINDS = {"tcp": Tcp, "tcplisten": TcpListen, "unixstream": UnixStream, "unixpackets": UnixPackets,
         "unixdatagrams": UnixDatagrams, "fifo": Fifo, "file": File, "exec": Exec, "delimited": Delimited, "length": Length}
