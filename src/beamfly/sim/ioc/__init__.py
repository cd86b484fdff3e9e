"""A simulated IOC: motor records and other EPICS devices on simulated mechanics.

axis = Axis(FreeMechanics(), SimulatedMotor(counts_per_unit=1000))
with SimulatedIOC({"m1": MotorRecord(axis)}, prefix="BL:", port=0) as ioc:
...  # BL:m1, BL:m1.RBV and so on at 127.0.0.1:ioc.port
"""

from beamfly.sim.ioc.axis import Axis, FreeMechanics, Mechanics
from beamfly.sim.ioc.beamline import BeamlineIOC
from beamfly.sim.ioc.ioc import Part, SimulatedIOC
from beamfly.sim.ioc.motor import MotorRecord
from beamfly.sim.ioc.motor_fields import MotorSettings, Status, StopGo

__all__ = [
    "Axis",
    "BeamlineIOC",
    "FreeMechanics",
    "Mechanics",
    "MotorRecord",
    "MotorSettings",
    "Part",
    "SimulatedIOC",
    "Status",
    "StopGo",
]
