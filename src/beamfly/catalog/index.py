"""The index of start documents, in SQLite, that makes searching fast.

Nothing but readers write it, and all it holds is in the runs' files: it may be deleted
at any time and is made anew. A reader brings it up to date before it looks something
up: a day directory whose time of change is the one noted has had no run added or taken
away since, so that only today's is listed again, however many days there are.

It never stands in the way. A damaged file is replaced. Where it cannot be written (a
read-only copy, a lock that a network file system does not give) it is kept in memory.
"""

import json
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from beamfly.catalog.jsonl import Document, first_line, last_line
from beamfly.catalog.layout import INDEX_NAME, RunPlace, days, runs_of_day
from beamfly.catalog.queries import Condition
from beamfly.errors import CatalogError

_VERSION = 1
_SCHEMA = """
CREATE TABLE days(day TEXT PRIMARY KEY, changed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE runs(
    place TEXT PRIMARY KEY, time REAL, uid TEXT, scan_id INTEGER, plan_name TEXT,
    start TEXT, problem TEXT
);
CREATE INDEX runs_uid ON runs(uid);
CREATE INDEX runs_scan_id ON runs(scan_id);
CREATE INDEX runs_plan_name ON runs(plan_name);
CREATE INDEX runs_time ON runs(time);
CREATE INDEX runs_waiting ON runs(place) WHERE start IS NULL AND problem IS NULL;
PRAGMA user_version = 1;
"""
_INSERT_RUN = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_DAY = "INSERT OR REPLACE INTO days VALUES (?, ?)"
_RESTLESS_NS = 2_000_000_000
"""A directory that changed less than this ago may change again within the same tick
of its clock (up to 2 s on some file systems), so its time proves nothing yet."""

