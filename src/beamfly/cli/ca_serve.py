"""`beamfly ca serve`: a Channel Access server of simple PVs."""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Any

import click

from beamfly.ca.pv_file import load_pvs, parse_assignment
from beamfly.ca.server_asyncio import Server
from beamfly.errors import BadValue


@click.command()
@click.argument("pvs", nargs=-1, metavar="[FILE | NAME=VALUE]...")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="TCP and UDP port; 0 for any. [default: EPICS_CAS_SERVER_PORT or 5064]",
)
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    help="IPv4 address to listen on, 0.0.0.0 for all; may be given again. "
    "[default: EPICS_CAS_INTF_ADDR_LIST or 127.0.0.1]",
)
@click.option("-v", "--verbose", is_flag=True, help="Print clients and puts.")
def serve(
    pvs: tuple[str, ...], port: int | None, interfaces: tuple[str, ...], verbose: bool
) -> None:
    """Serve PVs until Ctrl-C.

    FILE is TOML or JSON: each name with a value, or with a table such as
    {value = 21.5, units = "degC", hihi = 40}. NAME=VALUE serves one PV.

    \b
    beamfly ca serve X:temp=21.5 X:mode=idle 'X:trace=[1, 2, 3]'
    beamfly ca serve beamline.toml --interface 0.0.0.0
    """  # noqa: D301 - click wants the backspace itself
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(asctime)s %(message)s",
    )
    logging.getLogger("asyncio").setLevel(logging.INFO)
    served = _collect(pvs)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(served, port, interfaces))


def _collect(pvs: tuple[str, ...]) -> dict[str, Any]:
    """All PVs of the command line; BadValue if there are none, or one twice."""
    found: dict[str, Any] = {}
    for argument in pvs:
        more: dict[str, Any] = {}
        if "=" in argument:
            name, pv = parse_assignment(argument)
            more[name] = pv
        else:
            more.update(load_pvs(Path(argument)))
        twice = found.keys() & more.keys()
        if twice:
            msg = f"{', '.join(sorted(twice))} is given twice; nothing is served"
            raise BadValue(msg)
        found.update(more)
    if not found:
        msg = "there is nothing to serve: give a FILE or NAME=VALUE"
        raise BadValue(msg)
    return found


async def _serve(
    pvs: dict[str, Any], port: int | None, interfaces: tuple[str, ...]
) -> None:
    """Serve until a signal says to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with Server(pvs, port=port, interfaces=interfaces or None) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            # where there are no such handlers, Ctrl-C raises KeyboardInterrupt
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        names = "1 name" if len(pvs) == 1 else f"{len(pvs)} names"
        where = ", ".join(server.interfaces)
        click.echo(f"Serving {names} on {where} port {server.port}.")
        if set(server.interfaces) == {"127.0.0.1"}:
            # the default list of addresses has broadcasts only, which do not come here
            find = f"EPICS_CA_ADDR_LIST=127.0.0.1:{server.port}"
            click.echo(f"Clients on this machine find it with {find}")
        await stop.wait()
