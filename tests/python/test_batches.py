#!/usr/bin/env python3
"""What a batch shows is what is in the ring, bit for bit, in place and read-only; what the writer takes back meanwhile is
told; gap records, short frames and the end of the ring's memory are never passed off as frames."""
import datetime
import gc
import json
import os
import subprocess

import numpy as np
import package
import sluice
import support
from package import STEP_NS

TYPES = {"i8": "i1", "u8": "u1", "i16": "i2", "u16": "u2", "i32": "i4", "u32": "u4", "i64": "i8", "u64": "u8", "f32": "f4",
         "f64": "f8"}


def numbers(batch):
    return batch.positions.tolist()


class Channels(package.Case):
    def test_every_type_and_byte_order(self):
        """As the stand wrote it, as the library decodes it, and as `sluice tail` prints it."""
        for order in ("le", "be"):
            with self.subTest(order):
                commands = [f"channel c_{name} {name} {order} {8 * i} V 0.5 -3 -1e30 1e30" for i, name in enumerate(TYPES)]
                stand = self.stand(*commands, "ring all 64 256 64 80 0", name=f"{self.instance[:24]}-{order}")
                stand("publish all 20")
                batch = next(self.follow("all", self.attach(stand.instance), start="oldest"))
                self.assertEqual(len(batch), 20)
                position = np.arange(20)
                for i, (name, numpy_name) in enumerate(TYPES.items()):
                    column = batch[f"c_{name}"]
                    wanted = position * (i + 1) + (0.25 if name[0] == "f" else 0)
                    self.assertEqual(column.dtype, np.dtype((">" if order == "be" else "<") + numpy_name))
                    np.testing.assert_array_equal(column, wanted.astype(column.dtype))
                    np.testing.assert_array_equal(batch.raw[f"c_{name}"], column)
                    np.testing.assert_array_equal(batch.value(f"c_{name}"), column.astype(np.float64) * 0.5 - 3)
                self.assertEqual(batch.values().shape, (20, 10))
                np.testing.assert_array_equal(batch.values(["c_f64", "c_i8"]),
                                              np.column_stack([batch.value("c_f64"), batch.value("c_i8")]))
                self.assert_as_tail(stand, "all", batch)
                stand.end()

    def assert_as_tail(self, stand, ring, batch):
        """The same numbers as `sluice tail`, to the last bit."""
        done = subprocess.run([os.path.join(support.BIN, "sluice"), "tail", "--json", "--oldest", "--count",
                               str(len(batch)), stand.instance, ring], env=self.environment, capture_output=True, text=True,
                              timeout=package.PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([r["position"] for r in rows], numbers(batch))
        self.assertEqual([r["tai_ns"] for r in rows], batch.time.tolist())
        self.assertEqual([r["source_sequence"] for r in rows], batch.sequence.tolist())
        self.assertEqual([r["length_bytes"] for r in rows], batch.length.tolist())
        for name in batch._source.layout.channels:
            values = [None if np.isnan(v) else v for v in batch.value(name).tolist()]
            self.assertEqual([r["values"][name] for r in rows], values, name)

    def test_bits_and_calibration(self):
        """A channel of some bits: batch[..] is the word, batch.value(..) the bits; a polynomial is applied by value() only."""
        stand = self.stand("channel word u16 be 0 V 1 0 0 70000", "channel bits u16 be 0 V 1 0 0 70000 4 3",
                           "channel level f32 le 4 mm 2 1 -1e9 1e9", "polynomial 5 -0.5 0.125", "ring all 64 128 64 32 0")
        for number in range(40):
            word = (number * 2749) & 0xFFFF
            stand(f"frame all {word.to_bytes(2, 'big').hex()}0000{np.float32(number / 3).tobytes().hex()}")
        batch = next(self.follow("all", start="oldest"))
        words = np.array([(n * 2749) & 0xFFFF for n in range(40)])
        np.testing.assert_array_equal(batch["bits"], words)
        np.testing.assert_array_equal(batch.value("bits"), (words >> 3) & 15)
        x = np.float32(np.arange(40) / 3).astype(np.float64) * 2 + 1
        np.testing.assert_allclose(batch.value("level"), 5 - 0.5 * x + 0.125 * x * x, rtol=1e-15)
        channels = self.attach()["all"].channels
        self.assertEqual((channels["bits"].bits, channels["bits"].shift), (4, 3))
        self.assertEqual((channels["level"].calibration, channels["word"].calibration), ("polynomial", "none"))
        self.assert_as_tail(stand, "all", batch)

    def test_a_ring_is_described(self):
        self.usual()
        ring = self.attach()["tvac"]
        self.assertEqual((ring.name, ring.instance, ring.slots, ring.slot_bytes, ring.payload_bytes, ring.frame_bytes),
                         ("tvac", self.instance, 64, 128, 64, 32))
        pressure, temperature = ring.channels.values()
        self.assertEqual((pressure.name, pressure.unit, pressure.dtype, pressure.at_byte, pressure.range),
                         ("pressure", "kPa", np.dtype("<f8"), 0, (0, 500)))
        self.assertEqual((temperature.dtype, temperature.scale, temperature.index, temperature.end_byte),
                         (np.dtype(">i2"), 0.01, 1, 10))
        self.assertEqual(ring.dtype.names, ("pressure", "temperature"))
        self.assertEqual(ring.dtype.itemsize, 32)
        self.assertEqual(ring.stamp, "taken")
        self.assertEqual(ring.streams[0].name, "tvac")

    def test_value_into_an_array(self):
        self.usual()("publish tvac 10")
        batch = next(self.follow(start="oldest"))
        out = np.empty(10)
        self.assertIs(batch.value("temperature", out=out), out)
        np.testing.assert_array_equal(out, batch.value("temperature"))
        table = np.zeros((10, 3))
        batch.value("temperature", out=table[:, 1])
        np.testing.assert_array_equal(table[:, 1], out)
        with self.raises(ValueError, "float64 (10,)"):
            batch.value("temperature", out=np.empty(9))
        with self.raises(ValueError, "float32"):
            batch.value("temperature", out=np.empty(10, np.float32))

    def test_wrong_names(self):
        """A wrong channel says which could have been meant."""
        self.usual()("publish tvac 1")
        batch = next(self.follow(start="oldest"))
        for ask in (lambda: batch["presure"], lambda: batch.value("presure"), lambda: batch.values(["presure"])):
            with self.raises(sluice.NoSuchChannel, "presure", "did you mean 'pressure'?"):
                ask()
        with self.assertRaises(KeyError):
            batch["x"]
        with self.raises(sluice.NoSuchChannel, "'pressure', 'temperature'"):
            batch["x"]
        with self.raises(sluice.NoSuchRing, "did you mean 'tvac'?"):
            self.attach()["tvax"]

    def test_a_payload_that_is_an_array(self):
        """A ring without channels: waveforms."""
        stand = self.stand("ring wave 32 256 64 128 0")
        stand("publish wave 5")
        batch = next(self.follow("wave", start="oldest"))
        wanted = np.arange(5)[:, None] * 1000003 + np.arange(16)
        np.testing.assert_array_equal(batch.samples("<u8"), wanted)
        np.testing.assert_array_equal(batch.samples("<u8", 16, 3), wanted[:, 2:5])
        np.testing.assert_array_equal(batch.samples("<u2").reshape(5, 16, 4)[:, :, 0], wanted & 0xFFFF)
        self.assertEqual(batch.bytes.shape, (5, 128))
        self.assertEqual(batch.bytes.tobytes(), wanted.astype("<u8").tobytes())
        self.assertEqual(batch.raw.dtype.names, ())
        self.assertEqual(batch.values().shape, (5, 0))
        with self.raises(sluice.ShortFrame, "136 bytes", "found 128", "position 0"):
            batch.samples("<u8", 0, 17)
        with self.assertRaises(ValueError):
            batch.samples("<u8", -1)
        with self.assertRaises(ValueError):
            batch.samples(object)
        with self.raises(sluice.ShortFrame, "1000 bytes"):
            batch.samples("<u8", 1000)


class InPlace(package.Case):
    def test_nothing_is_copied(self):
        """A frame that is overwritten changes under the view."""
        stand = self.usual()
        stand("publish tvac 64")
        batch = next(self.follow(start="oldest"))
        column = batch["pressure"]
        self.assertEqual(column[-1], 63.25)
        stand("publish tvac 64")
        self.assertEqual(column[-1], 127.25)
        self.assertEqual(batch.overwritten(), 64)

    def test_arrays_cannot_be_written(self):
        """Neither directly nor by the ways around."""
        self.usual()("publish tvac 3")
        batch = next(self.follow(start="oldest"))
        arrays = {"column": batch["pressure"], "raw": batch.raw, "time": batch.time, "sequence": batch.sequence,
                  "flags": batch.flags, "stream": batch.stream, "length": batch.length, "lost_before": batch.lost_before,
                  "bytes": batch.bytes, "samples": batch.samples("u1"), "copy": batch.copy()["pressure"],
                  "copied time": batch.copy().time}
        for name, array in arrays.items():
            with self.subTest(name):
                with self.raises(ValueError, "read-only"):
                    array[0] = array[0]
                base = array
                while isinstance(base, np.ndarray):
                    self.assertFalse(base.flags.writeable)
                    with self.raises(ValueError, "WRITEABLE"):
                        base.setflags(write=True)
                    with self.raises(ValueError, "WRITEABLE"):
                        base.flags.writeable = True
                    base = base.base
                with self.assertRaises((ValueError, BufferError, TypeError, NotImplementedError)):
                    memoryview(array)[0] = b"x"
                if base is not None:
                    self.assertTrue(memoryview(base).readonly)
                    with self.assertRaises(TypeError):
                        memoryview(base)[0] = 1
        self.assertEqual(batch["pressure"][0], 0.25)

    def test_views_outlive_everything(self):
        """Reader closed, server's view closed, server ended: what was seen stays readable, and is unmapped with the last."""
        stand = self.usual()
        stand("publish tvac 10")
        with sluice.attach(self.instance) as server:
            with server["tvac"].follow(start="oldest") as reader:
                batch = next(reader)
                column = batch["temperature"]
        self.assertTrue(reader.closed)
        stand.end()
        self.assertEqual(column.tolist(), [2 * i for i in range(10)])
        self.assertEqual(batch.value("temperature")[3], 6 * 0.01)
        self.assertTrue(batch.valid())
        self.assertEqual(reader.lost, 0)
        self.assertGreater(self.maps(), 0)
        del reader, server, batch
        gc.collect()
        self.assertEqual(column[9], 18)
        del column
        gc.collect()
        self.assertEqual(self.maps(), 0)

    def test_any_order_of_collection(self):
        """Each of reader, batch, array and copy may be the last."""
        stand = self.usual()
        stand("publish tvac 10")
        for order in range(24):
            server = sluice.attach(self.instance)
            reader = server["tvac"].follow(start="oldest")
            batch = next(reader)
            things = [reader, batch, batch["pressure"], batch.copy()]
            del reader, batch
            server = None if order % 2 else server
            for place in (order % 4, order // 4 % 3, order // 12 % 2, 0):
                things.pop(place)
                gc.collect()
            del server
        gc.collect()
        self.assertEqual(self.maps(), 0)
        support.wait_until(lambda: stand("readers") == "", lambda: f"no reader at the stand: {stand('readers')}")

    def test_a_copy_does_not_keep_the_ring(self):
        self.usual()("publish tvac 10")
        with sluice.attach(self.instance) as server:
            copy = server["tvac"].last(frames=5)
        del server
        gc.collect()
        self.assertEqual(self.maps(), 0)
        self.assertEqual(copy.value("temperature").tolist(), [p * 2 * 0.01 for p in range(5, 10)])
        self.assertEqual(copy["pressure"].tolist(), [p + 0.25 for p in range(5, 10)])
        self.assertTrue(copy.valid())
        again = copy.copy()
        self.assertEqual(numbers(again), [5, 6, 7, 8, 9])

    @staticmethod
    def maps():
        with open("/proc/self/maps", encoding="ascii") as file:
            return sum("/memfd:" in line for line in file)


class Overruns(package.Case):
    def overwritten(self, stand, batch):
        """By the ring's own words."""
        oldest = self.server["tvac"].progress.oldest
        return min(max(oldest - batch.position, 0), len(batch))

    def setUp(self):
        super().setUp()
        self.ring = self.usual()
        self.server = self.attach()

    def test_in_the_middle_of_a_view(self):
        """FAULT: the writer takes back part of a batch while it is used."""
        self.ring("publish tvac 40")
        reader = self.follow(server=self.server, start="oldest")
        batch = next(reader)
        self.assertTrue(batch.valid())
        self.ring("publish tvac 40")
        gone = batch.overwritten()
        self.assertEqual(gone, self.overwritten(self.ring, batch))
        self.assertTrue(16 <= gone < 40, gone)
        self.assertFalse(batch.valid())
        self.assertEqual(reader.lost, gone)
        copy = batch.copy()
        self.assertEqual(numbers(copy), list(range(gone, 40)))
        self.assertEqual((copy.position, copy.lost), (gone, gone))
        np.testing.assert_array_equal(copy["pressure"], np.arange(gone, 40) + 0.25)
        self.assertEqual(next(reader).position, 40)  # it has been told: nothing is raised

    def test_it_is_raised_if_nobody_asked(self):
        """FAULT: the same, and the loop goes on as if nothing had happened."""
        self.ring("publish tvac 40")
        reader = self.follow(server=self.server, start="oldest", timeout=5)
        batch = next(reader)
        self.ring("publish tvac 40")
        with self.raises(sluice.Overrun, "position 0", "batch.valid()", "64 slots") as caught:
            next(reader)
        gone = self.overwritten(self.ring, batch)
        self.assertEqual((caught.exception.position, caught.exception.count), (0, gone))
        self.assertEqual(reader.lost, gone)
        self.assertEqual(next(reader).position, 40)  # reading goes on

    def test_asked_too_early(self):
        """FAULT: valid() is asked before the use, not after it: the next batch says so."""
        self.ring("publish tvac 40")
        reader = self.follow(server=self.server, start="oldest")
        for use in (lambda b: b["pressure"], lambda b: b.raw, lambda b: b.value("pressure"), lambda b: b.time,
                    lambda b: b.samples("u1"), lambda b: b.bytes, lambda b: b.utc, lambda b: b.values()):
            reader.seek("oldest")
            batch = reader.batch(4)
            self.assertTrue(batch.valid())
            use(batch)
            self.ring("publish tvac 80")
            with self.assertRaises(sluice.Overrun):
                reader.batch()

    def test_asked_after_use(self):
        """What is overwritten after the user is done with it is nobody's loss."""
        self.ring("publish tvac 40")
        reader = self.follow(server=self.server, start="oldest")
        batch = reader.batch(30)
        self.assertEqual(batch["pressure"].sum(), sum(range(30)) + 7.5)
        self.assertTrue(batch.valid())
        self.ring("publish tvac 54")
        batch = reader.batch()
        self.assertEqual((reader.lost, batch.lost), (batch.position - 30,) * 2)
        batch.copy()
        lost = reader.lost
        self.ring("publish tvac 100")
        batch = reader.batch()
        self.assertEqual(reader.lost - lost, batch.lost)

    def test_it_is_raised_at_the_end_too(self):
        self.ring("publish tvac 40")
        reader = self.follow(server=self.server, start="oldest", wait=False)
        with self.assertRaises(sluice.Overrun):
            for _ in reader:
                self.ring("publish tvac 70")

    def test_counted(self):
        """on_overrun='count': nothing is raised, everything is counted, once."""
        self.ring("publish tvac 40")
        reader = self.follow(server=self.server, start="oldest", on_overrun="count")
        batch = next(reader)
        self.ring("publish tvac 40")
        gone = batch.overwritten()
        self.assertEqual((batch.overwritten(), batch.overwritten(), reader.lost), (gone, gone, gone))
        next(reader)
        self.assertEqual(reader.lost, gone)
        self.ring("publish tvac 200")
        following = next(reader)
        self.assertGreater(following.lost, 0)
        self.assertEqual(batch.overwritten(), 40)
        self.assertEqual(reader.lost, gone + 1 + (following.position - 41))  # of 40 came one alone, and was overwritten, too

    def test_every_position_is_accounted_for(self):
        """FAULT: the writer laps the reader again and again."""
        reader = self.follow(server=self.server, start="oldest", on_overrun="count")
        whole = lost = 0
        for step in (10, 64, 3, 200, 65, 1, 64, 500, 30, 128, 7):
            self.ring(f"publish tvac {step}")
            if step == 65:
                self.ring("gap tvac kernel 5")
            while (batch := reader.batch(20)) is not None:
                if step in (200, 30):
                    self.ring("publish tvac 40")
                copy = batch.copy()
                np.testing.assert_array_equal(copy["pressure"], copy.positions + 0.25)
                whole += len(copy) + len(copy.gaps)
                lost += copy.lost
                step = 0
        self.assertEqual(reader.position, self.server["tvac"].progress.published)
        self.assertEqual(whole + lost, reader.position)
        self.assertEqual(reader.lost, lost)
        self.assertGreater(lost, 100)

    def test_gaps_that_were_overwritten_are_losses(self):
        """FAULT: the writer takes back frames and a gap record that were read ahead and not handed out."""
        self.ring("publish tvac 10")
        self.ring("gap tvac kernel 1")
        self.ring("publish tvac 20")
        self.ring("gap tvac kernel 2")
        self.ring("publish tvac 2")
        reader = self.follow(server=self.server, start="oldest", on_overrun="count")
        self.assertEqual(len(reader.batch()), 10)
        self.ring("publish tvac 45")
        batch = reader.batch()
        oldest = self.server["tvac"].progress.oldest
        self.assertGreater(oldest, 11)
        self.assertEqual([g.count for g in batch.gaps], [])
        self.assertEqual((batch.position, batch.lost), (oldest, oldest - 10))
        self.assertEqual(reader.lost, oldest)
        self.assertTrue(batch.valid())
        np.testing.assert_array_equal(batch["pressure"], batch.positions + 0.25)


class Gaps(package.Case):
    def test_batches_end_at_them(self):
        stand = self.usual()
        stand(f"publish tvac 3 1000 {STEP_NS}")
        stand("gap tvac kernel 7 5000000")
        stand("gap tvac restart 0 6000000")
        stand(f"publish tvac 2 7000000 {STEP_NS}")
        first, second = self.follow(start="oldest", wait=False)
        self.assertEqual((numbers(first), first.gaps), ([0, 1, 2], ()))
        self.assertEqual(numbers(second), [5, 6])
        self.assertEqual([(g.position, g.time, g.cause, g.count, g.from_time, g.stream) for g in second.gaps],
                         [(3, 5000000, "kernel", 7, 0, 0), (4, 6000000, "restart", 0, 0, 0)])
        self.assertEqual((second.lost, second.overwritten()), (0, 0))

    def test_one_without_frames_behind_it(self):
        """FAULT: the sensor falls silent. gaps=True tells at once; without it, it waits among reader.gaps."""
        stand = self.usual()
        stand("publish tvac 1")
        stand("gap tvac sender 9")
        told = self.follow(start="oldest", gaps=True, timeout=0)
        silent = self.follow(start="oldest", timeout=0)
        batches = list(told)
        self.assertEqual([len(b) for b in batches], [1, 0])
        self.assertEqual([g.cause for g in batches[1].gaps], ["sender"])
        for array in (batches[1]["pressure"], batches[1].value("pressure"), batches[1].time, batches[1].raw, batches[1].utc):
            self.assertEqual(array.shape, (0,))
        self.assertEqual(len(batches[1].copy()), 0)
        self.assertEqual([len(b) for b in silent], [1])
        self.assertEqual([g.count for g in silent.gaps], [9])
        stand("publish tvac 1")
        batch = next(silent)
        self.assertEqual([g.count for g in batch.gaps], [9])
        self.assertEqual(silent.gaps, ())

    def test_the_end_of_the_memory(self):
        """Frames of one batch adjoin: it ends where the ring's memory does."""
        stand = self.usual()
        stand("publish tvac 60")
        reader = self.follow(start="oldest", on_overrun="count")
        self.assertEqual(len(reader.batch()), 60)
        stand("publish tvac 10")
        found = []
        while (batch := reader.batch()) is not None:
            self.assertLessEqual(batch.position % 64 + len(batch), 64)
            np.testing.assert_array_equal(batch["pressure"], batch.positions + 0.25)
            found += numbers(batch)
        self.assertEqual(found, list(range(60, 70)))

    def test_max_frames(self):
        stand = self.usual()
        stand("publish tvac 10")
        stand("gap tvac kernel 1")
        stand("publish tvac 10")
        reader = self.follow(start="oldest", max_frames=4, wait=False)
        found = [len(b) for b in reader]
        self.assertEqual((found[:3], max(found), sum(found)), ([4, 4, 2], 4, 20))
        reader = self.follow(start="oldest")
        self.assertEqual([len(reader.batch(8)), len(reader.batch()), len(reader.batch(3)), len(reader.batch(1)),
                          len(reader.batch(100))], [8, 2, 3, 1, 6])
        self.assertIsNone(reader.batch())
        for wrong in (0, -1, 2**32):
            with self.assertRaises(ValueError):
                reader.batch(wrong)


class Pieces(package.Case):
    """Frames are read and looked at in pieces of 256: nobody sees where one ends."""

    def test_how_many_adjoin(self):
        stand = self.usual(1024)
        stand("publish tvac 1500")  # positions 476 .. 1499; the memory's end before 1024
        for most, wanted in ((255, [255, 255, 38, 255, 221]), (256, [256, 256, 36, 256, 220]), (257, [257, 257, 34, 257, 219]),
                             (300, [300, 248, 300, 176]), (512, [512, 36, 476]), (4096, [548, 476])):
            with self.subTest(most):
                batches = list(self.follow(start="oldest", max_frames=most, wait=False))
                self.assertEqual([len(b) for b in batches], wanted)
                self.assertEqual(sum((numbers(b) for b in batches), []), list(range(476, 1500)))
                for b in batches:
                    np.testing.assert_array_equal(b["pressure"], b.positions + 0.25)

    def test_lapped_to_behind_the_end(self):
        """FAULT: the writer goes round before the first look. Iteration ends all the same, and every position is told."""
        for most in (1, 3, 4096):
            stand = self.stand("channel pressure f64 le 0 kPa 1 0 0 500", "ring tvac 64 128 64 32 1000", name=f"lap{most}")
            stand("publish tvac 10")
            with self.attach(stand.instance)["tvac"].follow(start="oldest", wait=False, max_frames=most) as reader:
                stand("publish tvac 200")
                seen = [(b.position, len(b), b.lost) for b in reader]
                self.assertEqual(seen[0][0], seen[0][2])  # lost up to there
                self.assertEqual(seen[0][0] + sum(s[1] for s in seen), reader.position)
            stand.end()

    def test_gaps_and_short_frames_in_a_later_one(self):
        stand = self.stand("channel pressure f64 le 8 kPa 1 0 0 500", "ring tvac 2048 128 64 0 1000")
        payload = "00" * 16
        for i in range(900):
            stand("gap tvac kernel 1" if i in (256, 700) else f"frame tvac {'00' * 9 if i == 600 else payload}")
        batches = list(self.follow(start="oldest", wait=False))
        self.assertEqual([(b.position, len(b), len(b.gaps)) for b in batches], [(0, 256, 0), (257, 443, 1), (701, 199, 1)])
        with self.assertRaises(sluice.ShortFrame) as caught:
            batches[1]["pressure"]
        self.assertEqual(caught.exception.position, 600)
        self.assertEqual(len(batches[2]["pressure"]), 199)

    def test_a_gating_reader_gives_nothing_back(self):
        """What it has in hand is not released by the pieces that came after it."""
        self.udp_server(hz=2000, slots=2048, ring={"gating": {"readers_max": 2, "deadline_ms": 20000}})
        reader = self.follow("udp", mode="gating", start="newest", timeout=package.PATIENCE_S)
        while reader._progress()[1] < reader.position + 600:
            support.time.sleep(0.01)
        first = next(reader)
        batch = first if len(first) > 1 else next(reader)
        self.assertGreaterEqual(len(batch), 300)
        positions = numbers(batch)
        while reader._progress()[1] < batch.position + 2048 - 1:  # the writer can go no further
            support.time.sleep(0.01)
        support.time.sleep(0.05)
        self.assertEqual((batch.overwritten(), numbers(batch), reader.state, reader.lost), (0, positions, "gating", 0))


class Short(package.Case):
    def test_frames_of_several_lengths(self):
        """FAULT: a frame ends before a channel does. Nothing shows what lies behind it."""
        stand = self.stand("channel a u16 le 0 V 1 0 0 1e9", "channel b u32 le 4 V 1 0 0 1e10", "ring text 64 128 64 0 0")
        for length in (8, 8, 6, 8, 2, 12):
            stand(f"frame text {bytes(range(1, length + 1)).hex()}")
        reader = self.follow("text", start="oldest")
        batch = next(reader)
        self.assertEqual(batch.length.tolist(), [8, 8, 6, 8, 2, 12])
        with self.raises(sluice.ShortFrame, "8 bytes", "channel 'b'", "6 bytes at position 2", "2 of the batch's 6",
                         "batch.value('b')") as caught:
            batch["b"]
        self.assertEqual(caught.exception.position, 2)
        with self.raises(sluice.ShortFrame, "position 2"):
            batch.raw
        self.assertEqual(batch["a"].tolist(), [0x0201] * 6)  # that one they all have
        self.assertEqual([np.isnan(v) for v in batch.value("b")], [False, False, True, False, True, False])
        self.assertEqual(batch.value("b")[0], 0x08070605)
        self.assertEqual(np.isnan(batch.values()).sum(), 2)
        self.assertEqual(batch.bytes.shape, (6, 64))
        self.assertEqual(batch.samples("u1").shape, (6, 2))
        self.assertEqual(reader.ring.frame_bytes, 0)
        reader.seek("oldest")
        self.assertEqual(reader.batch(2)["b"].tolist(), [0x08070605] * 2)


class Moments(package.Case):
    TAI = 1_700_000_037_000_000_000

    def setUp(self):
        super().setUp()
        self.ring = self.usual()
        self.ring(f"publish tvac 50 {self.TAI} {STEP_NS}")
        self.tvac = self.attach()["tvac"]

    def moments(self, tai_ns):
        """The same in every way that can be said; floats are rounded to about 0.2 us."""
        utc_ns = tai_ns - self.tvac.utc_offset_s * 10**9
        yield tai_ns
        yield np.int64(tai_ns)
        yield np.uint64(tai_ns)
        yield np.datetime64(utc_ns, "ns")
        yield datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=utc_ns // 1000)
        yield (datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) +
               datetime.timedelta(microseconds=utc_ns // 1000)).astimezone(datetime.timezone(datetime.timedelta(hours=-7)))
        yield utc_ns / 1e9 - 1e-6

    def test_at(self):
        for n in (0, 1, 25, 49):
            for moment in self.moments(self.TAI + n * STEP_NS):
                found = self.tvac.at(moment)
                self.assertEqual((len(found), found.position, found["pressure"][0], found.is_copy), (1, n, n + 0.25, True))
        self.assertEqual(self.tvac.at(self.TAI + 10 * STEP_NS + 1).position, 11)
        self.assertEqual(self.tvac.at(0).position, 0)  # nothing before has been overwritten
        with self.raises(sluice.NotInRing, "nothing as new", "0.001000 s older"):
            self.tvac.at(self.TAI + 50 * STEP_NS)
        self.ring(f"publish tvac 50 {self.TAI + 50 * STEP_NS} {STEP_NS}")
        with self.raises(sluice.NotInRing, "has been overwritten"):
            self.tvac.at(self.TAI)
        self.assertEqual(self.tvac.at(self.TAI + 99 * STEP_NS).position, 99)

    def test_wrong_moments(self):
        for wrong, words in ((datetime.datetime(2024, 1, 1), "time zone"), ("yesterday", "found str"), (float("nan"), "nan"),
                             (np.datetime64("NaT"), "NaT"), (-5, "1970"), (True, "bool"), (2**64, "64 bits")):
            with self.subTest(wrong):
                with self.raises((ValueError, TypeError), words):
                    self.tvac.at(wrong)
        with self.raises(ValueError, "'newest', 'oldest'"):
            self.tvac.follow(start="latest")

    def test_an_empty_ring(self):
        stand = self.stand("ring empty 64 128 64 32 0", name=self.instance[:24] + "-none")
        ring = self.attach(stand.instance)["empty"]
        with self.raises(sluice.NotInRing, "no frame yet"):
            ring.at(5)
        for found in (ring.last(), ring.last(frames=5)):
            self.assertEqual((len(found), found.gaps, found.lost), (0, (), 0))
        self.assertEqual(list(ring.follow(start="oldest", wait=False)), [])
        stand("gap empty late 3")
        self.assertEqual([len(ring.last(frames=5)), len(ring.last()), len(ring.last().gaps)], [0, 0, 1])
        self.assertEqual([len(ring.last().bytes), ring.last().is_copy, ring.last().utc.tolist()], [0, True, []])
        with self.raises(sluice.NotInRing, "nothing as new"):
            ring.at(0)

    def test_utc(self):
        found = self.tvac.last(frames=3)
        utc = found.utc
        self.assertEqual(utc.dtype, np.dtype("datetime64[ns]"))
        self.assertEqual(utc.astype(np.int64).tolist(),
                         [self.TAI + n * STEP_NS - self.tvac.utc_offset_s * 10**9 for n in (47, 48, 49)])

    def test_last(self):
        self.assertEqual(numbers(self.tvac.last(frames=7)), list(range(43, 50)))
        self.assertEqual(numbers(self.tvac.last(frames=0)), [])
        self.assertEqual(len(self.tvac.last(frames=1000)), 50)
        self.assertEqual(numbers(self.tvac.last(seconds=0.0045)), [45, 46, 47, 48, 49])
        self.assertEqual(len(self.tvac.last()), 50)
        self.ring(f"gap tvac kernel 3 {self.TAI + 50 * STEP_NS}")
        self.ring(f"publish tvac 5 {self.TAI + 51 * STEP_NS} {STEP_NS}")
        found = self.tvac.last(frames=7)
        self.assertEqual(numbers(found), [48, 49, 51, 52, 53, 54, 55])
        self.assertEqual([(g.position, g.count) for g in found.gaps], [(50, 3)])
        self.assertEqual(found["pressure"].tolist(), [p + 0.25 for p in numbers(found)])
        self.assertEqual(found.value("temperature").tolist(), [2 * p * 0.01 for p in numbers(found)])
        self.assertEqual(numbers(self.tvac.last(frames=5)), [51, 52, 53, 54, 55])
        for _ in range(30):
            self.ring("gap tvac late 1")
        self.ring("publish tvac 1")
        found = self.tvac.last(frames=2)
        self.assertEqual((numbers(found), [g.position for g in found.gaps]), ([55, 86], list(range(56, 86))))
        self.assertEqual(numbers(self.tvac.last(frames=1)), [86])
        self.assertEqual(self.tvac.last(frames=1).gaps, ())
        self.assertEqual(numbers(self.tvac.last(seconds=float("inf"))), numbers(self.tvac.last(frames=100)))
        for _ in range(3):
            self.ring("publish tvac 30")
            found = self.tvac.last(frames=10**6)
            progress = self.tvac.progress
            self.assertEqual(numbers(found)[-1], progress.published - 1)
            self.assertGreaterEqual(found.position, progress.oldest)
            self.assertEqual(len(found) + len(found.gaps), progress.published - found.position)
        for wrong in ({"frames": 1, "seconds": 1}, {"frames": -1}, {"seconds": -1.0}, {"seconds": float("nan")}):
            with self.assertRaises(ValueError):
                self.tvac.last(**wrong)

    def test_follow_from(self):
        for place, position in (({"position": 12}, 12), ({"sequence": 13}, 13), ({"at": self.TAI + 14 * STEP_NS}, 14),
                                ({"start": self.TAI + 15 * STEP_NS}, 15), ({"start": "oldest"}, 0), ({}, 50)):
            reader = self.tvac.follow(**place)
            self.assertEqual(reader.position, position, place)
            self.assertEqual(reader.seek(**place), position)
        for wrong in ({"position": -1}, {"sequence": 2**64}, {"position": 1, "sequence": 2}, {"deadline_ms": -1},
                      {"timeout": float("nan")}, {"max_frames": -1}):
            with self.assertRaises(ValueError):
                self.tvac.follow(**wrong)
        with self.assertRaises(TypeError):
            self.tvac.follow(position=1.5)
        with self.assertRaises(ValueError):
            self.tvac.follow(start="oldest", position=2)


if __name__ == "__main__":
    package.main()
