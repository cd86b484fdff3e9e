"""The index: fast, never stale, never in the way."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_runs import DAY, T0, many, step_scan, store

from beamfly.catalog import Catalog
from beamfly.catalog.index import RunIndex
from beamfly.catalog.layout import RunPlace, run_place
from beamfly.errors import CatalogError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path / "data")
    yield catalog
    catalog.close()


@pytest.fixture
def index(catalog: Catalog) -> Iterator[RunIndex]:
    index = RunIndex(catalog.directory, patience=0.05)
    yield index
    index.close()


def settle(directory: Path) -> None:
    """Make the day directories look as if nothing had changed for a minute."""
    then = time.time() - 60
    for day in directory.glob("????-??-??"):
        os.utime(day, (then, then))


def uids(places: list[RunPlace]) -> list[str]:
    return [place.uid for place in places]


def test_it_finds_what_was_stored(catalog: Catalog, index: RunIndex) -> None:
    stored = many(catalog, 9)
    assert uids(index.select([])) == stored
    assert index.by_uid(stored[4]).uid == stored[4]
    assert index.by_uid("nobody") is None
    assert index.by_scan_id(3).uid == stored[2]
    assert index.by_scan_id(10) is None
    assert set(index.by_partial_uid(stored[5][:13])) == {stored[5]}
    assert index.by_partial_uid("zzzzz") == {}
    assert index.file.exists()


def test_the_newest_of_a_scan_id_is_found(catalog: Catalog, index: RunIndex) -> None:
    runs = [step_scan(0, time=T0 + DAY * n, scan_id=1) for n in (3, 1, 2)]
    for run in runs:
        store(catalog.writer(), run)
    assert index.by_scan_id(1).uid == runs[0][0][1]["uid"]


def test_what_comes_later_is_found_too(catalog: Catalog, index: RunIndex) -> None:
    first = many(catalog, 2)
    assert uids(index.select([])) == first
    settle(catalog.directory)
    index.refresh()
    run = step_scan(0, time=T0 + 60, scan_id=99)  # on a day that looked settled
    store(catalog.writer(), run)
    assert index.by_scan_id(99).uid == run[0][1]["uid"]


def test_a_run_that_comes_within_the_same_tick_is_found(
    catalog: Catalog, index: RunIndex
) -> None:
    """A directory's time of change may stand still although a file was added."""
    many(catalog, 1)
    index.refresh()
    day = next(catalog.directory.glob("????-??-??"))
    before = day.stat()
    store(catalog.writer(), step_scan(0, time=T0 + 60, scan_id=99))
    os.utime(day, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.by_scan_id(99) is not None


def test_settled_days_are_not_listed_again(
    catalog: Catalog, index: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(catalog, 8)  # on two days and a bit
    settle(catalog.directory)
    index.refresh()
    listed: list[str] = []

    def listing(directory: Path, day: str) -> list[RunPlace]:
        listed.append(day)
        return []

    monkeypatch.setattr("beamfly.catalog.index.runs_of_day", listing)
    assert len(index.select([])) == 8
    assert listed == []


def test_a_run_taken_away_is_forgotten(catalog: Catalog, index: RunIndex) -> None:
    stored = many(catalog, 3, step=60)
    place = index.by_uid(stored[1])
    place.path(catalog.directory).unlink()
    assert index.by_uid(stored[1]) is None
    assert uids(index.select([])) == [stored[0], stored[2]]
    shutil.rmtree(catalog.directory / place.day)
    assert index.select([]) == []


def test_a_run_that_has_no_line_yet_is_asked_again(
    catalog: Catalog, index: RunIndex
) -> None:
    run = step_scan(1)
    path = run_place(run[0][1]).path(catalog.directory)
    path.parent.mkdir(parents=True)
    path.touch()
    settle(catalog.directory)
    assert index.select([]) == []
    store(catalog.writer(), step_scan(1, time=T0 + 1))
    path.unlink()
    store(catalog.writer(), run)
    settle(catalog.directory)
    assert len(index.select([])) == 2


def test_a_damaged_run_is_told_once_and_does_not_hide_the_others(
    catalog: Catalog, index: RunIndex
) -> None:
    stored = many(catalog, 3, step=60)
    index.by_uid(stored[1]).path(catalog.directory).write_bytes(b"rubbish\n")
    fresh = RunIndex(catalog.directory)
    index.file.unlink()
    with pytest.warns(UserWarning, match="left out of searches: .* line 1, is not a"):
        assert uids(fresh.select([])) == [stored[0], stored[2]]
    assert uids(fresh.select([])) == [stored[0], stored[2]]
    assert fresh.by_uid(stored[1]) is not None  # by uid it can still be looked into
    fresh.close()


def test_without_a_directory_there_is_nothing(tmp_path: Path) -> None:
    index = RunIndex(tmp_path / "later")
    assert index.select([]) == []
    assert index.by_uid("abcdef") is None
    assert not (tmp_path / "later").exists()
    catalog = Catalog(tmp_path / "later")
    stored = many(catalog, 2)
    assert uids(index.select([])) == stored
    assert index.file.exists()
    assert not index.in_memory
    index.close()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 99])
