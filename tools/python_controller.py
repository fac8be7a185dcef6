#!/usr/bin/python3
"""The interpreted controller of the accident, for comparison: 1 kHz, one loop, one relief valve.

What it models, and why it is fair
----------------------------------
Control rooms run automation suites written in an interpreted language. Reading four sensors and switching one output
needs a few kilobytes; what such a suite holds beside that is what this program holds:

  Tag        every measured or set point of the site, with its description, address, scaling and limits, its area
             above it and its alarms below it (default 4000 tags; four of them are live here)
  TrendPoint the trend of each tag, 256 points of value, time and quality, each knowing its tag
  Alarm      the alarm history, with the acknowledgement and the tags shown beside it
  ScanRecord one per poll: what was read, what was decided, what was published to whom, kept for 20 s

All are ordinary classes and dicts that refer to one another in both directions, as an object-relational layer leaves
them. With the defaults that is about 380 MB resident and about two and a half million objects. Nothing is done to
make it slow: samples are unpacked by struct, CRCs by binascii, histories are deques with a bound, and the limit check
and the command come before all bookkeeping in each poll. The garbage collector is on with CPython's own thresholds,
as in every program that does not touch them.

A full collection comes when the objects that survived since the last one reach a quarter of all: here about once a
minute, and it stops the loop for as long as it takes to walk every object, here about half a second. That time goes
with the number of objects more than with their bytes: with the qualities as plain dicts, which the collector skips, the
same 380 MB are half as many objects and the stop was 0.35 s.

A program just started has that far to go; one that has run for days is somewhere on the way. So before it serves it
ages: it does its bookkeeping, without input and output, through one full cycle of collections, then for a part of the
next: --phase, by default drawn evenly from --seed. Most phases do not meet the accident, and then this controller
does well; the result line says what happened either way. --phase-polls-left places the collection on purpose, as the
accident did.

Not modelled: other threads, swapping, a database. Those only make it worse.

The loop: sleep to an absolute schedule; take every sample that is waiting; trip (and latch) on a high, missing or
impossible chamber pressure; send a command each poll. It arms by itself after 100 good samples in a row.
"""
import argparse
import binascii
import collections
import gc
import json
import math
import random
import signal
import socket
import struct
import sys
import time

SAMPLE = struct.Struct(">IIQfihhHH")  # see tools/plant/wire.h
COMMAND = struct.Struct(">IIQIIQQII")
SYNC, MAGIC, ORIGIN_PYTHON, LINES_ALL = 0x54564143, 0x534C4F31, 3, 3
GOOD_SAMPLES_TO_ARM = 100
STALE_S = 0.1
TREND_POINTS, SCAN_RECORDS, ALARMS_PER_TAG = 256, 20000, 8


class Area:
    def __init__(self, name, parent):
        self.name, self.parent, self.children, self.tags = name, parent, [], []
        if parent is not None:
            parent.children.append(self)


class Tag:
    def __init__(self, number, area, rng):
        self.name = f"{area.name}.PT{number:05d}"
        self.area = area
        self.description = f"{area.name} measuring point {number}"
        self.attributes = {
            "unit": rng.choice(("kPa", "degC", "mm", "V")),
            "address": {"rack": number % 16, "slot": number % 32, "channel": number},
            "scaling": {"offset": rng.random(), "gain": rng.random()},
            "limits": {"LOLO": rng.random(), "LOW": rng.random(), "HIGH": rng.random(), "HIHI": rng.random()},
        }
        self.trend = collections.deque(maxlen=TREND_POINTS)
        self.alarms = collections.deque(maxlen=ALARMS_PER_TAG)
        area.tags.append(self)

    def record(self, value, when):
        self.trend.append(TrendPoint(self, value, when))


class TrendPoint:
    def __init__(self, tag, value, when):
        self.tag, self.value, self.when = tag, value, when
        self.quality = Quality(tag)


class Quality:
    def __init__(self, tag):
        self.source, self.good, self.substituted = tag, True, False


class Alarm:
    def __init__(self, tag, severity, when):
        self.tag, self.severity, self.when = tag, severity, when
        self.acknowledged = {"by": "operator", "at": when + 1.0}
        self.context = {beside.name: beside for beside in tag.area.tags[:16]}
        tag.alarms.append(self)


