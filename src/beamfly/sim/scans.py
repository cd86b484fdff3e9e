"""The scan server of the simulated beamline."""

from collections.abc import Iterable

from beamfly.ca.config import Config
from beamfly.devices.scan_server_thread import ThreadedScanServer
from beamfly.scan.config import PVConfig, ScanConfig
from beamfly.scan.server import LOOPBACK


def serve_scans_on(
    ioc_port: int | None, port: int = 0, motors: Iterable[tuple[str, float]] = ()
) -> ThreadedScanServer:
    """Serve scans on 127.0.0.1.

    Set, Loop, Log and Wait commands use the PVs of one IOC of this machine, and none
    else, besides `loc://` and `sim://`.

    Args:
        ioc_port: Port of the IOC, None for none.
        port: TCP port, 0 for any that is free.
        motors: PV -> speed, of motor records whose limits simulations of scans know.

    Raises:
        ScanError: The port is taken.
    """
    pvs = [
        PVConfig(name, slew_rate=speed, minimum=f"{name}.LLM", maximum=f"{name}.HLM")
        for name, speed in motors
    ]
    ca = False
    if ioc_port is not None:
        ca = Config(addresses=((LOOPBACK, ioc_port),), auto_addresses=False)
    return ThreadedScanServer(ScanConfig(port=port, pvs=pvs), LOOPBACK, ca)
