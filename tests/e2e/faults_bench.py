"""Faults, each against a running server and the plant: what the simulated relay did is read from the plant's truth log,
never from a log of ours.

A group is one Case with a Bench: a plant, a server, and rules that each fault is meant for. `trips`, `holds_on` and the
other verdicts inject one fault, look at the relay, at the first-out, at what an `arm` without a reset does, and make one
row of the table. Times are measured (the plant's clock, or the kernel's for a signal) and put down; none is asserted.

A stall of the machine may trip an armed server just before the fault does. That is seen by its first-out (stale, deadline
..) and the fault is tried again; what would be dangerous (a line energised after a trip) fails at once.
"""
import json
import os
import re
import socket
import struct
import time

import support
from support import BIN, wait_until

ROWS_DIR = os.environ.get("SLUICE_FAULTS_DIR", os.path.join(os.path.dirname(BIN), "faults"))
FAULTCLOCK = os.environ.get("SLUICE_FAULTCLOCK", os.path.join(os.path.dirname(BIN), "lib/libfaultclock.so"))
BLACK_BOX = os.path.exists(os.path.join(BIN, "sluice-blackbox"))
TRIES = 4
STALLS = ("stale", "deadline", "heartbeat", "history", "output", "gate", "overrun", "readback", "stuck")
LINES = ("relief", "supply")
SAFE, BOTH = frozenset(), frozenset(LINES)
WATCHDOG_MS = 800
STALE_MS = 250


class Disturbed(Exception):
    """The machine, not the fault, did it: to be tried again."""


def tai_ns():
    return time.clock_gettime_ns(time.CLOCK_TAI)


class Truth:
    """The plant's own log, as far as it is written."""

    def __init__(self, path):
        self.path = path

    def events(self, name=None, since=0):
        with open(self.path, encoding="utf-8") as file:
            rows = [line.split(" ") for line in file.read().split("\n")[:-1]]
        for row in rows:
            if len(row) > 2 and row[0].isdigit() and int(row[0]) >= since and name in (None, row[2]):
                yield int(row[0]), row[2], dict(re.findall(r"(\w+)=(\S+)", " ".join(row[3:])))

    def lines(self):
        """(TAI, lines energised from then on, who said so) for each command that changed any."""
        energised = set()
        changes = []
        for at, _, what in self.events("line_changed"):
            (energised.add if what["energised"] == "1" else energised.discard)(what["line"])
            if changes and changes[-1][0] == at:
                changes.pop()
            changes.append((at, frozenset(energised), what["origin"]))
        return changes

    def now(self):
        lines = self.lines()
        return lines[-1][1] if lines else SAFE

    def since(self, at):
        return [change for change in self.lines() if change[0] >= at]


class Plant:
    """sluice-plant with a socket through which faults are injected."""

    def __init__(self, case, *options, actuator=None, udp_hz=500):
        self.case = case
        number = case.count()
        self.truth_path = case.path(f"truth{number}")
        self.inject_path = case.path(f"inject{number}")
        self.udp_port = support.free_udp_port()
        self.relay_port = support.free_udp_port()
        self.actuator = actuator or f"udp:127.0.0.1:{self.relay_port}"
        with open(self.truth_path + ".err", "wb") as log:
            self.process = support.spawn(
                os.path.join(BIN, "sluice-plant"), "--udp", f"127.0.0.1:{self.udp_port}", "--udp-hz", str(udp_hz),
                "--actuator", self.actuator, "--relay-watchdog-ms", str(WATCHDOG_MS), "--truth", self.truth_path,
                "--inject", self.inject_path, "--ack-stream", "none", *options, stdout=log, stderr=log)
        case.addCleanup(support.stop, self.process)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind(case.path(f"asker{number}"))
        self.socket.settimeout(support.PATIENCE_S)
        wait_until(lambda: os.path.exists(self.inject_path) and os.path.exists(self.truth_path), "the plant")
        self.truth = Truth(self.truth_path)

    def inject(self, what, **values):
        """When it happened: TAI by the plant's clock."""
        event = ", ".join([f"do: {what}", *(f"{key}: {value}" for key, value in values.items())])
        self.socket.sendto(("{" + event + "}").encode(), self.inject_path)
        answer = self.socket.recv(1024).decode()
        self.case.assertRegex(answer, r"^ok \d+$", event)
        return int(answer.split()[1])


