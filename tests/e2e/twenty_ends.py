"""Twenty sources of different kinds, each with its far end, and the one way in which it is broken here. What the others of
its kind do with each fault is in the test of the kind."""
import os
import socket
import struct

import stream_ends
import support
from support import SensorPty, TextPty, frame
from test_modbus import ModbusRtu, ModbusTcp
from test_registers import DATA, READY, STATUS, WINDOW
from test_registers import Device as RegisterDevice
from test_scpi import ScpiSerial, ScpiTcp

AGAIN = {"connects": 1, "gap_records": 1}  # what comes back is opened again, behind the record of a gap
SOME = None                                # in place of a count: one or more
ANSWER_MS = 2500                           # that an instrument may take which is well: the machine may be slow


class Fault:
    """What is added to an end: how it breaks, what is then counted, and what the log says."""

    seen = {}     # key of the stream -> by how much it has grown when the fault has been seen
    after = {}    # and besides when it is over
    said = None   # words in the log; None: the counters alone say it
    numbered = True  # its frames are put by send(), and their number is known; else it gives some by itself
    own_lost = 0  # frames that the fault itself loses

    def fault(self):
        raise NotImplementedError

    def mend(self):
        raise NotImplementedError


# ---- Streams: tests/e2e/stream_ends.py, ten of them.


class Tcp(Fault, stream_ends.Tcp):
    """The program at the other end dies, and nothing listens there."""

    seen, after, said = {"disconnects": 1}, AGAIN, "Connection refused"
    fault, mend = stream_ends.Tcp.break_, stream_ends.Tcp.mend


class TcpListen(Fault, stream_ends.TcpListen):
    """The client goes in the middle of a frame."""

    seen, after = {"disconnects": 1, "noise_bytes": 7}, AGAIN
    mend = stream_ends.TcpListen.mend

    def fault(self):
        self.raw(frame(self.next)[:7])
        self.break_()


class UnixStream(Fault, stream_ends.UnixStream):
    """Its socket is gone."""

    seen, after, said = {"disconnects": 1}, AGAIN, "No such file or directory"
    fault, mend = stream_ends.UnixStream.break_, stream_ends.UnixStream.mend


class Garbage(Fault):
    """It goes on sending, but no frames."""

    wrong = (b"",)

    def fault(self):
        for data in self.wrong:
            self.raw(data)

    def mend(self):
        """With the next frame."""


class UnixPackets(Garbage, stream_ends.UnixPackets):
    wrong, seen = (bytes(5),) * 3, {"refused.short": 3}


class UnixDatagrams(Garbage, stream_ends.UnixDatagrams):
    wrong, seen = (bytes(100),) * 4, {"refused.long": 4}


class Fifo(Garbage, stream_ends.Fifo):
    """The beginning of a frame, then a whole one: at each byte a frame might begin, and none does."""

    wrong, seen = (b"\xff" * 4,), {"refused.checksum": 4, "noise_bytes": 4}

    def fault(self):
        super().fault()
        self.send()


class File(Fault, stream_ends.File):
    """It is truncated, and begins anew."""

    seen = {"disconnects": 1, **AGAIN}

    def fault(self):
        with open(self.path, "wb"):
            pass

    def mend(self):
        """With what is written next."""


class Exec(Fault, stream_ends.Exec):
    """The child is killed."""

    seen, after = {"disconnects": 1}, AGAIN
    fault, mend = stream_ends.Exec.break_, stream_ends.Exec.mend


class Delimited(Garbage, stream_ends.Delimited):
    """A flood without a mark."""

    wrong, seen = (bytes(300000),), {"refused.long": 1, "noise_bytes": SOME}

    def mend(self):
        self.raw(b"\xff\xfe\xfd\xfc")


class Length(Garbage, stream_ends.Length):
    """Lengths that no frame can have."""

    wrong, seen = (b"\xa5\x5a\xff\xff",) * 5, {"refused.syntax": 5, "noise_bytes": 20}

    def mend(self):
        """Each is known for none by the two bytes behind its mark."""


# ---- Lines, datagrams.


class Serial(Fault, SensorPty):
    """The line is pulled out."""

    seen, after, said = {"disconnects": 1}, AGAIN, "No such file or directory"
    make = staticmethod(support.serial_source)

    def __init__(self, case, name, prefix):
        self.case, self.name, self.prefix = case, name, prefix
        super().__init__(case, case.path(name))

    def source(self):
        wide = [{**channel, "stale_ms": 60000} for channel in self.make(self.path, self.prefix)["channels"]]
        return self.make(self.path, self.prefix, name=self.name, ring=self.name, channels=wide)

    def connected(self):
        """The server opens it."""

    def send(self, count=1, **values):
        for _ in range(count):
            super().send(**values)

    fault, mend = SensorPty.unplug, SensorPty.plug


class Text(Serial, TextPty):
    """Its instrument talks of something else, at a wrong rate perhaps."""

    seen, after, said, make = {"refused.syntax": 6, "lost.malformed": 6}, {}, None, staticmethod(support.text_source)

    def fault(self):
        self.put(b"ERR 17\r\n\x80\xff\xfe\r\nP=?\r\n" * 2)

    def mend(self):
        """With the next line."""


