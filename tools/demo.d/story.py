#!/usr/bin/python3
"""tools/demo: the accident of a thermal-vacuum chamber, against sluice and against an interpreted controller.

Beside sluice's run goes a stream of 10 Gbit/s of packets. Without options it takes about 50 seconds after the first
build, and leaves in build/demo: result.json, latency.png, pressure.png, the black box's report in trips, audit.log, and
the logs of each run.
"""
import argparse
import json
import os
import pathlib
import shlex
import sys
import time

import evidence
import packets
import pictures
import plant
import processes
import recording
from plant import LATE_US
from processes import DEMO, DemoError, say

SCENARIO = "tools/examples/scenarios/accident.yaml"
DEFAULT_SEED = 7
CONTROL_CORE, CONTROL_PRIORITY = 1, 80  # as in tvac.yaml
# Where a full collection must begin to be met by the crossing: before it, and so that it ends after the moment from
# which no command helps (measured: 0.41 s after the crossing). Its length is judged by how long the ageing took.
COLLECTION_OF_AGEING, NO_HELP_S, LEAD_MIN_S, LEAD_MAX_S = 0.15, 0.41, 0.015, 0.1
EARLY_POLLS = 25  # a collection comes so much earlier than asked, for what is made beside the polls
POLLS_TO_ARM, POLL_NS = 100, 1_000_000
DEFAULT_POLLS_LEFT = 4500
RUN_TIMEOUT_S = 60
EXIT_HELP = 100


class Run:
    def __init__(self, title, key):
        self.title, self.key, self.folder = title, key, DEMO / key
        self.plant, self.result, self.ageing_s, self.stream = None, None, None, None


# ---- The three runs.

def serve(children, run, stream):
    """A running server. run.stream is what `stream` is, or None: there is to be none, or DPDK cannot run here."""
    if stream is not None and packets.unfit() is not None:
        say(f"   NO STREAM OF PACKETS: {packets.unfit()}")
        stream = None
    run.stream = stream
    config = evidence.write_config(stream)
    server = processes.Server(children, config, evidence.INSTANCE, run.folder / "sluiced.log")
    if stream is not None:
        stream.begin()
    try:
        server.wait_running(channels_good=True)
        if stream is not None:
            stream.flows(server)
    except DemoError as failed:
        run.plant.children.check(run.plant.child)
        if stream is None:
            raise
        say("   NO STREAM OF PACKETS: " + str(failed).replace("\n", "\n   "))
        say("   The demo goes on without it.")
        stream.stop()
        server.stop()
        return serve(children, run, None)
    return server


def run_sluice(children, seed, run, stream):
    say()
    say(f"1. sluice. Its server is sluiced {evidence.CONFIG} ({evidence.EXAMPLE}, with a black box): the chamber")
    say("   reports over UDP and a serial line, 1000 samples/s each. The accident's relay had no watchdog of its own, so")
    say("   the plant's is off here, in every run.")
    if stream is not None:
        say(f"   Beside it, on the same cores, {stream.gbit:g} Gbit/s of packets go into another ring of the same server (the")
        say("   interpreted controller, if it comes, has the machine to itself).")
    stolen_ms = processes.stolen_ms()
    run.plant = plant.Plant(children, run.folder, seed, SCENARIO, with_tty=True, wait_armed_s=90)
    server = serve(children, run, stream)
    checksum = evidence.make_armed(server)
    say(f"   running, every channel good: sluice acknowledge {checksum} (of this configuration; the arming gate asks for")
    say("   that, and for a black box with room; what depends on the machine is waived), sluice reset, sluice arm")
    said = {}

    def ask_when_over():  # only after the last counted sample: asking must not disturb what is measured
        run.plant.children.check(server.child)
        if not said and over(run):
            said.update(status=server.ask_json("status"))

    run.plant.follow(plant.teller(run.plant), ask_when_over, RUN_TIMEOUT_S)
    if run.stream is not None:
        run.stream.end(server)
    report = evidence.wait_report(server)
    server.stop()
    finish(run, stolen_ms)
    if not said.get("status"):
        raise DemoError("sluice status --json gave nothing at the end of the scenario")
    run.result["pss_kb"] = sum(p["pss_kb"] for p in said["status"]["processes"] if p["name"] != packets.NAME)
    run.result["packets_pss_kb"] = sum(p["pss_kb"] for p in said["status"]["processes"] if p["name"] == packets.NAME)
    run.result["server_says"] = said["status"]
    first = said["status"]["interlock"]["first_out"]
    if isinstance(first, dict):
        say(f"   sluice names the cause: {first['text']}")
    own = said["status"]["latency_ns"].get("arrival_to_output")
    if own:
        lock = said["status"]["interlock"]
        say(f"   in its own words (not used below): arrival to output p50 {own['p50'] * 1e-3:.1f} us, p99.9 "
            f"{own['p999'] * 1e-3:.1f} us, max {own['max'] * 1e-3:,.1f} us;")
        say(f"   its loop was held up for more than 500 us {lock['misses']} times since the start, at most "
            f"{lock['worst_gap_ns'] * 1e-3:,.1f} us")
    return server, report


