"""`monitor_delta`: the record's MDEL is set; where that cannot be, we filter."""

import logging
from typing import TYPE_CHECKING, Any

from beamfly.ca.message import Access
from beamfly.errors import BeamflyError

if TYPE_CHECKING:
    from beamfly.epics.context import Context

log = logging.getLogger("beamfly.epics")
SECONDS = 2.0
"""For MDEL to connect and to be set."""


class Deadband:
    """Smallest change that a PV's callbacks want to hear of."""

    def __init__(self, pvname: str, delta: float | None, context: "Context") -> None:
        self.delta = delta
        """None: the record's own."""
        self._field = f"{pvname.partition('.')[0]}.MDEL"
        self._context = context
        self._here = delta is not None
        self._last: float | None = None
        self._tasks: set[Any] = set()

    def hides(self, value: Any) -> bool:
        """Whether a new value is too near to the last one that was told."""
        delta = self.delta
        if delta is None or not self._here or not isinstance(value, (int, float)):
            return False
        if self._last is not None and abs(value - self._last) < delta:
            return True
        self._last = value
        return False

    def apply(self) -> None:
        """Set MDEL; in the client's thread. Until that is done, we filter."""
        if self.delta is None:
            return
        self._here = True
        task = self._context.loop.create_task(self._set(float(self.delta)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set(self, delta: float) -> None:
        channel = self._context.client.channel(self._field)
        try:
            await channel.wait_connected(SECONDS)
            if channel.access & Access.WRITE:
                await channel.put(delta, wait=True, timeout=SECONDS)
                self._here = False
        except BeamflyError as error:
            log.debug(
                "%s is not set, updates are filtered here: %s", self._field, error
            )
        finally:
            channel.close()