class ScanRecord:
    """One poll. The readings point back at it, so only the collector can free it: the usual two-way relation."""

    def __init__(self, when, permit):
        self.when, self.permit, self.readings = when, permit, []
        self.published = {"topic": "scan", "subscribers": ["trend", "alarm", "display"], "record": self}


class Reading:
    def __init__(self, record, tag, value):
        self.record, self.tag, self.value = record, tag, value
        record.readings.append(self)


class Suite:
    """The object graph, and the bookkeeping of one poll in it."""

    def __init__(self, tag_count, rng):
        site = Area("SITE", None)
        areas = [Area(f"AREA{i:03d}", site) for i in range(max(1, tag_count // 40))]
        self.tags = [Tag(i, areas[i % len(areas)], rng) for i in range(max(4, tag_count))]
        for tag in self.tags:
            for second in range(TREND_POINTS):
                tag.record(rng.random(), float(second))
            for second in range(ALARMS_PER_TAG):
                Alarm(tag, rng.choice(("LOW", "HIGH")), float(second))
        self.live = self.tags[:4]
        self.scans = collections.deque(maxlen=SCAN_RECORDS)

    def book(self, values, when, permit):
        record = ScanRecord(when, permit)
        for tag, value in zip(self.live, values):
            Reading(record, tag, value)
            tag.record(value, when)
        self.scans.append(record)


class Collections:
    """What the collector did, by its own callbacks."""

    def __init__(self):
        self.count, self.longest_ns, self.start_ns = [0, 0, 0], [0, 0, 0], 0
        gc.callbacks.append(self)

    def __call__(self, phase, info):
        now_ns = time.monotonic_ns()
        if phase == "start":
            self.start_ns = now_ns
            return
        generation = info["generation"]
        self.count[generation] += 1
        self.longest_ns[generation] = max(self.longest_ns[generation], now_ns - self.start_ns)

    def reset(self):
        self.count, self.longest_ns = [0, 0, 0], [0, 0, 0]


def age(suite, collections_seen, phase, polls_left):
    """Books without input and output until two full collections have passed, then up to the wanted phase of the next.
    Returns the polls between two full collections."""
    values, marks, polls = (101.0, 350.0, 20.0, 45.0), [], 0
    while len(marks) < 3 and polls < 3_000_000:
        before = collections_seen.count[2]
        suite.book(values, float(polls), True)
        polls += 1
        if collections_seen.count[2] != before:
            marks.append(polls)
    period = marks[-1] - marks[-2] if len(marks) > 1 else polls
    extra = int(phase * period) if polls_left is None else max(0, period - polls_left)
    for _ in range(extra):
        suite.book(values, float(polls), True)
    return period


class Controller:
    def __init__(self, options, suite):
        self.options, self.suite = options, suite
        self.inbox = socket.socket(family_of(options.listen), socket.SOCK_DGRAM)
        self.inbox.bind(options.listen)
        self.inbox.setblocking(False)
        self.outbox = socket.socket(family_of(options.target), socket.SOCK_DGRAM)
        self.tai_ahead_ns = time.clock_gettime_ns(time.CLOCK_TAI) - time.monotonic_ns()
        self.evaluated = self.newest = self.sent = self.good = self.refused = 0
        self.permit, self.trip = False, None
        self.last_sample_s, self.values = None, (0.0, 0.0, 0.0, 0.0)

    def evaluate(self, datagram, now_s):
        if len(datagram) != SAMPLE.size:
            self.refused += 1
            return
        sync, sequence, _, chamber, coolant, shroud, article, _, crc = SAMPLE.unpack(datagram)
        if sync != SYNC or binascii.crc_hqx(datagram[4:30], 0xFFFF) != crc:
            self.refused += 1
            return
        self.values = (chamber, coolant * 0.001, shroud * 0.01, article * 0.01)
        self.last_sample_s = now_s
        self.evaluated += 1
        self.newest = sequence
        if chamber <= self.options.limit:  # false for NaN too
            self.good += 1
        else:
            self.good = 0
            self.trip_now(f"chamber_pressure {chamber:.3f} kPa", sequence)

    def trip_now(self, why, sequence):
        if self.permit:
            self.permit = False
            self.trip = {"why": why, "sequence": sequence, "tai_ns": time.monotonic_ns() + self.tai_ahead_ns}

    def poll(self, now_s):
        while True:
            try:
                datagram = self.inbox.recv(64)
            except BlockingIOError:
                break
            self.evaluate(datagram, now_s)
        if self.permit and now_s - self.last_sample_s > STALE_S:
            self.trip_now("samples missing", self.newest)
        if not self.permit and self.trip is None and self.good >= GOOD_SAMPLES_TO_ARM:
            self.permit = True
        self.outbox.sendto(
            COMMAND.pack(MAGIC, self.sent & 0xFFFFFFFF, time.monotonic_ns() + self.tai_ahead_ns, LINES_ALL,
                         LINES_ALL if self.permit else 0, self.evaluated, self.newest, ORIGIN_PYTHON, 0),
            self.options.target)
        self.sent += 1
        self.suite.book(self.values, now_s, self.permit)

    def run(self):
        """Polls to an absolute schedule; a missed poll is skipped, not made up. Returns (polls, longest gap in s)."""
        start_s = last_s = time.monotonic()
        polls, longest_gap_s, period_s = 0, 0.0, 0.001
        due_s = start_s
        while not stop_asked and (self.options.duration == 0 or last_s - start_s < self.options.duration):
            now_s = time.monotonic()
            if now_s < due_s:
                time.sleep(due_s - now_s)
                now_s = time.monotonic()
            longest_gap_s = max(longest_gap_s, now_s - last_s) if polls else 0.0
            last_s = now_s
            self.poll(now_s)
            polls += 1
            due_s += period_s * max(1, math.ceil((now_s - due_s) / period_s))
        return polls, longest_gap_s


stop_asked = []


def family_of(address):
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def address_of(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT such as 127.0.0.1:9000, found {text!r}")
    return host.strip("[]"), int(port)


def share_of(text):
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, found {text!r}")
    return value


def resident_kb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def parse_options():
    parser = argparse.ArgumentParser(description="The interpreted 1 kHz controller, for comparison.")
    parser.add_argument("--listen", type=address_of, required=True, metavar="HOST:PORT", help="samples arrive here")
    parser.add_argument("--target", type=address_of, required=True, metavar="HOST:PORT", help="commands go there")
    parser.add_argument("--limit", type=float, default=150.0, metavar="KPA", help="high limit (default 150)")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="0 = until SIGINT or SIGTERM")
    parser.add_argument("--seed", type=int, default=1, help="of the graph's values and of the phase (default 1)")
    parser.add_argument("--graph", type=int, default=4000, metavar="TAGS", help="size of the graph (default 4000)")
    parser.add_argument("--phase", type=share_of, metavar="0..1", help="way to the next full collection gone")
    parser.add_argument("--phase-polls-left", type=int, metavar="POLLS", help="or: polls left until it")
    return parser.parse_args()


def main():
    options = parse_options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop_asked.append(True))
    rng = random.Random(options.seed)
    phase = options.phase if options.phase is not None else rng.random()
    collections_seen = Collections()
    suite = Suite(options.graph, rng)
    period = age(suite, collections_seen, phase, options.phase_polls_left)
    objects = len(gc.get_objects())
    collections_seen.reset()
    controller = Controller(options, suite)
    print(json.dumps({"ready": True, "polls_between_full_collections": period, "objects": objects}), file=sys.stderr,
          flush=True)
    polls, longest_gap_s = controller.run()
    print(json.dumps({
        "rss_kb": resident_kb(),
        "objects": objects,
        "polls": polls,
        "longest_gap_us": round(longest_gap_s * 1e6, 1),
        "samples": controller.evaluated,
        "samples_refused": controller.refused,
        "gc_collections": collections_seen.count,
        "gc_longest_us": [round(ns * 1e-3, 1) for ns in collections_seen.longest_ns],
        "gc_longest_pause_us": round(max(collections_seen.longest_ns) * 1e-3, 1),
        "polls_between_full_collections": period,
        "phase": phase if options.phase_polls_left is None else None,
        "phase_polls_left": options.phase_polls_left,
        "trip": controller.trip,
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
