"""A step-scan plan as commands of a scan server.

```
scan = scan_from_plan(bp.scan([detector], motor, 1, 5, 5))
RE(fly_scan(flyer, scan))
```

The plan is gone through without a RunEngine, every answer being that all went well.
Moves are commands with completion, moves of one group a `Parallel`; what is read
between `create` and `save` is a `Log`. What a scan server has no words for is refused,
and so is what depends on readings: nobody has read anything yet.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any

from bluesky.protocols import Status
from bluesky.utils import Msg

from beamfly.errors import BadValue
from beamfly.plans.scan_devices import pv_of
from beamfly.scan.actions import Delay, Log
from beamfly.scan.command import Command
from beamfly.scan.containers import Parallel
from beamfly.scan.settings import SettingsBasedSet

MOST_COMMANDS = 50_000
"""A plan that gives more is taken for one that never ends."""


class _Done:
    """The status of something that has gone well."""

    done = True
    success = True

    def add_callback(self, callback: Callable[[Status], None]) -> None:
        """Call it at once."""
        callback(self)

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """There is none."""
        del timeout
        return None


def scan_from_plan(
    plan: Generator[Msg, Any, Any],
    *,
    pvs: Mapping[Any, str] | None = None,
    triggers: Mapping[Any, str] | None = None,
) -> list[Command]:
    """Commands that do what a step-scan plan does.

    Args:
        plan: Such as `bp.scan`, `bp.grid_scan`, `bp.list_scan`, or plan stubs.
        pvs: Device -> PV, for devices that are neither signals nor motors.
        triggers: Device -> PV that triggers it by being set to 1, and completes when it
            is done.

    Raises:
        BadValue: The plan does something that a scan server cannot do.
    """
    steps = _Steps(pvs or {}, triggers or {})
    answer: Any = None
    try:
        while True:
            message = plan.send(answer)
            answer = steps.take(message)
            if len(steps.commands) > MOST_COMMANDS:
                msg = (
                    f"This plan has given {MOST_COMMANDS} commands and no end; nothing "
                    "was converted"
                )
                raise BadValue(msg)
    except StopIteration:
        return steps.finished()
    except BadValue:
        raise
    except Exception as error:
        msg = (
            "This plan cannot be converted: without readings it ends with "
            f"{type(error).__name__}: {error}"
        )
        raise BadValue(msg) from error
    finally:
        plan.close()


class _Steps:
    """Takes messages, makes commands."""

    def __init__(self, pvs: Mapping[Any, str], triggers: Mapping[Any, str]) -> None:
        self.commands: list[Command] = []
        self._pvs = pvs
        self._triggers = triggers
        self._pending: dict[Any, list[Command]] = {}
        self._read: list[str] | None = None
        self._acts: dict[str, Callable[[Any], Any]] = {
            "set": self._set,
            "trigger": self._trigger,
            "wait": self._wait,
            "sleep": self._sleep,
            "locate": self._locate,
            "create": self._create,
            "read": self._note,
            "save": self._save,
        }

    def take(self, message: Any) -> Any:
        """The answer to a message; BadValue if a scan server cannot do it."""
        command = message.command
        if command in _MEANS_NOTHING:
            return _MEANS_NOTHING[command]()
        act = self._acts.get(command)
        if act is None:
            return self._refuse(message, "a scan server cannot do that")
        return act(message)

    def finished(self) -> list[Command]:
        """All commands; moves that nobody has waited for come last."""
        for group in list(self._pending):
            self._flush(group)
        return self.commands

    def _refuse(self, message: Any, why: str) -> Any:
        name = getattr(message.obj, "name", "")
        of = f" of {name}" if name else ""
        msg = f"The plan's message '{message.command}'{of} cannot be converted: {why}"
        raise BadValue(msg)

    def _quiet(self, message: Any) -> None:
        """Refuse what happens while moves are under way that are awaited later."""
        if any(self._pending.values()):
            self._refuse(message, "it comes while something still moves")

    def _set(self, message: Any) -> Status:
        value, *more = message.args
        if more:
            self._refuse(message, "there is more than one value")
        device = pv_of(message.obj, self._pvs, read=False)
        command = SettingsBasedSet(device, value, completion=True)
        self._later(message, command)
        return _Done()

    def _trigger(self, message: Any) -> Status:
        if message.obj not in self._triggers:
            self._refuse(message, "say triggers={device: PV}")
        command = SettingsBasedSet(self._triggers[message.obj], 1, completion=True)
        self._later(message, command)
        return _Done()

    def _later(self, message: Any, command: Command) -> None:
        group = message.kwargs.get("group")
        self._pending.setdefault(group, []).append(command)

    def _wait(self, message: Any) -> bool:
        group = message.args[0] if message.args else message.kwargs.get("group")
        if message.kwargs.get("timeout") is not None and self._pending.get(group):
            self._refuse(message, "it has a timeout; settings of scans have them, too")
        self._flush(group)
        return True

    def _flush(self, group: Any) -> None:
        commands = self._pending.pop(group, [])
        if commands:
            together = len(commands) > 1
            self.commands.append(Parallel(commands) if together else commands[0])

    def _sleep(self, message: Any) -> None:
        self._quiet(message)
        self.commands.append(Delay(float(message.args[0])))

    def _create(self, message: Any) -> None:
        self._quiet(message)
        self._read = []

    def _locate(self, message: Any) -> None:
        self._refuse(message, "the plan depends on where it is")

    def _note(self, message: Any) -> dict[str, Any]:
        if self._read is None:
            self._refuse(
                message, "what it reads is no event, so the plan depends on it"
            )
        else:
            self._read.append(pv_of(message.obj, self._pvs))
        return {}

    def _save(self, message: Any) -> None:
        del message
        names, self._read = self._read, None
        if names:
            self.commands.append(Log(list(dict.fromkeys(names))))


def _nothing() -> None:
    """The answer to most messages."""


_MEANS_NOTHING: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(
        ("null", "checkpoint", "clear_checkpoint", "rewindable", "declare_stream"),
        _nothing,
    ),
    "open_run": lambda: "the run of the scan",
    "close_run": lambda: "the run of the scan",
    "stage": _Done,
    "unstage": _Done,
}
"""Messages that are for documents and the RunEngine alone, and their answers."""
