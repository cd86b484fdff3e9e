"""camonitor with the options of EPICS base."""

import time
from typing import Any

from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.dbr import Family
from beamfly.ca.payloads import Value, decode
from beamfly.ca.status import ECA_NORMAL
from beamfly.ca.tool_text import Look, moment, stamp
from beamfly.cli.ca_session import (
    CommandSession,
    choose_type,
    complaint,
    line,
    look,
    say,
)
from beamfly.errors import BadValue

EVENTS = {"v": 1, "l": 2, "a": 4, "p": 8}
"""Letters of camonitor -m."""
CLOCKS = "scnriI"
"""Letters of camonitor -t."""


def camonitor(pvs: tuple[str, ...], **arguments: Any) -> None:
    """Print PVs whenever they change, until Ctrl-C."""
    style = look(arguments)
    mask = sum(EVENTS[letter] for letter in _letters("-m", arguments["mask"], EVENTS))
    stamps = Stamps(_letters("-t", arguments["stamps"], CLOCKS))
    count = arguments["count"]

    def choose(channel: Channel) -> tuple[int, int]:
        code = choose_type(channel, Family.TIME, style, arguments["as_string"])
        return code, min(count, channel.count)

    page = _Page()
    with CommandSession(arguments["wait"]) as session:
        for name in pvs:
            channel = session.core.channel(name, arguments["priority"])
            printer = _Printer(channel, style, stamps, count, page)
            channel.on_change.append(printer.changed)
            session.core.monitor(
                Monitor(channel, choose, mask, printer.update, printer.failed)
            )
        duration = arguments["duration"]
        end = time.monotonic() + (float("inf") if duration is None else duration)
        patience = min(end, time.monotonic() + session.wait)
        try:
            session.run_until(
                lambda: page.closed is not None, patience - time.monotonic()
            )
            for channel in session.core.channels.values():
                if not channel.was_connected:
                    missing = "*** Not connected (PV not found)"
                    page.say(line(channel, missing, style))
            session.run_until(lambda: page.closed is not None, end - time.monotonic())
        except KeyboardInterrupt:
            # the usual way to end it
            return
    if page.closed is not None:
        raise page.closed


def _letters(option: str, given: str, known: Any) -> set[str]:
    """The letters of an option, at least one of those that are known."""
    if not given or set(given) - set(known):
        msg = f"{option} {given} is not made of the letters {' '.join(known)}"
        raise BadValue(msg)
    return set(given)


class Stamps:
    """The time column of camonitor."""

    def __init__(self, kinds: set[str]) -> None:
        """Start the clock.

        Args:
            kinds: s and c: the time of the server, and the one here in parentheses; s
                if there is neither. r since the start, i since the last update, I
                since the last one of the same PV. Nothing of it: n.
        """
        if not kinds & set("scn"):
            kinds = kinds | {"s"}
        self._kinds = kinds
        here = time.time_ns()
        self._last: dict[object, tuple[int, int]] = {}
        """Of a PV, or of all (None): the last times of server and client."""
        self._first = here
        self._first_here = here
        self._shown: set[object] = set()

    def text(self, key: object, value: Value, here: int) -> str:
        """What to print for an update of a PV that arrived at that time."""
        if not self._shown:
            self._first = value.time_ns
        before = (self._first, self._first_here)
        if not self._kinds & set("r"):
            before = self._last.get(key if "I" in self._kinds else None, before)
        now = (value.time_ns, here)
        # the first of each PV is absolute, so that one knows what it is relative to
        absolute = key not in self._shown or not self._kinds & set("riI")
        self._shown.add(key)
        self._last[key] = self._last[None] = now
        if absolute:
            server, client = stamp(value), f"({moment(here)})"
        else:
            gone = [(one - other) / 1e9 for one, other in zip(now, before, strict=True)]
            server, client = (f"{'':14}{gone[0]:+12.6f}", f"{'':14}({gone[1]:+12.6f})")
        return server * ("s" in self._kinds) + client * ("c" in self._kinds)


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
        self, channel: Channel, style: Look, stamps: Stamps, count: int, page: _Page
    ) -> None:
        self._channel = channel
        self._style = style
        self._stamps = stamps
        self._count = count
        self._page = page

    def update(self, header: Any, payload: bytes) -> None:
        """A value, or an error in its place."""
        if header.p1 != ECA_NORMAL:
            self._complain(complaint(header.p1))
            return
        value = decode(header.type, header.elements, payload)
        when = self._stamps.text(self, value, time.time_ns())
        self._page.say(
            line(self._channel, value, self._style, wanted=self._count, when=when)
        )

    def changed(self, channel: Channel) -> None:
        """Connected, which updates tell, or disconnected."""
        if channel.link is None and not channel.closed:
            self._complain("*** disconnected")

    def failed(self, error: Exception) -> None:
        """What went wrong."""
        self._complain(f"*** {error}")

    def _complain(self, text: str) -> None:
        """There is no value, and why; since when is worth knowing."""
        when = moment(time.time_ns())
        self._page.say(line(self._channel, text, self._style, when=when))
