"""Be told when something is wrong, and hold scans meanwhile.

```python
w = watch(tank.level, "> 100", quiet=600)                # prints, logs, calls
beam = suspend_on(RE, ring.current, "< 50", settle=60)   # holds scans
RE(refly(lambda: fly(panda, num=1000), beam))            # flies again if need be
```

Both take any signal of ophyd-async, of EPICS or not.
"""

from beamfly.watch.conditions import Condition, condition
from beamfly.watch.redo import Held, refly
from beamfly.watch.suspend import Suspender, suspend_on
from beamfly.watch.tracker import Change
from beamfly.watch.watching import Notice, Watch, notify, watch

__all__ = [
    "Change",
    "Condition",
    "Held",
    "Notice",
    "Suspender",
    "Watch",
    "condition",
    "notify",
    "refly",
    "suspend_on",
    "watch",
]
