#!/usr/bin/env python3
"""Workers, readers, the supervisor and the instance's name: each killed, stopped or there twice."""
import os
import signal
import socket
import subprocess
import time

import support
from support import BIN, PATIENCE_S, Actuator, Command, SensorUdp, config, exists, free_udp_port, outputs_to, udp_source, wait_until


class Worker(support.Case):
    def test_killed(self):
        """STALE trip, restart, and the attached reader goes on in the same ring and is told of the gap."""
        # Stale sooner than a restart takes (100 ms and more), so that the trip is sure.
        server, sensor, actuator = self.udp_server(hz=200, source={"channels": support.channels(stale_ms=90)})
        tail = server.tail("udp")
        tail.wait(lambda lines: len(lines) > 5, "frames")
        for attempt in range(5):
            server.make_armed()
            worker = server.worker()
            trips = server.status()["interlock"]["trips"]
            server.kill(worker)
            actuator.wait_permit(False)
            status = server.wait_status(
                lambda s: server.processes(s)["sensors"]["restarts"] == attempt + 1
                and s["channels"][0]["quality"] == "good", "the new worker's data")
            new = server.processes(status)["sensors"]["pid"]
            self.assertNotEqual(new, worker)
            self.assertEqual(status["rings"][0]["epoch"], attempt + 2)
            self.assertEqual(status["interlock"]["state"], "tripped")
            first = status["interlock"]["first_out"]
            if status["interlock"]["trips"] == trips + 1:
                self.assertEqual((first["kind"], first["channel"]), ("stale", "chamber_pressure"), first)
                break
        else:
            self.fail("tripped by itself five times")
        after = server.stream("udp")["delivered"]
        server.wait_status(lambda s: s["streams"][0]["delivered"] > after + 20, "more data")
        self.assertIsNone(tail.process.poll())

        def restarts_in(lines):
            return [i for i, line in enumerate(lines) if line.get("gap", {}).get("cause") == "restart"]

        tail.wait(lambda lines: len(r := restarts_in(lines)) > attempt and len(lines) > r[-1] + 10, "frames behind the restart")
        lines = tail.lines()
        self.assertEqual(len(restarts_in(lines)), attempt + 1)
        positions = [line["position"] for line in lines]
        self.assertEqual(positions, list(range(positions[0], positions[0] + len(positions))))
        # What was sent meanwhile is put down to the restart, to the frame.
        told = [line for line in lines if line.get("cause") == "restart"]
        self.assertEqual(len(told), attempt + 1)
        stream = server.stream("udp")
        self.assertEqual(stream["lost"]["restart"], sum(line["lost_before"] for line in told))
        self.assertEqual(sum(stream["lost"].values()), stream["lost"]["restart"])
        self.assert_balanced(stream)
        sequences = [line["source_sequence"] for line in lines if "values" in line]
        self.assertEqual(sequences, sorted(set(sequences)))
        server.make_armed()
        self.assertEqual(server.processes()["control"]["restarts"], 0)

    def test_killed_again_and_again(self):
        server, _, _ = self.udp_server()
        for attempt in range(4):
            server.kill(server.worker())
            server.wait_status(lambda s: server.processes(s)["sensors"]["restarts"] == attempt + 1
                               and s["channels"][0]["quality"] == "good", "the next one")
        self.assert_balanced(server.stream("udp"))
        server.make_armed()

    def test_stopped(self):
        """A worker that hangs: STALE trip; it is killed and replaced."""
        server, _, actuator = self.udp_server()
        server.make_armed(actuator)
        worker = server.worker()
        server.kill(worker, signal.SIGSTOP)
        actuator.wait_permit(False)
        self.assertIn(server.wait_state("tripped")["interlock"]["first_out"]["kind"], ("stale", "deadline"))
        server.wait_status(lambda s: server.processes(s)["sensors"]["restarts"] == 1
                           and s["channels"][0]["quality"] == "good", "a new worker")
        self.assertFalse(exists(worker))
        server.make_armed()

    def test_stopped_for_a_moment(self):
        """Longer than stale, shorter than a death: trips, and goes on without a restart and without a loss."""
        server, sensor, _ = self.udp_server()
        server.make_armed()
        worker = server.worker()
        server.kill(worker, signal.SIGSTOP)
        server.wait_state("tripped")
        server.kill(worker, signal.SIGCONT)
        server.make_armed()
        with sensor.paused():
            status = server.wait_status(lambda s: s["streams"][0]["delivered"] == sensor.next, "every frame")
        self.assertEqual(sum(status["streams"][0]["lost"].values()), 0)
        self.assertEqual(server.processes(status)["sensors"]["restarts"], 0)


