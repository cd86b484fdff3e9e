"""What a scan would do, and how long it would take, without doing it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from beamfly.errors import BadValue
from beamfly.scan import commands as scan
from beamfly.scan.config import ScanConfig
from beamfly.scan.devices import DeviceTable
from beamfly.scan.moves import Written
from beamfly.scan.points import loop_points
from beamfly.scan.program import Step, devices_of
from beamfly.scan.tasks import Scheduler, Steps
from beamfly.scan.texts import command_text, timeout_text, wait_text, write_text
from beamfly.scan.values import Scalar, scalar_text, whole_clock_text

RULE = "--------"
SHORT = 0.1
"""Seconds that a command takes if nothing is known."""
UNKNOWN = 1.0
"""Seconds that a move takes if the old position is not known."""
MOST_LINES = 20_000


@dataclass(frozen=True)
class Simulated:
    """The outcome of a simulation."""

    text: str
    """One line per command, with the time at which it starts."""
    seconds: float
    """How long the scan would take."""


class _Refused(Exception):
    """A command would fail."""


class Simulation:
    """One simulation.

    Args:
        config: slew rates, limits and time-outs.
        steps: what to simulate.
        scheduler: that gives turns.
    """

    def __init__(self, config: ScanConfig, steps: list[Step], scheduler: Scheduler):
        self._config = config
        self._steps = steps
        self._scheduler = scheduler
        self._errors: list[str] = []
        self._lines: list[str] = []
        self._seconds = 0.0
        self._values: dict[str, Scalar] = {}
        self._limits: dict[str, tuple[float, float]] = {}
        self._parallel = 0
        self._executions: dict[int, int] = {}

    def steps(self, devices: DeviceTable) -> Steps:
        """Try the PVs, then go through the commands."""
        yield from self._connect(devices)
        try:
            yield from self._run(self._steps)
        except _Refused as refused:
            self._errors.append(f"ERROR: {refused}")

    def outcome(self, trouble: str = "") -> Simulated:
        """Text and duration so far; trouble is a line of its own."""
        if trouble:
            self._errors.append(trouble)
        total = f"{whole_clock_text(self._seconds)}   Total estimated execution time"
        lines = ["Simulation:", RULE, *self._errors, *self._lines, RULE, total]
        return Simulated("\n".join(lines) + "\n", self._seconds)

    def _connect(self, devices: DeviceTable) -> Steps:
        names = devices_of(self._steps)
        aliases = self._config.aliases
        wanted = [aliases.get(name, name) for name in names]
        limits = [pv for name in wanted for pv in self._config.limits(name) if pv]
        opened: list[str] = []
        for name in [*wanted, *limits]:
            try:
                devices.open(name)
                opened.append(name)
            except BadValue as error:
                self._errors.append(f"ERROR: {error}")
        limits = [name for name in limits if name in opened]
        until = self._scheduler.now + self._config.read_timeout
        while self._scheduler.now < until and (
            devices.missing() is not None or not self._shown(devices, limits)
        ):
            yield until
        for name in dict.fromkeys(opened):
            if not devices.open(name).channel.connected:
                self._errors.append(f"ERROR: Cannot access {name} (Disconnected)")
        for name in wanted:
            low, high = self._config.limits(name)
            self._limits[name] = (
                self._limit(devices, low, -math.inf),
                self._limit(devices, high, math.inf),
            )

    @staticmethod
    def _shown(devices: DeviceTable, names: list[str]) -> bool:
        """Whether PVs have values: they come somewhat later than the connection."""
        channels = [devices.open(name).channel for name in names]
        return all(channel.reading is not None for channel in channels)

    @staticmethod
    def _limit(devices: DeviceTable, name: str, missing: float) -> float:
        reading = devices.open(name).channel.reading if name else None
        number = missing if reading is None else reading.number
        return missing if math.isnan(number) else number

    def _say(self, text: str, seconds: float) -> None:
        """One line, at the time that was reached."""
        if len(self._lines) == MOST_LINES:
            self._lines.append("...")
        elif len(self._lines) < MOST_LINES:
            self._lines.append(f"{whole_clock_text(self._seconds)} - {text}")
        self._seconds += seconds

    def _run(self, steps: list[Step]) -> Steps:
        for step in steps:
            if self._scheduler.tired():
                yield self._scheduler.now
            yield from _SIMULATE.get(type(step.command), Simulation.plain)(self, step)

    def _moved(self, name: str, value: Scalar) -> tuple[str, float]:
        """Note a new value; what to say of the old one, and how long the move takes."""
        aliases = self._config.aliases
        low, high = self._limits.get(aliases.get(name, name), (-math.inf, math.inf))
        if not isinstance(value, str) and not low <= value <= high:
            raise _Refused(f"{name} = {value} is outside of {low} ... {high}")
        old = self._values.get(name)
        self._values[name] = value
        if old is None:
            return "", UNKNOWN
        seconds = UNKNOWN
        if not isinstance(old, str) and not isinstance(value, str):
            seconds = abs(value - old) / self._config.slew_rate(name)
        was = f" [was {scalar_text(old)}]"
        return was, seconds if math.isfinite(seconds) else UNKNOWN

    # one method per command

    def plain(self, step: Step) -> Steps:
        """A command that takes a moment."""
        yield from ()
        self._say(command_text(step.command, step.name), SHORT)

    def delay(self, step: Step) -> Steps:
        """A delay takes its time."""
        yield from ()
        command: Any = step.command
        seconds = max(0.0, float(command.seconds))
        self._say(command_text(command, step.name), seconds)

    def _write(self, step: Step, command: Written, value: Any, wanted: Any) -> None:
        was, seconds = self._moved(step.name(command.device), value)
        text = write_text(command, step.name, value, wanted)
        self._say(text + was, seconds if command.wait else 0.0)

    def set(self, step: Step) -> Steps:
        """A move, if its readback is awaited."""
        yield from ()
        command: Any = step.command
        self._write(step, command, command.value, command.readback_value)

    def loop(self, step: Step) -> Steps:
        """One move per position, each with the body."""
        command: Any = step.command
        execution = self._executions.get(id(step), 0)
        self._executions[id(step)] = execution + 1
        points = loop_points(command.start, command.end, command.step, execution)
        for point in points:
            self._write(step, command, point, None)
            yield from self._run(step.body)

    def wait(self, step: Step) -> Steps:
        """The device gets there at its slew rate."""
        yield from ()
        command: Any = step.command
        name, value = step.name(command.device), command.value
        text = wait_text(command, step.name)
        text = text.removesuffix(timeout_text(command.timeout))
        if isinstance(value, str):
            was, seconds = "", UNKNOWN
            self._values[name] = value
        else:
            if command.comparison in ("increase by", "decrease by"):
                old = self._values.get(name, 0.0)
                old = 0.0 if isinstance(old, str) else old
                self._values[name] = old
                sign = 1 if command.comparison == "increase by" else -1
                value = old + sign * value
            was, seconds = self._moved(name, value)
        self._say(f"{text}{timeout_text(command.timeout)}{was}", seconds)

    def parallel(self, step: Step) -> Steps:
        """The body; branches are added up, as it is not known what overlaps."""
        self._parallel += 1
        level = f" (level {self._parallel})" if self._parallel > 1 else ""
        self._say(f"Start following commands in parallel{level}", 0.0)
        yield from self._run(step.body)
        self._say(f"Await completion of above commands{level}", 0.0)
        self._parallel -= 1

    def sequence(self, step: Step) -> Steps:
        """Just the body."""
        yield from self._run(step.body)

    def condition(self, step: Step) -> Steps:
        """The body as if the condition was met."""
        self._say(command_text(step.command, step.name), SHORT)
        yield from self._run(step.body)
        self._say("End If", 0.0)

    def include(self, step: Step) -> Steps:
        """What is included."""
        self._say(command_text(step.command, step.name), 0.0)
        yield from self._run(step.body)


_SIMULATE: dict[type, Callable[[Simulation, Step], Steps]] = {
    scan.Delay: Simulation.delay,
    scan.If: Simulation.condition,
    scan.Include: Simulation.include,
    scan.Loop: Simulation.loop,
    scan.Parallel: Simulation.parallel,
    scan.Sequence: Simulation.sequence,
    scan.Set: Simulation.set,
    scan.Wait: Simulation.wait,
}
