"""`beamfly hdf`: what it prints, and its exit codes."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from beamfly.cli.group import main
from beamfly.hdf import Column, ColumnWriter, Run

X = Column(
    "x", np.dtype("<f8"), {"units": "mm", "field": "INENC1.VAL", "capture": "Mean"}
)
ARMED = "2026-11-20T06:28:17Z"


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["hdf", *map(str, args)])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.h5"
    with ColumnWriter(path) as writer:
        writer.define([X], first_run=Run(arm_time=ARMED))
        writer.start_run(Run(arm_time=ARMED))
        writer.append([np.arange(20.0)])
        writer.end_run("Ok")
    return path


@pytest.fixture
def wreck(tmp_path: Path) -> Path:
    """What a writer that is killed leaves: here, a copy of an open file."""
    path, copy = tmp_path / "open.h5", tmp_path / "wreck.h5"
    with ColumnWriter(path) as writer:
        writer.define([X])
        writer.start_run(Run())
        writer.append([np.arange(20.0)])
        writer.flush()
        copy.write_bytes(path.read_bytes())
    os.utime(copy, (1e9, 1e9))
    return copy


def test_info(good: Path) -> None:
    result = run("info", good)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0].startswith(f"{good}: 20 rows of 1 dataset, ")
    assert result.output.splitlines()[0].endswith("kB; complete")
    assert result.output.splitlines()[1:] == [
        f"Arm time    {ARMED}",
        "",
        "dataset  shape  type     units  captured",
        "x        20     float64  mm     INENC1.VAL Mean",
        "",
        "run  armed                 rows  from row  missed  ended",
        f"1    {ARMED}    20         0       0  Ok",
    ]


def test_info_on_a_wreck_says_what_mends_it(wreck: Path) -> None:
    result = run("info", wreck)
    assert result.exit_code == 0
    assert "if its writer was killed, `beamfly hdf recover` mends it" in result.output
    assert "not yet, or killed" in result.output


def test_verify(good: Path, wreck: Path) -> None:
    result = run("verify", good)
    assert (result.exit_code, result.output) == (
        0,
        f"{good}: right; 20 rows of 1 dataset\n",
    )
    result = run("verify", good, wreck)
    assert result.exit_code == 1
    assert f"{wreck}: it is marked as open for writing" in result.output
    assert f"beamfly hdf recover {wreck}" in result.output


def test_recover(wreck: Path, good: Path) -> None:
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(wreck)
    result = run("recover", wreck, good)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"{wreck}: mended; it has 20 rows, and its last run says that the writer was "
        "killed",
        f"{good}: nothing to mend, it was closed properly; 20 rows",
    ]
    with h5py.File(wreck, "r+") as file:
        assert file["runs/rows"][0] == len(file["x"]) == 20


def test_recover_into_a_copy(wreck: Path, tmp_path: Path) -> None:
    before = wreck.read_bytes()
    result = run("recover", wreck, "--output", tmp_path / "copy.h5")
    assert result.exit_code == 0, result.output
    assert wreck.read_bytes() == before
    assert len(h5py.File(tmp_path / "copy.h5")["x"]) == 20
    result = run("recover", wreck, "--output", tmp_path / "copy.h5")
    assert result.exit_code == 1
    assert "exists already; nothing was written" in result.output


def test_recover_waits_for_a_writer(wreck: Path) -> None:
    os.utime(wreck)
    result = run("recover", wreck)
    assert result.exit_code == 1
    assert "it was not touched" in result.output
    assert "If it has ended, wait 5 s or use --force." in result.output
    assert run("recover", "--force", wreck).exit_code == 0


@pytest.mark.parametrize("command", ["info", "verify", "recover"])
def test_one_bad_file_does_not_hide_the_others(
    command: str, good: Path, tmp_path: Path
) -> None:
    garbage = tmp_path / "garbage.h5"
    garbage.write_bytes(b"garbage" * 100)
    result = run(command, garbage, good)
    assert result.exit_code == 1
    assert f"Error: {garbage} is not an HDF5 file" in result.output
    assert f"{good}: " in result.output
    assert "Traceback" not in result.output
