#!/usr/bin/env python3
"""Puts the rows of all groups together: the table in docs/faults.md is what the tests saw, and stays so.

The groups have run before (ctest's DEPENDS, or by hand) and left their rows in SLUICE_FAULTS_DIR. With SLUICE_FAULTS_WRITE=1
docs/faults.md is rewritten; without, it must have the same faults with the same outcomes. Times may differ."""
import json
import os
import platform

import support
from faults_bench import ROWS_DIR, STALE_MS, WATCHDOG_MS
from support import ROOT

GROUPS = {
    "sensors": "Sensors and what they send",
    "processes": "Processes",
    "readback": "Valves and limit switches",
    "roles": "Rules for one output",
    "votes": "Votes",
    "memory": "Memory and time",
    "operators": "Operators",
    "overrides": "Bypasses, the arming gate, the disk",
}
DOCUMENT = os.path.join(ROOT, "docs/faults.md")
FEWEST = 30

HEAD = """# Faults injected, and what the relay did

Made by the tests themselves (`ctest -L faults`; with `SLUICE_FAULTS_WRITE=1` they rewrite this file): do not edit. Each
fault met a running, armed server: real processes, with `sluice-plant` as the world outside (its manual page says what
each word under "injected as" does). What happened is read from the plant's own log of its relay box, which has a clock
of its own and a watchdog of {watchdog} ms. Not from a log of ours.

Where lines dropped, the test has also seen that the first-out named the right cause, that with the cause gone
`sluice arm` alone was refused, and that no line was energised again until somebody had reset *and* armed; rows that
differ from this say so.

*Time to safe* runs from the fault (by the plant's clock; for signals and commands, from the moment before they were
given) to the last line's drop. It contains what the configuration grants: {stale} ms until a channel is stale, 600 ms
until a gauge counts as stuck, 450 ms without a heartbeat, 400 ms for a valve to follow, 300 ms of silence until a
hanging control process is killed. One run, on {machine}. No bound is asserted.
"""


class Table(support.Case):
    def rows(self):
        found = {}
        for group in GROUPS:
            path = os.path.join(ROWS_DIR, f"{group}.json")
            if not os.path.exists(path):
                self.skipTest(f"{path} is missing: the group has not run or has failed; run ctest -L faults")
            with open(path, encoding="utf-8") as file:
                found[group] = json.load(file)
        return found

    def document(self, rows):
        lines = [HEAD.format(watchdog=WATCHDOG_MS, stale=STALE_MS,
                             machine=f"{os.cpu_count()} virtual cores, Linux {platform.release().split('-')[0]}")]
        for group, title in GROUPS.items():
            lines += [f"## {title}\n", "| fault | injected as | at the relay | first-out | black box | time to safe |",
                      "|---|---|---|---|---|---|"]
            for row in rows[group]:
                took = "-" if row["ms"] is None else f"{row['ms']:.{1 if row['ms'] >= 10 else 2}f} ms"
                box = "written" if row["box"] else "-"
                lines.append(f"| {row['fault']} | {row['how']} | {row['seen']} | {row['first_out']} | {box} | {took} |")
            lines.append("")
        return "\n".join(lines)

    @staticmethod
    def outcomes(text):
        """Everything of each row but its time."""
        rows = [line.split(" | ") for line in text.split("\n") if line.startswith("| ") and not line.startswith("| fault ")]
        return sorted(" | ".join(row[:-1]) for row in rows)

    def test_table(self):
        rows = self.rows()
        text = self.document(rows)
        with open(os.path.join(ROWS_DIR, "faults.md"), "w", encoding="utf-8") as file:
            file.write(text)
        found = self.outcomes(text)
        self.assertGreaterEqual(len(found), FEWEST)
        self.assertEqual(len(found), len(set(found)), "a fault stands twice")
        if os.environ.get("SLUICE_FAULTS_WRITE"):
            with open(DOCUMENT, "w", encoding="utf-8") as file:
                file.write(text)
        with open(DOCUMENT, encoding="utf-8") as file:
            self.assertEqual(self.outcomes(file.read()), found, f"{DOCUMENT} says otherwise; SLUICE_FAULTS_WRITE=1 rewrites it")
        print(f"{len(found)} faults; the table with this run's times: {os.path.join(ROWS_DIR, 'faults.md')}")


if __name__ == "__main__":
    support.main()
