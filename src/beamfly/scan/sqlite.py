"""The data log in a SQLite file: scans and their samples, across restarts.

Samples are gathered and written together, at the latest when somebody asks for them or
`flush` is called.
"""

import sqlite3
from pathlib import Path

from beamfly.errors import ScanError
from beamfly.scan.channels import Reading
from beamfly.scan.info import ScanInfo
from beamfly.scan.store import Row

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
MOST_GATHERED = 10_000


class SqliteStore:
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

    def rows(self, scan: int, after: int = -1) -> list[Row]:
        """Samples of a scan with a greater serial, by device, then by serial."""
        self.flush()
        try:
            return self._database.execute(
                "SELECT name, serial, time, value FROM samples "
                "JOIN devices ON devices.id = device "
                "WHERE scan = ? AND serial > ? ORDER BY name, serial, samples.rowid",
                (scan, after),
            ).fetchall()
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
