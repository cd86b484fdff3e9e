"""EPICS for scripts: `import beamfly.epics as epics` runs what was made for PyEpics.

    import beamfly.epics as epics

    epics.caput("BL:m1", 3.5, wait=True)
    print(epics.caget("BL:m1.RBV", as_string=True))
    motor = epics.Motor("BL:m1")

There is no C library. The first PV starts a thread that does all Channel Access, and
the first callback a thread in which callbacks run; `ca.finalize_libca()`, or leaving
`with session():`, ends both. Importing starts nothing.
"""

from beamfly.epics import alarm, ca, dbr, device, devices, motor, multiproc, pv
from beamfly.epics.alarm import Alarm
from beamfly.epics.ca import poll
from beamfly.epics.context import session
from beamfly.epics.device import Device
from beamfly.epics.motor import Motor
from beamfly.epics.multiproc import CAPool, CAProcess
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

NO_ALARM = 0
MINOR_ALARM = 1
MAJOR_ALARM = 2
INVALID_ALARM = 3

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
    "devices",
    "get_pv",
    "motor",
    "multiproc",
    "poll",
    "pv",
    "session",
]
