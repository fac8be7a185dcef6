#!/usr/bin/env python3
"""The four-sensor gateway of the examples: what it needs of the machine's memory."""
import os
import re

import support
from support import Plant, free_udp_port

LIMIT_KB = 8 * 1024


def pss_kb(pid):
    """(all, of that: rings)"""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        total = int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))
    rings, in_ring = 0, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                in_ring = "/memfd:sluice-ring" in line
            elif in_ring and line.startswith("Pss:"):
                rings += int(line.split()[1])
    return total, rings


class Memory(support.Case):
    def test_gateway(self):
        with open(os.path.join(support.ROOT, "tools/examples/gateway.yaml"), encoding="utf-8") as file:
            text = file.read()
        tty, port = self.path("tty"), free_udp_port()
        text, devices = re.subn(r"(?m)^(\s*device: ).*$", rf"\g<1>{tty}", text)
        text, ports = re.subn(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", text)
        text, names = re.subn(r"(?m)^instance: .*$", f"instance: {self.instance}", text)
        self.assertEqual((devices, names), (1, 1))
        self.assertGreaterEqual(ports, 1)
        if os.cpu_count() < 2:
            text = text.replace("core: 1", "core: 0")
        Plant(self, "--tty", tty, "--serial-hz", "1000", "--actuator", f"udp:127.0.0.1:{port}", "--relay-watchdog-ms", "0")
        server = self.server(text)
        server.instance = self.instance
        server.start()
        # The whole ring has been written once, and an operator has looked.
        server.wait_status(lambda s: s["rings"][0]["published"] > 3000, "3 s of samples")
        server.make_armed()
        server.wait_settled()

        def measured(status):  # sluiced measures once a second
            return all(abs(p["pss_kb"] - (lambda a, r: a - r)(*pss_kb(p["pid"]))) < 256 for p in status["processes"])

        status = server.wait_status(measured, "the server's own figures to be those of the kernel")
        pids = [p["pid"] for p in status["processes"]]
        self.assertEqual(pids[0], server.pid)
        self.assertEqual(set(pids[1:]), set(server.children()))
        self.assertEqual(len(pids), 4)
        total = rings = 0
        for process in status["processes"]:
            all_kb, rings_kb = pss_kb(process["pid"])
            total += all_kb
            rings += rings_kb
            print(f"{process['name']}: {all_kb} kB, of that rings {rings_kb} kB; sluice status says {process['pss_kb']} kB "
                  f"without rings")
        print(f"in sum {total} kB PSS, without rings {total - rings} kB; limit {LIMIT_KB} kB")
        self.assertLess(total - rings, LIMIT_KB)
        self.assertLess(total, LIMIT_KB)
        self.assert_balanced(status["streams"][0])


if __name__ == "__main__":
    support.main()
