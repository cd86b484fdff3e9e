"""`devices.Scan` against a server with the fields of an sscan record."""

import asyncio
from typing import Any

import numpy as np
import pytest

from beamfly.ca import pv as served_pv
from beamfly.ca.puts import Put
from beamfly.ca.records import RecordGroup
from beamfly.epics.devices.scan import NUM_DETECTORS, Scan, ScanException
from conftest import Serve, until


def sscan(execute: Any = None) -> RecordGroup:
    fields: dict[str, Any] = {"VAL": 0.0, "SMSG": "old", "CMND": 0, "NPTS": 11}
    fields |= {"EXSC": served_pv.PV(0, type="short", on_put=execute), "PAUS": 0}
    fields |= {"PDLY": 0.0, "DDLY": 0.0, "CPT": 0, "PASM": 0}
    for at in range(1, 5):
        fields |= {f"P{at}PV": "", f"R{at}PV": "", f"T{at}PV": "", f"T{at}CD": 0.0}
        fields |= {f"P{at}{name}": 0.0 for name in ("SP", "EP", "SI", "CP", "WD")}
        fields |= {f"P{at}AR": 0, f"P{at}SM": 0, f"P{at}PA": np.zeros(20)}
        fields |= {f"T{at}NV": 0}
    fields |= {f"D{at:02d}PV": "" for at in range(1, NUM_DETECTORS + 1)}
    return RecordGroup("sscan", fields)


def test_a_scan_is_defined_and_run(serve: Serve) -> None:
    async def execute(put: Put) -> None:
        await asyncio.sleep(0.05)
        put.value = 0

    server = serve({"X:scan1": sscan(execute)})

    def fields(*names: str) -> list[Any]:
        return [server.value(f"X:scan1.{name}") for name in names]

    scan = Scan("X:scan1")
    assert fields("SMSG") == [""]
    assert scan.add_positioner("X:m1.VAL", start=-1, stop=1, step=0.25) == 1
    assert fields("P1PV", "R1PV", "P1SP", "P1EP", "P1SI", "P1AR", "P1SM") == [
        *("X:m1.VAL", "X:m1.RBV", -1, 1, 0.25, 0, 0)
    ]
    positions = np.linspace(0, 1, 20)
    second = scan.add_positioner(
        "X:m2", center=3, width=2, mode="Table", absolute=False, array=positions
    )
    assert second == 2
    assert fields("P2PV", "R2PV", "P2CP", "P2WD", "P2AR", "P2SM") == [
        *("X:m2", "", 3, 2, 1, 1)
    ]
    assert np.allclose(server.value("X:scan1.P2PA"), positions)
    scan.set_positioner(
        1, drive="X:m3", readback="X:enc", start=0, absolute=True, mode="fly"
    )
    assert fields("P1PV", "R1PV", "P1SP", "P1EP", "P1SM") == [
        *("X:m3", "X:enc", 0, 1, 2)
    ]
    assert [scan.add_detector("X:s.S2"), scan.add_detector("X:s.S3")] == [1, 2]
    assert scan.add_trigger("X:s.CNT", value=1) == 1
    assert fields("D01PV", "D02PV", "T1PV", "T1CD") == [
        "X:s.S2",
        "X:s.S3",
        "X:s.CNT",
        1,
    ]
    scan.after_scan(2)
    scan.positioner_delay(0.1)
    scan.detector_delay(0.2)
    assert fields("PASM", "PDLY", "DDLY") == [2, 0.1, 0.2]
    scan.npts = 21
    until(lambda: scan.npts == scan.NPTS == 21)
    assert scan.device == "X:m3" and scan.step == 0.25
    assert scan.run(wait=True, timeout=20) == 1 and fields("EXSC") == [0]
    assert scan.run(wait=True, timeout=0.001) == -1
    scan.reset()
    until(
        lambda: fields("D70PV", "NPTS", "P1PV", "R1PV", "T1PV") == ["", 0, "", "", ""]
    )
    assert fields("D01PV", "P2SM") == ["", 0]


def test_there_is_no_room(serve: Serve) -> None:
    serve({"X:scan1": sscan(), "X:ao": 1.0})
    scan = Scan("X:scan1")
    for _ in range(4):
        scan.add_trigger("X:s.CNT")
        scan.add_positioner("X:m1")
    with pytest.raises(ScanException, match="4 triggers are defined already"):
        scan.add_trigger("X:s.CNT")
    with pytest.raises(ScanException, match="4 positioners are defined already"):
        scan.add_positioner("X:m1")
    with pytest.raises(ScanException, match="nothing was changed") as caught:
        scan.set_positioner(None)
    assert caught.value.msg == str(caught.value)
    with pytest.raises(ScanException, match="X:ao is a record of type ao, not an"):
        Scan("X:ao", timeout=0.1)
