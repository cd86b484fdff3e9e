"""`simulated` and `beamline` make all names that a session has.

That may be a prompt, a notebook or a queue server's worker. A startup file says
`globals().update(simulated())`, and no more. Nothing is built when this module is
imported.
"""

import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import (
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)

import beamfly.plans
from beamfly.devices import Motor, Scaler, ca_signal_r
from beamfly.ipython.config import FILES, Beamline, read_config
from beamfly.ipython.devices import Devices, Wanted, wanted_devices
from beamfly.ipython.late_broker import LateBroker
from beamfly.ipython.magics import refuse_in_loop
from beamfly.ipython.paths import TemplatePaths
from beamfly.ipython.prompt import current_shell, prepare_plots, set_up_prompt
from beamfly.ipython.scan_ids import ScanIds
from beamfly.live import follow
from beamfly.sim import SimulatedBeamline, fly_map
from beamfly.spec import Spec
from beamfly.spec.session import ASKING

STEP_PLANS = (
    *("count", "scan", "rel_scan", "list_scan", "rel_list_scan", "grid_scan"),
    *("rel_grid_scan", "list_grid_scan", "spiral", "rel_spiral"),
)
"""Plans of bluesky that have a name of their own: a queue sees no other."""
SPARE = ("m1", "m2", "m3", "m4")
"""Motors of the simulated IOC that a session has."""
RING = "BL:ring:current"
"""Its ring current."""


class SessionEngine(RunEngine):
    """A RunEngine that says why it cannot run a plan in a cell that has an await."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run a plan; see RunEngine."""
        refuse_in_loop(self)
        return super().__call__(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType]


