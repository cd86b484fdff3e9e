"""Numbers of scans that go on from one session to the next: `ScanIds`.

They are in a small database in the catalog's directory, so that sessions that run at
the same time never give one number twice. Without it, numbers go on after the newest
run of the catalog.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from beamfly.catalog import Catalog
from beamfly.errors import CatalogError, RunNotFound

SCAN_IDS = ".scan_id.sqlite"
"""File in the catalog's directory."""
PATIENCE = 10.0
"""Seconds to wait for another session."""


class ScanIds:
    """Gives the next number: `RunEngine(scan_id_source=ScanIds(directory))`.

    Args:
        directory: Of the catalog; made if it is not there.

    Raises:
        CatalogError: The directory cannot be made or written.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / SCAN_IDS
        self.last = 0
        """The newest number that is known here."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.last = self._change("SELECT last FROM scan_id")
        except OSError as error:
            msg = f"The catalog {directory} cannot be made: {error.strerror or error}"
            raise CatalogError(msg) from error

    def __call__(self, md: dict[str, Any] | None = None) -> int:
        """The next number; nobody gets it again.

        Args:
            md: Of the RunEngine. A `scan_id` there that is larger, because somebody
                set it, is where numbers go on from.

        Raises:
            CatalogError: The database cannot be written.
        """
        least = int((md or {}).get("scan_id", 0) or 0)
        if least == self.last:
            least = 0  # what we said ourselves; another session may be further
        self.last = self._change(
            "UPDATE scan_id SET last = max(last, ?) + 1 RETURNING last", least
        )
        return self.last

    def current(self) -> int:
        """The newest number that is known here: of the run that is going on."""
        return self.last

    def _change(self, statement: str, *values: int) -> int:
        """Do it, making the database if need be, and return the number."""
        try:
            with closing(self._open()) as database:
                database.execute("BEGIN IMMEDIATE")
                self._begin(database)
                (last,) = database.execute(statement, values).fetchone()
                database.execute("COMMIT")
                return int(last)
        except sqlite3.Error as error:
            msg = (
                f"The scan_id cannot be kept in {self._path}: {error}. No run was "
                "begun; can you write to that directory?"
            )
            raise CatalogError(msg) from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, PATIENCE, isolation_level=None)
        # after a power failure a number may come twice; a wait at each run is worse
        database.execute("PRAGMA synchronous=OFF")
        return database

    def _begin(self, database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE IF NOT EXISTS scan_id (last INTEGER)")
        if database.execute("SELECT count(*) FROM scan_id").fetchone() == (0,):
            newest = _newest(self._path.parent)
            database.execute("INSERT INTO scan_id VALUES (?)", (newest,))


def _newest(directory: Path) -> int:
    """scan_id of the newest run, 0 if there is none."""
    try:
        return int(Catalog(directory)[-1].metadata["start"].get("scan_id", 0))
    except (RunNotFound, CatalogError, KeyError, TypeError, ValueError):
        return 0
