#!/usr/bin/env python3
"""What is to be read is not there, or may not be read: for each kind of source on a device or at an address. The server starts
and goes on with the others, each has its one line and its number; what `missing: refuse` says is refused, in front of
everything else."""
import errno
import json
import os
import resource
import shutil
import socket
import subprocess

import example_case
import support
from support import Actuator, config, outputs_to

NOBODY = 65534
FRAME = {"frame_bytes": 32, "checksum": {"kind": "crc16_ccitt", "from_byte": 4, "at_byte": 30}}
SCAN = {"scan": [{"name": "in_voltage0", "type": "le:u12/16>>0"}]}
GONE = "No such file or directory"


def no_can():
    """Some kernels have none at all."""
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
        return "no interface nosuch0"
    except OSError:
        return "no CAN in this kernel"


def streams(nowhere):
    """name -> (its part of the configuration, words, errno) of what is read as a stream: has `missing`."""
    return {
        "serial": ({"kind": "serial", "device": nowhere, "sync": "a55a", **FRAME}, f"cannot open {nowhere}: {GONE}", errno.ENOENT),
        "text": ({"kind": "serial", "device": nowhere, "format": "text"}, f"cannot open {nowhere}: {GONE}", errno.ENOENT),
        "unixstream": ({"kind": "unix", "path": nowhere, **FRAME}, f"cannot connect to {nowhere}: {GONE}", errno.ENOENT),
        "unixpackets": ({"kind": "unix", "path": nowhere, "socket": "seqpacket"}, f"cannot connect to {nowhere}: {GONE}", errno.ENOENT),
        "unixdatagrams": ({"kind": "unix", "path": f"{nowhere}/x", "socket": "datagram"}, GONE, errno.ENOENT),
        "fifo": ({"kind": "fifo", "path": f"{nowhere}/x", **FRAME}, GONE, errno.ENOENT),
        "file": ({"kind": "file", "path": nowhere, **FRAME}, f"cannot open {nowhere}: {GONE}", errno.ENOENT),
        "replay": ({"kind": "file", "path": nowhere, "follow": "replay", **FRAME}, f"cannot open {nowhere}: {GONE}", errno.ENOENT),
        "exec": ({"kind": "exec", "command": [nowhere], **FRAME}, f"cannot run {nowhere}: {GONE}", errno.ENOENT),
        "hidraw": ({"kind": "hidraw", "path": nowhere, "frame_bytes": 8}, f"cannot open {nowhere}: {GONE}", errno.ENOENT),
        "can": ({"kind": "can", "interface": "nosuch0"}, no_can(), None),
        "iio": ({"kind": "iio", "device": "nosuch", **SCAN}, "no iio:device* in /sys/bus/iio/devices is named 'nosuch'", errno.ENODEV),
        "edges": ({"kind": "gpio_edges", "device": nowhere, "lines": [0]}, f"cannot open {nowhere}: {GONE}", errno.ENOENT),
        "comedi": ({"kind": "comedi", "device": nowhere, "scan_hz": 10, "inputs": [{"input": 0}]}, f"cannot open {nowhere}: {GONE}",
                   errno.ENOENT),
    }


def asked(nowhere, port):
    """The same of what is polled. Nobody listens at the port."""
    at = f"127.0.0.1:{port}"
    table = {"registers": [{"table": "input", "at": 0, "count": 1}]}
    opened = f"cannot open {nowhere}: {GONE}"
    return {
        "sysfs": ({"kind": "sysfs", "attributes": [nowhere]}, opened, errno.ENOENT),
        "levels": ({"kind": "gpio_levels", "device": nowhere, "lines": [0]}, opened, errno.ENOENT),
        "i2c": ({"kind": "i2c", "device": nowhere, "bus_address": 0x40, "reads": [{"read_bytes": 2}]}, opened, errno.ENOENT),
        "spi": ({"kind": "spi", "device": nowhere, "reads": [{"read_bytes": 2}]}, opened, errno.ENOENT),
        "plctcp": ({"kind": "modbus_tcp", "connect": at, **table}, "Connection refused", errno.ECONNREFUSED),
        "plcrtu": ({"kind": "modbus_rtu", "device": nowhere, "unit_id": 1, **table}, GONE, errno.ENOENT),
        "metertcp": ({"kind": "scpi", "connect": at, "queries": ["A?"]}, "Connection refused", errno.ECONNREFUSED),
        "meterserial": ({"kind": "scpi", "device": nowhere, "queries": ["A?"]}, GONE, errno.ENOENT),
        "registers": ({"kind": "registers", "device": nowhere, "window_bytes": 64, "data": {"at_byte": 0, "count_bytes": 4}}, opened,
                      errno.ENOENT),
        "card": ({"kind": "comedi_polled", "device": nowhere, "inputs": [{"input": 0}]}, opened, errno.ENOENT),
    }


