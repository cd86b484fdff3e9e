"""The mechanics of the simulated beamline: two axes, a photon counter, one output.

A `SampleStage` owns the physics and knows no ophyd-async: `beamfly.sim.axis` makes
devices of it. What moves is known to the PandA's encoders to a fraction of a count.
"""

from collections.abc import Callable
from math import inf
from threading import Lock
from typing import TypeVar

import numpy as np

from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.server import SimulatedPandA
from beamfly.sim.beam import Beam
from beamfly.sim.paths import Array, positions
from beamfly.sim.sample import photon_rate
from beamfly.sim.trajectory import Trajectory

COUNTS_PER_MM = 10_000.0
"""Encoder counts per mm: 0.1 um."""
LINE_OUTPUT = "TTLIN1.VAL"
"""The PandA's input that is high while a line of a trajectory is passed."""
_SAMPLING = 1e-4
"""Seconds between two looks at the sample while the stage moves."""
_MOST_LOOKS = 200_000
"""Of one movement; a long one is sampled more coarsely."""
_IDLE_STEP, _IDLE_LOOKS = 60.0, 60
"""Seconds between looks at the beam at rest, and how many: photons are counted for an
hour after the stage has come to rest."""
MONITOR_RATE = 1e6
"""Photons per second that the monitor before the sample counts in a full beam."""
_REMEMBERED = 60.0
"""Seconds for which it is known how many photons had been counted when."""

T = TypeVar("T")


class SampleStage:
    """Axes x and y in mm, on INENC1 and INENC2; photons are counted by INENC3.

    Args:
        velocity: Of a move, mm/s.
        acceleration: Of a move, mm/s2.
    """

    def __init__(self, velocity: float = 20.0, acceleration: float = 200.0) -> None:
        self.axes: dict[str, SimulatedMotor] = {
            name: SimulatedMotor(
                velocity=velocity,
                acceleration=acceleration,
                counts_per_unit=COUNTS_PER_MM,
            )
            for name in ("x", "y")
        }
        self.photons = SimulatedMotor(counts_per_unit=1.0)
        """How many photons were counted since the start, as the path of an encoder."""
        self.monitor = SimulatedMotor(counts_per_unit=1.0)
        """The same of the monitor before the sample, which no encoder is on."""
        self.beam = Beam(COUNTS_PER_MM)
        """What shines on the sample."""
        self._panda: SimulatedPandA | None = None
        self._counted: tuple[int, ...] = ()
        self._latest = -inf
        self._lock = Lock()

    @property
    def encoders(self) -> list[SimulatedMotor]:
        """What INENC1 and so on are on."""
        return [*self.axes.values(), self.photons]

    def attach(self, panda: SimulatedPandA) -> None:
        """From now on time is that of this PandA, whose encoders are ours."""
        self._panda = panda

    @property
    def panda(self) -> SimulatedPandA:
        """The PandA that this stage is on; RuntimeError if there is none."""
        if self._panda is None:
            raise RuntimeError("the stage is on no PandA, so there is no time")
        return self._panda

    def now(self) -> float:
        """Seconds on the clock that stage and PandA share.

        It stands still with the PandA's, when that has too much to do; as that is known
        afterwards only, it may be a little ahead. `sync` tells what is certain.
        """
        panda = self.panda
        with self._lock:
            self._latest = max(self._latest, panda.clock() - panda.lost)
            return self._latest

    def move(self, name: str, target: float) -> float:
        """Start to move an axis; returns when it arrives."""
        return self.act(lambda now: self.axes[name].move(target, now=now))

    def stop(self, name: str) -> float:
        """Stop an axis as fast as it can; returns when it is at rest."""
        return self.act(lambda now: self.axes[name].stop(now=now))

    def halt(self) -> None:
        """Stop all axes, and the output goes low."""

        def halt(now: float) -> None:
            for axis in self.axes.values():
                axis.stop(now=now)
            self.panda.core.machine.schedule_input(LINE_OUTPUT, [now], [False])

        self.act(halt)

    def fly(self, trajectory: Trajectory, names: dict[object, str]) -> float:
        """Start a trajectory; returns when it ends.

        Args:
            trajectory: Where to be when.
            names: Which of the trajectory's axes is x and which is y.
        """

        def start(now: float) -> float:
            times = trajectory.times.tolist()
            for axis, places in trajectory.positions.items():
                self.axes[names[axis]].follow(times, places.tolist(), now=now)
            edges = np.stack([trajectory.line_starts, trajectory.line_ends], 1).ravel()
            levels = [True, False] * len(trajectory.line_starts)
            self.panda.core.machine.schedule_input(
                LINE_OUTPUT, (now + edges).tolist(), levels
            )
            return now + trajectory.duration

        return self.act(start)

    def sync(self) -> float:
        """Have the PandA go through all that has happened; the time it has got to.

        Who says that a motor has arrived has to be sure that the PandA has seen it.
        """
        return self.act(lambda now: now)

    def act(self, action: Callable[[float], T]) -> T:
        """Do something to what the PandA's encoders are on, between two of its steps.

        Args:
            action: Called in the PandA's thread with the time; it may change paths.

        Returns:
            What it returns.
        """

        def act() -> T:
            panda = self.panda
            # never ahead of the PandA's own time, which would stand still then
            now = max(panda.core.now, panda.clock() - panda.lost)
            panda.core.advance(now)
            result = action(now)
            if self._paths() != self._counted:
                self._count_photons(now)
            panda.wake()
            return result

        return self.panda.run(act)

    def _count_photons(self, now: float) -> None:
        """Work out the photons of all that is going to happen."""
        moving = [*(axis.arrives() for axis in self.axes.values()), self.beam.arrives()]
        end = max(now, *moving)
        looks = min(_MOST_LOOKS, int((end - now) / _SAMPLING)) + 2
        times = np.linspace(now, max(end, now + _SAMPLING), looks)
        # at rest nothing but the current in the ring changes, and that slowly
        times = np.append(times, times[-1] + np.arange(1, _IDLE_LOOKS + 1) * _IDLE_STEP)
        x, y = (positions(axis, times) for axis in self.axes.values())
        share = self.beam.share(times)
        _count(self.photons, times, photon_rate(x, y) * share, now)
        _count(self.monitor, times, MONITOR_RATE * share, now)
        self._counted = self._paths()

    def _paths(self) -> tuple[int, ...]:
        """Changes when the path of an axis or the beam does."""
        axes = (axis.revision for axis in self.axes.values())
        return (*axes, *self.beam.revision)


def _count(counter: SimulatedMotor, times: Array, rates: Array, now: float) -> None:
    """Have a counter count from now on."""
    gained = np.cumsum((rates[1:] + rates[:-1]) / 2 * np.diff(times))
    counted = counter.position(now) + np.concatenate([[0.0], gained])
    counter.forget(now - _REMEMBERED)
    counter.follow((times - now).tolist(), counted.tolist(), now=now)
