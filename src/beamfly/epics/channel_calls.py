"""Channels by number: finding, reading, writing and watching them.

These are the functions of `beamfly.epics.ca` that wait for the network.
"""

import sys
from collections.abc import Callable
from typing import Any

from beamfly.ca.channel import Monitor
from beamfly.epics import channel_io, dbr
from beamfly.epics.channel_ids import (
    connection_seconds,
    create,
    find,
    promote_type,
)
from beamfly.epics.link import Link
from beamfly.epics.questions import ChannelId

# ---- channels


def create_channel(
    pvname: str,
    connect: bool = False,
    auto_cb: bool = True,
    callback: Callable[..., object] | None = None,
) -> ChannelId:
    """Start to look for a PV; its number, which is the same for the same name.

    Args:
        pvname: Name of the PV.
        connect: Whether to wait for it.
        auto_cb: Not used.
        callback: Called with pvname, chid, conn.
    """
    chid = create(pvname, callback)
    if connect:
        connect_channel(chid)
    return chid


def connect_channel(
    chid: int, timeout: float | None = None, verbose: bool = False
) -> bool:
    """Whether it is connected after so many seconds at most.

    Args:
        chid: Number of the channel.
        timeout: Seconds, None: `DEFAULT_CONNECTION_TIMEOUT`.
        verbose: Whether to print that it is not.
    """
    link = find(chid)
    wait = connection_seconds(timeout)
    found = link.wait_connected(wait)
    if verbose and not found:
        sys.stdout.write(f"{link.name} was not found within {wait} s\n")
    return found


# ---- get and put


def get_with_metadata(
    chid: int,
    ftype: int | None = None,
    count: int | None = None,
    wait: bool = True,
    timeout: float | None = None,
    as_string: bool = False,
    as_numpy: bool = True,
) -> dict[str, Any] | None:
    """The value and what the type brings along; None if it does not come.

    Args:
        chid: Number of the channel.
        ftype: DBR type to ask for, None: the native one.
        count: Most elements, None: all.
        wait: False only asks: `get_complete` gives the answer.
        timeout: Seconds, None: 1 + log10(elements).
        as_string: Give text.
        as_numpy: Give arrays as numpy arrays, else lists.

    Raises:
        ChannelAccessGetFailure: The server refused.
    """
    link = find(chid)
    if not connect_channel(chid):
        return None
    code = link.facts.type if ftype is None else ftype
    if timeout is None:
        timeout = channel_io.seconds_for(count or link.facts.nelm)
    channel_io.ask(link, code, count, timeout)
    if not wait:
        return None
    return get_complete_with_metadata(chid, code, count, timeout, as_string, as_numpy)


def get_complete_with_metadata(
    chid: int,
    ftype: int | None = None,
    count: int | None = None,
    timeout: float | None = None,
    as_string: bool = False,
    as_numpy: bool = True,
) -> dict[str, Any] | None:
    """The answer to a get with `wait=False`; arguments as for `get_with_metadata`."""
    link = find(chid)
    code = link.facts.type if ftype is None else ftype
    if timeout is None:
        timeout = channel_io.seconds_for(count or link.facts.nelm)
    data = channel_io.complete(link, code, timeout, as_numpy)
    if data is None or not as_string:
        return data
    return {**data, "value": channel_io.as_string(link, data["value"], code)}


def get(
    chid: int,
    ftype: int | None = None,
    count: int | None = None,
    wait: bool = True,
    timeout: float | None = None,
    as_string: bool = False,
    as_numpy: bool = True,
) -> Any:
    """The value; arguments are those of `get_with_metadata`."""
    data = get_with_metadata(chid, ftype, count, wait, timeout, as_string, as_numpy)
    return None if data is None else data["value"]


def get_complete(
    chid: int,
    ftype: int | None = None,
    count: int | None = None,
    timeout: float | None = None,
    as_string: bool = False,
    as_numpy: bool = True,
) -> Any:
    """The value that a get with `wait=False` asked for."""
    data = get_complete_with_metadata(chid, ftype, count, timeout, as_string, as_numpy)
    return None if data is None else data["value"]


