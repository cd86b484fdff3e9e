"""Whether long runs of messages are parsed with numpy, see `beamfly.ca.runs`.

numpy saves a fifth of a microsecond per message, and its import takes as long as the
parsing of hundreds of thousands of them. So a program that has not imported it for
itself, and reads or watches a thousand PVs, does without.
"""

import sys
from collections.abc import Callable
from importlib import import_module

WORTH = 300_000
"""Messages that have been parsed without numpy when its import begins to pay."""


def _at_once(fetch: Callable[[], None]) -> None:
    """The import is waited for."""
    fetch()


class Columns:
    """Knows whether numpy is there, and has it imported once that pays."""

    __slots__ = ("_ready", "_start", "_without")

    def __init__(
        self, start: Callable[[Callable[[], None]], object] = _at_once
    ) -> None:
        """Prepare.

        Args:
            start: Calls what imports numpy, now or later, here or in another thread.
        """
        self._ready = False
        self._start: Callable[[Callable[[], None]], object] | None = start
        self._without = 0

    def ready(self, messages: int) -> bool:
        """Whether to parse the next so many messages with numpy."""
        start = self._start
        if start is not None:
            if "numpy" in sys.modules:
                self._start, self._ready = None, True
            elif (without := self._without + messages) < WORTH:
                self._without = without
            else:
                self._start = None
                start(self._fetch)
        return self._ready

    def _fetch(self) -> None:
        """Import numpy, and what uses it."""
        import_module("beamfly.ca.runs")
        self._ready = True
