"""Channels by number: who they are, and who is told of their connection."""

import sys
import time
from collections.abc import Callable
from typing import Any

from beamfly.epics import dbr
from beamfly.epics.context import Context, current_context, running_context
from beamfly.epics.dispatch import guarded
from beamfly.epics.exceptions import ChannelAccessException
from beamfly.epics.link import Link
from beamfly.epics.questions import ChannelId

ACCESS = ("no access", "read-only", "write-only", "read/write")


class Holder:
    """Keeps a channel that was made by `create_channel`, and tells its callbacks."""

    def __init__(self, callback: Callable[..., object] | None) -> None:
        self.link: Link
        """Set before anything is told."""
        self.callbacks = [callback] if callback else []
        self.access_callbacks: list[Callable[..., object]] = []
        self.ts = time.time()
        """When it was made, or its connection last came or went."""

    def __repr__(self) -> str:
        what = "connected" if self.conn else "disconnected"
        return f"<channel {self.chid}: {self.pvname!r} {what}>"

    def __getitem__(self, key: str) -> Any:
        """An attribute: pvname, chid, conn, ts, callbacks."""
        return getattr(self, key)

    @property
    def pvname(self) -> str:
        """Name of the PV."""
        return self.link.name

    @property
    def chid(self) -> ChannelId:
        """Number of the channel."""
        return self.link.chid

    @property
    def conn(self) -> bool:
        """Whether it is connected."""
        return self.link.connected

    def link_added(self, link: Link) -> None:
        """Know the channel."""
        self.link = link

    def link_access(self, link: Link) -> None:
        """Tell of access rights."""
        read, write_ = bool(link.rights & 1), bool(link.rights & 2)
        for callback in self.access_callbacks:
            self._later(lambda call=callback: guarded(call, read, write_))

    def link_connected(self, link: Link) -> None:
        """Tell that it has connected."""
        self._tell(link, True)

    def link_lost(self, link: Link) -> None:
        """Tell that it has gone."""
        self._tell(link, False)

    def _tell(self, link: Link, conn: bool) -> None:
        self.ts = time.time()
        for callback in self.callbacks:
            self._later(
                lambda call=callback: guarded(
                    call, pvname=link.name, chid=link.chid, conn=conn
                )
            )

    def _later(self, call: Callable[[], object]) -> None:
        self.link.context.dispatcher.call(call)


def create(pvname: str, callback: Callable[..., object] | None = None) -> ChannelId:
    """Start to look for a PV; its number. The same name gives the same number."""
    context = current_context()
    with context.lock:
        known = context.links.get(pvname)
        holder = None if known is None else context.holders.get(known.chid)
        if holder is None:
            holder = Holder(callback)
            link = context.link(pvname, holder)
            context.holders[link.chid] = holder
            return link.chid
        if callback is not None:
            holder.callbacks.append(callback)
        return holder.link.chid


def find(chid: int) -> Link:
    """A channel by its number; ChannelAccessException if there is none."""
    context = running_context()
    link = None if context is None else context.by_number.get(int(chid))
    if link is None:
        msg = f"there is no channel {chid!r}; create_channel makes one"
        raise ChannelAccessException(msg)
    return link


def connection_seconds(timeout: float | None) -> float:
    """How long to wait for a connection.

    Args:
        timeout: Seconds, None: `ca.DEFAULT_CONNECTION_TIMEOUT`.
    """
    if timeout is not None:
        return timeout
    # a setting that scripts change where it is documented
    from beamfly.epics import ca

    return ca.DEFAULT_CONNECTION_TIMEOUT


def clear_channel(chid: int) -> int:
    """Give up a channel; PVs of its name stay as they are."""
    link = find(chid)
    holder = link.context.holders.pop(link.chid, None)
    if holder is not None:
        link.context.release(link, holder)
    return dbr.ECA_NORMAL


def replace_access_rights_event(
    chid: int, callback: Callable[..., object] | None = None
) -> None:
    """Have read and write access told, now and when they change."""
    link = find(chid)
    holder = link.context.holders.get(link.chid)
    if holder is None or callback is None:
        return
    holder.access_callbacks.append(callback)
    if link.connected:
        callback(bool(link.rights & 1), bool(link.rights & 2))


def name(chid: int) -> str:
    """Name of the PV."""
    return find(chid).name


def host_name(chid: int) -> str:
    """Address and port of the server; <disconnected> without one."""
    link = find(chid)
    return link.facts.host if link.connected else "<disconnected>"


def element_count(chid: int) -> int:
    """Most elements; 0 while not connected."""
    link = find(chid)
    return link.facts.nelm if link.connected else 0


def field_type(chid: int) -> int:
    """Native DBR type; -1 while not connected."""
    link = find(chid)
    return link.facts.type if link.connected else -1


def read_access(chid: int) -> int:
    """1 if we may read."""
    return find(chid).rights & 1


def write_access(chid: int) -> int:
    """1 if we may write."""
    return find(chid).rights >> 1 & 1


def access(chid: int) -> str:
    """read/write, read-only, write-only, or no access."""
    return ACCESS[find(chid).rights]


def state(chid: int) -> int:
    """0 never connected, 1 disconnected, 2 connected."""
    link = find(chid)
    return dbr.CS_CONN if link.connected else int(link.was_connected)


def isConnected(chid: int) -> bool:  # noqa: N802
    """Whether it is connected."""
    return find(chid).connected


def promote_type(chid: int, use_time: bool = False, use_ctrl: bool = False) -> int:
    """The native type with time stamp or metadata."""
    return promote_fieldtype(field_type(chid), use_time, use_ctrl)


def promote_fieldtype(
    ftype: int, use_time: bool = False, use_ctrl: bool = False
) -> int:
    """A plain type with time stamp or metadata."""
    return dbr.promote(ftype, "ctrl" if use_ctrl else "time" if use_time else "native")


def clear_all(context: Context) -> None:
    """Give up all channels that were made here."""
    for number in tuple(context.holders):
        clear_channel(number)


def get_cache(pvname: str) -> Holder | None:
    """What is known of a channel that `create_channel` made; None if there is none."""
    context = current_context()
    link = context.links.get(pvname)
    return None if link is None else context.holders.get(link.chid)


def show_cache(print_out: bool = True) -> str | None:
    """Print the channels that `create_channel` made and PVs use, or give the text."""
    context = current_context()
    lines = ["#  PVName        ChannelID/Context Connected?", "#" + "-" * 44]
    lines += [
        f" {name:15s} {int(link.chid)}/{context!r}  {link.connected}"
        for name, link in sorted(context.links.items())
    ]
    text = "\n".join(lines)
    if not print_out:
        return text
    sys.stdout.write(text + "\n")
    return None
