"""The data port on an event loop: what `AsyncioClient.data` reads from.

The socket is read straight into the memory of `DataConnection`, which makes the
frames views of it. What a consumer has not taken is bounded: reading stops until it
has, and the PandA then waits in turn.
"""

import asyncio
from collections.abc import Iterable
from typing import cast

from beamfly.errors import BeamflyError, FrameTimeout, PandaDisconnected
from beamfly.panda.data import DataConnection, Flush
from beamfly.panda.responses import Data, FrameData

__all__ = ["SHORTEST_FLUSH", "DataProtocol"]

SHORTEST_FLUSH = 0.1
"""Seconds that a flush period of 0 stands for."""
_MOST_BYTES = 16 * 1024 * 1024
_MOST_ITEMS = 4096


class DataProtocol(asyncio.BufferedProtocol):
    """One data connection.

    Args:
        peer: How to call the PandA in messages.
        scaled: Whether the PandA scales.
        flush_period: Seconds over which samples are gathered, None not to.
        frame_timeout: Seconds without data until FrameTimeout, None for no limit.
    """

    def __init__(
        self,
        peer: str,
        scaled: bool,
        flush_period: float | None,
        frame_timeout: float | None,
    ) -> None:
        self._peer = peer
        self._scaled = scaled
        self._period = SHORTEST_FLUSH if flush_period == 0 else flush_period
        self._flush = Flush.NOW if flush_period is None else Flush.LATER
        self._timeout = frame_timeout
        self._loop = asyncio.get_running_loop()
        self._connection = DataConnection()
        self._transport: asyncio.Transport | None = None
        self._items: list[Data] = []
        self._bytes = 0
        self._paused = False
        self._error: BeamflyError | None = None
        self._consumer: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._last = 0.0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the data."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._connection.connect(self._scaled))
        self._last = self._loop.time()
        if self._timeout is not None:
            self._watchdog = self._loop.call_later(self._timeout, self._watch)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to receive next."""
        return self._connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what was received."""
        self._last = self._loop.time()
        self._take(self._connection.received(nbytes, self._flush))
        if self._period is not None and self._flush_timer is None:
            self._flush_timer = self._loop.call_later(self._period, self._flush_now)

    def eof_received(self) -> None:
        """The PandA closed the connection."""
        self._take(self._connection.receive_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._transport = None
        for timer in (self._flush_timer, self._watchdog):
            if timer is not None:
                timer.cancel()
        if self._error is None:
            reason = f" ({exc})" if exc is not None else ""
            self._take(self._connection.flush())
            msg = f"{self._peer}: the connection broke{reason}"
            self.fail(PandaDisconnected(msg))
        if not self._lost.done():
            self._lost.set_result(None)

    def _take(self, items: Iterable[Data]) -> None:
        """Queue items for the consumer; stop reading when there are too many."""
        try:
            for item in items:
                self._items.append(item)
                if isinstance(item, FrameData):
                    self._bytes += item.data.nbytes
        except BeamflyError as error:
            self.fail(type(error)(f"{self._peer}: {error}"))
            return
        full = self._bytes > _MOST_BYTES or len(self._items) > _MOST_ITEMS
        if full and not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True
        if self._items:
            self._wake()

    def _wake(self) -> None:
        if self._consumer is not None and not self._consumer.done():
            self._consumer.set_result(None)

    def _flush_now(self) -> None:
        self._flush_timer = None
        self._take(self._connection.flush())

    def _watch(self) -> None:
        """Fail when there was no data for too long, else look again later."""
        if self._timeout is None:
            return
        now = self._loop.time()
        if self._paused:
            self._last = now
        left = self._last + self._timeout - now
        if left <= 0:
            msg = f"{self._peer}: no data came for {self._timeout} s"
            self.fail(FrameTimeout(msg))
        else:
            self._watchdog = self._loop.call_later(left, self._watch)

    def fail(self, error: BeamflyError) -> None:
        """End the connection; the consumer gets what is queued, then this error."""
        if self._error is None:
            self._error = error
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    async def next_items(self) -> list[Data]:
        """Wait for items and take them all; the error, once there are no more."""
        if not self._items and self._error is None:
            self._consumer = self._loop.create_future()
            await self._consumer
        if not self._items and self._error is not None:
            raise self._error
        items, self._items, self._bytes = self._items, [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._last = self._loop.time()
            self._transport.resume_reading()
        return items

    async def close(self) -> None:
        """Close the connection and wait until it is."""
        if self._transport is not None:
            self._transport.abort()
        await self._lost
