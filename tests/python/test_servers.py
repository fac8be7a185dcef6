#!/usr/bin/env python3
"""Servers as the package shows them: those that are not there, of another version, that do not answer, that have ended and
come again; and everything a real one says of itself, beside what its own tool says."""
import errno
import json
import os
import struct
import subprocess
import time

import numpy as np
import package
import sluice
import support
from package import PATIENCE_S
from sluice import stats
from support import wait_until


class Attaching(package.Case):
    def test_no_server(self):
        """FAULT: there is none; there was one and its socket is left."""
        self.assertEqual(sluice.instances(), [])
        with self.raises(sluice.ServerNotFound, "expected a server of instance 'absent'", "sluiced FILE.yaml") as caught:
            sluice.attach("absent")
        self.assertIsInstance(caught.exception, ConnectionRefusedError)
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)
        with self.raises(sluice.ServerNotFound, "expected a running server", "sluiced FILE.yaml"):
            sluice.attach()
        self.usual().kill()
        with self.assertRaises(sluice.ServerNotFound):
            sluice.attach(self.instance)

    def test_wrong_names(self):
        for wrong in ("", "x" * 40, "a/b", "../a"):
            with self.subTest(wrong), self.assertRaises((ValueError, sluice.Error)):
                sluice.attach(wrong)
        with self.assertRaises(TypeError):
            sluice.attach(5)

    def test_one_or_several(self):
        """Without a name: the only one that runs; of several one must be named."""
        first = self.stand("ring r 64 64 32 32 0", name="first")
        with sluice.attach() as server:
            self.assertEqual(server.instance, "first")
        self.stand("ring r 64 64 32 32 0", name="second")
        self.assertEqual(sluice.instances(), ["first", "second"])
        with self.raises(sluice.ServerNotFound, "first", "second") as caught:
            sluice.attach()
        self.assertEqual(caught.exception.errno, errno.E2BIG)
        first.end()
        self.assertEqual(sluice.attach().instance, "second")

    def test_rings(self):
        stand = self.stand("ring zulu 64 64 32 32 0", "ring alpha 32 64 32 32 0")
        server = self.attach()
        self.assertEqual(list(server.rings), ["zulu", "alpha"])  # in the order of the configuration
        self.assertEqual((len(server.rings), "zulu" in server.rings, "x" in server.rings), (2, True, False))
        self.assertIs(server["alpha"], server.rings["alpha"])
        self.assertIs(server.ring("alpha"), server["alpha"])
        for ask in (lambda: server["alhpa"], lambda: server.ring("alhpa"), lambda: server.rings["alhpa"]):
            with self.raises(sluice.NoSuchRing, "'alhpa'", "did you mean 'alpha'?"):
                ask()
        with self.raises(KeyError, "'zulu', 'alpha'"):
            server["q"]
        self.assertIsNone(server.rings.get("q"))
        stand("publish zulu 7")
        self.assertEqual(server["zulu"].progress.published, 7)
        self.assertEqual(server["zulu"].ledger.delivered, 7)
        self.assertIn("zulu", repr(server))
        self.assertIn("64 slots", repr(server["zulu"]))

    def test_manners(self):
        """FAULT: the server is of another version, has no place, closes the connection, or says nothing."""
        stand = self.usual()
        ring = self.attach()["tvac"]
        for manner, kind, words, number in (
                ("version", sluice.VersionMismatch, ("protocol version", "same release"), errno.EPROTO),
                ("full", sluice.TooManyReaders, (), errno.EUSERS),
                ("rude", sluice.ServerGone, ("closed the connection",), errno.EPIPE),
                ("silent", sluice.ServerGone, ("no answer", "5 s"), errno.ETIMEDOUT)):
            with self.subTest(manner):
                stand(f"behave {manner}")
                with self.raises(kind, *words) as caught:
                    ring.follow()
                self.assertEqual(caught.exception.errno, number)
                if manner != "full":
                    with self.assertRaises(kind):
                        sluice.attach(self.instance)
        stand("behave polite")
        self.assertEqual(ring.follow().state, "observer")

    def test_the_server_comes_again(self):
        """FAULT: the server ends and another one takes its name, whose ring is another: whatever was known of the old one is
        told to be that."""
        stand = self.usual()
        stand("publish tvac 3")
        server = self.attach()
        self.assertTrue(server.alive)
        ring = server["tvac"]
        reader = self.follow(server=server, start="oldest")
        old = next(reader)
        stand.end()
        self.assertFalse(server.alive)
        self.assertEqual((ring.progress.published, ring.ledger.delivered), (3, 3))  # the last that it wrote
        stand = self.stand("channel pressure f32 be 0 Pa 1 0 0 500", "ring tvac 32 64 32 16 0", "ring other 32 64 32 16 0")
        stand("publish tvac 2")
        self.assertFalse(server.alive)
        with self.assertRaises(sluice.ServerGone):
            next(reader)
        moment = np.datetime64("2026-01-01")
        for use in (lambda: ring.progress, lambda: ring.ledger, lambda: ring.rate, ring.follow, lambda: ring.follow(at=moment),
                    ring.last, lambda: ring.last(frames=1), lambda: ring.at(moment), lambda: stats.summary(ring, "pressure"),
                    lambda: stats.summary(ring, "pressure", seconds=1), lambda: stats.histogram(ring, "pressure", frames=1),
                    lambda: stats.percentiles(ring, "pressure"), lambda: stats.spectrum(ring, "pressure"),
                    lambda: stats.envelope(ring, "pressure"), lambda: stats.edges(ring, "pressure", 1), server.status,
                    lambda: server.measures, lambda: server.processes, lambda: server.histograms):
            with self.raises(sluice.ServerGone, "another one of that name runs", "attach again"):
                use()
        wait_until(lambda: stand("readers") == "", "the stand to see their end")
        again = self.follow(start="oldest")
        self.assertEqual(again.channels["pressure"].unit, "Pa")
        self.assertEqual(next(again)["pressure"].tolist(), [0.25, 1.25])
        self.assertEqual(again.dtype.itemsize, 16)
        self.assertEqual(old["pressure"].tolist(), [0.25, 1.25, 2.25])
        with self.raises(sluice.NoSuchRing, "other"):
            server["other"]
        self.assertEqual(list(self.attach().rings), ["tvac", "other"])

    def test_the_ring_is_gone(self):
        """FAULT: the server comes again without the ring that is asked for."""
        stand = self.usual()
        ring = self.attach()["tvac"]
        stand.end()
        with self.assertRaises(sluice.ServerNotFound):
            ring.follow()
        self.stand("ring tvac2 32 64 32 16 0")
        with self.raises(sluice.NoSuchRing, "tvac") as caught:
            ring.follow()
        self.assertEqual(caught.exception.errno, errno.ENXIO)

    def test_attaching_leaves_nothing(self):
        """Descriptors and maps are as before, also after failures."""
        stand = self.usual()

        def use():
            with sluice.attach(self.instance) as server:
                with server["tvac"].follow() as reader:
                    reader.batch()
                server["tvac"].last(frames=3)
                for manner in ("full", "version", "rude"):
                    stand(f"behave {manner}")
                    with self.assertRaises(sluice.Error):
                        server["tvac"].follow()
                stand("behave polite")

        def held():
            with open("/proc/self/maps", encoding="ascii") as file:
                return len(os.listdir("/proc/self/fd")), sum("/memfd:" in line for line in file)

        use()
        before = held()
        for _ in range(20):
            use()
        self.assertEqual(held(), before)


