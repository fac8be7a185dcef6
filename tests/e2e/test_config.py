#!/usr/bin/env python3
"""A configuration that is wrong: exit 2, every error at its line and column, and nothing started, nothing left."""
import copy
import json
import os
import re
import subprocess

import support
from support import BIN, PATIENCE_S, channels, config, free_udp_port, outputs_to, udp_source


class Config(support.Case):
    def good(self):
        return config(self.instance, [udp_source(free_udp_port())], outputs_to("127.0.0.1:9"))

    def write(self, text):
        path = self.path(f"c{self.count()}.yaml")
        data = json.dumps(text, indent=1) if isinstance(text, dict) else text
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def refuse(self, path):
        """Both programs refuse it with the same words, and leave nothing."""
        check = self.cli("check", path)
        self.assertEqual(check.returncode, 2, f"{path}: {check}")
        self.assertEqual(check.stdout, "")
        begun = subprocess.run([os.path.join(BIN, "sluiced"), path], env=self.environment, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(begun.returncode, 2, begun)
        self.assertEqual(begun.stderr, check.stderr)
        self.assertIn("nothing started", check.stderr)
        self.assertFalse(os.path.exists(self.run_dir), "a run directory was left")
        return check.stderr

    def refuse_at(self, text, key, *words):
        """.. and the place of the error is a line with this key."""
        path = self.write(text)
        said = self.refuse(path)
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        places = re.findall(rf"^{re.escape(path)}:(\d+):(\d+): ", said, re.MULTILINE)
        self.assertTrue(places, f"no FILE:LINE:COLUMN in: {said}")
        for line, column in places:
            self.assertTrue(1 <= int(line) <= len(lines) and int(column) >= 1, said)
        found = [lines[int(line) - 1] for line, _ in places]
        self.assertTrue(any(key in line for line in found), f"expected the line of {key}, found {found}: {said}")
        for word in words:
            self.assertIn(word, said)
        return said

    def test_good_one_is_good(self):
        done = self.cli("check", self.write(self.good()))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertFalse(os.path.exists(self.run_dir))

    def test_the_examples_are_good(self):
        folder = os.path.join(support.ROOT, "tools/examples")
        cores = os.cpu_count()
        for name in sorted(os.listdir(folder)):
            if name.endswith(".yaml"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                if cores < 2:
                    text = re.sub(r"core: 1\b", "core: 0", text)
                done = self.cli("check", self.write(text))
                self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")

    def test_the_interlock_of_the_readme_is_good(self):
        """The excerpt that README shows, with the parts of the example that it leaves out."""
        with open(os.path.join(support.ROOT, "README.md"), encoding="utf-8") as file:
            shown = re.search(r"^    conditions:\n(    .*\n)+", file.read(), re.M)[0]
        with open(os.path.join(support.ROOT, "tools/examples/interlock.yaml"), encoding="utf-8") as file:
            whole = file.read()
        parts = {part.partition(":")[0]: part for part in re.split(r"^(?=[a-z])", whole, flags=re.M)}
        text = "".join(parts[key] for key in ("instance", "memory", "control", "workers", "rings", "sources"))
        text += re.sub(r"^    ", "", shown, flags=re.M)
        if os.cpu_count() < 2:
            text = re.sub(r"core: 1\b", "core: 0", text)
        done = self.cli("check", self.write(text))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_unknown_keys(self):
        for where in ("", "control", "memory", "workers", "rings", "sources", "rules", "outputs"):
            text = self.good()
            at = text[where] if where else text
            (at[0] if isinstance(at, list) else at)["colour"] = "red"
            self.refuse_at(text, '"colour"', "colour")

    def test_wrong_types(self):
        for change, key in (
            (lambda c: c["rings"][0].update(slots="many"), '"slots"'),
            (lambda c: c["rings"][0].update(slots=-1), '"slots"'),
            (lambda c: c["rings"][0].update(slots=[1]), '"slots"'),
            (lambda c: c["rules"][0].update(high="tall"), '"high"'),
            (lambda c: c["control"].update(idle="sometimes"), '"idle"'),
            (lambda c: c["memory"].update(lock="perhaps"), '"lock"'),
            (lambda c: c["sources"][0].update(kind="telepathy"), '"kind"'),
            (lambda c: c["sources"][0]["channels"][0].update(range=[1]), "1"),
            (lambda c: c["sources"][0]["channels"][0].update(type="f16"), '"type"'),
        ):
            text = self.good()
            change(text)
            self.refuse_at(text, key)
        for key in ("rings", "sources"):  # a word where a list is expected
            text = self.good()
            text[key] = "none"
            self.refuse_at(text, f'"{key}"')

    def test_missing_keys(self):
        for key in ("instance", "rings", "sources"):
            text = self.good()
            del text[key]
            self.assertIn(key, self.refuse(self.write(text)))
        text = self.good()
        del text["sources"][0]["channels"][2]["unit"]
        self.assertIn("unit", self.refuse(self.write(text)))

    def test_bounds(self):
        for change, key, words in (
            (lambda c: c["control"].update(core=4711), '"core"', ["4711"]),
            (lambda c: c["control"].update(core=-2), '"core"', ["-2"]),
            (lambda c: c["workers"][0].update(core=4711), '"core"', ["4711"]),
            (lambda c: c["control"].update(stall_trip_ms=0), '"stall_trip_ms"', []),
            (lambda c: c["control"].update(silence_ms=1), '"silence_ms"', []),
            (lambda c: c["control"].update(priority=99, policy="fifo"), '"priority"', ["99"]),
            (lambda c: c["rings"][0].update(slots=1000), '"slots"', ["power of two", "1000"]),
            (lambda c: c["rings"][0].update(slots=8), '"slots"', ["8"]),
            (lambda c: c["rings"][0].update(slots=1 << 30), '"slots"', ["memory", "MiB"]),
            (lambda c: c["rings"][0].update(slots=1 << 62), '"slots"', []),
            (lambda c: c["rings"][0].update(slot_bytes=100), '"slot_bytes"', ["100"]),
            (lambda c: c["rings"][0].update(slot_bytes=64), '"frame_bytes"', ["64"]),
            (lambda c: c["sources"][0]["channels"][0].update(range=[5, 5]), '{', ["range"]),
            (lambda c: c["sources"][0]["channels"][1].update(scale=0), '{', ["scale"]),
            (lambda c: c["sources"][0]["sequence"].update(width_bytes=3), '"width_bytes"', ["3"]),
            (lambda c: c["sources"][0]["sequence"].update(at_byte=29), '"at_byte"', ["beyond"]),
            (lambda c: c["sources"][0]["checksum"].update(at_byte=31), '"checksum"', ["31"]),
            (lambda c: c["sources"][0].update(listen="somewhere"), '"listen"', ["somewhere"]),
            (lambda c: c["sources"][0].update(listen="127.0.0.1:70000"), '"listen"', ["70000"]),
            (lambda c: c["sources"][0].update(group="10.0.0.1"), '"group"', ["10.0.0.1"]),
            (lambda c: c["rules"][0].update(delay_samples=0), '"delay_samples"', []),
            (lambda c: c["rules"][0].update(delay_ms=-1), '"delay_ms"', []),
            (lambda c: c.update(instance="a/b"), '"instance"', ["a/b"]),
            (lambda c: c.update(instance=".."), '"instance"', []),
            (lambda c: c.update(instance="x" * 32), '"instance"', []),
            (lambda c: c["outputs"][0].update(line=32), '"line"', ["32"]),
        ):
            text = self.good()
            change(text)
            self.refuse_at(text, key, *words)

    def test_channels_beyond_the_frame_and_over_each_other(self):
        text = self.good()
        text["sources"][0]["channels"][3]["at_byte"] = 31
        self.refuse_at(text, "{", "31 to 32", "beyond the frame of 32 bytes")
        text["sources"][0]["channels"][3]["at_byte"] = 0xFFFFFFFF
        self.refuse_at(text, "{", "beyond the frame")
        text["sources"][0]["channels"][3]["at_byte"] = 22
        self.refuse_at(text, "{", "article_temperature", "overlaps", "coolant_pressure")

    def test_duplicate_names(self):
        for key in ("workers", "rings", "rules", "outputs"):
            text = self.good()
            text[key].append(copy.deepcopy(text[key][0]))
            self.refuse_at(text, '"name"', "second", text[key][0]["name"])
        text = self.good()
        text["sources"][0]["channels"][2]["name"] = "chamber_pressure"
        self.refuse_at(text, '"name"', "second channel named 'chamber_pressure'")
        # Also across sources.
        text = config(self.instance, [udp_source(free_udp_port()), udp_source(free_udp_port(), ring="other", name="udp2")],
                      outputs_to("127.0.0.1:9"))
        self.refuse_at(text, '"name"', "second channel named 'chamber_pressure'")
        text["sources"][1]["channels"] = channels("b_")
        text["sources"][1]["name"] = "udp"
        self.refuse_at(text, '"name"', "second source named 'udp'")

    def test_things_that_do_not_exist(self):
        for change, key, words in (
            (lambda c: c["sources"][0].update(ring="nowhere"), '"ring"', ["no ring", "nowhere"]),
            (lambda c: c["sources"][0].update(worker="nobody"), '"worker"', ["no worker", "nobody"]),
            (lambda c: c["rules"][0].update(channel="nothing"), '"channel"', ["nothing"]),
            (lambda c: c["outputs"][0].update(acknowledge="nowhere"), '"acknowledge"', ["nowhere"]),
            (lambda c: c["rings"].append({"name": "idle"}), '"name"', ["no source writes ring 'idle'"]),
        ):
            text = self.good()
            change(text)
            self.refuse_at(text, key, *words)

    def test_rules_that_can_never_act(self):
        """IL-074"""
        text = self.good()
        for limit in (500, 500.5, -1, 1e30):
            text["rules"][0]["high"] = limit
            self.refuse_at(text, '"high"', "outside", "chamber_pressure", "0 to 500")
        text["rules"][0].update(high=100, low=120)
        self.refuse_at(text, "{", "low 120", "high 100")
        text = self.good()
        del text["rules"][0]["high"]
        self.refuse_at(text, "{", "high, low or both")
        text = self.good()
        text["rules"] = []
        self.refuse_at(text, '"outputs"', "no rule")
        text = self.good()
        text["outputs"] = []
        self.refuse_at(text, '"rules"', "nothing")
        for word in (".nan", ".inf", "-.inf", "1e999", "nan"):
            text = self.good()
            text["rules"][0]["high"] = "@"
            self.refuse_at(json.dumps(text, indent=1).replace('"@"', word), '"high"')

    def test_all_errors_at_once(self):
        text = self.good()
        text["control"]["core"] = 4711
        text["rings"][0]["slots"] = 1000
        text["rules"][0]["channel"] = "nothing"
        said = self.refuse_at(text, '"core"')
        for word in ("4711", "1000", "nothing", "3 errors"):
            self.assertIn(word, said)

    def test_files_that_are_no_configuration(self):
        missing = self.path("missing.yaml")
        self.assertIn("No such file", self.refuse(missing))
        self.assertIn(missing, self.refuse(missing))
        self.assertIn(self.dir, self.refuse(self.dir))
        os.mkfifo(self.path("pipe"))
        self.refuse(self.path("pipe"))
        self.refuse("/dev/zero")
        for name, data in (
            ("empty", b""),
            ("blank", b" \n\n"),
            ("comment", b"# only a comment\n"),
            ("null", b"---\n...\n"),
            ("word", b"hello\n"),
            ("list", b"- a\n- b\n"),
            ("binary", bytes(range(256)) * 16),
            ("zeros", bytes(4096)),
            ("half", json.dumps(self.good(), indent=1).encode()[:-200]),
            ("tabs", b"instance: a\nrings:\n\t- name: x\n"),
            ("utf16", json.dumps(self.good()).encode("utf-16")[:-1]),
            ("latin1", b"instance: caf\xe9\n"),
            ("deep", b"[" * 20000),
            ("alias", b"a: &a [x]\ninstance: *a\n"),
            ("bomb", b"a: &a [x,x]\n" + b"".join(b"b%d: &b%d [*a,*a]\n" % (i, i) for i in range(50))),
            ("long", b"#" * (1 << 20) + b"\n"),
        ):
            with self.subTest(name):
                self.assertNotEqual(self.refuse(self.write(data)).strip(), "")

    def test_a_key_twice_and_a_second_document(self):
        text = json.dumps(self.good(), indent=1)
        twice = text.replace('"instance":', '"instance": "other",\n "instance":', 1)
        self.assertIn("instance", self.refuse(self.write(twice)))
        self.refuse(self.write(text + "\n---\n" + text))

    def test_what_only_the_start_finds(self):
        """A good file that this machine refuses: a clear message, exit 2, nothing left."""
        for change, words in (
            (lambda c: c["outputs"][0].update(kind="file", target=self.path("no/such/dir/file")), ["no/such/dir/file"]),
            (lambda c: c["outputs"][0].update(target="127.0.0.1"), ["ADDRESS:PORT"]),
            (lambda c: c["sources"][0].update(listen="192.0.2.1:5000"), ["192.0.2.1", "5000"]),
        ):
            text = self.good()
            change(text)
            begun = subprocess.run([os.path.join(BIN, "sluiced"), self.write(text)], env=self.environment,
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(begun.returncode, 2, begun)
            for word in words:
                self.assertIn(word, begun.stderr)
            self.assertFalse(os.path.exists(os.path.join(self.run_dir, self.instance)), "a run directory was left")

    def test_run_directory_that_cannot_be(self):
        with open(self.run_dir, "wb"):
            pass  # a file where the directory should be
        begun = subprocess.run([os.path.join(BIN, "sluiced"), self.write(self.good())], env=self.environment,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(begun.returncode, 2, begun)
        self.assertIn(self.run_dir, begun.stderr)
        os.unlink(self.run_dir)
        self.environment["SLUICE_RUN_DIR"] = self.path("long" * 60)
        begun = subprocess.run([os.path.join(BIN, "sluiced"), self.write(self.good())], env=self.environment,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(begun.returncode, 2, begun)
        self.assertIn("SLUICE_RUN_DIR", begun.stderr)
        self.assertFalse(os.path.exists(self.environment["SLUICE_RUN_DIR"]), "a run directory was left")


if __name__ == "__main__":
    support.main()
