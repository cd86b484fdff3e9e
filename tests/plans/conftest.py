"""A PandA to fly with, a scan server, and what becomes of the documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import init_devices

from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
from flying import Documents
from flying_fixtures import RE, hand, panda, sim
from scan_serving import ThreadedScanServer, scan_server

__all__ = ["RE", "docs", "flyer", "hand", "panda", "scans", "sim"]


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


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
