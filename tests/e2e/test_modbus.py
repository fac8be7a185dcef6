#!/usr/bin/env python3
"""Modbus servers that are asked, by TCP and by a serial line: values follow and trip; exceptions, silence, nonsense, halves
of answers and a server that goes and comes back each have their line in the log, and a UDP source of the same worker does
not notice."""
import struct

import support
from instrument_ends import AskedCase, PtyEnd, TcpEnd
from support import Actuator, config, outputs_to, wait_until

UNIT = 7
NAMES = {3: "holding", 4: "input", 1: "coils", 2: "discrete"}


class Tables:
    """What a Modbus server has, and how it answers a request without unit and checksum."""

    def __init__(self):
        self.holding = {10: 1234, 11: 65535, 12: 7}
        self.input = {0: 40000}
        self.coils = {5: 1, 6: 0, 7: 1}
        self.discrete = {100: 1}
        self.exception = 0

    def pdu(self, request):
        function, first, count = struct.unpack(">BHH", request)
        table = getattr(self, NAMES[function])
        if self.exception or any(first + i not in table for i in range(count)):
            return bytes((function | 0x80, self.exception or 2))
        values = [table[first + i] for i in range(count)]
        if function >= 3:
            data = struct.pack(f">{count}H", *values)
        else:
            data = bytes(sum(v << b for b, v in enumerate(values[at:at + 8])) for at in range(0, count, 8))
        return bytes((function, len(data))) + data


class ModbusTcp(Tables, TcpEnd):
    def __init__(self, case):
        Tables.__init__(self)
        self.other_number = False  # answers to something that was not asked
        TcpEnd.__init__(self, case)

    def keys(self):
        return {"kind": "modbus_tcp", "connect": f"127.0.0.1:{self.port}"}

    def serve(self, take, put):
        while True:
            number, _, length, unit = struct.unpack(">HHHB", take(7))
            answer = self.pdu(take(length - 1))
            head = struct.pack(">HHHB", number ^ self.other_number, 0, len(answer) + 1, unit)
            if not self.deliver(put, head + answer):
                return


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


class ModbusRtu(Tables, PtyEnd):
    def __init__(self, case, path):
        Tables.__init__(self)
        self.bad_crc = False
        PtyEnd.__init__(self, case, path)

    def keys(self):
        return {"kind": "modbus_rtu", "device": self.path, "baud": 38400}

    def serve(self, take, put):
        while True:
            request = take(8)
            answer = request[:1] + self.pdu(request[1:6])
            check = crc(answer)
            self.deliver(put, answer + (bytes((check[0] ^ 1, check[1])) if self.bad_crc else check))


CHANNELS = (("level", 0, "u16", [0, 65535]), ("flow", 2, "i16", [-1000, 1000]), ("hot", 4, "u16", [0, 50000]),
            ("door", 6, "u8", [0, 1]), ("lid", 8, "u8", [0, 1]), ("key", 9, "u8", [0, 1]))


class Modbus:
    """The same for both lines; end() is the server."""

    instrument = "plc"

    def begin(self, **changes):
        self.device = self.end()
        source = {"name": "plc", "ring": "plc", "unit_id": UNIT, "period_ms": 10, "timeout_ms": 2000, **self.device.keys(),
                  "registers": [{"table": "holding", "at": 10, "count": 1}, {"table": "holding", "at": 11, "count": 1}, {"table": "input", "at": 0, "count": 1},
                                {"table": "coil", "at": 5, "count": 3}, {"table": "discrete", "at": 100, "count": 1}],
                  "channels": [{"name": name, "at_byte": at, "type": kind, "unit": "x", "range": limits, "stale_ms": 60000}
                               for name, at, kind, limits in CHANNELS], **changes}
        port = support.free_udp_port()
        beside = support.udp_source(port)
        rules = [{"name": "too_high", "channel": "level", "high": 5000}]
        self.running = self.server(config(self.instance, [source, beside], outputs_to(Actuator(self).target), rules)).start()
        self.sensor = support.SensorUdp(self, port).start()
        self.running.wait_status(lambda s: self.stream(s)["open"], "answers")
        return self.running

    def values(self, status=None):
        return [c["value"] for c in (status or self.running.status())["channels"][:len(CHANNELS)]]

    def wait_values(self, *values):
        self.running.wait_status(lambda s: self.values(s) == list(values) and self.stream(s)["open"], f"values {values}")

    def test_values_follow_and_trip(self):
        server = self.begin()
        self.wait_values(1234, -1, 40000, 1, 1, 1)
        self.device.coils[6] = 1
        self.device.discrete[100] = 0
        self.device.input[0] = 1
        self.wait_values(1234, -1, 1, 1, 1, 0)
        server.make_armed()
        self.device.holding[10] = 5001
        status = server.wait_status(lambda s: not s["interlock"]["armed"], "the trip")
        self.assertEqual(status["interlock"]["first_out"]["rule"], "too_high")
        self.assert_balanced(self.stream(status))

    def test_exception_keeps_the_connection(self):
        self.begin()
        self.device.exception = 6
        self.wait_failed("it answers with an exception: Slave device or server is busy")
        self.assertEqual(self.stream()["open_errno"], 71)
        self.stays_connected()
        self.device.exception = 0
        self.wait_good()
        self.stays_connected()

    def stays_connected(self):
        """Nothing to be seen on a line."""

    def test_silence(self):
        self.begin(timeout_ms=100)
        self.device.mute = True
        self.wait_failed("Connection timed out")
        self.device.mute = False
        self.wait_good()

    def test_late_answers_are_nobodys(self):
        """Each comes after its time, when the next question may already have been asked."""
        self.begin(timeout_ms=200)
        self.wait_values(1234, -1, 40000, 1, 1, 1)
        self.device.late_s = 0.3
        self.wait_failed("Connection timed out")
        asked = self.device.asked
        wait_until(lambda: self.device.asked > asked + 3, "more questions")
        tail = self.running.tail("plc")
        self.device.holding[10] = 4000
        asked = self.device.asked
        wait_until(lambda: self.device.asked > asked + 2, "more questions")
        self.device.late_s = 0.0
        self.wait_good()
        self.wait_values(4000, -1, 40000, 1, 1, 1)
        for frame in tail.wait(lambda lines: any("values" in line for line in lines), "frames"):
            values = list(frame.get("values", {}).values())
            self.assertIn(values[:2], ([1234, -1], [4000, -1], []), "the answer to another question")

    def test_halves_at_every_byte(self):
        self.begin(timeout_ms=self.HALVES_MS)
        for cut in range(1, self.LONGEST):
            self.device.cut = cut
            asked = self.device.asked
            wait_until(lambda a=asked: self.device.asked > a + 4, f"a poll in pieces of {cut} bytes")
        self.device.cut = 0
        stream = self.stream()
        self.assertEqual((stream["polls_failed"], stream["disconnects"]), (0, 0), stream)
        self.wait_values(1234, -1, 40000, 1, 1, 1)

    def test_nonsense(self):
        self.begin(timeout_ms=200)
        for instead in (b"\x00", b"\xff" * 300, b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256))):
            with self.subTest(instead[:4]):
                self.device.instead = instead
                self.running.wait_status(lambda s: not self.stream(s)["open"], "failed polls")
                self.device.instead = None
                self.wait_good()
        self.wait_values(1234, -1, 40000, 1, 1, 1)

    def test_gone_and_back(self):
        self.begin(timeout_ms=200)
        self.device.close()
        self.running.wait_status(lambda s: not self.stream(s)["open"], "it to be missed")
        wait_until(lambda: self.REFUSED in self.running.log(), lambda: f"{self.REFUSED} in {self.running.log()[-2000:]}")
        self.device.holding[10] = 77
        self.device.open()
        status = self.wait_good()
        self.wait_values(77, -1, 40000, 1, 1, 1)
        self.assertEqual(self.stream(status)["gap_records"], self.stream(status)["disconnects"], self.stream(status))


