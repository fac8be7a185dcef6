#!/usr/bin/env python3
"""Clients that mean no good: the server lives, answers others, and believes nothing they write."""
import contextlib
import json
import mmap
import os
import random
import socket
import struct
import time

import support
from support import ATTACH, BOARDS, REQUEST, call, connect, request, wait_until

CLIENTS_MAX = 128
READERS_MAX = 64
LEASE = struct.Struct("<QQ")  # position, lost: the reader's own part
LEASE_AT = 128


class Hostile(support.Case):
    def connect(self, server):
        client = connect(self.socket_path(server))
        self.addCleanup(client.close)
        return client

    def assert_well(self, server):
        before = server.stream("udp")["delivered"]
        status = server.wait_status(lambda s: s["streams"][0]["delivered"] > before + 5, "more data")
        self.assertEqual({p["restarts"] for p in status["processes"]}, {0})
        self.assert_balanced(status["streams"][0])
        return status

    def test_packets_that_are_no_requests(self):
        server, _, _ = self.udp_server()
        dice = random.Random(3)
        for size in (1, 4, 8, REQUEST.size - 1, REQUEST.size + 1, 100, 4096, 65536):
            client = self.connect(server)
            client.send(dice.randbytes(size))
            with contextlib.suppress(ConnectionResetError):
                data = client.recv(4096)
                if data:
                    self.assertIn(f"expected a request of {REQUEST.size} bytes".encode(), data)
                self.assertEqual(client.recv(4096), b"")  # and it is shown the door
        for packet in (request(BOARDS, magic=0), request(BOARDS, version=99), bytes(REQUEST.size), b"\xff" * REQUEST.size):
            client = self.connect(server)
            client.send(packet)
            self.assertIn(b"same release", client.recv(4096))
        for op in (0, support.WAIT, 17, 255, 65535):  # unknown, but in good form: it may stay
            client = self.connect(server)
            code, text, fds = call(client, op)
            self.assertLess(code, 0)
            self.assertIn("unknown request", text)
            self.assertEqual(call(client, ATTACH, "udp")[0], 0)
        client = self.connect(server)
        client.send(REQUEST.pack(support.PROTOCOL_MAGIC, support.PROTOCOL_VERSION, ATTACH, 0, 0, b"\xff" * 32, b"\xff" * 32,
                                 b"\xff" * 128))  # a name without an end
        self.assertLess(support.REPLY.unpack(client.recv(4096)[: support.REPLY.size])[3], 0)
        self.assert_well(server)

    def test_descriptors_that_nobody_asked_for(self):
        server, _, _ = self.udp_server()
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        client = self.connect(server)
        with open("/dev/null", "rb") as file:
            for _ in range(20):
                socket.send_fds(client, [request(BOARDS)], [file.fileno()] * 50)
                _, fds, _, _ = socket.recv_fds(client, 4096, 64)
                for fd in fds:
                    os.close(fd)
        client.close()
        wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= before, "no descriptor kept")
        self.assert_well(server)

    def test_attach_that_cannot_be(self):
        server, _, _ = self.udp_server()
        client = self.connect(server)
        code, text, fds = call(client, ATTACH, "nosuch")
        self.assertEqual((code, fds), (-6, []))
        self.assertIn("udp", text)
        code, _, fds = call(client, ATTACH, "udp")
        self.assertEqual((code, len(fds)), (0, 2))
        for fd in fds:
            os.close(fd)
        code, text, fds = call(client, ATTACH, "udp")  # twice on one connection
        self.assertEqual((code, fds), (-16, []))
        self.assert_well(server)

    def test_more_readers_than_there_are_places(self):
        server, _, _ = self.udp_server(top={"readers_max": READERS_MAX})
        codes, clients = [], []
        for _ in range(READERS_MAX + 5):
            client = self.connect(server)
            clients.append(client)
            code, text, fds = call(client, ATTACH, "udp")
            codes.append(code)
            for fd in fds:
                os.close(fd)
        self.assertEqual(codes, [0] * READERS_MAX + [-87] * 5)
        self.assertIn("places for readers", text)
        self.assertEqual(len(self.assert_well(server)["rings"][0]["readers"]), READERS_MAX)
        for client in clients:  # whoever leaves frees all that was his
            client.close()
        wait_until(lambda: not server.status()["rings"][0]["readers"], "free places")

    def test_flood_of_connections(self):
        server, _, actuator = self.udp_server()
        server.make_armed()
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        crowd = [self.connect(server) for _ in range(CLIENTS_MAX + 100)]
        wait_until(lambda: "places are taken" in server.log(), "the refusal")
        done = server.cli("status", self.instance)  # all places are taken: said clearly, nobody hangs
        self.assertEqual(done.returncode, 3, done)
        self.assertTrue(done.stderr)
        self.assertIs(actuator.permit(), True)  # the interlock has nothing to do with it
        for client in crowd:
            client.close()
        self.assert_well(server)
        wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= before + 1, "descriptors to be closed")
        self.assertTrue(server.make_armed())

    def test_connections_that_come_and_go(self):
        server, _, _ = self.udp_server()
        for round_of in range(400):
            client = connect(self.socket_path(server))
            if round_of % 3 == 0:
                client.send(request(ATTACH, "udp"))
            elif round_of % 3 == 1:
                client.send(request(BOARDS))
            client.close()
        self.assert_well(server)
        self.assertEqual(server.status()["rings"][0]["readers"], [])

    def test_client_that_never_reads(self):
        """Its replies are dropped once its socket is full; others are served."""
        server, _, _ = self.udp_server()
        client = self.connect(server)
        self.assertEqual(call(client, ATTACH, "udp")[0], 0)
        client.setblocking(False)
        asked = 0
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                client.send(request(BOARDS))
                asked += 1
            except BlockingIOError:
                time.sleep(0.001)
        self.assertGreater(asked, 10)
        status = self.assert_well(server)
        self.assertEqual(len(status["rings"][0]["readers"]), 1)
        self.assertLess(len(os.listdir(f"/proc/{server.pid}/fd")), 100)

    def test_lease_full_of_lies(self):
        server, _, _ = self.udp_server()
        client = self.connect(server)
        code, _, (ring, lease) = call(client, ATTACH, "udp")
        self.assertEqual(code, 0)
        self.addCleanup(os.close, ring)
        self.addCleanup(os.close, lease)
        with mmap.mmap(lease, 4096) as page:
            for position, lost in ((0, 0), (2**64 - 1, 2**64 - 1), (2**63, 2**63), (2**63 - 1, 2**63 - 1), (1, 2**40),
                                   (2**64 - 4096, 1)):
                page[:8] = b"\xde\xad" * 4
                LEASE.pack_into(page, LEASE_AT, position, lost)
                done = server.cli("status", "--json")
                self.assertEqual(done.returncode, 0, done)
                status = json.loads(done.stdout)
                reader = status["rings"][0]["readers"][0]
                published = status["rings"][0]["published"]
                self.assertTrue(0 <= reader["lag_frames"] <= published, f"{position}: {reader}, published {published}")
                self.assertTrue(0 <= reader["lost"] <= published, f"{lost}: {reader}, published {published}")
                self.assertEqual(server.cli("status").returncode, 0)
            page[:] = random.Random(4).randbytes(4096)
            self.assert_well(server)
        # Resizing the page that the server reads is not possible.
        for size in (0, 1 << 20):
            with self.assertRaises(OSError):
                os.ftruncate(lease, size)
        client.close()
        wait_until(lambda: not server.status()["rings"][0]["readers"], "its place to be free")

    def test_flood_of_commands(self):
        """Many arm and reset at once, without end; a trip still gets through and holds."""
        server, _, actuator = self.udp_server()
        server.make_armed()
        crowd = [self.connect(server) for _ in range(20)]
        for client in crowd:
            client.setblocking(False)

        def hammer():
            for client in crowd:
                with contextlib.suppress(BlockingIOError):
                    client.send(request(support.ARM))  # no reset among them: a trip must hold
                with contextlib.suppress(BlockingIOError):
                    client.recv(4096)

        for _ in range(200):
            hammer()
        done = server.cli("trip")
        self.assertEqual(done.returncode, 0, done)
        actuator.wait_permit(False)
        from_ns = time.time_ns()
        for _ in range(200):
            hammer()
        self.assertFalse([c for c in actuator.since(from_ns) if c.energised])
        server.wait_state("tripped")
        for client in crowd:
            client.close()
        self.assert_well(server)

    def test_trip_and_go(self):
        """A client that asks for a trip and hangs up at once: the trip is carried out, whatever else is under way."""
        server, _, actuator = self.udp_server()
        for _ in range(20):
            server.make_armed()
            others = [self.connect(server) for _ in range(10)]
            client = connect(self.socket_path(server))
            for other in others:
                other.send(request(support.ARM))
            client.send(request(support.TRIP))
            client.close()
            actuator.wait_permit(False, 5)
            for other in others:
                other.close()

    def test_trip_behind_an_arm(self):
        """On one connection, without waiting for the answer: the last word is the trip."""
        server, _, actuator = self.udp_server()
        for _ in range(10):
            server.make_armed(actuator)
            client = self.connect(server)
            for op in (support.ARM, support.RESET, support.ARM, support.TRIP):
                client.send(request(op))
            actuator.wait_permit(False)
            client.close()
            server.wait_state("tripped")


if __name__ == "__main__":
    support.main()
