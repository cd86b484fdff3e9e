"""Between DBR types as a C IOC converts: what it clips, what it wraps, how it prints.

`convert(source, values, target, text)` turns elements of one base type into another:
numbers are Python numbers or one numpy array, strings are str, enums are their index.
`unpack` and `pack_elements` go from and to wire bytes.

Numbers become integers by cutting the fraction; beyond 32 bits everything is -2**31,
and narrower types keep the low bits of that. FLOAT is clipped at both ends of its
range. Text that is no number raises BadValue.
"""

import math
import re
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from beamfly.ca.dbr import ENUM_STATES, STRING_BYTES, Dbr, layout, text, value_dtype
from beamfly.errors import BadValue

if TYPE_CHECKING:
    import numpy.typing as npt

LOWEST = -(2**31)
"""What every number that does not fit 32 bits becomes, also nan."""
FLOAT_MAX = struct.unpack(">f", b"\x7f\x7f\xff\xff")[0]
FLOAT_MIN = 2.0**-126
INTEGERS = frozenset({Dbr.SHORT, Dbr.ENUM, Dbr.CHAR, Dbr.LONG})
ILLEGAL = "Illegal Value"
"""How an enum beyond its 16 states is printed."""
_BITS = {Dbr.SHORT: 16, Dbr.ENUM: 16, Dbr.CHAR: 8, Dbr.LONG: 32}
_SIGNED = frozenset({Dbr.SHORT, Dbr.LONG})
_WHOLE = re.compile(r"\s*([-+]?)(0[xX][0-9a-fA-F]+|[0-9]+)(?![0-9]*[.eE])")
_REAL = re.compile(
    r"\s*([-+]?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|inf(?:inity)?|nan))",
    re.IGNORECASE,
)
_STATE_NUMBER = re.compile(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+)")


class Text(NamedTuple):
    """What printing and reading text depends on."""

    precision: int = 0
    """Digits after the point."""
    states: tuple[str, ...] = ()
    """Names of an enum's states."""


NO_TEXT = Text()


def to_integer(value: float, base: Dbr) -> int:
    """A number as an integer type holds it."""
    if isinstance(value, float):
        value = int(value) if LOWEST <= value < 2**31 else LOWEST
    bits = _BITS[base]
    value &= (1 << bits) - 1
    return value - (1 << bits) if base in _SIGNED and value >> (bits - 1) else value


def to_float(value: float) -> float:
    """A number as FLOAT holds it: never beyond its range, never denormal."""
    size = abs(value)
    if size > FLOAT_MAX and not math.isinf(value):
        return math.copysign(FLOAT_MAX, value)
    if 0.0 < size < FLOAT_MIN:
        return math.copysign(FLOAT_MIN, value)
    return struct.unpack(">f", struct.pack(">f", value))[0]


def print_double(value: float, precision: int) -> str:
    """DOUBLE as text; precision as PREC, negative means as many as there are."""
    digits = precision & 0xFFFF
    if digits > 8 or not -1e7 <= value <= 1e7:
        if digits > 8 or abs(value) > 1e16:
            digits = min(digits, 17)
            return f"{value:{digits + 7}.{digits}e}"
        return f"{value:.{min(digits, 3)}f}"
    size = abs(value)
    whole = int(size)
    fraction = int((size - whole) * 10**digits * 10)
    return _print_rounded(value < 0, whole, fraction, digits)


def print_float(value: float, precision: int) -> str:
    """FLOAT as text: the same with other widths, computed in single precision."""
    digits = precision & 0xFFFF
    if digits > 8 or not -1e7 <= value <= 1e7:
        if digits > 8 or abs(value) >= 1e8:
            digits = min(digits, 12)
            return f"{value:{digits + 6}.{digits}e}"
        return f"{value:.{min(digits, 3)}f}"
    size = abs(value)
    whole = int(size)
    fraction = int(to_float(to_float((size - whole) * 10**digits) * 10))
    return _print_rounded(value < 0, whole, fraction, digits)


