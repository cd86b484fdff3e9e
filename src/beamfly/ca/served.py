"""A channel as the server has it, and the fast lane for reading many of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from beamfly.ca.answers import HEAD, Answer, zeros
from beamfly.ca.header import SHAPE, shape
from beamfly.ca.message import Access, Command
from beamfly.ca.pv import PV
from beamfly.ca.status import ECA_NORDACCESS
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

    __slots__ = ("cid", "name", "pv", "rights", "sid", "subscriptions")

    def __init__(self, name: str, pv: PV, cid: int, sid: int, rights: int) -> None:
        self.name = name
        """As the client wrote it."""
        self.pv = pv
        self.cid = cid
        """The client's number."""
        self.sid = sid
        """Our number."""
        self.rights = rights
        """Bits of Access."""
        self.subscriptions: dict[int, Subscription] = {}

    def answer(self, code: int, count: int) -> Answer:
        """The value, or zeros if it must not be read."""
        if self.rights & Access.READ:
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

    def lane(view: memoryview, at: int, end: int) -> int:
        start = at
        while end - at >= HEAD.size and SHAPE.unpack_from(view, at)[0] == wanted:
            _, sid, ioid = HEAD.unpack_from(view, at)
            channel = served.get(sid)
            if channel is None:
                break
            status, head, tail = channel.answer(code, count)
            if len(tail) < SEPARATE:
                outbox.put(pack(_READ | head, status, ioid) + tail)
            else:
                outbox.put(pack(_READ | head, status, ioid), tail)
            at += HEAD.size
            if outbox.size > HIGH_WATER:
                break
        if at > start:
            circuit.wrote()
        return at

    return lane