class Missing(support.Case):
    def text(self, parts):
        """A configuration of these, and of a source that is well."""
        self.port = support.free_udp_port()
        sources = [{"name": name, "ring": name, "worker": "sensors", **part} for name, part in parts.items()]
        return config(self.instance, [*sources, support.udp_source(self.port)], outputs_to(Actuator(self).target), slots=256)

    def lines(self, log, name):
        return [line for line in log.splitlines() if line.startswith(f"source {name}: ")]

    def all_said(self, said, status, log):
        for name, (_, words, number) in said.items():
            lines = self.lines(log, name)
            self.assertEqual(len(lines), 1, f"{name}: {lines}")
            self.assertIn(words, lines[0])
            stream = next(s for s in status["streams"] if s["name"] == name)
            self.assertEqual((stream["open"], stream["connects"], stream["delivered"]), (False, 0, 0), stream)
            self.assertEqual(stream["open_errno"] or 1, number or stream["open_errno"], stream)

    def test_every_kind_is_here(self):
        """But those that wait for whoever comes, and cards of packets and recordings, whose tests have it."""
        here = {part["kind"] for part, _, _ in {**streams(""), **asked("", 0)}.values()}
        self.assertEqual(example_case.kinds() - here, {"udp", "tcp", "tcp_listen", "dpdk", "afxdp", "recording"})

    def test_all_wait_and_the_others_go_on(self):
        nowhere = self.path("nosuch")
        said = {**streams(nowhere), **asked(nowhere, support.free_udp_port())}
        server = self.server(self.text({name: part for name, (part, _, _) in said.items()})).start()
        sensor = support.SensorUdp(self, self.port).start()
        last = server.wait_status(lambda s: all(stream["open_errno"] for stream in s["streams"] if stream["name"] in said),
                                  "each to be missed")
        again = server.wait_status(lambda s: server.stream("udp", s)["delivered"] > server.stream("udp", last)["delivered"] + 20 and
                                   all(server.stream(n, s)["polls_failed"] > 3 for n in asked(nowhere, 0)), "tries, and the other's frames")
        sensor.end()
        self.all_said(said, again, server.log())
        udp = server.stream("udp", again)
        self.assertEqual((sum(udp["lost"].values()), udp["residual"]), (0, 0), udp)
        self.assertEqual(server.end(), 0, server.log())
        self.assert_nothing_left(server)

    def test_each_is_refused(self):
        nowhere = self.path("nosuch")
        for n, (name, (part, words, _)) in enumerate(streams(nowhere).items()):
            with self.subTest(name):
                self.instance = f"e2e-{os.getpid()}-refuse-{n}"
                server = self.server(self.text({name: {**part, "missing": "refuse"}})).launch()
                self.assertEqual(server.process.wait(support.PATIENCE_S), 2, server.log())
                self.assertIn(words, server.log())

    def test_permission_denied(self):
        """A server of an ordinary user, with devices that are not for him."""
        binaries, home, secret = self.path("bin"), self.path("home"), self.path("secret")
        os.mkdir(binaries)
        for name in ("sluiced", "sluice-control", "sluice-worker", "sluice"):
            shutil.copy(os.path.join(support.BIN, name), binaries)
        os.mkdir(home)
        os.chown(home, NOBODY, NOBODY)
        with open(secret, "wb"):
            os.chmod(secret, 0o600)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path("listener"))
        listener.listen(1)
        os.chmod(self.path("listener"), 0o600)
        parts = {name: part for name, (part, _, _) in {**streams(secret), **asked(secret, 1)}.items()
                 if name in ("serial", "file", "hidraw", "edges", "comedi", "sysfs", "levels", "i2c", "spi", "registers", "card", "plcrtu",
                             "meterserial")}
        parts["fifo"] = {"kind": "fifo", "path": secret, **FRAME}
        parts["exec"] = {"kind": "exec", "command": [secret], **FRAME}
        parts["unixstream"] = {"kind": "unix", "path": self.path("listener"), **FRAME}
        os.chmod(self.dir, 0o755)
        self.environment |= {"SLUICE_RUN_DIR": os.path.join(home, "run"), "SLUICE_STATE_DIR": os.path.join(home, "state")}
        with open(self.path("user.yaml"), "w", encoding="utf-8") as file:
            json.dump(self.text(parts), file)
        log = self.path("user.log")

        def become():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            support.die_with_parent()

        with open(log, "wb") as out:
            daemon = subprocess.Popen([os.path.join(binaries, "sluiced"), self.path("user.yaml")], env=self.environment, cwd="/",
                                              preexec_fn=become, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.addCleanup(support.stop, daemon)
        support.SensorUdp(self, self.port).start()

        def denied():
            done = self.cli("status", self.instance, "--json")
            found = {s["name"]: s for s in json.loads(done.stdout)["streams"]} if done.returncode == 0 else {}
            good = found and all(found[name]["open_errno"] == errno.EACCES for name in parts)
            return found if good and found["udp"]["delivered"] > 20 else None

        found = support.wait_until(denied, lambda: f"all but one to be denied; log: {open(log, encoding='utf-8').read()}")
        with open(log, encoding="utf-8") as file:
            text = file.read()
        for name in parts:
            lines = self.lines(text, name)
            self.assertEqual(len(lines), 1, f"{name}: {lines}")
            self.assertIn("Permission denied", lines[0])
        self.assertEqual((sum(found["udp"]["lost"].values()), found["udp"]["residual"]), (0, 0))
        daemon.terminate()
        self.assertEqual(daemon.wait(support.PATIENCE_S), 0)


if __name__ == "__main__":
    support.main()
