"""The thread in which users' callbacks run: in order, bounded, never in the way of I/O.

A `Lane` belongs to one PV. What is posted runs one after the other, in the order in
which it came, across all PVs. A callback may get and put, wait, and take its time: what
arrives meanwhile waits, but nobody's gets and puts do. When too many updates of a PV
wait, the newest one that waits is replaced by the one that comes (as an IOC does),
which is counted and logged.
"""

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

log = logging.getLogger("beamfly.epics")
MOST_UPDATES = 1000
"""Updates of one PV that may wait for its callbacks."""
MOST_BYTES = 32 * 1024 * 1024
"""Bytes of the values of one PV that may wait for its callbacks."""
PATIENCE_SECONDS = 0.25
"""A callback that runs for longer is waited for by nobody."""
CLOSE_SECONDS = 10.0
"""For the callback that runs when everything ends."""


def guarded(function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Call what a user gave; what it raises is logged and harms nobody else."""
    try:
        function(*args, **kwargs)
    except Exception:
        log.exception("callback %r raised; the others go on", function)


class Entry:
    """One call that waits."""

    __slots__ = ("call", "lane", "taken")

    def __init__(self, call: Callable[[], object], lane: "Lane | None") -> None:
        self.call = call
        self.lane = lane
        """Of an update, None for what is never replaced."""
        self.taken = False


class Lane:
    """Calls on behalf of one PV."""

    def __init__(self, name: str, dispatcher: "Dispatcher") -> None:
        self.name = name
        """Of the PV."""
        self.merged = 0
        """Updates that newer ones replaced before callbacks could see them."""
        self.finished = 0
        """Updates that are done; written by the dispatcher alone."""
        self._dispatcher = dispatcher
        self._posted = 0
        self._last: Entry | None = None
        self._late = False

    def post(self, call: Callable[[], object]) -> None:
        """Run something; it is never dropped."""
        self._last = None
        self._dispatcher.put(Entry(call, None))

    def update(self, call: Callable[[], object], size: int = 0) -> None:
        """Run what tells of a new value; called by one thread only.

        Args:
            call: Tells of it.
            size: Bytes of the value.
        """
        waiting = self._posted - self.finished
        if waiting >= MOST_UPDATES or waiting * size >= MOST_BYTES:
            if self._merge(call):
                return
        elif not waiting:
            self._late = False
        self._posted += 1
        self._last = entry = Entry(call, self)
        self._dispatcher.put(entry)

    def _merge(self, call: Callable[[], object]) -> bool:
        """Replace the newest update that waits, unless it has been taken."""
        last = self._last
        if last is None:
            return False
        with self._dispatcher.lock:
            if last.taken:
                return False
            last.call = call
        self.merged += 1
        if not self._late:
            self._late = True
            log.warning(
                "callbacks of %s do not keep up: %d updates wait, newer ones replace "
                "each other",
                self.name,
                self._posted - self.finished,
            )
        return True


class Dispatcher:
    """A thread that starts with the first call and ends with `close`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Guards what is replaced while it waits."""
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._began: float | None = None
        """When the callback that runs now began, as time.monotonic()."""

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in a callback."""
        return threading.current_thread() is self._thread

    def put(self, entry: Entry) -> None:
        """Have an entry run; dropped after `close`."""
        if self._closed:
            return
        self._queue.put(entry)
        if self._thread is None:
            self._start()

    def lane(self, name: str) -> Lane:
        """A lane for a PV."""
        return Lane(name, self)

    def call(self, function: Callable[[], object]) -> None:
        """Run something that belongs to no PV."""
        self.put(Entry(function, None))

    def wait_for(self, event: threading.Event, seconds: float) -> None:
        """Wait for what a callback sets, unless another one takes its time.

        Args:
            event: Set by the callback.
            seconds: How long to wait at most.
        """
        end = time.monotonic() + seconds
        while not event.wait(min(PATIENCE_SECONDS, max(0.0, end - time.monotonic()))):
            now, began = time.monotonic(), self._began
            if now >= end or (began is not None and now - began > PATIENCE_SECONDS):
                return

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Stop after the callback that runs now, if any; what waits is dropped.

        Args:
            seconds: How long to wait for it; then it is left to itself.
        """
        with self.lock:
            self._closed = True
            thread = self._thread
        self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, seconds))
            if thread.is_alive():
                log.warning("a callback still runs after %s s; it is left", seconds)

    def _start(self) -> None:
        with self.lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name="beamfly-epics-callbacks", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            entry = self._queue.get()
            if entry is None or self._closed:
                return
            with self.lock:
                entry.taken = True
            self._began = time.monotonic()
            try:
                entry.call()
            except Exception:
                log.exception("a callback raised; the others go on")
            finally:
                self._began = None
                if entry.lane is not None:
                    entry.lane.finished += 1
