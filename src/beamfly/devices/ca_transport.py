"""Run the EPICS devices of ophyd-async on beamfly's Channel Access.

```python
from beamfly.devices import use_native_ca

use_native_ca()                        # for all that is made from now on
motor = Motor("BL:M1", name="motor")   # any device of ophyd_async.epics

with use_native_ca():                  # or for what is made in here
    camera = SimDetector("BL:CAM:", path_provider)
```

Devices need neither aioca nor libca then, and what is made stays as it was made: the
switch decides when signals are created, not when they connect. `source` is `ca://PV`
on either implementation, so that documents, and whoever compares them, see no
difference; `transport_of(device)` tells which one it is. PVs that are named with
`pva://` keep needing p4p.
"""

import threading
from typing import Any, Self

from ophyd_async.core import Command, Device, Signal
from ophyd_async.epics import core as epics_core

# where ophyd-async looks for backends: there is no public name for it
from ophyd_async.epics.core import (
    _signal as epics_signal,  # pyright: ignore[reportPrivateUsage]
)

from beamfly.devices.ca_backend import CaCommandBackend, CaSignalBackend

_PROTOCOL = "_default_epics_protocol"
_NATIVE: tuple[tuple[Any, str, Any], ...] = (
    (epics_signal, "CaSignalBackend", CaSignalBackend),
    (epics_signal, "CaCommandBackend", CaCommandBackend),
    # with p4p alone installed, names without a protocol would mean PVA
    (epics_signal, _PROTOCOL, epics_signal.EpicsProtocol.CA),
    (epics_core, "CaSignalBackend", CaSignalBackend),
    (epics_core, "CaCommandBackend", CaCommandBackend),
)
"""Module, name in it, and what it is to be: ophyd-async looks there for each signal."""


class _Switch:
    """How many want it, and what was there before the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[Any] = []

    def enter(self) -> None:
        """One more wants it."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = [getattr(module, name) for module, name, _ in _NATIVE]
                for module, name, native in _NATIVE:
                    setattr(module, name, native)

    def leave(self) -> None:
        """One less; the last one puts back what was there."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for (module, name, _), old in zip(_NATIVE, self._before, strict=True):
                    setattr(module, name, old)


_switch = _Switch()


class NativeCa:
    """What `use_native_ca` gives: `undo` it, or use it in a `with` statement."""

    def __init__(self) -> None:
        self._undone = False
        _switch.enter()

    def undo(self) -> None:
        """Want it no more; what was made meanwhile stays as it is.

        ophyd-async is as before when all calls of `use_native_ca` are undone, in
        whatever order. Undoing again does nothing.
        """
        if not self._undone:
            self._undone = True
            _switch.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.undo()


def use_native_ca() -> NativeCa:
    """Have all EPICS signals that are made from now on use beamfly's Channel Access.

    Call it before devices are made; it does not matter what was imported before.
    Without `with` or `undo` it is for good.
    """
    return NativeCa()


def native_ca_in_use() -> bool:
    """Whether signals that are made now would use beamfly's Channel Access."""
    return all(getattr(module, name) is native for module, name, native in _NATIVE)


def transport_of(device: Device) -> str:
    """What speaks Channel Access for a device: beamfly, aioca, or both.

    Empty for a device without PVs, or one that is connected in mock mode.
    """
    found: set[str] = set()
    waiting = [device]
    while waiting:
        one = waiting.pop()
        waiting += [child for _, child in one.children()]
        if isinstance(one, Signal | Command):
            connector: Any = one._connector  # noqa: SLF001 # pyright: ignore
            home = type(connector.backend).__module__
            if home.startswith("beamfly.devices.ca"):
                found.add("beamfly")
            elif home.endswith("._aioca"):
                found.add("aioca")
    return " and ".join(sorted(found))