class Udp(Fault, stream_ends.End):
    """A stranger sends what looks like its frames. A datagram lies in a slot when it is judged: there is a record then."""

    kind, seen = "udp", {"refused.stranger": 100, "gap_records": 100}

    def set_up(self):
        self.port = support.free_udp_port()
        self.socket = self.open("127.0.0.1")

    def open(self, address):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.case.addCleanup(s.close)
        s.bind((address, 0))
        return s

    def keys(self):
        return {"listen": f"127.0.0.1:{self.port}", "from": "127.0.0.1"}

    def raw(self, data):
        self.socket.sendto(data, ("127.0.0.1", self.port))

    def fault(self):
        with self.open("127.0.0.2") as stranger:
            for number in range(100):
                stranger.sendto(frame(self.next + number, pressure=499), ("127.0.0.1", self.port))

    def break_(self):
        """Sockets end with the test."""

    def mend(self):
        """With its own frames."""


class Multicast(Garbage, Udp):
    """Bits are flipped: each of these frames is lost, and known to be."""

    GROUP, LOST = "239.255.77.2", 5
    seen, own_lost = {"refused.checksum": LOST, "gap_records": LOST}, LOST
    after = {"lost.malformed": LOST}

    def set_up(self):
        super().set_up()
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def keys(self):
        return {**super().keys(), "group": self.GROUP, "interface": "127.0.0.1"}

    def raw(self, data):
        self.socket.sendto(data, (self.GROUP, self.port))

    def fault(self):
        for _ in range(self.LOST):
            data = frame(self.next)
            self.raw(data[:-1] + bytes((data[-1] ^ 1,)))
            self.next += 1


# ---- What is asked.


class Asked(Fault):
    """One poll fails after the other until it is mended."""

    numbered = False
    seen, after = {"disconnects": 1, "polls_failed": SOME}, {**AGAIN, "polls_failed": SOME}
    channel = {"at_byte": 0, "type": "u16"}
    own = {}

    def start(self, name, prefix):
        self.name, self.prefix = name, prefix

    def source(self):
        return {"name": self.name, "worker": "sensors", "ring": self.name, "period_ms": 40, "timeout_ms": ANSWER_MS, **self.keys(),
                **self.own, "channels": [{"name": self.prefix + "value", "unit": "x", "range": [-100000, 100000], "stale_ms": 60000,
                                          **self.channel}]}

    def connected(self):
        """The server asks."""


class Sysfs(Asked):
    """Its driver says no number."""

    said, channel = "expected a number, found 'oops", {}

    def __init__(self, case, name, prefix):
        self.start(name, prefix)
        self.path = case.path(name)
        self.mend()

    def keys(self):
        return {"kind": "sysfs", "attributes": [self.path]}

    def _says(self, text):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        if not os.path.exists(self.path):
            os.rename(self.path + ".new", self.path)
        with open(self.path, "r+", encoding="ascii") as file:  # as an attribute changes: in the same file
            file.write(text)
            file.truncate()

    def fault(self):
        self._says("oops\n")

    def mend(self):
        self._says("23500\n")


class Modbus(Asked):
    own = {"unit_id": 7, "registers": [{"table": "holding", "at": 10, "count": 2}]}


class PlcTcp(Modbus, ModbusTcp):
    """It answers with an exception."""

    said = "it answers with an exception: Slave device or server is busy"

    def __init__(self, case, name, prefix):
        self.start(name, prefix)
        ModbusTcp.__init__(self, case)

    def fault(self):
        self.exception = 6

    def mend(self):
        self.exception = 0


class PlcRtu(Modbus, ModbusRtu):
    """The check of its answers is wrong."""

    said = "Invalid CRC"

    def __init__(self, case, name, prefix):
        self.start(name, prefix)
        ModbusRtu.__init__(self, case, case.path(name))

    def fault(self):
        self.bad_crc = True

    def mend(self):
        self.bad_crc = False


class MeterTcp(Asked, ScpiTcp):
    """It hangs."""

    said, channel, own = "no answer to 'MEAS:VOLT?' in time", {}, {"queries": ["MEAS:VOLT?"]}

    def __init__(self, case, name, prefix):
        self.start(name, prefix)
        ScpiTcp.__init__(self, case)

    def keys(self):
        return {"kind": "scpi", **ScpiTcp.keys(self)}

    def fault(self):
        self.mute = True

    def mend(self):
        self.mute = False


class MeterSerial(Asked, ScpiSerial):
    """It is pulled out."""

    said, channel, own = "No such file or directory", {}, {"queries": ["MEAS:VOLT?"]}

    def __init__(self, case, name, prefix):
        self.start(name, prefix)
        ScpiSerial.__init__(self, case, case.path(name))

    def keys(self):
        return {"kind": "scpi", **ScpiSerial.keys(self)}

    fault, mend = ScpiSerial.close, ScpiSerial.open


class Registers(Asked, RegisterDevice):
    """The file behind its memory is truncated: SIGBUS."""

    said = "its memory is gone (SIGBUS)"

    def __init__(self, case, name, prefix):
        self.start(name, prefix)
        RegisterDevice.__init__(self, case, case.path(name))

    def keys(self):
        at = {"width_bytes": 4, "byte_order": "little"}
        return {"kind": "registers", "device": self.path, "window_bytes": WINDOW, "status": {"at_byte": STATUS, "ready_mask": READY, **at},
                "data": {"at_byte": DATA, "count_bytes": 8, "width_bytes": 4}}

    def fault(self):
        os.truncate(self.path, 0)

    mend = RegisterDevice.make


KINDS = {"tcp": Tcp, "tcplisten": TcpListen, "unixstream": UnixStream, "unixpackets": UnixPackets, "unixdatagrams": UnixDatagrams,
         "fifo": Fifo, "file": File, "exec": Exec, "delimited": Delimited, "length": Length, "serial": Serial, "text": Text,
         "udp": Udp, "multicast": Multicast, "sysfs": Sysfs, "plctcp": PlcTcp, "plcrtu": PlcRtu, "metertcp": MeterTcp,
         "meterserial": MeterSerial, "registers": Registers}
