"""The scaler device against a scaler record of our server, and in mock mode."""

import asyncio
import io
from contextlib import redirect_stdout
from typing import Any

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.callbacks import LiveTable
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
from beamfly.devices import Scaler
from beamfly.errors import BadValue
from ca.c_ioc import free_port
from flying import run_engine

LABELS = ("time", "I0", "", "It 2", "", "", "", "")


class ScalerRecord:
    """Counts for a thousandth of the preset time, at 1000 n per second in Sn."""

    def __init__(self, labels: tuple[str, ...] = LABELS) -> None:
        self.stuck = False
        self.history: list[Any] = []
        self._stop = asyncio.Event()
        fields: dict[str, Any] = {
            "VAL": 0.0,
            "CNT": PV(0, states=("Done", "Count"), on_put=self._count),
            "CONT": PV(1, states=("OneShot", "AutoCount"), on_put=self._note),
            "TP": PV(1.0, units="s", precision=3),
            "T": 0.0,
            "FREQ": 1e7,
            "DLY": PV(0.0, type="float"),
        }
        for n, label in enumerate(labels, 1):
            fields |= {f"S{n}": 0.0, f"NM{n}": label}
        self.record = RecordGroup("scaler", fields)

    def _note(self, put: Put) -> None:
        self.history.append(("CONT", put.value))

    async def _count(self, put: Put) -> None:
        self.history.append(("CNT", put.value))
        if not put.value:
            self._stop.set()
            return
        put.accept()
        self._stop.clear()
        record = self.record
        if self.stuck:
            await self._stop.wait()
        await asyncio.sleep(record["TP"] / 1000)
        counts = {f"S{n}": record["TP"] * 1000 * n for n in range(1, 9)}
        record.post(CNT=0, T=record["TP"], **counts)


def pvs_of(record: ScalerRecord) -> dict[str, Any]:
    pvs: dict[str, Any] = {"X:s": record.record}
    for n in range(1, 9):
        pvs[f"X:s_calc{n}"] = RecordGroup("calc", VAL=n / 2, CALC=f"A/{n}")
    return pvs


async def test_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ScalerRecord()
    async with serving(pvs_of(record), monkeypatch):
        scaler = Scaler("X:s", name="scaler")
        await scaler.connect(timeout=30)
        await scaler.stage()
        await until(lambda: len(record.history) == 2)
        assert record.history == [("CONT", 0), ("CNT", 0)]
        await scaler.prepare(TriggerInfo(livetime=2.0))
        await scaler.trigger()
        values = {name: one["value"] for name, one in (await scaler.read()).items()}
        assert values == {
            "scaler-time": 2000.0,
            "scaler-I0": 4000.0,
            "scaler-It_2": 8000.0,
        }
        keys = await scaler.describe()
        assert list(keys) == list(values) == scaler.hints["fields"]
        assert keys["scaler-I0"]["source"] == "ca://X:s.S2"
        config = await scaler.read_configuration()
        assert config["scaler-preset_time"]["value"] == 2.0
        assert {"scaler-frequency", "scaler-delay"} < set(config)
        await scaler.unstage()
        assert record.record["CONT"] == 1
        # renamed between scans
        record.record.post(NM2="I1", NM3="new", NM4="")
        await scaler.stage()
        assert list(await scaler.read()) == ["scaler-time", "scaler-I1", "scaler-new"]
        assert scaler.counts[4].name == "scaler-counts-4"
        scaler.set_name("s")
        assert list(await scaler.read()) == ["s-time", "s-I1", "s-new"]
        await scaler.unstage()
        assert await scaler.field("T").get() == 2.0


