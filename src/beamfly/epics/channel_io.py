"""Getting, putting and subscribing on a `Link`, for the functions of `ca`."""

import logging
import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from beamfly.ca.channel import Channel, Monitor
from beamfly.epics import dbr, putting, texts
from beamfly.epics.dispatch import guarded
from beamfly.epics.exceptions import CASeverityException, ChannelAccessGetFailure
from beamfly.epics.link import Link, failure
from beamfly.epics.questions import Waiter
from beamfly.epics.values import count_of, size_of, unpack
from beamfly.errors import CADisconnected, CARefused, CATimeout

log = logging.getLogger("beamfly.epics")
LATE_SECONDS = 30.0
"""How long an answer is kept for `get_complete` at most."""
STATES_SECONDS = 5.0
"""For the names of states that text needs."""


def seconds_for(count: int) -> float:
    """How long to wait for so many elements."""
    return 1.0 + math.log10(max(1, count))


def ask(link: Link, code: int, count: int | None, seconds: float) -> None:
    """Ask for a value; `complete` waits for it."""
    nelm = link.facts.nelm
    link.context.asked[link.chid, code] = link.start_read(
        code,
        min(count or 0, nelm),
        max(seconds, LATE_SECONDS),
        lambda reading: unpack(code, reading, nelm),
    )


def ask_all(
    links: Iterable[Link], count: int | None, seconds: float
) -> list[Waiter[Any]]:
    """Ask for native values, all in one go; `answer` waits for each.

    Args:
        links: Channels of one context.
        count: Most elements, None: all.
        seconds: How long answers are waited for.
    """
    asked = [(link, Waiter[Any]()) for link in links]

    def ask_each() -> None:
        for link, waiter in asked:
            code, nelm, _ = link.facts
            take = partial(_unpacked, code, nelm)
            link.ask(code, min(count or 0, nelm), seconds, take, waiter)

    if asked:
        asked[0][0].context.submit(ask_each)
    return [waiter for _, waiter in asked]


def _unpacked(code: int, nelm: int, reading: tuple[Any, ...]) -> dict[str, Any]:
    return unpack(code, reading, nelm)


def complete(
    link: Link, code: int, timeout: float, as_numpy: bool = True
) -> dict[str, Any] | None:
    """The answer to `ask`; None, with a warning, if it does not come in time.

    Raises:
        ChannelAccessGetFailure: The server refused.
    """
    key = (link.chid, code)
    waiter = link.context.asked.get(key)
    if waiter is None:
        warnings.warn("get_complete without initial get() call", stacklevel=4)
        return None
    data = answer(link, waiter, timeout, as_numpy)
    if waiter.done:
        link.context.asked.pop(key, None)
    return data


def answer(
    link: Link, waiter: Waiter[Any], timeout: float, as_numpy: bool = True
) -> dict[str, Any] | None:
    """What was asked of a channel; None, with a warning, if it does not come in time.

    Args:
        link: The channel.
        waiter: Gets the answer.
        timeout: Seconds to wait.
        as_numpy: Give arrays as numpy arrays, else lists.

    Raises:
        ChannelAccessGetFailure: The server refused.
    """
    if not waiter.wait(timeout):
        text = f"ca.get('{link.name}') timed out after {timeout:.2f} seconds."
        warnings.warn(text, stacklevel=5)
        return None
    try:
        data = waiter.result()
    except (CADisconnected, CATimeout):
        return None
    except CARefused as error:
        raise ChannelAccessGetFailure(
            f"Get failed; status code: {error.status}: {error}",
            link.chid,
            error.status,
            link.name,
        ) from error
    if not as_numpy and hasattr(data["value"], "tolist"):
        data = {**data, "value": data["value"].tolist()}
    return data


def states_of(link: Link) -> tuple[str, ...] | None:
    """Names of states, which are asked for; None if it is no enum."""
    if link.facts.type != dbr.ENUM:
        return None
    ask(link, dbr.CTRL_ENUM, 1, STATES_SECONDS)
    data = complete(link, dbr.CTRL_ENUM, STATES_SECONDS)
    return None if data is None else data.get("enum_strs")


