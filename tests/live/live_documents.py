"""Documents of made-up flights for tests of the live view."""

from pathlib import Path
from typing import Any

import numpy as np

from beamfly.hdf import Column, ColumnWriter, Run
from beamfly.live.announced import Announced, FlownStream
from beamfly.live.rows import Block

KEY = {"dtype": "number", "shape": [1], "dtype_numpy": "<f8", "external": "STREAM:"}


def key(source: str = "", **more: Any) -> dict[str, Any]:
    """A data key whose values are in a file."""
    return {**KEY, "source": source, **more}


def descriptor(
    keys: dict[str, dict[str, Any]], hints: list[str] | None = None, uid: str = "d"
) -> dict[str, Any]:
    """A descriptor of the stream `primary` with one detector, `det`."""
    return {
        "uid": uid,
        "run_start": "run",
        "name": "primary",
        "time": 0.0,
        "data_keys": keys,
        "object_keys": {"det": list(keys)},
        "configuration": {},
        "hints": {"det": {} if hints is None else {"fields": hints}},
    }


def start(**more: Any) -> dict[str, Any]:
    return {"uid": "run", "time": 0.0, "scan_id": 7, "plan_name": "fly", **more}


def stream(
    keys: dict[str, dict[str, Any]], hints: list[str] | None = None
) -> FlownStream:
    return FlownStream(descriptor(keys, hints))


def resource(name: str, path: Path, **parameters: Any) -> dict[str, Any]:
    return {
        "uid": f"r-{name}",
        "run_start": "run",
        "data_key": name,
        "mimetype": "application/x-hdf5",
        "uri": f"file://localhost{path}",
        "parameters": {"dataset": f"/{name}", "swmr": True, **parameters},
    }


def datum(name: str, first: int, last: int) -> dict[str, Any]:
    return {
        "uid": f"r-{name}/{first}",
        "descriptor": "d",
        "stream_resource": f"r-{name}",
        "indices": {"start": first, "stop": last},
        "seq_nums": {"start": first + 1, "stop": last + 1},
    }


class GrowingFile:
    """A file that is written while others read it."""

    def __init__(self, path: Path, *names: str, missed: int = 0) -> None:
        self.path = path
        self.writer = ColumnWriter(path)
        run = Run(start_time="2026-11-20T12:00:00Z", missed=missed)
        columns = [Column(name, np.dtype(float), {"units": "s"}) for name in names]
        self.writer.define(columns, first_run=run)
        self.writer.start_run(run)

    def append(self, *columns: Any) -> None:
        self.writer.append([np.asarray(column, dtype=float) for column in columns])
        self.writer.flush()

    def close(self, reason: str = "Ok") -> None:
        self.writer.end_run(reason)
        self.writer.close()


def announced(path: Path, columns: dict[str, int], **more: Any) -> Announced:
    """Columns of a file with so many rows announced."""
    known = Announced()
    known.add("start", start(**more))
    known.add("descriptor", descriptor({name: key() for name in columns}))
    for name, rows in columns.items():
        known.add("stream_resource", resource(name, path))
        known.add("stream_datum", datum(name, 0, rows))
    return known


def block(first: int, values: dict[str, Any], times: Any = None) -> Block:
    arrays = {name: np.asarray(v, dtype=float) for name, v in values.items()}
    length = len(next(iter(arrays.values())))
    stamps = None if times is None else np.asarray(times, dtype=float)
    return Block(first, first + length, arrays, stamps)
