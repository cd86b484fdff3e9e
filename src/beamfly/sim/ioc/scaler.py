"""A simulated scaler record: `ScalerRecord`, with counters that are functions of time.

A count ends at the moment at which a preset is reached, computed from the counters, and
not at the next look at them. A put of 1 to CNT is complete at the end of the count.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from math import floor, inf

from beamfly.ca import PV, Put, RecordGroup
from beamfly.errors import BadValue

CHANNELS = 16
CLOCK = 1e7
"""FREQ: counts per second of channel 1."""
_PERIOD = 0.1
"""Seconds between two looks at counters that count."""
_BISECTIONS = 50

Counter = Callable[[float], float]
"""How much was counted until a time, since any moment that stays the same."""


class Doing(IntEnum):
    """What the scaler does."""

    NOTHING = 0
    WAITING = 1
    """DLY or DLY1 passes before it counts."""
    COUNTING = 2


class ScalerRecord:
    """A scaler record with 16 channels; the first is a clock.

    Args:
        counters: Channel, from 2 on -> name and what it counts.
        clock: Seconds on the clock that counters go by.
        description: DESC.
    """

    def __init__(
        self,
        counters: Mapping[int, tuple[str, Counter]],
        clock: Callable[[], float],
        description: str = "",
    ) -> None:
        self.wake: Callable[[], object] = lambda: None
        self._clock = clock
        self._counters: dict[int, Counter] = {
            1: lambda now: (now - self._begun) * CLOCK,
            **{channel: counter for channel, (_, counter) in counters.items()},
        }
        names = {1: "clock", **{n: name for n, (name, _) in counters.items()}}
        self.record = _record(names, description)
        self.pvs: Mapping[str, RecordGroup] = {"": self.record}
        self._doing = Doing.NOTHING
        self._by_itself = False
        self._begun = 0.0
        self._looked = 0.0
        self._due = inf
        self._zero: dict[int, float] = {}
        self._waiting: list[Put] = []
        self._connect()

    def next_wakeup(self) -> float:
        """When it wants to look at its counters."""
        return self._due

    def advance(self, now: float) -> None:
        """Begin what is due, show what was counted, end a count that is over."""
        if now < self._due:
            return
        if self._doing is Doing.WAITING:
            self._begin(self._due)
        if self._doing is not Doing.COUNTING:
            return
        end = self._ended(now)
        self._show(now if end is None else end)
        self._looked, self._due = now, min(now + _PERIOD, self._expected())
        if end is not None:
            self._finish()

    # ---- puts

    def _connect(self) -> None:
        hooks: dict[str, Callable[[Put], None]] = {
            "CNT": self._count,
            "CONT": self._continue,
            "TP": self._preset_time,
            "PR1": self._preset_clock,
        }
        for field, hook in hooks.items():
            self.record.on_put(field, hook)
        for channel in range(2, CHANNELS + 1):
            self.record.on_put(f"PR{channel}", self._preset)

    def _count(self, put: Put) -> None:
        """CNT: 1 counts, 0 ends a count."""
        if put.value:
            if self._doing is not Doing.NOTHING and not self._by_itself:
                self._wait(put)
                return
            self._by_itself = False
            self._wait(put)
            self._start(self.record["DLY"])
            return
        if self._doing is Doing.COUNTING and not self._by_itself:
            now = self._clock()
            end = self._ended(now)
            self._show(now if end is None else end)
        if not self._by_itself:
            # whoever waits is told once CNT itself has been taken
            put.accept()
            self._finish()

    def _wait(self, put: Put) -> None:
        put.hold()
        self._waiting.append(put)

    def _continue(self, put: Put) -> None:
        """CONT: whether to count when nobody asks for it."""
        put.accept()
        if self._doing is Doing.NOTHING or self._by_itself:
            self._go_on()

    def _preset_time(self, put: Put) -> None:
        """TP is PR1 in seconds."""
        if not 0 < put.value < inf:
            msg = f"{put.name} has to be positive, not {put.value}; it was not changed"
            raise BadValue(msg)
        self.record.post(PR1=floor(put.value * CLOCK + 0.5), G1=1)

    def _preset_clock(self, put: Put) -> None:
        self._preset(put)
        put.accept()
        self.record.post(TP=put.value / CLOCK)

    def _preset(self, put: Put) -> None:
        """A channel with a preset is gated."""
        counts: float = put.value
        if not 0 <= counts < inf:
            msg = f"{put.name} cannot be {counts}; it was not changed"
            raise BadValue(msg)
        put.value = counts // 1
        pvs = self.record.pvs
        channel = next(n for n in self._channels() if pvs[f"PR{n}"] is put.pv)
        self.record[f"G{channel}"] = int(put.value > 0)

    # ---- counting

    @staticmethod
    def _channels() -> range:
        return range(1, CHANNELS + 1)

    def _start(self, delay: float) -> None:
        """Count after a delay."""
        self._doing = Doing.WAITING
        now = self._clock()
        self._due = now + delay
        self.record.post(SS=1)
        if not delay:
            self._begin(now)
        self.wake()

    def _begin(self, now: float) -> None:
        """Count from now on."""
        self._doing = Doing.COUNTING
        self._begun = self._looked = now
        self._zero = {n: counter(now) for n, counter in self._counters.items()}
        self._due = min(now + _PERIOD, self._expected())
        self._show(now)

    def _counted(self, channel: int, now: float) -> int:
        counter = self._counters.get(channel)
        if counter is None:
            return 0
        counted = counter(now) - self._zero[channel]
        # the clock's ticks are shorter than what is left of a time after rounding
        return round(counted) if channel == 1 else floor(counted + 1e-6)

    def _presets(self) -> dict[int, float]:
        """Channel -> counts at which a count ends."""
        if self._by_itself:
            return {1: self.record["TP1"] * CLOCK}
        gated = [n for n in self._channels() if self.record[f"G{n}"]]
        return {n: self.record[f"PR{n}"] for n in gated if n in self._counters}

    def _expected(self) -> float:
        """When the clock ends the count, if it does."""
        preset = self._presets().get(1)
        return inf if preset is None else self._begun + preset / CLOCK

    def _ended(self, now: float) -> float | None:
        """When the first preset was reached, None if none was."""
        ends = [self._reached(n, preset, now) for n, preset in self._presets().items()]
        return min((end for end in ends if end is not None), default=None)

    def _reached(self, channel: int, preset: float, now: float) -> float | None:
        """When a channel had counted so much, None if it has not yet."""
        if channel == 1:
            end = self._begun + preset / CLOCK
            return end if end <= now else None
        if self._counted(channel, now) < preset:
            return None
        before, after = self._looked, now
        for _ in range(_BISECTIONS):
            middle = (before + after) / 2
            if self._counted(channel, middle) >= preset:
                after = middle
            else:
                before = middle
        return after

    def _finish(self) -> None:
        """The count is over."""
        by_itself, self._by_itself = self._by_itself, False
        was, self._doing, self._due = self._doing, Doing.NOTHING, inf
        self.record.post(CNT=0, SS=0)
        if was is Doing.COUNTING and not by_itself:
            self.record["VAL"] = self.record["T"]
        waiting, self._waiting = self._waiting, []
        for put in waiting:
            put.finish()
        self._go_on()

    def _go_on(self) -> None:
        """Count by itself, if it is to."""
        self._by_itself = bool(self.record["CONT"])
        if self._by_itself:
            self._start(self.record["DLY1"])
        else:
            self._doing, self._due = Doing.NOTHING, inf
            self.record.post(SS=0)

    def _show(self, now: float) -> None:
        """What was counted until now."""
        with self.record.step():
            for channel in self._channels():
                self.record[f"S{channel}"] = self._counted(channel, now)
            self.record["T"] = self.record["S1"] / CLOCK


def _record(names: Mapping[int, str], description: str) -> RecordGroup:
    """A scaler record that does not count."""
    fields: dict[str, PV] = {
        "VAL": PV(0.0, units="s", precision=3, description=description),
        "CNT": PV(0, states=("Done", "Count")),
        "CONT": PV(0, states=("OneShot", "AutoCount")),
        "TP": PV(1.0, units="s", precision=3),
        "TP1": PV(1.0, units="s", precision=3),
        "T": PV(0.0, units="s", precision=3, writable=False),
        "FREQ": PV(CLOCK, units="Hz", writable=False),
        "RATE": PV(1 / _PERIOD, units="Hz"),
        "DLY": PV(0.0, units="s", precision=3),
        "DLY1": PV(0.0, units="s", precision=3),
        "NCH": PV(CHANNELS, type="short", writable=False),
        "CARD": PV(0, type="short", writable=False),
        "SS": PV(0, type="short", writable=False),
        "VERS": PV(3.19, type="float", precision=2, writable=False),
    }
    for channel in range(1, CHANNELS + 1):
        # 32 bits without a sign are real numbers in Channel Access
        preset = CLOCK if channel == 1 else 0.0
        fields[f"S{channel}"] = PV(0.0, writable=False)
        fields[f"PR{channel}"] = PV(preset)
        fields[f"G{channel}"] = PV(int(channel == 1), states=("N", "Y"))
        fields[f"D{channel}"] = PV(int(channel == 1), states=("Up", "Dn"))
        fields[f"NM{channel}"] = PV(names.get(channel, ""))
    return RecordGroup("scaler", fields)
