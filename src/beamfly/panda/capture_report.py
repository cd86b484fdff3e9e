"""What a capture says of itself: `Progress` on the way, `CaptureReport` in the end."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from beamfly.panda.responses import EndReason


class CaptureState(Enum):
    """How far a capture is."""

    IDLE = "idle"
    """Not started."""
    READY = "ready"
    """The data port has accepted us; no acquisition is under way."""
    ACQUIRING = "acquiring"
    """An acquisition has started and not ended."""
    CLOSED = "closed"
    """The file is closed: stopped, or failed."""


@dataclass(frozen=True)
class RunRecord:
    """One acquisition of a capture."""

    arm_time: str | None
    """UTC, ISO 8601, when PCAP was armed; None if the server is too old to say."""
    start_time: str | None
    """UTC, ISO 8601, when PCAP.ENABLE rose; None if the server is too old to say."""
    hw_time_offset_ns: int | None
    """Nanoseconds between hardware and system start time, None without the former."""
    first_row: int
    """Where its rows start in the file."""
    rows: int = 0
    """Rows of it that are in the file."""
    missed: int = 0
    """Samples that were lost before its first row, because we were late."""
    reason: EndReason | None = None
    """Why it ended, None while it runs."""


@dataclass(frozen=True)
class Progress:
    """A capture at one moment."""

    state: CaptureState = CaptureState.IDLE
    """How far it is."""
    rows_received: int = 0
    """Rows received of all acquisitions."""
    rows_written: int = 0
    """Rows that are flushed: readers can see them, so they may be announced."""
    runs: tuple[RunRecord, ...] = ()
    """Acquisitions so far; the last one may still run."""
    bytes: int = 0
    """Bytes received."""
    rate: float = 0.0
    """Bytes per second, from the start of the first acquisition to the last bytes."""
    stalls: int = 0
    """Times that reading had to wait for the file: early warning of an overrun."""
    stalled: float = 0.0
    """Seconds that it waited in all."""
    error: Exception | None = None
    """Why the capture failed, if it did; it is closed then."""

    @property
    def missed(self) -> int:
        """Samples lost at the starts of all acquisitions."""
        return sum(run.missed for run in self.runs)

    @property
    def ended(self) -> int:
        """How many acquisitions are over."""
        return sum(run.reason is not None for run in self.runs)

    @property
    def end_reason(self) -> EndReason | None:
        """Why the last acquisition that is over ended, None if there is none."""
        reasons = [run.reason for run in self.runs if run.reason is not None]
        return reasons[-1] if reasons else None


@dataclass(frozen=True)
class CaptureReport:
    """What became of a capture."""

    path: Path
    """The file; closed, and readable by anything."""
    rows: int
    """Rows in the file."""
    runs: tuple[RunRecord, ...]
    """Acquisitions, and why each ended."""
    mean_rate: float
    """Bytes per second that the PandA sent, over all acquisitions."""
    stalls: int
    """Times that reading had to wait for the file."""
    stalled: float
    """Seconds that it waited in all."""
    expected: int | None = None
    """Rows that the caller expected, None if it did not say."""
    error: Exception | None = None
    """Why the capture failed, None if it did not."""

    @property
    def missed(self) -> int:
        """Samples lost at the starts of all acquisitions."""
        return sum(run.missed for run in self.runs)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Where samples were lost: row before which, and how many."""
        return [(run.first_row, run.missed) for run in self.runs if run.missed]

    @property
    def complete(self) -> bool:
        """Whether nothing failed, was missed, or is fewer than was expected."""
        enough = self.expected is None or self.rows >= self.expected
        return self.error is None and not self.missed and enough
