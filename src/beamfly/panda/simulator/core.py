"""A whole PandA without sockets and clock: bytes and `now` in, bytes and wake-ups out.

`open_control` and `open_data` stand for a connection each. A shell calls `advance(now)`
before it hands bytes to a connection and whenever `next_wakeup` has come, and then
sends what the data connections have for it. `now` is in seconds on any clock that
never goes back.
"""

from collections.abc import Mapping, Sequence

from beamfly.errors import BadValue, CommandError
from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY, load
from beamfly.panda.simulator.control import ControlSession
from beamfly.panda.simulator.data_port import DataSession
from beamfly.panda.simulator.encoder import InEnc
from beamfly.panda.simulator.formats import iso_time
from beamfly.panda.simulator.layout import Layout
from beamfly.panda.simulator.machine import Machine
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.recorder import Recorder
from beamfly.panda.simulator.ring import BLOCK_BYTES, RING_BYTES, Acquisition, Ring
from beamfly.panda.simulator.settings import Settings
from beamfly.panda.simulator.traces import NEVER

DMA_TIMEOUT = 0.1
"""Seconds after which captured rows are handed on at the latest."""
_BUSY_WAKEUP = 0.5
"""Seconds after which a PandA in which something goes on is to be advanced."""


class PandaCore:
    """A PandA: its settings, its blocks, its capture and its connections.

    Args:
        motors: What turns the encoders: a list for INENC1 and so on, or by number.
        now: Seconds on the clock that every later `now` is from.
        epoch_ns: The same moment in nanoseconds since 1970.
        ring_bytes: Size of the buffer that data clients read from.
        block_bytes: Largest number of bytes that are handed on together.
        dma_timeout: Seconds after which captured rows are handed on at the latest.
    """

    def __init__(
        self,
        *,
        motors: Sequence[SimulatedMotor] | Mapping[int, SimulatedMotor] = (),
        now: float = 0.0,
        epoch_ns: int = 0,
        ring_bytes: int = RING_BYTES,
        block_bytes: int = BLOCK_BYTES,
        dma_timeout: float = DMA_TIMEOUT,
    ) -> None:
        self.origin = now
        self.now = now
        self.epoch_ns = epoch_ns
        catalogue = load()
        self.machine = Machine(catalogue, now)
        self.settings = Settings(catalogue, self.machine)
        self.ring = Ring(ring_bytes, block_bytes)
        self.recorder = Recorder(
            self.machine,
            self.ring,
            catalogue.positions,
            round(dma_timeout * CLOCK_FREQUENCY),
            self._tick_ns,
        )
        known = motors if isinstance(motors, Mapping) else dict(enumerate(motors, 1))
        for number, motor in known.items():
            self.attach_motor(number, motor)
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

    def _tick_ns(self, tick: int) -> int:
        """The time of day of a tick."""
        return self.epoch_ns + tick * 10**9 // CLOCK_FREQUENCY

    def advance(self, now: float) -> None:
        """Let everything happen that happens until `now`."""
        self.now = max(self.now, now)
        self.machine.advance(self.now)

    def next_wakeup(self) -> float | None:
        """When `advance` should be called at the latest; None for no need."""
        if self.recorder.due < NEVER:
            return self.machine.time_of(self.recorder.due + 1)
        return self.now + _BUSY_WAKEUP if self.busy() else None

    def busy(self) -> bool:
        """Whether anything goes on that no client asked for just now."""
        return self.machine.engine.busy()

    def attach_motor(self, number: int, motor: SimulatedMotor | None) -> None:
        """Put INENC `number` on a motor, or on none."""
        block = self.machine.blocks.get(f"INENC{number}")
        if not isinstance(block, InEnc):
            msg = f"there is no INENC{number} to put on a motor; no motor was attached"
            raise BadValue(msg)
        block.attach(motor)

    def arm(self) -> None:
        """Start a capture, or refuse with a CommandError."""
        if self.ring.busy:
            raise CommandError("Data capture already in progress")
        if any(session.taking for session in self.data_sessions):
            raise CommandError("Data clients still taking data")
        layout = Layout.of(self.settings)
        self.machine.settle()
        self.ring.start(Acquisition(layout, self.now_ns()))
        self.recorder.arm(layout)
        for session in self.data_sessions:
            session.join()

    def disarm(self) -> None:
        """End the capture, if there is one."""
        acquisition = self.ring.acquisition
        if acquisition is not None and self.ring.busy:
            # as recorded: what never began has ended well
            self.machine.settle()
            began = acquisition.started_ns is not None
            self.recorder.end(EndReason.DISARMED if began else EndReason.OK)

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
