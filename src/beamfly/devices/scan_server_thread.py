"""A scan server with PVs of Channel Access: in a coroutine, or in a thread of its own.

    with serve_scans_in_thread(ScanConfig(port=0)) as server:
        client = ScanClient("127.0.0.1", server.port)
        ...

A thread is for scripts, notebooks and tests; `beamfly scan serve` is a process.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, TypeVar

from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.devices.scan_channels import CaChannels
from beamfly.errors import ScanError, ScanTimeout
from beamfly.scan.config import ScanConfig
from beamfly.scan.server import LOOPBACK, ScanServer

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds for the start, or for an answer of the thread."""


@asynccontextmanager
async def serving(
    config: ScanConfig, host: str = LOOPBACK, ca: Config | bool = True
) -> AsyncGenerator[ScanServer]:
    """A scan server that runs.

    Args:
        config: How; port 0 takes any that is free.
        host: Address to listen at.
        ca: Where PVs are looked for with Channel Access: as the environment says, or
            nowhere if False; then there are `loc://` and `sim://` PVs only.

    Raises:
        ScanError: The data log cannot be used, or the port is taken.
    """
    async with AsyncExitStack() as stack:
        channels = None
        if ca is not False:
            client = Client() if ca is True else Client(ca)
            channels = CaChannels(await stack.enter_async_context(client))
        server = ScanServer(config, host, channels)
        yield await stack.enter_async_context(server)


class ThreadedScanServer:
    """A scan server in a thread; leave it with `with`, or call `close`.

    Args:
        config: How; port 0 takes any that is free.
        host: Address to listen at.
        ca: Where PVs are looked for, see `serving`.

    Raises:
        ScanError: The data log cannot be used, or the port is taken.
    """

    server: ScanServer
    """Touch it in its own thread only, through `call`."""

    def __init__(
        self, config: ScanConfig, host: str = LOOPBACK, ca: Config | bool = True
    ) -> None:
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(
            target=self._run, args=(config, host, ca), name="scan server", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise ScanError(f"The scan server did not start within {PATIENCE:g} s")
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    @property
    def port(self) -> int:
        """Its TCP port."""
        return self.server.port

    @property
    def url(self) -> str:
        """Where it is, for browsers."""
        return f"http://{self.server.host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def call(self, function: Callable[[], T], timeout: float = PATIENCE) -> T:
        """Call something in the server's thread; its result, or what it raises."""
        if self._loop is None or not self._thread.is_alive():
            raise ScanError("The scan server does not run any more; nothing was done")

        async def work() -> T:
            return function()

        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            if future.done():
                raise
            msg = f"The thread of the scan server was busy for {timeout:g} s"
            raise ScanTimeout(msg) from error

    def close(self) -> None:
        """Abort all scans, stop, and wait for that; later calls do nothing."""
        loop, self._loop = self._loop, None
        if loop is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(self.server.done.set)
        self._thread.join()

    def _run(self, config: ScanConfig, host: str, ca: Config | bool) -> None:
        """The thread."""
        try:
            asyncio.run(self._serve(config, host, ca))
        except BaseException as error:
            # raised where it was started
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self, config: ScanConfig, host: str, ca: Config | bool) -> None:
        async with serving(config, host, ca) as self.server:
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self.server.done.wait()


def serve_scans_in_thread(
    config: ScanConfig | None = None,
    host: str = LOOPBACK,
    ca: Config | bool = True,
) -> ThreadedScanServer:
    """A scan server in a thread; arguments are those of `ThreadedScanServer`."""
    return ThreadedScanServer(config or ScanConfig(), host, ca)
