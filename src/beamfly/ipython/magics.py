"""`%mov` and `%movr`, as bluesky has them, in the user's own RunEngine; SPEC's names.

```
%mov x 1.5 y -2        move, at the same time, and wait
%movr x 0.1            move by
```

What follows the name of a device is an expression without spaces, such as `x0+0.5`.
`%wa`, `%ct`, `%ascan` and the like are those of `beamfly.spec`.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast

import bluesky.plan_stubs as bps
from bluesky import RunEngine, RunEngineInterrupted
from bluesky.protocols import Movable
from bluesky.utils import ProgressBarManager

from beamfly import spec
from beamfly.errors import BadValue, BeamflyError
from beamfly.ipython.devices import reason_of
from beamfly.live.notebook import is_notebook


def install_magics(RE: RunEngine, shell: Any, detectors: Iterable[Any] = ()) -> None:
    """Register the magics with an IPython shell.

    Args:
        RE: Which runs what they do.
        shell: Of IPython, such as `get_ipython()` gives.
        detectors: What `%ct`, `%ascan` and the like count with.
    """
    magics = Magics(RE, shell)
    for name in ("mov", "movr"):
        shell.register_magic_function(magics.guarded(name), "line", name)
    spec.install(shell, RE, detectors=detectors)


class Magics:
    """What the magics do.

    Args:
        RE: Which runs it.
        shell: Whose names are looked up.
    """

    def __init__(self, RE: RunEngine, shell: Any) -> None:
        self._engine, self._shell = RE, shell

    def guarded(self, name: str) -> Callable[[str], None]:
        """A magic that tells mistakes in one line, without a traceback."""
        act = getattr(self, name)

        def magic(line: str) -> None:
            try:
                refuse_in_loop(self._engine)
                act(line)
            except BeamflyError as error:
                sys.stdout.write(f"%{name}: {error}\n")

        magic.__doc__ = act.__doc__
        return magic

    def mov(self, line: str) -> None:
        """Move devices and wait: %mov x 1.5 y -2."""
        self._move("mov", bps.mv, line)

    def movr(self, line: str) -> None:
        """Move devices by so much and wait: %movr x 0.1."""
        self._move("movr", cast(Any, bps).mvr, line)

    def _move(self, name: str, stub: Callable[..., Any], line: str) -> None:
        words = line.split()
        if not words or len(words) % 2:
            msg = f"say device and position, such as %{name} x 1.5 y -2"
            raise BadValue(f"{msg}; nothing was moved")
        arguments: list[Any] = []
        for device, position in zip(words[::2], words[1::2], strict=True):
            arguments.append(self._movable(device))
            arguments.append(self._value(position))
        engine = cast(Any, self._engine)
        before = engine.waiting_hook
        if sys.stderr.isatty() and not is_notebook():
            engine.waiting_hook = ProgressBarManager()
        try:
            self._run(stub(*arguments))
        finally:
            engine.waiting_hook = before

    def _run(self, plan: Any) -> None:
        """Run a plan that is not to be resumed; BadValue if the RunEngine is busy."""
        engine: Any = self._engine
        if engine.state != "idle":
            msg = (
                f"the RunEngine is {engine.state}: RE.resume(), RE.stop() or "
                "RE.abort() first; nothing was done"
            )
            raise BadValue(msg)
        try:
            engine(plan)
        except RunEngineInterrupted:
            if str(engine.state) == "paused":
                engine.abort()
            sys.stdout.write("Interrupted; what moved was stopped.\n")
        except Exception as error:
            raise BadValue(reason_of(error.__cause__ or error)) from error

    def _movable(self, word: str) -> Any:
        device = self._value(word)
        if not isinstance(device, Movable):
            raise BadValue(f"{word} cannot be moved; nothing was moved")
        return cast(Any, device)

    def _value(self, word: str) -> Any:
        try:
            return eval(word, dict(self._shell.user_ns))
        except Exception as error:
            raise BadValue(f"{word}: {error}; nothing was moved") from error


def refuse_in_loop(RE: RunEngine) -> None:
    """BadValue if this is the RunEngine's own event loop, which then cannot run it."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is not RE.loop:
        return
    msg = (
        "a cell that has an await of its own cannot run plans; use a cell for each. "
        "Nothing was done"
    )
    raise BadValue(msg)
