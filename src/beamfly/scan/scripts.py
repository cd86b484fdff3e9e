"""Script classes that scans execute: each runs in a thread, the engine does its I/O.

A script of class `MyScript` is `myscript.py` in a folder of the script path, with
`getDeviceNames()` and `run(context)`. Without a script path there are only those of
`builtin_scripts`. A script runs with all rights of the server: keep its folder safe.
"""

import importlib.util
import re
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from beamfly.errors import BadValue, ScanError
from beamfly.scan.access import Active
from beamfly.scan.builtin_scripts import BUILTIN, ScanScript
from beamfly.scan.data import ScanData, createTable
from beamfly.scan.execution import Execution
from beamfly.scan.library import EXAMPLES
from beamfly.scan.moves import Set
from beamfly.scan.program import Step
from beamfly.scan.store import Store
from beamfly.scan.tasks import Steps, Task
from beamfly.scan.values import parse_reading

_CLASS_NAME = re.compile(r"[A-Za-z_]\w*")


class ScriptInterrupted(ScanError):
    """The scan goes on without the script."""


@dataclass
class LoadedScript:
    """A script with its arguments."""

    name: str
    """Of its class."""
    instance: Any
    """Made of the arguments."""
    devices: list[str]
    """Names of the devices that it uses."""


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


class ScriptHost:
    """Loads script classes and executes them.

    Args:
        paths: folders with script modules; without any, only builtin ones are known.
        store: with the samples of all scans.
        post: calls a function in the engine's thread, soon.
    """

    def __init__(
        self,
        paths: Sequence[str],
        store: Store,
        post: Callable[[Callable[[], None]], object],
    ):
        self._roots = [Path(path).resolve() for path in paths if path != EXAMPLES]
        self._store = store
        self._post = post

    def load(self, name: str, arguments: list[str]) -> LoadedScript:
        """A script with its arguments.

        Raises:
            BadValue: there is no such class, or it does not take these arguments.
        """
        kind = BUILTIN.get(name) or self._find(name)
        try:
            instance = kind(*arguments)
            devices = [str(device) for device in instance.getDeviceNames()]
        except Exception as error:
            msg = f"Error loading class {name}: {type(error).__name__}: {error}"
            raise BadValue(msg) from error
        return LoadedScript(name, instance, devices)

    def _find(self, name: str) -> Any:
        if not _CLASS_NAME.fullmatch(name):
            raise BadValue(f"Error loading class {name!r}: that is no class name")
        if not self._roots:
            msg = f"Error loading class {name}: no script path is configured"
            raise BadValue(msg)
        for root in self._roots:
            path = (root / f"{name.lower()}.py").resolve()
            if path.is_file() and path.is_relative_to(root):
                return _class_in(path, name)
        raise BadValue(f"Error loading class {name}: no module named {name.lower()}")

    def start(
        self, step: Step, execution: Execution, done: Callable[[str | None], None]
    ) -> Callable[[], None]:
        """Start a script in a thread; a function that interrupts it."""
        script = step.script
        if not isinstance(script, LoadedScript):
            done("The script was not loaded")
            return lambda: None
        context = ScriptContext(execution, self._store, self._post)

        def work() -> None:
            error: str | None = None
            try:
                script.instance.run(context)
            except Exception as failure:
                error = f"{script.name}: {type(failure).__name__}: {failure}"
            try:
                self._post(lambda: done(error))
            except RuntimeError:
                # the server has stopped, and there is nobody left to tell
                return

        threading.Thread(target=work, name=f"scan script {script.name}").start()
        return context.interrupt


def _class_in(path: Path, name: str) -> Any:
    """A class out of a module file, read afresh so that changes count."""
    _provide_imports()
    spec = importlib.util.spec_from_file_location(f"_scan_script_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadValue(f"Error loading class {name}: {path} is no module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return getattr(module, name)
    except Exception as error:
        msg = f"Error loading class {name}: {type(error).__name__}: {error}"
        raise BadValue(msg) from error


def _provide_imports() -> None:
    """Let scripts import what the original server gives them."""
    package = "org.csstudio.scan.command"
    if package in sys.modules:
        return
    parts = package.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        module = sys.modules.setdefault(name, ModuleType(name))
        if not hasattr(module, "__path__"):
            module.__path__ = []
    vars(sys.modules[package])["ScanScript"] = ScanScript
    sys.modules.setdefault("numjy", np)
