"""`beamfly tiled`: a Tiled database of a catalog's runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from beamfly.tiled import TiledStore

_directory = click.argument(
    "directory", type=click.Path(file_okay=False, path_type=Path)
)


@click.group()
def tiled() -> None:
    """Keep a Tiled database beside a catalog; needs pip install 'beamfly[tiled]'."""


@tiled.command()
@_directory
@click.option("--name", default="beamfly", show_default=True, help="Of the profile.")
@click.option(
    "--database",
    metavar="URI",
    help="postgresql://user:password@host/name  [default: files in DIRECTORY/tiled]",
)
@click.option(
    "--data",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where HDF5 files are, besides DIRECTORY; may be given several times.",
)
@click.option(
    "--profiles",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the profile.  [default: the user's, or $TILED_PROFILES]",
)
def init(
    directory: Path,
    name: str,
    database: str | None,
    data: tuple[Path, ...],
    profiles: Path | None,
) -> None:
    """Make a database for the catalog in DIRECTORY, with all its runs."""
    from beamfly.tiled import TiledStore

    store = TiledStore(directory)
    store.create(database, list(data))
    path = store.write_profile(name, profiles)
    _feed(store, store.open())
    click.echo(f"profile {name} in {path}: databroker.Broker.named({name!r})")


@tiled.command()
@_directory
def rebuild(directory: Path) -> None:
    """Throw the database away and make it again from the runs in DIRECTORY."""
    from beamfly.tiled import TiledStore

    store = TiledStore(directory)
    _feed(store, store.emptied())


def _feed(store: TiledStore, client: Any) -> None:
    from rich.progress import track

    from beamfly.tiled import DirectoryFeed

    feed = DirectoryFeed(store, client)
    count = feed.discover()
    failed = 0
    for fed in track(feed.look(), "runs", count, transient=True):
        if fed.error:
            failed += 1
            click.echo(fed.error, err=True)
    click.echo(f"{count - failed} of {count} runs of {store.directory} are in Tiled")
    if failed:
        raise click.exceptions.Exit(1)


@tiled.command()
@_directory
@click.option("--pipe", is_flag=True, hidden=True, help="Talk in JSON, for a program.")
def follow(directory: Path, pipe: bool) -> None:
    """Write runs into the database while they are taken, until Ctrl-C."""
    from beamfly.tiled.follower import follow
    from beamfly.tiled.store import TiledStore

    def tell(news: dict[str, Any]) -> None:
        if pipe:
            click.echo(json.dumps(news))
            sys.stdout.flush()
        elif news["kind"] == "ready":
            click.echo(f"following {directory}; Ctrl-C to stop")
        elif news["kind"] == "error":
            click.echo(news["text"], err=True)
        elif news.get("stopped"):
            click.echo(f"{news['uid']} is in Tiled")

    try:
        follow(TiledStore(directory), tell, sys.stdin if pipe else None)
    except KeyboardInterrupt:
        click.echo("stopped")


@tiled.command()
@_directory
@click.option("--port", default=8000, show_default=True, help="On 127.0.0.1.")
def serve(directory: Path, port: int) -> None:
    """Serve the database in DIRECTORY to other programs on this machine."""
    from beamfly.tiled import TiledStore

    store = TiledStore(directory)
    store.config()
    arguments = ["serve", "config", str(store.server_file), "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "tiled", *arguments, "--port", str(port)]
    try:
        raise click.exceptions.Exit(subprocess.run(command, check=False).returncode)
    except KeyboardInterrupt:
        click.echo("stopped")
