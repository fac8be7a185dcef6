"""Every bus's source in one server, on one worker: each is broken and mended while the others go on and all of theirs is
accounted for; those that cannot be opened say why. And the fixtures that no source reads yet: that they are there, and give
real bytes and edges."""
import errno
import os
import struct
import time

import buses
import converters
import fixtures
import guest
import sources
import support
from support import wait_until

PERMIT, PULSE = 1, 2
ADC, RAW, BOARD, NOBODY = 0x50, 0x51, 0x48, 0x52
CAN_ID, CAN_EXTENDED = 0x123, 0x18FF1234
EFF, RTR = 0x80000000, 0x40000000
BURST = 20


class Server(support.Case):
    def start(self, all_sources, channel, high):
        chip = fixtures.GpioChip(self, "permit")
        output = {"name": "relief_closed", "kind": "gpio", "target": chip.path, "line": PERMIT, "without_heartbeat": "accepted"}
        rules = [{"name": "limit", "channel": channel, "high": high}]
        return self.server(support.config(self.instance, all_sources, [output], rules, **fixtures.settings())).start()


class Numbered:
    """What sends frames with a number of 16 bits, each of which has to arrive."""

    def __init__(self):
        self.next = 0

    def send(self, count=BURST):
        for _ in range(count):
            self.one(struct.pack(">H", self.next))
            self.next += 1


class Can(Numbered):
    """Frames of two ids are taken; others, those that ask for data and those of CAN FD are not, and too short ones are
    counted: the zeros behind their data are no samples."""

    def __init__(self, case):
        super().__init__()
        self.case = case
        self.bus = buses.CanBus(case, "vcan0")
        self.node = self.bus.node(case, fd=True)
        self.source = sources.can("can", self.bus, ids=[CAN_ID, CAN_EXTENDED])

    def one(self, number):
        for foreign in (CAN_ID + 1, EFF | CAN_ID, CAN_ID | RTR, CAN_EXTENDED & 0x7FF):
            self.bus.send(self.node, foreign, b"\xff\xff")
        self.bus.send_fd(self.node, CAN_ID, b"\xff\xff" * 8)
        self.bus.send(self.node, CAN_ID, b"\x00")
        self.bus.send(self.node, CAN_ID if self.next % 2 else EFF | CAN_EXTENDED, number + b"\x12\x34")

    def break_(self):
        self.bus.up(False)

    def mend(self):
        self.bus.up(True)
        self.node = self.bus.node(self.case, fd=True)  # the old one still says that it was down


class CanFd(Numbered):
    """Frames of both lengths; its interface is taken away and made anew."""

    def __init__(self, case):
        super().__init__()
        self.case = case
        self.bus = buses.CanBus(case, "vcan1")
        self.node = self.bus.node(case, fd=True)
        self.source = sources.can_fd("canfd", self.bus)

    def one(self, number):
        self.bus.send(self.node, CAN_ID, b"", remote=True)
        if self.next % 2:
            self.bus.send_fd(self.node, CAN_ID, number + bytes(62))
        else:
            self.bus.send(self.node, CAN_ID, number)

    def break_(self):
        self.bus.remove()

    def mend(self):
        self.bus.make()
        self.node = self.bus.node(self.case, fd=True)


class Hid(Numbered):
    def __init__(self, case):
        super().__init__()
        self.device = buses.HidReports(case)
        self.source = sources.hidraw("hid", self.device)

    def one(self, number):
        self.device.report(number + b"\x12\x34wxyz")

    def break_(self):
        self.device.vanish()

    def mend(self):
        self.device.appear()


class NamedChip:
    """A chip under a name that stays, as udev gives one: Linux 6.1 does not use a number again whose lines were in use when
    its chip went."""

    def __init__(self, case, name):
        self.chip = fixtures.GpioChip(case, name)
        self.path = case.path(name)
        os.symlink(self.chip.path, self.path)

    def vanish(self):
        self.chip.vanish()
        os.unlink(self.path)

    def appear(self):
        self.chip.appear()
        os.symlink(self.chip.path, self.path)


