"""caget, caput, cainfo, camonitor with the options of EPICS base.

`TOOLS` has their command lines. Nothing here needs click, so that one read at the
prompt takes as long as the read, not as long as an import.
"""

import time
from collections.abc import Sequence
from typing import Any

from beamfly.ca.blocking_client import Answer
from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value, decode, pack
from beamfly.ca.raw_circuit import RawCircuit
from beamfly.ca.status import ECA_NORMAL
from beamfly.ca.status import message as status_message
from beamfly.ca.tool_text import Look, details, elements, stamp
from beamfly.cli.ca_session import (
    COMMON,
    LOOK,
    CommandSession,
    choose_type,
    line,
    look,
    say,
)
from beamfly.cli.tool_options import Option, Tool, flag
from beamfly.errors import BadValue

EVENTS = {"v": 1, "l": 2, "a": 4, "p": 8}
"""Letters of camonitor -m."""


def parse_type(text: str) -> Dbr:
    """A DBR type from its name, with or without DBR_, or from its number."""
    word = text.upper().removeprefix("DBR_")
    if word.isdigit() and int(word) in list(Dbr):
        return Dbr(int(word))
    word = word.replace("INT", "SHORT")
    if word not in Dbr.__members__:
        msg = f"{text!r} is no DBR type such as DBR_TIME_DOUBLE or 20"
        raise BadValue(msg)
    return Dbr[word]


def caget(pvs: tuple[str, ...], **arguments: Any) -> None:
    """Read PVs."""
    style = look(arguments)
    wanted = (
        None if arguments["dbr_type"] is None else parse_type(arguments["dbr_type"])
    )
    family = Family.TIME if arguments["wide"] else Family.PLAIN

    def choose(channel: Channel) -> Dbr:
        if wanted is not None:
            return wanted
        return choose_type(channel, family, style, arguments["as_string"])

    with CommandSession(arguments["wait"]) as session:
        channels = session.connect(pvs, arguments["priority"])
        values = session.read(channels, choose, arguments["count"])
        for channel, value in zip(channels, values, strict=True):
            say(_shown(channel, value, style, arguments))
    if any(isinstance(value, str) for value in values):
        raise SystemExit(1)


def _shown(
    channel: Channel, value: Value | str, style: Look, arguments: dict[str, Any]
) -> str:
    """What caget prints for one PV."""
    is_array = channel.count > 1 and not style.char_text
    if isinstance(value, Value) and arguments["dbr_type"] is not None:
        return details(channel.name, value, style, channel.native_type)
    if arguments["terse"] and isinstance(value, Value):
        return elements(value, style, is_array=is_array)
    wide = arguments["wide"]
    return line(channel.name, value, style, is_array=is_array, wide=wide)


def caput(pv: str, values: tuple[str, ...], **arguments: Any) -> None:
    """Write a PV, printing the old and the new value."""
    style = look(arguments)
    family = Family.TIME if arguments["wide"] else Family.PLAIN
    with CommandSession(arguments["wait"]) as session:
        channels = session.connect([pv], arguments["priority"])
        if channels[0].link is None:
            raise SystemExit(1)

        def show(title: str) -> bool:
            (value,) = session.read(
                channels, lambda channel: choose_type(channel, family, style), 0
            )
            is_array = channels[0].count > 1 and not style.char_text
            if arguments["terse"] and isinstance(value, Value):
                if title.startswith("New"):
                    say(elements(value, style, is_array=is_array))
            else:
                text = line(pv, value, style, is_array=is_array, wide=arguments["wide"])
                say(title + text)
            return isinstance(value, Value)

        show("Old : ")
        _write(session, channels[0], values, arguments)
        if not show("New : "):
            raise SystemExit(1)


def _write(
    session: CommandSession,
    channel: Channel,
    values: Sequence[str],
    arguments: dict[str, Any],
) -> None:
    """Send the values as text, which servers turn into whatever the PV is."""
    code, data = _text_to_send(session, channel, values, arguments)
    count, raw = pack(code, data)
    if not arguments["wait_for_it"]:
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
        say(f"Write refused: {status_message(status)}", error=True)
        raise SystemExit(1)


def _text_to_send(
    session: CommandSession,
    channel: Channel,
    values: Sequence[str],
    arguments: dict[str, Any],
) -> tuple[Dbr, Any]:
    """DBR type and data of what is to be written."""
    if arguments["char_text"]:
        return Dbr.CHAR, list(" ".join(values).encode() + b"\0")
    if arguments["as_array"]:
        # the first word is the count, as in the tools of EPICS
        return Dbr.STRING, list(values[1 : 1 + int(values[0])])
    text = values[0]
    if channel.native_type is Dbr.ENUM and not arguments["as_string"]:
        (choices,) = session.read([channel], lambda one: Dbr.GR_ENUM, 0)
        names = choices.enum_strings if isinstance(choices, Value) else ()
        is_state = text.encode() in names and not arguments["enum_numbers"]
        if not is_state and text.lstrip("-").isdigit():
            return Dbr.DOUBLE, float(text)
    return Dbr.STRING, text


def cainfo(pvs: tuple[str, ...], **arguments: Any) -> None:
    """Tell where PVs are served, and what they are."""
    with CommandSession(arguments["wait"]) as session:
        channels = session.connect(pvs, arguments["priority"])
        for channel in channels:
            say(_info(channel))
        if any(channel.link is None for channel in channels):
            raise SystemExit(1)


