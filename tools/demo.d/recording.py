"""Plays one column of a CSV file through a pseudo-terminal into a server of its own, one sample at a time.

In lock step: a sample is written when it is due, and the next one only after the server's own output datagram has said
that it has evaluated this one. So the trips depend on the data alone, not on the machine. While the permit is down we
do what an operator would: `reset` after each sample (refused while the cause stands), then `arm`.
"""
import csv
import datetime
import json
import math
import os
import pathlib
import pty
import re
import socket
import struct
import subprocess
import time
import tty

import processes
from processes import DemoError, say

CONFIG = processes.DEMO / "recording.yaml"
LINK = processes.DEMO / "recording.tty"
LOG = processes.DEMO / "recording.log"
INSTANCE, RING = "recording", "recording"
DATAGRAM = struct.Struct(">IIQIIQQII")  # control/output.h
MAGIC, ORIGIN_CONTROL = 0x534C4F31, 1
ANSWER_S = 5.0
TRIPS_SHOWN = 400
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
TIME_COLUMNS = ("datetime", "timestamp", "date_time", "time", "date")


class Recording:
    """The samples of a file: text as written, number (NaN if it is none), and when each was taken."""

    def __init__(self, path, column, separator):
        rows = self.read(path, separator)
        header = [name.strip() for name in rows[0]]
        if column not in header:
            raise DemoError(f"{path} has no column '{column}'; it has: " + ", ".join(f"'{name}'" for name in header))
        at = header.index(column)
        clock = next((i for name in TIME_COLUMNS for i, have in enumerate(header) if have.lower() == name), None)
        body = [row for row in rows[1:] if any(cell.strip() for cell in row)]
        self.column = column
        self.texts = [row[at].strip() if at < len(row) else "" for row in body]
        self.values = [float(text) if NUMBER.fullmatch(text) else math.nan for text in self.texts]
        if not any(math.isfinite(value) for value in self.values):
            raise DemoError(f"{path}: expected numbers in column '{column}', found none")
        self.labels = [row[clock].strip() if clock is not None and clock < len(row) else "" for row in body]
        self.times_s = self.read_times() or [float(i) for i in range(len(body))]

    def read(self, path, separator):
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as failed:
            raise DemoError(f"cannot read {path}: {failed}") from None
        first = text.partition("\n")[0]
        if separator == "auto":
            separator = ";" if first.count(";") > first.count(",") else ","
        self.separator, self.quoted = separator, '"' in text
        rows = list(csv.reader(text.splitlines(), delimiter=separator))
        if len(rows) < 2:
            raise DemoError(f"{path}: expected a line of names and lines of samples, found {len(rows)} lines")
        return rows

    def read_times(self):
        """Seconds from the first sample, or None if the file does not say, or not in order."""
        try:
            stamps = [datetime.datetime.fromisoformat(label) for label in self.labels]
            times_s = [(stamp - stamps[0]).total_seconds() for stamp in stamps]
        except (ValueError, TypeError):
            return None
        return times_s if all(a <= b for a, b in zip(times_s, times_s[1:])) else None


def write_config(recording, low, high, speed, port):
    """A server for one column. Everything about time is wide: the player waits for the server, not the reverse."""
    numbers = [v for v in recording.values if math.isfinite(v)] + [x for x in (low, high) if x is not None]
    margin = max(numbers) - min(numbers) + max(1.0, abs(max(numbers)), abs(min(numbers)))
    longest_s = max((b - a for a, b in zip(recording.times_s, recording.times_s[1:])), default=0.0)
    stale_ms = min(3600000, max(2000, int(3000 * longest_s / speed)))
    channel = re.sub(r"[^a-z0-9]+", "_", recording.column.lower()).strip("_")[:31] or "value"
    limits = ", ".join(f"{key}: {x!r}" for key, x in (("low", low), ("high", high)) if x is not None)
    CONFIG.write_text(f"""\
# Made by tools/demo --recording: one column of a recording, as text lines over a pseudo-terminal.
instance: {INSTANCE}

memory: {{pages: huge_or_normal, lock: true}}

control:
  idle: duty
  on_miss: alarm            # the recording is played in lock step: nothing here is a race
  stall_trip_ms: 60000
  output_fault_ms: 60000
  acknowledge_us: 0         # every sample is answered at once
  refresh_us: 20000

arming: {{waive: [pinned, locked, pages, unthrottled, latency, clock, config, black_box, doctor]}}
audit: {{file: none}}

workers:
  - {{name: player, idle: wait}}

rings:
  - {{name: {RING}, slots: 65536}}

sources:
  - name: player
    kind: serial
    worker: player
    ring: {RING}
    device: {LINK}
    format: text
    fields: 1
    channels:
      - {{name: {channel}, field: 0, unit: units, range: [{min(numbers) - margin!r}, {max(numbers) + margin!r}], stale_ms: {stale_ms}}}

rules:
  - {{name: limit, channel: {channel}, {limits}, delay_samples: 1}}

outputs:
  - {{name: permit, kind: udp, target: "127.0.0.1:{port}", line: 0, acknowledge: {RING}}}
""", encoding="ascii")


