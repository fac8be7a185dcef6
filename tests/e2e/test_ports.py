#!/usr/bin/env python3
"""The virtual ports beside memif, whole processes: vhost, with sluice-gen on virtio-user. The ledger is exact, every byte is
where it belongs, peers die and come again."""
import json
import os
import subprocess
import unittest

from support import BIN, spawn, stop, wait_until
from test_dpdk import RESTART, Dpdk, content


class Vhost(Dpdk):
    def start(self, **changes):
        self.path_of_socket = self.path("vhost.sock")
        return super().start(port=f"net_vhost0,iface={self.path_of_socket}", **changes)

    def arguments(self, *options):
        return [os.path.join(BIN, "sluice-gen"), "dpdk", f"net_virtio_user0,path={self.path_of_socket},queue_size=1024",
                "--to-port", "5000", *options]

    def gen(self, *options, code=0):
        done = subprocess.run(self.arguments("--json", *options), capture_output=True, text=True, timeout=90,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def test_every_byte_arrives_in_place(self):
        self.start()
        reader = self.reader()
        self.gen("--count", "3000", "--size", "700", "--rate", "20kpps", "--seed", "3")
        stream = self.wait_delivered(3000)
        self.assertEqual((stream["sent"], stream["delivered"], stream["residual"]), (3000, 3000, 0))
        found, _ = self.frames(reader)
        self.assertEqual(len(found), 3000)
        for number, (frame, payload) in enumerate(found):
            self.assertEqual((frame.source_sequence, len(payload)), (number, 700))
            self.assertEqual(payload[32:], content(number, 668, 3), number)

    def test_the_ledger_is_exact(self):
        self.start()
        sent = self.gen("--count", "30000", "--size", "200", "--rate", "100kpps", "--seed", "11", "--lose", "0.01",
                        "--duplicate", "0.01", "--reorder", "0.01", "--lose-tail", "17")
        stream = wait_until(lambda: (s := self.stream())["sent"] == sent["sent"] and s, "the last heartbeat")
        self.assertEqual(stream["lost"]["sender"], sent["lost"])
        self.assertEqual((stream["duplicated"], stream["reordered"]), (sent["duplicated"], sent["reordered"]))
        self.assertEqual(stream["residual"], 0)

    def test_the_peer_dies_and_comes_again(self):
        self.start()
        reader = self.reader()
        worker = self.worker_pid()
        gen = spawn(*self.arguments("--rate", "2000pps", "--size", "100"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(stop, gen)
        self.wait_delivered(500)
        gen.kill()
        gen.wait()
        wait_until(lambda: self.stream()["open"] is False, "the link to be seen down")
        next_number = self.stream()["sent"] + 5000
        self.gen("--count", "100", "--first", str(next_number), "--size", "100")
        stream = wait_until(lambda: (s := self.stream())["sent"] >= next_number + 100 and s, "the new peer's frames")
        self.assertEqual((stream["lost"]["restart"], stream["residual"]), (5000, 0))
        _, gaps = self.frames(reader)
        self.assertIn(RESTART, [frame.cause for frame, _ in gaps])
        self.assertEqual(self.server_process.child("sluice-dpdk"), worker)


if __name__ == "__main__":
    unittest.main(verbosity=2)
