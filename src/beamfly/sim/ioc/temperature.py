"""A simulated temperature controller."""

import random
from collections.abc import Callable
from math import exp, inf
from typing import Any

from beamfly.ca import PV, Put
from beamfly.errors import BadValue

ROOM = 25.0
"""Where it begins, degC."""
_PERIOD = 0.5
"""Seconds between two readings."""
_LAG = 2.0
"""Seconds that the sample lags behind the controller."""
_NEAR = 0.5
"""Kelvin from the setpoint that count as there."""


class TemperatureController:
    """A setpoint, a ramp rate, and a reading with noise that lags behind.

    Args:
        seed: Of the noise; the same seed gives the same noise.
    """

    def __init__(self, seed: int = 1) -> None:
        self.wake: Callable[[], object] = lambda: None
        self._noise = random.Random(seed)
        self._ramp = self._sample = ROOM
        self._then: float | None = None
        shown: dict[str, Any] = {"units": "degC", "precision": 2}
        self._setpoint = PV(
            ROOM, drvh=500.0, drvl=-190.0, description="wanted temperature", **shown
        )
        self._rate = PV(
            5.0,
            units="K/s",
            precision=2,
            description="speed of the ramp",
            on_put=self._positive,
        )
        self._readback = PV(
            ROOM,
            description="sample temperature",
            writable=False,
            record="ai",
            hopr=500.0,
            lopr=-200.0,
            high=400.0,
            hihi=450.0,
            **shown,
        )
        self._reached = PV(
            1,
            states=("No", "Yes"),
            description="at the setpoint",
            writable=False,
            record="bi",
        )
        self._spread = PV(
            0.02,
            units="K",
            precision=3,
            description="of the reading",
            on_put=self._not_negative,
        )
        self.pvs = {
            ":setpoint": self._setpoint,
            ":readback": self._readback,
            ":rate": self._rate,
            ":reached": self._reached,
            ":noise": self._spread,
        }

    def advance(self, now: float) -> None:
        """Read the thermometer."""
        if self._then is None:
            self._then = now
        passed = now - self._then
        if passed < _PERIOD:
            return
        self._then = now
        self._heat(passed)
        noise = self._noise.gauss(0.0, self._spread.value)
        self._readback.post(self._sample + noise)
        near = abs(self._sample - self._setpoint.value) <= _NEAR
        if near != bool(self._reached.value):
            self._reached.post(int(near))

    def next_wakeup(self) -> float:
        """When the next reading is due."""
        return -inf if self._then is None else self._then + _PERIOD

    def _heat(self, seconds: float) -> None:
        """Solve the lag behind a ramp that ends at the setpoint."""
        target, rate = self._setpoint.value, self._rate.value
        left = target - self._ramp
        ramping = min(seconds, abs(left) / rate)
        slope = rate if left > 0 else -rate
        for span, rise in ((ramping, slope), (seconds - ramping, 0.0)):
            # behind a ramp the sample settles at a distance of slope times lag
            behind = self._sample - (self._ramp - rise * _LAG)
            self._ramp += rise * span
            self._sample = self._ramp - rise * _LAG + behind * exp(-span / _LAG)
        if ramping < seconds:
            self._ramp = target

    def _positive(self, put: Put) -> None:
        if not 0 < put.value < inf:
            msg = f"{put.name} has to be positive, not {put.value}; it was not changed"
            raise BadValue(msg)

    def _not_negative(self, put: Put) -> None:
        if not 0 <= put.value < inf:
            msg = f"{put.name} cannot be {put.value}; it was not changed"
            raise BadValue(msg)
