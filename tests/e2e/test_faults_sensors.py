#!/usr/bin/env python3
"""Faults of sensors and of what they send: those that hide the pressure trip, those that hide nothing do not."""
import socket

import faults_bench
import support
from faults_bench import Bench, FaultCase, Plant, config, tai_ns
from support import wait_until

CHAMBER = {"channel": "chamber_pressure"}


class Sensors(FaultCase):
    group = "sensors"

    def lost(self, cause, count):
        return lambda s: s["streams"][0]["lost"][cause] >= count

    def test_faults(self):
        plant = Plant(self, "--tty", self.path("tty"))
        text = config(self, plant, [*faults_bench.RULES, {"name": "coolant_lost", "channel": "s_coolant_pressure", "low": 50}])
        # Its other channels would share the faults of the UDP stream's.
        coolant = support.channels("s_", stale_ms=faults_bench.STALE_MS)[1:2]
        serial = support.serial_source(self.path("tty"), "s_", channels=coolant)
        text["sources"].append(serial)
        text["rings"].append({"name": "serial", "slots": 4096})
        self.bench = Bench(self, plant, text)
        self.values()
        self.frames()
        self.harmless()
        self.accident()
        self.write_rows()

    def heal(self):
        self.bench.plant.inject("sensor_returns")

    def trips(self, fault, what, first, **values):
        how = " ".join([what, *(f"{k}={v}" for k, v in values.items())])
        self.bench.trips(fault, how, lambda: self.bench.plant.inject(what, **values), first, cure=self.heal)

    def values(self):
        self.trips("sensor stuck", "sensor_stuck", ("stuck", None, "stuck_gauge"), **CHAMBER)
        self.trips("sensor shows NaN", "sensor_nan", ("not_finite", "chamber_pressure", None), **CHAMBER)
        self.trips("sensor shows +infinity", "sensor_inf", ("not_finite", "chamber_pressure", None), **CHAMBER)
        self.trips("noise beyond what the vessel can do", "noise", ("rate", None, "ramp"), sigma=8, **CHAMBER)
        self.trips("sensor gone", "sensor_gone", ("stale", "chamber_pressure", None), stream="udp")
        self.trips("drift out of the channel's range", "drift", ("range", "article_temperature", None),
                   channel="article_temperature", value=400)
        self.trips("spike of one sample", "spike", ("high", None, "overpressure"), value=170, samples=1, **CHAMBER)
        self.trips("change too fast, below every limit", "offset", ("rate", None, "ramp"), value=30, **CHAMBER)

    def frames(self):
        self.trips("late frame with a peak, out of order", "reorder", ("high", None, "overpressure"), stream="udp", value=170,
                   **CHAMBER)
        self.trips("frozen publisher, numbers and stamps fresh", "frozen", ("heartbeat", None, "box_alive"), stream="udp")
        self.trips("sender repeats its last frame for ever", "repeats", ("stale", "chamber_pressure", None), stream="udp")
        self.trips("every frame corrupted (CRC)", "corrupt", ("stale", "chamber_pressure", None), stream="udp", frames=1000000)
        self.trips("every frame cut short", "cut", ("stale", "chamber_pressure", None), stream="udp", frames=1000000, bytes=20)
        self.trips("serial line hangs up for 0.1 s", "tty_hangup", ("stale", "s_coolant_pressure", None), for_s=0.1)

    def harmless(self):
        bench = self.bench

        def changes_nothing(fault, what, seen_when, cure=None, **values):
            how = " ".join([what, *(f"{k}={v}" for k, v in values.items())])
            bench.holds_on(fault, how, lambda: bench.plant.inject(what, **values), seen_when, cure)

        def stream(key):
            return bench.server.stream("udp")[key]

        before = bench.server.stream("udp")
        changes_nothing("flood of duplicates", "duplicate", lambda s: s["streams"][0]["duplicated"] > before["duplicated"] + 500,
                        cure=self.heal, stream="udp", frames=1000)
        changes_nothing("gap in the sender's numbers", "gap", self.lost("sender", before["lost"]["sender"] + 100), stream="udp",
                        frames=100)
        changes_nothing("two frames out of order", "reorder", lambda s: s["streams"][0]["reordered"] > before["reordered"],
                        stream="udp")
        malformed = stream("lost")["malformed"]
        changes_nothing("five frames corrupted (CRC)", "corrupt", self.lost("malformed", malformed + 5), stream="udp", frames=5)
        delivered = stream("delivered")
        changes_nothing("samples far too fast", "flood", lambda s: s["streams"][0]["delivered"] > delivered + 2000, stream="udp",
                        frames=2000)
        changes_nothing("sensor's own clock an hour ahead", "sensor_clock", None, cure=self.heal, stream="udp", value=3600)
        noise = bench.server.stream("serial")["noise_bytes"]
        changes_nothing("garbage on the serial line", "tty_noise", lambda s: bench.server.stream("serial", s)["noise_bytes"] > noise,
                        bytes=300)
        self.stranger()

    def accident(self):
        """What the whole is for: no sensor lies, the pressure is real."""
        self.bench.trips("cooling fails: the pressure is real", "cooling_fails loop=secondary",
                         lambda: self.bench.plant.inject("cooling_fails", loop="secondary"), ("high", None, "overpressure"),
                         cure=lambda: self.bench.plant.inject("cooling_returns", loop="secondary"))
        self.assertEqual(list(self.bench.truth.events("burst")), [], "the chamber burst")

    def stranger(self):
        """Good frames with a peak in them, but from an address that is not the sensor's."""
        bench = self.bench
        refused = bench.server.stream("udp")["refused"]["stranger"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.2", 0))

            def inject():
                at = tai_ns()
                for number in range(200):
                    sender.sendto(support.frame(number, pressure=499), ("127.0.0.1", bench.plant.udp_port))
                return at

            bench.holds_on("frames from a stranger, with a peak", "200 datagrams from 127.0.0.2", inject,
                           lambda s: s["streams"][0]["refused"]["stranger"] >= refused + 200)


if __name__ == "__main__":
    support.main()
