"""System commands: those that start with `*`.

One function per command and form, in the tables `QUERIES` and `ASSIGNMENTS`. A query
gives the text of a single reply, or the lines of a multiple one.
"""

from collections.abc import Callable
from typing import Protocol

from beamfly.errors import CommandError
from beamfly.panda.simulator.bus_fields import CAPTURE_LABELS, CAPTURE_OPTIONS
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY
from beamfly.panda.simulator.changes import ChangeReport, group_named
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.fields import Group
from beamfly.panda.simulator.literals import (
    end,
    integer,
    read_alphanumeric,
    read_char,
    read_name,
)
from beamfly.panda.simulator.settings import Settings, field_class, listed

Reply = str | list[str]


class Capture(Protocol):
    """What `*PCAP` commands act on and ask for."""

    def arm(self) -> None:
        """Start a capture, or refuse with a CommandError."""
        ...

    def disarm(self) -> None:
        """End the capture, if there is one."""
        ...

    def status(self) -> str:
        """Busy or Idle, clients connected, clients taking data."""
        ...

    def captured(self) -> int:
        """Samples of the current or last capture."""
        ...

    def completion(self) -> str:
        """Busy, or how the last capture ended."""
        ...


class Host(Protocol):
    """The PandA that a command is for."""

    settings: Settings
    faults: Faults
    persistent: bool
    verbosity: int

    @property
    def capture(self) -> Capture:
        """What `*PCAP` commands are about."""
        ...

    def connections(self) -> list[str]:
        """One line per connection, as `*WHO?` reports it."""
        ...


Query = Callable[[Host, ChangeReport, str], Reply]
Assignment = Callable[[Host, ChangeReport, str, str], None]


def _identity(host: Host, report: ChangeReport, rest: str) -> Reply:
    end(rest)
    known = host.settings.catalogue
    return f"PandA SW: {known.software} FPGA: {known.fpga} rootfs: {known.rootfs}"


def _clock_frequency(host: Host, report: ChangeReport, rest: str) -> Reply:
    end(rest)
    return str(CLOCK_FREQUENCY)


def _blocks(host: Host, report: ChangeReport, rest: str) -> Reply:
    end(rest)
    blocks = host.settings.catalogue.blocks.values()
    return [f"{block.name} {block.count}" for block in listed(blocks)]


def _echo(host: Host, report: ChangeReport, rest: str) -> Reply:
    return read_char(" ", rest)


def _who(host: Host, report: ChangeReport, rest: str) -> Reply:
    end(rest)
    return host.connections()


def _positions(host: Host, report: ChangeReport, rest: str) -> Reply:
    end(rest)
    return list(host.settings.catalogue.positions)


def _bits(host: Host, report: ChangeReport, rest: str) -> Reply:
    end(rest)
    return list(host.settings.catalogue.bits)


def _group(rest: str) -> Group:
    """The group of changes that follows the command; all without one."""
    if not rest.startswith("."):
        end(rest)
        return Group.ALL
    name, rest = read_name(rest[1:])
    group = group_named(name)
    end(rest)
    return group


def _changes(host: Host, report: ChangeReport, rest: str) -> Reply:
    return report.lines(_group(rest))


def _reset_changes(host: Host, report: ChangeReport, rest: str, value: str) -> None:
    report.reset(_group(rest), value)


def _description(host: Host, report: ChangeReport, rest: str) -> Reply:
    target = host.settings.find(read_char(".", rest), loose=True)
    if target.column:
        return target.column.description
    if target.spec is None:
        return target.block.description
    if target.attribute:
        return field_class(target.spec).attributes[target.attribute].description
    return target.spec.description


def _enumerations(host: Host, report: ChangeReport, rest: str) -> Reply:
    target = host.settings.find(read_char(".", rest), loose=True)
    field = host.settings.field(target)
    if target.column:
        labels, what = target.column.labels, "Table sub-field"
    elif target.attribute:
        source = field.attributes[target.attribute].labels
        labels, what = source(field) if source else (), "Attribute"
    else:
        labels, what = field.labels(), "Field"
    if not labels:
        raise CommandError(f"{what} is not an enumeration")
    return list(labels)


