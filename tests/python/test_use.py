#!/usr/bin/env python3
"""Programs as people write them: what is left out, mistaken or kept for too long is told, and nothing is silently wrong."""
import package
import sluice
from package import PATIENCE_S, STEP_NS

TAI_NS = 1_795_718_081_000_000_000


class Case(package.Case):
    def setUp(self):
        super().setUp()
        self.ring = self.usual()
        self.tvac = self.attach()["tvac"]

    def publish(self, frames, first=0):
        """Frames of which each is STEP_NS newer than the one before."""
        self.ring(f"publish tvac {frames} {TAI_NS + first * STEP_NS} {STEP_NS}")


class Resuming(Case):
    """At a place that was kept: what has been overwritten since is counted."""

    def test_at_a_position(self):
        self.publish(10)
        with self.tvac.follow(start="oldest", timeout=0) as reader:
            self.assertEqual(sum(len(b) for b in reader), 10)
            saved = reader.position
        self.publish(100, 10)
        for place in ({"position": saved}, {"sequence": saved}):
            with self.subTest(str(place)), self.tvac.follow(**place, timeout=0) as reader:
                batches = list(reader)
                gone = batches[0].position - saved
                self.assertGreater(gone, 0)
                self.assertEqual([b.lost for b in batches], [gone] + [0] * (len(batches) - 1))
                self.assertEqual(reader.lost, gone)
                self.assertEqual(sum(len(b) for b in batches) + gone, 100)
                self.assertEqual(reader.seek(**place), batches[0].position)
                again = next(reader)
                self.assertEqual((again.lost, reader.lost), (gone, 2 * gone))
        with self.tvac.follow(start="oldest", timeout=0) as reader:
            self.assertEqual((next(reader).lost, reader.lost), (0, 0))

    def test_where_nothing_is_gone(self):
        """The place is there, or is not there yet; numbers never came."""
        self.publish(5)
        self.ring("gap tvac kernel 3")
        self.publish(5, 6)
        for place, first in (({"position": 2}, 2), ({"sequence": 3}, 3), ({"position": 0}, 0), ({"sequence": 0}, 0)):
            with self.subTest(str(place)), self.tvac.follow(**place, timeout=0) as reader:
                self.assertEqual((next(reader).position, reader.lost), (first, 0))
        with self.tvac.follow(position=10**6, timeout=0) as reader:
            self.assertEqual((reader.position, reader.lost), (11, 0))

    def test_fewer_than_were_asked_for(self):
        """last() and statistics of more frames than the ring has: nothing is lost by that."""
        from sluice import stats

        self.publish(200)
        self.assertEqual(self.tvac.last(frames=150).lost, 0)
        self.assertEqual(stats.summary(self.tvac, "pressure", frames=150).seen.lost, 0)


class Gating(package.Case):
    def test_a_gating_reader(self):
        """It does not go back: nothing is lost by asking it to."""
        self.udp_server(hz=500, slots=256, ring={"gating": {"readers_max": 2, "deadline_ms": 20000}})
        gating = self.follow("udp", self.attach(), mode="gating", start="oldest", timeout=PATIENCE_S)
        next(gating)
        before = gating.position
        self.assertEqual(gating.seek(position=0), before)
        self.assertEqual((next(gating).lost, gating.lost), (0, 0))


if __name__ == "__main__":
    package.main()
