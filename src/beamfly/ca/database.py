"""Names -> PVs: what a server has, fields included.

    database = Database({"X:temp": PV(21.5), "BL:M1": motor, "X:n": 3}, clock)
    database.has("X:temp.HIHI"), database.find("BL:M1.RBV")

A name is looked for as it stands first, so that a mapping may well contain dotted
names; then what stands before the last dot is the record, and the rest a field. Clients
may name filters behind a field, see `beamfly.ca.filters`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from beamfly.ca.dbr import STRING_BYTES
from beamfly.ca.filters import NO_FILTERS, Filters, parse
from beamfly.ca.pv import PV
from beamfly.ca.record_fields import field_of, has_field
from beamfly.ca.records import RecordGroup
from beamfly.errors import BadValue

SMALLEST_LIMIT = 16 * 1024
"""Payloads up to so many bytes are always allowed."""


class Database:
    """The PVs of a server, by name."""

    def __init__(self, pvs: Mapping[str, Any], clock: Callable[[], int]) -> None:
        """Take over PVs.

        Args:
            pvs: Name -> PV, RecordGroup, or a first value to make a PV of.
            clock: Nanoseconds since 1970, for posts without a time.
        """
        self._items: dict[str, PV | RecordGroup] = {}
        self._clock = clock
        self.largest = SMALLEST_LIMIT
        """Bytes of the largest payload that makes sense: every element as text."""
        self._fixed = False
        for name, item in pvs.items():
            self.add(name, item)

    def __getitem__(self, name: str) -> PV:
        """A PV by its name; KeyError if there is none."""
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, name: str, item: Any) -> None:
        """Serve one more; BadValue for a name that is taken or impossible."""
        given: Any = name
        is_text = isinstance(given, str)
        if not name or not is_text or len(name.encode()) > 500 or "\0" in name:
            msg = f"{name!r:.60} cannot be the name of a PV; it is not served"
            raise BadValue(msg)
        if name in self._items:
            msg = f"{name} is served already; the second one was not added"
            raise BadValue(msg)
        made = item if isinstance(item, (PV, RecordGroup)) else _made(name, item)
        self._items[name] = made
        now = self._clock()
        for pv in made.pvs.values() if isinstance(made, RecordGroup) else (made,):
            pv.clock = self._clock
            if pv.time_ns is None and pv.alarm.severity < 3:
                pv.touch(now)
            needed = SMALLEST_LIMIT + max(STRING_BYTES * pv.length, pv.size)
            if not self._fixed:
                self.largest = max(self.largest, needed)

    def limit(self, largest: int) -> None:
        """Fix the largest payload, whatever the PVs would need."""
        self.largest, self._fixed = max(largest, SMALLEST_LIMIT), True

    def remove(self, name: str) -> list[PV]:
        """Serve one no more; its PVs, fields that somebody asked for included."""
        item = self._items.pop(name)
        pvs = [*item.pvs.values()] if isinstance(item, RecordGroup) else [item]
        for pv in [*pvs]:
            pvs += pv.fields.values()
        return pvs

    def item(self, name: str) -> PV | RecordGroup:
        """What was given under a name; KeyError if nothing was."""
        return self._items[name]

    def record_of(self, name: str) -> str:
        """The name under which a PV was given that is found under another one."""
        if name in self._items:
            return name
        modified = parse(name)
        if modified is not None:
            return self.record_of(modified[0])
        return name.rpartition(".")[0]

    def has(self, name: str) -> bool:
        """Whether there is such a PV or field; makes nothing."""
        if name in self._items or self._has_field(name):
            return True
        modified = parse(name)
        return modified is not None and self.has(modified[0])

    def _has_field(self, name: str) -> bool:
        """Whether there is such a field of something."""
        record, dot, field = name.rpartition(".")
        item = self._items.get(record)
        if not dot or item is None:
            return False
        if isinstance(item, RecordGroup):
            whole = item.pvs.get(field.removesuffix("$"))
            if whole is not None:
                return not field.endswith("$") or has_field(whole, "$")
            item = item.main
        return has_field(item, field)

    def find(self, name: str) -> PV | None:
        """The PV of a name or field, None if there is none."""
        item = self._items.get(name)
        if item is not None:
            return item.main if isinstance(item, RecordGroup) else item
        record, dot, field = name.rpartition(".")
        item = self._items.get(record)
        if not dot or item is None:
            return None
        if isinstance(item, RecordGroup):
            whole = item.pvs.get(field.removesuffix("$"))
            if whole is not None:
                return field_of(whole, name, "$") if field.endswith("$") else whole
            item = item.main
        return field_of(item, record, field)

    def filtered(self, name: str) -> tuple[PV, Filters] | None:
        """The PV of a name that a client uses, and the filters in it."""
        pv = self.find(name)
        if pv is not None:
            return pv, NO_FILTERS
        modified = parse(name)
        if modified is None:
            return None
        pv = self.find(modified[0])
        return None if pv is None else (pv, modified[1])


def _made(name: str, value: Any) -> PV:
    """A PV from its first value."""
    try:
        return PV(value)
    except BadValue as error:
        msg = f"{name} is not served: {error}"
        raise BadValue(msg) from error
