"""What comes down the simulated beamline: `Beam`, as a share of the full beam.

Electrons in the ring decay and may be lost, a shutter opens and closes, slits cut. All
of it is known as a function of time, so photons are integrated, not sampled.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, inf

import numpy as np

from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.sim.paths import Array, positions

FULL_CURRENT = 200.0
"""mA with which the beam is a whole one."""
LIFETIME = 20.0
"""Hours in which a stored current decays to 1/e."""
_HOUR = 3600.0
_WIDTH = 0.4
"""Half width of the beam at the slits, mm."""


class Ring:
    """The current in the storage ring, in mA, at any time.

    Args:
        current: With which it begins.
        lifetime: In hours.
    """

    def __init__(
        self, current: float = FULL_CURRENT, lifetime: float = LIFETIME
    ) -> None:
        # each piece begins with a current and decays with a lifetime
        self._times = [-inf]
        self._currents = [current]
        self._lifetimes = [inf]
        self.lifetime = lifetime
        self.revision = 0
        """How often the current was changed, other than by its decay."""

    def current(self, now: float) -> float:
        """MA."""
        place = bisect_right(self._times, now) - 1
        begin, lifetime = self._times[place], self._lifetimes[place]
        if lifetime == inf:
            return self._currents[place]
        return self._currents[place] * exp(-(now - begin) / lifetime)

    def currents(self, when: Array) -> Array:
        """MA at many times; shape as those."""
        last = self._times[-1]
        if when.min(initial=inf) >= last > -inf:
            decay = np.exp((last - when) / self._lifetimes[-1])
            return self._currents[-1] * decay
        times = np.array(self._times)
        place = np.searchsorted(times, when, "right") - 1
        # the first piece does not decay, so its infinite age must not count
        begin = np.where(np.isfinite(times), times, 0.0)[place]
        decay = np.exp(-(when - begin) / np.array(self._lifetimes)[place])
        return np.array(self._currents)[place] * decay

    def set(self, current: float, now: float) -> None:
        """Fill it to a current, or lose some of it; decays from there on."""
        keep = bisect_right(self._times, now)
        del self._times[keep:], self._currents[keep:], self._lifetimes[keep:]
        self._times.append(now)
        self._currents.append(current)
        self._lifetimes.append(self.lifetime * _HOUR)
        self.revision += 1

    def live(self, lifetime: float, now: float) -> None:
        """Change the lifetime, in hours."""
        self.lifetime = lifetime
        self.set(self.current(now), now)


class Shutter:
    """Open or closed, at any time."""

    def __init__(self) -> None:
        self._times = [-inf]
        self._open = [1.0]
        self.revision = 0
        """How often it was moved."""

    def set(self, is_open: bool, now: float) -> None:
        """Open or close it."""
        self._times.append(now)
        self._open.append(float(is_open))
        self.revision += 1

    def passes(self, when: Array) -> Array:
        """1 where it is open, else 0."""
        if when.min(initial=inf) >= self._times[-1]:
            return np.full(when.shape, self._open[-1])
        place = np.searchsorted(np.array(self._times), when, "right") - 1
        return np.array(self._open)[place]


class Blades:
    """Four blades around the beam, in mm from where it ought to be."""

    GAP = 4.0
    """Between opposite blades when it begins, mm."""

    def __init__(self, counts_per_mm: float) -> None:
        def blade(position: float) -> SimulatedMotor:
            return SimulatedMotor(position, counts_per_unit=counts_per_mm)

        half = self.GAP / 2
        self.drives = {
            "left": blade(-half),
            "right": blade(half),
            "bottom": blade(-half),
            "top": blade(half),
        }
        """Name -> what moves it; right and top are positive."""

    @property
    def revision(self) -> int:
        """Changes when a blade is moved."""
        return sum(drive.revision for drive in self.drives.values())

    def arrives(self) -> float:
        """When all blades are at rest."""
        return max(drive.arrives() for drive in self.drives.values())

    def passes(self, when: Array) -> Array:
        """The share of the beam that gets through at some times."""
        edges = (np.tanh(_places(d, when) / _WIDTH) for d in self.drives.values())
        low, high, bottom, top = edges
        gap = np.maximum(high - low, 0.0) * np.maximum(top - bottom, 0.0)
        return np.broadcast_to(gap / 4, when.shape)


def _places(drive: SimulatedMotor, when: Array) -> Array:
    """Where a blade is: one place if it rests, which is quicker."""
    if drive.arrives() <= when.min(initial=inf):
        return np.array(drive.positions[-1])
    return positions(drive, when)


class Beam:
    """Ring, shutter and slits together."""

    def __init__(self, counts_per_mm: float = 10_000.0) -> None:
        self.ring = Ring()
        self.shutter = Shutter()
        self.blades = Blades(counts_per_mm)

    @property
    def revision(self) -> tuple[int, ...]:
        """Changes when what is to come of the beam does."""
        parts: Sequence[Ring | Shutter | Blades] = (
            self.ring,
            self.shutter,
            self.blades,
        )
        return tuple(part.revision for part in parts)

    def arrives(self) -> float:
        """When nothing of it moves any more."""
        return self.blades.arrives()

    def share(self, when: Array) -> Array:
        """Share of the full beam at some times; shape as those."""
        current = self.ring.currents(when) / FULL_CURRENT
        return current * self.shutter.passes(when) * self.blades.passes(when)
