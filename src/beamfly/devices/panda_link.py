"""The connection of a device to its PandA: one client, connected again when lost.

An operation that finds the connection lost connects anew, at most once at a time and
not before `Backoff` allows; until then it fails at once with PandaDisconnected, which
says when the next attempt is due. The poller asks regularly while somebody listens,
so that monitors come back by themselves.
"""

import asyncio
from typing import Any, TypeVar

from ophyd_async.core import NotConnectedError

from beamfly.errors import BeamflyError, CommandError, PandaDisconnected, TimedOut
from beamfly.panda.asyncio import AsyncioClient
from beamfly.panda.commands import Command

T = TypeVar("T")

RECONNECT_TIMEOUT = 3.0
"""Seconds for each step of a further attempt: two take less than a signal waits."""


ANSWER_TIMEOUT = 8.0
"""Seconds until a PandA that says nothing counts as gone: a signal waits 10 s."""


class PandaNotConnected(NotConnectedError, PandaDisconnected):
    """A device could not be connected to its PandA."""

    def __str__(self) -> str:
        """The sentence as it is, without the indent of a list of devices."""
        return str(self._errors)


class Backoff:
    """When a lost connection may be tried again; time is given."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._delay = first
        self._due = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next attempt, 0 if it may be made."""
        return max(0.0, self._due - now)

    def failed(self, now: float) -> None:
        """An attempt failed: the next one is due later, each time twice as late."""
        self._due = now + self._delay
        self._delay = min(2 * self._delay, self._longest)

    def succeeded(self) -> None:
        """An attempt worked: the next loss starts from the beginning."""
        self._delay = self._first
        self._due = float("-inf")


class PandaLink:
    """Commands to one PandA, over a connection that comes back.

    Args:
        host: Name or address.
        control_port: TCP port for commands.
        data_port: TCP port for frames.
    """

    def __init__(self, host: str, control_port: int, data_port: int) -> None:
        self.host = host
        self.control_port = control_port
        self.data_port = data_port
        self.generation = 0
        """How often it was connected; change reports start anew with each."""
        self.answer_timeout = ANSWER_TIMEOUT
        """Seconds for the answer to a command; without one the PandA counts as gone."""
        self._client: AsyncioClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting = asyncio.Lock()
        self._backoff = Backoff()
        self._reason = "it was never connected"

    @property
    def address(self) -> str:
        """Host and control port, for messages and sources."""
        return f"{self.host}:{self.control_port}"

    @property
    def connected(self) -> bool:
        """Whether the control connection is up."""
        return self._client is not None and self._client.is_connected()

    async def open(self, timeout: float) -> None:
        """Connect anew, whatever was before.

        Raises:
            PandaNotConnected: It did not work; says where and why.
        """
        await self.close()
        self._loop = asyncio.get_running_loop()
        self._connecting = asyncio.Lock()
        self._client = AsyncioClient(
            self.host, self.control_port, self.data_port, connect_timeout=timeout
        )
        try:
            await self._connect(self._client)
        except BeamflyError as error:
            raise PandaNotConnected(str(error)) from error
        self._client.connect_timeout = min(timeout, RECONNECT_TIMEOUT)

    async def close(self) -> None:
        """Close the connection; `open` is needed to go on."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()
        self._reason = "it was closed on this side"

    async def send(self, command: Command[T]) -> T:
        """Do a command and return its result.

        Raises:
            PandaDisconnected: The connection was lost, or could not be made again;
                or there was no answer, so that it was given up.
            CommandError: The PandA refused.
        """
        client = self._client
        if client is None or not client.is_connected():
            client = await self._connect_again()
        elif self._loop is not asyncio.get_running_loop():
            raise PandaDisconnected(self._wrong_loop())
        try:
            return await client.send(command, self.answer_timeout)
        except TimedOut as error:
            # what else was asked would wait as long, one after the other
            await client.close()
            self._reason = str(error)
            raise PandaDisconnected(self._reason) from error

    async def send_each(self, *commands: Command[Any]) -> list[Any]:
        """Do several commands in one write; results, or the errors of those refused.

        Raises:
            PandaDisconnected: As for `send`.
        """
        results = await asyncio.gather(
            *map(self.send, commands), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(
                result, CommandError
            ):
                raise result
        return results

    @property
    def closed(self) -> bool:
        """Whether it was closed on this side, or never opened."""
        return self._client is None

    @property
    def retry_in(self) -> float:
        """Seconds until a lost connection may be tried again."""
        return self._backoff.wait(asyncio.get_running_loop().time())

    def _wrong_loop(self) -> str:
        return (
            f"PandA {self.address} was connected in another event loop: nothing was "
            "sent; use it through the RunEngine, or connect it again here with "
            "force_reconnect=True"
        )

    async def _connect_again(self) -> AsyncioClient:
        client = self._client
        if client is None:
            msg = f"No connection to PandA {self.address}: {self._reason}"
            raise PandaDisconnected(f"{msg}; connect the device first")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            raise PandaDisconnected(self._wrong_loop())
        async with self._connecting:
            if client.is_connected():
                return client
            wait = self._backoff.wait(loop.time())
            if wait:
                msg = (
                    f"PandA {self.address} is disconnected ({self._reason}): nothing "
                    f"was sent; the next attempt is due in {wait:.1f} s"
                )
                raise PandaDisconnected(msg)
            try:
                await self._connect(client)
            except TimedOut as error:
                raise PandaDisconnected(str(error)) from error
        return client

    async def _connect(self, client: AsyncioClient) -> None:
        try:
            await client.connect()
        except BeamflyError as error:
            self._reason = str(error)
            self._backoff.failed(asyncio.get_running_loop().time())
            raise
        self._backoff.succeeded()
        self._reason = "the connection was lost"
        self.generation += 1
