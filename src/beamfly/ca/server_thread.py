"""A Channel Access server in a thread of its own, for scripts and tests.

    with serve_in_thread({"X:temp": 21.5}, port=0) as server:
        server.post("X:temp", 22.0)
        print(server.port)

PVs belong to that thread: use `post`, or `call` for anything else. Hooks run there too.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from beamfly.ca.server_asyncio import Server
from beamfly.errors import CAError, TimedOut

START_SECONDS = 10.0


class ThreadedServer:
    """A running server; leave it with `with`, or call `close`."""

    def __init__(self, pvs: Mapping[str, Any], **options: Any) -> None:
        """Start; arguments are those of `Server`, errors too."""
        self.server = Server(pvs, **options)
        """Touch it in its own thread only, through `call`."""
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(
            target=self._run, name="beamfly-ca-server", daemon=True
        )
        self._thread.start()
        self._ready.wait(START_SECONDS)
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    @property
    def port(self) -> int:
        """TCP and, unless it was taken, UDP port."""
        return self.server.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def post(self, name: str, *args: Any, **options: Any) -> None:
        """`PV.post` of a PV or field; returns once it is done."""
        self.call(lambda: self.server[name].post(*args, **options))

    def value(self, name: str) -> Any:
        """The value of a PV or field."""
        return self.call(lambda: self.server[name].value)

    def call(
        self, function: Callable[..., Any], *args: Any, timeout: float = 10
    ) -> Any:
        """Call something in the server's thread; its result, or what it raises."""
        loop = self._loop
        if loop is None:
            msg = "the server does not run any more; nothing was done"
            raise CAError(msg)

        async def work() -> Any:
            return function(*args)

        future = asyncio.run_coroutine_threadsafe(work(), loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            if not future.done():
                msg = f"the server's thread was busy for {timeout} s"
                raise TimedOut(msg) from error
            raise

    def close(self) -> None:
        """Stop, and wait until the thread has ended; later calls do nothing."""
        loop, stop, self._loop = self._loop, self._stop, None
        if loop is not None and stop is not None:
            loop.call_soon_threadsafe(stop.set)
        self._thread.join()

    def _run(self) -> None:
        """The thread."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
            self._ready.set()

    async def _serve(self) -> None:
        """Serve until `close`."""
        stop = asyncio.Event()
        async with self.server:
            self._loop, self._stop = asyncio.get_running_loop(), stop
            self._ready.set()
            await stop.wait()


def serve_in_thread(pvs: Mapping[str, Any], **options: Any) -> ThreadedServer:
    """A server in a thread; arguments are those of `Server`."""
    return ThreadedServer(pvs, **options)
