"""What the demo starts and changes, and how all of it is undone again, whatever the end."""
import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time

DEMO = pathlib.Path("build/demo")
BIN = pathlib.Path("build/release/bin")
PYTHON_PACKAGE = pathlib.Path("build/release/python")
RUN_DIR = DEMO / "run"
HUGE_PAGES, HUGE_PAGES_STREAM = 64, 128  # with the stream: its ring, and DPDK's memory on both sides
HUGE_PAGES_STATE = DEMO / "huge-pages.state"
PR_SET_PDEATHSIG = 1
MAP_HUGETLB_2MB = 0x40000 | 21 << 26
STOP_PATIENCE_S = 15  # sluiced gives its black box 10 s to finish a report
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """Something the reader of the screen must know; ends the demo with exit code 1."""


class Interrupted(BaseException):
    pass


def say(text=""):
    print(text, flush=True)


def interrupt_on_signals():
    def interrupt(number, _frame):
        ignore_signals()
        raise Interrupted(number)

    for number in STOPS:
        signal.signal(number, interrupt)


def ignore_signals():
    """The way out is not interrupted."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def wait_for(what, condition, timeout_s, period_s=0.05):
    """Returns the first true value of condition()."""
    end_s = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end_s:
            raise DemoError(f"expected {what} within {timeout_s:g} s, it did not come")
        time.sleep(period_s)


class Children:
    """Processes in sessions of their own, so that Ctrl-C reaches only us and we end them in order."""

    def __init__(self):
        self.running = []
        self.libc = ctypes.CDLL(None)

    def start(self, name, arguments, log):
        """Standard output and error go to the file `log`."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # an interruption here would forget a child that runs
        try:
            with open(log, "wb") as output:
                child = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=output,
                                         stderr=output, start_new_session=True,
                                         preexec_fn=lambda: self.end_with_us(before))
            child.name, child.log = name, log
            self.running.append(child)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return child

    def end_with_us(self, signals):
        self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)

    def stop(self, child):
        if child not in self.running:
            return
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.running.remove(child)

    def stop_all(self):
        for child in reversed(list(self.running)):
            self.stop(child)

    def check(self, child):
        if child.poll() is not None:
            words = pathlib.Path(child.log).read_text(errors="replace").strip().splitlines()
            raise DemoError(f"{child.name} ended early with exit code {child.returncode}; the end of {child.log}:\n  "
                            + "\n  ".join(words[-8:] or ["(empty)"]))


def prefer(pid, core, priority):
    """A core of its own and a real-time priority, if we may and there is one. True if so."""
    with contextlib.suppress(OSError, ValueError):
        os.sched_setaffinity(pid, {core})
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def huge_pages_for(megabytes):
    """Whether so much could be had at this moment."""
    try:
        mmap.mmap(-1, megabytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB_2MB).close()
    except OSError:
        return False
    return True


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup if line.rstrip().endswith("kB")}
    return sizes["Pss"], sizes["Rss"]


def stolen_ms():
    """What a hypervisor has kept from us since boot, over all cores; in steps of 10 ms."""
    with open("/proc/stat", encoding="ascii") as stat:
        return int(stat.readline().split()[8]) * 1000 // os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def whole_demo(huge_pages):
    """One demo at a time in this tree; ends children, puts the huge pages back, removes what it made for the run."""
    DEMO.mkdir(parents=True, exist_ok=True)
    os.environ["SLUICE_RUN_DIR"] = str(RUN_DIR)
    children = Children()
    with open(DEMO / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(f"another tools/demo is running in this tree ({DEMO / 'lock'}); end that one first") from None
        try:
            say("demo: " + setup("--huge-pages", str(huge_pages), "--state", str(HUGE_PAGES_STATE)))
            yield children
        finally:
            ignore_signals()
            children.stop_all()
            if HUGE_PAGES_STATE.exists():
                said = setup("--restore-huge-pages", str(HUGE_PAGES_STATE))
                if said and "pool put back" not in said:  # else the last words belong to the run
                    print(f"demo: {said}", file=sys.stderr)
            with contextlib.suppress(OSError):
                RUN_DIR.rmdir()


def setup(*arguments):
    """The first line of what tools/setup says, once it is done."""
    said = subprocess.run(["tools/setup", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, start_new_session=True, check=False).stdout
    return said.partition("\n")[0].removeprefix("setup: ")


class Server:
    """One sluiced: its process, its words, and commands over its socket (ring/protocol.h)."""

    REQUEST, REPLY = struct.Struct("<IHHQQ32s32s128s"), struct.Struct("<IHHiIQ")
    MAGIC, VERSION, ARM, RESET = 0x51434C53, 3, 3, 4

    def __init__(self, children, config, instance, log):
        self.children, self.instance = children, instance
        self.socket = None
        self.child = children.start("sluiced", [BIN / "sluiced", config], log)

    def ask(self, *arguments):
        """(exit code, what it printed) of the sluice command."""
        done = subprocess.run([str(BIN / "sluice"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, start_new_session=True, check=False)
        return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def ask_json(self, command):
        code, text = self.ask(command, self.instance, "--json")
        if code != 0:
            return None
        return json.loads(text)

    def status(self):
        for child in list(self.children.running):  # the plant too: without it the channels stay stale
            self.children.check(child)
        return self.ask_json("status")

    def wait_running(self, channels_good):
        """Every process alive and, if asked, nothing that would refuse a reset."""
        def ready():
            status = self.status()
            if status is None or not all(p["alive"] for p in status["processes"]):
                return None
            if channels_good and not all(c["quality"] == "good" for c in status["channels"]):
                return None
            return status
        return wait_for("a running server" + (" with good channels" if channels_good else ""), ready, 10)

    def command(self, op):
        """(code, text): 0 is done, -EPERM refused."""
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.settimeout(5)
            self.socket.connect(str(RUN_DIR / self.instance / "server.sock"))
        self.socket.send(self.REQUEST.pack(self.MAGIC, self.VERSION, op, 0, 0, b"", b"", b""))
        reply = self.socket.recv(4096)
        if len(reply) < self.REPLY.size:
            raise DemoError("the server closed its socket")
        magic, version, _, code, _, _ = self.REPLY.unpack_from(reply)
        if (magic, version) != (self.MAGIC, self.VERSION):
            raise DemoError(f"expected a reply of protocol version {self.VERSION}, found version {version}")
        return code, reply[self.REPLY.size:].split(b"\0")[0].decode()

    def wait_gate(self):
        """Nothing that the arming gate asks for is missing any more."""
        missing = {}

        def passes():
            status = self.status()
            if status is None:
                return False
            missing.clear()
            missing.update(status["interlock"]["gate"]["advice"])
            return not status["interlock"]["gate"]["missing"]

        try:
            wait_for("the arming gate to pass", passes, 10)
        except DemoError as late:
            raise DemoError(f"{late}; it misses " + "; ".join(f"{k}: {v}" for k, v in missing.items())) from None

    def must(self, command, *operands):
        code, text = self.ask(command, self.instance, *operands)
        if code != 0:
            raise DemoError(f"sluice {command} was refused: {text.strip()}")

    def stop(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.children.stop(self.child)
