"""Requests under way on a circuit: who asked, until when, and who to tell.

`Pending` is the dict that the fast lanes take entries from. Deadlines cost nothing per
request: only the nearest one is known, and when it comes everything is looked through.
What was asked in bulk, see `beamfly.ca.bulk`, stands in a list beside it.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from beamfly.ca.channel import Channel, Request
from beamfly.ca.dbr import Dbr, value_dtype
from beamfly.ca.status import ECA_DISCONN, ECA_NORMAL, ECA_TIMEOUT
from beamfly.ca.status import message as status_message
from beamfly.errors import BeamflyError, CADisconnected, CARefused, CATimeout

if TYPE_CHECKING:
    from beamfly.ca.bulk import Bulk

NEVER = float("inf")


class Numbers:
    """Numbers for requests and subscriptions, unique within a client."""

    def __init__(self) -> None:
        self._next = 1

    def take(self, count: int = 1) -> int:
        """The first of so many consecutive numbers."""
        first = self._next
        if first + count >= 1 << 32:
            first = 1
        self._next = first + count
        return first


def refused(name: str, status: int, verb: str) -> CARefused:
    """The error for a failure status; verb is read, written, monitored or served."""
    text = f"{name} was not {verb}: {status_message(status)} (ECA {status})"
    return CARefused(text, name=name, status=status)


def _unanswered(channel: Channel, error: BeamflyError) -> CADisconnected:
    """The error for what was under way; each has its own, which names the PV."""
    text = f"{channel.name} did not answer: {error}"
    return CADisconnected(text, name=channel.name, status=ECA_DISCONN)


class Put(Request):
    """A write with completion; the channel is busy until the server has answered."""

    __slots__ = ("_next", "_request", "sent")

    def __init__(self, request: Request, next_put: Callable[[Channel], object]) -> None:
        self.channel = request.channel
        self.deadline = request.deadline
        self.sent = False
        """Whether the server knows of it."""
        self._request: Request | None = request
        self._next = next_put

    def on_value(self, *reading: Any) -> None:
        """Processing is over."""
        self._next(self.channel)
        if self._request is not None:
            self._request.on_value(*reading)

    def on_error(self, error: Exception) -> None:
        """Refused or disconnected."""
        if self.sent:
            self._next(self.channel)
        self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Nobody waits any more, but the server may still be at it."""
        request, self._request, self.deadline = self._request, None, NEVER
        if request is not None:
            request.on_error(error)


class _ArrayRequest(Request):
    """A read of an array PV: one element is an array too."""

    __slots__ = ("_base", "_request")

    def __init__(self, request: Request, base: Dbr) -> None:
        self.channel = request.channel
        self.deadline = request.deadline
        self._request = request
        self._base = base

    def on_value(self, *reading: Any) -> None:
        self._request.on_value(as_array(reading[0], self._base), *reading[1:])

    def on_error(self, error: Exception) -> None:
        self._request.on_error(error)


def array_request(request: Request, base: Dbr) -> Request:
    """A request whose value is an array, or a list of str, even for one element."""
    return _ArrayRequest(request, base)


def array_sink(sink: Callable[..., object], base: Dbr) -> Callable[..., object]:
    """A callback whose value is an array, or a list of str, even for one element."""

    def arrayed(value: Any, *rest: Any) -> object:
        return sink(as_array(value, base), *rest)

    return arrayed


def as_array(value: Any, base: Dbr) -> Any:
    """One element as an array, or as a list of str; anything else as it is."""
    if base is Dbr.STRING:
        return [value] if isinstance(value, str) else value
    if isinstance(value, (int, float)):
        import numpy

        return numpy.array([value], value_dtype(base))
    return value