async def test_calculations(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(pvs_of(ScalerRecord()), monkeypatch):
        scaler = Scaler("X:s", calcs=True, name="scaler")
        await scaler.connect(timeout=30)
        reading = await scaler.read()
        assert reading["scaler-I0_calc"]["value"] == 1.0
        assert list(reading)[:2] == ["scaler-time", "scaler-time_calc"]
        config = await scaler.read_configuration()
        assert config["scaler-expressions-2"]["value"] == "A/2"


async def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ScalerRecord(("I0", "It", "I0", "", "", "", "", ""))
    async with serving(pvs_of(record), monkeypatch):
        scaler = Scaler("X:s", name="scaler")
        await scaler.connect(timeout=30)
        words = r"channels 1 and 3 of X:s are both called 'I0': rename one .NM1 or NM3"
        with pytest.raises(BadValue, match=words):
            await scaler.stage()
        with pytest.raises(
            BadValue, match="counts by its own clock, not on EXTERNAL_ED"
        ):
            await scaler.prepare(
                TriggerInfo(trigger=DetectorTrigger.EXTERNAL_EDGE, deadtime=1)
            )
        with pytest.raises(BadValue, match="counts once for an event"):
            await scaler.prepare(TriggerInfo(collections_per_event=2))
        assert record.history == []
        with pytest.raises(
            NotConnectedError, match="X:s_calc1 is a calc, not a scaler"
        ):
            await Scaler("X:s_calc1").connect(timeout=30)


async def test_a_count_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ScalerRecord()
    record.stuck = True
    async with serving(pvs_of(record), monkeypatch):
        scaler = Scaler("X:s", name="scaler")
        await scaler.connect(timeout=30)
        await scaler.stage()
        status = scaler.trigger()
        await until(lambda: ("CNT", 1) in record.history)
        status.task.cancel()
        await scaler.unstage()
        # the end of a count does not wait behind the count
        await until(lambda: {*record.history[-2:]} == {("CNT", 0), ("CONT", 1)})
        await until(lambda: record.record["CNT"] == 0)


async def test_a_count_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ScalerRecord()
    record.stuck = True
    monkeypatch.setattr("beamfly.devices.scaler.SPARE_SECONDS", 0.05)
    async with serving(pvs_of(record), monkeypatch):
        scaler = Scaler("X:s", name="scaler")
        await scaler.connect(timeout=30)
        await scaler.preset_time.set(0.0)
        with pytest.raises(TimeoutError):
            await scaler.trigger()
        await scaler.count.set(False)


def test_mock_in_a_live_table() -> None:
    with run_engine() as RE:
        with init_devices(mock=True):
            scaler = Scaler("X:s")
        for n, label in ((1, "time"), (2, "I0"), (5, "It")):
            set_mock_value(scaler.labels[n], label)
            set_mock_value(scaler.counts[n], 100.0 * n)
        table = io.StringIO()
        with redirect_stdout(table):
            RE(bp.count([scaler]), LiveTable(["scaler-time", "scaler-I0", "scaler-It"]))
    text = table.getvalue()
    for word in ("scaler-time", "scaler-I0", "scaler-It", "100.", "200.", "500."):
        assert word in text
    assert "scaler-counts" not in text


def test_in_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ScalerRecord()
    documents: list[tuple[str, Any]] = []
    with serve_in_thread(pvs_of(record), port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        with run_engine() as RE:
            with init_devices():
                scaler = Scaler("X:s")
            RE.subscribe(lambda name, doc: documents.append((name, doc)))

            def plan() -> Any:
                yield from bps.stage(scaler)
                yield from bps.prepare(scaler, TriggerInfo(livetime=3.0), wait=True)
                yield from bps.unstage(scaler)
                yield from bp.count([scaler], 2)

            RE(plan())
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert [event["scaler-I0"] for event in events] == [6000.0, 6000.0]
    (descriptor,) = [doc for name, doc in documents if name == "descriptor"]
    assert descriptor["hints"]["scaler"]["fields"] == [
        "scaler-time",
        "scaler-I0",
        "scaler-It_2",
    ]
    assert record.history[-1] == ("CONT", 1)
