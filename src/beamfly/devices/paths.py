"""Directories for data, made as deep as a path provider allows."""

import os
from pathlib import Path

from beamfly.errors import HdfError


def make_directory(path: Path, depth: int) -> None:
    """Make a directory and those above it, as far as that is wanted.

    Args:
        path: Absolute.
        depth: 0 to make none; n to make anything below the first n parts of the
            path; -n to make its last n parts at most.

    Raises:
        HdfError: One would be needed that is not to be made, or it cannot be made.
    """
    parts = path.parts[1:]
    keep = depth if depth > 0 else len(parts) + depth
    there = Path(path.anchor, *parts[: max(0, keep)])
    if path.is_dir() or depth == 0:
        return
    if not there.is_dir():
        msg = (
            f"{path} was not made: {there} does not exist, and create_directory is "
            f"{depth}"
        )
        raise HdfError(msg)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HdfError(f"{path} cannot be made: {error.strerror}") from error


def writable(path: str) -> bool:
    """Whether there is a directory in which files can be made."""
    return bool(path) and Path(path).is_dir() and os.access(path, os.W_OK | os.X_OK)
