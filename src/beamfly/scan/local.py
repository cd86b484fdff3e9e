"""PVs that live in the scan server: `loc://name(5)` and `sim://ramp(0, 10, 1, 0.1)`.

A local PV exists while some scan uses it and starts from what its name says. Types:
`loc://x(3.5)`, `loc://x("text")`, `loc://x(1, 2, 3)`, `loc://x<VLong>(3)`,
`loc://x<VString>`, `loc://x<VEnum>(1, "Idle", "Run")`; plain `loc://x` takes the type
of what is first written. Simulated: `const(v)`, `flipflop(s)`, `ramp(min, max, step,
s)`, `sine(min, max, steps, s)`, `noise(min, max, s)`, with an update every `s` seconds.
"""

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.channels import Channel, Reading, ReadingValue
from beamfly.scan.values import EnumValue, parse_double, scalar_text

_NAME = re.compile(r"(?:loc|sim)://([^<(]+)(?:<(\w+)>)?(?:\((.*)\))?\s*", re.DOTALL)
_PLAIN = re.compile(r"[\w:.\-/%&\[\]#+]+")


@dataclass(frozen=True)
class LocalName:
    """The name of a local or simulated PV, taken apart."""

    name: str
    """Without type and arguments."""
    type: str | None
    """Such as VLong, None if it says none."""
    arguments: list[float | str] | None
    """Numbers and texts in brackets, None without brackets."""

    @classmethod
    def parse(cls, text: str) -> "LocalName":
        """Take a name apart; BadValue if it makes no sense."""
        match = _NAME.fullmatch(text)
        if match is None or not _PLAIN.fullmatch(match[1].strip()):
            raise BadValue(f"Error for PV {text.partition('(')[0]}")
        arguments = None if match[3] is None else _arguments(text, match[3])
        return cls(match[1].strip(), match[2], arguments)


def _arguments(name: str, text: str) -> list[float | str]:
    try:
        (cells,) = csv.reader([text], skipinitialspace=True) if text.strip() else ([],)
    except (csv.Error, ValueError):
        raise BadValue(f"Error for PV {name}: brackets make no sense") from None
    quoted = text.lstrip().startswith('"')
    if quoted and len(cells) == 1:
        return [cells[0]]
    return [_number_or_text(cell.strip()) for cell in cells]


def _number_or_text(text: str) -> float | str:
    try:
        return parse_double(text)
    except BadValue:
        return text


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def initial_value(name: LocalName) -> ReadingValue | None:
    """What a local PV shows first; None if it takes the type of the first write."""
    given = name.arguments or []
    number = given[0] if given and not _is_text(given[0]) else 0.0
    match name.type:
        case "VLong" | "VInt":
            return int(float(number))
        case "VString":
            return str(given[0]) if given else ""
        case "VEnum":
            labels = [str(item) for item in given[1:]]
            index = int(float(number))
            if not 0 <= index < len(labels):
                raise BadValue(f"Error for PV loc://{name.name}: no such label")
            return LabelledEnum(index, labels[index], tuple(labels))
        case "VDoubleArray" | "VStringArray":
            return given
        case _:
            if name.arguments is None:
                return None if name.type is None else 0.0
            return given if len(given) > 1 else (given[0] if given else 0.0)


@dataclass(frozen=True)
class LabelledEnum(EnumValue):
    """An enumerated value that knows its labels."""

    labels: tuple[str, ...] = ()

    def to(self, value: Any) -> "LabelledEnum":
        """The value for an index or a label; BadValue if there is none."""
        if value in self.labels:
            index = self.labels.index(value)
        else:
            index = int(_to_number(value))
        if not 0 <= index < len(self.labels):
            raise BadValue(f"{value!r} is none of {', '.join(self.labels)}")
        return LabelledEnum(index, self.labels[index], self.labels)


def _to_number(value: Any) -> float:
    return parse_double(value) if isinstance(value, str) else float(value)


def converted(old: ReadingValue | None, value: Any) -> ReadingValue:
    """A value in the type that a PV has; BadValue if it does not fit."""
    match old:
        case None:
            return value
        case LabelledEnum():
            return old.to(value)
        case str():
            return value if isinstance(value, str) else scalar_text(value)
        case int():
            return int(_to_number(value))
        case float():
            return _to_number(value)
        case _:
            return _array(value)


def _array(value: Any) -> ReadingValue:
    """An array out of a list, `[1, 2]` in a text, or a single value."""
    if isinstance(value, str) and value.strip()[:1] == "[":
        return [_number_or_text(x.strip()) for x in value.strip(" []").split(",") if x]
    if isinstance(value, (list, tuple)):
        return list(cast(Sequence[Any], value))
    return [value]


Rule = Callable[[int], ReadingValue]
"""Number of updates since the PV was first used -> value."""


