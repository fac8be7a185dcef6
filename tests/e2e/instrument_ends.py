"""The far ends of instruments that are asked: servers of some lines, on loopback or at the other end of a pty, that answer,
refuse, are late, answer nonsense, go and come back."""
import contextlib
import os
import select
import socket
import termios
import threading
import time
import tty

import support
from support import wait_until


class AskedCase(support.Case):
    """A server, self.running, with an instrument that is asked, whose stream is named `instrument`, and a source `udp`
    beside it."""

    instrument = None

    def stream(self, status=None):
        return self.running.stream(self.instrument, status)

    def wait_failed(self, words):
        self.running.wait_status(lambda s: not self.stream(s)["open"] and self.stream(s)["polls_failed"] > 0, f"failed polls: {words}")
        wait_until(lambda: words in self.running.log(), lambda: f"'{words}' in the log:\n{self.running.log()[-2000:]}")

    def wait_good(self):
        """Answers again, and beside it nothing was lost or late."""
        status = self.running.wait_status(lambda s: self.stream(s)["open"], "answers again")
        self.assertIn(f"source {self.instrument}: answers again", self.running.log())
        self.assert_balanced(self.stream(status))
        delivered = self.running.stream("udp", status)["delivered"]
        status = self.running.wait_status(lambda s: self.running.stream("udp", s)["delivered"] > delivered, "frames of the other source")
        beside = self.running.stream("udp", status)
        self.assert_balanced(beside)
        self.assertEqual(sum(beside["lost"].values()), 0, beside)
        return status


class Behaviour:
    """How answers leave an end: whole, in two pieces, late, not at all, or something else instead."""

    def __init__(self):
        self.mute = False
        self.cut = 0           # bytes of the first of two pieces; 0: whole
        self.late_s = 0.0      # between being asked and answering
        self.instead = None    # bytes in place of every answer
        self.hang_up = False   # after `cut` bytes of an answer, once
        self.asked = 0

    def deliver(self, put, answer):
        """False: hang up."""
        self.asked += 1
        if self.mute or answer is None:
            return True
        if self.late_s:
            time.sleep(self.late_s)
        answer = self.instead if self.instead is not None else answer
        cut = self.cut
        if cut:
            put(answer[:cut])
            if self.hang_up:
                self.hang_up = False
                return False
            time.sleep(0.002)  # so that the two pieces are two; if the machine makes one of them, that is no error
        put(answer[cut:])
        return True


class TcpEnd(Behaviour):
    """One connection after the other; serve(take, put) of the subclass speaks the protocol: take(n) are n bytes."""

    def __init__(self, case):
        super().__init__()
        self.connections = 0
        self.listener = self.peer = None
        self.port = 0
        self.open()
        case.addCleanup(self.close)

    def serve(self, take, put):
        raise NotImplementedError

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, args=(self.listener,), daemon=True)
        self.thread.start()

    def _run(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self.peer = peer

            def take(count, flags=0):
                data = peer.recv(count, flags | socket.MSG_WAITALL)
                if len(data) < count:
                    raise ConnectionError
                return data

            with contextlib.suppress(OSError, ConnectionError), peer:
                self.serve(take, peer.sendall)

    def close(self):
        """Gone: its port refuses from here on."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.peer is not None:
            with contextlib.suppress(OSError):
                self.peer.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)


class PtyEnd(Behaviour):
    """A pty, linked from `path`."""

    def __init__(self, case, path):
        super().__init__()
        self.path = path
        self.open()
        case.addCleanup(self.close)

    def serve(self, take, put):
        raise NotImplementedError

    def open(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave, termios.TCSANOW)
        self.ended = threading.Event()
        os.symlink(os.ttyname(self.slave), self.path + ".new")
        os.rename(self.path + ".new", self.path)
        self.thread = threading.Thread(target=self._run, args=(self.master, self.ended), daemon=True)
        self.thread.start()

    def _run(self, master, ended):
        def take(count):
            data = b""
            while len(data) < count:
                if ended.is_set():
                    raise ConnectionError
                if select.select([master], [], [], 0.05)[0]:
                    data += os.read(master, count - len(data))
            return data

        def put(data):
            os.write(master, data)

        while not ended.is_set():
            with contextlib.suppress(OSError, ConnectionError):
                self.serve(take, put)

    def close(self):
        """Unplugged: the line hangs up, and there is no such device any more."""
        if self.ended.is_set():
            return
        self.ended.set()
        self.thread.join(10)
        os.close(self.master)
        os.close(self.slave)
        os.unlink(self.path)
