"""What the Channel Access commands share: options, connecting, reading, printing."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import click

from beamfly.ca.blocking_client import Answer
from beamfly.ca.channel import Channel
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr, Family, promote
from beamfly.ca.driver import Driver
from beamfly.ca.payloads import Value, decode
from beamfly.ca.raw_circuit import RawCircuit
from beamfly.ca.responses import ReadNotifyResponse
from beamfly.ca.tool_text import Look, alarm, elements, stamp
from beamfly.errors import BeamflyError

NAME_WIDTH = 30


def options(*groups: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Several groups of options as one decorator."""

    def decorate(function: Any) -> Any:
        for group in reversed(groups):
            for option in reversed(group):
                function = option(function)
        return function

    return decorate


COMMON = (
    click.option("-w", "wait", type=float, help="Seconds to wait for PVs."),
    click.option("-p", "priority", type=click.IntRange(0, 99), default=0),
)
LOOK = (
    click.option("-n", "enum_numbers", is_flag=True, help="Enums as numbers."),
    click.option("-#", "count", type=int, default=0, help="Most elements of an array."),
    click.option("-S", "char_text", is_flag=True, help="Char arrays as text."),
    click.option("-e", "exponent", type=int, help="Floats as %e with digits."),
    click.option("-f", "fixed", type=int, help="Floats as %f with digits."),
    click.option("-g", "general", type=int, help="Floats as %g with digits."),
    click.option("-s", "as_string", is_flag=True, help="As the server prints it."),
    click.option("-lx", "round_x", is_flag=True, help="Floats rounded, hex."),
    click.option("-lo", "round_o", is_flag=True, help="Floats rounded, octal."),
    click.option("-lb", "round_b", is_flag=True, help="Floats rounded, binary."),
    click.option("-0x", "integer_x", is_flag=True, help="Integers in hex."),
    click.option("-0o", "integer_o", is_flag=True, help="Integers in octal."),
    click.option("-0b", "integer_b", is_flag=True, help="Integers in binary."),
    click.option("-F", "separator", default=" ", help="Between fields."),
)


def look(arguments: dict[str, Any]) -> Look:
    """How to print, from the options of LOOK."""
    floats = "g"
    for letter, name in (("e", "exponent"), ("f", "fixed"), ("g", "general")):
        if arguments.get(name) is not None:
            floats = f".{arguments[name]}{letter}"
    rounded = [code for code in "xob" if arguments.get(f"round_{code}")]
    integers = [code for code in "xob" if arguments.get(f"integer_{code}")]
    return Look(
        floats=floats,
        integers=integers[-1] if integers else "d",
        floats_as=rounded[-1] if rounded else None,
        enum_numbers=bool(arguments.get("enum_numbers")),
        char_text=bool(arguments.get("char_text")),
        separator=str(arguments.get("separator", " ")),
    )


def choose_type(
    channel: Channel, family: Family, style: Look, as_string: bool = False
) -> Dbr:
    """DBR type that a command reads: enums as text unless told otherwise."""
    native = channel.native_type
    if as_string or (native is Dbr.ENUM and not style.enum_numbers):
        native = Dbr.STRING
    if native is Dbr.STRING and family > Family.TIME:
        family = Family.TIME
    return promote(native, family)


class CommandSession:
    """Connections for the time of one command."""

    def __init__(self, wait: float | None, config: Config | None = None) -> None:
        self._driver = Driver(
            config,
            lambda text: click.echo(text, err=True),
            circuit_type=RawCircuit,
        )
        self.core = self._driver.core
        self.config = self._driver.config
        self.wait = self.config.tool_timeout if wait is None else wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._driver.close()

    def connect(self, names: Sequence[str], priority: int) -> list[Channel]:
        """Channels in the order of the names; tells on stderr which are not found."""
        channels = [self.core.channel(name, priority) for name in names]
        self.run_until(lambda: all(one.link for one in channels), self.wait)
        for channel in channels:
            if channel.link is None:
                text = f"Channel connect timed out: '{channel.name}' not found."
                click.echo(text, err=True)
        return channels

    def run_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Work until something is done or the time is over."""
        return self._driver.run_until(done, time.monotonic() + seconds)

    def ask(
        self, channels: Sequence[Channel], send: Callable[[RawCircuit, Answer], None]
    ) -> list[Answer | None]:
        """Send a request to every connected channel and wait for all answers."""
        answers: list[Answer | None] = []
        end = time.monotonic() + self.wait
        for channel in channels:
            circuit = channel.circuit
            if channel.link is None or not isinstance(circuit, RawCircuit):
                answers.append(None)
                continue
            answer = Answer(channel, end)
            send(circuit, answer)
            answers.append(answer)
        waiting = [answer for answer in answers if answer is not None]
        self.run_until(lambda: all(answer.done for answer in waiting), self.wait + 1)
        return answers

    def read(
        self, channels: Sequence[Channel], choose: Callable[[Channel], Dbr], count: int
    ) -> list[Value | str]:
        """A value for each channel, or what went wrong."""

        def send(circuit: RawCircuit, answer: Answer) -> None:
            channel = answer.channel
            circuit.read(channel, choose(channel), min(count, channel.count), answer)

        return [_value(answer) for answer in self.ask(channels, send)]


def _value(answer: Answer | None) -> Value | str:
    """The value of an answer, or what went wrong."""
    if answer is None:
        return "*** Not connected (PV not found)"
    if answer.error is not None:
        return f"*** {answer.error}"
    response = ReadNotifyResponse(*answer.reading)
    if not response.status.success:
        return f"*** {response.status.description}"
    head = response.header
    try:
        return decode(head.data_type, head.data_count, b"".join(response.buffers))
    except BeamflyError as error:
        return f"*** {error}"


def line(
    name: str, value: Value | str, style: Look, *, is_array: bool, wide: bool = False
) -> str:
    """One line of output: name, time stamp and alarm if wide, value."""
    separator = style.separator
    start = f"{name:<{NAME_WIDTH}}" if separator == " " else name
    if isinstance(value, str):
        return start + separator + value
    parts = [elements(value, style, is_array=is_array)]
    if wide:
        parts = [stamp(value), *parts, *alarm(value).split()]
    return separator.join([start, *parts])
