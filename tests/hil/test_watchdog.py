"""The outer ring: /dev/watchdog of a real driver resets the machine when the server is killed or stopped whole.

Each way to bite is a boot: a test that ends with the machine's reset cannot report, so the first test of the next boot
looks at what the host saw. A reset that was not asked for is found by that too.
"""
import os
import signal
import time
import unittest

import guest
import support
from support import wait_until

DEVICE = "/dev/watchdog0"
SYSFS = "/sys/class/watchdog/watchdog0"
TIMEOUT_S = 4  # a guest that is emulated stalls for a second now and then
BITE_PATIENCE_S = 60

# guest -> its module and parameters, how QEMU tells a bite, and how the server dies in the first and in the second boot.
KINDS = {
    "softdog": (("softdog",), "RESET", ("kill_both", "stop_both")),
    "i6300esb": (("i6300esb",), "WATCHDOG", ("kill_server", "stop_server")),
}


def attribute(name):
    with open(os.path.join(SYSFS, name), encoding="ascii") as file:
        return file.read().strip()


class Case(support.Case):
    def setUp(self):
        super().setUp()
        self.kind = guest.run()["guest"]
        module, self.event, self.ways = KINDS[self.kind]
        guest.load(*module)
        wait_until(lambda: os.path.exists(DEVICE), DEVICE)

    def start(self, hz=100):
        """A server with the watchdog, a sensor and an actuator; its loop sleeps, to leave the guest some time."""
        server, sensor, actuator = self.udp_server(hz=hz, watchdog={"device": DEVICE, "timeout_s": TIMEOUT_S},
                                                   supervisor_silence_ms=60000, stall_trip_ms=10000)
        return server, sensor, actuator

    def live_on(self):
        """Longer than the machine would live if nobody petted the dog: there is no other way to see that somebody does
        (neither driver tells the time that is left)."""
        time.sleep(1.5 * TIMEOUT_S)
        self.assertEqual(attribute("state"), "active")

    def bite(self, way, kill):
        """Does what lets the dog bite. Comes back only if it does not."""
        guest.ask("put", key="way", value=way)
        guest.ask("put", key="events", value=len(guest.ask("events")))
        kill()
        time.sleep(BITE_PATIENCE_S)
        self.fail(f"{way}: the machine was not reset within {BITE_PATIENCE_S} s")


class Petted(Case):
    """First boot: the machine lives as long as the server does, and is left alone by an orderly stop."""

    def test_1_petted_and_released(self):
        server, _, _ = self.start()
        self.assertEqual(attribute("state"), "active")
        self.assertEqual(attribute("timeout"), str(TIMEOUT_S))
        with self.subTest("a control process that dies alone is started again, and the dog is petted on"):
            old = server.control()
            server.kill(old)
            wait_until(lambda: server.child("sluice-control") not in (None, old), "a new control process")
        self.live_on()
        with self.subTest("a second server is told who has it"):
            other = self.server(support.config("other", [support.udp_source(support.free_udp_port())],
                                               support.outputs_to("127.0.0.1:9"), watchdog={"device": DEVICE, "timeout_s": TIMEOUT_S}))
            other.launch()
            self.assertEqual(other.process.wait(support.PATIENCE_S), 2)
            self.assertRegex(other.log(), "watchdog /dev/watchdog0: cannot open: .*another process has it")
        self.assertEqual(server.end(), 0)
        self.assertEqual(attribute("state"), "inactive")

    def test_2_a_timeout_that_it_does_not_take(self):
        server = self.server(support.config(self.instance, [support.udp_source(support.free_udp_port())],
                                            support.outputs_to("127.0.0.1:9"), watchdog={"device": "/dev/null", "timeout_s": 5}))
        server.launch()
        self.assertEqual(server.process.wait(support.PATIENCE_S), 2)
        self.assertIn("expected a watchdog device at /dev/null", server.log())


class Bites(Case):
    """The last of a boot: the server goes, and so does the machine."""

    def test_3_bites(self):
        way = self.ways[guest.ask("boots") - 1]
        server, _, _ = self.start()
        pids = {"kill_both": (server.control(), server.pid), "stop_both": (server.pid, server.control()),
                "kill_server": (server.pid,), "stop_server": (server.pid,)}[way]
        number = signal.SIGKILL if way.startswith("kill") else signal.SIGSTOP
        self.bite(way, lambda: [os.kill(pid, number) for pid in pids])


class Bitten(Case):
    """First in the next boot."""

    def test_0_the_machine_was_reset(self):
        way = self.ways[guest.ask("boots") - 2]
        self.assertEqual(guest.ask("get", key="way"), way, "a reset that nothing asked for")
        events = guest.ask("events")[guest.ask("get", key="events"):]
        self.assertIn("RESET", [event["event"] for event in events])
        self.assertIn(self.event, [event["event"] for event in events])
        guest.ask("put", key="way", value=None)


class BittenByKill(Bitten):
    """kill -9."""


class BittenByStop(Bitten):
    """SIGSTOP."""


def load_tests(loader, _tests, _pattern):
    boots = guest.ask("boots")
    classes = {1: (Petted, Bites), 2: (BittenByKill, Bites), 3: (BittenByStop,)}.get(boots)
    if classes is None:
        raise AssertionError(f"boot {boots}: the machine was reset once more than asked for")
    return unittest.TestSuite(loader.loadTestsFromTestCase(one) for one in classes)
