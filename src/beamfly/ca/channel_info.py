"""connect and cainfo as coroutines, and what is known of channels."""

from typing import Any, overload

from beamfly.ca import dbr_names as names
from beamfly.ca.channel import ConnectionState
from beamfly.ca.default_client import CachedChannel, get_channel, get_channels
from beamfly.ca.message import Access
from beamfly.ca.nothing import CANothing
from beamfly.ca.operations import DEFAULT_TIMEOUT, Pvs, connected, operate


class CAInfo:
    """What is known of a channel; `str` gives six lines of text."""

    state_strings = ("never connected", "previously connected", "connected", "closed")
    datatype_strings = (
        *("string", "short", "float", "enum", "char", "long", "double"),
        "no access",
    )

    def __init__(self, pv: str, channel: CachedChannel) -> None:
        self.ok = True
        """Whether it could be found."""
        self.name = pv
        """Of the PV."""
        self.state = channel.state.value
        """Index into state_strings."""
        self.host = channel.host or "<disconnected>"
        """`address:port` of the server."""
        self.read = bool(channel.access & Access.READ)
        """Whether it may be read."""
        self.write = bool(channel.access & Access.WRITE)
        """Whether it may be written."""
        connected = channel.state is ConnectionState.CONNECTED
        self.count = channel.count
        """Most elements; 0 while not connected."""
        self.datatype = int(channel.native_type) if connected else 7
        """Index into datatype_strings."""

    def __str__(self) -> str:
        return (
            f"{self.name}:\n"
            f"    State: {self.state_strings[self.state]}\n"
            f"    Host: {self.host}\n"
            f"    Access: {self.read}, {self.write}\n"
            f"    Data type: {self.datatype_strings[self.datatype]}\n"
            f"    Count: {self.count}"
        )


@overload
async def connect(
    pv: str,
    wait: bool = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> CANothing: ...


@overload
async def connect(
    pv: Pvs,
    wait: bool = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> list[CANothing]: ...


async def connect(
    pv: str | Pvs,
    wait: bool = True,
    *,
    timeout: names.Timeout = DEFAULT_TIMEOUT,
    throw: bool = True,
) -> Any:
    """Connect to one PV or several, so that later operations start at once.

    Args:
        pv: Name, or list or tuple of names.
        wait: False to start looking only.
        timeout: Seconds, (time.time() of the end,), or None; for all PVs together.
        throw: Whether failures are raised; else they are returned.

    Returns:
        A `CANothing` that is true, or a list of them.
    """

    async def start(name: str, end: float) -> CANothing:
        channel = get_channel(name)
        if wait:
            await connected(channel, end)
        return CANothing(name)

    return await operate(pv, start, timeout, throw, connect=wait)


@overload
async def cainfo(
    pv: str,
    wait: bool = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> CAInfo: ...


@overload
async def cainfo(
    pv: Pvs,
    wait: bool = ...,
    *,
    timeout: names.Timeout = ...,
    throw: bool = ...,
) -> list[CAInfo]: ...


async def cainfo(
    pv: str | Pvs,
    wait: bool = True,
    *,
    timeout: names.Timeout = DEFAULT_TIMEOUT,
    throw: bool = True,
) -> Any:
    """Connect and tell what is known of one PV or several; arguments as `connect`."""

    async def start(name: str, end: float) -> CAInfo:
        channel = get_channel(name)
        if wait:
            await connected(channel, end)
        return CAInfo(name, channel)

    return await operate(pv, start, timeout, throw, connect=wait)


class ChannelInfo:
    """One channel of the running loop."""

    def __init__(self, name: str, connected: bool, subscriber_count: int) -> None:
        self.name = name
        """Of the PV."""
        self.connected = connected
        """Whether it is connected."""
        self.subscriber_count = subscriber_count
        """How many subscriptions it has."""


def get_channel_infos() -> list[ChannelInfo]:
    """Every channel that the running loop has made so far."""
    return [
        ChannelInfo(channel.name, channel.connected, len(channel.subscriptions))
        for channel in get_channels()
    ]
