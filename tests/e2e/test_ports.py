#!/usr/bin/env python3
"""The virtual ports beside memif, whole processes: vhost, with sluice-gen on virtio-user, and AF_PACKET on a veth pair. The ledger
is exact, every byte is where it belongs, peers die and come again."""
import json
import os
import shutil
import socket
import subprocess
import unittest

from support import BIN, LIBC, spawn, stop, wait_until
from test_dpdk import HEADER, RESTART, Dpdk, content

CLONE_NEWNET = 0x40000000


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


class AfPacket(Dpdk):
    """An interface of the kernel's as a port: one end of a veth pair, whose other end is in a second namespace. The kernel leaves
    the UDP checksum of what its own sockets send to a device, and there is none."""
    HERE, THERE = "10.98.0.2", "10.98.0.1"

    def setUp(self):
        super().setUp()
        if shutil.which("ip") is None:
            self.skipTest("SKIPPED: no program ip (iproute2): PORTS OF AF_PACKET WERE NOT TESTED")
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, home)
        self.addCleanup(lambda: self.assertEqual(LIBC.setns(home, CLONE_NEWNET), 0))
        if LIBC.unshare(CLONE_NEWNET) != 0:
            self.skipTest("SKIPPED: no network namespace can be made (root?): PORTS OF AF_PACKET WERE NOT TESTED")
        there = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, there)
        self.sender = self.socket()
        self.assertEqual(LIBC.unshare(CLONE_NEWNET), 0)
        self.ip("link", "add", "taken", "address", "02:00:00:00:00:02", "type", "veth", "peer", "name", "wire", "netns",
                f"/proc/self/fd/{there}", fds=(there,))
        self.ip("link", "set", "taken", "up")
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, here)
        self.assertEqual(LIBC.setns(there, CLONE_NEWNET), 0)
        self.ip("addr", "add", f"{self.THERE}/24", "dev", "wire")
        self.ip("link", "set", "wire", "up")
        self.ip("neigh", "add", self.HERE, "lladdr", "02:00:00:00:00:02", "dev", "wire")
        self.assertEqual(LIBC.setns(here, CLONE_NEWNET), 0)

    def ip(self, *arguments, fds=()):
        subprocess.run(["ip", *arguments], check=True, pass_fds=fds)

    def socket(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        return s

    def test_what_the_kernel_sends(self):
        self.start(port="net_af_packet0,iface=taken,framesz=2048,blocksz=4096,framecnt=512", slot_bytes=4096,
                   packet={"to": f"{self.HERE}:5000"})
        reader = self.reader()
        sent = [HEADER.pack(0x534C5543, 1, 0, n, 0, 7, 64) + content(n, 64) for n in range(200)]
        for frame in sent:
            self.sender.sendto(frame, (self.HERE, 5000))
        stream = self.wait_delivered(len(sent))
        self.assertEqual((stream["sent"], sum(stream["lost"].values()), stream["residual"]), (len(sent), 0, 0))
        found, _ = self.frames(reader)
        self.assertEqual([payload for _, payload in found], sent)


if __name__ == "__main__":
    unittest.main(verbosity=2)
