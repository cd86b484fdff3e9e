"""PVs behind the devices of a plan or a spec, for scans that use the same ones."""

from collections.abc import Mapping
from typing import Any

from ophyd_async.core import Device, Signal

from beamfly.errors import BadValue

_PROTOCOL = "ca://"


def pv_of(device: Any, pvs: Mapping[Any, str] | None = None, read: bool = True) -> str:
    """The PV that stands for a device; a text is one already.

    Args:
        device: A PV, a signal of Channel Access, or a motor.
        pvs: Device -> PV, for all that follow none of these rules.
        read: Whether it is to be read: the readback of a motor, else its setpoint.

    Raises:
        BadValue: There is no single PV for it.
    """
    if pvs and device in pvs:
        return pvs[device]
    if isinstance(device, str):
        return device
    source = _source(device, read)
    if source.startswith(_PROTOCOL):
        return source.removeprefix(_PROTOCOL)
    name = getattr(device, "name", "") or repr(device)
    msg = f"{name} is no PV of Channel Access that a scan server could use: say pvs="
    raise BadValue(msg)


def is_motor(device: Any) -> bool:
    """Whether it is a device that moves, of which setpoint and readback are known."""
    return isinstance(device, Device) and hasattr(device, "user_readback")


def _source(device: Any, read: bool) -> str:
    """The source of a signal, or of the one that counts of a motor."""
    signal: Any = device
    if is_motor(device):
        name = "user_readback" if read else "user_setpoint"
        signal = getattr(device, name, None)
    return str(signal.source) if isinstance(signal, Signal) else ""
