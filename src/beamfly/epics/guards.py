"""Decorators for functions that take the number of a channel first, and statuses."""

import functools
from collections.abc import Callable
from typing import Any

from beamfly.ca.status import status as look_up
from beamfly.epics import channel_ids, dbr
from beamfly.epics.context import current_context
from beamfly.epics.exceptions import CASeverityException, ChannelAccessException

Function = Callable[..., Any]


def message(status: int) -> str:
    """EPICS' own wording of an ECA status."""
    return look_up(status).description


def PySEVCHK(  # noqa: N802
    func_name: str, status: int, expected: int = dbr.ECA_NORMAL
) -> int:
    """A status that is the expected one.

    Args:
        func_name: What gave it, for the error.
        status: An ECA status.
        expected: The only one that is no error.

    Raises:
        CASeverityException: It is another one.
    """
    if status == expected:
        return status
    raise CASeverityException(func_name, message(status), status=status)


def withSEVCHK(fcn: Function) -> Function:  # noqa: N802
    """Have a function raise CASeverityException unless it returns ECA_NORMAL."""

    @functools.wraps(fcn)
    def wrapper(*args: Any, **kwargs: Any) -> int:
        return PySEVCHK(fcn.__name__, fcn(*args, **kwargs))

    return wrapper


def _checked(fcn: Function, check: Callable[[str, int, float | None], None]) -> Any:
    """A function whose first argument, a channel, is checked before."""

    @functools.wraps(fcn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if args:
            chid, timeout = args[0], kwargs.get("timeout")
            if not isinstance(chid, int):
                msg = f"{fcn.__name__}: {chid!r} is no number of a channel"
                raise ChannelAccessException(msg)
            check(fcn.__name__, chid, timeout)
        return fcn(*args, **kwargs)

    return wrapper


def _known(what: str, chid: int, timeout: float | None) -> None:
    channel_ids.find(chid)


def _sought(what: str, chid: int, timeout: float | None) -> None:
    seconds = channel_ids.connection_seconds(timeout)
    channel_ids.find(chid).wait_connected(seconds)


def _connected(what: str, chid: int, timeout: float | None) -> None:
    link = channel_ids.find(chid)
    seconds = channel_ids.connection_seconds(timeout)
    if not link.wait_connected(seconds):
        msg = f"{what}: {link.name} was not found within {seconds} s; nothing was done"
        raise ChannelAccessException(msg, name=link.name)


def withCHID(fcn: Function) -> Function:  # noqa: N802
    """Have a function called only with the number of a channel that exists."""
    return _checked(fcn, _known)


def withConnectedCHID(fcn: Function) -> Function:  # noqa: N802
    """Have a function called only with a channel that has connected by then."""
    return _checked(fcn, _connected)


def withMaybeConnectedCHID(fcn: Function) -> Function:  # noqa: N802
    """Have a function called after its channel had the time to connect."""
    return _checked(fcn, _sought)


def withCA(fcn: Function) -> Function:  # noqa: N802
    """Have the context started before a function is called."""

    @functools.wraps(fcn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        current_context()
        return fcn(*args, **kwargs)

    return wrapper


withInitialContext = withCA  # noqa: N816
"""The same: all threads use one context."""
