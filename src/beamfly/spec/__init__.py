"""SPEC's names for Bluesky: ascan, dscan, mesh, ct, mv, wa, cen and all that.

```python
spec = install(get_ipython(), RE, detectors=[scaler])
ascan x 0 1 10 0.1               # at the prompt
RE(ascan(x, 0, 1, 10, 0.1))      # the same as a plan
```

Without IPython: `spec = Spec(detectors=[scaler])`, then `RE(spec.ascan(...))`.
"""

from beamfly.spec.courses import Axis, Course, course
from beamfly.spec.flights import Flights, MotorFlights, PandaFlights
from beamfly.spec.last import LastRun, Peak
from beamfly.spec.prompt import install, load_ipython_extension
from beamfly.spec.session import Spec

__all__ = [
    "Axis",
    "Course",
    "Flights",
    "LastRun",
    "MotorFlights",
    "PandaFlights",
    "Peak",
    "Spec",
    "course",
    "install",
    "load_ipython_extension",
]
