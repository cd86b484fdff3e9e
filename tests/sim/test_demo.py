"""`beamfly demo`, as a user calls it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beamfly.demo import run_demo
from beamfly.demo.recorded import ROWS, check_recorded, expected_columns
from beamfly.errors import CaptureError
from flying import run_engine


@pytest.mark.timeout(180)
def test_demo_runs_end_to_end(tmp_path: Path) -> None:
    said: list[str] = []
    with run_engine() as RE:
        run_demo(RE, tmp_path, shape=(4, 20), say=said.append)
    output = "\n".join(said)
    assert "80 rows of" in output
    assert "all 10000 rows of 8 fields" in output
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.glob("*.h5"))) == 2
    assert len(list(tmp_path.glob("**/*.jsonl"))) == 2


@pytest.mark.timeout(180)
def test_demo_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "beamfly", "demo", "--output"]
    result = subprocess.run(
        [*command, str(tmp_path / "file" / "below")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "nothing was done" in result.stderr


def test_a_value_that_differs_from_the_recording_is_noticed() -> None:
    columns = expected_columns()
    check_recorded(columns)
    columns["COUNTER3-OUT-Value"][ROWS // 2] += 1
    with pytest.raises(CaptureError, match="COUNTER3"):
        check_recorded(columns)
    with pytest.raises(CaptureError, match="not among"):
        check_recorded({"x": np.zeros(3)})
