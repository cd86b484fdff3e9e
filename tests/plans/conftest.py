"""A PandA that is pulsed by hand, connected in a RunEngine that ends with the test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import init_devices

from beamfly.devices import HDFPanda
from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread
from flying import Documents, Hand, run_engine
from scan_serving import ThreadedScanServer, scan_server


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    with serve_in_thread() as sim:
        yield sim


@pytest.fixture
def hand(sim: SimulatedPandA) -> Iterator[Hand]:
    hand = Hand(sim)
    hand.wire()
    yield hand
    hand.close()


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


@pytest.fixture
def panda(
    RE: RunEngine, sim: SimulatedPandA, hand: Hand, tmp_path: Path
) -> Iterator[HDFPanda]:
    with init_devices():
        panda = HDFPanda(
            f"{sim.host}:{sim.control_port}", tmp_path, data_port=sim.data_port
        )
    yield panda
    asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(10)


@pytest.fixture
def scans() -> Iterator[ThreadedScanServer]:
    """A scan server without PVs of its own."""
    with scan_server() as server:
        yield server


@pytest.fixture(params=["pages", "hdf"])
def flyer(
    request: pytest.FixtureRequest,
    RE: RunEngine,
    scans: ThreadedScanServer,
    tmp_path: Path,
) -> ScanFlyer:
    """Both kinds of flyers, connected to that server."""
    with init_devices():
        if request.param == "pages":
            scan = ScanServerFlyer("127.0.0.1", scans.port)
        else:
            scan = ScanServerHdfFlyer(f"127.0.0.1:{scans.port}", tmp_path)
    return scan
