#!/usr/bin/env python3
"""Modbus coils and registers behind a real server: they follow the interlock, and whatever dies or is gone, the permit
ends. A Modbus server of some lines stands for the device; this kernel has neither UIO nor GPIO, a file is the register.
"""
import contextlib
import os
import signal
import socket
import struct
import threading

import support
from support import exists, wait_until

WRITE_COILS, READ_COILS = 15, 1
COILS = 64


class ModbusServer:
    """One connection after the other. `mute`: takes requests and does not answer."""

    def __init__(self, case, port=0):
        self.coils = [0] * COILS
        self.bold = 0  # connections whose first write energised something
        self.connections = 0
        self.mute = False
        self.open(port)
        case.addCleanup(self.close)

    def open(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.peer = None
        self.thread = threading.Thread(target=self._run, args=(self.listener,), daemon=True)
        self.thread.start()

    def _run(self, listener):
        while True:
            try:
                self.peer, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            with contextlib.suppress(OSError, ConnectionError), self.peer:
                self._serve(self.peer)

    def _take(self, peer, count):
        data = b""
        while len(data) < count:
            more = peer.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def _serve(self, peer):
        written = False
        while True:
            transaction, _, length, unit = struct.unpack(">HHHB", self._take(peer, 7))
            body = self._take(peer, length - 1)
            function, first, count = struct.unpack(">BHH", body[:5])
            if function == WRITE_COILS:
                values = [body[6 + i // 8] >> i % 8 & 1 for i in range(count)]
                self.bold += not written and any(values)
                written = True
                self.coils[first:first + count] = values
                answer = body[:5]
            else:
                packed = bytearray((count + 7) // 8)
                for i, value in enumerate(self.coils[first:first + count]):
                    packed[i // 8] |= value << i % 8
                answer = struct.pack(">BB", function, len(packed)) + packed
            if not self.mute:
                peer.sendall(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)

    def close(self):
        """Gone: its port refuses from here on."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.peer is not None:
            with contextlib.suppress(OSError):
                self.peer.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)


class Outputs(support.Case):
    def begin(self, outputs, **control):
        port = support.free_udp_port()
        settings = {"output_fault_ms": 400, **control}
        text = support.config(self.instance, [support.udp_source(port)], outputs, **settings)
        server = self.server(text).start()
        sensor = support.SensorUdp(self, port).start()
        return server, sensor


class Modbus(Outputs):
    def begin_modbus(self, **control):
        device = ModbusServer(self)
        device.coils[9] = device.coils[12] = 1  # not ours
        server, sensor = self.begin([
            {"name": "relief_closed", "kind": "modbus", "target": f"127.0.0.1:{device.port}", "line": 10, "unit_id": 7},
            {"name": "supply_open", "kind": "modbus", "target": f"127.0.0.1:{device.port}", "line": 11, "unit_id": 7},
        ], **control)
        self.addCleanup(lambda: self.assertEqual((device.coils[9], device.coils[12]), (1, 1), "coils that are not ours"))
        return server, sensor, device

    def wait_coils(self, device, value):
        wait_until(lambda: device.coils[10:12] == [value, value], lambda: f"coils {value}, found {device.coils[8:14]}",
                   pause_s=0.002)

    def armed(self, server, device):
        """With its coils; again if a stall of the machine trips it meanwhile."""
        def there():
            server.make_armed()
            with contextlib.suppress(AssertionError):
                wait_until(lambda: device.coils[10:12] == [1, 1], "coils", 2, 0.002)
            return device.coils[10:12] == [1, 1]

        wait_until(there, lambda: f"the permit, found coils {device.coils[8:14]}")

    def test_coils_follow_and_a_trip_drops_them(self):
        server, sensor, device = self.begin_modbus()
        self.assertIn("actuator-0", server.processes())
        self.armed(server, device)
        sensor.values["pressure"] = 200.0
        self.wait_coils(device, 0)
        server.wait_state("tripped")
        self.assertEqual(device.bold, 0)
        latency = server.status()["latency_ns"]
        self.assertGreater(latency["actuator-0_taken"]["count"], 2)
        self.assertGreaterEqual(latency["actuator-0_confirmed"]["count"], 2)
        print("command -> coils confirmed, us:", {k: round(v / 1000) for k, v in latency["actuator-0_confirmed"].items()
                                                  if k in ("p50", "max")})
        self.assertEqual(server.processes()["actuator-0"]["sealed"], True)
        self.assertEqual(server.end(), 0)
        self.assert_nothing_left(server)

    def test_stopping_the_server_drops_them(self):
        server, _, device = self.begin_modbus()
        self.armed(server, device)
        self.assertEqual(server.end(), 0)
        self.assertEqual(device.coils[10:12], [0, 0])
        self.assertIn("coils are safe", server.log())

    def test_control_killed(self):
        server, _, device = self.begin_modbus()
        self.armed(server, device)
        server.kill(server.control())
        self.wait_coils(device, 0)
        server.wait_status(lambda s: server.processes(s)["control"]["alive"], "the new control process")
        self.assertEqual(device.coils[10:12], [0, 0])
        self.armed(server, device)

    def test_server_killed(self):
        """sluiced and with it control: the actuator's own end."""
        server, _, device = self.begin_modbus()
        self.armed(server, device)
        server.kill(server.pid)
        server.process.wait()
        self.wait_coils(device, 0)
        self.assert_nothing_left(server)

    def test_all_but_the_actuator_killed_at_once(self):
        server, _, device = self.begin_modbus()
        self.armed(server, device)
        control = server.control()
        os.kill(server.pid, signal.SIGSTOP)
        os.kill(control, signal.SIGKILL)
        self.wait_coils(device, 0)  # nobody speaks to it any more
        os.kill(server.pid, signal.SIGCONT)

    def test_actuator_killed(self):
        """The coils stay until the next one is there; then safe first. The interlock hears of it."""
        server, _, device = self.begin_modbus(output_fault_ms=40)
        self.armed(server, device)
        actuator = wait_until(lambda: server.child("sluice-actuator"), "sluice-actuator")
        server.kill(actuator)
        self.wait_coils(device, 0)
        status = server.wait_state("tripped")
        self.assertEqual(status["interlock"]["first_out"]["kind"], "output")
        self.assertEqual(device.bold, 0)
        server.wait_status(lambda s: server.processes(s)["actuator-0"]["restarts"] == 1, "the restart on the board")
        self.armed(server, device)

    def test_device_gone_and_back(self):
        server, _, device = self.begin_modbus()
        self.armed(server, device)
        device.close()
        status = server.wait_state("tripped")
        self.assertEqual(status["interlock"]["first_out"]["kind"], "output")
        device.open(device.port)
        self.wait_coils(device, 0)
        self.assertEqual(device.bold, 0)
        self.armed(server, device)

    def test_device_that_does_not_answer(self):
        server, _, device = self.begin_modbus()
        self.armed(server, device)
        device.mute = True
        status = server.wait_state("tripped")
        self.assertEqual(status["interlock"]["first_out"]["kind"], "output")
        device.mute = False
        self.wait_coils(device, 0)

    def test_without_a_device_nothing_arms(self):
        device = ModbusServer(self)
        device.close()
        server, _ = self.begin([{"name": "a", "kind": "modbus", "target": f"127.0.0.1:{device.port}"}])
        server.wait_status(lambda s: any(c["kind"] == "output" for c in s["interlock"]["causes"]), "the cause")
        self.assertEqual(server.cli("reset", self.instance).returncode, 1)


class Register(Outputs):
    def begin_memory(self):
        self.register = self.path("register")
        with open(self.register, "wb") as file:
            file.write(b"\xa5" * 16)
        return self.begin([{"name": "permit", "kind": "memory", "target": self.register, "line": 9,
                            "register": {"at_byte": 4, "width_bytes": 2, "byte_order": "big"},
                            "without_heartbeat": "accepted"}])

    def wait_register(self, value):
        def is_there():
            with open(self.register, "rb") as file:
                data = file.read()
            return data == b"\xa5" * 4 + bytes((0xA7 if value else 0xA5, 0xA5)) + b"\xa5" * 10

        wait_until(is_there, f"bit 9 of the register {value}", pause_s=0.002)

    def test_it_follows(self):
        server, sensor = self.begin_memory()
        self.wait_register(0)
        server.make_armed()
        self.wait_register(1)
        sensor.values["pressure"] = 200.0
        self.wait_register(0)
        server.wait_state("tripped")

    def test_control_killed(self):
        server, _ = self.begin_memory()
        server.make_armed()
        self.wait_register(1)
        server.kill(server.control())
        self.wait_register(0)

    def test_the_file_vanishes(self):
        """A truncated file ends control (SIGBUS); sluiced makes it long again, and safe."""
        server, _ = self.begin_memory()
        server.make_armed()
        self.wait_register(1)
        os.truncate(self.register, 0)
        wait_until(lambda: "signal 7" in server.log(), lambda: f"the end of control; log:\n{server.log()}")

        def is_safe():
            with open(self.register, "rb") as file:
                data = file.read()
            return len(data) >= 6 and data[4] & 2 == 0

        wait_until(is_safe, "a safe register")
        server.wait_status(lambda s: server.processes(s)["control"]["alive"]
                           and s["interlock"]["state"] == "tripped", "control to be back, tripped")
        self.assertTrue(exists(server.pid))

    def test_a_file_that_is_too_short_is_refused_at_the_start(self):
        path = self.path("short")
        with open(path, "wb") as file:
            file.write(b"\0" * 7)
        text = support.config(self.instance, [support.udp_source(support.free_udp_port())],
                              [{"name": "permit", "kind": "memory", "target": path, "heartbeat": True,
                                "register": {"at_byte": 4}}])
        server = self.server(text).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2)
        self.assertIn("found 7 bytes in all", server.log())


class Refused(Outputs):
    def refused(self, output, piece, **control):
        text = support.config(self.instance, [support.udp_source(support.free_udp_port())], [output], **control)
        server = self.server(text).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2)
        self.assertIn(piece, server.log())

    def test_what_is_no_gpio_chip(self):
        path = self.path("chip")
        open(path, "wb").close()
        self.refused({"name": "a", "kind": "gpio", "target": path, "line": 3, "heartbeat": True}, "expected a GPIO chip")

    def test_what_is_no_watchdog(self):
        path = self.path("watchdog")
        open(path, "wb").close()
        self.refused({"name": "a", "kind": "file", "target": self.path("out")}, "expected a watchdog device",
                     watchdog={"device": path, "timeout_s": 5})


del Outputs

if __name__ == "__main__":
    support.main()