_BROKEN = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Result codes (the lowest byte) of a file that is no sound index of ours."""

Answer = TypeVar("Answer")


class RunIndex:
    """The start documents of all runs in a catalog's directory. Threads may share it.

    Nothing is opened before the first question.
    """

    def __init__(self, directory: Path, patience: float = 10.0):
        """Say where.

        Args:
            directory: The catalog's directory.
            patience: Seconds to wait for another process that is writing the index,
                before going on with one in memory.
        """
        self.directory = directory
        self.file = directory / INDEX_NAME
        self._patience = patience
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._in_memory = False
        # no run was ever stored here; as soon as one is, the index moves in
        self._homeless = False

    def __del__(self) -> None:
        self.close()

    @property
    def in_memory(self) -> bool:
        """Whether the index had to be kept in memory."""
        return self._in_memory

    def select(self, conditions: Sequence[Condition]) -> list[RunPlace]:
        """Find the runs that meet all conditions, oldest first."""
        where, values = _where(conditions)
        tests = [each for each in conditions if each.test is not None]
        columns = "place, start" if tests else "place"
        sql = f"SELECT {columns} FROM runs WHERE {where} ORDER BY place"
        rows = self._query(sql, values)
        return [
            RunPlace.from_relative(row[0])
            for row in rows
            if not tests or self._passes(row, tests)
        ]

    def count(self, conditions: Sequence[Condition]) -> int:
        """Count the runs that meet all conditions."""
        if any(each.test is not None for each in conditions):
            return len(self.select(conditions))
        where, values = _where(conditions)
        sql = f"SELECT COUNT(*) FROM runs WHERE {where}"
        return int(self._query(sql, values)[0][0])

    def by_uid(self, uid: str) -> RunPlace | None:
        """Find a run by its whole uid."""
        sql = "SELECT place FROM runs WHERE uid = ? ORDER BY place LIMIT 1"
        # a run seldom changes its place: most often there is no need to look around
        for fresh in (False, True):
            for row in self._query(sql, (uid,), fresh=fresh):
                place = RunPlace.from_relative(row[0])
                if fresh or place.path(self.directory).exists():
                    return place
        return None

    def by_partial_uid(self, part: str) -> dict[str, RunPlace]:
        """Find runs by the beginning of their uid; at most two, by uid."""
        sql = (
            "SELECT uid, MIN(place) FROM runs WHERE uid >= ? AND uid < ? "
            "GROUP BY uid LIMIT 2"
        )
        rows = self._query(sql, (part, part + chr(0x10FFFF)))
        return {row[0]: RunPlace.from_relative(row[1]) for row in rows}

    def by_scan_id(self, scan_id: int) -> RunPlace | None:
        """Find the latest run with this scan_id."""
        sql = "SELECT place FROM runs WHERE scan_id = ? ORDER BY place DESC LIMIT 1"
        rows = self._query(sql, (scan_id,))
        return RunPlace.from_relative(rows[0][0]) if rows else None

    def refresh(self) -> None:
        """Bring the index up to date with the directory."""
        self._ask(self._catch_up)

    def close(self) -> None:
        """Close the index file. The next question opens it again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _passes(self, row: tuple[Any, ...], tests: Sequence[Condition]) -> bool:
        run: Document = {"start": json.loads(row[1])}
        if any(each.needs_stop for each in tests):
            path = RunPlace.from_relative(row[0]).path(self.directory)
            line = last_line(path)
            run["stop"] = line.doc if line and line.name == "stop" else {}
        return all(each.test(run) for each in tests if each.test)

    def _query(
        self, sql: str, values: tuple[Any, ...], fresh: bool = True
    ) -> list[tuple[Any, ...]]:
        def answer(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
            if fresh:
                self._catch_up(database)
            return database.execute(sql, values).fetchall()

        return self._ask(answer)

    def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run a question, mending or giving up the index file if it is at fault."""
        with self._lock:
            for last in (False, True):
                try:
                    return question(self._connect())
                except sqlite3.DatabaseError as error:
                    self._mend(error, last)
            try:
                return question(self._connect())
            except sqlite3.DatabaseError as error:
                raise CatalogError(
                    f"The runs in {self.directory} cannot be searched: {error}."
                ) from error

    def _mend(self, error: sqlite3.DatabaseError, last: bool) -> None:
        self.close()
        if last:
            self._in_memory = True
            return
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return  # somebody deleted the file: make a new one
        if code & 0xFF not in _BROKEN or not self._remove():
            self._in_memory = True

    def _remove(self) -> bool:
        try:
            self.file.unlink(missing_ok=True)
            self.file.with_name(INDEX_NAME + "-journal").unlink(missing_ok=True)
        except OSError:  # on a read-only disk
            return False
        return True

    def _connect(self) -> sqlite3.Connection:
        if self._database is not None and self._homeless and self.directory.is_dir():
            self.close()
        if self._database is None:
            self._homeless = not self.directory.is_dir()
            memory = self._in_memory or self._homeless
            self._database = self._open_memory() if memory else self._open()
        return self._database

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self.file, timeout=self._patience, check_same_thread=False
        )
        return self._prepare(database)

    def _open_memory(self) -> sqlite3.Connection:
        """Open an index in memory, with what the file holds if that can be read."""
        memory = sqlite3.connect(":memory:", check_same_thread=False)
        database = self._prepare(memory)
        address = f"{self.file.absolute().as_uri()}?mode=ro"
        try:
            source = sqlite3.connect(address, uri=True, timeout=self._patience)
        except sqlite3.DatabaseError:  # there is none
            return database
        try:
            # not by backup(), which waits for ever for a lock
            if source.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
                self._copy(source, database)
        except sqlite3.DatabaseError:  # locked or damaged: all runs are read again
            if database.in_transaction:
                database.execute("ROLLBACK")
        finally:
            source.close()
        return database

    def _copy(self, source: sqlite3.Connection, database: sqlite3.Connection) -> None:
        days = source.execute("SELECT day, changed FROM days").fetchall()
        runs = source.execute("SELECT * FROM runs").fetchall()
        database.execute("BEGIN")
        database.executemany(_INSERT_RUN, runs)
        database.executemany(_INSERT_DAY, days)
        database.execute("COMMIT")

    def _prepare(self, database: sqlite3.Connection) -> sqlite3.Connection:
        try:
            database.isolation_level = None
            # nothing is lost with this file, so nothing needs to wait for the disk
            database.execute("PRAGMA synchronous = OFF")
            found = database.execute("PRAGMA user_version").fetchone()[0]
            if found != _VERSION:
                self._create(database, found)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _create(self, database: sqlite3.Connection, found: int) -> None:
        # another process may be making it at the same moment; one waits for the other
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] == found:
            for table in ("runs", "days"):
                database.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
        database.execute("COMMIT")

    def _catch_up(self, database: sqlite3.Connection) -> None:
        seen = days(self.directory)
        noted: dict[str, int] = dict(database.execute("SELECT day, changed FROM days"))
        changed = [day for day, when in seen.items() if noted.get(day) != when]
        gone = noted.keys() - seen.keys()
        begun = "SELECT place FROM runs WHERE start IS NULL AND problem IS NULL"
        waiting = {
            RunPlace.from_relative(row[0]).day for row in database.execute(begun)
        }
        for day in sorted({*changed, *gone, *waiting}):
            self._update_day(database, day, seen.get(day))

    def _update_day(
        self, database: sqlite3.Connection, day: str, when: int | None
    ) -> None:
        """Index one day's new runs, in a transaction of its own to let others in."""
        listed = {place.relative for place in runs_of_day(self.directory, day)}
        bounds = (f"{day}/", f"{day}0")  # "0" follows "/" in ASCII
        done = "SELECT place FROM runs WHERE place > ? AND place < ?"
        ready = f"{done} AND (start IS NOT NULL OR problem IS NOT NULL)"
        known = {row[0] for row in database.execute(done, bounds)}
        indexed = {row[0] for row in database.execute(ready, bounds)}
        rows = list(self._read(sorted(listed - indexed)))
        restless = when is None or abs(time.time_ns() - when) < _RESTLESS_NS
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(_INSERT_RUN, rows)
            gone = [(place,) for place in known - listed]
            database.executemany("DELETE FROM runs WHERE place = ?", gone)
            if when is None:
                database.execute("DELETE FROM days WHERE day = ?", (day,))
            else:
                note = (day, 0 if restless else when)
                database.execute(_INSERT_DAY, note)
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def _read(self, places: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for relative in places:
            place = RunPlace.from_relative(relative)
            try:
                line = first_line(place.path(self.directory))
            except CatalogError as error:
                if not place.path(self.directory).exists():
                    continue  # taken away since it was listed
                yield self._unreadable(relative, error)
                continue
            if line is None:  # begun this very moment, or never: ask again next time
                yield (relative, None, place.uid, None, None, None, None)
            else:
                yield _row(relative, line.doc)

    def _unreadable(self, relative: str, error: CatalogError) -> tuple[Any, ...]:
        warnings.warn(f"A run is left out of searches: {error}", stacklevel=2)
        uid = RunPlace.from_relative(relative).uid
        return (relative, None, uid, None, None, None, str(error))


def _where(conditions: Sequence[Condition]) -> tuple[str, tuple[Any, ...]]:
    clauses = ["start IS NOT NULL", *(each.sql for each in conditions)]
    values = tuple(value for each in conditions for value in each.values)
    return " AND ".join(clauses), values


def _row(relative: str, start: Document) -> tuple[Any, ...]:
    scan_id, plan_name = start.get("scan_id"), start.get("plan_name")
    return (
        relative,
        start.get("time"),
        str(start.get("uid")),
        scan_id if isinstance(scan_id, int) and abs(scan_id) < 2**63 else None,
        plan_name if isinstance(plan_name, str) else None,
        json.dumps(start),
        None,
    )
