"""Finding runs: by age, uid, scan_id and search, in this process and in others."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalog_runs import DAY, T0, fly_scan, many, step_scan, store

from beamfly.catalog import Catalog, Run
from beamfly.errors import BadValue, CatalogError, RunNotFound


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path / "data")
    yield catalog
    catalog.close()


def ids(runs: Any) -> list[int]:
    return [run.start["scan_id"] for run in runs]


def test_by_age(catalog: Catalog) -> None:
    many(catalog, 9)
    assert catalog[-1].start["scan_id"] == 9
    assert catalog[-9].start["scan_id"] == 1
    assert catalog[np.int64(-2)].start["scan_id"] == 8
    assert catalog[0].start["scan_id"] == 1
    assert ids(catalog[-3:]) == [7, 8, 9]
    assert ids(catalog[-5:-2]) == [5, 6, 7]
    assert ids(catalog[-99:]) == list(range(1, 10))
    assert ids(catalog[-4::2]) == [6, 8]


def test_by_uid_and_scan_id(catalog: Catalog) -> None:
    uids = many(catalog, 9)
    assert catalog[uids[3]].uid == uids[3]
    assert catalog[uids[3][:8]].uid == uids[3]
    assert catalog[4].uid == uids[3]
    assert ids(catalog[4, -1]) == [4, 9]
    assert ids(catalog[[uids[0], 2]]) == [1, 2]
    assert uids[3] in catalog
    assert uids[3][:8] in catalog
    assert "nobody" not in catalog
    assert "x" not in catalog
    assert 5 not in catalog


def test_as_a_collection(catalog: Catalog) -> None:
    uids = many(catalog, 9)
    assert list(catalog) == catalog.keys() == uids
    assert len(catalog) == 9
    assert [uid for uid, _ in catalog.items()] == uids
    assert ids(catalog.values()) == list(range(1, 10))
    assert catalog.values()[2].start["scan_id"] == 3
    assert ids(catalog.values()[2:4]) == [3, 4]
    assert catalog.values().first().start["scan_id"] == 1
    assert catalog.values().last().start["scan_id"] == 9
    assert ids(catalog.values().head(2)) == [1, 2]
    assert ids(catalog.values().tail(2)) == [8, 9]
    stats = catalog.stats()
    assert stats["runs"] == 9
    assert stats["bytes"] == sum(
        path.stat().st_size for path in catalog.directory.rglob("*.jsonl")
    )


@pytest.mark.parametrize("key", ["nobody-has-this", 77, -10, -77, 0])
def test_what_is_not_there(tmp_path: Path, key: Any) -> None:
    catalog = Catalog(tmp_path / "none")
    with pytest.raises(RunNotFound, match=r"none \(there is no such directory\)"):
        catalog[key]
    for kind in (KeyError, IndexError, CatalogError):
        with pytest.raises(kind, match="There is no run"):
            catalog[key]
    assert not (tmp_path / "none").exists()
    assert list(catalog) == []
    assert catalog[-3:] == []
    catalog.close()


def test_beyond_the_oldest(catalog: Catalog) -> None:
    many(catalog, 3)
    with pytest.raises(RunNotFound, match=r"no run number -4 in .*: it holds 3"):
        catalog[-4]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("ab", "'ab' is too short for a part of a uid"),
        (slice(None), "begins with a negative number"),
        (slice(2, 5), "begins with a negative number"),
        (slice(None, -2), "begins with a negative number"),
        (1.5, "uid, scan_id or negative index, not by 1.5"),
        (None, "not by None"),
    ],
)
def test_keys_that_say_nothing(catalog: Catalog, key: Any, reason: str) -> None:
    many(catalog, 3)
    with pytest.raises(BadValue, match=reason):
        catalog[key]


def test_a_part_of_several_uids(catalog: Catalog) -> None:
    for number in range(3):
        start = {"uid": f"abcdefg-{number}", "time": T0 + number}
        store(catalog.writer(), [("start", start)])
    with pytest.raises(BadValue, match="begins with 'abcdefg', such as abcdefg-0 and"):
        catalog["abcdefg"]
    assert catalog["abcdefg-1"].start["time"] == T0 + 1


def test_searches_are_catalogs(catalog: Catalog) -> None:
    uids = many(catalog, 9)
    found = catalog.search({"plan_name": "scan"}).search({"number": 4})
    assert ids(found.values()) == [5]
    assert found[-1].uid == found[uids[4]].uid == found[5].uid == uids[4]
    assert found[uids[4][:8]].uid == uids[4]
    assert ids(found[-3:]) == [5]
    assert uids[4] in found
    assert uids[3] not in found
    for key in (uids[3], 4, -2, 1):
        with pytest.raises(RunNotFound, match="that answers the search"):
            found[key]
    assert len(catalog) == 9
    assert repr(found) == f"<Catalog search in {catalog.directory}>"
    assert repr(catalog) == f"<Catalog {catalog.directory}>"


def test_a_search_sees_what_comes_later(catalog: Catalog) -> None:
    found = catalog.search({"user": "ann"})
    assert len(found) == 0
    store(catalog.writer(), step_scan(0, user="ann"))
    assert len(found) == 1


def test_several_processes_see_the_same(catalog: Catalog) -> None:
    other = Catalog(catalog.directory)  # as another process would have it
    for number in range(5):
        store(catalog.writer(), step_scan(0, time=T0 + number * DAY, scan_id=number))
        assert other[-1].start["scan_id"] == number
        assert len(other) == number + 1
        if number:
            assert other[number].start["scan_id"] == number
    other.close()


def test_asking_twice_reads_once(catalog: Catalog) -> None:
    many(catalog, 40)
    first = catalog[-1]
    assert catalog[-1] is first
    for run in catalog.values():
        assert run.stop
    assert len(catalog._kept) == 32
    assert catalog[-1] is not first  # that had been too long ago


def test_a_moved_catalog_reads_its_data(catalog: Catalog, tmp_path: Path) -> None:
    store(catalog.writer(), fly_scan(catalog.directory / "2023-11-14" / "a.h5"))
    store(catalog.writer(), fly_scan(tmp_path / "raw" / "b.h5", time=T0 + 9))
    catalog.close()
    (tmp_path / "archive").mkdir()
    shutil.move(tmp_path / "data", tmp_path / "archive" / "data")
    shutil.move(tmp_path / "raw", tmp_path / "archive" / "raw")
    moved = Catalog(tmp_path / "archive" / "data")
    assert [len(run.primary.read()["x"]) for run in moved.values()] == [20, 20]
    moved.close()


def test_data_moved_away_is_found_by_a_root_map(
    catalog: Catalog, tmp_path: Path
) -> None:
    store(catalog.writer(), fly_scan(tmp_path / "raw" / "b.h5"))
    shutil.move(tmp_path / "raw", tmp_path / "tape")
    with pytest.raises(CatalogError, match="root_map"):
        catalog[-1].primary.read()
    mapped = Catalog(
        catalog.directory, root_map={str(tmp_path / "raw"): tmp_path / "tape"}
    )
    assert len(mapped[-1].primary.read()["x"]) == 20
    mapped.close()


def test_threads_may_share_a_catalog(catalog: Catalog) -> None:
    many(catalog, 20)
    wrong: list[object] = []

    def look(number: int) -> None:
        for scan_id in range(1, 21):
            run: Run = catalog[scan_id]
            if run.start["scan_id"] != scan_id or len(run.primary.read()["x"]) != 1:
                wrong.append((number, scan_id))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_home_directory_is_understood(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Catalog("~/data").directory == tmp_path / "data"
    assert Catalog("data").directory == tmp_path / "data"
    assert Catalog("data").metadata["name"] == "data"


def test_a_closed_catalog_opens_again(catalog: Catalog) -> None:
    many(catalog, 2)
    catalog.close()
    assert len(catalog) == 2
    store(catalog.writer(), step_scan(0, time=T0 + 9 * DAY))
    assert len(catalog) == 3
