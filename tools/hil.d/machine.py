"""One guest: QEMU, its monitor (QMP), and the line over which the tests in it report and ask.

The line is the guest's second serial port, one JSON object a line, see tests/hil/guest.py for the other end:
  guest: {"begin": n}  {"test": name, "ok": true|false|null, "why": text, "s": seconds}  {"say": text}  {"done": true}
         {"ask": what, "id": n, ..}        host: {"id": n, "answer": ..} or {"id": n, "error": text}
"""
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import kernel as kernels
from words import BenchError

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
CONSOLE_TAIL_LINES = 25
START_PATIENCE_S = 10
POWER_OFF_PATIENCE_S = 10
SHARED = (("usr", "/usr"), ("release", "build/release"), ("tests", "tests"), ("tools", "tools"))
# What the guest may say in one line, and in all: it runs what is tested, so it is not believed.
LINE_BYTES_MAX = 4 << 20


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def free_memory_mb():
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) // 1024


class LineSocket:
    """Lines of JSON over a Unix socket."""

    def __init__(self, path, alive):
        self.socket = socket.socket(socket.AF_UNIX)
        self.rest = b""
        deadline = time.monotonic() + START_PATIENCE_S
        while True:
            try:
                self.socket.connect(str(path))
                return
            except OSError:
                if not alive() or time.monotonic() > deadline:
                    self.socket.close()
                    raise
                time.sleep(0.02)

    def send(self, thing):
        self.socket.sendall(json.dumps(thing).encode() + b"\n")

    def lines(self):
        """What has come: objects, or text that is none. None at the end."""
        with contextlib.suppress(ConnectionResetError):
            piece = self.socket.recv(1 << 16)
            if piece:
                *whole, self.rest = (self.rest + piece).split(b"\n")
                if len(self.rest) > LINE_BYTES_MAX:
                    raise BenchError("the guest sends a line without an end")
                return [self._parsed(line) for line in whole if line.strip()]
        return None

    @staticmethod
    def _parsed(line):
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else line.decode("utf-8", "replace")


class Monitor:
    """QMP. Commands are answered in order; events are kept with the time that QEMU gives them."""

    def __init__(self, path, alive):
        self.line = LineSocket(path, alive)
        self.answers, self.events = [], []
        self.lock = threading.Lock()
        self.command("qmp_capabilities")

    def take(self):
        found = self.line.lines()
        for thing in found or []:
            if "event" in thing:
                self.events.append(thing)
            elif "QMP" not in thing:
                self.answers.append(thing)
        return found is not None

    def command(self, name, /, **arguments):
        with self.lock:
            self.line.send({"execute": name, "arguments": arguments})
            deadline = time.monotonic() + START_PATIENCE_S
            while not self.answers:
                ready, _, _ = select.select([self.line.socket], [], [], max(0, deadline - time.monotonic()))
                if not ready or not self.take():
                    raise BenchError(f"QEMU's monitor does not answer {name}")
            answer = self.answers.pop(0)
        if "error" in answer:
            raise BenchError(f"{name}: {answer['error'].get('desc', answer['error'])}")
        return answer.get("return")


