"""SPEC's scans in a RunEngine: points, count time, limits, extras, breaks."""

import asyncio
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import FailedStatus, MsgGenerator
from ophyd_async.core import SignalRW, init_devices, soft_signal_rw

from beamfly.errors import BadValue
from beamfly.spec import Spec
from flying import Documents


def events(docs: Documents, stream: str = "primary") -> list[dict[str, Any]]:
    """The data of a stream."""
    uids = {d["uid"] for d in docs["descriptor"] if d["name"] == stream}
    return [event["data"] for event in docs["event"] if event["descriptor"] in uids]


@pytest.fixture
def spec(diode: Any) -> Spec:
    return Spec([diode])


@pytest.fixture
def current(RE: RunEngine) -> SignalRW[float]:
    with init_devices():
        current = soft_signal_rw(float, 100.0, name="current")
    return current


def test_ascan_counts_at_each_point(
    RE: RunEngine,
    docs: Documents,
    spec: Spec,
    x: Any,
    diode: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = RE(spec.ascan(x, 0, 1, 10, 0.05, md={"sample": "copper"}))
    assert result.plan_result == docs["start"][0]["uid"]
    assert [event["x"] for event in events(docs)] == pytest.approx(
        np.linspace(0, 1, 11).tolist()
    )
    assert diode.times == [0.05] * 11
    start = docs["start"][0]
    assert start["scan"] == "ascan x 0 1 10 0.05" and start["plan_name"] == "ascan"
    assert start["motors"] == ["x"] and start["num_points"] == 11
    assert start["hints"]["dimensions"] == [(["x"], "primary")]
    assert start["sample"] == "copper" and start["detectors"] == ["diode"]
    told = capsys.readouterr().out
    assert told == "ascan x 0 1 10 0.05: 11 points of 0.05 s, 0.55 s of counting\n"


def test_each_point_may_have_its_own_time(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, diode: Any
) -> None:
    RE(spec.ascan(x, 0, 1, num=3, time=[0.01, 0.02, 0.02]))
    assert diode.times == [0.01, 0.02, 0.02]
    RE(spec.ascan(x, 0, 1, 1))
    assert diode.times[3:] == [0.02, 0.02], "without a time it stays as it is"


def test_relative_scan_goes_back(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, y: Any
) -> None:
    RE(spec.mv(x, 2, y, 5))
    RE(spec.d2scan(x, -1, 1, y, 0, 2, 2, 0.01))
    assert [(e["x"], e["y"]) for e in events(docs)] == [(1, 5), (2, 6), (3, 7)]
    assert x.sent[-1] == 2 and y.sent[-1] == 5
    assert docs["start"][0]["extents"] == [[1, 3], [5, 7]]


def test_relative_scan_goes_back_when_it_fails(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, diode: Any
) -> None:
    RE(spec.mv(x, 3))

    plan = spec.lup(x, -1, 1, 4, 0.01, extra=[_Failing(diode)])
    with pytest.raises((OSError, FailedStatus)):
        RE(plan)
    assert docs.stop["exit_status"] == "fail"
    assert x.sent[-1] == 3


class _Failing:
    """Fails at the third point."""

    parent, name = None, "shutter"

    def __init__(self, diode: Any) -> None:
        self._diode = diode

    async def read(self) -> dict[str, Any]:
        if len(self._diode.times) == 3:
            raise OSError("the shutter fell")
        return {"shutter": {"value": 1, "timestamp": 0.0}}

    async def describe(self) -> dict[str, Any]:
        return {"shutter": {"source": "test", "dtype": "integer", "shape": []}}


def test_mesh_has_the_first_motor_fast(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, y: Any
) -> None:
    RE(spec.mesh(x, 0, 1, 2, y, 0, 1, 1, 0.01))
    points = [(event["x"], event["y"]) for event in events(docs)]
    assert points == [(0, 0), (0.5, 0), (1, 0), (0, 1), (0.5, 1), (1, 1)]
    assert y.sent == [0, 1], "the slow motor moves once a row"


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (
            lambda spec, x, y: spec.ascan(x, 0, 11, 10, 0.1),
            "ascan x 0 11 10 0.1 was not started, nothing moved: point 11 of 11 is x "
            "at 11, but x goes from -10 to 10 mm",
        ),
        (
            lambda spec, x, y: spec.mesh(x, 0, 1, 2, y, 0, 20, 2, 0.1),
            "mesh x 0 1 2 y 0 20 2 0.1 was not started, nothing moved: point 7 of 9 is "
            "y at 20, but y goes from -10 to 10 mm",
        ),
        (
            lambda spec, x, y: spec.dscan(y, -11, 0, 1, 0.1),
            "dscan y -11 0 1 0.1 was not started, nothing moved: point 1 of 2 is y at "
            "-11, but y goes from -10 to 10 mm",
        ),
        (
            lambda spec, x, y: spec.mv(x, 1, y, 12),
            "mv x 1 y 12 was not started, nothing moved: y at 12, but y goes from -10 "
            "to 10 mm",
        ),
    ],
)
def test_every_point_is_checked_before_anything_moves(
    RE: RunEngine,
    docs: Documents,
    spec: Spec,
    x: Any,
    y: Any,
    plan: Callable[..., Any],
    sentence: str,
) -> None:
    with pytest.raises(BadValue) as error:
        RE(plan(spec, x, y))
    assert str(error.value) == sentence
    assert x.sent == y.sent == [] and not docs["start"]