class Player:
    def __init__(self, recording):
        self.recording, self.server = recording, None
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)  # neither echo nor line editing, before anyone opens it
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(os.ttyname(self.slave))
        self.outputs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outputs.bind(("127.0.0.1", 0))
        self.evaluated, self.permit = None, False

    def close(self):
        LINK.unlink(missing_ok=True)
        for fd in (self.master, self.slave):
            os.close(fd)
        self.outputs.close()

    def port(self):
        return self.outputs.getsockname()[1]

    def take(self, timeout_s):
        """One word of the control loop; False if none came. A timeout of 0 takes what is there."""
        self.outputs.settimeout(timeout_s)
        try:
            datagram = self.outputs.recv(256)
        except (TimeoutError, BlockingIOError):
            return False
        if len(datagram) != DATAGRAM.size:
            raise DemoError(f"expected output datagrams of {DATAGRAM.size} bytes, one has {len(datagram)}")
        magic, _, _, _, energised, evaluated, _, origin, _ = DATAGRAM.unpack(datagram)
        if magic == MAGIC and origin == ORIGIN_CONTROL:
            self.evaluated, self.permit = evaluated, energised & 1 == 1
        return True

    def wait(self, what, condition):
        end_s = time.monotonic() + ANSWER_S
        while not condition():
            if not self.take(max(0.001, end_s - time.monotonic())) or time.monotonic() > end_s:
                if condition():
                    return
                self.server.children.check(self.server.child)
                raise DemoError(f"expected {what} within {ANSWER_S:g} s, it did not come; see {LOG}")

    def send(self, index, base):
        """Writes a sample and waits until control has decided on exactly that."""
        value = self.recording.values[index]
        os.write(self.master, (repr(value) if math.isfinite(value) else "nan").encode() + b"\n")
        self.wait(f"the evaluation of sample {index}", lambda: self.evaluated >= base + index + 1)
        if self.evaluated != base + index + 1:
            raise DemoError(f"expected {base + index + 1} evaluated frames after sample {index}, the server says "
                            f"{self.evaluated}: it has seen something that we did not send")

    def operate(self):
        """The operator's part. True if the permit is there again."""
        code, text = self.server.command(self.server.RESET)
        if code != 0:
            if "cause stands" not in text:
                raise DemoError(f"expected reset to be done or refused for a standing cause, got: {text}")
            return False
        code, text = self.server.command(self.server.ARM)
        if code != 0:
            raise DemoError(f"expected arm to be done after a reset, got: {text}")
        self.wait("the permit after arm", lambda: self.permit)
        return True

    def first_out(self):
        """The outputs are written before the evidence: what a status shows may be a step behind them."""
        end_s = time.monotonic() + ANSWER_S
        while True:
            status = self.server.status()
            first = status["interlock"]["first_out"] if status else None
            if isinstance(first, dict):
                return first
            if time.monotonic() > end_s:
                raise DemoError(f"the permit has dropped, but in {ANSWER_S:g} s sluice status named no first-out")
            time.sleep(0.01)

    def evidence(self, index, base):
        """The server's first-out, which must be this very sample."""
        first, value = self.first_out(), self.recording.values[index]
        same = (first.get("value") is None or math.isnan(first["value"])) if math.isnan(value) \
            else first["value"] == value
        if first["position"] != base + index or first["source_sequence"] != base + index or not same:
            raise DemoError(f"sample {index} ({value!r}) tripped, but the server's first-out is position "
                            f"{first['position']}, source_sequence {first['source_sequence']}, value {first['value']}: "
                            f"{first['text']}")
        return first

    def play(self, speed):
        """The trips, and the seconds it took."""
        recording, trips = self.recording, []
        while self.take(0):
            pass
        self.wait("a word of the control loop", lambda: self.evaluated is not None)
        base, begin_s = self.evaluated, time.monotonic()
        start_s, shown_s = begin_s, begin_s
        for index, time_s in enumerate(recording.times_s):
            now_s, due_s = time.monotonic(), start_s + time_s / speed
            if now_s < due_s:
                time.sleep(due_s - now_s)
            else:
                start_s += now_s - due_s  # behind: slip, never hurry
            armed = self.permit
            while self.take(0):
                if armed and not self.permit:
                    raise DemoError(f"the permit dropped between two samples: {self.first_out()['text']}")
            self.send(index, base)
            if armed and not self.permit:
                first = self.evidence(index, base)
                trips.append({"index": index, "timestamp": recording.labels[index] or recording.times_s[index],
                              "value": None if math.isnan(recording.values[index]) else recording.values[index],
                              "first_out": first})
                self.tell(len(trips), trips[-1])
            if not self.permit:
                self.operate()
            if time.monotonic() - shown_s > 5:
                shown_s = time.monotonic()
                say(f"  .. {index + 1:,} of {len(recording.values):,} samples, {len(trips)} trips")
        return trips, time.monotonic() - begin_s

    def tell(self, number, trip):
        if number == TRIPS_SHOWN + 1:
            say("  .. the other trips are in the --json file only")
        if number <= TRIPS_SHOWN:
            say(f"  trip {number:3d}: sample {trip['index']} ({trip['timestamp']}): {trip['first_out']['text']}")