class Readers(support.Case):
    def test_killed_while_attached(self):
        """Its place is free at once, the worker does not notice."""
        server, _, _ = self.udp_server()
        tails = [server.tail("udp") for _ in range(5)]
        pids = {tail.process.pid for tail in tails}

        def readers(status):
            return {r["pid"] for r in status["rings"][0]["readers"]}

        server.wait_status(lambda s: readers(s) == pids, "five readers")
        for tail in tails[:3]:
            os.kill(tail.process.pid, signal.SIGKILL)
        os.kill(tails[3].process.pid, signal.SIGSTOP)  # this one lives and reads no more
        rest = {tail.process.pid for tail in tails[3:]}
        server.wait_status(lambda s: readers(s) == rest, "two readers")
        before = server.stream("udp")["delivered"]
        status = server.wait_status(lambda s: s["streams"][0]["delivered"] > before + 50, "more data")
        self.assertEqual({p["restarts"] for p in status["processes"]}, {0})
        lag = {r["pid"]: r["lag_frames"] for r in status["rings"][0]["readers"]}
        self.assertGreater(lag[tails[3].process.pid], 40)
        self.assertLess(lag[tails[3].process.pid], status["rings"][0]["published"])
        os.kill(tails[3].process.pid, signal.SIGCONT)
        server.wait_status(lambda s: all(r["lag_frames"] < 40 for r in s["rings"][0]["readers"]), "the reader to catch up")

    def test_too_slow(self):
        """Lapped: the reader is told how many frames it lost, to the frame, and goes on."""
        port = free_udp_port()
        server = self.server(config(self.instance, [udp_source(port)], outputs_to(Actuator(self).target), slots=64)).start()
        sensor = SensorUdp(self, port)
        tail = server.tail("udp")
        server.wait_status(lambda s: s["rings"][0]["readers"], "the reader")
        sensor.send()
        tail.wait(lambda lines: len(lines) == 1, "the first frame")
        os.kill(tail.process.pid, signal.SIGSTOP)
        for _ in range(500):
            sensor.send()
            time.sleep(0.0005)
        server.wait_status(lambda s: s["streams"][0]["delivered"] == 501, "every frame")
        os.kill(tail.process.pid, signal.SIGCONT)
        tail.wait(lambda lines: lines[-1]["position"] == 500, "the newest frame")
        status = server.wait_status(lambda s: s["rings"][0]["readers"][0]["lag_frames"] == 0, "no lag")
        lost = status["rings"][0]["readers"][0]["lost"]
        self.assertEqual(len(tail.lines()) + lost, 501)
        self.assertGreater(lost, 400)
        with open(tail.path + ".err", encoding="utf-8") as file:
            self.assertIn(f"{lost} frames were overwritten", file.read())

    def test_reader_outlives_the_server(self):
        server, _, _ = self.udp_server()
        tail = server.tail("udp")
        tail.wait(lambda lines: len(lines) > 5, "frames")
        self.assertEqual(server.end(), 0)
        self.assertEqual(tail.process.wait(PATIENCE_S), 3)
        with open(tail.path + ".err", encoding="utf-8") as file:
            self.assertIn("server has ended", file.read())


