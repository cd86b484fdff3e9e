"""A simulated PandA on TCP: sockets and a clock around `PandaCore`.

```
async with SimulatedPandA(control_port=0, data_port=0) as sim:
    ...  # connect to sim.host, sim.control_port, sim.data_port

with serve_in_thread() as sim:
    ...  # the same for synchronous code
```
"""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.control import ControlSession
from beamfly.panda.simulator.core import PandaCore, Watcher
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.sockets import ControlProtocol, DataProtocol

_Result = TypeVar("_Result")

_PATIENCE = 10.0
"""Seconds to wait for the event loop of a PandA in another thread."""
_NOTICED = 0.05
"""Seconds that one advance may take without being regarded as slow."""


class SimulatedPandA:
    """A PandA that listens on two ports.

    All methods may be called from any thread while it is being served.

    Args:
        motors: What turns the encoders: a list for INENC1 and so on, or by number.
        control_port: Port for commands, 0 for any that is free.
        data_port: Port for captured data, 0 for any that is free.
        host: Address to listen on.
        clock: Seconds on a clock that never goes back; motors go by it too.
        options: Passed on to `PandaCore`: replay, ring_bytes, block_bytes, dma_timeout.
    """

    def __init__(
        self,
        *,
        control_port: int = 8888,
        data_port: int = 8889,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self.host = host
        self.control_port = control_port
        self.data_port = data_port
        self.clock = clock
        self.core = PandaCore(now=clock(), epoch_ns=time.time_ns(), **options)
        self.lost = 0.0
        """Seconds by which the PandA is behind, because it had too much to do."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._control: set[ControlProtocol] = set()
        self._data: set[DataProtocol] = set()

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self.core.faults

    async def __aenter__(self) -> Self:
        """Start to listen."""
        loop = self._loop = asyncio.get_running_loop()
        self._thread = threading.current_thread()
        control = await loop.create_server(
            lambda: ControlProtocol(self, self._control), self.host, self.control_port
        )
        self._servers.append(control)
        data = await loop.create_server(
            lambda: DataProtocol(self, self._data), self.host, self.data_port
        )
        self._servers.append(data)
        self.control_port = control.sockets[0].getsockname()[1]
        self.data_port = data.sockets[0].getsockname()[1]
        self.wake()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close all connections and stop to listen."""
        if self._timer is not None:
            self._timer.cancel()
        connections = (*self._control, *self._data)
        for server in self._servers:
            server.close()
        for connection in connections:
            connection.abort()
        await asyncio.gather(*[connection.ended for connection in connections])
        await asyncio.gather(*[server.wait_closed() for server in self._servers])
        self._servers.clear()

    def run(self, function: Callable[[], _Result]) -> _Result:
        """Call a function on the event loop of the PandA, from any thread."""
        loop = self._loop
        if loop is None or threading.current_thread() is self._thread:
            return function()

        async def call() -> _Result:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), loop).result(_PATIENCE)

    def wake(self) -> None:
        """Bring the PandA up to date, send what it has, and set the next alarm."""
        self._advance()
        for connection in list(self._data):
            connection.pump()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wakeup = self.core.next_wakeup()
        if wakeup is not None and self._loop is not None:
            delay = max(0.0, wakeup + self.lost - self.clock())
            self._timer = self._loop.call_later(delay, self.wake)

    def _advance(self) -> None:
        """Let as much time pass as the clock says."""
        begin = self.clock()
        span = begin - self.lost - self.core.now
        self.core.advance(begin - self.lost)
        took = self.clock() - begin
        if took > max(span, _NOTICED):  # it cannot keep up: its time stands still
            self.lost += took

    def received(self, session: ControlSession, data: bytes) -> bytes:
        """Replies to what arrived on a control connection."""
        self._advance()
        reply = session.receive(data)
        self.wake()
        return reply

    def _do(self, function: Callable[[], _Result]) -> _Result:
        """Do something to the PandA now, wherever this is called from."""

        def act() -> _Result:
            self._advance()
            result = function()
            self.wake()
            return result

        return self.run(act)

    def ask(self, *lines: str) -> list[str]:
        """Replies to lines of the control port, without a connection to it."""
        return self._do(lambda: self.core.ask(*lines))

    def set_ttlin(self, number: int, level: bool) -> None:
        """Set the level of TTLIN `number`."""
        self._do(lambda: self.core.set_input(f"TTLIN{number}.VAL", level))

    def set_lvdsin(self, number: int, level: bool) -> None:
        """Set the level of LVDSIN `number`."""
        self._do(lambda: self.core.set_input(f"LVDSIN{number}.VAL", level))

    def schedule_ttlin(
        self, number: int, times: Sequence[float], levels: Sequence[bool]
    ) -> None:
        """Have TTLIN `number` take levels at times to come.

        Args:
            number: Which of the inputs.
            times: In seconds on the clock of the PandA, in order.
            levels: What it goes to at each of them.
        """
        name = f"TTLIN{number}.VAL"
        self._do(lambda: self.core.machine.schedule_input(name, times, levels))

    def level(self, name: str) -> bool:
        """Level of a bit, or of a bit input such as TTLOUT1.VAL."""
        return self._do(lambda: self.core.level(name))

    def ttlout(self, number: int) -> bool:
        """Level of TTLOUT `number`."""
        return self.level(f"TTLOUT{number}.VAL")

    def watch(self, name: str, watcher: Watcher) -> Callable[[], None]:
        """Be told whenever a bit, or a bit input such as TTLOUT1.VAL, toggles.

        Args:
            name: Such as SEQ1.OUTA or TTLOUT1.VAL.
            watcher: Called on the PandA's event loop, several times a second, with
                the times of all toggles since the last call, in seconds on the clock
                of the PandA, and the levels that they led to.

        Returns:
            Call it to be told no more.
        """
        stop = self._do(lambda: self.core.watch(name, watcher))
        return lambda: self._do(stop)

    def attach_motor(self, number: int, motor: SimulatedMotor | None) -> None:
        """Put INENC `number` on a motor, or on none."""
        self._do(lambda: self.core.attach_motor(number, motor))

    def end_capture(self, reason: EndReason) -> None:
        """End the current acquisition for any reason, if there is one."""
        self._do(lambda: self.core.capture.end(reason))

    def cut_control(self) -> None:
        """Break all control connections; new ones are accepted."""
        self._do(lambda: [connection.abort() for connection in list(self._control)])

    def cut_data(self) -> None:
        """Break all data connections; new ones are accepted."""
        self._do(lambda: [connection.abort() for connection in list(self._data)])


@contextmanager
def serve_in_thread(**options: Any) -> Generator[SimulatedPandA]:
    """A simulated PandA on an event loop in a thread of its own.

    Ports are chosen by the system unless they are given; other options are those of
    `SimulatedPandA`.
    """
    options.setdefault("control_port", 0)
    options.setdefault("data_port", 0)
    ready = threading.Event()
    stop: list[Callable[[], object]] = []
    made: list[SimulatedPandA] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        async with SimulatedPandA(**options) as panda:
            made.append(panda)
            stop.append(lambda: loop.call_soon_threadsafe(over.set))
            ready.set()
            await over.wait()

    def main() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # reported to the caller below
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="simulated PandA", daemon=True)
    thread.start()
    ready.wait(_PATIENCE)
    if failed:
        raise failed[0]
    try:
        yield made[0]
    finally:
        for call in stop:
            call()
        thread.join(_PATIENCE)
    if failed:
        raise failed[0]