def test_signal_has_limits_too(RE: RunEngine, docs: Documents, spec: Spec) -> None:
    class Limited:
        """A signal as Channel Access has it."""

        name, parent = "gap", None

        async def describe(self) -> dict[str, Any]:
            return {"gap": {"limits": {"control": {"low": 5.0, "high": 50.0}}}}

        def set(self, value: float) -> Any:
            raise AssertionError("it must not move")

    with pytest.raises(BadValue, match=r"gap at 4, but its control limits are 5\.0"):
        RE(spec.ascan(Limited(), 4, 20, 10, 0.1))
    assert not docs["start"]


def test_detector_that_cannot_be_told_the_time_is_named(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, bare: Any, current: Any
) -> None:
    with pytest.raises(BadValue, match="bare cannot be told how long to count"):
        RE(spec.ascan(x, 0, 1, 2, 0.1, extra=[bare]))
    assert x.sent == [] and not docs["start"]
    RE(spec.ascan(x, 0, 1, 2, extra=[bare, current]))
    assert [event["current"] for event in events(docs)] == [100.0] * 3


def test_extras_are_read_at_the_ends_and_at_breaks(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, y: Any, current: Any
) -> None:
    spec.extras = [current]
    broken: list[float] = []

    def at_break() -> MsgGenerator[None]:
        broken.append((yield from bps.rd(x)))

    RE(spec.ascan(x, 0, 9, 9, 0.01, breaks=4, at_break=at_break))
    assert len(events(docs, "extras")) == 4
    assert broken == [3, 7]
    docs.clear()
    RE(spec.mesh(x, 0, 1, 2, y, 0, 1, 2, 0.01, breaks="row"))
    assert len(events(docs, "extras")) == 4
    order = [e["descriptor"] for e in docs["event"]]
    extras = next(d["uid"] for d in docs["descriptor"] if d["name"] == "extras")
    assert [i for i, uid in enumerate(order) if uid == extras] == [0, 4, 8, 12]


def test_pause_takes_no_point_and_no_extra_twice(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, current: Any
) -> None:
    """Rewinding repeats a point under its number; it must not repeat a break."""
    spec.extras = [current]
    paused: list[int] = []

    def pause_once() -> MsgGenerator[None]:
        if not paused:
            paused.append(1)
            yield from bps.pause()

    with pytest.raises(Exception, match=r"RE\.resume"):
        RE(spec.ascan(x, 0, 3, 3, 0.01, breaks=2, at_break=pause_once))
    RE.resume()
    assert [event["x"] for event in events(docs)] == [0, 1, 2, 3]
    assert len(events(docs, "extras")) == 4, "the break was read again, the points not"


def test_counting(
    RE: RunEngine, docs: Documents, spec: Spec, diode: Any, current: Any
) -> None:
    spec.extras = [current]
    RE(spec.ct(0.2))
    assert diode.times == [0.2] and len(events(docs, "extras")) == 2
    assert docs["start"][0]["scan"] == "ct 0.2"
    RE(spec.loopscan(3, 0.1))
    assert diode.times[1:] == [0.1] * 3
    with pytest.raises(BadValue, match="monitor counts"):
        RE(spec.ct(-5))
    with pytest.raises(BadValue, match=r"no detectors, see spec\.detectors"):
        RE(Spec().ct(1))
    with pytest.raises(BadValue, match="1 point or more"):
        RE(spec.loopscan(0, 1))


def test_moves(RE: RunEngine, spec: Spec, x: Any, y: Any) -> None:
    RE(spec.mv(x, 1, y, 2))
    RE(spec.mvr(x, 0.5))
    RE(spec.umvr(x, -2.5, y, 1))
    RE(spec.umv(y, 0))
    assert x.sent == [1, 1.5, -1] and y.sent == [2, 3, 0]
    for wrong in ((), (x,), (x, "a"), (1, 2)):
        with pytest.raises(BadValue, match="mv motor position"):
            RE(spec.mv(*wrong))


def test_th2th_moves_th_by_half(
    RE: RunEngine, docs: Documents, spec: Spec, x: Any, y: Any
) -> None:
    with pytest.raises(BadValue, match=r"th2th -1 1 2 0.01: spec\.th is not set"):
        RE(spec.th2th(-1, 1, 2, 0.01))
    spec.th, spec.tth = x, y
    RE(spec.mv(x, 2, y, 4))
    RE(spec.th2th(-1, 1, 2, 0.01))
    assert [(e["x"], e["y"]) for e in events(docs)] == [(1.5, 3), (2, 4), (2.5, 5)]
    assert x.sent[-1] == 2 and y.sent[-1] == 4
    assert docs["start"][0]["scan"] == "th2th -1 1 2 0.01"


def test_unknown_option_lists_those_that_are(RE: RunEngine, spec: Spec, x: Any) -> None:
    with pytest.raises(BadValue, match="no option speed, there are time, num, extra"):
        RE(spec.ascan(x, 0, 1, 2, 0.1, speed=3))


def test_tweaking(
    RE: RunEngine, spec: Spec, x: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["", "-", "0.5", "what", "", "100", "", "q"])
    prompts: list[str] = []

    async def answer(msg: Any) -> str:
        prompts.append(msg.kwargs["prompt"])
        await asyncio.sleep(0)
        return next(answers)

    RE.register_command("input", answer)
    RE(spec.tw(x, 0.1))
    assert x.sent == pytest.approx([0.1, 0.0, -0.5])
    assert prompts[0] == "x at 0, step 0.1 (+ - number q): "
    told = capsys.readouterr().out
    assert "+ or - to go" in told and "x at -100.5, but x goes from -10 to 10" in told
