"""Flights and suspenders: ended, finished, or flown again."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky.run_engine import RunEngine
from bluesky.utils import MsgGenerator, RunEngineInterrupted
from ophyd_async.core import SignalRW, init_devices

from beamfly.devices import HDFPanda
from beamfly.errors import BadValue
from beamfly.panda.simulator.server import serve_in_thread
from beamfly.plans import fly
from beamfly.watch import Held, refly, suspend_on
from flying import Documents, Hand

Put = Callable[[SignalRW[Any], Any], None]
Until = Callable[..., None]


@pytest.fixture
def panda(RE: RunEngine, tmp_path: Path) -> Iterator[tuple[HDFPanda, Hand]]:
    """A PandA that is pulsed by hand."""
    with serve_in_thread() as sim:
        hand = Hand(sim)
        hand.wire()
        with init_devices():
            panda = HDFPanda(
                f"{sim.host}:{sim.control_port}", tmp_path, data_port=sim.data_port
            )
        yield panda, hand
        asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(30)
        hand.close()


def start(RE: RunEngine, plan: MsgGenerator[Any]) -> tuple[threading.Thread, list[Any]]:
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(RE(plan))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


def flying(hand: Hand) -> bool:
    return str(hand.get("*PCAP.STATUS")).startswith("Busy")


def test_flight_ends_with_its_rows(
    RE: RunEngine,
    docs: Documents,
    panda: tuple[HDFPanda, Hand],
    ring: SignalRW[float],
    put: Put,
    until: Until,
) -> None:
    device, hand = panda
    shown: list[str] = []
    beam = suspend_on(RE, ring, "< 50", show=shown.append)
    until(lambda: beam._listening.units)
    thread, result = start(RE, fly(device, num=100, flush_period=0.02))
    until(lambda: flying(hand))
    hand.put({"BITS.B": 1})
    hand.pulse(7)
    until(lambda: docs["stream_datum"] and docs.rows == 7)
    put(ring, 10.0)
    thread.join(30)
    assert isinstance(result[0], RunEngineInterrupted)
    assert docs.stop["exit_status"] == "abort" and docs.rows == 7
    assert shown[0].startswith("A flight cannot wait, so it ends: ring is 10 mA, < 50;")
    assert RE.state == "idle"
    put(ring, 90.0)
    assert "The scan goes on." not in shown
    beam.remove()


def test_flight_may_finish_and_the_next_plan_is_held(
    RE: RunEngine,
    docs: Documents,
    panda: tuple[HDFPanda, Hand],
    ring: SignalRW[float],
    put: Put,
    until: Until,
) -> None:
    device, hand = panda
    shown: list[str] = []
    beam = suspend_on(RE, ring, "< 50", flights="finish", show=shown.append)
    until(lambda: beam._listening.units)
    thread, _ = start(RE, fly(device, num=10, flush_period=0.02))
    until(lambda: flying(hand))
    hand.pulse(4)
    put(ring, 10.0)
    until(lambda: shown)
    assert shown == [
        "The flight goes on, the next plan is held: ring is 10 mA, < 50; it goes on "
        "once it is >= 50."
    ]
    hand.pulse(6)
    thread.join(30)
    assert docs.stop["exit_status"] == "success" and docs.rows == 10
    thread, result = start(RE, bps.null())
    until(lambda: beam.applied)
    put(ring, 90.0)
    thread.join(30)
    assert result[0].exit_status == "success"
    assert shown[-1] in ("The scan goes on.", "ring is 90 mA: fine again.")
    beam.remove()


def test_flight_is_flown_again(
    RE: RunEngine,
    docs: Documents,
    panda: tuple[HDFPanda, Hand],
    ring: SignalRW[float],
    put: Put,
    until: Until,
) -> None:
    device, hand = panda
    beam = suspend_on(RE, ring, "< 50")
    thread, result = start(
        RE, refly(lambda: fly(device, num=10, flush_period=0.02), beam)
    )
    until(lambda: flying(hand))
    hand.pulse(4)
    until(lambda: docs["stream_datum"] and docs.rows == 4)
    put(ring, 10.0)
    until(lambda: docs["stop"])
    assert docs.stop["exit_status"] == "fail" and docs.rows == 4
    assert docs.stop["reason"].startswith("ring is 10 mA, < 50")
    docs.clear()
    put(ring, 90.0)
    until(lambda: flying(hand))
    hand.pulse(10)
    thread.join(30)
    assert result[0].exit_status == "success"
    assert docs.rows == 10 and docs.stop["exit_status"] == "success"
    assert result[0].plan_result == docs["start"][0]["uid"]
    assert beam.delegates == 0
    beam.remove()


def test_attempts_may_be_few(
    RE: RunEngine,
    docs: Documents,
    panda: tuple[HDFPanda, Hand],
    ring: SignalRW[float],
    put: Put,
    until: Until,
) -> None:
    device, hand = panda
    beam = suspend_on(RE, ring, "< 50")
    thread, result = start(RE, refly(lambda: fly(device, num=10), beam, most=1))
    until(lambda: flying(hand))
    put(ring, 10.0)
    thread.join(30)
    assert isinstance(result[0], Held)
    assert "1 attempts were cut short" in str(result[0])
    assert not flying(hand) and beam.delegates == 0
    beam.remove()


def test_it_needs_a_suspender(RE: RunEngine) -> None:
    with pytest.raises(BadValue, match="what suspend_on gave"):
        RE(refly(lambda: bps.null()))
