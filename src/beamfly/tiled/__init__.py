"""Runs in Tiled as well: an index of a catalog's directory, for `Broker.named`.

The JSONL documents in the directory stay the truth; a Tiled database is made from them,
beside them, and can be thrown away and made again. It needs `pip install
'beamfly[tiled]'`.

```
$ beamfly tiled init data           # once: the database, and a profile named beamfly
```

```python
from databroker import Broker
from beamfly.tiled import TiledFollower

RE.subscribe(make_db("data").insert)      # as always
follower = TiledFollower("data")          # another process reads along
RE(fly(panda, num=1000))
follower.wait(30)                         # raises what went wrong over there
Broker.named("beamfly")[-1].table()
```

`store` knows where things are, `merging` and `feeding` turn documents into writes to
Tiled, and `follower` does that in a process of its own: no flight should wait for a web
server and a database.
"""

from beamfly.tiled.feeding import DirectoryFeed
from beamfly.tiled.follower import TiledFollower
from beamfly.tiled.merging import merged
from beamfly.tiled.store import TiledStore

__all__ = ["DirectoryFeed", "TiledFollower", "TiledStore", "merged"]
