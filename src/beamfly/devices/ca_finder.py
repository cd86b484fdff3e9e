"""`find`: a PV that is looked for, connected, and read once for what it is.

A device has dozens of signals and a beamline thousands, all of which connect at the
same time. So what is asked for in one turn of the event loop goes together: one search,
one timer, and each PV is read in the moment in which its channel opens.

Only the value is asked for where that is enough: the server need not look up units and
limits, which nobody wants before `describe`, and numbers are answered in a form that is
parsed much faster.
"""

import asyncio
import logging
from asyncio import Future, get_running_loop
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from ophyd_async.core import NotConnectedError

from beamfly.ca.channel import Channel, Request
from beamfly.ca.dbr import Dbr, Family, promote
from beamfly.ca.ledger import Link
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.ca.pending import NEVER
from beamfly.ca.readings import readable
from beamfly.ca.status import ECA_DISCONN, ECA_NORDACCESS, ECA_TIMEOUT
from beamfly.devices.ca_channels import ChannelHold, hold_channels
from beamfly.devices.ca_converters import Facts
from beamfly.errors import BadValue, CADisconnected, CAError, CARefused, CATimeout

log = logging.getLogger("ophyd_async")
_MAY_READ = Access.READ.value
_FLOATS = (Dbr.FLOAT, Dbr.DOUBLE)


class CaNotConnected(NotConnectedError, CADisconnected):
    """A PV of a device could not be connected; the message says why."""

    def __init__(self, message: str, *, name: str = "", status: int = 0) -> None:
        CADisconnected.__init__(self, message, name=name, status=status)
        NotConnectedError.__init__(self, message)

    def __str__(self) -> str:
        """The sentence as it is, without the indent of a list of devices."""
        return str(self._errors)


class _Sought(Request):
    """Somebody who waits for a PV, and what has been asked for on the way."""

    __slots__ = ("answer", "digits", "hold", "pv", "timeout")

    def __init__(self, pv: str, timeout: float, digits: bool) -> None:
        loop = get_running_loop()
        self.pv = pv
        self.timeout = timeout
        self.digits = digits
        self.deadline = loop.time() + timeout
        self.answer: Future[tuple[ChannelHold, Facts]] = loop.create_future()
        self.hold: ChannelHold | None = None

    @property
    def wanted(self) -> bool:
        """Not if whoever waited has been cancelled."""
        return not self.answer.done()

    @property
    def found(self) -> bool:
        """Whether it is connected, and its circuit sees to the rest."""
        return self.hold is not None and self.channel.link is not None

    def begin(self, hold: ChannelHold) -> None:
        """The search has begun, or is not necessary."""
        self.hold = hold
        core = self.channel = hold.channel.core
        if core.link is not None:
            self._ask(core, core.link)
        else:
            core.on_change.append(self)

    def end(self) -> None:
        """Nothing more is to be told."""
        if not self.answer.cancel() and not self.answer.cancelled():
            # an error that nobody has come to look at is no error any more
            self.answer.exception()
        if self.hold is not None and self in self.channel.on_change:
            self.channel.on_change.remove(self)

    def __call__(self, core: Channel) -> None:
        """The channel has changed."""
        if core.link is None and not core.closed:
            return
        core.on_change.remove(self)
        if core.link is not None:
            self._ask(core, core.link)
            return
        msg = f"{self.pv} was closed before it was found"
        self.on_error(CADisconnected(msg, name=self.pv, status=ECA_DISCONN))

    def _ask(self, core: Channel, link: Link) -> None:
        """Read it, if that is allowed."""
        circuit = core.circuit
        if not self.wanted or circuit is None or self.hold is None:
            return
        if not link.rights & _MAY_READ:
            msg = f"{self.pv} may not be read: the server at {circuit.host} denies it"
            self.on_error(CARefused(msg, name=self.pv, status=ECA_NORDACCESS))
            return
        circuit.read(core, _question(link.type, self.digits), 0, self)
        self.hold.channel.client.sent(circuit, self.deadline)

    def on_value(self, *reading: Any) -> None:
        """What the PV is."""
        hold, link = self.hold, self.channel.link
        if self.answer.done() or hold is None or link is None:
            return
        facts = _facts(self.pv, link, reading[0])
        self.answer.set_result((hold, facts))

    def on_late(self) -> None:
        """It was not found in time."""
        msg = f"{self.pv} was not found within {self.timeout} s"
        self.on_error(CATimeout(msg, name=self.pv, status=ECA_TIMEOUT))

    def on_error(self, error: Exception) -> None:
        """Why it is not there."""
        if not self.answer.done():
            self.answer.set_exception(error)


