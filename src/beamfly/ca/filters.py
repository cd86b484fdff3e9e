"""Filters that a client names with a PV, as those of EPICS 7: parts, deadbands, ...

    X:trace.[2:5]  X:trace.VAL[0:2:-1]          elements 2 to 5; every other one
    X:trace.{"arr":{"s":2,"i":1,"e":5}}         the same as the first
    X:temp.{"dbnd":{"d":0.5}}                   updates when it moved by more than 0.5,
    X:temp.{"dbnd":{"d":10,"m":"rel"}}          by more than 10 % of the last one
    X:temp.{"dec":{"n":10}}                     every tenth update
    X:temp.{"ts":{}}                            the time at which the server tells

As in an IOC the dot is needed; puts go to the whole PV; reads pass deadbands and `dec`;
a name with a filter that is unknown, or said in a wrong way, is not served.

`parse` splits such a name. A `View` is what a channel reads when a filter changes what
is read; a `FilteredSubscription` leaves out updates.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

from beamfly.ca.alarms import Alarm
from beamfly.ca.answers import Answer, answer
from beamfly.ca.dbr import Dbr
from beamfly.ca.message import NAME_LIMIT, EventMask
from beamfly.ca.properties import Properties
from beamfly.ca.pv import NUMBERS, PV, moved
from beamfly.ca.subscription import Encoded, Subscription

_MODIFIED = re.compile(r"(.*?\.\w*\$?)(\[[^]]*\])?(\{.*\})?", re.DOTALL)
_PART = re.compile(r"\[([+-]?\d*)(?::([+-]?\d*))?(?::([+-]?\d*))?\]")
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)(\s*:)")
_ALARM, _PROPERTY = int(EventMask.ALARM), int(EventMask.PROPERTY)


class Part(NamedTuple):
    """Some of the elements of an array; negative ones are counted from its end."""

    start: int = 0
    increment: int = 1
    end: int = -1
    """The last one that belongs to it."""

    def of(self, length: int) -> slice:
        """Where it is in an array of so many elements."""
        start = self.start + length if self.start < 0 else self.start
        end = self.end + length if self.end < 0 else self.end
        return slice(
            min(max(start, 0), length),
            min(max(end, 0), length - 1) + 1,
            max(self.increment, 1),
        )

    def length_of(self, length: int) -> int:
        """How many elements it has of so many."""
        return len(range(*self.of(length).indices(length)))


class Gate(Protocol):
    """Decides for one subscription which updates pass."""

    def passes(self, pv: PV, mask: int) -> bool:
        """Whether what the PV has now is told; mask: what the client asked for."""
        ...


class Deadband:
    """`dbnd`: numbers pass when they moved far enough, alarms and properties always."""

    def __init__(self, band: float, *, relative: bool) -> None:
        """For a distance, or one in percent of the last value that passed."""
        self._band = self._width = band
        self._relative = relative
        self._last: float | None = None
        self._alarm: Alarm | None = None
        self._properties: Properties | None = None

    def passes(self, pv: PV, mask: int) -> bool:
        """Whether it is more than the deadband away from what passed before."""
        if not pv.scalar or pv.type not in NUMBERS:
            return True
        alarm, self._alarm = self._alarm, pv.alarm
        properties, self._properties = self._properties, pv.properties
        value: float = pv.value
        if self._last is None or moved(self._last, value, self._width):
            self._last = value
            if self._relative:
                self._width = abs(value) * self._band / 100
            return True
        if mask & _ALARM and alarm != pv.alarm:
            return True
        return bool(mask & _PROPERTY) and properties is not pv.properties


class Decimation:
    """`dec`: the first update passes, and then every so many-th."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._seen = 0

    def passes(self, pv: PV, mask: int) -> bool:
        """Whether it is this one's turn."""
        turn = not self._seen
        self._seen = (self._seen + 1) % self._every
        return turn


@dataclass(frozen=True, slots=True)
class Filters:
    """What stands behind the field in a name."""

    parts: tuple[Part, ...] = ()
    """Of an array, one after the other."""
    stamps: bool = False
    """Whether the time stamp is that of telling."""
    gates: tuple[Callable[[], Gate], ...] = ()
    """What decides on updates, to be made for every subscription."""

    def view(self, pv: PV) -> "PV | View":
        """What is read of a PV."""
        parts = () if pv.scalar else self.parts
        return View(pv, parts, self.stamps) if parts or self.stamps else pv


NO_FILTERS = Filters()


class View:
    """A PV as it is read through filters."""

    def __init__(self, pv: PV, parts: tuple[Part, ...], stamps: bool) -> None:
        self._pv = pv
        self._parts = parts
        self._stamps = stamps
        self.encoded: dict[tuple[int, int], Answer] = {}
        """As of a PV, but always empty: it is not told of changes."""
        self.length = pv.length
        """Most elements."""
        for part in parts:
            self.length = part.length_of(self.length)

    def answer(self, code: int, count: int) -> Answer:
        """The value as a DBR type, as `PV.answer`."""
        pv = self._pv
        value = pv.value
        for part in self._parts:
            value = value[part.of(len(value))]
        now = pv.clock if self._stamps else None
        shown = _Shown(
            *(pv.type, pv.scalar, value, pv.properties, pv.alarm, pv.record_type),
            *(pv.acknowledge_transient, pv.acknowledge_severity),
            pv.time_ns if now is None else now(),
        )
        return answer(shown, code, count)


