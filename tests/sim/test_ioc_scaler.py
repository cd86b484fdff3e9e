"""The simulated scaler record, step by step."""

from typing import Any

import pytest
from tests.ca.server.link import Link, make_core

from beamfly.ca.messages import WriteNotifyReply
from beamfly.sim.ioc.scaler import ScalerRecord


class Bench:
    """`S`, whose channel 2 counts 1000 and channel 16 counts 3 per second."""

    def __init__(self) -> None:
        self.now = 50.0
        counters = {2: ("I0", lambda t: 1000 * t), 16: ("slow", lambda t: 3 * t)}
        self.scaler = ScalerRecord(counters, lambda: self.now)
        self.link = Link(make_core({"S": self.scaler.record}))

    def put(self, field: str, value: object) -> int:
        """How many puts it completed."""
        text = str(value).encode() + b"\0"
        return done(self.link.put(f"S.{field}", 0, text))

    def many(self, fields: str) -> list[Any]:
        return [self.scaler.record[field] for field in fields.split()]

    def wait(self, seconds: float) -> int:
        """How many puts were completed meanwhile."""
        end, found = self.now + seconds, 0
        while (due := self.scaler.next_wakeup()) <= end:
            self.now = max(self.now, due)
            self.scaler.advance(self.now)
            found += done(self.link.pump())
        self.now = end
        self.scaler.advance(end)
        return found + done(self.link.pump())


def done(messages: list[Any]) -> int:
    return sum(isinstance(each, WriteNotifyReply) for each in messages)


def test_counts_for_the_preset_time_and_completes_then() -> None:
    bench = Bench()
    bench.put("TP", 0.25)
    assert bench.many("PR1 G1") == [2_500_000, 1]
    assert bench.put("CNT", 1) == 0
    assert bench.wait(0.2) == 0
    assert bench.many("CNT") == [1]
    assert bench.many("S2") == [pytest.approx(200, abs=1)]
    assert bench.wait(0.1) == 1
    assert bench.many("CNT S1 S2 S3 S16 T") == [0, 2_500_000, 250, 0, 0, 0.25]
    assert bench.wait(10) == 0
    assert bench.many("S2") == [250]


def test_a_preset_of_another_channel_ends_it_to_the_count() -> None:
    bench = Bench()
    bench.put("TP", 100)
    bench.put("PR16", 4)
    assert bench.many("G16") == [1]
    bench.put("CNT", 1)
    assert bench.wait(2.0) == 1
    assert bench.many("S16 CNT") == [4, 0]
    assert bench.many("T") == [pytest.approx(4 / 3, abs=1e-3)]
    # gated off again
    bench.put("G16", "N")
    bench.put("CNT", 1)
    assert bench.wait(2.0) == 0


def test_the_clock_can_be_preset_in_ticks() -> None:
    bench = Bench()
    bench.put("PR1", 5e6)
    assert bench.many("TP") == [0.5]
    bench.put("CNT", 1)
    bench.wait(3)
    assert bench.many("S1 S2") == [5e6, 500]


def test_a_count_that_is_stopped_keeps_what_it_has() -> None:
    bench = Bench()
    bench.put("TP", 10)
    bench.put("CNT", 1)
    bench.wait(2.015)
    assert bench.put("CNT", 0) == 2
    assert bench.many("CNT S2 T") == [0, 2015, 2.015]


def test_it_waits_before_it_counts() -> None:
    bench = Bench()
    bench.put("DLY", 1)
    bench.put("CNT", 1)
    assert bench.wait(1.5) == 0
    assert bench.many("S2") == [pytest.approx(500, abs=101)]
    assert bench.wait(0.6) == 1
    assert bench.many("S2") == [1000]


def test_counts_by_itself_unless_somebody_counts() -> None:
    bench = Bench()
    bench.put("TP1", 0.5)
    bench.put("CONT", "AutoCount")
    bench.wait(0.55)
    assert bench.many("CNT S2") == [0, pytest.approx(50, abs=51)]
    bench.put("TP", 2)
    bench.put("CNT", 1)
    assert bench.wait(1.9) == 0
    assert bench.wait(0.2) == 1
    assert bench.wait(3.25) == 0
    bench.put("CONT", "OneShot")
    seen = bench.many("S2")
    bench.wait(2)
    assert bench.many("S2") == seen


@pytest.mark.parametrize(("field", "value"), [("TP", -1), ("TP", 0), ("PR2", -5)])
def test_presets_that_cannot_be(field: str, value: float) -> None:
    bench = Bench()
    before = bench.many("TP PR2 PR1")
    bench.put(field, value)
    assert bench.many("TP PR2 PR1") == before


def test_names_can_be_changed() -> None:
    bench = Bench()
    bench.put("NM3", "diode")
    assert bench.many("NM1 NM2 NM3 NM16") == ["clock", "I0", "diode", "slow"]
