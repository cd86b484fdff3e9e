"""Motor records of the simulated IOC that fly past the simulated PandA's encoder.

Both go by one physics, so what is in the file can be compared, count by count, with
where the motor was at the moments that the PandA says.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import init_devices
from scanspec.specs import Fly, Linspace, Spiral

from beamfly.devices import AnalogIn, HDFPanda, Motor, pv, set_field
from beamfly.devices.motor import MoveEndedEarly, OutsideLimits
from beamfly.errors import BadValue, CADisconnected
from beamfly.hdf import open_columns
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY
from beamfly.plans import fly_motor, fly_spec, match_encoder
from beamfly.plans.lines import lines_of
from beamfly.sim import SimulatedBeamline
from flying import Documents, path_of, run_engine

COUNT = 1e-4
"""Of the encoder, in mm."""


class Rig:
    """The beamline and devices on it."""

    def __init__(self, beamline: SimulatedBeamline, folder: Path) -> None:
        self.beamline = beamline
        with init_devices():
            x, y = Motor("BL:x"), Motor("BL:y")
            panda = HDFPanda(
                f"127.0.0.1:{beamline.panda.control_port}",
                folder,
                data_port=beamline.panda.data_port,
            )
        self.x, self.y = x, y
        self.panda: Any = panda

    def place(self, name: str = "x") -> float:
        """Where an axis is."""
        return self.beamline.ioc.motors[name].axis.position()

    def moves(self, name: str = "x") -> bool:
        return self.beamline.ioc.motors[name].axis.moving()

    def moments(self, seconds: Any) -> Any:
        """Times of PCAP on the clock of the motors."""
        core = self.beamline.panda.core
        pcap = core.machine.blocks["PCAP"].state
        return core.machine.origin + pcap.started / CLOCK_FREQUENCY + np.array(seconds)

    def idle(self) -> bool:
        """Whether PCAP is."""
        return self.beamline.panda.ask("*PCAP.STATUS?")[0].startswith("OK =Idle")


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


@pytest.fixture
def rig(
    RE: RunEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rig]:
    with SimulatedBeamline(ioc_port=0, motors=1) as beamline:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"127.0.0.1:{beamline.ioc.port}")
        rig = Rig(beamline, tmp_path)
        RE(match_encoder(rig.panda, 1, rig.x))
        yield rig
        asyncio.run_coroutine_threadsafe(rig.panda.disconnect(), RE.loop).result(30)


def until(predicate: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def velocity(rig: Rig) -> float:
    return rig.beamline.ioc.value("x.VELO")


def capture_all(rig: Rig) -> Any:
    """Least, most and mean position of each point, and when it began and ended."""
    panda = rig.panda
    yield from bps.mv(panda.inenc[1].val_capture, "Min Max Mean")
    for name in ("start", "end", "trig"):
        yield from bps.mv(getattr(panda.pcap, f"ts_{name}_capture"), "Value")
        yield from bps.mv(getattr(panda.pcap, f"ts_{name}_dataset"), f"t_{name}")


def columns_of(docs: Documents) -> dict[str, Any]:
    """What is in the file of the last run."""
    file = path_of(docs["stream_resource"][-1]["uri"])
    with open_columns(file) as columns:
        return {name: np.array(columns.read(name)) for name in columns}


@pytest.mark.parametrize(
    ("trigger", "start", "stop"),
    [
        ("position", -1.0, 1.0),
        ("position", 1.0, -1.0),
        ("sequence", -1.0, 1.0),
        ("sequence", 1.0, -1.0),
        ("time", -1.0, 1.0),
    ],
)
def test_rows_are_where_the_motor_was(
    RE: RunEngine, rig: Rig, docs: Documents, trigger: Any, start: float, stop: float
) -> None:
    RE(capture_all(rig))
    num, duration = 51, 0.004
    RE(fly_motor(rig.panda, rig.x, start, stop, num, duration, trigger=trigger))
    assert docs.stop["exit_status"] == "success"
    assert docs.rows == num
    data = columns_of(docs)
    assert len(data["x"]) == num
    axis = rig.beamline.ioc.motors["x"].axis
    begins, ends = rig.moments(data["t_start"]), rig.moments(data["t_end"])
    counts = np.sort([axis.counts(begins), axis.counts(ends)], axis=0)
    least, most = np.rint(data["x-min"] / COUNT), np.rint(data["x-max"] / COUNT)
    assert np.abs(least - counts[0]).max() <= 1
    assert np.abs(most - counts[1]).max() <= 1
    middle = axis.position((begins + ends) / 2)
    assert np.abs(data["x"] - middle).max() <= COUNT
    # at constant velocity, and where it was asked for unless time alone triggers
    step = (stop - start) / (num - 1)
    assert np.diff(data["x"]) == pytest.approx(step, abs=1.1 * COUNT)
    if trigger != "time":
        points = np.linspace(start, stop, num)
        assert np.abs(data["x"] - points).max() <= 1.5 * COUNT
    assert np.diff(data["t_start"]) == pytest.approx(duration, abs=2e-4)
    # the velocity is what it was, the bits are down
    until(lambda: velocity(rig) == 20.0)
    assert rig.idle() and rig.beamline.panda.ask("BITS.B?") == ["OK =0"]


@pytest.mark.parametrize("trigger", ["position", "sequence"])
def test_a_motor_with_everything(
    RE: RunEngine, rig: Rig, docs: Documents, trigger: Any
) -> None:
    """Reversed, with an offset, backlash, and a velocity at which it starts at once."""
    fields = {"OFF": 3.0, "BDST": 0.3, "VBAS": 1.0}
    plans = [set_field(rig.x, name, value) for name, value in fields.items()]
    for plan in [*plans, bps.mv(rig.x.direction, "Neg"), bps.mv(rig.x, 2.5)]:
        RE(plan)
    RE(match_encoder(rig.panda, 1, rig.x))
    RE(bps.mv(rig.panda.inenc[1].val_capture, "Min Max Mean"))
    RE(fly_motor(rig.panda, rig.x, 2, 4, 51, 0.01, trigger=trigger))
    data = columns_of(docs)
    assert np.abs(data["x"] - np.linspace(2, 4, 51)).max() <= 1.5 * COUNT
    # counts go down while the motor goes up
    assert data["x-max"][0] == pytest.approx(1.98, abs=2.5 * COUNT)
    assert data["x-min"][0] == pytest.approx(2.02, abs=2.5 * COUNT)


def test_what_the_run_says(RE: RunEngine, rig: Rig, docs: Documents) -> None:
    baseline = bpp.baseline_wrapper(
        fly_motor(rig.panda, rig.x, 0, 1, 11, 0.01, md={"sample": "star"}),
        [rig.x, rig.y, ring_current()],
    )
    RE(baseline)
    (start,) = docs["start"]
    assert start["plan_name"] == "fly_motor"
    assert (start["motors"], start["shape"], start["extents"]) == (
        ["x"],
        [11],
        [[0, 1]],
    )
    assert start["hints"] == {"dimensions": [[["x"], "primary"]]}
    assert start["sample"] == "star"
    key = docs.key("x")
    assert key["units"] == "mm" and key["external"] == "STREAM:"
    assert docs.stop["num_events"] == {"baseline": 2, "primary": 11, "report": 1}
    before, after = [e["data"] for e in docs["event"] if "ring" in e["data"]]
    assert before["x"] == 0.0
    # as far as it takes to slow down from 10 mm/s
    assert after["x"] == pytest.approx(1.75, abs=0.01)
    assert before["ring"] > 0


def ring_current() -> AnalogIn:
    with init_devices():
        ring = AnalogIn("BL:ring:current", name="ring")
    return ring


@pytest.mark.parametrize("trigger", ["position", "sequence"])
def test_line_after_line(
    RE: RunEngine, rig: Rig, docs: Documents, trigger: Any
) -> None:
    spec = Fly(0.005 @ (Linspace(rig.y, 0, 1, 3) * ~Linspace(rig.x, -0.5, 0.5, 11)))
    RE(fly_spec(rig.panda, spec, {rig.x: 1}, trigger=trigger))
    assert docs.stop["exit_status"] == "success"
    line = np.linspace(-0.5, 0.5, 11)
    expected = np.concatenate([line, line[::-1], line])
    assert np.abs(columns_of(docs)["x"] - expected).max() <= 1.5 * COUNT
    (start,) = docs["start"]
    assert (start["shape"], start["motors"]) == ([3, 11], ["y", "x"])
    lines = [e["data"]["y"] for e in docs["event"] if "y" in e["data"]]
    assert lines == [0.0, 0.5, 1.0]


def test_without_an_encoder(RE: RunEngine, rig: Rig, docs: Documents) -> None:
    RE(bps.mv(rig.panda.pcap.ts_trig_capture, "Value"))
    plan = fly_motor(rig.panda, rig.x, 0, 1, 11, 0.01, encoder=None, trigger="time")
    RE(plan)
    assert docs.rows == 11
    with pytest.raises(BadValue, match="trigger='position' needs the encoder"):
        RE(fly_motor(rig.panda, rig.x, 0, 1, 11, 0.01, encoder=None))


# ---- what is refused before anything moves


def slow(rig: Rig) -> Motor:
    """The motor, from now on with a top speed."""
    ioc = rig.beamline.ioc
    ioc.call(lambda: ioc.motors["x"].record.post(VMAX=30.0))
    return rig.x


def refusals(rig: Rig) -> dict[str, tuple[type[Exception], Any]]:
    """Pattern of the message -> its class, and the plan."""
    panda, x, y = rig.panda, rig.x, rig.y
    return {
        r"x \(sample, horizontal\) cannot fly from -1.2500 mm to 100.7500 mm at 50 "
        r"mm/s: to speed up and slow down it needs -3.7500 mm to 103.2500 mm, and its "
        r"soft limits are -100.0000 mm and 100.0000 mm; it was not moved": (
            OutsideLimits,
            # the points are within, the way to slow down is not
            lambda: fly_motor(panda, x, 0, 99.5, 200, 0.01),
        ),
        r"at 50 mm/s: it goes at 0 \(VBAS\) to 30 \(VMAX\); it was not moved": (
            OutsideLimits,
            lambda: fly_motor(panda, slow(rig), 0, 10, 21, 0.01),
        ),
        r"100.1 counts of INENC1.VAL, and PCOMP makes steps of whole counts: go from "
        r"0 to 9.99, or take trigger='sequence'": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 10, 1000, 0.01),
        ),
        r"a point would be 1 counts of INENC1.VAL, and PCOMP needs 2: is its scale of "
        r"0.0001 right\? If not, match_encoder sets it": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 0.01, 101, 0.1),
        ),
        "is no PandA": (BadValue, lambda: fly_motor(x, panda, 0, 1, 11, 0.01)),
        "'x' is no motor of beamfly.devices": (
            BadValue,
            lambda: fly_motor(panda, "x", 0, 1, 11, 0.01),  # type: ignore
        ),
        "from -0.05 to 1.05 that take 0 s cannot be": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 0.0),
        ),
        "that take 0.01 s cannot be": (
            BadValue,
            lambda: fly_motor(panda, x, 0, float("nan"), 11, 0.01),
        ),
        "x would stand still while points are taken": (
            BadValue,
            lambda: fly_motor(panda, x, 1, 1, 11, 0.01),
        ),
        "not a whole number of microseconds": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 1e-2 / 3, trigger="sequence"),
        ),
        "x is at 0.0000 mm, INENC2 of panda at 7.0000 mm: take another encoder, or": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 0.01, encoder=2),
        ),
        r"INENC3 of panda has no scale and units yet: match_encoder\(panda, 3, x\)": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 0.01, encoder=3),
        ),
        "panda has no encoder input INENC9": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 0.01, encoder=9),
        ),
        "panda has no PCOMP7": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 0.01, block=7),
        ),
        "trigger has to be one of position, sequence, time, not 'luck'": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 11, 0.01, trigger="luck"),  # type: ignore
        ),
        "num has to be a whole number, 2 or more, not 1": (
            BadValue,
            lambda: fly_motor(panda, x, 0, 1, 1, 0.01),
        ),
        r"y \(sample, vertical\) was not moved from 0.0000 mm to 200.0000 mm": (
            OutsideLimits,
            lambda: fly_spec(
                panda,
                Fly(0.01 @ (Linspace(y, 0, 200, 2) * Linspace(x, 0, 1, 11))),
                {x: 1},
            ),
        ),
        "y and x move at the same time": (
            BadValue,
            lambda: fly_spec(
                panda, Fly(0.01 @ Linspace(y, 0, 1, 11).zip(Linspace(x, 0, 1, 11)))
            ),
        ),
        "says no time per point": (
            BadValue,
            lambda: fly_spec(panda, Linspace(x, 0, 1, 11)),
        ),
        "would stand still while points are taken: put the spec into Fly": (
            BadValue,
            lambda: fly_spec(panda, 0.01 @ Linspace(x, 0, 1, 11)),
        ),
    }


def test_what_is_refused_before_anything_moves(
    RE: RunEngine, rig: Rig, docs: Documents
) -> None:
    other = rig.panda.inenc[2]
    RE(bps.mv(other.val_offset, 7.0, other.val_scale, COUNT))
    moved = rig.beamline.stage.axes["x"].revision
    for pattern, (error, plan) in refusals(rig).items():
        with pytest.raises(error, match=pattern):
            RE(plan())
        assert docs["start"] == [], pattern
    assert rig.beamline.stage.axes["x"].revision == moved


def test_a_scale_that_is_wrong(RE: RunEngine, rig: Rig, docs: Documents) -> None:
    """It agrees where the motor was, and no longer where the flight begins."""
    RE(bps.mv(rig.panda.inenc[1].val_scale, -COUNT))
    text = "x is at 4.2500 mm, INENC1 of panda at -4.2500 mm: .*; no point was taken"
    with pytest.raises(BadValue, match=text):
        RE(fly_motor(rig.panda, rig.x, 5, 6, 11, 0.01))
    assert docs.stop["exit_status"] == "fail"
    until(lambda: velocity(rig) == 20.0)


def test_lines_of_other_specs() -> None:
    with pytest.raises(BadValue, match="move at the same time"):
        lines_of(Fly(0.1 @ Spiral("y", 0, 2, 0.5, "x", 0, 2)))
    uneven = Fly(Linspace("x", 0, 1, 3).concat(Linspace("x", 1.75, 3.25, 4)))
    with pytest.raises(BadValue, match="no time"):
        lines_of(uneven)
    (line,) = lines_of(Fly(0.5 @ Linspace("x", 4, 0, 5)))
    assert (line.begin, line.end, line.step, line.num) == (4.5, -0.5, -1.0, 5)
    assert (line.speed, line.direction, line.seconds) == (2.0, -1.0, 2.5)


# ---- flights that are interrupted


def in_the_middle(rig: Rig, act: Callable[[], Any]) -> None:
    """Do something in another thread when some rows have come."""

    def wait() -> None:
        until(lambda: rig.panda.data.session.progress.rows_written > 10)
        act()

    threading.Thread(target=wait).start()


def check_landed(
    rig: Rig, docs: Documents, status: str, within: float = 1.5 * COUNT
) -> None:
    """The motor rests on its way, with its velocity; the file has the rows so far."""
    assert docs.stop["exit_status"] == status
    until(lambda: not rig.moves())
    assert -4.9 < rig.place() < 4.9
    until(lambda: velocity(rig) == 20.0)
    assert rig.idle()
    rows = columns_of(docs)["x"]
    assert 10 < docs.rows == len(rows) < 1001
    assert np.abs(rows - (-5 + np.arange(len(rows)) * 0.01)).max() <= within


def long_flight(rig: Rig) -> Any:
    """Ten seconds, if it is let."""
    return fly_motor(rig.panda, rig.x, -5, 5, 1001, 0.01, flush_period=0.1)


def test_ctrl_c_twice(RE: RunEngine, rig: Rig, docs: Documents) -> None:
    def interrupt() -> None:
        for _ in range(2):
            threading.Event().wait(0.15)
            os.kill(os.getpid(), signal.SIGINT)

    in_the_middle(rig, interrupt)
    with pytest.raises(RunEngineInterrupted):
        RE(long_flight(rig))
    check_landed(rig, docs, "abort")


def test_an_abort(RE: RunEngine, rig: Rig, docs: Documents) -> None:
    in_the_middle(rig, lambda: RE.abort("wrong sample"))
    try:
        RE(long_flight(rig))
    except RunEngineInterrupted:
        pass
    check_landed(rig, docs, "abort")


def test_somebody_stops_the_motor(RE: RunEngine, rig: Rig, docs: Documents) -> None:
    """Points that do not come are waited for, and the reason tells where it is."""
    record = rig.beamline.ioc.motors["x"]
    in_the_middle(
        rig,
        lambda: rig.beamline.ioc.call(
            lambda: record.axis.stop(record.setup.pace(20, 0.1))
        ),
    )
    text = r"x \(sample, horizontal\) is at -\d.\d+ mm, not at 5.\d+ mm: somebody has"
    with pytest.raises(MoveEndedEarly, match=text) as failure:
        RE(long_flight(rig))
    assert docs.stop["reason"] == str(failure.value)
    # points that are passed while it slows down are means over uneven motion
    check_landed(rig, docs, "fail", within=50 * COUNT)


def test_the_ioc_goes_away(
    RE: RunEngine, rig: Rig, docs: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beamfly.devices.motor.STOP_SECONDS", 0.5)
    monkeypatch.setattr("beamfly.devices.ca_lost.RECONNECT_SECONDS", 0.5)
    in_the_middle(rig, lambda: rig.beamline.ioc.__exit__())
    with pytest.raises(CADisconnected, match="BL:x") as failure:
        RE(long_flight(rig))
    assert docs.stop["exit_status"] == "fail"
    assert docs.stop["reason"] == str(failure.value)
    assert rig.idle() and docs.rows > 10


# ---- step scans of the same motors


def test_step_scan_with_pvs_and_baseline(
    RE: RunEngine, rig: Rig, docs: Documents
) -> None:
    with init_devices():
        ring = pv("BL:ring:current", "ring")
        temperature = AnalogIn("BL:temp:readback", name="temperature")
        m1 = Motor("BL:m1", name="m1")
    scan = bp.scan([ring, temperature], rig.x, -1, 1, rig.y, 0, 2, num=5)
    RE(bpp.baseline_wrapper(scan, [m1]))
    streams = {d["uid"]: d["name"] for d in docs["descriptor"]}
    rows = [e["data"] for e in docs["event"] if streams[e["descriptor"]] == "primary"]
    assert [row["x"] for row in rows] == [-1, -0.5, 0, 0.5, 1]
    assert [row["y"] for row in rows] == [0, 0.5, 1, 1.5, 2]
    assert all(row["ring"] > 0 and "temperature" in row for row in rows)
    assert docs.stop["num_events"] == {"baseline": 2, "primary": 5}
