"""A run of sluice-plant: started, followed through its truth log, and summed up from its own clock."""
import csv
import math
import pathlib

import processes
from processes import DemoError, say

SAMPLES, COMMANDS = "127.0.0.1:7720", "127.0.0.1:7721"
TTY = processes.DEMO / "tvac.tty"
LATE_US = 500.0
LIMIT_KPA, BURST_KPA = 150.0, 200.0
PLANT_CORE, PLANT_PRIORITY = 0, 60


class Plant:
    """`folder` gets truth.log, series.csv and decisions.csv."""

    def __init__(self, children, folder, seed, scenario, with_tty, wait_armed_s, relay_watchdog_ms=0):
        self.children, self.folder = children, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.truth = self.folder / "truth.log"
        self.truth.unlink(missing_ok=True)
        arguments = [processes.BIN / "sluice-plant", "--udp", SAMPLES, "--actuator", f"udp:{COMMANDS}", "--seed", seed,
                     "--truth", self.truth, "--relay-watchdog-ms", relay_watchdog_ms]
        if scenario is not None:
            arguments += ["--scenario", scenario, "--wait-armed", wait_armed_s, "--series", self.folder / "series.csv",
                          "--decisions", self.folder / "decisions.csv"]
        if with_tty:
            arguments += ["--tty", TTY]
        self.child = children.start("sluice-plant", arguments, self.folder / "plant.log")
        self.preferred = processes.prefer(self.child.pid, PLANT_CORE, PLANT_PRIORITY)
        self.events, self.facts, self.read_bytes = [], {}, 0

    def new_events(self):
        """What the truth log has had since the last call; each a dict with tai_ns, t_s, event and its own keys."""
        if not self.truth.exists():
            return []
        with open(self.truth, "rb") as log:
            log.seek(self.read_bytes)
            text = log.read()
        text = text[:text.rfind(b"\n") + 1]
        self.read_bytes += len(text)
        found = []
        for line in text.decode().splitlines():
            words = line.split()
            if words[0].isdigit():
                found.append({**dict(word.split("=", 1) for word in words[3:] if "=" in word),
                              "tai_ns": int(words[0]), "t_s": float(words[1]), "event": words[2]})
            else:
                key, _, value = line.partition(": ")
                self.facts[key] = value
        self.events += found
        return found

    def first(self, event, **wanted):
        for one in self.events:
            if one["event"] == event and all(one.get(key) == value for key, value in wanted.items()):
                return one
        return None

    def crossing(self):
        """The first sample above the limit on the scenario clock."""
        return next((e for e in self.events if e["event"] == "limit_crossed" and not math.isnan(e["t_s"])), None)

    def command(self):
        """The relief line's drop after the crossing."""
        crossing = self.crossing()
        return next((e for e in self.events if crossing and e["event"] == "line_changed" and e["line"] == "relief"
                     and e["energised"] == "0" and e["tai_ns"] >= crossing["tai_ns"]), None)

    def follow(self, tell, while_running, timeout_s):
        """Hands each event to tell() until the plant has ended; while_running() is called about 20 times a second."""
        def ended():
            alive = self.child.poll() is None
            for event in self.new_events():
                tell(event)
            if alive:
                while_running()
            return not alive

        processes.wait_for("the end of the scenario", ended, timeout_s)
        if self.child.returncode != 0 or "burst" not in self.facts:
            self.children.check(self.child)
        self.children.stop(self.child)

    def decisions(self):
        """(us to its decision, when it was sent) of every counted sample, shortest first; and how many had none."""
        taken, missing = [], 0
        with open(self.folder / "decisions.csv", newline="", encoding="ascii") as rows:
            for row in csv.DictReader(rows):
                if row["acknowledged_tai_ns"] == "":
                    missing += 1
                else:
                    sent_ns = int(row["sent_tai_ns"])
                    taken.append((max(0, int(row["acknowledged_tai_ns"]) - sent_ns) * 1e-3, sent_ns))
        return sorted(taken), missing


def share_of(ordered, share):
    """The smallest value that at least this share of all does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def summary(plant):
    """What happened, from the plant's clock alone."""
    decisions, missing = plant.decisions()
    taken = [us for us, _ in decisions]
    start = plant.first("scenario_start")
    sent_ns = sorted(ns for _, ns in decisions)
    crossing, command = plant.crossing(), plant.command()
    opened = plant.first("relief_open")
    facts = plant.facts
    if len(taken) != int(facts["decisions"]):
        raise DemoError(f"decisions.csv has {len(taken)} decisions, the truth log says {facts['decisions']}")
    return {
        "decisions": len(taken),
        "decisions_missing": missing,
        "decision_p50_us": share_of(taken, 0.5),
        "decision_p99_us": share_of(taken, 0.99),
        "decision_p999_us": share_of(taken, 0.999),
        "decision_max_us": taken[-1] if taken else None,
        "decision_max_sent_t_s": (decisions[-1][1] - start["tai_ns"]) * 1e-9 if decisions and start else None,
        "decisions_late_500us": sum(1 for us in taken if us > LATE_US),
        "limit_crossed_t_s": crossing["t_s"] if crossing else None,
        "limit_crossed_kpa": float(crossing["kpa"]) if crossing else None,
        "limit_crossed_stream": crossing["stream"] if crossing else None,
        "limit_crossed_sequence": int(crossing["sequence"]) if crossing else None,
        "command_t_s": command["t_s"] if command else None,
        "command_origin": command["origin"] if command else None,
        "limit_to_command_us": (command["tai_ns"] - crossing["tai_ns"]) * 1e-3 if command else None,
        "relief_open_t_s": opened["t_s"] if opened else None,
        "peak_kpa": float(facts["peak_kpa"]),
        "burst": facts["burst"] == "yes",
        "burst_t_s": (plant.first("burst") or {}).get("t_s"),
        "commands_malformed": int(facts["commands_malformed"]),
        "plant_gap_max_us": max((b - a for a, b in zip(sent_ns, sent_ns[1:])), default=0) * 1e-3,
        "plant_late_wakes": int(facts["plant_late_wakes"]),
        "plant_late_max_us": float(facts["plant_late_max_us"]),
    }


def teller(plant):
    """Events in words, as they happen."""
    def line(event, text):
        say(f"  {event['t_s']:7.3f} s  {text}")

    def tell(event):
        what, crossing = event["event"], plant.crossing()
        if math.isnan(event["t_s"]):
            return
        if what == "scenario_start":
            line(event, "armed: relief held shut, supply held open; the scenario clock starts")
        elif what == "cooling_fails":
            line(event, "the secondary cooling loop fails")
        elif what == "limit_crossed" and event is crossing:
            line(event, f"the chamber passes {LIMIT_KPA:g} kPa: sample {event['sequence']} of the {event['stream']} "
                        f"stream leaves with {event['kpa']} kPa")
        elif what == "line_changed" and event["line"] == "relief" and event["energised"] == "0":
            after = (f"{(event['tai_ns'] - crossing['tai_ns']) * 1e-3:,.1f} us later " if crossing
                     else "WITHOUT A CROSSING ")
            line(event, f"{after}the permit drops (told by {event['origin']})")
        elif what == "relief_open":
            line(event, "the relief valve is open")
        elif what == "burst":
            line(event, f"THE SEAL BURSTS at {event['kpa']} kPa")

    return tell
