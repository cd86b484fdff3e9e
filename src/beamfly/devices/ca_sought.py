"""`Sought`: a PV that somebody waits for, from the search to its first value.

`beamfly.devices.ca_finder` looks for many of them together.
"""

from asyncio import Future, get_running_loop
from typing import Any

from ophyd_async.core import NotConnectedError

from beamfly.ca.channel import Channel, Request
from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.dbr import Dbr, Family, promote
from beamfly.ca.ledger import Link
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.ca.pending import NEVER, not_connected
from beamfly.ca.readings import readable
from beamfly.ca.status import ECA_DISCONN, ECA_NORDACCESS
from beamfly.devices.ca_channels import ChannelHold
from beamfly.devices.ca_converters import Facts
from beamfly.errors import BeamflyError, CADisconnected, CARefused

_MAY_READ = Access.READ.value
_FLOATS = (Dbr.FLOAT, Dbr.DOUBLE)
REFUSED_SECONDS = 0.5
"""How long a PV is searched for that the server of its neighbour has not got."""


class CaNotConnected(NotConnectedError, CADisconnected):
    """A PV of a device could not be connected; the message says why."""

    def __init__(self, message: str, *, name: str = "", status: int = 0) -> None:
        CADisconnected.__init__(self, message, name=name, status=status)
        NotConnectedError.__init__(self, message)

    def __str__(self) -> str:
        """The sentence as it is, without the indent of a list of devices."""
        return str(self._errors)


class CaAbsent(CaNotConnected):
    """The server that has a record has not got this field, and nobody else has."""


class Sought(Request):
    """Somebody who waits for a PV, and what has been asked for on the way."""

    __slots__ = (
        *("answer", "digits", "guess", "hold", "pv"),
        *("refused_at", "refused_by", "timeout"),
    )

    def __init__(
        self, pv: str, timeout: float, digits: bool, guess: ClientCircuit | None
    ) -> None:
        loop = get_running_loop()
        self.pv = pv
        self.timeout = timeout
        self.digits = digits
        self.guess = guess
        self.refused_by, self.refused_at = "", NEVER
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

    @property
    def due(self) -> float:
        """When it is given up if nobody has it until then."""
        if self.hold is not None and self.channel.circuit is not None:
            return self.deadline
        return min(self.deadline, self.refused_at + REFUSED_SECONDS)

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
        if self.hold is None:
            return
        if self in self.channel.on_change:
            self.channel.on_change.remove(self)
        if self.guess is not None:
            self.hold.channel.client.core.guesses.pop(self.channel.cid, None)

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
        try:
            circuit.read(core, _question(link.type, self.digits), 0, self)
            self.hold.channel.client.sent(circuit, self.deadline)
        except BeamflyError as error:
            self.on_error(error)

    def on_value(self, *reading: Any) -> None:
        """What the PV is."""
        hold, link = self.hold, self.channel.link
        if self.answer.done() or hold is None or link is None:
            return
        facts = _facts(self.pv, link, reading[0])
        self.answer.set_result((hold, facts))

    def on_late(self) -> None:
        """It was not found in time."""
        if self.refused_by and self.channel.circuit is None:
            msg = (
                f"ca://{self.pv} is not there: {self.refused_by} has not got it, and "
                f"nobody else has answered within {REFUSED_SECONDS:g} s"
            )
            self.on_error(CaAbsent(msg, name=self.pv, status=ECA_DISCONN))
            return
        self.on_error(not_connected(self.channel, self.timeout))

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
