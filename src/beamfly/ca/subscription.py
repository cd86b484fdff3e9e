"""A subscription as the server has it: what a slow client gets, and what it misses.

While the client keeps up, an update is queued for sending right away. When it does not,
or has asked to hold back, a few updates wait here, and after that the newest takes the
place of the last one: a client may miss values in between, never the latest.
"""

from collections import deque
from typing import Any, Protocol

from beamfly.ca.answers import Answer, Update
from beamfly.ca.pv import PV

WAITING = 8
"""Most updates of one subscription that wait for a slow client."""
SMALL = 1024
"""Payloads beyond so many bytes do not wait in numbers: only the latest does."""
_NOTHING: deque[Answer] = deque(maxlen=0)
"""What waits of subscriptions whose client keeps up: one for all saves memory."""


class Sink(Protocol):
    """The circuit that a subscription is on."""

    updates_wanted: bool
    waiting: "dict[Subscription, None]"

    def update(self, number: int, answer: Answer) -> bool:
        """Queue an update for sending; False if the client does not keep up."""
        ...

    def push(self, message: bytes) -> bool:
        """The same with a whole message."""
        ...


class Encoded(Protocol):
    """A PV, or what is shown of it."""

    @property
    def encoded(self) -> dict[tuple[int, int], Answer]:
        """Answers that are valid still, by type and count."""
        ...

    def answer(self, code: int, count: int) -> Answer:
        """The value as a DBR type."""
        ...


class Source(Protocol):
    """The channel that a subscription belongs to."""

    pv: PV
    readable: bool

    def answer(self, code: int, count: int) -> Answer:
        """The value, or zeros if it must not be read."""
        ...


class Subscription:
    """One subscription of one client."""

    __slots__ = (
        *("_key", "_queue", "_sink", "code", "count", "mask", "number"),
        "source",
    )

    def __init__(
        self, sink: Sink, source: Source, number: int, code: int, count: int, mask: int
    ) -> None:
        self.source = source
        self.number = number
        """The client's number."""
        self.code = code
        """DBR type of the updates."""
        self.count = count
        """Elements asked for; 0: as many as there are."""
        self.mask = mask
        """Bits of EventMask."""
        self._key = code, count
        self._sink = sink
        self._queue: deque[Answer] = _NOTHING

    def changed(self, pv: Encoded) -> None:
        """There is something new to tell."""
        source = self.source
        # the same as source.answer, without steps in between
        if source.readable:
            answer = pv.encoded.get(self._key) or pv.answer(self.code, self.count)
        else:
            answer = source.answer(self.code, self.count)
        if self._queue or not self._sink.update(self.number, answer):
            self._wait(answer)

    def _wait(self, answer: Answer) -> None:
        """Keep an update; when there are too many it takes the place of the last."""
        sink, queue = self._sink, self._queue
        most = WAITING if sink.updates_wanted and len(answer.tail) <= SMALL else 1
        if queue is _NOTHING:
            queue = self._queue = deque()
        if len(queue) >= most:
            queue.pop()
        queue.append(answer)
        sink.waiting[self] = None

    def flush(self) -> bool:
        """Send what waits while the client keeps up; True when nothing waits."""
        queue = self._queue
        while queue and self._sink.update(self.number, queue[0]):
            queue.popleft()
        if queue:
            return False
        self._queue = _NOTHING
        return True


class NumberSubscription(Subscription):
    """Of one number as its own type, which servers send thousands of per second.

    While the client keeps up an update is packed in one go, which takes less time than
    to share a payload with others. It gives the same bytes, which `tests/ca` checks.
    """

    __slots__ = ("_pack",)

    def __init__(self, pack: Update, *arguments: Any) -> None:
        """Prepare; the other arguments are those of `Subscription`."""
        super().__init__(*arguments)
        self._pack = pack

    def changed(self, pv: Any) -> None:
        """There is something new to tell."""
        if self._queue or not self.source.readable:
            super().changed(pv)
        elif not self._sink.push(self._pack(self.number, pv)):
            super().changed(pv)
