"""The demonstration: `run_demo` flies, stores, reads back and draws, end to end.

First a map of a simulated sample, then a recording of a real PandA, replayed over TCP
through the same device, plan, file and catalog, and checked value by value.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from bluesky import RunEngine
from bluesky.run_engine import call_in_bluesky_event_loop

from beamfly.catalog import make_db
from beamfly.demo.picture import draw_map
from beamfly.demo.recorded import check_recorded, fly_recorded
from beamfly.errors import BeamflyError, CatalogError, HdfError
from beamfly.live import LiveFlight
from beamfly.sim import SimulatedBeamline, fly_map

Array = npt.NDArray[np.float64]
Say = Callable[[str], None]


def run_demo(
    RE: RunEngine,
    output: Path,
    *,
    shape: tuple[int, int] = (100, 100),
    frame_time: float = 5e-4,
    say: Say = print,
) -> None:
    """Fly twice and show what became of it.

    Args:
        RE: Runs the plans; made with `call_returns_result=True`.
        output: Directory for the catalog, the HDF5 files and the picture.
        shape: Lines and points per line of the map.
        frame_time: Seconds per point of the map.
        say: Takes one line for the terminal at a time.

    Raises:
        BeamflyError: A step failed, or what was read back is not what was flown.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{output} cannot be made a directory: {error.strerror}; nothing was done"
        raise HdfError(msg) from error
    db = make_db(output)
    RE.subscribe(db.insert)  # pyright: ignore[reportUnknownMemberType]
    _demonstrate_map(RE, db, output, shape, frame_time, say)
    _demonstrate_recording(RE, db, output, say)


def _demonstrate_map(
    RE: RunEngine,
    db: Any,
    output: Path,
    shape: tuple[int, int],
    frame_time: float,
    say: Say,
) -> None:
    say(f"1. A map of {shape[0]} x {shape[1]} points on a simulated beamline")
    with SimulatedBeamline() as beamline:
        devices = beamline.devices(output)
        _connect(devices.connect)
        say(f"   PandA on {devices.panda.address}, all blocks connected")
        live = LiveFlight(table=False, plot=False)
        token = RE.subscribe(live)  # pyright: ignore[reportUnknownMemberType]
        uid = fly(RE, fly_map(devices, shape=shape, frame_time=frame_time))
        RE.unsubscribe(token)  # pyright: ignore[reportUnknownMemberType]
        _connect(devices.panda.disconnect)
    columns = read_back(db, uid)
    say(f"   read back through databroker: {describe(columns)}")
    x, y = columns["x_encoder"], columns["y_encoder"]
    picture = draw_map(x, y, columns["photons"], output / "map.png")
    say(f"   picture: {picture}")


def _demonstrate_recording(RE: RunEngine, db: Any, output: Path, say: Say) -> None:
    say("2. A recording of a real PandA, replayed over TCP")
    uid = fly_recorded(RE, output, _connect)
    columns = read_back(db, uid)
    say(f"   read back through databroker: {describe(columns)}")
    say(f"   {check_recorded(columns)}")


def _connect(action: Callable[[], Any]) -> None:
    """Run a coroutine function on the RunEngine's event loop."""

    async def call() -> None:
        await action()

    call_in_bluesky_event_loop(call(), timeout=30)


def fly(RE: RunEngine, plan: Any) -> str:
    """Run a plan; return the unique id of its run, or raise why it failed."""
    result = cast(Any, RE(plan))
    if result.exit_status != "success":
        raise result.exception or BeamflyError(f"The run ended with {result.reason}")
    return result.run_start_uids[0]


def read_back(db: Any, uid: str) -> dict[str, Array]:
    """All columns of a run, filled, by name.

    Raises:
        CatalogError: The run is not there.
    """
    try:
        table = db[uid].table(fill=True)
    except KeyError as error:
        raise CatalogError(f"Run {uid} is not in the catalog") from error
    return {name: table[name].to_numpy() for name in table if name != "time"}


def describe(columns: dict[str, Array]) -> str:
    """How many rows of which columns."""
    rows = {len(column) for column in columns.values()}
    return f"{', '.join(map(str, rows))} rows of {', '.join(columns)}"
