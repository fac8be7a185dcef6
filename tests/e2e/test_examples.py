#!/usr/bin/env python3
"""Every example of tools/examples whose hardware is on a bare machine runs. Those that need a device run in a guest of the
bench (tests/hil/test_example_devices.py), afxdp in namespaces (test_afxdp.py), tvac in the demo; that all pass `sluice check` is in test_config.py."""
import contextlib
import os
import re
import socket
import struct
import threading
import time

import example_case
import support
from example_case import Example
from support import Actuator, frame
from test_modbus import ModbusRtu, ModbusTcp
from test_scpi import ScpiTcp

ELSEWHERE = {"afxdp", "can", "comedi", "gpio", "hidraw", "i2c", "iio", "spi", "tvac"}
PTY_CANNOT = "a pty has 8 bits, no parity and no RTS"


class Lines(Example):
    """A pty for a serial line."""

    def pty(self):
        self.line = support.SensorPty(self.case, self.case.path("tty"))
        return self.line.path


class Exec(Example):
    name, wanted = "exec", {"pressure": 101.3}

    def changes(self):
        return {}


class Fifo(Example):
    name, wanted = "fifo", {"pressure": 101.5, "temperature": 23.25}

    def changes(self):
        self.path = self.case.path("notes")
        return {"/tmp/sluice-example.fifo": self.path}

    def feed(self):
        with contextlib.suppress(OSError):  # the server makes it, and opens it
            fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            os.write(fd, b"101.5; 23.25\n")
            os.close(fd)


class File(Example):
    name, wanted, ends_wanted = "file", {"pressure": 100.25}, {"old": 10}

    def changes(self):
        self.path, old = self.case.path("log.csv"), self.case.path("old.bin")
        with open(old, "wb") as file:
            file.write(bytes(320))
        with open(self.path, "wb"):
            pass
        return {"/tmp/sluice-example.csv": self.path, "/tmp/sluice-example.bin": old}

    def feed(self):
        with open(self.path, "ab") as file:
            file.write(b"100.25,7\n")


class PlcTcp(Example):
    name = "modbus_tcp"
    wanted = {"coolant_flow": 20.5, "coolant_temperature": 21.5, "pump_runs": 1, "door_closed": 0}

    def changes(self):
        plc = ModbusTcp(self.case)
        plc.holding = dict(enumerate(struct.unpack(">HH", struct.pack(">f", 20.5))))
        plc.input, plc.discrete = {16: 215}, {8: 1, 9: 0}
        return {"192.168.7.20:502": f"127.0.0.1:{plc.port}"}


class PlcRtu(Example):
    name, wanted = "modbus_rtu", {"oven_temperature": 23.5, "oven_power": 50}

    def changes(self):
        plc = ModbusRtu(self.case, self.case.path("tty"))
        plc.input = {0: 235, 1: 500}
        return {"/dev/ttyUSB0": plc.path, "parity: even": f"parity: none  # {PTY_CANNOT}"}


class Card(threading.Thread):
    """What is behind the window of registers.yaml: a sample, a bit that says so, the next one when that is acknowledged."""

    def __init__(self, case, path):
        super().__init__(daemon=True)
        with open(path, "wb") as file:
            file.truncate(4096)
        self.fd = os.open(path, os.O_RDWR)
        self.ended = threading.Event()
        case.addCleanup(self.end)
        self.start()

    def word(self, at):
        return struct.unpack("<I", os.pread(self.fd, 4, at))[0]

    def run(self):
        while not self.ended.wait(0.001):
            if self.word(4) == 1:
                os.pwrite(self.fd, bytes(8), 0)
            elif self.word(0) == 0:
                os.pwrite(self.fd, struct.pack("<4i", 1250000, -3, 0, 0), 64)
                os.pwrite(self.fd, struct.pack("<I", 1), 0)

    def end(self):
        self.ended.set()
        self.join(10)
        os.close(self.fd)


class Registers(Example):
    """A file has no interrupt: the other word for `wait`."""

    name, wanted = "registers", {"line_pressure": 1250}

    def changes(self):
        Card(self.case, self.case.path("card"))
        return {"/dev/uio0": self.case.path("card"), "wait: interrupt": "wait: poll", "timeout_ms: 50": "timeout_ms: 500"}


