"""`beamfly shell`: IPython with a beamline in it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from beamfly.errors import BeamflyError

SIMULATED = "from beamfly.ipython import simulated\nglobals().update(simulated({0!r}))"
DESCRIBED = """
from beamfly.ipython import read_config
_beamline = read_config({0!r})  # before what takes seconds to import
from beamfly.ipython import beamline
globals().update(beamline(_beamline))
del _beamline
"""


@dataclass(frozen=True)
class Profile:
    """What a session starts with."""

    name: str
    """For its history."""
    code: str = ""
    """Run first."""
    files: tuple[Path, ...] = ()
    """Startup files, run one after the other."""


@click.command()
@click.argument("profile", default="sim")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Directory for runs and files of the simulation.",
)
@click.option(
    "-c", "command", metavar="CODE", help="Run this in place of a prompt, then leave."
)
def shell(profile: str, data: Path, command: str | None) -> None:
    """Start IPython with PROFILE: RE, db, devices, plans, %mov, %wa.

    PROFILE is sim (the default), a TOML file that describes a beamline, or a profile's
    directory with a folder startup. Nothing is written into that directory. If it does
    not start up, the exit code is 1.
    """
    found = find_profile(profile, data)
    try:
        from IPython.terminal.ipapp import TerminalIPythonApp
    except ImportError as error:
        msg = "IPython is not installed: pip install ipython"
        raise click.ClickException(msg) from error
    app: Any = TerminalIPythonApp.instance(config=_settings(found.name))
    # nothing of ours is for IPython's own command line
    app.initialize([])
    if not start(app, found):
        raise SystemExit(1)
    if command is not None:
        result = app.shell.run_cell(command, store_history=False)
        raise SystemExit(0 if result.success else 1)
    app.start()


def find_profile(profile: str, data: Path) -> Profile:
    """What PROFILE stands for.

    Raises:
        ClickException: There is no such thing.
    """
    if profile == "sim":
        return Profile("sim", SIMULATED.format(str(data.absolute())))
    path = Path(profile).expanduser().absolute()
    if path.suffix == ".toml":
        return Profile(path.stem, DESCRIBED.format(str(path)))
    if path.is_dir():
        folder = path / "startup"
        files = sorted(each for each in folder.glob("*.py") if each.is_file())
        if not files:
            raise click.ClickException(f"{path} is no profile: no {folder}/*.py")
        return Profile(path.name.removeprefix("profile_"), "", tuple(files))
    msg = (
        f"there is no profile {profile}; it is sim, a TOML file, or a directory with a "
        "folder startup"
    )
    raise click.ClickException(msg)


def start(app: Any, profile: Profile) -> bool:
    """Run what a profile starts with in an IPython; say so if it fails.

    Args:
        app: IPython, initialized.
        profile: To start.

    Returns:
        Whether all went well.
    """
    namespace: dict[str, Any] = app.shell.user_ns
    try:
        if profile.code:
            exec(profile.code, namespace)
        for path in profile.files:
            namespace["__file__"] = str(path)
            exec(compile(path.read_text("utf-8"), str(path), "exec"), namespace)
    except BeamflyError as error:
        click.echo(f"Error: {error}", err=True)
        return False
    except KeyboardInterrupt:
        click.echo("Interrupted before it was ready.", err=True)
        return False
    except BaseException:
        app.shell.showtraceback()
        click.echo(f"Error: the profile {profile.name} did not start up.", err=True)
        return False
    finally:
        namespace.pop("__file__", None)
    return True


def _settings(name: str) -> Any:
    """Configuration of an IPython that writes nowhere but into the state directory."""
    from traitlets.config import Config

    settings = cast(Any, Config())
    settings.TerminalIPythonApp.display_banner = False
    state = _state_directory(name)
    if state is None:
        # IPython needs a directory; history is not kept
        state = Path(tempfile.mkdtemp(prefix="beamfly-"))
        settings.HistoryManager.enabled = False
    settings.ProfileDir.location = str(state)
    settings.BaseIPythonApplication.ipython_dir = str(state.parent)
    return settings


def _state_directory(name: str) -> Path | None:
    """Where history is kept between sessions, None if nothing can be."""
    base = os.environ.get("XDG_STATE_HOME")
    try:
        root = Path(base) if base else Path.home() / ".local" / "state"
        state = root / "beamfly" / "shell" / name
        state.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return state if os.access(state, os.W_OK) else None
