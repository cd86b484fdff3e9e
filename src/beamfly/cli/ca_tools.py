"""caget, caput, cainfo, camonitor with the options of EPICS base.

`TOOLS` has their command lines. Nothing here needs click, so that one read at the
prompt takes as long as the read, not as long as an import.
"""

from typing import Any

from beamfly.ca.channel import Channel
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.ca.tool_text import Look, details, elements, stamp
from beamfly.cli.ca_monitor import camonitor
from beamfly.cli.ca_put import caput
from beamfly.cli.ca_session import (
    COMMON,
    LOOK,
    CommandSession,
    choose_type,
    is_array,
    line,
    look,
    say,
)
from beamfly.cli.tool_options import Option, Tool, flag, seconds
from beamfly.errors import BadValue


def parse_type(text: str) -> Dbr:
    """A DBR type from its name, with or without DBR_, or from its number."""
    word = text.upper().removeprefix("DBR_").replace("INT", "SHORT")
    for code in Dbr:
        is_read = code not in (Dbr.PUT_ACKT, Dbr.PUT_ACKS)
        if is_read and word in (code.name, str(code.value)):
            return code
    msg = f"{text!r} is no DBR type to read such as DBR_TIME_DOUBLE or 20"
    raise BadValue(msg)


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
    wanted = arguments["count"]
    if not isinstance(value, Value):
        return line(channel, value, style, wanted=wanted)
    if arguments["dbr_type"] is not None:
        return details(channel.name, value, style, channel.native_type)
    if arguments["terse"]:
        return elements(value, style, is_array=is_array(channel, wanted))
    when = stamp(value) if arguments["wide"] else None
    return line(channel, value, style, wanted=wanted, when=when)


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
            flag("-a", "as_array", "Values: a count, then elements."),
            Option("-F", "separator", "Between fields.", default=" "),
        ),
        options_first=True,
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
            Option("-t", "stamps", "Time: letters of s c n r i I.", default="s"),
            Option("--duration", "duration", "Stop after so many seconds.", seconds),
        ),
    ),
}
"""By name."""