class Machine:
    """Runs a guest to its end. report(kind, *what) is called from the machine's own thread for every test."""

    def __init__(self, guest, image, folder, options, report):
        self.guest, self.image, self.folder, self.options, self.report = guest, image, folder, options, report
        self.process = self.monitor = self.channel = None
        self.console = options.logs / f"{guest.name}.console"
        self.asked_to_stop = threading.Event()
        self.boots, self.kept = 0, {}
        self.done = False
        self.host = None

    # ---- Starting.

    def command(self):
        image, guest = self.image, self.guest
        share = image.qemu / "usr/share"
        words = [str(kernels.qemu_program(image.qemu))]
        for folder in (share / "qemu", share / "seabios", image.qemu / "usr/lib/ipxe/qemu"):
            words += ["-L", str(folder)]
        words += ["-M", "q35" + guest.machine, "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(guest.memory_mb),
                  "-smp", str(guest.cores), "-nodefaults", "-no-user-config", "-display", "none"]
        words += [] if guest.resets else ["-no-reboot"]
        words += self._first_devices() + self._shares()
        words += [text.replace("{run}", str(self.folder)) for text in guest.qemu]
        words += ["-kernel", str(image.vmlinux), "-initrd", str(image.initrd), "-append", self._kernel_arguments()]
        return words

    def _first_devices(self):
        """First: an IOMMU has to be there before the devices that it is for. Then the two serial ports and the monitor."""
        words = list(self.guest.first)
        if self.options.shell:
            words += ["-chardev", f"stdio,id=console,mux=on,signal=off,logfile={self.console}", "-mon", "console"]
        else:
            words += ["-chardev", f"file,id=console,path={self.console}"]
        words += ["-device", "isa-serial,chardev=console"]
        for name in ("channel", "qmp"):
            words += ["-chardev", f"socket,id={name},path={self.folder}/{name},server=on,wait=off"]
        return words + ["-device", "isa-serial,chardev=channel", "-mon", "qmp,mode=control"]

    def _shares(self):
        words = []
        for tag, path in SHARED:
            path = path if path.startswith("/") else self.options.root / path
            words += ["-fsdev", f"local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap",
                      "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}{self.guest.virtio}"]
        return words

    def _kernel_arguments(self):
        mode = "shell" if self.options.shell else "tests"
        quiet = "loglevel=4" if self.options.shell else "quiet"
        return f"console=ttyS0 panic=-1 {quiet} no_timer_check hil={mode} {self.guest.kernel_args}"

    def start(self):
        free = free_memory_mb()
        if free < self.guest.memory_mb + 256:
            raise BenchError(f"guest {self.guest.name}: expected {self.guest.memory_mb + 256} MB of free memory, found {free}")
        self.folder.mkdir(parents=True)
        self.console.unlink(missing_ok=True)
        shell = self.options.shell
        with open(self.options.logs / f"{self.guest.name}.qemu", "wb") as errors:
            # pylint: disable-next=consider-using-with,subprocess-popen-preexec-fn
            self.process = subprocess.Popen(
                self.command(), stdin=None if shell else subprocess.DEVNULL, stdout=None if shell else errors, stderr=errors,
                env=kernels.qemu_environment(self.image.qemu), preexec_fn=die_with_parent, process_group=None if shell else 0)
        try:
            self.monitor = Monitor(self.folder / "qmp", self.is_alive)
            self.channel = LineSocket(self.folder / "channel", self.is_alive)
        except OSError as error:
            self.stop()
            raise BenchError(f"guest {self.guest.name}: QEMU does not start: {self.qemu_words() or error}") from error

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def qemu_words(self):
        path = self.options.logs / f"{self.guest.name}.qemu"
        return path.read_text(encoding="utf-8", errors="replace").strip()[-1000:] if path.exists() else ""

    # ---- Running.

    def run(self):
        """Until the guest is done and off, or its time is up, or QEMU ends. Returns what was wrong, or None."""
        deadline = time.monotonic() + self.guest.seconds * self.options.patience
        sockets = {self.monitor.line.socket: self._take_events, self.channel.socket: self._take_lines}
        while sockets and not self.asked_to_stop.is_set():
            ready, _, _ = select.select(list(sockets), [], [], 0.2)
            for one in ready:
                if not sockets[one]():
                    del sockets[one]
            if not self.done and not self.options.shell and time.monotonic() > deadline:
                return f"not done after {self.guest.seconds * self.options.patience:g} s"
        if self.asked_to_stop.is_set():
            return "interrupted"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(POWER_OFF_PATIENCE_S)
        if self.options.shell:
            return None
        return None if self.done else f"the guest ended before its tests did; {self.qemu_words()}".rstrip("; ")

    def _take_events(self):
        with self.monitor.lock:
            if not select.select([self.monitor.line.socket], [], [], 0)[0]:
                return True  # a command that waited for its answer has taken this one
            return self.monitor.take()

    def _take_lines(self):
        found = self.channel.lines()
        for thing in found or []:
            if isinstance(thing, str):
                self.report("say", thing)
            elif "ask" in thing:
                self._answer(thing)
            elif "test" in thing:
                self.report("test", str(thing["test"]), thing.get("ok"), str(thing.get("why", "")), float(thing.get("s", 0)))
            elif "begin" in thing:
                self.report("begin", int(thing["begin"]))
            elif "say" in thing:
                self.report("say", str(thing["say"]))
            elif thing.get("done"):
                self.done = True
        return found is not None

    def _answer(self, asked):
        """In a thread of its own: some asks take their time, and the monitor is to be read meanwhile."""
        def work():
            try:
                what = asked.pop("ask")
                number = asked.pop("id")
                handler = getattr(self.host, f"ask_{what}", None)
                if handler is None:
                    raise BenchError(f"the host does not know how to '{what}'")
                reply = {"id": number, "answer": handler(**asked)}
            except (BenchError, OSError, TypeError, ValueError, KeyError) as error:
                reply = {"id": number, "error": f"{error}"}
            with contextlib.suppress(OSError):
                self.channel.send(reply)

        threading.Thread(target=work, daemon=True).start()

    # ---- Ending.

    def stop(self):
        """QEMU is gone after this, and so is the folder with its sockets."""
        if self.is_alive():
            self.process.kill()
        if self.process is not None:
            self.process.wait()
        for line in (self.channel, self.monitor and self.monitor.line):
            if line:
                line.socket.close()
        if self.host is not None:
            self.host.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def console_tail(self):
        """The console's last lines, for a test that failed by the guest's fault."""
        try:
            lines = self.console.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if line.strip()][-CONSOLE_TAIL_LINES:]
