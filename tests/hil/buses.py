"""More devices of a test stand for the hardware bench: CAN, a pulse per second, HID, comedi, a register window.

As in fixtures.py: each says what it stands for and what it cannot show.
"""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import termios

import fixtures
import guest
import support
from fixtures import read, write
from support import wait_until


def ip(*arguments):
    done = subprocess.run(["/usr/bin/ip", *arguments], capture_output=True, text=True, timeout=support.PATIENCE_S)
    if done.returncode != 0:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class CanBus:
    """A CAN bus (vcan) on which programs are the nodes. Cannot show bit errors, a bus that is off, arbitration, a full
    controller."""

    FRAME = struct.Struct("=IB3x8s")

    FRAME_FD = struct.Struct("=IBB2x64s")
    REMOTE, BIT_RATE_SWITCH, MTU_FD = 0x40000000, 1, "72"

    def __init__(self, case, name="vcan0"):
        for module in ("vcan", "can-raw"):
            guest.load(module)
        self.name = name
        self.present = False
        self.make()
        case.addCleanup(self.remove)

    def make(self):
        ip("link", "add", "dev", self.name, "mtu", self.MTU_FD, "type", "vcan")
        self.present = True
        self.up(True)

    def remove(self):
        if self.present:
            self.present = False
            ip("link", "delete", "dev", self.name)

    def up(self, is_up):
        ip("link", "set", "dev", self.name, "up" if is_up else "down")

    def node(self, case, fd=False):
        s = socket.socket(socket.PF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        case.addCleanup(s.close)
        s.settimeout(support.PATIENCE_S)
        s.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, int(fd))
        s.bind((self.name,))
        return s

    def send(self, node, identifier, data, remote=False):
        node.send(self.FRAME.pack(identifier | self.REMOTE * remote, len(data), data.ljust(8, b"\0")))

    def send_fd(self, node, identifier, data):
        node.send(self.FRAME_FD.pack(identifier, len(data), self.BIT_RATE_SWITCH, data.ljust(64, b"\0")))


