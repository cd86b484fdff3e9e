"""Classes of devices by the name that a TOML file gives them: `find_class`.

The names of `beamfly.devices` are enough for EPICS records; `Signal` is any PV. Other
classes are given as `package.module:Class`; what they take is asked of the class.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from ophyd_async.core import DEFAULT_TIMEOUT, SignalR, SignalRW

import beamfly.devices
from beamfly.errors import BadValue

RECORDS = (
    *("AnalogIn", "AnalogOut", "BinaryIn", "BinaryOut", "Calc", "LongIn", "LongOut"),
    *("Mca", "Motor", "MultiIn", "MultiOut", "Scaler", "StringIn", "StringOut"),
    "Transform",
)
"""Classes of `beamfly.devices` that are made with the name of a record."""
TYPES = {"": None, "float": float, "int": int, "text": str, "bool": bool}
"""What a `Signal` may be said to be."""


def any_pv(
    pv: str, name: str = "", type: str = "", write: bool | str = False
) -> SignalR[Any] | SignalRW[Any]:
    """Any PV, as a signal.

    Args:
        pv: To read.
        name: Of the signal.
        type: float, int, text or bool; empty for whatever it is.
        write: Whether it can be written too; or the PV to write.

    Raises:
        BadValue: There is no such type.
    """
    if type not in TYPES:
        raise BadValue(f"type has to be float, int, text or bool, not {type!r}")
    datatype: Any = TYPES[type]
    if write is False:
        return beamfly.devices.ca_signal_r(datatype, pv, name, DEFAULT_TIMEOUT)
    written = write if isinstance(write, str) else pv
    return beamfly.devices.ca_signal_rw(datatype, pv, written, name)


@dataclass(frozen=True)
class DeviceClass:
    """What makes a device."""

    name: str
    """As the file has it."""
    make: Callable[..., Any]
    """The class, or a function."""
    known: tuple[str, ...]
    """Keys that it takes; `name` is not one of them."""
    required: tuple[str, ...]
    """Keys that it cannot do without."""
    any_key: bool
    """Whether it takes keys of any name."""
    renamed: bool
    """Whether its first parameter is called `pv` in the file."""

    def __call__(self, name: str, **arguments: Any) -> Any:
        """Make a device.

        Raises:
            BadValue: What it is made with makes no sense to the class.
        """
        first = [arguments.pop("pv")] if self.renamed and "pv" in arguments else []
        try:
            return self.make(*first, name=name, **arguments)
        except BadValue:
            raise
        except Exception as error:
            msg = f"{self.name} cannot be made: {error}"
            raise BadValue(msg) from error


def find_class(name: str) -> DeviceClass:
    """The class of that name.

    Raises:
        BadValue: There is none; says what is wrong.
    """
    if name == "Signal":
        return _described(name, any_pv, False)
    if name in RECORDS:
        return _described(name, getattr(beamfly.devices, name), True)
    if ":" not in name:
        known = ("Signal", *RECORDS)
        near = get_close_matches(name, known, 1, 0.5)
        hint = f"did you mean {near[0]!r}" if near else f"known are {', '.join(known)}"
        msg = f'"class" {name!r} is unknown; {hint}, or "package.module:Class"'
        raise BadValue(msg)
    return _described(name, _imported(name), False)


def _imported(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute, None)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        msg = f'"class" {name!r} cannot be imported with {sys.executable}: {reason}'
        raise BadValue(msg) from error
    if not callable(found):
        raise BadValue(f'"class" {name!r}: {module} has no class {attribute!r}')
    return found


def _described(name: str, make: Callable[..., Any], renamed: bool) -> DeviceClass:
    """Ask a class what it takes."""
    try:
        parameters = list(inspect.signature(make).parameters.values())
    except (TypeError, ValueError):
        parameters = []  # of a built-in
    if not any(p.name == "name" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise BadValue(f'"class" {name!r} takes no name, so it is no device')
    known: list[str] = []
    required: list[str] = []
    any_key = False
    for number, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_KEYWORD:
            any_key = True
        elif (
            parameter.kind is not parameter.VAR_POSITIONAL and parameter.name != "name"
        ):
            key = "pv" if renamed and number == 0 else parameter.name
            known.append(key)
            if parameter.default is parameter.empty:
                required.append(key)
    return DeviceClass(name, make, tuple(known), tuple(required), any_key, renamed)
