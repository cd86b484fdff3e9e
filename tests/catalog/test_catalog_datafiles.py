"""Data files are found where they were written, or where they have moved to."""

from pathlib import Path

import pytest

from beamfly.catalog.datafiles import DataFinder, beside, path_of
from beamfly.errors import CatalogError

RUN = Path("/old/catalog/2023-11-14/run.jsonl")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file://localhost/data/a.h5", "/data/a.h5"),
        ("file:///data/a.h5", "/data/a.h5"),
        ("file:/data/a.h5", "/data/a.h5"),
        ("file://localhost/data/my%20file%23.h5", "/data/my file#.h5"),
        ("file://localhost/data/run#3 what?.h5", "/data/run#3 what?.h5"),
        ("https://example.org/a.h5", None),
        ("", None),
    ],
)
def test_addresses(uri: str, path: str | None) -> None:
    assert path_of(uri) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    ("uri", "relative"),
    [
        ("file://localhost/old/catalog/2023-11-14/a.h5", "a.h5"),
        ("file://localhost/old/catalog/a.h5", "../a.h5"),
        ("file://localhost/old/raw/a%20b.h5", "../../raw/a b.h5"),
        ("http://server/a.h5", None),
    ],
)
def test_the_place_as_seen_from_the_run(uri: str, relative: str | None) -> None:
    assert beside({"uri": uri}, RUN) == relative


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def find(finder: DataFinder, recorded: Path, run: Path, near: str | None) -> Path:
    return finder.find(f"file://localhost{recorded}", near, run)


def test_the_recorded_place_comes_first(tmp_path: Path) -> None:
    recorded = make(tmp_path / "raw/a.h5")
    make(tmp_path / "copy/raw/a.h5")
    run = tmp_path / "copy/catalog/day/run.jsonl"
    assert find(DataFinder(), recorded, run, "../../raw/a.h5") == recorded


def test_a_catalog_moved_with_its_data_is_complete(tmp_path: Path) -> None:
    moved = make(tmp_path / "copy/raw/a.h5")
    run = tmp_path / "copy/catalog/day/run.jsonl"
    gone = tmp_path / "raw/a.h5"
    assert find(DataFinder(), gone, run, "../../raw/a.h5") == moved


def test_data_that_was_archived_is_found_by_the_longest_root(tmp_path: Path) -> None:
    moved = make(tmp_path / "tape/2023/a.h5")
    make(tmp_path / "other/raw/2023/a.h5")
    finder = DataFinder({"/old": tmp_path / "other", "/old/raw": tmp_path / "tape"})
    assert find(finder, Path("/old/raw/2023/a.h5"), RUN, None) == moved


def test_a_root_map_does_not_hide_what_has_not_moved(tmp_path: Path) -> None:
    recorded = make(tmp_path / "raw/a.h5")
    finder = DataFinder({str(tmp_path): "/nowhere"})
    assert find(finder, recorded, RUN, None) == recorded


def test_a_file_of_that_name_elsewhere_is_not_taken_for_it(tmp_path: Path) -> None:
    make(tmp_path / "a.h5")
    run = tmp_path / "day/run.jsonl"
    with pytest.raises(CatalogError):
        find(DataFinder(), tmp_path / "raw/a.h5", run, "../raw/a.h5")


def test_a_missing_file_is_told_with_all_the_places(tmp_path: Path) -> None:
    run = tmp_path / "copy/catalog/day/run.jsonl"
    with pytest.raises(CatalogError) as raised:
        find(DataFinder(), Path("/gone/raw/a.h5"), run, "../../raw/a.h5")
    for part in ("/gone/raw/a.h5", str(run), str(tmp_path / "copy/raw/a.h5")):
        assert part in str(raised.value)
    assert "fill=False" in str(raised.value)


def test_an_address_that_is_no_file_is_told() -> None:
    with pytest.raises(CatalogError, match=r"http://server/a\.h5 .* only file:"):
        DataFinder().find("http://server/a.h5", None, RUN)
