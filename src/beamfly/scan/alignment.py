"""Alignment scans: move one device, count with another, find the peak."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from beamfly.scan.actions import Delay, Log, Script
from beamfly.scan.command import Command
from beamfly.scan.containers import Body, flat
from beamfly.scan.moves import Set
from beamfly.scan.settings import SettingsBasedLoop, SettingsBasedWait


@dataclass
class AlignmentScan:
    """Moves a device over a range, logs a signal, and has the server find its peak.

    The server's `WriteDataToPV` shows the data while they come, in `<prefix>:Data:X`
    and `:Y`; the `find_command` writes `<prefix>:Pos`, `:Height` and `:Width`.
    """

    device: str
    """What is moved."""
    value_start: float
    value_end: float
    value_step: float
    condition_device: str
    """What ends a step: `seconds`, or a device that is awaited."""
    condition_value: float
    """Seconds, or what the device must reach."""
    log: str
    """The signal."""
    find_command: str | None = None
    """Script class on the server that finds the peak, such as `FindPeak`."""
    normalize: bool = False
    """Whether the signal is divided by condition_device / condition_value."""
    prefix: str = "Demo:CS:Scan:Fit"
    """What the names of the PVs for data and result start with."""
    pre: Body = None
    """Commands before the scan."""
    post: Body = None
    """Commands after the scan."""
    start: Body = None
    """Commands at each step, before the condition is awaited."""
    stop: Body = None
    """Commands at each step, after the condition was met."""
    log_always: Sequence[str] = field(default_factory=list[str])
    """Further devices to log."""

    def createScan(self) -> list[Command]:  # noqa: N802
        """The commands of the scan; the same for the same arguments."""
        timed = self.condition_device.lower() == "seconds"
        norm = ["-", "1"]
        if self.normalize and not timed:
            norm = [self.condition_device, f"{self.condition_value:g}"]
        devices = [self.log, self.device, *self.log_always]
        condition: Command = Delay(self.condition_value)
        if not timed:
            devices.append(self.condition_device)
            condition = SettingsBasedWait(self.condition_device, self.condition_value)
        body: list[Any] = [
            self.start,
            condition,
            self.stop,
            Log(list(dict.fromkeys(devices))),
            Script("WriteDataToPV", self.device, f"{self.prefix}:Data:X"),
            Script("WriteDataToPV", self.log, f"{self.prefix}:Data:Y", *norm),
        ]
        commands: list[Any] = [
            Set(f"{self.prefix}:Height", 0),
            self.pre,
            SettingsBasedLoop(
                self.device,
                self.value_start,
                self.value_end,
                self.value_step,
                flat(*body),
            ),
            self.post,
        ]
        if self.find_command:
            results = (f"{self.prefix}:{name}" for name in ("Pos", "Height", "Width"))
            commands.append(
                Script(self.find_command, self.device, self.log, *norm, *results)
            )
        return flat(*commands)
