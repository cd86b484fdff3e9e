"""A whole PandA without sockets and clock: bytes and `now` in, bytes and wake-ups out.

`open_control` and `open_data` stand for a connection each. A shell calls `advance(now)`
before it hands bytes to a connection and whenever `next_wakeup` has come, and then
sends what the data connections have for it. `now` is in seconds on any clock that
never goes back.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from beamfly.errors import BadValue
from beamfly.panda.simulator.capture import CaptureControl
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY, load
from beamfly.panda.simulator.control import ControlSession
from beamfly.panda.simulator.data_port import DataSession
from beamfly.panda.simulator.engine import Attempt
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.formats import iso_time
from beamfly.panda.simulator.machine import Machine
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.panda.simulator.recorder import Recorder
from beamfly.panda.simulator.replay import Replay, ReplayRing
from beamfly.panda.simulator.ring import BLOCK_BYTES, RING_BYTES, Ring
from beamfly.panda.simulator.settings import Settings
from beamfly.panda.simulator.traces import NEVER

DMA_TIMEOUT = 0.1
"""Seconds after which captured rows are handed on at the latest."""
_BUSY_WAKEUP = 0.1
"""Seconds after which a PandA in which something goes on is to be advanced."""

Watcher = Callable[[npt.NDArray[np.float64], npt.NDArray[np.int64]], None]
"""Takes the times at which a bit toggled, in seconds, and the levels it went to."""


class PandaCore:
    """A PandA: its settings, its blocks, its capture and its connections.

    Args:
        motors: What turns the encoders: a list for INENC1 and so on, or by number.
        replay: A recording to serve in place of what PCAP captures.
        now: Seconds on the clock that every later `now` is from.
        epoch_ns: The same moment in nanoseconds since 1970.
        ring_bytes: Size of the buffer that data clients read from.
        block_bytes: Largest number of bytes that are handed on together.
        dma_timeout: Seconds after which captured rows are handed on at the latest.
        hw_time_offset_ns: What headers give as the difference of hardware and system
            time, None for a PandA without hardware time.
    """

    def __init__(
        self,
        *,
        motors: Sequence[SimulatedMotor] | Mapping[int, SimulatedMotor] = (),
        replay: Replay | None = None,
        now: float = 0.0,
        epoch_ns: int = 0,
        ring_bytes: int = RING_BYTES,
        block_bytes: int = BLOCK_BYTES,
        dma_timeout: float = DMA_TIMEOUT,
        hw_time_offset_ns: int | None = None,
    ) -> None:
        self.now = now
        self.epoch_ns = epoch_ns
        catalogue = load()
        self.faults = Faults()
        self.machine = Machine(catalogue, now)
        self.settings = Settings(catalogue, self.machine, self.faults)
        self.ring = ReplayRing(replay) if replay else Ring(ring_bytes, block_bytes)
        self.control_sessions: dict[ControlSession, tuple[str, int]] = {}
        """Control connections, who is there, and since when."""
        self.data_sessions: dict[DataSession, tuple[str, int]] = {}
        """Data connections, who is there, and since when."""
        ticks = round(dma_timeout * CLOCK_FREQUENCY)
        names = catalogue.positions
        recorder = Recorder(self.machine, self.ring, names, ticks, self._tick_ns)
        self.capture = CaptureControl(
            self.settings,
            self.machine,
            recorder,
            self.ring,
            self.data_sessions,
            self.faults,
            self._tick_ns,
        )
        self.capture.hw_time_offset_ns = hw_time_offset_ns
        self.persistent = True
        self.verbosity = 0
        known = motors if isinstance(motors, Mapping) else dict(enumerate(motors, 1))
        for number, motor in known.items():
            self.attach_motor(number, motor)

    def open_control(self, peer: str) -> ControlSession:
        """A new control connection from `peer`, host:port."""
        session = ControlSession(self)
        self.control_sessions[session] = (peer, self._now_ns())
        return session

    def open_data(self, peer: str) -> DataSession:
        """A new data connection from `peer`, host:port."""
        session = DataSession(self.ring, self.faults)
        self.data_sessions[session] = (peer, self._now_ns())
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

    def _now_ns(self) -> int:
        """The time of day, nanoseconds since 1970."""
        return self._tick_ns(self.machine.tick_of(self.now))

    def _tick_ns(self, tick: int) -> int:
        """The time of day of a tick."""
        return self.epoch_ns + tick * 10**9 // CLOCK_FREQUENCY

    def advance(self, now: float) -> None:
        """Let everything happen that happens until `now`."""
        self.now = max(self.now, now)
        self.machine.advance(self.now)
        self.capture.proceed()

    def next_wakeup(self) -> float | None:
        """When `advance` should be called at the latest; None for no need."""
        due = self.capture.due()
        if due < NEVER:
            return self.machine.time_of(due + 1)
        return self.now + _BUSY_WAKEUP if self.busy() else None

    def busy(self) -> bool:
        """Whether anything goes on that no client asked for just now."""
        return self.machine.engine.busy()

    def attach_motor(self, number: int, motor: SimulatedMotor | None) -> None:
        """Put INENC `number` on a motor, or on none.

        Raises:
            BadValue: There is no such INENC.
        """
        if not self.machine.attach_motor(f"INENC{number}", motor):
            msg = f"there is no INENC{number} to put on a motor; no motor was attached"
            raise BadValue(msg)

    def set_input(self, name: str, level: bool) -> None:
        """Set the level of an input of the PandA.

        Args:
            name: TTLIN1.VAL to TTLIN6.VAL, LVDSIN1.VAL or LVDSIN2.VAL.
            level: Whether it is high.

        Raises:
            BadValue: There is no such input.
        """
        if not name.startswith(("TTLIN", "LVDSIN")) or name not in self.bits():
            msg = f"{name} is no input whose level can be set; nothing was changed"
            raise BadValue(msg)
        self.machine.set_input(name, level)

    def bits(self) -> tuple[str, ...]:
        """Names on the bit bus."""
        return self.settings.catalogue.bits

    def level(self, name: str) -> bool:
        """Level of a bit, or of a bit input such as TTLOUT1.VAL.

        Raises:
            BadValue: There is no such bit.
        """
        level = self.machine.level(name)
        if level is None:
            msg = f"{name} is neither a bit nor an input of a block; it has no level"
            raise BadValue(msg)
        return bool(level)

    def watch(self, name: str, watcher: Watcher) -> Callable[[], None]:
        """Be told whenever a bit, or a bit input such as TTLOUT1.VAL, toggles.

        It is told when the PandA is advanced, of everything since the last time.

        Returns:
            Call it to be told no more.

        Raises:
            BadValue: There is no such bit.
        """
        self.level(name)

        def happened(attempt: Attempt) -> None:
            edges = self.machine.edges(name, attempt)
            if edges is not None and len(edges.edges):
                times = self.machine.origin + edges.edges / CLOCK_FREQUENCY
                watcher(times, edges.at(edges.edges))

        watchers = self.machine.engine.watchers
        watchers.append(happened)
        return lambda: watchers.remove(happened)

    def ask(self, *lines: str) -> list[str]:
        """Replies to lines of the control port, without a connection to it."""
        session = ControlSession(self, faulty=False)
        request = "".join(f"{line}\n" for line in lines)
        reply = session.receive(request.encode("utf-8", "surrogateescape"))
        return reply.decode("utf-8", "surrogateescape").splitlines()
