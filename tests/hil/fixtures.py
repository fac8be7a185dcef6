"""The devices of a test stand, as drivers of the kernel see them: what the tests in the guest of the hardware bench take.

Each fixture says what it stands for and what it cannot show. All of them clean up after themselves through the test case
they are given. Buses other than these are in buses.py.
"""
import contextlib
import ctypes
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
BRIDGE = os.path.join(support.BIN, "hil-bridge")


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

    def clear(self):
        write(self.directory + "/trace", "")


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


# ---- I2C.

I2C_SLAVE_FORCE, I2C_SMBUS = 0x0706, 0x0720
I2C_READ, I2C_WRITE, I2C_WORD = 1, 0, 3


class I2cBus:
    """An I2C bus with chips on it that are a set of registers (i2c-stub): it stands for the bus of a processor. Cannot show
    a bus that hangs, a chip that stretches the clock or does not acknowledge."""

    def __init__(self, case, addresses):
        guest.load("i2c-dev")
        guest.load("i2c-stub", "chip_addr=" + ",".join(hex(a) for a in addresses))
        case.addCleanup(guest.unload, "i2c-stub")
        self.directory = next(p for p in glob.glob("/sys/bus/i2c/devices/i2c-*") if "stub" in read(p + "/name").lower())
        self.number = int(self.directory.rsplit("-", 1)[1])
        self.path = f"/dev/i2c-{self.number}"
        wait_until(lambda: os.path.exists(self.path), self.path, 10)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        case.addCleanup(os.close, self.fd)

    def word(self, address, register=0, value=None):
        """Sets, or else reads, a register of 16 bits whose high byte is sent first; also of a chip that a driver has."""
        fcntl.ioctl(self.fd, I2C_SLAVE_FORCE, address)
        data = ctypes.create_string_buffer(struct.pack(">H", value or 0), 34)
        direction = I2C_READ if value is None else I2C_WRITE
        fcntl.ioctl(self.fd, I2C_SMBUS, struct.pack("=BB2xIQ", direction, register, I2C_WORD, ctypes.addressof(data)))
        return struct.unpack(">H", data.raw[:2])[0]


class I2cAdc:
    """A pressure transducer behind a converter of 12 bits at this address. `value` sets what it converts next. Without a
    driver it is there for programs that speak I2C themselves. Cannot show noise, or the time that a conversion takes."""

    def __init__(self, bus, address):
        self.bus, self.address = bus, address
        self.value(0)

    def value(self, counts):
        self.bus.word(self.address, value=counts)


# ---- IIO.


class IioBuffer(I2cAdc):
    """The same converter with the kernel's driver for it (ti-adc081c), whose buffer is filled at a rate (trigger by hrtimer),
    as /dev/iio:deviceN: records of a u16 and a time stamp. It can stop, which nobody is told, and vanish. Cannot show a
    sampling clock: the times between samples are those of a virtual machine."""

    SLOTS = 1024

    def __init__(self, case, bus, address, hz):
        super().__init__(bus, address)
        guest.load("ti-adc081c")
        guest.load("iio-trig-hrtimer")
        self.trigger = f"hil{address:x}"
        os.mkdir(f"{CONFIGFS}/iio/triggers/hrtimer/{self.trigger}")
        case.addCleanup(os.rmdir, f"{CONFIGFS}/iio/triggers/hrtimer/{self.trigger}")
        self.hz = hz
        self.present = False
        self.appear()
        case.addCleanup(self.vanish)

    def appear(self):
        write(f"{self.bus.directory}/new_device", f"adc121c {self.address:#x}")
        self.present = True
        self.directory = one(f"{self.bus.directory}/{self.bus.number}-{self.address:04x}/iio:device*")
        self.path = "/dev/" + os.path.basename(self.directory)
        wait_until(lambda: os.path.exists(self.path), self.path, 10)
        self.set_hz(self.hz)
        write(self.directory + "/trigger/current_trigger", self.trigger)
        write(self.directory + "/scan_elements/in_voltage_en", 1)
        write(self.directory + "/scan_elements/in_timestamp_en", 1)
        write(self.directory + "/buffer/length", self.SLOTS)
        self.go_on()

    def set_hz(self, hz):
        for path in glob.glob("/sys/bus/iio/devices/trigger*"):
            if read(path + "/name") == self.trigger:
                write(path + "/sampling_frequency", hz)
                self.hz = hz

    def stop(self):
        """No more samples, and no error."""
        write(self.directory + "/buffer/enable", 0)

    def go_on(self):
        write(self.directory + "/buffer/enable", 1)

    def vanish(self):
        """The device is gone, also for who has it open. A read says so; poll() on Linux 6.1 does not."""
        if self.present:
            self.present = False
            write(f"{self.bus.directory}/delete_device", f"{self.address:#x}")


# ---- SPI.


class SpiAdc:
    """A converter on SPI (a controller of ours, modules/hil_spi.c), by default for programs, through spidev; or with the
    kernel's driver of that name. Cannot show clock modes, chip selects, or words that were cut."""

    SETTINGS = "/sys/module/hil_spi/parameters"

    def __init__(self, case, driver="dh2228fv"):
        guest.load("hil_spi", f"modalias={driver}")
        case.addCleanup(guest.unload, "hil_spi")
        self.directory = one("/sys/bus/platform/devices/hil-spi/spi_master/spi*/spi*.0")
        self.bind(driver)

    def bind(self, driver):
        """spidev is part of the kernel and takes what has its alias by itself."""
        if driver == "dh2228fv":
            self.path = "/dev/spidev" + os.path.basename(self.directory)[len("spi"):]
            wait_until(lambda: os.path.exists(self.path), self.path, 10)

    def value(self, counts):
        write(self.SETTINGS + "/value", counts)

    def answer(self, does):
        """False: its transfers fail from now on."""
        write(self.SETTINGS + "/answers", "Y" if does else "N")


# ---- From a device to a server that has no source for it yet.

SO_RCVBUFFORCE = 33
DATAGRAM = struct.Struct(">IIQqiI")


class Bridge:
    """hil-bridge on a device. What it sends comes to a server's `udp` source at `port`, and here: `next` is the newest
    (number, edges, tai_ns, device_ns, value, is_edge)."""

    def __init__(self, case, *device):
        self.case, self.device = case, [str(d) for d in device]
        self.port = support.free_udp_port()
        self.socket = support.socket.socket(support.socket.AF_INET, support.socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.setsockopt(support.socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(support.PATIENCE_S)
        self.process = None
        self.log_path = case.path(f"bridge-{self.device[0]}-{case.count()}.log")
        self.start()

    def start(self):
        copy = f"127.0.0.1:{self.socket.getsockname()[1]}"
        with open(self.log_path, "ab") as log:
            self.process = support.spawn(BRIDGE, *self.device, f"127.0.0.1:{self.port}", copy, stdout=log, stderr=log)
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


def settings(**control):
    """What support.config() takes besides: a guest under software emulation is slow, and its host stalls. No limit of time
    may be what ends a test; only silence that is meant may be."""
    return {"stall_trip_ms": 60000, "silence_ms": 60000, "supervisor_silence_ms": 60000, "output_fault_ms": 2000,
            "refresh_us": 50000, "sleep_us": 5000, "cycle_budget_us": 100000, **control}


# ---- What an operator does, without a new process for each command: those take long here.


def command(server, op):
    """The server's answer: (code, text)"""
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