def _captures(host: Host, report: ChangeReport, rest: str) -> Reply:
    if not rest.startswith("."):
        end(rest)
        return [
            f"{field.name} {field.capture_text()}"
            for field in host.settings.captures()
            if field.captured
        ]
    if rest.startswith(".*"):
        end(rest[2:])
        return list(host.settings.catalogue.captures)
    name, rest = read_name(rest[1:])
    end(rest)
    lists = {"OPTIONS": CAPTURE_OPTIONS, "ENUMS": CAPTURE_LABELS}
    if name not in lists:
        raise CommandError("Invalid *CAPTURE option")
    return list(lists[name])


def _reset_captures(host: Host, report: ChangeReport, rest: str, value: str) -> None:
    end(rest)
    end(value)
    host.settings.reset_captures()


def _metadata(host: Host, report: ChangeReport, rest: str) -> Reply:
    rest = read_char(".", rest)
    if rest.startswith("*"):
        end(rest[1:])
        return list(host.settings.metadata.entries)
    return host.settings.metadata.read(metadata_key(rest))


def metadata_key(text: str) -> str:
    """A key of the metadata and nothing else."""
    key, rest = read_alphanumeric(text)
    end(rest)
    return key


def _write_metadata(host: Host, report: ChangeReport, rest: str, value: str) -> None:
    host.settings.metadata.write(metadata_key(read_char(".", rest)), value)


def _set_verbosity(host: Host, report: ChangeReport, rest: str, value: str) -> None:
    end(rest)
    host.verbosity = integer(value)


def _save_state(host: Host, report: ChangeReport, rest: str, value: str) -> None:
    end(rest)
    end(value)
    if not host.persistent:
        raise CommandError("No persistence state configured")


def _capture_state(host: Host, report: ChangeReport, rest: str) -> Reply:
    name, _ = read_name(read_char(".", rest))
    asked: dict[str, Callable[[], str | int]] = {
        "STATUS": host.capture.status,
        "CAPTURED": host.capture.captured,
        "COMPLETION": host.capture.completion,
    }
    if name not in asked:
        raise CommandError("Invalid *PCAP field")
    return str(asked[name]())


def _control_capture(host: Host, report: ChangeReport, rest: str, value: str) -> None:
    name, _ = read_name(read_char(".", rest))
    end(value)
    actions = {"ARM": host.capture.arm, "DISARM": host.capture.disarm}
    if name not in actions:
        raise CommandError("Invalid *PCAP field")
    actions[name]()


QUERIES: dict[str, Query | None] = {
    "IDN": _identity,
    "CLOCK_FREQ": _clock_frequency,
    "BLOCKS": _blocks,
    "ECHO": _echo,
    "WHO": _who,
    "POSITIONS": _positions,
    "BITS": _bits,
    "CHANGES": _changes,
    "DESC": _description,
    "ENUMS": _enumerations,
    "CAPTURE": _captures,
    "METADATA": _metadata,
    "PCAP": _capture_state,
    "VERBOSE": None,
    "SAVESTATE": None,
}
"""By name; None for commands that can only be written."""

ASSIGNMENTS: dict[str, Assignment] = {
    "CHANGES": _reset_changes,
    "CAPTURE": _reset_captures,
    "METADATA": _write_metadata,
    "PCAP": _control_capture,
    "VERBOSE": _set_verbosity,
    "SAVESTATE": _save_state,
}


def _command(text: str) -> tuple[str, str]:
    """Name of a command and what follows it."""
    name, rest = read_name(text)
    if name not in QUERIES:
        raise CommandError("Unknown command")
    return name, rest


def query(host: Host, report: ChangeReport, text: str) -> Reply:
    """The reply to `*text?`."""
    name, rest = _command(text)
    function = QUERIES[name]
    if function is None:
        raise CommandError("Command not readable")
    return function(host, report, rest)


def assign(host: Host, report: ChangeReport, text: str, value: str) -> None:
    """Do `*text=value`."""
    name, rest = _command(text)
    if name not in ASSIGNMENTS:
        raise CommandError("Command not writeable")
    ASSIGNMENTS[name](host, report, rest, value)


def write_lines(host: Host, text: str, lines: list[str], suffix: str) -> None:
    """Do `*text<suffix` with those lines."""
    name, rest = _command(text)
    if name != "METADATA":
        raise CommandError("Command is not a table")
    key = metadata_key(read_char(".", rest))
    host.settings.metadata.write_lines(key, lines, suffix)