class Supervisor(support.Case):
    def test_killed(self):
        """Both others end, outputs safe, nothing left behind, a new one starts at once."""
        server, sensor, actuator = self.udp_server()
        for signals in (["sluiced"], ["sluiced"]):
            server.make_armed(actuator)
            known = dict(server.children())
            self.assertEqual(sorted(known.values()), ["sluice-control", "sluice-observer", "sluice-worker"])
            server.kill(server.pid)
            server.process.wait(PATIENCE_S)
            actuator.wait_permit(False)
            self.assertEqual(actuator.last().origin, Command.CONTROL)
            self.assert_nothing_left(server)
            self.assertEqual(os.listdir(self.run_dir), [])
            self.assertEqual(self.cli("status", self.instance).returncode, 3)
            server.start()
            status = server.status()
            self.assertFalse(status["interlock"]["armed"])
        server.make_armed()
        self.assertEqual(server.end(), 0)

    def test_new_one_need_not_wait(self):
        """Started in the very moment of the old one's death: waits for the old control's end and starts."""
        server, _, actuator = self.udp_server()
        for _ in range(3):
            server.make_armed()
            server.children()
            server.kill(server.pid)
            server.process.wait(PATIENCE_S)
            server.start()
            wait_until(lambda: actuator.permit() is False, "safe outputs")
            self.assertTrue(os.path.exists(self.socket_path(server)))
            self.assertEqual(len(server.children()), 3)

    def test_terminated(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            with self.subTest(number):
                server, _, actuator = self.udp_server()
                server.make_armed(actuator)
                self.assertEqual(server.end(number), 0)
                actuator.wait_permit(False)
                self.assert_nothing_left(server)
                self.assertEqual(os.listdir(self.run_dir), [])
                self.assertNotIn("killing", server.log())

    def test_everything_killed_at_once(self):
        """The socket and the lock file stay; the next server takes them over."""
        server, _, actuator = self.udp_server()
        for _ in range(3):
            server.make_armed()
            children = server.children()
            os.kill(server.pid, signal.SIGSTOP)  # so that nobody cleans up
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(exists(pid) for pid in children), "their end")
            os.kill(server.pid, signal.SIGKILL)
            server.process.wait(PATIENCE_S)
            self.assertEqual(sorted(os.listdir(os.path.join(self.run_dir, self.instance))), ["server.lock", "server.sock"])
            self.assertEqual(self.cli("status", self.instance).returncode, 3)
            # Until now nobody told the actuator (its own watchdog is for this); the new server does so first of all.
            from_ns = time.time_ns()
            server.start()
            first = wait_until(lambda: actuator.since(from_ns), "a command")[0]
            self.assertEqual((first.energised, first.origin), (0, Command.SUPERVISOR))
        self.assertEqual(server.end(), 0)
        self.assert_nothing_left(server)

    def test_leftovers_that_nobody_owns(self):
        port = free_udp_port()
        server = self.server(config(self.instance, [udp_source(port)], outputs_to("127.0.0.1:9")))
        folder = os.path.join(self.run_dir, self.instance)
        os.makedirs(folder)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
            stale.bind(os.path.join(folder, "server.sock"))
        with open(os.path.join(folder, "server.lock"), "w", encoding="ascii") as file:
            file.write("999999\n")
        server.start()
        self.assertEqual(server.end(), 0)
        self.assert_nothing_left(server)

    def test_second_of_the_same_name(self):
        server, _, actuator = self.udp_server()
        server.make_armed(actuator)
        before = server.status()
        other = config(self.instance, [udp_source(free_udp_port())], outputs_to(actuator.target))
        second = self.server(other).launch()
        self.assertEqual(second.process.wait(PATIENCE_S), 2)
        self.assertIn(f"pid {server.pid}", second.log())
        self.assertIn(self.instance, second.log())
        status = server.status()
        self.assertEqual([p["pid"] for p in status["processes"]], [p["pid"] for p in before["processes"]])
        # The second one told the outputs nothing.
        self.assertFalse([c for c in actuator.since(0) if c.origin == Command.SUPERVISOR][1:])
        server.make_armed()
        # Another name runs beside it.
        port = free_udp_port()
        third = self.server(config(self.instance[:29] + "-2", [udp_source(port)], outputs_to(Actuator(self).target))).start()
        self.assertEqual(third.cli("status").returncode, 3)  # two of them: which?
        self.assertIn(server.instance, third.cli("status").stderr)
        self.assertIsNotNone(third.status())
        self.assertIsNotNone(server.status())
        self.assertEqual(third.end(), 0)
        self.assertEqual(server.cli("status").returncode, 0)

    def test_port_that_is_taken(self):
        port = free_udp_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.bind(("127.0.0.1", port))
            server = self.server(config(self.instance, [udp_source(port)], outputs_to("127.0.0.1:9"))).launch()
            wait_until(lambda: server.children() or server.process.poll() is not None, "children", pause_s=0.005)
            self.assertEqual(server.process.wait(PATIENCE_S), 2)
            self.assertIn(str(port), server.log())
            self.assertIn("another program has it", server.log())
            self.assert_nothing_left(server)
            self.assertEqual(os.listdir(self.run_dir), [])
        server.start()
        self.assertEqual(server.end(), 0)

    def test_programs_that_are_missing(self):
        """sluiced alone, without the programs that belong beside it."""
        alone = self.path("sluiced")
        with open(os.path.join(BIN, "sluiced"), "rb") as source, open(alone, "wb") as target:
            target.write(source.read())
        os.chmod(alone, 0o755)
        server = self.server(config(self.instance, [udp_source(free_udp_port())], outputs_to("127.0.0.1:9")))
        done = subprocess.run([alone, server.config_path], env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("sluice-control", done.stderr)
        self.assertEqual(os.listdir(self.run_dir), [])


if __name__ == "__main__":
    support.main()
