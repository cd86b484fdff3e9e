"""`Motor`: an EPICS motor record with moves, limits, tweaks and calibration.

m = Motor("BL:m1")
m.move(2.5, wait=True)
print(m.get_position(readback=True), m.slew_speed, m.VELO, m.description)
"""

import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, ClassVar

from beamfly.ca.motor_fields import MOTOR_FIELDS
from beamfly.epics import ca
from beamfly.epics.device import Device
from beamfly.epics.exceptions import MotorException, MotorLimitException

__all__ = ["Motor", "MotorException", "MotorLimitException", "MoveResult"]
START_FIELDS = (
    *("VAL", "DESC", "RTYP", "RBV", "PREC", "TWV", "FOFF", "VELO", "STAT", "SET"),
    *("LLM", "HLM", "SPMG", "LVIO", "HLS", "LLS"),
)
"""Looked for at once; all others when they are first used."""
INFO_FIELDS = (
    *("DESC", "VAL", "RBV", "PREC", "VELO", "STAT", "SET", "TWV", "LLM", "HLM"),
    "SPMG",
)
CONFIRM_SECONDS = 0.25
SET_SECONDS = 10.0


class MoveResult(IntEnum):
    """What `Motor.move` returns: below -10 nothing was done."""

    NOT_A_NUMBER = -13
    OUTSIDE_LIMITS = -12
    NOT_CONNECTED = -11
    TIMED_OUT = -8
    """It still moves."""
    TIMED_OUT_BUT_DONE = -7
    FAILED = -5
    """The put failed."""
    DONE_SOFT_LIMIT = -4
    DONE_HARD_LIMIT = -3
    DONE = 0
    """With wait: it is there; without: it was told to move."""
    MOVING = 1
    """Without wait: it has started."""
    HARD_LIMIT = 3
    SOFT_LIMIT = 4


class _NoSuchField(MotorException, AttributeError):
    """An attribute that is no field of the record."""


