"""PCAP triggered from here: how a step scan takes a point without any wiring.

A point is one row. `PcapWiring` takes over the four inputs of PCAP (ENABLE high, GATE
and TRIG low, rising edges), and each exposure raises GATE for the live time, lowers it,
and then switches TRIG from ZERO to ONE: that edge is the trigger. So averages, minima,
maxima and sums are those of the live time, values those at its end. No other block is
needed. `restore` puts the inputs back as they were. Times are those of this computer,
good to a millisecond or so; PCAP.GATE_DURATION has what the PandA measured.
"""

import asyncio

from beamfly.devices.panda_link import PandaLink
from beamfly.errors import BeamflyError
from beamfly.panda.commands import GetLine, Put

TAKEN = {
    "PCAP.TRIG_EDGE": "Rising",
    "PCAP.TRIG": "ZERO",
    "PCAP.GATE": "ZERO",
    "PCAP.ENABLE": "ONE",
}
"""Inputs of PCAP while points are taken from here."""

SHORTEST_SLEEP = 1e-4
"""Seconds below which waiting takes longer than it should."""


class PcapWiring:
    """Takes over the inputs of PCAP, makes exposures, gives them back."""

    def __init__(self, link: PandaLink) -> None:
        self._link = link
        self._before: dict[str, str] = {}

    @property
    def taken(self) -> bool:
        """Whether the inputs are ours."""
        return bool(self._before)

    async def take(self) -> None:
        """Set the inputs, keeping what they were; does nothing if they are ours."""
        if self._before:
            return
        before = await self._all(*(GetLine(field) for field in TAKEN))
        self._before = dict(zip(TAKEN, before, strict=True))
        await self._all(*(Put(field, value) for field, value in TAKEN.items()))

    async def restore(self) -> None:
        """Put the inputs back as they were; does nothing if they are not ours."""
        before, self._before = self._before, {}
        if before:
            await self._all(*(Put(field, value) for field, value in before.items()))

    async def expose(self, livetime: float) -> None:
        """Take one point: GATE high for `livetime` seconds, then a trigger."""
        if livetime < SHORTEST_SLEEP:
            await self._all(Put("PCAP.GATE", "ONE"), *_trigger())
            return
        await self._all(Put("PCAP.GATE", "ONE"))
        await asyncio.sleep(livetime)
        await self._all(*_trigger())

    async def expose_all(self, count: int, livetime: float, deadtime: float) -> None:
        """Take `count` points, each starting `livetime + deadtime` after the last."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for index in range(count):
            # from the start, so that delays do not add up
            wait = start + index * (livetime + deadtime) - loop.time()
            if wait > SHORTEST_SLEEP:
                await asyncio.sleep(wait)
            await self.expose(livetime)

    async def _all(self, *commands: GetLine | Put) -> list[str]:
        answers = await self._link.send_each(*commands)
        for answer in answers:
            if isinstance(answer, BeamflyError):
                raise answer
        return answers


def _trigger() -> tuple[Put, ...]:
    # were GATE lowered after the trigger, the rest would count for the next point
    return (
        Put("PCAP.GATE", "ZERO"),
        Put("PCAP.TRIG", "ONE"),
        Put("PCAP.TRIG", "ZERO"),
    )
