#!/usr/bin/env python3
"""Instruments that speak SCPI, by TCP and by a serial line: values follow and trip; errors, silence, nonsense, halves of
answers and an instrument that goes and comes back each have their line in the log, and a UDP source of the same worker does
not notice."""
import support
from instrument_ends import AskedCase, PtyEnd, TcpEnd
from support import Actuator, config, outputs_to, wait_until


class Instrument:
    """Answers what it knows, keeps a queue of errors, remembers commands."""

    def __init__(self):
        self.answers = {"MEAS:VOLT?": "+1.25000000E+01", "FETC:ALL?": "100.5,-2,+3.0E-1"}
        self.errors = []
        self.commands = []
        self.refuses = set()
        self.before = b""  # what it says unasked before an answer

    def reply(self, line):
        if line == "SYST:ERR?":
            return self.errors.pop(0) if self.errors else '+0,"No error"'
        if line in self.refuses or (line.endswith("?") and line not in self.answers):
            self.errors.append('-113,"Undefined header"')
            return None
        if not line.endswith("?"):
            self.commands.append(line)
            return None
        return self.answers[line]

    def serve(self, take, put):
        while True:
            line = b""
            while not line.endswith(b"\n"):
                line += take(1)
            reply = self.reply(line.decode().strip())
            if not self.deliver(put, None if reply is None else self.before + reply.encode() + self.END):
                return


class ScpiTcp(Instrument, TcpEnd):
    END = b"\n"

    def __init__(self, case):
        Instrument.__init__(self)
        TcpEnd.__init__(self, case)

    def keys(self):
        return {"connect": f"127.0.0.1:{self.port}"}


class ScpiSerial(Instrument, PtyEnd):
    END = b"\r\n"

    def __init__(self, case, path):
        Instrument.__init__(self)
        PtyEnd.__init__(self, case, path)

    def keys(self):
        return {"device": self.path, "baud": 9600}


CHANNELS = (("volts", [0, 50]), ("amps", [0, 1000]), ("power", [-10, 10]), ("phase", [-10, 10]))
AT_START = [12.5, 100.5, -2, 0.3]


