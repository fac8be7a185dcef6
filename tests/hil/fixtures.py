"""The devices of a test stand, as drivers of the kernel see them: what the tests in the guests of the hardware bench take.

Here GPIO and what hangs on its lines, and what an operator does. converters.py has I2C, SPI and IIO; buses.py CAN, a pulse
per second, HID, comedi and a register window; sources.py has what a server's configuration says of them. Each fixture says
what it stands for and what it cannot show, and cleans up after itself through the test case it is given.
"""
import contextlib
import fcntl
import glob
import os
import select
import struct
import threading

import guest
import support
from support import wait_until

CONFIGFS = "/sys/kernel/config"
TRACEFS = "/sys/kernel/tracing"


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read().strip()


def write(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(text))
    except OSError as e:
        raise OSError(e.errno, f"cannot write '{text}': {e.strerror}", path) from None


def one(pattern):
    """The one path that this pattern has, once it is there."""
    def found():
        paths = glob.glob(pattern)
        return paths[0] if len(paths) == 1 else None

    return wait_until(found, lambda: f"one {pattern}, found {glob.glob(pattern)}", 10)


# ---- GPIO.


class GpioChip:
    """A GPIO chip (gpio-sim): the permit's output and whatever else hangs on lines. Cannot show levels between 0 and 1, what
    a line does that nobody drives any more, nor a chip that answers slowly."""

    def __init__(self, case, name="chip", lines=8):
        guest.load("gpio-sim")
        self.live = False
        self.name = name
        self.count = lines
        self.config = f"{CONFIGFS}/gpio-sim/{name}"
        os.makedirs(self.config + "/bank")
        case.addCleanup(self._remove)
        write(self.config + "/bank/num_lines", lines)
        write(self.config + "/bank/label", name)
        self.appear()

    def appear(self):
        write(self.config + "/live", 1)
        self.live = True
        chip = read(self.config + "/bank/chip_name")
        device = f"/sys/devices/platform/{read(self.config + '/dev_name')}"
        self.path = f"/dev/{chip}"
        self.lines = f"{device}/{chip}"
        self.base = int(read(one(f"{device}/gpio/gpiochip*/base")))
        wait_until(lambda: os.path.exists(self.path), self.path, 10)

    def vanish(self):
        """The chip is gone, also for who has lines of it."""
        write(self.config + "/live", 0)
        self.live = False

    def _remove(self):
        if self.live:
            self.vanish()
        os.rmdir(self.config + "/bank")
        os.rmdir(self.config)

    def level(self, line):
        return int(read(f"{self.lines}/sim_gpio{line}/value"))

    def wait_level(self, line, level):
        wait_until(lambda: self.level(line) == level, f"level {level} at line {line} of {self.name}", pause_s=0.01)

    def pull(self, line, up):
        """What a line reads that nobody drives: the world outside moves it."""
        write(f"{self.lines}/sim_gpio{line}/pull", "pull-up" if up else "pull-down")

    @contextlib.contextmanager
    def pulling(self, line):
        """A faster pull(up) of one line."""
        fd = os.open(f"{self.lines}/sim_gpio{line}/pull", os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield lambda up: os.pwrite(fd, b"pull-up" if up else b"pull-down", 0)
        finally:
            os.close(fd)

    def hold(self, case, line):
        """Another program has the line."""
        request = GpioLine(self.path, line, output=True)
        case.addCleanup(request.close)
        return request


class GpioWrites:
    """Every level that a driver was told to give to lines of a chip, from the kernel's own trace: the edges at the chip,
    also those that are too short to be seen from outside."""

    def __init__(self, case, chip):
        self.chip = chip
        self.directory = f"{TRACEFS}/instances/{chip.name}"
        os.mkdir(self.directory)
        case.addCleanup(os.rmdir, self.directory)
        write(self.directory + "/buffer_size_kb", 4096)
        event = self.directory + "/events/gpio/gpio_value"
        write(event + "/filter", f"get==0 && gpio>={chip.base} && gpio<{chip.base + chip.count}")
        write(event + "/enable", 1)
        case.addCleanup(write, event + "/enable", 0)

    def levels(self, line):
        """In order, with repetitions."""
        found = []
        wanted = f"gpio_value: {self.chip.base + line} set "
        with open(self.directory + "/trace", encoding="ascii", errors="replace") as file:
            for text in file:
                if wanted in text:
                    found.append(int(text.rsplit(None, 1)[1]))
        return found

    def edges(self, line):
        """(rising, falling) since the beginning, from low."""
        levels = [0, *self.levels(line)]
        pairs = list(zip(levels, levels[1:]))
        return pairs.count((0, 1)), pairs.count((1, 0))


class GpioLine:
    """A line, as a program has it (uAPI v2). As input with both edges."""

    REQUEST = struct.Struct("=64I32sQI20x240xI I20xi")
    GET_LINE, GET_VALUES = 0xC250B407, 0xC010B40E
    INPUT_BOTH_EDGES, OUTPUT = 1 << 2 | 1 << 4 | 1 << 5, 1 << 3
    EVENT = struct.Struct("=QIIII24x")
    RISING = 1

    def __init__(self, chip_path, line, output=False):
        chip = os.open(chip_path, os.O_RDWR | os.O_CLOEXEC)
        try:
            flags = self.OUTPUT if output else self.INPUT_BOTH_EDGES
            packed = bytearray(self.REQUEST.pack(line, *[0] * 63, b"hil", flags, 0, 1, 1024, 0))
            fcntl.ioctl(chip, self.GET_LINE, packed)
            self.fd = self.REQUEST.unpack(packed)[-1]
        finally:
            os.close(chip)

    def edge(self, seconds=support.PATIENCE_S):
        """The next edge: (rising, its number from 1)."""
        if not select.select([self.fd], [], [], seconds)[0]:
            raise AssertionError(f"no edge in {seconds:g} s")
        _, kind, _, _, number = self.EVENT.unpack(os.read(self.fd, self.EVENT.size))
        return kind == self.RISING, number

    def level(self):
        values = bytearray(struct.pack("=QQ", 0, 1))
        fcntl.ioctl(self.fd, self.GET_VALUES, values)
        return struct.unpack("=QQ", values)[0]

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Valve:
    """A valve at a permit's line with a limit switch at another: a thread that moves the second after the first. Stuck it
    stays where it is."""

    def __init__(self, case, chip, permit, switch):
        self.chip, self.permit, self.switch = chip, permit, switch
        self.stuck = False
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    def _run(self):
        there = None
        while not self.ended.wait(0.02):
            with contextlib.suppress(OSError):  # the chip may be gone
                level = self.chip.level(self.permit)
                if level != there and not self.stuck:
                    self.chip.pull(self.switch, level)
                    there = level

    def end(self):
        self.ended.set()
        self.thread.join(10)


# ---- A server and its operator.


def settings(**control):
    """What support.config() takes besides: a guest under software emulation is slow, and its host stalls. No limit of time
    may be what ends a test; only silence that is meant may be."""
    return {"stall_trip_ms": 60000, "silence_ms": 60000, "supervisor_silence_ms": 60000, "output_fault_ms": 2000,
            "refresh_us": 50000, "sleep_us": 5000, "cycle_budget_us": 100000, **control}


def command(server, op):
    """The server's answer: (code, text). Without a process for each command, which takes long here."""
    with support.connect(server.case.socket_path(server)) as s:
        return support.call(s, op)[:2]


def reset(server):
    wait_until(lambda: command(server, support.RESET)[0] == 0,
               lambda: f"a reset, refused: {command(server, support.RESET)[1]}", pause_s=0.05)


def arm(server, chip, line):
    """Reset and armed, with the permit at the line."""
    reset(server)
    code, text = command(server, support.ARM)
    server.case.assertEqual(code, 0, text)
    chip.wait_level(line, 1)
