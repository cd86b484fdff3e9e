"""A session on a beamline from a TOML file, some of which answers."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bluesky.run_engine import RunEngine, call_in_bluesky_event_loop
from ophyd_async.core import NotConnectedError

from beamfly.catalog import Catalog
from beamfly.errors import BadValue
from beamfly.hdf import inspect
from beamfly.ipython import beamline
from beamfly.ipython.devices import Devices, Wanted, reason_of
from beamfly.ipython.magics import Magics
from beamfly.sim import SimulatedBeamline

TEXT = """
name = "BL99"
[data]
catalog = "runs"
files = "{{catalog}}/{{date}}/{{scan_id:05}}_{{device}}_{{uid}}"
[metadata]
proposal = "2026-17"
[epics]
address_list = "127.0.0.1:{ioc}"
auto_address_list = false
[connect]
timeout = 3.0
[pandas.panda]
host = "127.0.0.1"
control_port = {control}
data_port = {data}
[pandas.gone]
host = "127.0.0.1"
control_port = 1
[devices.theta]
class = "Motor"
pv = "BL:m1"
[devices.phi]
class = "Motor"
pv = "BL:nowhere"
[devices.ring]
class = "Signal"
pv = "BL:ring:current"
type = "text"
"""


@pytest.fixture
def sim() -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline(ioc_port=0) as sim:
        yield sim


@pytest.fixture
def names(
    sim: SimulatedBeamline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    path = tmp_path / "beamline.toml"
    ports = (sim.ioc.port, sim.panda.control_port, sim.panda.data_port)
    path.write_text(TEXT.format(ioc=ports[0], control=ports[1], data=ports[2]))
    for name in ("EPICS_CA_ADDR_LIST", "EPICS_CA_AUTO_ADDR_LIST"):
        monkeypatch.setenv(name, "")  # is put back afterwards
    names = beamline(path)
    assert gc.get_freeze_count() > 0
    yield names
    # other tests in this process want to see what they leave behind
    gc.unfreeze()
    RE: RunEngine = names["RE"]
    if "panda" in names:
        call_in_bluesky_event_loop(names["panda"].disconnect(), timeout=10)
    names["live"].off()
    asyncio.run_coroutine_threadsafe(_stop(), RE.loop).result(30)
    RE.loop.call_soon_threadsafe(RE.loop.stop)
    RE._th.join(30)
    RE.loop.close()


async def _stop() -> None:
    """Close what lives as long as the loop."""
    from beamfly.ca import purge_channel_caches

    purge_channel_caches()


def test_what_answers_is_there_and_the_rest_is_told(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert {"panda", "theta"} <= set(names)
    assert not {"gone", "phi", "ring"} & set(names)
    devices = names["devices"]
    assert set(devices) == {"panda", "theta"}
    assert devices.theta is devices["theta"] is names["theta"]
    assert "theta" in dir(devices)
    assert set(devices.missing) == {"gone", "phi", "ring"}
    assert "127.0.0.1:1 cannot be reached" in devices.missing["gone"]
    assert devices.missing["phi"] == (
        "ca://BL:nowhere.EGU was not found within 3.0 s (and 25 more PVs)"
    )
    table = {line.split()[0]: line for line in repr(devices).splitlines()}
    assert table["theta"].endswith("connected")
    assert "Motor" in table["phi"]
    with pytest.raises(AttributeError, match="phi did not connect: ca://BL:nowhere"):
        _ = devices.phi
    with pytest.raises(AttributeError, match="there is no device 'chi'"):
        _ = devices.chi

    names["reconnect"]()
    said = capsys.readouterr().out
    assert "connected: nothing" in said
    assert "phi (Motor BL:nowhere) did not connect: ca://BL:nowhere.EGU" in said

    RE, bps, panda = names["RE"], names["bps"], names["panda"]
    RE(bps.mv(panda.counter[1].out_capture, "Value"))
    uids = RE(names["fly"](names["panda"], num=20, trigger="internal", livetime=1e-3))
    RE(names["scan"]([names["panda"]], names["theta"], 0, 0.1, 2))
    runs = Catalog(tmp_path / "runs")
    start = runs[uids[0]].metadata["start"]
    assert start["scan_id"] == 1
    assert (start["beamline_id"], start["proposal"]) == ("BL99", "2026-17")
    files = sorted((tmp_path / "runs").glob("*/*.h5"))
    assert [path.name[:12] for path in files] == ["00001_panda_", "00002_panda_"]
    assert inspect(files[0]).rows == 20
    assert names["db"].v2[-1].primary["data"]["theta"].shape == (2,)


class FakeDevice:
    name = "fake"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def connect(self, timeout: float) -> None:
        if self.error is not None:
            raise self.error


async def test_a_device_that_comes_back() -> None:
    device = FakeDevice(NotConnectedError("it is off"))
    devices = Devices([Wanted("fake", "Fake", "here", lambda: device)], 0.1)
    assert await devices.connect() == {}
    assert devices.missing == {"fake": "it is off"}
    assert devices.complaints() == ["fake (Fake here) did not connect: it is off"]
    device.error = None
    assert await devices.connect() == {"fake": device}
    assert await devices.connect() == {}
    assert devices.missing == {}
    assert repr(devices) == "fake  Fake  here  connected"


async def test_a_device_that_cannot_be_made() -> None:
    def make() -> Any:
        raise BadValue("that is no host")

    devices = Devices([Wanted("fake", "Fake", "", make)], 0.1)
    await devices.connect()
    assert devices.complaints() == ["fake (Fake) did not connect: that is no host"]
    assert repr(Devices([])) == "no devices"


def test_reasons_are_short() -> None:
    one, two = NotConnectedError("a is off"), NotConnectedError("b is off")
    assert reason_of(NotConnectedError({"a": one})) == "a is off"
    nested = NotConnectedError({"x": NotConnectedError({"a": one, "b": two})})
    assert reason_of(nested) == "a is off (and 1 more PV)"
    assert reason_of(TimeoutError()) == "it did not answer in time"
    assert reason_of(ValueError()) == "ValueError"


class Busy:
    state = "paused"


def test_a_magic_leaves_a_paused_run_alone() -> None:
    magics = Magics(Busy(), SimpleNamespace(user_ns={"x": 5}))  # type: ignore[arg-type]
    with pytest.raises(BadValue, match="x cannot be moved; nothing was moved"):
        magics.mov("x 1")
    with pytest.raises(BadValue, match=r"the RunEngine is paused: RE\.resume\(\)"):
        magics._run([])