class Pulses(Numbered):
    def __init__(self, case):
        super().__init__()
        self.named = NamedChip(case, "pulses")
        self.source = sources.edges("pulses", self.named, PULSE)
        self.break_, self.mend = self.named.vanish, self.named.appear

    def one(self, number):
        self.named.chip.pull(PULSE, self.next % 2 == 0)


class Of:
    """What gives samples by itself."""

    def __init__(self, device, source):
        self.device, self.source = device, source
        self.break_, self.mend = device.vanish, device.appear


class Buses(Server):
    def begin(self):
        bus = converters.I2cBus(self, [RAW, BOARD])
        raw, scan, board = converters.I2cAdc(bus, RAW), converters.IioScan(self), converters.Thermometer(self, bus, BOARD)
        raw.value(1000)
        chip = NamedChip(self, "levels")
        ends = [Can(self), CanFd(self), Hid(self), Pulses(self), Of(chip, sources.levels("levels", chip, PULSE)),
                Of(scan, sources.iio_values("scan", scan, rate={"stamps": "device"})),
                Of(board, sources.sysfs("board", board.path, "degC", [-55, 125], 0.001))]
        self.ends = {end.source["name"]: end for end in ends}
        i2c = sources.i2c("i2c", raw)
        self.running = self.start([*(end.source for end in ends), i2c], "i2c", 300)
        self.running.wait_status(lambda s: all(stream["open"] for stream in s["streams"]), "every device to be open")
        self.scan, self.board = scan, board

    def wait_streams(self, conditions, what):
        """name -> stream, once each of these conditions is so: they are looked at together, because a status takes long here."""
        def good():
            found.update({s["name"]: s for s in self.running.status()["streams"]})
            return all(condition(found[name]) for name, condition in conditions.items())

        found = {}
        wait_until(good, lambda: f"{what}, found {[found[n] for n, condition in conditions.items() if not condition(found[n])]}")
        return found

    def all_sent(self, names):
        """All that these were sent is in their rings."""
        return {name: lambda s, n=self.ends[name].next: s["delivered"] >= n for name in names if isinstance(self.ends[name], Numbered)}

    def no_more(self, names, streams):
        for name in self.all_sent(names):
            stream = streams[name]
            self.assertEqual((stream["delivered"], sum(stream["lost"].values())), (self.ends[name].next, 0), stream)
            self.assert_balanced(stream)

    def test_one_after_another_breaks_and_the_others_go_on(self):
        self.begin()
        # What the kernel's device says of its counts (iio_simple_dummy.c), for who writes the channels.
        self.assertRegex(self.running.log(), r"source scan: \S+, in_voltage0: the device has scale: 0\.001333, offset: 0\.009331 for mV")
        for name, end in self.ends.items():
            self.send(name)
        self.no_more(self.ends, self.wait_streams(self.all_sent(self.ends), "what was sent"))
        self.values()
        self.streams = {s["name"]: s for s in self.running.status()["streams"]}
        for name, end in self.ends.items():
            self.breaks(name, end)
        for stream in self.running.status()["streams"]:
            self.assert_balanced(stream)
            self.assertEqual((sum(stream["lost"].values()), stream["noise_bytes"]), (0, 0), stream)
            self.assertEqual(stream["gap_records"], 1 if stream["name"] in self.ends else 0, stream)
            self.assertEqual(sum(stream["refused"].values()), self.ends["can"].next if stream["name"] == "can" else 0, stream)
        self.assertEqual(self.running.end(), 0, self.running.log())
        self.assert_nothing_left(self.running)

    def send(self, name):
        if isinstance(self.ends[name], Numbered):
            self.ends[name].send()

    def values(self):
        """What the frames say, decoded."""
        def read(status):
            return {c["name"]: c["value"] for c in status["channels"]}

        wanted = {f"scan_{n}": value for n, value in enumerate(self.scan.VALUES.values())}
        wanted |= {"can": 0x1234, "hid": 0x1234, "i2c": 100, "board": 25, "levels": 0}
        status = self.running.wait_status(lambda s: {name: read(s).get(name) for name in wanted} == wanted, f"the values {wanted}")
        scan = self.running.stream("scan", status)
        self.assertEqual((scan["rate"]["stamps"], scan["rate"]["stamps_ahead"]), ("device", 0), scan)
        self.assertLess(scan["rate"]["stamps_too_old"], scan["delivered"] / 2, "the kernel's clock is ours")

    def breaks(self, name, end):
        before = self.streams
        others = [other for other in self.ends if other != name]
        end.break_()
        self.wait_streams({name: lambda s: not s["open"] and s["open_errno"] != 0}, f"{name} to be missed")
        for other in others:
            self.send(other)
        streams = self.wait_streams(self.go_on([*others, "i2c"], before), f"what the others sent without {name}")
        self.no_more(others, streams)
        for other in [*others, "i2c"]:
            self.assertEqual([streams[other][key] for key in ("connects", "disconnects")],
                             [before[other][key] for key in ("connects", "disconnects")], streams[other])
        end.mend()
        again = {name: lambda s: s["open"] and s["connects"] == before[name]["connects"] + 1}
        self.wait_streams(again, f"{name} to be open again")
        self.send(name)
        self.streams = self.wait_streams(self.all_sent([name]) or {name: lambda s: s["delivered"] > before[name]["delivered"]},
                                         f"frames of {name} again")
        self.no_more([name], self.streams)
        stream = self.streams[name]
        self.assertEqual((stream["disconnects"], stream["gap_records"]), (1, 1), stream)

    def go_on(self, others, before):
        """All that was sent; two samples more of those that give them by themselves."""
        by_themselves = [other for other in others if not isinstance(self.ends.get(other), Numbered)]
        numbered = [other for other in others if other not in by_themselves]
        return {**self.all_sent(numbered),
                **{other: lambda s, n=before[other]["delivered"] + 2: s["delivered"] >= n for other in by_themselves}}


