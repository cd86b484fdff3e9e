"""One call for a session: `follow(RE, best_effort=bec)`."""

from typing import Any

from bluesky import RunEngine

from beamfly.live.flight import LiveFlight
from beamfly.live.stats import FlyStats


class Live:
    """A RunEngine that is followed, until `off`.

    Args:
        RE: Which.
        flight: Subscribed to it.
        best_effort: A BestEffortCallback that hears of the runs through `flight`.
    """

    def __init__(self, RE: RunEngine, flight: LiveFlight, best_effort: Any) -> None:
        self.flight = flight
        """Shows the flights."""
        self._engine: Any = RE
        self._best_effort = best_effort
        self._was_subscribed = _unsubscribe(self._engine, best_effort)
        self._token: int | None = self._engine.subscribe(flight)

    @property
    def stats(self) -> dict[str, FlyStats]:
        """Figures of the latest flight by name of the detector."""
        return dict(self.flight.stats)

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait for the last picture of the latest flight; see `LiveFlight.wait`."""
        return self.flight.wait(timeout)

    def off(self) -> None:
        """Leave all as it was before; twice does no harm."""
        if self._token is None:
            return
        self._engine.unsubscribe(self._token)
        self._token = None
        self.flight.close()
        if self._was_subscribed:
            self._engine.subscribe(self._best_effort)


def follow(RE: RunEngine, best_effort: Any = None, **options: Any) -> Live:
    """Show the flights of a RunEngine, and have BestEffortCallback show them, too.

    ```python
    live = follow(RE, best_effort=bec)
    RE(fly(panda, num=1000))
    live.stats["panda"].missed
    ```

    A BestEffortCallback alone shows an empty table for a flight. Here it gets some of
    the rows for its table; its plots of flown streams are left to the live picture.
    All it shows of step scans stays as it is.

    Args:
        RE: Which.
        best_effort: A BestEffortCallback, subscribed already or not; from now on it
            hears of runs through this.
        options: As for `LiveFlight`.

    Returns:
        What has `stats`, and `off()` to leave all as it was.
    """
    callbacks = [] if best_effort is None else [best_effort]
    return Live(RE, LiveFlight(callbacks=callbacks, **options), best_effort)


def _unsubscribe(engine: Any, callback: Any) -> bool:
    """Take a callback off a RunEngine; tell whether it was on."""
    registry = engine.dispatcher.cb_registry
    found = [
        number
        for called in list(registry.callbacks.values())
        for number, proxy in list(called.items())
        if callback is not None and proxy.func is callback
    ]
    for number in found:
        registry.disconnect(number)
    return bool(found)
