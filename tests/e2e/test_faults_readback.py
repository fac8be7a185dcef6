#!/usr/bin/env python3
"""Valves that do not do what they are told, limit switches that lie, rules that hold or latch one output, votes."""
import faults_bench
import support
from faults_bench import BOTH, Bench, FaultCase, Plant, config
from support import wait_until

RELIEF = frozenset({"relief"})
SPIKE = {"channel": "chamber_pressure", "value": 170, "samples": 1}


class Readback(FaultCase):
    group = "readback"

    def test_faults(self):
        self.plant = Plant(self)
        self.bench = Bench(self, self.plant, config(self, self.plant, readback=True))
        self.valves()
        self.arming()
        self.write_rows()

    def cure(self):
        self.plant.inject("valve_returns")
        self.plant.inject("readback_returns")

    def trips(self, fault, what, **values):
        how = " ".join([what, *(f"{k}={v}" for k, v in values.items())])
        self.bench.trips(fault, how, lambda: self.plant.inject(what, **values), ("readback", "valves", None), cure=self.cure)

    def valves(self):
        self.trips("relief valve opens by itself", "valve_falls", valve="relief")
        self.trips("supply valve shuts by itself", "valve_falls", valve="supply")
        self.trips("limit switches lost (no bit set)", "readback_wrong", value=0)
        self.trips("limit switches contradict each other", "readback_wrong", value=15)
        self.welded()

    def welded(self):
        """It is told to open and does not: the rest is safe, and no reset is accepted until it moves."""
        bench = self.bench
        fault = "relief valve welded, then a peak"

        def verdict():
            bench.armed()
            self.plant.inject("valve_welded", valve="relief")
            at = self.plant.inject("spike", **SPIKE)
            when, who = bench._dropped(fault, at)
            self.assertEqual(who, "control")
            name = bench._first_out(fault, ("high", None, "overpressure"))
            bench.server.wait_status(lambda s: any(c["kind"] == "readback" for c in s["interlock"]["causes"])
                                     and len(s["interlock"]["causes"]) == 1, "the welded valve as the only cause")
            for _ in range(3):
                done = bench.server.cli("reset", bench.server.instance)
                self.assertEqual(done.returncode, 1, "a reset with a welded valve")
            self.assertEqual(bench.server.cli("arm", bench.server.instance).returncode, 1)
            bench.assert_safe_since(fault, when)
            self.cure()
            bench._no_rearm(fault, when)
            self.row(fault, "valve_welded valve=relief, spike of 170 kPa", "both lines dropped by control; reset refused while welded",
                     name, when - at, bench.reported(fault, bench.interlock()["trips"]))

        bench._try(fault, verdict)

    def arming(self):
        """Told to shut and does not: FAULT, and only a new control process leaves it."""
        bench = self.bench
        fault = "relief valve does not move while arming"

        def verdict():
            bench.armed()
            bench.server.cli("trip", bench.server.instance)
            bench.server.wait_state("tripped")
            wait_until(lambda: bench.server.cli("reset", bench.server.instance).returncode == 0, "the reset")
            self.plant.inject("valve_welded", valve="relief")
            at = self.plant.truth.lines()[-1][0] + 1
            bench.server.cli("arm", bench.server.instance)
            ended = bench.server.wait_status(lambda s: s["interlock"]["state"] in ("fault", "tripped"), "an end of arming")
            if ended["interlock"]["state"] == "tripped":
                raise faults_bench.Disturbed(f"tripped while arming: {ended['interlock']['first_out']}")
            wait_until(lambda: self.plant.truth.now() == faults_bench.SAFE, "safe lines")
            changes = self.plant.truth.since(at)
            self.assertEqual([c[1] for c in changes], [BOTH, faults_bench.SAFE], "permit while arming, then safe for good")
            first = bench.interlock()["first_out"]
            self.assertEqual(first["kind"], "readback", first)
            self.cure()
            for command in ("reset", "arm"):
                self.assertEqual(bench.server.cli(command, bench.server.instance).returncode, 1, "out of FAULT")
            bench.steps()
            self.assertEqual(bench.interlock()["state"], "fault")
            bench.assert_safe_since(fault, changes[1][0])
            self.row(fault, "valve_welded valve=relief, arm", "both lines dropped by control; FAULT, reset refused", "readback",
                     changes[1][0] - changes[0][0], bench.reported(fault, bench.interlock()["trips"]))

        bench._try(fault, verdict)
        bench.restart()
        bench._try("a new server", bench.armed)


