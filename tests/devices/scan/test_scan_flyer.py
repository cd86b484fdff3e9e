"""Flyers of a scan server without a RunEngine: types of data, protocols, readings."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import bluesky.protocols as bs
import numpy as np
import pytest
from bluesky.utils import NoReplayAllowed

from beamfly.ca.asyncio import Client
from beamfly.ca.default_client import purge_channel_caches
from beamfly.ca.pv import PV
from beamfly.devices import scan_flight
from beamfly.devices.scan_channels import CaChannels
from beamfly.devices.scan_flight import ScanFlyer
from beamfly.devices.scan_flyer import ScanServerFlyer
from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
from beamfly.devices.scan_plan import ScanPlan
from beamfly.errors import BadValue, ScanFailed, ScanServerDisconnected
from beamfly.scan import ConfigLog, Delay, Log, Loop, Set, Wait
from beamfly.scan.config import ScanConfig
from beamfly.scan.sequence import submission
from beamfly.scan.server import ScanServer
from ca.c_ioc import free_port
from devices.ca.ca_rig import serving

PVS = {
    "BL:M": PV(1.5, units="mm", precision=3),
    "BL:N": PV(7),
    "BL:MODE": PV(1, states=("Idle", "Run")),
    "BL:NAME": PV("007"),
    "BL:PATH": PV("/a", type="char", length=20),
    "BL:WF": PV(np.array([1.0, 2.0]), length=5),
}


@asynccontextmanager
async def flying(
    channels: CaChannels | None = None, **options: Any
) -> AsyncIterator[tuple[ScanServerFlyer, ScanServer]]:
    """A connected flyer and its server."""
    async with ScanServer(ScanConfig(port=0), channels=channels) as server:
        flyer = ScanServerFlyer("127.0.0.1", server.port, "scan", **options)
        await flyer.connect()
        await flyer.stage()
        yield flyer, server
        await flyer.unstage()


@pytest.fixture
async def ca(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CaChannels]:
    """PVs for scan servers; the flyer's own client finds them, too."""
    async with serving(dict(PVS), monkeypatch), Client() as client:
        yield CaChannels(client)
        purge_channel_caches()


async def fly(flyer: ScanFlyer, scan: Any) -> dict[str, list[Any]]:
    """All rows of a scan, by data key."""
    await flyer.prepare(scan)
    await flyer.kickoff()
    await flyer.complete()
    assert isinstance(flyer, ScanServerFlyer)
    data: dict[str, list[Any]] = {}
    for page in flyer.collect_pages():
        assert set(page["data"]) == set(page["timestamps"])
        assert set(page["data"]) == set(await flyer.describe_collect())
        for key, values in page["data"].items():
            data.setdefault(key.removeprefix("scan-"), []).extend(values)
    return data


async def test_types_and_units_are_those_of_the_pvs(ca: CaChannels):
    devices = [*PVS, 'loc://t("x")', "loc://n<VLong>(3)", "sim://const(4)"]
    devices += ["loc://wf(1, 2, 3)", 'loc://e<VEnum>(1, "Off", "On")']
    async with flying(ca) as (flyer, _):
        data = await fly(flyer, [Log(*devices), Log(*devices)])
        keys = await flyer.describe_collect()
    types = {k.removeprefix("scan-"): (v["dtype"], v["shape"]) for k, v in keys.items()}
    assert types == {
        "serial": ("integer", []),
        "BL:M": ("number", []),
        "BL:N": ("integer", []),
        "BL:MODE": ("string", []),
        "BL:NAME": ("string", []),
        "BL:PATH": ("string", []),
        "BL:WF": ("array", [2]),
        "t": ("string", []),
        "n": ("integer", []),
        "const": ("number", []),
        "wf": ("array", [3]),
        "e": ("string", []),
    }
    assert keys["scan-BL:M"]["units"] == "mm"
    assert keys["scan-BL:M"]["precision"] == 3
    assert keys["scan-BL:M"]["source"] == "ca://BL:M"
    assert keys["scan-BL:MODE"]["choices"] == ["Idle", "Run"]
    assert keys["scan-e"]["choices"] == ["Off", "On"]
    assert {key: values[0] for key, values in data.items()} == {
        "serial": 0,
        "BL:M": 1.5,
        "BL:N": 7,
        "BL:MODE": "Run",
        "BL:NAME": "007",
        "BL:PATH": "/a",
        "BL:WF": [1.0, 2.0],
        "t": "x",
        "n": 3,
        "const": 4.0,
        "wf": [1, 2, 3],
        "e": "On",
    }
    assert isinstance(data["BL:N"][0], int)


