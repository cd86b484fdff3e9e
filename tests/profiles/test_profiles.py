"""Profiles, as `beamfly shell` and a Jupyter kernel start them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from beamfly.catalog import Catalog
from beamfly.cli.group import main

PROFILES = Path(__file__).parent.parent.parent / "profiles"
pytestmark = pytest.mark.timeout(400)
FLIGHT = "uids = RE(map_sample((4, 50)))"
# databroker, which takes seconds to import, has its turn in test_shell_session
READ = "run = db.v2[-1]; print(run.primary['data']['photons'].shape, panda.name)"


def test_a_notebook_flies_with_the_profile_of_its_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    # a kernel writes into its profile's directory
    profile = shutil.copytree(PROFILES / "profile_sim", tmp_path / "profile_sim")
    monkeypatch.setenv("BEAMFLY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    sources = ["%mov x 1", FLIGHT, READ, "(await x.locate())['setpoint']"]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    client = nbclient.NotebookClient(
        notebook,
        timeout=200,
        startup_timeout=200,
        extra_arguments=[f"--profile-dir={profile}"],
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    texts = ["".join(map(_text, cell.outputs)) for cell in notebook.cells]
    assert "200 of 200 frames" in texts[1]
    assert "image/png" in str(notebook.cells[1].outputs)
    assert "(200,) panda" in texts[2]
    assert "Traceback" not in "".join(texts)
    assert Catalog(tmp_path / "data")[-1].metadata["stop"]["exit_status"] == "success"


def _text(output: dict[str, object]) -> str:
    return str(output.get("text", output.get("data", "")))


def shell(
    directory: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from beamfly.cli import main; main()", "shell"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=directory,
        env={**os.environ, "XDG_STATE_HOME": str(directory / "state"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def profile_of(directory: Path, *files: str) -> Path:
    profile = directory / "profile_mine"
    (profile / "startup").mkdir(parents=True)
    for number, text in enumerate(files):
        (profile / "startup" / f"{number}0-file.py").write_text(text)
    return profile


def everything(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_profile_is_run_in_order_and_not_written_to(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "a = __file__", "b = a.upper()\nprint('ready')")
    before = everything(profile)
    done = shell(tmp_path, profile, "-c", "print(a); assert b == a.upper()")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready" in done.stdout
    assert str(profile / "startup" / "00-file.py") in done.stdout
    assert everything(profile) == before
    assert (tmp_path / "state/beamfly/shell/mine/history.sqlite").exists()


def test_a_session_needs_no_place_for_its_history(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "a = 1")
    (tmp_path / "file").touch()
    done = shell(tmp_path, profile, "-c", "a", XDG_STATE_HOME=str(tmp_path / "file"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_startup_error_ends_the_session(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "1 / 0", "print('went on')")
    done = shell(tmp_path, profile, "-c", "print('went on')")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout + done.stderr
    assert "Error: the profile mine did not start up." in done.stderr
    assert "went on" not in done.stdout


def test_what_is_known_to_be_wrong_is_told_without_a_traceback(tmp_path: Path) -> None:
    beamline = tmp_path / "beamline.toml"
    beamline.write_text("[data]\ncatalogue = 'x'\n")
    done = shell(tmp_path, beamline)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f'Error: {beamline}: [data]: "catalogue" is unknown; did you mean "catalog"?',
        f'{beamline}: [data]: there is no "catalog"',
    ]
    assert "Traceback" not in done.stdout


def test_the_exit_code_tells_how_the_code_ended(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "a = 1")
    assert shell(tmp_path, profile, "-c", "assert a == 2").returncode == 1


def test_what_is_no_profile(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["shell", "nowhere"])
    assert result.exit_code == 1
    assert "there is no profile nowhere; it is sim, a TOML file, or" in result.output
    result = CliRunner().invoke(main, ["shell", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{tmp_path} is no profile: no {tmp_path}/startup/*.py" in result.output
