"""Long runs of equal messages, parsed with numpy: for `beamfly.ca.lanes`.

Columns are made into Python lists at once, which is several times faster than to unpack
message by message; what is called per message is only the callback.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from beamfly.ca.dbr import Dbr, Family, layout
from beamfly.ca.readings import EPOCH_NS, NANO, scalar_record

SHORTEST = 32
"""Messages below which it is not worth it."""


class Bulk(Protocol):
    """Who asked for many values, with numbers from low up to high, exclusive."""

    low: int
    high: int

    @property
    def done(self) -> bool:
        """Whether all answers are in."""
        ...

    def on_values(self, first: int, values: list[Any]) -> object:
        """Answers to consecutive numbers."""


def event_run(
    view: memoryview,
    at: int,
    count: int,
    code: Dbr,
    wanted: int,
    sinks: Mapping[int, Callable[..., object]],
    failed: Callable[[int, Exception], object],
) -> int:
    """Updates of one element of a TIME type; where the run ended.

    Args:
        view: The buffer.
        at: Where the first message stands.
        count: Messages of that size in the buffer.
        code: Their type.
        wanted: Their first eight bytes as a number.
        sinks: Where updates go, by subscription number.
        failed: Told of the number and the exception when a callback raises.
    """
    rows = _rows(view, at, count, code)
    same = (rows["shape"] == wanted) & (rows["ok"] == 1)
    if not same.all():
        count = int(same.argmin())
        if count < SHORTEST:
            return at
        rows = rows[:count]
    stamps = rows["seconds"].astype("i8") * NANO + rows["nanoseconds"] + EPOCH_NS
    columns = [rows[name].tolist() for name in ("number", "value")]
    columns += [stamps.tolist(), rows["severity"].tolist(), rows["status"].tolist()]
    number = 0
    rest = zip(*columns, strict=True)
    while True:
        try:
            for number, value, time_ns, severity, status in rest:
                sinks[number](value, time_ns, severity, status)
            return at + count * scalar_record(code).size
        except Exception as error:
            failed(number, error)


def bulk_run(
    view: memoryview,
    at: int,
    count: int,
    code: Dbr,
    wanted: int,
    bulks: list[Bulk],
) -> int:
    """Answers that follow each other, all for the same asker; where they ended.

    Askers that have all their answers leave the list.
    """
    rows = _rows(view, at, count, code)
    first = int(rows["number"][0])
    asker = next((bulk for bulk in bulks if bulk.low <= first < bulk.high), None)
    if asker is None:
        return at
    import numpy

    rows = rows[: asker.high - first]
    expected = numpy.arange(first, first + len(rows))
    same = (rows["shape"] == wanted) & (rows["ok"] == 1) & (rows["number"] == expected)
    count = len(rows) if same.all() else int(same.argmin())
    if count:
        asker.on_values(first, rows["value"][:count].tolist())
        if asker.done:
            bulks.remove(asker)
    return at + count * scalar_record(code).size


def _rows(view: memoryview, at: int, count: int, code: Dbr) -> Any:
    """Messages in the buffer as numpy records."""
    import numpy

    return numpy.frombuffer(view, _message_dtype(code), count, at)


@cache
def _message_dtype(code: Dbr) -> Any:
    """A whole message of one element as a numpy record."""
    import numpy

    row = layout(code)
    fields = {
        **{"shape": (">u8", 0), "ok": (">u4", 8), "number": (">u4", 12)},
        "value": (">" + row.element_format, 16 + row.offset),
    }
    if row.family is Family.TIME:
        fields |= {"status": (">i2", 16), "severity": (">i2", 18)}
        fields |= {"seconds": (">u4", 20), "nanoseconds": (">u4", 24)}
    return numpy.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": scalar_record(code).size,
        }
    )
