#!/usr/bin/env python3
"""`sluice map` against what the kernel says: every mapping of the instance's memory, none left out, none invented,
equal in address, size, resident and locked memory; and the totals add up."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import unittest

import support
from support import BIN, PATIENCE_S, free_udp_port

NOBODY = 65534
OURS = "/memfd:sluice"
HUGE = "/sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages"


def smaps(pid):
    """Every mapping: {start, bytes, permissions, path, device, inode, and the fields in KiB}."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)", line)
            if head:
                start, end = int(head.group(1), 16), int(head.group(2), 16)
                found.append({"start": start, "bytes": end - start, "permissions": head.group(3), "path": head.group(7),
                              "device": os.makedev(int(head.group(4), 16), int(head.group(5), 16)),
                              "inode": int(head.group(6))})
            else:
                key, value = line.split(":", 1)
                if value.endswith("kB\n"):
                    found[-1][key] = int(value.split()[0])
                else:
                    found[-1][key] = value.strip()
    return found


def resident(mapping):
    """The kernel's Rss leaves huge pages out."""
    return mapping["Rss"] + mapping["Shared_Hugetlb"] + mapping["Private_Hugetlb"]


def facts(mapping):
    """What must be equal, from smaps."""
    return (mapping["start"], mapping["bytes"], mapping["permissions"], mapping["KernelPageSize"] * 1024,
            resident(mapping), mapping["Locked"], " lo" in " " + mapping["VmFlags"], mapping["device"], mapping["inode"])


def told(region, mapping):
    """The same, from sluice map."""
    return (mapping["address"], mapping["bytes"], mapping["permissions"], mapping["page_bytes"], mapping["resident_kb"],
            mapping["locked_kb"], mapping["locked"], region["device"], region["inode"])


def private(pid):
    """(private, part of shared files, clean) in KiB of everything that is not ours."""
    other = [m for m in smaps(pid) if not m["path"].startswith(OURS)]
    own = [m["Private_Clean"] + m["Private_Dirty"] + m["Private_Hugetlb"] for m in other]
    clean = sum(m["Private_Clean"] + m["Shared_Clean"] for m in other)
    return sum(own), sum(max(0, m["Pss"] + m["Private_Hugetlb"] - o) for m, o in zip(other, own)), clean


@contextlib.contextmanager
def reserved(case, page_kb, pages):
    """So many huge pages more than there are; given back at the end."""
    path = HUGE.format(page_kb)
    before = after = 0
    with contextlib.suppress(OSError):
        with open(path, encoding="ascii") as file:
            before = after = int(file.read())
        with open(path, "w", encoding="ascii") as file:
            file.write(str(before + pages))
        with open(path, encoding="ascii") as file:
            after = int(file.read())

    def give_back():
        with contextlib.suppress(OSError):
            with open(path, encoding="ascii") as file:
                now = int(file.read())
            with open(path, "w", encoding="ascii") as file:
                file.write(str(max(0, now - (after - before))))

    try:
        if after - before < pages:
            case.skipTest(f"SKIPPED: cannot reserve {pages} huge pages of {page_kb} KiB: RINGS ON THEM WERE NOT TRIED")
        yield
    finally:
        give_back()


