"""One connection for the time of a call, for `beamfly.ca.blocking`."""

import time
from collections.abc import Callable
from typing import Any, Self

from beamfly.ca.blocking_client import Answer
from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.channel_type import resolve
from beamfly.ca.dbr import Dbr, layout
from beamfly.ca.driver import NEVER, Driver
from beamfly.ca.notices import warn
from beamfly.ca.payloads import pack, pack_characters, whole
from beamfly.ca.pending import not_connected
from beamfly.ca.raw_circuit import RawCircuit
from beamfly.ca.responses import ReadNotifyResponse, ReadResponse, WriteNotifyResponse
from beamfly.ca.status import ECA_DISCONN
from beamfly.errors import CADisconnected


class Session:
    """One connection for the time of a call."""

    def __init__(self, timeout: float) -> None:
        self._driver = Driver(None, warn, circuit_type=RawCircuit)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._driver.close()

    def connect(self, *names: tuple[str, int]) -> list[Channel]:
        """Channels for names and priorities, all connected."""
        channels = [self._driver.core.channel(*name) for name in names]
        end = time.monotonic() + self._timeout
        if not self._driver.run_until(lambda: all(c.link for c in channels), end):
            missing = next(one for one in channels if not one.link)
            raise not_connected(missing, self._timeout)
        return channels

    def run_until(self, done: Callable[[], bool], end: float) -> None:
        """Work until something is done or the time has come."""
        self._driver.run_until(done, end)

    def monitor(self, monitor: Monitor) -> None:
        """Subscribe, now and after every reconnection."""
        self._driver.core.monitor(monitor)

    def read(
        self,
        channel: Channel,
        data_type: Any,
        data_count: int | None,
        notify: bool,
        force_int_enums: bool,
    ) -> ReadNotifyResponse | ReadResponse:
        """Read once."""
        code = _read_type(channel, data_type, force_int_enums)
        elements = whole(data_count or 0)
        answer = Answer(channel, time.monotonic() + self._timeout)
        circuit = _circuit(channel)
        if notify:
            circuit.read(channel, code, elements, answer)
            return ReadNotifyResponse(*self._wait(answer))
        circuit.read_old(channel, code, elements, answer)
        return ReadResponse(*self._wait(answer))

    def write(
        self,
        channel: Channel,
        data: Any,
        data_type: Any,
        notify: bool,
    ) -> WriteNotifyResponse | None:
        """Write once; without `notify` wait only until the server has taken it.

        A connection that closed any sooner could take the value with it, and a read on
        the next one could be faster than the write.
        """
        code = _write_type(channel, data, data_type)
        count, raw = _packed(channel, code, data)
        circuit = _circuit(channel)
        answer = Answer(channel, time.monotonic() + self._timeout)
        if notify:
            circuit.write_notify(channel, code, count, raw, answer)
            return WriteNotifyResponse(*self._wait(answer))
        circuit.write(channel, code, count, raw)
        circuit.settle(answer)
        self._wait(answer)
        return None

    def _wait(self, answer: Answer) -> tuple[Any, ...]:
        """Header and payload of the answer, or the error."""
        self._driver.exchange(_circuit(answer.channel), lambda: answer.done, NEVER)
        if answer.error is not None:
            raise answer.error
        return answer.reading


def _circuit(channel: Channel) -> RawCircuit:
    """Where a channel is connected."""
    if not isinstance(channel.circuit, RawCircuit):
        msg = f"{channel.name} went away; nothing was sent"
        raise CADisconnected(msg, name=channel.name, status=ECA_DISCONN)
    return channel.circuit


def _read_type(channel: Channel, data_type: Any, force_int_enums: bool) -> Dbr:
    """DBR type to read; enums come as strings unless told otherwise."""
    native = channel.native_type
    if data_type is None and native is Dbr.ENUM and not force_int_enums:
        return Dbr.STRING
    return resolve(data_type, native)


def _write_type(channel: Channel, data: Any, data_type: Any) -> Dbr:
    """DBR type to write; text for an enum goes as text."""
    native = channel.native_type
    if data_type is None and native is Dbr.ENUM:
        first: Any = data
        if isinstance(data, (list, tuple)) and data:
            first = data[0]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(first, (str, bytes)):
            return Dbr.STRING
    code = resolve(data_type, native)
    if code > Dbr.DOUBLE and code not in (Dbr.PUT_ACKT, Dbr.PUT_ACKS):
        # servers take values only, not metadata
        return layout(code).base
    return code


def _packed(channel: Channel, code: Dbr, data: Any) -> tuple[int, bytes | memoryview]:
    """Count and bytes of a value; text for characters is what it says."""
    base = layout(code).base
    if base is Dbr.CHAR and isinstance(data, (str, bytes)):
        return pack_characters(data, channel.count if channel.name.endswith("$") else 0)
    return pack(base, data)
