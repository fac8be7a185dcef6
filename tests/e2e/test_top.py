#!/usr/bin/env python3
"""`sluice top` on real terminals: what stands on them at 80x24 and 200x60, its keys, that it never shows old values as
current (frozen, the server gone, hanging, restarted), and that it gives the terminal back."""
import atexit
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import unittest

import support
from support import BIN, LIBC, PATIENCE_S, stop, wait_until
from test_record import RecordCase

TMUX = shutil.which("tmux")
SLUICE = os.path.join(BIN, "sluice")
RULES = [{"name": "overpressure", "channel": "chamber_pressure", "high": 150, "bypass_max_s": 3600},
         {"name": "too_cold", "channel": "shroud_temperature", "low": -100}]
# A machine that stalls makes nothing stale.
PATIENT = {"channels": support.channels(stale_ms=30000)}


class Screen:
    """sluice top, or another command, in a tmux of its own, which has no one else's sessions and no one's configuration."""

    def __init__(self, case, columns, rows, *arguments, command="top", **environment):
        self.case = case
        self.socket = case.path(f"tmux{case.count()}")
        configuration = self.socket + ".conf"
        with open(configuration, "w", encoding="ascii") as file:
            file.write("set -g status off\nset -g remain-on-exit on\nset -g escape-time 0\n")
        case.addCleanup(self.end)
        atexit.register(self.end)  # if the test is interrupted there are no clean-ups, and tmux is a daemon
        self.environment = {**case.environment, "LC_ALL": "C.UTF-8", "TERM": "screen-256color", **environment}
        self.environment.pop("TMUX", None)
        self.tmux("-f", configuration, "new-session", "-d", "-x", str(columns), "-y", str(rows), SLUICE, command, *arguments)

    def tmux(self, *arguments, check=True):
        return subprocess.run([TMUX, "-u", "-S", self.socket, *arguments], env=self.environment, check=check,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S).stdout

    def end(self):
        atexit.unregister(self.end)
        self.tmux("kill-server", check=False)

    def lines(self, *options):
        return self.tmux("capture-pane", "-p", *options).split("\n")[:-1]

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def pid(self):
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def dead(self):
        """It has ended. tmux does not always know with which code: Terminal does."""
        return self.tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    def wait(self, *patterns, without=()):
        """The lines, once every pattern is found in them."""
        last = []

        def good():
            last[:] = self.lines()
            text = "\n".join(last)
            return last if all(re.search(p, text) for p in patterns) and not any(
                re.search(p, text) for p in without) else None

        return list(wait_until(good, lambda: f"{patterns} without {without}; the screen is\n" + "\n".join(last), pause_s=0.1))


class Terminal:
    """sluice top, or another command, on a pty of ours: everything that it writes, and the line's settings."""

    def __init__(self, case, *arguments, command="top", term="xterm", rows=24, columns=80, **environment):
        self.master, self.slave = pty.openpty()
        case.addCleanup(os.close, self.master)
        case.addCleanup(os.close, self.slave)
        termios.tcsetwinsize(self.slave, (rows, columns))
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.process = subprocess.Popen([SLUICE, command, *arguments], stdin=self.slave, stdout=self.slave,
                                        stderr=subprocess.PIPE, env={**case.environment, "TERM": term, **environment},
                                        preexec_fn=lambda: LIBC.prctl(1, signal.SIGTERM, 0, 0, 0))
        case.addCleanup(stop, self.process)

    def read(self):
        while select.select([self.master], [], [], 0.05)[0]:
            self.output += os.read(self.master, 65536)
        return self.output

    def wait(self, text):
        wait_until(lambda: text in self.read(), lambda: f"{text} in {self.output[-3000:]}")

    def wait_end(self):
        return wait_until(lambda: (self.read(), self.process.poll())[1] is not None and [self.process.returncode], "its end")[0]


