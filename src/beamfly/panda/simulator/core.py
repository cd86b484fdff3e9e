"""A whole PandA without sockets and clock: bytes and `now` in, bytes and wake-ups out.

`open_control` and `open_data` stand for a connection each. A shell calls `advance(now)`
before it hands bytes to a connection and whenever `next_wakeup` has come, and then
sends what the data connections have for it. `now` is in seconds on any clock that
never goes back.
"""

from beamfly.errors import CommandError
from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.catalogue import load
from beamfly.panda.simulator.control import ControlSession
from beamfly.panda.simulator.data_port import DataSession
from beamfly.panda.simulator.formats import iso_time
from beamfly.panda.simulator.layout import Layout
from beamfly.panda.simulator.machine import Machine
from beamfly.panda.simulator.ring import BLOCK_BYTES, RING_BYTES, Acquisition, Ring
from beamfly.panda.simulator.settings import Settings


class PandaCore:
    """A PandA: its settings, its blocks, its capture and its connections.

    Args:
        now: Seconds on the clock that every later `now` is from.
        epoch_ns: The same moment in nanoseconds since 1970.
        ring_bytes: Size of the buffer that data clients read from.
        block_bytes: Largest number of bytes that are handed on together.
    """

    def __init__(
        self,
        *,
        now: float = 0.0,
        epoch_ns: int = 0,
        ring_bytes: int = RING_BYTES,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.origin = now
        self.now = now
        self.epoch_ns = epoch_ns
        self.machine = Machine()
        self.settings = Settings(load(), self.machine)
        self.ring = Ring(ring_bytes, block_bytes)
        self.persistent = True
        self.verbosity = 0
        self.control_sessions: dict[ControlSession, tuple[str, int]] = {}
        """Control connections, who is there, and since when."""
        self.data_sessions: dict[DataSession, tuple[str, int]] = {}
        """Data connections, who is there, and since when."""

    @property
    def capture(self) -> "PandaCore":
        """What `*PCAP` commands act on."""
        return self

    def open_control(self, peer: str) -> ControlSession:
        """A new control connection from `peer`, host:port."""
        session = ControlSession(self)
        self.control_sessions[session] = (peer, self.now_ns())
        return session

    def open_data(self, peer: str) -> DataSession:
        """A new data connection from `peer`, host:port."""
        session = DataSession(self.ring)
        self.data_sessions[session] = (peer, self.now_ns())
        return session

    def close_control(self, session: ControlSession) -> None:
        """A control connection has ended."""
        self.control_sessions.pop(session, None)

    def close_data(self, session: DataSession) -> None:
        """A data connection has ended."""
        session.leave()
        self.data_sessions.pop(session, None)

    def connections(self) -> list[str]:
        """One line per connection, as `*WHO?` reports it."""
        known = [("config", *who) for who in self.control_sessions.values()]
        known += [("data", *who) for who in self.data_sessions.values()]
        return [
            f"{iso_time(since)[:-7]}Z {kind} {peer} " for kind, peer, since in known
        ]

    def now_ns(self) -> int:
        """The time of day, nanoseconds since 1970."""
        return self.epoch_ns + round((self.now - self.origin) * 1e9)

    def advance(self, now: float) -> None:
        """Let everything happen that happens until `now`."""
        self.now = max(self.now, now)

    def next_wakeup(self) -> float | None:
        """When `advance` should be called at the latest; None for no need."""
        return None

    def arm(self) -> None:
        """Start a capture, or refuse with a CommandError."""
        if self.ring.busy:
            raise CommandError("Data capture already in progress")
        if any(session.taking for session in self.data_sessions):
            raise CommandError("Data clients still taking data")
        layout = Layout.of(self.settings)
        self.ring.start(Acquisition(layout, self.now_ns()))
        for session in self.data_sessions:
            session.join()

    def disarm(self) -> None:
        """End the capture, if there is one."""
        acquisition = self.ring.acquisition
        if acquisition is not None and self.ring.busy:
            # as recorded: what never began has ended well
            began = acquisition.started_ns is not None
            self.ring.finish(EndReason.DISARMED if began else EndReason.OK)

    def status(self) -> str:
        """Busy or Idle, clients connected, clients taking data."""
        state = "Busy" if self.ring.busy else "Idle"
        ready = [s for s in self.data_sessions if s.options is not None]
        taking = [s for s in ready if s.taking]
        return f"{state} {len(ready)} {len(taking)}"

    def captured(self) -> int:
        """Samples of the current or last capture."""
        acquisition = self.ring.acquisition
        return acquisition.samples if acquisition else 0

    def completion(self) -> str:
        """Busy, or how the last capture ended."""
        acquisition = self.ring.acquisition
        if acquisition is None:
            return EndReason.OK.value
        return acquisition.reason.value if acquisition.reason else "Busy"