def _info(channel: Channel) -> str:
    """Some lines on one channel."""
    if channel.link is None:
        state = "never connected"
        return f"{channel.name}\n    State:            {state}\n"
    from beamfly.ca.channel_type import ChannelType

    access = channel.access
    may_read = "" if access & Access.READ else "no "
    may_write = "" if access & Access.WRITE else "no "
    native = ChannelType(channel.native_type).name
    return (
        f"{channel.name}\n"
        f"    State:            connected\n"
        f"    Host:             {channel.host}\n"
        f"    Access:           {may_read}read, {may_write}write\n"
        f"    Native data type: DBF_{native}\n"
        f"    Request type:     DBR_{native}\n"
        f"    Element count:    {channel.count}"
    )


class _Stamps:
    """The time column of camonitor."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._start = time.time()
        self._last: dict[str, float] = {}

    def text(self, name: str, value: Value) -> str | None:
        """What to print in place of the time stamp, None for the server's own."""
        kind = self._kind[-1:] or "s"
        now = time.time() if "c" in self._kind else value.timestamp
        if kind == "n":
            return ""
        if kind == "r":
            return f"{now - self._start:+.6f}"
        if kind in ("i", "I"):
            key = name if kind == "I" else ""
            before = self._last.get(key, now)
            self._last[key] = now
            return f"{now - before:+.6f}"
        if "c" in self._kind:
            moment = time.localtime(now)
            return time.strftime("%Y-%m-%d %H:%M:%S", moment) + f".{now % 1:.6f}"[2:]
        return None


def camonitor(pvs: tuple[str, ...], **arguments: Any) -> None:
    """Print PVs whenever they change, until Ctrl-C."""
    style = look(arguments)
    mask = sum(EVENTS.get(letter, 0) for letter in set(arguments["mask"]))
    stamps = _Stamps(arguments["stamps"])

    def choose(channel: Channel) -> tuple[int, int]:
        code = choose_type(channel, Family.TIME, style, arguments["as_string"])
        return code, min(arguments["count"], channel.count)

    page = _Page()
    with CommandSession(arguments["wait"]) as session:
        for channel in session.connect(pvs, arguments["priority"]):
            printer = _Printer(channel, style, stamps, page)
            channel.on_change.append(printer.changed)
            session.core.monitor(
                Monitor(channel, choose, mask, printer.update, printer.failed)
            )
        forever = float("inf")
        duration = arguments["duration"]
        try:
            seconds = forever if duration is None else duration
            session.run_until(lambda: page.closed is not None, seconds)
        except KeyboardInterrupt:
            # the usual way to end it
            return
    if page.closed is not None:
        raise page.closed


class _Page:
    """Where camonitor prints, until nobody reads it."""

    closed: BrokenPipeError | None = None

    def say(self, text: str) -> None:
        """Print a line; callbacks of a circuit cannot end it by raising."""
        try:
            say(text)
        except BrokenPipeError as error:
            self.closed = error


class _Printer:
    """Prints one PV of camonitor."""

    def __init__(
        self, channel: Channel, style: Look, stamps: _Stamps, page: _Page
    ) -> None:
        self._channel = channel
        self._style = style
        self._stamps = stamps
        self._page = page

    def update(self, header: Any, payload: bytes) -> None:
        """A value, or an error in its place."""
        if header.p1 != 1:
            text = "*** no access"
            self._page.say(line(self._channel.name, text, self._style, is_array=False))
            return
        value = decode(header.type, header.elements, payload)
        is_array = self._channel.count > 1 and not self._style.char_text
        text = line(
            self._channel.name, value, self._style, is_array=is_array, wide=True
        )
        other = self._stamps.text(self._channel.name, value)
        if other is not None:
            text = text.replace(stamp(value), other, 1)
        self._page.say(text)

    def changed(self, channel: Channel) -> None:
        """Connected, which updates tell, or disconnected."""
        if channel.link is None and not channel.closed:
            text = "*** disconnected"
            self._page.say(line(channel.name, text, self._style, is_array=False))

    def failed(self, error: Exception) -> None:
        """What went wrong."""
        say(f"{self._channel.name}: {error}", error=True)


TOOLS = {
    "caget": Tool(
        caget,
        ("pvs",),
        (
            *(*COMMON, *LOOK),
            flag("-c", "callback", "Accepted; reads never block here."),
            flag("-t", "terse", "Values only."),
            flag("-a", "wide", "With time stamp and alarm."),
            Option("-d", "dbr_type", "DBR type, by name or number; prints all of it."),
        ),
    ),
    "caput": Tool(
        caput,
        ("pv", "values"),
        (
            *COMMON,
            flag("-c", "wait_for_it", "Wait for completion."),
            flag("-t", "terse", "Print the new value only."),
            flag("-l", "wide", "With time stamp and alarm."),
            flag("-n", "enum_numbers", "Enums are numbers."),
            flag("-s", "as_string", "Enums are text, even if digits."),
            flag("-S", "char_text", "Send text as an array of char."),
            flag("-a", "as_array", "Values: count, then elements."),
            Option("-F", "separator", "Between fields.", default=" "),
        ),
        dashes=True,
    ),
    "cainfo": Tool(
        cainfo, ("pvs",), (*COMMON, Option("-s", "level", "Accepted.", int, 0))
    ),
    "camonitor": Tool(
        camonitor,
        ("pvs",),
        (
            *(*COMMON, *LOOK),
            Option("-m", "mask", "Events: letters of v l a p.", default="va"),
            Option("-t", "stamps", "Time: s c n r i I.", default="s"),
            Option("--duration", "duration", "Stop after so many seconds.", float),
        ),
    ),
}
"""By name."""
