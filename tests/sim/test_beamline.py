"""The simulated beamline, flown and stepped through Bluesky."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.run_engine import call_in_bluesky_event_loop

from beamfly.errors import BadValue
from beamfly.sim import BeamlineDevices, SimulatedBeamline, fly_map, wire
from beamfly.sim.sample import photon_rate
from flying import run_engine

NAMES = ("x_encoder", "y_encoder", "photons", "time_since_arm")


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


@pytest.fixture
def beamline() -> Iterator[SimulatedBeamline]:
    with SimulatedBeamline() as made:
        yield made


@pytest.fixture
def devices(
    RE: RunEngine, beamline: SimulatedBeamline, tmp_path: Path
) -> Iterator[BeamlineDevices]:
    made = beamline.devices(tmp_path)

    async def run(action: Callable[[], Any]) -> None:
        await action()

    call_in_bluesky_event_loop(run(made.connect))
    yield made
    call_in_bluesky_event_loop(run(made.panda.disconnect))


def columns(path: Path) -> dict[str, Any]:
    (file,) = path.glob("*.h5")
    with h5py.File(file) as h5:
        return {name: h5[name][:] for name in NAMES}


def test_map_hits_every_point(
    RE: RunEngine, devices: BeamlineDevices, tmp_path: Path
) -> None:
    result = RE(fly_map(devices, shape=(4, 25), size=(8, 10)))
    assert result.exit_status == "success"
    data = columns(tmp_path)
    x, y = data["x_encoder"].reshape(4, 25), data["y_encoder"].reshape(4, 25)
    expected = np.linspace(-4.8, 4.8, 25)
    for line in range(4):
        wanted = expected[:: -1 if line % 2 else 1]
        # 0.1 um per count; the mean of a gate is a count off its middle at most
        np.testing.assert_allclose(x[line], wanted, atol=1e-2)
    np.testing.assert_allclose(y.mean(1), [-3, -1, 1, 3], atol=1e-4)
    assert np.all(np.diff(data["time_since_arm"]) > 4.99e-4)


@pytest.mark.parametrize("shape", [(1, 20), (20, 1)])
def test_map_of_one_line(
    RE: RunEngine, devices: BeamlineDevices, tmp_path: Path, shape: tuple[int, int]
) -> None:
    starts: list[dict[str, Any]] = []
    result = RE(
        fly_map(devices, shape=shape, size=(8, 10)),
        {"start": [lambda _, doc: starts.append(doc)]},
    )
    assert result.exit_status == "success"
    assert starts[0]["shape"] == list(shape)
    assert starts[0]["snaking"] == [False, False]
    data = columns(tmp_path)
    half = [4 * (1 - 1 / shape[0]), 5 * (1 - 1 / shape[1])]
    for axis, end, count in zip(("y", "x"), half, shape, strict=True):
        wanted = np.linspace(-end, end, count) if count > 1 else np.zeros(20)
        np.testing.assert_allclose(data[f"{axis}_encoder"], wanted, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 1), (0, 10), (10, 0), (-1, -5)])
def test_map_without_points(
    RE: RunEngine, devices: BeamlineDevices, shape: tuple[int, int]
) -> None:
    text = f"a map of {shape[0]} x {shape[1]} points is no flight.* nothing was moved"
    with pytest.raises(BadValue, match=text):
        RE(fly_map(devices, shape=shape))


def test_photons_are_those_of_the_sample(
    RE: RunEngine, devices: BeamlineDevices, tmp_path: Path
) -> None:
    RE(fly_map(devices, shape=(3, 40)))
    data = columns(tmp_path)
    along = np.linspace(-0.125, 0.125, 51)[:, np.newaxis]
    rates = photon_rate(data["x_encoder"] + along, data["y_encoder"] + 0 * along)
    expected = np.trapezoid(rates, along, axis=0) / 0.25 * 4.95e-4
    # whole photons; the gate is 1 % shorter than a point
    assert np.abs(data["photons"] - expected).max() < 3
    assert data["photons"].max() > 4 * data["photons"].min()


def test_panda_and_axes_step_together(
    RE: RunEngine, devices: BeamlineDevices, tmp_path: Path
) -> None:
    seen: list[float] = []

    def remember(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            seen.append(doc["data"]["x"])

    RE(wire(devices))
    RE(bp.scan([devices.panda], devices.x, -0.1, 0.1, 3), remember)
    np.testing.assert_allclose(seen, [-0.1, 0.0, 0.1], atol=1e-6)
    # no point has anything of the position before it
    encoder = columns(tmp_path)["x_encoder"]
    np.testing.assert_allclose(encoder, seen, atol=1e-4)


def test_a_move_beyond_the_stage_is_refused(
    RE: RunEngine, devices: BeamlineDevices
) -> None:
    with pytest.raises(Exception) as caught:
        RE(bps.mv(devices.x, 1000))
    chain = [caught.value, caught.value.__cause__, *caught.value.args]
    assert any(
        isinstance(error, BadValue) and "not moved" in str(error) for error in chain
    )
    assert devices.x.mechanics.axes["x"].position(0) == 0
