"""Names of files: sorting them sorts runs by time."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from catalog_runs import T0
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.catalog.layout import RunPlace, days, newest_first, run_place, runs_of_day
from beamfly.errors import CatalogError

UID = "6f3c1a2b-0000-4000-8000-000000000000"
TIMES = st.floats(0, 4e9)


def test_a_name_tells_time_and_uid(tmp_path: Path) -> None:
    when = datetime(2026, 11, 20, 8, 32, 15, 123456, UTC).timestamp()
    place = run_place({"uid": UID, "time": when})
    assert place == RunPlace("2026-11-20", f"20261120T083215.123456Z_{UID}.jsonl")
    assert place.uid == UID
    assert RunPlace.from_relative(place.relative) == place
    assert place.path(tmp_path) == tmp_path / "2026-11-20" / place.file


@settings(deadline=None)
@given(st.lists(TIMES, min_size=2))
def test_sorting_names_sorts_by_time(times: list[float]) -> None:
    places = [run_place({"uid": UID, "time": time}) for time in sorted(times)]
    assert places == sorted(places)
    assert [p.relative for p in places] == sorted(p.relative for p in places)


@pytest.mark.parametrize("uid", ["", "../up", "a/b", "a b", ".hidden", "x" * 200, None])
def test_a_uid_that_is_no_file_name_is_refused(uid: object) -> None:
    with pytest.raises(CatalogError, match="cannot be stored: a uid becomes a file"):
        run_place({"uid": uid, "time": T0})


@pytest.mark.parametrize("time", [None, "now", float("nan"), float("inf"), 1e30])
def test_a_time_that_is_none_is_refused(time: object) -> None:
    with pytest.raises(CatalogError, match="start time"):
        run_place({"uid": UID, "time": time})


def test_only_runs_in_day_directories_count(tmp_path: Path) -> None:
    place = run_place({"uid": UID, "time": T0})
    earlier = run_place({"uid": UID, "time": T0 - 3e6})
    for each in (place, earlier):
        each.path(tmp_path).parent.mkdir(exist_ok=True)
        each.path(tmp_path).touch()
    (tmp_path / place.day / "panda.h5").touch()
    (tmp_path / place.day / "notes.jsonl").touch()
    (tmp_path / "2023-11-01").touch()  # a file, not a day
    (tmp_path / "raw").mkdir()
    assert list(newest_first(tmp_path)) == [place, earlier]
    assert set(days(tmp_path)) == {place.day, earlier.day}
    assert runs_of_day(tmp_path, place.day) == [place]


def test_what_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert days(tmp_path / "none") == {}
    assert runs_of_day(tmp_path, "2023-11-14") == []
    assert list(newest_first(tmp_path / "none")) == []


def test_a_directory_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CatalogError, match=r"file cannot be read"):
        days(file)
    with pytest.raises(CatalogError, match=r"2023-11-14 cannot be listed"):
        runs_of_day(file, "2023-11-14")
