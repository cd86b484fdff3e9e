"""Plans that fly: `fly` for one flight, `fly_grid` for one per row of a grid.

```
RE(fly(panda, num=1000))                       # the PandA's own program triggers
RE(fly(panda))                                 # ... until PCAP ends
RE(fly(panda, num=10, livetime=0.1, trigger="internal"))
RE(fly(panda, num=100, flyers=[pulses(panda.seq[1], 100, period=0.01)]))
RE(fly([panda, camera], num=100, livetime=0.01, flyers=[(seq, info), (x, move)]))
```

Step scans need no plan of ours: `RE(bp.count([panda], 3))` and all others work.
"""

from beamfly.plans.fly import fly, fly_grid
from beamfly.plans.sequence import pulses

__all__ = ["fly", "fly_grid", "pulses"]
