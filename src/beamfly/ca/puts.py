"""A client's put on its way into a PV.

A PV's `on_put` is called with a `Put` before anything changes. It may

* return: the value is taken (change `put.value` to take another one);
* raise BadValue, or CARefused with an ECA status: the client gets an error, the PV
  stays as it is;
* call `put.hold()` and return: the value is taken now, a client that waits for
  completion waits until somebody calls `put.finish()`;
* be a coroutine function: the value is taken when it returns, or earlier when it calls
  `put.accept()`; a client that waits does so until it returns.

    def move(put):                          # a motor that a simulation moves later
        motor.start(put.value, done=put.finish)
        put.hold()

All of it belongs to the thread that serves the PV. Puts to one PV may overlap while a
hook takes its time; a second put on a moving motor has to get through.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beamfly.ca.access import Peer
from beamfly.ca.conversion import Text, convert, unpack
from beamfly.ca.dbr import Dbr
from beamfly.ca.status import ECA_BADTYPE, ECA_NORMAL, ECA_PUTFAIL
from beamfly.errors import CARefused

if TYPE_CHECKING:
    from beamfly.ca.pv import PV

HOOK_FAILED = "the server's put hook failed"
"""What a client is told of a mistake in a hook."""
_PRINTED = 6
"""Digits of a number that is put into a text, as an IOC has it."""


class Put:
    """One put; see the module's text."""

    __slots__ = ("_accepted", "_held", "_reply", "name", "peer", "pv", "value", "wait")

    def __init__(
        self,
        pv: "PV",
        name: str,
        value: Any,
        peer: Peer,
        reply: Callable[[int, str], None] | None = None,
        *,
        wait: bool = False,
    ) -> None:
        self.pv = pv
        """Where it goes."""
        self.name = name
        """The name that the client used."""
        self.value = value
        """What is put, in the PV's own type: number, str, array, tuple of str."""
        self.peer = peer
        """Who puts."""
        self.wait = wait
        """Whether the client waits for completion."""
        self._reply = reply
        self._accepted = False
        self._held = False

    @property
    def done(self) -> bool:
        """Whether `finish` was called."""
        return self._reply is _gone

    def start(self) -> "PutWaits | None":
        """Ask the hook; raises what it raises.

        Returns:
            A coroutine to be awaited, if that is what the hook is; otherwise the PV has
            its value, and the put is finished unless the hook holds it.
        """
        hook = self.pv.on_put
        work = None if hook is None else hook(self)
        # a lambda has a result, whether it means it or not
        if work is not None and hasattr(work, "__await__"):
            return PutWaits(self, work)
        self.settle()
        return None

    def settle(self) -> None:
        """The hook is over: the PV takes the value; finish unless the hook holds it.

        Raises:
            BadValue: The hook gave it a value that does not fit.
        """
        self.accept()
        if not self._held:
            self.finish()

    def hold(self) -> None:
        """Completion comes later, by `finish`."""
        self._held = True

    def accept(self) -> None:
        """Give the PV the value now; later calls do nothing."""
        if not self._accepted:
            self._accepted = True
            self.pv.post(self.value)

    def redirect(self, pv: "PV", value: Any) -> "Awaitable[None] | None":
        """Put another value to another PV instead; what its hook returns."""
        self.pv, self.value = pv, value
        return None if pv.on_put is None else pv.on_put(self)

    def finish(self, status: int = ECA_NORMAL, why: str = "") -> None:
        """Processing is over; tell the client if it waits. Later calls do nothing.

        Args:
            status: ECA status; anything but 1 is a failure.
            why: What went wrong, for the client's user.
        """
        if self._reply is _gone:
            return
        reply, self._reply = self._reply, _gone
        if reply is not None:
            reply(status, why)

    def fail(self, error: Exception) -> None:
        """Processing is over, and it was no success."""
        status = getattr(error, "status", 0) or ECA_PUTFAIL
        self.finish(status, str(error))


def _gone(status: int, why: str) -> None:
    """Stands for a reply that was given."""


PutHook = Callable[[Put], Awaitable[None] | None]
"""What `on_put` is; see the module's text."""


@dataclass(frozen=True, slots=True)
class PutWaits:
    """A hook is a coroutine: await it, then call `put.settle()` or `put.fail()`."""

    put: Put
    work: Awaitable[None]


@dataclass(frozen=True, slots=True)
class HookFailed:
    """A hook raised something that is no word to the client: a mistake in the hook."""

    put: Put
    error: Exception


def incoming(pv: "PV", code: int, count: int, payload: bytes) -> Any:
    """What a client's bytes mean to a PV: in its type, clipped to its control limits.

    Elements beyond the PV's length are dropped.

    Raises:
        BadValue: Bytes are missing, or text is no number and no state.
        CARefused: Such a type cannot be put.
    """
    if not 0 <= code <= Dbr.DOUBLE:
        msg = f"a value of DBR type {code} cannot be put; nothing was changed"
        raise CARefused(msg, status=ECA_BADTYPE)
    source = Dbr(code)
    values = unpack(source, min(count, pv.length), payload, array=not pv.scalar)
    if pv.text and source is Dbr.STRING:
        return values[0] if values else b""
    precision = _PRINTED if pv.scalar else pv.properties.precision
    how = Text(precision, pv.properties.states)
    values = convert(source, values, pv.type, how)
    return pv.clip(values[0]) if pv.scalar else values
