"""A scan server moves motor records whose encoders a PandA sees, in one run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from ophyd_async.core import init_devices

from beamfly.ca.default_client import purge_channel_caches
from beamfly.devices import HDFPanda, ScanServerHdfFlyer
from beamfly.errors import ScanServerError
from beamfly.hdf import open_columns
from beamfly.plans import fly_scan
from beamfly.scan import Log, Loop, Set
from beamfly.sim import SimulatedBeamline
from beamfly.sim.stage import COUNTS_PER_MM
from ca.c_ioc import free_port
from flying import Documents, path_of

PULSES = 11
LINES = 3


@pytest.fixture
def beamline(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline(ioc_port=0, motors=0, scan_port=0) as beamline:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{beamline.ioc.port}")
        monkeypatch.setenv("EPICS_CA_REPEATER_PORT", str(free_port()))
        yield beamline


@pytest.fixture
def devices(RE, beamline: SimulatedBeamline, tmp_path: Path) -> Iterator[Any]:
    with init_devices():
        panda: HDFPanda = beamline.devices(tmp_path).panda
        scan = ScanServerHdfFlyer("127.0.0.1", tmp_path, beamline.scan_server.port)
    yield panda, scan
    asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(30)
    RE.loop.call_soon_threadsafe(purge_channel_caches)


def wire(panda: Any):
    """PCOMP1 triggers PCAP every 0.1 mm from -0.5 to 0.5 mm on the way up."""
    yield from bps.mv(
        *(panda.pcap.enable, "ONE", panda.pcap.gate, "ONE"),
        *(panda.pcap.trig, "PCOMP1.OUT", panda.pcap.trig_edge, "Rising"),
        *(panda.pcomp[1].inp, "INENC1.VAL", panda.pcomp[1].dir, "Positive"),
        *(panda.pcomp[1].start, int(-0.5 * COUNTS_PER_MM)),
        *(panda.pcomp[1].step, int(0.1 * COUNTS_PER_MM)),
        *(panda.pcomp[1].width, int(0.02 * COUNTS_PER_MM)),
        *(panda.pcomp[1].pulses, PULSES),
        *(panda.pcomp[1].enable, "ONE"),
        *(panda.inenc[1].val_capture, "Value", panda.inenc[1].val_dataset, "x"),
        *(panda.inenc[1].val_scale, 1 / COUNTS_PER_MM, panda.inenc[1].val_units, "mm"),
        *(panda.inenc[2].val_capture, "Value", panda.inenc[2].val_dataset, "y"),
        *(panda.inenc[2].val_scale, 1 / COUNTS_PER_MM, panda.inenc[2].val_units, "mm"),
    )


def move(pv: str, to: float) -> Set:
    return Set(pv, to, completion=True, readback=f"{pv}.RBV", tolerance=0.02)


def read(docs: Documents, key: str) -> Any:
    (resource,) = [r for r in docs["stream_resource"] if r["data_key"] == key]
    with open_columns(path_of(resource["uri"])) as columns:
        return columns.read(resource["parameters"]["dataset"].strip("/"))


def test_frames_are_taken_on_the_way_of_motors_that_a_scan_moves(
    RE, docs, devices, beamline
):
    panda, scan = devices
    # the comparator gives its pulses on the way up of the first line
    body = [move("BL:x", 1), Log("BL:x.RBV", "BL:y.RBV"), move("BL:x", -1)]
    lines = Loop("BL:y", 0, 0.2, 0.1, body, completion=True, readback="BL:y.RBV",
                 tolerance=0.02)  # fmt: skip

    def plan():
        yield from wire(panda)
        yield from fly_scan(
            scan, [move("BL:x", -1), lines], detectors=panda, flush_period=0.1
        )

    RE(plan())
    assert docs.stop["exit_status"] == "success"
    events = docs.stop["num_events"]
    assert events["primary"] == LINES
    assert events["frames"] == PULSES
    assert docs.report["missed"] == 0
    np.testing.assert_allclose(read(docs, "scan-BL:x_RBV"), [1] * LINES, atol=0.02)
    np.testing.assert_allclose(read(docs, "scan-BL:y_RBV"), [0, 0.1, 0.2], atol=0.02)
    expected = np.linspace(-0.5, 0.5, PULSES)
    np.testing.assert_allclose(read(docs, "x"), expected, atol=0.01)
    np.testing.assert_allclose(read(docs, "y"), [0] * PULSES, atol=0.02)
    units = docs.key("scan-BL:x_RBV")["units"], docs.key("x")["units"]
    assert units == ("mm", "mm")


def test_a_target_beyond_the_soft_limits_is_refused_before_anything_moves(
    RE, docs, devices, beamline
):
    panda, scan = devices
    with pytest.raises(ScanServerError, match=r"BL:x = 500.0 is outside of"):
        RE(fly_scan(scan, [move("BL:x", 500), Log("BL:x.RBV")], detectors=panda))
    assert docs.names == []
    assert beamline.ioc.motors["x"].axis.position() == pytest.approx(0, abs=0.01)