class Scpi:
    """The same for both lines; end() is the instrument."""

    instrument = "meter"

    def begin(self, before=None, **changes):
        self.device = self.end()
        if before is not None:
            before(self.device)
        source = {"name": "meter", "kind": "scpi", "ring": "meter", "period_ms": 10, "timeout_ms": 2000, **self.device.keys(),
                  "queries": ["MEAS:VOLT?", "FETC:ALL?"], "numbers": [1, 3], "setup": ["*RST", "CONF:VOLT 10"],
                  "channels": [{"name": name, "field": n, "unit": "x", "range": limits, "stale_ms": 60000}
                               for n, (name, limits) in enumerate(CHANNELS)], **changes}
        port = support.free_udp_port()
        rules = [{"name": "too_high", "channel": "volts", "high": 30}]
        self.running = self.server(config(self.instance, [source, support.udp_source(port)],
                                          outputs_to(Actuator(self).target), rules)).start()
        support.SensorUdp(self, port).start()
        if before is None:
            self.running.wait_status(lambda s: self.stream(s)["open"], "answers")
        return self.running

    def values(self, status=None):
        return [c["value"] for c in (status or self.running.status())["channels"][:len(CHANNELS)]]

    def wait_values(self, values):
        self.running.wait_status(lambda s: self.values(s) == values and self.stream(s)["open"], f"values {values}")

    def test_values_follow_and_trip(self):
        server = self.begin()
        self.wait_values(AT_START)
        self.assertEqual(self.device.commands, ["*RST", "CONF:VOLT 10"])
        server.make_armed()
        self.device.answers["MEAS:VOLT?"] = "30.5"
        status = server.wait_status(lambda s: not s["interlock"]["armed"], "the trip")
        self.assertEqual(status["interlock"]["first_out"]["rule"], "too_high")
        self.assert_balanced(self.stream(status))

    def test_no_value_is_none(self):
        """9.91E+37: the instrument says that it has no number; 9.9E+37, that it is beyond its range."""
        server = self.begin()
        self.wait_values(AT_START)
        for said in ("9.91E+37", "9.9E37", "-9.9E37"):
            with self.subTest(said):
                self.device.answers["MEAS:VOLT?"] = said
                server.wait_status(lambda s: s["channels"][0]["quality"] == "bad", "a bad channel")
                self.device.answers["MEAS:VOLT?"] = "12.5"
                server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "a good channel")

    def test_errors_of_the_instrument(self):
        self.begin(check_errors=True)
        self.wait_values(AT_START)
        self.device.errors += ['-222,"Data out of range"', '-350,"Queue overflow"']
        wait_until(lambda: 'source meter: after the queries: it reports the error -222,"Data out of range"' in self.running.log(),
                   "the error in the log")
        self.wait_good()
        self.assertEqual(self.device.errors, [])
        self.assertEqual(len(self.device.commands), 2, "a connection was made again")
        self.assertEqual(self.stream()["polls_failed"], 1)

    def test_a_question_it_does_not_know(self):
        self.begin(check_errors=True, timeout_ms=1000)
        answer = self.device.answers.pop("FETC:ALL?")
        self.wait_failed("no answer to 'FETC:ALL?' in time; it reports the error -113,\"Undefined header\"")
        self.device.answers["FETC:ALL?"] = answer
        self.wait_good()

    def test_a_command_it_does_not_know(self):
        self.begin(lambda device: device.refuses.add("CONF:VOLT 10"), check_errors=True, timeout_ms=300)
        self.wait_failed('after the setup: it reports the error -113,"Undefined header"')
        self.assertEqual(self.stream()["delivered"], 0)
        self.device.refuses.clear()
        self.wait_good()
        self.wait_values(AT_START)

    def test_silence(self):
        self.begin(timeout_ms=100)
        self.device.mute = True
        self.wait_failed("no answer to '")
        self.assertEqual(self.stream()["open_errno"], 110)
        self.device.mute = False
        self.wait_good()
        self.assertEqual(self.device.commands[:4], ["*RST", "CONF:VOLT 10"] * 2)

    def test_late_answers_are_nobodys(self):
        """Both questions have one number each: an answer that comes late would do for the other."""
        self.begin(timeout_ms=200, queries=["MEAS:VOLT?", "MEAS:CURR?"], numbers=[1, 1], before=lambda d: d.answers.update(
            {"MEAS:VOLT?": "1", "MEAS:CURR?": "2"}), channels=[{"name": "volts", "field": 0, "unit": "V", "range": [0, 50]},
                                                               {"name": "amps", "field": 1, "unit": "A", "range": [0, 50]}])
        self.running.wait_status(lambda s: self.stream(s)["open"], "answers")
        tail = self.running.tail("meter")
        self.device.late_s = 0.3
        self.wait_failed("no answer to '")
        asked = self.device.asked
        wait_until(lambda: self.device.asked > asked + 5, "more questions")
        self.device.late_s = 0.0
        self.wait_good()
        delivered = self.stream()["delivered"]
        self.running.wait_status(lambda s: self.stream(s)["delivered"] > delivered + 10, "more frames")
        for frame in tail.wait(lambda lines: len([line for line in lines if "values" in line]) > 10, "frames"):
            self.assertIn(list(frame.get("values", {}).values()), ([1, 2], []), "the answer to another question")

    def test_halves_at_every_byte(self):
        self.begin(timeout_ms=self.HALVES_MS)
        for cut in range(1, 17):
            self.device.cut = cut
            asked = self.device.asked
            wait_until(lambda a=asked: self.device.asked > a + 2, f"a poll in pieces of {cut} bytes")
        self.device.cut = 0
        self.wait_values(AT_START)
        stream = self.stream()
        self.assertEqual((stream["polls_failed"], stream["disconnects"]), (0, 0), stream)

    def test_nonsense(self):
        self.begin(timeout_ms=500)
        for instead, words in ((b"oops\n", "numbers, found 'oops'"), (b"1,2,3,4\n", "numbers, found '1,2,3,4'"),
                               (b"\n", "numbers, found ''"), (b"1\0002\n", "found '1?2'"), (b"5\n6\n", "expected one line, found more"),
                               (b"x" * 2000, "expected a line of at most 1024 characters"), (b"12.", "but half of one: 12.")):
            with self.subTest(words):
                self.device.instead = instead
                try:
                    self.running.wait_status(lambda s: not self.stream(s)["open"], "failed polls")
                    wait_until(lambda w=words: w in self.running.log(), lambda w=words: f"'{w}' in {self.running.log()[-1500:]}")
                finally:
                    self.device.instead = None
                self.wait_good()
        self.wait_values(AT_START)

    def test_gone_and_back(self):
        self.begin(timeout_ms=200)
        self.device.close()
        self.running.wait_status(lambda s: not self.stream(s)["open"], "it to be missed")
        wait_until(lambda: self.REFUSED in self.running.log(), lambda: f"{self.REFUSED} in {self.running.log()[-2000:]}")
        self.device.answers["MEAS:VOLT?"] = "7"
        self.device.open()
        self.wait_good()
        self.wait_values([7, *AT_START[1:]])


