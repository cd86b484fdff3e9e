"""Specs and plans as commands: they go through exactly the same points."""

import asyncio
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky.utils import Msg
from hypothesis import given, settings
from hypothesis import strategies as st
from scanspec.specs import (
    Concat,
    Ellipse,
    Fly,
    Linspace,
    Range,
    Spec,
    Spiral,
    Squash,
    Static,
    Zip,
)

from beamfly.devices import Motor, ca_signal_rw
from beamfly.devices.scan_plan import Contents
from beamfly.errors import BadValue
from beamfly.plans.scan_specs import scan_from_spec
from beamfly.plans.scan_steps import scan_from_plan
from beamfly.scan import (
    CommandSequence,
    Delay,
    Log,
    Loop,
    Parallel,
    ScanSettings,
    Set,
    getScanSettings,
    setScanSettings,
)
from scan.scan_rig import Rig

X, Y, Z = "loc://x(0)", "loc://y(0)", "loc://z(0)"


def executed(commands: list[Any]) -> list[tuple[float, ...]]:
    """What the engine logs, device by device in the order of the first `Log`."""
    rig = Rig()
    number = rig.submit(CommandSequence(commands).genSCN().decode())
    assert rig.wait(number, 1e6)["state"] == "Finished"
    data = rig.data(number)
    columns = [[float(value) for _, value in data[name]] for name in sorted(data)]
    return list(zip(*columns, strict=True))


def points(spec: Spec[str]) -> list[tuple[float, ...]]:
    """What scanspec says, axes in the same order."""
    return [tuple(float(p[axis]) for axis in sorted(p)) for p in spec.midpoints()]


def check(spec: Spec[str], loops: bool) -> list[Any]:
    commands = scan_from_spec(spec)
    got, wanted = executed(commands), points(spec)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)
    text = CommandSequence(commands).genSCN()
    assert (b"<loop>" in text) is loops
    return commands


@pytest.mark.parametrize(
    "spec",
    [
        Linspace(X, 1, 2, 5),
        Linspace(X, 2, 1, 5),
        Linspace(X, 1, 1.1, 2),
        Range(X, 0, 1, 0.3),
        Linspace(Y, 0, 1, 3) * Linspace(X, 1, 2, 4),
        Linspace(Y, 0, 1, 3) * ~Linspace(X, 1, 2, 4),
        Linspace(Y, 0, 1, 3) * ~Linspace(X, 2, 1, 4),
        Linspace(Z, 0, 1, 3) * ~Linspace(Y, 5, 0, 2) * ~Linspace(X, 1, 2, 4),
        ~Linspace(X, 1, 2, 4),
        3 * Linspace(X, 1, 2, 4),
        3 * ~Linspace(X, 1, 2, 4),
        Linspace(X, 1, 2, 4) * 2,
        Static(X, 4, 3),
        Linspace(Y, 0, 1, 2) * Static(X, 7),
        Fly(0.1 @ (Linspace(Y, 0, 1, 3) * ~Linspace(X, 1, 2, 4))),
    ],
    ids=lambda spec: repr(spec)[:60],
)
def test_lines_and_their_products_are_loops(spec: Spec[str]):
    check(spec, loops=True)


@pytest.mark.parametrize(
    "spec",
    [
        Linspace(X, 1, 1, 1),
        Zip(Linspace(X, 1, 2, 4), Linspace(Y, 5, 6, 4)),
        Linspace(Z, 0, 1, 2) * Zip(Linspace(X, 1, 2, 4), Linspace(Y, 5, 6, 4)),
        Concat(Linspace(X, 1, 2, 3), Linspace(X, 7, 9, 2)),
        Concat(Linspace(X, 1, 2, 3), Linspace(X, 7, 9, 2)) * ~Linspace(Y, 1, 2, 3),
        Squash(Linspace(Y, 0, 1, 3) * ~Linspace(X, 1, 2, 4)),
        ~(Linspace(Y, 0, 1, 3) * Linspace(X, 1, 2, 4)),
        Spiral(X, 0, 2, 0.5, Y, 0, 2),
        Ellipse(X, 0, 2, 0.5, Y, 0, 2, 0.5),
    ],
    ids=lambda spec: repr(spec)[:60],
)
def test_anything_else_is_written_out(spec: Spec[str]):
    check(spec, loops=False)


