"""From PCAP to the ring: rows are collected, and handed on in blocks."""

from collections.abc import Callable

from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.engine import Attempt
from beamfly.panda.simulator.layout import Layout
from beamfly.panda.simulator.machine import Machine
from beamfly.panda.simulator.pcap import PcapState
from beamfly.panda.simulator.ring import Ring
from beamfly.panda.simulator.sampler import Sampler
from beamfly.panda.simulator.traces import NEVER


class Recorder:
    """Follows the captures of PCAP.

    Args:
        machine: The blocks.
        ring: Where rows go.
        positions: Names on the position bus.
        timeout_ticks: Rows are handed on at least as often as this.
        nanoseconds: Turns a tick into the time of day, nanoseconds since 1970.
    """

    def __init__(
        self,
        machine: Machine,
        ring: Ring,
        positions: tuple[str, ...],
        timeout_ticks: int,
        nanoseconds: Callable[[int], int],
    ) -> None:
        self.machine = machine
        self.ring = ring
        self.positions = positions
        self.timeout_ticks = timeout_ticks
        self.nanoseconds = nanoseconds
        self.due = NEVER
        """Tick at which rows are to be handed on."""
        self._sampler: Sampler | None = None
        self._row_bytes = 4
        self._rows: list[bytes] = []
        self._size = 0
        """Bytes in the rows that were not handed on."""
        machine.engine.watchers.append(self._happened)

    def arm(self, layout: Layout) -> None:
        """Begin a capture; the ring has begun its acquisition."""
        self.machine.arm(layout.words)
        shift = self.machine.pcap["SHIFT_SUM"]
        self._sampler = Sampler(layout, self.positions, shift)
        self._row_bytes = 4 * layout.words
        self.due = self.machine.engine.tick + self.timeout_ticks

    def end(self, reason: EndReason) -> None:
        """End the capture for that reason."""
        self.machine.disarm()
        self._finish(reason)

    def _finish(self, reason: EndReason) -> None:
        """Hand on the last rows."""
        self._flush()
        self._sampler = None
        self.due = NEVER
        self.ring.finish(reason)

    def _happened(self, attempt: Attempt) -> None:
        """Take what PCAP captured in a span."""
        outcome, sampler = attempt.outcomes.get("PCAP"), self._sampler
        if sampler is None:
            return
        if outcome is not None:
            self._take(outcome.state, attempt, sampler)
        if attempt.span.stop >= self.due and self._sampler is not None:
            self._flush()
            self.due = attempt.span.stop + self.timeout_ticks

    def _take(self, state: PcapState, attempt: Attempt, sampler: Sampler) -> None:
        """Take rows of a span, and notice the beginning and the end."""
        acquisition = self.ring.acquisition
        if acquisition is None:
            return
        if state.started is not None and acquisition.started_ns is None:
            acquisition.started_ns = self.nanoseconds(state.started)
        if state.capture.begin < NEVER:
            rows = sampler.rows(state.capture, attempt.bits, attempt.positions)
            if len(rows):
                self._rows.append(rows.tobytes())
                self._size += rows.nbytes
        if sampler.overflow:
            self.machine.pcap.overflow()
        if state.reason is not None:
            self._finish(state.reason)
        elif self._size >= self.ring.block_bytes:
            self._flush()

    def _flush(self) -> None:
        """Hand on all rows."""
        if not self._rows:
            return
        content = b"".join(self._rows)
        self._rows, self._size = [], 0
        most = max(1, self.ring.block_bytes // self._row_bytes) * self._row_bytes
        for start in range(0, len(content), most):
            block = content[start : start + most]
            self.ring.write(block, len(block) // self._row_bytes)
