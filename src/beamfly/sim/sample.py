"""What the simulated beam shines on: a Siemens star, as every microscope sees one."""

import numpy as np
import numpy.typing as npt

SPOKES = 12
"""Bright sectors of the star."""
RADIUS = 4.5
"""Of the star, in mm."""
DARK, BRIGHT = 2e4, 4e5
"""Photons per second behind the dark and the bright parts of the sample."""
_EDGE = 0.08
"""Size of the beam in mm: how far edges are washed out."""


def photon_rate(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Photons per second that reach the detector.

    Args:
        x: Horizontal positions on the sample in mm, 0 at the centre of the star.
        y: Vertical positions in mm, of the same shape.

    Returns:
        Rates, of the same shape.
    """
    distance = np.hypot(x, y)
    angle = np.arctan2(y, x)
    # along the circle, mm from the nearest edge of a spoke; positive is bright
    inside = np.sin(SPOKES * angle) * distance / SPOKES
    spoke = _washed(inside)
    ring = _washed(np.abs(distance - RADIUS) * -1 + 0.25)
    disc = _washed(RADIUS - distance)
    return DARK + (BRIGHT - DARK) * np.maximum(spoke * disc, ring)


def _washed(inside: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """0 to 1 across an edge, by the distance in mm from it."""
    return 0.5 + 0.5 * np.tanh(inside / _EDGE)
