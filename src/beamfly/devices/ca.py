"""EPICS signals, commands and devices on beamfly's own Channel Access.

```python
temperature = ca_signal_r(float, "BL:TEMPERATURE", name="temperature")
gap = ca_signal_rw(float, "BL:GAP:RBV", "BL:GAP:SET", name="gap")
reset = ca_signal_x("BL:RESET", name="reset")
anything = ca_signal_r(None, "BL:WHATEVER", name="anything")
```

The arguments are those of `epics_signal_r` and its kin in `ophyd_async.epics.core`. A
class of PVs with a common prefix is declared as an `EpicsDevice` of ophyd-async is, and
gets `CaConnector(prefix)` as its connector; or see `beamfly.devices.ca_transport` for
a way that leaves classes as they are.
"""

import inspect
from collections.abc import Callable
from typing import Any

from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    Device,
    DeviceFiller,
    SignalDatatypeT,
    SignalR,
    SignalRW,
    SignalW,
    TriggerableCommand,
)
from ophyd_async.epics.core import EpicsDeviceConnector, EpicsOptions
from ophyd_async.epics.core._epics_connector import fill_children_with_prefix

from beamfly.devices.ca_backend import CaCommandBackend, CaSignalBackend
from beamfly.errors import BadValue

Wait = bool | Callable[[SignalDatatypeT], bool]
"""Whether a put returns when the server has processed it, or who decides that."""


def plain_pv(pv: str) -> str:
    """The name without `ca://`; BadValue for another protocol."""
    scheme, separator, name = pv.rpartition("://")
    if separator and scheme != "ca":
        msg = f"{pv} is not a PV of Channel Access; no signal was made"
        raise BadValue(msg)
    return name


def ca_signal_r(
    datatype: type[SignalDatatypeT] | None,
    read_pv: str,
    name: str = "",
    timeout: float = DEFAULT_TIMEOUT,
) -> SignalR[SignalDatatypeT]:
    """A signal that is read.

    Args:
        datatype: What the PV must be, None: whatever it is. For texts of more than 39
            bytes take str and a PV of characters, such as `BL:TITLE.VAL$`.
        read_pv: The PV.
        name: Of the signal.
        timeout: Seconds that a read may take.
    """
    pv = plain_pv(read_pv)
    return SignalR(CaSignalBackend(datatype, pv, pv), timeout, name)


def ca_signal_rw(
    datatype: type[SignalDatatypeT] | None,
    read_pv: str,
    write_pv: str | None = None,
    name: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    attempts: int = 1,
    wait: Wait[SignalDatatypeT] = True,
) -> SignalRW[SignalDatatypeT]:
    """A signal that is read and written.

    Args:
        datatype: What the PVs must be, None: whatever they are.
        read_pv: The PV to read and monitor.
        write_pv: The PV to write, None: the same.
        name: Of the signal.
        timeout: Seconds that a read or a write may take.
        attempts: How often a write that takes longer is tried.
        wait: Whether a write returns when the server has processed it.
    """
    backend = CaSignalBackend(
        datatype,
        plain_pv(read_pv),
        plain_pv(write_pv or read_pv),
        EpicsOptions(wait=wait),
    )
    return SignalRW(backend, timeout, name, attempts)


def ca_signal_w(
    datatype: type[SignalDatatypeT] | None,
    write_pv: str,
    name: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    attempts: int = 1,
    wait: Wait[SignalDatatypeT] = True,
) -> SignalW[SignalDatatypeT]:
    """A signal that is written; arguments as for `ca_signal_rw`."""
    pv = plain_pv(write_pv)
    backend = CaSignalBackend(datatype, pv, pv, EpicsOptions(wait=wait))
    return SignalW(backend, timeout, name, attempts)


def ca_signal_x(
    write_pv: str,
    execute_value: int = 1,
    name: str = "",
    timeout: float = DEFAULT_TIMEOUT,
) -> TriggerableCommand:
    """A PV that does something when it is written; `trigger` waits until it is done.

    Args:
        write_pv: The PV: an integer or an enum, such as a PROC field.
        execute_value: What is written.
        name: Of the command.
        timeout: Seconds that it may take.
    """
    backend = CaCommandBackend(plain_pv(write_pv), execute_value)
    return TriggerableCommand(backend, timeout, name)


def _command_backend(signature: inspect.Signature | None) -> CaCommandBackend:
    """For a declared command, which takes and returns nothing over Channel Access."""
    if signature is not None:
        msg = f"a command of a PV takes and returns nothing, not {signature}"
        raise TypeError(msg)
    return CaCommandBackend()


class CaConnector(EpicsDeviceConnector):
    """Makes the PVs that a class declares with `PvSuffix` on beamfly's own protocol.

    ```python
    class Slit(EpicsDevice):
        gap: A[SignalRW[float], PvSuffix.rbv("Gap")]

        def __init__(self, prefix: str, name: str = "") -> None:
            super().__init__(name=name, connector=CaConnector(prefix))
    ```
    """

    def create_children_from_annotations(self, device: Device) -> None:
        """Make what the class declares; further calls do nothing."""
        if hasattr(self, "filler"):
            return
        plain_pv(self.prefix)
        filler: Any = DeviceFiller(
            device,
            signal_backend_factory=CaSignalBackend,
            device_connector_factory=CaConnector,
            command_backend_factory=_command_backend,
        )
        self.filler = filler
        fill_children_with_prefix(self.prefix, filler)
