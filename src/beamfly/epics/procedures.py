"""caget, caput, cainfo, camonitor: for those who want no objects.

They share one cache of PVs with `get_pv`, so that only the first use of a name has to
look for it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from beamfly.epics import ca, channel_io
from beamfly.epics.channel_ids import find
from beamfly.epics.link import Link
from beamfly.epics.pv import PV, get_pv
from beamfly.epics.texts import fmt_time

MONITOR_INDEX = -999
"""Number of the callback that camonitor uses."""
_monitors: dict[str, PV] = {}


def caget(
    pvname: str,
    as_string: bool = False,
    count: int | None = None,
    as_numpy: bool = True,
    use_monitor: bool = True,
    timeout: float = 5.0,
    connection_timeout: float = 5.0,
) -> Any:
    """The value of a PV; None, and a line on stdout, if it cannot be had.

    Args:
        pvname: Name of the PV.
        as_string: Give text, with the PV's precision or name of state.
        count: Most elements of an array, None: all.
        as_numpy: Give arrays as numpy arrays of shape (count,), else lists.
        use_monitor: Take the latest update, which saves asking the server.
        timeout: Seconds for everything.
        connection_timeout: Seconds for the connection.
    """
    start = time.monotonic()
    pv = get_pv(pvname, timeout=connection_timeout, connect=True)
    if not pv.connected:
        return None
    return pv.get(
        count=count,
        as_string=as_string,
        as_numpy=as_numpy,
        timeout=timeout - (time.monotonic() - start),
        use_monitor=use_monitor,
    )


def caput(
    pvname: str,
    value: Any,
    wait: bool = False,
    timeout: float = 60.0,
    connection_timeout: float = 5.0,
) -> int | None:
    """Write a PV.

    Args:
        pvname: Name of the PV.
        value: Number, text, sequence or array; the name of a state for an enum.
        wait: Whether to wait until the server has processed it.
        timeout: Seconds for everything.
        connection_timeout: Seconds for the connection.

    Returns:
        1: done, or on its way; -1: not over in time; None: not connected. See
        `PV.put`, for errors too.
    """
    start = time.monotonic()
    pv = get_pv(pvname, timeout=connection_timeout, connect=True)
    if not pv.connected:
        return None
    return pv.put(value, wait=wait, timeout=timeout - (time.monotonic() - start))


def cainfo(
    pvname: str,
    print_out: bool = True,
    timeout: float = 5.0,
    connection_timeout: float = 5.0,
) -> str | None:
    """Print all that is known of a PV, or give it as text.

    Args:
        pvname: Name of the PV.
        print_out: Whether to print; then nothing is returned.
        timeout: Seconds for everything.
        connection_timeout: Seconds for the connection.
    """
    start = time.monotonic()
    pv = get_pv(pvname, timeout=connection_timeout, connect=True)
    if not pv.connected:
        return None
    pv.get(timeout=timeout - (time.monotonic() - start))
    text = pv.info
    if not print_out:
        return text
    ca.write(str(text))
    return None


def camonitor(
    pvname: str,
    writer: Callable[[str], object] | None = None,
    callback: Callable[..., object] | None = None,
    connection_timeout: float = 5.0,
    monitor_delta: float | None = None,
) -> None:
    """Print a line for each change of a PV, until `camonitor_clear`.

    Args:
        pvname: Name of the PV.
        writer: Called with each line instead of printing it.
        callback: Called instead with pvname, value, char_value and more keywords.
        connection_timeout: Seconds for the connection.
        monitor_delta: Smallest change to be told of, see `PV`.
    """
    write = ca.write if writer is None else writer

    def line(
        pvname: str, value: Any = None, char_value: Any = None, **kwargs: Any
    ) -> None:
        text = repr(value) if char_value is None else char_value
        write(f"{pvname:.32s} {fmt_time()} {text}")

    pv = get_pv(
        pvname, timeout=connection_timeout, connect=True, monitor_delta=monitor_delta
    )
    if pv.connected:
        pv.get()
        pv.add_callback(callback or line, index=MONITOR_INDEX, with_ctrlvars=True)
        _monitors[pvname] = pv


def camonitor_clear(pvname: str) -> None:
    """End a `camonitor`; nothing happens if there is none."""
    pv = _monitors.pop(pvname, None)
    if pv is not None:
        pv.remove_callback(index=MONITOR_INDEX)


def caget_many(
    pvlist: Sequence[str],
    as_string: bool = False,
    as_numpy: bool = True,
    count: int | None = None,
    timeout: float = 1.0,
    connection_timeout: float = 5.0,
    conn_timeout: float | None = None,
) -> list[Any]:
    """Values of many PVs, asked for all at once; None for those that cannot be had.

    Args:
        pvlist: Names of the PVs.
        as_string: See `caget`.
        as_numpy: See `caget`.
        count: See `caget`.
        timeout: Seconds for the answers.
        connection_timeout: Seconds for all of them to connect.
        conn_timeout: Another name for the same.
    """
    wait = connection_timeout if conn_timeout is None else conn_timeout
    end = time.monotonic() + wait
    chids = {name: ca.create_channel(name) for name in pvlist}
    there: dict[str, Link] = {}
    for name, chid in chids.items():
        link = find(chid)
        if link.wait_connected(max(0.0, end - time.monotonic())):
            there[name] = link
        else:
            # those that are there are kept for the next time
            ca.clear_channel(chid)
    values = _values(there, as_string, as_numpy, count, timeout)
    return [values.get(name) for name in pvlist]


def _values(
    links: dict[str, Link],
    as_string: bool,
    as_numpy: bool,
    count: int | None,
    timeout: float,
) -> dict[str, Any]:
    """Values of channels that are connected, as far as they come in time."""
    waiters = channel_io.ask_all(links.values(), count, timeout)
    end = time.monotonic() + timeout
    values: dict[str, Any] = {}
    for (name, link), waiter in zip(links.items(), waiters, strict=True):
        left = max(0.0, end - time.monotonic())
        data = channel_io.answer(link, waiter, left, as_numpy)
        if data is not None:
            value = data["value"]
            code = link.facts.type
            text = as_string and value is not None
            values[name] = channel_io.as_string(link, value, code) if text else value
    return values


def caput_many(
    pvlist: Sequence[str],
    values: Sequence[Any],
    wait: bool | str = False,
    connection_timeout: float = 5.0,
    put_timeout: float = 60,
) -> list[int]:
    """Write many PVs.

    Args:
        pvlist: Names of the PVs.
        values: One for each.
        wait: "each": wait after each put; "all": wait for all of them at the end.
        connection_timeout: Seconds for all of them to connect.
        put_timeout: Seconds to wait, for each or for all.

    Returns:
        1 for each that was written, -1 for each that was not, or not in time.

    Raises:
        ValueError: There are more names than values, or fewer.
    """
    if len(pvlist) != len(values):
        msg = f"{len(pvlist)} PVs and {len(values)} values: nothing was put"
        raise ValueError(msg)
    pvs = [
        get_pv(name, auto_monitor=False, timeout=connection_timeout) for name in pvlist
    ]
    end = time.monotonic() + connection_timeout
    there = [pv.wait_for_connection(max(0.0, end - time.monotonic())) for pv in pvs]
    if wait != "all":
        each = wait == "each"
        results = [
            pv.put(value, wait=each, timeout=put_timeout) if found else None
            for pv, value, found in zip(pvs, values, there, strict=True)
        ]
        return [1 if result == 1 else -1 for result in results]
    for pv, value, found in zip(pvs, values, there, strict=True):
        if found:
            pv.put(value, use_complete=True)
    end = time.monotonic() + put_timeout
    while time.monotonic() < end:
        if all(pv.put_complete for pv, found in zip(pvs, there, strict=True) if found):
            break
        time.sleep(0.001)
    return [
        1 if found and pv.put_complete else -1
        for pv, found in zip(pvs, there, strict=True)
    ]