def run_python(children, seed, run, placement):
    """The interpreted controller, ready before the plant's accident; on the core and with the priority that sluice's
    control loop had, if those may be had."""
    stolen_ms = processes.stolen_ms()
    run.plant = plant.Plant(children, run.folder, seed, SCENARIO, with_tty=False, wait_armed_s=120)
    arguments = ["/usr/bin/python3", "tools/python_controller.py", "--listen", plant.SAMPLES, "--target",
                 plant.COMMANDS, "--seed", seed, *placement]
    log = run.folder / "python.log"
    begin_s = time.monotonic()
    controller = children.start("python_controller.py", arguments, log)
    say("   building its objects and ageing ..")

    def ready():
        children.check(controller)
        children.check(run.plant.child)
        return next((json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"ready"')), None)

    begun = processes.wait_for("the controller's ready line", ready, 110, period_s=0.01)
    run.ageing_s = time.monotonic() - begin_s
    processes.prefer(controller.pid, CONTROL_CORE, CONTROL_PRIORITY)
    say(f"   ready: {begun['objects']:,} objects, a full collection every {begun['polls_between_full_collections']:,} polls")
    memory = []

    def look_when_over():
        if not memory and over(run):
            memory.extend(processes.pss_kb(controller.pid))

    run.plant.follow(plant.teller(run.plant), look_when_over, RUN_TIMEOUT_S)
    children.stop(controller)
    finish(run, stolen_ms)
    words = log.read_text().splitlines()[-1]
    own = json.loads(words) if words.startswith("{") else {}
    run.result["pss_kb"], run.result["rss_kb"] = memory if memory else (None, own.get("rss_kb"))
    run.result["controller_says"] = own
    if own:
        full, longest = own["gc_collections"][2], own["gc_longest_us"][2]
        say("   it says: " + (f"one full collection, {longest * 1e-3:,.0f} ms long" if full == 1 else
                              f"{full} full collections" + (f", the longest {longest * 1e-3:,.0f} ms" if full else "")))
    result = run.result
    if result["decision_max_us"] and result["decision_max_us"] > 50000 and result["limit_crossed_t_s"]:
        before_ms = (result["limit_crossed_t_s"] - result["decision_max_sent_t_s"]) * 1e3
        say(f"   plant: its longest silence began {abs(before_ms):,.0f} ms {'before' if before_ms > 0 else 'after'} the crossing")
        covered = 0 <= before_ms <= result["decision_max_us"] * 1e-3
        if placement and not covered:
            say("   so the placement missed: this machine was busy, and polls that fall behind are skipped, not counted")
        result["silence_covers_crossing"] = covered


def over(run):
    """The scenario's last counted sample is behind us, or the chamber is gone."""
    start = run.plant.first("scenario_start")
    if run.plant.first("burst"):
        return True
    now_ns = time.clock_gettime_ns(time.CLOCK_TAI)
    return start is not None and now_ns > start["tai_ns"] + float(start["duration_s"]) * 1e9 + 2e8


def finish(run, stolen_before_ms):
    run.result = {**plant.summary(run.plant), "stolen_ms": processes.stolen_ms() - stolen_before_ms}
    result = run.result
    say(f"   plant: peak {result['peak_kpa']:.1f} kPa, burst: {'YES, the chamber is lost' if result['burst'] else 'no'}")


def polls_left(run):
    """Where the crossing lies, counted in polls from a controller's start, seen in the run before."""
    energised = next((e for e in run.plant.events if e["event"] == "line_changed" and e["energised"] == "1"), None)
    crossing = run.plant.crossing()
    if energised is None or crossing is None:
        return DEFAULT_POLLS_LEFT
    lead_s = min(LEAD_MAX_S, max(LEAD_MIN_S, (run.ageing_s * COLLECTION_OF_AGEING - NO_HELP_S) / 2))
    return (POLLS_TO_ARM + round((crossing["tai_ns"] - energised["tai_ns"] - lead_s * 1e9) / POLL_NS) + EARLY_POLLS)


# ---- What is left of it.

def figure(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "YES" if value else "no"
    if isinstance(value, int) or value >= 10000:
        return f"{value:,.0f}"
    return f"{value:,.1f}"


ROWS = (
    ("decision latency p50, us", "decision_p50_us"),
    ("                 p99, us", "decision_p99_us"),
    ("                 p99.9, us", "decision_p999_us"),
    ("                 max, us", "decision_max_us"),
    ("decisions", "decisions"),
    (f"decisions later than {LATE_US:g} us", "decisions_late_500us"),
    ("samples never decided on", "decisions_missing"),
    ("command after limit crossing, us", "limit_to_command_us"),
    ("peak pressure, kPa", "peak_kpa"),
    ("burst", "burst"),
    ("resident memory (PSS), kB", "pss_kb"),
)


def table(runs):
    say()
    wide = max(len(name) for name, _ in ROWS)
    say(f"{'':{wide}}" + "".join(f"{run.title:>26}" for run in runs))
    for name, key in ROWS:
        say(f"{name:{wide}}" + "".join(f"{figure(run.result[key]):>26}" for run in runs))
    say()
    say("Latency: from the plant handing a sample to the kernel until the first command that has seen it arrives, by the")
    apart = runs[0].result["packets_pss_kb"]
    say("plant's clock (truth.log, decisions.csv). sluice's memory: all its processes, rings apart"
        + (".\nThe packet stream's process, sluice-dpdk, is not in it: that has " f"{apart:,} kB." if apart else "."))
    if len(runs) > 1:
        say("A controller that polls at 1 kHz decides 0 to 1000 us late, as its polls happen to lie between the samples.")
    gaps = ", ".join(figure(max(0.0, run.result["plant_gap_max_us"] - 1000.0)) for run in runs)
    lives = ", ".join(figure(run.result["plant_late_max_us"]) for run in runs)
    stolen = ", ".join(str(run.result["stolen_ms"]) for run in runs)
    say("What the machine itself stole: the plant, which does nothing else and has priority, sent a sample late by at most")
    say(f"{gaps} us while decisions were counted (woken late by {lives} us in its whole life);")
    say(f"a hypervisor kept {stolen} ms of processor time from us, run by run. A single latency of that order can be the")
    say("machine's.")


def verdict(runs, seed, left):
    sluice, stream = runs[0].result, runs[0].stream
    problems = evidence.problems(left) + (stream.problems() if stream else [])
    if sluice["burst"]:
        problems.append("the chamber burst under sluice")
    if sluice["limit_to_command_us"] is None:
        problems.append("the plant's truth log has no command from sluice after the crossing")
    elif sluice["command_origin"] != "control":
        problems.append(f"the permit was dropped by {sluice['command_origin']}, not by the interlock")
    (DEMO / "result.json").write_text(json.dumps({
        "ok": not problems, "problems": problems, "seed": seed, "scenario": SCENARIO,
        "limit_kpa": plant.LIMIT_KPA, "burst_kpa": plant.BURST_KPA, "late_us": LATE_US,
        "runs": {run.key: {"title": run.title, **run.result} for run in runs}, "black_box": left,
        "packets": stream.result() if stream else None,
        "pictures": ["build/demo/latency.png", "build/demo/pressure.png"]}, indent=2) + "\n", encoding="utf-8")
    return problems


def story(children, options):
    """Exit code."""
    say(f"demo: scenario {SCENARIO}, seed {options.seed}; "
        f"about {12 if options.skip_python else 27 if options.quick else 40} seconds")
    run = Run("sluice", "sluice")
    stream = packets.Stream(children, run.folder, options.packets) if options.packets > 0 else None
    server, report = run_sluice(children, options.seed, run, stream)
    runs = [run]
    if not options.skip_python:
        say()
        say("2. The interpreted controller (tools/python_controller.py), same plant, relay and seed, UDP at 1000 samples/s,")
        say("   started at any moment. A full garbage collection stops it about once a minute; most runs do not meet one.")
        run = Run("python", "python")
        run_python(children, options.seed, run, [])
        runs.append(run)
    if not options.skip_python and not options.quick:
        say()
        say("3. The same controller, started so that its full collection falls due at the crossing; by itself that happens")
        say("   about once a minute.")
        run = Run("python at the crossing", "python-at-crossing")
        run_python(children, options.seed, run, ["--phase-polls-left", polls_left(runs[1])])
        runs.append(run)
    table(runs)
    if runs[0].stream is not None:
        runs[0].stream.tell()
    left = evidence.tell(server, report)
    problems = verdict(runs, options.seed, left)
    pictures.draw(runs)
    say()
    say("Pictures: build/demo/latency.png, build/demo/pressure.png. Everything: build/demo/result.json.")
    for problem in problems:
        say(f"demo: FAILED: {problem}; see build/demo/sluice/truth.log")
    if not problems:
        result = runs[0].result
        say(f"Saved by sluice: the command came {result['limit_to_command_us']:,.1f} us after the crossing, peak "
            f"{result['peak_kpa']:.1f} kPa, burst: no.")
    return 1 if problems else 0


def keep(children):
    """Until Ctrl-C."""
    say()
    say("demo: now a quiet plant and the server, armed, until Ctrl-C. In another terminal, in this folder:")
    quiet = plant.Plant(children, DEMO / "keep", DEFAULT_SEED, None, with_tty=True, wait_armed_s=0,
                        relay_watchdog_ms=100)
    server = processes.Server(children, evidence.CONFIG, evidence.INSTANCE, DEMO / "keep/sluiced.log")
    server.wait_running(channels_good=True)
    evidence.make_armed(server)
    status = server.status()
    worker = next(p for p in status["processes"] if p["name"] == "sensors")
    say()
    say(f"  export SLUICE_RUN_DIR={processes.RUN_DIR} PATH=$PWD/{processes.BIN}:$PATH")
    say("  sluice status --watch 1           one screen, every second")
    say("  sluice latency                    where the time goes, sample to valve")
    say("  sluice tail tvac --count 5        samples, in place, from the ring")
    say(f"  PYTHONPATH={processes.PYTHON_PACKAGE} /usr/bin/python3 docs/examples/first.py {evidence.INSTANCE} tvac")
    say("                                    the same from Python, as NumPy arrays over the ring")
    say("  sluice rules                      each rule, and how far it is from its limit")
    if any(s["name"] == packets.NAME for s in status["streams"]):
        say("  " + shlex.join(["sluice", "gen", *map(str, packets.Stream(children, DEMO, 10).arguments()), "--seconds", "10"]))
        say("  sluice ledger                     10 Gbit/s of packets, and then what became of each")
    say("  sluice trip                       withdraw the permit; then: sluice reset; sluice arm")
    say(f"  ls {str(evidence.TRIPS) + '; sluice audit':31}what is left of each trip, and who did what")
    say(f"  kill -9 {worker['pid']:<7}                   the sensors' worker dies: a STALE trip, and a new worker")
    say(f"  tail -f {DEMO}/keep/truth.log   what happens to the plant")
    while True:
        time.sleep(0.5)
        children.check(server.child)
        children.check(quiet.child)


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="Exit: 0 the chamber did not burst under sluice and every packet is accounted "
                                            "for (with --recording: played, and the same trips as the reference), 1 not "
                                            "so, 2 bad usage, 130 interrupted.")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N", help=f"of all noise (default {DEFAULT_SEED})")
    parser.add_argument("--skip-python", action="store_true", help="only sluice's run")
    parser.add_argument("--quick", action="store_true", help="one run of the interpreted controller, not two")
    parser.add_argument("--packets", type=float, default=packets.LINE_GBIT, metavar="GBIT",
                        help="per second, on the wire, beside sluice's run (default 10, a whole 10 Gbit/s Ethernet); 0: none")
    parser.add_argument("--keep", action="store_true", help="then leave a quiet plant and the server running until Ctrl-C")
    played = parser.add_argument_group("instead of the story: a recording, played into a server through a serial line")
    played.add_argument("--recording", metavar="FILE.csv", help="a line of names, then one sample a line, 1/s unless a "
                                                                "column datetime, timestamp, time or date says otherwise")
    played.add_argument("--column", metavar="NAME", help="the column to play")
    played.add_argument("--low", type=float, metavar="X", help="trips below this")
    played.add_argument("--high", type=float, metavar="X", help="trips above this")
    played.add_argument("--speed", type=float, default=1000.0, metavar="N", help="times as fast as recorded (default 1000)")
    played.add_argument("--separator", default="auto", metavar="C", help="between columns; auto: comma or semicolon")
    played.add_argument("--json", metavar="FILE", help="also write the trips there")
    options = parser.parse_args(arguments)
    check_options(parser, options)
    return options


def check_options(parser, options):
    if not 0 <= options.seed <= 2**53:
        parser.error(f"--seed: expected 0 to {2**53}, found {options.seed}")
    if not (options.packets == 0 or 0.001 <= options.packets <= packets.GBIT_MAX):
        parser.error(f"--packets: expected 0, or 0.001 to {packets.GBIT_MAX:g}, found {options.packets:g}")
    if options.recording is None:
        if any(value is not None for value in (options.column, options.low, options.high, options.json)):
            parser.error("--column, --low, --high and --json belong to --recording FILE.csv")
        return
    if options.column is None or (options.low is None and options.high is None):
        parser.error("--recording wants --column NAME, and --low X or --high X or both")
    if options.keep:
        parser.error("--keep belongs to the story, not to --recording")
    if options.low is not None and options.high is not None and not options.low < options.high:
        parser.error(f"--low {options.low:g} must be below --high {options.high:g}")
    if not 0.001 <= options.speed <= 1e9:
        parser.error(f"--speed: expected 0.001 to 1e9, found {options.speed:g}")
    if options.separator != "auto" and len(options.separator) != 1:
        parser.error(f"--separator: expected auto or one character, found {options.separator!r}")


def main(arguments):
    if arguments[:1] == ["--check-options"]:
        if "-h" in arguments or "--help" in arguments:
            try:
                parse_options(["--help"])
            except SystemExit:
                return EXIT_HELP
        parse_options(arguments[1:])
        return 0
    options = parse_options(arguments)
    for name in ("recording", "json"):  # meant from the reader's folder
        if getattr(options, name) is not None:
            setattr(options, name, os.path.abspath(getattr(options, name)))
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    processes.interrupt_on_signals()
    code, keeping = 1, False
    try:
        with_stream = options.recording is None and options.packets > 0
        with processes.whole_demo(processes.HUGE_PAGES_STREAM if with_stream else processes.HUGE_PAGES) as children:
            if options.recording is not None:
                return recording.play(children, options)
            code = story(children, options)
            if options.keep:
                keeping = True
                keep(children)
    except DemoError as failed:
        print(f"demo: {failed}", file=sys.stderr)
        return 1
    except processes.Interrupted:
        print("\ndemo: interrupted; everything it started has ended", file=sys.stderr)
        return code if keeping else 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
