"""A server with two rings for tests of readers: `udp`, which the interlock watches, and `data`, which it does not and
whose every byte is known (readers.py)."""
import os
import signal

import readers
import support
from support import Actuator, SensorUdp, config, connect, free_udp_port, outputs_to, udp_source, wait_until

EPERM, ENXIO, EAGAIN, EACCES, EPIPE, EPROTO, EUSERS, ECONNREFUSED = -1, -6, -11, -13, -32, -71, -87, -111


def data_source(port):
    return {"name": "data", "kind": "udp", "worker": "sensors", "ring": "data", "listen": f"127.0.0.1:{port}",
            "from": "127.0.0.1", "receive_buffer_kb": 16384, "frame_bytes": readers.FRAME.size,
            "sequence": {"at_byte": 0, "width_bytes": 8, "byte_order": "little"}}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def maps(pid, what=""):
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return sum(what in line for line in file)


def switches(pid):
    """How often it has given up the processor by itself."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


class ReaderCase(support.Case):
    seed = 20
    die_with_parent = staticmethod(support.die_with_parent)

    def setUp(self):
        super().setUp()
        before = os.environ.get("SLUICE_RUN_DIR")
        os.environ["SLUICE_RUN_DIR"] = self.run_dir  # for the library in this process
        self.addCleanup(lambda: os.environ.pop("SLUICE_RUN_DIR") if before is None
                        else os.environ.update(SLUICE_RUN_DIR=before))

    def data_server(self, slots=1024, gating=None, guard=None, guard_source=None, top=None, start=True,
                    **options):
        """A running server; self.source and self.view are its ring `data`, self.sensor and self.actuator the rest."""
        port, guard_port = free_udp_port(), free_udp_port()
        self.actuator = Actuator(self)
        text = config(self.instance, [udp_source(guard_port), data_source(port)], outputs_to(self.actuator.target))
        text["sources"][0].update(guard_source or {})
        text["sources"][0] = {key: value for key, value in text["sources"][0].items() if value is not None}
        text["rings"][0].update(guard or {})
        text["rings"][1].update({"slots": slots, **({"gating": gating} if gating else {})})
        text.update(top or {})
        self.sluiced = self.server(text, **options)
        self.sensor = SensorUdp(self, guard_port)
        self.source = readers.Source(self, port, self.seed)
        if start:
            self.sluiced.start()
            self.view = self.map_ring(-1)
        return self.sluiced

    def map_ring(self, index):
        """Rings are the last ones of what the server shows, in their order in the file."""
        client = connect(self.socket_path(self.sluiced))
        code, text, fds = support.call(client, support.BOARDS)
        client.close()
        self.assertEqual(code, 0, text)
        for fd in fds:
            if fd != fds[index]:
                os.close(fd)
        return readers.View(self, fds[index])

    def reader(self, ring="data", **options):
        reader = readers.Reader(self.instance, ring, **options)
        self.addCleanup(lambda: reader.handle and reader.detach())
        return reader

    def follower(self, **options):
        return readers.Follower(self.reader(**options), self.seed)

    def child(self, **options):
        return readers.Child(self, self.sluiced, **options)

    def refused(self, code, *words, **options):
        """Attaching fails with this code and says these words."""
        with self.assertRaises(readers.AttachError) as caught:
            self.reader(**options)
        self.assertEqual(caught.exception.code, code, caught.exception.text)
        for word in words:
            self.assertIn(word, caught.exception.text)
        return caught.exception.text

    def published(self, position, seconds=support.PATIENCE_S):
        wait_until(lambda: self.view.published >= position, lambda: f"position {position}, published {self.view.published}",
                   seconds, 0.001)

    def publish(self, count, chunk=2000):
        """Frames that are in the ring when it returns, none dropped on the way."""
        while count > 0:
            n = min(chunk, count)
            end = self.view.published + n
            self.source.send(n)
            self.published(end)
            count -= n

    def assert_all_accounted(self, follower, published=None):
        """Every position from its start was accepted, is counted as lost, or is still to come."""
        report = follower if isinstance(follower, dict) else follower.report()
        published = self.view.published if published is None else published
        self.assertEqual(report["wrong"], 0, report)
        self.assertEqual(report["backwards"], 0, report)
        self.assertEqual(report["holes"], report["lost"], report)
        self.assertEqual(report["accepted"] + report["lost"] + published - report["position"], published - report["start"],
                         report)
        return report

    def assert_ledger(self, name="data"):
        stream = self.sluiced.stream(name)
        self.assert_balanced(stream)
        return stream

    def restart_worker(self):
        """Kills it; the pid of its successor, which listens already."""
        pid = self.sluiced.worker()
        before = self.view.epoch, self.view.connects
        self.sluiced.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.view.epoch > before[0] and self.view.connects > before[1], "the next worker", pause_s=0.002)
        return wait_until(lambda: (p := self.sluiced.child("sluice-worker")) != pid and p, "the next worker")

    def wait_log(self, text):
        wait_until(lambda: text in self.sluiced.log(), lambda: f"'{text}' in the log")

    def gating_events(self, ring="data"):
        return next(r for r in self.sluiced.status()["rings"] if r["name"] == ring)["gating"]

    def shown_readers(self, ring="data"):
        return next(r for r in self.sluiced.status()["rings"] if r["name"] == ring)["readers"]
