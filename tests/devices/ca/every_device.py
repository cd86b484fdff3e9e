"""Every EPICS device class that ophyd-async has, each connected and in a scan.

Run by a test, in a process that cannot import any other driver; prints what it found
as JSON. Classes are looked for, not listed: one that a later ophyd-async brings is made
with the arguments that its constructor asks for, gets a test double by the names of
its PVs, and is in the scan that suits what it can do.
"""

import importlib
import inspect
import json
import os
import pkgutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from blocked import BLOCKED  # before whatever could import them
from bluesky.protocols import Movable, Readable
from bluesky.run_engine import RunEngine
from double import Double
from mirror import pvs_of
from ophyd_async import epics, fastcs
from ophyd_async.core import (
    Device,
    Signal,
    SignalR,
    StandardDetector,
    StaticFilenameProvider,
    StaticPathProvider,
    init_devices,
)
from ophyd_async.epics.adcore import (
    ADAcquireLogic,
    ADBaseIO,
    ADImageMode,
    ADWriterFactory,
    ContAcqDetector,
)
from ophyd_async.epics.adsimdetector import SimDetectorTriggerLogic
from ophyd_async.epics.motor import Motor
from ophyd_async.epics.pmac import (
    PmacIO,
    PmacScanInfo,
    PmacTrajectoryFlyableLogic,
)
from scanspec.specs import Fly, Linspace

from beamfly.ca.server_thread import serve_in_thread
from beamfly.devices import transport_of, use_native_ca
from beamfly.plans import fly

PVA = "ophyd_async.epics.core._p4p"
"""The module that is PVA itself."""


