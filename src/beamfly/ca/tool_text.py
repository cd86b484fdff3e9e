"""Values as the EPICS command line tools print them."""

import re
from typing import Any

from beamfly.ca.dbr import ENUM_STATES, Dbr, Family, layout
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
_ESCAPES: dict[int, str] = {
    **{code: f"\\x{code:02x}" for code in (*range(32), 127)},
    **{code: f"\\xc2\\x{code:02x}" for code in range(128, 160)},
    # what is no UTF-8, as it is decoded
    **{0xDC00 + byte: f"\\x{byte:02x}" for byte in range(128, 256)},
    **{7 + at: f"\\{letter}" for at, letter in enumerate("abtnvfr")},
    **{ord(sign): f"\\{sign}" for sign in "\\'\""},
}
"""How characters are printed that a terminal would act on, and quotes."""


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


def escaped(raw: bytes) -> str:
    """A C string as the tools print it: one line, and `unescaped` has it back."""
    text = raw.partition(b"\0")[0].decode(errors="surrogateescape")
    return text.translate(_ESCAPES)


def unescaped(text: str) -> bytes:
    """The bytes of what was typed with the escapes of C, of which x has two digits."""
    raw = text.encode(errors="surrogateescape")
    if b"\\" not in raw:
        return raw

    def one(match: re.Match[bytes]) -> bytes:
        code: bytes = match[1]
        if code[:1] == b"x":
            return bytes.fromhex(code[1:].decode().zfill(2)) if code[1:] else b""
        at = b"abtnvfr0".find(code)
        return code if at < 0 or not code else bytes([7 + at if at < 7 else 0])

    return re.sub(rb"\\(x[0-9a-fA-F]{0,2}|.?)", one, raw, flags=re.DOTALL)


def element(value: Any, look: Look) -> str:
    """One element."""
    if isinstance(value, bytes):
        return escaped(value)
    if isinstance(value, float):
        if look.floats_as is None or not abs(value) < float("inf"):
            return format(value, look.floats)
        # halves away from zero
        value, code = int(value + (0.5 if value > 0 else -0.5)), look.floats_as
    else:
        code = look.integers
    return _integer(value, code)


def _integer(value: int, code: str) -> str:
    """As the tools of EPICS do: what is negative is shown as the bits that it has."""
    if code == "d":
        return str(value)
    bits = 32 if value >= -(1 << 31) else max(64, value.bit_length() + 1)
    prefix = {"x": "0x", "o": "0o"}.get(code, "")
    shown = value if value >= 0 else value + (1 << bits)
    return prefix + format(shown, code.replace("x", "X"))


def elements(value: Value, look: Look, *, is_array: bool) -> str:
    """All elements; an array starts with its count."""
    if look.char_text and value.base is Dbr.CHAR and is_array:
        return escaped(value.raw)
    items = [str(value.count)] if is_array else []
    return look.separator.join([*items, *_texts(value, look)])


def _texts(value: Value, look: Look) -> list[str]:
    """Each element."""
    if _has_states(value) and not look.enum_numbers:
        return [_state(item, value.enum_strings) for item in value.elements()]
    return [element(item, look) for item in value.elements()]


def _has_states(value: Value) -> bool:
    """Whether the names of an enum's states came along."""
    row = layout(value.type)
    return row.base is Dbr.ENUM and row.family in (Family.GR, Family.CTRL)


def _state(number: int, states: tuple[bytes, ...]) -> str:
    """The name of a state."""
    if number < len(states):
        return readable(states[number])
    kind = "Enum Index Overflow" if number < ENUM_STATES else "Illegal Value"
    return f"{kind} ({number})"


def stamp(value: Value) -> str:
    """The time stamp in local time."""
    if not value.seconds and not value.nanoseconds:
        return "<undefined>"
    return moment(value.time_ns)


def moment(time_ns: int) -> str:
    """Nanoseconds since 1970 in local time."""
    import datetime

    # seconds as they are: as a float, the last half of a microsecond is the next second
    seconds, rest = divmod(time_ns, 1_000_000_000)
    local = datetime.datetime.fromtimestamp(seconds)
    return f"{local:%Y-%m-%d %H:%M:%S}.{rest // 1000:06d}"


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
    is_text = look.char_text and value.base is Dbr.CHAR and value.count > 1
    shown = escaped(value.raw) if is_text else look.separator.join(_texts(value, look))
    rows = [
        ("Native data type", f"DBF_{server_type.name}"),
        ("Request type", f"DBR_{value.type.name}"),
    ]
    if value.type is Dbr.CLASS_NAME:
        rows.append(("Class Name", shown))
    else:
        rows += [("Element count", str(value.count)), ("Value", shown)]
    rows += _metadata(value)
    lines = [f"    {title + ':':<17} {text}" for title, text in rows]
    if _has_states(value):
        lines.append(f"    {'Enums:':<17} ({len(value.enum_strings):2d})")
        for number, state in enumerate(value.enum_strings):
            lines.append(f"{'':22}[{number:2d}] {readable(state)}")
    return "\n".join([name, *lines])


def _metadata(value: Value) -> list[tuple[str, str]]:
    """Titles and texts of what comes along with the value."""
    row = layout(value.type)
    rows: list[tuple[str, str]] = []
    if row.family is Family.TIME:
        rows.append(("Timestamp", stamp(value)))
    if "status" in row.names:
        rows.append(("Status", status_name(value.status)))
        rows.append(("Severity", severity_name(value.severity)))
    if "units" in row.names:
        rows.append(("Units", readable(value.units)))
    if "precision" in row.names:
        rows.append(("Precision", str(value.precision)))
    width = 0 if row.base in (Dbr.FLOAT, Dbr.DOUBLE) else 8
    for index in _SHOWN_LIMITS:
        if index < len(value.limits):
            text = element(value.limits[index], Look())
            rows.append((_LIMIT_TITLES[index], f"{text:>{width}}"))
    if "acknowledge_severity" in row.names:
        rows.append(("Ack transient?", "YES" if value.acknowledge_transient else "NO"))
        rows.append(("Ack severity", severity_name(value.acknowledge_severity)))
    return rows
