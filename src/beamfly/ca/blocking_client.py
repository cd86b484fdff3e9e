"""`Client` and `Channel` for scripts: calls that return when they are done.

```python
with Client() as client:
    motor = client.connect("BL:MOTOR")
    print(motor.get())
    motor.put(3.5, wait=True)
    motor.monitor(lambda value, time_ns, severity, status: print(value))
    client.run(10.0)
```

There is no thread: whatever waits does the work meanwhile, callbacks of monitors
included. A client belongs to one thread at a time.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from beamfly.ca.bulk import Bulk, checked
from beamfly.ca.channel import Channel as CoreChannel
from beamfly.ca.channel import Monitor, Request, checked_count
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr, Family, layout, promote
from beamfly.ca.driver import Driver
from beamfly.ca.group import Group, Groups
from beamfly.ca.message import EventMask
from beamfly.ca.native_messages import SIMPLE, native, typed
from beamfly.ca.notices import blame, warn
from beamfly.ca.payloads import Value
from beamfly.ca.pending import NEVER, not_connected
from beamfly.ca.readings import DEFAULT_TIMEOUT, Reading
from beamfly.ca.status import ECA_TIMEOUT
from beamfly.errors import BadValue, CATimeout


class Answer(Request):
    """A request that keeps what it was told."""

    __slots__ = ("done", "error", "reading")

    def __init__(self, channel: CoreChannel, deadline: float) -> None:
        self.channel = channel
        self.deadline = deadline
        self.done = False
        self.reading: tuple[Any, ...] = ()
        self.error: Exception | None = None

    def on_value(self, *reading: Any) -> None:
        """Answered."""
        self.reading = reading
        self.done = True

    def on_error(self, error: Exception) -> None:
        """Refused, late, or disconnected."""
        self.error = error
        self.done = True


class Client:
    """Channels to any number of servers, for one thread."""

    def __init__(self, config: Config | None = None) -> None:
        """Open a search socket.

        Args:
            config: Settings, None to read them from the environment.
        """
        self.driver = Driver(config, warn)
        self.core = self.driver.core
        self._groups = Groups()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every channel and connection; closing again does nothing."""
        self.driver.close()

    def channel(self, name: str, priority: int = 0) -> "Channel":
        """Start to look for a PV; every call makes a channel of its own."""
        channel = Channel(self, self.core.channel(name, priority))
        self.driver.pump()
        return channel

    def connect(self, name: str, timeout: float = DEFAULT_TIMEOUT) -> "Channel":
        """A channel that is connected; CATimeout after so many seconds."""
        return self.connect_many([name], timeout)[0]

    def connect_many(
        self, names: Iterable[str], timeout: float = DEFAULT_TIMEOUT
    ) -> list["Channel"]:
        """Channels in the order of the names, all connected; CATimeout names one."""
        wanted = [names] if isinstance(names, str) else [*names]
        channels = [Channel(self, core) for core in self.core.look_for(wanted)]
        try:
            self.wait_connected(channels, timeout)
        except BaseException:
            for channel in channels:
                channel.close()
            raise
        return channels

    def wait_connected(self, channels: Sequence["Channel"], timeout: float) -> None:
        """Return when all are connected; CATimeout after so many seconds."""
        missing = [one.core for one in channels if one.core.link is None]

        def done() -> bool:
            while missing and missing[-1].link is not None:
                missing.pop()
            return not missing

        if not self.driver.run_until(done, time.monotonic() + timeout):
            raise not_connected(missing[-1], timeout)

    def get_many(
        self, channels: Sequence["Channel"], timeout: float = DEFAULT_TIMEOUT
    ) -> list[Any]:
        """Native values in the order of the channels; the first error is raised."""
        end = time.monotonic() + timeout
        group = self._groups.known(channels) or self._group(channels, timeout)
        bulks: list[Bulk] = []
        for part in group.parts:
            bulks.append(part.circuit.read_bulk(part, end))
            self.driver.flush(part.circuit)
        return self._result(bulks)

    def put_many(
        self,
        channels: Sequence["Channel"],
        values: Sequence[Any],
        wait: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Write one value to each channel in one go; the first error is raised.

        Values leave in the order of the channels, or none does.

        Args:
            channels: May be the same one again and again.
            values: As many, as for `Channel.put`.
            wait: Whether to wait until the servers have processed all.
            timeout: Seconds; then CATimeout.
        """
        values = [*values]
        if len(values) != len(channels):
            msg = f"{len(channels)} PVs take as many values, not {len(values)}"
            raise BadValue(f"{msg}; nothing was written")
        end = time.monotonic() + timeout
        group = self._groups.known(channels) or self._group(channels, timeout)
        bulks: list[Bulk] = []
        for part, share in zip(group.parts, group.shares(values), strict=True):
            if wait:
                bulks.append(part.circuit.write_bulk(part, share, end))
            else:
                part.circuit.write_many(part, share)
            self.driver.flush(part.circuit)
        self._result(bulks)

    def _group(self, channels: Sequence["Channel"], timeout: float) -> Group:
        """The group of channels, once all are connected."""
        self.wait_connected(channels, timeout)
        return self._groups.new(channels)

    def _result(self, bulks: list[Bulk]) -> list[Any]:
        """Work until all answers are there."""
        for bulk in bulks:
            self.driver.exchange(bulk.part.circuit, lambda bulk=bulk: bulk.told, NEVER)
        return checked(bulks)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Serve monitors and reconnections for a while, or until something is true."""
        return self.driver.run_until(until, time.monotonic() + seconds)


class Channel:
    """One PV: connects by itself, whenever its client works, until it is closed."""

    def __init__(self, client: Client, core: CoreChannel) -> None:
        """Wrap a channel; `Client.channel` does this."""
        self._client = client
        self._driver = client.driver
        self.core = core
        """State, native type, count, access, host."""

    def __repr__(self) -> str:
        return f"<Channel {self.name!r}: {self.core.state.name.lower()}>"

    @property
    def name(self) -> str:
        """Of the PV."""
        return self.core.name

    @property
    def connected(self) -> bool:
        """Whether the server had it open when the client last worked."""
        return self.core.link is not None

    def close(self) -> None:
        """Give it up for good."""
        circuit = self.core.circuit
        self._client.core.close_channel(self.core)
        if circuit is not None and not self._driver.closed:
            self._driver.pump()

    def get(
        self,
        dbr: Dbr | None = None,
        count: int = 0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Any:
        """The value.

        Args:
            dbr: Type to ask for, None for the native one. A TIME type gives a
                `Reading`, types with more metadata a `Value`.
            count: Elements; 0: as many as there are.
            timeout: Seconds; then CATimeout.
        """
        reading = self._read(dbr, Family.PLAIN, count, timeout)
        return reading[0] if len(reading) == 1 else Reading(*reading)

    def read(self, count: int = 0, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """The value with time stamp and alarm; the rest is as for `get`."""
        return Reading(*self._read(None, Family.TIME, count, timeout))

    def describe(self, timeout: float = DEFAULT_TIMEOUT) -> Value:
        """Units, precision, limits, enum strings, along with the value."""
        return self._read(None, Family.CTRL, 0, timeout)[0]

    def _read(
        self, dbr: Dbr | None, family: Family, count: int, timeout: float
    ) -> tuple[Any, ...]:
        """What the server answers."""
        count = checked_count(self.name, count)
        end = time.monotonic() + timeout
        core = self.core
        if core.link is None:
            self._client.wait_connected([self], timeout)
        circuit = core.circuit
        if dbr is None:
            dbr = promote(core.native_type, family)
        if circuit is None:
            raise not_connected(core, timeout)
        answer = Answer(core, end)
        circuit.read(core, dbr, count, answer)
        self._driver.exchange(circuit, lambda: answer.done, NEVER)
        if answer.error is not None:
            raise answer.error
        return answer.reading

    def put(
        self,
        value: Any,
        dbr: int | None = None,
        wait: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Write a value.

        Args:
            value: Number, text, bytes, sequence or array of one dimension.
            dbr: Base type to send; None: text as text, or as characters to an array of
                those, the rest as the native type.
            wait: Whether to wait until the server has processed it.
            timeout: Seconds; then CATimeout.
        """
        end = time.monotonic() + timeout
        if self.core.link is None:
            self._client.wait_connected([self], timeout)
        answer = self.queue_put(value, dbr, wait, end)
        circuit = self.core.circuit
        if circuit is None:
            return
        if answer is None:
            self._driver.flush(circuit)
            return
        self._driver.exchange(circuit, lambda: answer.done, NEVER)
        if answer.error is not None:
            raise answer.error

    def queue_put(
        self, value: Any, dbr: int | None, wait: bool, end: float
    ) -> Answer | None:
        """Queue a write on a connected channel; what to wait for, if anything."""
        core = self.core
        circuit = core.circuit
        if circuit is None or core.link is None:
            msg = f"{self.name} is not connected; {value!r:.40} was not written"
            raise CATimeout(msg, name=self.name, status=ECA_TIMEOUT)
        if dbr is None:
            simple = type(value) in SIMPLE and not wait
            if simple and circuit.write_number(core, value):
                return None
            dbr, count, data = native(core.link, value)
        else:
            dbr, count, data = typed(dbr, value)
        if not wait:
            circuit.write(core, dbr, count, data)
            return None
        answer = Answer(core, end)
        circuit.write_notify(core, dbr, count, data, answer)
        return answer

    def monitor(
        self,
        callback: Callable[[Any, int, int, int], object],
        *,
        dbr: Dbr | None = None,
        count: int = 0,
        mask: int = EventMask.VALUE | EventMask.ALARM,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Callable[[], None]:
        """Be told of changes whenever the client works; gives what ends it.

        Args:
            callback: Called with value, time_ns, severity, status, as in `Reading`.
            dbr: Base type of the values, None for the native one.
            count: Elements; 0: as many as there are.
            mask: Bits of EventMask.
            on_error: Told of failures, and of what the callback raises; None: logged.
        """
        count = checked_count(self.name, count)
        if dbr is not None:
            dbr = layout(dbr).base

        def choose(core: CoreChannel) -> tuple[int, int]:
            base = core.native_type if dbr is None else dbr
            return promote(base, Family.TIME), count

        monitor = Monitor(self.core, choose, mask, callback, on_error or blame)
        self._client.core.monitor(monitor)
        self._driver.pump()

        def close() -> None:
            self._client.core.cancel(monitor)
            if not self._driver.closed:
                self._driver.pump()

        return close
