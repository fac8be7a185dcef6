#!/usr/bin/env python3
"""sluice-bench --from, --compare, --html: from results that are written here, so that nothing is measured.

SLUICE_BIN names the folder with the programs.
"""
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(os.environ.get("SLUICE_BIN", os.path.join(ROOT, "build/release/bin")), "sluice-bench")
VOID = {"meta", "link", "br", "hr", "img", "input"}
ELSEWHERE = r"(?i)https?:|//[a-z0-9]|\bsrc\s*=|url\(|@import|<script|<iframe|javascript:|\bon[a-z]+\s*="


def bench(question, *arguments):
    return subprocess.run([BENCH, question, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)


def row(name="throughput", variant="sluice-observer", value=100.0, spread=5.0, **more):
    made = {"question": "ring", "name": name, "variant": variant, "size_bytes": 64, "kind": "ours", "is_floor": False,
            "value": value, "unit": "million/s", "min": value - spread, "median": value, "max": value + spread,
            "runs": 5, "pooled": None, "floor_ratio": None, "peer_ratio": None, "best_peer": None,
            "stalls_us_max": 60.0, "capped": False, "note": None,
            "stalled": {"rounds": 0, "longest_us": None, "stolen_s": 0.0, "excused": False, "decide": False}}
    made.update(more)
    return made


STALLED = {"rounds": 3, "longest_us": 4200.0, "stolen_s": 0.0, "excused": False, "decide": True}


def result(rows, bench_name="ring", **environment):
    return {"bench": bench_name, "version": "0.1.0", "command": "sluice-bench " + bench_name,
            "started": "2026-11-26T10:00:00Z", "interrupted": False,
            "environment": {"machine": "a machine", "kernel": "6.1", "cpus": 2, "cores": [0, 1], "governor": None,
                            "steal_s": 0.5, "vulnerabilities": {"meltdown": "Not affected"}, **environment},
            "questions": [{"name": "ring", "ends": "two threads", "seconds": 0.3, "runs": 5, "rounds": 5,
                           "decisions": None, "only": None, "warm_up_rounds": 1}],
            "rows": rows, "skipped": [], "histograms": []}


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def compare(self, old, new, question="ring", *more):
        return bench(question, "--from", self.file("new.json", new), "--compare", self.file("old.json", old), *more)


class Compare(Case):
    def test_worse(self):
        run = self.compare(result([row()]), result([row(value=80.0)]))
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertRegex(run.stdout, r"(?m)^WORSE +throughput sluice-observer 64: 100 -> 80 million/s \(-20\.0 %, noise 5\.0 %\)$")
        self.assertIn("1 rows: 1 worse, 0 better, 0 the same, 0 not judged; 0 are new, 0 are gone", run.stdout)

    def test_better_and_the_same(self):
        run = self.compare(result([row(), row(variant="sluice-gating")]),
                           result([row(value=120.0), row(variant="sluice-gating", value=103.0)]))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stdout, r"(?m)^better +throughput sluice-observer 64")
        self.assertIn("0 worse, 1 better, 1 the same", run.stdout)

    def test_where_less_is_better(self):
        old = row("latency_p50", value=100.0, unit="ns")
        self.assertEqual(self.compare(result([old]), result([row("latency_p50", value=120.0, unit="ns")])).returncode, 1)
        self.assertEqual(self.compare(result([old]), result([row("latency_p50", value=80.0, unit="ns")])).returncode, 0)

    def test_noise(self):
        """The spread of either side is enough to keep quiet."""
        wide, narrow = row(spread=25.0), row(value=80.0)
        for old, new in ((wide, narrow), (row(), row(value=80.0, spread=25.0))):
            run = self.compare(result([old]), result([new]))
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertIn("1 the same", run.stdout)

    def test_a_stalled_row_is_not_judged(self):
        for old, new in ((row(), row(value=10.0, stalled=STALLED)), (row(stalled=STALLED), row(value=10.0))):
            run = self.compare(result([old]), result([new]))
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertRegex(run.stdout, r"(?m)^not judged +throughput .*: the machine stalled in half of its rounds")

    def test_the_machine_is_slower(self):
        """The floor fell as the value did; then the value alone."""
        run = self.compare(result([row(floor_ratio=4.0)]), result([row(value=50.0, floor_ratio=4.0)]))
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn("its floor moved as well", run.stdout)
        run = self.compare(result([row(floor_ratio=4.0)]), result([row(value=50.0, floor_ratio=2.0)]))
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("/floor 4 -> 2", run.stdout)

    def test_the_writer_alone_is_ours_though_a_floor(self):
        old = row("impact", "sluice-observer-none", is_floor=True, floor_ratio=1.0)
        new = row("impact", "sluice-observer-none", value=50.0, is_floor=True, floor_ratio=1.0)
        self.assertEqual(self.compare(result([old]), result([new])).returncode, 1)

    def test_unlike_machines_and_parameters(self):
        new = result([row()], kernel="6.18", cores=[2, 3])
        new["questions"][0]["seconds"] = 1.0
        run = self.compare(result([row()]), new)
        self.assertEqual(run.returncode, 0)
        self.assertIn('NOT THE SAME: kernel: "6.1" before, "6.18" now', run.stdout)
        self.assertIn("NOT THE SAME: cores: [0,1] before, [2,3] now", run.stdout)
        self.assertRegex(run.stdout, r"NOT THE SAME: ring seconds: 0\.3\d* before, 1\.0 now")
        self.assertNotIn("NOT THE SAME", self.compare(result([row()]), result([row()])).stdout)

    def test_an_older_result(self):
        """Before there were questions, kinds and stalls in it: compared, and it is said what it does not say."""
        old = result([row()])
        for key in ("questions", "skipped", "histograms", "version", "command", "started", "interrupted"):
            del old[key]
        for key in ("question", "kind", "is_floor", "stalled"):
            del old["rows"][0][key]
        run = self.compare(old, result([row(value=80.0)]))
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("ring seconds: not said before, 0.3 now", run.stdout)

    def test_rows_that_are_new_or_gone(self):
        run = self.compare(result([row(), row(variant="a")]), result([row(), row(variant="b"), row(variant="c")]))
        self.assertEqual(run.returncode, 0)
        self.assertIn("2 are new, 1 are gone", run.stdout)

    def test_one_question_of_all(self):
        """An old result of all beside a new one of one: the other questions are not missed."""
        old = result([row(), row("cpu_percent", "fifo-sluice", question="daq", unit="% of a core")], "all")
        run = self.compare(old, result([row(value=80.0)]))
        self.assertEqual(run.returncode, 1)
        self.assertIn("0 are new, 0 are gone", run.stdout)

    def test_nothing_in_common(self):
        other = result([row("cpu_percent", "fifo-sluice", question="daq", unit="% of a core")], "daq")
        run = self.compare(other, result([row()]))
        self.assertEqual(run.returncode, 2)
        self.assertIn("expected rows of 'ring'", run.stderr)
        run = bench("ring", "--from", self.file("daq.json", other), "--html", os.path.join(self.folder, "a.html"))
        self.assertEqual(run.returncode, 2)
        self.assertIn("expected a result of 'ring', found one of 'daq'", run.stderr)

    def test_json_to_standard_output(self):
        """Then it holds nothing but that."""
        run = self.compare(result([row()]), result([row(value=80.0)]), "ring", "--json", "-")
        self.assertEqual(run.returncode, 1)
        self.assertEqual(json.loads(run.stdout)["rows"][0]["median"], 80.0)
        self.assertIn("WORSE", run.stderr)


