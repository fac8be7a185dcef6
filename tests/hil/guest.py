"""For tests in a guest of the hardware bench: modules, and what is asked of the host. See tools/hil and
tools/hil.d/machine.py for the other end."""
import json
import os
import select
import subprocess
import termios
import threading
import tty

LINE = "/dev/ttyS1"
MODULES = "/hil/modules"
ASK_PATIENCE_S = 60


class HostRefused(Exception):
    """The host said no; its words."""


class _Line:
    """One writer at a time; only one thread may ask at a time, and takes its own answer."""

    def __init__(self):
        self.fd = os.open(LINE, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        tty.setraw(self.fd, termios.TCSANOW)
        self.lock = threading.Lock()
        self.number = 0
        self.rest = b""

    def send(self, thing):
        data = json.dumps(thing).encode() + b"\n"
        while data:
            data = data[os.write(self.fd, data):]

    def ask(self, what, fields, patience_s):
        with self.lock:
            self.number += 1
            self.send({"ask": what, "id": self.number, **fields})
            while True:
                answer = self._line(what, patience_s)
                if answer.get("id") == self.number:
                    break
        if "error" in answer:
            raise HostRefused(f"{what}: {answer['error']}")
        return answer.get("answer")

    def _line(self, what, patience_s):
        while b"\n" not in self.rest:
            if not select.select([self.fd], [], [], patience_s)[0]:
                raise HostRefused(f"{what}: no answer within {patience_s} s")
            self.rest += os.read(self.fd, 65536)
        line, self.rest = self.rest.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError:
            return {}


_line = None
_run = {}


def line():
    global _line  # pylint: disable=global-statement
    if _line is None:
        _line = _Line()
    return _line


def ask(what, patience_s=ASK_PATIENCE_S, **fields):
    """The host's answer to ask_WHAT(fields) of tests/hil/host.py, or HostRefused."""
    return line().ask(what, fields, patience_s)


def tell(**thing):
    line().send(thing)


def run():
    """What this boot is for: {guest, tests, only, broken, kernel, boots}. Asked once a boot."""
    if not _run:
        _run.update(ask("run"))
    return _run


def is_broken(name):
    """The run was told to break this stand-in (tools/hil --break NAME): its test has to fail then."""
    return name in run()["broken"]


# ---- Modules.


def _needed():
    with open("/hil/needed", encoding="ascii") as file:
        return {words[0]: words[1:] for words in (text.split() for text in file)}


def is_loaded(name):
    return os.path.isdir(f"/sys/module/{name.replace('-', '_')}")


def load(name, *parameters):
    """Loads a module with what it needs. One that is there already stays as it is."""
    name = name.replace("-", "_")
    needed = _needed()
    if name not in needed and not is_loaded(name):
        raise AssertionError(f"module {name} is not in this guest: name it in `modules` of tests/hil/guests.py; there are: "
                             f"{', '.join(sorted(needed))}")
    if is_loaded(name):
        return
    for other in needed[name]:
        if not is_loaded(other) and other in needed:
            load(other)
    run_ = subprocess.run(["/hil/busybox", "insmod", f"{MODULES}/{name}.ko", *parameters], capture_output=True, text=True,
                          check=False)
    if run_.returncode != 0 and not is_loaded(name):
        raise AssertionError(f"cannot load module {name}: {run_.stderr.strip()}")


def unload(name):
    run_ = subprocess.run(["/hil/busybox", "rmmod", name.replace("-", "_")], capture_output=True, text=True, check=False)
    if run_.returncode != 0:
        raise AssertionError(f"cannot unload module {name}: {run_.stderr.strip()}")
