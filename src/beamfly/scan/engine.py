"""The scan engine: a queue of scans, executed as time advances. No I/O of its own.

The engine is handed its devices (`Channels`), a `Store` for samples and a `Library` of
files; every call says what time it is. `advance(now)` makes progress, `next_wakeup()`
says when to call it again, and `wake` is called when there is something to do earlier.
"""

from collections.abc import Callable, Iterator

from beamfly.errors import BadValue, UnknownScan
from beamfly.scan.channels import Channels
from beamfly.scan.commands import XmlCommand
from beamfly.scan.config import ScanConfig
from beamfly.scan.devices import DeviceTable
from beamfly.scan.execution import Execution, ScriptRunner
from beamfly.scan.info import DeviceInfo, ScanInfo, ScanState
from beamfly.scan.program import Library, Step, compile_program, patch
from beamfly.scan.rest import ALL_SCANS
from beamfly.scan.run import Order, ScanRun
from beamfly.scan.sequence import read_commands, server_document
from beamfly.scan.simulation import Simulated, Simulation
from beamfly.scan.store import Row, Store
from beamfly.scan.tasks import Scheduler, Task

LONGEST_NAME = 100


class Engine:
    """Executes scans.

    Args:
        config: how.
        channels: where PVs come from.
        store: where samples go; scans that it knows already are Logged.
        library: of files, scripts and error handlers.
        now: seconds since 1970.
        wake: called when `advance` should be called soon.
        scripts: executes scripts; None if there are none.
    """

    def __init__(
        self,
        config: ScanConfig,
        channels: Channels,
        store: Store,
        library: Library,
        now: float,
        wake: Callable[[], None],
        scripts: ScriptRunner | None = None,
    ):
        self.config = config
        self.store = store
        self._channels = channels
        self._library = library
        self._scripts = scripts
        self._scheduler = Scheduler(now, wake)
        self._runs: dict[int, ScanRun] = {}
        self._logged: dict[int, ScanInfo] = {info.id: info for info in store.known()}
        self._order: list[int] = list(reversed(self._logged))
        """Ids, newest first."""
        channels.advance(now)

    # time

    def advance(self, now: float) -> None:
        """Make whatever progress is possible at that time."""
        self._scheduler.now = now
        self._channels.advance(now)
        for run in list(self._active()):
            run.tick()
        self._scheduler.advance(now)
        self._start_next()

    def next_wakeup(self) -> float | None:
        """When to call `advance` at the latest, None for no need."""
        times = [self._scheduler.next_wakeup(), self._channels.next_wakeup()]
        times.extend(run.next_wakeup() for run in self._active())
        return min((time for time in times if time is not None), default=None)

    def _active(self) -> list[ScanRun]:
        states = (ScanState.RUNNING, ScanState.PAUSED)
        return [run for run in self._runs.values() if run.state in states]

    @property
    def idle(self) -> bool:
        """Whether all scans have ended."""
        return all(run.state.done for run in self._runs.values())

    # scans

    def submit(
        self,
        commands: bytes | str,
        now: float,
        name: str = "UnNamed",
        queue: bool = True,
        timeout: float = 0.0,
        deadline: float | None = None,
        pre_post: bool = True,
    ) -> int:
        """Check a scan completely, and queue it or start it.

        Args:
            commands: XML.
            now: seconds since 1970.
            name: any text, cut after 100 characters.
            queue: whether it waits for other queued scans.
            timeout: seconds that it may run, 0 for ever.
            deadline: seconds since 1970 at which it is aborted, None for never.
            pre_post: whether pre- and post-scan are executed.

        Returns:
            Its id.

        Raises:
            BadValue: it cannot be executed; no id is used up.
        """
        self._scheduler.now = now
        if timeout and deadline is not None:
            raise BadValue("Cannot specify both timeout and deadline")
        steps = self._compile(read_commands(commands))
        pre = self._files(self.config.pre_scan) if pre_post else []
        post = self._files(self.config.post_scan) if pre_post else []
        name = name[:LONGEST_NAME]
        number = self.store.create(name, int(now * 1000))
        order = Order(number, name, now, steps, pre, post, queue, timeout, deadline)
        self._runs[number] = self._run(order)
        self._order.insert(0, number)
        self._cull()
        if not queue:
            self._runs[number].start()
        self._start_next()
        return number

    def _compile(self, commands: list[XmlCommand]) -> list[Step]:
        return compile_program(commands, self.config.macros, self._library)

    def _files(self, names: list[str]) -> list[Step]:
        steps: list[Step] = []
        for name in names:
            try:
                steps += self._compile(read_commands(self._library.read(name)))
            except BadValue as error:
                raise BadValue(f"Pre- or post-scan '{name}': {error}") from None
        return steps

    def _run(self, order: Order) -> ScanRun:
        def changed() -> None:
            execution.poke()

        config = self.config
        devices = DeviceTable(self._channels, config.aliases, changed)
        execution = Execution(
            order.id,
            devices,
            self._scheduler,
            self.store,
            config.read_timeout,
            self._scripts,
        )
        return ScanRun(
            order,
            execution,
            devices,
            self._scheduler,
            config.connect_timeout,
            config.status_pv_prefix,
            lambda run: self._scheduler.wake(),
            lambda: self._pending(order.id),
        )

    def _pending(self, but: int) -> bool:
        runs = self._runs.values()
        return any(not run.state.done and run.id != but for run in runs)

    def _start_next(self) -> None:
        """Start the oldest queued scan if no other queued one is running."""
        waiting = None
        for number in self._order:
            run = self._runs.get(number)
            if run is None or not run.order.queued or run.state.done:
                continue
            if run.state is not ScanState.IDLE:
                return
            waiting = run
        if waiting is not None:
            waiting.start()

    def _cull(self) -> None:
        """Forget old scans, and the commands of those that are not so old."""
        done = [i for i in self._order if self._done(i)]
        if self.config.log_limit > 0:
            for number in done[self.config.log_limit :]:
                self._forget(number)
        for number in [i for i in done if i in self._runs][
            self.config.scans_in_memory :
        ]:
            run = self._runs.pop(number)
            created = int(run.order.created * 1000)
            self._logged[number] = ScanInfo(
                number, run.order.name, created, "Logged", address=0
            )

    def _done(self, number: int) -> bool:
        run = self._runs.get(number)
        return run is None or run.state.done

    def _forget(self, number: int) -> None:
        self._runs.pop(number, None)
        self._logged.pop(number, None)
        if number in self._order:
            self._order.remove(number)
        self.store.delete(number)

    # questions

    def _known(self, scan: int) -> None:
        if scan not in self._runs and scan not in self._logged:
            raise UnknownScan(f"Unknown scan ID {scan}")

    def infos(self) -> list[ScanInfo]:
        """All scans, newest first."""
        return [self._info(number) for number in self._order]

    def info(self, scan: int) -> ScanInfo:
        """State and progress of a scan; UnknownScan if there is none."""
        self._known(scan)
        return self._info(scan)

    def _info(self, number: int) -> ScanInfo:
        run = self._runs.get(number)
        return self._logged[number] if run is None else run.info()

    def commands(self, scan: int) -> str:
        """Commands of a scan as XML; UnknownScan, or BadValue if it is Logged."""
        self._known(scan)
        run = self._runs.get(scan)
        if run is None:
            raise BadValue("Commands not available for logged scan")
        return server_document(step.command for step in run.order.steps)

    def rows(self, scan: int, after: int = -1, last: int | None = None) -> list[Row]:
        """Samples of a scan, see `Store`; UnknownScan if there is none."""
        self._known(scan)
        return self.store.rows(scan, after, last)

    def batches(self, scan: int, after: int = -1) -> Iterator[list[Row]]:
        """The same bit by bit, see `Store`; UnknownScan if there is none."""
        self._known(scan)
        return self.store.batches(scan, after)

    def last_serial(self, scan: int) -> int:
        """Greatest serial of a scan, -1 for none; UnknownScan if there is none."""
        self._known(scan)
        return self.store.last_serial(scan)

    def devices(self, scan: int = ALL_SCANS) -> list[DeviceInfo]:
        """Devices of a scan, or those that are configured; UnknownScan."""
        if scan == ALL_SCANS:
            named = [pv for pv in self.config.pvs if pv.name]
            return [DeviceInfo(pv.name, pv.alias or pv.name) for pv in named]
        self._known(scan)
        run = self._runs.get(scan)
        return [] if run is None else run.devices()

    def simulate(
        self, commands: bytes | str, now: float, done: Callable[[Simulated], None]
    ) -> None:
        """Find out what a scan would do.

        Args:
            commands: XML.
            now: seconds since 1970.
            done: called with the outcome, after its PVs were tried.

        Raises:
            BadValue: it cannot be executed.
        """
        self._scheduler.now = now
        steps = self._compile(read_commands(commands))
        tasks: list[Task] = []

        def changed() -> None:
            for task in tasks:
                self._scheduler.poke(task)

        simulation = Simulation(self.config, steps, self._scheduler)
        devices = DeviceTable(self._channels, {}, changed)

        def finished(task: Task) -> None:
            devices.close()
            trouble = "" if task.error is None else f"ERROR: {task.error}"
            done(simulation.outcome(trouble))

        tasks.append(self._scheduler.spawn(simulation.steps(devices), finished))

    # control

    def _each(self, scan: int) -> list[ScanRun]:
        """The run of that id, or all of them, newest first."""
        if scan == ALL_SCANS:
            return [self._runs[i] for i in self._order if i in self._runs]
        self._known(scan)
        run = self._runs.get(scan)
        return [] if run is None else [run]

    def _refuse_logged(self, scan: int, what: str) -> None:
        if scan in self._logged:
            raise BadValue(f"Scan {scan} is only logged, there is nothing to {what}")

    def pause(self, scan: int, now: float) -> None:
        """Pause a running scan, -1 for all; UnknownScan."""
        self._scheduler.now = now
        for run in self._each(scan):
            run.pause()

    def resume(self, scan: int, now: float) -> None:
        """Resume a paused scan, -1 for all; UnknownScan, BadValue if it is Logged."""
        self._scheduler.now = now
        self._refuse_logged(scan, "resume")
        for run in self._each(scan):
            run.resume()

    def abort(self, scan: int, now: float) -> None:
        """Abort a scan, -1 for all; UnknownScan, BadValue if it is Logged."""
        self._scheduler.now = now
        self._refuse_logged(scan, "abort")
        for run in self._each(scan):
            run.abort()

    def give_up(self, reason: str, now: float) -> None:
        """Abort all scans that are running, for a reason of the server's own."""
        self._scheduler.now = now
        for run in self._active():
            run.abort(f"Aborted ({reason})")

    def next(self, scan: int, now: float) -> None:
        """Give up the current command of a scan, -1 for all; UnknownScan."""
        self._scheduler.now = now
        for run in self._each(scan):
            run.next()

    def patch(self, scan: int, address: int, name: str, text: str) -> None:
        """Change a command; UnknownScan, BadValue if there is no such property."""
        self._known(scan)
        run = self._runs.get(scan)
        if run is not None:
            patch(run.order.steps, address, name, text)

    def move(self, scan: int, steps: int) -> None:
        """Move a waiting scan in the queue, all the way or not at all.

        Steps below 0 are earlier; a scan that has started cannot be passed by those.
        """
        run = self._runs.get(scan)
        if run is None or run.state is not ScanState.IDLE or not run.order.queued:
            return
        index = self._order.index(scan)
        target = index - steps
        passed = self._order[index + 1 : target + 1]
        started = any(not self._waits(number) for number in passed)
        if 0 <= target < len(self._order) and not started:
            self._order.insert(target, self._order.pop(index))

    def _waits(self, number: int) -> bool:
        run = self._runs.get(number)
        return run is not None and run.state is ScanState.IDLE

    def delete(self, scan: int) -> None:
        """Forget a scan that has ended; nothing if it has not; UnknownScan."""
        self._known(scan)
        if self._done(scan):
            self._forget(scan)

    def clear(self) -> None:
        """Forget all scans that have ended."""
        for number in [i for i in self._order if self._done(i)]:
            self._forget(number)
