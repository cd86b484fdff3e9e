"""`beamfly scan`: serve scans."""

import asyncio
import logging
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from beamfly.devices.scan_server_thread import serving
from beamfly.errors import BadValue
from beamfly.scan.config import ScanConfig, read_config
from beamfly.scan.server import LOOPBACK


@click.group()
def scan() -> None:
    """Scan server: commands in XML, executed in a queue."""


@scan.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A scan_config.xml as CS-Studio has it.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="TCP port, 4810 if not set."
)
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    help="Address to listen at. Whoever reaches it can move the beamline.",
)
@click.option(
    "--data-log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="SQLite file that keeps samples across restarts.",
)
@click.option("--path", "paths", multiple=True, help="Folder of files and scripts.")
@click.option(
    "--ca/--no-ca",
    default=True,
    show_default=True,
    help="Whether PVs are looked for with Channel Access.",
)
def serve(
    config_file: Path | None,
    port: int | None,
    host: str,
    data_log: Path | None,
    paths: tuple[str, ...],
    ca: bool,
) -> None:
    """Serve scans until interrupted.

    PVs are found with Channel Access as EPICS_CA_ADDR_LIST and its like say; those
    that start with loc:// or sim:// live in the server.
    """
    logging.basicConfig(format="%(levelname)s %(message)s")
    config = _read(config_file)
    if port is not None:
        config = replace(config, port=port)
    if data_log is not None:
        config = replace(config, data_log=str(data_log))
    config = replace(config, paths=[*config.paths, *paths])
    asyncio.run(_serve(config, host, ca))


def _read(path: Path | None) -> ScanConfig:
    if path is None:
        return ScanConfig()
    try:
        return read_config(path.read_bytes(), source=path.resolve().as_uri())
    except OSError as error:
        raise BadValue(f"{path} cannot be read: {error.strerror}") from None


async def _serve(config: ScanConfig, host: str, ca: bool) -> None:
    loop = asyncio.get_running_loop()
    async with serving(config, host, ca) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Windows has no such handlers and interrupts by itself
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, server.done.set)
        click.echo(f"Scan server at http://{host}:{server.port}")
        await server.done.wait()
    click.echo("Scan server stopped")
