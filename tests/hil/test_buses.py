"""The fixtures that no source of the server's reads yet: that they are there, and give real bytes and edges."""
import errno
import os
import struct
import time

import buses
import converters
import fixtures
import guest
import support

EDGES = 1000


class Buses(support.Case):
    def test_gpio_edges(self):
        """1000 of 1000, numbered by the kernel, rising and falling in turn; then the chip goes."""
        chip = fixtures.GpioChip(self)
        line = fixtures.GpioLine(chip.path, 4)
        self.addCleanup(line.close)
        with chip.pulling(4) as pull:
            for number in range(1, EDGES + 1):
                pull(number % 2)
                self.assertEqual(line.edge(), (number % 2 == 1, number))
        chip.vanish()
        with self.assertRaises(OSError) as caught:
            line.level()
        self.assertEqual(caught.exception.errno, errno.ENODEV)

    def test_iio_scans_of_several_channels(self):
        """Each record as its description has it: order, width, sign, and the time stamp's place."""
        device = converters.IioScan(self, 100)
        scan = device.scan()
        self.assertEqual(set(name for name, _ in scan), {*device.VALUES, "in_timestamp"})
        kinds = {"le:u13/16>>0": "H", "le:s12/16>>0": "h", "le:s11/16>>0": "h", "le:s16/16>>0": "h", "le:s64/64>>0": "q"}
        record = struct.Struct("@" + "".join(kinds[kind] for _, kind in scan))
        fd = os.open(device.path, os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(os.close, fd)
        before = 0
        for _ in range(20):
            found = dict(zip((name for name, _ in scan), record.unpack(os.read(fd, record.size))))
            self.assertGreater(found.pop("in_timestamp"), before)
            self.assertEqual(found, device.VALUES)

    def test_can(self):
        bus = buses.CanBus(self)
        transducer, logger, third = bus.node(self), bus.node(self), bus.node(self)
        for number in range(200):
            bus.send(transducer, 0x100 + number, number.to_bytes(1 + number % 8, "big"))
        for node in (logger, third):
            for number in range(200):
                self.assertEqual(bus.receive(node), (0x100 + number, number.to_bytes(1 + number % 8, "big")))
        bus.up(False)
        for who, what in ((lambda: bus.receive(logger), "to read"), (lambda: bus.send(transducer, 1, b""), "to send")):
            with self.assertRaises(OSError, msg=what) as caught:
                who()
            self.assertEqual(caught.exception.errno, errno.ENETDOWN)
        bus.up(True)
        bus.send(transducer, 0x7FF, b"back")
        self.assertEqual(bus.receive(logger), (0x7FF, b"back"))

    def test_pps(self):
        """Each edge is counted once and stamped when it was."""
        pulse = buses.Pps(self)
        for number in range(1, 21):
            for up in (True, False):
                before = time.time_ns()
                pulse.move(up)
                after = time.time_ns()
                count, ns = pulse.newest()[0 if up else 1]
                self.assertEqual(count, number)
                self.assertTrue(before <= ns <= after, (before, ns, after))
            self.assertEqual(pulse.newest()[0][0], number, "a falling edge is not a rising one")

    def test_hidraw(self):
        device = buses.HidReports(self)
        fd = os.open(device.path, os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(os.close, fd)
        for number in range(20):
            report = bytes([number] * 4) + b"\x00\xff\x10\x01"
            device.report(report)
            buses.readable(fd)
            self.assertEqual(os.read(fd, 64), report)
        device.vanish()
        buses.readable(fd)
        with self.assertRaises(OSError) as caught:
            os.read(fd, 64)
        self.assertIn(caught.exception.errno, (errno.EIO, errno.ENODEV))

    def test_comedi(self):
        card = buses.ComediCard(self)
        for counts in (0, 1, 0x8000, 0xFFFF):
            card.value(2, counts)
            self.assertEqual(card.input(2), counts)

    def test_spi_with_a_driver_of_the_kernel(self):
        guest.load("ti-adc128s052")
        adc = converters.SpiAdc(self, "adc128s052")
        raw = fixtures.one(adc.directory + "/iio:device*") + "/in_voltage3_raw"
        for counts in (0, 1, 0x0ABC, 0x0FFF):
            adc.value(counts)
            self.assertEqual(int(fixtures.read(raw)), counts)
        adc.answer(False)
        with self.assertRaises(OSError):
            fixtures.read(raw)