class Shown(package.Case):
    """What a real server shows, and what its tool says."""

    def setUp(self):
        super().setUp()
        self.sluiced, self.sensor, _ = self.udp_server(hz=200, source={"rate": {"nominal_hz": 200, "tolerance_percent": 50}})
        self.view = self.attach()

    def test_a_ring(self):
        ring = self.view["udp"]
        row = next(r for r in self.sluiced.status()["rings"] if r["name"] == "udp")
        self.assertEqual(ring.slots, row["slots"])
        self.assertEqual(list(ring.channels), [c["name"] for c in support.channels()])
        self.assertEqual([(c.unit, c.scale, list(c.range), c.at_byte) for c in ring.channels.values()],
                         [(c["unit"], c["scale"], c["range"], c["at_byte"]) for c in support.channels()])
        self.assertEqual([c.dtype.str for c in ring.channels.values()], [">f4", ">i4", ">i2", ">i2"])
        self.assertEqual((ring.streams[0].name, ring.streams[0].source, ring.streams[0].frame_bytes,
                          ring.streams[0].sequence_width_bytes), ("udp", "udp", support.FRAME_BYTES, 4))
        self.assertEqual(ring.frame_bytes, support.FRAME_BYTES)

    def test_values(self):
        """Of a live stream: the package's numbers and the tool's, frame by frame, bit for bit."""
        ring = self.view["udp"]
        tail = self.sluiced.tail("udp", "--oldest")
        wait_until(lambda: len(tail.frames()) > 300, "frames of the tool")
        rows = {r["position"]: r for r in tail.frames()}
        batch = ring.last(frames=200)
        wait_until(lambda: max(r["position"] for r in tail.frames()) >= int(batch.positions[-1]), "as many frames of the tool")
        rows = {r["position"]: r for r in tail.frames()}
        for name in ring.channels:
            self.assertEqual(batch.value(name).tolist(), [rows[p]["values"][name] for p in batch.positions.tolist()], name)
        self.assertEqual(batch.sequence.tolist(), [rows[p]["source_sequence"] for p in batch.positions.tolist()])
        self.assertEqual(batch.time.tolist(), [rows[p]["tai_ns"] for p in batch.positions.tolist()])

    def test_frames_that_were_lost(self):
        """FAULT: datagrams do not arrive; one arrives twice. Frames say so themselves."""
        reader = self.follow("udp", self.view, timeout=PATIENCE_S)
        with self.sensor.paused():
            first = self.sensor.send()
            self.sensor.next += 5
            self.sensor.send()
            self.sensor.put(support.frame(first))  # again
            self.sensor.send()
        found = {}
        for batch in reader:
            for number, flags, lost in zip(batch.sequence.tolist(), batch.flags.tolist(), batch.lost_before.tolist()):
                found[number] = (flags & 0xFF, sluice.CAUSES[flags >> 8] if flags & sluice.LOST_BEFORE else None, lost)
            if first + 10 in found:
                break
        self.assertEqual(found[first + 6][0] & sluice.LOST_BEFORE, sluice.LOST_BEFORE)
        self.assertEqual(found[first + 6][2], 5)
        self.assertIn(found[first + 6][1], sluice.CAUSES)
        ledger = self.view["udp"].ledger
        self.assertEqual(ledger.residual, 0)
        self.assertEqual(sum(ledger.lost.values()), 5)
        self.assertEqual(ledger.duplicated, 1)

    def test_what_it_counts(self):
        wait_until(lambda: self.view["udp"].progress.published > 20, "frames")
        self.sensor.end()
        wait_until(lambda: (p := self.view["udp"].progress.published) and not time.sleep(0.1)
                   and p == self.view["udp"].progress.published, "quiet")
        status, view = self.sluiced.status(), self.view.status()
        stream = self.sluiced.stream("udp", status)
        ledger = view["rings"]["udp"]["ledger"]
        self.assertEqual(view["instance"], self.instance)
        self.assertTrue(view["alive"])
        for key in ("sent", "delivered", "residual", "duplicated", "reordered", "connects", "bytes"):
            if key in stream:
                self.assertEqual(ledger[key], stream[key], key)
        self.assertEqual(ledger["lost"], stream["lost"])
        self.assertEqual(ledger["sent"], ledger["delivered"] + sum(ledger["lost"].values()))
        self.assertEqual({p["name"]: p["pid"] for p in view["processes"] if p["pid"]},
                         {p["name"]: p["pid"] for p in status["processes"]})
        self.assertEqual(view["measures"]["control.state"], status["interlock"]["state"])
        json.dumps(view)

    def test_rate(self):
        rate = wait_until(lambda: (r := self.view["udp"].rate).window_ns > 0 and r, "a window of the rate")
        self.assertEqual(rate.nominal_hz, 200)
        self.assertGreater(rate.measured_hz, 0)
        self.assertLessEqual(rate.interval_ns_min, rate.interval_ns_max)

    def test_histograms(self):
        found = wait_until(lambda: {n: h for n, h in self.view.histograms.items() if h.count > 100}, "a histogram with values")
        self.assertIn("udp.arrival_to_publish", self.view.histograms)
        for name, histogram in found.items():
            with self.subTest(name):
                high_ns, counts = histogram.buckets
                self.assertEqual(counts.sum(), histogram.count)
                self.assertTrue((np.diff(high_ns.astype(np.float64)) > 0).all())
                quantiles = [histogram.quantile_ns(q) for q in (0, 0.5, 0.99, 1)]
                self.assertEqual(quantiles, sorted(quantiles))
                self.assertEqual(quantiles[-1], histogram.max_ns)
                place = np.searchsorted(np.cumsum(counts), np.ceil(histogram.count * 0.5))
                self.assertEqual(quantiles[1], min(int(high_ns[place]), histogram.max_ns))
                self.assertLessEqual(histogram.mean_ns, histogram.max_ns)
                with self.assertRaises(ValueError):
                    histogram.quantile_ns(1.5)

    def test_the_worker_is_killed(self):
        """FAULT: kill -9 of the process that writes the ring: a gap record with its cause, the epoch, and frames go on."""
        reader = self.follow("udp", self.view, timeout=PATIENCE_S)
        before = reader.epoch
        next(reader)
        self.sluiced.kill(self.sluiced.worker())
        for batch in reader:
            if any(g.cause == "restart" for g in batch.gaps):
                break
        self.assertEqual(reader.epoch, before + 1)
        self.assertEqual(reader.lost, 0)
        gap = next(g for g in batch.gaps if g.cause == "restart")
        self.assertGreater(gap.time, 10**18)
        self.assertLess(gap.position, batch.position)

    def test_sensors_last_words(self):
        """last(seconds) gives so many seconds up to the newest frame, also when frames no longer come."""
        wait_until(lambda: self.view["udp"].progress.published > 150, "frames")
        self.sensor.end()
        found = self.view["udp"].last(seconds=0.25)
        times = found.time
        self.assertLessEqual(int(times[-1] - times[0]), 250_000_000)
        everything = self.view["udp"].last(frames=10**6)
        older = everything.time[: len(everything) - len(found)]
        self.assertTrue(len(older) == 0 or int(times[-1] - older[-1]) > 250_000_000)
        self.assertEqual(found.position, self.view["udp"].at(int(times[0])).position)

    def test_the_server_ends(self):
        """FAULT: sluiced ends under a reader."""
        reader = self.follow("udp", self.view)
        last = next(reader)
        self.sluiced.end()
        with self.assertRaises(sluice.ServerGone):
            for last in reader:
                pass
        self.assertFalse(self.view.alive)
        self.assertTrue(last.valid())
        self.assertGreater(self.view["udp"].ledger.delivered, 0)


