"""`suspend_on`: a RunEngine held and let go, by signals that the test turns bad."""

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky.run_engine import RunEngine
from bluesky.suspenders import SuspendFloor
from bluesky.utils import MsgGenerator, RunEngineInterrupted
from ophyd_async.core import SignalRW, init_devices, soft_signal_rw

from beamfly.errors import BadValue
from beamfly.watch import Suspender, suspend_on
from flying import Documents

Put = Callable[[SignalRW[Any], Any], None]
Until = Callable[..., None]


class Gate:
    """A plan that stops at each point until the test lets it go on."""

    def __init__(self, RE: RunEngine) -> None:
        self.at: list[int] = []
        self._RE = RE
        self._passes = 0

    def open(self, points: int = 1) -> None:
        self._passes += points

    def plan(self, signal: SignalRW[float], points: int) -> MsgGenerator[None]:
        async def passing(point: int) -> None:
            while self._passes <= point:
                await asyncio.sleep(0.002)

        yield from bps.open_run()
        for point in range(points):
            yield from bps.checkpoint()
            self.at.append(point)
            yield from bps.wait_for([lambda point=point: passing(point)])
            yield from bps.trigger_and_read([signal])
        yield from bps.close_run()


@contextmanager
def running(RE: RunEngine, plan: MsgGenerator[Any]) -> Generator[list[Any]]:
    """Run a plan in a thread; what it gave or raised, once it is over."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(RE(plan))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield result
    finally:
        thread.join(30)
        assert not thread.is_alive()


def waits(RE: RunEngine) -> bool:
    """Whether the plan sits in the suspender's wait."""
    return not RE.rewindable


def test_scan_is_held_and_goes_on(
    RE: RunEngine, docs: Documents, ring: SignalRW[float], put: Put, until: Until
) -> None:
    shown: list[str] = []
    beam = suspend_on(RE, ring, "< 50", until=">= 80", show=shown.append)
    until(lambda: beam._listening.units)
    gate = Gate(RE)
    gate.open(2)
    with running(RE, gate.plan(ring, 3)) as result:
        until(lambda: len(docs["event"]) == 2 and gate.at == [0, 1, 2])
        put(ring, 10.0)
        until(lambda: waits(RE))
        why = "ring is 10 mA, < 50; it goes on once it is >= 80"
        assert beam.held and beam.why == why
        assert repr(beam) == f"<suspend_on ring < 50: {why}>"
        gate.open()
        put(ring, 60.0)
        assert waits(RE) and len(docs["event"]) == 2
        put(ring, 90.0)
    assert result[0].exit_status == "success"
    assert [event["seq_num"] for event in docs["event"]] == [1, 2, 3]
    assert shown == ["ring is 90 mA: fine again.", "The scan goes on."]
    assert not beam.held and beam.why == ""
    RE.remove_suspender(beam)


def test_settling_time_begins_anew(
    RE: RunEngine, docs: Documents, ring: SignalRW[float], put: Put, until: Until
) -> None:
    shown: list[str] = []
    beam = suspend_on(RE, ring, "< 50", settle=0.2, show=shown.append)
    until(lambda: beam._listening.units)
    put(ring, 10.0)
    with running(RE, bp.count([ring])) as result:
        put(ring, 60.0)
        put(ring, 20.0)
        put(ring, 70.0)
    assert result[0].exit_status == "success"
    assert shown == [
        "The next scan will be held: ring is 10 mA, < 50; it goes on once it has been "
        ">= 50 for 0.2 s.",
        "ring is 60 mA: fine if it stays >= 50 for 0.2 s.",
        "Still held: ring is 20 mA, < 50; it goes on once it has been >= 50 for 0.2 s.",
        "ring is 70 mA: fine if it stays >= 50 for 0.2 s.",
        "ring is 70 mA: fine again.",
        *(shown[5:]),
    ]
    beam.remove()


