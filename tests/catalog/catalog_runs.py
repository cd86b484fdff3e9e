"""Documents and data files as a beamline would write them, for the catalog's tests."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import event_model
import h5py
import numpy as np

Documents = list[tuple[str, dict[str, Any]]]

T0 = 1_700_000_000.0
"""A Tuesday evening in November 2023 (UTC), when the first run of a test is taken."""
DAY = 86_400.0


def key(dtype: str = "number", shape: Sequence[int | None] = (), **more: Any) -> dict:
    return {"source": "test", "dtype": dtype, "shape": list(shape), **more}


def step_scan(points: int = 3, *, time: float = T0, **metadata: Any) -> Documents:
    """A scan of a motor, every point an event."""
    run = event_model.compose_run(
        time=time, metadata={"plan_name": "scan", "scan_id": 1, **metadata}
    )
    primary = run.compose_descriptor(
        name="primary",
        time=time + 1,
        data_keys={"x": key(), "counts": key("integer"), "label": key("string")},
        object_keys={"stage": ["x"], "det": ["counts", "label"]},
        configuration={
            "det": {
                "data": {"exposure": 0.1},
                "timestamps": {"exposure": time},
                "data_keys": {"exposure": key()},
            }
        },
    )
    documents: Documents = [
        ("start", run.start_doc),
        ("descriptor", primary.descriptor_doc),
    ]
    for point in range(points):
        data = {"x": point / 2, "counts": 10 * point, "label": f"point {point}"}
        when = time + 2 + point
        stamps = dict.fromkeys(data, when)
        event = primary.compose_event(data=data, timestamps=stamps, time=when)
        documents.append(("event", event))
    documents.append(("stop", run.compose_stop(time=time + 2 + points)))
    return documents


class SwmrFile:
    """A file being written for SWMR, as any detector's writer would."""

    def __init__(self, path: Path, **columns: tuple[str, tuple[int, ...]]):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = h5py.File(path, "w", libver=("v110", "v110"))
        self._sets = {
            name: self._file.create_dataset(
                name,
                (0, *shape),
                dtype,
                maxshape=(None, *shape),
                chunks=(16, *shape),
            )
            for name, (dtype, shape) in columns.items()
        }
        self._file.swmr_mode = True

    @property
    def uri(self) -> str:
        return f"file://localhost{self.path}"

    def append(self, **rows: Any) -> None:
        for name, values in rows.items():
            dataset, values = self._sets[name], np.asarray(values)
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[len(dataset) - len(values) :] = values
            dataset.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "SwmrFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class FlyScan:
    """The documents of a flyscan, one call at a time."""

    def __init__(self, keys: dict[str, dict], *, time: float = T0, **metadata: Any):
        self.run = event_model.compose_run(
            time=time, metadata={"plan_name": "fly", "scan_id": 7, **metadata}
        )
        self.stream = self.run.compose_descriptor(
            name="primary",
            time=time + 1,
            data_keys={
                name: {**each, "external": "STREAM:"} for name, each in keys.items()
            },
            object_keys={"panda": list(keys)},
        )
        self.documents: Documents = [
            ("start", self.run.start_doc),
            ("descriptor", self.stream.descriptor_doc),
        ]
        self._makers: dict[str, Callable[..., Any]] = {}
        self._seq = dict.fromkeys(keys, 1)

    def resource(
        self, name: str, uri: str, dataset: str | None = None, **more: Any
    ) -> None:
        """Name the file in which a field goes on."""
        bundle = self.run.compose_stream_resource(
            mimetype=more.pop("mimetype", "application/x-hdf5"),
            uri=uri,
            data_key=name,
            parameters={"dataset": dataset or f"/{name}", "chunk_shape": (16,), **more},
        )
        self.documents.append(("stream_resource", bundle.stream_resource_doc))
        self._makers[name] = bundle.compose_stream_datum

    def announce(self, start: int, stop: int, *names: str) -> None:
        """Announce rows of these fields, or of all that have a file."""
        for name in names or self._makers:
            seq = self._seq[name]
            self._seq[name] += stop - start
            datum = self._makers[name](
                indices={"start": start, "stop": stop},
                seq_nums={"start": seq, "stop": self._seq[name]},
                descriptor=self.stream.descriptor_doc,
            )
            self.documents.append(("stream_datum", datum))

    def stop(self, **more: Any) -> Documents:
        self.documents.append(("stop", self.run.compose_stop(**more)))
        return self.documents


def fly_scan(
    path: Path, rows: int = 20, *, time: float = T0, **metadata: Any
) -> Documents:
    """A finished flyscan with its file: two plain columns and a small image."""
    with SwmrFile(path, x=("<f8", ()), n=("<i4", ()), img=("<u2", (2, 3))) as file:
        file.append(x=np.arange(rows) / 2, n=np.arange(rows), img=images(rows))
        scan = FlyScan(
            {
                "x": key(dtype_numpy="<f8"),
                "n": key(shape=[1], dtype_numpy="<i4"),
                "img": key("array", [1, 2, 3], dtype_numpy="<u2"),
            },
            time=time,
            **metadata,
        )
        for name in ("x", "n", "img"):
            scan.resource(name, file.uri)
        scan.announce(0, rows // 2)
        scan.announce(rows // 2, rows)
    return scan.stop(time=time + 5)


def images(count: int) -> Any:
    return np.arange(count * 6, dtype="<u2").reshape(count, 2, 3)


def store(write: Callable[[str, dict], Any], documents: Iterable[tuple[str, dict]]):
    """Give documents to a callback."""
    for name, doc in documents:
        write(name, doc)


def many(catalog: Any, number: int, step: float = DAY / 4) -> list[str]:
    """Store short runs at even intervals; give their uids, oldest first."""
    uids = []
    for index in range(number):
        run = step_scan(1, time=T0 + index * step, scan_id=index + 1, number=index)
        store(catalog.writer(), run)
        uids.append(run[0][1]["uid"])
    return uids


def names(documents: Iterable[tuple[str, Any]]) -> Iterator[str]:
    return (name for name, _ in documents)
