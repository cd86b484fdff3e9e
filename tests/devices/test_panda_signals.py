"""Signals of a connected PandA: names, kinds and datatypes, values, monitors."""

import asyncio
import json
from pathlib import Path

import pytest
from ophyd_async.core import (
    Device,
    DeviceVector,
    NotConnectedError,
    Signal,
    SignalR,
    SignalRW,
    SignalW,
    TriggerableCommand,
    init_devices,
    set_and_wait_for_other_value,
    wait_for_value,
    walk_devices,
)
from ophyd_async.fastcs.panda import (
    PandaBitMux,
    PandaPosMux,
    PandaTimeUnits,
    SeqBlock,
    SeqTable,
    SeqTrigger,
)
from ophyd_async.testing import MonitorQueue, assert_reading, assert_value

from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_connector import BlockConnector, PandaConnector
from beamfly.devices.panda_fields import Access, SignalSpec
from beamfly.devices.panda_link import PandaLink
from beamfly.devices.panda_values import TextCodec
from beamfly.errors import BadValue, CommandError, PandaDisconnected
from beamfly.panda.commands import Get, Put

GOLDEN = Path(__file__).parent.parent / "golden/devices/hdfpanda_signals.txt"
KINDS = {"SignalR": SignalR, "SignalRW": SignalRW, "SignalW": SignalW}


def golden_signals():
    for line in GOLDEN.read_text().splitlines():
        path, kind, datatype, key = line.split(maxsplit=3)
        if not path.startswith("data."):
            yield path, kind, datatype, json.loads(key)


async def test_every_signal_of_the_ioc_based_device_is_there(blocks):
    devices = walk_devices(blocks)
    seen = 0
    for path, kind, _, key in golden_signals():
        device = devices[path]
        seen += 1
        if isinstance(device, TriggerableCommand):
            assert kind == "SignalW", path
            continue
        assert type(device) is KINDS[kind], path
        if "dtype" not in key:
            continue
        (ours,) = (await device.describe()).values()
        assert ours["dtype"] == key["dtype"], path
        assert ours["dtype_numpy"] == key["dtype_numpy"], path
        if "choices" in key:
            *first, total = key["choices"]
            choices = ours["choices"]
            if total.startswith(".."):
                assert choices[: len(first)] == first, path
                assert len(choices) == int(total[2:]), path
            else:
                assert choices == key["choices"], path
    assert seen > 440


async def test_what_a_device_has_beyond_that_is_named_alike(blocks):
    ours = set(walk_devices(blocks))
    theirs = {path for path, *_ in golden_signals()}
    extra = {
        path.split(".")[-1]
        for path in ours - theirs
        if ".1." in path and isinstance(walk_devices(blocks)[path], Signal)
    }
    assert extra == {"out_units", "val_units", "label"}


async def test_several_blocks_are_a_vector_and_a_single_one_is_not(blocks):
    assert sorted(blocks.pulse) == [1, 2, 3, 4]
    assert isinstance(blocks.counter, DeviceVector)
    assert sorted(blocks.counter) == list(range(1, 9))
    assert not isinstance(blocks.system, DeviceVector)
    assert blocks.pulse[1].width.name == "panda-pulse-1-width"
    assert blocks.pulse[1].width.source.startswith("panda://127.0.0.1:")
    assert blocks.pulse[1].width.source.endswith("/PULSE1.WIDTH")
    # set is a word of bluesky's
    assert blocks.counter[1].set_.name == "panda-counter-1-set_"


async def test_units_of_a_time_are_those_of_the_moment(blocks):
    width = blocks.pulse[1].width
    await blocks.pulse[1].width_units.set(PandaTimeUnits.S)
    await width.set(0.0015)
    assert (await width.describe())[width.name]["units"] == "s"
    await blocks.pulse[1].width_units.set("ms")
    key = (await width.describe())[width.name]
    # a tick of 8 ns shows in the last digit
    assert (key["units"], key["precision"]) == ("ms", 6)
    await assert_value(width, 1.5)
    assert await blocks.pulse[1].width_units.get_value() is PandaTimeUnits.MS


