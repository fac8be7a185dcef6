"""Pressure transducers behind the kernel's own drivers: their value is changed while the server runs, until the interlock
trips and the permit's line drops; the samples that caused it are in the ring. Faults: a converter falls silent, is switched
off, vanishes and comes back, does not answer; edges that come while nobody can take them. The others go on."""
import errno
import json
import os
import signal
import time

import converters
import fixtures
import guest
import sources
import support
from support import wait_until

PERMIT, FLOW = 3, 4
EDGES, EDGES_KEPT = 1000, 1024
IIO, RAW, BOARD = 0x50, 0x51, 0x48
LIMIT = 300  # kPa
GOOD, HIGH = 1000, 3500
HZ = 100


class Sensors(support.Case):
    def begin(self, watched, more):
        """A server with all of them; those that are watched have a rule."""
        rules = [{"name": f"{source['name']}_high", "channel": source["name"], "high": LIMIT} for source in watched]
        outputs = [{"name": "relief_closed", "kind": "gpio", "target": self.chip.path, "line": PERMIT,
                    "without_heartbeat": "accepted"}]
        text = support.config(self.instance, watched + more, outputs, rules, slots=16384, **fixtures.settings())
        self.running = self.server(text).start()
        self.names = [source["name"] for source in watched + more]
        self.running.wait_status(lambda s: all(stream["open"] for stream in s["streams"]), "every device to be open")

    def armed(self):
        fixtures.arm(self.running, self.chip, PERMIT)

    def wait_stream(self, name, condition, what):
        """The stream, once its condition is so."""
        status = self.running.wait_status(lambda s: condition(self.running.stream(name, s)), f"{name}: {what}")
        return self.running.stream(name, status)

    def tail(self, name, first, count):
        """Frames of this ring from a number on."""
        done = self.running.cli("tail", "--json", "--from-sequence", str(first), "--count", str(count), self.running.instance,
                                name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def trips(self, name, device, hz=None):
        """IL-024: A pressure that is too high, as the device converts it; hz: how often it does meanwhile."""
        self.armed()
        if hz is not None:
            device.set_hz(hz)
        if guest.is_broken(name):
            device.stop()
        before_ns = time.clock_gettime_ns(time.CLOCK_TAI)
        device.value(HIGH)
        self.chip.wait_level(PERMIT, 0)
        if hz is not None:
            device.set_hz(HZ)  # what is to be read again stays in the ring
        first = self.running.wait_state("tripped")["interlock"]["first_out"]
        if first["rule"] != f"{name}_high":
            self.fail(f"{name}: expected a trip by the {HIGH} counts that the device was set to, found '{first['text']}'")
        self.assertAlmostEqual(first["value"], HIGH * sources.SCALE, 3)
        self.evidence(name, first, before_ns)
        device.value(GOOD)

    def evidence(self, name, first, before_ns):
        """The ring holds the sample that caused it and the good one before, as the device gave them."""
        number = first["source_sequence"]
        before, cause = self.tail(name, number - 1, 2)
        self.assertEqual((before["source_sequence"], cause["source_sequence"]), (number - 1, number))
        self.assertEqual((before["position"] + 1, cause["position"]), (first["position"], first["position"]))
        self.assertAlmostEqual(before["values"][name], GOOD * sources.SCALE, 3)
        self.assertAlmostEqual(cause["values"][name], HIGH * sources.SCALE, 3)
        self.assertTrue(-10**9 < cause["tai_ns"] - before_ns < 120 * 10**9, "the server's clock against the kernel's")
        if f"{name}_time" in cause["values"]:
            self.assertGreater(cause["values"][f"{name}_time"], before["values"][f"{name}_time"], "the device's own stamps")

    def stale(self, name):
        """What the interlock makes of a channel that no sample comes for."""
        self.chip.wait_level(PERMIT, 0)
        first = self.running.wait_state("tripped")["interlock"]["first_out"]
        self.assertEqual((first["kind"], first["channel"]), ("stale", name), first)
        code, text = fixtures.command(self.running, support.RESET)
        self.assertNotEqual(code, 0, f"a reset without samples: {text}")

    def comes_back(self, name, before, connects=1):
        """Frames again, in the same ring, behind the record of a gap."""
        stream = self.wait_stream(name, lambda s: s["open"] and s["delivered"] > before["delivered"] + 5, "frames again")
        self.assertEqual(stream["connects"] - before["connects"], connects, stream)
        self.assertEqual(stream["gap_records"] - before["gap_records"], connects, stream)
        self.assert_balanced(stream)

    def others_go_on(self, name, before):
        """While this one is broken."""
        was = {other: self.running.stream(other, before) for other in self.names if other != name}
        status = self.running.wait_status(
            lambda s: all(self.running.stream(o, s)["delivered"] >= was[o]["delivered"] + (5 if o != "flow" else 0) for o in was),
            f"frames of the others without {name}")
        for other, then in was.items():
            now = self.running.stream(other, status)
            self.assertEqual((now["connects"], now["disconnects"]), (then["connects"], then["disconnects"]), now)
            self.assert_balanced(now)


class Transducers(Sensors):
    def test_i2c_spi_iio_and_the_others(self):
        bus = converters.I2cBus(self, [IIO, RAW, BOARD])
        raw, spi, board = converters.I2cAdc(bus, RAW), converters.SpiAdc(self), converters.Thermometer(self, bus, BOARD)
        iio = converters.IioBuffer(self, bus, IIO)
        self.chip = fixtures.GpioChip(self)
        for device in (raw, spi, iio):
            device.value(GOOD)
        self.assertEqual(bus.word(RAW), GOOD)
        watched = [sources.i2c("i2c", raw), sources.spi("spi", spi), sources.iio_pressure("iio", iio, hz=HZ)]
        self.begin(watched, [sources.edges("flow", self.chip, FLOW, rate={"stamps": "device"}),
                             sources.sysfs("board", board.path, "degC", [-55, 125], 0.001)])
        self.edges()
        self.edges_that_are_lost()
        self.temperature(board)
        self.trips("i2c", raw)
        self.trips("spi", spi)
        for hz in (1000, 5000):
            self.trips("iio", iio, hz)
        self.no_kernel_thread_reads()
        self.stops(iio)
        self.vanishes(iio)
        self.does_not_answer(spi)
        status = self.running.status()
        for name in self.names:
            self.assert_balanced(self.running.stream(name, status))
        self.assertEqual(self.running.end(), 0, self.running.log())
        self.assertEqual(fixtures.read(iio.directory + "/buffer/enable"), "0", "a device is left switched off")

    def edges(self):
        """The pulses of a flow meter: each edge of the line is one frame in the ring, numbered by the kernel."""
        with self.chip.pulling(FLOW) as pull:
            for number in range(1, EDGES + 1):
                pull(number % 2)
        stream = self.wait_stream("flow", lambda s: s["delivered"] >= EDGES, f"{EDGES} edges")
        self.assertEqual((stream["delivered"], stream["sent"]), (EDGES, EDGES), stream)
        frames = self.tail("flow", 1, EDGES)
        self.assertEqual([(f["source_sequence"], f["values"]["flow"], f["values"]["flow_line"]) for f in frames],
                         [(n, 2 - n % 2, FLOW) for n in range(1, EDGES + 1)])

        self.stamps_of_the_kernel(stream, frames)

    def stamps_of_the_kernel(self, stream, frames):
        """The time that each edge bears is its stamp: not the arrival, and before it."""
        stamps = [f["tai_ns"] for f in frames]
        self.assertEqual(stamps, sorted(set(stamps)), "each at its own time")
        rate = stream["rate"]
        self.assertEqual(rate["stamps"], "device")
        self.assertEqual((rate["stamps_ahead"], rate["stamps_too_old"], rate["stamps_backwards"]), (0, 0, 0), rate)

    def edges_that_are_lost(self):
        """Nobody can take them for a while: the kernel keeps the newest, and the number shows how many it did not."""
        worker = self.running.worker()
        self.running.kill(worker, signal.SIGSTOP)
        with self.chip.pulling(FLOW) as pull:
            for number in range(EDGES + 1, 3 * EDGES + 1):
                pull(number % 2)
        self.running.kill(worker, signal.SIGCONT)
        stream = self.wait_stream("flow", lambda s: s["sent"] >= 3 * EDGES, "the newest edge")
        self.assertEqual(stream["sent"], 3 * EDGES, stream)
        self.assert_balanced(stream)
        lost = sum(stream["lost"].values())
        self.assertTrue(2 * EDGES - EDGES_KEPT - 2 <= lost <= 2 * EDGES - EDGES_KEPT, stream)

    def temperature(self, board):
        for degrees in (60.5, -12.5):
            board.value(degrees)
            self.running.wait_status(lambda s, d=degrees: any(c["name"] == "board" and c["value"] == d for c in s["channels"]),
                                     f"{degrees} degrees")

    def no_kernel_thread_reads(self):
        """Reads that may block would be handed to threads of the kernel's, on the worker's core."""
        tasks = f"/proc/{self.running.worker()}/task"
        names = [fixtures.read(f"{tasks}/{task}/comm") for task in os.listdir(tasks)]
        self.assertEqual([name for name in names if name.startswith("iou-wrk")], [], names)

    def stops(self, iio):
        """Its trigger fires no more: no sample, no error. Then it is switched off, and set up again."""
        self.armed()
        before = self.running.stream("iio")
        iio.stop()
        self.stale("iio")
        self.assertTrue(self.running.stream("iio")["open"])
        iio.go_on(HZ)
        self.comes_back("iio", before)

    def vanishes(self, iio):
        self.armed()
        status = self.running.status()
        iio.vanish()
        self.stale("iio")
        self.wait_stream("iio", lambda s: not s["open"] and s["open_errno"] == errno.ENODEV, "it to be missed")
        self.assertIn(f"is named '{iio.name}'; trying again", self.running.log())
        self.others_go_on("iio", status)
        iio.appear()
        self.comes_back("iio", self.running.stream("iio", status))
        self.assertIn("source iio: open again", self.running.log())

    def does_not_answer(self, spi):
        self.armed()
        status = self.running.status()
        spi.answer(False)
        self.stale("spi")
        stream = self.wait_stream("spi", lambda s: s["polls_failed"] > 0, "polls that failed")
        self.assertEqual((stream["open"], stream["open_errno"]), (False, errno.EIO), stream)
        self.assertIn("transfer 0: Input/output error; asking again", self.running.log())
        self.others_go_on("spi", status)
        spi.answer(True)
        self.comes_back("spi", self.running.stream("spi", status))
        wait_until(lambda: "source spi: answers again" in self.running.log(), "that it answers to be said")
        self.armed()


del Sensors
