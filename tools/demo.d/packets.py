"""The packet stream beside the chamber: sluice-gen, a memif port, sluice-dpdk, a ring. At the end both ends' counts, which
have to agree to the frame."""
import contextlib
import json
import os
import pathlib
import re
import signal
import time

import processes
from processes import DEMO, DemoError, say

NAME = "packets"  # of worker, ring and source in the example
EXAMPLE_PORT = "role=server,socket=/tmp/tvac-packets.sock"
SOCKET = DEMO / "packets.sock"
SOCKET_BYTES_MAX = 107
PORT = 4000
PACKET_BYTES, HEADER_BYTES = 1500, 28       # IPv4 and UDP are in the packet
WIRE_BYTES = PACKET_BYTES + 14 + 4 + 8 + 12  # Ethernet's header, check sum, preamble, gap between frames
LINE_GBIT, GBIT_MAX = 10.0, 40.0
RING_BITS = 14                              # memif's largest: 16,384 buffers
BUFFERS = 1 << RING_BITS
BURST = 256                                 # frames back to back: the sender sleeps in between
CATCH_UP_US_MAX = 10**9
FLOW_S, AGREE_S = 30, 3                     # a machine that is busy otherwise takes its time
SENDER_CORE, SENDER_PRIORITY = 0, 10        # as the plant it stands for what is outside, but behind all others here
SENDER_NICE = -10
SENDER_MB = 128                             # of huge pages, if it is to lend its buffers
PROGRAMS = {NAME: "sluice-dpdk", "control": "sluice-control", "sensors": "sluice-worker", "blackbox": "sluice-blackbox"}
HERE = {"nic": "the port had no buffer", "ring_full": "a reader held the ring", "late": "came too late to be placed",
        "malformed": "wrong headers or check sum", "truncated": "longer than a slot", "kernel": "the kernel's buffer",
        "restart": "while sluice-dpdk was not there"}


def without(text):
    """The example without the stream: its paragraphs begin with a comment that says so."""
    return re.sub(r"\n\n  # Packets:.*?(?=\n\n|\Z)", "", text, flags=re.DOTALL)


def unfit():
    """Why there cannot be a port here, or None."""
    path = str(SOCKET.resolve())
    if len(os.fsencode(path)) > SOCKET_BYTES_MAX:
        return f"the path of its socket, {path}, is longer than the {SOCKET_BYTES_MAX} bytes that a socket's may have"
    if "," in path:
        return f"a comma in the path of its socket, {path}, would end it among the port's arguments"
    return None


def clear():
    """What a killed sluice-dpdk would leave; what is no socket is not ours."""
    if SOCKET.is_socket():
        SOCKET.unlink(missing_ok=True)


