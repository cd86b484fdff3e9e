"""Script classes that scans execute: each runs in a thread, the engine does its I/O.

A script of class `MyScript` is `myscript.py` in a folder of the script path, with
`getDeviceNames()` and `run(context)`; an error handler has `handleError(command, error,
context)`, which returns Abort, Continue or Retry. Without a script path there are only
those of `builtin_scripts`. A script runs with all rights of the server: keep its folder
safe.
"""

import importlib.util
import re
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from beamfly.errors import BadValue
from beamfly.scan.access import CommandFailed
from beamfly.scan.builtin_scripts import BUILTIN, ScanErrorHandler, ScanScript
from beamfly.scan.execution import Execution
from beamfly.scan.handlers import Outcome, outcome_of
from beamfly.scan.library import EXAMPLES
from beamfly.scan.program import Step
from beamfly.scan.script_context import ScriptContext
from beamfly.scan.store import Store

_CLASS_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass
class LoadedScript:
    """A script with its arguments."""

    name: str
    """Of its class."""
    instance: Any
    """Made of the arguments."""
    devices: list[str]
    """Names of the devices that it uses."""


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

    def load_handler(self, name: str) -> object:
        """An error handler; BadValue if there is no such class, or it is none."""
        kind = self._find(name)
        try:
            instance = kind()
        except Exception as error:
            msg = f"Error loading class {name}: {type(error).__name__}: {error}"
            raise BadValue(msg) from error
        if not callable(getattr(instance, "handleError", None)):
            raise BadValue(f"Error loading class {name}: it has no handleError")
        return instance

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

        def work() -> Callable[[], None]:
            try:
                script.instance.run(context)
            except Exception as failure:
                said = f"{script.name}: {type(failure).__name__}: {failure}"
                return lambda: done(said)
            return lambda: done(None)

        self._in_thread(script.name, work)
        return context.interrupt

    def ask_handler(
        self,
        step: Step,
        error: CommandFailed,
        execution: Execution,
        done: Callable[[Outcome | str], None],
    ) -> Callable[[], None]:
        """Ask an error handler in a thread; a function that interrupts it."""
        handler: Any = step.handler
        name = type(handler).__name__
        context = ScriptContext(execution, self._store, self._post)

        def work() -> Callable[[], None]:
            try:
                answer = handler.handleError(step.command, error, context)
            except Exception as failure:
                said = f"error handler {name}: {type(failure).__name__}: {failure}"
                return lambda: done(said)
            return lambda: done(outcome_of(answer))

        self._in_thread(name, work)
        return context.interrupt

    def _in_thread(self, name: str, work: Callable[[], Callable[[], None]]) -> None:
        """Work in a thread, then do what it returns in the engine's."""

        def run() -> None:
            report = work()
            # a server that has stopped has nobody left to tell
            with suppress(RuntimeError):
                self._post(report)

        threading.Thread(target=run, name=f"scan script {name}").start()


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
    offered = vars(sys.modules[package])
    offered["ScanScript"] = ScanScript
    offered["ScanErrorHandler"] = ScanErrorHandler
    sys.modules.setdefault("numjy", np)
