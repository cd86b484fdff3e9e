"""One session of `beamfly shell sim` in a terminal, from `wa` to kill -9."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner
from session_rig import Terminal

from beamfly.catalog import Catalog
from beamfly.cli.group import main
from beamfly.hdf import inspect, open_columns
from beamfly.ipython import ScanIds

pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shell")


@pytest.fixture(scope="module")
def terminal(directory: Path) -> Iterator[Terminal]:
    terminal = Terminal(directory, "sim")
    yield terminal
    terminal.kill()


def test_moves_and_tables(terminal: Terminal, directory: Path) -> None:
    assert "Simulated beamline: panda, x, y, m1" in terminal.banner
    assert str(directory / "data") in terminal.banner
    terminal.run("%mov x 1.5 m1 0.25")
    terminal.run("%movr x 0.5")
    table = terminal.run("wa")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line}
    assert float(rows["x"][0]) == 2.0
    assert float(rows["m1"][0]) == 0.25
    refused = terminal.run("%mov m1 60")
    assert "was not moved" in refused
    assert "Traceback" not in refused
    refused = terminal.run("RE(bps.mv(m1, 60))")
    assert "OutsideLimits: m1 (motor 1) was not moved from" in refused
    assert "Traceback" not in refused
    assert "name 'nothing' is not defined; nothing was moved" in terminal.run(
        "%mov nothing 1"
    )
    assert "say device and position" in terminal.run("%mov x")


def test_tab_knows_what_the_panda_has(terminal: Terminal) -> None:
    terminal.press("panda.seq[1].repea\t")
    terminal.see("repeats")
    terminal.press("\x15")  # Ctrl-U
    assert "0.25" in terminal.run("(await m1.locate())['readback']")
    refused = terminal.run("await m1.locate(); RE(count([scaler]))")
    assert "BadValue: a cell that has an await of its own cannot run plans" in refused


def test_ctrl_c_twice_keeps_the_data(terminal: Terminal) -> None:
    assert "400 of 400 frames" in terminal.run("RE(map_sample((4, 100)))")
    terminal.type("RE(map_sample((600, 100)))")
    terminal.see(r"[1-9]\d*/60000")
    terminal.interrupt("deferred pause")
    terminal.interrupt("hard pause")
    said = terminal.until_prompt()
    assert "A flight cannot be paused: the run was ended, with the rows so far" in said
    assert "Interrupted: the run was ended, and the RunEngine is ready." in said
    assert "RE.resume()" not in said
    assert "Traceback" not in said
    shown = terminal.run("db[-1].stop['exit_status'], len(db[-1].table(fill=True))")
    status, rows = shown.split("Out[")[1].split("(")[1].split(")")[0].split(", ")
    assert status == "'abort'"
    assert 0 < int(rows) < 60000
    assert "2" in terminal.run("db[-1].start['scan_id']").split("Out[")[1]
    assert "400 of 400 frames" in terminal.run("RE(map_sample((4, 100)))")


def test_kill_in_mid_flight(terminal: Terminal, directory: Path) -> None:
    terminal.type("RE(map_sample((600, 100)))")
    terminal.see(r"[1-9]\d*/60000")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.kill()
    run = Catalog(directory / "data")[-1]
    assert run.metadata["start"]["scan_id"] == 4
    assert not run.metadata["stop"]
    documents = list(run.documents())
    resource = next(d for n, d in documents if n == "stream_resource")
    announced = max(d["indices"]["stop"] for n, d in documents if n == "stream_datum")
    path = Path(resource["uri"].removeprefix("file://localhost"))
    assert announced > 0
    data = run.primary["data"]
    assert {data[name].shape for name in data} == {(announced,)}
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path)
    with open_columns(path) as columns:
        flushed = columns.rows
    assert flushed >= announced
    before = inspect(path)
    assert (before.rows, before.complete) == (flushed, False)

    mended = CliRunner().invoke(main, ["hdf", "recover", "--force", str(path)])
    assert mended.exit_code == 0, mended.output
    assert f"mended; it has {flushed} rows" in mended.output
    with h5py.File(path, "r+") as file:
        assert file["photons"].shape == (flushed,)
        assert file["runs/rows"][...].tolist() == [flushed]
    data = Catalog(directory / "data")[-1].primary["data"]
    assert {data[name].shape for name in data} == {(announced,)}


def test_numbers_go_on_in_the_next_session(directory: Path) -> None:
    assert ScanIds(directory / "data")({}) == 5
