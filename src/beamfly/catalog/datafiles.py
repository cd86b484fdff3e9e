"""Finding the file that a StreamResource names, also after the catalog has moved.

A StreamResource holds an absolute `file:` address. When nothing is there any more, the
same file is looked for where it lay as seen from the run's own file: copying a catalog
together with its data to another disk needs nothing else. Data that was archived
somewhere else is found by a `root_map`.
"""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.request import url2pathname

from beamfly.errors import CatalogError


def path_of(uri: str) -> Path | None:
    """Turn a `file:` address into a path; None for any other address."""
    scheme, _, rest = uri.partition(":")
    if scheme != "file":
        return None
    if rest.startswith("//"):  # a host follows, up to the path
        host, slash, path = rest[2:].partition("/")
        rest = slash + path if slash else host
    # not by urlsplit: many a path holds a # that nobody has quoted
    return Path(url2pathname(rest))


def beside(resource: Mapping[str, Any], run_file: Path) -> str | None:
    """Tell where a resource's file lies as seen from the run's file.

    Returns:
        A relative path with forward slashes, or None when there is no such path
        (another drive, an address that is no file).
    """
    path = path_of(str(resource.get("uri", "")))
    if path is None:
        return None
    try:
        relative = os.path.relpath(path, run_file.parent.absolute())
    except ValueError:  # Windows: on another drive
        return None
    return Path(relative).as_posix()


class DataFinder:
    """Finds the data files of runs."""

    def __init__(self, root_map: Mapping[str, str | Path] | None = None):
        """Keep the map of moved directories.

        Args:
            root_map: Where directories are now, by where they were when the data was
                written. The longest that fits is used.
        """
        moved = {Path(old): Path(new) for old, new in (root_map or {}).items()}
        self._moved = sorted(moved.items(), key=lambda item: -len(item[0].parts))

    def find(self, uri: str, beside: str | None, run_file: Path) -> Path:
        """Give the path of the file at this address.

        Args:
            uri: The StreamResource's address.
            beside: Its place as seen from `run_file`, if that was written down.
            run_file: The file that holds the run's documents.

        Raises:
            CatalogError: There is no such file in any of these places.
        """
        recorded = path_of(uri)
        if recorded is None:
            raise CatalogError(
                f"The data at {uri} (run file {run_file}) was not read: only file: "
                "addresses can be."
            )
        places = list(self._places(recorded, beside, run_file))
        for place in places:
            if place.exists():
                return place
        others = " nor ".join(str(place) for place in places[1:])
        raise CatalogError(
            f"The data file {places[0]} of the run in {run_file} is missing"
            f"{f' (it is not at {others} either)' if others else ''}. The values in it "
            "were not read; ask for fill=False, or for other fields, to do without, "
            "or give Catalog a root_map if the data has moved."
        )

    def _places(self, recorded: Path, beside: str | None, run_file: Path):
        for old, new in self._moved:
            if recorded.is_relative_to(old):
                yield new / recorded.relative_to(old)
                break
        yield recorded
        if beside is not None:
            near = run_file.parent.absolute().joinpath(*PurePosixPath(beside).parts)
            place = Path(os.path.normpath(near))
            if place != recorded:
                yield place
