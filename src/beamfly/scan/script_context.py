"""What a script can do: called in its own thread, done in the engine's.

Each call is posted to the engine's thread and waited for there; an interrupted script
gets `ScriptInterrupted` from it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from beamfly.errors import ScanError
from beamfly.scan.access import Active
from beamfly.scan.data import ScanData, createTable
from beamfly.scan.execution import Execution
from beamfly.scan.moves import Set
from beamfly.scan.program import Step
from beamfly.scan.store import Store
from beamfly.scan.tasks import Steps, Task
from beamfly.scan.values import parse_reading


class ScriptInterrupted(ScanError):
    """The scan goes on without the script."""


class ScriptContext:
    """What a script can do; called in the script's own thread."""

    def __init__(
        self,
        execution: Execution,
        store: Store,
        post: Callable[[Callable[[], None]], object],
    ):
        self._execution = execution
        self._store = store
        self._post = post
        self._pending: set[Future[Any]] = set()
        self._interrupted = False

    def interrupt(self) -> None:
        """Make this and every further call fail; called in the engine's thread."""
        self._interrupted = True
        for future in list(self._pending):
            future.cancel()

    def _ask(self, work: Callable[[Future[Any]], None]) -> Any:
        """Have something done in the engine's thread and wait for it."""
        future: Future[Any] = Future()
        self._pending.add(future)

        def begin() -> None:
            if self._interrupted:
                future.cancel()
                return
            try:
                work(future)
            except Exception as error:
                _settle(future, error)

        self._post(begin)
        try:
            return future.result()
        except BaseException as error:
            if future.cancelled():
                raise ScriptInterrupted("The script was interrupted") from None
            raise error from None
        finally:
            self._pending.discard(future)

    def _run(self, steps: Callable[[list[Any]], Steps]) -> Any:
        """Have a generator of the engine run to its end; what it put into the list."""
        results: list[Any] = []

        def work(future: Future[Any]) -> None:
            execution = self._execution

            def done(task: Task) -> None:
                if task in execution.tasks:
                    execution.tasks.remove(task)
                _settle(future, task.error, results[0] if results else None)

            task = execution.scheduler.spawn(steps(results), done)
            execution.tasks.append(task)

        return self._ask(work)

    def getScanData(self) -> ScanData:  # noqa: N802
        """All samples of the scan so far: `id`, `time` and `value` by device."""

        def work(future: Future[Any]) -> None:
            data: ScanData = {}
            for device, serial, time, text in self._store.rows(self._execution.scan_id):
                samples = data.setdefault(device, {"id": [], "time": [], "value": []})
                for key, value in zip(
                    samples, (serial, time, parse_reading(text)), strict=True
                ):
                    samples[key].append(value)
            future.set_result(data)

        return self._ask(work)

    def getData(self, *devices: str) -> list[list[float]]:  # noqa: N802
        """Numbers of devices, one list each, aligned by serial.

        Rows start where every device has been logged.
        """
        table = createTable(self.getScanData(), *devices)
        rows = [row for row in zip(*table, strict=True) if None not in row]
        return [[float(row[i]) for row in rows] for i in range(len(devices))]

    def logData(self, device: str, array: Sequence[Any]) -> None:  # noqa: N802
        """Log values for a device, one serial each."""
        values = [float(item) for item in array]

        def work(future: Future[Any]) -> None:
            self._execution.log_array(device, values)
            future.set_result(None)

        self._ask(work)

    def read(self, device: str) -> Any:
        """Value of a device: a number, or a text where it is none."""

        def steps(results: list[Any]) -> Steps:
            active = Active(-1, lambda: f"Read {device}")
            found = self._execution.device(device)
            reading = yield from self._execution.read(found, active)
            number = reading.number
            results.append(reading.text if np.isnan(number) else number)

        return self._run(steps)

    def write(
        self,
        device: str,
        value: Any,
        readback: str | bool = False,
        wait: bool | None = None,
        tolerance: float = 0.1,
        timeout: float = 20.0,
        completion: bool = False,
    ) -> None:
        """Write a device.

        Args:
            device: its name; the script must list it in `getDeviceNames`.
            value: a number, a text, or numbers for an array.
            readback: device to wait for, True for the device itself.
            wait: False to write without waiting for the readback.
            tolerance: of the readback.
            timeout: seconds.
            completion: whether the end of processing is awaited.
        """
        checked = readback if wait is not False else False
        command = Set(
            device,
            value,
            completion,
            checked,
            tolerance=tolerance,
            timeout=timeout if completion or checked else 0.0,
        )

        def steps(results: list[Any]) -> Steps:
            del results
            step = Step(command, -1, {})
            active = Active(-1, lambda: str(command))
            yield from self._execution.write(
                step,
                command,
                command.value,
                value if isinstance(value, (str, int, float)) else 0.0,
                active,
            )

        self._run(steps)


def _settle(future: Future[Any], error: Exception | None, result: Any = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
