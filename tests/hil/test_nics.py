"""DPDK's own drivers on PCI cards: e1000, e1000e, vmxnet3 and virtio, each into a ring of its own, one sluice-dpdk for all.
Frames come from the host, numbered; what becomes of each is in the ledger, and every byte of those that arrived in a ring.

The tests of Cards share a server and run in the order of their names.
"""
import os
import signal
import subprocess
import unittest

import frames
import guest
import nics
import readers
import support
from support import wait_until

KINDS = ("e1000", "e1000e", "vmxnet3", "virtio")
E1000, E1000E, VMXNET3, VIRTIO = range(4)
DRIVER = {"nics-uio": "uio_pci_generic", "nics-vfio": "vfio-pci"}
SIZE = 200
DESCRIPTORS = 256
SLOTS = 2048
GATED = {"slots": 4096, "gating": {"readers_max": 1, "when_full": "drop", "deadline_ms": 60000}}
GATED_DESCRIPTORS = 512
RESTART = 7
INSTANCE = "nics"


def config(addresses, rings=(), pages="huge"):
    """One worker, a source for each card that has an address; `rings`: what is special about the ring of a kind."""
    text = support.config(INSTANCE, [], [], rules=[])
    for key in ("rules", "outputs"):
        del text[key]
    chosen = [(kind, address) for kind, address in zip(KINDS, addresses) if address]
    text["memory"] = {"pages": pages}
    text["workers"] = [{"name": "packets", "idle": "wait", "dpdk_memory_mb": 32}]
    text["rings"] = [{"name": kind, "slots": SLOTS, "slot_bytes": 2048, **dict(rings).get(kind, {})} for kind, _ in chosen]
    text["sources"] = [{"name": kind, "kind": "dpdk", "worker": "packets", "ring": kind, "descriptors": DESCRIPTORS,
                        "port": address, "packet": {"to": f":{frames.PORT}"}, "sequence": {"at_byte": 0, "width_bytes": 8}}
                       for kind, address in chosen]
    return text


class Fixture(support.Case):
    """What a server needs of a test case, for all tests of a class."""

    def serve(self):
        """It is no test."""

    def show_logs(self):
        """The tests do."""


