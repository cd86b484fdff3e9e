"""What a file holds besides rows: datasets, their attributes, runs, the default plot.

```
/                   @default; @arm_time, @start_time ... of the first run
/<column>           one 1-D dataset per column, @units and whatever the caller gives
/runs/first_row ... one row per run: which rows are its own, when it was, how it ended
/entry/data         NXdata: links to the columns, so that viewers plot the file
```
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from beamfly.errors import BadValue

RUNS, ENTRY = "runs", "entry"
"""Groups that no column may be named after."""
WRITE_FAILED = "Unknown exception"
"""Why a run ended whose file could not be written any more."""
NO_OFFSET = -(2**63)
"""Stands in /runs/hw_time_offset_ns for a run that has none."""
_RUN_CHUNK = 64


@dataclass(frozen=True)
class Column:
    """One dataset of a file."""

    name: str
    """Its path in the file."""
    dtype: np.dtype[Any]
    """Of one row."""
    attrs: Mapping[str, str | float | bool] = field(default_factory=dict[str, Any])
    """Such as units, scale, offset."""


@dataclass(frozen=True)
class Plot:
    """Which columns a viewer shows when it opens the file."""

    signal: str
    """Column on the vertical axis."""
    axis: str | None = None
    """Column on the horizontal axis, None for the row number."""


@dataclass
class Run:
    """One acquisition that wrote rows to a file."""

    arm_time: str | None = None
    """UTC, ISO 8601, None if not known."""
    start_time: str | None = None
    """UTC, ISO 8601, None if not known."""
    hw_time_offset_ns: int | None = None
    """Nanoseconds between hardware and system start time, None if not known."""
    missed: int = 0
    """Rows that were lost before the first one."""
    first_row: int = 0
    """Where its rows start in the file."""
    rows: int = 0
    """How many rows are its own."""
    reason: str = ""
    """Why it ended, empty while it runs."""


_RUN_DTYPES: dict[str, npt.DTypeLike] = {
    # of fixed size: strings of variable size are not safe to read while written
    "arm_time": "S40",
    "start_time": "S40",
    "hw_time_offset_ns": "<i8",
    "first_row": "<u8",
    "rows": "<u8",
    "missed": "<u8",
    "reason": "S80",
}


def can_be_named(name: str) -> bool:
    """Whether a dataset can have this name, which may have a path of groups."""
    first, *others = name.strip("/").split("/")
    nowhere = {"", ".", ".."} & {first, *others}
    return not nowhere and "\0" not in name and first not in (RUNS, ENTRY)


def check_layout(columns: Sequence[Column], plot: Plot | None) -> None:
    """BadValue if these columns cannot be in one file, or not be plotted like that."""
    seen: set[str] = set()
    for column in columns:
        if not can_be_named(column.name):
            msg = f"a dataset cannot be named {column.name!r}; no file was written"
            raise BadValue(msg)
        if column.name in seen:
            msg = f"two datasets are named {column.name!r}; no file was written"
            raise BadValue(msg)
        seen.add(column.name)
    if not columns:
        raise BadValue("a file without any column would be empty; none was written")
    asked = {plot.signal, plot.axis or plot.signal} if plot else set[str]()
    if unknown := sorted(asked - seen):
        msg = f"{unknown} cannot be plotted: the file has {sorted(seen)}"
        raise BadValue(msg)


def create_columns(
    file: h5py.File, columns: Sequence[Column], chunk_rows: int
) -> list[h5py.Dataset]:
    """Create one empty, growing dataset per column."""
    datasets: list[h5py.Dataset] = []
    for column in columns:
        dataset = file.create_dataset(
            column.name,
            (0,),
            column.dtype,
            maxshape=(None,),
            chunks=(chunk_rows,),
            # every row is written, so chunks need no filling first
            fill_time="never",
        )
        for name, value in column.attrs.items():
            dataset.attrs[name] = value
        datasets.append(dataset)
    return datasets


def create_plot(file: h5py.File, columns: Sequence[Column], plot: Plot | None) -> None:
    """Make viewers of NeXus files open this one as a plot."""
    names = {column.name.strip("/").replace("/", "_"): column for column in columns}
    links = {column.name: link for link, column in names.items()}
    plot = plot or Plot(columns[0].name)
    file.attrs["default"] = ENTRY
    entry = file.create_group(ENTRY)
    entry.attrs["NX_class"] = "NXentry"
    entry.attrs["default"] = "data"
    data = entry.create_group("data")
    data.attrs["NX_class"] = "NXdata"
    data.attrs["signal"] = links[plot.signal]
    # "." is NeXus for the row number
    data.attrs["axes"] = [links[plot.axis] if plot.axis else "."]
    for link, column in names.items():
        data[link] = h5py.SoftLink("/" + column.name.strip("/"))


def create_runs(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Create the datasets that have one row per run."""
    group = file.create_group(RUNS)
    group.attrs["NX_class"] = "NXcollection"
    datasets = {
        name: group.create_dataset(
            name, (0,), dtype, maxshape=(None,), chunks=(_RUN_CHUNK,)
        )
        for name, dtype in _RUN_DTYPES.items()
    }
    datasets["hw_time_offset_ns"].attrs["none"] = NO_OFFSET
    return datasets


def as_dataset(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """The dataset of that name, None if there is none."""
    item = group[name] if name in group else None
    return item if isinstance(item, h5py.Dataset) else None


def open_runs(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets that have one row per run; empty for files of other programs."""
    group = file[RUNS] if RUNS in file else None
    if not isinstance(group, h5py.Group):
        return {}
    datasets = {name: as_dataset(group, name) for name in _RUN_DTYPES}
    return {name: found for name, found in datasets.items() if found is not None}


def write_run(
    datasets: Mapping[str, h5py.Dataset],
    index: int,
    run: Run,
    names: Iterable[str] = (),
) -> None:
    """Write the row of one run, or some of it; the datasets grow to hold it."""
    for name in names or datasets:
        dataset, value = datasets[name], getattr(run, name)
        if name == "hw_time_offset_ns":
            value = NO_OFFSET if value is None else value
        elif isinstance(value, str) or value is None:
            value = (value or "").encode("ascii", "replace")
        if len(dataset) <= index:
            dataset.resize((index + 1,))
        dataset[index] = value


def read_runs(group: Mapping[str, h5py.Dataset]) -> list[Run]:
    """The runs of a file."""
    table = {name: group[name][()] for name in _RUN_DTYPES}
    runs: list[Run] = []
    for index in range(min(map(len, table.values()))):
        row = {name: column[index] for name, column in table.items()}
        offset = int(row["hw_time_offset_ns"])
        runs.append(
            Run(
                arm_time=row["arm_time"].decode() or None,
                start_time=row["start_time"].decode() or None,
                hw_time_offset_ns=None if offset == NO_OFFSET else offset,
                missed=int(row["missed"]),
                first_row=int(row["first_row"]),
                rows=int(row["rows"]),
                reason=row["reason"].decode(),
            )
        )
    return runs


def write_start_attributes(file: h5py.File, run: Run) -> None:
    """Times of the first run, at the root, where other PandA tools look for them."""
    if run.arm_time is not None:
        file.attrs["arm_time"] = run.arm_time
    if run.start_time is not None:
        file.attrs["start_time"] = run.start_time
    if run.hw_time_offset_ns is not None:
        file.attrs["hw_time_offset_ns"] = np.int64(run.hw_time_offset_ns)
