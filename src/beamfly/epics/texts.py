"""Values as text: `char_value`, `as_string`, and the info paragraph."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beamfly.epics import dbr
from beamfly.epics.values import as_text

if TYPE_CHECKING:
    from beamfly.epics.pv import PV

SHOWN = 5
"""Elements of an array in the info paragraph."""


def fmt_time(tstamp: float | None = None) -> str:
    """Local time such as `2026-11-20 07:14:42.24818`.

    Args:
        tstamp: Seconds since 1970, None: now.
    """
    whole, fraction = divmod(time.time() if tstamp is None else tstamp, 1)
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(whole))
    return f"{day}.{round(1e5 * fraction):05d}"


def characters(value: Any) -> str:
    """The text in an array of characters, up to its first NUL."""
    raw = bytes(value.tolist()) if hasattr(value, "tolist") else _bytes(value)
    return as_text(raw.partition(b"\0")[0]).rstrip()


def _bytes(value: Any) -> bytes:
    codes = [value] if isinstance(value, int) else list(value)
    return bytes(code & 255 for code in codes)


def number(value: float, precision: int | None) -> str:
    """A float with so many digits; very large and small ones in exponential form."""
    if precision is None:
        return str(value)
    try:
        large = abs(int(math.log10(abs(value + 1.0e-9)))) > 4
    except (ValueError, OverflowError):
        large = False
    kind = "g" if large else "f"
    return f"{value:.{max(0, precision)}{kind}}"


def char_value(
    value: Any,
    ftype: int,
    count: int,
    fields: dict[str, Any],
    long_string: bool = True,
) -> Any:
    """A value as text; an array of texts stays what it is.

    Args:
        value: As `values.unpack` gives it.
        ftype: DBR type of the PV.
        count: Elements that are asked for; 1: a scalar.
        fields: Where precision and enum_strs are, None while they are not known.
        long_string: Whether arrays of characters are text.
    """
    if value is None:
        return "None"
    native = dbr.native_type(ftype)
    if native == dbr.STRING:
        return value
    if native == dbr.CHAR and long_string:
        return characters(value)
    if count > 1:
        size = len(value) if hasattr(value, "__len__") else 1
        return f"<array size={size}, type={dbr.type_name(ftype)}>"
    if dbr.is_float(native) and isinstance(value, float):
        return number(value, fields.get("precision"))
    if native == dbr.ENUM:
        states = fields.get("enum_strs") or ()
        if isinstance(value, int) and value < len(states):
            return states[value]
    return str(value)


_LINES = (
    *("char_value", "count", "nelm", "type", "units", "precision", "host", "access"),
    *("monitor_delta", "status", "char_status", "severity", "char_severity"),
    *("timestamp", "posixseconds", "nanoseconds", "upper_ctrl_limit"),
    *("lower_ctrl_limit", "upper_disp_limit", "lower_disp_limit"),
    *("upper_alarm_limit", "lower_alarm_limit", "upper_warning_limit"),
    "lower_warning_limit",
)
_SHOW: dict[str, Callable[[Any], str]] = {
    "timestamp": lambda value: f"{value:.3f} ({fmt_time(value)})",
    "char_value": lambda value: f"'{value}'",
}


def info(pv: "PV", value: Any, monitored: bool) -> str:
    """The paragraph that cainfo prints.

    Args:
        pv: A connected PV whose metadata is known.
        value: Its value.
        monitored: Whether it is subscribed.
    """
    form, _, kind = pv.typefull.rpartition("_")
    lines = [f"== {pv.pvname}  ({form or 'native'}_{kind}) =="]
    fields = {"value": _shown(value, kind, pv.count)}
    for name in _LINES:
        found = getattr(pv, name)
        if found is not None:
            fields[name] = _SHOW.get(name, str)(found)
    for name, text in fields.items():
        lines.append(f"   {name:{20 if len(name) > 14 else 15}s} = {text}")
    if kind == "enum":
        lines.append("   enum strings: ")
        states = pv.enum_strs or ()
        lines += [f"       {at} = {state}" for at, state in enumerate(states)]
    lines += _monitor_lines(pv, monitored)
    lines.append("=============================")
    return "\n".join(lines)


def _shown(value: Any, kind: str, count: int) -> str:
    """The value, or the first elements of an array."""

    def one(item: Any) -> str:
        return f"{item:g}" if kind in ("float", "double") else str(item)

    if count == 1:
        return one(value)
    items = [value] if not hasattr(value, "__len__") else value[: min(SHOWN, count)]
    dots = ",...." if count > 10 else ""
    return f" array  [{','.join(map(one, items))}{dots}]"


def _monitor_lines(pv: "PV", monitored: bool) -> list[str]:
    """Whether it is subscribed, and for whom."""
    if not monitored:
        return ["   PV is NOT internally monitored"]
    found = pv.callbacks
    lines = [f"   PV is internally monitored, with {len(found)} user-defined callbacks"]
    for index in sorted(found):
        function = found[index][0]
        name = getattr(function, "__name__", repr(function))
        file = getattr(getattr(function, "__code__", None), "co_filename", "?")
        lines.append(f"      {name} in file '{file}'")
    return lines