class Serving(unittest.TestCase):
    """Of a class of tests, one server."""

    @classmethod
    def make(cls, text):
        cls.case = Fixture("serve")
        cls.case.setUp()
        cls.addClassCleanup(cls.case.doCleanups)
        os.environ.update(cls.case.environment)
        cls.server = cls.case.server(text)
        return cls.server

    def tearDown(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            print(f"---- {self.id()}: the server's log\n{self.server.log()[-4000:]}", flush=True)

    def stream(self, name, condition, what):
        """The stream's part of the first status that fulfils the condition."""
        found = []

        def good(status):
            found[:] = [self.server.stream(name, status)]
            return condition(found[0])

        self.server.wait_status(good, f"{name}: {what}")
        return found[0]

    def reader(self, ring, **options):
        reader = readers.Reader(INSTANCE, ring, start=readers.NEWEST, **options)
        self.addCleanup(reader.detach)
        return reader


class Cards(Serving):
    rings = {}

    @classmethod
    def setUpClass(cls):
        cls.driver = DRIVER[guest.run()["guest"]]
        cls.addresses = [nics.find(i) for i in range(len(KINDS))]
        for address in cls.addresses:
            nics.bind(address, cls.driver)
        text = config(cls.addresses, {"e1000": GATED, **cls.rings})
        text["sources"][E1000]["descriptors"] = GATED_DESCRIPTORS
        cls.make(text).start()
        cls.next = [0] * len(KINDS)

    def inject(self, i, count, size=SIZE, **how):
        """From the next number on; the first and the one behind the last."""
        first = self.next[i]
        self.next[i] += count
        how["spoil"] = 100 if guest.is_broken("nics") else 0
        self.assertEqual(guest.ask("inject", nic=f"n{i}", count=count, first=first, size=size, **how), {"sent": count})
        return first, self.next[i]

    def seen(self):
        """All streams, by their place, when their last frames have come: every frame sent is accounted for."""
        def all_seen(status):
            return all(self.server.stream(kind, status)["sent"] >= self.next[i] for i, kind in enumerate(KINDS))

        status = self.server.wait_status(all_seen, f"frames up to {self.next}")
        streams = [self.server.stream(kind, status) for kind in KINDS]
        for i, stream in enumerate(streams):
            self.assertEqual((stream["sent"], stream["residual"]), (self.next[i], 0), stream)
            self.assertEqual(stream["sent"], stream["delivered"] + sum(stream["lost"].values()), stream)
        return streams

    @staticmethod
    def lost(before, after):
        """What is lost now and was not before, by cause."""
        return {cause: n - before["lost"][cause] for cause, n in after["lost"].items() if n != before["lost"][cause]}

    def wait_links(self, is_up):
        return self.server.wait_status(lambda s: all(one["open"] is is_up for one in s["streams"]),
                                       f"all links to be {'up' if is_up else 'down'}")

    def test_1_every_byte_of_every_frame(self):
        self.wait_links(True)
        all_readers = [self.reader(kind) for kind in KINDS]
        sent = [self.inject(i, 600, pause_us=100) for i in range(len(KINDS))]
        for i, stream in enumerate(self.seen()):
            with self.subTest(KINDS[i]):
                self.assertEqual(sum(stream["lost"].values()), 0, stream)
                self.assertEqual(nics.check(all_readers[i], SIZE), (list(range(*sent[i])), []))

    def test_1_what_the_board_says(self):
        """Slots of 2048 bytes leave the e1000s buffers of 1024; everything else is as it should be, and sealed."""
        packets = self.server.processes()["packets"]
        self.assertEqual([text.split(" splits ")[0] for text in packets["refusals"]],
                         [f"source {KINDS[i]}: port {self.addresses[i]}" for i in (E1000, E1000E)])
        self.assertTrue(packets["sealed"])

    def test_2_as_fast_as_they_come(self):
        """More than a ring has slots. Three of the cards make the wire wait; vmxnet3 drops, and says how many."""
        before = self.seen()
        for i in range(len(KINDS)):
            self.inject(i, 5000)
        self.inject(VMXNET3, 10, pause_us=1000)
        for i, stream in enumerate(self.seen()):
            with self.subTest(KINDS[i]):
                self.assertLessEqual(set(self.lost(before[i], stream)), {"nic"} if i == VMXNET3 else set(), stream)

    def test_3_a_worker_that_does_not_run(self):
        """vmxnet3 has room for its descriptors' worth and drops the rest: that is what the gap is put down to."""
        before = self.seen()[VMXNET3]
        reader = self.reader("vmxnet3")
        worker = self.server.child("sluice-dpdk")
        os.kill(self.server.pid, signal.SIGSTOP)  # first: it would start a silent worker again
        os.kill(worker, signal.SIGSTOP)
        try:
            first, _ = self.inject(VMXNET3, 1500)
        finally:
            os.kill(worker, signal.SIGCONT)
            os.kill(self.server.pid, signal.SIGCONT)
        self.stream("vmxnet3", lambda s: s["delivered"] > before["delivered"], "what the card had")
        _, end = self.inject(VMXNET3, 10, pause_us=1000)
        after = self.seen()[VMXNET3]
        numbers, gaps = nics.check(reader, SIZE)
        missing = end - first - len(numbers)
        self.assertEqual(gaps, [])
        self.assertGreaterEqual(missing, 1500 - 2 * DESCRIPTORS)
        self.assertEqual(self.lost(before, after), {"nic": missing}, after)
        self.assertEqual(self.server.processes()["packets"]["restarts"], 0, self.server.log())

    def test_4_what_is_wrong_with_frames(self):
        """Strangers are nobody's loss; a frame that is refused is the stream's, by its cause."""
        before = self.seen()
        for i in range(len(KINDS)):
            bad = [frames.numbered(self.next[i] + n, SIZE, frames.PORT) for n in range(3)]
            bad = [frame[:24] + bytes([frame[24] ^ 0xFF]) + frame[25:] for frame in bad]  # the IP header's checksum
            strangers = [frames.numbered(n, SIZE, frames.PORT + 1) for n in range(5)]
            self.next[i] += 3
            guest.ask("inject", nic=f"n{i}", frames=[frame.hex() for frame in bad + strangers], pause_us=100)
            self.inject(i, 2, pause_us=100)
        for i, stream in enumerate(self.seen()):
            with self.subTest(KINDS[i]):
                self.assertEqual(stream["refused"]["stranger"] - before[i]["refused"]["stranger"], 5, stream)
                self.assertEqual(self.lost(before[i], stream), {"malformed": 3}, stream)
                self.assertEqual(stream["delivered"] - before[i]["delivered"], 2, stream)

    def test_5_no_slot_left(self):
        """A gating reader keeps its slots: the card writes what is dropped into memory that is nobody's."""
        before = self.seen()[E1000]
        reader = self.reader("e1000", mode=readers.GATING, deadline_ms=60000)
        first, _ = self.inject(E1000, 2 * GATED["slots"])
        numbers, _ = nics.check(reader, SIZE)
        reader.release()
        # The card has its descriptors' worth of such memory, into which the next frames go.
        _, end = self.inject(E1000, 2 * GATED_DESCRIPTORS, pause_us=100)
        after = self.seen()[E1000]
        numbers += nics.check(reader, SIZE)[0]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreater(end - first, len(numbers))
        self.assertEqual(self.lost(before, after), {"ring_full": end - first - len(numbers)})

    def test_6_links_go_and_come(self):
        before = self.wait_links(True)
        for is_up in (False, True):
            for i in range(len(KINDS)):
                guest.ask("link", nic=f"n{i}", up=is_up)
            self.wait_links(is_up)
        for i in range(len(KINDS)):
            self.inject(i, 20, pause_us=100)
        for i, stream in enumerate(self.seen()):
            with self.subTest(KINDS[i]):
                old = self.server.stream(KINDS[i], before)
                for what, more in (("delivered", 20), ("disconnects", 1), ("connects", 1)):
                    self.assertEqual(stream[what] - old[what], more, what)

    def test_7_a_card_is_pulled_out_and_put_back(self):
        """The whole process goes with it, and comes again until the card is back."""
        reader = self.reader("e1000e")
        first, there = self.inject(E1000E, 100, pause_us=100)
        before = self.seen()[E1000E]
        guest.ask("device_del", device="d1")
        wait_until(lambda: any(e["event"] == "DEVICE_DELETED" and e["data"].get("device") == "d1" for e in guest.ask("events")),
                   "the card to be gone")
        wait_until(lambda: "no DPDK port at PCI" in self.server.log(), "a try without the card")
        gone = f"sluice-dpdk: the card at PCI {self.addresses[E1000E]} (source e1000e) is gone"
        self.assertEqual(self.server.log().count(gone), 1, self.server.log())
        wait_until(lambda: "ended with exit code 1; starting it again" in self.server.log(), lambda: self.server.log())
        guest.ask("device_add", device="d1", driver="e1000e", netdev="n1", bus="slot1", mac="02:00:00:00:00:01")
        wait_until(lambda: nics.find(E1000E) is not None, "the card in its slot")
        nics.bind(nics.find(E1000E), self.driver)
        self.wait_links(True)
        self.next[E1000E] += 50  # which nobody sends while it is away
        again, end = self.inject(E1000E, 100, pause_us=100)
        for i in (set(range(len(KINDS))) - {E1000E}):
            self.inject(i, 10, pause_us=100)
        self.assertEqual(self.lost(before, self.seen()[E1000E]), {"restart": 50})
        numbers, gaps = nics.check(reader, SIZE)
        self.assertEqual(numbers, list(range(first, there)) + list(range(again, end)), "the reader stayed attached")
        self.assertEqual([gap.cause for gap in gaps], [RESTART])


    def test_9_the_end(self):
        """By itself, and what was there is published."""
        self.assertEqual(self.server.end(), 0, self.server.log())
        self.assertNotIn("does not end", self.server.log())


class CardsBehindAnIommu(Cards):
    rings = {"vmxnet3": {"slot_bytes": 16384}}  # which does not care in how many pages a slot lies

    def test_8_frames_longer_than_ethernets(self):
        reader = self.reader("vmxnet3")
        sent = self.inject(VMXNET3, 20, size=8900, pause_us=1000)
        self.seen()
        self.assertEqual(nics.check(reader, 8900), (list(range(*sent)), []))


class Refused(Serving):
    """What cannot work is said before anything is touched, and what to do."""

    def say(self, text, words):
        server = self.make(text)
        server.launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2, server.log())
        for word in words:
            self.assertIn(word, server.log())

    def test_the_kernels_own_driver(self):
        address = nics.find(0)
        nics.bind(address, "e1000")
        self.say(config([address]), [f"source e1000: PCI {address} is bound to the kernel's driver e1000, expected vfio-pci",
                                     f"dpdk-devbind.py -b vfio-pci {address}"])

    def test_no_driver(self):
        address = nics.find(0)
        nics.bind(address, None)
        words = [f"PCI {address} is bound to no driver"]
        if guest.run()["guest"] == "nics-uio":
            words.append("as long as the IOMMU is off")
        self.say(config([address]), words)

    def test_no_card(self):
        self.say(config(["0000:1f:00.0"]), ["no DPDK port at PCI 0000:1f:00.0"])

    def test_no_huge_pages(self):
        """Behind an IOMMU small pages do: they cost time, no more."""
        address = nics.find(E1000E)
        before = nics.read(nics.HUGE_PAGES)
        nics.write(nics.HUGE_PAGES, "0")
        self.addCleanup(nics.write, nics.HUGE_PAGES, before)
        text = config([None, address], pages="huge_or_normal")
        if guest.run()["guest"] == "nics-vfio":
            server = self.make(text).start()
            self.stream("e1000e", lambda s: s["open"], "the link")
            reader = self.reader("e1000e")
            guest.ask("inject", nic="n1", count=100, size=SIZE, pause_us=100)
            self.stream("e1000e", lambda s: s["delivered"] == 100, "100 frames")
            self.assertEqual(nics.check(reader, SIZE), (list(range(100)), []))
            self.assertEqual(server.end(), 0, server.log())
            self.assertNotIn("does not end", server.log())
            return
        self.say(text, ["expected 32 MB of huge pages for DPDK's own memory", f"port {address} is bound to uio_pci_generic",
                        "/proc/sys/vm/nr_hugepages"])


