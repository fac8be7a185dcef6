"""Converters of analog values on I2C and SPI, and devices of IIO with their buffers, for the tests of the hardware bench.

As in fixtures.py: each says what it stands for and what it cannot show.
"""
import ctypes
import fcntl
import glob
import os
import struct

import guest
from fixtures import CONFIGFS, one, read, write
from support import wait_until

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


class _Iio:
    """A device whose buffer a trigger of the kernel's timer fills, as /dev/iio:deviceN. Whoever reads it sets it up."""

    NEVER_HZ = 0.001

    def make_trigger(self, case, name):
        guest.load("iio-trig-hrtimer")
        self.trigger = name
        os.mkdir(f"{CONFIGFS}/iio/triggers/hrtimer/{name}")
        case.addCleanup(os.rmdir, f"{CONFIGFS}/iio/triggers/hrtimer/{name}")

    def set_hz(self, hz):
        for path in glob.glob("/sys/bus/iio/devices/trigger*"):
            if read(path + "/name") == self.trigger:
                write(path + "/sampling_frequency", hz)

    def found(self, pattern):
        """This is the device."""
        self.directory = one(pattern)
        self.path = "/dev/" + os.path.basename(self.directory)
        wait_until(lambda: os.path.exists(self.path), self.path, 10)

    def stop(self):
        """No more samples, and no error: its trigger fires no more."""
        self.set_hz(self.NEVER_HZ)

    def go_on(self, hz):
        """The timer takes a rate when it has run out or is started: whoever has the device sets it up again when its buffer
        was switched off."""
        self.set_hz(hz)
        self.switch_off()

    def switch_off(self):
        write(self.directory + "/buffer/enable", 0)

    def scan(self, *elements):
        """What a record of these is made of: (element, type such as le:s12/16>>0), in order."""
        def of(element, what):
            return read(f"{self.directory}/scan_elements/{element}_{what}")

        return [(name, of(name, "type")) for name in sorted(elements, key=lambda name: int(of(name, "index")))]


class IioBuffer(I2cAdc, _Iio):
    """The same converter with the kernel's driver for it (ti-adc081c): records of a u16 and a time stamp. It can stop, which
    nobody is told, and vanish. Cannot show a sampling clock: the times between samples are those of a virtual machine."""

    ELEMENTS = ("in_voltage", "in_timestamp")

    def __init__(self, case, bus, address):
        super().__init__(bus, address)
        guest.load("ti-adc081c")
        self.make_trigger(case, f"hil{address:x}")
        self.name = f"{bus.number}-{address:04x}"
        self.present = False
        self.appear()
        case.addCleanup(self.vanish)

    def appear(self):
        write(f"{self.bus.directory}/new_device", f"adc121c {self.address:#x}")
        self.present = True
        self.found(f"{self.bus.directory}/{self.name}/iio:device*")

    def vanish(self):
        """The device is gone, also for who has it open. A read says so; poll() on Linux 6.1 does not."""
        if self.present:
            self.present = False
            write(f"{self.bus.directory}/delete_device", f"{self.address:#x}")


class IioScan(_Iio):
    """A device with several channels of different width and sign in a record (iio_dummy), whose values are always the same.
    What its first input reads by itself follows its output."""

    VALUES = {"in_voltage0": 7, "in_voltage1-voltage2": -33, "in_voltage3-voltage4": -2, "in_accel_x": 344}
    ELEMENTS = (*VALUES, "in_timestamp")

    def __init__(self, case, name="hilscan"):
        guest.load("iio_dummy")
        self.name = name
        self.config = f"{CONFIGFS}/iio/devices/dummy/{name}"
        self.make_trigger(case, name)
        self.present = False
        self.appear()
        case.addCleanup(self.vanish)

    def appear(self):
        os.mkdir(self.config)
        self.present = True
        named = [p for p in glob.glob("/sys/bus/iio/devices/iio:device*") if read(p + "/name") == self.name]
        self.found(named[0])

    def vanish(self):
        if self.present:
            self.present = False
            os.rmdir(self.config)

    def attribute(self):
        return self.directory + "/in_voltage0_raw"

    def value(self, counts):
        write(self.directory + "/out_voltage0_raw", counts)


# ---- Hwmon.


class Thermometer:
    """A board's thermometer on I2C with the kernel's driver (lm75), as a file of hwmon's in thousandths of a degree."""

    def __init__(self, case, bus, address):
        guest.load("lm75")
        self.bus, self.address = bus, address
        self.present = False
        self.value(25)
        self.appear()
        case.addCleanup(self.vanish)

    def appear(self):
        write(f"{self.bus.directory}/new_device", f"lm75 {self.address:#x}")
        self.present = True
        self.path = one(f"{self.bus.directory}/{self.bus.number}-{self.address:04x}/hwmon/hwmon*") + "/temp1_input"

    def vanish(self):
        if self.present:
            self.present = False
            write(f"{self.bus.directory}/delete_device", f"{self.address:#x}")

    def value(self, degrees):
        self.bus.word(self.address, value=int(degrees * 256) & 0xFFE0)


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