class Foreign(Case):
    def refused(self, content, *words):
        path = self.file("foreign.json", content)
        for arguments in (["--from", path, "--json", "-"], ["--compare", path]):
            run = bench("ring", *arguments)
            self.assertEqual(run.returncode, 2, (arguments, run.stdout, run.stderr))
            self.assertEqual(run.stdout, "")
            self.assertIn("--json wrote", run.stderr)
            for word in words:
                self.assertIn(word, run.stderr)

    def test_truncated(self):
        whole = json.dumps(result([row()]))
        for share in (0, 0.1, 0.5, 0.99):
            with self.subTest(share=share):
                self.refused(whole[:int(len(whole) * share)], "expected JSON, found in line")

    def test_not_ours(self):
        self.refused("[]", "expected an object")
        self.refused("{}", "expected a text as 'bench', found none")
        self.refused('"text"', "expected")
        self.refused("[" * 100000, "expected JSON")
        self.refused('{"a": 1, "a": 2}', "duplicate")
        self.refused("\x00\x01\x02", "expected JSON")

    def test_wrong_members(self):
        for key, value, words in (("median", "fast", "expected a number or null as 'median', found something else"),
                                  ("runs", -1, "expected a whole number as 'runs'"),
                                  ("runs", 1.5, "expected a whole number as 'runs'"),
                                  ("name", None, "expected a text as 'name'"),
                                  ("name", "a\x1b[2Jb", "expected a text as 'name'"),
                                  ("variant", "a\nb", "expected a text as 'variant'"),
                                  ("unit", "x" * 5000, "expected a text as 'unit'"),
                                  ("stalled", {"rounds": 1}, "as 'longest_us', found none"),
                                  ("stalled", 3, "expected an object as 'stalled'")):
            with self.subTest(key=key, value=value):
                self.refused(result([row(**{key: value})]), "rows[0]", words)
        self.refused(result([row(), 7]), "rows[1]: expected an object")
        self.refused(result({"0": row()}), "expected a list as 'rows'")
        self.refused({**result([row()]), "environment": []}, "expected an object as 'environment'")
        self.refused({**result([row()]), "histograms": [{"name": "a", "variant": "b", "count": 1, "curve": [[1]]}]},
                     "pairs of numbers")
        self.refused(result([row()] * 5000), "at most 4096 rows, found 5000")

    def test_no_file(self):
        for path, word in ((os.path.join(self.folder, "none.json"), "No such file"), (self.folder, "expected a file"),
                           ("/dev/zero", "expected a file")):
            run = bench("ring", "--compare", path)
            self.assertEqual(run.returncode, 2)
            self.assertIn(word, run.stderr)

    def test_numbers_out_of_this_world(self):
        """Valid, and still no reason to fall over."""
        rows = [row(variant=f"v{v}", value=v, spread=0.0, size_bytes=2**62) for v in (1e300, -1e300, 0.0)]
        rows[0]["floor_ratio"] = -1e308
        new = result(rows)
        new["histograms"] = [{"name": "decision", "variant": "floor-busy-idle", "question": "ring", "count": 2**62,
                              "curve": [[0, -5], [1e300, 1e300], [-1, 0]]}]
        path = os.path.join(self.folder, "a.html")
        run = self.compare(new, new, "ring", "--html", path)
        self.assertEqual(run.returncode, 0, run.stderr)
        with open(path, encoding="utf-8") as file:
            self.assertNotRegex(file.read(), r"[^a-z](nan|inf)[^a-z]")


