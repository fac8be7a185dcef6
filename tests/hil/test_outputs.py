"""The permit as a line of a GPIO chip that is the kernel's: what control/gpio.c does is seen at the chip, not at a stand-in
of a descriptor. Faults: the valve sticks, the chip vanishes, control is killed, the line is somebody else's."""
import buses
import fixtures
import sources
import support
from support import wait_until

PERMIT, BEAT, SWITCH, FREE = 1, 2, 5, 6
HOLD = {"without_heartbeat": "accepted"}
FEEDBACK = {"channel": "switch", "energised_bits": 1, "time_ms": 3000}


def permit(chip, line=PERMIT, **more):
    return {"name": "relief_closed", "kind": "gpio", "target": chip.path, "line": line, **HOLD, **more}


class Outputs(support.Case):
    def begin(self, outputs, sources=(), **control):
        port = support.free_udp_port()
        pressure = support.udp_source(port, channels=support.channels(stale_ms=10000))
        text = support.config(self.instance, [pressure, *sources], outputs, **fixtures.settings(**control))
        server = self.server(text).start()
        return server, support.SensorUdp(self, port, hz=20).start()

    def trip(self, server, sensor):
        """By a pressure that is too high, and back to a good one."""
        sensor.values["pressure"] = 200.0
        status = server.wait_state("tripped")
        self.assertEqual(status["interlock"]["first_out"]["rule"], "overpressure", status["interlock"])
        sensor.values["pressure"] = 100.0

    def refuses_a_reset(self, server, why):
        code, text = fixtures.command(server, support.RESET)
        self.assertNotEqual(code, 0, f"a reset with {why}: {text}")


class Line(Outputs):
    def test_permit_feedback_and_heartbeat(self):
        """One server: the line follows, and only the armed interlock drives it; a valve that sticks is a fault of its own.
        IL-024, IL-038, IL-057"""
        chip = fixtures.GpioChip(self)
        writes = fixtures.GpioWrites(self, chip)
        valve = fixtures.Valve(self, chip, PERMIT, SWITCH)
        outputs = [permit(chip, feedback=FEEDBACK),
                   {"name": "beat", "kind": "gpio", "target": chip.path, "line": BEAT, "heartbeat": True}]
        server, sensor = self.begin(outputs, [sources.levels("switch", chip, SWITCH)])
        self.follows(chip, writes, server, sensor)
        self.proof_test(writes, server)
        self.sticks(chip, valve, server)
        self.killed(chip, server)
        self.does_not_follow_while_arming(chip, valve, server)
        self.assertEqual(server.end(), 0, server.log())
        self.assertEqual(chip.level(PERMIT), 0)
        self.assert_nothing_left(server)

    def follows(self, chip, writes, server, sensor):
        server.wait_state("tripped")
        self.assertEqual(writes.edges(PERMIT), (0, 0), "energised without a permit")
        fixtures.arm(server, chip, PERMIT)
        outputs = server.status()["outputs"]
        self.assertTrue(outputs[0]["energised"], outputs)
        wait_until(lambda: min(writes.edges(BEAT)) > 10, lambda: f"a heartbeat, found edges {writes.edges(BEAT)}")
        for _ in range(2):
            self.trip(server, sensor)
            chip.wait_level(PERMIT, 0)
            fixtures.arm(server, chip, PERMIT)
        rising, falling = writes.edges(PERMIT)
        trips = server.status()["interlock"]["trips"]
        self.assertEqual((rising, falling), (trips + 1, trips), "edges of the permit at the chip")

    def proof_test(self, writes, server):
        """IL-060: The valve moves and comes back, once; what says so is its limit switch."""
        rising, falling = writes.edges(PERMIT)
        done = server.cli("proof-test", server.instance, "relief_closed")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(writes.edges(PERMIT), (rising + 1, falling + 1))

    def sticks(self, chip, valve, server):
        """IL-053, IL-055: Armed, told to open, stays: no reset until it has moved."""
        valve.stuck = True
        self.assertEqual(fixtures.command(server, support.TRIP)[0], 0)
        chip.wait_level(PERMIT, 0)
        server.wait_status(lambda s: "readback" in [c["kind"] for c in s["interlock"]["causes"]], "the stuck valve as a cause")
        self.refuses_a_reset(server, "a stuck valve")
        valve.stuck = False
        fixtures.arm(server, chip, PERMIT)

    def does_not_follow_while_arming(self, chip, valve, server):
        """IL-053: FAULT, which only a new server leaves."""
        server.wait_state("armed")  # the valve has moved, and moves back: it sticks there
        self.assertEqual(fixtures.command(server, support.TRIP)[0], 0)
        chip.wait_level(SWITCH, 0)
        fixtures.reset(server)
        valve.stuck = True
        self.assertEqual(fixtures.command(server, support.ARM)[0], 0)
        chip.wait_level(PERMIT, 1)
        chip.wait_level(PERMIT, 0)
        first = server.wait_state("fault")["interlock"]["first_out"]
        self.assertEqual((first["kind"], first["output"]), ("readback", "relief_closed"), first)
        valve.stuck = False
        self.refuses_a_reset(server, "a fault")

    def killed(self, chip, server):
        """IL-059: sluiced holds the line, and makes it low; its next control process does not energise it by itself."""
        server.kill(server.control())
        chip.wait_level(PERMIT, 0)
        status = server.wait_status(lambda s: server.processes(s)["control"]["restarts"] == 1, "the next control process")
        self.assertEqual(chip.level(PERMIT), 0)
        self.assertFalse(status["interlock"]["armed"])
        fixtures.arm(server, chip, PERMIT)

    def test_the_chip_vanishes_under_a_server(self):
        """IL-058: Its lines no longer take anything: a fault, said, and no reset; the server goes on and ends in order."""
        chip = fixtures.GpioChip(self)
        server, _ = self.begin([permit(chip)])
        fixtures.arm(server, chip, PERMIT)
        chip.vanish()
        status = server.wait_state("tripped")
        self.assertEqual(status["interlock"]["first_out"]["kind"], "output", status["interlock"])
        self.refuses_a_reset(server, "lines of a chip that is gone")
        chip.appear()
        self.assertEqual(chip.level(PERMIT), 0, "a new chip's line")
        self.refuses_a_reset(server, "lines of the chip that was there before")
        self.assertEqual(server.end(), 0, server.log())
        self.assert_nothing_left(server)


