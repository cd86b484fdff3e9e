"""Values as the EPICS command line tools print them."""

from typing import Any

from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.frozen import Frozen, frozen
from beamfly.ca.payloads import Value
from beamfly.ca.readings import readable

SEVERITIES = ("NO_ALARM", "MINOR", "MAJOR", "INVALID")
_LIMIT_TITLES = (
    *("Hi disp limit", "Lo disp limit", "Hi alarm limit", "Hi warn limit"),
    *("Lo warn limit", "Lo alarm limit", "Hi ctrl limit", "Lo ctrl limit"),
)
_SHOWN_LIMITS = (1, 0, 5, 4, 3, 2, 7, 6)
"""The order in which the tools print limits."""


@frozen
class Look(Frozen):
    """How values are printed."""

    floats: str = "g"
    """Format of floats: g, e or f, with precision such as .3f."""
    integers: str = "d"
    """Format of integers: d, x, o or b."""
    floats_as: str | None = None
    """Format of floats that are rounded to integers first, None to leave them."""
    enum_numbers: bool = False
    """Print the number of an enum, not its text."""
    char_text: bool = False
    """Print arrays of char as text."""
    separator: str = " "
    """Between the elements of an array."""


def element(value: Any, base: Dbr, look: Look) -> str:
    """One element."""
    if isinstance(value, bytes):
        return readable(value)
    if isinstance(value, float):
        if look.floats_as is not None:
            return _integer(round(value), look.floats_as)
        return format(value, look.floats)
    return _integer(value, look.integers)


def _integer(value: int, code: str) -> str:
    """0x and 0b as the tools print them, octal with a single 0."""
    prefix = {"x": "0x", "o": "0o", "b": "0b"}.get(code, "")
    sign = "-" if value < 0 and prefix else ""
    digits = format(abs(value) if prefix else value, code.replace("x", "X"))
    return sign + prefix + digits


def elements(value: Value, look: Look, *, is_array: bool) -> str:
    """All elements; an array starts with its count."""
    items = value.elements()
    if look.char_text and value.base is Dbr.CHAR:
        return readable(bytes(items))
    texts = [element(item, value.base, look) for item in items]
    if not is_array:
        return texts[0] if texts else ""
    return look.separator.join([str(value.count), *texts])


def stamp(value: Value) -> str:
    """The time stamp in local time."""
    if not value.seconds and not value.nanoseconds:
        return "<undefined>"
    import datetime

    moment = datetime.datetime.fromtimestamp(value.timestamp)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{value.nanoseconds // 1000:06d}"


def alarm(value: Value) -> str:
    """Status and severity, empty when there is no alarm."""
    if not value.status and not value.severity:
        return ""
    return f"{status_name(value.status)} {severity_name(value.severity)}"


def status_name(number: int) -> str:
    """Such as HIHI."""
    from beamfly.ca.alarms import AlarmStatus

    known = number < len(AlarmStatus)
    return AlarmStatus(number).name if known else f"status {number}"


def severity_name(number: int) -> str:
    """Such as MAJOR."""
    known = 0 <= number < len(SEVERITIES)
    return SEVERITIES[number] if known else f"severity {number}"


def details(name: str, value: Value, look: Look, server_type: Dbr) -> str:
    """Everything that a type carries, one line each."""
    row = layout(value.type)
    rows = [
        ("Native data type", f"DBF_{server_type.name}"),
        ("Request type", f"DBR_{value.type.name}"),
        ("Element count", str(value.count)),
        ("Value", elements(value, look, is_array=value.count != 1)),
    ]
    if row.family is Family.TIME:
        rows.append(("Timestamp", stamp(value)))
    if "status" in row.names:
        rows.append(("Status", status_name(value.status)))
        rows.append(("Severity", severity_name(value.severity)))
    if "units" in row.names:
        rows.append(("Units", readable(value.units)))
    if "precision" in row.names:
        rows.append(("Precision", str(value.precision)))
    for index in _SHOWN_LIMITS:
        if index < len(value.limits):
            text = element(value.limits[index], value.base, Look())
            rows.append((_LIMIT_TITLES[index], text))
    if value.enum_strings:
        rows.append(("Enums", f"({len(value.enum_strings)})"))
        for number, state in enumerate(value.enum_strings):
            rows.append((f"[{number:2d}]", readable(state)))
    if "acknowledge_severity" in row.names:
        rows.append(("Ack transient?", "yes" if value.acknowledge_transient else "no"))
        rows.append(("Ack severity", severity_name(value.acknowledge_severity)))
    lines = (f"    {title + ':':<17} {text}" for title, text in rows)
    return "\n".join([name, *lines])
