"""The bench itself: what the other tests of a guest rely on."""
import os
import platform
import socket
import subprocess
import unittest

import guest
from support import BIN, wait_until


class Guest(unittest.TestCase):
    def test_kernel_is_the_one_asked_for(self):
        release = platform.release()
        self.assertTrue(release.endswith("-rt-amd64" if guest.run()["kernel"] == "rt" else "-amd64"), release)
        self.assertEqual("PREEMPT_RT" in platform.version(), guest.run()["kernel"] == "rt", platform.version())

    def test_the_host_is_read_only(self):
        for folder in ("/usr", "/sluice/tests", "/sluice/build/release", "/sluice/tools"):
            with self.subTest(folder), self.assertRaises(OSError):
                with open(os.path.join(folder, "written"), "w", encoding="ascii"):
                    pass

    def test_binaries_of_the_build_run(self):
        for program in ("sluice", "sluiced"):
            run = subprocess.run([os.path.join(BIN, program), "--version"], capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn("0.", run.stdout)

    def test_a_wrong_question_is_refused(self):
        with self.assertRaisesRegex(guest.HostRefused, "does not know how to 'dance'"):
            guest.ask("dance")
        with self.assertRaisesRegex(guest.HostRefused, "nic"):
            guest.ask("link", nicht="n0")

    def test_the_host_keeps_what_it_is_given(self):
        guest.ask("put", key="a", value={"b": [1, 2.5, None]})
        self.assertEqual(guest.ask("get", key="a"), {"b": [1, 2.5, None]})
        self.assertIsNone(guest.ask("get", key="never"))


class Modules(unittest.TestCase):
    def test_vcan(self):
        guest.load("vcan")
        self.assertTrue(guest.is_loaded("can_dev") or guest.is_loaded("vcan"))
        with open("/proc/net/dev", encoding="ascii") as file:
            self.assertIn("lo:", file.read())

    def test_one_built_out_of_tree(self):
        guest.load("gpio-sim")
        self.assertTrue(guest.is_loaded("gpio_sim"))
        self.assertTrue(os.path.isdir("/sys/kernel/config/gpio-sim"))

    def test_unknown(self):
        with self.assertRaisesRegex(AssertionError, "name it in `modules`"):
            guest.load("no-such-module")

    def test_parameters_and_unload(self):
        guest.load("softdog", "soft_margin=7")
        with open("/sys/class/watchdog/watchdog0/timeout", encoding="ascii") as file:
            self.assertEqual(file.read().strip(), "7")
        guest.unload("softdog")
        self.assertFalse(guest.is_loaded("softdog"))


class Loopback(unittest.TestCase):
    def test_udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
            two.bind(("127.0.0.1", 0))
            two.setblocking(False)
            if not guest.is_broken("bench"):
                one.sendto(b"frame", two.getsockname())

            def came():
                try:
                    return two.recv(16)
                except BlockingIOError:
                    return None

            self.assertEqual(wait_until(came, "a datagram", seconds=2 if guest.is_broken("bench") else 30), b"frame")