def _question(native: int, digits: bool) -> Dbr:
    """What to ask a PV of a native type for."""
    if native == Dbr.STRING:
        # with an alarm, as the bytes of its text come then as they are
        return promote(Dbr.STRING, Family.STS)
    if native == Dbr.ENUM or (digits and native in _FLOATS):
        return promote(native, Family.CTRL)
    return Dbr(native)


def _facts(pv: str, link: Link, answer: Any) -> Facts:
    """What an answer says."""
    native = Dbr(link.type)
    if not isinstance(answer, Value):
        return Facts(pv, native, link.count, answer)
    elements = answer.elements()
    return Facts(
        pv,
        native,
        link.count,
        elements[0] if len(elements) == 1 else elements,
        tuple(map(readable, answer.enum_strings)),
        answer.precision,
    )


class _Finder:
    """Everybody in one event loop who waits for a PV."""

    def __init__(self) -> None:
        self._new: list[_Sought] = []
        self._waiting: set[_Sought] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = NEVER

    def seek(self, pv: str, timeout: float, digits: bool) -> _Sought:
        """Look for a PV in the next turn of the loop."""
        sought = _Sought(pv, timeout, digits)
        if not self._new:
            get_running_loop().call_soon(self._begin)
        self._new.append(sought)
        self._waiting.add(sought)
        return sought

    def forget(self, sought: _Sought) -> None:
        """It is found, or nobody waits for it any more."""
        sought.end()
        self._waiting.discard(sought)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due = NEVER

    def _begin(self) -> None:
        """Look for all that was asked for in one turn."""
        new, self._new = self._new, []
        new = [sought for sought in new if sought.wanted]
        try:
            holds = hold_channels([sought.pv for sought in new])
        except (BadValue, CAError) as error:
            if len(new) == 1:
                new[0].on_error(error)
                return
            # the others are not to suffer from one impossible name
            for sought in new:
                self._new = [sought]
                self._begin()
            return
        for sought, hold in zip(new, holds, strict=True):
            sought.begin(hold)
        self._arm(min((sought.deadline for sought in new), default=NEVER))

    def _arm(self, due: float) -> None:
        """Look for what is out of time then."""
        if due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = get_running_loop().call_at(due, self._expire)

    def _expire(self) -> None:
        """Give up what was not found in time; circuits see to what was."""
        self._timer, self._due = None, NEVER
        now = get_running_loop().time()
        searched = [one for one in self._waiting if one.wanted and not one.found]
        for sought in searched:
            if sought.deadline <= now:
                sought.on_late()
        self._arm(min((one.deadline for one in searched if one.wanted), default=NEVER))


_finders: WeakKeyDictionary[asyncio.AbstractEventLoop, _Finder] = WeakKeyDictionary()


Found = tuple[ChannelHold, Facts]
"""A connected channel, and what the server tells of it."""


async def find(pv: str, timeout: float, digits: bool = False) -> Found:
    """A connected channel and what the server tells of it.

    Args:
        pv: Its name.
        timeout: Seconds that it may take.
        digits: Whether to ask for the precision of a float.

    Raises:
        CaNotConnected: It was not found, or may not be read; the message says why.
        BadValue: There cannot be a PV of that name.
    """
    finder = _finder()
    sought = finder.seek(pv, timeout, digits)
    try:
        return await _outcome(sought)
    finally:
        finder.forget(sought)


async def find_each(
    pvs: Mapping[str, str], timeout: float, digits: bool = False
) -> list[Found]:
    """`find` for several PVs at once; NotConnectedError has the errors of all.

    Args:
        pvs: Key of the error -> name.
        timeout: Seconds that it may take.
        digits: Whether to ask for the precision of a float.
    """
    finder = _finder()
    sought = {key: finder.seek(pv, timeout, digits) for key, pv in pvs.items()}
    found: list[Found] = []
    errors: dict[str, Exception] = {}
    try:
        for key, one in sought.items():
            try:
                found.append(await _outcome(one))
            except Exception as error:
                errors[key] = error
    finally:
        for one in sought.values():
            finder.forget(one)
    if errors:
        raise NotConnectedError.with_other_exceptions_logged(errors)
    return found


def _finder() -> _Finder:
    """Of the running event loop."""
    loop = get_running_loop()
    finder = _finders.get(loop)
    if finder is None:
        finder = _finders[loop] = _Finder()
    return finder


async def _outcome(sought: _Sought) -> Found:
    """What has come of a search; CaNotConnected as ophyd-async wants to have it."""
    try:
        return await sought.answer
    except (CATimeout, CARefused, CADisconnected) as error:
        log.debug("signal ca://%s did not connect: %s", sought.pv, error)
        msg = f"ca://{error}"
        raise CaNotConnected(msg, name=sought.pv, status=error.status) from error
