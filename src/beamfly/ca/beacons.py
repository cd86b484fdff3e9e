"""Beacons: servers that say they are alive, and what it means when their rhythm breaks.

A server that starts sends beacons 20 ms apart, then ever more slowly, up to 15 s. A
rhythm that suddenly becomes faster is a server that has been started again.
"""

from enum import Enum

REORDERED = 1 << 8
"""A number this little behind the last one is an old beacon on a detour."""
FAST = 0.8
"""A period shorter than this part of the average is a restart."""
SLOW = 1.25
"""A period longer than this part of the average makes the circuit suspicious."""
STARTING = 1.0
"""A first period shorter than so many seconds is that of a server that starts."""
VERY_SLOW = 3.25
"""A period longer than this part of the average says the server was away."""


class Rhythm(Enum):
    """What one beacon says."""

    FIRST = "first"
    """Never heard before."""
    NORMAL = "normal"
    """The server is alive."""
    DUPLICATE = "duplicate"
    """Says nothing: a repetition, or from several interfaces."""
    LATE = "late"
    """Maybe alive: better ask."""
    RESTARTED = "restarted"
    """The server was started again, or could not be reached for a while."""


class _Heard:
    """One server."""

    __slots__ = ("at", "average", "number")

    def __init__(self, number: int, at: float) -> None:
        self.number = number
        """Of its last beacon."""
        self.at = at
        """When that was heard."""
        self.average: float | None = None
        """Seconds between beacons, None after the first one."""


class BeaconWatch:
    """The rhythm of every server that was heard."""

    def __init__(self) -> None:
        self._heard: dict[tuple[int, int], _Heard] = {}

    def beacon(self, server: tuple[int, int], number: int, now: float) -> Rhythm:
        """Judge a beacon by its number and its time.

        Args:
            server: IPv4 address as a number, and TCP port.
            number: Of the beacon; it goes up by one each time, modulo 2**32.
            now: The time.
        """
        heard = self._heard.get(server)
        if heard is None:
            self._heard[server] = _Heard(number, now)
            return Rhythm.FIRST
        step = (number - heard.number) & 0xFFFFFFFF
        heard.number = number
        if step == 0 or step > 2**32 - REORDERED or step in (2, 3):
            return Rhythm.DUPLICATE
        period, heard.at = now - heard.at, now
        if heard.average is None:
            heard.average = period
            return Rhythm.RESTARTED if period < STARTING else Rhythm.NORMAL
        average = heard.average
        heard.average = 0.875 * average + 0.125 * period
        if period <= FAST * average or period >= VERY_SLOW * average:
            # the old average says nothing of the rhythm that starts now
            heard.average = period
            return Rhythm.RESTARTED
        return Rhythm.LATE if period >= SLOW * average else Rhythm.NORMAL
