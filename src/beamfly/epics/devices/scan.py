"""`Scan`: the sscan record, which moves positioners and reads detectors in an IOC.

s = Scan("BL:scan1")
s.reset()
s.add_positioner("BL:m1.VAL", start=-1, stop=1, step=0.1)
s.add_detector("BL:scaler1.S2")
s.add_trigger("BL:scaler1.CNT")
s.run(wait=True)
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from beamfly.epics.device import Device
from beamfly.epics.exceptions import ScanException

__all__ = ["NUM_DETECTORS", "NUM_POSITIONERS", "NUM_TRIGGERS", "Scan", "ScanException"]
NUM_POSITIONERS = 4
NUM_TRIGGERS = 4
NUM_DETECTORS = 70
DAY = 86400.0
MODES = ("linear", "table", "fly")


class Scan(Device):
    """One sscan record; the most used fields of its first positioner have names."""

    attrs = (
        *("VAL", "SMSG", "CMND", "NPTS", "EXSC", "NAME", "PDLY", "PAUS", "CPT"),
        "DDLY",
    )
    pos_attrs = ("PV", "SP", "EP", "SI", "CP", "WD", "PA", "AR", "SM")
    trig_attrs = ("PV", "NV")
    names: ClassVar[Mapping[str, str]] = {
        "device": "P1PV",
        "start": "P1SP",
        "end": "P1EP",
        "step": "P1SI",
        "table": "P1PA",
        "absrel": "P1AR",
        "mode": "P1SM",
        "npts": "NPTS",
        "execute": "EXSC",
        "trigger": "T1PV",
        "pause": "PAUS",
        "current_point": "CPT",
    }

    def __init__(self, name: str, **kwargs: Any) -> None:
        """Look for the fields, and clear the record's message.

        Args:
            name: Of the record.
            kwargs: For `Device`.

        Raises:
            ScanException: There is no such record, or it is no sscan.
        """
        positioners = [
            f"P{number}{attr}"
            for number in range(1, NUM_POSITIONERS + 1)
            for attr in self.pos_attrs
        ]
        triggers = [
            f"T{number}{attr}"
            for number in range(1, NUM_TRIGGERS + 1)
            for attr in self.trig_attrs
        ]
        detectors = [_detector(number) for number in range(1, NUM_DETECTORS + 1)]
        attrs = [*self.attrs, *positioners, *triggers, *detectors]
        aliases = {**self.names, **kwargs.pop("aliases", {})}
        super().__init__(name, attrs, delim=".", aliases=aliases, **kwargs)
        kind = self.get("RTYP")
        if kind != "sscan":
            what = "was not found" if kind is None else f"is a record of type {kind}"
            raise ScanException(f"{name} {what}, not an sscan", name=name)
        self.put("SMSG", "")

    def run(self, wait: bool = False, timeout: float = DAY) -> int | None:
        """Scan.

        Args:
            wait: Whether to return when it is over.
            timeout: Seconds to wait.

        Returns:
            As `PV.put`: 1: begun, or over; -1: not over in time.
        """
        return self.put("EXSC", 1, wait=wait, timeout=timeout)

    def reset(self) -> None:
        """Have no points, positioners, detectors and triggers."""
        self.put("NPTS", 0)
        for number in range(1, NUM_TRIGGERS + 1):
            self.clear_trigger(number)
        for number in range(1, NUM_POSITIONERS + 1):
            self.clear_positioner(number)
        for number in range(1, NUM_DETECTORS + 1):
            self.clear_detector(number)

    def _free(self, what: str, fields: list[str]) -> int:
        """Number of the first that has no PV, from 1 on."""
        for number, field in enumerate(fields, start=1):
            name = self.PV(field).get(use_monitor=False)
            if name is None:
                raise ScanException(f"{self._prefix}{field} does not answer")
            if len(name) < 2:
                return number
        msg = f"{self._prefix}: {len(fields)} {what} are defined already"
        raise ScanException(f"{msg}; none was added")

    # ---- detectors and triggers

    def clear_detector(self, idet: int = 1) -> None:
        """Remove a detector, 1 to 70."""
        self.put(_detector(idet), "")

    def add_detector(self, detector: str) -> int:
        """Add a PV to read; its number.

        Raises:
            ScanException: There is no room.
        """
        fields = [_detector(number) for number in range(1, NUM_DETECTORS + 1)]
        idet = self._free("detectors", fields)
        self.put(_detector(idet), detector, wait=True)
        return idet

    def clear_trigger(self, itrig: int = 1) -> None:
        """Remove a trigger, 1 to 4."""
        self.put(f"T{itrig}PV", "")

    def add_trigger(self, trigger: str, value: float = 1.0) -> int:
        """Add a PV that is put at every point; its number.

        Args:
            trigger: The PV.
            value: What is put.

        Raises:
            ScanException: There is no room.
        """
        fields = [f"T{number}PV" for number in range(1, NUM_TRIGGERS + 1)]
        itrig = self._free("triggers", fields)
        self.put(f"T{itrig}PV", trigger, wait=True)
        self.put(f"T{itrig}CD", value, wait=True)
        return itrig

    # ---- positioners

    def clear_positioner(self, ipos: int = 1) -> None:
        """Remove a positioner, 1 to 4."""
        nothing: dict[str, Any] = {"PV": "", "PA": [0]}
        for attr in self.pos_attrs:
            self.put(f"P{ipos}{attr}", nothing.get(attr, 0))
        self.put(f"R{ipos}PV", "")

    def add_positioner(
        self,
        drive: str,
        readback: str | None = None,
        start: float | None = None,
        stop: float | None = None,
        step: float | None = None,
        center: float | None = None,
        width: float | None = None,
        mode: str = "linear",
        absolute: bool = True,
        array: Any = None,
    ) -> int:
        """Add a positioner; its number.

        Args:
            drive: PV that is moved.
            readback: PV that says where it is, None: RBV where drive ends in VAL.
            start: First position.
            stop: Last position.
            step: From one to the next.
            center: Middle of the positions.
            width: From first to last.
            mode: linear, table or fly.
            absolute: Whether positions are where it goes, or relative to where it is.
            array: All positions, in the modes table and fly.

        Raises:
            ScanException: There is no room.
        """
        fields = [f"P{number}PV" for number in range(1, NUM_POSITIONERS + 1)]
        ipos = self._free("positioners", fields)
        self.put(f"P{ipos}PV", drive, wait=True)
        if readback is None and drive.endswith(".VAL"):
            readback = drive.removesuffix(".VAL") + ".RBV"
        if mode.lower().startswith("linear"):
            array = None
        self.set_positioner(
            ipos,
            readback=readback,
            start=start,
            stop=stop,
            step=step,
            center=center,
            width=width,
            mode=mode,
            absolute=absolute,
            array=array,
        )
        return ipos

    def set_positioner(
        self,
        ipos: int | None,
        drive: str | None = None,
        readback: str | None = None,
        start: float | None = None,
        stop: float | None = None,
        step: float | None = None,
        center: float | None = None,
        width: float | None = None,
        mode: str | None = None,
        absolute: bool | None = None,
        array: Any = None,
    ) -> None:
        """Change a positioner; what is None stays. See `add_positioner`.

        Raises:
            ScanException: There is no number.
        """
        if ipos is None:
            raise ScanException("a positioner has a number; nothing was changed")
        # mode and kind first: the record checks limits with them
        fields: dict[str, Any] = {
            "AR": None if absolute is None else int(not absolute),
            "SM": None if mode is None else _mode(mode),
            "SP": start,
            "EP": stop,
            "SI": step,
            "CP": center,
            "WD": width,
            "PA": array,
        }
        if drive is not None:
            self.put(f"P{ipos}PV", drive)
        if readback is not None:
            self.put(f"R{ipos}PV", readback)
        for field, value in fields.items():
            if value is not None:
                self.put(f"P{ipos}{field}", value)

    # ---- the whole scan

    def after_scan(self, mode: int | str) -> None:
        """Set where positioners go when it is over."""
        self.put("PASM", mode, wait=True)

    def positioner_delay(self, pdelay: float) -> None:
        """Set the seconds between positioners and triggers."""
        self.put("PDLY", pdelay, wait=True)

    def detector_delay(self, pdelay: float) -> None:
        """Set the seconds between triggers and reading."""
        self.put("DDLY", pdelay, wait=True)


def _detector(number: int) -> str:
    return f"D{number:02d}PV"


def _mode(name: str) -> int:
    """The record's number of a mode; what it does not know is linear."""
    return next(
        (at for at, mode in enumerate(MODES) if name.lower().startswith(mode)), 0
    )
