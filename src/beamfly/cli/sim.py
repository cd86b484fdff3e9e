"""`beamfly sim`: a simulated beamline for other programs to connect to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from beamfly.errors import CAError, PandaDisconnected, ScanError

if TYPE_CHECKING:
    from beamfly.sim import SampleStage, SimulatedBeamline
    from beamfly.sim.ioc import BeamlineIOC


PORT = click.IntRange(0, 65535)
_ANOTHER = "choose another with {}, or 0 for any that is free"


@click.command()
@click.option(
    "--control-port",
    default=8888,
    show_default=True,
    type=PORT,
    help="Of the PandA, for commands; 0 for any that is free.",
)
@click.option(
    "--data-port",
    default=8889,
    show_default=True,
    type=PORT,
    help="Of the PandA, for frames; 0 for any that is free.",
)
@click.option(
    "--ca-port",
    default=5064,
    show_default=True,
    type=PORT,
    help="Of the IOC; 0 for any that is free.",
)
@click.option(
    "--scan-port",
    default=4810,
    show_default=True,
    type=PORT,
    help="Of the scan server; 0 for any that is free.",
)
@click.option("--ioc/--no-ioc", default=True, help="Whether there are EPICS PVs.")
@click.option(
    "--scan-server/--no-scan-server",
    default=True,
    help="Whether there is a scan server.",
)
@click.option(
    "--motors",
    default=8,
    show_default=True,
    type=click.IntRange(0, 40),
    help="Motors of the IOC besides x and y.",
)
@click.option(
    "--prefix", default="BL:", show_default=True, help="What names of PVs begin with."
)
@click.option("--list", "only_list", is_flag=True, help="Print the PVs, serve nothing.")
@click.option(
    "--sweep",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MM",
    help="Keep x moving from -MM to MM and back.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help="Stop after so long.  [default: at Ctrl-C]",
)
def sim(
    control_port: int,
    data_port: int,
    ca_port: int,
    scan_port: int,
    ioc: bool,
    scan_server: bool,
    motors: int,
    prefix: str,
    only_list: bool,
    sweep: float | None,
    seconds: float | None,
) -> None:
    """Serve a simulated beamline: a PandA, an IOC, and a scan server.

    Axes x and y are motors of the IOC and on the PandA's INENC1 and INENC2, with 10000
    counts per mm; INENC3 counts photons from a sample that they move. Only 127.0.0.1 is
    listened on.
    """
    # imported here, as it imports all of bluesky
    from beamfly.sim import SimulatedBeamline

    def make(ca: int | None, scans: int | None) -> SimulatedBeamline:
        return SimulatedBeamline(
            control_port,
            data_port,
            ioc_port=ca,
            scan_port=scans,
            motors=motors,
            prefix=prefix,
        )

    if only_list:
        _list(make(0, None).ioc)
        return
    over = threading.Event()
    beamline = make(ca_port if ioc else None, scan_port if scan_server else None)
    with _stopped_by_signals(over), _explained(), beamline:
        _announce(beamline, ioc, scan_server)
        arguments = (beamline.stage, sweep or 0.0, over)
        mover = threading.Thread(target=_sweep, args=arguments)
        mover.start()
        try:
            over.wait(seconds)
        finally:
            over.set()
            mover.join()
    click.echo("stopped")


@contextmanager
def _stopped_by_signals(over: threading.Event) -> Generator[None]:
    """Ctrl-C and a kill end it as they should."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        over.set()

    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _explained() -> Generator[None]:
    """Say what to do about a port that is taken."""
    try:
        yield
    except CAError as error:
        raise CAError(f"{error}; {_ANOTHER.format('--ca-port')}") from error
    except ScanError as error:
        raise ScanError(f"{error}; {_ANOTHER.format('--scan-port')}") from error
    except OSError as error:
        hint = _ANOTHER.format("--control-port and --data-port")
        msg = f"no PandA can be simulated: {error.strerror or error}; {hint}"
        raise PandaDisconnected(msg) from error


def _announce(beamline: SimulatedBeamline, ioc: bool, scan_server: bool) -> None:
    """Say where everything is."""
    panda = beamline.panda
    click.echo(
        f"PandA on {panda.host}, control port {panda.control_port}, data port "
        f"{panda.data_port}"
    )
    if ioc:
        served = beamline.ioc
        click.echo(f"IOC on 127.0.0.1, port {served.port}; for clients elsewhere:")
        click.echo(f"  export EPICS_CA_ADDR_LIST=127.0.0.1:{served.port}")
        click.echo("  export EPICS_CA_AUTO_ADDR_LIST=NO")
        _list(served)
    if scan_server:
        click.echo(f"Scan server at {beamline.scan_server.url}")
    click.echo("Ctrl-C to stop")


def _list(ioc: BeamlineIOC) -> None:
    """Print all PVs."""
    rows = ioc.catalogue()
    longest = max(len(row.name) for row in rows)
    for row in rows:
        click.echo(f"  {row.name:{longest}}  {row.kind:8}  {row.text}".rstrip())


def _sweep(stage: SampleStage, reach: float, over: threading.Event) -> None:
    """Move x back and forth until it is over."""
    while reach and not over.is_set():
        arrival = stage.move("x", reach)
        reach = -reach
        over.wait(max(0.0, arrival - stage.now()))