def simulated(directory: Path | str = "data") -> dict[str, Any]:
    """Names for a session on a simulated beamline, which ends with the process.

    Channel Access of this process reaches the simulated IOC and no other.

    Args:
        directory: For the catalog and the HDF5 files; made if it is not there.

    Returns:
        RE, db, bec, live, the devices (panda, x, y, all these as devices, and PVs of
        an IOC: m1 to m4, scaler, ring), the plans of beamfly, of bluesky and of
        SPEC, and map_sample, which flies x and y.
    """
    catalog = Path(directory).expanduser().absolute()
    scan_ids = ScanIds(catalog)
    names = _engine(catalog, scan_ids, {"beamline_id": "simulation"})
    # never left: a session has no block to leave, and its threads end with the process
    sim = SimulatedBeamline(ioc_port=0).__enter__()
    os.environ["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{sim.ioc.port}"
    os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
    devices = sim.devices(TemplatePaths(FILES, catalog, scan_ids.current))
    call_in_bluesky_event_loop(devices.connect(), timeout=30)
    records = Devices(_records())
    call_in_bluesky_event_loop(records.connect(), timeout=60)

    @plan
    def map_sample(
        shape: tuple[int, int] = (100, 100),
        size: tuple[float, float] = (10.0, 10.0),
        frame_time: float = 5e-4,
        md: dict[str, Any] | None = None,
    ) -> MsgGenerator[str]:
        """Map the sample in one flight of x and y; as fly_map, on this beamline."""
        return (
            yield from fly_map(
                devices, shape=shape, size=size, frame_time=frame_time, md=md
            )
        )

    names |= {
        "beamline": sim,
        "devices": devices,
        "panda": devices.panda,
        "x": devices.x,
        "y": devices.y,
        **records,
        "fly_map": fly_map,
        "map_sample": map_sample,
    }
    _welcome("Simulated beamline", ["panda", "x", "y", *records], records, catalog)
    _add_spec(names, _counters(records))
    return names


def _records() -> list[Wanted]:
    """What a session has of the simulated IOC."""
    wanted = [
        Wanted(name, "Motor", f"BL:{name}", lambda name=name: Motor(f"BL:{name}", name))
        for name in SPARE
    ]
    wanted.append(
        Wanted(
            "scaler", "Scaler", "BL:scaler", lambda: Scaler("BL:scaler", name="scaler")
        )
    )
    wanted.append(
        Wanted("ring", "Signal", RING, lambda: ca_signal_r(float, RING, "ring"))
    )
    return wanted


def beamline(config: Beamline | Path | str) -> dict[str, Any]:
    """Names for a session on a beamline that a TOML file describes.

    Devices that do not answer are left out, and told of; `reconnect()` tries them
    again.

    Args:
        config: The file, or what `read_config` made of it.

    Returns:
        RE, db, bec, live, the devices by name and all as devices, reconnect, the plans
        of beamfly, of bluesky and of SPEC.

    Raises:
        BadValue: The file cannot be read, or something in it makes no sense.
        CatalogError: The catalog's directory cannot be used, or has no Tiled database
            although the file wants one.
    """
    described = config if isinstance(config, Beamline) else read_config(config)
    os.environ.update(described.epics)
    metadata = dict(described.metadata)
    if described.name:
        metadata["beamline_id"] = described.name
    scan_ids = ScanIds(described.catalog)
    names = _engine(described.catalog, scan_ids, metadata)
    if described.tiled:
        # imported here, as few have it; its process ends with this one
        from beamfly.tiled import TiledFollower

        names["tiled"] = TiledFollower(described.catalog)
    paths = TemplatePaths(described.files, described.catalog, scan_ids.current)
    devices = Devices(wanted_devices(described, paths), described.timeout)
    patience = described.timeout + 30
    call_in_bluesky_event_loop(devices.connect(), timeout=patience)

    def reconnect() -> None:
        """Try again to connect what did not, and give it its name at the prompt."""
        new = call_in_bluesky_event_loop(devices.connect(), timeout=patience)
        names.update(new)
        set_up_prompt(new)
        _say(f"connected: {', '.join(new) or 'nothing'}", *devices.complaints())

    names |= {"devices": devices, "reconnect": reconnect, **devices}
    title = described.name or Path(described.source).name
    _welcome(title, list(devices), devices, described.catalog)
    _add_spec(names, _counters(devices))
    return names


def _engine(
    catalog: Path, scan_ids: ScanIds, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """What every session has, whatever its devices."""
    RE = SessionEngine(dict(metadata), scan_id_source=scan_ids)
    db = LateBroker(catalog)
    RE.subscribe(db.insert)  # pyright: ignore[reportUnknownMemberType]
    # before there is anything that looks for windows
    drawing = prepare_plots()
    bec = BestEffortCallback()
    if not drawing:
        bec.disable_plots()
    live = follow(RE, best_effort=bec)
    names: dict[str, Any] = {"RE": RE, "db": db, "bec": bec, "live": live}
    names |= {"bp": bp, "bps": bps, "bpp": bpp}
    names |= {name: getattr(bp, name) for name in STEP_PLANS}
    names |= {name: getattr(beamfly.plans, name) for name in beamfly.plans.__all__}
    _set_aside()
    return names


def _set_aside() -> None:
    """Leave what there is out of Python's search for garbage, as it is there to stay.

    To look through bluesky and all that it imports takes 50 to 100 ms, in which no
    thread can do anything, while devices connect or in the middle of a scan.
    """
    gc.freeze()


def _add_spec(names: dict[str, Any], detectors: list[Any]) -> None:
    """SPEC's names: commands at a prompt, and plans where there is none, as in queues.

    Args:
        names: Of the session; what is there already stays what it is.
        detectors: What they count with.
    """
    _set_aside()
    if current_shell() is not None:
        set_up_prompt(names, detectors)
        return
    spec = Spec(detectors, th=names.get("th"), tth=names.get("tth"))
    names["RE"].subscribe(spec.last)
    for name, made in {"spec": spec, **spec.plans()}.items():
        if name not in ASKING:
            names.setdefault(name, made)


def _counters(devices: Devices) -> list[Any]:
    """What a scan counts with if it is not told."""
    return [device for device in devices.values() if isinstance(device, Scaler)]


def _welcome(title: str, names: list[str], devices: Devices, catalog: Path) -> None:
    there = ", ".join(names) or "no devices"
    _say(f"{title}: {there}; runs are kept in {catalog}", *devices.complaints())
    if devices.missing:
        _say("All else is there. reconnect() tries these again.")


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
