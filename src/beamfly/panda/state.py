"""Save all settings of a PandA as lines of text, and restore them.

The lines are commands: `GetState` asks for what can be written back, `SetState` says
them again. The format is that of the `.sav` files of other PandABlocks tools.
"""

import logging
from dataclasses import dataclass

from beamfly.errors import CommandError
from beamfly.panda.exchange import (
    Command,
    Exchange,
    ExchangeGenerator,
    interleave,
    is_multiline_command,
)
from beamfly.panda.responses import Changes
from beamfly.panda.values import ChangeGroup, GetMultiline, parse_changes

__all__ = ["GetState", "SetState", "StateFailure"]

log = logging.getLogger(__name__)

_READ_ONLY_ATTRIBUTES = (".QUEUED_LINES",)
"""Reported as changes like settings, but a server refuses to have them written."""
_READ_ONLY_METADATA = ("*METADATA.APPNAME",)


@dataclass
class GetState(Command[list[str]]):
    """Ask for all settings as lines, to be given to `SetState`.

    Complete whatever `GetChanges` has already reported on this connection; a later
    `GetChanges` reports only what changed since.

    ```
    GetState() -> ["SEQ1.PRESCALE.UNITS=s", "PCAP.TRIG=PULSE1.OUT",
                   "SEQ1.TABLE<B", "AQAAAAAAAAAAAAAAAAAAAA==", ""]
    ```
    """

    def execute(self, version: tuple[int, int]) -> ExchangeGenerator[list[str]]:
        """Attributes, configuration, metadata, then tables and long metadata."""
        attributes, config, metadata, tables = yield from interleave(
            _all_values(group)
            for group in (
                ChangeGroup.ATTR,
                ChangeGroup.CONFIG,
                ChangeGroup.METADATA,
                ChangeGroup.TABLE,
            )
        )
        values = attributes.values | config.values | metadata.values
        state = [f"{name}={value}" for name, value in values.items() if _writable(name)]
        # a table is written to TABLE<B but read from TABLE.B
        sources = {f"{name}<B": f"{name}.B" for name in tables.no_value}
        sources |= {f"{name}<": name for name in metadata.no_value if _writable(name)}
        lists = yield from interleave(
            GetMultiline(source).execute(version) for source in sources.values()
        )
        for header, lines in zip(sources, lists, strict=True):
            state += [header, *lines, ""]
        return state


def _all_values(group: ChangeGroup) -> ExchangeGenerator[Changes]:
    """Every value of a group, whether it is reported already or not."""
    # a server too old for this refuses it, and then reports what is new: on a
    # connection where nobody has asked yet, that is everything too
    again = Exchange(f"*CHANGES{group.value}=S")
    report = Exchange(f"*CHANGES{group.value}?")
    yield [again, report]
    changes = parse_changes(report.multiline)
    for name in changes.in_error:
        log.error("The PandA cannot tell its %s: it is not saved", name)
    return changes


def _writable(name: str) -> bool:
    return not name.endswith(_READ_ONLY_ATTRIBUTES) and name not in _READ_ONLY_METADATA


@dataclass(frozen=True)
class StateFailure:
    """A setting that a PandA refused."""

    command: str
    """First line of the command."""
    answer: str
    """What the PandA said to it."""

    def __str__(self) -> str:
        return f"{self.command}: {self.answer}"


@dataclass
class SetState(Command[list[StateFailure]]):
    """Restore settings; return what was refused, which is also logged as errors.

    All are sent in one write, units before everything else since values are in
    units. A refused setting does not keep the others from being made.

    ```
    SetState(["SEQ1.TABLE<B", "AQAAAAAAAAAAAAAAAAAAAA==", "",
              "PCAP.TRIG=PULSE1.OUT"]) -> []
    ```
    """

    state: list[str]
    """Lines as `GetState` returns them."""
    strict: bool = False
    """Whether to raise CommandError when something was refused, with all else done."""

    def execute(
        self, version: tuple[int, int]
    ) -> ExchangeGenerator[list[StateFailure]]:
        """As many exchanges as there are settings."""
        commands = split_commands(self.state)
        commands.sort(key=lambda lines: not _sets_units(lines[0]))
        exchanges = [Exchange(lines) for lines in commands]
        yield exchanges
        failures = [
            StateFailure(exchange.to_send[0], "\n".join(exchange.received))
            for exchange in exchanges
            if exchange.received != ["OK"]
        ]
        for failure in failures:
            log.error("The PandA refused to restore %s", failure)
        if failures and self.strict:
            some = "; ".join(map(str, failures[:5]))
            more = len(failures) - 5
            raise CommandError(
                f"{len(failures)} of {len(commands)} settings were refused: {some}"
                + (f"; and {more} more" if more > 0 else "")
            )
        return failures


def split_commands(state: list[str]) -> list[list[str]]:
    """Cut lines into commands: single lines, and tables up to their blank line."""
    commands: list[list[str]] = []
    table: list[str] | None = None
    for line in state:
        if table is not None:
            table.append(line)
            table = table if line else None
        elif is_multiline_command(line):
            table = [line]
            commands.append(table)
        elif line:
            commands.append([line])
    if table is not None:
        # an editor may have taken the blank line off the end of the file
        table.append("")
    return commands


def _sets_units(line: str) -> bool:
    return line.partition("=")[0].endswith(".UNITS")
