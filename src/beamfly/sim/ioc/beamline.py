"""What the IOC of the simulated beamline has: `BeamlineIOC`.

with SimulatedBeamline(ioc_port=0) as beamline:
    beamline.ioc.motors["x"].axis.position()
"""

from typing import TYPE_CHECKING

from beamfly.errors import BadValue
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.sim.ioc.axis import Axis
from beamfly.sim.ioc.ioc import SimulatedIOC
from beamfly.sim.ioc.motor import MotorRecord
from beamfly.sim.ioc.motor_fields import MotorSettings

if TYPE_CHECKING:
    from beamfly.sim.stage import SampleStage

MOST_MOTORS = 40
"""Motors besides those of the stage."""
_COUNTS = {"mm": 10_000.0, "deg": 4_000.0}
"""Encoder counts of a motor, by its unit."""


class BeamlineIOC(SimulatedIOC):
    """Motors x and y of the stage, which a PandA sees, and others.

    Args:
        stage: Whose axes x and y are; it gives the time.
        motors: How many motors besides: m1 and so on; odd ones in mm, even ones in deg.
        prefix: What the names of all PVs begin with.
        port: TCP and UDP port, 0 for any that is free.

    Raises:
        BadValue: That many motors there cannot be.
    """

    def __init__(
        self,
        stage: "SampleStage",
        *,
        motors: int = 8,
        prefix: str = "BL:",
        port: int = 0,
    ) -> None:
        if not 0 <= motors <= MOST_MOTORS:
            msg = f"there can be 0 to {MOST_MOTORS} motors besides x and y, not "
            raise BadValue(f"{msg}{motors}; no IOC was made")
        self.motors = {
            **{name: stage_motor(stage, name) for name in stage.axes},
            **{f"m{n}": spare_motor(stage, n) for n in range(1, motors + 1)},
        }
        """x, y, m1 and so on."""
        super().__init__(self.motors, prefix=prefix, port=port, clock=stage.now)


def stage_motor(stage: "SampleStage", name: str) -> MotorRecord:
    """The record of an axis of the stage, with the speed that the stage has."""
    drive = stage.axes[name]
    way = {"x": "horizontal", "y": "vertical"}[name]
    settings = MotorSettings(
        description=f"sample, {way}",
        velocity=drive.default_velocity,
        acceleration_time=drive.default_velocity / drive.default_acceleration,
    )
    return MotorRecord(Axis(stage, drive, (-110.0, 110.0)), settings)


def spare_motor(stage: "SampleStage", number: int) -> MotorRecord:
    """A motor that no encoder is on until one is put on its `axis.drive`."""
    turns = number % 2 == 0
    units = "deg" if turns else "mm"
    settings = MotorSettings(
        description=f"motor {number}",
        units=units,
        velocity=20.0 if turns else 5.0,
        acceleration_time=0.2,
        limits=(-180.0, 180.0) if turns else (-50.0, 50.0),
    )
    drive = SimulatedMotor(counts_per_unit=_COUNTS[units])
    return MotorRecord(Axis(stage, drive, (-200.0, 200.0)), settings)
