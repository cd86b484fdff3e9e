"""The simulated IOC: parts such as motor records, served by Channel Access.

    with SimulatedIOC({"m1": motor}, prefix="BL:") as ioc:
        print(ioc.port, ioc.names())

Every part belongs to the thread of the server: call into one with `ioc.call`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from beamfly.ca import Config, RecordGroup, serve_in_thread
from beamfly.ca.dbr import Dbr
from beamfly.ca.server_thread import ThreadedServer
from beamfly.errors import CAError

LOOPBACK = "127.0.0.1"
POLL = 0.1
"""Seconds after which parts are looked at, even if none asked for it."""
_LEAST = 1e-4
"""Seconds between two looks."""


class Part(Protocol):
    """Something that an IOC serves."""

    wake: Callable[[], object]
    """To be called by the part when `next_wakeup` has changed."""

    @property
    def pvs(self) -> Mapping[str, Any]:
        """What follows the name of the part -> PV or RecordGroup."""
        ...

    def advance(self, now: float) -> None:
        """Let everything happen that happens until now."""
        ...

    def next_wakeup(self) -> float:
        """When `advance` should be called at the latest; inf for no need."""
        ...


@dataclass(frozen=True)
class Row:
    """A record or PV of a catalogue."""

    name: str
    """As clients use it."""
    kind: str
    """Record type."""
    text: str
    """What it is, with its units or states."""


class SimulatedIOC:
    """Serves parts on 127.0.0.1, in a thread of its own; use it with `with`.

    Args:
        parts: Name, without prefix -> what is served under it.
        prefix: What the names of all PVs begin with.
        port: TCP and UDP port, 0 for any that is free.
        clock: Seconds on the clock that all parts go by.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        *,
        prefix: str = "BL:",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.parts = dict(parts)
        self.prefix = prefix
        self.port = port
        """Of the server, known for certain once it runs."""
        self._clock = clock
        self._server: ThreadedServer | None = None
        self._timer: asyncio.TimerHandle | None = None

    def names(self) -> list[str]:
        """Names of all records and PVs, without fields."""
        return [*self._pvs()]

    def catalogue(self) -> list["Row"]:
        """What is served, for people to read."""
        rows: list[Row] = []
        for name, part in self.parts.items():
            summary = getattr(part, "summary", "")
            if summary:
                rows.append(Row(f"{self.prefix}{name}:", "", summary))
            else:
                rows += self._rows(name, part)
        return rows

    def _rows(self, part_name: str, part: Part) -> list["Row"]:
        rows: list[Row] = []
        for rest, item in part.pvs.items():
            name = f"{self.prefix}{part_name}{rest}"
            pv = item.main if isinstance(item, RecordGroup) else item
            shown = pv.properties
            text = shown.description
            if pv.type is Dbr.ENUM and not isinstance(item, RecordGroup):
                text = f"{text} ({', '.join(shown.states)})"
            elif shown.units:
                text = f"{text} [{shown.units}]"
            rows.append(Row(name, pv.record_type, text.strip()))
        return rows

    def _pvs(self) -> dict[str, Any]:
        return {
            f"{self.prefix}{name}{rest}": pv
            for name, part in self.parts.items()
            for rest, pv in part.pvs.items()
        }

    def __enter__(self) -> Self:
        """Start to serve; CAError if the port is taken."""
        server = serve_in_thread(
            self._pvs(),
            port=self.port,
            interfaces=(LOOPBACK,),
            # what may be in the environment is for real IOCs
            config=Config(cas_beacon_addresses=((LOOPBACK, Config().repeater_port),)),
        )
        if self.port not in (0, server.port):
            server.close()
            msg = (
                f"port {self.port} of {LOOPBACK} is taken by another program; the "
                "simulated IOC was not started"
            )
            raise CAError(msg)
        self._server, self.port = server, server.port
        for part in self.parts.values():
            part.wake = self._wake
        server.call(self._advance)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop; waiting puts of clients fail."""
        if self._server is not None:
            self._server.call(self._rest)
            self._server.close()
            self._server = None

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call something in the thread that parts belong to; its result.

        Not to be called from that thread, which would wait for itself.
        """
        if self._server is None:
            raise CAError("the simulated IOC does not run; nothing was done")

        def call() -> Any:
            try:
                return function(*args)
            finally:
                self._wake()

        return self._server.call(call)

    def value(self, name: str) -> Any:
        """The value of a PV or field, by its name without the prefix."""
        server = self._server
        if server is None:
            raise CAError(f"the simulated IOC does not run; {name} was not read")
        return server.value(f"{self.prefix}{name}")

    def _wake(self) -> None:
        """A part may want to be called earlier; always in the server's thread."""
        if self._timer is not None:
            self._set_timer()

    def _advance(self) -> None:
        """Let time pass."""
        now = self._clock()
        try:
            for part in self.parts.values():
                part.advance(now)
        finally:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        due = min(part.next_wakeup() for part in self.parts.values())
        delay = min(max(due - now, _LEAST), POLL)
        self._timer = asyncio.get_running_loop().call_later(delay, self._advance)

    def _rest(self) -> None:
        """Time stands still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