class Pps:
    """A clock's pulse on the carrier line of a serial port (modules/hil_tty.c), stamped by the kernel's pps_ldisc, as
    /dev/ppsN. Cannot show the jitter of an interrupt."""

    CARRIER = "/sys/module/hil_tty/parameters/carrier"
    N_PPS = 18
    FETCH = 0xC00870A4
    DATA = struct.Struct("=IIqiIqiII4xqiI")  # struct pps_fdata

    def __init__(self, case):
        guest.load("pps_ldisc")
        guest.load("hil_tty")
        case.addCleanup(guest.unload, "hil_tty")
        write(self.CARRIER, 0)
        wait_until(lambda: os.path.exists("/dev/ttyHIL0"), "/dev/ttyHIL0", 10)
        self.tty = os.open("/dev/ttyHIL0", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        case.addCleanup(os.close, self.tty)
        fcntl.ioctl(self.tty, termios.TIOCSETD, struct.pack("i", self.N_PPS))
        self.path = "/dev/" + os.path.basename(fixtures.one("/sys/class/pps/pps*"))
        wait_until(lambda: os.path.exists(self.path), self.path, 10)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        case.addCleanup(os.close, self.fd)

    def move(self, up):
        write(self.CARRIER, int(up))

    def newest(self):
        """((number, ns of CLOCK_REALTIME) of the newest rising edge, the same of the newest falling one)"""
        data = bytearray(self.DATA.size)  # a time-out of 0: what there is
        fcntl.ioctl(self.fd, self.FETCH, data)
        up, down, up_s, up_ns, _, down_s, down_ns, *_ = self.DATA.unpack(data)
        return (up, up_s * 10**9 + up_ns), (down, down_s * 10**9 + down_ns)


class HidReports:
    """A HID device that sends reports of 8 bytes of its own kind, as /dev/hidrawN, made by a program (uhid). Cannot show a
    USB bus, nor a device that is slow to answer."""

    DESTROY, CREATE, INPUT = 1, 11, 12
    BUS_USB = 3
    # Usage page of the vendor, a collection of 8 bytes of input.
    DESCRIPTOR = bytes.fromhex("0600ff0901a1010902150026ff00750895088102c0")

    def __init__(self, case, name="hil-hid"):
        guest.load("uhid")
        guest.load("hid-generic")
        self.fd = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
        case.addCleanup(os.close, self.fd)
        self.name = name
        self.appear()

    def appear(self):
        about = (len(self.DESCRIPTOR), self.BUS_USB, 0x1209, 1, 1, 0)
        self._event(self.CREATE, struct.pack("=128s64s64sHHIIII", self.name.encode(), b"", b"", *about) + self.DESCRIPTOR)
        self.path = "/dev/" + os.path.basename(fixtures.one("/sys/class/hidraw/hidraw*"))
        wait_until(lambda: os.path.exists(self.path), self.path, 10)

    def _event(self, kind, body):
        os.write(self.fd, struct.pack("=I", kind) + body)

    def report(self, data):
        self._event(self.INPUT, struct.pack("=H", len(data)) + data)

    def vanish(self):
        self._event(self.DESTROY, b"")


class ComediCard:
    """A card for comedi (comedi_test) as /dev/comedi<minor>, 16 bits, two ranges, eight inputs against ground. Asked for one
    sample, an input reads what the output of that number was set to; in a scan the first has a saw, the second a square
    wave, of +-1 V and 100 ms, computed from the sample's time. Cannot show noise, a card that is pulled out while it scans
    (the kernel refuses it), nor one that cannot be asked."""

    INSTRUCTION = struct.Struct("=IIQII12x4x")
    DO, CONFIGURE, PARTS = 0x8028640C, 0x40946400, 0x80486402
    PART_WORDS, FLAGS, RUNNING = 18, 2, 0x08000000
    READ, WRITE = 0x4000000, 0x8000001
    INPUTS, OUTPUTS = 0, 1
    MINORS = 2
    PERIOD_S, VOLTS = 0.1, 1.0

    def __init__(self, case, minor=0, there=True):
        guest.load("comedi", f"comedi_num_legacy_minors={self.MINORS}")
        guest.load("comedi_test", "noauto=1")
        self.path = f"/dev/comedi{minor}"
        wait_until(lambda: os.path.exists(self.path), self.path, 10)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        case.addCleanup(os.close, self.fd)
        self.there = False
        case.addCleanup(self.vanish)
        if there:
            self.appear()

    def appear(self):
        name = b"comedi_test".ljust(20, b"\0")
        options = struct.pack("=32i", round(self.VOLTS * 1e6), round(self.PERIOD_S * 1e6), *[0] * 30)
        fcntl.ioctl(self.fd, self.CONFIGURE, name + options)
        self.there = True

    def vanish(self):
        if self.there:
            fcntl.ioctl(self.fd, self.CONFIGURE, 0)
            self.there = False

    def _do(self, what, part, channel, value=0):
        data = ctypes.c_uint32(value)
        fcntl.ioctl(self.fd, self.DO, self.INSTRUCTION.pack(what, 1, ctypes.addressof(data), part, channel))
        return data.value

    def is_scanning(self):
        parts = (ctypes.c_uint32 * (2 * self.PART_WORDS))()
        fcntl.ioctl(self.fd, self.PARTS, parts)
        return parts[self.INPUTS * self.PART_WORDS + self.FLAGS] & self.RUNNING != 0

    def value(self, channel, counts):
        self._do(self.WRITE, self.OUTPUTS, channel, counts)

    def input(self, channel):
        return self._do(self.READ, self.INPUTS, channel)


class RegisterWindow:
    """A page of registers as /dev/uioN (modules/hil_uio.c), the first of which a test sees from the other side. Cannot show
    a register that does not read back, nor a bus that hangs."""

    def __init__(self, case):
        guest.load("hil_uio")
        case.addCleanup(guest.unload, "hil_uio")
        self.path = "/dev/" + os.path.basename(fixtures.one("/sys/bus/platform/devices/hil-uio/uio/uio*"))
        wait_until(lambda: os.path.exists(self.path), self.path, 10)

    def word(self, value=None):
        if value is not None:
            write("/sys/module/hil_uio/parameters/word", value)
        return int(read("/sys/module/hil_uio/parameters/word"), 16)

    @staticmethod
    def interrupt():
        write("/sys/module/hil_uio/parameters/interrupt", 1)
