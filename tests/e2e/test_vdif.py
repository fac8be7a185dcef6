#!/usr/bin/env python3
"""Real recordings of radio telescopes, sent by sluice-gen over each way into a ring, arrive bit for bit, and every frame of every
thread has its number."""
import json
import os
import shutil
import struct
import subprocess
import unittest

import readers
import support
from support import BIN, LIBC, SHARED, free_udp_port, wait_until

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.97.0.2", "10.97.0.1"
MAC = "02:00:00:00:00:02"
RECORDINGS = ["sample", "sample_arochime", "sample_mwa"]


def read(path):
    """[frame], [thread in the order in which they first come]"""
    with open(path, "rb") as file:
        data = file.read()
    frames, threads = [], []
    while data:
        words = struct.unpack_from("<4I", data)
        size = (words[2] & 0xFFFFFF) * 8
        frames.append(data[:size])
        if (thread := words[3] >> 16 & 0x3FF) not in threads:
            threads.append(thread)
        data = data[size:]
    return frames, threads


class Vdif(support.Case):
    def start(self, threads, **source):
        text = support.config(self.instance, [], [], rules=[])
        for key in ("rules", "outputs"):
            del text[key]
        text["workers"] = [{"name": "packets", "idle": "wait" if source["kind"] != "dpdk" else "busy"}]
        text["rings"] = [{"name": "adc", "slots": 8192, "slot_bytes": 8192}]
        text["sources"] = [{"name": "adc", "worker": "packets", "ring": "adc",
                            "stream": {"format": "vdif", "frames_per_second": 400000, "threads": threads}, **source}]
        if source["kind"] == "dpdk":
            text["workers"][0]["dpdk_memory_mb"] = 32
        server = self.server(text).start()
        os.environ.update(self.environment)
        return server

    def arrives(self, gen, **source):
        """Each recording over this way; a server for each."""
        for name in RECORDINGS:
            path = os.path.join(SHARED, "data/vdif", name + ".vdif")
            if not os.path.exists(path):
                self.skipTest(f"SKIPPED: {path} is not there: NO REAL VDIF WAS SENT (SLUICE_SHARED names the folder)")
            with self.subTest(name):
                self.arrives_once(path, gen, source)

    def arrives_once(self, path, gen, source):
        frames, threads = read(path)
        server = self.start(threads, **source)
        reader = readers.Reader(self.instance, "adc", start=readers.OLDEST)

        def stream():
            return (server.status()["streams"] or [{}])[0] or {}

        wait_until(lambda: stream().get("open") or source["kind"] == "dpdk", "the source to be open")
        sent = gen("--file", path, "--rate", "2000pps", "--json")
        status = wait_until(lambda: (s := stream()).get("delivered", 0) >= len(frames) and s, f"{len(frames)} frames")
        got = [reader.next() for _ in frames]
        reader.detach()
        self.assertEqual(sent["sent"], len(frames))
        self.assertEqual([payload for _, payload in got], frames, "bit for bit")
        numbers = [frame.source_sequence for frame, _ in got]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(frames))), "every thread's every frame")
        self.assertEqual((status["sent"], status["duplicated"], status["reordered"], sum(status["lost"].values()),
                          status["residual"]), (len(frames), 0, 0, 0, 0))
        self.assertEqual(server.end(), 0, server.log())

    def run_gen(self, *arguments):
        done = subprocess.run([os.path.join(BIN, "sluice-gen"), *arguments], capture_output=True, text=True, timeout=90,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def test_over_memif(self):
        path = self.path("adc.sock")
        self.arrives(lambda *options: self.run_gen("dpdk", f"net_memif0,role=client,socket={path},socket-abstract=no,bsize=8192",
                                                   "--to-port", "5000", *options),
                     kind="dpdk", packet={"to": ":5000"}, descriptors=512,
                     port=f"net_memif0,role=server,socket={path},socket-abstract=no,bsize=8192")

    def test_over_vhost(self):
        path = self.path("vhost.sock")
        self.arrives(lambda *options: self.run_gen("dpdk", f"net_virtio_user0,path={path},queue_size=256", "--to-port", "5000",
                                                   *options),
                     kind="dpdk", packet={"to": ":5000"}, descriptors=512, port=f"net_vhost0,iface={path}")

    def test_over_udp(self):
        port = free_udp_port()
        self.arrives(lambda *options: self.run_gen("udp", f"127.0.0.1:{port}", *options), kind="udp", listen=f"127.0.0.1:{port}")

    def test_over_udp_with_gro(self):
        port = free_udp_port()
        self.arrives(lambda *options: self.run_gen("udp", f"127.0.0.1:{port}", *options), kind="udp", listen=f"127.0.0.1:{port}",
                     gro=True)

    def test_over_afxdp(self):
        if shutil.which("ip") is None:
            self.skipTest("SKIPPED: no program ip (iproute2): VDIF OVER AF_XDP WAS NOT TESTED")
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, home)
        self.addCleanup(lambda: self.assertEqual(LIBC.setns(home, CLONE_NEWNET), 0))
        if LIBC.unshare(CLONE_NEWNET) != 0:
            self.skipTest("SKIPPED: no network namespace can be made (root?): VDIF OVER AF_XDP WAS NOT TESTED")
        there = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, there)
        self.assertEqual(LIBC.unshare(CLONE_NEWNET), 0)
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, here)
        subprocess.run(["ip", "link", "add", "taken", "mtu", "9000", "address", MAC, "type", "veth", "peer", "name", "wire", "mtu",
                        "9000", "netns", f"/proc/self/fd/{there}"], check=True, pass_fds=(there,))
        subprocess.run(["ip", "link", "set", "taken", "up"], check=True)

        def gen(*options):
            self.assertEqual(LIBC.setns(there, CLONE_NEWNET), 0)
            try:
                subprocess.run(["ip", "link", "set", "wire", "up"], check=True)
                return self.run_gen("packet", "wire", "--to-mac", MAC, "--to-ip", HERE, "--from-ip", THERE, "--to-port", "5000",
                                    *options)
            finally:
                self.assertEqual(LIBC.setns(here, CLONE_NEWNET), 0)

        self.assertEqual(LIBC.setns(there, CLONE_NEWNET), 0)
        subprocess.run(["ip", "link", "set", "wire", "up"], check=True)
        self.assertEqual(LIBC.setns(here, CLONE_NEWNET), 0)
        self.arrives(gen, kind="afxdp", interface="taken", packet={"to": f"{HERE}:5000"}, descriptors=1024)


if __name__ == "__main__":
    unittest.main(verbosity=2)
