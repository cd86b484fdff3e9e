"""What a write starts is seen, however soon it is over."""

import asyncio

from ophyd_async.core import wait_for_value
from ophyd_async.fastcs.panda import (
    PandaBitMux,
    SeqTable,
    SeqTableInfo,
    StaticSeqTableFlyableLogic,
)

from beamfly.panda.commands import Get

SHORT = SeqTableInfo(
    sequence_table=SeqTable.row(repeats=1, time1=20, outa1=True, time2=20), repeats=1
)
"""A table that is done after 40 microseconds."""


async def test_a_short_sequence_flies_again_and_again(own_blocks) -> None:
    logic = StaticSeqTableFlyableLogic(own_blocks.seq[1])
    own_blocks.session.poller.hold(True)
    for _ in range(10):
        await logic.on_prepare(SHORT)
        await logic.on_kickoff(None)
        await logic.on_complete(None)
    own_blocks.session.poller.hold(False)


async def test_a_pulse_before_anybody_listened_is_told_once_it_is_over(
    own_blocks,
) -> None:
    seq = own_blocks.seq[1]
    own_blocks.session.poller.hold(True)
    await StaticSeqTableFlyableLogic(seq).on_prepare(SHORT)
    await seq.enable.set(PandaBitMux.ONE)
    while own_blocks.session.poller.saw_high("SEQ1.ACTIVE") is False:
        await asyncio.sleep(0)
    assert await own_blocks.link.send(Get("SEQ1.ACTIVE")) == "0"
    await wait_for_value(seq.active, True, timeout=1)
    # a further write makes it history
    await seq.enable.set(PandaBitMux.ZERO)
    assert not own_blocks.session.poller.saw_high("SEQ1.ACTIVE")
    own_blocks.session.poller.hold(False)


async def test_holding_polls_without_listeners_and_then_stops(
    own_blocks,
) -> None:
    poller = own_blocks.session.poller
    assert not poller.running
    poller.hold(True)
    assert poller.running
    poller.hold(False)
    while poller.running:
        await asyncio.sleep(0)
