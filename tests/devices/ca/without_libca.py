"""EPICS devices of ophyd-async in a process that cannot import any other driver.

Run by a test; prints what it found as JSON.
"""

import json
import os
import sys
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from blocked import BLOCKED  # first of all
from bluesky.run_engine import RunEngine
from mirror import pvs_of
from motor_record import MotorRecord
from ophyd_async.core import init_devices
from ophyd_async.epics.adcore import ADBaseIO, NDFileHDF5IO, NDStatsIO
from ophyd_async.epics.demo import DemoPointDetector, DemoStage
from ophyd_async.epics.motor import Motor

from beamfly.ca.puts import Put
from beamfly.ca.server_thread import serve_in_thread
from beamfly.devices import (
    AnalogIn,
    Scaler,
    native_ca_in_use,
    pv,
    transport_of,
    use_native_ca,
)
from beamfly.devices import Motor as OwnMotor


def unavailable() -> str:
    """What ophyd-async says as long as nobody switched."""
    try:
        Motor("X:m1")
    except NotImplementedError as error:
        return str(error)
    return ""


def main() -> None:
    found: dict[str, Any] = {"before": [unavailable(), native_ca_in_use()]}
    # our own devices need no switch
    own = (OwnMotor("X:m1"), AnalogIn("X:ai"), Scaler("X:s"), pv("X:any"))
    found["own"] = sorted({transport_of(device) for device in own})
    switch = use_native_ca()
    made: list[Any] = [
        DemoStage("X:stage:", name="stage"),
        DemoPointDetector("X:det:", name="det"),
        ADBaseIO("X:cam:", name="cam"),
        NDFileHDF5IO("X:hdf:", name="hdf"),
        NDStatsIO("X:stats:", name="stats"),
    ]
    pvs: dict[str, Any] = dict(pvs_of(*made))

    def follow(put: Put) -> None:
        server.server[put.name.replace("Setpoint", "Readback")].post(put.value)

    for axis in "XY":
        pvs[f"X:stage:{axis}:Setpoint"].on_put = follow
    record = MotorRecord()
    pvs["X:m1"] = record.record
    server = serve_in_thread(pvs, port=0)
    with server:
        os.environ |= {
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{server.port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_SERVER_PORT": str(server.port),
        }
        RE = RunEngine({})
        with init_devices():
            stage, det, cam, hdf, _stats = made
            motor = Motor("X:m1", name="motor")
        rows: list[dict[str, Any]] = []
        RE.subscribe(lambda name, doc: rows.append(doc["data"]), "event")
        RE(bp.scan([det, cam.acquire_time], motor, -1.0, 1.0, 5))
        RE(bps.mv(stage.x, 3.0, cam.num_images, 7, hdf.file_path, "/data/" + 60 * "x"))
        found["rows"] = [row["motor"] for row in rows]
        found["keys"] = sorted(rows[0])
        found["moves"] = record.moves
        found["put"] = [
            server.value("X:cam:NumImages"),
            len(server.value("X:hdf:FilePath")),
        ]
        devices = (*made, motor)
        found["transport"] = sorted({transport_of(device) for device in devices})
        found["source"] = motor.user_readback.source
        RE._loop.call_soon_threadsafe(RE._loop.stop)
        RE._th.join()
    switch.undo()
    found["after"] = [unavailable(), native_ca_in_use()]
    found["blocked"] = sorted(set(BLOCKED) & set(sys.modules))
    print(json.dumps(found))


main()