@unittest.skipIf(TMUX is None, "SKIPPED: there is no tmux: NO SCREEN WAS LOOKED AT")
class OnScreen(support.Case):
    def armed(self, rules=None):
        server, sensor, actuator = self.udp_server(rules=rules or RULES, source=PATIENT)
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        server.make_armed()
        return server, sensor, actuator

    def assert_overview(self, lines, columns, rows):
        self.assertEqual(len(lines), rows)
        self.assertLessEqual(max(map(len, lines)), columns)
        text = "\n".join(lines)
        for word in (self.instance, "interlock  ARMED", "trips", "udp", "residual", "chamber_pressure", "kPa", "good",
                     "article_temperature", "decided", "control", "sensors"):
            self.assertIn(word, text)
        self.assertRegex(text, r"chamber_pressure +100 kPa +good +- +150 ")
        self.assertRegex(text, r"shroud_temperature +20 degC +good +-100 +- ")
        self.assertRegex(text, r"udp +open +[\d.]+ +0 +0 ")
        self.assertRegex(text, r"chamber_pressure.*[▁▂▃▄▅▆▇█]{2}", "its last values")
        self.assertTrue(lines[-1].strip(), "the keys stand in the last line")
        self.assertIn("3 readers", lines[-1])

    def test_what_stands_there_at_80x24_and_200x60(self):
        server, _, _ = self.armed()
        server.tail("udp")
        for columns, rows in ((80, 24), (200, 60)):
            with self.subTest(columns=columns):
                screen = Screen(self, columns, rows, "--interval", "0.2")
                screen.wait("interlock  ARMED", "[▁▂▃▄▅▆▇█]{2}", r"udp .* 1 lag", without=["WAS", "OLD"])
                self.assert_overview(screen.wait("interlock  ARMED", without=["OLD"]), columns, rows)
                if rows == 60:
                    screen.wait("process +pid", "control +alive .*other", "arrival_to_decided", r"reader of +pid", "observer")

    def test_keys(self):
        server, _, _ = self.armed()
        tail = server.tail("udp")
        screen = Screen(self, 80, 24, "--interval", "0.2")
        screen.wait("interlock  ARMED")
        for key, patterns in (("1", [r"ring +rate/s", ">udp"]), ("2", [r"channel +value", ">chamber_pressure"]),
                              ("3", [r"reader of", f"udp +{tail.process.pid} observer"]),
                              ("4", ["first-out|output", "chamber_pressure|WAIVED", "latency, us"]),
                              ("5", [r"process +pid", f"sluiced +alive +{server.pid} "]),
                              ("6", [r"recorder +B/s", "none"]),
                              ("?", ["Nothing that is typed here commands anything"]), ("0", ["interlock  ARMED", "trend"])):
            screen.press(key)
            screen.wait(*patterns)
        screen.press("2", "Down", "Down")
        screen.wait(">shroud_temperature")
        screen.press("End")
        screen.wait(">article_temperature")
        screen.press("PageUp")
        screen.wait(">chamber_pressure")
        screen.press("r")
        self.assertLess(*[next(i for i, line in enumerate(screen.wait(">article")) if name in line)
                          for name in ("article_temperature", "chamber_pressure")])
        screen.press("r", "1", "Enter")
        screen.wait("sluice top .* readers ", f"udp +{tail.process.pid} observer")
        screen.press("b")
        screen.wait("sluice top .* overview ")
        screen.press("q")
        wait_until(screen.dead, "its end")

    def test_frozen_says_so_and_what_is_now(self):
        server, sensor, _ = self.armed()
        screen = Screen(self, 80, 24, "--interval", "0.2")
        screen.wait("interlock  ARMED", "chamber_pressure +100 ")
        screen.press("Space")
        screen.wait("FROZEN: [\\d.]+ s OLD. NOW: interlock ARMED", "interlock WAS  ARMED")
        sensor.values = {"pressure": 190.0}
        server.wait_state("tripped")
        lines = screen.wait("FROZEN: .* NOW: interlock TRIPPED", "interlock WAS  ARMED", "chamber_pressure +100 ")
        self.assertTrue(all(line.startswith("!") for line in lines[2:-1]), lines)
        first = float(re.search(r"FROZEN: ([\d.]+)", "\n".join(lines)).group(1))
        wait_until(lambda: float(re.search(r"FROZEN: ([\d.]+)", "\n".join(screen.lines())).group(1)) > first, "a later age")
        screen.press("Space")
        screen.wait("interlock  TRIPPED", "first-out: .*overpressure", "chamber_pressure +190 kPa +HIGH", without=["FROZEN", "WAS"])

    def test_bypasses_and_colours_are_words(self):
        server, _, _ = self.armed()
        done = server.cli("bypass", server.instance, "overpressure", "--for", "10m", "--reason", "gauge change", "--by", "kim")
        self.assertEqual(done.returncode, 0, done)
        screen = Screen(self, 80, 24, "--interval", "0.2", NO_COLOR="1")
        screen.wait("BYPASSED overpressure by kim for another (10 min|9 min .*): gauge change")
        server.cli("trip", server.instance)
        screen.wait("interlock  TRIPPED")
        text = screen.tmux("capture-pane", "-p", "-e")
        self.assertNotRegex(text, "\x1b\\[[0-9;]*3[0-7]m", "no colours")
        self.assertRegex(text, "\x1b\\[[0-9;]*7m[^\n]*TRIPPED", "inverse")

    def test_waits_for_a_server_and_for_its_restart(self):
        server, sensor, _ = self.udp_server(rules=RULES, source=PATIENT, start=False)
        screen = Screen(self, 80, 24, "--interval", "0.2", server.instance)
        screen.wait("NO SERVER: waiting", "expected a server of instance", "q: quit")
        server.start()
        sensor.start()
        screen.wait(self.instance, "interlock  TRIPPED", "chamber_pressure +100 ", without=["NO SERVER"])
        self.assertEqual(server.end(), 0)
        lines = screen.wait("NO SERVER for .* s; what stands below is [\\d.]+ s OLD", "interlock WAS  TRIPPED")
        self.assertTrue(all(line.startswith("!") for line in lines[6:-1]), lines)
        server.start()
        screen.wait("interlock  TRIPPED", "chamber_pressure +100 ", "connection 2", without=["NO SERVER", "OLD"])
        screen.press("q")
        wait_until(screen.dead, "its end")

    def test_a_server_that_hangs_is_not_shown_as_current(self):
        server, _, _ = self.armed()
        screen = Screen(self, 80, 24, "--interval", "0.2")
        screen.wait("interlock  ARMED", without=["OLD"])
        server.kill(server.pid, signal.SIGSTOP)
        try:
            screen.wait("NO (ANSWER|SERVER) for", "OLD", "interlock WAS ")
            os.kill(screen.pid(), signal.SIGTERM)
            wait_until(screen.dead, "its end while the server hangs")
        finally:
            server.kill(server.pid, signal.SIGCONT)

    def test_control_that_is_silent_is_unknown(self):
        server, _, _ = self.armed()
        screen = Screen(self, 80, 24, "--interval", "0.2")
        screen.wait("interlock  ARMED")
        control = server.control()
        server.kill(control, signal.SIGSTOP)
        try:
            screen.wait("UNKNOWN: control|interlock  (TRIPPED|INIT)", without=["interlock  ARMED"])
        finally:
            with contextlib.suppress(ProcessLookupError):
                server.kill(control, signal.SIGCONT)

    def test_sizes(self):
        self.armed()
        screen = Screen(self, 59, 24, "--interval", "0.2")
        screen.wait("too small: 59 x 24", "wants 60 x 15")
        for columns, rows in ((60, 15), (200, 60), (80, 14), (120, 24)):
            screen.tmux("resize-window", "-x", str(columns), "-y", str(rows))
            screen.wait(f"too small: {columns} x {rows}" if rows < 15 else "interlock  ARMED")
            lines = screen.lines()
            self.assertLessEqual(max(map(len, lines)), columns)

    def test_ascii_only(self):
        self.armed()
        screen = Screen(self, 80, 24, "--interval", "0.2", LC_ALL="C")
        screen.wait("interlock  ARMED", r"chamber_pressure .*[-=:+]{3}")
        self.assertTrue("\n".join(screen.lines()).isascii())


