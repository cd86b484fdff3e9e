"""A simulated beamline: a PandA on TCP, a stage on its encoders, a sample, photons.

```
with SimulatedBeamline() as beamline:
    devices = beamline.devices("/tmp/data")
    call_in_bluesky_event_loop(devices.connect())
    RE(fly_map(devices))
```
"""

from beamfly.sim.axis import SimulatedAxis, StageFlyer
from beamfly.sim.beamline import BeamlineDevices, SimulatedBeamline, fly_map, wire
from beamfly.sim.stage import SampleStage
from beamfly.sim.trajectory import Trajectory, plan_trajectory

__all__ = [
    "BeamlineDevices",
    "SampleStage",
    "SimulatedAxis",
    "SimulatedBeamline",
    "StageFlyer",
    "Trajectory",
    "fly_map",
    "plan_trajectory",
    "wire",
]
