"""A scan server in a thread, for scripts."""

import threading
from pathlib import Path

import pytest

from beamfly.ca.config import Config
from beamfly.ca.server_thread import serve_in_thread
from beamfly.devices.scan_server_thread import serve_scans_in_thread
from beamfly.errors import ScanError, ScanTimeout
from beamfly.scan import Log, ScanClient, Set
from beamfly.scan.config import ScanConfig

ANY_PORT = ScanConfig(port=0)


def test_scans_use_pvs_of_channel_access():
    with serve_in_thread({"BL:X": 1.0}, port=0) as ioc:
        ca = Config(addresses=(("127.0.0.1", ioc.port),), auto_addresses=False)
        with (
            serve_scans_in_thread(ANY_PORT, ca=ca) as server,
            ScanClient("127.0.0.1", server.port) as client,
        ):
            assert server.url == f"http://127.0.0.1:{server.port}"
            scan = client.submit([Set("BL:X", 5), Log("BL:X")])
            client.waitUntilDone(scan, timeout=30)
            assert client.getData(scan)["BL:X"]["value"] == [5.0]
        assert ioc.value("BL:X") == 5.0


def test_it_ends_with_its_client_too():
    with serve_scans_in_thread(ANY_PORT, ca=False) as server:
        with ScanClient("127.0.0.1", server.port) as client:
            client.shutdown()
        server._thread.join(30)
        with pytest.raises(ScanError, match="does not run any more"):
            server.call(lambda: None)
    server.close()


def test_what_goes_wrong(tmp_path: Path):
    with pytest.raises(ScanError, match="data log"):
        serve_scans_in_thread(ScanConfig(port=0, data_log=str(tmp_path)), ca=False)
    with serve_scans_in_thread(ANY_PORT, ca=False) as server:
        with pytest.raises(ScanError, match="cannot listen at"):
            serve_scans_in_thread(ScanConfig(port=server.port), ca=False)
        with pytest.raises(ZeroDivisionError):
            server.call(lambda: 1 / 0)
        busy = threading.Event()
        server._loop.call_soon_threadsafe(busy.wait)
        with pytest.raises(ScanTimeout, match=r"was busy for 0\.01 s"):
            server.call(lambda: None, timeout=0.01)
        busy.set()
