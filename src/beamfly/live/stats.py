"""Figures of one detector in a flight: `FlyStats`, and their words."""

from dataclasses import dataclass, field

from beamfly.panda.responses import EndReason

WELL_ENDED = (EndReason.OK.value, EndReason.DISARMED.value)
"""End reasons of a PandA that are no failure."""


@dataclass
class FlyStats:
    """How far one detector is, and what is missing."""

    name: str
    """Of the detector."""
    frames: int = 0
    """Rows announced."""
    expected: int | None = None
    """Rows that the plan wants, None if it did not say."""
    rate_now: float = 0.0
    """Rows per second over the last second, by hardware time if there is one."""
    rate_mean: float = 0.0
    """Rows per second since the first row."""
    seconds: float = 0.0
    """From the first row to the last."""
    hardware_time: bool = False
    """Whether rates are those of the hardware, or of announcements."""
    missed_by: dict[str, int] = field(default_factory=dict[str, int])
    """Source -> rows missing by it; sources without any are not in it.

    `before the start`: the PandA had taken them when its data port was connected.
    `gaps in time`: steps of several periods, where the plan said what the period is.
    `frame numbers`: the camera's own count has jumped.
    `not taken`: fewer than the plan wanted, once the run has stopped."""
    places: str = ""
    """Where hardware says that rows are missing, in words."""
    breaks: str = ""
    """Where a scan that looks periodic skips periods, in words; nobody said that rows
    should be there, so they do not count as missed."""
    backlog_s: float | None = None
    """Seconds that the latest row is behind, None if no hardware tells the time."""
    bytes_per_row: int = 0
    """Of all its fields."""
    reported: bool = False
    """Whether its plan has said itself what became of it, as `fly` does."""
    end_reason: str = ""
    """Why a PandA ended its acquisition; empty while it runs."""
    path: str = ""
    """File with its rows."""
    unread: int = 0
    """Rows announced that were not read here yet."""

    @property
    def missed(self) -> int:
        """Rows missing, by all sources."""
        return sum(self.missed_by.values())

    @property
    def eta_s(self) -> float | None:
        """Seconds until the last row, None if that cannot be told."""
        if self.expected is None or self.rate_now <= 0:
            return None
        return max(0, self.expected - self.frames) / self.rate_now

    @property
    def fraction(self) -> float | None:
        """How much of it is done, from 0 to 1; None if that cannot be told."""
        return None if not self.expected else min(1.0, self.frames / self.expected)

    @property
    def bytes(self) -> int:
        """Of all rows announced."""
        return self.frames * self.bytes_per_row

    @property
    def missed_words(self) -> str:
        """Missing rows by source, such as `missed 3 (3 gaps in time: ...)`."""
        breaks = f", breaks (in periods): {self.breaks}" if self.breaks else ""
        if not self.missed_by:
            return f"missed 0{breaks}"
        told = ", ".join(
            f"{count} {source}" for source, count in self.missed_by.items()
        )
        return (
            f"missed {self.missed} ({told}{': ' + self.places if self.places else ''})"
        )

    def figures(self) -> list[str]:
        """What a line says of it, most important first."""
        if not self.frames:
            return ["waiting for the first row"]
        told = [f"{self.rate_now:.4g} Hz"] if self.rate_now else []
        told.append(f"missed {self.missed}")
        left = self.eta_s
        if left is not None and self.frames < (self.expected or 0):
            told.append(f"{_duration(left)} left")
        if self.backlog_s is not None:
            told.append(f"behind {self.backlog_s:.2g} s")
        if self.rate_now and self.bytes_per_row:
            told.append(f"{_size(self.rate_now * self.bytes_per_row)}/s")
        return told

    @property
    def count(self) -> str:
        """Rows, of how many, and the percentage, such as `612/1000  61 %`."""
        if self.expected is None:
            return f"{self.frames} rows"
        return f"{self.frames}/{self.expected} {int(100 * (self.fraction or 0)):3d} %"

    def line(self) -> str:
        """All of it in one line."""
        return "  ".join([self.name, self.count, *self.figures()])

    def summary(self) -> str:
        """What became of it, in one line, once the run has stopped."""
        wanted = "" if self.expected is None else f" of {self.expected}"
        told = f"{self.name}: {self.frames}{wanted} rows"
        if self.rate_mean:
            how = "" if self.hardware_time else ", as they were announced"
            told += f" in {self.seconds:.3g} s ({self.rate_mean:.4g} Hz{how})"
        ended = f", ended by {self.end_reason}" if self._ended_badly else ""
        return f"{told}, {self.missed_words}{ended}, {self.path or 'no file'}"

    @property
    def _ended_badly(self) -> bool:
        return bool(self.end_reason) and self.end_reason not in WELL_ENDED


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
