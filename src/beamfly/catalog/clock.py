"""When a row was taken, for rows that hardware wrote without any event.

A PandA counts time from the start of each acquisition (PCAP.TS_START, TS_TRIG or
TS_END, if it was asked to capture one), and the file notes when each began. The sum is
the time of the row. Its steps are as exact as the PandA's clock, its origin is as good
as the PandA's idea of the time.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from beamfly.catalog.jsonl import Document
from beamfly.catalog.values import Array
from beamfly.hdf.reading import DatasetReader

_CLOCKS = (
    re.compile(r"^http://\S+#time$"),
    *(re.compile(rf"\bPCAP\.TS_{name}\.Value$") for name in ("START", "TRIG", "END")),
)
"""What the source of a field that tells the time ends with, best first."""
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}


def clock_field(data_keys: Mapping[str, Document]) -> str | None:
    """Name the field that tells when its row was taken, if there is one."""
    for clock in _CLOCKS:
        for name, key in data_keys.items():
            if clock.search(str(key.get("source", ""))):
                return name
    return None


def row_times(
    reader: DatasetReader, dataset: str, start: int, stop: int
) -> Array | None:
    """Tell when rows `start` to `stop` of this dataset were taken.

    Returns:
        Seconds since 1970, or None if the file does not say enough.

    Raises:
        HdfError: The dataset cannot be read.
    """
    runs = reader.runs
    origins = [_seconds(run.start_time) for run in runs]
    attributes = reader.attributes(dataset)
    unit = _SECONDS.get(str(attributes.get("units", "")))
    epoch = _seconds(attributes.get("since"))
    if unit is None or (epoch is None and (not runs or None in origins)):
        return None
    values = reader.read(dataset, start, stop).astype(float)
    if not attributes.get("scaled", True):
        values = values * attributes["scale"] + attributes["offset"]
    if epoch is not None:
        return epoch + values * unit
    first_rows = [run.first_row for run in runs]
    which = np.searchsorted(first_rows, np.arange(start, stop), side="right") - 1
    return np.asarray(origins, dtype=float)[which] + values * unit


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        # to the ns, which datetime cannot hold
        when: Any = np.datetime64(text.removesuffix("Z"), "ns")
    except ValueError:
        return None
    seconds, rest = divmod(int(when.astype(np.int64)), 10**9)
    return seconds + rest / 1e9
