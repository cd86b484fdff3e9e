"""`beamfly sim`: a simulated beamline for other programs to connect to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from beamfly.sim import SampleStage


PORT = click.IntRange(0, 65535)


@click.command()
@click.option(
    "--control-port",
    default=8888,
    show_default=True,
    type=PORT,
    help="For commands; 0 for any that is free.",
)
@click.option(
    "--data-port",
    default=8889,
    show_default=True,
    type=PORT,
    help="For frames; 0 for any that is free.",
)
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
    control_port: int, data_port: int, sweep: float | None, seconds: float | None
) -> None:
    """Serve a simulated PandA on this machine, with a stage on its encoders.

    INENC1 and INENC2 are on axes x and y, with 10000 counts per mm; INENC3 counts
    photons from a sample that they move. Only 127.0.0.1 is listened on.
    """
    # imported here, as it imports all of bluesky
    from beamfly.errors import PandaDisconnected
    from beamfly.sim import SimulatedBeamline

    over = threading.Event()
    try:
        with SimulatedBeamline(control_port, data_port) as beamline:
            panda, stage = beamline.panda, beamline.stage
            click.echo(
                f"PandA on {panda.host}, control port {panda.control_port}, data port "
                f"{panda.data_port}; Ctrl-C to stop"
            )
            reach = sweep or 0.0
            mover = threading.Thread(target=_sweep, args=(stage, reach, over))
            mover.start()
            try:
                over.wait(seconds)
            except KeyboardInterrupt:
                click.echo("stopped")
            finally:
                over.set()
                mover.join()
    except OSError as error:
        msg = f"no PandA can be simulated on these ports: {error.strerror or error}"
        raise PandaDisconnected(msg) from error


def _sweep(stage: SampleStage, reach: float, over: threading.Event) -> None:
    """Move x back and forth until it is over."""
    while reach and not over.is_set():
        arrival = stage.move("x", reach)
        reach = -reach
        over.wait(max(0.0, arrival - stage.now()))
