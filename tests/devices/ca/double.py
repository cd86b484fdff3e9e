"""Test doubles of EPICS devices: the PVs that a device wants, and what they do.

`Double(*devices)` walks through devices of ophyd-async and serves what they read and
write. What is behind the PVs is known by their names, so that a class that nobody has
heard of gets a double too: `X` is followed by `X_RBV`, `Setpoint` by `Readback`;
`.DMOV` is a motor record; `Acquire` takes frames, `Capture` counts them; `ProfileBuild`
and `ProfileExecute` are a trajectory of a PMAC.
"""

import asyncio
from typing import Any

from mirror import pvs_of
from motor_record import MotorRecord
from ophyd_async.core import Device

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV

FIRST: dict[str, Any] = {
    "Model_RBV": "Manta G-125",
    "FilePathExists_RBV": 1,
    "ArraySizeX_RBV": 4,
    "ArraySizeY_RBV": 3,
    "NumImages_RBV": 1,
    "CsAxis_RBV": "X",
    "CsPort_RBV": "PMAC1CS1",
    "CsRaw_RBV": 1,
    "CS1:Port": "PMAC1CS1",
    "Velocity": 100.0,
}
"""End of a PV's name -> its first value."""
FRAME_SECONDS = 0.002


class Double:
    """PVs for devices; serve `pvs`."""

    def __init__(self, *devices: Device) -> None:
        made = pvs_of(*devices)
        self.pvs: dict[str, Any] = {}
        for name, pv in made.items():
            for end, value in FIRST.items():
                if name.endswith(end):
                    pv.post(value)
            self.pvs[name] = pv
        self._motors()
        for name in [*self.pvs]:
            self._behave(name)

    def _motors(self) -> None:
        for name in [name for name in self.pvs if name.endswith(".DMOV")]:
            motor = name.removesuffix(".DMOV")
            wanted = [field for field in self.pvs if field.startswith(f"{motor}.")]
            record = MotorRecord().record
            fields = {field.rpartition(".")[2] for field in wanted}
            assert fields <= {*record, "EGU", "PREC", "DESC"}
            for field in wanted:
                del self.pvs[field]
            self.pvs[motor] = record

    def _behave(self, name: str) -> None:
        """Give a PV the hook that its name asks for."""
        prefix, _, last = name.rpartition(":")
        pair = self.pvs.get(f"{name}_RBV")
        if name.endswith("Setpoint"):
            pair = self.pvs[name.replace("Setpoint", "Readback")]
        known = {
            "Acquire": Camera,
            "Capture": Capture,
            "ProfileBuild": Trajectory,
        }.get(last)
        if known is not None:
            known(self, f"{prefix}:")
        elif isinstance(pair, PV) and self.pvs[name].on_put is None:
            self.pvs[name].on_put = lambda put: pair.post(put.value)

    def post(self, name: str, value: Any) -> None:
        """Give a PV a value, if there is one of that name."""
        if name in self.pvs:
            self.pvs[name].post(value)

    def write(self, prefix: str, frames: int) -> None:
        """Pass frames on to the file writers of a detector that are capturing.

        Args:
            prefix: Of the camera or of the buffer that they come from.
            frames: How many.
        """
        detector = prefix.rstrip(":").rpartition(":")[0] + ":"
        ends = "NumCaptured_RBV"
        for name in self.pvs:
            if name.startswith(detector) and name.endswith(f":{ends}"):
                writer = name.removesuffix(ends)
                if self.pvs[f"{writer}Capture_RBV"].value:
                    self.pvs[name].post(self.pvs[name].value + frames)

    def buffered(self, prefix: str) -> bool:
        """Whether there is a circular buffer between a camera and its writers."""
        detector = prefix.rstrip(":").rpartition(":")[0] + ":"
        ends = ":PostCount_RBV"
        return any(n.startswith(detector) and n.endswith(ends) for n in self.pvs)


class Camera:
    """Takes frames; when Acquire is put to completion, until all are there."""

    def __init__(self, double: Double, prefix: str) -> None:
        self.double, self.prefix = double, prefix
        self._stop = asyncio.Event()
        double.pvs[f"{prefix}Acquire"].on_put = self.acquire

    async def acquire(self, put: Put) -> None:
        """Take as many frames as NumImages asks for, or until it is stopped."""
        pvs, prefix = self.double.pvs, self.prefix
        put.accept()
        if not put.value:
            self._stop.set()
            pvs[f"{prefix}Acquire_RBV"].post(0)
            return
        self._stop.clear()
        self._state("Acquire", 1)
        endless = str(pvs[f"{prefix}ImageMode_RBV"]) == "Continuous"
        left = pvs[f"{prefix}NumImages_RBV"].value
        while (left > 0 or endless) and not self._stop.is_set():
            left -= 1
            await asyncio.sleep(FRAME_SECONDS)
            count = pvs[f"{prefix}ArrayCounter_RBV"]
            count.post(count.value + 1)
            if not self.double.buffered(prefix):
                self.double.write(prefix, 1)
        pvs[f"{prefix}Acquire"].post(0)
        self._state("Idle", 0)

    def _state(self, state: str, acquiring: int) -> None:
        self.double.post(f"{self.prefix}DetectorState_RBV", state)
        self.double.post(f"{self.prefix}Armed", acquiring)
        self.double.pvs[f"{self.prefix}Acquire_RBV"].post(acquiring)


class Capture:
    """Counts frames until it is stopped; a circular buffer ends by itself."""

    def __init__(self, double: Double, prefix: str) -> None:
        self.double, self.prefix = double, prefix
        self._started: Put | None = None
        double.pvs[f"{prefix}Capture"].on_put = self.capture

    def capture(self, put: Put) -> None:
        """Start, or stop: then the put that has started it is complete."""
        pvs, prefix = self.double.pvs, self.prefix
        pvs[f"{prefix}Capture_RBV"].post(put.value)
        started, self._started = self._started, None
        if started is not None:
            started.finish()
        if not put.value:
            return
        put.hold()
        self._started = put
        self.double.post(f"{prefix}NumCaptured_RBV", 0)
        if f"{prefix}PostCount_RBV" in pvs:
            asyncio.get_running_loop().call_later(FRAME_SECONDS, self._buffered)

    def _buffered(self) -> None:
        """A buffer has passed its frames on to the file writers."""
        pvs, prefix = self.double.pvs, self.prefix
        self.double.write(prefix, int(pvs[f"{prefix}PostCount_RBV"].value))
        pvs[f"{prefix}Capture"].post(0)
        pvs[f"{prefix}Capture_RBV"].post(0)
        started, self._started = self._started, None
        if started is not None:
            started.finish()


class Trajectory:
    """A PMAC that passes all points of a profile."""

    def __init__(self, double: Double, prefix: str) -> None:
        self.double, self.prefix = double, prefix
        self.passed: list[int] = []
        """Points of each profile that was executed."""
        double.pvs[f"{prefix}ProfileExecute"].on_put = self.execute

    async def execute(self, put: Put) -> None:
        """Pass the points that were built."""
        pvs, prefix = self.double.pvs, self.prefix
        points = int(pvs[f"{prefix}ProfilePointsToBuild"].value)
        pvs[f"{prefix}TotalPoints_RBV"].post(0)
        pvs[f"{prefix}ProfileExecuteState_RBV"].post("Executing")
        for point in range(1, points + 1):
            await asyncio.sleep(FRAME_SECONDS)
            pvs[f"{prefix}TotalPoints_RBV"].post(point)
        pvs[f"{prefix}ProfileExecuteState_RBV"].post("Done")
        self.passed.append(points)
        put.value = 0