def simulation(name: LocalName) -> tuple[Rule, float | None]:
    """How a simulated PV behaves, and how often it changes; None for never."""
    given = [item for item in name.arguments or [] if not isinstance(item, str)]
    if name.name == "const":
        value = (name.arguments or [0.0])[0]
        return (lambda _: value), None
    defaults = {
        "flipflop": [1.0],
        "ramp": [0.0, 100.0, 1.0, 1.0],
        "sine": [-5.0, 5.0, 10.0, 1.0],
        "noise": [-5.0, 5.0, 1.0],
    }.get(name.name)
    if defaults is None:
        raise BadValue(f"Error for PV sim://{name.name}: there is no such simulation")
    numbers = [*given, *defaults[len(given) :]]
    period = numbers[-1]
    if period <= 0:
        raise BadValue(f"Error for PV sim://{name.name}: the period must be above 0")
    return (lambda index: _SHAPES[name.name](numbers, index)), period


def _ramp(numbers: Sequence[float], index: int) -> float:
    low, high, step = numbers[:3]
    count = max(1, int((high - low) / (step or 1.0) + 1e-9) + 1)
    return low + step * (index % count)


def _sine(numbers: Sequence[float], index: int) -> float:
    low, high, steps = numbers[:3]
    phase = 2 * math.pi * index / max(1.0, steps)
    return (low + high) / 2 + (high - low) / 2 * math.sin(phase)


def _noise(numbers: Sequence[float], index: int) -> float:
    """The same for the same index: a hash of it, spread over the range."""
    low, high = numbers[:2]
    mixed = (index * 2654435761 + 97) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0xFFFFFFFF
    return low + (high - low) * ((mixed ^ (mixed >> 13)) & 0xFFFFFFFF) / 2**32


_SHAPES: dict[str, Callable[[Sequence[float], int], float]] = {
    "flipflop": lambda _, index: float(index % 2),
    "ramp": _ramp,
    "sine": _sine,
    "noise": _noise,
}


@dataclass(eq=False)
class _Variable:
    """A PV with everybody who uses it."""

    value: ReadingValue | None
    time: int
    listeners: list[Callable[[], None]] = field(
        default_factory=list[Callable[[], None]]
    )
    rule: Rule | None = None
    period: float | None = None
    born: float = 0.0
    index: int = 0
    due: float | None = None


class LocalChannel:
    """One user's view of a local or simulated PV."""

    def __init__(
        self, owner: "LocalChannels", name: str, variable: _Variable,
        changed: Callable[[], None],
    ):  # fmt: skip
        self._owner = owner
        self._name = name
        self._variable = variable
        self._changed = changed
        variable.listeners.append(changed)

    @property
    def connected(self) -> bool:
        """Always."""
        return True

    @property
    def reading(self) -> Reading | None:
        """The value now."""
        variable = self._variable
        value = 0.0 if variable.value is None else variable.value
        return Reading(value, variable.time)

    def read(self, answer: Callable[[Reading | None], None]) -> None:
        """Answer at once."""
        answer(self.reading)

    def write(self, value: Any, done: Callable[[str | None], None] | None) -> None:
        """Take the value at once; BadValue if it does not fit the type."""
        variable = self._variable
        if variable.rule is not None:
            raise BadValue(f"{self._name} cannot be written")
        variable.value = converted(variable.value, value)
        variable.time = int(self._owner.now * 1000)
        for listener in variable.listeners:
            listener()
        if done is not None:
            done(None)

    def close(self) -> None:
        """Give it up; the last one to do so ends the PV."""
        if self._changed in self._variable.listeners:
            self._variable.listeners.remove(self._changed)
            self._owner.released(self._name, self._variable)


class LocalChannels:
    """Source of `loc://` and `sim://` PVs."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._variables: dict[str, _Variable] = {}

    def open(self, name: str, changed: Callable[[], None]) -> Channel:
        """Use a PV, made by the first who does; BadValue if its name makes no sense."""
        parsed = LocalName.parse(name)
        key = name if name.startswith("sim://") else f"loc://{parsed.name}"
        variable = self._variables.get(key)
        if variable is None:
            variable = self._make(name, parsed)
            self._variables[key] = variable
        return LocalChannel(self, key, variable, changed)

    def _make(self, name: str, parsed: LocalName) -> _Variable:
        time = int(self.now * 1000)
        if not name.startswith("sim://"):
            return _Variable(initial_value(parsed), time)
        rule, period = simulation(parsed)
        due = None if period is None else self.now + period
        return _Variable(
            rule(0), time, rule=rule, period=period, born=self.now, due=due
        )

    def released(self, name: str, variable: _Variable) -> None:
        """Forget a PV that nobody uses."""
        if not variable.listeners:
            self._variables.pop(name, None)

    def advance(self, now: float) -> None:
        """Update the simulated PVs that are due."""
        self.now = now
        for variable in list(self._variables.values()):
            if variable.due is not None and variable.rule and now >= variable.due:
                period = variable.period or 1.0
                # at least one: what is due by the clock may not be by division
                past = math.floor((now - variable.born) / period)
                variable.index = max(variable.index + 1, past)
                variable.value = variable.rule(variable.index)
                at = variable.born + variable.index * period
                variable.time = int(at * 1000)
                variable.due = max(at + period, math.nextafter(now, math.inf))
                for listener in variable.listeners:
                    listener()

    def next_wakeup(self) -> float | None:
        """When the next simulated PV is due."""
        times = (variable.due for variable in self._variables.values())
        return min((time for time in times if time is not None), default=None)