def as_string(link: Link, value: Any, code: int) -> str:
    """A value as text, with the states of an enum."""
    count = 1 if link.facts.nelm == 1 else count_of(value)
    return str(texts.char_value(value, code, count, {"enum_strs": states_of(link)}))


def put(
    link: Link,
    value: Any,
    wait: bool = False,
    timeout: float = 30,
    callback: Callable[..., object] | None = None,
    callback_data: Any = None,
    on_end: Callable[[], object] | None = None,
) -> int | None:
    """Write; see `PV.put`, to which this gives the result.

    Args:
        link: A channel.
        value: What to write.
        wait: Whether to wait until the server has processed it.
        timeout: Seconds to wait.
        callback: Called with pvname and `data=callback_data`, or with what a dict says.
        callback_data: For the callback.
        on_end: Called in the client's thread when it is over.
    """
    if not link.rights & 2 and link.connected:
        raise CASeverityException("put", "Write access denied", link.name, 376)
    code, count, data = putting.elements(link.name, *link.facts[:2], value)
    try:
        if not (wait or callback or on_end):
            link.write(code, count, data)
            return 1
        tell = _told(link, callback, callback_data)
        waiter: Waiter[int] = Waiter()

        def over(error: Exception | None) -> None:
            if error is not None:
                log.warning("put to %s failed: %s", link.name, error)
            if on_end is not None:
                on_end()
            if tell is not None:
                link.context.dispatcher.call(tell)
            waiter.succeed(1 if error is None else failure(error))

        def start() -> None:
            link.send_notify(code, count, data, over)

        if not wait:
            link.context.call(start)
            return 1
        # one that is waited for anyway need not be waited for to be sent
        link.context.submit(partial(_guarded, start, waiter))
        return waiter.result() if waiter.wait(timeout) else -1
    except CADisconnected:
        return None


def _guarded(start: Callable[[], object], waiter: Waiter[int]) -> None:
    """Start something, or have whoever waits for it know why it cannot be."""
    try:
        start()
    except CADisconnected as error:
        waiter.fail(error)


def _told(
    link: Link, callback: Callable[..., object] | None, data: Any
) -> Callable[[], object] | None:
    """What calls back when a put is over."""
    if callback is None:
        return None
    keywords: dict[str, Any] = {"data": data}
    if isinstance(data, dict):
        keywords = data  # pyright: ignore[reportUnknownVariableType]
    return partial(guarded, callback, pvname=link.name, **keywords)


def subscribe(
    link: Link,
    code: int | None,
    form: str,
    mask: int,
    count: int,
    callback: Callable[..., object] | None,
) -> Monitor:
    """Have a callback told of changes with value=, pvname=, ftype= and so on.

    Args:
        link: A channel.
        code: Plain DBR type, None: the native one.
        form: native, time or ctrl.
        mask: Of `dbr.DBE_*`.
        count: Elements, 0: as many as there are.
        callback: Called in the thread for callbacks.
    """
    lane = link.context.dispatcher.lane(link.name)
    got: list[int] = [0]

    def choose(core: Channel) -> tuple[int, int]:
        got[0] = dbr.promote(core.native_type if code is None else code, form)
        return got[0], min(count, core.count)

    def update(*reading: Any) -> None:
        fields = unpack(got[0], reading, link.facts.nelm)
        value = fields["value"]
        facts: dict[str, Any] = {"ftype": got[0], "count": count_of(value)}
        facts |= {"chid": link.chid, "pvname": link.name}
        if callback is not None:
            function = callback
            lane.update(lambda: guarded(function, **fields, **facts), size_of(value))

    def failed(error: Exception) -> None:
        log.debug("monitor of %s: %s", link.name, error)

    return link.context.call(lambda: link.watch(choose, mask, update, failed))