async def test_an_integer_that_is_not_in_every_row_is_a_number(ca: CaChannels):
    async with flying(ca) as (flyer, _):
        data = await fly(flyer, [Log("BL:M"), Log("BL:N")])
        keys = await flyer.describe_collect()
    assert keys["scan-BL:N"]["dtype"] == "number"
    assert math.isnan(data["BL:N"][0])
    assert data["BL:N"][1] == 7
    assert data["BL:M"] == [1.5, 1.5]


async def test_pvs_that_cannot_be_asked_are_numbers_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
):
    """Only the scan server can reach them."""
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{free_port()}")
    async with flying(describe_timeout=0.05) as (flyer, _):
        types: dict[str, type] = {"B": str, "C": int}
        plan = ScanPlan([Log("A", "B", "C")], dtypes=types, check=False)
        await flyer.prepare(plan)
        keys = await flyer.describe_collect()
        with pytest.raises(BadValue, match="A can be float, int, str or list"):
            await flyer.prepare(ScanPlan([Log("A")], dtypes={"A": dict}))
    purge_channel_caches()
    assert [key["dtype"] for key in keys.values()] == [
        "integer",
        "number",
        "string",
        "integer",
    ]


async def test_automatic_logs_are_columns(ca: CaChannels):
    async with flying(ca) as (flyer, _):
        data = await fly(
            flyer,
            [
                ConfigLog(True),
                Set("loc://a(0)", 3),
                Set("loc://b(0)", 4, readback=True),
            ],
        )
    assert data["a"] == [3, 3]
    assert data["b"][1] == 4


async def test_what_included_files_log_is_told_of(
    caplog: pytest.LogCaptureFixture,
):
    async with flying() as (flyer, _):
        plan = ScanPlan([Log("loc://a(1)", "loc://b(2)")], columns=["loc://a(1)"])
        data = await fly(flyer, plan)
        assert flyer.unexpected == {"loc://b(2)"}
    assert data["a"] == [1]
    assert "loc://b(2) is logged by the scan and is in no column" in caplog.text


async def test_reading_it_tells_what_the_scan_does():
    async with flying() as (flyer, server):
        await flyer.prepare([Log("loc://a(1)"), Delay(0.1)])
        before = await flyer.read()
        assert before["scan-state"]["value"] == ""
        await flyer.kickoff()
        await flyer.complete()
        reading = {key: item["value"] for key, item in (await flyer.read()).items()}
        assert reading["scan-state"] == "Finished"
        assert reading["scan-rows"] == 1
        assert reading["scan-scan_id"] == server.engine.infos()[0].id
        assert await flyer.progress.get_value() == 100
        config = await flyer.read_configuration()
        assert "loc://a(1)" in config["scan-commands"]["value"]
        assert config["scan-server"]["value"] == f"http://127.0.0.1:{server.port}"


async def test_progress_can_be_watched():
    updates: list[dict[str, Any]] = []
    async with flying() as (flyer, _):
        await flyer.prepare([Loop("loc://i(0)", 1, 20, 1, Delay(0.02))])
        await flyer.kickoff()
        status = flyer.complete()
        status.watch(lambda **update: updates.append(update))
        await status
    assert updates[-1]["target"] == 20
    assert updates[-1]["name"] == "scan"
    assert 0 < updates[-1]["current"] <= 20
    assert any(update.get("time_remaining", 0) > 0 for update in updates)


async def test_kicking_off_twice_submits_once():
    async with flying() as (flyer, server):
        await flyer.prepare([Delay(0.1)])
        await asyncio.gather(flyer.kickoff(), flyer.kickoff())
        await flyer.kickoff()
        await flyer.complete()
        assert len(server.engine.infos()) == 1


async def test_prepared_again_it_flies_again():
    async with flying() as (flyer, server):
        for value in (1, 2):
            scan = [Set("loc://a(0)", value), Log("loc://a(0)")]
            assert (await fly(flyer, scan))["a"] == [value]
        assert len(server.engine.infos()) == 2


async def test_a_busy_flyer_is_not_prepared():
    async with flying() as (flyer, _):
        await flyer.prepare([Delay(10)])
        await flyer.kickoff()
        with pytest.raises(BadValue, match="scan is busy with scan 1"):
            await flyer.prepare([Delay(1)])


async def test_out_of_order():
    async with flying() as (flyer, _):
        with pytest.raises(BadValue, match="scan is not prepared"):
            await flyer.kickoff()
        with pytest.raises(BadValue, match="was not kicked off"):
            await flyer.complete()
        # nothing to pause is no reason against replaying
        await flyer.pause()
        await flyer.resume()


async def test_nothing_is_collected_before_anything_is_submitted():
    async with flying() as (flyer, _):
        with pytest.raises(BadValue, match="scan is not prepared"):
            flyer.collect_pages()
        await flyer.prepare([Log("loc://a(1)")])
        assert list(flyer.collect_pages()) == []


