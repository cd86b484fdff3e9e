"""Flights shown while they fly: rows, rate, what is missing, time left, pictures.

```python
from beamfly.live import follow

live = follow(RE, best_effort=bec)     # bec's table gets rows, too
RE(fly(panda, num=1000))
live.stats["panda"].missed
```

`RE.subscribe(LiveFlight())` does it without BestEffortCallback, and
`RE.subscribe(StreamEvents(callback))` gives any callback some of the rows as events.
All of it works with any detector whose rows are announced by stream documents and
written to HDF5. `flight` has the callbacks, `flown` the thread of a run: it reads
(`announced`, `rows`), measures (`watch`, `meters`, `stats`), and has viewers show it
(`terminal`, `notebook`, `drawing`, `window`, `events`).
"""

from beamfly.live.flight import LiveFlight, StreamEvents
from beamfly.live.follow import Live, follow
from beamfly.live.stats import FlyStats

__all__ = ["FlyStats", "Live", "LiveFlight", "StreamEvents", "follow"]
