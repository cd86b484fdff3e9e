"""Executing the commands of one scan, one method per command.

`Execution` knows nothing of queues and states: `run` does.
"""

import math
from collections.abc import Callable, Generator
from typing import Any, Protocol

from beamfly.scan import commands as scan
from beamfly.scan.access import (
    Active,
    CommandFailed,
    DeviceAccess,
    SampleLog,
    Skipped,
)
from beamfly.scan.conditions import Condition
from beamfly.scan.devices import DeviceTable
from beamfly.scan.handlers import Outcome, judge
from beamfly.scan.points import loop_points
from beamfly.scan.program import Step
from beamfly.scan.tasks import Scheduler, Steps, Task
from beamfly.scan.texts import command_text, wait_text, write_text
from beamfly.scan.values import clock_text, java_double


class ScriptRunner(Protocol):
    """Executes scripts, elsewhere and in their own time."""

    def start(
        self, step: Step, execution: "Execution", done: Callable[[str | None], None]
    ) -> Callable[[], None]:
        """Start a script; `done` is told what went wrong, or None.

        Returns:
            A function that interrupts the script.
        """
        ...

    def ask_handler(
        self,
        step: Step,
        error: CommandFailed,
        execution: "Execution",
        done: Callable[[Outcome | str], None],
    ) -> Callable[[], None]:
        """Ask an error handler; `done` is told what to do, or what went wrong.

        Returns:
            A function that interrupts the handler.
        """
        ...


