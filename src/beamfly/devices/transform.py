"""A transform record: sixteen values A to P, each with an expression of its own.

```python
optics = Transform("BL:OPTICS", rows="ABC", name="optics")
RE(count([optics]))                            # columns optics-A, optics-B, optics-C
RE(mv(optics.values["A"], 12.5))               # B and C follow when it has processed
expression = await optics.field("CLCB").get()
```

Rows that are not asked for are not connected. Comments (CMTB), expressions (CLCB) and
links (INPB, OUTB) are at hand with `field`.
"""

from typing import Annotated, ClassVar

from ophyd_async.core import DeviceMap, SignalR, SignalRW, StandardReadable
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.core import EpicsDevice, PvSuffix

from beamfly.devices.ca import ca_signal_rw
from beamfly.devices.record_fields import OnDemandFields, RecordConnector, record_of
from beamfly.errors import BadValue

ROWS = "ABCDEFGHIJKLMNOP"


class Transform(StandardReadable, EpicsDevice, OnDemandFields):
    """A transform record.

    Reads the rows as `<transform>-A` and so on; config description.

    Args:
        prefix: Name of the record.
        rows: Letters of the rows that are read, out of A to P.
        name: Of the device.

    Raises:
        BadValue: There is no such row.
    """

    kind = "transform"
    record_types: ClassVar[tuple[str, ...]] = ("transform",)
    description: Annotated[SignalR[str], PvSuffix(".DESC"), Format.CONFIG_SIGNAL]
    """DESC"""

    def __init__(self, prefix: str, rows: str = ROWS, name: str = "") -> None:
        self.record = record_of(prefix)
        self._on_demand = {}
        if not rows or set(rows) - set(ROWS):
            msg = f"rows of {self.record} are out of A to P, not {rows!r}"
            raise BadValue(msg)
        super().__init__(connector=RecordConnector(self.record, self.record_types))
        with self.add_children_as_readables(Format.HINTED_SIGNAL):
            self.values: DeviceMap[SignalRW[float]] = DeviceMap(
                {row: ca_signal_rw(float, f"{self.record}.{row}") for row in rows}
            )
            """By letter."""
        self.set_name(name)

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the device; rows are read as `<name>-A` and so on."""
        super().set_name(name, child_name_separator=child_name_separator)
        for row, signal in self.values.items():
            signal.set_name(f"{name}-{row}" if name else "")
