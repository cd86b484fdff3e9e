"""Count time on a PandA and a scaler; fly twins; where to go after a scan."""

from typing import Any

import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import init_devices, set_mock_value

from beamfly.devices import Scaler
from beamfly.errors import BadValue
from beamfly.sim.beamline import BeamlineDevices, wire
from beamfly.spec import PandaFlights, Spec
from flying import Documents


@pytest.fixture
def spec(RE: RunEngine, beamline: BeamlineDevices) -> Spec:
    """Counts with the PandA, and flies."""
    flights = PandaFlights(
        beamline.panda,
        {beamline.x: 1, beamline.y: 2},
        beamline.flyer,
        setup=lambda: wire(beamline),
    )
    spec = Spec([beamline.panda], flights=flights)
    spec.counter = "photons"
    RE.subscribe(spec.last)
    RE(wire(beamline))
    return spec


def test_panda_exposes_for_the_count_time(
    RE: RunEngine, docs: Documents, spec: Spec, beamline: BeamlineDevices
) -> None:
    RE(spec.ascan(beamline.x, 0, 0.2, num=3, time=[0.02, 0.02, 0.06]))
    gate = docs.read("panda-PCAP-GATE_DURATION-Value")
    assert len(gate) == 3 and docs.rows == 3
    # the times are those of this computer: never shorter, but longer if it is busy
    assert all(0.0199 < seconds for seconds in gate[:2]) and gate[2] > 0.0599
    assert [event["data"]["x"] for event in docs["event"]] == pytest.approx(
        [0, 0.1, 0.2]
    )
    assert spec.last.newest()["x_encoder"] == pytest.approx(0.2)


def test_scaler_gets_its_preset(
    RE: RunEngine, docs: Documents, x: Any, diode: Any
) -> None:
    with init_devices(mock=True):
        scaler = Scaler("BL:SCALER", nchan=2)
    set_mock_value(scaler.labels[1], "I0")
    RE(Spec([scaler, diode]).ascan(x, 0, 1, 2, 0.25))
    (descriptor,) = docs["descriptor"]
    assert descriptor["configuration"]["scaler"]["data"]["scaler-preset_time"] == 0.25
    assert "scaler-I0" in docs["event"][0]["data"] and diode.times == [0.25] * 3


def test_fascan_takes_frames_where_ascan_takes_points(
    RE: RunEngine, docs: Documents, spec: Spec, beamline: BeamlineDevices
) -> None:
    result = RE(spec.fascan(beamline.x, -1, 1, 100, 0.001))
    assert result.plan_result == docs["start"][0]["uid"]
    assert docs.rows == 101
    encoder = docs.read("x_encoder")
    np.testing.assert_allclose(encoder, np.linspace(-1, 1, 101), atol=0.002)
    assert docs["start"][0]["scan"] == "fascan x -1 1 100 0.001"
    assert docs["start"][0]["num_points"] == 101
    peak = spec.last.peak("x_encoder")
    np.testing.assert_allclose(peak.y, peak.x, atol=0.002)


def test_fmesh_goes_there_and_back(
    RE: RunEngine, docs: Documents, spec: Spec, beamline: BeamlineDevices
) -> None:
    RE(spec.fmesh(beamline.x, 0, 1, 20, beamline.y, 0, 1, 2, 0.001))
    assert docs.rows == 63 and docs["start"][0]["shape"] == [3, 21]
    line = np.linspace(0, 1, 21)
    there_and_back = np.concatenate([line, line[::-1], line])
    np.testing.assert_allclose(docs.read("x_encoder"), there_and_back, atol=0.003)
    np.testing.assert_allclose(
        docs.read("y_encoder"), np.repeat([0, 0.5, 1], 21), atol=0.003
    )


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ((0, 100, 100, 0.001), "point 102 of 102 is x at 100.5, but x goes from -100"),
        ((0, 1, 100), "a flight needs one count time"),
    ],
)
def test_flight_is_checked_first(
    RE: RunEngine,
    docs: Documents,
    spec: Spec,
    beamline: BeamlineDevices,
    args: tuple[float, ...],
    problem: str,
) -> None:
    with pytest.raises(BadValue) as error:
        RE(spec.fascan(beamline.x, *args))
    assert problem in str(error.value) and not docs["start"]


def test_without_something_to_fly_with_it_says_so(RE: RunEngine, x: Any) -> None:
    with pytest.raises(BadValue, match=r"nothing is set up to fly, see spec\.flights"):
        RE(Spec().fascan(x, 0, 1, 100, 0.001))


def test_cen_after_a_flight(
    RE: RunEngine, spec: Spec, beamline: BeamlineDevices, docs: Documents
) -> None:
    RE(spec.mv(beamline.y, 1))
    RE(spec.fascan(beamline.x, -4.5, -3.5, 100, 0.002))
    RE(spec.cen())
    assert beamline.x.mechanics.axes["x"].position(1e12) == pytest.approx(
        -3.92, abs=0.05
    )


def last_position(motor: Any) -> float:
    return float(motor.sent[-1])


def test_after_a_scan_of_a_peak(
    RE: RunEngine, diode: Any, x: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The peak of the diode is at 0.3."""
    spec = Spec([diode])
    RE.subscribe(spec.last)
    RE(spec.ascan(x, -1, 2, 30, 0.1))
    for name in ("cen", "pic", "com"):
        RE(getattr(spec, name)())
        assert last_position(x) == pytest.approx(0.3, abs=0.05)
    told = capsys.readouterr().out
    assert (
        "cen of diode-counts in scan 1 (ascan x -1 2 30 0.1): x from 2 to 0.3" in told
    )


def test_it_does_not_go_where_there_is_no_peak(
    RE: RunEngine, diode: Any, x: Any, y: Any
) -> None:
    spec = Spec([diode])
    with pytest.raises(BadValue, match="there was no scan yet"):
        RE(spec.cen())
    RE.subscribe(spec.last)
    RE(spec.ascan(x, -1, 0, 10, 0.1))
    sent = len(x.sent)
    for plan, problem in (
        (spec.pic(), "diode-counts is highest at the edge"),
        (spec.cen(), "has 1 flanks, not 2"),
        (spec.cen("I0"), "has no counter 'I0': diode-counts"),
    ):
        with pytest.raises(BadValue, match="nothing was moved") as error:
            RE(plan)
        assert problem in str(error.value)
    RE(spec.ascan(x, 3, 3.1, 1, 0.1))
    with pytest.raises(BadValue, match="2 points of diode-counts make no peak"):
        RE(spec.com())
    RE(spec.a2scan(x, 0, 1, y, 0, 1, 2, 0.1))
    with pytest.raises(BadValue, match="moved x and y: it takes a scan of one motor"):
        RE(spec.cen())
    RE(spec.ct(0.1))
    with pytest.raises(BadValue, match="moved no motor"):
        RE(spec.cen())
    assert len(x.sent) == sent + 5
