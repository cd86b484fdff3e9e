"""X-ray detectors and the flat panel, against servers that have their PVs."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beamfly.ca import pv as served_pv
from beamfly.ca.puts import Put
from beamfly.ca.records import RecordGroup
from beamfly.epics import devices
from beamfly.epics.devices.file_saver import happens
from beamfly.epics.devices.roi_files import Region, read_regions
from beamfly.errors import BadValue
from conftest import Serve, until


def text() -> served_pv.PV:
    return served_pv.PV("", type="char", length=256)


def file_plugin(prefix: str) -> dict[str, Any]:
    names = ("FilePath", "FileTemplate", "FileName", "FullFileName")
    pvs: dict[str, Any] = {
        f"{prefix}{name}{end}": text() for name in names for end in ("", "_RBV")
    }
    numbers = ("FileWriteMode", "FileNumber", "FileNumber_RBV", "NumCapture")
    numbers += ("Capture_RBV", "WriteFile_RBV", "AutoSave", "EnableCallbacks")
    numbers += ("ArraySize0_RBV", "AutoIncrement", "Capture")
    return pvs | {f"{prefix}{name}": 0 for name in numbers}


def mca_record(slope: float = 0.01) -> RecordGroup:
    fields: dict[str, Any] = {"VAL": np.arange(2048.0), "CALO": 0.0, "CALS": slope}
    fields |= {"CALQ": 0.0, "TTH": 0.0, "EGU": "keV", "NORD": 2048, "NUSE": 2048}
    fields |= dict.fromkeys(("PRTM", "PLTM", "DWEL", "ERTM", "ELTM", "IDTIM"), 0.0)
    fields["ACQG"] = 0
    for at in range(6):
        fields |= {f"R{at}NM": "", f"R{at}LO": -1, f"R{at}HI": -1}
        fields |= {f"R{at}": 0.0, f"R{at}N": 0.0}
    return RecordGroup("mca", fields)


def xmap_pvs() -> dict[str, Any]:
    pvs: dict[str, Any] = {f"X:{name}": 0 for name in devices.MultiXMAP.attrs}
    for at in (1, 2):
        pvs |= {
            f"X:dxp{at}:{name}": served_pv.PV(1.5, precision=2)
            for name in devices.DXP.attrs
        }
        pvs |= {f"X:mca{at}": mca_record(0.01 * at), f"X:dxp{at}:CurrentPixel": 0}
    return pvs | file_plugin("X:netCDF1:")


def test_xmap_regions(serve: Serve, tmp_path: Path) -> None:
    serve(xmap_pvs())
    xmap = devices.MultiXMAP("X:", nmca=2)
    xmap.mcas[0].add_roi("Fe Ka", 630, 650)
    xmap.mcas[0].add_roi("Ar Ka", 290, 310)
    file = tmp_path / "ROI.dat"
    assert xmap.get_rois()[1] == []
    first = xmap.mcas[0].get_rois()
    xmap.mcas[1].set_rois(first, calib=xmap.mcas[0].get_calib())
    saved = xmap.Write_CurrentConfig(file)
    assert saved.splitlines()[1:8] == [
        *("[general]", "prefix= X:", "nmcas = 2", "filesaver= netCDF1:", "[rois]"),
        *("ROI00 = Ar Ka | 290 310 145 155", "ROI01 = Fe Ka | 630 650 315 325"),
    ]
    lines = saved.splitlines()
    assert "SLOPE  = 0.01 0.02" in lines and "GapTime = 1.50 1.50" in lines
    assert file.read_text() == saved
    xmap.mcas[0].clear_rois()
    xmap.mcas[1].clear_rois()
    xmap.restore_rois(file)
    found = [[(roi.NM, roi.LO, roi.HI) for roi in rois] for rois in xmap.get_rois()]
    assert found == [
        [("Ar Ka", 290, 310), ("Fe Ka", 630, 650)],
        [("Ar Ka", 145, 155), ("Fe Ka", 315, 325)],
    ]
    with pytest.raises(BadValue, match=r"none\.dat: .* no region was changed"):
        (tmp_path / "none.dat").write_text("[rois]\nROI00 = Fe | 1\n")
        read_regions(tmp_path / "none.dat")
    assert read_regions(file)[0] == Region("Ar Ka", 290, 310)


def test_xmap_modes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beamfly.epics.devices.xmap.READY_SECONDS", 0.1)
    pvs = xmap_pvs()
    advanced: list[int] = []

    def advance(put: Put) -> None:
        advanced.append(1)

    pvs["X:NextPixel"] = served_pv.PV(0, on_put=advance)
    server = serve(pvs | {"X:Acquiring": 1, "X:PixelsPerBuffer_RBV": 124})
    xmap = devices.MultiXMAP("X:", nmca=1)
    server.post("X:netCDF1:ArraySize0_RBV", 20000)
    server.post("X:BufferSize_RBV", 20000)
    until(lambda: xmap.fileGet("ArraySize0_RBV") == xmap.BufferSize_RBV == 20000)
    xmap.MCAMode("map", npulses=1001)
    wanted = {"CollectMode": 1, "PixelsPerRun": 1001, "SyncCount": 1, "Apply": 1}
    wanted |= {"netCDF1:NumCapture": 9, "netCDF1:FileWriteMode": 2}
    assert {name: server.value(f"X:{name}") for name in wanted} == wanted
    assert xmap.fileGet("FileName", as_string=True) == "map"
    assert not advanced
    server.post("X:dxp1:CurrentPixel", 998)
    until(lambda: xmap.dxps[0].get("CurrentPixel") == 998)
    until(lambda: xmap.PixelsPerRun == 1001)
    assert xmap.finish_pixels(timeout=0.05) == (False, 3)
    assert len(advanced) == 3 and server.value("X:netCDF1:Capture") == 0
    server.post("X:dxp1:CurrentPixel", 1001)
    assert xmap.finish_pixels(timeout=20) == (True, 0)
    server.post("X:BufferSize_RBV", 100)
    xmap.SpectraMode()
    assert server.value("X:CollectMode") == 0 and server.value("X:StopAll") == 1
    xmap.SCAMode()
    assert server.value("X:CollectMode") == 2
    xmap.start()
    assert server.value("X:EraseStart") == 1 and xmap.readmca(1).size == 2048


def roi_plugin(prefix: str, count: int = 5) -> dict[str, Any]:
    pvs: dict[str, Any] = {}
    for at in range(1, count + 1):
        pvs |= {f"{prefix}:{at}:Name": "", f"{prefix}:{at}:MinX": 0}
        pvs |= {f"{prefix}:{at}:{name}": 0 for name in ("SizeX", "BgdWidth")}
        pvs |= {f"{prefix}:{at}:Total_RBV": 7.0, f"{prefix}:{at}:Net_RBV": 3.0}
    return pvs


def test_areadetector_mca(serve: Serve) -> None:
    spectrum = np.ones(100)
    spectrum[20:30] = 5.0
    camera = {f"X:det1:{name}": 0 for name in devices.ADMCA.attrs}
    server = serve(camera | roi_plugin("X:MCA1ROI") | {"X:MCA1:ArrayData": spectrum})
    mca = devices.ADMCA("X:det1:", "X:MCA1:ArrayData", 5, "X:MCA1ROI")
    assert mca.rois == [] and mca.get_calib() == (0.0, 0.01, 0.0)
    assert mca.get_energy()[-1] == pytest.approx(0.99)
    mca.add_roi("Fe", 20, hi=30)
    mca.add_roi("Ar", 0, wid=5)
    mca.add_roi("none", 3)
    assert [(roi.Name, roi.left, roi.width, roi.right) for roi in mca.rois] == [
        ("Ar", 0, 5, 5),
        ("Fe", 20, 10, 30),
    ]
    iron = mca.rois[1]
    assert (iron.get_counts(), iron.get_counts(net=True)) == (50.0, 40.0)
    assert (iron.sum, iron.net, iron.center) == (7.0, 3.0, 25)
    assert mca.rois[0] < iron and mca.rois[0] <= iron and iron != mca.rois[0]
    where = "<ADMCAROI 'X:MCA1ROI:2:', name='Fe', range=[20:30]>"
    assert repr(iron) == where
    iron.right = 40
    until(lambda: iron.SizeX == 20)
    iron.center = 50
    until(lambda: iron.MinX == 40)
    plain = devices.ADMCAROI("X:MCA1ROI", 1)
    assert (plain.get_counts(), plain.get_counts(net=True)) == (7.0, 3.0)
    mca.del_roi("ar")
    assert [roi.Name for roi in mca.get_rois()] == ["Fe"]
    mca.set_rois([("B", 30, 35), ("A", 10, 12), ("", 1, 2)])
    assert [roi.read() for roi in mca.rois] == [("A", 10, 2), ("B", 30, 5)]
    with pytest.raises(BadValue, match="Too many ROIS"):
        mca.set_rois([("A", at, at + 1) for at in range(9)])
    mca.clear_rois()
    assert mca.get_rois() == [] and server.value("X:MCA1ROI:1:Name") == ""
    assert mca.start() in (0, 1)
    assert server.value("X:det1:Acquire") == 1
    mca.stop()
    assert server.value("X:det1:Acquire") == 0
    assert devices.ADMCA("X:det1:").get_energy().size == 4096


def xspress3_pvs() -> dict[str, Any]:
    pvs: dict[str, Any] = {
        f"X:det1:{name}": 0 for name in (*devices.Xspress3.det_attrs, "AcquireTime")
    }
    for at in (1, 2):
        pvs |= {f"X:C{at}SCA{sca}:Value_RBV": 10.0 * sca for sca in range(1, 9)}
        pvs |= roi_plugin(f"X:MCA{at}ROI") | {f"X:MCA{at}:ArrayData": np.ones(64)}
        pvs |= dict.fromkeys((f"X:MCA{at}ROI:TSControl", f"X:C{at}SCA:TSControl"), 1)
        pvs |= {f"X:MCA{at}ROI:TSNumPoints": 0, f"X:C{at}SCA:TSNumPoints": 0}
    return pvs | file_plugin("X:HDF1:")


def test_xspress3(serve: Serve, tmp_path: Path) -> None:
    server = serve(xspress3_pvs())
    detector = devices.Xspress3("X", nmca=2, fileroot="/data")
    for mca in detector.mcas:
        mca._nrois = 5
    detector.useExternalTrigger()
    assert server.value("X:det1:TriggerMode") == 3
    detector.useInternalTrigger()
    assert server.value("X:det1:TriggerMode") == 1
    detector.TimeSeriesCaptureOn(500)
    assert server.value("X:C2SCA:TSNumPoints") == 500
    assert server.value("X:MCA1ROI:TSControl") == 0
    detector.TimeSeriesCaptureOff()
    assert server.value("X:C1SCA:TSControl") == 2
    assert detector.C2SCA3 == 30.0
    detector.mcas[0].set_rois([("Fe", 20, 30)])
    assert detector.roi_calib_info()[:3] == [
        *("[rois]", "ROI00 = Fe | 20 30 20 30", "[calibration]")
    ]
    (tmp_path / "rois").write_text("\n".join(detector.roi_calib_info()))
    detector.restore_rois(tmp_path / "rois")
    found = [[roi.read() for roi in rois] for rois in detector.get_rois()]
    assert found == [[("Fe", 20, 10)]] * 2
    detector.setFilePath("today")
    detector.setFileName("a")
    detector.setFileTemplate("%s/%s.%4.4d")
    detector.setFileNumCapture(3)
    detector.setFileNumber(4)
    until(lambda: detector.fileGet("FileNumber") == 4)
    detector.nextFileNumber()
    detector.start()
    wanted = {"HDF1:FileNumber": 5, "HDF1:NumCapture": 3, "HDF1:Capture": 1}
    wanted |= {"HDF1:AutoIncrement": 0, "det1:Acquire": 1}
    assert {name: server.value(f"X:{name}") for name in wanted} == wanted
    assert detector.fileGet("FilePath", as_string=True) == "/data/today"
    detector.stop()
    assert server.value("X:HDF1:Capture") == server.value("X:det1:Acquire") == 0
    for name, value in (("FileName", "a"), ("FilePath", "/d"), ("FullFileName", "f")):
        server.post(f"X:HDF1:{name}_RBV", value)
    server.post("X:HDF1:FileTemplate_RBV", "%s/%s.%4.4d")
    until(lambda: detector.getFileTemplate() and detector.getLastFileName() == "f")
    until(lambda: (detector.getFilePath(), detector.getFileName()) == ("/d", "a"))
    assert detector.getFileNameByIndex(7) == "/d/a.0007"
    assert detector.FileWriteComplete() and detector.getFileNumber() == 0
    assert detector.setFileNumber() is None and detector.setFileWriteMode(2) == 1


def test_xspress3_of_old(serve: Serve, tmp_path: Path) -> None:
    names = devices.Xspress310.attrs
    pvs: dict[str, Any] = {f"X:{name}": 0 for name in names} | file_plugin("X:HDF5:")
    for at in (1, 2):
        pvs[f"X:mca{at}"] = mca_record()
        pvs |= {
            f"X:C{at}_MCA_ROI{roi}_{end}": 0
            for roi in range(1, 5)
            for end in ("LLM", "HLM")
        }
    server = serve(pvs)
    detector = devices.Xspress310("X:", nmca=2)
    detector.mcas[0].add_roi("Fe Ka", 630, 650)
    detector.mcas[1].add_roi("Fe Ka", 631, 651)
    info = detector.roi_calib_info()
    assert info[1] == "ROI00 = Fe Ka | 630 650 631 651"
    assert info[3] == "OFFSET = 0.000 0.000"
    detector.select_rois_to_save(["fe ka", (5, 9), "unknown"])
    limits = [
        (server.value(f"X:C2_MCA_ROI{at}_LLM"), server.value(f"X:C2_MCA_ROI{at}_HLM"))
        for at in range(1, 5)
    ]
    assert limits == [(630, 650), (5, 9), (50, 4050), (50, 4050)]
    (tmp_path / "rois").write_text("[rois]\nROI00 = Cu | 800 820\n")
    detector.restore_rois(tmp_path / "rois")
    assert [(r[0].NM, r[0].LO) for r in detector.get_rois()] == [("Cu", 800)] * 2


def panel_pvs() -> dict[str, Any]:
    names = devices.AD_PerkinElmer.camattrs
    pvs: dict[str, Any] = {f"X:cam1:{name}": 0 for name in names}
    pvs |= {"X:cam1:AcquireTime": 0.01, "X:cam1:PENumOffsetFrames": 2}
    pvs["X:cam1:ImageMode"] = 2
    return pvs | file_plugin("X:netCDF1:")


def test_flat_panel(serve: Serve) -> None:
    pvs = panel_pvs()
    seen: list[Any] = []
    done: list[bool] = []

    def measure(put: Put) -> None:
        seen.append([server.server[f"X:cam1:{name}"].value for name in watched])
        if done:
            put.value = 0

    watched = ("ShutterControl", "ShutterMode", "ImageMode", "TriggerMode")
    pvs["X:cam1:PEAcquireOffset"] = served_pv.PV(0, on_put=measure)
    server = serve(pvs)
    panel = devices.AD_PerkinElmer("X:")
    panel.shutter_seconds = 0.0
    assert panel.AcquireOffset(timeout=0.05) is False, "it never ends"
    assert seen == [[0, 1, 0, 0]]
    assert [server.value(f"X:cam1:{name}") for name in watched] == [1, 0, 2, 0]
    done.append(True)
    panel.SetExposureTime(0.02)
    assert server.value("X:cam1:AcquireTime") == 0.02
    assert panel.AcquireOffset(open_shutter=False) is True
    assert server.value("X:cam1:ShutterControl") == 0
    panel.SetMultiFrames(7, "external")
    wanted = {"cam1:ImageMode": 1, "cam1:TriggerMode": 1, "cam1:NumImages": 7}
    wanted |= {"netCDF1:NumCapture": 7, "netCDF1:AutoIncrement": 1}
    assert {name: server.value(f"X:{name}") for name in wanted} == wanted
    server.post("X:netCDF1:Capture_RBV", 1)
    panel.StartStreaming()
    assert server.value("X:cam1:Acquire") == server.value("X:netCDF1:Capture") == 1
    panel.FinishStreaming(timeout=0.05)
    assert server.value("X:netCDF1:Capture") == 0
    with pytest.raises(AttributeError):
        panel.Nonsense  # noqa: B018


def test_waiting_for_something() -> None:
    start = time.monotonic()
    assert happens(lambda: True, 0) and not happens(lambda: False, 0)
    assert time.monotonic() - start < 5