@unittest.skipIf(TMUX is None, "SKIPPED: there is no tmux: NO SCREEN WAS LOOKED AT")
class Recorders(RecordCase):
    def test_what_they_do(self):
        server = self.begin([self.recorder(), self.recorder(name="spare", directories=[self.path("not/there")])])
        self.wait_recording(server)
        self.feed(server, 500)
        screen = Screen(self, 80, 24, "--interval", "0.2")
        screen.wait("recorders: spare FAILED .*main recording")
        screen.press("6")
        screen.wait(r">main +recording +[\d.]+[kM]? +\d+ +500 +0 +0 +[\d.]+[GT]",
                    r"main: [\d.]+k?B not on disk yet, at most for \d+ ms; /", "spare +FAILED", "! spare: cannot make the directory", "not/there")
        screen.press("s", "s", "s")  # by size
        screen.wait("recorders by size", ">main", "spare")
        screen.press("r")
        screen.wait("recorders by size, reversed", ">spare")


class WithoutScreen(support.Case):
    def refused(self, *arguments, term="xterm", code=2, **environment):
        terminal = Terminal(self, *arguments, term=term, **environment)
        self.assertEqual(terminal.wait_end(), code)
        error = terminal.process.stderr.read().decode()
        self.assertTrue(error.startswith("sluice top: ") or "usage: sluice top" in error, error)
        return error

    def test_terminals_that_cannot(self):
        self.assertIn("cursor", self.refused(term="dumb"))
        self.assertEqual(self.refused(term="dumb").count("\n"), 1)
        self.assertIn("found 'nosuch-terminal'", self.refused(term="nosuch-terminal"))
        done = self.cli("top")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
        self.assertIn("--once", done.stderr)

    def test_wrong_options(self):
        for arguments, word in ((["--interval", "0.09"], "0.1 to 60"), (["--interval", "61"], "0.1 to 60"),
                                (["--interval", "nan"], "found 'nan'"), (["--interval", "1s"], "found '1s'"),
                                (["--once", "--width", "59"], "60 to 400"), (["--once", "--height", "201"], "15 to 200"),
                                (["--once", "--height", "-20"], "found '-20'"), (["--width", "80"], "belong to --once"),
                                (["a", "b"], "usage"), (["--nosuch"], "usage"), (["a/b"], "instance's name")):
            with self.subTest(arguments=arguments):
                self.assertIn(word, self.refused(*arguments))

    def test_once(self):
        self.assertEqual(self.cli("top", "--once").returncode, 3)
        server, _, _ = self.udp_server(rules=RULES, source=PATIENT)
        server.wait_status(lambda s: s["channels"][0]["quality"] == "good", "data")
        for columns, rows in ((80, 24), (60, 15), (200, 60)):
            done = server.cli("top", "--once", "--width", str(columns), "--height", str(rows), self.instance)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            lines = done.stdout.split("\n")[:-1]
            self.assertEqual(len(lines), rows)
            self.assertLessEqual(max(map(len, lines)), columns)
            for word in (self.instance, "TRIPPED", "udp", "chamber_pressure"):
                self.assertIn(word, done.stdout)
        self.assertTrue(done.stdout.isascii())
        done = server.cli("top", "--once", "nosuch")
        self.assertEqual(done.returncode, 3, done)

    def test_the_terminal_is_given_back(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV, signal.SIGABRT, None):
            with self.subTest(signal=number):
                terminal = Terminal(self)
                terminal.wait(b"NO SERVER")
                self.assertNotEqual(termios.tcgetattr(terminal.slave), terminal.before)
                if number is None:
                    os.write(terminal.master, b"q")
                else:
                    terminal.process.send_signal(number)
                code = terminal.wait_end()
                fault = number in (signal.SIGSEGV, signal.SIGABRT)
                self.assertEqual(code, -number if fault else 0)
                self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)
                self.assertIn(b"\x1b[?1049l", terminal.read(), "the screen from before")
                self.assertGreater(terminal.output.rfind(b"\x1b[?25h"), terminal.output.rfind(b"\x1b[?25l"), "the cursor")

    def test_monochrome(self):
        terminal = Terminal(self, term="vt100")
        terminal.wait(b"NO SERVER")
        self.assertNotRegex(terminal.output, rb"\x1b\[[0-9;]*[34][0-7]m")
        self.assertRegex(terminal.output, rb"\x1b\[[0-9;]*7m")


if __name__ == "__main__":
    support.main()
