"""Generators that take turns: the threads of control of running scans.

A task is a generator that yields the time at which it wants to go on, None for never,
and is resumed then or whenever it is poked. It checks for itself what has changed. No
clock is read: `advance` is told what time it is.
"""

import heapq
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

Steps = Generator[float | None, None, Any]
"""Yields the time at which to go on, None to wait for a poke."""

COMMANDS_PER_TURN = 50
"""Commands after which a task lets others have their turn."""


class Task:
    """One generator and where it stands."""

    __slots__ = ("_done", "due", "error", "finished", "ready", "steps")

    def __init__(self, steps: Steps, done: Callable[["Task"], None]):
        self.steps = steps
        self.due: float | None = None
        self.ready = False
        self.finished = False
        self.error: Exception | None = None
        """What ended it, None if it ran to its end."""
        self._done = done

    def finish(self, error: Exception | None) -> None:
        """Note the end and tell whoever wants to know."""
        self.finished = True
        self.error = error
        self._done(self)


class Scheduler:
    """Gives tasks their turns.

    Args:
        wake: called when a task became ready outside of `advance`.
    """

    def __init__(self, now: float, wake: Callable[[], None]):
        self.now = now
        """The time that `advance` was told last, in seconds since 1970."""
        self.wake = wake
        self._ready: deque[Task] = deque()
        self._timers: list[tuple[float, int, Task]] = []
        self._count = 0
        self._running = False
        self._spent = 0

    def spawn(self, steps: Steps, done: Callable[[Task], None]) -> Task:
        """A new task, which has its first turn at the next occasion."""
        task = Task(steps, done)
        self.poke(task)
        return task

    def poke(self, task: Task) -> None:
        """Let a task look again at what it waits for."""
        if not task.ready and not task.finished:
            task.ready = True
            self._ready.append(task)
            if not self._running:
                self.wake()

    def cancel(self, task: Task) -> None:
        """End a task that is not having its turn; nobody is told."""
        if not task.finished:
            task.finished = True
            task.steps.close()

    def throw(self, task: Task, error: Exception) -> None:
        """Raise an error in a task that is not having its turn."""
        if not task.finished:
            self._turn(task, lambda: task.steps.throw(error))

    def tired(self) -> bool:
        """Whether a task that has not waited for long should let others go on."""
        self._spent += 1
        return self._spent % COMMANDS_PER_TURN == 0

    def advance(self, now: float) -> None:
        """Give a turn to every task that is ready or due."""
        self.now = now
        while self._timers and self._timers[0][0] <= now:
            due, _, task = heapq.heappop(self._timers)
            if task.due == due:
                task.due = None
                self.poke(task)
        self._running = True
        try:
            # those that become ready meanwhile have their turn, too, but not for ever
            for _ in range(len(self._ready) + 8):
                if not self._ready:
                    break
                task = self._ready.popleft()
                task.ready = False
                if not task.finished:
                    self._turn(task, task.steps.__next__)
        finally:
            self._running = False

    def _turn(self, task: Task, go_on: Callable[[], float | None]) -> None:
        try:
            due = go_on()
        except StopIteration:
            task.finish(None)
        except Exception as error:
            task.finish(error)
        else:
            if due is not None and due <= self.now:
                self.poke(task)
            elif due != task.due:
                task.due = due
                if due is not None:
                    self._count += 1
                    heapq.heappush(self._timers, (due, self._count, task))

    def next_wakeup(self) -> float | None:
        """When to call `advance` at the latest, None for no need."""
        if self._ready:
            return self.now
        while self._timers:
            due, _, task = self._timers[0]
            if task.due == due and not task.finished:
                return due
            heapq.heappop(self._timers)
        return None
