"""Runs on disk: a directory of JSONL documents beside the HDF5 files.

```python
from beamfly.catalog import make_db

db = make_db("~/data")
RE.subscribe(db.insert)     # store every run
db[-1].table(fill=True)     # read back the newest
```

`make_db` gives the `databroker.Broker` that people know, `Catalog` the same runs
without databroker (and without the seconds that importing it takes), `RunWriter` the
callback that stores them.
"""

from beamfly.catalog.broker import make_db
from beamfly.catalog.columns import Column
from beamfly.catalog.directory import Catalog, Runs
from beamfly.catalog.run import Run
from beamfly.catalog.stream import Stream
from beamfly.catalog.writer import RunWriter

__all__ = ["Catalog", "Column", "Run", "RunWriter", "Runs", "Stream", "make_db"]