def put(
    chid: int,
    value: Any,
    wait: bool = False,
    timeout: float = 30,
    callback: Callable[..., object] | None = None,
    callback_data: Any = None,
    ftype: int | None = None,
) -> int | None:
    """Write a value; arguments and results are those of `PV.put`.

    Args:
        chid: Number of the channel.
        value: What to write; states of enums as numbers.
        wait: Whether to wait until the server has processed it.
        timeout: Seconds to wait.
        callback: Called with pvname and `data=callback_data`.
        callback_data: For the callback.
        ftype: Not used: values are sent in the PV's own type.
    """
    if not connect_channel(chid):
        return None
    return channel_io.put(find(chid), value, wait, timeout, callback, callback_data)


def get_ctrlvars(
    chid: int, timeout: float = 5.0, warn: bool = True
) -> dict[str, Any] | None:
    """Units, limits and the like; None if they do not come in time."""
    return _variables(chid, timeout, use_ctrl=True)


def get_timevars(
    chid: int, timeout: float = 5.0, warn: bool = True
) -> dict[str, Any] | None:
    """Status, severity, time stamp; None if they do not come in time."""
    return _variables(chid, timeout, use_time=True)


def _variables(chid: int, timeout: float, **form: bool) -> dict[str, Any] | None:
    if not connect_channel(chid):
        return None
    data = get_with_metadata(chid, promote_type(chid, **form), 1, timeout=timeout)
    if data is None:
        return None
    return {key: value for key, value in data.items() if key != "value"}


def get_timestamp(chid: int) -> float:
    """Seconds since 1970 of the last update."""
    return (get_timevars(chid) or {}).get("timestamp", 0)


def get_severity(chid: int) -> int:
    """0 none, 1 minor, 2 major, 3 invalid."""
    return (get_timevars(chid) or {}).get("severity", 0)


def get_precision(chid: int) -> int | None:
    """Digits after the point; None if it is no float."""
    return (get_ctrlvars(chid) or {}).get("precision")


def get_enum_strings(chid: int) -> tuple[str, ...] | None:
    """Names of states; None if it is no enum."""
    return channel_io.states_of(find(chid)) if connect_channel(chid) else None


def create_subscription(
    chid: int,
    use_time: bool = False,
    use_ctrl: bool = False,
    ftype: int | None = None,
    mask: int | None = None,
    callback: Callable[..., object] | None = None,
    count: int = 0,
    timeout: float | None = None,
) -> tuple[Any, Any, tuple[Link, Monitor]]:
    """Have a callback told of changes, also after reconnections.

    Args:
        chid: Number of the channel; it need not be connected.
        use_time: Whether time stamps come along.
        use_ctrl: Whether units and limits come along.
        ftype: Plain DBR type, None: the native one.
        mask: Of `dbr.DBE_*`, None: `DEFAULT_SUBSCRIPTION_MASK`.
        callback: Called with value=, pvname=, chid=, ftype=, count= and metadata.
        count: Elements, 0: as many as there are.
        timeout: Not used: nothing is waited for.

    Returns:
        Three things of which the last goes to `clear_subscription`.
    """
    link = find(chid)
    form = "ctrl" if use_ctrl else "time" if use_time else "native"
    monitor = channel_io.subscribe(
        link, ftype, form, mask or _default_mask(), count, callback
    )
    return callback, None, (link, monitor)


def clear_subscription(event_id: tuple[Link, Monitor]) -> int:
    """End a subscription, which is the last of what `create_subscription` gave."""
    link, monitor = event_id
    if not link.context.closed:
        link.context.call(lambda: link.unwatch(monitor))
    return dbr.ECA_NORMAL


def _default_mask() -> int:
    """`ca.DEFAULT_SUBSCRIPTION_MASK`, which scripts change."""
    from beamfly.epics import ca

    return ca.DEFAULT_SUBSCRIPTION_MASK