ends = st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 3))


@settings(deadline=None, max_examples=60)
@given(ends, ends, st.integers(1, 9), ends, ends, st.integers(1, 6), st.booleans())
def test_any_grid_has_its_points(a, b, n, c, d, m, snake):
    inner = Linspace(X, a, b, n)
    spec = Linspace(Y, c, d, m) * (~inner if snake else inner)
    got = executed(scan_from_spec(spec))
    wanted = points(spec)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)
    assert Contents.of(scan_from_spec(spec)).rows == n * m


def test_durations_are_delays_in_front_of_each_log():
    (loop,) = scan_from_spec(0.5 @ Linspace(X, 1, 2, 3), [Y])
    assert isinstance(loop, Loop)
    assert loop.body == [Delay(0.5), Log(X, Y)]
    spec = Concat(0.1 @ Linspace(X, 1, 2, 2), 0.2 @ Linspace(X, 3, 4, 2))
    delays = [c.seconds for c in scan_from_spec(spec) if isinstance(c, Delay)]
    assert delays == [0.1, 0.1, 0.2, 0.2]


def test_commands_at_each_point():
    (loop,) = scan_from_spec(Linspace(X, 1, 2, 3), at_point=[Set("go", 1)])
    assert loop.body == [Set("go", 1), Log(X)]
    (loop,) = scan_from_spec(Linspace(X, 1, 2, 3), log_axes=False)
    assert loop.body == []


@pytest.fixture
def site() -> Iterator[None]:
    """Motors of a site that has settings for them."""

    class Site(ScanSettings):
        def __init__(self) -> None:
            super().__init__()
            self.defineDeviceClass("BL:.*", completion=True, readback=True)

        def getReadbackName(self, device_name: str) -> str:  # noqa: N802
            return f"{device_name}.RBV"

    before = getScanSettings()
    setScanSettings(Site())
    yield
    setScanSettings(before)


def test_settings_of_the_site_say_how_devices_are_moved(site: None):
    (loop,) = scan_from_spec(Linspace("BL:X", 1, 2, 3), ["BL:DET"])
    assert loop == Loop(
        "BL:X", 1, 2, 0.5, Log("BL:X.RBV", "BL:DET"), completion=True,
        readback="BL:X.RBV", tolerance=0.05,
    )  # fmt: skip


def test_devices_are_axes():
    motor, signal = Motor("BL:M1", name="m1"), ca_signal_rw(float, "BL:S", name="s")
    (loop,) = scan_from_spec(Linspace(motor, 1, 2, 3) * Linspace(signal, 0, 1, 2))
    assert (loop.device, loop.completion) == ("BL:M1.VAL", True)
    assert loop.body[0].device == "BL:S"
    assert loop.body[0].body == [Log("BL:M1.RBV", "BL:S")]


def test_axes_without_a_pv():
    axis = object()
    with pytest.raises(BadValue, match="say pvs="):
        scan_from_spec(Linspace(axis, 1, 2, 3))
    (loop,) = scan_from_spec(Linspace(axis, 1, 2, 3), pvs={axis: X})
    assert loop.device == X


def test_too_many_points_to_be_written_out():
    spec = Zip(Linspace(X, 1, 2, 101), Linspace(Y, 5, 6, 101))
    with pytest.raises(BadValue, match="101 points and no loops"):
        scan_from_spec(spec, most_points=100)


# plans


@pytest.fixture
async def signals() -> list[Any]:
    return [ca_signal_rw(float, f"BL:{name}", name=name.lower()) for name in "XYD"]


