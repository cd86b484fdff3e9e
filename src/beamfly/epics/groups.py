"""Synchronous groups: puts that are sent one after the other and awaited together.

group = sg_create()
sg_put(group, first, 1.5)
sg_put(group, second, 2.5)
sg_block(group, timeout=10)
"""

import threading
import time
from typing import Any

from beamfly.epics import channel_io, dbr
from beamfly.epics.channel_ids import find
from beamfly.epics.context import Context, current_context
from beamfly.epics.exceptions import CASeverityException, ChannelAccessException
from beamfly.epics.guards import PySEVCHK
from beamfly.epics.questions import ChannelId
from beamfly.errors import CADisconnected, CARefused


class Group:
    """Puts of which some may not be over yet."""

    def __init__(self) -> None:
        self._idle = threading.Condition()
        self._waiting = 0
        self._round = 0

    def started(self) -> int:
        """One more put; its round, which `ended` wants."""
        with self._idle:
            self._waiting += 1
            return self._round

    def ended(self, round_: int) -> None:
        """A put is over; one from before a reset is not counted."""
        with self._idle:
            if round_ == self._round:
                self._waiting -= 1
                self._idle.notify_all()

    @property
    def done(self) -> bool:
        """Whether all is over."""
        return self._waiting == 0

    def wait(self, timeout: float) -> bool:
        """Whether all is over after so many seconds at most."""
        end = time.monotonic() + timeout
        with self._idle:
            while self._waiting:
                left = end - time.monotonic()
                if left <= 0 or not self._idle.wait(left):
                    break
            return self.done

    def reset(self) -> None:
        """Forget what is not over."""
        with self._idle:
            self._round += 1
            self._waiting = 0
            self._idle.notify_all()


def _found(gid: int, what: str) -> Group:
    group = current_context().groups.get(int(gid))
    if group is None:
        raise CASeverityException(what, "Invalid synchronous group identifier")
    return group


def sg_create() -> ChannelId:
    """A new group; its number."""
    context: Context = current_context()
    with context.lock:
        gid = ChannelId(1 + max(context.groups, default=0))
        context.groups[gid] = Group()
    return gid


def sg_delete(gid: int) -> int:
    """Give a group up; its puts go on."""
    _found(gid, "sg_delete").reset()
    current_context().groups.pop(int(gid), None)
    return dbr.ECA_NORMAL


def sg_reset(gid: int) -> int:
    """Wait no more for what is not over; the group can be used again."""
    _found(gid, "sg_reset").reset()
    return dbr.ECA_NORMAL


def sg_test(gid: int) -> int:
    """ECA_IODONE when all is over.

    Raises:
        CASeverityException: It is not.
    """
    done = _found(gid, "sg_test").done
    return PySEVCHK("sg_test", dbr.ECA_IODONE if done else 347, dbr.ECA_IODONE)


def sg_block(gid: int, timeout: float = 10.0) -> int:
    """Wait until all is over: ECA_NORMAL, or ECA_TIMEOUT after so many seconds."""
    done = _found(gid, "sg_block").wait(timeout)
    return dbr.ECA_NORMAL if done else dbr.ECA_TIMEOUT


def sg_put(gid: int, chid: int, value: Any) -> int:
    """Write; `sg_block` waits until the server has processed it.

    Raises:
        CASeverityException: We may not write, or it is not connected.
    """
    group, link = _found(gid, "sg_put"), find(chid)
    round_ = group.started()
    sent: int | None = None
    try:
        sent = channel_io.put(link, value, on_end=lambda: group.ended(round_))
    finally:
        if sent is None:
            group.ended(round_)
    if sent is None:
        raise CASeverityException("sg_put", "Virtual circuit disconnect", link.name)
    return dbr.ECA_NORMAL


def sg_get(
    gid: int,
    chid: int,
    ftype: int | None = None,
    as_numpy: bool = True,
    as_string: bool = True,
) -> Any:
    """The value, which is waited for: a group has no part in it.

    Args:
        gid: Number of the group.
        chid: Number of the channel.
        ftype: DBR type to ask for, None: the native one.
        as_numpy: Give arrays as numpy arrays, else lists.
        as_string: Give text.

    Raises:
        ChannelAccessException: It is not connected, or does not answer.
    """
    _found(gid, "sg_get")
    link = find(chid)
    code = link.facts.type if ftype is None else ftype
    nelm = link.facts.nelm
    try:
        channel_io.ask(link, code, None, channel_io.seconds_for(nelm))
        data = channel_io.complete(link, code, channel_io.seconds_for(nelm), as_numpy)
    except (CADisconnected, CARefused) as error:
        raise ChannelAccessException(str(error), name=link.name) from error
    if data is None:
        msg = f"{link.name} did not answer; there is no value"
        raise ChannelAccessException(msg, name=link.name)
    if not as_string:
        return data["value"]
    return channel_io.as_string(link, data["value"], code)
