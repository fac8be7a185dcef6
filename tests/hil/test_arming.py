"""The arming gate on a machine that is not made for it: emulated, its clock source no TSC, nothing reserved or isolated.
Every reason is named, each goes when it is seen to, and those that this machine cannot see to can be waived."""
import json
import os
import re

import fixtures
import support

CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
TSC = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page")  # which of them it is, is the virtual machine's affair
EXAMPLE = os.path.join(support.ROOT, "tools/examples/gateway.yaml")
HUGE_PAGES = "/proc/sys/vm/nr_hugepages"


class Gate(support.Case):
    def begin(self, waive, pages="normal", top=None, **control):
        chip = fixtures.GpioChip(self)
        port = support.free_udp_port()
        pressure = support.udp_source(port, channels=support.channels(stale_ms=10000))
        output = {"name": "relief_closed", "kind": "gpio", "target": chip.path, "line": 0, "without_heartbeat": "accepted"}
        text = support.config(self.instance, [pressure], [output], **fixtures.settings(**control))
        text.update({"arming": {"waive": waive, "on_loss": "alarm"}, "memory": {"pages": pages}, **(top or {})})
        server = self.server(text).start()
        support.SensorUdp(self, port, hz=20).start()
        server.wait_status(lambda s: not s["interlock"]["causes"], "no cause to stand")
        return chip, server

    def refused(self, server, reasons):
        """IL-062: Ready, and not armed: each of the reasons by its name, and in the status what to do about it."""
        fixtures.reset(server)
        done = server.cli("arm", server.instance)
        self.assertEqual(done.returncode, 1, done.stdout)
        interlock = server.status()["interlock"]
        gate = interlock["gate"]
        self.assertEqual((interlock["state"], set(gate["missing"]) - {"latency"}), ("ready", reasons), gate)  # or not latency
        names = re.search(r"the arming gate misses ([a-z_, ]+)\.", done.stderr).group(1).split(", ")
        self.assertLessEqual(reasons, set(names), done.stderr)
        screen = server.cli("status", server.instance).stdout
        for reason in reasons:
            self.assertIn(f"arming gate misses {reason}: {gate['advice'][reason]}", screen)

    def clock(self):
        return set() if fixtures.read(CLOCK_SOURCE) in TSC else {"clock"}

    def test_nothing_is_provided(self):
        _, server = self.begin([])
        self.refused(server, {"pinned", "unthrottled", "config", "black_box", "doctor"} | self.clock())
        self.commands(server)
        self.assertEqual(server.end(), 0, server.log())

    def commands(self, server):
        """What an operator looks with works here."""
        for command in ("map", "latency", "ledger", "rules"):
            done = server.cli(command, server.instance)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
            self.assertNotEqual(done.stdout, "")
        for command in ("status", "map"):
            self.assertTrue(json.loads(server.cli(command, "--json", server.instance).stdout))
        if os.cpu_count() == 1:
            done = server.cli("check", EXAMPLE)  # it wants a second one
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn("control.core: expected a core from 0 to 0 of this machine, or -1 for any, found 1", done.stderr)

    def test_all_that_can_be_is_provided(self):
        """A core, SCHED_FIFO, huge pages, a black box, the configuration's checksum: what remains is the machine's."""
        fixtures.write(HUGE_PAGES, 16)
        self.addCleanup(fixtures.write, HUGE_PAGES, 0)
        last = max(os.sched_getaffinity(0))
        chip, server = self.begin(["latency", "doctor", *self.clock()], "huge_or_normal", {"black_box": {"room_mb": 8}}, core=last,
                                  policy="fifo", idle="duty", sleep_us=2000, spin_us=100)
        self.refused(server, {"config"})
        done = server.cli("check", server.config_path)
        self.assertEqual(done.returncode, 0, done.stderr)
        checksum = re.search(r"\b[0-9a-f]{16}\b", done.stdout).group()
        self.assertEqual(server.cli("acknowledge", server.instance, checksum).returncode, 0)
        fixtures.arm(server, chip, 0)
        control = server.processes()["control"]
        self.assertEqual((control["core"], control["policy"], control["locked"], control["refusals"]), (last, "fifo", True, []))
        self.assertEqual(server.end(), 0, server.log())
        self.assertEqual(chip.level(0), 0)
