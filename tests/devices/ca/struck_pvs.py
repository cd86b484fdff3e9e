"""A multi-channel scaler for tests: what the records of SIS38XX.template do."""

import asyncio
from typing import Any

import numpy as np

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup

ROOM = 500
INPUTS = 3


class StruckPvs:
    """Serve `pvs`; input n counts n times 1000 and the number of the point."""

    def __init__(self, prefix: str = "X:SIS1:") -> None:
        self.prefix = prefix
        self.pulses = 0
        """Pulses from outside that are to come."""
        self.pulsed = True
        """Whether they come now, if it was started."""
        self.late = False
        """The inputs are read when DoReadAll says so, not at the end."""
        self.starts = 0
        self._stop = asyncio.Event()
        self._names = ("clock", "", "It")
        done = ("Done", "Acquiring")
        self.pvs: dict[str, Any] = {
            f"{prefix}{name}": pv
            for name, pv in {
                "ChannelAdvance": PV(0, states=("Internal", "External")),
                "Prescale": PV(4),
                "Dwell": PV(0.1),
                "PresetReal": PV(0.0),
                "ElapsedReal": PV(0.0),
                "NuseAll": PV(100),
                "CurrentChannel": PV(0),
                "MaxChannels": PV(ROOM),
                "CountOnStart": PV(0, states=("No", "Yes")),
                "Acquiring": PV(0, states=done),
                "EraseStart": PV(0, states=("Done", "Erase"), on_put=self._start),
                "StopAll": PV(0, states=("Done", "Stop"), on_put=self._end),
                "DoReadAll": PV(0, states=("Done", "Read"), on_put=self._read),
            }.items()
        }
        for n in range(1, INPUTS + 1):
            counts = PV(np.zeros(0, np.int32), length=ROOM)
            record = RecordGroup("mca", VAL=counts, NORD=0)
            self.pvs[f"{prefix}mca{n}"] = record
        self.scaler = RecordGroup(
            "scaler",
            VAL=0.0,
            CONT=PV(1, states=("OneShot", "AutoCount")),
            **{f"NM{n}": name for n, name in enumerate(self._names, 1)},
        )
        self.pvs["X:S"] = self.scaler

    def __getitem__(self, name: str) -> Any:
        return self.pvs[f"{self.prefix}{name}"]

    async def _start(self, put: Put) -> None:
        put.accept()
        self.starts += 1
        self._stop.clear()
        self["CurrentChannel"].post(0)
        for n in range(1, INPUTS + 1):
            self[f"mca{n}"]["VAL"] = np.zeros(0, np.int32)
        self["Acquiring"].post(1)
        wanted = self["NuseAll"].value
        if self["ChannelAdvance"].value:
            wanted = min(wanted, self.pulses)
            while not (self.pulsed or self._stop.is_set()):
                await asyncio.sleep(0.005)
        step = max(1, wanted // 5)
        while self["CurrentChannel"].value < wanted and not self._stop.is_set():
            await asyncio.sleep(min(0.05, self["Dwell"].value))
            passed = min(wanted, self["CurrentChannel"].value + step)
            self["CurrentChannel"].post(passed)
            if not self.late:
                self.read()
        if self["CurrentChannel"].value < self["NuseAll"].value:
            # as it waits for pulses, and for nothing else
            await self._stop.wait()
        if not self.late:
            self.read()
        self["Acquiring"].post(0)

    def _end(self, put: Put) -> None:
        self._stop.set()

    def _read(self, put: Put) -> None:
        if self["DoReadAll"].value or put.value:
            self.read()

    def read(self) -> None:
        """Fill the inputs with the points that are complete."""
        points = np.arange(self["CurrentChannel"].value, dtype=np.int32)
        for n in range(1, INPUTS + 1):
            self[f"mca{n}"]["VAL"] = points + 1000 * n
