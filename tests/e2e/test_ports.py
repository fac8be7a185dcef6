#!/usr/bin/env python3
"""The virtual ports beside memif, whole processes: vhost, with sluice-gen on virtio-user, and AF_PACKET on a veth pair. The ledger
is exact, every byte is where it belongs, peers die and come again."""
import os
import shutil
import socket
import subprocess
import unittest

from support import BIN, LIBC
from test_dpdk import HEADER, AnyPort, Dpdk, content

CLONE_NEWNET = 0x40000000


class Vhost(AnyPort, Dpdk):
    def start(self, **changes):
        self.path_of_socket = self.path("vhost.sock")
        return super().start(port=f"net_vhost0,iface={self.path_of_socket}", **changes)

    def arguments(self, *options):
        return [os.path.join(BIN, "sluice-gen"), "dpdk", f"net_virtio_user0,path={self.path_of_socket},queue_size=1024",
                "--to-port", "5000", *options]


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
