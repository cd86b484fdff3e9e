"""EPICS for scripts: `import beamfly.epics as epics` runs what was made for PyEpics.

    import beamfly.epics as epics

    epics.caput("BL:m1", 3.5, wait=True)
    print(epics.caget("BL:m1.RBV", as_string=True))
    motor = epics.Motor("BL:m1")

There is no C library. The first PV starts a thread that does all Channel Access, and
the first callback a thread in which callbacks run; `ca.finalize_libca()`, or leaving
`with session():`, ends both. Importing starts nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from beamfly.epics import alarm, ca, dbr, device, motor, pv, version
from beamfly.epics import encoding as utils
from beamfly.epics.alarm import Alarm
from beamfly.epics.ca import poll
from beamfly.epics.context import session
from beamfly.epics.device import Device
from beamfly.epics.motor import Motor
from beamfly.epics.procedures import (
    caget,
    caget_many,
    cainfo,
    camonitor,
    camonitor_clear,
    caput,
    caput_many,
)
from beamfly.epics.pv import PV, get_pv

if TYPE_CHECKING:
    from beamfly.epics import multiproc
    from beamfly.epics.multiproc import CAPool, CAProcess

__version__ = version.__version__
NO_ALARM = 0
MINOR_ALARM = 1
MAJOR_ALARM = 2
INVALID_ALARM = 3
sys.modules[f"{__name__}.utils"] = utils
_LATER = ("autosave", "compat", "devices", "multiproc")


def __getattr__(name: str) -> Any:
    """What most scripts do without is imported when it is used."""
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    if name in ("CAPool", "CAProcess"):
        return getattr(import_module(f"{__name__}.multiproc"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


__all__ = [
    "INVALID_ALARM",
    "MAJOR_ALARM",
    "MINOR_ALARM",
    "NO_ALARM",
    "PV",
    "Alarm",
    "CAPool",
    "CAProcess",
    "Device",
    "Motor",
    "alarm",
    "ca",
    "caget",
    "caget_many",
    "cainfo",
    "camonitor",
    "camonitor_clear",
    "caput",
    "caput_many",
    "dbr",
    "device",
    "get_pv",
    "motor",
    "multiproc",
    "poll",
    "pv",
    "session",
    "utils",
    "version",
]
