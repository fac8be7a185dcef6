#!/usr/bin/env python3
"""Twenty sources of different kinds in one server, on one worker: each is broken in a way of its own and mended, one after
the other. Meanwhile every other goes on: each frame that was sent to it is in its ring, nothing of it is lost, and no
counter of trouble moves. The broken one has its cause counted and said, and comes back."""
import support
import twenty_ends
from support import Actuator, config, outputs_to

EACH = 3  # frames that each gets for each break; polls that each answers
LINES_MOST = 4  # in the log for one break: what is wrong, perhaps in two words; that it is over
QUIET = ("connects", "disconnects", "gap_records", "noise_bytes", "duplicated", "reordered", "polls_failed", "residual")


def trouble(stream):
    """Every counter that stands still where nothing is wrong, as one map."""
    counts = {key: stream[key] for key in QUIET}
    for group in ("refused", "lost"):
        counts |= {f"{group}.{key}": value for key, value in stream[group].items()}
    return counts


def differences(before, now):
    return {key: now[key] - before[key] for key in now if now[key] != before[key]}


def fits(wanted, found, perhaps=()):
    """All that is wanted (None: one or more) and nothing else, but perhaps of these keys."""
    there = all(found.get(key, 0) >= 1 if n is None else found.get(key, 0) == n for key, n in wanted.items())
    return there and set(found) <= {*wanted, *perhaps}


class Twenty(support.Case):
    def begin(self):
        self.ends = {name: kind(self, name, f"s{n}_") for n, (name, kind) in enumerate(twenty_ends.KINDS.items())}
        sources = [end.source() for end in self.ends.values()]
        self.assertGreaterEqual(len(sources), 20)
        rules = [{"name": "overpressure", "channel": sources[0]["channels"][0]["name"], "high": 150}]
        text = config(self.instance, sources, outputs_to(Actuator(self).target), rules, slots=1024)
        self.running = self.server(text).start()
        for end in self.ends.values():
            end.connected()
        self.wait_streams(lambda s: all(stream["open"] for stream in s.values()), "every source to be open")

    def streams(self):
        status = self.running.status()
        return {s["name"]: s for s in status["streams"]} if status is not None else {}

    def wait_streams(self, condition, what, name=None):
        """name -> stream, once this is so; of which one, if of one."""
        last = {}

        def good():
            last.clear()
            last.update(self.streams())
            return last if last and condition(last) else None

        return dict(support.wait_until(good, lambda: f"{what}; found {last.get(name, last)}"))

    def arrived(self, name, stream, before):
        """All that was sent to it; or, of one that is asked, a few answers more."""
        end = self.ends[name]
        return stream["delivered"] >= (end.next - end.own_lost if end.numbered else before[name]["delivered"] + EACH)

    def all_send(self, names):
        for name in names:
            if self.ends[name].numbered:
                self.ends[name].send(EACH)

    def all_well(self, names, before, what):
        """These got what was sent to them, exactly, and have no trouble since."""
        self.all_send(names)
        streams = self.wait_streams(lambda s: all(self.arrived(name, s[name], before) for name in names), what)
        for name in names:
            self.assertEqual(differences(trouble(before[name]), trouble(streams[name])), {}, f"{name} while {what}")
            self.exactly(name, streams[name])
        return streams

    def exactly(self, name, stream):
        self.assert_balanced(stream)
        self.assertTrue(stream["open"], stream)
        if self.ends[name].numbered:
            self.assertEqual(stream["delivered"], self.ends[name].next - self.lost[name], stream)

    def breaks(self, name, before):
        end = self.ends[name]
        others = [other for other in self.ends if other != name]
        from_byte = len(self.running.log())

        def found(streams):
            return differences(trouble(before[name]), trouble(streams[name]))

        end.fault()
        self.wait_streams(lambda s: fits(end.seen, found(s), end.after), f"{name} to count {end.seen}", name)
        self.all_well(others, before, f"{name} is broken")
        end.mend()
        self.lost[name] = end.own_lost
        if end.numbered:
            self.wait_streams(lambda s: s[name]["open"] and s[name]["connects"] == before[name]["connects"] +
                              {**end.seen, **end.after}.get("connects", 0), f"{name} to be open again", name)
            end.send(EACH)
        wanted = {**end.seen, **end.after}
        after = self.wait_streams(lambda s: self.arrived(name, s[name], before) and fits(wanted, found(s)),
                                  f"frames of {name} again, and {wanted} counted", name)
        self.exactly(name, after[name])
        self.said(name, self.running.log()[from_byte:])
        return self.all_well(list(self.ends), after, f"{name} is mended")

    def said(self, name, log):
        """Its words, and no flood of them; nothing about any other."""
        end = self.ends[name]
        lines = [line for line in log.splitlines() if "source " in line]
        self.assertEqual([line for line in lines if f"source {name}: " not in line], [], log)
        self.assertLessEqual(len(lines), LINES_MOST, log)
        if end.said is not None:
            self.assertIn(end.said, "\n".join(lines))

    def test_one_after_another_breaks_and_all_others_go_on(self):
        self.begin()
        self.lost = dict.fromkeys(self.ends, 0)
        streams = self.streams()
        streams = self.all_well(list(self.ends), streams, "nothing is broken")
        for name in self.ends:
            streams = self.breaks(name, streams)
        self.assertEqual({name: s["residual"] for name, s in self.streams().items()}, dict.fromkeys(self.ends, 0))
        self.numbers_are_whole()
        status = self.running.status()
        self.assertEqual({p["restarts"] for p in status["processes"]}, {0})
        # Every ring has a place of its own on the supervisor's board: the processes' names stand behind them.
        self.assertEqual({p["name"] for p in status["processes"]}, {"sluiced", "control", "sensors", "observer"})
        self.assertEqual([r["ring"] for r in status["rings"] if not 0 <= r["rate_hz"] < 1e6], [])
        self.assertEqual(self.running.end(), 0, self.running.log())
        self.assert_nothing_left(self.running)

    def numbers_are_whole(self):
        """The rings have the frames in their order, each once."""
        for name, end in self.ends.items():
            if not end.numbered or name == "text":
                continue
            tail = self.running.tail(name, "--oldest", "--count", str(self.running.stream(name)["delivered"]))
            tail.process.wait(support.PATIENCE_S)
            numbers = [frame["source_sequence"] for frame in tail.lines() if "source_sequence" in frame and "gap" not in frame]
            self.assertEqual(numbers, sorted(set(numbers)), name)
            self.assertGreater(len(numbers), 20 * EACH, name)


if __name__ == "__main__":
    support.main()
