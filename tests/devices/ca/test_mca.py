"""The mca device against an mca record of our server, and in mock mode."""

import asyncio
from typing import Any

import numpy as np
import pytest
from bluesky import plans as bp
from ca_rig import environment, serving, until
from ophyd_async.core import (
    DetectorTrigger,
    NotConnectedError,
    TriggerInfo,
    init_devices,
    set_mock_value,
)

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.ca.server_thread import serve_in_thread
from beamfly.devices import Mca
from beamfly.errors import BadValue
from ca.c_ioc import free_port
from flying import run_engine

STATES = ("Done", "Acquire")
REGIONS = (("Fe Ka", 10, 20), ("", 30, 40), ("unused", -1, -1), ("Cu Ka", 50, 60))


class McaRecord:
    """Counts n in channel n, for a thousandth of the preset time."""

    def __init__(self) -> None:
        self.stuck = self.early = False
        self.starts = 0
        self._stop = asyncio.Event()
        fields: dict[str, Any] = {
            "VAL": PV(np.zeros(100, np.int32), length=2048),
            "ERST": PV(0, states=STATES, on_put=self._start),
            "STOP": PV(0, states=STATES, on_put=self._end),
            "ACQG": PV(0, states=STATES),
            "NUSE": 100,
            "EGU": "keV",
        }
        for name in ("PRTM", "PLTM", "ERTM", "ELTM", "CALO", "CALS", "CALQ"):
            fields[name] = 0.0
        for n, (label, low, high) in enumerate(REGIONS):
            fields |= {f"R{n}NM": label, f"R{n}LO": low, f"R{n}HI": high, f"R{n}": 0.0}
        self.record = RecordGroup("mca", fields)

    async def _start(self, put: Put) -> None:
        record = self.record
        self.starts += 1
        put.accept()
        self._stop.clear()
        record.post(ACQG=1)
        if self.early:
            put.finish()
        if self.stuck:
            await self._stop.wait()
        seconds = record["PRTM"] or record["PLTM"]
        await asyncio.sleep(seconds / 1000)
        spectrum = np.arange(100, dtype=np.int32)
        record["VAL"] = spectrum
        sums = {
            f"R{n}": float(spectrum[low : high + 1].sum())
            for n, (_, low, high) in enumerate(REGIONS)
        }
        record.post(ERTM=seconds, ELTM=seconds * 0.9, ERST=0, ACQG=0, **sums)

    def _end(self, put: Put) -> None:
        self._stop.set()
        put.value = 0


async def connected(**options: Any) -> Mca:
    mca = Mca("X:mca", nroi=4, name="mca", **options)
    await mca.connect(timeout=30)
    return mca


@pytest.mark.parametrize("early", [False, True])
async def test_acquiring(monkeypatch: pytest.MonkeyPatch, early: bool) -> None:
    record = McaRecord()
    record.early = early
    async with serving({"X:mca": record.record}, monkeypatch):
        mca = await connected()
        await mca.stage()
        await mca.prepare(TriggerInfo(livetime=20.0))
        await mca.trigger()
        values = {name: one["value"] for name, one in (await mca.read()).items()}
        assert values == {
            "mca-elapsed_real": 20.0,
            "mca-elapsed_live": 18.0,
            "mca-Fe_Ka": 165.0,
            "mca-roi1": 385.0,
            "mca-Cu_Ka": 605.0,
        }
        assert mca.hints["fields"] == ["mca-Fe_Ka", "mca-roi1", "mca-Cu_Ka"]
        assert set(await mca.describe()) == set(values)
        config = await mca.read_configuration()
        assert config["mca-preset_real"]["value"] == 20.0
        assert {"mca-offset", "mca-slope", "mca-quadratic", "mca-units"} < set(config)
        record.record.post(R1NM="Ni", R3LO=-1)
        await mca.stage()
        assert mca.hints["fields"] == ["mca-Fe_Ka", "mca-Ni"]
        mca.set_name("xrf")
        assert mca.hints["fields"] == ["xrf-Fe_Ka", "xrf-Ni"]


async def test_the_spectrum_and_live_time(monkeypatch: pytest.MonkeyPatch) -> None:
    record = McaRecord()
    async with serving({"X:mca": record.record}, monkeypatch):
        mca = await connected(spectrum=True, live=True)
        await mca.prepare(TriggerInfo(livetime=3.0))
        assert (record.record["PRTM"], record.record["PLTM"]) == (0.0, 3.0)
        await mca.trigger()
        spectrum = (await mca.read())["mca-spectrum"]["value"]
        assert spectrum.tolist() == list(range(100))
        key = (await mca.describe())["mca-spectrum"]
        assert (key["dtype"], key["shape"], key["dtype_numpy"]) == (
            "array",
            [100],
            "<i4",
        )
        assert "mca-spectrum" not in mca.hints["fields"]


async def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    record = McaRecord()
    async with serving({"X:mca": record.record, "X:ai": PV(1.0)}, monkeypatch):
        mca = await connected()
        with pytest.raises(
            BadValue, match=r"no preset time .PRTM or PLTM., so it would"
        ):
            await mca.trigger()
        with pytest.raises(BadValue, match="not on EXTERNAL_EDGE"):
            await mca.prepare(
                TriggerInfo(trigger=DetectorTrigger.EXTERNAL_EDGE, deadtime=1)
            )
        record.record.post(R1NM="Cu Ka")
        with pytest.raises(BadValue, match="regions 1 and 3 of X:mca are both called"):
            await mca.stage()
        assert record.starts == 0
        with pytest.raises(NotConnectedError, match="not an mca: Mca cannot use it"):
            await Mca("X:ai").connect(timeout=30)


async def test_an_acquisition_that_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = McaRecord()
    record.stuck = True
    monkeypatch.setattr("beamfly.devices.mca.SPARE_SECONDS", 0.05)
    async with serving({"X:mca": record.record}, monkeypatch):
        mca = await connected()
        await mca.preset_real.set(0.01)
        with pytest.raises(TimeoutError):
            await mca.trigger()
        assert record.record["ACQG"] == 1
        await mca.unstage()
        await until(lambda: record.record["ACQG"] == 0)


def test_in_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []
    record = McaRecord()
    record.record.post(PRTM=1.0)
    with serve_in_thread({"X:mca": record.record}, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        with run_engine() as RE:
            with init_devices():
                mca = Mca("X:mca", nroi=4, spectrum=True)
            RE.subscribe(lambda name, doc: events.append(doc["data"]), "event")
            RE(bp.count([mca], 2))
    assert [event["mca-Cu_Ka"] for event in events] == [605.0, 605.0]
    assert len(events[0]["mca-spectrum"]) == 100


async def test_mock() -> None:
    mca = Mca("X:mca", nroi=2, name="mca")
    await mca.connect(mock=True)
    set_mock_value(mca.rois[1].low, -1)
    set_mock_value(mca.preset_real, 1.0)
    await mca.stage()
    await mca.trigger()
    assert mca.hints["fields"] == ["mca-roi0"]
