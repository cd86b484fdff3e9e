"""Flights of a simulated PandA and of ophyd-async's own detectors, shown live."""

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback
from ophyd_async.core import (
    DetectorTrigger,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
)
from ophyd_async.sim import PatternGenerator, SimBlobDetector, SimMotor

from beamfly.catalog.jsonl import Line, encode
from beamfly.devices import HDFPanda
from beamfly.live import LiveFlight, StreamEvents, follow
from beamfly.plans import fly
from flying import Hand

COUNTER = "panda-COUNTER1-OUT-Value"


def when_complete(RE: RunEngine, act: Any) -> None:
    """Have `act` called when the flight waits for its end."""

    def hook(msg: Any) -> None:
        if msg.command == "complete":
            RE.msg_hook = None
            act()

    RE.msg_hook = hook


@pytest.fixture
def blob(RE: RunEngine, tmp_path: Path) -> SimBlobDetector:
    where = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        blob = SimBlobDetector(where, PatternGenerator())
    return blob


class Steps:
    """Documents, with the threads that brought them."""

    def __init__(self) -> None:
        self.docs: list[tuple[str, Any]] = []

    def __call__(self, name: str, doc: Any) -> None:
        self.docs.append((name, doc))

    def __getitem__(self, name: str) -> list[Any]:
        return [doc for kind, doc in self.docs if kind == name]