def _print_rounded(negative: bool, whole: int, fraction: int, digits: int) -> str:
    """Half rounds away from zero; fraction has one digit more than is printed."""
    fraction = (fraction + 5) // 10
    if fraction >= 10**digits:
        whole, fraction = whole + 1, fraction - 10**digits
    point = f".{fraction:0{digits}d}" if digits else ""
    return f"{'-' if negative else ''}{whole}{point}"


def print_state(index: int, states: tuple[str, ...]) -> str:
    """An enum as text."""
    if index < len(states):
        return states[index]
    return "" if index < ENUM_STATES else ILLEGAL


def parse_real(raw: str) -> float:
    """Text as a number; what follows the number is ignored; empty is 0."""
    match = _REAL.match(raw)
    if match is None:
        if not raw.strip():
            return 0.0
        msg = f"{raw!r} is not a number"
        raise BadValue(msg)
    digits = match[1]
    if "x" in digits.lower():
        return float(int(digits, 16))
    value = float(digits)
    if math.isinf(value) and "n" not in digits.lower():
        msg = f"{raw!r} is beyond the range of DOUBLE"
        raise BadValue(msg)
    return value


def parse_integer(raw: str, base: Dbr) -> int:
    """Text as an integer: decimal, 0x hex, leading 0 octal, or a cut real number."""
    match = _WHOLE.match(raw)
    if match is not None:
        value = _based(match[2]) * (-1 if match[1] == "-" else 1)
    else:
        real = parse_real(raw)
        value = int(real) if math.isfinite(real) else 1 << 62
    bits = _BITS[base]
    lowest = -(1 << (bits - 1)) if base in _SIGNED else 1 - (1 << bits)
    highest = 1 << (bits - 1 if base in _SIGNED else bits)
    if not lowest <= value < highest:
        msg = f"{raw!r} does not fit {base.name}"
        raise BadValue(msg)
    return to_integer(value, base)


def _based(digits: str) -> int:
    """Digits as C reads them: 0x is hex, a leading 0 is octal."""
    if digits[:2] in ("0x", "0X"):
        return int(digits, 16)
    if digits[0] == "0" and digits.strip("01234567") == "":
        return int(digits, 8)
    return int(digits)


def parse_state(raw: str, states: tuple[str, ...]) -> int:
    """Text as an enum: the name of a state, else its number and what may follow."""
    if raw in states:
        return states.index(raw)
    match = _STATE_NUMBER.match(raw)
    if match is not None and (index := _based(match[1])) < (len(states) or 1 << 16):
        return index
    msg = f"{raw!r} is none of the states {', '.join(states) or '(there are none)'}"
    raise BadValue(msg)


def convert(
    source: Dbr, values: Sequence[Any], target: Dbr, how: Text = NO_TEXT
) -> Sequence[Any]:
    """Elements of one base type as elements of another.

    Args:
        source: Base type of `values`.
        values: Numbers (a sequence or one numpy array), text, or enum indices.
        target: Base type that is wanted.
        how: Precision and states, of whichever side has them.

    Raises:
        BadValue: Text is no number or no state.
    """
    if source is target:
        return values
    if target is Dbr.STRING:
        return _print(source, values, how)
    if source is Dbr.STRING:
        return [_parse(item, target, how) for item in values]
    if hasattr(values, "dtype"):
        return _cast(values, target)
    if target in INTEGERS:
        return [to_integer(value, target) for value in values]
    if target is Dbr.FLOAT:
        return [to_float(value) for value in values]
    return [float(value) for value in values]


def _print(source: Dbr, values: Any, how: Text) -> list[str]:
    """Numbers as text."""
    items: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    if source is Dbr.DOUBLE:
        return [print_double(value, how.precision) for value in items]
    if source is Dbr.FLOAT:
        return [print_float(value, how.precision) for value in items]
    if source is Dbr.ENUM and how.states:
        return [print_state(value, how.states) for value in items]
    return [str(int(value)) for value in items]


