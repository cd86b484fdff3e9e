"""A simulated motor record: `MotorRecord`.

    motor = MotorRecord(Axis(FreeMechanics(), SimulatedMotor(counts_per_unit=1000)))
    with serve_in_thread({"BL:m1": motor.record}, port=0): ...

Its fields behave as those of EPICS' motor record do. A put to what moves it (VAL, DVAL,
RVAL, RLV, TWF, TWR, JOGF, JOGR, HOMF, HOMR) is complete when the motor is at rest; a
new target during a move is gone to at once, and all puts are complete at its end.

Nothing happens by itself: `advance(now)` is to be called whenever `next_wakeup()` says,
and after each put, in the thread that serves the record.
"""

from collections.abc import Callable, Mapping
from math import copysign, inf
from typing import Any, cast, overload

from beamfly.ca import Put, RecordGroup
from beamfly.errors import BadValue
from beamfly.sim.ioc.axis import Axis, toward
from beamfly.sim.ioc.coordinates import Coordinates
from beamfly.sim.ioc.motion import Pace
from beamfly.sim.ioc.motor_display import MotorDisplay
from beamfly.sim.ioc.motor_fields import MotorSettings, StopGo, motor_record
from beamfly.sim.ioc.motor_setup import MotorSetup
from beamfly.sim.paths import Array

PERIOD = 0.1
"""Seconds between two readbacks of a motor that moves."""
_BUTTONS = "JOGF JOGR HOMF HOMR".split()
"""Fields that stay 1 while the motor does it."""


