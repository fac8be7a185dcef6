#!/usr/bin/env python3
"""A real recording through the whole of it: a test bed's sensors as lines on a serial line, into the ring, and read there by
the package: equal to the table that they came from, to the last bit."""
import numpy as np
import package
import skab
import support
from support import wait_until


class Skab(package.Case):
    def test_from_the_serial_line_into_arrays(self):
        skab.each(self, self.once, "NO REAL RECORDING WAS READ")

    def once(self, path):
        rows = skab.rows(path)
        line = support.SensorPty(self, self.path("tty"))
        server = self.server(skab.config(self)).start()
        wait_until(lambda: server.stream("bed")["open"], "the line to be open")
        ring = self.attach()["bed"]
        reader = self.follow("bed", start="oldest", timeout=0)
        live = []
        skab.play(line, rows, lambda: ring.ledger.delivered, lambda: live.extend(batch.copy() for batch in reader))
        table = np.array([[float(x) for x in row] for row in rows])
        self.assertEqual([c.unit for c in ring.channels.values()], list(skab.UNITS))
        for what, values in (("as it came", np.concatenate([b.values() for b in live])),
                             ("afterwards", ring.last(frames=len(rows)).values())):
            self.assertEqual(values.shape, table.shape, what)
            self.assertEqual(values.tobytes("C"), table.tobytes(), f"{what}: bit for bit")
        raw = ring.last(frames=len(rows)).raw
        for i in range(len(skab.COLUMNS)):
            self.assertEqual(raw[f"c{i}"].tolist(), table[:, i].tolist(), skab.COLUMNS[i])
        time = ring.last(frames=len(rows)).time
        self.assertTrue((time[1:] >= time[:-1]).all())
        self.assertEqual(reader.lost, 0)
        server.end()
        skab.say_equal(path, rows)


if __name__ == "__main__":
    package.main()
