"""What an IPython profile calls: `simulated` makes all names of a session.

Nothing is built at import. A profile's startup file only says
`globals().update(simulated())`.
"""

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from bluesky import RunEngine
from bluesky.run_engine import call_in_bluesky_event_loop

from beamfly.catalog import make_db
from beamfly.plans import fly, fly_grid
from beamfly.sim import SimulatedBeamline, fly_map


def simulated(directory: Path | str = "data") -> dict[str, Any]:
    """Names for a session on a simulated beamline, which ends with the process.

    Args:
        directory: For the catalog and the HDF5 files; made if it is not there.

    Returns:
        RE, db, the devices (panda, x, y, and all as devices), the plans of beamfly,
        and bp and bps as everybody calls the plans of bluesky.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    RE = RunEngine()
    db = make_db(directory)
    RE.subscribe(db.insert)  # pyright: ignore[reportUnknownMemberType]
    # never left: a session has no block to leave, and its threads end with the process
    beamline = SimulatedBeamline().__enter__()
    devices = beamline.devices(directory)
    call_in_bluesky_event_loop(devices.connect(), timeout=30)
    return {
        "RE": RE,
        "db": db,
        "beamline": beamline,
        "devices": devices,
        "panda": devices.panda,
        "x": devices.x,
        "y": devices.y,
        "fly": fly,
        "fly_grid": fly_grid,
        "fly_map": fly_map,
        "bp": bp,
        "bps": bps,
    }
