"""Ring current and shutter of the simulated IOC: what may take the beam away."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from beamfly.ca import PV, Put
from beamfly.errors import BadValue
from beamfly.sim.beam import FULL_CURRENT

if TYPE_CHECKING:
    from beamfly.sim.stage import SampleStage

_PERIOD = 1.0
"""Seconds between two updates of the current."""
_RENEW = 1200.0
"""Seconds after which photons to come are counted anew, long before they run out."""
_LOW = 10.0
"""mA below which the current is an alarm."""


class RingCurrent:
    """The storage ring: current, lifetime, and buttons to lose and to refill it.

    Args:
        stage: Whose beam it is.
    """

    def __init__(self, stage: "SampleStage") -> None:
        self._stage = stage
        self.wake: Callable[[], object] = lambda: None
        current = PV(
            FULL_CURRENT,
            units="mA",
            precision=3,
            description="stored current",
            writable=False,
            hopr=1.5 * FULL_CURRENT,
            lolo=_LOW,
            record="ai",
        )
        self.pvs = {
            ":current": current,
            ":lifetime": PV(
                stage.beam.ring.lifetime,
                units="h",
                precision=2,
                description="to 1/e",
                on_put=self._live,
            ),
            ":top": PV(
                FULL_CURRENT,
                units="mA",
                precision=1,
                description="current after a refill",
                drvh=1.5 * FULL_CURRENT,
                drvl=0.0,
            ),
            ":drop": PV(
                0,
                states=("Idle", "Drop"),
                description="lose the beam",
                on_put=self._drop,
            ),
            ":fill": PV(
                0,
                states=("Idle", "Fill"),
                description="have beam again",
                on_put=self._fill,
            ),
        }
        self._current = current
        self._due = 0.0
        self._renewed: float | None = None

    def advance(self, now: float) -> None:
        """Show the current."""
        if self._renewed is None or now >= self._renewed + _RENEW:
            first, self._renewed = self._renewed is None, now
            ring = self._stage.beam.ring
            begin = FULL_CURRENT if first else ring.current(now)
            self._stage.act(lambda now: ring.set(begin, now))
        if now >= self._due:
            self._due = now + _PERIOD
            self._current.post(self._stage.beam.ring.current(now))

    def next_wakeup(self) -> float:
        """When the next update is due."""
        return self._due

    def _set(self, current: float) -> None:
        ring = self._stage.beam.ring
        self._stage.act(lambda now: ring.set(current, now))
        self._due = 0.0
        self.wake()

    def _drop(self, put: Put) -> None:
        """The beam is lost at once."""
        pressed, put.value = put.value, 0
        if pressed:
            self._set(0.0)

    def _fill(self, put: Put) -> None:
        """There is beam again."""
        pressed, put.value = put.value, 0
        if pressed:
            self._set(self.pvs[":top"].value)

    def _live(self, put: Put) -> None:
        """The lifetime."""
        hours = put.value
        if not 0 < hours < float("inf"):
            msg = f"{put.name} has to be positive, not {hours}; it was not changed"
            raise BadValue(msg)
        ring = self._stage.beam.ring
        self._stage.act(lambda now: ring.live(hours, now))


class BeamShutter:
    """A shutter: put Open or Closed.

    Args:
        stage: Whose beam it lets through.
    """

    def __init__(self, stage: "SampleStage") -> None:
        self._stage = stage
        self.wake: Callable[[], object] = lambda: None
        states = ("Closed", "Open")
        self._status = PV(
            1, states=states, description="what it is", writable=False, record="bi"
        )
        self.pvs = {
            "": PV(1, states=states, on_put=self._move, description="photon shutter"),
            ":status": self._status,
        }

    def advance(self, now: float) -> None:
        """It moves at once."""

    def next_wakeup(self) -> float:
        """Never."""
        return float("inf")

    def _move(self, put: Put) -> None:
        is_open = bool(put.value)
        shutter = self._stage.beam.shutter
        self._stage.act(lambda now: shutter.set(is_open, now))
        self._status.post(int(is_open))
