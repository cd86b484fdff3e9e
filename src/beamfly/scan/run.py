"""One scan in the engine: from Idle to its end, pre- and post-scan included.

States only go forward. While the post-scan of an aborted scan is executed, the scan is
still Running; it is Aborted when everything is over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from beamfly.errors import BadValue, BeamflyError
from beamfly.scan.access import Active, CommandFailed, Stopped
from beamfly.scan.devices import DeviceTable
from beamfly.scan.execution import Execution
from beamfly.scan.info import DeviceInfo, ScanInfo, ScanState
from beamfly.scan.program import Step, devices_of
from beamfly.scan.tasks import Scheduler, Steps, Task

STATUS_PERIOD = 1.0
FINAL_STATUS = 10.0
"""Seconds that the state PV has to process the final state."""


@dataclass(frozen=True)
class Order:
    """A scan as it was submitted."""

    id: int
    name: str
    created: float
    """Seconds since 1970."""
    steps: list[Step]
    pre: list[Step]
    post: list[Step]
    queued: bool = True
    """Whether it waits for other queued scans."""
    timeout: float = 0.0
    """Seconds that it may run, 0 for ever."""
    deadline: float | None = None
    """Seconds since 1970 at which it is aborted."""


class ScanRun:
    """A scan that is waiting, running, or has ended.

    Args:
        order: what to do.
        execution: does it.
        devices: of this scan.
        scheduler: that gives turns.
        connect_timeout: seconds for devices to connect, 0 for ever.
        status_prefix: of the status PVs, empty for none.
        ended: called at the end.
        others_pending: whether further scans are waiting or running.
    """

    def __init__(
        self,
        order: Order,
        execution: Execution,
        devices: DeviceTable,
        scheduler: Scheduler,
        connect_timeout: float,
        status_prefix: str,
        ended: Callable[["ScanRun"], None],
        others_pending: Callable[[], bool],
    ):
        self.order = order
        self.execution = execution
        self.state = ScanState.IDLE
        self.error: str | None = None
        self._devices = devices
        self._scheduler = scheduler
        self._connect_timeout = connect_timeout
        self._prefix = status_prefix
        self._ended = ended
        self._others_pending = others_pending
        self._task: Task | None = None
        self._started: float | None = None
        self._finished: float | None = None
        self._begun = False
        self._stage = ""
        self._ends: float | None = order.deadline
        self._total = sum(step.units for step in order.steps)
        self._given_up: list[DeviceInfo] = []
        self._status_due = 0.0

    @property
    def id(self) -> int:
        """Number of the scan."""
        return self.order.id

    def start(self) -> None:
        """Begin, unless the deadline has passed."""
        now = self._scheduler.now
        if self._ends is not None and now >= self._ends:
            self._started = self._finished = now
            self._end(ScanState.ABORTED, "Aborted (stale deadline)")
            return
        self._started = now
        if self.order.timeout > 0:
            self._ends = now + self.order.timeout
        self.state = ScanState.RUNNING
        self._task = self._scheduler.spawn(self._life(), lambda task: None)
        self.execution.tasks.append(self._task)

    def pause(self) -> None:
        """Start no further command, if running."""
        if self.state is ScanState.RUNNING:
            self.state = ScanState.PAUSED
            self.execution.paused = True
            self._status_due = 0.0
            self.execution.poke()

    def resume(self) -> None:
        """Go on, if paused."""
        if self.state is ScanState.PAUSED:
            self.state = ScanState.RUNNING
            self.execution.paused = False
            self._status_due = 0.0
            self.execution.poke()

    def next(self) -> None:
        """Give up the current command, if running."""
        if self.state is ScanState.RUNNING:
            self.execution.skip()

    def abort(self, reason: str = "Aborted") -> None:
        """Give up the scan; nothing happens if it has ended."""
        if self.state is ScanState.IDLE:
            self._end(ScanState.ABORTED, None)
        elif not self.state.done and self._task is not None:
            self.resume()
            if self._begun:
                self._scheduler.throw(self._task, Stopped(reason))
            else:
                self._scheduler.cancel(self._task)
                self._finished = self._scheduler.now
                self._end(ScanState.ABORTED, reason)

    def tick(self) -> None:
        """Look at time limits and show the status."""
        now = self._scheduler.now
        over = self._ends is not None and now >= self._ends
        if over and not self.state.done and self._stage != "post":
            self._ends = None
            if self.state is not ScanState.IDLE:
                self.abort("Aborted (deadline/timeout)")
        self._show_status()

    def next_wakeup(self) -> float | None:
        """When to call `tick` at the latest."""
        if self.state.done or self.state is ScanState.IDLE:
            return None
        shows = self._prefix and self._stage in ("pre", "main", "post")
        due = self._status_due if shows else None
        times = [time for time in (self._ends, due) if time is not None]
        return min(times, default=None)

    def _life(self) -> Steps:
        """Everything from the start to the end."""
        self._begun = True
        outcome, error = ScanState.FINISHED, None
        try:
            yield from self._connect()
            self._stage = "pre"
            self._write_status("Active", 1)
            yield from self.execution.run(self.order.pre)
            self._stage = "main"
            self.execution.performed = 0
            yield from self.execution.run(self.order.steps)
        except Stopped as stopped:
            outcome, error = ScanState.ABORTED, str(stopped)
        except Exception as failure:
            outcome, error = ScanState.FAILED, _said(failure)
        if self._stage:
            self._stage = "post"
            try:
                yield from self.execution.run(self.order.post)
            except Stopped as stopped:
                outcome, error = ScanState.ABORTED, error or str(stopped)
            except Exception as failure:
                if outcome is ScanState.FINISHED:
                    outcome, error = ScanState.FAILED, _said(failure)
            trouble = yield from self._final_status(outcome)
            error = error or trouble
        self._finished = self._scheduler.now
        self._end(outcome, error)

    def _end(self, state: ScanState, error: str | None) -> None:
        self.execution.tasks.clear()
        self.state = state
        self.error = error
        try:
            self._given_up = self._devices.close()
        finally:
            self._ended(self)

    def _connect(self) -> Steps:
        """Open all devices and wait for them."""
        steps = [*self.order.pre, *self.order.steps, *self.order.post]
        self._devices.open_all(devices_of(steps))
        if self._prefix:
            names = ("Active", "Status", "State", "Progress", "Finish")
            self._devices.open_all(self._prefix + name for name in names)
        patience = self._connect_timeout
        limit = self._scheduler.now + patience if patience > 0 else None
        waiting = Active(-1, self._waiting_text)
        self.execution.active.append(waiting)
        while (missing := self._devices.missing()) is not None:
            if limit is not None and self._scheduler.now >= limit:
                msg = f"Device {missing.alias} did not connect in {patience:g} seconds"
                raise CommandFailed(msg)
            yield limit
        self.execution.active.remove(waiting)

    def _waiting_text(self) -> str:
        missing = self._devices.missing()
        name = "" if missing is None else missing.alias
        return f"Waiting for device {name} (Disconnected)"

    def _write_status(
        self,
        name: str,
        value: float | str,
        done: Callable[[str | None], None] | None = None,
    ) -> None:
        if self._prefix:
            device = self._devices.open(self._prefix + name)
            device.channel.write(value, done)

    def _show_status(self) -> None:
        """Write the status PVs, once a second."""
        now = self._scheduler.now
        if not self._prefix or self.state.done or now < self._status_due:
            return
        if self._stage not in ("pre", "main", "post"):
            return
        self._status_due = now + STATUS_PERIOD
        info = self.info()
        finish = datetime.fromtimestamp(info.finish / 1000)
        try:
            self._write_status("Status", info.command or "")
            self._write_status("State", int(self.state))
            self._write_status("Progress", info.percentage())
            self._write_status("Finish", f"{finish:%Y-%m-%d %H:%M:%S}")
        except BadValue as error:
            self._prefix = ""
            self.abort(f"Aborted (status PVs: {error})")

    def _final_status(self, outcome: ScanState) -> Steps:
        """Write the final state and wait until it is processed; what went wrong."""
        if not self._prefix:
            return None
        processed: list[str | None] = []

        def done(error: str | None) -> None:
            processed.append(error)
            self.execution.poke()

        limit = self._scheduler.now + FINAL_STATUS
        try:
            self._write_status("Status", "- end -")
            self._write_status("Progress", 100)
            self._write_status("State", int(outcome), done)
            while not processed and self._scheduler.now < limit:
                yield limit
            self._write_status("Active", int(self._others_pending()))
        except (Stopped, BadValue) as error:
            return str(error)
        return processed[0] if processed else None

    def devices(self) -> list[DeviceInfo]:
        """Devices of the scan; none before it starts."""
        return self._given_up if self.state.done else self._devices.infos()

    def info(self) -> ScanInfo:
        """What clients are told."""
        now = self._finished if self._finished is not None else self._scheduler.now
        start = self._started
        runtime = 0 if start is None else int((now - start) * 1000)
        performed = self._performed()
        address, command = self._current()
        return ScanInfo(
            self.id,
            self.order.name,
            int(self.order.created * 1000),
            self.state.label,
            runtime,
            self._total,
            performed,
            self._finish(now, performed),
            address,
            command,
            self.error,
        )

    def _performed(self) -> int:
        if self._started is None or self._stage == "pre":
            return 0
        if self._stage == "post" or self.state.done:
            return self._total if self._task is not None else 0
        return min(self._total, self.execution.performed)

    def _finish(self, now: float, performed: int) -> int:
        """End or expected end in milliseconds, 0 before the start."""
        if self._started is None:
            return 0
        end = now
        if not self.state.done and performed:
            end = self._started + (now - self._started) * self._total / performed
        return int(end * 1000)

    def _current(self) -> tuple[int, str]:
        if self._task is None:
            return -1, ""
        if self.state.done:
            return -1, "- end -"
        active = self.execution.active
        if not active:
            return -1, ""
        inner = -1 if self._stage in ("pre", "post") else active[-1].address
        return inner, active[-1].text()


def _said(failure: Exception) -> str:
    """What a scan reports: its own errors as they are, others with their name."""
    known = isinstance(failure, BeamflyError)
    return str(failure) if known else f"{type(failure).__name__}: {failure}"