def test_a_panda_is_followed_by_its_own_clock(
    RE: RunEngine,
    panda: HDFPanda,
    hand: Hand,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    live, seen = LiveFlight(picture=tmp_path / "live.png"), Steps()
    RE.subscribe(live)
    events = StreamEvents(seen)
    RE.subscribe(events)
    when_complete(RE, lambda: hand.pulse(300))
    RE(fly(panda, num=300))
    assert live.wait(30)
    assert events.wait(30)
    stats = live.stats["panda"]
    assert (stats.frames, stats.expected, stats.missed) == (300, 300, 0)
    assert stats.hardware_time
    assert stats.rate_mean == pytest.approx(10_000, rel=1e-3)
    assert stats.end_reason == "Disarmed"
    assert stats.backlog_s is not None
    assert (tmp_path / "live.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    # told once, by the plan
    assert stats.summary().endswith(f"(1e+04 Hz), missed 0, {stats.path}")
    assert out.count("panda: 300 of 300") == 1
    assert Path(stats.path).exists()
    assert [doc["name"] for doc in seen["descriptor"]] == ["primary", "report"]
    flown = [event for event in seen["event"] if COUNTER in event["data"]]
    assert flown[0]["data"] == {COUNTER: pytest.approx(0.5)}
    assert flown[-1]["data"] == {COUNTER: pytest.approx(150)}
    # the clock counts from when it was armed
    assert abs(flown[0]["time"] - time.time()) < 60
    assert flown[-1]["time"] - flown[0]["time"] == pytest.approx(0.0299, abs=1e-6)


def test_the_table_of_best_effort_callback_is_filled(
    RE: RunEngine,
    panda: HDFPanda,
    hand: Hand,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import matplotlib.pyplot as plt

    bec = BestEffortCallback()
    RE.subscribe(bec)
    live = follow(RE, best_effort=bec)
    when_complete(RE, lambda: hand.pulse(20))
    RE(fly(panda, num=20))
    assert live.wait(30)
    out = capsys.readouterr().out
    assert out.count("New stream: 'primary'") == 1
    rows = [line for line in out.splitlines() if line.startswith("|  ")]
    assert COUNTER in rows[0]
    assert rows[1].split("|")[3].strip() == "0.500"
    assert rows[-1].split("|")[1].strip() == "20"
    assert rows[-1].split("|")[3].strip() == "10.000"
    assert plt.get_fignums() == []
    assert live.stats["panda"].frames == 20
    assert bec.noplot_streams == ["baseline"]
    live.off()
    live.off()
    RE(bp.count([]))
    assert capsys.readouterr().out.count("Transient Scan ID: 2") == 1


def test_a_reader_that_is_slow_holds_nobody_up(
    RE: RunEngine, panda: HDFPanda, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beamfly.live.flight.PATIENCE", 0.1)
    entered, leave = threading.Event(), threading.Event()

    def stuck(name: str, doc: Any) -> None:
        if name == "event":
            entered.set()
            assert leave.wait(30)

    live = LiveFlight(callbacks=[stuck])
    RE.subscribe(live)

    def pulses() -> None:
        for _ in range(20):
            hand.pulse(50)

    when_complete(RE, pulses)
    RE(fly(panda, num=1000, flush_period=0.05))
    assert entered.is_set()
    assert not live.wait(0)
    leave.set()
    assert live.wait(30)
    assert live.stats["panda"].frames == 1000


def test_a_callback_that_raises_does_not_stop_the_scan(
    RE: RunEngine, panda: HDFPanda, hand: Hand, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str, doc: Any) -> None:
        raise RuntimeError(f"no {name}")

    live = LiveFlight(callbacks=[broken])
    RE.subscribe(live)
    when_complete(RE, lambda: hand.pulse(10))
    result = RE(fly(panda, num=10))
    assert result.exit_status == "success"
    assert live.wait(30)
    out = capsys.readouterr().out
    assert out.count("(RuntimeError: no start); the scan goes on") == 1
    assert "panda: 10 of 10 frames" in out


def test_a_flight_that_fails_is_told_with_its_reason(
    RE: RunEngine, panda: HDFPanda, hand: Hand, capsys: pytest.CaptureFixture[str]
) -> None:
    live = LiveFlight()
    RE.subscribe(live)

    def pulse_and_drop() -> None:
        hand.pulse(7)
        hand.drop()

    when_complete(RE, pulse_and_drop)
    with pytest.raises(Exception, match="after 7 of 10 rows"):
        RE(fly(panda, num=10))
    assert live.wait(30)
    assert live.stats["panda"].missed_by == {"not taken": 3}
    assert "ended with fail: PCAP ended (Ok) after 7 of 10 rows" in (
        capsys.readouterr().out
    )


def test_step_scans_with_files_are_drawn_against_their_motor(
    RE: RunEngine, blob: SimBlobDetector, tmp_path: Path
) -> None:
    with init_devices():
        motor = SimMotor(instant=True)
    seen = Steps()
    live = LiveFlight(callbacks=[seen], picture=tmp_path / "live.png")
    RE.subscribe(live)
    RE(bp.scan([blob], motor, 0, 1, 3))
    assert live.wait(30)
    events = seen["event"]
    assert [event["seq_num"] for event in events] == [1, 2, 3]
    assert [event["data"]["motor"] for event in events] == [0, 0.5, 1]
    assert all(event["data"]["blob-sum"] > 0 for event in events)
    assert (tmp_path / "live.png").exists()
    stats = live.stats["blob"]
    assert (stats.frames, stats.expected, stats.missed) == (3, 3, 0)
    assert not stats.hardware_time
    assert stats.bytes == 3 * (320 * 240 + 8)


def test_any_detector_that_flies_is_shown(
    RE: RunEngine, blob: SimBlobDetector, capsys: pytest.CaptureFixture[str]
) -> None:
    live, seen = LiveFlight(), Steps()
    RE.subscribe(live)
    events = StreamEvents(seen)
    RE.subscribe(events)
    RE(bp.count([blob], 2))
    assert live.wait(30)
    assert events.wait(30)
    assert live.stats["blob"].frames == 2
    assert len(seen["event"]) == 2
    RE(fly(blob, num=5, livetime=0.01, deadtime=0.01, trigger="internal"))
    assert live.wait(30)
    assert live.stats["blob"].frames == 5
    out = capsys.readouterr().out
    assert "blob: 2 of 2 rows" in out
    assert "blob: 5 of 5 rows" in out
    info = TriggerInfo(
        trigger=DetectorTrigger.INTERNAL, number_of_events=3, livetime=0.01
    )

    def prepared() -> Any:
        yield from bps.prepare(blob, info, wait=True)
        yield from bps.declare_stream(blob, name="main", collect=True)
        yield from bps.kickoff(blob, wait=True)
        yield from bps.collect_while_completing(
            [blob], [blob], flush_period=0.1, stream_name="main"
        )

    def plan() -> Any:
        yield from bps.stage(blob, wait=True)
        yield from bps.open_run()
        yield from prepared()
        yield from bps.unstage(blob, wait=True)
        yield from bps.close_run()

    RE(plan())
    assert live.wait(30)
    assert live.stats["blob"].frames == 3
    assert "blob: 3 rows" in capsys.readouterr().out


def test_objects_are_set_aside_only_while_something_flies(
    RE: RunEngine, panda: HDFPanda, hand: Hand
) -> None:
    assert gc.get_freeze_count() == 0
    live = LiveFlight()
    RE.subscribe(live)
    frozen: list[int] = []

    def look() -> None:
        deadline = time.monotonic() + 30
        while not gc.get_freeze_count() and time.monotonic() < deadline:
            time.sleep(0.01)
        frozen.append(gc.get_freeze_count())
        hand.pulse(5)

    when_complete(RE, look)
    RE(fly(panda, num=5))
    assert live.wait(30)
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0


OTHER_PROCESS = """
import json, sys
from beamfly.live import LiveFlight

live = LiveFlight()
for line in sys.stdin:
    live(*json.loads(line).values())
live.wait(30)
stats = live.stats["panda"]
print("seen", stats.frames, stats.hardware_time, stats.missed)
"""


def test_another_process_reads_the_files_while_they_grow(
    RE: RunEngine, panda: HDFPanda, hand: Hand
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def forward(name: str, doc: Any) -> None:
        assert other.stdin is not None
        other.stdin.write(encode(Line(name, doc)))
        other.stdin.flush()

    seen: list[str] = []

    def halves() -> None:
        hand.pulse(100)
        assert other.stdout is not None
        seen.append(other.stdout.readline().decode())
        hand.pulse(100)

    RE.subscribe(forward)
    when_complete(RE, threading.Thread(target=halves).start)
    try:
        RE(fly(panda, num=200))
        out, _ = other.communicate(timeout=40)
    finally:
        other.kill()
        other.communicate()
    assert seen[0].startswith("panda  100/200  50 %")
    assert "seen 200 True 0" in out.decode()
