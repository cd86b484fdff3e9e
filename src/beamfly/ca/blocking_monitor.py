"""subscribe, block, interrupt: watching PVs from a script, for `blocking`."""

import threading
import time
from collections.abc import Callable
from typing import Any

from beamfly.ca.blocking import DEFAULT_TIMEOUT
from beamfly.ca.channel import Channel, Monitor
from beamfly.ca.channel_type import resolve
from beamfly.ca.dbr import Dbr
from beamfly.ca.driver import NEVER
from beamfly.ca.message import EventMask
from beamfly.ca.responses import EventAddResponse
from beamfly.ca.session import Session


class Subscription:
    """Calls back with every update of a PV while `block` runs."""

    def __init__(
        self,
        pv_name: str,
        priority: int = 0,
        data_type: Any = None,
        data_count: int | None = None,
        low: float = 0.0,
        high: float = 0.0,
        to: float = 0.0,
        mask: int | None = None,
    ) -> None:
        """Describe a subscription; arguments as `subscribe`."""
        self.pv_name = pv_name
        self.priority = priority
        self.data_type = data_type
        self.data_count = data_count
        self.low, self.high, self.to = low, high, to
        self.mask = EventMask.VALUE | EventMask.ALARM if mask is None else mask
        self.callbacks: dict[int, Callable[..., object]] = {}
        """By token; they are held until they are removed."""
        self._token = 0

    def add_callback(self, func: Callable[..., object]) -> int:
        """Call `func(subscription, response)` or `func(response)`; gives a token."""
        # which takes longer to import than to read a PV, and most scripts only read
        import inspect

        call = func
        try:
            inspect.signature(func).bind(None, None)
        except TypeError:

            def call(sub: Subscription, response: EventAddResponse) -> object:
                return func(response)

        except ValueError:
            # a builtin without a signature takes both
            pass
        token, self._token = self._token, self._token + 1
        self.callbacks[token] = call
        return token

    def remove_callback(self, token: int) -> None:
        """Call it no more."""
        self.callbacks.pop(token, None)

    def clear(self) -> None:
        """Call nobody any more; a `block` that runs returns."""
        interrupt()
        self.callbacks.clear()

    def process(self, response: EventAddResponse) -> None:
        """Call everybody."""
        for call in tuple(self.callbacks.values()):
            call(self, response)

    def block(
        self,
        duration: float | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        force_int_enums: bool = False,
        repeater: bool = True,
    ) -> None:
        """As the function `block`, for this one alone."""
        block(
            self,
            duration=duration,
            timeout=timeout,
            force_int_enums=force_int_enums,
            repeater=repeater,
        )

    def interrupt(self) -> None:
        """As the function `interrupt`."""
        interrupt()


def subscribe(
    pv_name: str,
    priority: int = 0,
    data_type: Any = None,
    data_count: int | None = None,
    low: float = 0.0,
    high: float = 0.0,
    to: float = 0.0,
    mask: int | None = None,
) -> Subscription:
    """Describe a subscription, which `block` then serves.

    Args:
        pv_name: Name of the PV.
        priority: Of the circuit, 0 to 99.
        data_type: native, status, time, graphic or control; a ChannelType or its
            number; None: time. Enums are strings, for graphic and control numbers.
        data_count: Elements, None: as many as there are.
        low: Accepted for compatibility; nobody uses it, like high and to.
        high: See low.
        to: See low.
        mask: Sum of SubscriptionType; None: value and alarm.
    """
    return Subscription(pv_name, priority, data_type, data_count, low, high, to, mask)


class _Stop:
    """Whether somebody called `interrupt` since this was made."""

    def __init__(self) -> None:
        self.asked = False


_running: set[_Stop] = set()
_lock = threading.Lock()


def interrupt() -> None:
    """Make every `block` that runs now return, from any thread."""
    with _lock:
        for stop in _running:
            stop.asked = True


def block(
    *subscriptions: Subscription,
    duration: float | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    force_int_enums: bool = False,
    repeater: bool = True,
) -> None:
    """Serve subscriptions until Ctrl-C, `interrupt`, or the end of the time.

    What a callback raises ends it too. A server that goes away is waited for, and its
    subscriptions go on when it is back.

    Args:
        subscriptions: Any number, on any servers.
        duration: Seconds, None for ever.
        timeout: Seconds to find all PVs; then CATimeout.
        force_int_enums: Whether enums come as numbers.
        repeater: Accepted for compatibility; no repeater is started.
    """
    stop = _Stop()
    raised: list[BaseException] = []
    with _lock:
        _running.add(stop)
    try:
        with Session(timeout) as session:
            names = [(one.pv_name, one.priority) for one in subscriptions]
            channels = session.connect(*names)
            for one, channel in zip(subscriptions, channels, strict=True):
                session.monitor(_monitor(one, channel, force_int_enums, raised))
            end = NEVER if duration is None else time.monotonic() + duration
            session.run_until(lambda: stop.asked or bool(raised), end)
    except KeyboardInterrupt:
        # Ctrl-C is the usual way out of a script that watches
        return
    finally:
        with _lock:
            _running.discard(stop)
    if raised and not isinstance(raised[0], KeyboardInterrupt):
        raise raised[0]


def _monitor(
    subscription: Subscription,
    channel: Channel,
    force_int_enums: bool,
    raised: list[BaseException],
) -> Monitor:
    """The subscription on a channel."""

    def choose(core: Channel) -> tuple[int, int]:
        native, data_type = core.native_type, subscription.data_type
        # these have the names of the states along with the number
        states = str(data_type).lower() in ("graphic", "control")
        if native is Dbr.ENUM and not force_int_enums and not states:
            native = Dbr.STRING
        code = resolve("time" if data_type is None else data_type, native)
        return code, subscription.data_count or 0

    def on_update(header: Any, payload: bytes) -> None:
        if raised:
            return
        try:
            subscription.process(EventAddResponse(header, payload))
        except BaseException as error:
            raised.append(error)

    return Monitor(channel, choose, subscription.mask, on_update, raised.append)
