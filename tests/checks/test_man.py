#!/usr/bin/env python3
"""The man pages against the sources that they describe: nothing left out, nothing left over, examples that work.

Run from anywhere: python3 tests/checks/test_man.py
The examples need build/release; without it they are skipped, and that is said.
"""
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(ROOT, "build/release")


def source(*names):
    text = []
    for name in names:
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text.append(file.read())
    return "\n".join(text)


def page(name):
    return source("docs/man/" + name)


def section(text, title, kind="Sh"):
    """The source of one section, without its heading, up to the next heading of its kind or above."""
    ends = r"Sh" if kind == "Sh" else r"(?:Sh|Ss)"
    found = re.search(rf"^\.{kind} {re.escape(title)}\n(.*?)(?=^\.{ends} |\Z)", text, re.M | re.S)
    if found is None:
        raise AssertionError(f"expected a section '{title}'")
    return found.group(1)


def tags(text, macro):
    """The words of each '.It MACRO a , b', which are names of what is described there."""
    names = []
    for line in re.findall(rf"^\.It {macro} (.*)$", text, re.M):
        # "Cm check Ar file" and "Ic policy , priority": up to the next macro.
        for word in line.split():
            if re.fullmatch(r"[A-Z][a-z]", word):
                break
            if word != ",":
                names.append(word)
    return names


