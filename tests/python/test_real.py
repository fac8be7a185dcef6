#!/usr/bin/env python3
"""A real recording through the whole of it: a test bed's sensors as lines on a serial line, into the ring, and read there by
the package: equal to the table that they came from, to the last bit."""
import csv
import os

import numpy as np
import package
import support
from support import SHARED, wait_until

SKAB = ("valve1/0.csv", "valve2/0.csv", "anomaly-free/anomaly-free.csv")
COLUMNS = ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage",
           "Volume Flow RateRMS")
UNITS = ("g", "g", "A", "bar", "degC", "degC", "V", "l/min")
ROWS_MAX = 1200


class Skab(package.Case):
    def test_from_the_serial_line_into_arrays(self):
        for name in SKAB:
            path = os.path.join(SHARED, "data/skab", name)
            if not os.path.exists(path):
                self.skipTest(f"SKIPPED: {path} is not there: NO REAL RECORDING WAS READ (SLUICE_SHARED names the folder)")
            with self.subTest(name):
                self.once(path)
                self.doCleanups()
                self.setUp()

    def once(self, path):
        with open(path, encoding="utf-8") as file:
            rows = [[row[c] for c in COLUMNS] for row in csv.DictReader(file, delimiter=";")][:ROWS_MAX]
        line = support.SensorPty(self, self.path("tty"))
        channels = [{"name": f"c{i}", "field": i, "unit": unit, "range": [-1000, 1000], "stale_ms": 5000}
                    for i, unit in enumerate(UNITS)]
        source = {"name": "bed", "kind": "serial", "worker": "sensors", "ring": "bed", "device": self.path("tty"),
                  "baud": 115200, "format": "text", "fields": len(COLUMNS), "channels": channels}
        server = self.server(support.config(self.instance, [source], support.outputs_to(support.Actuator(self).target),
                                            [{"name": "hot", "channel": "c4", "high": 500}])).start()
        wait_until(lambda: server.stream("bed")["open"], "the line to be open")
        ring = self.attach()["bed"]
        reader = self.follow("bed", start="oldest", timeout=0)
        live = []
        for i, row in enumerate(rows):
            line.put((", ".join(row) + "\r\n").encode())
            if i % 50 == 49:
                wait_until(lambda n=i: ring.ledger.delivered > n, "lines in the ring")
                live += [batch.copy() for batch in reader]
        wait_until(lambda: ring.ledger.delivered == len(rows), "all lines in the ring")
        live += [batch.copy() for batch in reader]
        table = np.array([[float(x) for x in row] for row in rows])
        self.assertEqual([c.unit for c in ring.channels.values()], list(UNITS))
        for what, values in (("as it came", np.concatenate([b.values() for b in live])),
                             ("afterwards", ring.last(frames=len(rows)).values())):
            self.assertEqual(values.shape, table.shape, what)
            self.assertEqual(values.tobytes("C"), table.tobytes(), f"{what}: bit for bit")
        raw = ring.last(frames=len(rows)).raw
        for i in range(len(COLUMNS)):
            self.assertEqual(raw[f"c{i}"].tolist(), table[:, i].tolist(), COLUMNS[i])
        time = ring.last(frames=len(rows)).time
        self.assertTrue((time[1:] >= time[:-1]).all())
        self.assertEqual(reader.lost, 0)
        server.end()
        print(f"{os.path.relpath(path, SHARED)}: {len(rows)} rows of {len(COLUMNS)} columns, equal to the last bit")


if __name__ == "__main__":
    package.main()
