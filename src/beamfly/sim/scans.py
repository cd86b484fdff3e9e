"""The scan server of the simulated beamline, in a thread of its own."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Self

from beamfly.ca.asyncio import Client
from beamfly.ca.config import Config
from beamfly.devices.scan_channels import CaChannels
from beamfly.errors import ScanError
from beamfly.scan.config import PVConfig, ScanConfig
from beamfly.scan.server import LOOPBACK, ScanServer

_PATIENCE = 20.0
"""Seconds for a start or a stop."""


class SimulatedScanServer:
    """Serves scans on 127.0.0.1; use it with `with`.

    Its Set, Loop, Log and Wait commands use the PVs of one IOC of this machine, and
    none else, besides `loc://` and `sim://`.

    Args:
        ioc_port: Port of the IOC, None for none.
        port: TCP port, 0 for any that is free.
        motors: PV -> speed, of motor records whose limits simulations of scans know.
    """

    def __init__(
        self,
        ioc_port: int | None,
        port: int = 0,
        motors: Iterable[tuple[str, float]] = (),
    ) -> None:
        self._ioc_port = ioc_port
        self.port = port
        """Of the server, known for certain once it runs."""
        self._config = ScanConfig(
            port=port,
            pvs=[
                PVConfig(
                    name, slew_rate=speed, minimum=f"{name}.LLM", maximum=f"{name}.HLM"
                )
                for name, speed in motors
            ],
        )
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is, for browsers and `ScanClient`."""
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        """Start to serve; ScanError if the port is taken."""
        self._thread = threading.Thread(
            target=self._main, name="simulated scan server", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            raise ScanError(f"the scan server did not start within {_PATIENCE} s")
        if self._failed is not None:
            self._thread.join()
            raise self._failed
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Abort all scans and stop."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # raised where it was started
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        self._loop, self._stop = asyncio.get_running_loop(), stop
        if self._ioc_port is None:
            await self._serve_scans(None, stop)
            return
        address = (LOOPBACK, self._ioc_port)
        config = Config(addresses=(address,), auto_addresses=False)
        async with Client(config) as client:
            await self._serve_scans(CaChannels(client), stop)

    async def _serve_scans(
        self, channels: CaChannels | None, stop: asyncio.Event
    ) -> None:
        async with ScanServer(self._config, LOOPBACK, channels) as server:
            self.port = server.port
            self._ready.set()
            # a client may end it, too
            await _first_of(stop, server.done)


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of some events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