def displays(text):
    """The literal displays as they are printed."""
    return [body.replace("\\e", "\\") for body in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", text, re.M | re.S)]


def skip_loudly(test, why):
    print(f"SKIPPED: {test.id()}: {why}", file=sys.stderr, flush=True)
    test.skipTest(why)


def release_file(test, name):
    path = os.path.join(RELEASE, name)
    if not os.path.exists(path):
        skip_loudly(test, f"build/release/{name} is not there; build it: cmake --preset release && "
                          "cmake --build --preset release")
    return path


class Man(unittest.TestCase):
    def same(self, told, is_so, what):
        """Both ways, by name. A pattern that finds nothing must not pass."""
        self.assertGreater(len(set(is_so)), 2, f"found next to no {what} in the source: correct this test")
        self.assertEqual(sorted(set(is_so) - set(told)), [], f"{what} that the page leaves out")
        self.assertEqual(sorted(set(told) - set(is_so)), [], f"{what} that are no more")


class Config(Man):
    """sluice.yaml(5) against daq/config.c and daq/compile*.c."""

    page = page("sluice.yaml.5")
    schema = source("daq/config.c")

    def test_keys(self):
        keys = re.findall(r'\b(?:CYAML_FIELD_\w+|TEXT|TEXT_OPTIONAL|WORD|WORD_OPTIONAL)\(\s*"(\w+)"', self.schema)
        self.assertGreater(len(keys), 60)
        self.same(tags(self.page, "Ic"), keys, "keys")

    def test_words(self):
        lists = re.findall(r"cyaml_strval_t \w+\[\] = \{(.*?)\};", self.schema, re.S)
        words = [word for text in lists for word in re.findall(r'\{"(\w+)"', text)]
        told = [word for line in re.findall(r"\bCm (.*)$", self.page, re.M) for word in line.split()]
        self.assertGreater(len(words), 20)
        self.assertEqual([word for word in words if word not in told], [], "words that the page leaves out")

    def test_numbers(self):
        """Bounds and default of every compile_bounded() are those in the first lines below the key."""
        gating = source("daq/compile_gating.c")
        code = source(*sorted("daq/" + name for name in os.listdir(os.path.join(ROOT, "daq"))
                              if re.fullmatch(r"compile\w*\.c", name)))
        headers = source("ring/layout.h", "net/plan.h", "net/udp.h", "net/steer_flow.h", "daq/board.h") + code
        macros = {"UINT32_MAX": "4294967295"} | dict(re.findall(r"^#define (\w+)\s+\(?(\d[\du *+-]*)", headers, re.M))

        def value(text):
            words = re.sub(r"[A-Z][A-Z_\d]+", lambda m: f"({macros[m.group(0)]})", text)
            words = re.sub(r"(?<=\d)u\b", "", words)
            self.assertRegex(words, r"^(?:0x[\da-f]+|[\d\s()*+<-])+$")
            return eval(words)

        calls = re.findall(
            r"compile_bounded\(\s*c,\s*(?:(?:path_of|compile_path)\([^()]*\)|\"[^\"]*\"|path),\s*"
            r"([\w&>.\[\]?!=: -]+),\s*([\w ]+),\s*([\w ]+),\s*([\w <-]+),\s*\"",
            code,
        )
        # One is the function itself; it has a type in front of each argument. Another is in bounded(), which names the
        # keys of rings[].gating; these have a section of their own, and a key that exists twice.
        in_ring = re.findall(r"\bbounded\(\s*c, i, \"\w+\",\s*([\w>.-]+),\s*(\w+),\s*(\w+),\s*(\w+),", gating)
        # And one in the bounded() of recorders.
        recorders = source("daq/compile_recorders.c")
        in_recorder = re.findall(r"\bbounded\(\s*c, i, \"\w+\",\s*([\w>.-]+),\s*(\w+),\s*(\w+),\s*(\w+),", recorders)
        self.assertEqual(len(in_recorder), len(re.findall(r"\bbounded\(", recorders)) - 1, "a call that is not understood")
        self.assertEqual(len(calls), len(re.findall(r"\bcompile_bounded\(", code)) - 3, "a call that is not understood")
        self.assertEqual(len(in_ring), len(re.findall(r"\bbounded\(", gating)) - 1, "a call that is not understood")
        rings, recording = section(self.page, "RINGS"), section(self.page, "RECORDERS")
        for text, given, default, least, most in ([(self.page, *c) for c in calls] + [(rings, *c) for c in in_ring] +
                                                  [(recording, *c) for c in in_recorder]):
            key = re.findall(r"\w+", re.sub(r"\[\w+\]$", "", given))[-1]  # an element has the bounds of its list
            # A key of several kinds of source stands there once for each that has bounds of its own.
            told = re.findall(rf"^\.It Ic {key}\n(.*?)(?=^\.Pp|^\.It|^\.El)", text, re.M | re.S)
            self.assertTrue(told, key)
            told = [t for t in told if re.search(rf"\b{value(least)} to {value(most)}\b", t)]
            self.assertTrue(told, f"the bounds of {key}")
            if value(default) or not value(least):  # else 0 stands for "nothing given"
                told = [t for t in told if re.search(rf"\bdefault {value(default)}\b|\bdefault:? any\b|\bneeded\b", t)]
                self.assertTrue(told, f"the default of {key}")

    def test_datagram(self):
        """The page's table has the offsets and types of control/output.h."""
        comment = re.search(r"The datagram, 48 bytes(.*?)A receiver", source("control/output.h"), re.S).group(1)
        fields = [(int(at), kind) for at, kind in re.findall(r"(?<![\w])(\d+) (u(?:32|64))\b", comment)]
        table = section(self.page, "THE DATAGRAM")
        told = [(int(at), kind) for at, kind in re.findall(r"^\.It (\d+) Ta (u\d+) Ta ", table, re.M)]
        self.assertEqual(len(fields), 9)
        self.assertEqual(told, fields)

    def test_states_and_causes(self):
        names = re.search(r"engine_state_name\(.*?\n\}", source("control/machine.c"), re.S).group(0)
        states = [name for name in re.findall(r'return "(\w+)"', names) if name != "illegal"]
        text = section(self.page, "THE INTERLOCK")
        self.same(re.findall(r"^\.It (\w+) Ta (?:safe|permit)", text, re.M), states, "states")
        causes = re.search(r"names\[CAUSES\] = \{(.*?)\}", source("control/names.c"), re.S).group(1)
        told = [word for line in re.findall(r"^\.Bq (.*)$", text, re.M) for word in re.findall(r"\w+", line)]
        self.same(told, set(re.findall(r'"(\w+)"', causes)) - {"none"}, "causes")

    def check(self, text):
        sluiced = release_file(self, "bin/sluiced")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "example.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            run = subprocess.run([sluiced, "--check", path], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_example(self):
        self.check(displays(section(self.page, "EXAMPLES"))[0])

    def test_example_of_gating(self):
        source = "  - {{name: {0}, kind: udp, ring: {0}, listen: \"127.0.0.1:{1}\", frame_bytes: 8{2}}}\n"
        channel = ", channels: [{name: p, at_byte: 0, type: f64, unit: kPa, range: [0, 500]}]"
        rings = displays(section(self.page, "EXAMPLES"))[1]
        self.check("instance: example\nrings:\n" + rings + "sources:\n" + source.format("video", 7001, "")
                   + source.format("chamber", 7002, channel))

    def test_example_of_a_text_source(self):
        head = "instance: example\nrings: [{name: bench}]\nsources:\n"
        self.check(head + displays(section(self.page, "EXAMPLES"))[2])


class Command(Man):
    """sluice(1) against tools/."""

    page = page("sluice.1")

    def test_commands(self):
        commands = re.findall(r'^\s*\{"([\w-]+)", command_\w+, "', source("tools/sluice.c"), re.M)
        commands += re.findall(r'strcmp\(argv\[1\], "(\w+)"\) == 0\) \{\s*return (?:become_)?command', source("tools/sluice.c"))
        self.same(tags(section(self.page, "DESCRIPTION"), "Cm"), commands, "commands")
        for command in commands:
            self.assertRegex(section(self.page, "SYNOPSIS"), rf"(?m)^\.Cm (?:.* )?{command}\b")

    def test_options(self):
        code = source("tools/sluice.c", "tools/replay.c", "tools/import.c", "tools/doctor.c", "tools/top.c",
                      "tools/latency_options.c", "tools/info.c", "tools/recover.c", "tools/record.c")
        options = re.findall(r'\{"([\w-]+)", (?:no|required|optional)_argument', code) + re.findall(r'argv\[1\], "--(\w+)"', code)
        told = re.findall(r"^\.It Fl -([\w-]+)(?: , Fl -([\w-]+))?", section(self.page, "DESCRIPTION"), re.M)
        self.same([name for pair in told for name in pair if name], options, "options")

    def test_export(self):
        options = re.findall(r'\{"([\w-]+)", (?:no|required)_argument', source("tools/export/options.c"))
        told = re.findall(r"^\.It Fl -([\w-]+)(?: Ar \w+ , Fl -([\w-]+))?", section(self.page, "EXPORT"), re.M)
        self.same([name for pair in told for name in pair if name], options, "options")
        formats = re.findall(r'\.name = "(\w+)"', source(*("tools/export/" + name for name in os.listdir(
            os.path.join(ROOT, "tools/export")) if name.endswith(".c"))))
        self.same(re.findall(r"^\.It Cm (\w+) Ta", section(self.page, "EXPORT"), re.M), formats, "formats")

    def test_findings(self):
        """Of the doctor."""
        kinds = source("tools/doctor_kinds.c")
        keys = re.findall(r'\[DOCTOR_\w+\] = \{\s*"(\w+)"', kinds)
        self.assertEqual(len(keys), len(re.findall(r"^    DOCTOR_\w+,$", source("tools/doctor.h"), re.M)))
        text = section(self.page, "DOCTOR")
        told = [key for line in re.findall(r"^\.It Ic (.*)$", text, re.M) for key in line.split(" , ")]
        self.same(told, keys, "findings")
        for word in re.findall(r'"(\w+)"', re.search(r"words\[\] = \{(.*?)\}", kinds).group(1)):
            self.assertIn(f".Li {word}", text)

    def test_json(self):
        """Every key, and every word that can be a value."""
        report = source("tools/report.c", "tools/report_interlock.c", "tools/report_rules.c", "tools/proof_test.c",
                        "tools/map.c", "tools/audit.c", "tools/replay_print.c", "tools/replay_summary.c",
                        "tools/doctor_report.c",
                        "tools/latency_json.c", "tools/record_report.c", "tools/info_json.c", "tools/recover.c",
                        "tools/recover_report.c", "tools/recording.c")
        words = set(re.findall(r'"([a-z]\w*)"', report)) - {"re", "kB", "help"} | set(re.findall(r'\\"(\w+)\\":', source("tools/tail.c")))
        words |= set(re.findall(r'"(\w+)", (?:\(int\)done|text)\b', source("tools/commands.c")))
        words |= {f"{name}_ns" for name in re.findall(r'\{0\.\d+, "(\w+)"\}', source("tools/latency_view.c"))}
        tables = source("control/board.h", "ring/ledger.c")
        names = source("control/names.c")
        words |= {w for w in re.findall(r'"(\w+)"', names[: names.index("engine_event_name")])} - {"illegal"}
        words |= {w for t in re.findall(r"names\[\w*\] = \{(.*?)\}", tables, re.S) for w in re.findall(r'"(\w+)"', t)}
        self.assertGreater(len(words), 80)
        text = section(self.page, "JSON")
        self.assertEqual(sorted(w for w in words if not re.search(rf"\b{w}\b", text)), [], "left out")


class Trip(Man):
    """sluice-trip(5) against daq/blackbox_format.h and daq/blackbox_json.c."""

    page = page("sluice-trip.5")
    header = source("daq/blackbox_format.h")

    def test_ring_files(self):
        widths = {"uint64_t": ("u64", 8), "int64_t": ("i64", 8), "uint32_t": ("u32", 4), "int32_t": ("i32", 4),
                  "uint16_t": ("u16", 2), "char": ("text", 32)}
        lists = re.findall(r"^\.Bl -column(.*?)^\.El", section(self.page, "RING FILES"), re.M | re.S)
        for name, text in zip(("ring_header", "record"), lists, strict=True):
            body = re.search(rf"^struct blackbox_{name} \{{(.*?)^\}};", self.header, re.M | re.S).group(1)
            at = 0
            fields = []
            for kind, field in re.findall(r"^ {4}(\w+) (\w+)[\[;]", body, re.M):
                fields.append((str(at), widths[kind][0], field))
                at += widths[kind][1]
            self.assertEqual(re.findall(r"^\.It (\d+) Ta (\w+) Ta (\w+) Ta", text, re.M), fields)

    def test_files(self):
        files = re.findall(r'#define BLACKBOX_\w+_FILE\s+"(.*?)"', self.header)
        told = re.findall(r"^\.It Pa (\S+)", section(self.page, "FILES"), re.M)
        self.same(told, [*files, "ring-NAME.slr"], "files")

    def test_keys(self):
        code = source("daq/blackbox_json.c")
        part = code[: code.index("put_state_rules")]
        keys = set(re.findall(r'\\"(\w+)\\":', part)) | set(re.findall(r'(?:name_or_null|put_number)\(to, "(\w+)"', part))
        self.assertGreater(len(keys), 30)
        text = section(self.page, "TRIP.JSON")
        self.assertEqual(sorted(k for k in keys if not re.search(rf"\b{k}\b", text)), [], "left out")


class Recording(Man):
    """sluice-recording(5) against daq/record_format.h and what of ring/ lies in files; and its reader."""

    page = page("sluice-recording.5")
    header = source("daq/record_format.h", "ring/layout.h", "ring/ledger.h")
    structs = {"record_file_header": 4096, "ring_channel": 128, "ring_stream": 128, "record_block": 4096,
               "ring_descriptor": 32, "ring_gap": 32, "ring_ledger": 384, "record_totals": 904, "record_index": 64,
               "record_trailer": 48, "record_gap": 40}

    def fields(self, name):
        """(offset, type, name) of each, and the size of all."""
        widths = {"uint64_t": ("u64", 8), "int64_t": ("i64", 8), "uint32_t": ("u32", 4), "int32_t": ("i32", 4),
                  "uint16_t": ("u16", 2), "uint8_t": ("u8", 1), "char": ("text", 1), "double": ("f64", 8)}
        macros = {"RECORD_ALIGN": 4096, "RECORD_LEAD_BYTES": 4096, "RECORD_CAUSES": 10, "RING_LOSSES": 8,
                  "RING_REFUSALS": 8, "RING_NAME_BYTES": 32, "RING_UNIT_BYTES": 16, "RECORD_RUN_BYTES": 16,
                  "RECORD_GAPS_MAX": 64}
        body = re.search(rf"^struct {name} \{{(.*?)^\}};", self.header, re.M | re.S).group(1)
        at = 0
        found = []
        for kind, struct, field, count in re.findall(
                r"^ {4}(?: {8})?(?:(\w+)|struct (\w+)) (\w+)(?:\[([^\]]*)\])?;", body, re.M):
            n = eval(count, {}, macros) if count else 1
            label, width = widths[kind] if kind else (f"struct {struct}", self.structs[struct])
            label = "bytes" if kind == "uint8_t" and count else label
            found.append((str(at), label if label in ("text", "bytes") or n == 1 else f"{label}[{n}]", field))
            at += n * width
        return found, at

    def test_tables(self):
        tables = re.findall(r"^\.Bl -column \"0000\"(.*?)^\.El", self.page, re.M | re.S)
        self.assertEqual(len(tables), len(self.structs))
        for name, text in zip(self.structs, tables, strict=True):
            fields, size = self.fields(name)
            self.assertEqual(size, self.structs[name], name)
            self.assertEqual(re.findall(r"^\.It (\d+) Ta (\S+|struct \S+) Ta (\w+) Ta", text, re.M), fields, name)

    def test_causes(self):
        numbered = [(int(n), word) for n, word in re.findall(r"^\.It (\d+) Ta (\w+)(?: Ta.*)?$", self.page, re.M)
                    if not re.fullmatch(r"[uif]\d+|text|bytes|struct", word)]
        names = re.search(r"record_cause_name.*?names\[\] = \{(.*?)\}", source("daq/record_build.c"), re.S).group(1)
        losses = re.search(r"names\[RING_LOSSES\] = \{(.*?)\}", source("ring/ledger.c"), re.S).group(1)
        expected = list(enumerate(re.findall(r'"(\w+)"', losses))) + list(enumerate(re.findall(r'"(\w+)"', names)))[1:]
        self.same([name for pair in numbered for name in [pair]], expected, "causes")

    def test_endings(self):
        names = re.findall(r'\[RECORD_CLOSE_(\w+)\] = "(\w+)"', source("daq/record_build.c"))
        numbers = dict(re.findall(r"RECORD_CLOSE_(\w+) = (\d+)", self.header))
        told = re.search(r" Ta why Ta (.*)$", self.page, re.M).group(1)
        self.assertEqual(told, ", ".join(f"{numbers[key]} {word}" for key, word in names))

    def test_example_is_the_file(self):
        self.assertIn(source("docs/examples/read_recording.py"),
                      [re.sub(r"(?m)^\\&", "", body) for body in displays(self.page)])


class Ring(Man):
    """sluice-ring(5) against what the compiler makes of the headers (tests/ring/layout.golden), the ring that it shows
    (tests/ring/ring-sample.c), and the sources where they are the only word."""

    page = page("sluice-ring.5")
    golden = source("tests/ring/layout.golden")
    widths = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i32": 4, "i64": 8, "f64": 8, "text": 1, "bytes": 1}
    not_readers = {"ring_order", "ring_orders", "ring_hops", "protocol_lease"}  # between the server's own processes
    not_readers_numbers = {"RING_ORDERS_MAGIC", "RING_ORDERS_BYTES", "RING_CACHE_LINE_BYTES", "RING_WRITER_LINE_BYTES",
                           "PROTOCOL_INSTANCES_MAX"}

    def sizes(self):
        return {name: int(size) for name, size in re.findall(r"^struct (\w+) (\d+) bytes$", self.golden, re.M)}

    def tables(self):
        """struct -> (its size, the rows of its table)"""
        found = re.findall(r'^\.Vt struct (\w+) ,\n(\d+) bytes:\n\.Bl -column "0000"[^\n]*\n(.*?)^\.El', self.page, re.M | re.S)
        self.assertEqual(len(found), self.page.count(".Vt struct"), "a table that is not understood")
        return {name: (int(size), re.findall(r"^\.It (\d+) Ta (\w+)(?:\[(\d+)\])? Ta (\w+) Ta(?: .*)?$", text, re.M), text.count(".It "))
                for name, size, text in found}

    def test_structs(self):
        sizes = self.sizes()
        wanted = {name for name in sizes if name.startswith(("ring_", "protocol_"))} - self.not_readers
        self.same(self.tables(), wanted, "structs")
        for name, (size, rows, count) in self.tables().items():
            self.assertEqual((size, len(rows)), (sizes[name], count), name)
            told = [(member, int(at), int(n or 1) * (self.widths.get(kind) or sizes[kind])) for at, kind, n, member in rows]
            members = [(member, int(at), int(size)) for member, at, size in
                       re.findall(rf"^  {name}\.(\w+) at (\d+), (\d+) bytes$", self.golden, re.M)]
            self.assertEqual(told, members, f"struct {name}")

    def test_types(self):
        """Signed, unsigned, float or text, as the header says: the golden file has widths only."""
        kinds = {"uint64_t": "u64", "int64_t": "i64", "uint32_t": "u32", "int32_t": "i32", "uint16_t": "u16", "uint8_t": "u8",
                 "char": "text", "double": "f64"}
        header = re.sub(r"/\*.*?\*/", "", source("ring/layout.h", "ring/ledger.h", "ring/rate.h", "ring/protocol.h"), flags=re.S)
        for name, (_, rows, _) in self.tables().items():
            body = re.search(rf"^struct {name} \{{(.*?)^\}};", header, re.M | re.S).group(1)
            for _, kind, _, member in rows:
                written = re.search(rf"(?:struct )?(\w+)\s+{member}\s*(\[[^;]*\])?;", body)
                is_so = kinds.get(written.group(1), written.group(1))
                is_so = "bytes" if is_so == "u8" and written.group(2) else is_so
                self.assertEqual(kind, is_so, f"{name}.{member}")

    def test_constants(self):
        """All of ring and protocol, each with its value; and the golden file has all that the headers have."""
        numbers = {name: int(value, 16) for name, value in re.findall(r"^((?:RING|PROTOCOL)_\w+) (\w+)$", self.golden, re.M)}
        told = re.findall(r"^\.It Dv ((?:RING|PROTOCOL)_\w+) Ta (\w+) Ta", self.page, re.M)
        self.assertEqual(len(told), len({name for name, _ in told}), "a constant that stands there twice")
        self.same([name for name, _ in told], set(numbers) - self.not_readers_numbers, "constants")
        self.assertEqual([(name, value) for name, value in told if int(value, 0) != numbers[name]], [], "other values")
        header = re.sub(r"/\*.*?\*/", "", source("ring/layout.h", "ring/ledger.h", "ring/protocol.h"), flags=re.S)
        defined = re.findall(r"^#define ((?:RING|PROTOCOL)_\w+) +[^\s\"]", header, re.M)
        for body in re.findall(r"^enum \w+ \{(.*?)\};", header, re.M | re.S):
            defined += re.findall(r"\b((?:RING|PROTOCOL)_\w+) *=", body)
        self.assertEqual(sorted(set(defined) - {"RING_H"} - set(numbers)), [], "not pinned: add them to layout-golden.c")

    def test_offsets_in_the_text(self):
        """"The ledger, at 896": the parts of the header, and the magics as text."""
        for part, at in re.findall(r"^  ring_header\.(\w+) at (\d+),", self.golden, re.M):
            if not part.startswith("pad"):
                self.assertRegex(self.page, rf"(?m)^The {part}s?, at {at}\b")
        for name in ("RING_MAGIC", "RING_LEASE_MAGIC", "PROTOCOL_MAGIC"):
            value = int(re.search(rf"^{name} (\w+)$", self.golden, re.M).group(1), 16)
            text = value.to_bytes(8, "little").rstrip(b"\0").decode()
            self.assertIn(f"{name}: the bytes Ql {text}", self.page)

    def test_causes(self):
        """In the order of ring/ledger.c, which names them for `sluice tail`."""
        lists = re.findall(r"names\[\w*\] = \{(.*?)\}", source("ring/ledger.c"), re.S)
        for text, prefix in zip(lists, ("RING_LOSS", "RING_REFUSED"), strict=True):
            names = re.findall(r'"(\w+)"', text)
            told = {int(n): name.lower() for name, n in re.findall(rf"^\.It Dv {prefix}_(\w+) Ta (\d+) Ta", self.page, re.M)}
            self.assertEqual([told[i] for i in range(len(names))], names)

    def test_codes(self):
        """Every code that an attaching reader is answered with, with its number."""
        told = re.findall(r"^\.It (E\w+) \((\d+)\) Ta", self.page, re.M)
        self.assertEqual([(name, n) for name, n in told if getattr(errno, name) != int(n)], [])
        code = source("daq/usher.c")
        used = set(re.findall(r"-(E[A-Z]+)\b", code[code.index("static int open_gate("):code.index("static void close_gate(")] +
                              code[code.index("bool usher_attach("):code.index("uint64_t usher_lost(")])) - {"EPIPE"}
        used |= set(re.findall(r"-(E[A-Z]+),", source("daq/server_clients.c").split("void server_reply(")[1])) | {"ENOMEM"}
        self.assertEqual(sorted({name for name, _ in told}), sorted(used - {"EINTR"}))

    def test_example(self):
        """The ring that the page shows is the one that this tree makes; no line of it that is not zero is left out."""
        program = release_file(self, "bin/ring-sample")
        data = subprocess.run([program, "/dev/stdout"], stdout=subprocess.PIPE, check=True).stdout
        shown = [re.sub(r"^\\&", "", line) for line in displays(section(self.page, "EXAMPLES"))[0].splitlines()]
        lines = []
        for at in range(0, int(shown[-1][:4], 16) + 32, 16):
            row = data[at:at + 16]
            if any(row):
                text = "".join(chr(byte) if 32 < byte < 127 else "." for byte in row)
                lines.append(f"{at:04x}  {row.hex(' ', 2)}  {text}")
        self.assertEqual(shown, lines, "ring-sample shows another ring: quote it anew in sluice-ring.5")

    def test_script(self):
        self.assertIn(".Pa docs/examples/read_ring.pl", section(self.page, "EXAMPLES"))
        self.assertTrue(os.path.exists(os.path.join(ROOT, "docs/examples/read_ring.pl")))


INSTALLED = ("ring/sluice.h", "ring/server.h", "ring/merge.h", "ring/stats.h")


def functions_of(header):
    return re.findall(r"^(?:SLUICE_API|static inline) [^;{]*?\b(sluice_\w+)\(", header, re.M)


def types_of(header):
    """Of functions of the user's."""
    return re.findall(r"^typedef [^;]*?\b(sluice_\w+)\(", header, re.M)


def constants_of(header):
    """Enumerators, and macros that are a number."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    names = [name for body in re.findall(r"^enum \w+ \{(.*?)\}", code, re.M | re.S)
             for name in re.findall(r"\b(SLUICE_\w+) = \d", body)]
    return names + re.findall(r"^#define (SLUICE_\w+)\s+\(?\d", code, re.M)


class Header:
    """One page of section 3 against one installed header, both ways."""

    titles = {}     # struct sluice_KEY is described below the heading VALUE
    examples = {}   # programs in the order of the page, and what they are called with where nobody listens

    def test_functions(self):
        functions = functions_of(self.header)
        self.same(re.findall(r"^\.Nm (sluice_\w+)", section(self.page, "NAME"), re.M), functions, "names")
        self.same(re.findall(r"^\.F[no] (sluice_\w+)", section(self.page, "SYNOPSIS"), re.M),
                  functions + types_of(self.header), "prototypes")
        text = section(self.page, "DESCRIPTION")
        self.assertEqual([f for f in functions if not re.search(rf"(?m)^\.Fn {f}(?: [,;.:])?$", text)], [], "not described")

    def test_prototypes(self):
        """The synopsis, put together again, is what the header says."""
        code = re.sub(r"/\*.*?\*/", "", self.header, flags=re.S)
        declared = [" ".join(d.split()) for d in re.findall(r"^SLUICE_API ([^;]*;)", code, re.M)]
        declared += [" ".join(d.split()) + ";" for d in re.findall(r"^static inline ([^;{]*\))", code, re.M)]
        declared += [" ".join(d.split()) for d in re.findall(r"^(typedef [^;]*\);)", code, re.M)]
        text = section(self.page, "SYNOPSIS")
        text = re.sub(r"^\.Fo (\w+)\n(.*?)^\.Fc$", lambda m: f".Fn {m.group(1)} " + m.group(2).replace(".Fa ", ""),
                      text, flags=re.M | re.S)
        told = []
        for kind, name, arguments in re.findall(r'^\.Ft (.*)\n\.Fn (\w+) ((?:\s*"[^"]*")+)', text, re.M):
            kind = kind.strip('"')
            told.append(f"{kind}{'' if kind.endswith('*') else ' '}{name}"
                        f"({', '.join(re.findall(chr(34) + '([^' + chr(34) + ']*)', arguments)[::2])});")
        self.assertEqual(sorted(told), sorted(declared))

    def test_include(self):
        name = os.path.basename(self.header_path)
        self.assertEqual(re.findall(r"^\.In (.*)$", section(self.page, "SYNOPSIS"), re.M), [f"sluice/{name}"])

    def test_members(self):
        self.assertEqual(sorted(self.titles), sorted(re.findall(r"^struct sluice_(\w+) \{", self.header, re.M)), "structs")
        for name, title in self.titles.items():
            body = re.search(rf"^struct sluice_{name} \{{(.*?)^\}};", self.header, re.M | re.S).group(1)
            members = [" ".join(m.split()) for m in re.findall(r"^ {4}((?:const )?\w+\s[^;]*);", body, re.M)]
            told = re.findall(r'Fa "([^"]*)"', section(self.page, title, "Ss"))
            self.same(told, members, f"members of struct sluice_{name}")

    def test_constants(self):
        """Every enumerator and number is on the page, and no page speaks of one that is in no header."""
        names = constants_of(self.header)
        self.assertGreater(len(names), 0)
        text = re.sub(r"^\.Bd -literal.*?^\.Ed$", "", self.page, flags=re.M | re.S)
        self.assertEqual([n for n in names if not re.search(rf"\b{n}\b", text)], [], "left out")
        known = constants_of(source(*INSTALLED))
        self.assertEqual(sorted(set(re.findall(r"^\.(?:It )?Dv (SLUICE_\w+)", text, re.M)) - set(known)), [], "are no more")

    def test_functions_that_are_named_exist(self):
        known = functions_of(source(*INSTALLED)) + types_of(source(*INSTALLED))
        self.assertEqual(sorted(set(re.findall(r"^\.(?:It )?Fn (sluice_\w+)", self.page, re.M)) - set(known)), [])

    def test_examples_are_the_files(self):
        """What the page shows is what lies in docs/examples, byte for byte."""
        shown = displays(section(self.page, "EXAMPLES"))
        self.assertEqual(len(shown), len(self.examples))
        for name, text in zip(self.examples, shown):
            self.assertEqual(text, source(f"docs/examples/{name}.c"), f"{name}.c: quote it anew in the page")

    def test_examples_run(self):
        library = os.path.dirname(release_file(self, "lib/libsluice.so"))
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            skip_loudly(self, "no C compiler")
        for name, arguments in self.examples.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                program = os.path.join(folder, name)
                os.symlink(os.path.join(ROOT, "ring"), os.path.join(folder, "sluice"))
                run = subprocess.run(
                    [compiler, "-std=c17", "-Wall", "-Wextra", "-Werror", "-I" + folder,
                     os.path.join(ROOT, f"docs/examples/{name}.c"), "-o", program, "-L" + library, "-lsluice"],
                    capture_output=True, text=True)
                self.assertEqual(run.returncode, 0, run.stderr)
                # Nobody listens: it starts, finds its symbols, and says so.
                environment = dict(os.environ, LD_LIBRARY_PATH=library, SLUICE_RUN_DIR=folder)
                run = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn("expected a server", run.stderr)


class Library(Header, Man):
    """libsluice(3) against ring/sluice.h."""

    page = page("libsluice.3")
    header_path = "ring/sluice.h"
    header = source(header_path)
    titles = {"options": "Options", "frame": "Frames", "batch": "Batches", "descriptor": "Descriptors",
              "ring": "Rings", "stream": "Streams", "channel": "Channels", "progress": "Progress", "ledger": "Ledgers",
              "rate": "Rates"}
    examples = {"observer": ("nobody", "tvac"), "recorder": ("nobody", "tvac"), "loop": ("nobody", "tvac"),
                "values": ("nobody", "tvac", "p")}

    def test_example_of_the_readme(self):
        quoted = "".join("    " * (line != "\n") + line for line in source("docs/examples/observer.c").splitlines(True))
        self.assertIn(quoted, source("README.md"), "observer.c: quote it anew in README.md")

    def test_every_example_is_on_a_page(self):
        in_c = [name[:-2] for name in os.listdir(os.path.join(ROOT, "docs/examples")) if name.endswith(".c")]
        self.same([name for about in Header.__subclasses__() for name in about.examples], in_c, "examples")

    def test_every_installed_header_has_a_page(self):
        files = re.search(r"^install\(FILES ((?:\S+\.h )+)DESTINATION", source("ring/CMakeLists.txt"), re.M).group(1)
        self.same([about.header_path for about in Header.__subclasses__()], ["ring/" + f for f in files.split()], "headers")
        self.same(INSTALLED, ["ring/" + f for f in files.split()], "headers")


class ServerLibrary(Header, Man):
    """sluice_server(3) against ring/server.h."""

    page = page("sluice_server.3")
    header_path = "ring/server.h"
    header = source(header_path)
    titles = {"process": "Processes", "measure": "Measures", "histogram": "Histograms"}
    examples = {"status": ("nobody",)}


class MergeLibrary(Header, Man):
    """sluice_merge(3) against ring/merge.h."""

    page = page("sluice_merge.3")
    header_path = "ring/merge.h"
    header = source(header_path)
    examples = {"merge": ("nobody", "tvac", "video")}


class StatsLibrary(Header, Man):
    """sluice_stats(3) against ring/stats.h."""

    page = page("sluice_stats.3")
    header_path = "ring/stats.h"
    header = source(header_path)
    titles = {"summary": "Summaries", "quantiles": "Percentiles", "bins": "Bins", "envelope": "Envelopes",
              "envelope_point": "Points", "edges": "Thresholds", "edge": "Edges", "fold": "Folds", "fold_item": "Fold items",
              "chunk": "Chunks", "samples": "Samples", "fold_envelope_context": "Envelope contexts",
              "fold_edges_context": "Edge contexts"}
    examples = {"summary": ("nobody", "tvac", "1")}


class Server(Man):
    """sluiced(8) against control/seal.c and the rest."""

    page = page("sluiced.8")

    def test_sealed_system_calls(self):
        code = source("control/seal.c")
        for profile, title in (("control", "Sealed control process"), ("worker", "Sealed worker"),
                               ("actuator", "Sealed actuator"), ("observer", "Sealed observer")):
            array = re.search(rf"{profile}_names\[\] = \{{(.*?)\}};", code, re.S).group(1)
            self.same(tags(section(self.page, title, "Ss"), "Ic"), re.findall(r'"(\w+)"', array), "system calls")
            if profile == "worker":
                plain = re.findall(r'"(\w+)"', array)
            if profile == "control":
                control = re.findall(r'"(\w+)"', array)
        array = re.search(r"control_gpio_names\[\] = \{(.*?)\};", code, re.S).group(1)
        more = tags(section(self.page, "Sealed control process, GPIO outputs", "Ss"), "Ic")
        self.same(control + more, re.findall(r'"(\w+)"', array), "system calls of a control process with GPIO outputs")
        array = re.search(r"worker_leases_names\[\] = \{(.*?)\};", code, re.S).group(1)
        more = tags(section(self.page, "Sealed worker, gating readers", "Ss"), "Ic")
        self.same(plain + more, re.findall(r'"(\w+)"', array), "system calls of a worker that takes leases")
        leases = plain + more
        array = re.search(r"worker_xdp_names\[\] = \{(.*?)\};", code, re.S).group(1)
        more = tags(section(self.page, "Sealed worker, AF_XDP", "Ss"), "Ic")
        self.same(set(leases + more), set(re.findall(r'"(\w+)"', array)), "system calls of a worker with AF_XDP")

    def test_options(self):
        options = re.findall(r'argv\[1\], "--(\w+)"', source("daq/sluiced.c"))
        told = re.findall(r"\bFl -(\w+)", section(self.page, "SYNOPSIS"))
        self.same(told, options, "options")

    def test_environment_and_files(self):
        code = source("daq/server.c", "daq/launch.c", "daq/state_dir.c", "ring/protocol.c")
        told = re.findall(r"^\.It Ev (\w+)", section(self.page, "ENVIRONMENT"), re.M)
        self.same(told, re.findall(r'getenv\("(\w+)"\)', code), "variables")
        files = re.findall(r'#define PROTOCOL_\w+\s+"(.*?)"', source("ring/protocol.h"))
        self.assertEqual(len(files), 2)
        for name in files:
            self.assertIn(f".It Pa {name}\n", section(self.page, "FILES"))


class Gen(Man):
    """sluice-gen(1) against tools/gen/."""

    page = page("sluice-gen.1")

    def test_options(self):
        """Every row of the table, with its default and its bounds where they are written out."""
        rows = re.findall(r'^    \{"([\w-]+)",', source("tools/gen/options.c"), re.M)
        text = section(self.page, "DESCRIPTION")
        told = re.findall(r"^\.It Fl -([\w-]+)(?:.* , Fl -([\w-]+))?", text, re.M)
        self.same([name for pair in told for name in pair if name], rows, "options")
        for name, least, most, default in re.findall(
                r'^    \{"([\w-]+)",[^{}]*?KIND_COUNT,\s*(?:RUN|PORT),\s*(\d+),\s*(\w+),\s*(\d+)\}', source("tools/gen/options.c"),
                re.M):
            said = re.search(rf"^\.It (?:Fl -\S+ Ar n , )?Fl -{name}\b.*?(?=^\.It|^\.El)", text, re.M | re.S).group(0)
            if default != "0":
                self.assertIn(default, re.findall(r"\d+", said) or ["0"], f"the default of {name}")
            if re.search(r"\d to \d", said):
                self.assertIn(f"{least} to {most}", said)

    def test_json(self):
        words = set(re.findall(r'put\(object, "(\w+)"|json_object_set_new\(object, "(\w+)"|"s:s[^"]*"|"(event|transport|target|about)"',
                               source("tools/gen/report.c")))
        words = {w for found in words for w in found if w}
        self.same(tags(section(self.page, "JSON"), "Ic"), words, "keys")


class Bench(Man):
    """sluice-bench(1) against bench/."""

    page = page("sluice-bench.1")

    def test_options(self):
        code = source("bench/options.c", "bench/sluice-bench.c")
        options = re.findall(r'\{"(\w+)", (?:no|required)_argument', code) + re.findall(r'argv\[1\], "--(\w+)"', code)
        told = re.findall(r"^\.It Fl -(\w+)(?:.* , Fl -(\w+))?", section(self.page, "DESCRIPTION"), re.M)
        self.same([name for pair in told for name in pair if name], options, "options")

    def test_bounds(self):
        macros = dict(re.findall(r"^#define (\w+)\s+([\d.]+)u?\b", source("bench/options.c", "bench/rows.h"), re.M))
        text = section(self.page, "DESCRIPTION")
        for option, names in (("seconds", ("SECONDS_MIN", "SECONDS_MAX", "SECONDS_DEFAULT")),
                              ("runs", (None, "ROW_RUNS_MAX", "RUNS_DEFAULT"))):
            least, most, default = (re.sub(r"\.0$", "", macros.get(name, "1")) for name in names)
            told = re.search(rf"^\.It Fl -{option} .*?(?=^\.It)", text, re.M | re.S).group(0)
            self.assertIn(f"{least} to {most}; default {default}.", told)

    def test_rows(self):
        plan = source("bench/plan_ring.c")
        names = re.findall(r'add_row\(m, "(\w+)"|add_row\(&m, "(\w+)"|add_impact\(&m, "(\w+)"|"(latency_\w+)"', plan)
        self.same(tags(section(self.page, "ROWS"), "Ic"), {n for found in names for n in found if n}, "rows")

    def test_control_rows(self):
        plan = source("bench/plan_control.c")
        names = re.findall(r'add_row\(\s*&?m, "(\w+)"', plan)
        for array in ("value_names", "names", "instrument_names", "switch_names"):
            found = re.search(rf"char \*const {array}\[\w*\] = \{{(.*?)\}}", plan, re.S).group(1)
            names += re.findall(r'"(\w+)"', found)
        self.assertGreater(len(names), 20)
        self.same(tags(section(self.page, "CONTROL ROWS"), "Ic"), names, "rows")

    def test_paths(self):
        """The states that a path's name ends in."""
        paths = re.findall(r'"(?:mixed)?-(\w+)"', source("bench/engine_paths.c"))
        self.assertGreater(len(paths), 12)
        self.same(tags(section(self.page, "CONTROL ROWS"), "Li"), set(paths), "states")

    def test_variants(self):
        """The peers as they are defined, except the mode of a memcpy, which is a row."""
        peers = re.findall(r'struct peer peer_\w+ = \{\s*"(\w+)",\s*"(\w*)"', "".join(
            source("bench/" + name) for name in sorted(os.listdir(os.path.join(ROOT, "bench"))) if name.endswith(".c")))
        self.assertGreater(len(peers), 10)
        self.same(tags(section(self.page, "ROWS"), "Li"), [f"{n}-{m}" if m else n for n, m in peers], "variants")

    def test_record_rows(self):
        text = section(self.page, "RECORD ROWS")
        names = re.search(r"char \*const value_names\[\w*\] = \{(.*?)\}", source("bench/plan_record.c"), re.S).group(1)
        told = re.findall(r"^\.It Ic (.*)$", text, re.M)
        self.same(told, re.findall(r'"(\w+)"', names), "rows")
        told = [v for line in re.findall(r"^\.It Li (.*)$", text, re.M) for v in line.split(" , ")]
        self.same(told, re.findall(r'\.variant = "([\w-]+)"', source("bench/disk_paths.c")), "variants")

    def test_readers_rows(self):
        text = section(self.page, "READERS ROWS")
        code = source("bench/readers_paths.c")
        names = re.findall(r'\{"(\w+)",\s*"[^"]*",\s*(?:true|false)\}', code)
        self.assertGreater(len(names), 15)
        self.same(tags(text, "Ic"), names, "rows")
        self.same(tags(text, "Li"), set(re.findall(r'\.variant = "([\w-]+)"', code)), "variants")

    def test_json(self):
        words = re.findall(r'"([a-z]\w*)"', source("bench/document.c"))
        words = {w for w in words if w != "decision"}
        self.assertGreater(len(words), 30)
        text = section(self.page, "JSON")
        self.assertEqual(sorted(w for w in words if not re.search(rf"\b{w}\b", text)), [], "left out")

    def test_comparison(self):
        """Units and names that the judgement knows."""
        code = source("bench/compare.c")
        text = section(self.page, "COMPARISON")
        units = re.findall(r'\{"([^"]+)", -?1\}', code)
        names = re.findall(r'"(\w+)"', re.search(r"names\[\] = \{(.*?)\};", code, re.S).group(1))
        self.assertGreater(len(units), 10)
        self.assertGreater(len(names), 10)
        self.assertEqual([w for w in units + names if not re.search(rf"(?<!\w){re.escape(w)}(?!\w)", text)], [], "left out")


if __name__ == "__main__":
    unittest.main()