def test_a_step_scan(signals: list[Any]):
    x, _, d = signals
    assert scan_from_plan(bp.scan([d], x, 1, 3, 3)) == [
        command
        for value in (1.0, 2.0, 3.0)
        for command in (Set("BL:X", value, completion=True), Log("BL:D", "BL:X"))
    ]


def test_axes_that_move_together(signals: list[Any]):
    x, y, d = signals
    first, log, *_ = scan_from_plan(bp.list_scan([d], x, [1, 2], y, [3, 4]))
    assert first == Parallel(
        Set("BL:X", 1, completion=True), Set("BL:Y", 3, completion=True)
    )
    assert log == Log("BL:D", "BL:X", "BL:Y")


def test_a_grid(signals: list[Any]):
    x, y, d = signals
    commands = scan_from_plan(bp.grid_scan([d], y, 0, 1, 2, x, 0, 1, 3, True))
    assert sum(isinstance(command, Log) for command in commands) == 6


def test_plan_stubs(signals: list[Any]):
    x, _, d = signals

    def plan():
        yield from bps.open_run()
        yield from bps.mv(x, 5)
        yield from bps.sleep(0.5)
        yield from bps.create()
        yield from bps.read(d)
        yield from bps.save()
        yield from bps.abs_set(x, 0)
        yield from bps.close_run()

    assert scan_from_plan(plan()) == [
        Set("BL:X", 5, completion=True),
        Delay(0.5),
        Log("BL:D"),
        Set("BL:X", 0, completion=True),
    ]


def test_detectors_that_need_a_trigger(signals: list[Any]):
    x, _, d = signals

    def plan():
        yield from bps.trigger(x, wait=True)
        yield from bps.create()
        yield from bps.read(d)
        yield from bps.save()

    with pytest.raises(BadValue, match=r"'trigger' of x .*say triggers="):
        scan_from_plan(plan())
    assert scan_from_plan(plan(), triggers={x: "BL:GO"})[0] == Set(
        "BL:GO", 1, completion=True
    )


def refused(plan: Any) -> str:
    with pytest.raises(BadValue) as caught:
        scan_from_plan(plan)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def iter_of(message: Msg):
    yield message


def test_what_cannot_be_converted(signals: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("beamfly.plans.scan_steps.MOST_COMMANDS", 100)
    x, _, d = signals
    assert "'monitor' of d" in refused(bps.monitor(d))
    assert "'kickoff'" in refused(iter_of(Msg("kickoff", d)))
    assert "'subscribe'" in refused(bps.subscribe("all", print))
    assert "'wait_for'" in refused(bps.wait_for([asyncio.sleep]))

    def overlapping():
        yield from bps.abs_set(x, 1, group="later")
        yield from bps.create()
        yield from bps.wait("later")

    assert "while something still moves" in refused(overlapping())

    def adaptive():
        value = yield from bps.rd(d)
        yield from bps.mv(x, value)

    assert "depends on" in refused(adaptive())
    assert "cannot be converted" in refused(
        bp.adaptive_scan([d], "d", x, 0, 1, 0.1, 1, 1, True)
    )

    def looking():
        yield from bps.create()
        reading = yield from bps.read(d)
        yield from bps.mv(x, reading["d"]["value"])

    assert "without readings it ends with KeyError" in refused(looking())

    def endless():
        while True:
            yield from bps.sleep(1)

    assert "no end" in refused(endless())
    assert "say pvs=" in refused(bps.mv(Nameless(), 1))


class Nameless:
    name = "thing"
    parent = None

    def set(self, value):
        raise AssertionError("nothing moves while a plan is converted")

    def stop(self, success=True): ...


def test_relative_plans_are_refused(signals: list[Any]):
    x, _, d = signals
    assert "cannot be converted" in refused(bp.rel_scan([d], x, -1, 1, 3))