async def test_limits_are_those_of_the_field(blocks):
    key = (await blocks.pulse[1].pulses.describe())["panda-pulse-1-pulses"]
    assert key["limits"]["control"] == {"low": 0, "high": 2**32 - 1}
    key = (await blocks.pulse[1].queued.describe())["panda-pulse-1-queued"]
    assert key["limits"] == {"display": {"low": 0, "high": 1023}}
    with pytest.raises(BadValue, match=r"PULSE1.PULSES takes 0 to 4294967295"):
        await blocks.pulse[1].pulses.set(2**32)


async def test_a_position_has_scale_offset_units_and_scaled(blocks):
    counter = blocks.counter[2]
    await counter.out_units.set("µm")
    await counter.out_scale.set(0.05)
    await counter.out_offset.set(-1.5)
    key = (await counter.out_scaled.describe())[counter.out_scaled.name]
    assert (key["units"], key["precision"]) == ("µm", 2)
    await assert_value(counter.out_scaled, -1.5)
    await assert_value(counter.out, 0)
    scalar = (await blocks.system.temp_zynq.describe())["panda-system-temp_zynq"]
    assert (scalar["units"], scalar["precision"]) == ("deg", 3)


async def test_capture_really_sets_what_is_captured(blocks):
    counter = blocks.counter[3]
    await counter.out_capture.set("Min Max")
    captured = await ask(blocks, "*CAPTURE")
    assert "COUNTER3.OUT Min Max" in captured
    await counter.out_capture.set("No")
    assert "COUNTER3.OUT Min Max" not in await ask(blocks, "*CAPTURE")


async def test_capturing_a_bit_captures_the_word_it_is_in(blocks):
    ttl, active = blocks.ttlin[1], blocks.pcap.active_capture
    await ttl.val_capture.set(True)
    assert "PCAP.BITS0 Value" in await ask(blocks, "*CAPTURE")
    # the other bits of that word come along, those of another word do not
    await assert_value(blocks.ttlin[2].val_capture, True)
    await assert_value(active, False)
    await ttl.val_capture.set(False)
    assert await ask(blocks, "*CAPTURE") == []


async def ask(blocks, field):
    return await blocks.link.send(Get(field))


async def test_muxes_take_any_label_and_give_members_back(blocks):
    enable = blocks.pulse[2].enable
    await enable.set("TTLIN1.VAL")
    await assert_value(enable, "TTLIN1.VAL")
    await enable.set(PandaBitMux.ONE)
    assert await enable.get_value() is PandaBitMux.ONE
    await blocks.seq[1].posa.set("INENC1.VAL")
    await assert_value(blocks.seq[1].posa, "INENC1.VAL")
    await blocks.seq[1].posa.set(PandaPosMux.ZERO)
    with pytest.raises(BadValue, match=r"PULSE2.ENABLE cannot be 'TTLIN1': it is"):
        await enable.set("TTLIN1")


async def test_a_table_can_be_empty_and_keeps_its_types(blocks):
    table = blocks.pgen[1].table
    assert len(await table.get_value()) == 0
    seq = blocks.seq[2]
    assert len(await seq.table.get_value()) == 0
    rows = SeqTable.row(
        repeats=65535, trigger=SeqTrigger.POSA_GT, position=-5, time2=3, outa1=True
    ) + SeqTable.row(outf2=True)
    await seq.table.set(rows)
    back = await seq.table.get_value()
    assert isinstance(back, SeqTable)
    assert back.trigger == [SeqTrigger.POSA_GT, SeqTrigger.IMMEDIATE]
    assert back.outa1.tolist() == [True, False]
    assert back.outf2.tolist() == [False, True]
    assert back.position.tolist() == [-5, 0]
    key = (await seq.table.describe())[seq.table.name]
    assert key["shape"] == [2]
    assert ["outa1", "|b1"] in [list(column) for column in key["dtype_numpy"]]


