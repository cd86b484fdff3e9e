"""`find`: a PV that is looked for, connected, and read once for what it is.

A device has dozens of signals and a beamline thousands, all of which connect at the
same time. So what is asked for in one turn of the event loop goes together: one search,
one timer, and each PV is read in the moment in which its channel opens.

Only the value is asked for where that is enough: the server need not look up units and
limits, which nobody wants before `describe`, and numbers are answered in a form that is
parsed much faster.

A field of a record is not searched for when the record is connected already: its server
is asked at once, and tells at once if there is no such field. Nobody answers a search
for what does not exist, so that one would have to wait to learn the same. A gateway may
refuse what it has not been asked to look for yet; so a search follows a refusal, for a
short while.
"""

import asyncio
import logging
from asyncio import get_running_loop
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from ophyd_async.core import NotConnectedError

from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.pending import NEVER
from beamfly.ca.rules import CircuitState
from beamfly.devices.ca_channels import ChannelHold, hold_channels
from beamfly.devices.ca_converters import Facts
from beamfly.devices.ca_sought import CaNotConnected, Sought
from beamfly.errors import CADisconnected, CARefused, CATimeout

log = logging.getLogger("ophyd_async")


class _Finder:
    """Everybody in one event loop who waits for a PV."""

    def __init__(self) -> None:
        self._new: list[Sought] = []
        self._waiting: set[Sought] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = NEVER

    def seek(
        self,
        pv: str,
        timeout: float,
        digits: bool,
        guess: ClientCircuit | None = None,
    ) -> Sought:
        """Look for a PV in the next turn of the loop."""
        sought = Sought(pv, timeout, digits, guess)
        if not self._new:
            get_running_loop().call_soon(self._begin)
        self._new.append(sought)
        self._waiting.add(sought)
        return sought

    def forget(self, sought: Sought) -> None:
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
        except Exception as error:
            # such as no socket for a client; whoever waits is to be told
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
            if sought.guess is not None:
                self._ask(sought, hold, sought.guess)
        self._arm(min((sought.deadline for sought in new), default=NEVER))

    def _ask(self, sought: Sought, hold: ChannelHold, circuit: ClientCircuit) -> None:
        """Ask a server for it instead of everybody."""
        client, core = hold.channel.client, hold.channel.core
        sought.guess = None
        if core.circuit is not None or circuit.state is not CircuitState.OPEN:
            return
        if client.core.searches.remove(core.cid):
            sought.guess = circuit
            client.core.guesses[core.cid] = lambda: self._refused(sought, hold, circuit)
            circuit.create([core])
            client.sent(circuit, NEVER)

    def _refused(
        self, sought: Sought, hold: ChannelHold, circuit: ClientCircuit
    ) -> None:
        """The server has not got it: ask everybody, for a short while."""
        client = hold.channel.client
        sought.refused_by = circuit.host
        # in steps, so that those that are refused together are given up together
        sought.refused_at = round(get_running_loop().time() + 0.05, 1)
        client.core.searches.add(sought.channel.cid, sought.pv)
        client.pump_soon()
        self._arm(sought.due)

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
            if sought.due <= now:
                sought.on_late()
        self._arm(min((one.due for one in searched if one.wanted), default=NEVER))


_finders: WeakKeyDictionary[asyncio.AbstractEventLoop, _Finder] = WeakKeyDictionary()


Found = tuple[ChannelHold, Facts]
"""A connected channel, and what the server tells of it."""


async def find(
    pv: str,
    timeout: float,
    digits: bool = False,
    guess: ClientCircuit | None = None,
) -> Found:
    """A connected channel and what the server tells of it.

    Args:
        pv: Its name.
        timeout: Seconds that it may take.
        digits: Whether to ask for the precision of a float.
        guess: The server that should have it, None: nobody knows.

    Raises:
        CaAbsent: The server has not got it, and nobody else has answered.
        CaNotConnected: It was not found, or may not be read; the message says why.
        BadValue: There cannot be a PV of that name.
    """
    finder = _finder()
    sought = finder.seek(pv, timeout, digits, guess)
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


async def _outcome(sought: Sought) -> Found:
    """What has come of a search; CaNotConnected as ophyd-async wants to have it."""
    try:
        return await sought.answer
    except CaNotConnected:
        raise
    except (CATimeout, CARefused, CADisconnected) as error:
        log.debug("signal ca://%s did not connect: %s", sought.pv, error)
        msg = f"ca://{error}"
        raise CaNotConnected(msg, name=sought.pv, status=error.status) from error
