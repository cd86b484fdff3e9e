"""What the Channel Access commands share: options, connecting, reading, printing."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from beamfly.ca.blocking_client import Answer
from beamfly.ca.channel import Channel
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr, Family, promote
from beamfly.ca.driver import NEVER, Driver
from beamfly.ca.payloads import Value, decode
from beamfly.ca.raw_circuit import RawCircuit
from beamfly.ca.status import ECA_NORDACCESS, ECA_NORMAL
from beamfly.ca.status import message as status_message
from beamfly.ca.tool_text import Look, alarm, elements
from beamfly.cli.tool_options import Option, flag, seconds
from beamfly.errors import BeamflyError

NAME_WIDTH = 30


COMMON = (
    Option("-w", "wait", "Seconds to wait; 0: for ever.", seconds),
    Option("-p", "priority", None, int, 0, most=99),
)
LOOK = (
    flag("-n", "enum_numbers", "Enums as numbers."),
    Option("-#", "count", "Most elements of an array.", int, 0, most=2**32 - 1),
    flag("-S", "char_text", "Char arrays as text."),
    Option("-e", "exponent", "Floats as %e with digits.", int, most=99),
    Option("-f", "fixed", "Floats as %f with digits.", int, most=99),
    Option("-g", "general", "Floats as %g with digits.", int, most=99),
    flag("-s", "as_string", "Floats as the server prints them."),
    flag("-lx", "round_x", "Floats rounded, hex."),
    flag("-lo", "round_o", "Floats rounded, octal."),
    flag("-lb", "round_b", "Floats rounded, binary."),
    flag("-0x", "integer_x", "Integers in hex."),
    flag("-0o", "integer_o", "Integers in octal."),
    flag("-0b", "integer_b", "Integers in binary."),
    Option("-F", "separator", "Between fields.", default=" "),
)


def say(text: str, *, error: bool = False) -> None:
    """Print a line that whoever reads it has at once."""
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


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
    if native is Dbr.ENUM:
        as_text = not style.enum_numbers
    else:
        as_text = as_string and native in (Dbr.FLOAT, Dbr.DOUBLE)
    return promote(Dbr.STRING if as_text else native, family)


class CommandSession:
    """Connections for the time of one command."""

    def __init__(self, wait: float | None, config: Config | None = None) -> None:
        self._driver = Driver(
            config,
            lambda text: say(text, error=True),
            circuit_type=RawCircuit,
        )
        self.core = self._driver.core
        self.config = self._driver.config
        # 0 is for ever, as in the tools of EPICS base
        self.wait = (self.config.tool_timeout if wait is None else wait) or NEVER

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._driver.close()

    def connect(
        self, names: Sequence[str], priority: int, *, missing: bool = True
    ) -> list[Channel]:
        """Channels in the order of the names; `missing`: stderr has what is not there.

        They are waited for.
        """
        channels = [self.core.channel(name, priority) for name in names]
        self.run_until(lambda: all(one.link for one in channels), self.wait)
        for channel in channels:
            if channel.link is None and missing:
                text = f"Channel connect timed out: '{channel.name}' not found."
                say(text, error=True)
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
    header, payload = answer.reading
    if header.p1 != ECA_NORMAL:
        return complaint(header.p1)
    try:
        return decode(header.type, header.elements, payload)
    except BeamflyError as error:
        return f"*** {error}"


def complaint(status: int) -> str:
    """What is printed in place of a value that the server did not give."""
    if status == ECA_NORDACCESS:
        return "*** no read access"
    return f"*** CA error {status_message(status)}"


def line(
    channel: Channel,
    value: Value | str,
    style: Look,
    *,
    wanted: int = 0,
    when: str | None = None,
) -> str:
    """One line of output.

    Args:
        channel: Whose name is at the start.
        value: What it has, or what went wrong.
        style: How values are printed.
        wanted: Elements that were asked for, 0 for all.
        when: A column with the time; with it comes the alarm, whose columns are there
            even when there is none.
    """
    separator = style.separator
    is_one = channel.count <= 1 or wanted == 1
    start = f"{channel.name:<{NAME_WIDTH}}" if is_one and separator == " " else ""
    parts = [start or channel.name]
    if when is not None:
        parts.append(when)
    if isinstance(value, str):
        return separator.join([*parts, value])
    parts.append(elements(value, style, is_array=is_array(channel, wanted)))
    if when is not None:
        parts += alarm(value).split() or ["", ""]
    return separator.join(parts)


def is_array(channel: Channel, wanted: int = 0) -> bool:
    """Whether the count of elements is printed before them."""
    return channel.count > 1 or wanted > 0
