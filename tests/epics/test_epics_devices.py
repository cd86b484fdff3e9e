"""The device family against servers that have the records' fields."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import beamfly.epics as epics
from beamfly.ca import pv as served_pv
from beamfly.ca.records import RecordGroup
from beamfly.epics import devices
from beamfly.epics.context import close_context
from beamfly.epics.devices.area_detector import Plugin
from beamfly.errors import BadValue, CADisconnected
from ca.c_ioc import running
from conftest import Serve, until


@pytest.mark.peer
def test_records_have_the_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ("ai", "ao", "bi", "bo")
    database = "".join(f'record({kind}, "R:{kind}") {{}}\n' for kind in kinds)
    with running(tmp_path, database) as ioc:
        for name, value in ioc.environment.items():
            monkeypatch.setenv(name, value)
        for kind in kinds:
            device = getattr(devices, kind)(f"R:{kind}.")
            for attr in device.attrs:
                assert device.PV(attr).wait_for_connection(5), f"{kind}.{attr}"
            assert device.NAME == f"R:{kind}"
            assert device.RTYP == kind, "any other field becomes an attribute"
        device = devices.ao("R:ao")
        device.VAL = 2.5
        until(lambda: device.VAL == 2.5)
        close_context()


def scaler_pvs(prefix: str, channels: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"VAL": 0.0, "CNT": served_pv.PV(0, states=("Done", "Go"))}
    fields |= {"CONT": served_pv.PV(1, states=("OneShot", "Auto")), "TP": 1.0, "T": 0.0}
    pvs: dict[str, Any] = {f"{prefix}_calcEnable": 0}
    for at in range(1, channels + 1):
        fields |= {f"NM{at}": "" if at == 2 else f"in {at}", f"S{at}": 10 * at}
        pvs |= {f"{prefix}_calc{at}": at / 2}
        pvs |= {f"{prefix}_calc{at}": RecordGroup("calcout", VAL=at / 2, CALC="A")}
    return pvs | {prefix: RecordGroup("scaler", fields)}


def test_scaler(serve: Serve) -> None:
    server = serve(scaler_pvs("X:s1", 2))
    scaler = devices.Scaler("X:s1", nchan=2)
    scaler.OneShotMode()
    scaler.Count(2.5, wait=True)
    assert (server.value("X:s1.CONT"), server.value("X:s1.TP")) == (0, 2.5)
    assert server.value("X:s1.CNT") == 1
    scaler.AutoCountMode()
    assert server.value("X:s1.CONT") == 1
    assert scaler.getNames() == ["in 1", ""]
    assert scaler.Read() == [10, 20] and scaler.Read(use_calc=True) == [0.5, 1.0]
    scaler.EnableCalcs()
    scaler.setCalc(2, "B/A")
    assert server.value("X:s1_calc2.CALC") == "B/A"
    assert server.value("X:s1_calcEnable") == 1
    with pytest.raises(AttributeError):
        scaler.DESC  # noqa: B018


def test_transform(serve: Serve) -> None:
    fields: dict[str, Any] = {"VAL": 0.0, "COPT": 0, "PREC": 3}
    for row in devices.Transform.rows:
        for label, form in devices.Transform.attr_fmts.items():
            text = label in ("Input", "Expression", "Output", "Comment")
            fields[form.replace("%s", row)] = "" if text else 0.0
    server = serve({"X:t": RecordGroup("transform", fields)})
    transform = devices.Transform("X:t.")
    transform.set_calc("B", "A*2")
    transform.set_comment("B", "twice")
    transform.set_input("B", "X:other")
    found = [server.value(f"X:t.{field}") for field in ("CLCB", "CMTB", "INPB")]
    assert found == ["A*2", "twice", "X:other"]
    until(lambda: transform.get_row("B")["Comment"] == "twice")
    row = transform.get_row("B")
    assert set(row) == set(transform.attr_fmts) and row["Value"] == 0.0
    transform.set_row("P", row | {"Value": 3.5, "Nonsense": 1})
    assert (server.value("X:t.P"), server.value("X:t.CLCP")) == (3.5, "A*2")
    with pytest.raises(BadValue, match="rows A to P, not 'Q'"):
        transform.set_calc("Q", "1")


def test_amplifier(serve: Serve) -> None:
    names = [attr for attr in devices.SRS570.attrs if attr != "init.PROC"]
    pvs: dict[str, Any] = {f"X:A{name}": served_pv.PV(5, type="long") for name in names}
    server = serve(pvs | {"X:Ainit": RecordGroup("seq", VAL=0, PROC=0)})
    amplifier = devices.SRS570("X:A")
    assert server.value("X:Afilter_type") == server.value("X:Abias_put") == 0

    def setting(what: str) -> tuple[int, int]:
        return server.value(f"X:A{what}_num"), server.value(f"X:A{what}_unit")

    amplifier.set_sensitivity(200, "nA/V", offset=7)
    assert setting("sens") == (7, 1) and setting("offset") == (4, 1)
    assert server.value("X:Aoff_u_put") == 7 and server.value("X:Ainit.PROC") == 1
    amplifier.set_sensitivity(1, "uA/V")
    assert setting("offset") == (6, 1)
    until(lambda: (amplifier.sens_num, amplifier.sens_unit) == (0, 2))
    amplifier.increase_sensitivity()
    assert setting("sens") == (8, 1)
    until(lambda: (amplifier.sens_num, amplifier.sens_unit) == (8, 1))
    amplifier.decrease_sensitivity()
    assert setting("sens") == (0, 2)
    amplifier.set_sensitivity(1, "pA/V")
    until(lambda: (amplifier.sens_num, amplifier.sens_unit) == (0, 0))
    amplifier.increase_sensitivity()
    assert setting("sens") == setting("offset") == (0, 0)
    with pytest.raises(BadValue, match="not 2 mA/V"):
        amplifier.set_sensitivity(2, "mA/V")


def mca_record(rois: int = 4) -> RecordGroup:
    spectrum = np.ones(64)
    spectrum[20:31] = 5.0
    fields: dict[str, Any] = {"VAL": spectrum, "CALO": 1.0, "CALS": 0.5, "CALQ": 0.0}
    texts = {"EGU": "keV"}
    fields |= texts | {"TTH": 0.0, "NORD": 64, "NUSE": 64, "ACQG": 0, "IDTIM": 0.0}
    fields |= dict.fromkeys(("PRTM", "PLTM", "DWEL", "ERTM", "ELTM"), 0.0)
    for at in range(rois):
        fields |= {f"R{at}NM": "", f"R{at}LO": -1, f"R{at}HI": -1}
        fields |= {f"R{at}": 100.0 + at, f"R{at}N": 10.0 + at}
    return RecordGroup("mca", fields)


def test_mca(serve: Serve) -> None:
    serve({"X:mca1": mca_record(), "X:data": served_pv.PV(np.arange(64.0))})
    mca = devices.MCA("X:", mca=1, nrois=4, data_pv="X:mca1.VAL")
    assert mca.get_rois() == [] and mca.get_calib() == [1.0, 0.5, 0.0]
    assert mca.get_energy()[:3].tolist() == [1.0, 1.5, 2.0]
    mca.add_roi("Fe Ka", 20, 30)
    mca.add_roi("Ar", 3, 5)
    mca.add_roi("none")
    mca.add_roi("Cu", 20, 24, calib=[0.0, 1.0, 0.0])  # 20 keV is channel 38 here
    assert [(roi.name, roi.left, roi.right) for roi in mca.get_rois()] == [
        ("Ar", 3, 5),
        ("Fe Ka", 20, 30),
        ("Cu", 38, 46),
    ]
    iron = mca.rois[1]
    assert (iron.total, iron.sum, iron.net) == (55.0, 55.0, 44.0)
    assert (iron.center, iron.width) == (25, 10)
    assert repr(iron) == "<ROI 'X:mca1.R1', name='Fe Ka', range=[20:30]>"
    assert iron == devices.ROI("X:mca1", 1) != mca.rois[0] and mca.rois[0] < iron
    assert iron.get_counts(np.zeros(64), net=True) == 0.0
    mca.del_roi("ar")
    assert [roi.NM for roi in mca.get_rois()] == ["Fe Ka", "Cu"]
    plain = devices.MCA("X:mca1", nrois=4)
    assert (plain.get_rois()[0].total, plain.rois[0].net) == (100.0, 10.0)
    mca.set_rois(mca.get_rois()[1:])
    assert [roi.NM for roi in mca.get_rois()] == ["Cu"]
    mca.clear_rois()
    assert mca.get_rois() == [] == mca.rois


def test_struck(serve: Serve, tmp_path: Path) -> None:
    names = devices.Struck.attrs
    pvs: dict[str, Any] = {f"X:SIS:{name}": 0.0 for name in names}
    for at in (1, 2):
        record = mca_record()
        record["VAL"] = np.arange(64.0) * at * 50
        pvs[f"X:SIS:mca{at}"] = record
    server = serve(pvs | scaler_pvs("X:s1", 2))
    struck = devices.Struck("X:SIS", scaler="X:s1", nchan=2)
    assert struck.ExternalMode(initialadvance=1, realtime=5) == 1
    assert server.value("X:SIS:ChannelAdvance") == 1
    assert server.value("X:SIS:InitialChannelAdvance") == 1
    assert server.value("X:SIS:PresetReal") == 5
    assert server.value("X:s1.CONT") == 0
    struck.AutoCountMode()
    assert server.value("X:s1.CONT") == 1
    assert struck.InternalMode(prescale=2) == struck.setPresetReal(3) == 1
    assert struck.setDwell(0.1) == struck.start() == struck.stop() == 1
    assert struck.erase() == 1 and server.value("X:SIS:EraseAll") == 1
    assert struck.mcaNread(2) == 64
    assert [data[1] for data in struck.read_all_mcas()] == [50.0, 100.0]
    file = tmp_path / "struck.dat"
    assert struck.saveMCAdata(file, npts=3) == (2, 3)
    assert file.read_text().splitlines() == [
        "# Struck MCA data: X:SIS:",
        "# Nchannels, Nmca = 3, 2",
        "# Time in microseconds",
        "#----------------------",
        "# X:s1.S1 | X:SIS:mca2",
        "# in_1 | MCA2",
        "        0         0 ",
        "        1       100 ",
        "        2       200 ",
    ]
    assert struck.saveMCAdata(file, mcas=[2], ignore_prefix="MCA") == (0, 0)
    more = devices.Struck("X:SIS", nchan=1)
    more.mcas[0].VAL  # noqa: B018
    server.close()
    more.mcas[0].PV("VAL", connect=False).connection_timeout = 0.01
    until(lambda: not more.mcas[0].PV("VAL").connected)
    with pytest.raises(CADisconnected, match="was not written"):
        more.saveMCAdata(tmp_path / "none.dat")
    assert not (tmp_path / "none.dat").exists()


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (devices.AD_Camera, 43),
        (devices.AD_FilePlugin, 31),
        (devices.AD_ImagePlugin, 13),
        (devices.AD_OverlayPlugin, 26),
    ],
)
def test_attributes_are_those_of_pyepics(kind: type[Plugin], count: int) -> None:
    assert len(kind.attrs) == len(set(kind.attrs)) == count


def test_file_plugin(serve: Serve) -> None:
    numbers = ("AutoIncrement", "Capture", "FileNumber", "FileWriteMode", "NumCapture")
    pvs: dict[str, Any] = {f"X:F:{name}": 0 for name in devices.AD_FilePlugin.attrs}
    for name in ("FileName", "FilePath", "FileTemplate"):
        pvs |= {
            f"X:F:{name}{end}": served_pv.PV("", type="char", length=256)
            for end in ("", "_RBV")
        }
    pvs["X:F:FullFileName_RBV"] = served_pv.PV("/d/a_1.h5", type="char", length=256)
    server = serve(pvs)
    plugin = devices.AD_FilePlugin("X:F:")
    plugin.setFileName("scan")
    plugin.setPath("/data")
    plugin.setTemplate("%s/%s_%3.3d.h5")
    plugin.setWriteMode(2)
    plugin.setNumCapture(11)
    plugin.CaptureOn()
    plugin.setFileNumber(7)
    assert [server.value(f"X:F:{name}") for name in numbers] == [0, 1, 7, 2, 11]
    plugin.CaptureOff()
    until(lambda: plugin.FileNumber == 7)
    plugin.nextFileNumber()
    assert server.value("X:F:FileNumber") == 8 and server.value("X:F:Capture") == 0
    plugin.setFileNumber()
    assert server.value("X:F:AutoIncrement") == 1
    for name, text in (("FileName", "scan"), ("FilePath", "/data")):
        server.post(f"X:F:{name}_RBV", text)
    server.post("X:F:FileTemplate_RBV", "%s/%s_%3.3d.h5")
    until(lambda: plugin.getTemplate() == "%s/%s_%3.3d.h5")
    until(lambda: (plugin.getName(), plugin.getPath()) == ("scan", "/data"))
    assert plugin.getFileNameByIndex(3) == "/data/scan_003.h5"
    assert plugin.getLastFileName() == "/d/a_1.h5" and plugin.WriteComplete()
    assert plugin.getNumber() == 0
    server.post("X:F:NumCapture_RBV", 5)
    until(lambda: plugin.NumCapture_RBV == 5)
    assert plugin.ensure_value("NumCapture", 5) is None
    assert plugin.ensure_value("NumCapture", 6, wait=True) == 1
    assert plugin.ensure_value("WriteStatus", 1) == 1
    assert server.value("X:F:NumCapture") == 6


def test_processor_settings(serve: Serve) -> None:
    serve({"X:dxp2:MaxEnergy": 20.0})
    assert devices.DXP("X:", mca=2).MaxEnergy == 20.0
    assert epics.devices.Mca is devices.MCA
