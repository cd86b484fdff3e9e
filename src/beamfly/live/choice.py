"""Which fields of a flown stream are drawn against which: `choose`.

Values are what detectors hint at, or else all plain numbers that are neither positions
nor housekeeping. The horizontal axis is the dimension that the plan names, or a motor
of it, or a position that hardware captured with the values (an encoder of a PandA), or
the time at which rows were taken, or the row number.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from beamfly.catalog.clock import clock_field
from beamfly.live.announced import Document, FlownStream

MOST_PANELS = 4
"""Values that are drawn at most."""

_POSITION = re.compile(
    r"\b(INENC\d*|QDEC\d*|PGEN\d*|SFP\d*_SYNC_IN)\.\w+\.(Value|Mean|Min|Max)$"
)
"""What the source of a captured position ends with."""
_HOUSEKEEPING = re.compile(r"\bPCAP\.\w+\.\w+$")
"""What PCAP captures about itself: times, gate, bits, samples."""


@dataclass(frozen=True)
class Choice:
    """What is drawn of one stream."""

    values: tuple[str, ...]
    """Data keys on the vertical axis, or as colours of a map."""
    positions: tuple[str, ...]
    """Data keys in files that may be the horizontal axis, best first."""
    motors: tuple[str, ...]
    """Data keys in events that may be the horizontal axis, best first."""
    clock: str | None
    """Data key that tells when a row was taken, None if there is none."""
    shape: tuple[int, int] | None
    """Lines, and points per line, if the plan is a map."""
    units: Mapping[str, str]
    """Data key -> units, where there are any."""
    certain: bool
    """Whether the plan or the user named the axes, so none is better than the first."""

    @property
    def wanted(self) -> list[str]:
        """Data keys to read from files; the clock is read besides."""
        return list(dict.fromkeys([*self.positions, *self.values]))

    def label(self, key: str) -> str:
        """A data key with its units, for an axis."""
        unit = self.units.get(key)
        return f"{key} ({unit})" if unit else key


def choose(
    stream: FlownStream, start: Document, x: str = "auto", y: Sequence[str] = ()
) -> Choice:
    """Decide what to draw.

    Args:
        stream: Which is flown.
        start: The start document of its run.
        x: Data key on the horizontal axis; `auto` to decide by the documents, `time`
            for the time at which rows were taken, `row` for the row number.
        y: Data keys to draw; none to decide by the documents.
    """
    keys = stream.keys
    scalars = [key for key in stream.external if is_number(keys[key])]
    clock = clock_field({key: dict(keys[key]) for key in scalars})
    named = _named_axes(start, keys) if x == "auto" else [x]
    sources = {key: str(keys[key].get("source", "")) for key in scalars}
    encoders = [key for key in scalars if _POSITION.search(sources[key])]
    # the slow axis comes first in bluesky's lists, which is no axis to draw along
    axes = [*reversed(named), *(encoders if x == "auto" else ())]
    positions = tuple(dict.fromkeys(key for key in axes if key in scalars))
    values = [key for key in y if key in scalars] or _values(
        stream, [key for key in scalars if key not in {*encoders, *axes, clock}]
    )
    return Choice(
        values=tuple(values[:MOST_PANELS]),
        positions=positions,
        motors=tuple(key for key in axes if key in stream.in_events),
        clock=clock,
        shape=None if x != "auto" else map_shape(start),
        units={k: str(v["units"]) for k, v in keys.items() if v.get("units")},
        certain=x != "auto" or any(name in keys for name in named),
    )


def is_number(key: Document) -> bool:
    """Whether each event is one number, or several of the same thing."""
    shape: Sequence[int | None] = key.get("shape") or []
    inner = shape[1:]
    kind = str(key.get("dtype_numpy", "<f8"))
    plain = key.get("dtype") in ("number", "integer", "boolean", "array")
    return plain and all(n == 1 for n in inner) and not re.search("[USOV]", kind)


def map_shape(start: Document) -> tuple[int, int] | None:
    """Lines and points per line that a start document tells of, None for no map."""
    shape: Sequence[Any] = start.get("shape") or ()
    if len(shape) != 2 or not all(isinstance(n, int) and n > 1 for n in shape):
        return None
    expected = expected_rows(start)
    if expected is not None and expected != prod(shape):
        return None
    return shape[0], shape[1]


def expected_rows(start: Document) -> int | None:
    """Rows that a plan said it would take, None if it did not say."""
    for name in ("num_events", "num_points"):
        number = start.get(name)
        if isinstance(number, int) and number > 0:
            return number
    return None


def planned_period(start: Document) -> float | None:
    """Seconds from trigger to trigger, if the start document has `trigger_period`."""
    period = start.get("trigger_period")
    return float(period) if isinstance(period, int | float) and period > 0 else None


def _named_axes(start: Document, keys: Mapping[str, Any]) -> list[str]:
    """Data keys that the plan calls its dimensions, or that belong to its motors."""
    hints: Mapping[str, Any] = start.get("hints") or {}
    found: list[str] = []
    for fields, _ in hints.get("dimensions") or ():
        found += [str(name) for name in fields[:1]]
    found += belonging_to_motors(start, keys)
    return [name for name in dict.fromkeys(found) if name in keys]


def belonging_to_motors(start: Document, keys: Iterable[str]) -> list[str]:
    """Data keys that belong to the motors that a start document names."""
    motors = start.get("motors") or ()
    return [key for motor in motors for key in _belonging(str(motor), keys)]


def _belonging(motor: str, keys: Iterable[str]) -> list[str]:
    begins = re.compile(rf"{re.escape(motor)}($|[-_])")
    return [key for key in keys if begins.match(key)][:1]


def _values(stream: FlownStream, candidates: list[str]) -> list[str]:
    hints: Mapping[str, Document] = stream.descriptor.get("hints") or {}
    hinted = {name for each in hints.values() for name in each.get("fields", ())}
    if chosen := [key for key in candidates if key in hinted]:
        return chosen
    sources = {key: str(stream.keys[key].get("source", "")) for key in candidates}
    telling = [key for key in candidates if not _HOUSEKEEPING.search(sources[key])]
    return telling or candidates
