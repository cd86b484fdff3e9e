"""Signals of a device whose values live in this process, not in the PandA.

Unlike ophyd-async's soft signals they give way to plain soft signals in mock mode, so
that writing to a mock device moves nothing.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, cast

from bluesky.protocols import Reading
from event_model import DataKey
from ophyd_async.core import (
    Callback,
    EnumTypes,
    SignalBackend,
    SignalDatatypeT,
    SignalMetadata,
    make_datakey,
)


class LocalBackend(SignalBackend[SignalDatatypeT], Generic[SignalDatatypeT]):
    """A value of this process, read and written through coroutines if need be.

    Args:
        datatype: Of the value.
        initial: The value until something else is known.
        read: Called for the value whenever it is asked for.
        write: Called before a new value is taken over; an error refuses it.
        units: Of the value, None if it has none.
    """

    def __init__(
        self,
        datatype: type[SignalDatatypeT],
        initial: SignalDatatypeT,
        *,
        read: Callable[[], Awaitable[SignalDatatypeT]] | None = None,
        write: Callable[[SignalDatatypeT], Awaitable[None]] | None = None,
        units: str | None = None,
    ) -> None:
        super().__init__(datatype)
        self._type = datatype
        self._read = read
        self._write = write
        self._units = units
        self._callback: Callback[Reading[SignalDatatypeT]] | None = None
        self._value = initial
        self._time = time.time()

    @property
    def value(self) -> SignalDatatypeT:
        """What is known, without asking."""
        return self._value

    def set_value(self, value: SignalDatatypeT) -> None:
        """Take over a value, and tell who listens; call it in the event loop."""
        self._value = value
        self._time = time.time()
        if self._callback is not None:
            self._callback(self._reading())

    def _reading(self) -> Reading[SignalDatatypeT]:
        return Reading(value=self._value, timestamp=self._time, alarm_severity=0)

    def source(self, name: str, read: bool) -> str:
        """Such as local://panda-data-capture."""
        return f"local://{name}"

    async def connect(self, timeout: float) -> None:
        """There is nothing to connect to."""

    async def put(self, value: SignalDatatypeT | None) -> None:
        """Write; None writes what the value is anyway."""
        new = self._value if value is None else self._converted(value)
        if self._write is not None:
            await self._write(new)
        self.set_value(new)

    def _converted(self, value: Any) -> SignalDatatypeT:
        kind: Any = self._type
        if kind in (bool, int, float, str) or issubclass(kind, EnumTypes):
            return cast(SignalDatatypeT, kind(value))
        return value

    async def get_value(self) -> SignalDatatypeT:
        """The value as it is now."""
        if self._read is not None:
            self.set_value(await self._read())
        return self._value

    async def get_reading(self) -> Reading[SignalDatatypeT]:
        """The value as it is now, with the time at which it became known."""
        await self.get_value()
        return self._reading()

    async def get_setpoint(self) -> SignalDatatypeT:
        """The value; it is what was written."""
        return self._value

    async def get_datakey(self, source: str) -> DataKey:
        """Data type, and units if there are any."""
        metadata = SignalMetadata()
        if self._units is not None:
            metadata["units"] = self._units
        if issubclass(self._type, EnumTypes):
            metadata["choices"] = [str(member.value) for member in self._type]
        return make_datakey(self._type, await self.get_value(), source, metadata)

    def set_callback(self, callback: Callback[Reading[SignalDatatypeT]] | None) -> None:
        """Tell of the value now and whenever it changes."""
        if callback is not None and self._callback is not None:
            raise RuntimeError("Cannot set a callback when one is already set")
        self._callback = callback
        if callback is not None:
            callback(self._reading())