def reference(options, recording):
    """[(index, text)] by tools/demo.d/reference.awk, or None where awk cannot read the file."""
    if recording.quoted or recording.separator not in ",;":
        return None
    limits = [word for key in ("low", "high") if getattr(options, key) is not None
              for word in ("-v", f"{key}={getattr(options, key)!r}")]
    done = subprocess.run(["awk", "-f", "tools/demo.d/reference.awk", "-v", f"column={recording.column}", *limits,
                           options.recording], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("trip ")] \
        if done.returncode == 0 else None


def play(children, options):
    """Exit code."""
    recording = Recording(options.recording, options.column, options.separator)
    limits = ", ".join(f"{key} limit {getattr(options, key):g}" for key in ("low", "high")
                       if getattr(options, key) is not None)
    say(f"demo: {len(recording.values):,} samples of '{recording.column}' from {options.recording}, {limits}, "
        f"{options.speed:g} times as fast as recorded")
    player = Player(recording)
    try:
        write_config(recording, options.low, options.high, options.speed, player.port())
        say(f"demo: starting sluiced {CONFIG} (log: {LOG})")
        player.server = processes.Server(children, CONFIG, INSTANCE, LOG)
        player.server.wait_running(channels_good=False)
        trips, seconds = player.play(options.speed)
        status = player.server.status()
        player.server.stop()
    finally:
        player.close()
    stream = status["streams"][0]
    if stream["delivered"] != len(recording.values) or stream["residual"] != 0:
        raise DemoError(f"sent {len(recording.values)} samples, the server's ledger has {stream['delivered']} delivered "
                        f"and a residual of {stream['residual']}")
    expected = reference(options, recording)
    same = expected is None or expected == [trip["index"] for trip in trips]
    if options.json is not None:
        pathlib.Path(options.json).write_text(json.dumps({
            "recording": options.recording, "column": recording.column, "low": options.low, "high": options.high,
            "speed": options.speed, "samples": len(recording.values), "seconds": round(seconds, 3),
            "reference_trips": None if expected is None else len(expected), "trips": trips}, indent=2) + "\n",
            encoding="utf-8")
    say(f"played {len(recording.values):,} samples in {seconds:.1f} s, {seconds / len(recording.values) * 1e6:,.0f} us "
        "each; every one delivered and decided on")
    if expected is None:
        say("reference: tools/demo.d/reference.awk cannot read this file's quotes or separator; not compared")
    else:
        say(f"reference: tools/demo.d/reference.awk finds {len(expected)} trips"
            + (", at the same samples" if same else ", NOT AT THE SAME SAMPLES"))
    say(f"trips: {len(trips)}")
    return 0 if same else 1
