"""What devices for one EPICS record have in common; `records` has the devices."""

from functools import cached_property
from typing import Annotated, ClassVar, Generic

from ophyd_async.core import (
    MovableLogic,
    SignalDatatypeT,
    SignalR,
    SignalRW,
    StandardMovable,
    StandardReadable,
    StrictEnum,
)
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import EpicsDevice, PvSuffix

from beamfly.devices.ca import ca_signal_r, ca_signal_rw
from beamfly.devices.record_fields import OnDemandFields, RecordConnector, record_of
from beamfly.devices.record_moves import OutputLogic

SET_SECONDS = 60.0
"""How long setting a record may take unless told otherwise."""


class Severity(StrictEnum):
    """How bad the alarm of a record is."""

    NO_ALARM = "NO_ALARM"
    MINOR = "MINOR"
    MAJOR = "MAJOR"
    INVALID = "INVALID"


class Record(StandardReadable, EpicsDevice, OnDemandFields):
    """What all devices for one record have.

    Args:
        prefix: Name of the record.
    """

    record_types: ClassVar[tuple[str, ...]] = ()
    """What RTYP may be; checked on connection."""
    description: Annotated[SignalR[str], PvSuffix(".DESC"), Format.CONFIG_SIGNAL]
    """DESC"""
    severity: Annotated[SignalR[Severity], PvSuffix(".SEVR")]
    """SEVR: how bad the alarm is."""
    status: Annotated[SignalR[str], PvSuffix(".STAT")]
    """STAT: what the alarm is about."""

    def __init__(self, prefix: str) -> None:
        self.record = record_of(prefix)
        self._on_demand = {}
        connector = RecordConnector(self.record, self.record_types)
        super().__init__(connector=connector)


class InputRecord(Record, Generic[SignalDatatypeT]):
    """A record that is read.

    Args:
        prefix: Name of the record.
        datatype: Of the value.
        name: Of the device.
        field: Where the value is.
    """

    def __init__(
        self,
        prefix: str,
        datatype: type[SignalDatatypeT],
        name: str = "",
        field: str = "VAL",
    ) -> None:
        super().__init__(prefix)
        with self.add_children_as_readables(Format.HINTED_SIGNAL):
            self.value: SignalR[SignalDatatypeT] = ca_signal_r(
                datatype, f"{self.record}.{field}"
            )
        self.set_name(name)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; its value is read under the same name."""
        super().set_name(name, child_name_separator=child_name_separator)
        self.value.set_name(name)


class OutputRecord(Record, StandardMovable[SignalDatatypeT], Generic[SignalDatatypeT]):
    """A record that is set.

    Args:
        prefix: Name of the record.
        datatype: Of the value.
        name: Of the device.
        timeout: Seconds that setting it may take, None for ever.
        field: Where the value is.
    """

    def __init__(
        self,
        prefix: str,
        datatype: type[SignalDatatypeT],
        name: str = "",
        timeout: float | None = SET_SECONDS,
        field: str = "VAL",
    ) -> None:
        super().__init__(prefix)
        self._set_timeout = timeout
        with self.add_children_as_readables(self._value_format()):
            self.value: SignalRW[SignalDatatypeT] = ca_signal_rw(
                datatype, f"{self.record}.{field}"
            )
        self._add_more()
        self.set_name(name)

    def _value_format(self) -> Format:
        return Format.HINTED_SIGNAL

    def _add_more(self) -> None:
        """Make further children, before the device gets its name."""

    @cached_property
    def movable_logic(self) -> MovableLogic[SignalDatatypeT]:
        """How it is set."""
        return OutputLogic(self.value, self.value, self._set_timeout)
