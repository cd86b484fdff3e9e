"""caput with the options of EPICS base: values are typed, and go out as text.

Servers turn text into whatever the PV is. States of an enum are looked up before, so
that what is none of them is said here and not written.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from beamfly.ca.blocking_client import Answer
from beamfly.ca.channel import Channel
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.payloads import Value, pack
from beamfly.ca.pending import refused
from beamfly.ca.raw_circuit import RawCircuit
from beamfly.ca.status import ECA_NORMAL
from beamfly.ca.tool_text import elements, stamp, unescaped
from beamfly.cli.ca_session import (
    CommandSession,
    choose_type,
    is_array,
    line,
    look,
    say,
)
from beamfly.errors import BadValue

INFINITY = float("inf")


def caput(pv: str, values: tuple[str, ...], **arguments: Any) -> None:
    """Write a PV, printing the old and the new value."""
    style = look(arguments)
    family = Family.TIME if arguments["wide"] else Family.PLAIN
    terse = arguments["terse"]
    with CommandSession(arguments["wait"]) as session:
        (channel,) = channels = session.connect([pv], arguments["priority"])
        if channel.link is None:
            raise SystemExit(1)

        def show(title: str) -> bool:
            (value,) = session.read(
                channels, lambda channel: choose_type(channel, family, style), 0
            )
            is_value = isinstance(value, Value)
            if terse and is_value:
                say(elements(value, style, is_array=is_array(channel)))
            else:
                when = stamp(value) if arguments["wide"] and is_value else None
                say(title + line(channel, value, style, when=when))
            return is_value

        code, data = _to_send(session, channel, values, arguments)
        if not terse:
            show("Old : ")
        circuit = channel.circuit
        _write(session, channel, code, data, completion=arguments["wait_for_it"])
        shown = show("" if terse else "New : ")
        # a server answers in order: it has said by now if it did not write
        if not shown or (isinstance(circuit, RawCircuit) and circuit.failed_writes):
            raise SystemExit(1)


def _write(
    session: CommandSession, channel: Channel, code: Dbr, data: Any, *, completion: bool
) -> None:
    """Send values, and wait until the server has processed them if told so."""
    count, raw = pack(code, data)
    if not completion:
        if channel.circuit is not None:
            channel.circuit.write(channel, code, count, raw)
        return

    def send(circuit: RawCircuit, answer: Answer) -> None:
        circuit.write_notify(channel, code, count, raw, answer)

    (answer,) = session.ask([channel], send)
    if answer is None or answer.error is not None:
        say(f"Write was not confirmed: {answer and answer.error}", error=True)
        raise SystemExit(1)
    status = answer.reading[0].p1
    if status != ECA_NORMAL:
        say(str(refused(channel.name, status, "written")), error=True)
        raise SystemExit(1)


def _to_send(
    session: CommandSession,
    channel: Channel,
    values: Sequence[str],
    arguments: dict[str, Any],
) -> tuple[Dbr, Any]:
    """DBR type and data of what is to be written."""
    as_array = arguments["as_array"]
    if as_array and not values[0].isdigit():
        msg = (
            f"{values[0]!r} is not the number of elements, which is the first value "
            f"after -a; nothing was written to {channel.name}"
        )
        raise BadValue(msg)
    texts = values[1:] if as_array else [" ".join(values)]
    if channel.native_type is Dbr.ENUM:
        code, data = _states(session, channel, texts, arguments)
    elif arguments["char_text"] and not as_array:
        return Dbr.CHAR, list(unescaped(texts[0]) + b"\0")
    else:
        code, data = Dbr.STRING, [unescaped(text) for text in texts]
        numbers = [number(text) for text in texts]
        is_float = channel.native_type in (Dbr.FLOAT, Dbr.DOUBLE)
        if is_float and {INFINITY, -INFINITY} & set(numbers) and None not in numbers:
            # C servers take no text for it
            code, data = Dbr.DOUBLE, numbers
    return code, data if as_array else data[0]


def number(text: str) -> float | None:
    """What a text says as a number, hexadecimal ones included; None if nothing."""
    with contextlib.suppress(ValueError):
        return float(text)
    with contextlib.suppress(ValueError, OverflowError):
        return float(int(text, 0))
    return None


def _states(
    session: CommandSession,
    channel: Channel,
    texts: Sequence[str],
    arguments: dict[str, Any],
) -> tuple[Dbr, list[Any]]:
    """Type and data for states of an enum, by name or by number."""
    (choices,) = session.read([channel], lambda one: Dbr.GR_ENUM, 1)
    if not isinstance(choices, Value):
        msg = f"the states of {channel.name} were not read: {choices}; it is as it was"
        raise BadValue(msg)
    names = [] if arguments["enum_numbers"] else list(choices.enum_strings)
    raws = [unescaped(text) for text in texts]
    if all(raw in names for raw in raws):
        return Dbr.STRING, raws
    indices: list[float] = []
    for raw, text in zip(raws, texts, strict=True):
        as_number = None if arguments["as_string"] else number(text)
        index = names.index(raw) if raw in names else as_number
        if index is None:
            known = b", ".join(names).decode(errors="replace") or "numbers"
            msg = (
                f"{text!r} is no state of {channel.name}, which are {known}; "
                "nothing was written"
            )
            raise BadValue(msg)
        indices.append(index)
        if index >= (len(choices.enum_strings) or INFINITY):
            say(f"Warning: {channel.name} has no state {text}.", error=True)
    return Dbr.DOUBLE, indices
