"""The data log in a SQLite file: scans and their samples, across restarts.

Samples are gathered and written together, at the latest when somebody asks for them or
`flush` is called.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beamfly.errors import ScanError
from beamfly.scan.channels import Reading
from beamfly.scan.info import ScanInfo
from beamfly.scan.store import BATCH, Row, Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scans (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, created INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS devices (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS samples (
    scan INTEGER NOT NULL, device INTEGER NOT NULL, serial INTEGER NOT NULL,
    time INTEGER NOT NULL, value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_by_scan ON samples (scan, device, serial);
"""
_DEVICES = """
WITH RECURSIVE used(device) AS (
    SELECT MIN(device) FROM samples WHERE scan = ?1
    UNION ALL
    SELECT (SELECT MIN(device) FROM samples WHERE scan = ?1 AND device > used.device)
    FROM used WHERE used.device IS NOT NULL
)
SELECT id, name FROM used JOIN devices ON id = used.device ORDER BY name
"""
"""Devices of a scan, without a look at all of its samples."""
_SAMPLES = """
SELECT serial, rowid, time, value FROM samples
WHERE scan = ? AND device = ? AND (serial, rowid) > (?, ?) AND serial <= ?
ORDER BY serial, rowid LIMIT ?
"""
_LARGEST = 2**63 - 1
MOST_GATHERED = 10_000


class SqliteStore(Store):
    """Keeps scans and samples in a file.

    Args:
        path: of the file, made if there is none.

    Every method raises `ScanError` when the file cannot be read or written.
    """

    def __init__(self, path: str | Path):
        self._path = str(path)
        self._gathered: list[tuple[int, int, int, int, str]] = []
        self._devices: dict[str, int] = {}
        self._last: dict[int, int] = {}
        try:
            self._database = sqlite3.connect(self._path, timeout=0.2)
        except sqlite3.Error as error:
            raise self._error(error) from None
        try:
            # one server per file; a crash of the machine may cost the last second
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
            self._database.commit()
            self._devices.update(
                self._database.execute("SELECT name, id FROM devices").fetchall()
            )
        except sqlite3.Error as error:
            self._database.close()
            raise self._error(error) from None

    def _error(self, error: sqlite3.Error) -> ScanError:
        return ScanError(f"The data log {self._path} cannot be used: {error}")

    def create(self, name: str, created: int) -> int:
        """Register a scan; its id, never used before."""
        try:
            cursor = self._database.execute(
                "INSERT INTO scans (name, created) VALUES (?, ?)", (name, created)
            )
            self._database.commit()
        except sqlite3.Error as error:
            raise self._error(error) from None
        number = cursor.lastrowid or 0
        self._last[number] = -1
        return number

    def log(self, scan: int, serial: int, device: str, reading: Reading) -> None:
        """Keep one sample."""
        key = self._devices.get(device)
        if key is None:
            key = self._register(device)
        self._gathered.append((scan, key, serial, reading.time, reading.text))
        self._last[scan] = max(serial, self._last.get(scan, -1))
        if len(self._gathered) >= MOST_GATHERED:
            self.flush()

    def _register(self, device: str) -> int:
        try:
            cursor = self._database.execute(
                "INSERT INTO devices (name) VALUES (?)", (device,)
            )
        except sqlite3.Error as error:
            raise self._error(error) from None
        key = cursor.lastrowid or 0
        self._devices[device] = key
        return key

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._gathered:
            return
        try:
            self._database.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?)", self._gathered
            )
            self._database.commit()
        except sqlite3.Error as error:
            raise self._error(error) from None
        finally:
            # dropped even so: with a full disk they would fill the memory as well
            self._gathered.clear()

    def batches(
        self, scan: int, after: int = -1, last: int | None = None
    ) -> Iterator[list[Row]]:
        """The same bit by bit: at most `BATCH` rows of one device at a time.

        Nothing is held in the file meanwhile, however long that takes.
        """
        self.flush()
        last = self.last_serial(scan) if last is None else last
        for device, name in self._ask(_DEVICES, (scan,)):
            place = after, _LARGEST
            while True:
                found = self._ask(_SAMPLES, (scan, device, *place, last, BATCH))
                if found:
                    yield [
                        (name, serial, time, text) for serial, _, time, text in found
                    ]
                if len(found) < BATCH:
                    break
                place = found[-1][:2]

    def _ask(self, question: str, values: tuple[int, ...]) -> list[Any]:
        try:
            return self._database.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from None

    def last_serial(self, scan: int) -> int:
        """Greatest serial of a scan, -1 if it logged nothing."""
        if scan not in self._last:
            self.flush()
            try:
                (found,) = self._database.execute(
                    "SELECT MAX(serial) FROM samples WHERE scan = ?", (scan,)
                ).fetchone()
            except sqlite3.Error as error:
                raise self._error(error) from None
            self._last[scan] = -1 if found is None else int(found)
        return self._last[scan]

    def known(self) -> list[ScanInfo]:
        """All scans that are kept, oldest first, in state Logged."""
        try:
            found = self._database.execute(
                "SELECT id, name, created FROM scans ORDER BY id"
            ).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from None
        return [
            ScanInfo(number, name, created, "Logged", address=0)
            for number, name, created in found
        ]

    def delete(self, scan: int) -> None:
        """Forget a scan and its samples."""
        self.flush()
        try:
            self._database.execute("DELETE FROM samples WHERE scan = ?", (scan,))
            self._database.execute("DELETE FROM scans WHERE id = ?", (scan,))
            self._database.commit()
        except sqlite3.Error as error:
            raise self._error(error) from None
        self._last.pop(scan, None)

    def close(self) -> None:
        """Write what was gathered and close the file."""
        try:
            self.flush()
        finally:
            self._database.close()