async def test_a_preparation_that_is_overtaken_by_another(
    monkeypatch: pytest.MonkeyPatch,
):
    """After a pause a RunEngine prepares again, whatever became of the first time."""
    describe, late = scan_flight.describe_columns, asyncio.Event()

    async def describe_late(names: Any, *arguments: Any) -> Any:
        if "loc://slow(1)" in names:
            await late.wait()
        return await describe(names, *arguments)

    monkeypatch.setattr(scan_flight, "describe_columns", describe_late)
    async with flying() as (flyer, _):
        overtaken = flyer.prepare([Log("loc://slow(1)")])
        await flyer.prepare([Log("loc://quick(2)")])
        await flyer.kickoff()
        late.set()
        await overtaken
        await flyer.complete()
        assert list(await flyer.describe_collect()) == ["scan-serial", "scan-quick"]


async def test_pause_and_resume_reach_the_server():
    async with flying() as (flyer, server):
        delays = Loop("loc://i(0)", 1, 10, 1, Delay(0.02))
        await flyer.prepare([delays, Wait("loc://end(0)", 1)])
        await flyer.kickoff()
        with pytest.raises(NoReplayAllowed):
            await flyer.pause()
        assert server.engine.infos()[0].state == "Paused"
        assert await flyer.state.get_value() == "Paused"
        await flyer.resume()
        end = submission([Set("loc://end(0)", 1)])
        server.engine.submit(end, server.now(), queue=False)
        server._wake()
        await flyer.complete()
        assert server.engine.infos()[-1].state == "Finished"


@pytest.mark.parametrize("way", ["stop", "unstage", "stage"])
async def test_it_does_not_leave_a_scan_behind(way: str):
    async with flying() as (flyer, server):
        await flyer.prepare([Delay(100)])
        await flyer.kickoff()
        done = flyer.complete()
        await getattr(flyer, way)()
        assert server.engine.infos()[0].state == "Aborted"
        # who has asked for the end is not told of it as a failure
        await done


async def test_failures_have_the_reason_of_the_server():
    async with flying() as (flyer, _):
        await flyer.prepare([Wait("loc://a(1)", 5, timeout=0.01)])
        await flyer.kickoff()
        with pytest.raises(ScanFailed, match=r"loc://a\(1\) \(1.0\) = 5.0"):
            await flyer.complete()
        assert isinstance(flyer.failure, ScanFailed)
        assert "= 5.0" in await flyer.error.get_value()


async def test_a_server_that_is_not_there():
    flyer = ScanServerFlyer("127.0.0.1", free_port(), "scan")
    with pytest.raises(ScanServerDisconnected, match="Failed to reach"):
        await flyer.connect()


async def test_in_mock_mode_there_is_no_server():
    flyer = ScanServerFlyer("nowhere:1", name="scan")
    await flyer.connect(mock=True)
    await flyer.stage()
    await flyer.prepare([Log("loc://a(1)")])
    assert "scan-a" in await flyer.describe_collect()
    await flyer.unstage()


def test_protocols(tmp_path):
    pages = ScanServerFlyer(name="a")
    file = ScanServerHdfFlyer("localhost:4811", tmp_path, name="b")
    assert (file.host, file.port) == ("localhost", 4811)
    for flyer in (pages, file):
        for protocol in (
            *(bs.Preparable, bs.Flyable, bs.Stageable, bs.Pausable, bs.Stoppable),
            *(bs.HasHints, bs.Readable, bs.Configurable, bs.Collectable),
        ):
            assert isinstance(flyer, protocol), protocol
    assert isinstance(pages, bs.EventPageCollectable)
    assert not isinstance(pages, bs.WritesStreamAssets)
    assert isinstance(file, bs.WritesStreamAssets)
    assert not isinstance(file, bs.EventPageCollectable)


async def test_servers_that_are_not_ours_have_all_rows_in_the_end():
    """Their last row may be half written while the scan runs, so it comes later."""
    async with flying() as (flyer, server):
        flyer._ours = False
        body = [Log("loc://i(0)"), Delay(0.02)]
        await flyer.prepare([Loop("loc://i(0)", 1, 20, 1, body)])
        await flyer.kickoff()
        done = flyer.complete()
        rows: list[int] = []
        while not done.done:
            for page in flyer.collect_pages():
                rows += page["data"]["scan-i"]
            last = server.engine.last_serial(1)
            over = server.engine.info(1).isDone()
            # all but the last, whatever is still under way
            assert len(rows) <= last + 1 - (not over)
            await asyncio.sleep(0.01)
        for page in flyer.collect_pages():
            rows += page["data"]["scan-i"]
    assert rows == list(range(1, 21))
