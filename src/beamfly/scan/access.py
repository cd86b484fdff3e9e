"""Reading, writing, checking and logging devices, as commands of a scan do it.

Generators for a `Scheduler`: they yield the time at which they want to look again, and
whatever happens to a device pokes them to look at once.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from beamfly.errors import BadValue, ScanError
from beamfly.scan.channels import Reading
from beamfly.scan.conditions import Condition
from beamfly.scan.devices import Device, DeviceTable
from beamfly.scan.moves import Written
from beamfly.scan.program import Step
from beamfly.scan.tasks import Scheduler, Steps, Task
from beamfly.scan.values import Scalar, scalar_text

AFTER_COMPLETION = 1.0
"""Seconds that a readback has after completion."""


class CommandFailed(ScanError):
    """A command could not be executed."""


class Skipped(Exception):
    """The current command is to be given up for the next one."""


class Stopped(Exception):
    """The scan is to be given up."""


class SampleLog(Protocol):
    """Where samples go."""

    def log(self, scan: int, serial: int, device: str, reading: Reading) -> None:
        """Keep one sample."""
        ...


@dataclass(eq=False)
class Active:
    """A command that is being executed."""

    address: int
    text: Callable[[], str]
    skippable: bool = False
    skipped: bool = False


Reads = Generator[float | None, None, Reading]


class DeviceAccess:
    """What commands of one scan do to devices.

    Args:
        scan_id: under which samples are logged.
        devices: of this scan.
        scheduler: that gives turns.
        log: where samples go.
        read_timeout: seconds to wait for the answer of a device.
    """

    def __init__(
        self,
        scan_id: int,
        devices: DeviceTable,
        scheduler: Scheduler,
        log: SampleLog,
        read_timeout: float,
    ):
        self.scan_id = scan_id
        self.devices = devices
        self.scheduler = scheduler
        self.serial = -1
        """Of the latest sample."""
        self.automatic = False
        """Whether every write is logged."""
        self.tasks: list[Task] = []
        """The scan's own task and those of its parallel branches."""
        self._log = log
        self._read_timeout = read_timeout

    def poke(self) -> None:
        """Let all tasks look again."""
        for task in self.tasks:
            self.scheduler.poke(task)

    def pause_for(self, active: Active, until: float | None) -> Steps:
        """Wait for a poke or a time; Skipped if the command is to be given up."""
        yield until
        if active.skipped:
            raise Skipped

    def device(self, name: str) -> Device:
        """A device of the scan; CommandFailed if there can be no such PV."""
        try:
            return self.devices.open(name)
        except BadValue as error:
            raise CommandFailed(str(error)) from None

    def read(self, device: Device, active: Active) -> Reads:
        """Read a device afresh."""
        answers: list[Reading | None] = []
        self._ask(device, answers.append)
        limit = self.scheduler.now + self._read_timeout
        while not answers and self.scheduler.now < limit:
            yield from self.pause_for(active, limit)
        reading = answers[0] if answers else None
        if reading is None:
            raise CommandFailed(f"Failed to read {device.alias}")
        return reading

    def _ask(self, device: Device, take: Callable[[Reading | None], None]) -> None:
        def answer(reading: Reading | None) -> None:
            take(reading)
            self.poke()

        device.channel.read(answer)

    def log_devices(self, devices: list[Device], active: Active) -> Steps:
        """Read devices, then log them under one serial."""
        answers: dict[int, Reading | None] = {}
        for index, device in enumerate(devices):
            self._ask(device, lambda got, index=index: answers.update({index: got}))
        limit = self.scheduler.now + self._read_timeout
        while len(answers) < len(devices) and self.scheduler.now < limit:
            yield from self.pause_for(active, limit)
        readings: list[tuple[Device, Reading]] = []
        for index, device in enumerate(devices):
            reading = answers.get(index)
            if reading is None:
                raise CommandFailed(f"Failed to read {device.alias}")
            readings.append((device, reading))
        self.serial += 1
        for device, reading in readings:
            self._log.log(self.scan_id, self.serial, device.alias, reading)

    def log_array(self, device: str, values: list[Any]) -> None:
        """Log values one after the other, as a script does."""
        time = int(self.scheduler.now * 1000)
        for value in values:
            self.serial += 1
            self._log.log(self.scan_id, self.serial, device, Reading(value, time))

    def until(
        self, device: Device, condition: Condition, limit: float | None, active: Active
    ) -> Generator[float | None, None, str | None]:
        """Wait until a device shows something; None, or what it shows in the end."""
        reading = yield from self.read(device, active)
        first = reading.number
        while not condition.met(reading, first):
            if limit is not None and self.scheduler.now >= limit:
                return reading.text
            yield from self.pause_for(active, limit)
            reading = device.channel.reading or reading
        return None

    def write(
        self, step: Step, command: Written, value: Any, wanted: Scalar, active: Active
    ) -> Steps:
        """Write a device and check it, as `Set` and `Loop` do."""
        device = self.device(step.name(command.device))
        now = self.scheduler.now
        limit = now + command.timeout if command.timeout > 0 else None
        if command.completion:
            yield from self._complete(device, value, limit, active)
            limit = self.scheduler.now + AFTER_COMPLETION
        else:
            self._put(device, value, None)
        if not command.wait:
            return
        readback = self.device(step.name(command.readback))
        condition = Condition("=", wanted, command.tolerance)
        shown = yield from self.until(readback, condition, limit, active)
        if shown is not None:
            said = f"{readback.alias} ({shown})"
            if command.completion:
                msg = f"{said} != {scalar_text(wanted)} after completion"
            else:
                msg = f"Timeout while waiting for {said} {condition}"
            raise CommandFailed(msg)

    def _put(
        self, device: Device, value: Any, done: Callable[[str | None], None] | None
    ) -> None:
        try:
            device.channel.write(value, done)
        except BadValue as error:
            msg = f"Failed to write {device.alias} = {_shown(value)}: {error}"
            raise CommandFailed(msg) from None

    def _complete(
        self, device: Device, value: Any, limit: float | None, active: Active
    ) -> Steps:
        """Write a device and wait until it has processed that."""
        outcome: list[str | None] = []

        def done(error: str | None) -> None:
            outcome.append(error)
            self.poke()

        self._put(device, value, done)
        said = f"{device.alias} = {_shown(value)}"
        while not outcome:
            if limit is not None and self.scheduler.now >= limit:
                raise CommandFailed(f"Completion timeout for {said}")
            yield from self.pause_for(active, limit)
        if outcome[0]:
            raise CommandFailed(f"Failed to write {said}: {outcome[0]}")

    def automatic_log(self, step: Step, command: Written, active: Active) -> Steps:
        """Log what was written, if that is switched on."""
        if self.automatic:
            name = command.readback if command.wait else command.device
            yield from self.log_devices([self.device(step.name(name))], active)


def _shown(value: Any) -> str:
    return scalar_text(value) if isinstance(value, (str, int, float)) else str(value)
