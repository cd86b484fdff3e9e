"""Flyers are kicked off in turn: what waits for a motor waits before that starts."""

import asyncio
from dataclasses import dataclass

from bluesky.run_engine import RunEngine
from ophyd_async.core import FlyableLogic

from beamfly.devices import HDFPanda
from beamfly.plans import fly
from flying import Hand


@dataclass
class Starter(FlyableLogic[None, None]):
    """Notes when it begins to start and when it has started."""

    name: str
    log: list[str]
    hand: Hand | None = None

    async def on_prepare(self, value: None) -> None:
        return None

    async def on_kickoff(self, ctx: None) -> None:
        self.log.append(f"{self.name} begins")
        for _ in range(20):
            await asyncio.sleep(0)
        self.log.append(f"{self.name} started")

    async def on_complete(self, ctx: None) -> None:
        if self.hand is not None:
            await asyncio.to_thread(self.hand.pulse, 5)


def test_flyers_start_one_after_another(
    RE: RunEngine, panda: HDFPanda, hand: Hand
) -> None:
    log: list[str] = []
    flyers = [(Starter("seq", log), None), (Starter("motor", log, hand), None)]
    assert RE(fly(panda, num=5, flyers=flyers)).exit_status == "success"
    assert log == ["seq begins", "seq started", "motor begins", "motor started"]
