"""Where runs lie in a catalog's directory, told by file names alone.

```
<directory>/
  2026-11-20/                                         one directory per day (UTC)
    20261120T083215.123456Z_<uid>.jsonl               one file per run
    panda.h5                                          HDF5 files may lie beside them
  .runs.sqlite                                        index; may be deleted at any time
```

The start time comes first in the name, in UTC, so that sorting names sorts runs by
time even across a change of clocks in autumn: the newest run is found without
opening a file. Call `run_place` to write, `newest_first` and `runs_of_day` to read.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beamfly.errors import CatalogError

INDEX_NAME = ".runs.sqlite"
"""File name of the index of start documents."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RUN = re.compile(r"\d{8}T\d{6}\.\d{6}Z_(?P<uid>.+)\.jsonl")
_SAFE_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, order=True)
class RunPlace:
    """The place of one run's file. Sorts by start time."""

    day: str
    """Name of the day directory, `YYYY-MM-DD` in UTC."""
    file: str
    """Name of the file in it."""

    @property
    def uid(self) -> str:
        """The run's uid, as the file name tells it."""
        match = _RUN.fullmatch(self.file)
        return match["uid"] if match else ""

    @property
    def relative(self) -> str:
        """`day/file`, which sorts like the place itself."""
        return f"{self.day}/{self.file}"

    def path(self, directory: Path) -> Path:
        """Where the file is, for a catalog in `directory`."""
        return directory / self.day / self.file

    @classmethod
    def from_relative(cls, relative: str) -> "RunPlace":
        """The inverse of `relative`."""
        day, _, file = relative.partition("/")
        return cls(day, file)


def run_place(start: dict[str, Any]) -> RunPlace:
    """Give the place in which the run with this start document is kept.

    Raises:
        CatalogError: The uid cannot be a part of a file name, or the time is no time.
    """
    uid = start.get("uid")
    if not isinstance(uid, str) or not _SAFE_UID.fullmatch(uid):
        raise CatalogError(
            f"A run with uid {uid!r} cannot be stored: a uid becomes a file name and "
            "may hold letters, digits, '-', '_' and '.' only."
        )
    try:
        begun = datetime.fromtimestamp(float(start["time"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise CatalogError(
            f"Run {uid} cannot be stored: its start time {start.get('time')!r} is not "
            "a number of seconds since 1970."
        ) from error
    return RunPlace(
        f"{begun:%Y-%m-%d}",
        f"{begun:%Y%m%dT%H%M%S}.{begun.microsecond:06}Z_{uid}.jsonl",
    )


def days(directory: Path) -> dict[str, int]:
    """List the day directories, unsorted, each with its time of change in ns.

    A directory that does not exist has no days.

    Raises:
        CatalogError: `directory` is there but cannot be listed.
    """
    found: dict[str, int] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if _DAY.fullmatch(entry.name) and entry.is_dir():
                    found[entry.name] = entry.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CatalogError(
            f"The catalog {directory} cannot be read: {error}"
        ) from error
    return found


def runs_of_day(directory: Path, day: str) -> list[RunPlace]:
    """List the runs of one day, oldest first. A day that has gone has none."""
    try:
        names = [entry.name for entry in (directory / day).iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CatalogError(
            f"The runs in {directory / day} cannot be listed: {error}"
        ) from error
    return [RunPlace(day, name) for name in sorted(names) if _RUN.fullmatch(name)]


def newest_first(directory: Path) -> Iterator[RunPlace]:
    """Walk the runs from the newest to the oldest, reading directories as needed."""
    for day in sorted(days(directory), reverse=True):
        yield from reversed(runs_of_day(directory, day))