async def test_what_the_panda_refuses_names_field_and_reason(blocks):
    with pytest.raises(CommandError) as error:
        await blocks.pulse[1].width.set(-1)
    assert "PULSE1.WIDTH" in str(error.value)
    assert "Time setting out of range" in str(error.value)
    with pytest.raises(CommandError, match="Missing close bracket"):
        await blocks.lut[1].func.set("(A")


async def test_an_action_is_triggered(blocks):
    await blocks.sfp3_sync_in.sync_reset.trigger()
    assert blocks.sfp3_sync_in.sync_reset.source.endswith("SFP3_SYNC_IN.SYNC_RESET")


async def test_versions_and_labels(blocks):
    await assert_value(blocks.versions.panda_sw, "4.1")
    assert "Sim" in await blocks.versions.rootfs.get_value()
    await assert_value(blocks.pcap.label, "")


async def test_a_listener_gets_the_value_and_every_change(blocks):
    delay = blocks.pulse[3].enable_delay
    await delay.set(0)
    with MonitorQueue(delay) as queue:
        await queue.assert_updates(0)
        await delay.set(5)
        await queue.assert_updates(5)
        await blocks.link.send(Put("PULSE3.ENABLE.DELAY", 6))
        await queue.assert_updates(6)
        # a write that changes nothing is no news
        await delay.set(6)
        await asyncio.sleep(0)
        assert queue.updates.empty()
    await delay.set(0)
    assert queue.updates.empty()


async def test_what_a_listener_sees_is_what_the_panda_made_of_it(blocks):
    delay = blocks.pulse[4].delay
    with MonitorQueue(delay) as queue:
        await queue.assert_updates(await delay.get_value())
        await delay.set(1.00000000001e-3)
        await queue.assert_updates(1e-3)


async def test_changing_the_units_tells_listeners_of_the_value(blocks):
    pulse = blocks.pulse[4]
    await pulse.step_units.set("s")
    await pulse.step.set(2.0)
    with MonitorQueue(pulse.step) as queue:
        await queue.assert_updates(2.0)
        await pulse.step_units.set("ms")
        await queue.assert_updates(2000.0)


async def test_scaled_values_follow_their_scale(blocks):
    counter = blocks.counter[5]
    with MonitorQueue(counter.out_scaled) as queue:
        await queue.assert_updates(0.0)
        await counter.out_offset.set(2.5)
        await queue.assert_updates(2.5)


async def test_tables_can_be_listened_to(blocks):
    table = blocks.seq[1].table
    updates = asyncio.Queue()
    table.subscribe_reading(updates.put_nowait)
    assert len((await updates.get())[table.name]["value"]) == 0
    await blocks.link.send(Put("SEQ1.TABLE", ["1", "0", "0", "0"]))
    reading = await asyncio.wait_for(updates.get(), 2)
    assert reading[table.name]["value"].repeats.tolist() == [1]
    table.clear_sub(updates.put_nowait)
    await table.set(SeqTable.empty())


async def test_arming_is_seen_at_once(blocks):
    await blocks.counter[1].out_capture.set("Value")
    await set_and_wait_for_other_value(
        blocks.pcap.arm, True, blocks.pcap.active, True, timeout=1
    )
    await assert_value(blocks.pcap.arm, True)
    await set_and_wait_for_other_value(
        blocks.pcap.arm, False, blocks.pcap.active, False, timeout=1
    )
    await assert_value(blocks.pcap.arm, False)
    await blocks.counter[1].out_capture.set("No")


async def test_readings_have_time_and_severity(blocks):
    await assert_reading(
        blocks.bits.a, {"panda-bits-a": {"value": False, "alarm_severity": 0}}
    )


def blocks_of(sim, device_class, **options):
    link = PandaLink(sim.host, sim.control_port, sim.data_port)
    connector = PandaConnector(PandaSession(link), **options)
    return device_class("odd", connector), link


async def test_a_vector_in_the_class_holds_even_a_single_block(shared_sim):
    class Systems(Device):
        system: DeviceVector[Device]

    device, link = blocks_of(shared_sim, Systems)
    await device.connect()
    assert list(device.system) == [1]
    await assert_value(device.system[1].health, "OK")
    await link.close()


