"""A data-acquisition card of the kernel's comedi: each sample of its scans is in the ring, as the card computed it. Faults:
not there yet, a buffer that nobody empties, gone and back, taken by another, asked for what it has not."""
import errno
import fcntl
import os
import signal
import struct

import buses
import fixtures
import sources
import support
from support import wait_until

HZ = 1000
FAST_HZ, LENGTH = 4000, 2048  # a page of scans of one input: full before a silent worker is ended
NUMBER = 2     # of an input that no wave is on
STEP = 2 * buses.ComediCard.VOLTS / (HZ * buses.ComediCard.PERIOD_S)
COUNT = 20 / 65535


class Card(support.Case):
    def begin(self, all_sources, channel):
        rules = [{"name": "limit", "channel": channel, "high": 9}]
        outputs = support.outputs_to(support.Actuator(self).target)
        text = support.config(self.instance, all_sources, outputs, rules, slots=16384, **fixtures.settings())
        self.running = self.server(text).start()
        return self.running

    def wait_stream(self, name, condition, what):
        status = self.running.wait_status(lambda s: condition(self.running.stream(name, s)), f"{name}: {what}")
        return self.running.stream(name, status)


class Scans(Card):
    def test_scans_and_polls(self):
        card, asked = buses.ComediCard(self, there=False), buses.ComediCard(self, 1)
        asked.value(NUMBER, 0x8000)
        scans = sources.comedi("scans", card, ["saw", "square"], buffer_length=16384)
        self.begin([scans, sources.comedi_polled("polled", asked, NUMBER)], "polled")
        self.is_late(card)
        self.waves()
        self.scale_is_said_once()
        self.polled(asked)
        self.no_kernel_thread_reads()
        self.vanishes(asked)
        self.another_has_it(card)
        for stream in self.running.status()["streams"]:
            self.assert_balanced(stream)
        self.assertEqual(self.running.end(), 0, self.running.log())

    def is_late(self, card):
        self.wait_stream("scans", lambda s: not s["open"] and s["open_errno"] == errno.ENODEV, "it to be missed")
        self.assertIn(f"{card.path}: expected a comedi card such as /dev/comedi0: no card is behind it; trying again", self.running.log())
        card.appear()
        self.wait_stream("scans", lambda s: s["open"] and s["delivered"] > 3 * HZ * card.PERIOD_S, "three periods of scans")

    def frames(self, name, count):
        done = self.running.cli("tail", "--json", "--from-sequence", "1", "--count", str(count), self.running.instance, name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [support.json.loads(line)["values"] for line in done.stdout.splitlines()]

    def waves(self):
        """The next of a saw is one step higher, or where it begins again: a scan that is missing, or half a scan, shows."""
        frames = self.frames("scans", round(2 * HZ * buses.ComediCard.PERIOD_S))
        saw = [f["saw"] for f in frames]
        for before, after in zip(saw, saw[1:]):
            self.assertTrue(abs(after - before - STEP) < 3 * COUNT or after - before < -1.9, (before, after))
        self.assertEqual(sum(1 for a, b in zip(saw, saw[1:]) if b < a), 2, saw)
        self.assertTrue(max(saw) < 1.01 and min(saw) > -1.01, saw)
        self.assertEqual({round(f["square"], 2) for f in frames}, {-1.0, 1.0})

    def scale_is_said_once(self):
        log = self.running.log()
        for name, number in (("scans", 0), ("scans", 1), ("polled", NUMBER)):
            words = f"subdevice 0, input {number}, range 0: counts 0 to 65535 are -10 to 10 V, that is scale: 0.000305180438, offset: -10"
            lines = [text for text in log.splitlines() if f"source {name}: " in text and words in text]
            self.assertEqual(len(lines), 1, log)

    def polled(self, asked):
        for counts in (0, 1, 0x8001, 0xFFFF):
            asked.value(NUMBER, counts)
            self.assertEqual(asked.input(NUMBER), counts)
            volts = counts * COUNT - 10
            self.running.wait_status(
                lambda s, v=volts: any(c["name"] == "polled" and abs(c["value"] - v) < COUNT / 4 for c in s["channels"]), f"{counts} counts")

    def no_kernel_thread_reads(self):
        """Reads that may block would be handed to threads of the kernel's, on the worker's core."""
        tasks = f"/proc/{self.running.worker()}/task"
        names = [fixtures.read(f"{tasks}/{task}/comm") for task in os.listdir(tasks)]
        self.assertEqual([name for name in names if name.startswith("iou-wrk")], [], names)

    def vanishes(self, asked):
        before = self.running.status()
        asked.vanish()
        self.wait_stream("polled", lambda s: not s["open"] and s["open_errno"] == errno.ENODEV, "it to be missed")
        other = self.running.stream("scans", before)
        now = self.wait_stream("scans", lambda s: s["delivered"] > other["delivered"] + HZ, "a second of scans")
        self.assertEqual((now["connects"], now["disconnects"]), (other["connects"], other["disconnects"]), now)
        asked.appear()
        stream = self.wait_stream("polled", lambda s: s["open"], "its answers")
        self.assertEqual((stream["disconnects"], stream["gap_records"]), (1, 1), stream)
        self.assertIn("source polled: answers again", self.running.log())
        self.assertEqual(self.running.log().count("no card is behind it"), 2, "once for each")

    def another_has_it(self, card):
        """The driver keeps a card that scans: nobody can take it away, nor ask it."""
        with self.assertRaises(OSError) as refused:
            card.vanish()
        self.assertEqual(refused.exception.errno, errno.EBUSY)
        with self.assertRaises(OSError) as refused:
            card.input(NUMBER)
        self.assertEqual(refused.exception.errno, errno.EBUSY)


class Overrun(Card):
    def test_nobody_takes_the_scans(self):
        """Until the kernel has no room. What it had is in the ring; the rest is a gap with a cause of its own."""
        card = buses.ComediCard(self)
        self.begin([sources.comedi("fast", card, ["saw"], scan_hz=FAST_HZ, buffer_length=LENGTH)], "saw")
        before = self.wait_stream("fast", lambda s: s["open"] and s["delivered"] > 0, "scans")
        worker = self.running.worker()
        self.running.kill(worker, signal.SIGSTOP)
        wait_until(lambda: not card.is_scanning(), "the card to stop, its buffer full", pause_s=0.02)
        self.running.kill(worker, signal.SIGCONT)
        stream = self.wait_stream("fast", lambda s: s["connects"] > before["connects"] and s["delivered"] > before["delivered"] + LENGTH,
                                  "scans again")
        again = stream["connects"] - before["connects"]  # more than one if the machine was that slow
        self.assertEqual([stream[key] - before[key] for key in ("disconnects", "gap_records")], [again, again], stream)
        self.assert_balanced(stream)
        log = self.running.log()
        self.assertIn("source fast: /dev/comedi0 stopped its scans: its buffer was full, or it reports a fault; started again", log)
        lines = self.running.tail("fast", "--oldest").wait(lambda found: any("gap" in line for line in found), "the gap's record")
        self.assertEqual(next(line["gap"]["cause"] for line in lines if "gap" in line), "kernel")
        self.assertEqual(self.running.end(), 0, self.running.log())


class Refused(Card):
    def test_what_cannot_be(self):
        card = buses.ComediCard(self)
        node = self.path("nosuch")
        scanning = self.scan_by_hand(card)
        two = sources.comedi("two", card, ["a", "b"])

        def wrong(name, **keys):
            return {**two, "name": name, "ring": name, "channels": [], **keys}

        said = {
            "none": (wrong("none", device=node), f"cannot open {node}: No such file or directory", errno.ENOENT),
            "null": (wrong("null", device="/dev/null"), "/dev/null: expected a comedi card such as /dev/comedi0", errno.ENOTTY),
            "far": (wrong("far", subdevice=9), "expected subdevice 9, found 2, counted from 0", errno.ENODEV),
            "out": (wrong("out", subdevice=1), "subdevice 1 has no analog inputs", errno.EINVAL),
            "input": (wrong("input", inputs=[{"input": 8}]), "expected input 8, found 8, counted from 0", errno.EINVAL),
            "range": (wrong("range", inputs=[{"input": 0, "range_index": 2}]), "expected range_index 2, found 2 ranges", errno.EINVAL),
            "diff": (wrong("diff", inputs=[{"input": 0, "reference": "diff"}]), "it has no reference: diff", errno.EINVAL),
            "bits": (wrong("bits", sample_bits=32), "expected samples of 32 bits, found 16; correct sample_bits", errno.EINVAL),
            "rate": (wrong("rate", scan_hz=1000000), "expected 1e+06 scans/s of 2 inputs, the card offers 500000; correct scan_hz",
                     errno.ERANGE),
            "busy": (wrong("busy"), "cannot start its scans: another process reads it", errno.EBUSY),
            "asked": (sources.comedi_polled("asked", card, NUMBER), "another process reads the subdevice", errno.EBUSY),
        }
        self.begin([source for source, _, _ in said.values()], "asked")
        numbers = {name: number for name, (_, _, number) in said.items()}
        self.running.wait_status(lambda s: {n: self.running.stream(n, s)["open_errno"] for n in numbers} == numbers, f"these errnos: {numbers}")
        for name, (_, words, _) in said.items():
            lines = [text for text in self.running.log().splitlines() if f"source {name}: " in text and "; trying again" in text
                     or f"source {name}: " in text and "; asking again" in text]
            self.assertEqual(len(lines), 1, f"{name}: {lines}")
            self.assertIn(words, lines[0])
        os.close(scanning)
        self.wait_stream("busy", lambda s: s["open"] and s["delivered"] > HZ, "the card, when the other lets go")
        self.assertEqual(self.running.end(), 0, self.running.log())
        self.refuses_to_start(wrong("none", device=node, missing="refuse"), f"cannot open {node}: No such file or directory")

    @staticmethod
    def scan_by_hand(card):
        """Another program that scans the card: its descriptor."""
        fd = os.open(card.path, os.O_RDONLY | os.O_CLOEXEC)
        inputs = struct.pack("=I", 0)
        held = buses.ctypes.create_string_buffer(inputs)
        timer, now, count, none = 0x10, 0x2, 0x20, 0x1
        command = struct.pack("=12IQI4xQI4x", 0, 0, now, 0, timer, 10**7, now, 0, count, 1, none, 0, buses.ctypes.addressof(held), 1, 0, 0)
        fcntl.ioctl(fd, 0x80506409, command)
        return fd

    def refuses_to_start(self, source, words):
        self.instance += "r"
        udp = support.udp_source(support.free_udp_port())
        text = support.config(self.instance, [source, udp], support.outputs_to(support.Actuator(self).target), **fixtures.settings())
        server = self.server(text).launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2, server.log())
        self.assertIn(words, server.log())


del Card
