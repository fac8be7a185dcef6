#!/usr/bin/env python3
"""Bad input over UDP: every datagram that is not a frame is counted by its cause, none disturbs the good ones."""
import contextlib
import os
import random
import socket

import support
from support import Actuator, SensorUdp, config, frame, free_udp_port, outputs_to, udp_source


class Udp(support.Case):
    def by_hand(self):
        """A server and a sensor that sends only what the test says."""
        port = free_udp_port()
        server = self.server(config(self.instance, [udp_source(port)], outputs_to(Actuator(self).target))).start()
        return server, SensorUdp(self, port)

    def delivered(self, server, count):
        status = server.wait_status(lambda s: s["streams"][0]["delivered"] + s["streams"][0]["duplicated"] >= count,
                                    f"{count} frames delivered")
        stream = status["streams"][0]
        self.assert_balanced(stream)
        return stream

    def raw(self, sensor, data):
        sensor.socket.sendto(data, ("127.0.0.1", sensor.port))

    def test_each_fault_is_counted_by_its_cause(self):
        server, sensor = self.by_hand()
        good = [sensor.send() for _ in range(10)]
        stranger = SensorUdp(self, sensor.port, address="127.0.0.2")

        for size in (0, 1, 4, 31):  # too short, each instead of a frame
            self.raw(sensor, frame(sensor.next)[:size])
            sensor.next += 1
        good += [sensor.send() for _ in range(3)]
        for size in (1, 32, 1000, 9000, 60000):  # too long
            self.raw(sensor, (frame(sensor.next) + bytes(size)))
            sensor.next += 1
        good += [sensor.send() for _ in range(3)]
        for bit in (4 * 8, 20 * 8 + 3, 31 * 8 + 7):  # one bit flipped
            data = bytearray(frame(sensor.next))
            data[bit // 8] ^= 1 << bit % 8
            self.raw(sensor, bytes(data))
            sensor.next += 1
        good += [sensor.send() for _ in range(3)]
        stream = self.delivered(server, len(good))
        refused, lost = stream["refused"], stream["lost"]
        self.assertEqual(stream["delivered"], len(good))
        self.assertEqual((refused["short"], refused["long"], refused["checksum"]), (4, 5, 3), refused)
        self.assertEqual((lost["truncated"], lost["malformed"]), (9, 3), lost)
        self.assertEqual(sum(lost.values()), 12, lost)

        # A stranger's good frames are refused, but nothing of ours is lost by them.
        for number in range(7):
            stranger.put(frame(sensor.next + number, pressure=499))
        good += [sensor.send() for _ in range(2)]
        stream = self.delivered(server, len(good))
        self.assertEqual(stream["refused"]["stranger"], 7)
        self.assertEqual(sum(stream["lost"].values()), 12)

        # Gap, duplicate, reordered.
        sensor.next += 5
        good += [sensor.send()]
        stream = self.delivered(server, len(good))
        self.assertEqual((stream["lost"]["sender"], stream["reordered"], stream["duplicated"]), (5, 0, 0))
        twice = frame(sensor.next)
        sensor.next += 1
        self.raw(sensor, twice)
        self.raw(sensor, twice)
        good += [sensor.next - 1]
        stream = self.delivered(server, len(good) + 1)
        self.assertEqual((stream["delivered"], stream["duplicated"]), (len(good), 1))
        for number in (1, 0, 3, 2):
            self.raw(sensor, frame(sensor.next + number))
        good += [sensor.next + number for number in (1, 0, 3, 2)]
        sensor.next += 4
        stream = self.delivered(server, len(good) + 1)
        self.assertEqual((stream["delivered"], stream["reordered"], stream["lost"]["sender"]), (len(good), 2, 5))

        # Every good frame is in the ring, in its order of arrival; positions are dense; gaps are records.
        tail = server.tail("udp", "--oldest")
        lines = tail.wait(lambda lines: len([x for x in lines if "values" in x]) >= len(good) + 1, "every good frame")
        positions = [line["position"] for line in lines]
        self.assertEqual(positions, list(range(len(positions))))
        found = [line["source_sequence"] for line in lines if "values" in line]
        found.remove(int.from_bytes(twice[4:8], "big"))
        self.assertEqual(found, good)
        self.assertNotIn(499, [line["values"]["chamber_pressure"] for line in lines if "values" in line])
        told = [(line["lost_before"], line["cause"]) for line in lines if line.get("lost_before")]
        self.assertIn((4, "truncated"), told)
        self.assertIn((3, "malformed"), told)
        self.assertIn((5, "sender"), told)
        self.assertEqual(server.processes()["sensors"]["restarts"], 0)

    def test_garbage_of_every_length(self):
        server, sensor = self.by_hand()
        dice = random.Random(1)
        good = 0
        for size in [*range(0, 200, 3), 1471, 1472, 1473, 8192, 65507]:
            self.raw(sensor, dice.randbytes(size))
            sensor.send()
            good += 1
            if good % 20 == 0:
                self.delivered(server, good)
        stream = self.delivered(server, good)
        self.assertEqual(stream["delivered"], good)
        self.assertEqual(sum(stream["lost"].values()), 0)  # garbage took no number of the sender's
        self.assertEqual(sum(stream["refused"].values()), good)
        self.assertEqual({p["restarts"] for p in server.status()["processes"]}, {0})

    def test_sender_that_starts_again(self):
        server, sensor = self.by_hand()
        sensor.next = 1000
        for _ in range(50):
            sensor.send()
        self.delivered(server, 50)
        sensor.next = 0
        for _ in range(50):
            sensor.send()
        stream = server.wait_status(lambda s: s["rings"][0]["published"] >= 100, "the new frames")["streams"][0]
        self.assert_balanced(stream)
        self.assertGreaterEqual(stream["delivered"], 98)

    def test_numbers_wrap(self):
        server, sensor = self.by_hand()
        sensor.next = 0xFFFFFFFF - 9
        for _ in range(20):
            sensor.send()
        stream = self.delivered(server, 20)
        self.assertEqual((stream["delivered"], sum(stream["lost"].values()), stream["reordered"]), (20, 0, 0))

    def test_flood_is_accounted_for(self):
        """More than the socket holds: what the kernel dropped is counted as the kernel's."""
        port = free_udp_port()
        source = udp_source(port, receive_buffer_kb=4)
        server = self.server(config(self.instance, [source], outputs_to(Actuator(self).target), silence_ms=5000)).start()
        sensor = SensorUdp(self, port)
        sensor.send()
        self.delivered(server, 1)
        os.kill(server.worker(), support.signal.SIGSTOP)
        for _ in range(2000):
            sensor.send()
        os.kill(server.worker(), support.signal.SIGCONT)
        sent = sensor.next

        def over(status):
            with contextlib.suppress(OSError):
                sensor.send()
            return status["streams"][0]["sent"] > sent

        stream = server.wait_status(over, "the end of the flood")["streams"][0]
        self.assert_balanced(stream)
        self.assertGreater(stream["lost"]["kernel"], 0, stream)
        self.assertEqual(stream["lost"]["sender"], 0, stream)

    def trips(self, kinds, channel, **values):
        server, sensor, actuator = self.udp_server()
        for _ in range(5):
            server.make_armed(actuator)
            with sensor.paused():
                number = sensor.send(**values)
                sensor.send()
            first = server.wait_state("tripped")["interlock"]["first_out"]
            actuator.wait_permit(False)
            if first["kind"] in kinds:
                self.assertEqual((first["channel"], first["source_sequence"]), (channel, number))
                return server, first
        self.fail(f"never tripped by {kinds}, last by {first}")

    def test_not_a_number_trips(self):
        for value in (float("nan"), float("inf"), float("-inf")):
            with self.subTest(value):
                server, first = self.trips(("not_finite",), "chamber_pressure", pressure=value)
                self.assertIsNone(first["value"])
                self.assertEqual(server.end(), 0)
                self.assert_nothing_left(server)

    def test_out_of_range_trips(self):
        _, first = self.trips(("range",), "chamber_pressure", pressure=500.5)
        self.assertEqual(first["value"], 500.5)

    def test_unguarded_channels_do_not_trip(self):
        """Bad, but no rule looks at it."""
        server, sensor, _ = self.udp_server()
        server.make_armed()
        sensor.values["article"] = 301.0
        server.wait_status(lambda s: s["channels"][3]["quality"] == "bad", "the bad channel")
        status = server.status()
        first = status["interlock"]["first_out"]
        self.assertTrue(first is None or first["channel"] == "chamber_pressure", first)

    def test_silence_trips(self):
        server, sensor, actuator = self.udp_server()
        server.make_armed(actuator)
        with sensor.paused():
            actuator.wait_permit(False)
            status = server.wait_state("tripped")
            first = status["interlock"]["first_out"]
            self.assertIn((first["kind"], first["channel"]),
                          (("stale", "chamber_pressure"), ("deadline", None)), first)
            server.wait_status(lambda s: {c["quality"] for c in s["channels"]} == {"stale"}, "stale channels")
            done = server.cli("reset")
            self.assertEqual(done.returncode, 1)
            self.assertIn("stale", done.stderr)
        server.make_armed()

    def test_multicast(self):
        port = free_udp_port()
        source = udp_source(port, group="239.255.77.1", interface="127.0.0.1")
        server = self.server(config(self.instance, [source], outputs_to(Actuator(self).target))).start()
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        for number in range(20):
            sender.sendto(frame(number), ("239.255.77.1", port))
        self.assertEqual(self.delivered(server, 20)["delivered"], 20)


if __name__ == "__main__":
    support.main()
