"""Pressure transducers behind the kernel's own drivers: their value is changed while the server runs, until the interlock
trips and the permit's line drops; the samples that caused it are in the ring. Faults: a converter falls silent, vanishes,
does not answer."""
import json

import bridge
import converters
import fixtures
import guest
import support

PERMIT, FLOW = 3, 4
EDGES = 300
IIO, RAW = 0x50, 0x51
SCALE, LIMIT = 0.1, 300  # kPa per count
GOOD, HIGH = 1000, 3500


class Sensors(support.Case):
    def begin(self, bridges, more):
        """A server that watches all of them; one bridge is one source, ring, channel and rule. `more` have no rule."""
        sources = [bridge.source(name, one, "kPa", [0, 409.5], SCALE) for name, one in bridges.items()] + more
        rules = [{"name": f"{name}_high", "channel": name, "high": LIMIT} for name in bridges]
        outputs = [{"name": "relief_closed", "kind": "gpio", "target": self.chip.path, "line": PERMIT,
                    "without_heartbeat": "accepted"}]
        text = support.config(self.instance, sources, outputs, rules, slots=16384, **fixtures.settings())
        self.bridges = bridges
        self.running = self.server(text).start()

    def armed(self):
        fixtures.arm(self.running, self.chip, PERMIT)

    def tail(self, name, first, count):
        """Frames of this ring from a sender's number on."""
        done = self.running.cli("tail", "--json", "--from-sequence", str(first), "--count", str(count), self.running.instance,
                                name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def trips(self, name, device):
        """IL-024: A pressure that is too high, as the device converts it."""
        self.armed()
        if guest.is_broken(name):
            device.stop()
        device.value(HIGH)
        self.chip.wait_level(PERMIT, 0)
        first = self.running.wait_state("tripped")["interlock"]["first_out"]
        if first["rule"] != f"{name}_high":
            self.fail(f"{name}: expected a trip by the {HIGH} counts that the device was set to, found '{first['text']}'")
        self.assertAlmostEqual(first["value"], HIGH * SCALE, 3)
        self.evidence(name, first)
        device.value(GOOD)

    def evidence(self, name, first):
        """The ring holds the sample that caused it and the good one before, as the device gave them."""
        number = first["source_sequence"]
        before, cause = self.tail(name, number - 1, 2)
        self.assertEqual((before["source_sequence"], cause["source_sequence"]), (number - 1, number))
        self.assertEqual(cause["position"], first["position"])
        self.assertAlmostEqual(before["values"][name], GOOD * SCALE, 3)
        self.assertAlmostEqual(cause["values"][name], HIGH * SCALE, 3)
        sent_before, sent = self.bridges[name].find(number)
        self.assertEqual((sent_before[0], sent_before[4]), (number - 1, GOOD))
        self.assertEqual((sent[0], sent[4]), (number, HIGH))
        self.assertTrue(-10**9 < cause["tai_ns"] - sent[2] < 60 * 10**9, "the server's clock against the kernel's")

    def stale(self, name):
        """What the interlock makes of a channel that no sample comes for."""
        self.chip.wait_level(PERMIT, 0)
        first = self.running.wait_state("tripped")["interlock"]["first_out"]
        self.assertEqual((first["kind"], first["channel"]), ("stale", name), first)
        code, text = fixtures.command(self.running, support.RESET)
        self.assertNotEqual(code, 0, f"a reset without samples: {text}")


class Transducers(Sensors):
    def test_i2c_spi_and_iio(self):
        bus = converters.I2cBus(self, [IIO, RAW])
        raw, spi = converters.I2cAdc(bus, RAW), converters.SpiAdc(self)
        iio = converters.IioBuffer(self, bus, IIO, 100)
        self.chip = fixtures.GpioChip(self)
        flow = bridge.Bridge(self, "gpio", self.chip.path, FLOW, 1)
        for device in (raw, spi, iio):
            device.value(GOOD)
        self.assertEqual(bus.word(RAW), GOOD)
        self.begin({"i2c": bridge.Bridge(self, "i2c", bus.path, RAW, 50), "spi": bridge.Bridge(self, "spi", spi.path, 50),
                    "iio": bridge.Bridge(self, "iio", iio.path)}, [bridge.source("flow", flow, "level", [0, 1])])
        self.edges(flow)
        self.trips("i2c", raw)
        self.trips("spi", spi)
        for hz in (1000, 5000):
            iio.set_hz(hz)
            self.trips("iio", iio)
        iio.set_hz(100)
        self.stops(iio)
        self.vanishes(iio)
        self.does_not_answer(spi)
        status = self.running.status()
        for name in self.bridges:
            self.assert_balanced(self.running.stream(name, status))
        self.assertEqual(self.running.end(), 0, self.running.log())

    def edges(self, flow):
        """The pulses of a flow meter: each edge of the line is one frame in the ring."""
        with self.chip.pulling(FLOW) as pull:
            for number in range(1, EDGES + 1):
                pull(number % 2)
                self.assertEqual(flow.edge(number), number % 2)
        status = self.running.wait_status(lambda s: any(c["name"] == "flow_edges" and c["value"] == EDGES for c in s["channels"]),
                                          f"{EDGES} edges")
        self.assert_balanced(self.running.stream("flow", status))
        frames = self.tail("flow", 0, EDGES)
        levels = {}  # of the first frame with each number, which is the edge's own
        for values in (frame["values"] for frame in frames):
            levels.setdefault(values["flow_edges"], values["flow"])
        levels.pop(0, None)
        self.assertEqual(list(levels.items()), [(n, n % 2) for n in range(1, len(levels) + 1)])
        self.assertGreater(len(levels), EDGES * 9 // 10, "edges among the first frames")

    def stops(self, iio):
        """Its trigger fires no more: no sample, no error."""
        self.armed()
        iio.stop()
        self.stale("iio")
        iio.go_on()

    def vanishes(self, iio):
        self.armed()
        iio.vanish()
        self.stale("iio")
        self.assertIn("No such device", self.bridges["iio"].ended())
        iio.appear()
        self.bridges["iio"].start()

    def does_not_answer(self, spi):
        self.armed()
        spi.answer(False)
        self.stale("spi")
        self.assertIn("the device does not answer", self.bridges["spi"].ended())


del Sensors