class Preload:
    """libfaultclock.so in a server: its wall clock and its disk, as the test says."""

    def __init__(self, case):
        self.case = case
        self.path = case.path(f"clock{case.count()}")
        with open(self.path, "wb") as file:
            file.write(bytes(24))
        case.assertTrue(os.path.exists(FAULTCLOCK), f"{FAULTCLOCK} does not exist: build the target faultclock")
        self.environment = {"LD_PRELOAD": FAULTCLOCK, "SLUICE_TEST_CLOCK": self.path}

    def set(self, ahead_s=0, sync_s=0, pwrite_s=0):
        at = tai_ns()
        with open(self.path, "r+b", buffering=0) as file:
            file.write(struct.pack("<qqq", int(ahead_s * 1e9), int(sync_s * 1e9), int(pwrite_s * 1e9)))
        return at


def plant_channels(prefix=""):
    """The plant's four channels, its valves' limit switches and its count that goes on while it lives."""
    return [*support.channels(prefix, stale_ms=STALE_MS),
            {"name": prefix + "life", "at_byte": 28, "type": "u8", "unit": "1", "range": [0, 255], "stale_ms": STALE_MS},
            {"name": prefix + "valves", "at_byte": 29, "type": "u8", "unit": "1", "range": [0, 255], "stale_ms": STALE_MS}]


RULES = [
    {"name": "overpressure", "channel": "chamber_pressure", "high": 150},
    {"name": "ramp", "channel": "chamber_pressure", "rate_high": 400, "rate_low": -400, "window_ms": 40},
    {"name": "stuck_gauge", "channel": "chamber_pressure", "stuck_ms": 600, "band": 0.0001},
    {"name": "box_alive", "channel": "life", "heartbeat_ms": 450},
    {"name": "article_cold", "channel": "article_temperature", "low": -150},
    {"name": "seal_burst", "channel": "valves", "bits_set": 16},
]

FEEDBACK = {"relief": {"channel": "valves", "energised_bits": 2, "safe_bits": 1, "time_ms": 400},
            "supply": {"channel": "valves", "energised_bits": 4, "safe_bits": 8, "time_ms": 400}}


def config(case, plant, rules=None, readback=False, outputs="udp", **control):
    """One UDP source, two lines at the plant's relay, limits that a fault reaches soon."""
    target = plant.actuator.split(":", 1)[1]
    text = support.config(case.instance, [support.udp_source(plant.udp_port, channels=plant_channels())],
                          support.outputs_to(target, outputs), RULES if rules is None else rules,
                          **{"silence_ms": 300, "output_fault_ms": 400, **control})
    if BLACK_BOX:
        text["black_box"] = {"directory": case.path("trips"), "pre_ms": 200, "post_ms": 20, "keep": 1000, "room_mb": 8}
    if readback:
        for output, line in zip(text["outputs"], LINES):
            output["feedback"] = FEEDBACK[line]
    return text