def spent_ns(pid):
    """The processor time of all threads of a process."""
    return sum(int(path.read_text(encoding="ascii").split()[0])
               for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


class Stream:
    """Begins with the server; ask flows() before anything that is measured, end() while the server still runs."""

    def __init__(self, children, folder, gbit):
        self.children, self.gbit, self.log = children, gbit, folder / "gen.log"
        self.rate_hz = gbit * 1e9 / 8 / WIRE_BYTES
        # Huge pages let the port read the sender's buffers in place; without, each packet is copied once on its side, too.
        self.lends = ",zero-copy=yes" if processes.huge_pages_for(SENDER_MB) else ""
        self.child, self.before, self.report, self.ledger = None, {}, None, None

    def port(self, role):
        return f"net_memif0,role={role},socket={SOCKET.resolve()},socket-abstract=no"

    def arguments(self):
        return ["dpdk", self.port("client") + f",rsize={RING_BITS}{self.lends}", "--to-port", PORT, "--rate",
                f"{self.rate_hz:.3f}pps", "--size", PACKET_BYTES - HEADER_BYTES, "--content", "same", "--no-checksum",
                "--full", "drop", "--burst", BURST, "--spin-us", 0, "--catch-up-us",
                min(CATCH_UP_US_MAX, round(self.holds_s() * 1e6))]

    def holds_s(self):
        """How much of the stream the port's buffers hold. As long a pause of the sender's is made up for, back to back: on
        a wire the packets would have come meanwhile, into the buffers."""
        return BUFFERS / self.rate_hz

    def config(self, text):
        """The example, with the socket in the demo's own folder."""
        if text.count(EXAMPLE_PORT) != 1:
            raise DemoError(f"expected '{EXAMPLE_PORT}' once in the example, found it {text.count(EXAMPLE_PORT)} times")
        return text.replace(EXAMPLE_PORT, f"role=server,socket={SOCKET.resolve()}")

    def begin(self):
        clear()
        self.child = self.children.start("sluice-gen", [processes.BIN / "sluice-gen", *self.arguments(), "--json"], self.log)

    def flows(self, server):
        """Frames arrive. From then on is counted who needs how much of a core."""
        def arrives():
            self.children.check(self.child)
            status = server.ask_json("status")
            stream = self.of(status)
            return status if stream is not None and stream["delivered"] > 0 else None

        status = processes.wait_for("the first packets in the ring", arrives, FLOW_S)
        if self.lends:  # its thread that sends
            processes.prefer(self.child.pid, SENDER_CORE, SENDER_PRIORITY)
        else:  # one that copies takes too much of a core to go before everything ordinary
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.child.pid, SENDER_NICE)
        self.pids = {**{p["name"]: p["pid"] for p in status["processes"]},
                     **{child.name: child.pid for child in self.children.running}}
        self.refusals = next(p["refusals"] for p in status["processes"] if p["name"] == NAME)
        self.begun_s, self.before = time.monotonic(), self.spent()

    def of(self, status):
        return next((s for s in status["streams"] if s["name"] == NAME), None) if status else None

    def spent(self):
        return {name: spent_ns(pid) for name, pid in self.pids.items() if pathlib.Path(f"/proc/{pid}").exists()}

    def end(self, server):
        """The sender stops in order and says what it sent; then the ledger must have all of it."""
        self.children.check(self.child)
        after, seconds = self.spent(), time.monotonic() - self.begun_s
        self.share = {name: (after[name] - before) * 1e-9 / seconds
                      for name, before in self.before.items() if name in after}
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(processes.STOP_PATIENCE_S)
        words = self.log.read_text(errors="replace").strip().splitlines()
        if self.child.returncode != 0 or not words or not words[-1].startswith("{"):
            self.children.check(self.child)
        self.children.stop(self.child)
        self.report = json.loads(words[-1])
        end_s = time.monotonic() + AGREE_S
        while True:  # the last frames may still lie in the port
            status = server.ask_json("status")
            self.ledger = self.of(status)
            if self.ledger is None:
                raise DemoError(f"expected a stream {NAME} in sluice status --json, found none")
            self.stalls = next(p["stalls"] for p in status["processes"] if p["name"] == NAME)
            if self.ledger["sent"] >= self.report["sent"] or time.monotonic() > end_s:
                return
            time.sleep(0.02)

    def stop(self):
        """Without a word: there is to be no stream."""
        if self.child is not None:
            self.children.stop(self.child)
        clear()

    # ---- What is left of it.

    def problems(self):
        """The ledger balances, and both ends say the same."""
        gen, ledger = self.report, self.ledger
        lost, found = sum(ledger["lost"].values()), []
        if ledger["residual"] != 0:
            found.append(f"the packet stream's ledger has a residual of {ledger['residual']:,} frames")
        if ledger["sent"] != gen["sent"]:
            found.append(f"sluice-gen numbered {gen['sent']:,} packets, the ledger has {ledger['sent']:,}")
        if ledger["lost"]["sender"] > gen["dropped"] or lost < gen["dropped"]:
            found.append(f"the port did not take {gen['dropped']:,} packets, the ledger has {lost:,} lost, "
                         f"{ledger['lost']['sender']:,} of them before the port")
        return found

    def result(self):
        return {"asked_gbit": self.gbit, "asked_hz": self.rate_hz, "reached_gbit": self.reached_gbit(),
                "packet_bytes": PACKET_BYTES, "wire_bytes": WIRE_BYTES, "buffers": BUFFERS, "core_share": self.share,
                "stalls": self.stalls, "generator_says": self.report, "ledger": self.ledger}

    def reached_gbit(self):
        """On the wire: of what was numbered and entered the port."""
        gen = self.report
        return (gen["sent"] - gen["dropped"]) / gen["elapsed_s"] * WIRE_BYTES * 8e-9 if gen["elapsed_s"] else 0.0

    def tell(self):
        gen, ledger = self.report, self.ledger
        lost = ledger["lost"]

        def row(name, frames, why=""):
            say(f"{name:46}{frames:>13,}   {why}".rstrip())

        say()
        say(f"The packet stream beside sluice's run: {self.gbit:g} Gbit/s on the wire, packets of {PACKET_BYTES:,} bytes, "
            f"{self.rate_hz:,.0f} a second,")
        say("from sluice-gen through a memif port (shared memory in place of a wire) into a ring, where readers find them.")
        row("numbered by the sender (sluice-gen's report)", gen["sent"], f"in {gen['elapsed_s']:.2f} s")
        row("- not taken by the port", gen["dropped"], f"its {BUFFERS:,} buffers were full")
        row("= entered the port", gen["sent"] - gen["dropped"], f"{self.reached_gbit():.2f} Gbit/s on the wire")
        row("sent, by the numbers that the ring has seen", ledger["sent"], "must be what the sender numbered")
        row("- delivered into the ring", ledger["delivered"])
        row("- lost before the port (cause: sender)", lost["sender"], "must be what the port did not take")
        here = {cause: count for cause, count in lost.items() if cause != "sender"}
        for cause, count in here.items():
            if count:
                row(f"- lost here (cause: {cause})", count, HERE.get(cause, ""))
        if not any(here.values()):
            row("- lost here (any other cause)", 0, ", ".join(here))
        row("= residual", ledger["residual"], "must be 0: every packet is accounted for")
        self.explain()

    def explain(self):
        """Why it was so, and what it would take: from what was measured."""
        gen, holds_ms = self.report, self.holds_s() * 1e3
        longest_ms = self.stalls["longest_ns"] * 1e-6
        shares = sorted(((PROGRAMS.get(name, name), share) for name, share in self.share.items()), key=lambda one: -one[1])
        say(f"Of {os.cpu_count()} cores the server and the sender took, in percent of one:")
        say("  " + ", ".join(f"{name} {share * 100:.0f}" for name, share in shares))
        say(f"The port's buffers hold {holds_ms:.0f} ms of the stream. sluice-dpdk did not come round to them for up to "
            f"{longest_ms:.1f} ms ({self.stalls['count']:,} times for")
        say(f"more than 0.25 ms, {self.stalls['total_ns'] * 1e-6:,.0f} ms in all).")
        if gen["dropped"]:
            say(f"LOST {gen['dropped']:,}: the buffers were full then, for up to {gen['longest_full_ns'] * 1e-6:.1f} ms at a time. "
                "A core that is sluice-dpdk's alone (a third one)")
            say("would end that.")
        else:
            say("Nothing was lost" + ("." if longest_ms <= holds_ms else ", but only because the sender did not run then either."))
        if gen["skipped_ns"] > 0:
            say(f"The sender was held up as well, by up to {gen['longest_late_ns'] * 1e-6:,.1f} ms. It makes up for {holds_ms:.0f} ms at a "
                "time, for which a wire's packets")
            say(f"would have found room; {gen['skipped_ns'] * 1e-6:,.1f} ms of the stream were never sent. For a whole "
                f"{self.gbit:g} Gbit/s it wants a core that nobody")
            say("takes away.")
        for words in self.refusals:  # what it runs without: huge pages, a real-time priority
            say(f"sluice-dpdk says: {words}")
        if not self.lends:
            say("Without huge pages on its side the sender copies each packet into the port; with them it lends it.")
