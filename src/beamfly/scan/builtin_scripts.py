"""Script classes that every scan server has: show data in PVs, find a peak."""

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.errors import ScanError

NO_DEVICE = "-"
"""Instead of the name of a device: none."""


class ScanScript(ABC):
    """What a scan can execute. Arguments come as texts."""

    def getDeviceNames(self) -> list[str]:  # noqa: N802
        """Names of the devices that it uses besides those of the scan."""
        return []

    @abstractmethod
    def run(self, context: Any) -> None:
        """Do it, with a `ScriptContext`; any exception fails the command."""


class ScanErrorHandler(ABC):
    """What decides after a command failed."""

    class Result(Enum):
        """What to do."""

        Abort = "Abort"
        Continue = "Continue"
        Retry = "Retry"

    @abstractmethod
    def handleError(self, command: Any, error: Exception, context: Any) -> Any:  # noqa: N802
        """One of `Result`, or its name; any exception fails the command for good."""


def normalised(
    context: Any, device: str, norm_device: str, norm_value: float
) -> npt.NDArray[np.float64]:
    """Logged numbers of a device, divided by norm_device / norm_value if there is one.

    Where the norm device shows 0 the result is 0.
    """
    if norm_device == NO_DEVICE:
        return np.asarray(context.getData(device)[0], dtype=np.float64)
    table = np.asarray(context.getData(device, norm_device), dtype=np.float64)
    data, scale = table[0], table[1] / norm_value
    return np.divide(data, scale, out=np.zeros_like(data), where=scale != 0)


class WriteDataToPV(ScanScript):
    """Writes everything that was logged for a device to a PV, as an array."""

    def __init__(
        self,
        device: str,
        pv: str,
        norm_device: str = NO_DEVICE,
        norm_value: str = "1",
    ):
        self.device = device
        self.pv = pv
        self.norm_device = norm_device
        self.norm_value = float(norm_value)

    def getDeviceNames(self) -> list[str]:  # noqa: N802
        """The PV."""
        return [self.pv]

    def run(self, context: Any) -> None:
        """Write the array."""
        data = normalised(context, self.device, self.norm_device, self.norm_value)
        context.write(self.pv, data.tolist())


_CUT = 0.504719372
"""Standard deviation of what is above half height of a Gaussian with deviation 1."""
_WIDTH = 2.3548200450309493
"""Full width at half height of a Gaussian with deviation 1."""


def find_peak(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """Position, height above the lowest point, and width at half height, of a peak.

    The position is the centre of mass of what is above half height; the width comes
    from the second moment there, as if it were Gaussian.

    Args:
        x: positions, in any order.
        y: signal, as many.
    """
    if len(x) < 3:
        raise ScanError(f"A peak cannot be found in {len(x)} points")
    order = np.argsort(x)
    x, y = x[order], y[order] - y.min()
    height = float(y.max())
    if height <= 0:
        raise ScanError("There is no peak, the signal is the same everywhere")
    spacing: npt.NDArray[np.float64] = np.gradient(x)
    weight = np.where(y >= height / 2, y - height / 2, 0.0) * spacing
    if weight.sum() <= 0:
        raise ScanError("There is no peak, all points have the same position")
    position = float((x * weight).sum() / weight.sum())
    spread = float(np.sqrt(((x - position) ** 2 * weight).sum() / weight.sum()))
    return position, height, spread / _CUT * _WIDTH


class FindPeak(ScanScript):
    """Finds the peak of a signal over positions and writes what it found to PVs."""

    def __init__(
        self,
        device: str,
        signal: str,
        norm_device: str,
        norm_value: str,
        position_pv: str,
        height_pv: str,
        width_pv: str,
    ):
        self.device = device
        self.signal = signal
        self.norm_device = norm_device
        self.norm_value = float(norm_value)
        self.pvs = [position_pv, height_pv, width_pv]

    def getDeviceNames(self) -> list[str]:  # noqa: N802
        """The PVs for position, height and width."""
        return self.pvs

    def run(self, context: Any) -> None:
        """Find the peak and write position, height and width."""
        x, _ = context.getData(self.device, self.signal)
        y = normalised(context, self.signal, self.norm_device, self.norm_value)
        # the norm may have been logged later than the signal
        count = min(len(x), len(y))
        found = find_peak(np.asarray(x)[-count:], y[-count:])
        for pv, value in zip(self.pvs, found, strict=True):
            context.write(pv, value)


BUILTIN: dict[str, type[ScanScript]] = {
    "WriteDataToPV": WriteDataToPV,
    "FindPeak": FindPeak,
}