class Refused(Server):
    def test_devices_that_cannot_be_had(self):
        """Each says what was expected and what was found; the one that another process has is taken when it lets go."""
        bus = converters.I2cBus(self, [ADC, RAW])
        raw, adc, scan, twin = (converters.I2cAdc(bus, RAW), converters.IioBuffer(self, bus, ADC), converters.IioScan(self),
                                converters.IioScan(self, "hiltwin"))
        chip = fixtures.GpioChip(self)
        holder = os.open(adc.path, os.O_RDONLY | os.O_CLOEXEC)
        line = chip.hold(self, PULSE)
        raw.value(1000)
        wrong_type = sources.iio("type", scan, [], elements=("in_voltage0", "in_accel_x"))
        wrong_type["scan"][0]["type"] = "le:u12/16>>4"
        wrong_order = sources.iio("order", twin, [], elements=("in_voltage0", "in_accel_x"))
        wrong_order["scan"].reverse()
        unknown = {**sources.iio("element", twin, [], elements=("in_voltage0",)), "scan": [{"name": "in_pressure", "type": "le:u16/16>>0"}]}
        no_trigger = {**sources.iio("trigger", twin, [], elements=("in_voltage0",)), "trigger": "nosuch"}
        said = {
            "held": (sources.iio_pressure("held", adc), "another process has its buffer", errno.EBUSY),
            "type": (wrong_type, "in_voltage0: expected the type le:u12/16>>4, the device has le:u13/16>>0", errno.EINVAL),
            "order": (wrong_order, "in_voltage0 comes before in_accel_x in a scan of this device", errno.EINVAL),
            "element": (unknown, "no scan element in_pressure in /sys/bus/iio/devices/", errno.ENODEV),
            "trigger": (no_trigger, "no trigger* in /sys/bus/iio/devices is named 'nosuch'", errno.ENODEV),
            "address": (sources.i2c("address", raw, bus_address=NOBODY), f"read 0 of address {NOBODY:#x}: No such device", errno.ENODEV),
            "driver": (sources.i2c("driver", raw, bus_address=ADC), f"address {ADC:#x}: a driver of the kernel has it", errno.EBUSY),
            "long": (sources.i2c("long", raw, reads=[{"write": "0001", "read_bytes": 2}]),
                     "speaks SMBus only: expected reads with one byte written", errno.EOPNOTSUPP),
            "bus": (sources.i2c("bus", raw, device="/dev/null"), "expected an I2C bus such as /dev/i2c-1 at /dev/null", errno.ENOTTY),
            "spi": (sources.source("spi", "spi", [], device="/dev/null", reads=[{"read_bytes": 2}]),
                    "/dev/null: expected spidev with mode 0", errno.ENOTTY),
            "line": (sources.levels("line", chip, PULSE), "one of them is in use (gpioinfo)", errno.EBUSY),
            "lines": (sources.edges("lines", chip, 9), "expected line 9, found a chip 'chip' of 8 lines", errno.EINVAL),
            "chip": (sources.edges("chip", chip, 0, device="/dev/null"), "expected a GPIO chip such as /dev/gpiochip0 at /dev/null",
                     errno.ENOTTY),
            "can": (sources.source("can", "can", [], interface="vcan9"), "no interface vcan9: No such device", errno.ENODEV),
            "hid": (sources.source("hid", "hidraw", [], path="/dev/hidraw9"), "cannot open /dev/hidraw9: No such file", errno.ENOENT),
        }
        guest.load("can-raw")
        good = sources.i2c("good", raw)
        server = self.start([*(source for source, _, _ in said.values()), good], "good", 300)
        numbers = {name: number for name, (_, _, number) in said.items()}
        server.wait_status(lambda s: {n: server.stream(n, s)["open_errno"] for n in numbers} == numbers, f"these errnos: {numbers}")
        for name, (_, words, _) in said.items():
            text = next(t for t in server.log().splitlines() if t.startswith(f"source {name}: "))
            self.assertIn(words, text)
        self.assertEqual(fixtures.read(adc.directory + "/buffer/enable"), "0", "the device that another has is not touched")
        os.close(holder)
        line.close()
        status = server.wait_status(lambda s: all(server.stream(n, s)["delivered"] > 5 for n in ("held", "line", "good")),
                                    "those that can be had now, and the good one, to be read")
        self.assertEqual((server.stream("good", status)["disconnects"], server.stream("good", status)["residual"]), (0, 0))
        self.assertEqual(server.end(), 0, server.log())


class Fixtures(support.Case):
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


class SpiDriver(Server):
    def test_spi_with_a_driver_of_the_kernel(self):
        """Its attribute is polled (sysfs)."""
        guest.load("ti-adc128s052")
        adc = converters.SpiAdc(self, "adc128s052")
        raw = fixtures.one(adc.directory + "/iio:device*") + "/in_voltage3_raw"
        server = self.start([sources.sysfs("adc", raw, "counts", [0, 4095])], "adc", 4000)
        for counts in (1, 0x0ABC, 0x0FFF):
            adc.value(counts)
            server.wait_status(lambda s, n=counts: s["channels"][0]["value"] == n, f"{counts} counts")
        adc.answer(False)
        server.wait_status(lambda s: not s["streams"][0]["open"] and s["streams"][0]["open_errno"] == errno.EIO, "its silence")
        adc.answer(True)
        server.wait_status(lambda s: s["streams"][0]["open"] and s["channels"][0]["quality"] == "good", "its answers")
        self.assert_balanced(server.stream("adc"))


del Server
