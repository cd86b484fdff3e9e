"""User, dial and raw coordinates of a motor record, and its soft limits.

user = dial * direction + OFF; dial = raw * MRES + what was set; raw counts steps.
"""

from typing import Any

from beamfly.ca import RecordGroup
from beamfly.sim.ioc.axis import Axis

_ROUNDING = 1e-9
"""Units by which a target may be beyond a limit, for the sake of float errors."""


class Coordinates:
    """Converts between them, by the fields of the record as they are now."""

    def __init__(self, record: RecordGroup, axis: Axis, zero: float = 0.0) -> None:
        self.record = record
        self.axis = axis
        self.zero = zero
        """Dial position where the axis' own is 0."""

    @property
    def direction(self) -> int:
        """1, or -1 where user coordinates go the other way."""
        return -1 if self.record["DIR"] else 1

    @property
    def steps_per_unit(self) -> float:
        """Raw counts per unit."""
        return abs(self.axis.drive.counts_per_unit)

    def user(self, dial: float) -> float:
        """From dial coordinates."""
        return dial * self.direction + self.record["OFF"]

    def dial(self, user: float) -> float:
        """From user coordinates."""
        return (user - self.record["OFF"]) * self.direction

    def raw(self, dial: float) -> int:
        """The nearest whole step."""
        return round((dial - self.zero) * self.steps_per_unit)

    def on_step(self, raw: int) -> float:
        """Dial position of a step."""
        # a division, as the resolution itself cannot be said exactly in binary
        return raw / self.steps_per_unit + self.zero

    def place(self, dial: float) -> float:
        """Where the axis goes for a dial position: to the nearest step."""
        return self.raw(dial) / self.steps_per_unit

    def raw_now(self, now: float) -> int:
        """The step where the axis is."""
        return round(self.axis.position(now) * self.steps_per_unit)

    def targets(self, dial: float) -> dict[str, Any]:
        """VAL, DVAL and RVAL of a dial position."""
        return {"VAL": self.user(dial), "DVAL": dial, "RVAL": self.raw(dial)}

    def readbacks(self, now: float) -> dict[str, Any]:
        """RBV and its like, and how far they are from the targets."""
        raw = self.raw_now(now)
        dial = self.on_step(raw)
        return {
            "RRBV": raw,
            "RMP": raw,
            "REP": raw,
            "DRBV": dial,
            "RBV": self.user(dial),
            "DIFF": self.record["DVAL"] - dial,
            "RDIF": self.raw(self.record["DVAL"]) - raw,
        }

    # ---- limits

    @property
    def limits(self) -> tuple[float, float] | None:
        """Soft limits in dial coordinates, None if there are none."""
        low, high = self.record["DLLM"], self.record["DHLM"]
        return None if low == high else (low, high)

    def beyond(self, dial: float) -> bool:
        """Whether a dial position is outside of the soft limits."""
        if self.limits is None:
            return False
        low, high = self.limits
        return not low - _ROUNDING <= dial <= high + _ROUNDING

    def user_limits(self) -> dict[str, Any]:
        """HLM and LLM that belong to DHLM and DLLM."""
        ends = [self.user(self.record["DLLM"]), self.user(self.record["DHLM"])]
        return {"HLM": max(ends), "LLM": min(ends)}

    def set_user_limit(self, high: bool, user: float) -> None:
        """HLM or LLM was put: DHLM or DLLM follows."""
        name = "DHLM" if high == (self.direction > 0) else "DLLM"
        self.record[name] = self.dial(user)

    def show_limits(self) -> None:
        """HLM, LLM and what clients see as display limits follow the dial's."""
        ends = self.user_limits()
        self.record.post(**ends)
        self.record.main.configure(hopr=ends["HLM"], lopr=ends["LLM"])
