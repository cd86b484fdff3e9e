"""`*CHANGES`: what one connection has not been told yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from beamfly.errors import CommandError
from beamfly.panda.simulator.fields import Field, Group
from beamfly.panda.simulator.literals import MAX_RESULT
from beamfly.panda.simulator.settings import Settings

Reply = str | list[str]


@dataclass
class ChangeReport:
    """The state of change reports of one connection."""

    settings: Settings
    seen: dict[Group, int] = field(default_factory=lambda: dict.fromkeys(Group, 0))
    """Number of the last change that was reported, by group."""

    def reset(self, group: Group, text: str) -> None:
        """Regard everything as seen (E or nothing), or as not seen (S)."""
        if text not in ("", "E", "S"):
            raise CommandError("Invalid reset option")
        self._refresh(group)
        index = 0 if text == "S" else self.settings.journal.index
        self.seen.update(dict.fromkeys(group, index))

    def lines(self, group: Group) -> list[str]:
        """What changed since the last time, in the server's order."""
        self._refresh(group)
        seen = {g: self.seen[g] if g in group else -1 for g in Group}
        self.seen.update(dict.fromkeys(group, self.settings.journal.index))
        result: list[str] = []
        for instances in self.settings.instances:
            self._add(result, instances, group, seen)
        if Group.METADATA in group:
            result += self.settings.metadata.changes(seen[Group.METADATA])
        return result

    def _refresh(self, group: Group) -> None:
        """Ask the fields whose values the blocks set."""
        wanted = group & (Group.BITS | Group.POSN | Group.READ)
        for found in self.settings.polled:
            if found.report_group in wanted:
                found.refresh()
        if Group.ATTR in group:
            for table in self.settings.tables:
                table.refresh()

    def _add(
        self,
        result: list[str],
        fields: list[Field],
        group: Group,
        seen: dict[Group, int],
    ) -> None:
        """Report all instances of one field: first their values, then attributes."""
        reported = fields[0].report_group
        if reported in group and reported:
            since = seen[reported]
            result += [_value_line(f) for f in fields if f.changed > since]
        if Group.ATTR in group:
            for name in fields[0].attribute_changed:
                since = seen[Group.ATTR]
                result += [
                    _line(f"{f.name}.{name}", f.attributes[name].read, f)
                    for f in fields
                    if f.attribute_changed[name] > since
                ]


def _value_line(found: Field) -> str:
    """The line that reports a value."""
    if found.report_group is Group.TABLE:
        return f"{found.name}<"
    return _line(found.name, type(found).read, found)


def _line(name: str, read: Callable[[Any], Reply] | None, found: Field) -> str:
    """`NAME=value`, or `NAME (error)` if there is none or it is too long."""
    try:
        text = f"{name}={read(found) if read else ''}"
    except CommandError:
        return f"{name} (error)"
    if len(text.encode("utf-8", "surrogateescape")) > MAX_RESULT:
        return f"{name} (error)"
    return text


def group_named(name: str) -> Group:
    """The group of that name."""
    if name not in Group.__members__ or name in ("ALL", "NONE"):
        raise CommandError("Unknown changes selection")
    return Group[name]
