"""scan_id goes on from one session to the next, and is never given twice."""

import subprocess
import sys
from pathlib import Path

import pytest

from beamfly.catalog import Catalog
from beamfly.errors import CatalogError
from beamfly.ipython import ScanIds
from beamfly.ipython.scan_ids import SCAN_IDS

TAKE = """
import sys
from pathlib import Path
from beamfly.ipython.scan_ids import ScanIds
ids = ScanIds(Path(sys.argv[1]))
print(*(ids({"scan_id": ids.last}) for _ in range(50)))
"""


def test_numbers_go_on(tmp_path: Path) -> None:
    ids = ScanIds(tmp_path / "new")
    assert [ids({}), ids({"scan_id": 1}), ids({"scan_id": 2})] == [1, 2, 3]
    again = ScanIds(tmp_path / "new")
    assert again.current() == 3
    assert again({}) == 4
    # the first session does not know of it
    assert ids({"scan_id": 3}) == 5


def test_somebody_may_set_it(tmp_path: Path) -> None:
    ids = ScanIds(tmp_path)
    assert ids({"scan_id": 1000}) == 1001
    assert ScanIds(tmp_path)({}) == 1002


def test_sessions_at_the_same_time_share_the_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    taking = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    given: list[int] = []
    for process in taking:
        out, _ = process.communicate(timeout=50)
        given += map(int, out.split())
    assert sorted(given) == list(range(1, 101))


def test_a_catalog_without_numbers_goes_on_after_its_newest_run(tmp_path: Path) -> None:
    writer = Catalog(tmp_path).writer()
    writer("start", {"uid": "abc", "time": 1.8e9, "scan_id": 76})
    writer("stop", {"uid": "def", "run_start": "abc", "time": 1.8e9 + 1})
    assert ScanIds(tmp_path)({}) == 77


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match="cannot be made: "):
        ScanIds(tmp_path / "file" / "catalog")
    (tmp_path / SCAN_IDS).write_text("no database" * 100)
    with pytest.raises(
        CatalogError, match=r"The scan_id cannot be kept in .*No run was"
    ):
        ScanIds(tmp_path)


def test_it_survives_a_kill(tmp_path: Path) -> None:
    kill = TAKE + "import os; os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", kill, str(tmp_path)], check=False)
    assert ScanIds(tmp_path)({}) == 51
