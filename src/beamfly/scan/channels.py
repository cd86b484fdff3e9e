"""What the scan engine needs of devices, and nothing more.

The engine is handed `Channels` and opens a `Channel` per PV. Local variables and
simulated PVs are in `local`; PVs of the control system are joined elsewhere, and have
to pass the tests of `tests/scan/scan_channel_contract.py`. All calls and callbacks
happen in one thread; callbacks may come at once, from within the call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from beamfly.errors import BadValue
from beamfly.scan.values import EnumValue, parse_double, value_text

ReadingValue = float | int | str | EnumValue | Sequence[Any]
"""What a PV may show: NumPy scalars and arrays will do, too."""


@dataclass(frozen=True)
class Reading:
    """The value of a PV at some time."""

    value: ReadingValue
    time: int
    """The device's own time stamp in milliseconds since 1970."""

    @property
    def plain(self) -> Any:
        """The value in Python's own types; an array of one element is that element."""
        value: Any = self.value
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, (list, tuple)):
            items = cast(Sequence[Any], value)
            return items[0] if len(items) == 1 else items
        return value

    @property
    def text(self) -> str:
        """As logged and compared with texts: the label of an enumerated PV."""
        value = self.plain
        return value.label if isinstance(value, EnumValue) else value_text(value)

    @property
    def number(self) -> float:
        """As compared with numbers: index of an enumerated PV, first of an array.

        NaN if it is a text that reads as no number, or an empty array.
        """
        value = self.plain
        if isinstance(value, (list, tuple)):
            items = cast(Sequence[Any], value)
            value = items[0] if items else ""
        if isinstance(value, EnumValue):
            return float(value.index)
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return parse_double(str(value))
        except BadValue:
            return float("nan")


class Channel(Protocol):
    """A PV in use."""

    @property
    def connected(self) -> bool:
        """Whether it can be read and written now."""
        ...

    @property
    def reading(self) -> Reading | None:
        """The latest update, None before the first."""
        ...

    def read(self, answer: Callable[[Reading | None], None]) -> None:
        """Read it afresh; the answer is None if it cannot be read."""
        ...

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        """Write it.

        Args:
            value: a number or a text.
            done: called after the device has processed it, with what went wrong or
                None; without it the value is sent and that is all.

        Raises:
            BadValue: it is known at once that this cannot be written.
        """
        ...

    def close(self) -> None:
        """Give it up; no callback comes any more."""
        ...


class Channels(Protocol):
    """Where PVs come from."""

    def open(self, name: str, changed: Callable[[], None]) -> Channel:
        """Use a PV.

        Args:
            name: of the PV.
            changed: called whenever it connects, disconnects or has an update.

        Raises:
            BadValue: there can be no such PV.
        """
        ...

    def advance(self, now: float) -> None:
        """Let time pass for PVs that depend on it."""
        ...

    def next_wakeup(self) -> float | None:
        """When to call `advance` at the latest, None for no need."""
        ...


class NoChannels:
    """Stands for a control system that is not there."""

    def open(self, name: str, changed: Callable[[], None]) -> Channel:
        """Refuse, as no PV can be reached."""
        del changed
        msg = f"Error for PV {name}: this server has loc:// and sim:// PVs only"
        raise BadValue(msg)

    def advance(self, now: float) -> None:
        """Nothing happens."""

    def next_wakeup(self) -> float | None:
        """Never."""
        return None


class ChannelTable:
    """Several sources of PVs, told apart by what their names start with."""

    def __init__(self, prefixes: Mapping[str, Channels], default: Channels):
        self._prefixes = dict(prefixes)
        self._default = default

    def open(self, name: str, changed: Callable[[], None]) -> Channel:
        """Use a PV of the source that its name belongs to."""
        for prefix, source in self._prefixes.items():
            if name.startswith(prefix):
                return source.open(name, changed)
        return self._default.open(name, changed)

    def advance(self, now: float) -> None:
        """Let time pass for all sources."""
        for source in {*self._prefixes.values(), self._default}:
            source.advance(now)

    def next_wakeup(self) -> float | None:
        """The earliest of all sources."""
        sources = {*self._prefixes.values(), self._default}
        times = [source.next_wakeup() for source in sources]
        return min((time for time in times if time is not None), default=None)
