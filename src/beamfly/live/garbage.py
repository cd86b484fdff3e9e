"""Keeping Python's search for garbage short while something flies: `left_alone`.

Drawing makes many objects, and from time to time Python then looks through all that
there are: with bluesky, databroker and their like imported that holds up every thread,
the RunEngine's loop too, for 100 to 300 ms. Objects from before the flight are set
aside meanwhile; what nobody refers to any more is freed at once, as always.
"""

import gc
import threading
from collections.abc import Generator
from contextlib import contextmanager


class _Flights:
    """How many flights there are; the search for garbage is one for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def begin(self) -> None:
        with self._lock:
            if self._count or not gc.get_freeze_count():
                self._count += 1
                gc.freeze()
            # else somebody has set objects aside for good, which is not to be undone

    def end(self) -> None:
        with self._lock:
            if self._count:
                self._count -= 1
                if not self._count:
                    gc.unfreeze()


_flights = _Flights()


@contextmanager
def left_alone() -> Generator[None]:
    """Leave the objects that are there out of the search for garbage, inside this."""
    _flights.begin()
    try:
        yield
    finally:
        _flights.end()
