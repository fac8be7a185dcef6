"""SKAB's recordings of a test bed (shared/data/skab): eight sensors, here as lines of text on a serial line."""
import csv
import os

import support
from support import SHARED, wait_until

NAMES = ("valve1/0.csv", "valve2/0.csv", "anomaly-free/anomaly-free.csv")
COLUMNS = ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage",
           "Volume Flow RateRMS")
UNITS = ("g", "g", "A", "bar", "degC", "degC", "V", "l/min")
ROWS_MAX = 1200


def each(test, once, what):
    """once(path) for each of them, each with a set-up of its own."""
    for name in NAMES:
        path = os.path.join(SHARED, "data/skab", name)
        if not os.path.exists(path):
            test.skipTest(f"SKIPPED: {path} is not there: {what} (SLUICE_SHARED names the folder)")
        with test.subTest(name):
            once(path)
            test.doCleanups()
            test.setUp()


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [[row[c] for c in COLUMNS] for row in csv.DictReader(file, delimiter=";")][:ROWS_MAX]


def config(test):
    """A server that takes them from a serial line into ring `bed`, as channels c0 .. c7."""
    channels = [{"name": f"c{i}", "field": i, "unit": unit, "range": [-1000, 1000], "stale_ms": 5000} for i, unit in enumerate(UNITS)]
    source = {"name": "bed", "kind": "serial", "worker": "sensors", "ring": "bed", "device": test.path("tty"), "baud": 115200,
              "format": "text", "fields": len(COLUMNS), "channels": channels}
    return support.config(test.instance, [source], support.outputs_to(support.Actuator(test).target),
                          [{"name": "hot", "channel": "c4", "high": 500}])


def play(line, table, delivered, after=lambda: None):
    """Puts the rows on the line, 50 at a time, until all are in the ring; after() each time."""
    for i, row in enumerate(table):
        line.put((", ".join(row) + "\r\n").encode())
        if i % 50 == 49:
            wait_until(lambda n=i: delivered() > n, "lines in the ring")
            after()
    wait_until(lambda: delivered() == len(table), "all lines in the ring")
    after()


def say_equal(path, table):
    print(f"{os.path.relpath(path, SHARED)}: {len(table)} rows of {len(COLUMNS)} columns, equal to the last bit")