def test_several_hold_until_all_are_fine(
    RE: RunEngine,
    docs: Documents,
    ring: SignalRW[float],
    vacuum: SignalRW[float],
    put: Put,
    until: Until,
) -> None:
    shown: list[str] = []
    beam = suspend_on(RE, ring, "< 50", show=shown.append)
    gauge = suspend_on(RE, vacuum, "> 1e-6", show=shown.append)
    gate = Gate(RE)
    with running(RE, gate.plan(ring, 2)) as result:
        until(lambda: gate.at)
        put(ring, 10.0)
        until(lambda: waits(RE))
        put(vacuum, 1e-3)
        until(lambda: gauge.applied)
        gate.open(2)
        # the one that came last must not let go what the first one holds
        put(vacuum, 1e-9)
        put(vacuum, 1e-3)
        put(ring, 90.0)
        until(lambda: any(text.startswith("Still held: vacuum") for text in shown))
        assert waits(RE) and not docs["event"]
        put(vacuum, 1e-9)
    assert result[0].exit_status == "success"
    assert len(docs["event"]) == 2
    assert any(text.startswith("Held, too: vacuum is 0.001") for text in shown)
    beam.remove(), gauge.remove()
    assert RE.suspenders == ()


def test_pause_and_resume_do_not_let_go(
    RE: RunEngine, docs: Documents, ring: SignalRW[float], put: Put, until: Until
) -> None:
    """RunEngine.resume skips what a suspended plan waits for; that is made good."""
    beam = suspend_on(RE, ring, "< 50")
    gate = Gate(RE)
    with running(RE, gate.plan(ring, 1)) as result:
        until(lambda: gate.at)
        put(ring, 10.0)
        until(lambda: waits(RE))
        RE.request_pause()
    assert isinstance(result[0], RunEngineInterrupted)
    until(lambda: not beam.applied)
    resumed: list[Any] = []
    thread = threading.Thread(target=lambda: resumed.append(RE.resume()))
    thread.start()
    until(lambda: beam.applied)
    gate.open()
    until(lambda: waits(RE))
    assert not docs["event"]
    put(ring, 90.0)
    thread.join(30)
    assert resumed[0].exit_status == "success" and len(docs["event"]) == 1
    beam.remove()


def test_removing_lets_go(
    RE: RunEngine, docs: Documents, ring: SignalRW[float], put: Put, until: Until
) -> None:
    beam = suspend_on(RE, ring, "< 50")
    put(ring, 10.0)
    with running(RE, bp.count([ring])) as result:
        until(lambda: RE.state == "running")
        assert not docs["start"]
        RE.remove_suspender(beam)
    assert result[0].exit_status == "success"
    assert repr(beam) == "<suspend_on ring < 50: not installed>"
    put(ring, 90.0), put(ring, 10.0)
    assert not beam.held


def test_text_and_function_decide_too(
    RE: RunEngine, put: Put, docs: Documents, until: Until
) -> None:
    with init_devices():
        door = soft_signal_rw(str, "closed", name="door")
    with pytest.raises(BadValue, match="door is a text"):
        suspend_on(RE, door, "< 3")
    assert RE.suspenders == ()
    one = suspend_on(RE, door, "!= closed")
    two = suspend_on(RE, door, lambda value: value == "ajar")
    put(door, "ajar")
    assert one.held and two.held
    put(door, "open")
    assert one.held and not two.held
    put(door, "closed")
    assert not one.held
    one.remove(), two.remove()


def test_plan_may_install_and_remove(
    RE: RunEngine, ring: SignalRW[float], docs: Documents
) -> None:
    seen: list[Suspender] = []

    def plan() -> MsgGenerator[None]:
        seen.append(suspend_on(RE, ring, "< 50"))
        yield from bps.sleep(0)
        seen[0].remove()

    assert RE(plan()).exit_status == "success"
    assert not seen[0].held and RE.suspenders == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"lost": "panic"},
        {"flights": "crash"},
        {"settle": -1.0},
        {"grace": float("nan")},
    ],
)
def test_arguments_are_checked(
    RE: RunEngine, ring: SignalRW[float], arguments: dict[str, Any]
) -> None:
    with pytest.raises(BadValue, match="nothing is watched"):
        suspend_on(RE, ring, "< 50", **arguments)
    assert RE.suspenders == ()


def test_signal_that_was_never_connected_is_refused(RE: RunEngine) -> None:
    from beamfly.devices import ca_signal_r

    current = ca_signal_r(float, "NOBODY:HAS:THIS", name="current")
    with pytest.raises(BadValue, match="current has not been connected"):
        suspend_on(RE, current, "< 50")
    assert RE.suspenders == ()


def test_suspenders_of_bluesky_refuse_such_signals(
    RE: RunEngine, ring: SignalRW[float]
) -> None:
    """When they do not any more, think about whether this room is still needed."""
    with pytest.raises(Exception):  # noqa: B017
        RE.install_suspender(SuspendFloor(ring, 50))
