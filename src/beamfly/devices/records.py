"""EPICS records as devices: AnalogIn, AnalogOut, BinaryIn ... and `pv` for anything.

```python
pressure = AnalogIn("BL:P1", name="pressure")
heater = AnalogOut("BL:T1:SET", readback="BL:T1", tolerance=0.1, name="heater")
shutter = BinaryOut("BL:SHUTTER", name="shutter")       # set("Open")
RE(scan([pressure], heater, 20, 80, 7))
```

The value is read under the name of the device; units, precision, limits and choices are
in its description. What is set waits until the record has processed it. Everything else
of a record is at hand with `device.field("HIHI")`, see `record_fields`. Motors are in
`beamfly.devices.motor`, scalers in `beamfly.devices.scaler`.
"""

import re
from functools import cached_property
from typing import Annotated, Any, Generic

from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    MovableLogic,
    SignalDatatypeT,
    SignalR,
    SignalRW,
)
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import PvSuffix

from beamfly.devices.ca import ca_signal_r, ca_signal_rw
from beamfly.devices.record import SET_SECONDS, InputRecord, OutputRecord
from beamfly.devices.record_moves import BinaryLogic, NumberLogic


class AnalogIn(InputRecord[float]):
    """An ai record, or any other whose value is a float: calc, calcout, ao, sel, sub.

    Reads value; config description, units.
    """

    kind = "ai"
    record_types = ("ai", "ao", "calc", "calcout", "scalcout", "swait", "sel", "sub")
    units: Annotated[SignalR[str], PvSuffix(".EGU"), Format.CONFIG_SIGNAL]
    """EGU"""

    def __init__(self, prefix: str, name: str = "") -> None:
        super().__init__(prefix, float, name)


class LongIn(InputRecord[int]):
    """A longin or int64in record, or a longout that is only read."""

    kind = "longin"
    record_types = ("longin", "int64in", "longout", "int64out")
    units: Annotated[SignalR[str], PvSuffix(".EGU"), Format.CONFIG_SIGNAL]
    """EGU"""

    def __init__(self, prefix: str, name: str = "") -> None:
        super().__init__(prefix, int, name)


class Calc(InputRecord[float]):
    """A calc or calcout record; its expression is part of the configuration."""

    kind = "calc"
    record_types = ("calc", "calcout", "scalcout", "swait")
    units: Annotated[SignalR[str], PvSuffix(".EGU"), Format.CONFIG_SIGNAL]
    """EGU"""
    expression: Annotated[SignalRW[str], PvSuffix(".CALC"), Format.CONFIG_SIGNAL]
    """CALC"""

    def __init__(self, prefix: str, name: str = "") -> None:
        super().__init__(prefix, float, name)


class BinaryIn(InputRecord[Any]):
    """A bi record: the name of its state, or a bool.

    Args:
        prefix: Name of the record.
        name: Of the device.
        as_bool: Whether the value is True and False instead of names.
    """

    kind = "bi"
    record_types = ("bi", "bo", "busy")

    def __init__(self, prefix: str, name: str = "", as_bool: bool = False) -> None:
        super().__init__(prefix, bool if as_bool else str, name)


class MultiIn(InputRecord[str]):
    """A mbbi record: the name of its state, one of up to 16."""

    kind = "mbbi"
    record_types = ("mbbi", "mbbo")

    def __init__(self, prefix: str, name: str = "") -> None:
        super().__init__(prefix, str, name)


class StringIn(InputRecord[str]):
    """A stringin or lsi record.

    Args:
        prefix: Name of the record.
        name: Of the device.
        long: Whether its text may have more than 39 bytes, as that of lsi.
    """

    kind = "stringin"
    record_types = ("stringin", "lsi", "stringout", "lso", "scalcout")

    def __init__(self, prefix: str, name: str = "", long: bool = False) -> None:
        super().__init__(prefix, str, name, field="VAL$" if long else "VAL")