@dataclass(slots=True)
class _Shown:
    """What a view shows now."""

    type: Dbr
    scalar: bool
    value: Any
    properties: Properties
    alarm: Alarm
    record_type: str
    acknowledge_transient: bool
    acknowledge_severity: int
    time_ns: int | None

    def elements(self, limit: int) -> Sequence[Any]:
        """As of a PV."""
        if self.scalar:
            return (self.value,)
        return self.value[:limit] if limit else self.value


class FilteredSubscription(Subscription):
    """A subscription that leaves out updates."""

    __slots__ = ("_filters", "_gates", "_view")

    def __init__(self, filters: Filters, view: PV | View, *arguments: Any) -> None:
        """Prepare; the other arguments are those of `Subscription`."""
        super().__init__(*arguments)
        self._filters = filters
        self._view = view
        self._gates = [make() for make in filters.gates]

    def changed(self, pv: Encoded) -> None:
        """There is something new, perhaps to tell."""
        if not self.source.readable:
            # what comes when it is readable again is told in any case
            self._gates = [make() for make in self._filters.gates]
        elif not all(gate.passes(self.source.pv, self.mask) for gate in self._gates):
            return
        super().changed(self._view)


def parse(name: str) -> tuple[str, Filters] | None:
    """A name without its filters, and these; None if there are none, or unknown ones.

    What is left may end with a dot, which means the same as without.
    """
    # anybody may look for any name, and a long one may take long
    if name[-1:] not in ("]", "}") or len(name) > NAME_LIMIT:
        return None
    found = _MODIFIED.fullmatch(name)
    if found is None:
        return None
    whole, part, settings = found.groups()
    try:
        parts = (_part(part),) if part else ()
        rows = _object(settings) if settings else {}
        filters = Filters(parts)
        for key, value in rows.items():
            filters = _FILTERS[key](filters, _dict(value))
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return whole, filters


def _part(text: str) -> Part:
    """[index], [start:end], or [start:increment:end]; ValueError if it is neither."""
    found = _PART.fullmatch(text)
    if found is None or text == "[]":
        msg = f"{text} is no part of an array"
        raise ValueError(msg)
    first, middle, last = found.groups()
    if middle is None:
        return Part(int(first), 1, int(first))
    if last is None:
        middle, last = "", middle
    return Part(int(first or 0), int(middle or 1), int(last or -1))


def _object(text: str) -> dict[str, Any]:
    """A JSON object; quotes as in JSON 5 will do, too."""
    try:
        return _dict(json.loads(text))
    except json.JSONDecodeError:
        strict = _BARE_KEY.sub(r'\1"\2"\3', text.replace("'", '"'))
        return _dict(json.loads(strict))


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{value!r} is no object"
        raise TypeError(msg)
    return cast(dict[str, Any], value)


def _arr(filters: Filters, settings: dict[str, Any]) -> Filters:
    """Start, increment, end."""
    names = {"s": "start", "i": "increment", "e": "end"}
    part = Part(**{names[key]: int(value) for key, value in settings.items()})
    return Filters((*filters.parts, part), filters.stamps, filters.gates)


def _dbnd(filters: Filters, settings: dict[str, Any]) -> Filters:
    """Deadband and mode, or a deadband by the name of its mode; the last one counts."""
    band, mode = 0.0, "abs"
    for key, value in settings.items():
        if key == "m":
            mode = value
        else:
            mode = {"d": mode, "abs": "abs", "rel": "rel"}[key]
            band = float(value)
    relative = {"abs": False, "rel": True}[mode]
    if not math.isfinite(band):
        msg = f"{band} is no deadband"
        raise ValueError(msg)
    gates = (*filters.gates, lambda: Deadband(band, relative=relative))
    return Filters(filters.parts, filters.stamps, gates)


def _dec(filters: Filters, settings: dict[str, Any]) -> Filters:
    """One of how many."""
    every = settings.pop("n")
    if settings or type(every) is not int or every < 1:
        msg = f"{every!r} is no number of updates"
        raise ValueError(msg)
    gates = (*filters.gates, lambda: Decimation(every))
    return Filters(filters.parts, filters.stamps, gates)


def _ts(filters: Filters, settings: dict[str, Any]) -> Filters:
    """Nothing to be set."""
    if settings:
        msg = "only time stamps of the usual form are known"
        raise ValueError(msg)
    return Filters(filters.parts, True, filters.gates)


_FILTERS: dict[str, Callable[[Filters, dict[str, Any]], Filters]] = {
    "arr": _arr,
    "dbnd": _dbnd,
    "dec": _dec,
    "ts": _ts,
}
"""Name of a filter -> what adds it to those before."""
