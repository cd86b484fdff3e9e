"""Reads and writes that are under way on a client's circuit.

`read`, `write` and `write_notify` queue a request; its answer, refusal or time-out
reaches the `Request` later. `read_bulk`, `write_many` and `write_bulk` are the same for
many channels. All skip the general `send`, because they are said thousands of times per
second; `tests/ca` checks that servers see the same.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from beamfly.ca import lanes
from beamfly.ca.bulk import Bulk, BulkPut, Member
from beamfly.ca.channel import Channel, Request
from beamfly.ca.circuit import Circuit
from beamfly.ca.columns import Columns
from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.group import Part, column
from beamfly.ca.header import LARGE, Header, pack_header
from beamfly.ca.ledger import Link
from beamfly.ca.message import Command, Sender
from beamfly.ca.native_messages import (
    NO_NUMBER,
    NUMBER_BYTES,
    NUMBER_FORMS,
    native,
    numbers,
    write,
)
from beamfly.ca.pending import NEVER, Numbers, Pending, Put, array_request
from beamfly.ca.readings import reading
from beamfly.ca.rules import CircuitState
from beamfly.ca.status import ECA_NORMAL
from beamfly.errors import CADisconnected

AUTOSIZE_MINOR = 13
"""First minor version of servers that know count 0."""

_CLOSED = CircuitState.CLOSED
_READ = int(Command.READ_NOTIFY)
_WRITES = [(make, Command.WRITE << 48 | first) for make, first in NUMBER_FORMS]


class RequestCircuit(Circuit):
    """A client's circuit as far as requests go."""

    def __init__(
        self,
        address: tuple[str, int],
        numbers: Numbers,
        notice: Callable[[str], object],
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        """Prepare a circuit.

        Args:
            address: IPv4 address and TCP port of the server.
            numbers: Where requests get their numbers from.
            notice: Told what is worth a line in a log.
            columns: Whether to use numpy; None: of its own.
            options: As for `Circuit`.
        """
        super().__init__(Sender.CLIENT, **options)
        self.address = address
        self.host = f"{address[0]}:{address[1]}"
        self.pending = Pending()
        """Requests that are not answered yet."""
        self.notice = notice
        self.flush_due = False
        """Whether the shell sends what is queued anyhow, at the end of its turn."""
        self.losses: int = 0
        """How many channels it has lost."""
        self._numbers = numbers
        self._columns = columns or Columns()
        self._laned: set[tuple[int, ...]] = set()
        self._takers: dict[int, Callable[[Header, memoryview], None]] = {
            Command.READ_NOTIFY: self._take_value,
            Command.WRITE_NOTIFY: self._take_written,
        }

    def read(self, channel: Channel, code: Dbr, count: int, request: Request) -> None:
        """Ask for a value; the request is answered, refused or timed out later.

        Args:
            channel: A connected channel of this circuit, else CADisconnected.
            code: DBR type of the answer.
            count: Elements; 0: as many as there are.
            request: Told of the answer.
        """
        link = channel.link
        if link is None or self.state is _CLOSED:
            link = self._link(channel)
        number = self._numbers.take()
        if link.count != 1 and layout(code).family in (Family.PLAIN, Family.TIME):
            request = array_request(request, layout(code).base)
        self.pending.add(number, request)
        if (_READ, code) not in self._laned:
            self._read_lane(code)
        count = count or self._autosize(link)
        self.outbox.put(pack_header(_READ, 0, code, count, link.sid, number))

    def read_bulk(
        self,
        part: Part,
        deadline: float,
        on_done: Callable[[Bulk], object] | None = None,
    ) -> Bulk:
        """Ask for the values of many channels at once, in their own types.

        Args:
            part: The channels, all connected to this circuit.
            deadline: When those that are missing are given up.
            on_done: Called once, when there is a value or an error for each channel.
        """
        for code in part.types:
            if (_READ, code) not in self._laned:
                self._read_lane(Dbr(code))
        low = self._numbers.take(len(part.links))
        knows = self.minor >= AUTOSIZE_MINOR
        self.outbox.put(part.reads(low) if knows else part.old_reads(low))
        bulk = Bulk(part, part.in_order(part.channels), low, deadline, on_done)
        self.pending.add_bulk(bulk)
        return bulk

    def queue(self, link: Link) -> Callable[[float], int]:
        """What queues a write of one number to an open channel, in one step.

        Its result is how many bytes wait to be sent. It raises one of `NO_NUMBER` if it
        takes more (PVs of strings, numbers that are cut or refused): nothing was
        queued, and `write` is to be asked.
        """
        make, head = _WRITES[link.type]
        make = partial(make, head, link.sid, link.cid)
        link.queue = self.outbox.adder(make, NUMBER_BYTES)
        return link.queue

    def write_number(self, channel: Channel, value: float) -> bool:
        """`write` of one number as the channel's own type, False if it takes more."""
        link = channel.link
        if link is None:
            return False
        try:
            return bool((link.queue or self.queue(link))(value))
        except NO_NUMBER:
            return False

    def write(
        self, channel: Channel, code: int, count: int, data: bytes | memoryview
    ) -> None:
        """Write without an answer; a failure is logged when the server tells."""
        link = self._link(channel)
        self._put(Command.WRITE, code, count, link.sid, link.cid, data)

    def write_notify(
        self,
        channel: Channel,
        code: int,
        count: int,
        data: bytes | memoryview,
        request: Request,
    ) -> None:
        """Write, and be told when processing is over.

        A server processes one such write per channel at a time and stops listening to
        everything else when a second one comes; so the second waits here.
        """
        link = self._link(channel)
        number = self._numbers.take()
        put = Put(request, self._next_put)
        self.pending.add(number, put)
        self._write_lane(code, count)

        def send() -> None:
            if not request.wanted:
                # a value that was given up must not be written much later
                self.pending.pop(number, None)
                request.on_drop()
            elif number in self.pending:
                put.sent = True
                channel.busy = True
                self._put(Command.WRITE_NOTIFY, code, count, link.sid, number, data)

        if not channel.busy:
            send()
        elif channel.puts is None:
            channel.puts = deque([send])
        else:
            channel.puts.append(send)

    def _next_put(self, channel: Channel) -> None:
        """One put is over: send the next one that somebody still waits for."""
        channel.busy = False
        while channel.puts and not channel.busy:
            channel.puts.popleft()()

    def write_many(self, part: Part, values: Sequence[Any]) -> None:
        """`write` of a value to each channel, in order, or to none.

        Args:
            part: The channels, all connected to this circuit.
            values: What users write; BadValue if one does not fit.
        """
        links = part.links
        simple = numbers(Command.WRITE, part, part.cids, values)
        if simple is not None:
            self.outbox.put(simple)
            return
        packed = [native(*each) for each in zip(links, values, strict=True)]
        for link, (code, count, data) in zip(links, packed, strict=True):
            self._put(Command.WRITE, code, count, link.sid, link.cid, data)

    def write_bulk(
        self,
        part: Part,
        values: Sequence[Any],
        deadline: float,
        on_done: Callable[[Bulk], object] | None = None,
    ) -> BulkPut:
        """`write_notify` of a value to each channel, in order, or to none.

        Args:
            part: The channels, all connected to this circuit.
            values: What users write; BadValue if one does not fit.
            deadline: When nobody waits any more.
            on_done: Called once, when processing of all is over.
        """
        channels, links = part.channels, part.links
        low = self._numbers.take(len(links))
        bulk = BulkPut(part, low, deadline, self._next_put, on_done)
        busy = [channel for channel in channels if channel.busy]
        if not busy and len({*part.sids}) == len(links):
            parameters = column(range(bulk.low, bulk.high))
            simple = numbers(Command.WRITE_NOTIFY, part, parameters, values)
            if simple is not None:
                self.outbox.put(simple)
                self.pending.add_bulk(bulk)
                for code in part.types:
                    self._write_lane(code, 1)
                for channel in channels:
                    channel.busy = True
                return bulk
        packed = [native(*each) for each in zip(links, values, strict=True)]
        self.pending.add_bulk(bulk)
        for at, channel in enumerate(channels):
            self._write_member(bulk, low + at, channel, *packed[at])
        return bulk

    def _write_member(
        self,
        bulk: BulkPut,
        number: int,
        channel: Channel,
        code: int,
        count: int,
        data: bytes | memoryview,
    ) -> None:
        """One write of a bulk: at once, or when the channel is free."""
        if channel.busy:
            member = Member(bulk, number, self.pending.tidy)
            self.write_notify(channel, code, count, data, member)
            return
        channel.busy = True
        self._write_lane(code, count)
        sid = self._link(channel).sid
        self._put(Command.WRITE_NOTIFY, code, count, sid, number, data)

    def _put(
        self,
        command: Command,
        code: int,
        count: int,
        sid: int,
        number: int,
        data: bytes | memoryview,
    ) -> None:
        """Queue a write."""
        self.outbox.put(*write(command, code, count, sid, number, data))

    def links(self, channels: Sequence[Channel]) -> list[Link]:
        """The channels' open links, or CADisconnected."""
        return [*map(self._link, channels)]

    def _link(self, channel: Channel) -> Link:
        """The channel's open link, or CADisconnected."""
        link = channel.link
        if link is None or self.state is CircuitState.CLOSED:
            msg = f"{channel.name} is not connected; nothing was sent"
            raise CADisconnected(msg, name=channel.name, status=192)
        return link

    def _autosize(self, link: Link) -> int:
        """What stands for "as many as there are"."""
        return 0 if self.minor >= AUTOSIZE_MINOR else link.count

    def take(self, header: Header, payload: memoryview) -> None:
        """One message that no lane has taken."""
        taker = self._takers.get(header.command)
        if taker is None or (header.command == Command.EVENT_ADD and not header.size):
            super().take(header, payload)
        else:
            taker(header, payload)

    def _take_value(self, header: Header, payload: memoryview) -> None:
        """An answer to a read."""
        if header.p1 != ECA_NORMAL:
            self.pending.refuse(header.p2, header.p1, "read")
        elif header.p2 in self.pending or self.pending.bulks:
            arguments = reading(header.type, header.elements, payload)
            self._guard(self.pending.answer, header.p2, arguments)

    def _take_written(self, header: Header, payload: memoryview) -> None:
        """An answer to a write."""
        if header.p1 != ECA_NORMAL:
            self.pending.refuse(header.p2, header.p1, "written")
        else:
            self._guard(self.pending.answer, header.p2, ())

    def _guard(self, call: Callable[..., object], *arguments: Any) -> None:
        """What callbacks raise does not end the circuit."""
        try:
            call(*arguments)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.notice(f"a callback raised {type(error).__name__}: {error}")

    def next_wakeup(self) -> float | None:
        """The earlier of liveness and deadlines."""
        due = super().next_wakeup()
        deadline = self.pending.deadline
        if deadline == NEVER or self.state is CircuitState.CLOSED:
            return due
        return deadline if due is None else min(due, deadline)

    def wake(self, now: float) -> None:
        """Keep time."""
        super().wake(now)
        self.pending.expire(now, self.host)

    def _lane(self, lane: "lanes.SomeLane") -> None:
        self.lanes.update(dict.fromkeys(lane.shapes, lane))

    def _read_lane(self, code: Dbr) -> None:
        """Answers with one element of a type may come in runs."""
        self._laned.add((_READ, code))
        if layout(code).family in (Family.PLAIN, Family.TIME):
            self._lane(lanes.ReadLane(code, self.pending, self._failed, self._columns))

    def _write_lane(self, code: int, count: int) -> None:
        """Answers to such writes may come in runs."""
        key = (Command.WRITE_NOTIFY, code, count)
        if key not in self._laned and count < LARGE and len(self._laned) < 64:
            self._laned.add(key)
            self._lane(lanes.WriteLane(code, count, self.pending, self._failed))
