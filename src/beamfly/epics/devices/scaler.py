"""`Scaler`: the scaler record with its calculations."""

from typing import Any

from beamfly.epics.device import Device


class Scaler(Device):
    """A scaler of some channels; channels count from 1."""

    attrs = ("CNT", "CONT", "TP", "T", "VAL")

    def __init__(self, prefix: str, nchan: int = 8) -> None:
        """Look for counts, names and calculations.

        Args:
            prefix: Name of the record.
            nchan: Number of channels.
        """
        self._nchan = nchan
        self._chans = range(1, nchan + 1)
        fields = [f"{kind}{chan}" for chan in self._chans for kind in ("NM", "S")]
        super().__init__(prefix, [*self.attrs, *fields], delim=".")
        self.add_pv(f"{prefix}_calcEnable.VAL", attr="calc_enable")
        for chan in self._chans:
            self.add_pv(f"{prefix}_calc{chan}.VAL", attr=f"calc{chan}")
            self.add_pv(f"{prefix}_calc{chan}.CALC", attr=f"expr{chan}")
        self._mutable = False

    def AutoCountMode(self) -> None:  # noqa: N802
        """Count again and again."""
        self.put("CONT", 1)

    def OneShotMode(self) -> None:  # noqa: N802
        """Count when told to."""
        self.put("CONT", 0)

    def CountTime(self, ctime: float) -> None:  # noqa: N802
        """Set the seconds to count."""
        self.put("TP", ctime)

    def Count(self, ctime: float | None = None, wait: bool = False) -> None:  # noqa: N802
        """Count.

        Args:
            ctime: Seconds, None: as they are set.
            wait: Whether to return when it is done: 10 s are added for it to be late.
        """
        if ctime is not None:
            self.CountTime(ctime)
        timeout = 10.0
        if wait:
            timeout += ctime if ctime is not None else self.get("TP") or 0.0
        self.put("CNT", 1, wait=wait, timeout=timeout)

    def EnableCalcs(self) -> None:  # noqa: N802
        """Have calculations done."""
        self.put("calc_enable", 1)

    def setCalc(self, i: int, calc: str) -> None:  # noqa: N802
        """Set the calculation of a channel."""
        self.put(f"expr{i}", calc)

    def getNames(self) -> list[Any]:  # noqa: N802
        """Names of all channels."""
        return [self.get(f"NM{chan}") for chan in self._chans]

    def Read(self, use_calc: bool = False) -> list[Any]:  # noqa: N802
        """Counts of all channels, or results of their calculations."""
        kind = "calc" if use_calc else "S"
        return [self.get(f"{kind}{chan}") for chan in self._chans]