class Motor(Device):
    """One motor record; its fields are attributes, under their own or English names."""

    _extras: ClassVar[Mapping[str, str]] = {"disabled": "_able.VAL"}
    _callbacks: Any = {}  # noqa: RUF012

    def __init__(self, name: str | None = None, timeout: float = 3.0) -> None:
        """Connect to a motor.

        Args:
            name: Of the record, with or without `.VAL`.
            timeout: Seconds for the connection.

        Raises:
            MotorException: There is no such record, or it is no motor.
        """
        if name is None:
            raise MotorException("a motor needs the name of its record")
        name = name.removesuffix(".VAL").removesuffix(".")
        super().__init__(name, START_FIELDS, delim=".", timeout=timeout)
        self.__dict__["_aliases"] = MOTOR_FIELDS
        self.__dict__["_callbacks"] = {}
        kind = self.get("RTYP")
        if kind is None:
            raise MotorException(f"{name} was not found within {timeout} s", name=name)
        if kind != "motor":
            raise MotorException(f"{name} is a record of type {kind}, not a motor")
        for attr, suffix in self._extras.items():
            self.add_pv(f"{name}{suffix}", attr=attr)

    @property
    def record(self) -> str:
        """Name of the record."""
        return self._prefix.removesuffix(".")

    def __repr__(self) -> str:
        return f"<epics.Motor: {self.record}: '{self.DESC}'>"

    def _no_attribute(self, attr: str) -> AttributeError:
        return _NoSuchField(f"{self.record} has no field {attr}", name=self.record)

    def __getattr__(self, attr: str) -> Any:
        field = MOTOR_FIELDS.get(attr, attr)
        if not field.isupper() and field not in self._extras:
            # no field: do not search the network for what an editor tries
            raise self._no_attribute(attr)
        return super().__getattr__(attr)

    def _now(self, field: str) -> Any:
        """A field as it is now, not as the last update had it."""
        return self.PV(field).get(use_monitor=False)

    # ---- limits

    def check_limits(self) -> None:
        """Raise MotorLimitException if the motor is at a limit, or was sent there."""
        for field, text in (
            ("LVIO", "Soft limit violation"),
            ("HLS", "High hard limit violation"),
            ("LLS", "Low  hard limit violation"),
        ):
            if self._now(field):
                raise MotorLimitException(text, name=self.record)

    def within_limits(self, val: float, dial: bool = False) -> bool:
        """Whether a position is within the soft limits.

        Args:
            val: The position.
            dial: Whether it is a dial position.

        Returns:
            False also when the limits cannot be had.
        """
        low, high = ("DLLM", "DHLM") if dial else ("LLM", "HLM")
        lowest, highest = self.get(low), self.get(high)
        if lowest is None or highest is None:
            return False
        if lowest == highest == 0:
            # that is how limits are switched off
            return True
        return lowest <= val <= highest

    # ---- moves

    def move(
        self,
        val: Any = None,
        relative: bool = False,
        wait: bool = False,
        timeout: float = 300.0,
        dial: bool = False,
        step: bool = False,
        raw: bool = False,
        ignore_limits: bool = False,
        confirm_move: bool = False,
    ) -> MoveResult:
        """Move.

        Args:
            val: Where to.
            relative: Whether that is from the present target on.
            wait: Whether to return when it is there.
            timeout: Seconds to wait.
            dial: In dial coordinates.
            step: The same as raw.
            raw: In steps.
            ignore_limits: Do not look at soft limits before (the record does).
            confirm_move: Wait 0.25 s at most to see it move.
        """
        try:
            target = float(val)
        except (TypeError, ValueError):
            return MoveResult.NOT_A_NUMBER
        field = "DVAL" if dial else "RVAL" if step or raw else "VAL"
        if not self.PV(field).connected:
            return MoveResult.NOT_CONNECTED
        if relative:
            target += self._now(field)
        if not (ignore_limits or step or raw):
            if not self.within_limits(target, dial=dial):
                return MoveResult.OUTSIDE_LIMITS
        result = self.put(field, target, wait=wait, timeout=timeout)
        if result is None:
            return MoveResult.NOT_CONNECTED
        if result == 1:
            return self._after_wait() if wait else self._after_start(confirm_move)
        if result != -1:
            return MoveResult.FAILED
        done = self._now("DMOV")
        return MoveResult.TIMED_OUT_BUT_DONE if done else MoveResult.TIMED_OUT

    def _at_hard_limit(self) -> bool:
        return bool(self._now("HLS") or self._now("LLS"))

    def _after_wait(self) -> MoveResult:
        """How a move with wait ended."""
        if self._now("LVIO"):
            return MoveResult.DONE_SOFT_LIMIT
        hard = self._at_hard_limit()
        return MoveResult.DONE_HARD_LIMIT if hard else MoveResult.DONE

    def _after_start(self, confirm: bool) -> MoveResult:
        """How a move without wait began."""
        end = time.monotonic() + (CONFIRM_SECONDS if confirm else 0.0)
        while not self._now("MOVN"):
            if time.monotonic() >= end:
                break
            ca.poll(evt=1.0e-3)
        else:
            return MoveResult.MOVING
        if self._now("LVIO"):
            return MoveResult.SOFT_LIMIT
        return MoveResult.HARD_LIMIT if self._at_hard_limit() else MoveResult.DONE

    def tweak(
        self, direction: str = "forward", wait: bool = False, timeout: float = 300.0
    ) -> int | None:
        """Move by `tweak_val`.

        Args:
            direction: What starts with rev or back goes back, anything else forward.
            wait: Whether to return when it is there.
            timeout: Seconds to wait.

        Returns:
            0: done, or begun; -1: a limit, or not there in time; None: not connected.
        """
        back = direction.startswith(("rev", "back"))
        result = self.put("TWR" if back else "TWF", 1, wait=wait, timeout=timeout)
        try:
            self.check_limits()
        except MotorLimitException:
            return -1
        return 0 if result == 1 else result

    def stop(self) -> None:
        """Stop."""
        self.put("STOP", 1)

    StopNow = stop

    # ---- positions

    def get_position(
        self,
        dial: bool = False,
        readback: bool = False,
        step: bool = False,
        raw: bool = False,
    ) -> Any:
        """Where it is sent to, or where it is.

        Args:
            dial: In dial coordinates.
            readback: Where it is.
            step: The same as raw.
            raw: In steps.
        """
        if dial:
            return self.get("DRBV" if readback else "DVAL")
        if step or raw:
            return self.get("RRBV" if readback else "RVAL")
        return self.get("RBV" if readback else "VAL")

    def set_position(
        self, position: float, dial: bool = False, step: bool = False, raw: bool = False
    ) -> None:
        """Say where it is, without moving it.

        The record is in SET mode meanwhile, and is taken out of it whatever happens: in
        that mode a move would calibrate instead of moving.

        Args:
            position: What its position is called from now on.
            dial: In dial coordinates.
            step: The same as raw.
            raw: In steps.

        Raises:
            MotorException: The position was not set, or SET mode was not left.
        """
        field = "DVAL" if dial else "RVAL" if step or raw else "VAL"
        try:
            entered = self.put("SET", 1, wait=True, timeout=SET_SECONDS)
            done = entered == 1 and self.put(
                field, position, wait=True, timeout=SET_SECONDS
            )
        finally:
            left = self.put("SET", 0, wait=True, timeout=SET_SECONDS)
        if left != 1:
            text = "may still be in SET mode: put 0 to its field SET"
            raise MotorException(f"{self.record} {text}", name=self.record)
        if done != 1:
            text = f"did not take position {position}"
            raise MotorException(f"{self.record} {text}", name=self.record)

    # ---- callbacks

    def get_pv(self, attr: str) -> Any:
        """The PV of a field."""
        return self.PV(attr)

    def set_callback(
        self,
        attr: str = "VAL",
        callback: Callable[..., object] | None = None,
        kws: Mapping[str, Any] | None = None,
    ) -> None:
        """Have a callback told of a field, with motor_field=attr and kws besides."""
        self.get(attr)
        more: dict[str, Any] = {"motor_field": attr, **(kws or {})}
        self._callbacks[attr] = self.PV(attr).add_callback(callback, **more)

    def clear_callback(self, attr: str = "drive") -> None:
        """Drop the callback that `set_callback` made."""
        self.PV(attr).remove_callback(index=self._callbacks.pop(attr, None))

    # ---- looking at it

    def refresh(self) -> None:
        """Nothing to do: fields are up to date."""

    def make_step_list(
        self, minstep: float = 0.0, maxstep: float | None = None, decades: int = 10
    ) -> list[float]:
        """Steps 1, 2, 5, 10 ... of the precision that make sense for the range.

        Args:
            minstep: Smallest step.
            maxstep: Largest step, None: 0.6 of the range.
            decades: How many decades to try.
        """
        if maxstep is None:
            maxstep = 0.6 * abs(self.HLM - self.LLM)
        steps = [
            digit * 10 ** (decade - self.PREC)
            for decade in range(decades)
            for digit in (1, 2, 5)
        ]
        return [step for step in steps if 0.98 * minstep < step <= maxstep]

    def get_info(self) -> dict[str, str]:
        """The most important fields as text."""
        return {field: self.get(field, as_string=True) for field in INFO_FIELDS}

    def show_info(self) -> None:
        """Print the most important fields."""
        rule = "-" * 38
        rows = [f"{field:16s} = {text}" for field, text in self.get_info().items()]
        ca.write("\n".join([repr(self), rule, *rows, rule]))

    def show_all(self) -> None:
        """Print all fields."""
        pvs = {name: self.PV(name, connect=False) for name in sorted(MOTOR_FIELDS)}
        end = time.monotonic() + ca.DEFAULT_CONNECTION_TIMEOUT
        rows = [
            f"# Motor {self.record}",
            "#  field               value                 PV name",
            "#" + "-" * 60,
        ]
        for name, pv in pvs.items():
            there = pv.wait_for_connection(max(0.0, end - time.monotonic()))
            text = pv.get(as_string=True) if there else "Not Connected??"
            rows.append(f" {name:18s}  {text!s:18s}  {pv.pvname}")
        ca.write("\n".join(rows))