class Roles(FaultCase):
    group = "roles"

    def test_faults(self):
        """Rules that act on the supply alone: the relief's permit stays."""
        self.plant = Plant(self)
        supply = {"outputs": ["supply_open"]}
        rules = [*faults_bench.RULES, {"name": "shroud_hot", "channel": "shroud_temperature", "high": 120, **supply},
                 {"name": "coolant_high", "channel": "coolant_pressure", "high": 1000, "role": "hold", **supply}]
        self.bench = Bench(self, self.plant, config(self, self.plant, rules))
        self.partial("a rule that latches one output", "shroud_temperature", 150, returns=False)
        self.partial("a rule that holds one output, and returns", "coolant_pressure", 1100, returns=True)
        self.write_rows()

    def partial(self, fault, channel, value, returns):
        bench = self.bench

        def verdict():
            trips = bench.armed()
            at = self.plant.inject("offset", channel=channel, value=value)
            when, who = bench._dropped(fault, at, RELIEF)
            self.assertEqual(who, "control")
            bench.steps()
            bench.undisturbed()
            self.assertEqual(self.plant.truth.now(), RELIEF, fault)
            self.assertEqual(bench.interlock()["trips"], trips if returns else trips + 1, fault)
            self.plant.inject("sensor_returns")
            if returns:
                wait_until(lambda: self.plant.truth.now() == BOTH or bench.undisturbed(),
                           lambda: f"the supply to come back; {bench.interlock()}")
                self.row(fault, f"offset {channel} {value}", "supply dropped, relief kept; supply back by itself when clear",
                         "none", when - at)
                return
            first = bench.interlock()["first_out"]
            self.assertEqual((first["kind"], first["rule"]), ("high", "shroud_hot"), fault)
            bench.steps()
            bench.undisturbed()
            self.assertEqual([c for c in self.plant.truth.since(at) if c[1] != RELIEF], [], fault)
            self.assertEqual(bench.server.cli("reset", bench.server.instance).returncode, 0)
            bench.steps()
            self.assertEqual(self.plant.truth.now(), RELIEF, "a reset alone gave the output back")
            bench.server.cli("trip", bench.server.instance)
            bench.server.wait_state("tripped")
            self.row(fault, f"offset {channel} {value}", "supply dropped and latched, relief kept", "high shroud_hot", when - at,
                     bench.reported(fault, bench.interlock()["trips"]))

        bench._try(fault, verdict)


class Votes(FaultCase):
    group = "votes"

    def test_faults(self):
        """Three gauges, two of three trip."""
        self.plant = Plant(self)
        self.gauges = [Plant(self, "--seed", str(2 + n)) for n in range(2)]
        text = config(self, self.plant, [])
        for channel in text["sources"][0]["channels"]:  # that another one is put off is not the second bad gauge
            channel["stale_ms"] = support.STALE_MS
        for number, gauge in enumerate(self.gauges):
            ring = f"gauge{number}"
            pressure = support.channels(f"g{number}_")[:1]
            text["sources"].append(support.udp_source(gauge.udp_port, name=ring, ring=ring, channels=pressure))
            text["rings"].append({"name": ring, "slots": 4096})
        names = ["chamber_pressure", "g0_chamber_pressure", "g1_chamber_pressure"]
        text["conditions"] = [{"name": f"{name}_high", "channel": name, "high": 150} for name in names]
        text["rules"] = [{"name": "p_2oo3", "vote": 2, "of": [f"{name}_high" for name in names]}]
        self.bench = Bench(self, self.plant, text)
        for fault in ("sensor_gone", "sensor_nan"):
            self.degrades(fault)
        self.write_rows()

    def inject(self, gauge, what):
        if what == "sensor_gone":
            return gauge.inject(what, stream="udp")
        return gauge.inject(what, channel="chamber_pressure")

    def heal(self):
        for plant in (self.plant, *self.gauges):
            plant.inject("sensor_returns")
        self.bench.server.wait_status(lambda s: all(c["quality"] == "good" for c in s["channels"]), "good gauges")

    def cured(self, bench):
        super().cured(bench)
        self.heal()

    def degrades(self, what):
        bench = self.bench
        vote = ("vote", None, "p_2oo3")
        name = "g0_chamber_pressure"

        def bad(status):
            return next(c for c in status["channels"] if c["name"] == name)["quality"] != "good"

        word = {"sensor_gone": "gone", "sensor_nan": "NaN"}[what]
        bench.holds_on(f"2oo3: one gauge {word}", what, lambda: self.inject(self.gauges[0], what), bad, cure=self.heal)

        def one_bad_and_a_peak():
            self.inject(self.gauges[0], what)
            bench.server.wait_status(bad, "the gauge to be bad")
            return self.gauges[1].inject("spike", **SPIKE)

        bench.trips(f"2oo3: one gauge {word}, another sees a peak", f"{what}, spike of 170 kPa", one_bad_and_a_peak, vote, cure=self.heal)

        def two_bad():
            self.inject(self.gauges[0], what)
            bench.server.wait_status(bad, "the gauge to be bad")
            return self.inject(self.gauges[1], what)

        bench.trips(f"2oo3: two gauges {word}", f"{what}, {what}", two_bad, vote, cure=self.heal)


if __name__ == "__main__":
    support.main()
