"""PVs of Channel Access for the scan engine: joins `beamfly.scan` and `beamfly.ca`.

```python
async with Client() as client, ScanServer(config, channels=CaChannels(client)):
    ...
```

Scans that use the same PV at the same time share one channel with one subscription; it
is closed with the last of them. A read that meets a connection that is gone waits until
it is back: the engine decides how long that may take, and names the PV if it is too
long.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from beamfly.ca.asyncio import Client
from beamfly.ca.dbr import Dbr
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.ca.readings import Reading as CaReading
from beamfly.errors import BadValue, Disconnected
from beamfly.scan.channels import Channel, Reading, ReadingValue
from beamfly.scan.data import parse_array
from beamfly.scan.values import EnumValue

PREFIX = "ca://"
_MILLION = 1_000_000
_LARGEST_LONG = 2**31 - 1

Answer = Callable[[Reading | None], None]


class CaChannels:
    """Where the scan engine gets PVs of Channel Access.

    Args:
        client: Finds them; it stays open when scans are over, and is not closed here.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pvs: dict[str, SharedPV] = {}

    def open(self, name: str, changed: Callable[[], None]) -> Channel:
        """Use a PV, whose name may start with `ca://`; BadValue if that is no name."""
        plain = name.removeprefix(PREFIX).strip()
        if not plain or "://" in plain:
            msg = f"Error for PV {name}: it is no name that Channel Access could find"
            raise BadValue(msg)
        if "$(" in plain or "${" in plain:
            raise BadValue(f"Error for PV {name}: a macro in its name has no value")
        shared = self._pvs.get(plain)
        if shared is None:
            shared = SharedPV(self._client, plain, lambda: self._pvs.pop(plain, None))
            self._pvs[plain] = shared
        return CaChannel(shared, changed)

    def advance(self, now: float) -> None:
        """Nothing depends on it: PVs have their own time."""

    def next_wakeup(self) -> float | None:
        """Never."""
        return None


class CaChannel:
    """One user's view of a PV."""

    def __init__(self, shared: "SharedPV", changed: Callable[[], None]) -> None:
        self._shared = shared
        self._changed = changed
        self._open = True
        shared.users[self] = None

    @property
    def connected(self) -> bool:
        """Whether it can be read and written now."""
        return self._shared.connected

    @property
    def reading(self) -> Reading | None:
        """The latest update, None before the first."""
        return self._shared.reading

    def changed(self) -> None:
        """Tell the user, unless it has given up."""
        if self._open:
            self._changed()

    def read(self, answer: Answer) -> None:
        """Read it afresh; waits for the connection if that is gone."""

        def told(reading: Reading | None) -> None:
            if self._open:
                answer(reading)

        self._shared.read(told)

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        """Write a number, a text or a list.

        Raises:
            BadValue: It is not connected, must not be written, or does not fit.
        """

        def told(error: str | None) -> None:
            if self._open and done is not None:
                done(error)

        self._shared.write(value, None if done is None else told)

    def close(self) -> None:
        """Give it up; the last one to do so closes the channel."""
        if self._open:
            self._open = False
            self._shared.leave(self)