class Scpi(Example):
    name, wanted = "scpi", {"heater_voltage": 12.5, "heater_current": 1.5, "bias_current": 200}

    def changes(self):
        self.meter = ScpiTcp(self.case)
        self.meter.answers = {"MEAS:VOLT?": "+1.25E1", "FETC:CURR:ALL?": "1.5,0.2"}
        return {"192.168.7.31:5025": f"127.0.0.1:{self.meter.port}"}

    def after(self, server):
        self.case.assertEqual(self.meter.commands[:2], ["*CLS", "CONF:VOLT:DC 100"])


class Serial(Lines):
    name, wanted = "serial", {"pressure": 101.325, "temperature": -12.5}

    def changes(self):
        return {"/dev/ttyUSB0": self.pty(), "direction: rts_high": f"direction: none  # {PTY_CANNOT}"}

    def feed(self):
        body = struct.pack(">Hih4x", self.sent, 101325, -125)
        self.line.put(b"\xa5\x5a" + body + struct.pack(">H", support.crc16(body)))
        self.sent += 1


class SerialText(Lines):
    name, wanted = "serial_text", {"pressure": 101.3, "temperature": 23.5}

    def changes(self):
        return {"/dev/ttyS0": self.pty(), "data_bits: 7": f"data_bits: 8  # {PTY_CANNOT}", "parity: even": "parity: none"}

    def feed(self):
        self.line.put(b"P=  101.3 kPa, T=  23.5\r\n")


class Sysfs(Example):
    name, wanted = "sysfs", {"cpu": 45.5, "case": -1}

    def changes(self):
        for name, text in (("temp", "45500\n"), ("temp1_input", "-1000\n")):
            with open(self.case.path(name), "w", encoding="ascii") as file:
                file.write(text)
        return {"/sys/class/thermal/thermal_zone0/temp": self.case.path("temp"),
                "/sys/class/hwmon/hwmon0/temp1_input": self.case.path("temp1_input")}


class Accepts(Example):
    """The server connects to these."""

    def listener(self, kind=socket.AF_INET, type_=socket.SOCK_STREAM, address=("127.0.0.1", 0)):
        s = socket.socket(kind, type_)
        self.case.addCleanup(s.close)
        s.bind(address)
        s.listen(1)
        s.setblocking(False)
        return s, s.getsockname()

    def accept(self, name, listener):
        if getattr(self, name, None) is None:
            with contextlib.suppress(BlockingIOError):
                setattr(self, name, listener.accept()[0])
                self.case.addCleanup(getattr(self, name).close)
        return getattr(self, name, None)


class Tcp(Accepts):
    name, wanted, ends_wanted = "tcp", {"pressure": 101.5}, {"digitiser": 5}

    def changes(self):
        self.digitisers, (_, first) = self.listener()
        self.gauges, (_, second) = self.listener()
        return {"192.0.2.7:5025": f"127.0.0.1:{first}", "192.0.2.8:4001": f"127.0.0.1:{second}"}

    def feed(self):
        digitiser, gauge = self.accept("digitiser", self.digitisers), self.accept("gauge", self.gauges)
        if digitiser is not None:
            self.sent += 1
            digitiser.sendall(b"\xca\xfe" + struct.pack(">H", self.sent) + bytes(self.sent))
        if gauge is not None:
            gauge.sendall(b"101.5\n")


