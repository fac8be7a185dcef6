"""What the end-to-end tests share: real servers, sensors and actuators, each with its own directory, ports and name.

Nothing here asserts a time: conditions are waited for with generous limits, because the machine may stall for 50 ms and
more. Where a bound is the requirement, it is measured on kernel time stamps (Actuator) and the best of a few tries counts.
"""
import array
import atexit
import contextlib
import copy
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
import unittest

sys.dont_write_bytecode = True

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin"))
SHARED = os.environ.get("SLUICE_SHARED", os.path.join(ROOT, "../shared"))
PATIENCE_S = 30.0
PAUSE_S = float(os.environ.get("SLUICE_PAUSE_S", "0.02"))  # between two looks; longer where a look costs much: emulated
PYTHON = "/usr/bin/python3"

SO_TIMESTAMPNS = 35
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def wait_until(condition, what, seconds=PATIENCE_S, pause_s=PAUSE_S):
    """The first true value of condition(), or an error that says what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what() if callable(what) else what}")
        time.sleep(pause_s)


# ---- Processes. Each is ended by its own pid, also if a test fails or is killed itself.


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def spawn(*command, **options):
    """Starts a program that the kernel ends should this test be killed. From the main thread only."""
    return subprocess.Popen(command, preexec_fn=die_with_parent, stdin=subprocess.DEVNULL, **options)


def exists(pid):
    """A process that is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    """pid -> name of the program, of all that have this parent."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                    name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            if int(rest.split()[1]) == pid:
                found[int(entry)] = name
    return found


def stop(process, number=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def free_udp_port():
    """A port that nobody has and that the kernel gives to nobody by itself: below ip_local_port_range (32768)."""
    for port in random.sample(range(12000, 32000), 200):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port
    raise AssertionError("200 ports tried, none is free")


# ---- Frames of 32 bytes as in sluice-plant(1).

SYNC = 0x54564143
SYNC_HEX = f"{SYNC:08x}"
FRAME_BYTES = 32


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def frame(sequence, pressure=100.0, coolant_kpa=300.0, shroud=20.0, article=25.0, bits=0b0110):
    body = struct.pack(
        ">IIQfihhH", SYNC, sequence & 0xFFFFFFFF, time.clock_gettime_ns(time.CLOCK_TAI), pressure,
        round(coolant_kpa * 1000), round(shroud * 100), round(article * 100), bits
    )
    return body + struct.pack(">H", crc16(body[4:]))


class Sensor:
    """Sends good frames from a thread of its own, or by hand while paused. `values` are the arguments of frame()."""

    def __init__(self, case, hz=100):
        self.values = {}
        self.next = 0
        self.hand = threading.RLock()
        self.hz = hz
        self.ended = threading.Event()
        self.thread = None
        case.addCleanup(self.end)

    def put(self, data):
        raise NotImplementedError

    def send(self, **values):
        """One frame; its sequence number."""
        with self.hand:
            number = self.next
            self.next += 1
            self.put(frame(number, **{**self.values, **values}))
            return number

    def _run(self):
        while not self.ended.wait(1 / self.hz):
            self.send()

    def start(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def paused(self):
        """While this is held the thread sends nothing; send() by hand works."""
        return self.hand

    def end(self):
        self.ended.set()
        if self.thread is not None:
            self.thread.join(10)
            self.thread = None


class SensorUdp(Sensor):
    def __init__(self, case, port, hz=100, address="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)  # after the end of the thread: clean-ups run in reverse
        super().__init__(case, hz)
        self.socket.bind((address, 0))
        self.port = port

    def put(self, data):
        with contextlib.suppress(ConnectionRefusedError):
            self.socket.sendto(data, ("127.0.0.1", self.port))


class SensorPty(Sensor):
    """A pty, linked from `path`. Frames that nobody takes are dropped whole and counted."""

    def __init__(self, case, path, hz=100):
        case.addCleanup(self.unplug)
        super().__init__(case, hz)
        self.path = path
        self.dropped = 0
        self.master = self.slave = -1
        self.plug()

    def plug(self):
        with self.hand:
            self.master, self.slave = os.openpty()
            tty.setraw(self.slave, termios.TCSANOW)
            os.set_blocking(self.master, False)
            os.symlink(os.ttyname(self.slave), self.path + ".new")
            os.rename(self.path + ".new", self.path)

    def unplug(self):
        """The line hangs up."""
        with self.hand:
            if self.master >= 0:
                os.close(self.master)
                os.close(self.slave)
                os.unlink(self.path)
                self.master = self.slave = -1

    def put(self, data):
        if self.master < 0:
            self.dropped += 1
            return
        try:
            sent = os.write(self.master, data)
            while sent < len(data):
                time.sleep(0.001)
                with contextlib.suppress(BlockingIOError):
                    sent += os.write(self.master, data[sent:])
        except BlockingIOError:
            self.dropped += 1


class TextPty(SensorPty):
    """The same line, but numbers as text."""

    def send(self, **values):
        with self.hand:
            number = self.next
            self.next += 1
            v = {"pressure": 100.0, "coolant_kpa": 300.0, **self.values, **values}
            self.put(f"{v['pressure']:.6f}, {v['coolant_kpa']:.6f}\r\n".encode())
            return number


# ---- The other side of an output.


class Command:
    """One datagram of control/output.h and when the kernel received it (CLOCK_REALTIME)."""

    CONTROL, SUPERVISOR = 1, 2
    __slots__ = ("at_ns", "magic", "number", "decided_ns", "lines", "energised", "evaluated", "sequence", "origin", "zero")

    def __init__(self, at_ns, data):
        self.at_ns = at_ns
        (self.magic, self.number, self.decided_ns, self.lines, self.energised, self.evaluated, self.sequence, self.origin,
         self.zero) = struct.unpack(">IIQIIQQII", data)


class Actuator:
    """Records every command with the kernel's time stamp."""

    def __init__(self, case, path=None):
        self.commands = []
        self.wrong = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(path or ("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.target = path or f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    def _run(self):
        while not self.ended.is_set():
            try:
                data, ancillary, _, _ = self.socket.recvmsg(256, 64)
            except socket.timeout:
                continue
            stamp = [struct.unpack("qq", d[:16]) for level, kind, d in ancillary if kind == SO_TIMESTAMPNS]
            at_ns = stamp[0][0] * 10**9 + stamp[0][1] if stamp else time.time_ns()
            with self.lock:
                if len(data) == 48:
                    self.commands.append(Command(at_ns, data))
                else:
                    self.wrong.append(data)

    def end(self):
        self.ended.set()
        self.thread.join(10)

    def since(self, at_ns):
        """Commands received after a moment of CLOCK_REALTIME, in order."""
        with self.lock:
            return [c for c in self.commands if c.at_ns >= at_ns]

    def last(self):
        with self.lock:
            return self.commands[-1] if self.commands else None

    def permit(self):
        """What the newest command says: True, False, or None before the first."""
        last = self.last()
        return None if last is None else last.energised != 0

    def wait_permit(self, permit, seconds=PATIENCE_S):
        wait_until(lambda: self.permit() is permit, f"permit {permit} at the actuator", seconds, 0.005)


def udp_socket(port):
    """(bytes that wait to be received, datagrams dropped) of the socket at a port of 127.0.0.1, as the kernel has them."""
    with open("/proc/net/udp", encoding="ascii") as file:
        for words in map(str.split, file.readlines()[1:]):
            if int(words[1].split(":")[1], 16) == port:
                return int(words[4].split(":")[1], 16), int(words[-1])
    return 0, 0


# ---- Configurations: YAML contains JSON, so a dict is one.


STALE_MS = 1500  # a test's sensor is a thread of it, which a busy machine puts off


def channels(prefix="", stale_ms=STALE_MS):
    rows = (
        ("chamber_pressure", 16, "f32", 1, "kPa", [0, 500]),
        ("coolant_pressure", 20, "i32", 0.001, "kPa", [0, 2000]),
        ("shroud_temperature", 24, "i16", 0.01, "degC", [-200, 300]),
        ("article_temperature", 26, "i16", 0.01, "degC", [-200, 300]),
    )
    return [
        {"name": prefix + name, "at_byte": at, "type": kind, "scale": scale, "unit": unit, "range": limits,
         "stale_ms": stale_ms}
        for name, at, kind, scale, unit, limits in rows
    ]


BINARY = {
    "frame_bytes": FRAME_BYTES,
    "sequence": {"at_byte": 4, "width_bytes": 4, "byte_order": "big"},
    "checksum": {"kind": "crc16_ccitt", "from_byte": 4, "at_byte": 30},
}


def udp_source(port, **changes):
    return {"name": "udp", "kind": "udp", "worker": "sensors", "ring": "udp", "listen": f"127.0.0.1:{port}",
            "from": "127.0.0.1", **copy.deepcopy(BINARY), "channels": channels(), **changes}


def serial_source(path, prefix="", **changes):
    return {"name": "serial", "kind": "serial", "worker": "sensors", "ring": "serial", "device": path, "baud": 921600,
            "sync": SYNC_HEX, **copy.deepcopy(BINARY), "channels": channels(prefix), **changes}


def text_source(path, prefix="t_", **changes):
    names = [("pressure", [0, 500]), ("coolant", [0, 2000])]
    return {"name": "text", "kind": "serial", "worker": "sensors", "ring": "text", "device": path, "baud": 115200,
            "format": "text", "fields": 2,
            "channels": [{"name": prefix + n, "unit": "kPa", "range": r, "stale_ms": STALE_MS} for n, r in names], **changes}


WAIVED = ["pinned", "locked", "pages", "unthrottled", "latency", "clock", "config", "black_box", "doctor"]


def config(instance, sources, outputs, rules=None, slots=4096, **control):
    """A server that noise of the machine does not trip, and that leaves the machine some time. The arming gate is waived
    whole: a development mode, and declared as one."""
    return {
        "instance": instance,
        "memory": {"pages": "normal"},
        "arming": {"waive": list(WAIVED)},
        "control": {"idle": "wait", "sleep_us": 100, "cycle_budget_us": 5000, "on_miss": "alarm", "stall_trip_ms": 1000,
                    "refresh_us": 5000, "output_fault_ms": 2000, "silence_ms": 3000,
                    "supervisor_silence_ms": 15000, **control},
        "workers": [{"name": "sensors", "idle": "wait"}],
        "rings": [{"name": s["ring"], "slots": slots} for s in sources],
        "sources": sources,
        "rules": rules if rules is not None else [{"name": "overpressure", "channel": "chamber_pressure", "high": 150}],
        "outputs": outputs,
    }


def outputs_to(target, kind="udp"):
    return [{"name": "relief_closed", "kind": kind, "target": target, "line": 0},
            {"name": "supply_open", "kind": kind, "target": target, "line": 1}]


# ---- The server and those who talk to it.


class Server:
    def __init__(self, case, text, environment=None):
        self.case = case
        self.instance = text["instance"] if isinstance(text, dict) else "?"
        self.config_path = os.path.join(case.dir, f"{case.count()}.yaml")
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(json.dumps(text, indent=1) if isinstance(text, dict) else text)
        self.log_path = self.config_path + ".log"
        self.environment = {**case.environment, **(environment or {})}
        self.process = None
        self.known = set()
        case.addCleanup(self.clean)
        atexit.register(self.clean)

    @property
    def pid(self):
        return self.process.pid

    def launch(self):
        """Starts sluiced and does not wait for it."""
        with open(self.log_path, "ab") as log:
            self.process = spawn(os.path.join(BIN, "sluiced"), self.config_path, env=self.environment, stdout=log, stderr=log)
        return self

    def start(self):
        """Starts sluiced and waits until all its processes run."""
        before = self.log().count("is running\n")
        self.launch()
        wait_until(lambda: self.log().count("is running\n") > before or self.process.poll() is not None, "the server to run")
        self.case.assertIsNone(self.process.poll(), self.log())
        self.children()
        return self

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def children(self):
        found = children(self.pid) if self.process is not None and self.process.poll() is None else {}
        self.known.update(found)
        return found

    def child(self, name):
        """The pid of `sluice-control` or of the (only) `sluice-worker`."""
        pids = [pid for pid, program in self.children().items() if program == name]
        return pids[0] if len(pids) == 1 else None

    def control(self):
        return wait_until(lambda: self.child("sluice-control"), "sluice-control")

    def worker(self):
        return wait_until(lambda: self.child("sluice-worker"), "sluice-worker")

    def kill(self, pid, number=signal.SIGKILL):
        os.kill(pid, number)

    def end(self, number=signal.SIGTERM):
        """The exit code."""
        self.children()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def clean(self):
        if self.process is None:
            return
        atexit.unregister(self.clean)
        self.children()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        stop(self.process)
        for pid in self.known:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it may end at any moment
                if exists(pid) and os.readlink(f"/proc/{pid}/exe").startswith(os.path.realpath(BIN)):
                    os.kill(pid, signal.SIGKILL)
        self.known.clear()

    # What an operator types.

    def cli(self, *arguments):
        return self.case.cli(*arguments, environment=self.environment)

    def status(self):
        """The status, None while the server does not answer."""
        done = self.cli("status", self.instance, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_status(self, condition, what):
        last = []

        def good():
            status = self.status()
            last[:] = [status]
            return status if status is not None and condition(status) else None

        return wait_until(good, lambda: f"{what}; the last status is {json.dumps(last[0])[:3000]}")

    def stream(self, name, status=None):
        return next(s for s in (status or self.status())["streams"] if s["name"] == name)

    def wait_state(self, state):
        return self.wait_status(lambda s: s["interlock"]["state"] == state, f"interlock {state}")

    def make_armed(self, actuator=None):
        """Reset and arm, again if a stall of the machine trips it meanwhile; with an actuator until that has the permit."""

        def armed():
            self.cli("reset", self.instance)
            self.cli("arm", self.instance)
            status = self.status()
            if status is None or not status["interlock"]["armed"]:
                return None
            end_s = time.monotonic() + 2
            while actuator is not None and actuator.permit() is not True:
                if time.monotonic() > end_s:
                    return None
                time.sleep(0.005)
            return status

        return wait_until(armed, lambda: f"arming; log:\n{self.log()[-2000:]}", pause_s=0.1)

    def wait_settled(self):
        """Every process has what it will have: the observer too, for which nobody else waits."""
        self.wait_status(lambda s: all(p["sealed"] for p in s["processes"] if p["name"] == "observer"), "a sealed observer")

    def tail(self, ring, *options):
        return Tail(self, ring, *options)

    def processes(self, status=None):
        return {p["name"]: p for p in (status or self.status())["processes"]}


class Tail:
    """`sluice tail --json RING` as a process; its lines so far."""

    def __init__(self, server, ring, *options):
        self.path = os.path.join(server.case.dir, f"tail{server.case.count()}")
        with open(self.path, "wb") as out, open(self.path + ".err", "wb") as err:
            self.process = spawn(os.path.join(BIN, "sluice"), "tail", "--json", *options, server.instance, ring,
                                 env=server.environment, stdout=out, stderr=err)
        server.case.addCleanup(stop, self.process)

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().split("\n")[:-1]]

    def frames(self):
        return [line for line in self.lines() if "values" in line]

    def gaps(self):
        return [line for line in self.lines() if "gap" in line]

    def wait(self, condition, what):
        def good():
            lines = self.lines()
            return lines if condition(lines) else None

        return wait_until(good, what)


class Plant:
    """sluice-plant, for rates that Python does not reach."""

    def __init__(self, case, *options):
        self.log_path = os.path.join(case.dir, f"plant{case.count()}")
        with open(self.log_path, "wb") as log:
            self.process = spawn(os.path.join(BIN, "sluice-plant"), *options, "--truth", "-", stdout=log, stderr=log)
        case.addCleanup(stop, self.process)


# ---- The socket's protocol, by hand (ring/protocol.h).

REQUEST = struct.Struct("<IHHQQ32s32s128s")
REPLY = struct.Struct("<IHHiIQ")
PROTOCOL_MAGIC = 0x51434C53
PROTOCOL_VERSION = 3
ATTACH, BOARDS, ARM, RESET, TRIP, GATE, WAIT = 1, 2, 3, 4, 5, 6, 7
BYPASS, UNBYPASS, PROOF_TEST, ACKNOWLEDGE_ALARM, SHELVE, UNSHELVE, ACKNOWLEDGE_CONFIG = 8, 9, 10, 11, 12, 13, 14


def connect(path):
    """Waits for a place in the queue of connections: with a time-out set before, a full one would be an error."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        s.connect(path)
    except OSError:
        s.close()
        raise
    s.settimeout(PATIENCE_S)
    return s


def request(op, name="", magic=PROTOCOL_MAGIC, version=PROTOCOL_VERSION, argument=0, start=0, person=b"", reason=b""):
    return REQUEST.pack(magic, version, op, argument, start, name.encode(), person, reason)


def call(s, op, name="", **more):
    """(code, text, descriptors)"""
    s.send(request(op, name, **more))
    data, ancillary, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    code = REPLY.unpack(data[: REPLY.size])[3]
    return code, data[REPLY.size:].split(b"\0", 1)[0].decode(), list(fds)


# ---- The test case.


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-e2e-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        atexit.register(shutil.rmtree, self.dir, True)  # if the test is interrupted there are no clean-ups
        self.run_dir = os.path.join(self.dir, "run")
        self.environment = {**os.environ, "SLUICE_RUN_DIR": self.run_dir,
                            "SLUICE_STATE_DIR": self.path("state"), "LC_ALL": "C"}
        self.environment.pop("NOTIFY_SOCKET", None)
        self.instance = f"e2e-{os.getpid()}-{self._testMethodName}"[:31]
        self._count = 0
        self.addCleanup(self.show_logs)

    def show_logs(self):
        """What the servers said, if the test failed."""
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            for name in sorted(os.listdir(self.dir)):
                if name.endswith(".log"):
                    with open(os.path.join(self.dir, name), encoding="utf-8", errors="replace") as file:
                        print(f"---- {self.id()}: {name}\n{file.read()[-4000:]}", file=sys.stderr)

    def count(self):
        self._count += 1
        return self._count

    def path(self, name):
        return os.path.join(self.dir, name)

    def cli(self, *arguments, environment=None):
        return subprocess.run([os.path.join(BIN, "sluice"), *arguments], env=environment or self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)

    def socket_path(self, server):
        return os.path.join(self.run_dir, server.instance, "server.sock")

    def server(self, text, **options):
        return Server(self, text, **options)

    def udp_server(self, hz=100, rules=None, start=True, source=None, ring=None, top=None, **control):
        """The usual set-up: (server, sensor, actuator), one UDP source, two lines at one UDP actuator. source, ring and
        top add to those parts of the file."""
        port = free_udp_port()
        actuator = Actuator(self)
        text = config(self.instance, [udp_source(port, **(source or {}))], outputs_to(actuator.target), rules, **control)
        text["rings"][0].update(ring or {})
        text.update(top or {})
        server = self.server(text)
        sensor = SensorUdp(self, port, hz)
        if start:
            server.start()
            sensor.start()
        return server, sensor, actuator

    def assert_balanced(self, stream):
        self.assertEqual(stream["residual"], 0, stream)
        self.assertEqual(stream["sent"], stream["delivered"] + sum(stream["lost"].values()), stream)

    def assert_nothing_left(self, server):
        """No process, no run directory."""
        wait_until(lambda: not any(exists(pid) for pid in server.known),
                   lambda: f"the end of {[p for p in server.known if exists(p)]}")
        wait_until(lambda: not os.path.exists(os.path.join(self.run_dir, server.instance)), "the run directory's removal")


EXIT_SKIPPED = 77  # all that ran has passed, but something did not run: ctest says so (SKIP_RETURN_CODE)


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupted)
    result = unittest.main(verbosity=2, exit=False).result
    for _, why in result.skipped:
        print(why, flush=True)
    sys.exit(1 if not result.wasSuccessful() else EXIT_SKIPPED if result.skipped else 0)
