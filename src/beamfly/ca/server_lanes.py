"""Fast lanes of a server: requests of the same shape, obeyed in runs.

Clients ask for thousands of things whose first eight bytes (command, size, type, count)
are equal. Here such a run is unpacked with one precompiled format and obeyed right
there, without an object per message. A lane is what `beamfly.ca.circuit` says it is.

Whatever may fail, and whatever is not the common case, a lane leaves to
`beamfly.ca.server_actions`, which does the same more slowly: `tests/ca` checks that
both send the same bytes.
"""

import struct
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from beamfly.ca.answers import HEAD
from beamfly.ca.dbr import layout, padded
from beamfly.ca.framing import Outbox
from beamfly.ca.header import shape
from beamfly.ca.ledger import Link, Subscribed
from beamfly.ca.message import Command
from beamfly.ca.served import CHANNELS, HIGH_WATER, SEPARATE, Served
from beamfly.ca.status import ECA_NORMAL

if TYPE_CHECKING:
    from beamfly.ca.server_circuit import ServerCircuit

Lane = Callable[[memoryview, int, int], int]
SUBSCRIBE_BYTES = 16
"""Payload of EVENT_ADD."""
_READ = Command.READ_NOTIFY << 48
_STEP = HEAD.size
_SUBSCRIBE = struct.Struct(">QII12xHxx")
_ALL_EVENTS = 15


def _longest(circuit: "ServerCircuit", code: int, count: int) -> int:
    """Most elements of PVs whose values are within the limit of a payload."""
    if count:
        # always so many, which was checked when the lane was made
        return sys.maxsize
    row = layout(code)
    return (circuit.host.database.largest - row.offset) // row.element


def read_lane(circuit: "ServerCircuit", code: int, count: int) -> Lane:
    """READ_NOTIFY with one type and count; the answers of a run leave in one piece."""
    wanted = shape(Command.READ_NOTIFY, 0, code, count)
    served, outbox, pack = circuit.served, circuit.outbox, HEAD.pack
    key, longest = (code, count), _longest(circuit, code, count)

    def lane(view: memoryview, at: int, end: int) -> int:
        start = at
        pieces: list[bytes] = []
        room = HIGH_WATER - outbox.size
        for head, sid, ioid in _messages(HEAD, view, at, end):
            channel = served.get(sid)
            if head != wanted or channel is None or channel.view.length > longest:
                break
            # the same as channel.answer, without steps in between
            found = channel.view.encoded.get(key) if channel.readable else None
            status, size, tail = found or channel.answer(code, count)
            first = pack(_READ | size, status, ioid)
            if len(tail) < SEPARATE:
                pieces.append(first + tail)
            else:
                _queue(outbox, pieces)
                outbox.put(first, tail)
            at += _STEP
            room -= _STEP + len(tail)
            if room < 0:
                break
        if at > start:
            _queue(outbox, pieces)
            circuit.wrote()
        return at

    return lane


def _messages(
    form: struct.Struct, view: memoryview, at: int, end: int
) -> Iterable[tuple[Any, ...]]:
    """As many messages of one size as there are in full."""
    size, step = end - at, form.size
    if size < 2 * step:
        # which is most common, and quicker than to prepare for many
        return (form.unpack_from(view, at),) if size >= step else ()
    return form.iter_unpack(view[at : end - size % step])


def _queue(outbox: Outbox, pieces: list[bytes]) -> None:
    """Small messages become one piece."""
    if pieces:
        outbox.add(b"".join(pieces) if len(pieces) > 1 else pieces[0])
        pieces.clear()


def write_lane(circuit: "ServerCircuit", command: int, code: int) -> Lane:
    """One number put with WRITE or WRITE_NOTIFY.

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
        for head, sid, number, value in _messages(message, view, at, end):
            channel = served.get(sid)
            if head != wanted or channel is None or not channel.writable:
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


def create_lane(circuit: "ServerCircuit", size: int) -> Lane:
    """CREATE_CHAN with a name that takes so many bytes, of a PV that is served."""
    message = struct.Struct(f">QI4x{size}s")
    wanted, step = shape(Command.CREATE_CHAN, size, 0, 0), message.size
    served, channels, host = circuit.served, circuit.ledger.channels, circuit.host

    def lane(view: memoryview, at: int, end: int) -> int:
        start = at
        for head, cid, raw in _messages(message, view, at, end):
            if head != wanted or cid in channels or len(served) >= CHANNELS:
                break
            name = raw.partition(b"\0")[0].decode(errors="replace")
            pv = host.database.find(name)
            if pv is None:
                break
            channels[cid] = Link(cid, name)
            rights = int(host.rights(circuit.who, name, pv))
            circuit.opened(Served(name, pv, cid, circuit.next_sid(), rights))
            at += step
            if circuit.outbox.size > HIGH_WATER:
                break
        if at > start:
            circuit.wrote()
        return at

    return lane


def subscribe_lane(circuit: "ServerCircuit", code: int, count: int) -> Lane:
    """EVENT_ADD with one type and count."""
    wanted = shape(Command.EVENT_ADD, SUBSCRIBE_BYTES, code, count)
    ledger, served, step = circuit.ledger, circuit.served, _SUBSCRIBE.size
    known, longest = ledger.subscriptions, _longest(circuit, code, count)

    def lane(view: memoryview, at: int, end: int) -> int:
        start = at
        for head, sid, number, mask in _messages(_SUBSCRIBE, view, at, end):
            channel = served.get(sid)
            if head != wanted or channel is None or channel.view.length > longest:
                break
            if number in known or not mask & _ALL_EVENTS:
                break
            link = ledger.by_sid[sid]
            known[number] = Subscribed(link, code, count, mask)
            link.subscriptions += (number,)
            channel.listen(circuit, number, code, count, mask)
            at += step
            if circuit.outbox.size > HIGH_WATER:
                break
        if at > start:
            circuit.wrote()
        return at

    return lane