class Bench:
    def __init__(self, case, plant, text, **options):
        self.case = case
        self.plant = plant
        self.truth = plant.truth
        self.text = text
        self.options = options
        self.server = case.server(text, **options).start()

    # ---- What an operator does.

    def status(self):
        return self.server.status()

    def interlock(self):
        status = self.status()
        return status["interlock"] if status else None

    def armed(self):
        """Armed, both lines energised at the relay, every input good; the trips so far."""
        self.server.make_armed()

        def there():
            interlock = self.interlock()
            return self.truth.now() == BOTH or (interlock is not None and not interlock["armed"])

        wait_until(there, lambda: f"both lines at the relay; {self.interlock()}")
        interlock = self.interlock()
        if interlock is None or not interlock["armed"]:
            raise Disturbed(f"tripped by itself: {interlock and interlock['first_out']}")
        return interlock["trips"]

    def restart(self):
        """A new server with the same configuration (FAULT is left in no other way)."""
        if self.server.process.poll() is None:
            self.server.end()
        self.case.assert_nothing_left(self.server)
        self.server.start()

    def steps(self, count=200):
        """The interlock has decided so many times more."""
        def number():
            interlock = self.interlock()
            return interlock["steps"] if interlock else None

        first = wait_until(number, "an answer")
        wait_until(lambda: (number() or 0) >= first + count, "more decisions")

    # ---- Verdicts. Each makes one row.

    def _try(self, fault, verdict):
        """The verdict; again if the machine was in the way."""
        whys = []
        for _ in range(TRIES):
            try:
                return verdict()
            except Disturbed as why:
                whys.append(str(why))
                print(f"    {fault}: again, {why}", flush=True)
                self.case.cured(self)
        raise AssertionError(f"{fault}: each time something else came first: {'; '.join(whys)}. The machine's stalls come and go; "
                             "what comes every time is the server's")

    def reported(self, fault, trip):
        """The black box has told of this trip: in a directory of its own, or, where it came while the report of one before was
        under way, in that one. None if there is no black box."""
        if not BLACK_BOX:
            return None
        directory = self.text["black_box"]["directory"]

        def told(name):
            with open(os.path.join(directory, name, "trip.json"), encoding="utf-8") as file:
                return [one["trip"] for one in json.load(file)["trips"]]

        def there():
            written = [name for name in os.listdir(directory) if re.search(r"-trip\d+$", name)]
            return [name for name in written if name.endswith(f"-trip{trip}") or trip in told(name)]

        wait_until(there, lambda: f"{fault}: the report of trip {trip}; there are {sorted(os.listdir(directory))}")
        return True

    def undisturbed(self):
        """Nothing that a stall of the machine looks like came first."""
        first = (self.interlock() or {}).get("first_out")
        if first and first["kind"] in STALLS:
            raise Disturbed(f"first-out {first['text']}")

    def _dropped(self, fault, at, lines=SAFE):
        """(when, who) the relay got there: the first moment from `at` on with only these lines energised."""
        before = [change for change in self.truth.lines() if change[0] < at]
        if not before or before[-1][1] != BOTH:
            raise Disturbed("the lines were not both energised when the fault came")

        def there():
            changes = [change for change in self.truth.since(at) if change[1] == lines]
            if not changes and lines != SAFE:
                self.undisturbed()
            return changes

        when, _, who = wait_until(there, lambda: f"{fault}: {set(lines) or 'no line'} at the relay, it has "
                                                 f"{set(self.truth.now())}; {self.interlock()}", pause_s=0.005)[0]
        return when, who

    def _first_out(self, fault, expected, state="tripped"):
        """expected: (kind, channel, rule), None where it does not matter."""
        status = self.server.wait_status(lambda s: s["interlock"]["state"] == state and s["interlock"]["first_out"],
                                         f"{fault}: state {state}")
        first = status["interlock"]["first_out"]
        found = (first["kind"], first["channel"], first["rule"])
        if any(want not in (None, have) for want, have in zip(expected, found)):
            if found[0] in STALLS and found[0] != expected[0]:
                raise Disturbed(f"first-out {found}")
            self.case.fail(f"{fault}: first-out {found}, expected {expected}; {first['text']}")
        return " ".join(str(part) for part in (found[0], found[2] or found[1]) if part)

    def _no_rearm(self, fault, since, allowed=SAFE):
        """Healthy again, an `arm` without a reset is refused and nothing moves."""
        self.server.wait_status(lambda s: s["interlock"]["state"] == "tripped" and not s["interlock"]["causes"],
                                f"{fault}: nothing stands any more")

        def told_to_reset():
            """The machine may have stalled, and a cause stand again for a moment; an arm is refused in any case."""
            done = self.server.cli("arm", self.server.instance)
            self.case.assertEqual(done.returncode, 1, f"{fault}: arm without a reset: {done}")
            return "reset" in done.stderr

        wait_until(told_to_reset, f"{fault}: the arm to be refused for want of a reset")
        self.steps()
        self.case.assertEqual(self.interlock()["state"], "tripped", fault)
        self.assert_safe_since(fault, since, allowed)

    def assert_safe_since(self, fault, since, allowed=SAFE):
        """Fails at once: a line that comes back is what must never happen."""
        wrong = [change for change in self.truth.since(since) if change[1] - allowed]
        self.case.assertEqual(wrong, [], f"{fault}: a line was energised again without an operator")

    def trips(self, fault, how, inject, first, by="control", cure=None, box=True):
        """The fault takes the permit away; when it is gone, only reset and arm give it back. box=False: there is no room for
        the black box's report."""
        def verdict():
            trips = self.armed()
            at = inject()
            when, who = self._dropped(fault, at)
            if who != by and who == "watchdog":
                raise Disturbed("the relay's watchdog was faster: a stall")
            self.case.assertEqual(who, by, fault)
            name = self._first_out(fault, first)
            number = self.interlock()["trips"]
            self.case.assertGreater(number, trips, fault)
            self.assert_safe_since(fault, when)
            if cure is not None:
                cure()
            self._no_rearm(fault, when)
            written = self.reported(fault, number) if box else None
            self.case.row(fault, how, f"both lines dropped by {by}", name, when - at, written)

        self._try(fault, verdict)

    def holds_on(self, fault, how, inject, seen_when, cure=None):
        """The fault changes nothing: no line moves, no trip. seen_when: the server has noticed it (a counter), or None."""
        def verdict():
            trips = self.armed()
            at = inject()
            if seen_when is not None:
                self.server.wait_status(seen_when, f"{fault}: noticed")
            self.steps()
            if cure is not None:
                cure()
            self.steps()
            moved = self.truth.since(at)
            interlock = wait_until(self.interlock, "an answer")
            first = interlock["first_out"] or {"kind": "none", "text": "none"}
            if moved and first["kind"] in STALLS:
                raise Disturbed(f"first-out {first['text']}")
            self.case.assertEqual(moved, [], f"{fault}: a line moved; first-out {first['text']}")
            self.case.assertEqual((interlock["trips"], interlock["state"]), (trips, "armed"), fault)
            self.case.row(fault, how, "no line moved, still armed", "none", None)

        self._try(fault, verdict)


class FaultCase(support.Case):
    """One group of faults. `group` names it and its file of rows."""
    group = "?"

    def setUp(self):
        super().setUp()
        self.rows = []
        os.makedirs(ROWS_DIR, exist_ok=True)
        self.rows_path = os.path.join(ROWS_DIR, f"{self.group}.json")
        if os.path.exists(self.rows_path):
            os.unlink(self.rows_path)

    def write_rows(self):
        """Only once all of the group has passed: a table never shows half a run."""
        with open(self.rows_path, "w", encoding="utf-8") as file:
            json.dump(self.rows, file, indent=1)

    def row(self, fault, how, seen, first, took_ns, box=None):
        """box: True if the black box has written a directory of this trip, None if there was none to be written."""
        took_ms = None if took_ns is None else took_ns / 1e6
        self.rows.append({"fault": fault, "how": how, "seen": seen, "first_out": first, "ms": took_ms, "box": box})
        print(f"  {fault:58s} {seen}; first-out {first}" + (f"; {took_ms:.1f} ms" if took_ns is not None else ""),
              flush=True)

    def cured(self, bench):
        """Ends every fault that the plant can have."""
        for what in ("sensor_returns", "valve_returns", "readback_returns", "relay_returns"):
            bench.plant.inject(what)