class Register(Outputs):
    def test_a_register_window(self):
        """IL-059: A bit of a UIO device, also when control is killed, and when sluiced is; the other bits are somebody else's."""
        window = buses.RegisterWindow(self)
        window.word(0xA5A50005)
        output = {"name": "relief_closed", "kind": "memory", "target": window.path, "line": 9, **HOLD}
        server, sensor = self.begin([output])
        self.arm(server, window)
        self.trip(server, sensor)
        self.wait_word(window, 0xA5A50005)
        self.arm(server, window)
        server.kill(server.control())
        self.wait_word(window, 0xA5A50005)
        server.wait_status(lambda s: server.processes(s)["control"]["restarts"] == 1, "the next control process")
        self.arm(server, window)
        server.children()
        server.kill(server.pid)
        server.process.wait(support.PATIENCE_S)
        self.wait_word(window, 0xA5A50005)
        self.assert_nothing_left(server)

    def arm(self, server, window):
        fixtures.reset(server)
        code, text = fixtures.command(server, support.ARM)
        self.assertEqual(code, 0, text)
        self.wait_word(window, 0xA5A50205)

    def wait_word(self, window, word):
        wait_until(lambda: window.word() == word, lambda: f"{word:#x} in the register, found {window.word():#x}", pause_s=0.005)


class Refused(Outputs):
    def refused(self, output, *pieces):
        text = support.config(self.instance, [support.udp_source(support.free_udp_port())], [output], **fixtures.settings())
        server = self.server(text).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2, server.log())
        for piece in pieces:
            self.assertIn(piece, server.log())

    def test_lines_and_chips_that_cannot_be_had(self):
        chip = fixtures.GpioChip(self)
        other = chip.hold(self, FREE)
        self.refused(permit(chip, FREE), f"line {FREE} is in use by 'hil'", "use another line")
        other.close()
        self.refused(permit(chip, 8), "expected line 8, found a chip", "of 8 lines; is it the right chip?")
        self.refused(permit(chip, target="/dev/gpiochip99"), "/dev/gpiochip99: cannot open: No such file")
        self.refused(permit(chip, target="/dev/null"), "expected a GPIO chip such as /dev/gpiochip0")


del Outputs