def classes(package: Any) -> Iterator[type[Device]]:
    """Device classes that are defined somewhere in a package."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.endswith("__main__") or module.name == PVA:
            continue
        try:
            with warnings.catch_warnings():
                # old names of modules
                warnings.simplefilter("ignore", DeprecationWarning)
                members = vars(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            # ophyd-async's own backend for the driver that is absent
            assert error.name in BLOCKED, module.name
            continue
        for member in members.values():
            if (
                inspect.isclass(member)
                and issubclass(member, Device)
                and member.__module__ == module.name
            ):
                yield member


def arguments(cls: type[Device], folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """What to make a device of a class with."""
    prefix = f"{cls.__name__}:"
    paths = StaticPathProvider(StaticFilenameProvider(cls.__name__), folder)
    known: dict[str, Any] = {
        "prefix": prefix,
        "path_provider": paths,
        "name": cls.__name__,
    }
    many: list[Any] = []
    chosen: dict[str, Any] = {}
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.name == "writer_factories":
            many = [
                ADWriterFactory.hdf(paths),
                ADWriterFactory.jpeg(paths, datakey_suffix="-jpeg"),
                ADWriterFactory.tiff(paths, datakey_suffix="-tiff"),
            ]
        elif parameter.name == "driver":
            driver = ADBaseIO(f"{prefix}cam1:")
            chosen["driver"] = driver
            chosen["acquire_logic"] = ADAcquireLogic(driver)
            chosen["trigger_logic"] = SimDetectorTriggerLogic(driver)
        elif parameter.name == "raw_motors":
            chosen["raw_motors"] = [Motor(f"{prefix}M1", name="m1")]
        elif parameter.name == "coord_nums":
            chosen["coord_nums"] = [1]
        elif parameter.name in known:
            chosen[parameter.name] = known[parameter.name]
        elif parameter.name.endswith("suffix") and parameter.default is parameter.empty:
            chosen[parameter.name] = f"{parameter.name}:"
    if not many:
        return [], chosen
    # what comes before *writer_factories has to be given by position
    first = [chosen.pop(name) for name in ("driver", "prefix") if name in chosen]
    return [*first, *many], chosen


def descendants(device: Device) -> Iterator[Device]:
    """A device and all that is in it."""
    yield device
    for _, child in device.children():
        yield from descendants(child)


def pv_names(device: Device) -> set[str]:
    """PVs that a device reads."""
    parts = [one for one in descendants(device) if isinstance(one, Signal)]
    return {one.source for one in parts if one.source.startswith("ca://")}


class Scanner:
    """Does the scan that suits a device, and counts what came of it."""

    def __init__(self, RE: RunEngine) -> None:
        self.RE = RE
        self.events = 0
        self.rows: dict[str, int] = {}
        self.failed = ""
        RE.subscribe(self)

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            self.events += 1
        elif name == "stream_datum":
            stream = doc["stream_resource"]
            self.rows[stream] = max(self.rows.get(stream, 0), doc["indices"]["stop"])
        elif name == "stop" and doc["exit_status"] != "success":
            self.failed = doc["reason"]

    def scan(self, device: Device, motor: Motor | None) -> dict[str, Any]:
        """Scan a device; what it did."""
        self.events, self.rows, self.failed = 0, {}, ""
        kind = self._scan(device, motor)
        found = {"scan": kind, "events": self.events, "failed": self.failed}
        return found | {"rows": sorted(self.rows.values())}

    def _scan(self, device: Any, motor: Motor | None) -> str:
        movable = [one for one in descendants(device) if isinstance(one, Movable)]
        movers = [one for one in movable if not isinstance(one, Signal)]
        readable = [one for one in descendants(device) if isinstance(one, SignalR)]
        if isinstance(device, StandardDetector):
            if isinstance(device, ContAcqDetector):
                # which runs all the time, and is only looked at
                self.RE(bps.mv(device.driver.image_mode, ADImageMode.CONTINUOUS))
                self.RE(bps.mv(device.cb.post_count, 1))
                self.RE(bps.abs_set(device.driver.acquire, True, wait=False))
            self.RE(bp.count([device], 2))
            self.RE(fly(device, num=3, trigger="internal"))
            return "count and fly"
        if isinstance(device, PmacIO):
            assert motor is not None
            self.RE(fly_pmac(device, motor))
            return "fly"
        if movers:
            ends: list[Any] = []
            for mover in movers:
                ends += [mover, 0.0, 1.0]
            also = [device] if isinstance(device, Readable) else []
            self.RE(bp.scan(also, *ends, 3))
            return "scan"
        if isinstance(device, Readable):
            self.RE(bp.count([device], 2))
            return "count"
        self.RE(bp.count(readable, 2))
        return "count signals"


def fly_pmac(pmac: PmacIO, motor: Motor) -> Any:
    """Pass five points of a trajectory."""
    flyer: Any = PmacTrajectoryFlyableLogic(pmac).with_device("flyer")
    spec = Fly(0.1 @ Linspace(motor, 1.0, 5.0, 5))
    yield from bps.open_run()
    yield from bps.stage(flyer, wait=True)
    yield from bps.prepare(flyer, PmacScanInfo(spec, None, None), wait=True)
    yield from bps.kickoff(flyer, wait=True)
    yield from bps.complete(flyer, wait=True)
    yield from bps.create()
    yield from bps.read(pmac.trajectory.total_points)
    yield from bps.save()
    yield from bps.unstage(flyer, wait=True)
    yield from bps.close_run()


def make(cls: type[Device], folder: Path) -> tuple[Device | None, Any, str]:
    """A device of a class, the motor it was made with, or why there is none."""
    positional, named = arguments(cls, folder)
    try:
        try:
            device = cls(*positional, **named)
            by_pvi = "ca://" in pv_names(device)
        except TypeError as error:
            # a device in it is declared without its PVs: PVI tells of them
            if "PvSuffix" not in str(error):
                raise
            by_pvi = True
        if by_pvi:
            device = cls(*positional, **named, with_pvi=True)
        pvs_of(device)
    except NotImplementedError as error:
        return None, None, str(error)
    except KeyError as error:
        return None, None, f"Channel Access has no {error}"
    return device, (named.get("raw_motors") or [None])[0], ""


def main(folder: Path) -> None:
    switch = use_native_ca()
    made: dict[str, tuple[Device, Any]] = {}
    found: dict[str, Any] = {"absent": {}, "devices": {}, "nothing": []}
    for cls in [*classes(epics), *classes(fastcs)]:
        device, motor, reason = make(cls, folder)
        if device is None:
            found["absent"][f"{cls.__module__}.{cls.__name__}"] = reason
        elif not pv_names(device):
            found["nothing"].append(cls.__name__)
        else:
            made[cls.__name__] = device, motor
    every = [one for pair in made.values() for one in pair if one is not None]
    with serve_in_thread(Double(*every).pvs, port=0) as server:
        os.environ |= {
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{server.port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_SERVER_PORT": str(server.port),
        }
        RE = RunEngine({})
        scanner = Scanner(RE)
        for name, (device, motor) in made.items():
            with init_devices(set_name=False, timeout=20):
                one, other = device, motor or device  # noqa: F841
            told = {"pvs": len(pv_names(device)), "by": transport_of(device)}
            try:
                told |= scanner.scan(device, motor)
            except Exception as error:
                told["failed"] = f"{type(error).__name__}: {error}"
            found["devices"][name] = told
        RE._loop.call_soon_threadsafe(RE._loop.stop)
        RE._th.join()
    switch.undo()
    found["blocked"] = sorted(set(BLOCKED) & set(sys.modules))
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
