"""What `*PCAP` commands do: arm, disarm, status; with real rows or recorded ones."""

from collections.abc import Callable, Iterable

from beamfly.errors import CommandError
from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.bus_fields import ExtOutField, PosOutField
from beamfly.panda.simulator.data_port import DataSession
from beamfly.panda.simulator.faults import Faults
from beamfly.panda.simulator.layout import Layout, Mode
from beamfly.panda.simulator.machine import Machine
from beamfly.panda.simulator.recorder import Recorder
from beamfly.panda.simulator.recording import Recording
from beamfly.panda.simulator.replay import ReplayRing
from beamfly.panda.simulator.ring import Acquisition, Ring
from beamfly.panda.simulator.settings import Settings
from beamfly.panda.simulator.traces import NEVER

_REPLAY_TICKS = 2_500_000
"""How often a replay is looked after: 20 ms."""


class CaptureControl:
    """Captures of one PandA.

    Args:
        settings: What is to be captured.
        machine: The blocks.
        recorder: Takes rows of the blocks.
        ring: Where rows go, or a recording to be served in their place.
        sessions: The data connections.
        faults: What is to go wrong.
        nanoseconds: Turns a tick into the time of day, nanoseconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        recorder: Recorder,
        ring: Ring,
        sessions: Iterable[DataSession],
        faults: Faults,
        nanoseconds: Callable[[int], int],
    ) -> None:
        self.settings = settings
        self.machine = machine
        self.recorder = recorder
        self.ring = ring
        self.sessions = sessions
        self.faults = faults
        self.nanoseconds = nanoseconds
        self.hw_time_offset_ns: int | None = None
        """What headers give as the difference of hardware and system time."""
        self._armed = 0
        if isinstance(ring, ReplayRing):
            show_captures(settings, ring.replay.recording)

    def arm(self) -> None:
        """Start a capture, or refuse with a CommandError."""
        if self.faults.arm_error is not None:
            raise CommandError(self.faults.arm_error)
        if self.ring.busy:
            raise CommandError("Data capture already in progress")
        if any(session.taking for session in self.sessions):
            raise CommandError("Data clients still taking data")
        layout = Layout.of(self.settings)
        self.machine.settle()
        self._armed = self.machine.engine.tick
        stamp = self.nanoseconds(self._armed)
        if isinstance(self.ring, ReplayRing):
            recording = self.ring.replay.recording
            self.machine.hold(True)
            scaled = not recording.raw
            acquisition = Acquisition(recording.layout, stamp, stamp, scaled=scaled)
            self.ring.start(acquisition)
        else:
            offset = self.hw_time_offset_ns
            acquisition = Acquisition(layout, stamp, hw_time_offset_ns=offset)
            self.ring.start(acquisition)
            self.recorder.arm(layout)
        for session in self.sessions:
            session.join()

    def disarm(self) -> None:
        """End the capture, if there is one."""
        self.machine.settle()
        acquisition = self.ring.acquisition
        # as recorded: what never began has ended well
        began = acquisition is not None and acquisition.started_ns is not None
        self.end(EndReason.DISARMED if began else EndReason.OK)

    def end(self, reason: EndReason) -> None:
        """End the capture for any reason, if there is one."""
        if not self.ring.busy:
            return
        if isinstance(self.ring, ReplayRing):
            self.machine.hold(False)
            self.ring.finish(reason)
        else:
            self.recorder.end(reason)

    def proceed(self) -> None:
        """Look after a replay."""
        ring = self.ring
        if not isinstance(ring, ReplayRing) or not ring.busy:
            return
        passed = self.machine.engine.tick - self._armed
        if ring.proceed(passed / self.machine.frequency):
            self.end(ring.replay.reason or ring.replay.recording.reason)

    def due(self) -> int:
        """Tick at which something has to be done; NEVER if not."""
        if isinstance(self.ring, ReplayRing) and self.ring.busy:
            return self.machine.engine.tick + _REPLAY_TICKS
        return self.recorder.due if self.recorder.due < NEVER else NEVER

    def status(self) -> str:
        """Busy or Idle, clients connected, clients taking data."""
        state = "Busy" if self.ring.busy else "Idle"
        ready = [s for s in self.sessions if s.options is not None]
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


def show_captures(settings: Settings, recording: Recording) -> None:
    """Have CAPTURE, SCALE, OFFSET and UNITS agree with a recording."""
    for column in recording.layout.columns:
        found = settings.by_name.get(column.name)
        if isinstance(found, ExtOutField) and not column.hidden:
            found.captured = frozenset(("Value",))
        elif isinstance(found, PosOutField):
            if column.mode is not Mode.STDDEV_SUM:
                found.captured |= {column.capture}
            found.scale, found.offset = column.scale, column.offset
            found.units = column.units
