"""PVs for a device of ophyd-async: what it wants is what is served."""

from collections.abc import Sequence
from typing import Any, get_origin

import numpy as np
from ophyd_async.core import (
    Command,
    Device,
    Signal,
    SoftSignalBackend,
    get_dtype,
    get_enum_cls,
)

from beamfly.ca.pv import PV

ELEMENTS = 1000
"""That an array has room for."""


def pvs_of(*devices: Device) -> dict[str, PV]:
    """A PV for each one that devices read or write, with a first value."""
    pvs: dict[str, PV] = {}
    waiting = list(devices)
    while waiting:
        device = waiting.pop()
        waiting += [child for _, child in device.children()]
        if isinstance(device, Command):
            pvs.setdefault(device._connector.backend.write_pv, PV(0))
        elif isinstance(device, Signal):
            backend: Any = device._connector.backend
            if isinstance(backend, SoftSignalBackend):
                continue
            for name in {backend.read_pv, backend.write_pv}:
                pvs.setdefault(name, _pv(device.datatype))
    return pvs


def _pv(datatype: Any) -> PV:
    if get_origin(datatype) is np.ndarray:
        return PV(np.zeros(10, get_dtype(datatype)), length=ELEMENTS)
    if get_origin(datatype) is Sequence:
        return PV(["one", "two"], length=10)
    enum = get_enum_cls(datatype)
    if enum is not None:
        return PV(0, states=tuple(member.value for member in enum)[:16])
    if datatype is bool:
        return PV(0, states=("No", "Yes"))
    if datatype is str:
        return PV("", type="char", length=256)
    return PV({int: 0, float: 0.5, None: 0.5}[datatype])
