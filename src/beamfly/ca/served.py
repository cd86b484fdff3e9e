"""A channel as the server has it, and fast lanes for reading and writing many."""

import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from beamfly.ca.answers import HEAD, Answer, zeros
from beamfly.ca.dbr import layout, padded
from beamfly.ca.header import SHAPE, shape
from beamfly.ca.message import Access, Command
from beamfly.ca.pv import PV
from beamfly.ca.status import ECA_NORDACCESS, ECA_NORMAL
from beamfly.ca.subscription import Subscription

if TYPE_CHECKING:
    from beamfly.ca.server_circuit import ServerCircuit

HIGH_WATER = 256 * 1024
"""Unsent bytes from which on requests wait and updates are merged."""
SEPARATE = 4 * 1024
"""Payloads from here on are not copied behind their header."""
_READ = Command.READ_NOTIFY << 48


class Served:
    """A channel: one client's view of a PV."""

    __slots__ = (
        *("cid", "name", "pv", "readable", "rights", "sid", "subscriptions"),
        "writable",
    )

    def __init__(self, name: str, pv: PV, cid: int, sid: int, rights: int) -> None:
        self.name = name
        """As the client wrote it."""
        self.pv = pv
        self.cid = cid
        """The client's number."""
        self.sid = sid
        """Our number."""
        self.rights = 0
        """Bits of Access."""
        self.readable = False
        self.writable = False
        self.allow(rights)
        self.subscriptions: dict[int, Subscription] = {}

    def allow(self, rights: int) -> None:
        """What the client may do from here on, bits of Access."""
        self.rights = rights
        self.readable = bool(rights & Access.READ)
        self.writable = bool(rights & Access.WRITE)

    def answer(self, code: int, count: int) -> Answer:
        """The value, or zeros if it must not be read."""
        if self.readable:
            return self.pv.answer(code, count)
        return zeros(code, count, ECA_NORDACCESS)

    def close(self) -> None:
        """Nobody listens any more."""
        for subscription in self.subscriptions.values():
            self.pv.listeners.pop(subscription, None)
        self.subscriptions.clear()


def read_lane(
    circuit: "ServerCircuit", code: int, count: int
) -> Callable[[memoryview, int, int], int]:
    """The fast lane for READ_NOTIFY with one type and count."""
    wanted = shape(Command.READ_NOTIFY, 0, code, count)
    served, outbox, pack = circuit.served, circuit.outbox, HEAD.pack
    row = layout(code)
    # with count 0 it depends on the PV whether the answer is within the limit
    most = (circuit.host.database.largest - row.offset) // row.element
    longest = most if count == 0 else sys.maxsize

    def lane(view: memoryview, at: int, end: int) -> int:
        start = at
        while end - at >= HEAD.size and SHAPE.unpack_from(view, at)[0] == wanted:
            _, sid, ioid = HEAD.unpack_from(view, at)
            channel = served.get(sid)
            if channel is None or channel.pv.length > longest:
                break
            status, head, tail = channel.answer(code, count)
            if len(tail) < SEPARATE:
                outbox.add(pack(_READ | head, status, ioid) + tail)
            else:
                outbox.put(pack(_READ | head, status, ioid), tail)
            at += HEAD.size
            if outbox.size > HIGH_WATER:
                break
        if at > start:
            circuit.wrote()
        return at

    return lane


def write_lane(
    circuit: "ServerCircuit", command: int, code: int
) -> Callable[[memoryview, int, int], int]:
    """The fast lane for one number put with WRITE or WRITE_NOTIFY.

    It leaves PVs that ask a hook, and everything that may fail, to the slow path.
    """
    row = layout(code)
    size = padded(row.element)
    wanted = shape(command, size, code, 1)
    done = shape(command, 0, code, 1) if command == Command.WRITE_NOTIFY else 0
    filling = size - row.element
    message = struct.Struct(f">QII{row.element_format}{filling}x")
    served, outbox, pack, step = circuit.served, circuit.outbox, HEAD.pack, message.size

    def lane(view: memoryview, at: int, end: int) -> int:
        start = at
        while end - at >= step and SHAPE.unpack_from(view, at)[0] == wanted:
            _, sid, number, value = message.unpack_from(view, at)
            channel = served.get(sid)
            if channel is None or not channel.writable:
                break
            pv = channel.pv
            if pv.type is not row.base or not pv.scalar or pv.on_put is not None:
                break
            pv.post(pv.clip(value))
            if done:
                outbox.add(pack(done, ECA_NORMAL, number))
            at += step
            if outbox.size > HIGH_WATER:
                break
        if at > start:
            circuit.wrote()
        return at

    return lane