class Tcp(Scpi, AskedCase):
    REFUSED = "Connection refused"
    HALVES_MS = 30000

    def end(self):
        return ScpiTcp(self)

    def test_hangs_up_at_every_byte(self):
        self.begin()
        for cut in range(1, 17):
            with self.subTest(cut):
                connections = self.device.connections
                self.device.cut = cut
                self.device.hang_up = True
                wait_until(lambda c=connections: self.device.connections > c, "a new connection")
                self.device.cut = 0
                self.wait_good()


class Serial(Scpi, AskedCase):
    REFUSED = "No such file or directory"
    HALVES_MS = 4000  # of silence in front of the first question too

    def end(self):
        return ScpiSerial(self, self.path("tty"))


class Check(support.Case):
    def test_what_cannot_be(self):
        good = {"name": "meter", "ring": "meter", "kind": "scpi", "connect": "127.0.0.1:5025", "queries": ["READ?"],
                "channels": [{"name": "x", "field": 0, "unit": "x", "range": [0, 9]}]}
        rules = [{"name": "high", "channel": "x", "high": 5}]
        wrong = (
            ({"connect": None}, "sources[0].connect: expected either connect: ADDRESS:PORT or device: a tty, found neither"),
            ({"device": "/dev/ttyS0"}, "sources[0].connect: expected either connect: ADDRESS:PORT or device: a tty, found both"),
            ({"baud": 9600}, "sources[0].baud: belongs to an instrument at a device; this one is at an address"),
            ({"queries": ["*RST"]}, "sources[0].queries: expected a question such as MEAS:VOLT?, found '*RST'"),
            ({"setup": ["*IDN?"]}, "sources[0].setup: expected a command, found the question '*IDN?'"),
            ({"queries": ["A?\nB?"]}, "sources[0].queries: expected lines of 1 to 127 characters of ASCII"),
            ({"numbers": [1, 1]}, "sources[0].numbers: expected as many as there are queries, 1, found 2"),
            ({"numbers": [33]}, "sources[0].numbers: expected 1 number at least in each answer and 32 at most in all, found 33 behind 0"),
            ({"unit_id": 1}, "sources[0].unit_id: belongs to kind: modbus_tcp, modbus_rtu; this source is of kind scpi"),
        )
        for changes, words in wrong:
            with self.subTest(words):
                source = {k: v for k, v in {**good, **changes}.items() if v is not None}
                text = config(self.instance, [source], outputs_to("127.0.0.1:9"), rules)
                done = self.cli("check", self.server(text).config_path)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    support.main()