class _NumberOut(OutputRecord[SignalDatatypeT], Generic[SignalDatatypeT]):
    """A number between limits, with a readback if there is one."""

    units: Annotated[SignalR[str], PvSuffix(".EGU"), Format.CONFIG_SIGNAL]
    """EGU"""

    def __init__(
        self,
        prefix: str,
        datatype: type[SignalDatatypeT],
        name: str,
        timeout: float | None,
        readback: str,
        tolerance: float,
    ) -> None:
        self._datatype, self._tolerance = datatype, tolerance
        self._readback_pv = readback
        super().__init__(prefix, datatype, name, timeout)

    def _value_format(self) -> Format:
        return Format.CONFIG_SIGNAL if self._readback_pv else Format.HINTED_SIGNAL

    def _add_more(self) -> None:
        self.low_limit: SignalRW[Any] = ca_signal_rw(
            self._datatype, f"{self.record}.DRVL"
        )
        self.high_limit: SignalRW[Any] = ca_signal_rw(
            self._datatype, f"{self.record}.DRVH"
        )
        self.readback: SignalR[Any] = self.value
        if self._readback_pv:
            self.readback = ca_signal_r(self._datatype, self._readback_pv)
            self.add_readables([self.readback], Format.HINTED_SIGNAL)

    @cached_property
    def movable_logic(self) -> MovableLogic[SignalDatatypeT]:
        """How it is set."""
        return NumberLogic(
            setpoint=self.value,
            readback=self.readback,
            timeout=self._set_timeout,
            low=self.low_limit,
            high=self.high_limit,
            tolerance=self._tolerance,
        )


class AnalogOut(_NumberOut[float]):
    """An ao record; what is outside of its drive limits is refused.

    Args:
        prefix: Name of the record.
        name: Of the device.
        readback: A PV that follows; setting waits until it is near, and it is what is
            read. Empty: none.
        tolerance: How near, in the units of the record.
        timeout: Seconds that setting it may take, None for ever.
    """

    kind = "ao"
    record_types = ("ao",)

    def __init__(
        self,
        prefix: str,
        name: str = "",
        readback: str = "",
        tolerance: float = 0.0,
        timeout: float | None = SET_SECONDS,
    ) -> None:
        super().__init__(prefix, float, name, timeout, readback, tolerance)


class LongOut(_NumberOut[int]):
    """A longout or int64out record; arguments as for `AnalogOut`."""

    kind = "longout"
    record_types = ("longout", "int64out")

    def __init__(
        self,
        prefix: str,
        name: str = "",
        readback: str = "",
        tolerance: float = 0.0,
        timeout: float | None = SET_SECONDS,
    ) -> None:
        super().__init__(prefix, int, name, timeout, readback, tolerance)


class BinaryOut(OutputRecord[Any]):
    """A bo record: the name of its state, or a bool; a pulse is waited for.

    Args:
        prefix: Name of the record.
        name: Of the device.
        as_bool: Whether the value is True and False instead of names.
        timeout: Seconds that setting it may take, None for ever.
    """

    kind = "bo"
    record_types = ("bo", "busy")

    def __init__(
        self,
        prefix: str,
        name: str = "",
        as_bool: bool = False,
        timeout: float | None = SET_SECONDS,
    ) -> None:
        super().__init__(prefix, bool if as_bool else str, name, timeout)

    @cached_property
    def movable_logic(self) -> MovableLogic[Any]:
        """How it is set."""
        return BinaryLogic(
            self.value, self.value, self._set_timeout, self.field("HIGH")
        )


class MultiOut(OutputRecord[str]):
    """A mbbo record: the name of its state, one of up to 16."""

    kind = "mbbo"
    record_types = ("mbbo",)

    def __init__(
        self, prefix: str, name: str = "", timeout: float | None = SET_SECONDS
    ) -> None:
        super().__init__(prefix, str, name, timeout)


class StringOut(OutputRecord[str]):
    """A stringout or lso record; `long` as for `StringIn`."""

    kind = "stringout"
    record_types = ("stringout", "lso")

    def __init__(
        self,
        prefix: str,
        name: str = "",
        long: bool = False,
        timeout: float | None = SET_SECONDS,
    ) -> None:
        super().__init__(prefix, str, name, timeout, "VAL$" if long else "VAL")


def pv(
    pv_name: str,
    readable_name: str = "",
    writable: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
) -> SignalR[Any] | SignalRW[Any]:
    """Any PV as it is, for quick use and extra columns.

    Args:
        pv_name: The PV.
        readable_name: What it is called in the data; empty: the name of the PV with
            underscores instead of what is no letter or digit.
        writable: Whether it can be set.
        timeout: Seconds that a read or a write may take.
    """
    name = readable_name or re.sub(r"\W+", "_", pv_name)
    if writable:
        return ca_signal_rw(None, pv_name, name=name, timeout=timeout)
    return ca_signal_r(None, pv_name, name=name, timeout=timeout)