class Pending(dict[int, Request]):
    """Requests by number, and bulk reads by range of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.bulks: list[Bulk] = []
        """Bulk reads that miss answers."""
        self.deadline = NEVER
        """When `expire` wants to be called."""

    def add(self, number: int, request: Request) -> None:
        """A request is on its way."""
        self[number] = request
        if request.deadline < self.deadline:
            self.deadline = request.deadline

    def add_bulk(self, bulk: "Bulk") -> None:
        """A bulk read is on its way."""
        self.bulks.append(bulk)
        self.deadline = min(self.deadline, bulk.deadline)

    def answer(self, number: int, reading: tuple[Any, ...]) -> None:
        """An answer has come; ignored if nobody waits for it."""
        request = self.pop(number, None)
        if request is not None:
            request.on_value(*reading)
            return
        bulk = self._bulk(number)
        if bulk is not None:
            bulk.on_values(number, [reading[0] if reading else None])
            self.tidy()

    def take_run(
        self,
        shape: int,
        rows: Iterable[tuple[Any, ...]],
        make: Callable[[list[Any]], list[Any]] | None,
        failed: Callable[[Exception], object],
    ) -> int:
        """Answers with consecutive numbers for one bulk; how many there were.

        Args:
            shape: First eight bytes of their headers, as a number.
            rows: Shape, status, number, what else there is, value.
            make: Makes what is handed on of the values; None: as they are.
            failed: Told of the exception when a callback raises.
        """
        bulk = None
        first = last = 0
        values: list[Any] = []
        for row in rows:
            number = row[2]
            if bulk is None:
                bulk = self._bulk(number)
                if bulk is None:
                    return 0
                first, last = number, bulk.high
            if row[0] != shape or row[1] != ECA_NORMAL:
                break
            if number != first + len(values) or number == last:
                break
            values.append(row[-1])
        if bulk is None:
            return 0
        try:
            bulk.on_values(first, values if make is None else make(values))
        except Exception as error:
            failed(error)
        self.tidy()
        return len(values)

    def refuse(self, number: int, status: int, verb: str) -> bool:
        """A refusal has come; False if nobody waits for it."""
        request = self.pop(number, None)
        if request is not None:
            request.on_error(refused(request.channel.name, status, verb))
            return True
        bulk = self._bulk(number)
        if bulk is None:
            return False
        name = bulk.channels[number - bulk.low].name
        bulk.on_error(number, refused(name, status, verb))
        self.tidy()
        return True

    def expire(self, now: float, host: str) -> None:
        """Give up what is out of time."""
        if now < self.deadline:
            return
        late = [key for key, request in self.items() if request.deadline <= now]
        for key in late:
            request = self[key]
            error = _timeout(request.channel, host)
            if isinstance(request, Put) and request.sent:
                request.give_up(error)
            else:
                self.pop(key).on_error(error)
        for bulk in tuple(self.bulks):
            if bulk.deadline <= now:
                bulk.expire(lambda channel: _timeout(channel, host))
        self.tidy()
        waiting = [request.deadline for request in self.values()]
        waiting += [bulk.deadline for bulk in self.bulks]
        self.deadline = min(waiting, default=NEVER)

    def fail_channel(self, channel: Channel, error: BeamflyError) -> None:
        """A channel is gone."""
        gone = [key for key, request in self.items() if request.channel is channel]
        for key in gone:
            self.pop(key).on_error(error)
        for bulk in tuple(self.bulks):
            bulk.fail(lambda _: error, channel)
        self.tidy()

    def fail_all(self, error: BeamflyError) -> None:
        """The circuit is gone."""
        while self:
            request = self.popitem()[1]
            request.on_error(_unanswered(request.channel, error))
        for bulk in tuple(self.bulks):
            bulk.fail(lambda channel: _unanswered(channel, error), None)
        self.tidy()

    def tidy(self) -> None:
        """Bulk reads that are complete are forgotten."""
        self.bulks[:] = [bulk for bulk in self.bulks if not bulk.done]

    def _bulk(self, number: int) -> "Bulk | None":
        for bulk in self.bulks:
            if bulk.low <= number < bulk.high:
                return bulk
        return None


def not_connected(channel: Channel, seconds: float | None) -> CATimeout:
    """The error for a PV that was waited for in vain."""
    text = f"{channel.name} was not found within {seconds} s"
    if channel.circuit is not None and channel.link is None:
        text = (
            f"{channel.name} was found on {channel.circuit.host}, but was not "
            f"connected within {seconds} s: TCP is not let through, or the server hangs"
        )
    return CATimeout(text, name=channel.name, status=ECA_TIMEOUT)


def _timeout(channel: Channel, host: str) -> CATimeout:
    """The error for an answer that did not come."""
    msg = f"{channel.name} on {host} did not answer in time"
    return CATimeout(msg, name=channel.name, status=ECA_TIMEOUT)
