"""The simulated camera: under ophyd-async's own SimDetector, and by its PVs."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider
from ophyd_async.epics.adcore import ADWriterFactory, NDStatsIO, PluginSignalDataLogic
from ophyd_async.epics.adsimdetector import SimDetector

from beamfly.ca import Client, Config
from beamfly.devices import Motor, use_native_ca
from beamfly.errors import CARefused
from beamfly.sim import SimulatedBeamline
from flying import Documents, run_engine

PATIENCE = 30.0


@pytest.fixture
def beamline(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline(ioc_port=0, motors=0) as made:
        address = f"127.0.0.1:{made.ioc.port}"
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", address)
        yield made


@pytest.fixture
async def put(beamline: SimulatedBeamline) -> Any:
    """A coroutine that puts and waits."""
    address = ("127.0.0.1", beamline.ioc.port)
    async with Client(Config(addresses=(address,), auto_addresses=False)) as client:

        async def do(name: str, value: Any, wait: bool = True) -> None:
            channel = client.channel(f"BL:cam:{name}")
            if isinstance(value, Path):
                # too long for a string of Channel Access
                value = list(f"{value}\0".encode())
            await channel.put(value, wait=wait, timeout=PATIENCE)

        yield do


def value(beamline: SimulatedBeamline, name: str) -> Any:
    return beamline.ioc.value(f"cam:{name}")


def text(beamline: SimulatedBeamline, name: str) -> str:
    return bytes(value(beamline, name)).partition(b"\0")[0].decode()


async def until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, "it never was so"
        await asyncio.sleep(0.005)


def test_sim_detector_of_ophyd_async_writes_files_in_a_scan(
    beamline: SimulatedBeamline, tmp_path: Path
) -> None:
    paths = StaticPathProvider(
        StaticFilenameProvider("spots"), tmp_path / "new", create_dir_depth=-1
    )
    with run_engine() as RE:
        with use_native_ca():
            stats = NDStatsIO("BL:cam:Stats1:")
            hdf = ADWriterFactory.hdf(paths)
            camera = SimDetector("BL:cam:", hdf, plugins={"stats": stats}, name="cam")
            camera.add_detector_logics(
                PluginSignalDataLogic(camera.driver, stats.total)
            )
        x = Motor("BL:x", name="x")

        async def connect() -> None:
            for device in (camera, x):
                await device.connect(timeout=PATIENCE)

        call_in_bluesky_event_loop(connect())
        assert camera.driver.acquire.source.startswith("ca://")
        documents = Documents()
        result = RE(bp.scan([camera], x, -4, 4, 3), documents)
    assert result.exit_status == "success"
    (descriptor,) = documents["descriptor"]
    assert descriptor["data_keys"]["cam"]["shape"] == [1, 48, 64]
    assert descriptor["data_keys"]["cam"]["dtype_numpy"] == "<u2"
    totals = [event["data"]["cam-stats-total"] for event in documents["event"]]
    with h5py.File(tmp_path / "new" / "spots.h5") as file:
        images = file["entry/data/data"][:]
        ids = file["entry/instrument/NDAttributes/NDArrayUniqueId"][:]
        stamps = file["entry/instrument/NDAttributes/NDArrayTimeStamp"][:]
    assert images.shape == (3, 48, 64)
    assert images.sum((1, 2)).tolist() == totals
    assert np.diff(ids).tolist() == [1, 1]
    assert np.all(np.diff(stamps) > 0)
    assert abs(stamps[-1] + 631152000 - time.time()) < 60
    # 4 pixels per mm
    light = np.maximum(images.astype(float) - 60, 0)
    centres = (light.sum(1) @ np.arange(64)) / light.sum((1, 2))
    np.testing.assert_allclose(centres, [16, 32, 48], atol=1)


async def test_acquire_is_complete_when_all_images_are_taken(
    beamline: SimulatedBeamline, put: Any
) -> None:
    await put("cam1:AcquireTime", 0.001)
    await put("cam1:AcquirePeriod", 0.002)
    await put("cam1:NumImages", 5)
    await put("cam1:Acquire", 1)
    assert value(beamline, "cam1:NumImagesCounter_RBV") == 5
    assert value(beamline, "cam1:Acquire_RBV") == 0
    assert value(beamline, "cam1:DetectorState_RBV") == 0
    await put("cam1:ImageMode", "Single")
    await put("cam1:Acquire", 1)
    assert value(beamline, "cam1:ArrayCounter_RBV") == 6
    image = value(beamline, "image1:ArrayData")
    assert image.sum() == value(beamline, "Stats1:Total_RBV")
    assert value(beamline, "Stats1:CentroidX_RBV") == pytest.approx(32, abs=2)


async def test_it_goes_on_until_it_is_stopped(
    beamline: SimulatedBeamline, put: Any
) -> None:
    await put("cam1:AcquireTime", 0.001)
    await put("cam1:AcquirePeriod", 0.002)
    await put("cam1:ImageMode", "Continuous")
    await put("cam1:Acquire", 1, wait=False)
    await until(lambda: value(beamline, "cam1:NumImagesCounter_RBV") > 3)
    assert value(beamline, "cam1:DetectorState_RBV") == 1
    await put("cam1:Acquire", 0)
    assert value(beamline, "cam1:DetectorState_RBV") == 0


async def test_without_beam_the_spot_is_gone(
    beamline: SimulatedBeamline, put: Any
) -> None:
    camera = beamline.ioc.camera
    bright = camera.image(beamline.stage.now(), 0.05)
    assert bright[20:28, 28:36].mean() > 500
    beamline.stage.act(lambda now: beamline.stage.beam.ring.set(0.0, now))
    dark = camera.image(beamline.stage.now(), 0.05)
    assert dark.max() < 60
    assert dark.mean() == pytest.approx(20, rel=0.1)


async def test_captures_as_many_as_it_is_told(
    beamline: SimulatedBeamline, put: Any, tmp_path: Path
) -> None:
    await put("HDF1:FilePath", tmp_path)
    assert text(beamline, "HDF1:FilePath_RBV") == f"{tmp_path}/"
    assert value(beamline, "HDF1:FilePathExists_RBV") == 1
    await put("HDF1:FileName", "run")
    await put("HDF1:NumCapture", 3)
    await put("HDF1:Capture", 1, wait=False)
    await until(lambda: value(beamline, "HDF1:Capture_RBV") == 1)
    await put("cam1:AcquireTime", 0.001)
    await put("cam1:AcquirePeriod", 0.001)
    await put("cam1:NumImages", 5)
    await put("cam1:Acquire", 1)
    assert value(beamline, "HDF1:NumCaptured_RBV") == 3
    assert value(beamline, "HDF1:Capture_RBV") == 0
    assert value(beamline, "HDF1:FileNumber") == 1
    name = text(beamline, "HDF1:FullFileName_RBV")
    assert name == f"{tmp_path}/run_000.h5"
    with h5py.File(name) as file:
        assert file["entry/data/data"].shape == (3, 48, 64)


async def test_a_file_that_cannot_be_written_is_said_so(
    beamline: SimulatedBeamline, put: Any, tmp_path: Path
) -> None:
    await put("HDF1:FilePath", tmp_path / "missing")
    assert value(beamline, "HDF1:FilePathExists_RBV") == 0
    await put("HDF1:Capture", 1, wait=False)
    await until(lambda: value(beamline, "HDF1:Capture_RBV") == 1)
    await put("cam1:Acquire", 1)
    assert value(beamline, "HDF1:WriteStatus_RBV") == 1
    assert "missing" in text(beamline, "HDF1:WriteMessage_RBV")
    assert value(beamline, "HDF1:Capture_RBV") == 0
    # not lazily: at once
    await put("HDF1:LazyOpen", 0)
    await put("HDF1:Capture", 1)
    assert value(beamline, "HDF1:Capture_RBV") == 0


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("cam1:AcquireTime", 0.0),
        ("cam1:NumImages", -1),
        ("HDF1:FileTemplate", "%s%d"),
        ("HDF1:Compression", "zlib"),
    ],
)
async def test_what_cannot_be_set(
    beamline: SimulatedBeamline, put: Any, name: str, bad: Any
) -> None:
    before = value(beamline, f"{name}_RBV")
    with pytest.raises(CARefused):
        await put(name, bad)
    assert np.array_equal(value(beamline, f"{name}_RBV"), before)


async def test_a_file_is_closed_when_the_beamline_ends(tmp_path: Path) -> None:
    with SimulatedBeamline(ioc_port=0, motors=0) as beamline:
        ioc, hdf = beamline.ioc, beamline.ioc.camera.hdf

        def begin() -> None:
            hdf.area.post(FilePath=f"{tmp_path}/", FileName="x", Capture=1)
            image = np.zeros((48, 64), np.uint16)
            hdf.take(image, 1, 0.0)

        ioc.call(begin)
    with h5py.File(tmp_path / "x_000.h5", "r+") as file:
        assert len(file["entry/data/data"]) == 1
