"""What goes between the client's thread and those that wait for it."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from beamfly.ca.channel import Channel, Request
from beamfly.ca.pending import NEVER

T = TypeVar("T")


class ChannelId(int):
    """Number of a channel, with the `value` that ctypes gives it elsewhere."""

    @property
    def value(self) -> int:
        """The number."""
        return int(self)


class Waiter(Generic[T]):
    """A result that one thread gives and another waits for."""

    __slots__ = ("_error", "_lock", "_result", "done")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._result: T
        self._error: Exception | None = None
        self.done = False

    def succeed(self, result: T) -> None:
        """Give the result."""
        self._result = result
        self._finish()

    def fail(self, error: Exception) -> None:
        """Give an error."""
        self._error = error
        self._finish()

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is there after so many seconds, None: wait for ever."""
        if not self.done:
            if timeout is None:
                self._lock.acquire()
            else:
                self._lock.acquire(timeout=max(0.0, timeout))
        return self.done

    def result(self) -> T:
        """What was given, or the error raised; only once it is done."""
        if self._error is not None:
            raise self._error
        return self._result


class Question(Request):
    """A request whose answer goes to a waiter, after `take` has seen it."""

    __slots__ = ("_take", "waiter")

    def __init__(
        self,
        channel: Channel,
        deadline: float,
        waiter: Waiter[Any],
        take: Callable[[tuple[Any, ...]], Any],
    ) -> None:
        self.channel = channel
        self.deadline = deadline
        self.waiter = waiter
        self._take = take

    def on_value(self, *reading: Any) -> None:
        """Answered: `take` makes the result."""
        try:
            self.waiter.succeed(self._take(reading))
        except Exception as error:
            self.waiter.fail(error)

    def on_error(self, error: Exception) -> None:
        """Refused, late, or disconnected."""
        self.waiter.fail(error)


class Notice(Request):
    """A put whose end is told to a function in the client's thread."""

    __slots__ = ("_tell",)

    def __init__(
        self, channel: Channel, tell: Callable[[Exception | None], object]
    ) -> None:
        self.channel = channel
        self.deadline = NEVER
        self._tell = tell

    def on_value(self, *reading: Any) -> None:
        """Processing is over."""
        self._tell(None)

    def on_error(self, error: Exception) -> None:
        """Refused or disconnected."""
        self._tell(error)
