"""Where simulated motors were, are, and will be, at many times at once."""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from beamfly.panda.simulator.motors import SimulatedMotor

Array = npt.NDArray[np.float64]


def positions(drive: SimulatedMotor, when: Array) -> Array:
    """Where a simulated motor is at many times, in its units; shape as the times."""
    times, places = _path(drive)
    if len(times) == 1 or not when.size:
        return np.full(when.shape, places[-1])
    # of a long path, what lies around those times
    first = max(1, bisect_right(times, float(when.min())) - 1)
    last = bisect_right(times, float(when.max())) + 1
    known = np.array(times[first:last])
    return np.interp(when, known, np.array(places[first:last]), left=places[first - 1])


def _path(drive: SimulatedMotor) -> tuple[list[float], list[float]]:
    """A copy of its path, whoever may be changing it in another thread."""
    while True:
        revision = drive.revision
        times, places = list(drive.times), list(drive.positions)
        if len(times) == len(places) and drive.revision == revision:
            return times, places
