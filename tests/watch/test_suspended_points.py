"""Step scans of a PandA that are held in the middle of a point: it is taken again."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky.protocols import Triggerable
from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import (
    AsyncStatus,
    SignalRW,
    StandardReadable,
    init_devices,
    soft_signal_rw,
)

from beamfly.catalog import Catalog, RunWriter
from beamfly.devices import HDFPanda
from beamfly.panda.simulator.server import serve_in_thread
from beamfly.spec import Spec
from beamfly.watch import suspend_on
from flying import Documents, Hand

GATE = "panda-PCAP-GATE_DURATION-Value"
COUNT_TIME = 0.2

Until = Callable[..., None]


class Slow(StandardReadable, Triggerable):
    """A detector whose second point takes until it is told otherwise."""

    def __init__(self, name: str = "") -> None:
        self.begun: list[int] = []
        self.go = False
        self.acquire_time = soft_signal_rw(float)
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        self.begun.append(len(self.begun))
        while self.begun[-1] == 1 and not self.go:
            await asyncio.sleep(0.002)


class Points:
    """Three points of a PandA, in a thread."""

    def __init__(
        self, RE: RunEngine, panda: HDFPanda, hand: Hand, extra: list[Any], folder: Path
    ) -> None:
        self.RE, self.panda, self.hand, self.folder = RE, panda, hand, folder
        self.result: list[Any] = []
        plan = Spec([panda]).loopscan(3, COUNT_TIME, extra=extra)
        self.thread = threading.Thread(target=self._run, args=(lambda: RE(plan),))
        self.thread.start()

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            self.result.append(function())
        except BaseException as error:
            self.result.append(error)

    def resume(self) -> None:
        self.thread = threading.Thread(target=self._run, args=(self.RE.resume,))
        self.thread.start()

    def exposing(self) -> bool:
        return self.hand.get("PCAP.GATE") == "ONE"

    def check(self, docs: Documents) -> None:
        """All three are there, each as long as it should be, none of them twice."""
        self.thread.join(30)
        assert getattr(self.result[-1], "exit_status", self.result) == "success"
        assert [event["seq_num"] for event in docs["event"][-3:]] == [1, 2, 3]
        gates = Catalog(self.folder)[-1].primary.column(GATE).read()
        assert len(gates) == 3
        # what was counted before the pause is not in the row that replaced it
        assert all(seconds >= 0.99 * COUNT_TIME for seconds in gates)
        assert len({d["uid"] for d in docs["stream_resource"]}) == len(
            docs["stream_resource"]
        )


@pytest.fixture
def take(
    RE: RunEngine, docs: Documents, tmp_path: Path
) -> Iterator[Callable[..., Points]]:
    """Start to take three points."""
    with serve_in_thread() as sim, RunWriter(tmp_path) as writer:
        RE.subscribe(writer)
        hand = Hand(sim)
        hand.put({"PCAP.GATE_DURATION.CAPTURE": "Value"})
        with init_devices():
            panda = HDFPanda(
                f"{sim.host}:{sim.control_port}", tmp_path, data_port=sim.data_port
            )
        yield lambda *extra: Points(RE, panda, hand, [*extra], tmp_path)
        asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(30)
        hand.close()


def test_point_is_held_while_it_is_exposed(
    RE: RunEngine,
    docs: Documents,
    ring: SignalRW[float],
    take: Callable[..., Points],
    put: Callable[..., None],
    until: Until,
) -> None:
    beam = suspend_on(RE, ring, "< 50")
    points = take()
    until(lambda: len(docs["event"]) == 1 and points.exposing())
    put(ring, 10.0)
    put(ring, 90.0)
    points.check(docs)
    beam.remove()


def test_point_is_held_when_its_row_is_there_already(
    RE: RunEngine,
    docs: Documents,
    ring: SignalRW[float],
    take: Callable[..., Points],
    put: Callable[..., None],
    until: Until,
) -> None:
    beam = suspend_on(RE, ring, "< 50")
    with init_devices():
        slow = Slow()
    points = take(slow)
    until(lambda: len(slow.begun) == 2)
    until(lambda: points.panda.data.session.progress.rows_received == 2)
    put(ring, 10.0)
    until(lambda: not RE.rewindable)
    slow.go = True
    put(ring, 90.0)
    points.check(docs)
    beam.remove()


def test_pause_by_hand_does_the_same(
    RE: RunEngine, docs: Documents, take: Callable[..., Points], until: Until
) -> None:
    points = take()
    until(lambda: len(docs["event"]) == 1 and points.exposing())
    RE.request_pause()
    points.thread.join(30)
    assert isinstance(points.result[0], RunEngineInterrupted)
    points.resume()
    points.check(docs)