class Xdp(Serving):
    """The kernel's own driver, and an XDP program in it: the same frames by AF_XDP."""

    def test_native_on_virtio(self):
        guest.load("virtio_net")
        address = nics.find(VIRTIO)
        nics.bind(address, "virtio-pci")
        interface = wait_until(lambda: nics.interface(address), "the kernel's interface")
        subprocess.run(["/hil/busybox", "ip", "link", "set", interface, "up"], check=True)
        wait_until(lambda: nics.read(f"/sys/class/net/{interface}/carrier") == "1", "its carrier")
        text = config([None, None, None, address])
        del text["workers"][0]["dpdk_memory_mb"]
        del text["sources"][0]["port"]
        text["sources"][0].update(kind="afxdp", interface=interface)
        self.make(text).start()
        self.stream("virtio", lambda s: s["open"], "its interface")
        reader = self.reader("virtio")
        guest.ask("inject", nic="n3", count=500, size=SIZE, pause_us=1000)
        guest.ask("inject", nic="n3", frames=[frames.numbered(1, SIZE, frames.PORT + 1).hex()])
        guest.ask("inject", nic="n3", count=10, first=600, size=SIZE, pause_us=100)
        stream = self.stream("virtio", lambda s: s["sent"] == 610, "610 frames")
        self.assertEqual((stream["delivered"], stream["lost"]["sender"], stream["residual"]), (510, 100, 0), stream)
        self.assertEqual(nics.check(reader, SIZE), (list(range(500)) + list(range(600, 610)), []))
        self.assertNotIn("generic", " ".join(self.server.processes()["packets"]["refusals"]), "the driver runs the program")
