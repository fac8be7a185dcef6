"""Registers of a UIO device that are read when its interrupt comes: each interrupt is one frame, without one the source is
stale, and the interlock trips by what a register holds."""
import buses
import fixtures
import support
from support import wait_until

LIMIT, GOOD, HIGH = 1500, 1000, 1501


class Registers(support.Case):
    def test_interrupts_bring_samples(self):
        window = buses.RegisterWindow(self)
        source = {"name": "card", "kind": "registers", "ring": "card", "device": window.path, "wait": "interrupt",
                  "data": {"at_byte": 0, "count_bytes": 8}, "acknowledge": {"at_byte": 4, "value": 90},
                  "interrupt_mask": {"at_byte": 8, "value": 1}, "period_ms": 1, "timeout_ms": 60000,
                  "channels": [{"name": "pressure", "at_byte": 0, "type": "u32", "byte_order": "little", "unit": "kPa",
                                "range": [0, 2000], "stale_ms": 60000}]}
        rules = [{"name": "too_high", "channel": "pressure", "high": LIMIT}]
        text = support.config(self.instance, [source], support.outputs_to(support.Actuator(self).target), rules,
                              **fixtures.settings())
        self.running = self.server(text).start()
        window.word(GOOD)
        for number in range(1, 9):
            window.interrupt()
            self.running.wait_status(lambda s, n=number: s["streams"][0]["delivered"] == n, f"frame {number}")
        stream = self.running.stream("card")
        self.assertEqual((stream["delivered"], stream["polls_failed"], stream["open"]), (8, 0, True), stream)
        self.assertEqual(self.running.status()["channels"][0]["value"], GOOD)
        fixtures.reset(self.running)
        wait_until(lambda: fixtures.command(self.running, support.ARM)[0] == 0, "arming")
        self.running.wait_state("armed")
        window.word(HIGH)
        window.interrupt()
        first = self.running.wait_state("tripped")["interlock"]["first_out"]
        self.assertEqual((first["rule"], first["value"]), ("too_high", HIGH), first)
        self.assert_balanced(self.running.stream("card"))
        self.assertEqual(self.running.end(), 0, self.running.log())