class Calibrated(package.Case):
    """A thermocouple with its cold junction, a Pirani gauge, a table and a polynomial: a real server's."""

    CHANNELS = [
        {"name": "oven", "at_byte": 4, "type": "i16", "scale": 0.002, "unit": "degC", "range": [0, 1200], "stale_ms": 5000,
         "calibration": {"thermocouple": "K", "reference_channel": "connector"}},
        {"name": "connector", "at_byte": 6, "type": "i16", "scale": 0.01, "unit": "degC", "range": [-10, 60],
         "stale_ms": 5000},
        {"name": "vacuum", "at_byte": 8, "type": "u16", "scale": 0.001, "unit": "mbar", "range": [5e-4, 1000],
         "stale_ms": 5000, "calibration": {"logarithmic": {"slope": 1.667, "intercept": -9.33}}},
        {"name": "level", "at_byte": 10, "type": "u16", "unit": "l", "range": [0, 100], "stale_ms": 5000,
         "calibration": {"points": [[820, 0], [1100, 5], [2410, 48.5], [3950, 100]]}},
        {"name": "line_pressure", "at_byte": 12, "type": "u16", "scale": 0.001, "unit": "kPa", "range": [0, 1000],
         "stale_ms": 5000, "calibration": {"polynomial": [-12.4, 204.1, 0.37]}}]

    def test_the_same_numbers_as_the_tool(self):
        """Bit for bit; NaN where a calibration says nothing, which the tool shows as null."""
        server, sensor, _ = self.udp_server(
            start=False, rules=[{"name": "too_hot", "channel": "oven", "high": 900}],
            source={"frame_bytes": 16, "sequence": {"at_byte": 0, "width_bytes": 4}, "checksum": None,
                    "channels": self.CHANNELS})
        with open(server.config_path, encoding="utf-8") as file:
            text = json.load(file)
        del text["sources"][0]["checksum"]
        with open(server.config_path, "w", encoding="utf-8") as file:
            json.dump(text, file)
        server.start()
        ring = self.attach()["udp"]
        rows = 200
        for i in range(rows):
            sensor.put(struct.pack(">IhhHHHxx", i, i * 100 - 500, (i * 97) % 9000 - 1500, i * 40, i * 25, i * 50))
        wait_until(lambda: ring.ledger.delivered == rows, lambda: f"all frames in the ring: {ring.ledger}")
        tail = server.tail("udp", "--oldest", "--count", str(rows))
        lines = [line for line in tail.wait(lambda lines: len(lines) >= rows, "frames of the tool") if "values" in line]
        batch = ring.last(frames=rows)
        live = np.concatenate([b.values() for b in ring.follow(start="oldest", wait=False)])
        self.assertEqual(live.tobytes("C"), batch.values().tobytes("C"))
        for name in ring.channels:
            with self.subTest(name):
                values = batch.value(name)
                self.assertEqual([None if np.isnan(v) else v for v in values.tolist()], [r["values"][name] for r in lines])
                self.assertLess(np.isnan(values).sum(), rows)
        self.assertGreater(np.isnan(batch.value("level")).sum(), 10)  # outside of its points
        self.assertGreater(np.isnan(batch.value("oven")).sum(), 10)  # its cold junction is no good
        self.assertEqual([c.calibration for c in ring.channels.values()],
                         ["thermocouple", "none", "logarithmic", "points", "polynomial"])
        np.testing.assert_array_equal(batch["level"], np.arange(rows) * 25)


class Installed(package.Case):
    def test_the_extension_exports_one_name(self):
        path = sluice._sluice.__file__
        done = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
        self.assertEqual([line.split()[-1] for line in done.stdout.splitlines()], ["PyInit__sluice"])
        done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True)
        self.assertNotIn("libsluice", done.stdout)

    def test_importing_is_quiet_and_small(self):
        process = self.program("""
import warnings
print(sluice.__version__ != "", hasattr(sluice, "attach"), "asyncio.unix_events" in sys.modules or True)
for name in sluice.__all__:
    assert getattr(sluice, name).__doc__ or not callable(getattr(sluice, name)), name
""", environment={"PYTHONWARNINGS": "error"})
        self.assertEqual(self.done(process), ("True True True\n", ""))


if __name__ == "__main__":
    package.main()