class MotorRecord:
    """A motor record on an axis; see the module's text.

    Args:
        axis: What it moves.
        settings: What its fields start with.
    """

    def __init__(self, axis: Axis, settings: MotorSettings | None = None) -> None:
        self.axis = axis
        self.settings = settings or MotorSettings()
        resolution = 1 / abs(axis.drive.counts_per_unit)
        self.record = motor_record(self.settings, resolution)
        self.pvs: Mapping[str, RecordGroup] = {"": self.record}
        """To be served: name without that of the motor -> record."""
        self.coordinates = Coordinates(self.record, axis)
        self.setup = MotorSetup(self.record, self.coordinates)
        self._display = MotorDisplay(self.record, self.coordinates)
        self.wake: Callable[[], object] = lambda: None
        """Called when `next_wakeup` has changed."""
        self._doing = ""
        """move, jog, home, stop, pause, elsewhere (moved by others); empty at rest."""
        self._waiting: list[Callable[[], object]] = []
        self._ends = 0.0
        self._revision = axis.drive.revision
        self._connect_puts()
        # nothing has moved yet, and there may be no clock yet
        here = self.coordinates.on_step(self.coordinates.raw_now(-inf))
        self.record.post(**self.coordinates.targets(here))
        self._display.remember()
        self._display.show(-inf)

    @overload
    def position(self, when: float | None = None) -> float: ...
    @overload
    def position(self, when: Array) -> Array: ...
    def position(self, when: Any = None) -> Any:
        """Where it is, in user coordinates; see `Axis.position`.

        Args:
            when: A time or an array of them, on the clock of the mechanics; now if
                None.
        """
        place = self.axis.position(cast(float, when))
        return self.coordinates.user(place + self.coordinates.zero)

    @property
    def moving(self) -> bool:
        """Whether DMOV is 0."""
        return bool(self._doing)

    def next_wakeup(self) -> float:
        """When `advance` should be called at the latest; inf if it rests."""
        return min(self._ends, self._display.shown + PERIOD) if self._doing else inf

    def advance(self, now: float) -> None:
        """Show where it is; end a move that is over."""
        if self.axis.drive.revision != self._revision:
            self._moved_by_others()
        if not self._doing:
            return
        if now >= self._ends:
            # a PandA that looks at the axis has to have got there, too
            now = self.axis.mechanics.act(lambda now: now)
        if now >= self._ends:
            self._finish(now)
        elif now >= self._display.shown + PERIOD:
            self._display.show(now)

    def move(self, target: float, done: Callable[[], object]) -> bool:
        """Go to a user position, as a put to VAL does.

        Args:
            target: Where to go.
            done: Called when the motor is at rest.

        Returns:
            Whether it was told to move; if not, `done` is not called.
        """
        told = self._go(self.coordinates.dial(target))
        if told:
            self._waiting.append(done)
        return told

    # ---- puts

    def _connect_puts(self) -> None:
        hooks: dict[str, Callable[[Put], None]] = {
            "VAL": lambda put: self._target(put, self.coordinates.dial(put.value)),
            "DVAL": lambda put: self._target(put, put.value),
            "RVAL": lambda put: self._target(put, self.coordinates.on_step(put.value)),
            "RLV": self._relative,
            "TWF": lambda put: self._tweak(put, 1),
            "TWR": lambda put: self._tweak(put, -1),
            "JOGF": lambda put: self._jog(put, 1),
            "JOGR": lambda put: self._jog(put, -1),
            "HOMF": self._home,
            "HOMR": self._home,
            "STOP": self._stop,
            "SYNC": self._sync,
            "SPMG": self._stop_go,
        }
        for field, hook in hooks.items():
            self.record.on_put(field, hook)

    def _target(self, put: Put, dial: float) -> None:
        """VAL, DVAL or RVAL."""
        if dial != dial or abs(dial) == inf:
            msg = f"{put.name} cannot go to {put.value}; the motor was not moved"
            raise BadValue(msg)
        field = self._field(put)
        if self.record["SET"]:
            self.setup.calibrate(field, put.value, dial, self.axis.mechanics.now())
            self._display.remember()
            self._display.show(self.axis.mechanics.now())
            put.value = self.record[field]
            return
        self._go(dial, put)
        put.value = self.record[field]

    def _relative(self, put: Put) -> None:
        """RLV."""
        by, put.value = put.value, 0.0
        if self.record["SET"]:
            return
        self._go(self.coordinates.dial(self.record["VAL"] + by), put)
        self.record["LRLV"] = by

    def _tweak(self, put: Put, sign: int) -> None:
        """TWF and TWR."""
        pressed, put.value = put.value, 0
        if pressed:
            user = self.record["VAL"] + sign * self.record["TWV"]
            self._go(self.coordinates.dial(user), put)

    def _jog(self, put: Put, sign: int) -> None:
        """JOGF and JOGR: 1 to start, 0 to stop."""
        if not put.value:
            if self._doing == "jog":
                self._brake("stop", Pace(self.record["JVEL"], self.record["JAR"]))
                self._wait(put)
            return
        if self.record["SPMG"] < StopGo.MOVE:
            put.value = 0
            return
        direction = sign * self.coordinates.direction
        here = self.axis.position()
        target = toward(here, direction, self.axis.travel)
        limits = self.coordinates.limits
        if limits is not None:
            end = self.coordinates.place(limits[1] if direction > 0 else limits[0])
            if (end - here) * direction <= 0:
                self.record.post(LVIO=1)
                put.value = 0
                return
            target = min(target * direction, end * direction) * direction
        pace = Pace(self.record["JVEL"], self.record["JAR"])
        self._start("jog", self.axis.move([(target, pace)]), copysign(1, direction))
        self._wait(put)

    def _home(self, put: Put) -> None:
        """HOMF and HOMR: go to where the axis' own position is 0, and call that 0."""
        if not put.value or self.record["SPMG"] < StopGo.MOVE:
            put.value = 0
            return
        way = -self.axis.position()
        pace = self.setup.pace(self.record["HVEL"], self.record["ACCL"])
        self._start("home", self.axis.move([(0.0, pace)]), way)
        self._wait(put)

    def _stop(self, put: Put) -> None:
        """STOP."""
        pressed, put.value = put.value, 0
        if pressed and self._doing:
            self._brake("stop")
            self._wait(put)

    def _sync(self, put: Put) -> None:
        """SYNC: targets are where the motor is."""
        pressed, put.value = put.value, 0
        if pressed and not self._doing:
            self._display.agree(self.axis.mechanics.now())

    def _stop_go(self, put: Put) -> None:
        """SPMG."""
        before, self.record["LSPG"] = self.record["SPMG"], put.value
        if put.value == before:
            return
        if put.value >= StopGo.MOVE:
            self.record["SPMG"] = put.value
            here = self.coordinates.raw_now(self.axis.mechanics.now())
            if not self._doing and self.record["RVAL"] != here:
                self._go(self.record["DVAL"])
        elif self._doing and self._doing != "elsewhere":
            # only a move has a target to go on to
            paused = put.value == StopGo.PAUSE and self._doing in ("move", "pause")
            self._brake("pause" if paused else "stop")

    # ---- moves

    def _go(self, dial: float, put: Put | None = None) -> bool:
        """Go to a dial position, unless limits or SPMG forbid it."""
        if self.coordinates.beyond(dial):
            # targets stay what they were, which is how a record refuses
            self.record.post(LVIO=1)
            return False
        self.record.post(**self.coordinates.targets(dial))
        if self.record["SPMG"] < StopGo.MOVE:
            self.record.post(LVIO=0)
            return False
        here = self.axis.position()
        end = self.axis.move(self.setup.legs(here, dial))
        self._start("move", end, self.coordinates.place(dial) - here)
        self._display.remember()
        if put is not None:
            self._wait(put)
        return True

    def _start(self, doing: str, ends: float, way: float) -> None:
        """The axis was told to move."""
        self._doing = doing
        self._ends = ends + self.record["DLY"]
        self._revision = self.axis.drive.revision
        if way:
            self._display.up = way > 0
        now = self.axis.mechanics.now()
        with self.record.step():
            self.record.post(LVIO=0, MIP=1, **dict.fromkeys(_BUTTONS, 0))
            self.record["DMOV"] = 0
            self._display.show(now)
        self.wake()

    def _brake(self, doing: str, pace: Pace | None = None) -> None:
        """Come to rest."""
        if pace is None:
            pace = self.setup.pace(self.record["VELO"], self.record["ACCL"])
        self._ends = self.axis.stop(pace)
        self._doing = doing
        self._revision = self.axis.drive.revision
        self.wake()

    def _wait(self, put: Put) -> None:
        """A put is complete when the motor is at rest."""
        put.hold()
        self._waiting.append(put.finish)

    def _moved_by_others(self) -> None:
        """The axis was told to move, but not by this record."""
        drive = self.axis.drive
        self._revision = drive.revision
        now = self.axis.mechanics.now()
        ends = self.axis.arrival()
        if ends <= now and not self._doing:
            self._display.agree(now)
            return
        if not self._doing:
            self.record.post(DMOV=0)
        self._doing, self._ends = "elsewhere", ends

    def _finish(self, now: float) -> None:
        """The motor is at rest."""
        doing, self._doing = self._doing, ""
        limit = self.axis.at_limit(now)
        if doing == "home":
            self._display.homed = True
            self.coordinates.zero = 0.0
        arrived = self.coordinates.raw_now(now) == self.record["RVAL"]
        with self.record.step():
            if doing == "jog" and self.coordinates.limits and not limit:
                self.record["LVIO"] = 1
            if doing in ("stop", "jog", "home", "elsewhere") or (
                limit and doing == "move" and not arrived
            ):
                self._display.agree(now)
            self._display.show(now)
            self.record.post(MIP=0, **dict.fromkeys(_BUTTONS, 0))
            if self.record["SPMG"] == StopGo.MOVE:
                self.record.post(SPMG=StopGo.PAUSE, LSPG=StopGo.PAUSE)
            self.record["DMOV"] = 1
        self._display.remember()
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            told()

    def _field(self, put: Put) -> str:
        """Which of the record's fields a put goes to."""
        return next(name for name, pv in self.record.pvs.items() if pv is put.pv)