class SharedPV:
    """One PV, whoever uses it."""

    def __init__(self, client: Client, name: str, forget: Callable[[], object]) -> None:
        self.name = name
        self.users: dict[CaChannel, None] = {}
        self.reading: Reading | None = None
        self._forget = forget
        self._time_ns = 0
        self._labels: tuple[str, ...] | None = None
        self._asked: deque[Answer] = deque()
        self._channel = client.channel(name)
        self._channel.core.on_change.append(lambda _: self._connection_changed())
        self._subscription = self._channel.monitor(self._update, on_error=_ignore)

    @property
    def connected(self) -> bool:
        """Whether it can be used; an enum needs its labels for that."""
        return self._channel.connected and (
            not self._is_enum or self._labels is not None
        )

    @property
    def _is_enum(self) -> bool:
        return self._channel.native_type is Dbr.ENUM

    @property
    def _is_text(self) -> bool:
        """Arrays of characters are what EPICS has for long texts."""
        return self._channel.native_type is Dbr.CHAR and self._channel.count > 1

    def leave(self, user: CaChannel) -> None:
        """One user less."""
        self.users.pop(user, None)
        if not self.users:
            self._forget()
            self._asked.clear()
            self._subscription.close()
            self._channel.close()

    def _tell(self) -> None:
        for user in tuple(self.users):
            user.changed()

    def _connection_changed(self) -> None:
        if not self.users and self._channel.core.closed:
            return
        self._labels = None
        if self._channel.connected and self._is_enum:
            _when_done(self._channel.describe(timeout=None), self._described)
        self._go_on()

    def _described(self, value: Value | None, error: Exception | None) -> None:
        """The labels of an enum have come; if not, the numbers have to do."""
        if isinstance(error, Disconnected):
            return
        labels = () if value is None else value.enum_strings
        self._labels = tuple(label.decode(errors="replace") for label in labels)
        self._go_on()

    def _go_on(self) -> None:
        """Read for those who had to wait, tell all."""
        if self.connected:
            asked, self._asked = self._asked, deque()
            for answer in asked:
                self.read(answer)
        self._tell()

    # reading

    def _update(self, value: Any, time_ns: int, severity: int, status: int) -> None:
        del severity, status
        if self._is_enum and self._labels is None:
            # the label is not known yet, and once it is, this is read again
            self.read(lambda _: None)
        elif time_ns < self._time_ns:
            # late, or the device's clock was set back: only asking tells which
            _when_done(self._channel.read(timeout=None), self._verified)
        else:
            self._take(value, time_ns)

    def _verified(self, got: CaReading | None, error: Exception | None) -> None:
        if got is not None:
            self._take(got.value, got.time_ns)

    def _take(self, value: Any, time_ns: int) -> Reading:
        self._time_ns = time_ns
        self.reading = Reading(self._converted(value), time_ns // _MILLION)
        self._tell()
        return self.reading

    def read(self, answer: Answer) -> None:
        """Read it as soon as it is connected."""
        if not self.connected:
            self._asked.append(answer)
            return

        def told(got: CaReading | None, error: Exception | None) -> None:
            if isinstance(error, Disconnected):
                self.read(answer)
            elif got is None:
                answer(None)
            elif got.time_ns < self._time_ns:
                # an update overtook it, which must not be forgotten
                answer(Reading(self._converted(got.value), got.time_ns // _MILLION))
            else:
                answer(self._take(got.value, got.time_ns))

        _when_done(self._channel.read(timeout=None), told)

    def _converted(self, value: Any) -> ReadingValue:
        """As the scan engine has it: enums with labels, characters as text."""
        if self._is_enum and isinstance(value, int):
            labels = self._labels or ()
            label = labels[value] if 0 <= value < len(labels) else ""
            return EnumValue(value, label or str(value))
        if self._is_text:
            raw = bytes([value]) if isinstance(value, int) else bytes(value)
            return raw.partition(b"\0")[0].decode(errors="replace")
        return value

    # writing

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        """Write it now, or not at all."""
        channel = self._channel
        if not channel.connected:
            raise BadValue(f"{self.name} is not connected")
        if not channel.access & Access.WRITE:
            raise BadValue(f"{self.name} must not be written by this user")
        outgoing, dbr = self._outgoing(value)
        put = channel.put(outgoing, dbr, wait=done is not None, timeout=None)
        if done is not None:
            _when_done(
                put, lambda _, error: done(None if error is None else str(error))
            )

    def _outgoing(self, value: Any) -> tuple[Any, Dbr]:
        """What to send, and as which type; the server converts to its own."""
        if isinstance(value, str):
            return self._outgoing_text(value)
        if isinstance(value, int) and abs(value) <= _LARGEST_LONG:
            return int(value), Dbr.LONG
        if isinstance(value, (list, tuple)):
            items = list(cast(Sequence[Any], value))
            texts = any(isinstance(item, str) for item in items)
            return items, Dbr.STRING if texts else Dbr.DOUBLE
        return value, Dbr.DOUBLE

    def _outgoing_text(self, text: str) -> tuple[Any, Dbr]:
        channel = self._channel
        if self._is_text:
            raw = text.encode() + b"\0"
            if len(raw) > channel.count:
                msg = f"{self.name} holds {channel.count - 1} bytes of text at most"
                raise BadValue(msg)
            return list(raw), Dbr.CHAR
        numeric = channel.native_type not in (Dbr.STRING, Dbr.ENUM)
        if numeric and channel.count > 1 and text.strip()[:1] == "[":
            return self._outgoing(parse_array(text))
        # without a callback nobody would ever hear that the device dropped it
        if numeric and not _is_number(text):
            raise BadValue(f"{self.name} takes numbers, and {text!r} is none")
        if self._is_enum and self._labels and not self._is_label(text):
            states = ", ".join(self._labels)
            raise BadValue(f"{self.name} has no state {text!r}: use one of {states}")
        return text, Dbr.STRING

    def _is_label(self, text: str) -> bool:
        return text in (self._labels or ()) or text.strip().isdigit()


def _is_number(text: str) -> bool:
    """Whether a device takes a text for a number: as Python does, or as 0x10."""
    with suppress(ValueError):
        float(text)
        return True
    with suppress(ValueError):
        int(text, 0)
        return True
    return False


def _ignore(error: Exception) -> None:
    """A failed update of a monitor: the next read tells whoever needs the value."""
    del error


def _when_done(
    awaitable: Awaitable[Any], told: Callable[[Any, Exception | None], object]
) -> None:
    """Tell what came of a request: its result, or its error."""
    future = asyncio.ensure_future(awaitable)

    def finished(future: "asyncio.Future[Any]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            told(future.result(), None)
        elif isinstance(error, Exception):
            told(None, error)

    future.add_done_callback(finished)
