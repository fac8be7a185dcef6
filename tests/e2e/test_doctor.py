#!/usr/bin/env python3
"""`sluice doctor`: on pretended hosts (--root) what it finds, changes and takes back, also when it is hindered; on
this one that it reads, and changes nothing."""
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import support
from support import BIN, ROOT

CPU = "sys/devices/system/cpu/"
THP = "sys/kernel/mm/transparent_hugepage/enabled"
RT = "proc/sys/kernel/sched_rt_runtime_us"
SWAPPINESS = "proc/sys/vm/swappiness"
GOVERNOR = CPU + "cpu1/cpufreq/scaling_governor"
HUGE = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
IRQ = "proc/irq/30/smp_affinity_list"
BOOT = "proc/sys/kernel/random/boot_id"

# A machine of four cores as it comes out of its box. The configuration below pins to core 1.
BOX = {
    CPU + "online": "0-3\n",
    CPU + "isolated": "\n",
    GOVERNOR: "powersave\n",
    IRQ: "0-3\n",
    "proc/irq/30/effective_affinity_list": "1\n",
    RT: "950000\n",
    THP: "[always] madvise never\n",
    HUGE: "0\n",
    "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "0\n",
    "proc/meminfo": "MemAvailable:   8000000 kB\n",
    SWAPPINESS: "60\n",
    BOOT: "0aa1-22\n",
}
FIXED = {GOVERNOR: "performance", IRQ: "0,2-3", RT: "-1", THP: "madvise", SWAPPINESS: "10"}

CONFIG = """
instance: stand
memory: {pages: huge_or_normal, lock: true}
control: {core: 1, policy: fifo, priority: 80, idle: busy, cycle_budget_us: 500}
rings: [{name: box, slots: 8192}]
sources:
  - name: box
    kind: udp
    ring: box
    listen: "127.0.0.1:7799"
    frame_bytes: 32
    channels: [{name: pressure, at_byte: 0, type: f32, unit: kPa, range: [0, 100]}]
rules: [{name: high, channel: pressure, high: 90}]
outputs: [{name: valve, kind: udp, target: "127.0.0.1:7798", line: 0}]
"""


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-doctor-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = os.path.join(self.folder, "root")
        self.config = os.path.join(self.folder, "stand.yaml")
        self.undo_file = os.path.join(self.folder, "state/doctor/undo")
        self.put(self.config, CONFIG)
        for name, text in BOX.items():
            self.put(os.path.join(self.root, name), text)

    def put(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def get(self, name):
        with open(os.path.join(self.root, name), encoding="utf-8") as file:
            return file.read().strip()

    def values(self):
        return {name: self.get(name) for name in BOX}

    def doctor(self, *arguments, **environment):
        return subprocess.run(
            [os.path.join(BIN, "sluice"), "doctor", *arguments], capture_output=True, text=True, check=False,
            timeout=support.PATIENCE_S,
            env=dict(os.environ, SLUICE_STATE_DIR=os.path.join(self.folder, "state"), **environment))

    def on_box(self, *arguments):
        return self.doctor("--root", self.root, "--config", self.config, *arguments)

    def findings(self, result):
        return {finding["key"]: finding for finding in json.loads(result.stdout)["findings"]}


class Looking(Doctor):
    def test_box(self):
        result = self.on_box("--json")
        self.assertEqual(result.returncode, 3, result.stderr)
        report = json.loads(result.stdout)
        found = self.findings(result)
        self.assertEqual((report["instance"], report["cores"], report["verdict"]), ("stand", "1", "danger"))
        self.assertIsNone(report["measurements"])
        self.assertEqual((found["rt_throttling"]["severity"], found["rt_throttling"]["gate"]),
                         ("danger", "unthrottled"))
        self.assertIn("idle: duty", found["rt_throttling"]["remedy"])
        for key in ("isolation", "governor", "irq_affinity", "transparent_huge_pages", "huge_pages"):
            self.assertEqual(found[key]["severity"], "warning", found[key])
        for key in ("stalls", "clocksource", "idle_states", "swap", "hypervisor", "capabilities", "watchdog"):
            self.assertEqual(found[key]["severity"], "unknown", found[key])
        self.assertEqual(self.values(), {name: text.strip() for name, text in BOX.items()}, "nothing is changed")
        self.assertFalse(os.path.exists(self.undo_file))

    def test_every_finding_is_explained(self):
        text = self.on_box().stdout
        for finding in self.findings(self.on_box("--json")).values():
            for key in ("key", "severity", "expected", "found", "why", "remedy"):
                self.assertTrue(finding[key], finding)
                self.assertNotIn("\n", finding[key])
            self.assertRegex(text, rf"(?m)^{finding['severity']} +{finding['key']} ")
        self.assertIn("verdict: danger", text)

    def test_empty_root(self):
        """Nothing can be read: nothing is good but what no source of the configuration asks for."""
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        result = self.doctor("--root", empty, "--config", self.config, "--json")
        self.assertEqual(result.returncode, 1, result.stderr)
        good = {key for key, finding in self.findings(result).items() if finding["severity"] == "ok"}
        self.assertEqual(good, {"vfio", "nic_node"})
        self.assertEqual(json.loads(result.stdout)["fixes"], [])

    def test_usage(self):
        for arguments, says in ((("--seconds", "x"), "from 0 to 3600"), (("--seconds", "-1"), "from 0 to 3600"),
                                (("--root", "/nonexistent"), "No such file"), (("--bad",), "usage"),
                                (("--root", "/", "--seconds", "1"), "cannot be measured"),
                                (("--undo", "--fix"), "--undo goes with"), (("--fix", "--dry-run"), "only one"),
                                (("--config", "/nonexistent"), "nothing was looked at"), (("stand",), "--instance"),
                                (("--config", "a", "--instance", "b"), "only one"),
                                (("--instance", "nobody-has-this"), "nobody-has-this")):
            result = self.doctor(*arguments)
            self.assertEqual(result.returncode, 2, (arguments, result.stdout, result.stderr))
            self.assertIn(says, result.stderr, arguments)

    def test_report_file(self):
        path = os.path.join(self.folder, "report")
        result = self.on_box("--report", path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), result.stdout)
        self.assertFalse(os.path.exists(path + ".new"))
        result = self.on_box("--report", "/nonexistent/report")
        self.assertEqual(result.returncode, 2)
        self.assertIn("cannot write the report", result.stderr)


