"""`Struck`: the SIS multi-channel scaler."""

# the names are those that scripts for PyEpics use
# ruff: noqa: N802

from pathlib import Path
from typing import Any

import numpy as np

from beamfly.epics.device import Device
from beamfly.epics.devices.mca import MCA
from beamfly.epics.devices.scaler import Scaler
from beamfly.errors import CADisconnected

HEADER = """# Struck MCA data: {prefix}
# Nchannels, Nmca = {points}, {columns}
# Time in microseconds
#----------------------
# {addresses}
# {names}
"""


class Struck(Device):
    """Counts of some inputs as functions of time or of an external pulse."""

    attrs = (
        *("ChannelAdvance", "Prescale", "EraseStart", "EraseAll", "StartAll"),
        *("StopAll", "PresetReal", "ElapsedReal", "Dwell", "Acquiring", "NuseAll"),
        *("CurrentChannel", "CountOnStart", "InitialChannelAdvance"),
        *("SoftwareChannelAdvance", "Channel1Source", "ReadAll", "DoReadAll"),
        *("Model", "Firmware"),
    )

    def __init__(
        self,
        prefix: str,
        scaler: str | None = None,
        nchan: int = 8,
        clockrate: float = 50.0,
    ) -> None:
        """Look for its settings.

        Args:
            prefix: What its PVs start with, with or without the colon.
            scaler: Name of the scaler record on the same inputs.
            nchan: Number of inputs.
            clockrate: MHz of the clock on the first input.
        """
        prefix = prefix if prefix.endswith(":") else f"{prefix}:"
        self._nchan = nchan
        self.clockrate = clockrate
        self.scaler = None if scaler is None else Scaler(scaler, nchan=nchan)
        self.mcas = [MCA(prefix, mca=mca, nrois=2) for mca in range(1, nchan + 1)]
        super().__init__(prefix, self.attrs, mutable=False)

    def ExternalMode(
        self,
        countonstart: int | None = 0,
        initialadvance: int | None = None,
        realtime: float | None = 0,
        prescale: int | None = 1,
    ) -> int | None:
        """Advance with external pulses; None leaves a setting as it is.

        Args:
            countonstart: Whether it counts before the first pulse.
            initialadvance: Whether it advances at the start.
            realtime: Seconds after which it stops, 0: never.
            prescale: Pulses for one channel.
        """
        result = self.put("ChannelAdvance", 1)
        if self.scaler is not None:
            self.scaler.OneShotMode()
        settings = {
            "PresetReal": realtime,
            "Prescale": prescale,
            "CountOnStart": countonstart,
            "InitialChannelAdvance": initialadvance,
        }
        for attr, value in settings.items():
            if value is not None:
                self.put(attr, value)
        return result

    def InternalMode(self, prescale: int | None = None) -> int | None:
        """Advance by its own clock, see `setDwell`."""
        result = self.put("ChannelAdvance", 0)
        if self.scaler is not None:
            self.scaler.OneShotMode()
        if prescale is not None:
            self.put("Prescale", prescale)
        return result

    def setPresetReal(self, val: float) -> int | None:
        """Set the seconds after which it stops."""
        return self.put("PresetReal", val)

    def setDwell(self, val: float) -> int | None:
        """Set the seconds of one channel."""
        return self.put("Dwell", val)

    def AutoCountMode(self) -> None:
        """Have the scaler count again and again."""
        if self.scaler is not None:
            self.scaler.AutoCountMode()

    def start(self) -> int | None:
        """Erase and start."""
        if self.scaler is not None:
            self.scaler.OneShotMode()
        return self.put("EraseStart", 1)

    def stop(self) -> int | None:
        """Stop."""
        return self.put("StopAll", 1)

    def erase(self) -> int | None:
        """Erase."""
        return self.put("EraseAll", 1)

    def mcaNread(self, nmca: int = 1) -> Any:
        """Channels that an input has, counted from 1."""
        return self.mcas[nmca - 1].get("NORD")

    def readmca(self, nmca: int = 1, count: int | None = None) -> Any:
        """Counts of an input, counted from 1; an array."""
        return self.mcas[nmca - 1].get("VAL", count=count)

    def read_all_mcas(self) -> list[Any]:
        """Counts of all inputs."""
        return [self.readmca(mca) for mca in range(1, self._nchan + 1)]

    def saveMCAdata(
        self,
        fname: str | Path = "Struck.dat",
        mcas: list[int] | None = None,
        ignore_prefix: str | None = None,
        npts: int | None = None,
    ) -> tuple[int, int]:
        """Write a text file with a column for each input, the first in microseconds.

        Args:
            fname: The file.
            mcas: Inputs, counted from 1; None: all.
            ignore_prefix: Inputs whose names start so are left out.
            npts: Most rows, None: as many as all inputs have.

        Returns:
            Columns and rows.

        Raises:
            CADisconnected: An input cannot be read; nothing was written.
        """
        columns: list[Any] = []
        names: list[str] = []
        addresses: list[str] = []
        for mca in mcas or range(1, self._nchan + 1):
            name, address = self._called(mca)
            if ignore_prefix and name.startswith(ignore_prefix):
                continue
            data = self.readmca(mca)
            if data is None:
                msg = f"{self._prefix}mca{mca} cannot be read; {fname} was not written"
                raise CADisconnected(msg)
            columns.append(data)
            names.append(name)
            addresses.append(address)
        rows = min((len(data) for data in columns), default=0)
        rows = rows if npts is None else min(rows, npts)
        table = np.array([data[:rows] for data in columns], float).T
        if table.size:
            table[:, 0] /= self.clockrate
        head = HEADER.format(
            prefix=self._prefix,
            points=rows,
            columns=len(columns),
            addresses=" | ".join(addresses),
            names=" | ".join(names),
        )
        lines = ["".join(f"{int(count):9d} " for count in row) for row in table]
        Path(fname).write_text(head + "".join(f"{line}\n" for line in lines), "utf-8")
        return len(columns), rows

    def _called(self, mca: int) -> tuple[str, str]:
        """Name and PV of an input: those of the scaler's channel if it has a name."""
        if self.scaler is not None:
            name = self.scaler.get(f"NM{mca}")
            if name:
                return name.replace(" ", "_"), self.scaler.PV(f"S{mca}").pvname
        return f"MCA{mca}", f"{self._prefix}mca{mca}"
