"""Plans that fly: `fly` for one flight, `fly_grid` for one per row, `fly_scan`.

```
RE(fly(panda, num=1000))                       # the PandA's own program triggers
RE(fly(panda))                                 # ... until PCAP ends
RE(fly(panda, num=10, livetime=0.1, trigger="internal"))
RE(fly(panda, num=100, flyers=[pulses(panda.seq[1], 100, period=0.01)]))
RE(fly([panda, camera], num=100, livetime=0.01, flyers=[(seq, info), (x, move)]))
RE(fly_motor(panda, x, -5, 5, 101, 0.01))      # a motor record, points by position
RE(fly_spec(panda, Fly(0.01 @ (Linspace(y, 0, 1, 5) * Linspace(x, 0, 2, 50))), {x: 1}))
RE(fly_scan(scan_server, [Loop("BL:X", 1, 5, 0.1, Log("BL:X", "BL:DET"))]))
```

Step scans need no plan of ours: `RE(bp.count([panda], 3))` and all others work.
"""

from beamfly.plans.encoders import match_encoder
from beamfly.plans.fly import fly, fly_grid
from beamfly.plans.fly_motor import fly_motor, fly_spec
from beamfly.plans.scan_specs import scan_from_spec
from beamfly.plans.scan_steps import scan_from_plan
from beamfly.plans.scan_stubs import move_scan, skip_command
from beamfly.plans.scans import fly_scan
from beamfly.plans.sequence import pulses

__all__ = [
    "fly",
    "fly_grid",
    "fly_motor",
    "fly_scan",
    "fly_spec",
    "match_encoder",
    "move_scan",
    "pulses",
    "scan_from_plan",
    "scan_from_spec",
    "skip_command",
]
