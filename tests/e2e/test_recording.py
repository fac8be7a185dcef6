#!/usr/bin/env python3
"""tools/demo --recording: a real recording played through the server trips at the samples at which it should."""
import csv
import json
import math
import os
import subprocess

import support

SKAB = os.path.join(support.SHARED, "data/skab")
FLOW = "Volume Flow RateRMS"


def reference(path, column, low):
    """The whole interlock in ten lines: [(index, value)] of the trips."""
    trips, armed = [], False
    with open(path, encoding="utf-8") as file:
        for index, row in enumerate(csv.DictReader(file, delimiter=";")):
            value = float(row[column])
            if armed and value < low:
                trips.append((index, value))
                armed = False
            if not armed and value >= low:
                armed = True
    return trips


class Recording(support.Case):
    def play(self, path, column, low):
        out = self.path("out.json")
        demo = support.spawn(os.path.join(support.ROOT, "tools/demo"), "--recording", path, "--column", column, "--low",
                             str(low), "--speed", "1000", "--json", out, cwd=self.dir, env=self.environment,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(support.stop, demo)
        said, _ = demo.communicate(timeout=150)
        self.assertEqual(demo.returncode, 0, said[-4000:])
        with open(out, encoding="utf-8") as file:
            report = json.load(file)
        trips = [(trip["index"], trip["value"]) for trip in report["trips"]]
        print(f"{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}, {column} below {low}: {len(trips)} trips")
        for trip in report["trips"]:
            self.assertEqual(trip["first_out"]["kind"], "low")
            self.assertTrue(math.isclose(trip["first_out"]["value"], trip["value"]))
        return trips, said

    def compare(self, name, column, low):
        path = os.path.join(SKAB, name)
        if not os.path.exists(path):
            self.skipTest(f"SKIPPED: {path} is not there: NO REAL RECORDING WAS PLAYED (SLUICE_SHARED names the folder)")
        expected = reference(path, column, low)
        self.assertTrue(expected, "a limit that is never passed shows nothing")
        trips, _ = self.play(path, column, low)
        self.assertEqual(trips, expected)

    def test_valve1_flow(self):
        self.compare("valve1/0.csv", FLOW, 31.5)

    def test_valve2_temperature(self):
        self.compare("valve2/0.csv", "Temperature", 70)

    def test_small_file_with_everything_in_it(self):
        """The same with numbers of our own: so that this is tested where there are no recordings."""
        values = [1, 5, 4.999, 5, 5, -3, -3, 4, 6, 1e-3, 7, 4.9999999, 5.0, 0, 9, 9]
        path = self.path("own.csv")
        with open(path, "w", encoding="ascii") as file:
            file.write("datetime;x\n")
            file.writelines(f"2020-03-09 10:{i // 60:02}:{i % 60:02};{value!r}\n" for i, value in enumerate(values))
        expected = reference(path, "x", 5)
        self.assertEqual([i for i, _ in expected], [2, 5, 9, 11, 13])
        self.assertEqual(self.play(path, "x", 5)[0], expected)


if __name__ == "__main__":
    support.main()
