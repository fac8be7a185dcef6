"""What a run leaves behind: the configuration that somebody has acknowledged, the black box's report of the trip, and
whether a replay of that report decides what the live interlock decided."""
import json
import pathlib
import re
import shutil
import time

import packets
import processes
from processes import DEMO, DemoError, say

EXAMPLE, INSTANCE = pathlib.Path("tools/examples/tvac.yaml"), "tvac"
CONFIG = DEMO / "tvac.yaml"
TRIPS = DEMO / "trips"
WAIVE_ALL = "waive: [pinned, locked, pages, unthrottled, latency, clock, config, black_box, doctor]"
WAIVE = "waive: [pinned, locked, pages, unthrottled, latency, clock, doctor]"
REPORT_S = 15
ARM_TRIES = 10
WHAT = {
    "trip.json": "what happened, for people and programs",
    "config.yaml": "the configuration as it was loaded",
    "table.bin": "what the interlock made of it",
    "checkpoint.bin": "the whole engine, between two steps",
    "journal.bin": "every step of the engine, with what it decided",
    "loop.csv": "the control loop's longest gap in each millisecond",
    "state.json": "state, causes, channels, rules, outputs",
}


def write_config(stream):
    """The example with a black box, and with the two checks of the arming gate that do not depend on the machine; with its
    stream of packets, or without if that is None."""
    text = EXAMPLE.read_text(encoding="utf-8")
    if text.count(WAIVE_ALL) != 1:
        raise DemoError(f"{EXAMPLE}: expected the line '{WAIVE_ALL}' once, found it {text.count(WAIVE_ALL)} times")
    text = packets.without(text) if stream is None else stream.config(text)
    CONFIG.write_text(
        f"# Made by tools/demo from {EXAMPLE}: with a black box, and fewer checks waived.\n"
        + text.replace(WAIVE_ALL, WAIVE)
        + "\n# post_ms is short, so that the report is there before the demo is over.\n"
        f"black_box: {{directory: {json.dumps(str(TRIPS.resolve()))}, pre_ms: 2000, post_ms: 500, keep: 20}}\n",
        encoding="utf-8")
    shutil.rmtree(TRIPS, ignore_errors=True)  # an earlier demo's
    if TRIPS.exists():
        raise DemoError(f"cannot remove {TRIPS}, which an earlier demo has left; remove it")
    return CONFIG


def make_armed(server):
    """As an operator does it: reviewed, acknowledged, reset, armed."""
    code, text = server.ask("check", str(CONFIG))
    found = re.search(r"checksum ([0-9a-f]{16})", text)
    if code != 0 or found is None:
        raise DemoError(f"sluice check {CONFIG}: expected a checksum, it said: {text.strip()}")
    server.must("acknowledge", found[1])
    server.wait_gate()
    arm(server)
    return found[1]


def arm(server):
    """Where a machine stalls a sensor may be stale at that moment, or in between: then once more."""
    for _ in range(ARM_TRIES):
        code, text = server.ask("reset", server.instance)
        if code == 0:
            code, text = server.ask("arm", server.instance)
        if code == 0:
            return
        time.sleep(0.2)
    raise DemoError(f"sluice reset and sluice arm were refused {ARM_TRIES} times: {text.strip()}")


def wait_report(server):
    """The directory of the trip, once it is complete: then it bears its own name. None if it does not come."""
    def there():
        server.children.check(server.child)
        return next(iter(sorted(TRIPS.glob("*-trip*"))), None)

    try:
        return processes.wait_for(f"the black box's report in {TRIPS}", there, REPORT_S)
    except DemoError as failed:
        say(f"   {failed}")
        return None


def tell(server, report):
    """Lists the report and replays it. What of it goes into result.json, or None."""
    if report is None:
        return None
    shown = DEMO / "trips" / report.name
    say()
    say(f"The black box. A process that is not real-time has written down the trip: {shown}")
    files = sorted(path for path in shown.iterdir() if path.is_file())
    for path in files:
        what = WHAT.get(path.name, "the frames of one watched ring")
        say(f"   {path.name:24}{path.stat().st_size:>12,} bytes   {what}")
    code, text = server.ask("replay", str(shown))
    say(f"   sluice replay: {sentence(text)}")
    code_json, text = server.ask("replay", "--json", str(shown))
    if (code, code_json) != (0, 0):
        raise DemoError(f"sluice replay {shown} failed: {text.strip()}")
    played = json.loads(text)["recordings"][0]
    trip = played["trip"][0]["first_out"][0]["text"] if played["trip"] else "none"
    say(f"   and the trip in it, decided again: {trip}")
    return {"directory": str(shown), "files": {path.name: path.stat().st_size for path in files},
            "replay": {key: played[key] for key in ("live", "frames", "steps", "live_trips", "trips", "trip")}}


def sentence(text):
    """The line that says whether the replay decided the same."""
    return next((line.strip() for line in text.splitlines() if "identical" in line or "differ" in line),
                text.strip().partition("\n")[0] or "nothing")


def problems(evidence):
    if evidence is None:
        return [f"the black box has left no report in {TRIPS}"]
    live = evidence["replay"]["live"]
    if live is None or not live["identical"]:
        return [f"the replay of {evidence['directory']} did not decide what the live interlock decided"]
    if evidence["replay"]["trips"] != evidence["replay"]["live_trips"] or not evidence["replay"]["trips"]:
        return [f"the report {evidence['directory']} has no trip, or not the live one"]
    return []
