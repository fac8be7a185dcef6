"""A server's stand-in that this process writes by itself, byte by byte: it answers attach and open with what a test gives it,
whether a server would have done so or not."""
import array
import fcntl
import mmap
import os
import socket
import struct
import threading

from sluice import layout

F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4
MEASURES_MAGIC, BOARD_MAGIC = 0x315341454D4C5353, 0x314452414F424C53
MEASURE_BYTES, MEASURES_AT, MEASURES_MAX = 128, 64 + 32 * 24, 512
ATTACH, BOARDS, GATE = layout.PROTOCOL_ATTACH, layout.PROTOCOL_BOARDS, layout.PROTOCOL_GATE


def segment(size):
    """(descriptor, memory)"""
    fd = os.memfd_create("stand-in", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)
    return fd, mmap.mmap(fd, size)


def measures(count, name=b"control.state%d", process=b"control"):
    """A list of so many counters of one process."""
    fd, memory = segment(-(-(MEASURES_AT + MEASURES_MAX * MEASURE_BYTES) // 4096) * 4096)
    struct.pack_into("<QIII", memory, 0, MEASURES_MAGIC, 1, count, 1)
    struct.pack_into("<Q16s", memory, 64, 1, b"armed")
    for i in range(count):
        text = name % i if b"%" in name else name
        struct.pack_into("<64s32sIIIHHQ", memory, MEASURES_AT + MEASURE_BYTES * i, text, process, 2048, 2, 8, 0, 0, 0)
    return fd


def board(process=b"control"):
    fd, memory = segment(8192)
    struct.pack_into("<QII32s32sQQQQiiiIII", memory, 0, BOARD_MAGIC, 7, 2, b"standin", process, 1, 2, 3, 4, -1, 0, 0, 0, 0, 0)
    return fd


class StandIn:
    """boards: descriptors for whom opens it. answer(connection, op) -> True if it has answered by itself."""

    def __init__(self, run_dir, name, boards=(), answer=None):
        self.boards, self.answer, self.connections = boards, answer, []
        self.path = os.path.join(run_dir, name, "server.sock")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        self.socket.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        while True:
            try:
                request = connection.recv(4096)
            except OSError:
                return
            if not request:
                return
            op = struct.unpack_from("<H", request, 6)[0]
            if self.answer is None or not self.answer(self, connection, op):
                self.reply(connection, self.boards if op == BOARDS else (), 0 if op == BOARDS else -6, b"no such ring")

    @staticmethod
    def reply(connection, fds=(), code=0, text=b""):
        data = struct.pack("<IHHiIQ512s", layout.PROTOCOL_MAGIC, layout.PROTOCOL_VERSION, len(fds), code, 0, 0, text)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        connection.sendmsg([data], rights)

    def close(self):
        with_name = [self.socket, *self.connections]
        for s in with_name:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        for fd in self.boards:
            os.close(fd)
        os.unlink(self.path)