class TcpListen(Example):
    name, wanted = "tcp_listen", {"pressure": 101.5, "temperature": -3.25}
    peer = None

    def changes(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as any_port:
            self.port = any_port.getsockname()[1]
        return {"0.0.0.0:7000": f"127.0.0.1:{self.port}", "192.0.2.9": "127.0.0.1"}

    def feed(self):
        if self.peer is None:
            with contextlib.suppress(ConnectionRefusedError):
                self.peer = socket.create_connection(("127.0.0.1", self.port))
                self.case.addCleanup(self.peer.close)
        if self.peer is not None:
            self.peer.sendall(struct.pack(">Iff", self.sent, 101.5, -3.25))
            self.sent += 1


class Udp(Example):
    """By multicast, on the machine's own interface."""

    name, wanted = "udp", {"pressure": 101.5}

    def changes(self):
        self.port = support.free_udp_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.case.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        return {"0.0.0.0:5000": f"0.0.0.0:{self.port}", "# interface: 192.0.2.1": "interface: 127.0.0.1", "192.0.2.20": "127.0.0.1"}

    def feed(self):
        self.socket.sendto(struct.pack(">I4xf52x", self.sent, 101.5), ("239.1.2.3", self.port))
        self.sent += 1


class Record(Example):
    """Three recorders beside it: one all the time, one that waits for a trip, one that a hot chamber starts."""

    name, wanted = "record", {"pressure": 101.5, "temperature": 95.0}

    def changes(self):
        self.port = support.free_udp_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.case.addCleanup(self.socket.close)
        return {"0.0.0.0:5000": f"127.0.0.1:{self.port}", "directories: [/tmp]": f"directories: [{self.case.dir}]"}

    def feed(self):
        self.socket.sendto(struct.pack(">Iff4x", self.sent, 101.5, 95.0), ("127.0.0.1", self.port))
        self.sent += 1

    def after(self, server):
        with self.feeding():
            status = server.wait_status(lambda s: [r["run_frames"] > 0 for r in s["recorders"]] == [True, False, True],
                                        "recordings of the first and the third")
        self.case.assertEqual([r["state"] for r in status["recorders"]], ["recording", "ready", "post"])


class Recording(Example):
    """A run that the example of recorders has made, played over and over."""

    name, wanted = "recording", {"pressure": 101.5, "temperature": 20.0}

    def changes(self):
        port = support.free_udp_port()
        run = self.case.path("runs")
        os.mkdir(run)
        with open(os.path.join(example_case.FOLDER, "record.yaml"), encoding="utf-8") as file:
            text = file.read().replace("0.0.0.0:5000", f"127.0.0.1:{port}").replace("[/tmp]", f"[{run}]")
        server = self.case.server(text.replace("/tmp/record-relief_closed", self.case.path("old_valve")))
        server.instance = "record"
        server.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            server.wait_status(lambda s: s["recorders"][0]["state"] == "recording", "a recorder that records")
            for number in range(100):
                sender.sendto(struct.pack(">Iff4x", number, 101.5, 20.0), ("127.0.0.1", port))
                time.sleep(0.005)  # what is played back takes as long
            server.wait_status(lambda s: s["recorders"][0]["rings"][0]["position"] == 100, "all of it recorded")
        server.end()
        played = next(name for name in sorted(os.listdir(run)) if name.endswith("-all"))
        return {"/data/20261126T143000.123Z-all": os.path.join(run, played)}


class Rates(Example):
    """A device with a clock of its own, one that numbers its frames, and one that is asked."""

    name, wanted = "rates", {"pressure": 101.5, "force": -12.5, "entropy": 256}

    def changes(self):
        with open(self.case.path("entropy"), "w", encoding="ascii") as file:
            file.write("256\n")
        self.paths = [self.case.path("logger"), self.case.path("bridge")]
        return {"/tmp/sluice-rates-logger.fifo": self.paths[0], "/tmp/sluice-rates-bridge.fifo": self.paths[1],
                "/proc/sys/kernel/random/entropy_avail": self.case.path("entropy")}

    def feed(self):
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 & 0xFFFFFFFF
        for path, data in zip(self.paths, (struct.pack(">If8x", now_us, 101.5), struct.pack(">If", self.sent, -12.5))):
            with contextlib.suppress(OSError):  # the server makes it, and opens it
                fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                os.write(fd, data)
                os.close(fd)
        self.sent += 1


class Replay(Example):
    """A recording of 2 s in 0.2; its last value stays."""

    name, wanted, ends_wanted = "replay", {"pressure": 103.5}, {"recording": 3}

    def changes(self):
        with open(self.case.path("recording.csv"), "w", encoding="ascii") as file:
            file.write("100.0, 101.5\n101.0, 102.5\n102.0, 103.5\n")
        return {"/tmp/sluice-example-recording.csv": self.case.path("recording.csv")}


class Calibration(Example):
    """A thermocouple of 100 degC whose cold junction has 25 (NIST: 4.096 mV and 1.000 mV), and three others."""

    name, close = "calibration", 0.1
    wanted = {"oven": 100, "connector": 25, "vacuum": 1, "level": 48.5, "line_pressure": 397.28}

    def changes(self):
        self.port = support.free_udp_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.case.addCleanup(self.socket.close)
        return {"0.0.0.0:5000": f"127.0.0.1:{self.port}"}

    def feed(self):
        self.socket.sendto(struct.pack(">IhhHHHxx", self.sent, 1548, 2500, 5597, 2410, 2000), ("127.0.0.1", self.port))
        self.sent += 1


class Unix(Accepts):
    name, wanted, ends_wanted = "unix", {"pressure": 101.5}, {"packets": 5}

    def changes(self):
        self.path, packets = self.case.path("datagrams"), self.case.path("packets")
        self.packet_listener, _ = self.listener(socket.AF_UNIX, socket.SOCK_SEQPACKET, packets)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.case.addCleanup(self.socket.close)
        return {"/tmp/sluice-example.sock": self.path, "/tmp/sluice-example-daemon.sock": packets}

    def feed(self):
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):  # the server makes it
            self.socket.sendto(struct.pack("<d", 101.5), self.path)
        if self.accept("peer", self.packet_listener) is not None:
            self.sent += 1
            self.peer.sendall(bytes(self.sent))


