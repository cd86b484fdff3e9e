"""`Spec`: SPEC's names as plans, for the detectors of a session.

```python
spec = Spec(detectors=[scaler], extras=[ring.current])
RE(spec.ascan(x, 0, 1, 10, 0.1))        # 11 points
RE(spec.mesh(x, 0, 1, 10, y, 0, 2, 5, 0.1, breaks="row"))
RE.subscribe(spec.last)                  # for cen, pic, com
RE(spec.cen())
```

All that is asked for is checked before anything moves.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack, cast

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import (
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)

from beamfly.errors import BadValue
from beamfly.spec.counting import check_counting
from beamfly.spec.courses import (
    USAGE,
    Argument,
    Course,
    check_motor,
    check_time,
    command,
    course,
    number,
)
from beamfly.spec.flights import Flights, fly_course
from beamfly.spec.last import LastRun
from beamfly.spec.preflight import check_positions, where
from beamfly.spec.steps import Options, Steps, break_points, step_scan

PLANS = (
    *("mv", "umv", "mvr", "umvr", "ct", "loopscan", "timescan", "ascan", "dscan"),
    *("lup", "a2scan", "a3scan", "a4scan", "d2scan", "d3scan", "d4scan", "mesh"),
    *("dmesh", "th2th", "fascan", "fmesh", "tw", "cen", "pic", "com"),
)
"""The methods of a Spec that are plans."""
ASKING = ("tw",)
"""Those that ask who is at the prompt."""
Extra = Readable[Any] | Sequence[Readable[Any]]
"""Further detectors."""
Metadata = Mapping[str, Any] | None
"""Goes into the start document."""


class Spec:
    """A session.

    Args:
        detectors: Read at each point, and counted with.
        extras: Read at the beginning, at breaks and at the end of each scan.
        flights: What fascan and fmesh fly with.
        th: What th2th moves, and half of:
        tth: this.
    """

    def __init__(
        self,
        detectors: Iterable[Any] = (),
        extras: Iterable[Any] = (),
        *,
        flights: Flights | None = None,
        th: Any = None,
        tth: Any = None,
    ) -> None:
        self.detectors = list(detectors)
        """Read at each point; change it as you like."""
        self.extras = list(extras)
        """Read at the beginning, at breaks and at the end of each scan."""
        self.flights = flights
        self.th, self.tth = th, tth
        self.counter = ""
        """What cen, pic and com look at; the one that is hinted if empty."""
        self.last = LastRun()
        """A callback: subscribe it to the RunEngine."""
        self.motors: dict[str, Any] = {}
        """Every motor that was scanned, by name."""

    def plans(self) -> dict[str, Callable[..., MsgGenerator[Any]]]:
        """All plans by name, for a namespace: `globals().update(spec.plans())`."""
        return {name: getattr(self, name) for name in PLANS}

    # ---- moves

    @plan
    def mv(self, *args: Argument) -> MsgGenerator[None]:
        """Move motors at the same time: `mv(x, 1, y, 2)`; waits until they are there.

        Raises:
            BadValue: One of them may not go there; nothing moved.
        """
        yield from self._move("mv", args)

    @plan
    def umv(self, *args: Argument) -> MsgGenerator[None]:
        """As `mv`; at the prompt it shows how far they are."""
        yield from self._move("umv", args)

    @plan
    def mvr(self, *args: Argument) -> MsgGenerator[None]:
        """Move motors by so much: `mvr(x, 0.1)`."""
        yield from self._move("mvr", args)

    @plan
    def umvr(self, *args: Argument) -> MsgGenerator[None]:
        """As `mvr`; at the prompt it shows how far they are."""
        yield from self._move("umvr", args)

    def _move(self, name: str, args: tuple[Any, ...]) -> MsgGenerator[None]:
        if not args or len(args) % 2:
            msg = f"{command(name, *args)!r} does not fit, it is: {USAGE[name]}"
            raise BadValue(f"{msg}; nothing was moved")
        goals: dict[Any, float] = {}
        for motor, value in zip(args[::2], args[1::2], strict=True):
            check_motor(name, motor)
            goals[motor] = number(name, value)
        if name.endswith("r"):
            for motor in goals:
                goals[motor] += yield from where(motor)
        asked = {motor: np.array([goal]) for motor, goal in goals.items()}
        yield from check_positions(command(name, *args), asked)
        yield from bps.mv(*(item for pair in goals.items() for item in pair))

    # ---- step scans

    @plan
    def ascan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """Scan a motor: `ascan(x, 0, 1, 10, 0.1)` takes 11 points of 0.1 s.

        Args:
            args: Motor, start, finish, intervals, and the count time.
            options: See `Options`.

        Returns:
            The unique id of the run.

        Raises:
            BadValue: Something does not fit, or a motor may not go to a point; says
                which; nothing moved.
        """
        return (yield from self._scan("ascan", args, options))

    @plan
    def dscan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """As `ascan`, relative to where the motor is; it goes back, come what may."""
        return (yield from self._scan("dscan", args, options))

    @plan
    def lup(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """The same as `dscan`."""
        return (yield from self._scan("lup", args, options))

    @plan
    def a2scan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """Scan two motors together: `a2scan(x, 0, 1, y, 0, 2, 10, 0.1)`."""
        return (yield from self._scan("a2scan", args, options))

    @plan
    def a3scan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """Scan three motors together."""
        return (yield from self._scan("a3scan", args, options))

    @plan
    def a4scan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """Scan four motors together."""
        return (yield from self._scan("a4scan", args, options))

    @plan
    def d2scan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """As `a2scan`, relative to where the motors are."""
        return (yield from self._scan("d2scan", args, options))

    @plan
    def d3scan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """As `a3scan`, relative to where the motors are."""
        return (yield from self._scan("d3scan", args, options))

    @plan
    def d4scan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """As `a4scan`, relative to where the motors are."""
        return (yield from self._scan("d4scan", args, options))

    @plan
    def mesh(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """Scan a grid, the first motor fast: `mesh(x, 0, 1, 10, y, 0, 2, 5, 0.1)`."""
        return (yield from self._scan("mesh", args, options))

    @plan
    def dmesh(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """As `mesh`, relative to where the motors are."""
        return (yield from self._scan("dmesh", args, options))

    @plan
    def th2th(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[str]:
        """Scan tth around where it is, and th by half as much; both go back."""
        if self.th is None or self.tth is None or len(args) < 2:
            missing = [name for name in ("th", "tth") if getattr(self, name) is None]
            why = (
                f"spec.{missing[0]} is not set"
                if missing
                else f"it is: {USAGE['th2th']}"
            )
            raise BadValue(f"{command('th2th', *args)}: {why}; nothing was done")
        start, finish, *rest = args
        tth = (self.tth, start, finish)
        half = [number("th2th", value) / 2 for value in (start, finish)]
        both = self._course("d2scan", (*tth, self.th, *half, *rest), options)
        both = dataclasses.replace(both, command=command("th2th", *args))
        return (yield from self._step(both, options))

    def _scan(
        self, name: str, args: tuple[Any, ...], options: Options
    ) -> MsgGenerator[str]:
        return (yield from self._step(self._course(name, args, options), options))

    def _course(self, name: str, args: tuple[Any, ...], options: Options) -> Course:
        unknown = set(options) - set(Options.__annotations__)
        if unknown:
            known = ", ".join(Options.__annotations__)
            msg = f"{name}: there is no option {', '.join(sorted(unknown))}"
            raise BadValue(f"{msg}, there are {known}; nothing was done")
        made = course(
            name,
            args,
            time=options.get("time"),
            num=options.get("num"),
            snake=bool(options.get("snake")),
        )
        self.motors.update({axis.name: axis.motor for axis in made.axes})
        return made

    def _step(self, made: Course, options: Options) -> MsgGenerator[str]:
        steps = Steps(
            self._all_detectors(options.get("extra") or ()),
            self.extras,
            made.time,
            break_points(made, options.get("breaks")),
            options.get("at_break"),
            made.num,
        )
        return (yield from step_scan(made, steps, options.get("md") or {}))

    def _all_detectors(self, extra: Any) -> list[Any]:
        further = cast(list[Any], [*extra] if isinstance(extra, Iterable) else [extra])
        return list(dict.fromkeys([*self.detectors, *further]))

    # ---- counting

    @plan
    def ct(
        self, time: float | None = 1.0, *, extra: Extra = (), md: Metadata = None
    ) -> MsgGenerator[str]:
        """Count once, for so many seconds."""
        return (yield from self._count("ct", (time,), 1, time, extra, md))

    @plan
    def loopscan(
        self,
        points: int,
        time: float | None = 1.0,
        *,
        extra: Extra = (),
        md: Metadata = None,
    ) -> MsgGenerator[str]:
        """Count so many times."""
        num = int(number("loopscan", points))
        args = (points, time)
        return (yield from self._count("loopscan", args, num, time, extra, md))

    @plan
    def timescan(
        self, time: float | None = 1.0, *, extra: Extra = (), md: Metadata = None
    ) -> MsgGenerator[str]:
        """Count until somebody stops it: Ctrl-C twice, then RE.stop()."""
        return (yield from self._count("timescan", (time,), None, time, extra, md))

    def _count(
        self,
        name: str,
        args: tuple[Any, ...],
        num: int | None,
        time: float | None,
        extra: Extra,
        md: Metadata,
    ) -> MsgGenerator[str]:
        told = command(name, *(arg for arg in args if arg is not None))
        seconds = cast(float | None, check_time(name, time))
        detectors = self._all_detectors(extra)
        if not detectors:
            msg = f"{told}: there are no detectors, see spec.detectors"
            raise BadValue(f"{msg}; nothing was done")
        if num is not None and num < 1:
            raise BadValue(f"{told}: it takes 1 point or more; nothing was done")
        if seconds:
            yield from check_counting(told, detectors)
        steps = Steps(detectors, self.extras, seconds, num=num or 0)

        def per_shot(detectors: Any) -> MsgGenerator[None]:
            yield from steps.before_point()
            yield from bps.one_shot(detectors)
            yield from steps.after_point()

        what = {"plan_name": name, "scan": told, "count_time": seconds, **(md or {})}
        counted = cast(Any, bp).count(detectors, num, per_shot=per_shot, md=what)
        return (yield from cast(MsgGenerator[str], counted))

    # ---- flights

    @plan
    def fascan(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[Any]:
        """Fly what `ascan` steps through: `fascan(x, 0, 1, 1000, 0.001)`."""
        return (yield from self._fly("fascan", args, options))

    @plan
    def fmesh(self, *args: Argument, **options: Unpack[Options]) -> MsgGenerator[Any]:
        """Fly what `mesh` steps through, there and back unless snake=False."""
        snaking = cast(Options, {"snake": True} | options)
        return (yield from self._fly("fmesh", args, snaking))

    def _fly(
        self, name: str, args: tuple[Any, ...], options: Options
    ) -> MsgGenerator[Any]:
        made = self._course(name, args, options)
        return (yield from fly_course(made, self.flights, options.get("md") or {}))

    # ---- where to go after a scan

    @plan
    def cen(self, counter: str = "") -> MsgGenerator[None]:
        """Go half-way between the flanks of what the last scan counted."""
        yield from self._go("cen", counter)

    @plan
    def pic(self, counter: str = "") -> MsgGenerator[None]:
        """Go to the highest point of the last scan."""
        yield from self._go("pic", counter)

    @plan
    def com(self, counter: str = "") -> MsgGenerator[None]:
        """Go to the centre of mass of what the last scan counted."""
        yield from self._go("com", counter)

    def _go(self, what: str, counter: str) -> MsgGenerator[None]:
        peak = self.last.peak(counter or self.counter)
        if peak.motor not in self.motors:
            msg = f"{what}: {peak.motor} was not scanned with these commands"
            raise BadValue(f"{msg}, see spec.motors; nothing was moved")
        motor = self.motors[peak.motor]
        goal = peak.position(what)
        told = f"{what} of {peak.counter} in {peak.scan}"
        yield from check_positions(told, {motor: np.array([goal])})
        here = yield from where(motor)
        sys.stdout.write(f"{told}: {peak.motor} from {here:.6g} to {goal:.6g}\n")
        yield from bps.mv(motor, goal)

    @plan
    def tw(self, motor: Any, step: float) -> MsgGenerator[None]:
        """Move by hand: + goes up, - down, Enter on, a number sets the step."""
        check_motor("tw", motor)
        step = number("tw", step)
        sign = 1.0
        while True:
            here = yield from where(motor)
            answer = yield from bps.input_plan(
                f"{motor.name} at {here:.6g}, step {sign * step:g} (+ - number q): "
            )
            answer = answer.strip()
            if answer in ("q", "quit", "."):
                return
            if answer in ("+", "-"):
                sign = 1.0 if answer == "+" else -1.0
            elif answer:
                try:
                    step = abs(float(answer))
                except ValueError:
                    sys.stdout.write("+ or - to go, a number for the step, q to end\n")
                continue
            goal = here + sign * step
            try:
                told = command("tw", motor, step)
                yield from check_positions(told, {motor: np.array([goal])})
            except BadValue as error:
                sys.stdout.write(f"{error}\n")
                continue
            yield from bps.mv(motor, goal)