class Nesting(html.parser.HTMLParser):
    """Complains where tags do not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.text, self.references = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.references += [(tag, name, value) for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def check_report(test, text):
    """One file that holds all it needs. Its text."""
    parser = Nesting()
    parser.feed(text)
    parser.close()
    test.assertEqual(parser.wrong + parser.open, [], "tags that do not nest")
    test.assertEqual([r for r in parser.references if not r[2].startswith("data:")], [])
    test.assertNotRegex(text, ELSEWHERE)
    test.assertIn("prefers-color-scheme:dark", text)
    for picture in re.findall(r"<svg.*?</svg>", text, re.S):
        xml.etree.ElementTree.fromstring(picture)
    return " ".join("".join(parser.text).split())


class Report(Case):
    def report(self, document, *more):
        path = os.path.join(self.folder, "report.html")
        run = bench("all", "--from", self.file("new.json", document), "--html", path, *more)
        with open(path, encoding="utf-8") as file:
            return run, file.read()

    def document(self):
        rows = [row("throughput", "floor-counter", 80.0, kind="floor", is_floor=True, floor_ratio=1.0),
                row(floor_ratio=1.25, peer_ratio=2.0, best_peer="rte_ring-zc", stalled={**STALLED, "rounds": 1, "decide": False}),
                row("throughput", "rte_ring-zc", 50.0, kind="peer"), row("death", "iceoryx", 900.0, unit="ms", capped=True),
                row("loss_free_unstalled", "sluice-memif", 12.0, 0.1, question="net", size_bytes=1500),
                row("cpu_percent", "fifo-sluice", 30.0, question="daq", unit="% of a core", size_bytes=16)]
        made = result(rows, "all")
        made["questions"] += [{**made["questions"][0], "name": name, "warm_up_rounds": 0} for name in ("net", "daq", "control")]
        made["histograms"] = [{"question": "control", "name": "decision", "variant": f"{v}-busy-idle", "unit": "ns",
                               "count": 1000, "curve": [[1, 90], [10, 150], [100, 900], [1000, 60000]]}
                              for v in ("floor", "sluice")]
        made["skipped"] = [{"question": "net", "name": "loss_free", "variant": "sluice-afxdp", "size_bytes": 64,
                            "why": "no network namespace; run it as root"}]
        return made

    def test_whole(self):
        run, text = self.report(self.document())
        self.assertEqual(run.returncode, 0, run.stderr)
        said = check_report(self, text)
        for words in ("sluice-bench all", "a machine", "Not affected", "sluice-observer", "rte_ring-zc",
                      "no network namespace; run it as root", "after a round to warm up", "each measurement warms itself up",
                      "The machine stalled in rounds of 1 of 4 rows", "! 1 of 5, 4.2 ms", ">900", "500 us", "1.25"):
            self.assertIn(words, said)
        # throughput, bars of net and daq, one picture of percentiles
        self.assertEqual(text.count("<svg"), 4)

    def test_words_of_others_mean_nothing(self):
        hostile = "</title><script>alert('x')</script>&\"<img src=x onerror=y>"
        made = self.document()
        for one in made["rows"]:
            one.update(name=hostile, variant=hostile, unit=hostile, note=hostile, best_peer=hostile)
        made["rows"][1].update(name="throughput")
        made["skipped"][0]["why"] = made["command"] = made["bench"] = made["histograms"][0]["variant"] = hostile
        made["environment"].update(machine=hostile, kernel=[hostile], vulnerabilities={hostile: hostile})
        run, text = self.report(made)
        self.assertEqual(run.returncode, 0, run.stderr)
        parser = Nesting()
        parser.feed(text)
        self.assertEqual(parser.wrong + parser.open, [])
        self.assertNotIn("<script", text)
        self.assertNotIn("<img", text)
        for picture in re.findall(r"<svg.*?</svg>", text, re.S):
            xml.etree.ElementTree.fromstring(picture)

    def test_with_a_comparison(self):
        old = self.document()
        old["rows"][1] = row(value=200.0, floor_ratio=2.5)
        old["environment"]["kernel"] = "<5>"
        run, text = self.report(self.document(), "--compare", self.file("old.json", old))
        self.assertEqual(run.returncode, 1, run.stderr)
        said = check_report(self, text)
        self.assertIn("1 worse", said)
        self.assertIn('Not the same: kernel: "<5>" before, "6.1" now', said)

    def test_interrupted_and_empty(self):
        made = result([])
        made["interrupted"] = True
        run, text = self.report(made)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("It was interrupted", check_report(self, text))

    def test_a_file_that_cannot_be_written(self):
        source = self.file("new.json", self.document())
        for path in (os.path.join(self.folder, "none", "a.html"), self.folder):
            run = bench("all", "--from", source, "--html", path)
            self.assertEqual(run.returncode, 2)
            self.assertIn("--html", run.stderr)


class Usage(Case):
    def test_wrong_use(self):
        path = self.file("new.json", result([row()]))
        for arguments in (["ring", "--from", path], ["ring", "--from", path, "--list"], ["ring", "--hgrm", self.folder],
                          ["ring", "--from", path, "--only", "x", "--json", "-"], ["all", "--plot", "a.png"],
                          ["control", "--hgrm", os.path.join(self.folder, "none")], ["control", "--hgrm", path],
                          ["all", "--only", "no-such-thing"], ["records"], ["all", "--compare"]):
            with self.subTest(arguments=arguments):
                run = bench(*arguments)
                self.assertEqual(run.returncode, 2, run.stderr)
                self.assertNotEqual(run.stderr, "")
                self.assertEqual(run.stdout, "")

    def test_help(self):
        run = bench("all", "--help")
        self.assertEqual(run.returncode, 0)
        for option in ("--seconds", "--runs", "--decisions", "--json", "--html", "--hgrm", "--only", "--compare",
                       "--from", "--list"):
            self.assertIn(option, run.stdout)
        run = bench("--help")
        self.assertRegex(run.stdout, r"all +ring, daq, net, control, record and readers in turn")


if __name__ == "__main__":
    sys.exit(unittest.main())
