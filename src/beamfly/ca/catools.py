"""caget, caput, camonitor, connect, cainfo as coroutines.

```python
value = await caget("BL:TEMPERATURE")
await caput("BL:MOTOR", 3.5, wait=True)
subscription = camonitor("BL:TEMPERATURE", print)
```

All take one PV or a list of PVs. Every event loop has connections of its own, which are
made when they are needed and closed with the loop.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Coroutine
from typing import Any, overload

from beamfly.ca import dbr_names as names
from beamfly.ca.asyncio_channel import FutureRequest
from beamfly.ca.cadef import CAException, InvalidString
from beamfly.ca.channel import Channel
from beamfly.ca.channel_info import (
    CAInfo,
    ChannelInfo,
    cainfo,
    connect,
    get_channel_infos,
)
from beamfly.ca.datatypes import plan_read, plan_write
from beamfly.ca.default_client import get_channel
from beamfly.ca.message import Access
from beamfly.ca.monitors import Subscription, camonitor
from beamfly.ca.native_messages import SIMPLE
from beamfly.ca.nothing import CANothing
from beamfly.ca.operations import DEFAULT_TIMEOUT, Pvs, connected, operate
from beamfly.ca.payloads import TextTooLong
from beamfly.ca.pending import NEVER
from beamfly.ca.pv_lists import get_list, put_list
from beamfly.ca.status import ECA_BADCOUNT, ECA_NORDACCESS, ECA_NOWTACCESS
from beamfly.errors import BadValue

__all__ = [
    "CAInfo",
    "CANothing",
    "ChannelInfo",
    "Subscription",
    "caget",
    "cainfo",
    "camonitor",
    "caput",
    "connect",
    "get_channel_infos",
    "run",
]
_NO_VALUE = object()
# numbers: flags of an enum take as long as all the rest of a check
_READ, _WRITE = int(Access.READ), int(Access.WRITE)


# ---- caget


@overload
async def caget(
    pv: str,
    datatype: names.Datatype = ...,
    format: names.Format = ...,
    count: names.Count = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> Any: ...


@overload
async def caget(
    pv: Pvs,
    datatype: names.Datatype = ...,
    format: names.Format = ...,
    count: names.Count = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> list[Any]: ...


async def caget(
    pv: str | Pvs,
    datatype: names.Datatype = None,
    format: names.Format = names.FORMAT_RAW,
    count: names.Count = 0,
    *,
    timeout: names.Timeout = DEFAULT_TIMEOUT,
    throw: bool = True,
) -> Any:
    """Read one PV, or several in parallel.

    Args:
        pv: Name, or list or tuple of names.
        datatype: None for the native type, one of DBR_*, a Python or numpy type.
        format: FORMAT_RAW, FORMAT_TIME or FORMAT_CTRL: which attributes come along.
        count: 0: as many elements as there are; -1: as many as there can be.
        timeout: Seconds, (time.time() of the end,), or None; for all PVs together.
        throw: Whether failures are raised; else they take the place of values.

    Returns:
        An augmented value, see `beamfly.ca.values`, or a list of them.
    """

    def start(name: str, end: float) -> Awaitable[Any]:
        return _get(name, datatype, format, count, end)

    def together(pvs: Pvs, end: float) -> Awaitable[list[Any] | None]:
        return get_list(pvs, end, throw)

    simple = datatype is None and format == names.FORMAT_RAW and not count
    in_one_go = together if simple else None
    return await operate(pv, start, timeout, throw, answered=True, together=in_one_go)


async def _get_later(
    name: str, datatype: Any, format: int, count: int, end: float
) -> Any:
    """Connect first."""
    await connected(get_channel(name), end)
    return await _get(name, datatype, format, count, end)


def _get(
    name: str, datatype: Any, format: int, count: int, end: float
) -> Awaitable[Any]:
    """Ask at once if the channel is connected."""
    channel = get_channel(name)
    core = channel.core
    circuit = core.circuit
    if core.link is None or circuit is None:
        return _get_later(name, datatype, format, count, end)
    if not core.link.rights & _READ:
        raise CAException(ECA_NORDACCESS, "ca_array_get_callback", name)
    if datatype is None and not count:
        plan = channel.plan(core.link, format)
    else:
        plan = plan_read(core, datatype, format, count)
    future: asyncio.Future[Any] = channel.client.loop.create_future()
    request = FutureRequest(core, end, future, plan.convert)
    circuit.read(core, plan.code, plan.count, request)
    channel.client.sent(circuit, end)
    return future


# ---- caput


@overload
async def caput(
    pv: str,
    value: Any,
    datatype: names.Datatype = ...,
    wait: bool = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> CANothing: ...


@overload
async def caput(
    pv: Pvs,
    value: Any,
    repeat_value: bool = ...,
    datatype: names.Datatype = ...,
    wait: bool = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> list[CANothing]: ...


async def caput(
    pv: str | Pvs,
    value: Any = _NO_VALUE,
    *args: Any,
    timeout: names.Timeout = DEFAULT_TIMEOUT,
    throw: bool = True,
    **kwargs: Any,
) -> Any:
    """Write one PV, or several.

    For one PV: `caput(pv, value, datatype=None, wait=False)`. For several:
    `caput(pvs, values, repeat_value=False, datatype=None, wait=False)`, where one value
    for all is a scalar, a str, or anything with repeat_value=True. Puts to connected
    channels are on their way, in the order of the calls, before this suspends.

    Args:
        pv: Name, or list or tuple of names.
        value: Number, text, bytes, sequence or array of one dimension.
        args: datatype and wait, or repeat_value, datatype and wait.
        timeout: Seconds, (time.time() of the end,), or None; for all PVs together.
        throw: Whether failures are raised; else they take the place of results.
        kwargs: As args, by name. With wait=True it returns when the server has
            finished processing.

    Returns:
        A `CANothing` that is true, or a list of them.
    """
    if value is _NO_VALUE:
        value = kwargs.pop("values", _NO_VALUE)
    if value is _NO_VALUE:
        msg = f"caput needs a value for {pv}; nothing was written"
        raise TypeError(msg)
    if isinstance(pv, str):
        datatype, wait = _arguments(args, kwargs, datatype=None, wait=False)
        values, given = [value], {pv: [value]}
    else:
        repeat, datatype, wait = _arguments(
            args, kwargs, repeat_value=False, datatype=None, wait=False
        )
        values = _spread(pv, value, repeat)
        given: dict[str, list[Any]] = {}
        for name, one in zip(pv, values, strict=True):
            given.setdefault(name, []).append(one)

    def start(name: str, end: float) -> Awaitable[Any]:
        return _put(name, given[name].pop(0), datatype, wait, end)

    def together(pvs: Pvs, end: float) -> Awaitable[list[Any] | None]:
        return put_list(pvs, values, wait, end, throw)

    in_one_go = together if datatype is None else None
    return await operate(pv, start, timeout, throw, answered=wait, together=in_one_go)


def _arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], **defaults: Any
) -> list[Any]:
    """Positional and named arguments in the order of their defaults."""
    unknown = set(kwargs) - set(defaults)
    if unknown or len(args) > len(defaults):
        msg = f"caput takes {', '.join(defaults)}, not {', '.join(unknown) or args}"
        raise TypeError(msg)
    named = dict(zip(defaults, args, strict=False))
    return list((defaults | kwargs | named).values())


def _spread(pvs: Pvs, values: Any, repeat: bool) -> list[Any]:
    """One value for each PV."""
    if not repeat and not isinstance(values, str):
        try:
            values = list(values)
        except TypeError:
            repeat = True
    if repeat or isinstance(values, str):
        return [values] * len(pvs)
    if len(values) != len(pvs):
        msg = (
            f"PV and value lists must match in length, not {len(pvs)} and "
            f"{len(values)}; nothing was written"
        )
        raise BadValue(msg)
    return values


async def _put_later(
    name: str, value: Any, datatype: Any, wait: bool, end: float
) -> Any:
    """Connect first."""
    await connected(get_channel(name), end)
    return await _put(name, value, datatype, wait, end)


def _put(
    name: str, value: Any, datatype: Any, wait: bool, end: float
) -> Awaitable[Any]:
    """Write at once if the channel is connected."""
    channel = get_channel(name)
    core, client = channel.core, channel.client
    circuit = core.circuit
    if core.link is None or circuit is None:
        return _put_later(name, value, datatype, wait, end)
    function = "ca_array_put_callback" if wait else "ca_array_put"
    if not core.link.rights & _WRITE:
        raise CAException(ECA_NOWTACCESS, function, name)
    future: asyncio.Future[Any] = client.loop.create_future()
    simple = datatype is None and not wait and type(value) in SIMPLE
    if simple and circuit.write_number(core, value):
        client.sent(circuit, NEVER)
        future.set_result(CANothing(name))
        return future
    code, count, data = _planned(core, datatype, value, function)
    if wait:
        request = FutureRequest(core, end, future, lambda: CANothing(name))
        circuit.write_notify(core, code, count, data, request)
    else:
        circuit.write(core, code, count, data)
        future.set_result(CANothing(name))
    client.sent(circuit, end if wait else NEVER)
    return future


def _planned(
    core: Channel, datatype: Any, value: Any, function: str
) -> tuple[int, int, bytes | memoryview]:
    """What is sent, or what the C library says of what cannot be sent."""
    try:
        code, count, data = plan_write(core, datatype, value)
    except TextTooLong as error:
        raise InvalidString(function, core.name, str(error)) from None
    if count > core.count:
        why = f"{core.name} has room for {core.count}, not {count}; nothing was sent"
        raise CAException(ECA_BADCOUNT, function, core.name, why)
    return code, count, data


def run(coro: Coroutine[Any, Any, Any], forever: bool = False) -> Any:
    """Run a coroutine in a loop of its own; use asyncio.run instead.

    Args:
        coro: What to run.
        forever: Whether the loop goes on when it is done, until somebody stops the
            loop; what it raises ends it.
    """
    msg = "beamfly.ca.run is deprecated, please use asyncio.run instead"
    warnings.warn(msg, DeprecationWarning, stacklevel=2)
    if not forever:
        return asyncio.run(coro)
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(coro)

        def done(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or task.exception() is not None:
                loop.stop()

        task.add_done_callback(done)
        loop.run_forever()
        return task.result() if task.done() else None
