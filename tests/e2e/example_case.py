"""Examples of tools/examples that are run: the far ends are made, frames go in, and the channels say what was sent. What has
to be another in a test (paths, addresses, what a stand-in cannot do) is a list beside each; a text of that list that the
example has no longer is an error."""
import contextlib
import os
import re
import threading

import support

FOLDER = os.path.join(support.ROOT, "tools/examples")
FEED_S = 0.02


def kinds():
    """Every kind of source that a configuration can have."""
    with open(os.path.join(support.ROOT, "daq/config.c"), encoding="utf-8") as file:
        return set(re.findall(r'\{"(\w+)", SOURCE_', file.read()))


class Example:
    """name: of the file; changes(): old text -> new text; feed(): once more, what its ends give; wanted: values of channels."""

    name = None
    wanted = {}
    close = 1e-4
    ends_wanted = {}  # source -> frames that it has at least, where no channel tells

    def __init__(self, case):
        self.case = case
        self.sent = 0

    def changes(self):
        raise NotImplementedError

    def feed(self):
        """What gives by itself needs none."""

    @contextlib.contextmanager
    def feeding(self):
        """Again and again meanwhile."""
        ended, wrong = threading.Event(), []

        def run():
            try:
                while not ended.wait(FEED_S):
                    self.feed()
            except Exception as exception:  # it is the test's
                wrong.append(exception)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)
            if wrong:
                raise wrong[0]

    def after(self, server):
        """What else is to be seen."""


class Case(support.Case):
    """Has `examples`: name -> Example; and what is changed in each of them."""

    examples = {}
    common = {}

    @classmethod
    def add_tests(cls, kinds):
        cls.examples = {kind.name: kind for kind in kinds}
        for each in cls.examples:
            setattr(cls, f"test_{each}", lambda self, name=each: self.runs(name))

    def text_of(self, example):
        """The file with its changes; a file that stands for a valve is one of this test's."""
        with open(os.path.join(FOLDER, f"{example.name}.yaml"), encoding="utf-8") as file:
            text = file.read()
        changes = {**self.common, **example.changes()}
        for old, new in changes.items():
            self.assertIn(old, text, f"{example.name}.yaml has no '{old}' any more: change this test with it")
            text = text.replace(old, new)
        text = re.sub(rf"/tmp/{example.name}-\w+", self.path("valve"), text)
        return text.replace("core: 1 ", "core: 0 ") if os.cpu_count() < 2 else text

    def runs(self, name):
        self.run_example(self.examples[name](self))

    def run_example(self, example):
        text = self.text_of(example)
        server = self.server(text)
        server.instance = next(line.split()[1] for line in text.splitlines() if line.startswith("instance:"))
        server.start()
        with example.feeding():
            status = server.wait_status(lambda s: self.is_good(example, s), f"{example.wanted} and {example.ends_wanted}")
        for stream in status["streams"]:
            self.assert_balanced(stream)
            self.assertGreater(stream["delivered"], 0, stream)
            self.assertEqual(sum(stream["lost"].values()), 0, stream)
        example.after(server)
        self.assertEqual(server.end(), 0, server.log())
        self.assert_nothing_left(server)

    @staticmethod
    def is_good(example, status):
        values = {c["name"]: c["value"] for c in status["channels"] if c["quality"] == "good"}
        delivered = {s["name"]: s["delivered"] for s in status["streams"]}
        return (all(abs(values.get(n, 1e9) - value) < example.close for n, value in example.wanted.items())
                and all(delivered[n] >= count for n, count in {**dict.fromkeys(delivered, 1), **example.ends_wanted}.items()))