def test_a_file_that_is_no_index_is_replaced(
    catalog: Catalog, index: RunIndex, content: bytes
) -> None:
    stored = many(catalog, 2)
    index.file.write_bytes(content)
    assert uids(index.select([])) == stored
    assert not index.in_memory


def test_a_damaged_index_is_made_anew(catalog: Catalog, index: RunIndex) -> None:
    stored = many(catalog, 300, step=1)
    index.refresh()
    index.close()
    data = bytearray(index.file.read_bytes())
    data[4096:] = bytes(reversed(data[4096:]))
    index.file.write_bytes(data)
    assert uids(index.select([])) == stored
    assert not index.in_memory
    other = RunIndex(catalog.directory)
    assert uids(other.select([])) == stored
    other.close()


def test_the_index_of_another_version_is_made_anew(
    catalog: Catalog, index: RunIndex
) -> None:
    stored = many(catalog, 2)
    with sqlite3.connect(index.file) as database:
        database.execute("CREATE TABLE runs(something TEXT)")
        database.execute("PRAGMA user_version = 77")
    database.close()
    assert uids(index.select([])) == stored


def test_an_index_deleted_while_open_is_made_anew(
    catalog: Catalog, index: RunIndex
) -> None:
    stored = many(catalog, 2)
    assert uids(index.select([])) == stored
    index.file.unlink()
    store(catalog.writer(), step_scan(0, time=T0 + DAY, scan_id=50))
    assert index.by_scan_id(50) is not None
    assert not index.in_memory


def test_a_locked_index_is_kept_in_memory(catalog: Catalog, index: RunIndex) -> None:
    stored = many(catalog, 2)
    index.refresh()
    locker = sqlite3.connect(index.file, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    store(catalog.writer(), step_scan(0, time=T0 + DAY, scan_id=50))
    try:
        assert len(index.select([])) == 3
        assert index.by_uid(stored[0]) is not None
        assert index.in_memory
    finally:
        locker.execute("ROLLBACK")
        locker.close()


@pytest.mark.parametrize("indexed", [True, False])
def test_a_read_only_copy_can_be_searched(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    stored = many(catalog, 4)
    if indexed:
        assert len(catalog) == 4
    catalog.close()
    connect = sqlite3.connect

    def read_only(database: Any, **more: Any) -> sqlite3.Connection:
        if isinstance(database, Path):
            return connect(f"{database.as_uri()}?mode=ro", **{**more, "uri": True})
        return connect(database, **more)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    store(catalog.writer(), step_scan(0, time=T0 + DAY, scan_id=50))
    copy = RunIndex(catalog.directory)
    assert uids(copy.select([]))[:4] == stored
    assert copy.by_scan_id(50) is not None
    assert copy.in_memory
    assert copy.file.exists() is indexed
    copy.close()


def test_a_place_where_no_file_can_be_made_needs_none(
    catalog: Catalog, index: RunIndex
) -> None:
    stored = many(catalog, 2)
    index.file.mkdir()
    assert uids(index.select([])) == stored
    assert index.in_memory


MANY_READERS = """
import sys
from pathlib import Path
from beamfly.catalog import Catalog
catalog = Catalog(Path(sys.argv[1]))
sys.stdin.read()  # until all are ready
assert len(catalog) == 400 and catalog[50].start["scan_id"] == 50
catalog.close()
"""


def test_several_processes_may_make_it_at_once(catalog: Catalog) -> None:
    many(catalog, 400, step=3600)
    command = [sys.executable, "-c", MANY_READERS, str(catalog.directory)]
    pipe = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipe) for _ in range(3)]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    errors = [process.communicate(timeout=50)[1] for process in processes]
    assert errors == ["", "", ""]


def test_what_cannot_be_searched_at_all_says_so(
    catalog: Catalog, index: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(catalog, 1)

    def broken(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("out of memory")

    monkeypatch.setattr(sqlite3, "connect", broken)
    with pytest.raises(CatalogError, match="cannot be searched: out of memory"):
        index.select([])


def test_uids_and_times_of_every_kind(catalog: Catalog, index: RunIndex) -> None:
    store(catalog.writer(), [("start", {"uid": "only-uid", "time": T0})])
    odd = {"uid": "odd-one", "time": T0 + 1, "scan_id": "five", "plan_name": 3}
    store(catalog.writer(), [("start", odd)])
    huge = {"uid": "huge-one", "time": T0 + 2, "scan_id": 2**70}
    store(catalog.writer(), [("start", huge)])
    assert uids(index.select([])) == ["only-uid", "odd-one", "huge-one"]
    assert index.by_uid("odd-one") is not None