class Fixing(Doctor):
    def test_fix_and_undo(self):
        before = self.values()
        result = self.on_box("--fix")
        self.assertIn("a busy SCHED_FIFO thread may now keep a core for ever", result.stdout)
        for name, value in FIXED.items():
            self.assertEqual(self.get(name), value)
        self.assertGreater(int(self.get(HUGE)), 0)
        self.assertTrue(os.path.exists(self.undo_file))
        self.assertEqual(os.stat(self.undo_file).st_mode & 0o777, 0o600)
        found = self.doctor("--undo", "--root", self.root)
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
        self.assertEqual(self.values(), {**before, THP: "always"})  # a file shows no list by itself
        self.assertFalse(os.path.exists(self.undo_file))
        again = self.doctor("--undo", "--root", self.root)
        self.assertEqual((again.returncode, again.stdout), (0, "nothing to take back\n"))

    def test_order(self):
        """Backwards."""
        done = re.findall(r"^changed: \w+: (\S+):", self.on_box("--fix").stdout, re.M)
        back = re.findall(r"^restored: (\S+):", self.doctor("--undo", "--root", self.root).stdout, re.M)
        self.assertEqual(len(done), 6)
        self.assertEqual(back, done[::-1])

    def test_twice(self):
        """The second time there is nothing left but what the pretended kernel did not do; the first values stay."""
        self.on_box("--fix")
        self.put(os.path.join(self.root, THP), "always [madvise] never\n")
        self.put(os.path.join(self.root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"), self.get(HUGE))
        self.put(os.path.join(self.root, "proc/irq/30/effective_affinity_list"), "0\n")
        with open(self.undo_file, encoding="utf-8") as file:
            first = file.read()
        self.assertIn("nothing to change", self.on_box("--fix").stdout)
        with open(self.undo_file, encoding="utf-8") as file:
            self.assertEqual(file.read(), first)
        self.put(os.path.join(self.root, SWAPPINESS), "90\n")  # somebody else
        self.assertRegex(self.on_box("--fix").stdout, r"changed: swappiness: \S+ 90 -> 10")
        self.doctor("--undo", "--root", self.root)
        self.assertEqual(self.get(SWAPPINESS), "60")

    def test_dry_run(self):
        before = self.values()
        result = self.on_box("--dry-run")
        self.assertEqual(len(re.findall(r"^would change: ", result.stdout, re.M)), 6)
        self.assertEqual(self.values(), before)
        self.assertFalse(os.path.exists(self.undo_file))
        self.assertEqual(result.returncode, 3)

    def test_change_that_fails(self):
        """The fault: a file that is a link to elsewhere is not written; the others go on, and the exit code tells."""
        elsewhere = os.path.join(self.folder, "elsewhere")
        self.put(elsewhere, "60\n")
        os.unlink(os.path.join(self.root, SWAPPINESS))
        os.symlink(elsewhere, os.path.join(self.root, SWAPPINESS))
        result = self.on_box("--fix")
        self.assertIn("not changed: swappiness:", result.stdout)
        self.assertGreaterEqual(result.returncode, 1)
        self.assertEqual(self.get(SWAPPINESS), "60")
        self.assertEqual(self.get(GOVERNOR), "performance")
        with open(self.undo_file, encoding="utf-8") as file:
            self.assertNotIn("swappiness", file.read())

    def test_undo_that_fails(self):
        """The fault: a file has gone. It stays in the undo file, for another try; the others are restored."""
        self.on_box("--fix")
        os.unlink(os.path.join(self.root, SWAPPINESS))
        result = self.doctor("--undo", "--root", self.root)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not restored: /" + SWAPPINESS, result.stdout)
        self.assertEqual(self.get(RT), "950000")
        self.put(os.path.join(self.root, SWAPPINESS), "10\n")
        result = self.doctor("--undo", "--root", self.root)
        self.assertEqual((result.returncode, self.get(SWAPPINESS)), (0, "60"))
        self.assertFalse(os.path.exists(self.undo_file))

    def test_no_undo_file_no_change(self):
        """The fault: the state directory cannot be made. Then nothing is changed."""
        self.put(os.path.join(self.folder, "state"), "a file")
        before = self.values()
        result = self.on_box("--fix")
        self.assertEqual(result.returncode, 2)
        self.assertIn("SLUICE_STATE_DIR", result.stderr)
        self.assertEqual(self.values(), before)

    def test_undo_file_of_others(self):
        """The fault: an undo file that anybody can write, or that names other files, or is a link, is not followed."""
        for mode, text in ((0o666, ""), (0o600, "change\t/etc/passwd\ta\tb\n"), (0o600, None)):
            with self.subTest(text):
                self.put(self.undo_file, f"sluice doctor undo 1\nroot\t{self.root}\nboot\t0aa1-22\n{text}end\n")
                os.chmod(self.undo_file, mode)
                if text is None:
                    os.rename(self.undo_file, self.undo_file + ".real")
                    os.symlink(self.undo_file + ".real", self.undo_file)
                for arguments in (("--undo", "--root", self.root), ("--root", self.root, "--fix")):
                    result = self.doctor(*arguments)
                    self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
                self.assertEqual(self.get(SWAPPINESS), "60")

    def test_two_at_once(self):
        """The fault: another doctor is changing the host just now. The second one changes nothing and says who it is; a
        lock that a dead process has left is none."""
        lock = os.path.join(self.folder, "state/doctor/lock")
        self.put(lock, "4242\n")
        before = self.values()
        with open(lock, encoding="ascii") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for arguments in (("--fix", "--root", self.root, "--config", self.config), ("--undo", "--root", self.root)):
                result = self.doctor(*arguments)
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertRegex(result.stderr, r"another sluice doctor --fix or --undo \(pid 4242\) holds .*nothing was changed")
            self.assertEqual(self.values(), before)
            self.assertFalse(os.path.exists(self.undo_file))
            self.assertEqual(self.on_box("--dry-run").returncode, 3, "who changes nothing needs no lock")
        self.assertIn("changed: swappiness", self.on_box("--fix").stdout)
        self.assertIn("restored: /" + SWAPPINESS, self.doctor("--undo", "--root", self.root).stdout)

    def test_many_at_once(self):
        """However they meet: each does it whole or not at all, and --undo takes everything back."""
        before = self.values()
        environment = dict(os.environ, SLUICE_STATE_DIR=os.path.join(self.folder, "state"))
        started = [subprocess.Popen([os.path.join(BIN, "sluice"), "doctor", "--root", self.root, "--config", self.config, "--fix"],
                                    env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                   for _ in range(6)]
        ended = [(process.communicate(timeout=support.PATIENCE_S), process.returncode) for process in started]
        for (_, errors), code in ended:
            self.assertIn(code, (1, 2, 3), errors)
            if code == 2:
                self.assertIn("another sluice doctor --fix or --undo", errors)
        self.assertIn(True, [code != 2 for _, code in ended])
        self.assertEqual(self.get(SWAPPINESS), "10")
        self.assertEqual(self.doctor("--undo", "--root", self.root).returncode, 0)
        self.assertEqual(self.values(), {**before, THP: "always"})

    def test_lock_that_is_none(self):
        """The fault: where the lock should be lies a link to somebody's file."""
        elsewhere = os.path.join(self.folder, "elsewhere")
        self.put(elsewhere, "precious\n")
        os.makedirs(os.path.join(self.folder, "state/doctor"))
        for make in (os.symlink, os.link):
            lock = os.path.join(self.folder, "state/doctor/lock")
            make(elsewhere, lock)
            before = self.values()
            result = self.on_box("--fix")
            self.assertEqual(result.returncode, 2, result.stdout)
            self.assertIn("doctor/lock", result.stderr)
            self.assertEqual(self.values(), before)
            os.unlink(lock)
        with open(elsewhere, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious\n")

    def test_restarted_machine(self):
        """The changes are gone with the boot they were made in, and interrupts may have other numbers."""
        self.on_box("--fix")
        self.put(os.path.join(self.root, BOOT), "ffff-33\n")
        self.put(os.path.join(self.root, SWAPPINESS), "33\n")
        result = self.doctor("--undo", "--root", self.root)
        self.assertEqual(result.returncode, 0)
        self.assertIn("started anew", result.stdout)
        self.assertEqual(self.get(SWAPPINESS), "33")
        self.assertFalse(os.path.exists(self.undo_file))

    def test_other_root(self):
        """What was changed below one root is not taken back below another."""
        self.on_box("--fix")
        result = self.doctor("--undo")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--root " + self.root, result.stderr)


class Here(Doctor):
    """This machine: read only."""

    def test_this_host(self):
        with open("/" + RT, encoding="ascii") as file:
            throttled = file.read().strip() != "-1"
        watched = [name for name in (RT, THP, SWAPPINESS) if os.path.exists("/" + name)]

        def now():
            texts = []
            for name in watched:
                with open("/" + name, encoding="ascii") as file:
                    texts.append(file.read())
            return texts

        before = now()
        result = self.doctor("--config", self.config, "--json")
        self.assertIn(result.returncode, (0, 1, 3), result.stderr)
        found = self.findings(result)
        self.assertEqual(found["rt_throttling"]["severity"], "danger" if throttled else "ok")
        if throttled:
            self.assertIn("will be stopped", found["rt_throttling"]["found"])
            self.assertIn("idle: duty", found["rt_throttling"]["remedy"])
            self.assertEqual(result.returncode, 3)
        measures = json.loads(result.stdout)["measurements"]
        if measures is None:
            self.assertIn("server runs", found["stalls"]["found"])
        else:
            self.assertEqual(measures["seconds"], 2)
            self.assertNotIn("was not measured", found["stalls"]["found"])
        self.assertEqual(now(), before)
        self.assertFalse(os.path.exists(self.undo_file))

    def test_host_without_configuration(self):
        result = self.doctor("--seconds", "0")
        self.assertIn(result.returncode, (1, 3), result.stderr)
        self.assertRegex(result.stdout, r"(?m)^unknown +stalls +was not measured: --seconds 0")

    def test_agrees_with_the_examples(self):
        """Every configuration that is shipped can be asked about."""
        result = self.doctor("--config", os.path.join(ROOT, "tools/examples/gateway.yaml"), "--seconds", "0", "--json")
        self.assertIn(result.returncode, (0, 1, 3), result.stderr)
        self.assertIn(self.findings(result)["rt_throttling"]["severity"], ("note", "ok"), "idle: duty")


class Running(support.Case):
    def test_of_an_instance(self):
        """A running server's cores are not measured."""
        server, _, _ = self.udp_server()
        result = server.cli("doctor", "--instance", server.instance, "--json")
        self.assertIn(result.returncode, (1, 3), result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["instance"], server.instance)
        self.assertIsNone(report["measurements"])
        result = server.cli("doctor", "--instance", server.instance, "--seconds", "1")
        self.assertEqual(result.returncode, 2)
        self.assertIn("a sluice server runs", result.stderr)


if __name__ == "__main__":
    support.main()
