#!/usr/bin/env python3
"""Another user's reader: what it is handed cannot be written, resized or opened again for writing; and a user who is
not permitted is told so."""
import fcntl
import json
import os
import resource
import shutil
import subprocess
import unittest

import support
from support import BIN, PATIENCE_S, PYTHON

NOBODY = 65534

# Runs as another user with the descriptors of a ring and of its lease; prints what succeeded.
INTRUDER = r"""
import ctypes, fcntl, json, mmap, os, sys
ring, lease, server = (int(x) for x in sys.argv[1:4])
size = os.fstat(ring).st_size
got = {"uid": os.getuid()}

def attempt(name, action):
    try:
        action()
        got[name] = "done"
    except OSError as e:
        got[name] = e.strerror
    except ValueError as e:
        got[name] = str(e)

def reopen(path, flags):
    os.close(os.open(path, flags))

def protect():  # a read-only map made writable afterwards
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    base = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, ring, 0)
    if libc.mprotect(base, 4096, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

with mmap.mmap(ring, size, prot=mmap.PROT_READ) as seen:
    got["magic"] = seen[:8].decode()
attempt("map_writable", lambda: mmap.mmap(ring, size, prot=mmap.PROT_READ | mmap.PROT_WRITE))
attempt("mprotect", protect)
attempt("write", lambda: os.pwrite(ring, b"x", 0))
for name, flags in (("rdwr", os.O_RDWR), ("wronly", os.O_WRONLY), ("trunc", os.O_RDWR | os.O_TRUNC)):
    attempt("reopen_" + name, lambda: reopen(f"/proc/self/fd/{ring}", flags))
attempt("shrink", lambda: os.ftruncate(ring, 0))
attempt("grow", lambda: os.ftruncate(ring, size * 2))
attempt("punch", lambda: os.posix_fallocate(ring, 0, size))
attempt("chmod", lambda: os.fchmod(ring, 0o666))
attempt("add_seal", lambda: fcntl.fcntl(ring, 1033, 8))
attempt("flags", lambda: fcntl.fcntl(ring, fcntl.F_SETFL, os.O_RDWR) if
        fcntl.fcntl(ring, fcntl.F_SETFL, os.O_RDWR) or fcntl.fcntl(ring, fcntl.F_GETFL) & os.O_ACCMODE else
        (_ for _ in ()).throw(OSError(1, "ignored")))
attempt("shrink_lease", lambda: os.ftruncate(lease, 0))
attempt("map_lease_writable", lambda: mmap.mmap(lease, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE))
attempt("servers_descriptors", lambda: os.listdir(f"/proc/{server}/fd"))
attempt("servers_memory", lambda: open(f"/proc/{server}/mem", "r+b").close())
print(json.dumps(got))
"""
FORBIDDEN = ("map_writable", "mprotect", "write", "reopen_rdwr", "reopen_wronly", "reopen_trunc", "shrink", "grow", "punch",
             "chmod", "add_seal", "flags", "shrink_lease", "servers_descriptors", "servers_memory")


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot be another user: PERMISSIONS WERE NOT TRIED")
class Permissions(support.Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)

    def test_ring_in_a_strangers_hands(self):
        server, sensor, _ = self.udp_server()
        client = support.connect(self.socket_path(server))
        self.addCleanup(client.close)
        code, _, fds = support.call(client, support.ATTACH, "udp")
        self.assertEqual((code, len(fds)), (0, 2))
        for fd in fds:
            self.addCleanup(os.close, fd)
        script = self.path("intruder.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(INTRUDER)
        done = subprocess.run([PYTHON, "-B", script, str(fds[0]), str(fds[1]), str(server.pid)], user=NOBODY, group=NOBODY,
                              extra_groups=[], pass_fds=fds, cwd="/", capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads(done.stdout)
        print(got)
        self.assertEqual(got["uid"], NOBODY)
        self.assertEqual(got["magic"], "SLCRING1")  # it may read
        self.assertEqual(got["map_lease_writable"], "done")  # and write its own page
        for name in FORBIDDEN:
            self.assertNotEqual(got[name], "done", f"{name}: {got}")
        # The server has not noticed.
        before = server.stream("udp")["delivered"]
        server.wait_status(lambda s: s["streams"][0]["delivered"] > before + 10, "more data")
        self.assertEqual({p["restarts"] for p in server.status()["processes"]}, {0})

    def test_every_descriptor_that_is_handed_out(self):
        """Boards, table and rings come read-only, each sealed against resizing."""
        server, _, _ = self.udp_server()
        client = support.connect(self.socket_path(server))
        self.addCleanup(client.close)
        code, _, fds = support.call(client, support.BOARDS)
        self.assertEqual(code, 0)
        self.assertEqual(len(fds), 7)
        for fd in fds:
            self.addCleanup(os.close, fd)
            self.assertEqual(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE, os.O_RDONLY)
            self.assertEqual(os.fstat(fd).st_mode & 0o777, 0o600)
            seals = fcntl.fcntl(fd, 1034)
            self.assertEqual(seals & 7, 7, "sealed: seal, shrink, grow")

    def test_not_permitted(self):
        server, _, _ = self.udp_server()
        program = self.path("sluice")
        shutil.copy(os.path.join(BIN, "sluice"), program)
        os.chmod(program, 0o755)
        for command in (["status", self.instance], ["status"], ["trip"], ["arm"], ["reset"], ["tail", "udp"], ["ledger"],
                        ["latency"]):
            done = subprocess.run([program, *command], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                                  env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 3, f"{command}: {done}")
            self.assertIn("not permitted", done.stderr)
            self.assertIn(self.instance, done.stderr)
        # A member of the socket's group may.
        os.chown(self.socket_path(server), 0, NOBODY)
        done = subprocess.run([program, "status"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done)

    def test_server_of_an_ordinary_user(self):
        """Starts without root; what the system refuses is said and shown."""
        binaries = self.path("bin")
        os.mkdir(binaries)
        for name in ("sluiced", "sluice-control", "sluice-observer", "sluice-worker", "sluice"):
            shutil.copy(os.path.join(BIN, name), binaries)
        home = self.path("home")
        os.mkdir(home)
        os.chown(home, NOBODY, NOBODY)
        port = support.free_udp_port()
        actuator = support.Actuator(self)
        text = support.config(self.instance, [support.udp_source(port)], support.outputs_to(actuator.target), policy="fifo",
                              priority=50)
        path = self.path("user.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(text, file)
        environment = {**self.environment, "SLUICE_RUN_DIR": os.path.join(home, "run"),
                       "SLUICE_STATE_DIR": os.path.join(home, "state")}
        log = open(self.path("user.log"), "wb")
        self.addCleanup(log.close)

        def become():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
            resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            support.die_with_parent()

        daemon = subprocess.Popen([os.path.join(binaries, "sluiced"), path], env=environment, cwd="/", preexec_fn=become,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(support.stop, daemon)
        sensor = support.SensorUdp(self, port).start()

        def status():
            done = self.cli("status", self.instance, "--json", environment=environment)
            return json.loads(done.stdout) if done.returncode == 0 else None

        got = support.wait_until(lambda: (s := status()) and s["channels"][0]["quality"] == "good" and s, "data")
        said = {p["name"]: " ".join(p["refusals"]) for p in got["processes"]}
        self.assertIn("SCHED_FIFO", said["control"])
        with open(self.path("user.log"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text.count("SCHED_FIFO"), 1, text)  # once
        self.assertIn("cannot lock memory", said["control"] + said["sensors"])
        support.wait_until(lambda: (s := status()) and all(p["sealed"] for p in s["processes"][1:]), "sealed processes")
        said = {p["name"]: " ".join(p["refusals"]) for p in status()["processes"]}
        self.assertIn("not allowed to load BPF programs", said["observer"])
        support.wait_until(lambda: self.cli("reset", self.instance, environment=environment).returncode == 0
                           and self.cli("arm", self.instance, environment=environment).returncode == 0, "arming")
        actuator.wait_permit(True)
        daemon.terminate()
        self.assertEqual(daemon.wait(PATIENCE_S), 0)
        self.assertEqual(os.listdir(os.path.join(home, "run")), [])
        sensor.end()


if __name__ == "__main__":
    support.main()