class Gateway(Lines):
    name = "gateway"
    wanted = {"chamber_pressure": 100, "coolant_pressure": 300, "shroud_temperature": 20, "article_temperature": 25}

    def changes(self):
        return {"/run/sluice-plant/tty": self.pty(), "127.0.0.1:7710": Actuator(self.case).target}

    def feed(self):
        self.line.send()


class Interlock(Example):
    """Three boxes; who may command is not asked here."""

    name, wanted = "interlock", {"p1": 100, "p2": 101, "p3": 102, "coolant": 300, "switches": 0b0110}

    def changes(self):
        self.ports = [support.free_udp_port() for _ in range(3)]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.case.addCleanup(self.socket.close)
        return {**{f"127.0.0.1:773{n + 1}": f"127.0.0.1:{port}" for n, port in enumerate(self.ports)},
                "127.0.0.1:7730": Actuator(self.case).target, "build/stand/audit.log": self.case.path("audit.log"),
                "/tmp/sluice-stand-trips": self.case.path("trips"), "build/stand/pump": self.case.path("pump")}

    def feed(self):
        for n, port in enumerate(self.ports):
            self.socket.sendto(frame(self.sent, pressure=100.0 + n), ("127.0.0.1", port))
        self.sent += 1


class Examples(example_case.Case):
    def test_there_is_one_for_each(self):
        files = {name[:-len(".yaml")] for name in os.listdir(example_case.FOLDER) if name.endswith(".yaml")}
        self.assertEqual(files, set(self.examples) | ELSEWHERE)
        shown = set()
        for name in files:
            with open(os.path.join(example_case.FOLDER, name + ".yaml"), encoding="utf-8") as file:
                shown |= set(re.findall(r"^\s+kind: (\w+)", file.read(), re.M))
        self.assertEqual(example_case.kinds() - shown, set(), "kinds of sources without an example")


class Guide(support.Case):
    """What docs/sources.md shows of a program that writes frames, as it stands there."""

    def test_the_program_of_the_guide(self):
        with open(os.path.join(support.ROOT, "docs/sources.md"), encoding="utf-8") as file:
            shown = re.search(r"```yaml\n(.*?)```", file.read(), re.S)[1]
        program = "tools/examples/exec_source.py"
        self.assertIn(program, shown)
        text = shown.replace(program, os.path.join(support.ROOT, program))
        server = self.server("instance: guide\ncontrol: {idle: wait}\nrings:\n  - {name: load, slots: 1024}\n" + text)
        server.instance = "guide"
        server.start()
        status = server.wait_status(lambda s: s["streams"][0]["delivered"] > 20 and s["channels"][0]["quality"] == "good",
                                    "frames of the program")
        self.assertEqual(sum(status["streams"][0]["lost"].values()), 0)
        child = next(pid for pid in support.children(server.worker()))
        server.kill(child)
        status = server.wait_status(lambda s: s["streams"][0]["connects"] == 2 and s["channels"][0]["quality"] == "good"
                                    and s["streams"][0]["lost"]["restart"] > 0, "the program again, and what was missed")
        self.assert_balanced(status["streams"][0])
        self.assertEqual(status["streams"][0]["noise_bytes"], 0)
        self.assertEqual(server.end(), 0, server.log())
        self.assert_nothing_left(server)


Examples.add_tests((Exec, Fifo, File, PlcTcp, PlcRtu, Record, Recording, Registers, Scpi, Serial, SerialText, Sysfs, Tcp, TcpListen, Udp, Calibration, Rates,
                    Replay, Unix, Gateway, Interlock))

if __name__ == "__main__":
    support.main()