async def test_a_block_that_is_declared_but_missing_is_named(shared_sim):
    class Odd(Device):
        pulse: DeviceVector[Device]
        laser: DeviceVector[Device]
        maybe: SeqBlock | None

    device, link = blocks_of(shared_sim, Odd, hint="ask somebody")
    with pytest.raises(NotConnectedError) as error:
        await device.connect()
    text = str(error.value)
    assert text.endswith("has no block LASER, which Odd needs; ask somebody")
    assert f"{link.address}" in text
    await link.close()


async def test_a_signal_that_is_declared_as_what_it_is_not_is_named(shared_sim):
    class OddBits(Device):
        a: SignalRW[int]

    class Odd(Device):
        bits: OddBits

    device, link = blocks_of(shared_sim, Odd)
    with pytest.raises(NotConnectedError, match=r"BITS.A is bool, .* declares int"):
        await device.connect()
    await link.close()


async def test_one_block_is_declared_where_there_are_several(shared_sim):
    class Odd(Device):
        counter: Device

    device, link = blocks_of(shared_sim, Odd)
    with pytest.raises(NotConnectedError, match="there are 8 blocks COUNTER"):
        await device.connect()
    await link.close()


async def test_nobody_there_is_one_sentence_with_host_and_port(unused_tcp_port):
    link = PandaLink("127.0.0.1", unused_tcp_port, 1)
    device = Device("panda", PandaConnector(PandaSession(link)))
    with pytest.raises(PandaDisconnected) as error:
        await device.connect()
    text = str(error.value)
    assert f"127.0.0.1:{unused_tcp_port}" in text
    assert "\n" not in text
    with pytest.raises(NotConnectedError, match=f"127.0.0.1:{unused_tcp_port}"):
        async with init_devices():
            panda = Device("panda", PandaConnector(PandaSession(link)))
    assert panda.name == "panda"


async def test_connecting_again_keeps_every_signal(blocks):
    width, seq = blocks.pulse[1].width, blocks.seq[1]
    await blocks.connect(force_reconnect=True)
    assert blocks.pulse[1].width is width
    assert blocks.seq[1] is seq
    await width.set(0.5)
    await assert_value(width, 0.5)


async def test_mock_mode_needs_no_panda(unconnected_blocks):
    blocks = unconnected_blocks
    await blocks.connect(mock=True)
    assert list(blocks.seq) == [1, 2]
    await blocks.seq[2].repeats.set(5)
    await assert_value(blocks.seq[2].repeats, 5)
    assert blocks.seq[1].table.name == "panda-seq-1-table"


async def test_setpoint_and_readback(blocks):
    width = blocks.pulse[2].delay
    await blocks.pulse[2].delay_units.set("s")
    await width.set(1.000000001e-3)
    location = await width.locate()
    assert location["setpoint"] == 1.000000001e-3
    assert location["readback"] == 1e-3


async def test_waiting_for_a_value_ends_when_it_comes(blocks):
    func = blocks.lut[2].func
    await func.set("A")
    waiting = asyncio.ensure_future(wait_for_value(func, "A&B", timeout=2))
    await asyncio.sleep(0)
    await blocks.link.send(Put("LUT2.FUNC", "A&B"))
    await waiting


async def test_names_that_every_device_has_get_an_underscore(unconnected_blocks):
    session = unconnected_blocks.session

    def spec(name, access):
        return SignalSpec(name, f"LASER.{name.upper()}", TextCodec(), access)

    connector = BlockConnector()
    laser = Device("laser", connector)
    specs = [
        spec("log", Access.READ),
        spec("stop", Access.TRIGGER),
        spec("trigger", Access.READ_WRITE),
        spec("parent", Access.TRIGGER),
        spec("fine", Access.WRITE),
    ]
    connector.fill_block(laser, session, specs, "LASER")
    names = {name for name, _ in laser.children()}
    assert names == {"log_", "stop_", "trigger_", "parent_", "fine"}