class Map(support.Case):
    def config(self, rings=(), **memory):
        """Three UDP rings on two workers; `rings` are changes of each."""
        ports = [free_udp_port() for _ in range(3)]
        names = ("one", "two", "three")
        sources = [support.udp_source(port, name=name, ring=name, worker="sensors" if name == "one" else "packets",
                                      channels=support.channels(name + "_")) for port, name in zip(ports, names)]
        text = support.config(self.instance, sources, support.outputs_to(support.Actuator(self).target),
                              [{"name": "overpressure", "channel": "one_chamber_pressure", "high": 150}], slots=1024)
        text["workers"].append({"name": "packets", "idle": "wait"})
        text["memory"].update(memory)
        for ring, changes in zip(text["rings"], rings):
            ring.update(changes)
        return text, ports

    def start(self, text, ports):
        """A server that has received, with four readers, at rest: nothing moves while it is looked at."""
        server = self.server(text).start()
        server.wait_settled()
        tails = [server.tail(name, "--oldest") for name in ("one", "one", "two", "three")]
        server.wait_status(lambda s: [len(r["readers"]) for r in s["rings"]] == [2, 1, 1], "the readers")
        for port in ports:
            sensor = support.SensorUdp(self, port)
            for _ in range(50):
                sensor.send()
        for tail in tails:
            tail.wait(lambda lines: len(lines) >= 50, "frames at the reader")
        return server, [tail.process.pid for tail in tails]

    def map(self, server):
        done = server.cli("map", server.instance, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def settled(self, server, pids):
        """(the map, {pid: (facts of our mappings, private memory)}), read before and after and found equal."""

        def look():
            return {pid: ([facts(m) for m in smaps(pid) if m["path"].startswith(OURS)], private(pid)) for pid in pids}

        for _ in range(50):
            before, report, after = look(), self.map(server), look()
            if all(before[pid][0] == after[pid][0] for pid in pids):
                return report, after
        raise AssertionError("the server's memory does not come to rest")

    def compare(self, server, readers, children=4, more=None):
        """The heart of it. Returns the map. `more`: kinds of segments, and how many, beside those that there always are."""
        pids = [server.pid, *server.children(), *readers]
        self.assertEqual(len(server.children()), children)
        report, kernel = self.settled(server, pids)
        ours = {}
        for region in report["regions"]:
            for mapping in region["mappings"]:
                self.assertEqual(mapping["writable"], "w" in mapping["permissions"])
                self.assertEqual(mapping["bytes"], region["bytes"], "each is mapped whole")
                ours.setdefault(mapping["pid"], []).append(told(region, mapping))
        self.assertEqual(sorted(ours), sorted(pids), "every process, and nobody else")
        for pid in pids:
            self.assertEqual(sorted(ours[pid]), sorted(kernel[pid][0]), f"pid {pid}")
        self.check_totals(server, report, kernel)
        self.check_owners(server, report, readers, more or {})
        return report

    def near(self, one, two, clean, what):
        """A page of a program or a library is private or shared as other processes come and go, sluice itself among them:
        what is clean may have changed sides between the two looks."""
        self.assertLessEqual(abs(one - two), 64 + clean, what)

    def check_totals(self, server, report, kernel):
        server_pids = {server.pid, *server.children()}
        totals = report["totals"]
        self.assertEqual({p["pid"] for p in report["processes"]}, set(kernel))
        for process in report["processes"]:
            pid = process["pid"]
            own, of_files, clean = kernel[pid][1]
            self.near(process["private_kb"], own, clean, process["name"])
            self.near(process["shared_files_kb"], of_files, clean, process["name"])
            # Wherever it is counted, it is counted: all of what is its own, and not more than is there.
            self.assertGreaterEqual(process["private_kb"] + process["shared_files_kb"] + clean + 64, own + of_files, process["name"])
            self.assertEqual(process["shared_kb"], sum(fact[4] for fact in kernel[pid][0]))
            self.assertEqual((process["counted"], process["role"]),
                             (True, "server") if pid in server_pids else (False, "reader"))
            self.assertTrue(process["readable"])
        segments = {}  # each once, as the server's descriptors say
        for pid in server_pids:
            for mapping in smaps(pid):
                if mapping["path"].startswith(OURS):
                    segments[mapping["device"], mapping["inode"]] = mapping["bytes"]
        self.assertEqual(totals["segments"], len(segments))
        self.assertEqual(totals["segments"], len(report["regions"]))
        self.assertEqual(totals["shared_kb"], sum(segments.values()) // 1024)
        counted = [p for p in report["processes"] if p["counted"]]
        for key in ("private_kb", "shared_files_kb"):
            self.assertEqual(totals[key], sum(p[key] for p in counted))
        self.assertEqual(totals["total_kb"], totals["shared_kb"] + totals["private_kb"] + totals["shared_files_kb"])
        self.assertTrue(totals["complete"])

    def check_owners(self, server, report, readers, more):
        """Nobody maps a region for writing but its owner and sluiced; an outbox has two owners, each of its own fields."""
        workers = {pid for pid, name in server.children().items() if name == "sluice-worker"}
        kinds = {}
        for region in report["regions"]:
            kinds.setdefault(region["kind"], []).append(region)
            may = {server.pid, region["owner_pid"]}
            if region["kind"] == "outbox":
                may |= {pid for pid, name in server.children().items() if name == "sluice-actuator"}
            for mapping in region["mappings"]:
                if mapping["writable"]:
                    self.assertIn(mapping["pid"], may, region["region"])
            if region["owner"] is None:
                self.assertFalse(any(m["writable"] for m in region["mappings"]), region["region"])
        self.assertEqual({kind: len(found) for kind, found in kinds.items()},
                         {"board": 1, "table": 1, "control_board": 1, "observer_board": 1, "mailbox": 1, "measures": 1, "journal": 1, "config": 1, "worker_plan": 2,
                          "worker_board": 2, "ring": 3, "orders": 3, "lease": 4, **more})
        self.assertEqual([r["ring"] for r in kinds["ring"]], ["one", "two", "three"])
        self.assertEqual([r["owner"] for r in kinds["ring"]], ["sensors", "packets", "packets"])
        self.assertTrue({r["owner_pid"] for r in kinds["ring"]} <= workers)
        self.assertEqual({r["reader_pid"] for r in kinds["lease"]}, set(readers))
        self.assertEqual(sorted(r["ring"] for r in kinds["lease"]), ["one", "one", "three", "two"])

    def test_equal_to_smaps(self):
        server, readers = self.start(*self.config())
        report = self.compare(server, readers)
        rings = [r for r in report["regions"] if r["kind"] == "ring"]
        self.assertEqual({r["page_bytes"] for r in rings}, {4096})
        for region in rings:
            worker = next(m for m in region["mappings"] if m["pid"] == region["owner_pid"])
            if worker["numa_nodes"] is not None:  # a kernel with NUMA
                self.assertEqual(sum(n["kb"] for n in worker["numa_nodes"]), worker["resident_kb"])
        # A reader that leaves takes its lease along.
        os.kill(readers[0], 9)
        server.wait_status(lambda s: len(s["rings"][0]["readers"]) == 1, "the reader's end")
        report = self.map(server)
        self.assertEqual(report["totals"]["segments"], 21)
        self.assertNotIn(readers[0], [p["pid"] for p in report["processes"]])

    def test_black_box_and_actuator(self):
        """What they share is in the map as well; the device of the actuator need not be there."""
        text, ports = self.config()
        text["black_box"] = {"directory": self.path("trips")}
        text["outputs"].append({"name": "fan", "kind": "modbus", "target": f"127.0.0.1:{free_udp_port()}"})
        server, readers = self.start(text, ports)
        report = self.compare(server, readers, 6, {"blackbox_board": 1, "blackbox_plan": 1, "outbox": 1})
        owners = {r["kind"]: r["owner"] for r in report["regions"]}
        self.assertIsNone(owners["config"])
        self.assertIsNone(owners["blackbox_plan"])
        self.assertIsNotNone(owners["blackbox_board"])

    def test_screen(self):
        server, readers = self.start(*self.config())
        done = server.cli("map", server.instance)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("ring one", "lease on ring three", "board of worker packets", "plan of worker sensors", "mailbox", "table",
                     "board of control", "board of sluiced", "in all", *map(str, readers), str(server.pid)):
            self.assertIn(word, done.stdout)
        for region in self.map(server)["regions"]:
            for mapping in region["mappings"]:
                self.assertIn(f"{mapping['address']:012x}-{mapping['address'] + mapping['bytes']:012x}", done.stdout)

    def test_bound_to_a_node(self):
        nodes = "/sys/devices/system/node/online"
        if not os.path.exists(nodes):
            self.skipTest("SKIPPED: this kernel knows no NUMA nodes: BINDING WAS NOT TRIED")
        with open(nodes, encoding="ascii") as file:
            first = int(re.match(r"\d+", file.read()).group(0))
        text, ports = self.config(rings=({}, {"numa_node": -1}), numa_node=first)
        server, readers = self.start(text, ports)
        report = self.compare(server, readers)
        said = " ".join(server.status()["processes"][0]["refusals"])
        if "cannot bind" in said:
            self.skipTest(f"SKIPPED: {said}")
        self.assertNotIn("NUMA", said)
        self.assertEqual([r["numa_node"] for r in report["regions"] if r["kind"] == "ring"], [first, None, first])
        for region in report["regions"]:
            for mapping in region["mappings"] if region["numa_node"] is not None else ():
                self.assertEqual({n["node"] for n in mapping["numa_nodes"]} - {first}, set())

    def test_a_node_that_is_not_there(self):
        text, _ = self.config(numa_node=1000)
        text["rings"][1]["numa_node"] = 1001
        path = self.path("missing.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(text, file, indent=1)
        done = self.cli("check", path)
        self.assertEqual(done.returncode, 2)
        self.assertIn("memory.numa_node: expected a NUMA node of this machine (", done.stderr)
        self.assertIn("rings[1].numa_node: expected a NUMA node", done.stderr)
        self.assertIn("found 1001", done.stderr)

    def test_2_mib_pages(self):
        with reserved(self, 2048, 4):
            self.huge(2 << 20, {"pages": "huge"})

    def test_1_gib_pages(self):
        with reserved(self, 1048576, 1):
            self.huge(1 << 30, {"pages": "huge_1g"})

    def huge(self, page_bytes, changes):
        """The first ring on huge pages, the others on ordinary ones."""
        server, readers = self.start(*self.config(rings=(changes,)))
        report = self.compare(server, readers)
        self.assertEqual([r["page_bytes"] for r in report["regions"] if r["kind"] == "ring"], [page_bytes, 4096, 4096])
        ring = next(r for r in report["regions"] if r["ring"] == "one")
        self.assertEqual(ring["bytes"], page_bytes)
        for mapping in ring["mappings"]:
            self.assertEqual((mapping["page_bytes"], mapping["huge_kb"]), (page_bytes, mapping["resident_kb"]))
            self.assertGreater(mapping["resident_kb"], 0)
        self.assertEqual([r["page_bytes"] for r in server.status()["rings"]], [page_bytes, 4096, 4096])
        server.end()  # the pages are free again before they are given back

    def test_each_step_down_is_said_once(self):
        """No 1 GiB page is free, or one ring gets it and the others do not: what they got and what was said agree."""
        server, _ = self.start(*self.config(pages="huge_1g_or_smaller"))
        rings = server.status()["rings"]
        said = server.status()["processes"][0]["refusals"]
        for name, page_bytes in (("1 GiB", 1 << 30), ("2 MiB", 2 << 20)):
            below = [r["name"] for r in rings if r["page_bytes"] < page_bytes]
            lines = [line for line in said if f"no {name} pages free" in line]
            self.assertEqual(len(lines), 1 if below else 0, said)
            for line in lines:
                self.assertTrue(line.startswith("ring " + ", ".join(below) + ": "), line)
                self.assertEqual(server.log().count(line), 1, "said once")

    def test_a_large_watched_ring_on_small_pages(self):
        """Its pages are given back before the death of control is seen (daq/server_segments.c): that is said. And its
        pages are not walked for the status (daq/server_watch.c): the memory shown is still the right size."""
        server, _ = self.start(*self.config(rings=({}, {"slots": 1 << 21})))
        status = server.status()
        said = [line for line in status["processes"][0]["refusals"] if "the interlock watches" in line]
        self.assertEqual(len(said), 1, said)
        self.assertTrue(said[0].startswith("ring two: the interlock watches 384 MiB"), said)
        for process in status["processes"]:
            self.assertTrue(300 < process["pss_kb"] < 20000, process)

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, cannot be another user: PERMISSIONS WERE NOT TRIED")
    def test_not_permitted(self):
        """Another user of the socket's group sees every region, and for each process why it could not be read."""
        server, readers = self.start(*self.config())
        os.chmod(self.dir, 0o755)
        os.chown(self.socket_path(server), 0, NOBODY)
        program = self.path("sluice")
        shutil.copy(os.path.join(BIN, "sluice"), program)
        os.chmod(program, 0o755)
        done = subprocess.run([program, "map", "--json"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 1, done)
        report = json.loads(done.stdout)
        self.assertFalse(report["totals"]["complete"])
        pids = {server.pid, *server.children(), *readers}
        self.assertEqual({p["pid"] for p in report["processes"]}, pids)
        self.assertEqual(report["totals"]["segments"], 22)
        for process in report["processes"]:
            self.assertFalse(process["readable"])
            self.assertIsNone(process["private_kb"])
            self.assertIn(f"cannot read /proc/{process['pid']}/smaps: Permission denied", process["error"])
            self.assertIn(f"(pid {process['pid']}): {process['error']}", done.stderr)
        # His reader is in root's map, and his own map tells of it.
        own = subprocess.Popen([program, "tail", "one"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                               env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=support.die_with_parent)
        self.addCleanup(support.stop, own)
        server.wait_status(lambda s: len(s["rings"][0]["readers"]) == 3, "the other user's reader")
        report = self.map(server)
        self.assertIn(own.pid, [r["reader_pid"] for r in report["regions"]])
        self.assertEqual([p["role"] for p in report["processes"] if p["pid"] == own.pid], ["reader"])

    def test_no_server(self):
        done = self.cli("map", self.instance)
        self.assertEqual(done.returncode, 3)
        self.assertIn("expected a server", done.stderr)

    def test_two_instances(self):
        """The memory of another instance is not ours, though it has the same names."""
        server, readers = self.start(*self.config())
        text, _ = self.config()
        text["instance"] = self.instance[:27] + "-b"
        other = self.server(text).start()
        other.wait_settled()
        report = self.compare(server, readers)
        pids = {m["pid"] for r in report["regions"] for m in r["mappings"]}
        self.assertEqual(pids & {other.pid, *other.children()}, set())


if __name__ == "__main__":
    support.main()
