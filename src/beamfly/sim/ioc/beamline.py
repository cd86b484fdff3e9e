"""What the IOC of the simulated beamline has: `BeamlineIOC`.

with SimulatedBeamline(ioc_port=0) as beamline:
    beamline.ioc.motors["x"].axis.position()
"""

import time
from math import sin
from typing import TYPE_CHECKING

from beamfly.errors import BadValue
from beamfly.panda.simulator.motors import SimulatedMotor
from beamfly.sim.ioc.axis import Axis
from beamfly.sim.ioc.camera import SimulatedCamera
from beamfly.sim.ioc.front_end import BeamShutter, RingCurrent
from beamfly.sim.ioc.ioc import Part, SimulatedIOC
from beamfly.sim.ioc.motor import MotorRecord
from beamfly.sim.ioc.motor_fields import MotorSettings
from beamfly.sim.ioc.scaler import Counter, ScalerRecord
from beamfly.sim.ioc.slits import Slits
from beamfly.sim.ioc.temperature import TemperatureController

if TYPE_CHECKING:
    from beamfly.sim.stage import SampleStage

MOST_MOTORS = 40
"""Motors besides those of the stage."""
_COUNTS = {"mm": 10_000.0, "deg": 4_000.0}
"""Encoder counts of a motor, by its unit."""


class BeamlineIOC(SimulatedIOC):
    """Motors, slits, a scaler, a temperature, the ring, a shutter.

    Motors x and y are the stage's, which a PandA sees.

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
        self.slits = Slits(stage)
        """Their blades are motors, too."""
        self.scaler = ScalerRecord(counters(stage), stage.now, "photons")
        """Counts what the monitor and the detector see."""
        self.camera = SimulatedCamera(stage, time.time)
        """Looks at the beam behind the sample, and writes files."""
        parts: dict[str, Part] = {
            **self.motors,
            "slits": self.slits,
            "scaler": self.scaler,
            "temp": TemperatureController(),
            "ring": RingCurrent(stage),
            "shutter": BeamShutter(stage),
            "cam": self.camera,
        }
        super().__init__(parts, prefix=prefix, port=port, clock=stage.now)

    def _rest(self) -> None:
        self.camera.close()
        super()._rest()

    def speeds(self) -> dict[str, float]:
        """Name of each motor record -> units per second."""
        motors = {
            **self.motors,
            **{f"slits:{name}": blade for name, blade in self.slits.blades.items()},
        }
        return {
            f"{self.prefix}{name}": motor.settings.velocity
            for name, motor in motors.items()
        }


def counters(stage: "SampleStage") -> dict[int, tuple[str, Counter]]:
    """What the channels of the scaler are on."""
    dark = 20.0
    return {
        2: ("I0", stage.monitor.position),
        3: ("I1", stage.photons.position),
        # counts come when they come, and not evenly
        4: ("dark", lambda now: dark * now + 3.0 * sin(1.7 * now)),
    }


def stage_motor(stage: "SampleStage", name: str) -> MotorRecord:
    """The record of an axis of the stage, with the speed that the stage has."""
    drive = stage.axes[name]
    way = {"x": "horizontal", "y": "vertical"}[name]
    settings = MotorSettings(
        description=f"sample, {way}",
        velocity=drive.default_velocity,
        fastest=5 * drive.default_velocity,
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
        fastest=100.0 if turns else 25.0,
        acceleration_time=0.2,
        limits=(-180.0, 180.0) if turns else (-50.0, 50.0),
    )
    drive = SimulatedMotor(counts_per_unit=_COUNTS[units])
    return MotorRecord(Axis(stage, drive, (-200.0, 200.0)), settings)
