"""`beamfly demo`: the main job on a simulated beamline, end to end."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo_output"),
    show_default=True,
    help="Directory for the catalog, the HDF5 files and the picture.",
)
@click.option(
    "--shape",
    type=click.IntRange(min=2),
    nargs=2,
    default=(100, 100),
    show_default=True,
    help="Lines, and points per line, of the map.",
)
@click.option(
    "--frame-time",
    type=click.FloatRange(min=5e-5),
    default=5e-4,
    show_default=True,
    help="Seconds per point of the map.",
)
def demo(output: Path, shape: tuple[int, int], frame_time: float) -> None:
    """Fly-scan a simulated PandA into HDF5, read the run back, draw the map.

    Then the same with a recording of a real PandA, replayed over TCP.
    """
    # imported here, as it imports all of bluesky
    from bluesky import RunEngine

    from beamfly.demo import run_demo

    RE = RunEngine(call_returns_result=True)
    run_demo(RE, output.absolute(), shape=shape, frame_time=frame_time, say=click.echo)