class Tcp(Modbus, AskedCase):
    LONGEST = 11
    HALVES_MS = 30000
    REFUSED = "Connection refused"

    def end(self):
        return ModbusTcp(self)

    def stays_connected(self):
        self.assertEqual(self.device.connections, 1)

    def test_hangs_up_at_every_byte(self):
        self.begin()
        for cut in range(1, self.LONGEST):
            with self.subTest(cut):
                connections = self.device.connections
                self.device.cut = cut
                self.device.hang_up = True
                wait_until(lambda c=connections: self.device.connections > c, "a new connection")
                self.device.cut = 0
                self.wait_good()

    def test_an_answer_to_something_else(self):
        self.begin()
        self.device.other_number = True
        self.wait_failed("Invalid data")
        self.device.other_number = False
        self.wait_good()


class Rtu(Modbus, AskedCase):
    LONGEST = 7
    HALVES_MS = 4000  # of silence in front of the first question too
    REFUSED = "No such file or directory"

    def end(self):
        return ModbusRtu(self, self.path("tty"))

    def test_wrong_crc(self):
        self.begin(timeout_ms=1000)
        self.device.bad_crc = True
        self.wait_failed("Invalid CRC")
        self.assertEqual(self.stream()["open_errno"], 74)
        self.device.bad_crc = False
        self.wait_good()


class Check(support.Case):
    def test_what_cannot_be(self):
        good = {"name": "plc", "ring": "plc", "kind": "modbus_tcp", "connect": "127.0.0.1:502",
                "registers": [{"table": "input", "at": 0, "count": 1}],
                "channels": [{"name": "x", "at_byte": 0, "type": "u16", "unit": "x", "range": [0, 9]}]}
        rules = [{"name": "high", "channel": "x", "high": 5}]
        wrong = (
            ({"connect": "plc:502"}, "sources[0].connect: expected ADDRESS:PORT such as 192.0.2.7:5025, found 'plc:502'"),
            ({"unit_id": 256}, "sources[0].unit_id: expected a unit from 0 to 255, found 256"),
            ({"registers": []}, "sources[0].registers: expected 1 to 16 entries such as {table: holding, at: 0, count: 4}, found 0"),
            ({"registers": [{"table": "holding", "at": 0, "count": 126}]},
             "sources[0].registers[0].count: expected 1 to 125 in one request, found 126"),
            ({"registers": [{"table": "coil", "at": 65530, "count": 10}]},
             "sources[0].registers[0].at: expected numbers up to 65535, found 65530 and 9 behind it"),
            ({"device": "/dev/ttyS0"}, "sources[0].device: belongs to kind: serial"),
            ({"period_ms": 0}, "sources[0].period_ms: expected 0.1 to 3.6e+06 ms, found 0"),
            ({"frame_bytes": 2}, "sources[0].frame_bytes: belongs to kind"),
            ({"kind": "modbus_rtu", "connect": None, "device": "/dev/ttyS0", "unit_id": 0},
             "sources[0].unit_id: expected a unit from 1 to 247, found 0"),
            ({"kind": "modbus_rtu", "connect": None, "device": "/dev/ttyS0", "data_bits": 7},
             "sources[0].data_bits: expected 8 for binary frames, found 7"),
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