class Execution(DeviceAccess):
    """Executes commands of one scan.

    Args:
        scan_id: under which samples are logged.
        devices: of this scan.
        scheduler: that gives turns.
        log: where samples go.
        read_timeout: seconds to wait for the answer of a device.
        scripts: executes scripts; None if there are none.
    """

    def __init__(
        self,
        scan_id: int,
        devices: DeviceTable,
        scheduler: Scheduler,
        log: SampleLog,
        read_timeout: float,
        scripts: ScriptRunner | None = None,
    ):
        super().__init__(scan_id, devices, scheduler, log, read_timeout)
        self.paused = False
        """Whether no further command may start."""
        self.performed = 0
        """Work units so far."""
        self.active: list[Active] = []
        """What is being executed, latest last."""
        self._scripts = scripts

    def skip(self) -> bool:
        """Give up the command that was started last; whether there is one."""
        for active in reversed(self.active):
            if active.skippable and not active.skipped:
                active.skipped = True
                self.poke()
                return True
        return False

    def run(self, steps: list[Step]) -> Steps:
        """Execute steps one after the other."""
        for step in steps:
            yield from self.execute(step)

    def execute(self, step: Step) -> Steps:
        """Execute one step, errors going through its handler."""
        handler = getattr(step.command, "errhandler", None)
        tries = 0
        while True:
            if self.scheduler.tired():
                yield self.scheduler.now
            while self.paused:
                yield None
            active = Active(step.address, lambda: self._text(step))
            self.active.append(active)
            try:
                yield from _EXECUTE[type(step.command)](self, step, active)
                return
            except Skipped:
                self.performed += step.units
                return
            except CommandFailed as error:
                tries += 1
                outcome = judge(handler, tries)
                if step.handler is not None:
                    outcome = yield from self._asked(step, error)
                if outcome is Outcome.ABORT:
                    raise
                if outcome is Outcome.CONTINUE:
                    # a container has counted what it did, the rest is never done
                    self.performed += 0 if step.body else step.units
                    return
            finally:
                self.active.remove(active)

    def _asked(
        self, step: Step, error: CommandFailed
    ) -> Generator[float | None, None, Outcome]:
        """What the site's own error handler says."""
        answers: list[Outcome | str] = []

        def done(answer: Outcome | str) -> None:
            answers.append(answer)
            self.poke()

        if self._scripts is None:
            return Outcome.ABORT
        interrupt = self._scripts.ask_handler(step, error, self, done)
        try:
            while not answers:
                yield None
        finally:
            interrupt()
        answer = answers[0]
        if isinstance(answer, str):
            raise CommandFailed(f"{error} ({answer})") from error
        return answer

    def _text(self, step: Step) -> str:
        return command_text(step.command, step.name)

    # one method per command

    def do_comment(self, step: Step, active: Active) -> Steps:
        """Nothing but a text."""
        del active
        yield from ()
        self.performed += step.units

    def do_config(self, step: Step, active: Active) -> Steps:
        """Switch automatic logging."""
        del active
        yield from ()
        self.automatic = bool(getattr(step.command, "automatic", False))
        self.performed += step.units

    def do_delay(self, step: Step, active: Active) -> Steps:
        """Count down, not while paused."""
        command: Any = step.command
        end: float = self.scheduler.now + float(command.seconds)
        left: float | None = None

        def text() -> str:
            remaining = end - self.scheduler.now if left is None else left
            seconds = java_double(float(command.seconds))
            return f"Delay {seconds} sec. Remaining: {clock_text(remaining)}"

        active.text = text
        active.skippable = True
        while self.scheduler.now < end:
            if self.paused:
                rest = left = end - self.scheduler.now
                while self.paused:
                    yield from self.pause_for(active, None)
                end, left = self.scheduler.now + rest, None
            yield from self.pause_for(active, end)
        self.performed += step.units

    def do_set(self, step: Step, active: Active) -> Steps:
        """Write a device."""
        command: Any = step.command
        active.skippable = True
        said = command.readback_value
        value = command.value
        yield from self.write(
            step, command, value, value if said is None else said, active
        )
        yield from self.automatic_log(step, command, active)
        self.performed += step.units

    def do_wait(self, step: Step, active: Active) -> Steps:
        """Wait for a device."""
        command: Any = step.command
        start = self.scheduler.now

        def text() -> str:
            elapsed = clock_text(self.scheduler.now - start)
            return f"{wait_text(command, step.name)}. Elapsed: {elapsed}"

        active.text = text
        active.skippable = True
        device = self.device(step.name(command.device))
        condition = Condition(command.comparison, command.value, command.tolerance)
        limit = start + command.timeout if command.timeout > 0 else None
        shown = yield from self.until(device, condition, limit, active)
        if shown is not None:
            said = f"{device.alias} ({shown}) {condition}"
            raise CommandFailed(f"Timeout while waiting for {said}")
        self.performed += step.units

    def do_log(self, step: Step, active: Active) -> Steps:
        """Log devices."""
        command: Any = step.command
        devices = [self.device(step.name(name)) for name in command.devices]
        yield from self.log_devices(devices, active)
        self.performed += step.units

    def do_loop(self, step: Step, active: Active) -> Steps:
        """Go through positions, executing the body at each."""
        command: Any = step.command
        execution = step.executions
        step.executions += 1
        each = step.body_units or 1
        points = loop_points(command.start, command.end, command.step, execution)
        for point in points:
            if self.scheduler.tired():
                yield self.scheduler.now
            while self.paused:
                yield None
            active.text = lambda at=point: write_text(command, step.name, at)
            active.skippable = True
            try:
                yield from self.write(step, command, point, point, active)
                yield from self.automatic_log(step, command, active)
            except Skipped:
                active.skipped = False
                self.performed += each
                continue
            finally:
                active.skippable = False
            yield from self.run(step.body)
            if not step.body_units:
                self.performed += 1

    def do_parallel(self, step: Step, active: Active) -> Steps:
        """Execute the body, all at the same time."""
        del active
        command: Any = step.command
        timeout = float(command.timeout)
        limit = self.scheduler.now + timeout if timeout > 0 else None
        branches = [
            self.scheduler.spawn(self.execute(child), lambda _: self.poke())
            for child in step.body
        ]
        self.tasks.extend(branches)
        try:
            while not all(task.finished for task in branches):
                _raise_failure(branches)
                if limit is not None and self.scheduler.now >= limit:
                    seconds = java_double(timeout)
                    raise CommandFailed(f"Parallel time out ({seconds} sec)")
                yield limit
            _raise_failure(branches)
        finally:
            for task in branches:
                self.scheduler.cancel(task)
                self.tasks.remove(task)
        self.performed += 1

    def do_sequence(self, step: Step, active: Active) -> Steps:
        """Execute the body."""
        del active
        self.performed += 1
        yield from self.run(step.body)

    def do_if(self, step: Step, active: Active) -> Steps:
        """Execute the body if a device compares."""
        command: Any = step.command
        device = self.device(step.name(command.device))
        reading = yield from self.read(device, active)
        condition = Condition(command.comparison, command.value, command.tolerance)
        if condition.met(reading, math.nan):
            yield from self.run(step.body)
        else:
            self.performed += step.units

    def do_include(self, step: Step, active: Active) -> Steps:
        """Execute what was included."""
        del active
        yield from self.run(step.body)

    def do_script(self, step: Step, active: Active) -> Steps:
        """Have a script executed."""
        if self._scripts is None:
            raise CommandFailed("This server executes no scripts")
        outcome: list[str | None] = []

        def done(error: str | None) -> None:
            outcome.append(error)
            self.poke()

        active.skippable = True
        interrupt = self._scripts.start(step, self, done)
        try:
            while not outcome:
                yield from self.pause_for(active, None)
        finally:
            interrupt()
        if outcome[0]:
            raise CommandFailed(outcome[0])
        self.performed += step.units


def _raise_failure(branches: list[Task]) -> None:
    """The first error of parallel branches, if there is one."""
    for task in branches:
        if task.error is not None:
            raise CommandFailed(f"{task.error} (Parallel)") from task.error


_EXECUTE: dict[type, Callable[[Execution, Step, Active], Steps]] = {
    scan.Comment: Execution.do_comment,
    scan.ConfigLog: Execution.do_config,
    scan.Delay: Execution.do_delay,
    scan.If: Execution.do_if,
    scan.Include: Execution.do_include,
    scan.Log: Execution.do_log,
    scan.Loop: Execution.do_loop,
    scan.Parallel: Execution.do_parallel,
    scan.Script: Execution.do_script,
    scan.Sequence: Execution.do_sequence,
    scan.Set: Execution.do_set,
    scan.Wait: Execution.do_wait,
}
