"""What became of the last acquisition: a readable that plans put into the run.

`PandaReport.tell` fills it from a `FrameReport`; reading it gives numbers and
sentences that fit into an event. At a prompt, `panda.report` prints the sentence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ophyd_async.core import DeviceConnector, SignalR, StandardReadable

from beamfly.devices.panda_local import LocalBackend
from beamfly.hdf import open_columns


@dataclass(frozen=True)
class FrameReport:
    """Rows of one acquisition, counted."""

    name: str = ""
    """Of the detector."""
    expected: int = -1
    """Rows that were asked for, -1 for as many as PCAP triggers."""
    written: int = 0
    """Rows in the file that belong to the acquisition."""
    surplus: int = 0
    """Rows in the file after the last one that was asked for; not announced."""
    missed: int = 0
    """Rows that the PandA took and this computer did not get."""
    missed_at: str = ""
    """Where those are missing, such as `before row 12`, empty if none are."""
    end_reason: str = ""
    """Why PCAP ended, or `Disarmed` if it was stopped from here."""
    arms: int = 0
    """How often PCAP was armed."""
    seconds: float = 0.0
    """That the rows took: by their timestamps if captured, else as they came in."""
    stalls: int = 0
    """How often the disk made the PandA wait."""
    file: str = ""
    """Path of the file, empty if there is none."""

    @property
    def lost(self) -> int:
        """Rows that are not there although they should be."""
        short = self.expected - self.written if self.expected >= 0 else 0
        return max(short, self.missed, 0)

    @property
    def rate(self) -> float:
        """Rows per second, 0 if they came all at once."""
        rows = self.written + self.surplus
        return rows / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        """All of it in one line."""
        wanted = f" of {self.expected}" if self.expected >= 0 else ""
        rate = f" in {self.seconds:.3g} s ({self.rate:.4g} Hz)" if self.seconds else ""
        lost = f"{self.lost} missing" if self.lost else "none missing"
        where = f" ({self.missed_at})" if self.missed_at else ""
        more = f", {self.surplus} later ones not announced" if self.surplus else ""
        stalls = f", {self.stalls} waits for the disk" if self.stalls else ""
        end = self.end_reason or "did not start"
        return (
            f"{self.name}: {self.written}{wanted} frames{rate}, {lost}{where}{more}"
            f"{stalls}; PCAP ended: {end}; {self.file or 'no file'}"
        )


def seconds_between(path: Path, dataset: str, runs: Iterable[tuple[int, int]]) -> float:
    """How long acquisitions took by their own timestamps; reads the file.

    Args:
        path: The file, closed.
        dataset: Timestamps in seconds since each acquisition began.
        runs: First row and number of rows of each acquisition.

    Returns:
        Seconds: of n frames those of n periods, 0 where there is one frame only.

    Raises:
        HdfError: The file cannot be read.
    """
    total = 0.0
    with open_columns(path) as columns:
        times = columns[dataset]
        for first, rows in runs:
            if rows > 1:
                span = float(times[first + rows - 1]) - float(times[first])
                total += span * rows / (rows - 1)
    return total


class PandaReport(StandardReadable):
    """The last acquisition of a PandA, as an event has it.

    Args:
        name: Of the device.
        connector: Not used: there is nothing to connect to.
    """

    def __init__(
        self, name: str = "", connector: DeviceConnector | None = None
    ) -> None:
        self.last = FrameReport()
        """The same as an object."""
        self._numbers = {
            field: LocalBackend(int, 0)
            for field in ("expected", "written", "surplus", "missed", "arms", "stalls")
        }
        self._texts = {
            field: LocalBackend(str, "")
            for field in ("missed_at", "end_reason", "file")
        }
        self._summary = LocalBackend(str, "")
        self._seconds = LocalBackend(float, 0.0, units="s")
        self._rate = LocalBackend(float, 0.0, units="Hz")
        with self.add_children_as_readables():
            for field, backend in self._numbers.items():
                setattr(self, field, SignalR(backend))
            for field, backend in self._texts.items():
                setattr(self, field, SignalR(backend))
            self.seconds = SignalR(self._seconds)
            self.rate = SignalR(self._rate)
            self.summary = SignalR(self._summary)
        super().__init__(name)

    def tell(self, report: FrameReport) -> None:
        """Take over what became of an acquisition."""
        self.last = report
        for field, backend in self._numbers.items():
            backend.set_value(getattr(report, field))
        for field, backend in self._texts.items():
            backend.set_value(getattr(report, field))
        self._seconds.set_value(report.seconds)
        self._rate.set_value(report.rate)
        self._summary.set_value(str(report))

    def __str__(self) -> str:
        """The report in one line."""
        return str(self.last)