def _parse(item: str, target: Dbr, how: Text) -> float:
    """Text as a number of a type."""
    if target is Dbr.ENUM:
        return parse_state(item, how.states)
    if target in INTEGERS:
        return parse_integer(item, target)
    value = parse_real(item)
    if target is Dbr.DOUBLE:
        return value
    size = abs(value)
    if FLOAT_MAX < size < math.inf or 0 < size < FLOAT_MIN:
        msg = f"{item!r} is beyond the range of FLOAT"
        raise BadValue(msg)
    return to_float(value)


def _cast(values: Any, target: Dbr) -> Any:
    """The rules for numbers on a whole array; equals `convert` of its elements."""
    import numpy

    array: npt.NDArray[Any] = values
    kind = value_dtype(target)
    if array.dtype == kind:
        return array
    if target is Dbr.FLOAT and array.dtype.kind == "f":
        finite = numpy.isfinite(array)
        clipped = numpy.clip(array, -FLOAT_MAX, FLOAT_MAX)
        tiny = (abs(array) < FLOAT_MIN) & (array != 0)
        clipped = numpy.where(tiny, numpy.copysign(FLOAT_MIN, array), clipped)
        return numpy.where(finite, clipped, array).astype(kind)
    if target in INTEGERS and array.dtype.kind == "f":
        fits = (array >= LOWEST) & (array < 2**31)
        array = numpy.where(fits, array, LOWEST).astype(numpy.int32)
    return array.astype(kind, casting="unsafe")


def cut(text: str, most: int) -> bytes:
    """Text in at most so many bytes, the last letter not in half."""
    raw = text.encode(errors="replace")
    if len(raw) <= most:
        return raw
    return raw[:most].decode(errors="ignore").encode()


def pack_elements(base: Dbr, values: Sequence[Any]) -> bytes:
    """Wire bytes of elements, without padding; strings are cut at 39 bytes."""
    if base is Dbr.STRING:
        return b"".join(
            cut(item, STRING_BYTES - 1).ljust(STRING_BYTES, b"\0") for item in values
        )
    if hasattr(values, "astype"):
        wire: Any = values
        return wire.astype(value_dtype(base, native=False), copy=False).tobytes()
    return struct.pack(f">{len(values)}{layout(base).element_format}", *values)


def unpack(
    base: Dbr, count: int, payload: bytes, *, array: bool = False
) -> Sequence[Any]:
    """Elements from wire bytes; BadValue when there are fewer than announced.

    Args:
        base: Their type.
        count: How many there are.
        payload: Their bytes, padding and garbage included.
        array: Whether numbers are wanted as a numpy array.
    """
    row = layout(base)
    if base is Dbr.STRING:
        if count == 1:
            return [_decode(payload[:STRING_BYTES])]
        raw = [payload[at : at + 40] for at in range(0, len(payload), STRING_BYTES)]
        _enough(base, len(payload) // STRING_BYTES, count)
        return [_decode(item) for item in raw[:count]]
    _enough(base, len(payload) // row.element, count)
    if not array:
        return struct.unpack_from(f">{count}{row.element_format}", payload)
    import numpy

    wire = numpy.frombuffer(payload, value_dtype(base, native=False), count)
    native: Any = wire.astype(value_dtype(base))
    # nobody else has it, so a PV may keep it without a copy of its own
    native.setflags(write=False)
    return native


def _enough(base: Dbr, there: int, wanted: int) -> None:
    """BadValue when a payload is too short."""
    if there < wanted:
        msg = f"{wanted} elements of {base.name} were announced and {there} came"
        raise BadValue(msg)


def _decode(raw: bytes) -> str:
    """Text of a wire string: up to the first NUL, undecodable bytes as latin-1."""
    raw = text(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
