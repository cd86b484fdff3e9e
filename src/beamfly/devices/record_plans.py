"""Plan stubs for records: fields on demand, and what motors do besides moving.

```python
backlash = yield from get_field(m1, "backlash")
yield from set_field(m1, "BDST", 0.1)
everything = yield from fields(m1)          # field -> value, None if there is none
yield from tweak(m1, "reverse")
yield from set_position(m1, 0.0)
```

Whatever goes wrong, a motor is not left in Set mode, and one that homes or jogs is
stopped.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import (
    Msg,
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)
from ophyd_async.core import DEFAULT_TIMEOUT, wait_for_value
from ophyd_async.epics.motor import UseSetMode

from beamfly.devices.motor import Motor
from beamfly.devices.record_fields import OnDemandFields
from beamfly.errors import BadValue

HOME_SECONDS = 600.0
"""How long looking for home may take unless told otherwise."""
Way = Literal["forward", "reverse"]
_wrappers: Any = bpp  # they have no types


def _run(work: Callable[[], Awaitable[Any]]) -> MsgGenerator[Any]:
    """Await something in the RunEngine's loop; what it raises fails the plan."""
    (task,) = yield Msg("wait_for", None, [work])
    return task.result()


@plan
def get_field(device: OnDemandFields, name: str) -> MsgGenerator[Any]:
    """The value of a field of a record, by its EPICS or PyEpics name."""
    return (yield from _run(device.field(name).get))


@plan
def set_field(device: OnDemandFields, name: str, value: Any) -> MsgGenerator[None]:
    """Write a field of a record, and wait until the record has processed it."""
    field = device.field(name)
    yield from _run(lambda: field.set(value))


@plan
def fields(device: OnDemandFields) -> MsgGenerator[Mapping[str, Any]]:
    """Every field that this kind of record can have -> value, None if it has not."""
    return (yield from _run(device.read_fields))


def _field_for(way: str, forward: str, reverse: str) -> str:
    """The field for a way; BadValue if it is none."""
    try:
        return {"forward": forward, "reverse": reverse}[way]
    except KeyError:
        msg = f"a motor goes forward or reverse, not {way!r}; nothing was moved"
        raise BadValue(msg) from None


@plan
def tweak(motor: Motor, way: Way = "forward") -> MsgGenerator[None]:
    """Move by the tweak step of the record (TWV), as the buttons of its screen do."""
    sign = 1 if _field_for(way, "TWF", "TWR") == "TWF" else -1
    step = yield from get_field(motor, "TWV")
    setpoint = yield from _run(motor.user_setpoint.get_value)
    yield from bps.mv(motor, setpoint + sign * step)


@plan
def set_position(motor: Motor, value: float, dial: bool = False) -> MsgGenerator[None]:
    """Say where the motor is, without moving it.

    With FOFF "Variable" the offset changes, with "Frozen" the controller's position.

    Args:
        motor: The motor; it must stand still.
        value: Its position from now on, in its units.
        dial: Whether the value is a dial position.
    """
    if not (yield from _run(motor.motor_done_move.get_value)):
        msg = f"{motor.name} is moving; its position was not set"
        raise BadValue(msg)

    def write() -> MsgGenerator[None]:
        yield from bps.abs_set(motor.set_use_switch, UseSetMode.SET, wait=True)
        if dial:
            yield from set_field(motor, "DVAL", value)
        else:
            yield from bps.abs_set(motor.user_setpoint, value, wait=True)

    def use() -> MsgGenerator[None]:
        yield from bps.abs_set(motor.set_use_switch, UseSetMode.USE, wait=True)

    yield from _wrappers.finalize_wrapper(write(), use)


@plan
def home(
    motor: Motor, way: Way = "forward", timeout: float | None = HOME_SECONDS
) -> MsgGenerator[None]:
    """Look for the home position; returns when the motor has found it.

    Args:
        motor: The motor.
        way: Where to look.
        timeout: Seconds after which it is given up and stopped, None for never.
    """
    field = motor.field(_field_for(way, "HOMF", "HOMR"))
    yield from _or_stop(motor, _run(lambda: field.set(1, timeout)))


@plan
def jog(motor: Motor, seconds: float, way: Way = "forward") -> MsgGenerator[None]:
    """Move at jog speed (JVEL) for some time, then stop; limits end it earlier."""
    field = motor.field(_field_for(way, "JOGF", "JOGR"))

    def work() -> MsgGenerator[None]:
        # its completion would be the end of the movement
        yield from _run(lambda: field.start(1))
        yield from bps.sleep(seconds)
        yield from set_field(motor, field.name, 0)
        done = motor.motor_done_move
        yield from _run(lambda: wait_for_value(done, 1, DEFAULT_TIMEOUT))

    yield from _or_stop(motor, work())


def _or_stop(motor: Motor, work: MsgGenerator[None]) -> MsgGenerator[None]:
    """Do something; if that fails or is interrupted, stop the motor."""

    def stop(error: Exception) -> MsgGenerator[None]:
        yield from bps.abs_set(motor.motor_stop, 1, wait=True)

    yield from _wrappers.contingency_wrapper(work, except_plan=stop)
