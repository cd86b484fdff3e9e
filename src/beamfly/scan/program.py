"""A submitted scan, made ready: files included, macros known, everything checked.

`compile_program` turns commands into `Step`s that the engine can execute, or refuses.
Commands stay the objects that were submitted, so that a patch of one takes effect.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from beamfly.errors import BadValue
from beamfly.scan import commands as scan
from beamfly.scan.containers import Container
from beamfly.scan.macros import expand, parse_macros
from beamfly.scan.moves import Written
from beamfly.scan.points import count_loop
from beamfly.scan.sequence import read_commands
from beamfly.scan.values import parse_double, parse_value

DEEPEST_INCLUDE = 20
MOST_UNITS = 10**15
"""Work is not counted beyond this, so that estimates stay numbers."""


class Script(Protocol):
    """A script class with its arguments."""

    @property
    def devices(self) -> list[str]:
        """Names of the devices that it uses."""
        ...


class Library(Protocol):
    """Where files to include and script classes come from."""

    def read(self, name: str) -> str:
        """Text of a file; BadValue if there is none that may be read."""
        ...

    def script(self, name: str, arguments: list[str]) -> Script:
        """A script; BadValue if there is none, or scripts are not allowed."""
        ...

    def handler(self, name: str) -> object | None:
        """An error handler, None if it is a builtin one; BadValue if there is none."""
        ...


@dataclass
class Step:
    """A command, ready to be executed."""

    command: scan.XmlCommand
    """As it was submitted."""
    address: int
    """Its number in the scan, -1 in included files."""
    macros: Mapping[str, str]
    """In force at this place."""
    body: list["Step"] = field(default_factory=list["Step"])
    """Steps of the body, or of the included file."""
    units: int = 1
    """Work that it takes, its body included."""
    script: Script | None = None
    """What a `Script` executes."""
    handler: object | None = None
    """Error handler of the site's own, None for a builtin one or none at all."""
    executions: int = 0
    """How often a `Loop` was executed."""

    def name(self, text: str) -> str:
        """A text with its macros replaced."""
        return expand(text, self.macros)

    @property
    def body_units(self) -> int:
        """Work that the body takes once."""
        return sum(step.units for step in self.body)

    def walk(self) -> Iterator["Step"]:
        """This step and all within, in the order of their addresses."""
        yield self
        for step in self.body:
            yield from step.walk()


@dataclass
class _Compiler:
    library: Library
    limit: int
    counter: int = 0
    depth: int = 0
    made: int = 0

    def steps(
        self, commands: Iterable[Any], macros: Mapping[str, str], counted: bool
    ) -> list[Step]:
        return [self.step(command, macros, counted) for command in commands]

    def step(
        self, command: scan.XmlCommand, macros: Mapping[str, str], counted: bool
    ) -> Step:
        self.made += 1
        if self.made > self.limit:
            raise BadValue(f"A scan may have {self.limit} commands, and this has more")
        step = Step(command, self.counter if counted else -1, macros)
        self.counter += counted
        handler = getattr(command, "errhandler", None)
        if handler:
            step.handler = self.library.handler(handler)
        if isinstance(command, Container):
            step.body = self.steps(command.body, macros, counted)
        elif isinstance(command, scan.Include):
            step.body = self.included(command, macros)
        elif isinstance(command, scan.Script):
            arguments = [str(item) for item in command.arguments]
            step.script = self.library.script(command.path, arguments)
        step.units = min(_units(step), MOST_UNITS)
        return step

    def included(self, command: scan.Include, macros: Mapping[str, str]) -> list[Step]:
        file = expand(command.scan, macros)
        if self.depth >= DEEPEST_INCLUDE:
            raise BadValue(f"Include '{file}' is nested too deeply")
        inner = {**macros, **parse_macros(expand(command.macros or "", macros))}
        try:
            commands = read_commands(self.library.read(file))
        except BadValue as error:
            raise BadValue(f"Include '{file}': {error}") from None
        self.depth += 1
        steps = self.steps(commands, inner, counted=False)
        self.depth -= 1
        return steps


def _units(step: Step) -> int:
    body = step.body_units
    match step.command:
        case scan.Loop(start=start, end=end, step=size):
            return count_loop(start, end, size) * (body or 1)
        case scan.Parallel() | scan.Sequence():
            return 1 + body
        case scan.If() | scan.Include():
            return body
        case _:
            return 1


def compile_program(
    commands: Iterable[scan.XmlCommand],
    macros: Mapping[str, str],
    library: Library,
    limit: int = 100_000,
) -> list[Step]:
    """Steps for commands.

    Args:
        commands: as read from XML.
        macros: in force at the start.
        library: of files, scripts and handlers.
        limit: most commands, included ones counted.

    Raises:
        BadValue: something in them cannot be executed.
    """
    return _Compiler(library, limit).steps(commands, macros, counted=True)


def devices_of(steps: Iterable[Step]) -> list[str]:
    """Names of all devices that steps use, each once, in order."""
    names: dict[str, None] = {}
    for top in steps:
        for step in top.walk():
            names.update(dict.fromkeys(_devices(step)))
    return list(names)


def _devices(step: Step) -> list[str]:
    command = step.command
    if isinstance(command, Written):
        used = [command.device, *([command.readback] if command.wait else [])]
        return [step.name(name) for name in used]
    if isinstance(command, (scan.Wait, scan.If)):
        return [step.name(command.device)]
    if isinstance(command, scan.Log):
        return [step.name(name) for name in command.devices]
    return list(step.script.devices) if step.script else []


_PATCH_NAMES = {
    "device": "device_name",
    "errhandler": "error_handler",
    "step": "step_size",
    "text": "comment",
    "path": "script",
    "scan": "scan_file",
}
"""Field -> property in a patch, where they differ."""


def _patched_field(command: Any, name: str) -> str | None:
    """The field that a patch means; None if the command has no such property."""
    for item in fields(command):
        known = _PATCH_NAMES.get(item.name, item.name)
        if isinstance(command, scan.Wait) and item.name == "value":
            known = "desired_value"
        if known == name and item.name not in ("body", "devices", "arguments"):
            return item.name
    return None


def patch(steps: Iterable[Step], address: int, name: str, text: str) -> None:
    """Change a property of the command at an address.

    Commands at the top and in loops can be reached, those in other bodies cannot.

    Raises:
        BadValue: there is no such command or property, or the text does not suit it.
    """
    command: Any = None
    for step in _patchable(steps):
        if step.address == address:
            command = step.command
    if command is None:
        raise BadValue(f"There is no command {address} that can be patched")
    found = _patched_field(command, name)
    if found is None:
        kind = type(command).__name__
        raise BadValue(f"Command {address}, {kind}, has no property {name!r}")
    setattr(command, found, _parsed(command, found, text))
    if name == "step_size":
        command.tolerance = abs(command.step) / 10
    if name in ("wait", "readback"):
        command.settle()


def _parsed(command: Any, name: str, text: str) -> Any:
    if name == "comparison":
        if text.strip() not in scan.COMPARISONS:
            raise BadValue(f"{text!r} is no comparison: use a symbol such as >=")
        return text.strip()
    if name in ("value", "readback_value"):
        return parse_value(text)
    if name in ("completion", "wait", "automatic"):
        return text.strip().lower() == "true"
    number = isinstance(getattr(command, name), (int, float))
    return parse_double(text) if number else text.strip()


def _patchable(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step.command, scan.Loop):
            yield from _patchable(step.body)
