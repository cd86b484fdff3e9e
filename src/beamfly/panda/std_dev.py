"""Standard deviations from raw sums, without losing the digits that matter.

A PandA sends the sum of values, 64 bits, and the sum of their squares, 96 bits. The
deviation is the small difference of two large numbers, so that difference is formed in
integers: n * sum of squares - (sum)**2 in 128 bits, as two halves of 64.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

_LOW = np.uint64(0xFFFFFFFF)
_32, _31, _33 = np.uint64(32), np.uint64(31), np.uint64(33)


def std_dev(
    sums: npt.NDArray[Any], squares: npt.NDArray[Any], samples: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Standard deviation of the population, in counts.

    Args:
        sums: Sums of values, int64, any shape S.
        squares: Sums of squares, uint32 of shape S + (3,), lowest word first.
        samples: How many values were summed, uint32, of a shape that broadcasts to S.

    Returns:
        Shape S. NaN where there were no samples; 0 where rounding by the PandA (its
        SHIFT_SUM) left less than nothing.
    """
    n = samples.astype(np.uint64)
    low, mid, high = (squares[..., word].astype(np.uint64) for word in range(3))
    # n * squares
    part = n * mid
    low = n * low
    shifted = part << _32
    low = low + shifted
    high = n * high + (part >> _32) + (low < shifted)
    # sum ** 2; the magnitude of the most negative sum is right as an unsigned number
    size = np.abs(sums).view(np.uint64)
    upper, lower = size >> _32, size & _LOW
    part = upper * lower
    shifted = part << _33
    low2 = lower * lower + shifted
    high2 = upper * upper + (part >> _31) + (low2 < shifted)
    negative = (high < high2) | ((high == high2) & (low < low2))
    high = high - high2 - (low < low2)
    low = low - low2
    difference = high.astype(np.float64) * 2.0**64 + low.astype(np.float64)
    difference[negative] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(difference) / n
