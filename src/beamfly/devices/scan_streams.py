"""`RowStream`: rows of a scan that go to one stream of documents.

A flyer has one for each set of columns and gives it its rows; where they go is up to
the subclass. A stream can be declared and collected in place of the flyer, which has
to be where there are several.
"""

from abc import abstractmethod
from typing import Any

from bluesky.protocols import (
    Collectable,
    Configurable,
    HasHints,
    Hints,
    Reading,
)
from event_model import DataKey
from ophyd_async.core import StandardReadable

from beamfly.devices.scan_rows import ScanRow, StreamLayout

SERIAL = "serial"
"""Name of the data that count what was logged."""


class RowStream(Collectable, Configurable[Any], HasHints):
    """Takes the rows of one stream.

    Args:
        layout: Which columns they have.
        owner: The flyer; data keys start with its name.
        url: Of the scan server.
        axes: Devices that need no plot of their own.
    """

    def __init__(
        self, layout: StreamLayout, owner: StandardReadable, url: str, axes: set[str]
    ) -> None:
        self.layout = layout
        self.columns = list(layout.columns)
        self.url = url
        self._owner: Any = owner
        self._axes = axes

    @abstractmethod
    async def begin(self) -> None:
        """Make room for the rows of a scan that is about to be submitted."""

    @abstractmethod
    async def deliver(self, rows: list[ScanRow]) -> None:
        """Take rows, in order, none twice."""

    @abstractmethod
    async def end(self, reason: str) -> None:
        """No more rows come; called once or more, also if there never was any."""

    @property
    def name(self) -> str:
        """Such as `scan-primary`."""
        return f"{self._owner.name}-{self.layout.name}"

    @property
    def parent(self) -> None:
        """It belongs to no device, as its life ends with the scan."""

    @property
    def hints(self) -> Hints:
        """What to plot: everything that is logged, loop devices apart."""
        shown = [c.key for c in self.columns if c.device not in self._axes]
        return {"fields": [self.key(name) for name in shown]}

    def key(self, name: str) -> str:
        """The data key of a column."""
        return f"{self._owner.name}-{name}"

    async def describe_collect(self) -> dict[str, DataKey]:
        """Data keys with units and types, taken from the PVs where known."""
        serial = DataKey(source=self.url, dtype="integer", shape=[], dtype_numpy="<i8")
        keys = {self.key(column.key): column.data_key() for column in self.columns}
        return {self.key(SERIAL): serial, **keys}

    async def describe_configuration(self) -> dict[str, DataKey]:
        """The configuration of the flyer."""
        return await self._owner.describe_configuration()

    async def read_configuration(self) -> dict[str, Reading[Any]]:
        """The configuration of the flyer."""
        return await self._owner.read_configuration()
