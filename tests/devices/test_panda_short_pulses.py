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


async def fly_once(logic) -> None:
    await logic.on_prepare(SHORT)
    await logic.on_kickoff(None)
    await logic.on_complete(None)


async def test_a_short_sequence_flies_again_and_again(own_blocks) -> None:
    logic = StaticSeqTableFlyableLogic(own_blocks.seq[1])
    for _ in range(20):
        await fly_once(logic)


async def test_also_while_somebody_else_listens_to_bits(own_blocks) -> None:
    bit, seen = own_blocks.ttlin[1].val, []
    bit.subscribe_reading(seen.append)
    own_blocks.session.poller.hold(True)
    logic = StaticSeqTableFlyableLogic(own_blocks.seq[1])
    for _ in range(20):
        await fly_once(logic)
    own_blocks.session.poller.hold(False)
    bit.clear_sub(seen.append)


async def test_two_at_once(own_blocks) -> None:
    logics = [StaticSeqTableFlyableLogic(own_blocks.seq[n]) for n in (1, 2)]
    bit, seen = own_blocks.ttlin[1].val, []
    bit.subscribe_reading(seen.append)
    for _ in range(10):
        await asyncio.gather(*map(fly_once, logics))
    bit.clear_sub(seen.append)


async def test_a_pulse_before_anybody_listened_is_told_once_it_is_over(
    own_blocks,
) -> None:
    seq, poller = own_blocks.seq[1], own_blocks.session.poller
    bit, seen = own_blocks.ttlin[1].val, []
    bit.subscribe_reading(seen.append)
    await StaticSeqTableFlyableLogic(seq).on_prepare(SHORT)
    await seq.enable.set(PandaBitMux.ONE)
    # the poller, which somebody else keeps going, has seen it all
    while not poller.saw_high("SEQ1.ACTIVE"):
        await asyncio.sleep(0)
    assert await own_blocks.link.send(Get("SEQ1.ACTIVE")) == "0"
    await wait_for_value(seq.active, True, timeout=1)
    # a further start makes it history
    await seq.enable.set(PandaBitMux.ZERO)
    assert not poller.saw_high("SEQ1.ACTIVE")
    bit.clear_sub(seen.append)


async def test_what_was_reported_high_and_fell_while_nobody_asked(own_blocks) -> None:
    seq, poller = own_blocks.seq[1], own_blocks.session.poller
    logic = StaticSeqTableFlyableLogic(seq)
    seen = []

    async def is_active() -> bool:
        return await own_blocks.link.send(Get("SEQ1.ACTIVE")) == "1"

    for microseconds in (30_000, 300_000, 3_000_000):
        # on a machine that is busy, nobody may see one as short as the first ones, or
        # a question that is under way may still see it fall
        long = SeqTable.row(repeats=1, time1=microseconds, outa1=True, time2=20)
        await logic.on_prepare(SeqTableInfo(sequence_table=long, repeats=1))
        seq.active.subscribe_reading(seen.append)
        await seq.enable.set(PandaBitMux.ONE)
        while poller._seen.get("SEQ1.ACTIVE") != "1" and await is_active():
            await asyncio.sleep(0)
        seq.active.clear_sub(seen.append)
        while await is_active():
            await asyncio.sleep(0)
        if poller._seen.get("SEQ1.ACTIVE") == "1":
            break
    assert poller._seen["SEQ1.ACTIVE"] == "1"
    await fly_once(logic)


async def test_nobody_listens_nobody_asks(own_blocks) -> None:
    poller = own_blocks.session.poller
    assert not poller.running
    poller.hold(True)
    await own_blocks.seq[1].enable.set(PandaBitMux.ZERO)
    assert not poller.running
    poller.hold(False)
