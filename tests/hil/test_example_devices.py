"""The examples of tools/examples that need a device: each runs, and its channels say what the stand-in gives."""
import struct

import buses
import converters
import example_case
import fixtures
from example_case import Example

SLOW = {"stall_trip_ms: 200}": "stall_trip_ms: 60000, silence_ms: 60000, supervisor_silence_ms: 60000}"}  # under emulation


class Can(Example):
    """Two sources at one bus: frames of one id, and all of them."""

    name, wanted, ends_wanted = "can", {"pressure": 101.3, "temperature": 23.5}, {"bus": 10}
    ID = 0x180

    def changes(self):
        self.bus = buses.CanBus(self.case, "can0")
        self.node = self.bus.node(self.case, fd=True)
        return {}

    def feed(self):
        self.bus.send(self.node, self.ID, struct.pack("<HhHH", 10130, 235, 0, self.sent & 0xFFFF))
        self.bus.send_fd(self.node, self.ID + 1, bytes(64))
        self.sent += 1


class Hid(Example):
    name, wanted = "hidraw", {"temperature": 23.5}

    def changes(self):
        self.device = buses.HidReports(self.case)
        return {"/dev/hidraw0": self.device.path}

    def feed(self):
        self.device.report(struct.pack(">Hh4x", 1, 2350))


class I2c(Example):
    name, wanted = "i2c", {"pressure": 101.3, "temperature": 23.5}

    def changes(self):
        bus = converters.I2cBus(self.case, [0x28])
        bus.word(0x28, 0, 10130)
        bus.word(0x28, 2, round(23.5 * 128))
        return {"/dev/i2c-1": bus.path, "stale_ms: 100": "stale_ms: 5000"}


class Iio(Example):
    name, wanted = "iio", {"pressure": 100}

    def changes(self):
        bus = converters.I2cBus(self.case, [0x50])
        adc = converters.IioBuffer(self.case, bus, 0x50)
        adc.value(1000)
        types = dict(adc.scan(*adc.ELEMENTS))
        return {"1-0050": adc.name, "trigger: timer": f"trigger: {adc.trigger}", "rate_hz: 1000": "rate_hz: 100",
                "le:u12/16>>0": types["in_voltage"], "stale_ms: 200": "stale_ms: 5000"}


class Spi(Example):
    """The stand-in has one clock mode, and sends one value from the first byte on, which is the one that is written."""

    name, wanted = "spi", {"pressure": 100, "coolant": 100}

    def changes(self):
        adc = converters.SpiAdc(self.case)
        adc.value(int.from_bytes((1000).to_bytes(2, "big"), "little"))
        return {"/dev/spidev0.0": adc.path, "mode: 1": "mode: 0", "stale_ms: 100": "stale_ms: 5000"}


class Gpio(Example):
    name, wanted, ends_wanted = "gpio", {"valve_switches": 1}, {"flow_meter": 5}

    def changes(self):
        self.chip = fixtures.GpioChip(self.case, "example", 24)
        self.chip.pull(22, False)
        self.chip.pull(23, True)
        return {"/dev/gpiochip0": self.chip.path, "debounce_us: 50": "debounce_us: 1", "stale_ms: 200": "stale_ms: 5000"}

    def feed(self):
        self.chip.pull(17, self.sent % 2)
        self.sent += 1


class Comedi(Example):
    """A card without differential inputs; the waves of its first two, a level of the second card's."""

    name, wanted, ends_wanted = "comedi", {"supply": 5}, {"scans": 200}

    def changes(self):
        buses.ComediCard(self.case)
        asked = buses.ComediCard(self.case, 1)
        asked.value(0, 49151)
        return {"reference: diff": "reference: ground", "stale_ms: 500": "stale_ms: 5000", "stale_ms: 200": "stale_ms: 5000"}


class Examples(example_case.Case):
    common = SLOW


Examples.add_tests((Can, Hid, I2c, Iio, Spi, Gpio, Comedi))
