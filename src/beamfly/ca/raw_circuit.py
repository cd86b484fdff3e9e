"""A client's circuit that hands out whole messages instead of readings.

For `beamfly.ca.blocking`, whose users look at headers and bytes. Requests and monitors
are told `(header, payload)`, failure statuses included.
"""

from collections import deque
from typing import Any

from beamfly.ca import lanes
from beamfly.ca.channel import Channel, Request
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.header import Header, pack_header
from beamfly.ca.message import Command
from beamfly.ca.messages import Echo, ErrorReply


class RawCircuit(ClientCircuit):
    """No fast lanes, no decoding."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Prepare as a `ClientCircuit`."""
        super().__init__(*arguments, **options)
        self._settling: deque[int] = deque()
        self.failed_writes = 0
        """Writes without an answer that the server said it did not do."""

    def settle(self, request: Request) -> None:
        """Tell when the server has taken all that was sent: it answers in order."""
        number = self._numbers.take()
        self.pending.add(number, request)
        self._settling.append(number)
        self.send(Echo())

    def read_old(
        self, channel: Channel, code: int, count: int, request: Request
    ) -> None:
        """Ask with READ, as clients did before 3.14."""
        link = self._link(channel)
        number = self._numbers.take()
        self.pending.add(number, request)
        # this message never learned that 0 means as many as there are
        count = count or link.count
        self.outbox.put(pack_header(Command.READ, 0, code, count, link.sid, number))

    def take(self, header: Header, payload: memoryview) -> None:
        """One message."""
        if header.command == Command.EVENT_ADD and header.size:
            self._guard(self.sinks[header.p2], header, bytes(payload))
        elif header.command in _ANSWERS:
            self._guard(self.pending.answer, header.p2, (header, bytes(payload)))
        else:
            super().take(header, payload)
            if header.command == Command.ECHO and self._settling:
                number = self._settling.popleft()
                self._guard(self.pending.answer, number, (header, b""))

    def _error(self, message: ErrorReply) -> None:
        """Count what nobody waits for."""
        request = message.request
        if request is not None and request.command == Command.WRITE:
            self.failed_writes += 1
        super()._error(message)

    def _lane(self, lane: lanes.SomeLane) -> None:
        """Only channels open fast."""
        if isinstance(lane, lanes.OpeningLane):
            super()._lane(lane)


_ANSWERS = (Command.READ, Command.READ_NOTIFY, Command.WRITE_NOTIFY)
