"""Reads and writes of many channels that are answered together: `Bulk`, `BulkPut`.

The requests of a bulk have consecutive numbers, so that answers to all of them are one
run that the fast lanes hand over in one piece. There is no object per request. Circuits
make bulks, see `beamfly.ca.requests`; `checked` is what those of a group have brought.
"""

from collections.abc import Callable, Sequence
from typing import Any

from beamfly.ca.channel import Channel, Request
from beamfly.ca.group import Part
from beamfly.ca.pending import NEVER, as_array

Failure = Callable[[Channel], Exception]
"""Makes the error of a channel."""


class Bulk:
    """Many reads that are answered together."""

    def __init__(
        self,
        part: Part,
        channels: Sequence[Channel],
        low: int,
        deadline: float,
        on_done: Callable[["Bulk"], object] | None = None,
    ) -> None:
        """Prepare for the values of some channels.

        Args:
            part: What is asked.
            channels: Those of the part, in the order of the numbers.
            low: Number of the first request.
            deadline: When those that are missing are given up.
            on_done: Called once, when there is a value or an error for each channel.
        """
        self.low, self.high = low, low + len(channels)
        """Numbers of the requests, high exclusive."""
        self.channels = channels
        self.part = part
        self.deadline = deadline
        self.values: list[Any] = [None] * len(channels)
        """A value or an exception for each channel; by place in the part when told."""
        self.failed = False
        """Whether there is an exception among them."""
        self.told = False
        """Whether nobody waits for it any more."""
        self._open = bytearray(b"\1") * len(channels)
        self._missing = len(channels)
        self._on_done = on_done

    @property
    def done(self) -> bool:
        """Whether all answers are in."""
        return not self._missing

    def on_values(self, first: int, values: list[Any]) -> None:
        """Answers to consecutive numbers; those that are not waited for are ignored."""
        at = first - self.low
        end = at + len(values)
        if self._open.count(1, at, end) != len(values):
            for place, value in zip(range(at, end), values, strict=True):
                if self._open[place]:
                    self.on_values(self.low + place, [value])
            return
        self._open[at:end] = bytes(len(values))
        self._missing -= len(values)
        self._take(at, end, values)
        if not self._missing and not self.told:
            self._tell()

    def on_error(self, number: int, error: Exception) -> None:
        """A refusal."""
        self.failed = True
        self.on_values(number, [error])

    def fail(self, make: Failure, channel: Channel | None) -> None:
        """No answer comes any more, about one channel or about all."""
        for at in self._waiting():
            if channel is None or self.channels[at] is channel:
                self.on_error(self.low + at, make(self.channels[at]))

    def expire(self, make: Failure) -> None:
        """Answers come too late."""
        self.fail(make, None)

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self.told = True
        self.deadline = NEVER

    def _waiting(self) -> list[int]:
        """Places without an answer."""
        return [at for at, is_open in enumerate(self._open) if is_open]

    def _take(self, at: int, end: int, values: list[Any]) -> None:
        """Keep what has come."""
        if len(values) == len(self.values):
            self.values = values
        else:
            self.values[at:end] = values

    def _tell(self) -> None:
        """Somebody waits for this; arrays are arrays, and all is in its place."""
        self.told = True
        part = self.part
        if part.order is not None:
            values, self.values = self.values, [None] * len(self.values)
            for place, value in zip(part.order, values, strict=True):
                self.values[place] = value
        for place, base in part.arrays.items():
            self.values[place] = as_array(self.values[place], base)
        if self._on_done is not None:
            self._on_done(self)


class BulkPut(Bulk):
    """Many writes with completion that are answered together.

    Each channel is busy until its answer has come, whether anybody waits or not.
    """

    def __init__(
        self,
        part: Part,
        low: int,
        deadline: float,
        next_put: Callable[[Channel], object],
        on_done: Callable[[Bulk], object] | None = None,
    ) -> None:
        """As `Bulk`; its values are None, or exceptions.

        Args:
            part: What is written to.
            low: Number of the first request.
            deadline: When nobody waits any more.
            next_put: Called with a channel that is free again.
            on_done: Called once, when all have ended.
        """
        super().__init__(part, part.channels, low, deadline, on_done)
        self._next = next_put

    def expire(self, make: Failure) -> None:
        """Nobody waits any more, but the server may still be at it."""
        if not self.told:
            self.failed = True
            for at in self._waiting():
                self.values[at] = make(self.channels[at])
            self._tell()
        self.give_up()

    def settle(self, number: int, error: Exception | None) -> None:
        """A write has ended that was not sent with the others."""
        at = number - self.low
        if self._open[at]:
            self._open[at] = 0
            self._missing -= 1
            if not self.told:
                self.values[at] = error
                self.failed |= error is not None
        if not self._missing and not self.told:
            self._tell()

    def _take(self, at: int, end: int, values: list[Any]) -> None:
        """Free the channels for whoever is next."""
        if not self.told:
            self.values[at:end] = values
        for channel in self.channels[at:end]:
            self._next(channel)

    def _tell(self) -> None:
        """All have ended."""
        self.told = True
        if self._on_done is not None:
            self._on_done(self)


class Member(Request):
    """A write of a bulk whose channel was busy: sent alone, later, if still wanted."""

    __slots__ = ("_bulk", "_number", "_over")

    def __init__(self, bulk: BulkPut, number: int, over: Callable[[], object]) -> None:
        """Stand for one number of a bulk; `over` is called when it has ended."""
        self.channel = bulk.channels[number - bulk.low]
        self.deadline = bulk.deadline
        self._bulk = bulk
        self._number = number
        self._over = over

    @property
    def wanted(self) -> bool:
        """Not if nobody waits for the bulk any more."""
        return not self._bulk.told

    def on_drop(self) -> None:
        """There is nothing to wait for."""
        self.on_value()

    def on_value(self, *reading: Any) -> None:
        """It is done."""
        self._bulk.settle(self._number, None)
        self._over()

    def on_error(self, error: Exception) -> None:
        """Refused, out of time, or disconnected."""
        self._bulk.settle(self._number, error)
        self._over()


def merged(bulks: Sequence[Bulk]) -> list[Any]:
    """A value or an exception for each channel of a group, of which these are all."""
    if len(bulks) == 1:
        return bulks[0].values
    values: list[Any] = [None] * sum(len(bulk.values) for bulk in bulks)
    for bulk in bulks:
        for place, value in zip(bulk.part.places, bulk.values, strict=True):
            values[place] = value
    return values


def checked(bulks: Sequence[Bulk]) -> list[Any]:
    """`merged`, but the first error is raised."""
    values = merged(bulks)
    if any(bulk.failed for bulk in bulks):
        for value in values:
            if isinstance(value, Exception):
                raise value
    return values
