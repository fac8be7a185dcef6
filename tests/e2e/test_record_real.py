#!/usr/bin/env python3
"""Real recordings through the whole of it: a test bed's sensors as lines on a serial line, into the ring, into a recording, and
out again as HDF5, equal to the table they came from to the last bit; packets of radio telescopes over a port, recorded and
exported, equal to the file that was sent; a trip, recorded by the black box and by a recorder, the same in both."""
import csv
import glob
import json
import math
import os
import unittest

import recordings
import skab
import support
import test_vdif
from support import SHARED, wait_until
from test_record import RecordCase

try:
    import h5py
except ImportError:
    h5py = None


class Skab(RecordCase):
    @unittest.skipIf(h5py is None, "SKIPPED: python3-h5py is not installed: NO HDF5 WAS READ BACK")
    def test_from_the_serial_line_to_hdf5(self):
        skab.each(self, self.once, "NO REAL RECORDING WAS MADE")

    def once(self, path):
        rows = skab.rows(path)
        line = support.SensorPty(self, self.path("tty"))
        text = skab.config(self)
        text["recorders"] = [self.recorder(operator="skab", test_id=os.path.basename(path))]
        server = self.server(text).start()
        self.wait_recording(server)
        wait_until(lambda: server.stream("bed")["open"], "the line to be open")
        skab.play(line, rows, lambda: server.stream("bed")["delivered"])
        server.end()
        out = self.path("bed.h5")
        done = self.cli("export", self.latest(), "-o", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(out, "r") as file:
            bed = file["entry/bed"]
            times = bed["time"][:]
            self.assertEqual(len(times), len(rows))
            self.assertTrue(all(a <= b for a, b in zip(times, times[1:])))
            for i, unit in enumerate(skab.UNITS):
                values = bed[f"c{i}/value"]
                units = values.attrs["units"]
                self.assertEqual(units.decode() if isinstance(units, bytes) else units, unit)
                self.assertEqual(list(values[:]), [float(row[i]) for row in rows], f"{skab.COLUMNS[i]}: bit for bit")
        table = self.path("bed.csv")
        self.assertEqual(self.cli("export", self.latest(), "-o", table).returncode, 0)
        with open(table, encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("#")]
        back = list(csv.reader(lines))[1:]
        self.assertEqual([[float(x) for x in row[-len(skab.COLUMNS):]] for row in back], [[float(x) for x in row] for row in rows])
        skab.say_equal(path, rows)


class Vdif(test_vdif.Vdif, RecordCase):
    """The tests of test_vdif over the port, with a recorder beside."""

    for way in ("test_over_vhost", "test_over_udp", "test_over_udp_with_gro", "test_over_afxdp"):
        locals()[way] = None  # they are test_vdif's

    def server(self, text, **options):
        text["recorders"] = [self.recorder()]
        return super().server(text, **options)

    def arrives_once(self, path, gen, source):
        for old in recordings.runs(self.folder("data"), "main"):
            support.shutil.rmtree(old)
        super().arrives_once(path, gen, source)
        out = self.path("out.vdif")
        done = self.cli("export", self.latest(), "--force", "-o", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(path, "rb") as one, open(out, "rb") as two:
            self.assertEqual(one.read(), two.read(), "equal to the file that was sent")
        print(f"{os.path.relpath(path, SHARED)}: {os.path.getsize(out)} bytes, equal")


class Trip(RecordCase):
    def test_the_same_trip_everywhere(self):
        """What the live interlock did, what the black box's frames give again, and what the recorder's do."""
        server = self.begin([self.recorder()], black_box={"directory": self.path("trips"), "pre_ms": 500, "post_ms": 100})
        self.wait_recording(server)
        values = iter([100.0 + (i % 7) for i in range(100000)])
        high = []
        sensor = support.SensorUdp(self, self.port, hz=200)
        sensor.put = lambda data: self.put_one(high[0] if high else next(values))
        sensor.start()
        server.make_armed()
        high.append(180.0)
        server.wait_state("tripped")
        status = server.wait_status(lambda s: s["black_box"]["reports"] >= 1, "the report")
        first_out = status["interlock"]["first_out"]
        sensor.end()
        server.end()
        trip = sorted(glob.glob(self.path("trips") + "/*trip*"))[-1]
        exact = self.cli("replay", "--json", trip)
        self.assertEqual(exact.returncode, 0, exact.stdout + exact.stderr)
        report = json.loads(exact.stdout)["recordings"][0]
        self.assertTrue(report["live"]["identical"])
        again = self.cli("replay", "--json", "--rules", server.config_path, "--arm", self.latest())
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        mine = json.loads(again.stdout)["recordings"][0]
        self.assertEqual(mine["trips"], 1, mine)
        one, two = report["trip"][-1]["first_out"][0], mine["trip"][-1]["first_out"][0]
        for key in ("rule", "channel", "value", "limit", "source_sequence"):
            self.assertEqual(one.get(key), two.get(key), key)
        self.assertEqual(first_out[0]["rule"] if isinstance(first_out, list) else first_out["rule"], one["rule"])
        self.assertTrue(math.isclose(two["value"], 180.0))

    def put_one(self, value):
        self.sender.put(support.struct.pack("<If", self.sent, value) + bytes(56))
        self.sent += 1


if __name__ == "__main__":
    support.main()
