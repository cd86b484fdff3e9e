"""HDFPanda as a whole: making one, its writer signals, settings, ophyd's own logics."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from bluesky.protocols import Flyable, Preparable, Readable
from ophyd_async.core import (
    DetectorTrigger,
    NotConnectedError,
    SignalR,
    SignalRW,
    StaticFilenameProvider,
    StaticPathProvider,
    TriggerInfo,
    YamlSettingsProvider,
    set_mock_value,
    walk_devices,
)
from ophyd_async.epics.motor import Motor
from ophyd_async.fastcs.panda import (
    CommonPandaBlocks,
    DatasetTable,
    PandaBitMux,
    PandaHdf5DatasetType,
    PandaPcompDirection,
    PandaPosMux,
    PandaTimeUnits,
    PcompInfo,
    PosOutScaleOffset,
    ScanSpecInfo,
    ScanSpecSeqTableFlyableLogic,
    SeqTable,
    SeqTableInfo,
    SeqTrigger,
    StaticPcompFlyableLogic,
    StaticSeqTableFlyableLogic,
    apply_panda_settings,
)
from ophyd_async.plan_stubs import retrieve_settings, store_settings
from ophyd_async.testing import assert_value
from scanspec.specs import Fly, Line
from test_panda_signals import GOLDEN

from beamfly.devices import HDFPanda, Panda, PandaTriggerInfo
from beamfly.devices.panda_tree import Introspect
from beamfly.errors import BadValue, CaptureError, HdfError
from beamfly.hdf import open_columns
from beamfly.panda.commands import GetState, Put
from beamfly.panda.responses import EndReason
from flying import Hand


@pytest.fixture
def hand(sim):
    hand = Hand(sim)
    hand.wire()
    yield hand
    hand.close()


@pytest.fixture
async def panda(sim, hand, tmp_path):
    panda = HDFPanda(
        f"{sim.host}:{sim.control_port}", tmp_path, "panda", data_port=sim.data_port
    )
    await panda.connect()
    yield panda
    await panda.disconnect()


async def rows(panda, count):
    async with asyncio.timeout(30):
        while panda.data.session.progress.rows_written < count:
            await asyncio.sleep(0.005)


async def pulse(hand, count):
    """Not in the event loop, which has a PandA to look after."""
    await asyncio.to_thread(hand.pulse, count)


# making one


@pytest.mark.parametrize(
    ("host", "ports"),
    [
        ("panda", ("panda", 8888)),
        ("panda:9000", ("panda", 9000)),
        ("10.0.0.7:1", ("10.0.0.7", 1)),
        ("fe80::1", ("fe80::1", 8888)),
        ("[fe80::1]:9000", ("fe80::1", 9000)),
    ],
)
def test_a_host_may_have_a_port(host, ports, tmp_path):
    link = HDFPanda(host, tmp_path)._session.link
    assert (link.host, link.control_port) == ports
    assert link.data_port == 8889


@pytest.mark.parametrize("host", ["panda:", "panda:x", "panda:0", "panda:70000"])
def test_a_port_that_is_none_is_refused(host, tmp_path):
    with pytest.raises(BadValue, match="host or host:port"):
        HDFPanda(host, tmp_path)


def test_it_is_what_ophyd_async_expects(tmp_path):
    panda = HDFPanda("nowhere", tmp_path, name="p")
    assert isinstance(panda, CommonPandaBlocks)
    for protocol in (Flyable, Preparable, Readable):
        assert isinstance(panda, protocol)
    assert panda.pcap.arm.name == "p-pcap-arm"
    assert panda.address == "nowhere:8888"


async def test_the_writer_has_the_signals_of_the_ioc(panda):
    devices = walk_devices(panda)
    for line in GOLDEN.read_text().splitlines():
        path, kind, datatype, _ = line.split(maxsplit=3)
        if path.startswith("data."):
            assert (
                type(devices[path]) is {"SignalR": SignalR, "SignalRW": SignalRW}[kind]
            )
            assert devices[path].datatype.__name__ == datatype


async def test_blocks_that_are_missing_are_named_with_a_way_out(
    sim, hand, tmp_path, monkeypatch
):
    def without_pcomp(self, version, real=Introspect.execute):
        tree = yield from real(self, version)
        blocks = {name: node for name, node in tree.blocks.items() if name != "pcomp"}
        return type(tree)(tree.identification, blocks)

    monkeypatch.setattr(Introspect, "execute", without_pcomp)
    ports = {"control_port": sim.control_port, "data_port": sim.data_port}
    panda = HDFPanda(sim.host, tmp_path, "panda", **ports)
    with pytest.raises(NotConnectedError) as error:
        await panda.connect()
    assert "has no block PCOMP, which HDFPanda needs" in str(error.value)
    assert "use beamfly.devices.Panda" in str(error.value)
    await panda.disconnect()
    panda = Panda(sim.host, tmp_path, "panda", **ports)
    await panda.connect()
    await assert_value(panda.seq[1].active, False)
    await panda.disconnect()


async def test_configuration_says_how_pcap_is_wired(panda):
    configuration = await panda.read_configuration()
    assert configuration["panda-pcap-trig"]["value"] == "PULSE1.OUT"
    assert configuration["panda-versions-panda_sw"]["value"] == "4.1"
    assert set(await panda.describe_configuration()) == set(configuration)


# settings


async def test_settings_survive_a_round_trip(panda, hand, tmp_path):
    await asyncio.to_thread(
        hand.put,
        {
            "PULSE2.DELAY.UNITS": "ms",
            "PULSE2.DELAY": 2.5,
            "SEQ1.PRESCALE.UNITS": "us",
            "SEQ1.PRESCALE": 3,
            "SEQ1.TABLE": ["1048577", "5", "6", "7"],
            "LUT1.FUNC": "A&B",
            "COUNTER2.OUT.CAPTURE": "Min Max",
            "COUNTER2.OUT.UNITS": "deg",
            "TTLIN1.TERM": "50-Ohm",
            "PULSE3.TRIG.DELAY": 7,
        },
    )
    before = await asyncio.to_thread(hand.client.send, GetState())
    provider = YamlSettingsProvider(tmp_path)
    await run(store_settings(provider, "saved", panda))
    await asyncio.to_thread(
        hand.put,
        {
            "PULSE2.DELAY.UNITS": "s",
            "PULSE2.DELAY": 1,
            "SEQ1.PRESCALE.UNITS": "s",
            "SEQ1.PRESCALE": 1,
            "SEQ1.TABLE": np.zeros(8, np.uint32),
            "LUT1.FUNC": "0",
            "COUNTER2.OUT.CAPTURE": "No",
            "COUNTER2.OUT.UNITS": "mm",
            "TTLIN1.TERM": "High-Z",
            "PULSE3.TRIG.DELAY": 0,
        },
    )
    settings = await run(retrieve_settings(provider, "saved", panda))
    await run(apply_panda_settings(settings))
    after = await asyncio.to_thread(hand.client.send, GetState())
    assert sorted(after) == sorted(before)


async def run(plan):
    """Carry out the few messages of which settings plans are made."""
    result, groups = None, {}
    while True:
        try:
            msg = plan.send(result) if hasattr(plan, "send") else next(plan)
        except AttributeError:
            plan = iter(plan)
            continue
        except StopIteration as stop:
            return stop.value
        if msg.command == "wait_for":
            result = [asyncio.ensure_future(factory()) for factory in msg.args[0]]
            await asyncio.wait(result)
        elif msg.command == "set":
            status = msg.obj.set(*msg.args)
            groups.setdefault(msg.kwargs["group"], []).append(status)
            result = status
        elif msg.command == "wait":
            result = await asyncio.gather(*groups.pop(msg.kwargs["group"], []))
        else:
            raise AssertionError(msg)


# the writer's signals


async def test_datasets_are_told_before_anything_is_captured(panda, hand):
    """Of an IOC this table is empty until capture starts."""
    table = await panda.data.datasets.get_value()
    names = dict(zip(table.name, map(str, table.dtype), strict=True))
    assert names == {
        "PCAP.BITS0.Value": "uint32",
        "COUNTER1.OUT.Value": "float64",
        "PCAP.TS_TRIG.Value": "float64",
    }
    await panda.counter[1].out_capture.set("Min Max Mean")
    await panda.counter[1].out_dataset.set("x")
    table = await panda.data.datasets.get_value()
    assert {"x", "x-min", "x-max", "PCAP.GATE_DURATION.Value"} <= set(table.name)


async def test_a_name_for_a_field_that_is_not_captured_describes_nothing(panda):
    """The ghost of the IOC-based device."""
    await panda.counter[4].out_dataset.set("ghost")
    assert "ghost" not in (await panda.data.datasets.get_value()).name
    await panda.stage()
    await panda.prepare(TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=1))
    assert not any("ghost" in key for key in await panda.describe())
    await panda.unstage()


async def test_the_writer_can_be_driven_by_hand(panda, hand, tmp_path):
    data = panda.data
    await data.hdf_directory.set(str(tmp_path))
    await data.hdf_file_name.set("by_hand.h5")
    # what plans for an IOC set
    await data.flush_period.set(0)
    await data.capture.set(True)
    await assert_value(data.hdf_full_file_path, str(tmp_path / "by_hand.h5"))
    await panda.pcap.arm.set(True)
    await pulse(hand, 25)
    await rows(panda, 25)
    await assert_value(data.num_captured, 25)
    await assert_value(data.num_received, 25)
    assert "Capturing to" in await data.status.get_value()
    with pytest.raises(HdfError, match="is still being written"):
        await data.capture.set(True)
    await panda.pcap.arm.set(False)
    await data.capture.set(False)
    await assert_value(data.status, "OK")
    with open_columns(tmp_path / "by_hand.h5") as columns:
        assert columns.read("COUNTER1.OUT.Value").tolist() == [
            0.5 * n for n in range(1, 26)
        ]


async def test_the_first_rows_only(panda, hand, tmp_path):
    data = panda.data
    await data.hdf_directory.set(str(tmp_path))
    await data.capture_mode.set("FIRST_N")
    await data.num_capture.set(10)
    await data.capture.set(True)
    await panda.pcap.arm.set(True)
    await pulse(hand, 12)
    async with asyncio.timeout(30):
        while await data.capture.get_value():
            await asyncio.sleep(0.01)
    await assert_value(data.num_captured, 10)
    await assert_value(panda.pcap.arm, False)
    with pytest.raises(BadValue, match="LAST_N is not possible"):
        await data.capture_mode.set("LAST_N")


async def test_directories_are_made_as_deep_as_wanted(panda, tmp_path):
    data = panda.data
    await data.hdf_directory.set(str(tmp_path / "a"))
    await assert_value(data.directory_exists, False)
    with pytest.raises(HdfError, match="does not exist or cannot be written"):
        await data.capture.set(True)
    await data.create_directory.set(-1)
    with pytest.raises(HdfError, match="was not made"):
        await data.hdf_directory.set(str(tmp_path / "a" / "b"))
    await data.hdf_directory.set(str(tmp_path / "a"))
    await assert_value(data.directory_exists, True)
    await data.create_directory.set(len(tmp_path.parts) - 1)
    await data.hdf_directory.set(str(tmp_path / "c" / "d" / "e"))
    assert (tmp_path / "c" / "d" / "e").is_dir()


async def test_disconnecting_closes_the_file(panda, hand, tmp_path):
    await panda.data.hdf_directory.set(str(tmp_path))
    await panda.data.hdf_file_name.set("left.h5")
    await panda.data.capture.set(True)
    await panda.pcap.arm.set(True)
    await pulse(hand, 3)
    await rows(panda, 3)
    await panda.pcap.arm.set(False)
    await panda.disconnect()
    with open_columns(tmp_path / "left.h5") as columns:
        assert columns.rows == 3


# the detector without a RunEngine


async def test_triggers_that_are_supported(panda):
    supported, deadtime = await panda.get_trigger_deadtime()
    assert supported == set(DetectorTrigger)
    assert deadtime == 8e-9


async def test_somebody_else_s_acquisition_is_ended_first(panda, hand):
    await panda.stage()
    await panda.pcap.arm.set(True)
    await pulse(hand, 4)
    await panda.prepare(TriggerInfo(trigger="EXTERNAL_EDGE", number_of_events=2))
    await panda.kickoff()
    completing = panda.complete()
    await pulse(hand, 2)
    await completing
    await panda.unstage()
    assert panda.report.last.written == 2


async def test_progress_is_reported_to_watchers(panda, hand):
    await panda.stage()
    await panda.prepare(TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=10))
    await panda.kickoff()
    updates = []
    status = panda.complete()
    status.watch(lambda **update: updates.append(update))
    await pulse(hand, 10)
    await status
    assert updates[-1]["current"] == updates[-1]["target"] == 10
    await panda.unstage()


async def test_tolerated_loss_ends_without_an_error(panda, hand):
    await panda.stage()
    info = PandaTriggerInfo(
        trigger="EXTERNAL_LEVEL", number_of_events=10, on_missed="warn"
    )
    await panda.prepare(info)
    await panda.kickoff()
    await pulse(hand, 4)
    await asyncio.to_thread(hand.drop)
    await panda.complete()
    await panda.unstage()
    assert panda.report.last.lost == 6
    assert "4 of 10 frames" in str(panda.report)


@pytest.mark.parametrize(
    "reason",
    [
        EndReason.DRIVER_DATA_OVERRUN,
        EndReason.DATA_OVERRUN,
        EndReason.FRAMING_ERROR,
        EndReason.DMA_DATA_ERROR,
        EndReason.UNEXPECTED,
    ],
)
async def test_a_bad_end_is_told_in_the_panda_s_words(panda, hand, sim, reason):
    await panda.stage()
    await panda.prepare(TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=10))
    await panda.kickoff()
    completing = panda.complete()
    await pulse(hand, 3)
    await rows(panda, 3)
    sim.run(lambda: (sim.core.ring.finish(reason), sim.wake()))
    with pytest.raises(CaptureError, match=f"{reason.value}.*3 rows of it are kept"):
        await completing
    await panda.unstage()
    assert panda.report.last.end_reason == reason.value
    assert panda.report.last.lost == 7


async def test_mock_mode_goes_through_the_motions(tmp_path):
    where = StaticPathProvider(StaticFilenameProvider("mock"), tmp_path)
    panda = HDFPanda("nowhere", where, "panda")
    await panda.connect(mock=True)
    table = DatasetTable(name=["x"], dtype=[PandaHdf5DatasetType.UINT_32])
    set_mock_value(panda.data.datasets, table)
    await panda.stage()
    await panda.prepare(TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=2))
    await assert_value(panda.pcap.active, True)
    await assert_value(panda.data.hdf_file_name, "mock.h5")
    assert (await panda.describe())["x"]["dtype_numpy"] == "<u4"
    await panda.kickoff()
    completing = panda.complete()
    set_mock_value(panda.data.num_captured, 2)
    await completing
    names = [name async for name, _ in panda.collect_asset_docs()]
    assert names == ["stream_resource", "stream_datum"]
    await panda.unstage()
    await assert_value(panda.pcap.active, False)
    assert not panda.captured  # so that nobody prints or stores a report
    assert list(Path(tmp_path).iterdir()) == []


# ophyd-async's own fly logics


async def test_a_static_sequence_runs_as_it_is(panda, hand):
    seq = panda.seq[2]
    flyer = StaticSeqTableFlyableLogic(seq).with_device("seq")
    table = SeqTable.row(repeats=3, time1=1000, time2=1000, outa1=True)
    await flyer.stage()
    await flyer.prepare(SeqTableInfo(sequence_table=table, repeats=2))
    await assert_value(seq.prescale_units, PandaTimeUnits.US)
    await assert_value(seq.enable, PandaBitMux.ZERO)
    await flyer.kickoff()
    await flyer.complete()
    await flyer.unstage()
    assert (await seq.table.get_value()).repeats.tolist() == [3]


async def test_a_sequence_that_is_over_in_no_time_is_seen_to_run(panda):
    flyer = StaticSeqTableFlyableLogic(panda.seq[1]).with_device("seq")
    table = SeqTable.row(repeats=1, time1=1, time2=1, outa1=True)
    await flyer.stage()
    await flyer.prepare(SeqTableInfo(sequence_table=table, repeats=1))
    await flyer.kickoff()
    await flyer.complete()
    await flyer.unstage()


async def test_position_compare_runs_as_it_is(panda, hand):
    pcomp = panda.pcomp[1]
    await asyncio.to_thread(
        hand.put, {"PCOMP1.INP": "COUNTER1.OUT", "PCAP.TRIG": "PCOMP1.OUT"}
    )
    flyer = StaticPcompFlyableLogic(pcomp).with_device("pcomp")
    info = PcompInfo(
        start_position=5,
        pulse_width=1,
        rising_edge_step=3,
        number_of_pulses=4,
        direction=PandaPcompDirection.POSITIVE,
    )
    await flyer.stage()
    await flyer.prepare(info)
    await flyer.kickoff()
    completing = flyer.complete()
    await asyncio.to_thread(hand.put, {"PULSE1.PULSES": 40, "BITS.A": 1})
    await completing
    await asyncio.to_thread(hand.put, {"BITS.A": 0})
    await assert_value(pcomp.produced, 4)
    await flyer.unstage()


async def test_a_scanspec_runs_as_it_is(panda, hand):
    motor = Motor("X", name="x")
    await asyncio.to_thread(hand.put, {"SEQ1.BITA": "BITS.OUTC", "BITS.C": 0})
    flyer = ScanSpecSeqTableFlyableLogic(panda.seq[1]).with_device("scan")
    spec = Fly(0.001 @ Line(motor, 1, 5, 5))
    await flyer.stage()
    await flyer.prepare(ScanSpecInfo(spec=spec, deadtime=0.0001))
    table = await panda.seq[1].table.get_value()
    assert table.trigger == [SeqTrigger.BITA_0, SeqTrigger.BITA_1, SeqTrigger.IMMEDIATE]
    assert table.repeats.tolist() == [1, 1, 5]
    await flyer.kickoff()
    completing = flyer.complete()
    await asyncio.to_thread(hand.put, {"BITS.C": 1})
    await completing
    await flyer.unstage()


async def test_a_scanspec_compares_positions_of_an_encoder(panda, hand):
    motor = Motor("X", name="x")
    await panda.inenc[1].val_scale.set(0.002)
    pos_outs = {motor: PosOutScaleOffset.from_inenc(panda, 1)}
    logic = ScanSpecSeqTableFlyableLogic(panda.seq[1], pos_outs)
    await logic.on_prepare(
        ScanSpecInfo(spec=Fly(0.001 @ Line(motor, 1, 5, 5)), deadtime=0.0001)
    )
    await assert_value(panda.seq[1].posa, "INENC1.VAL")
    table = await panda.seq[1].table.get_value()
    assert table.trigger[2] == SeqTrigger.POSA_GT
    assert table.position[2] == 250
    await panda.seq[1].posa.set(PandaPosMux.ZERO)


async def test_a_table_line_of_too_many_repeats_is_refused(panda):
    """Which a 16 bit field would wrap, and set the trigger with the rest."""
    await panda.seq[1].table.set(SeqTable.row(repeats=65535))
    columns = {name: [0] for name in SeqTable.model_fields} | {
        "repeats": [65537],
        "trigger": ["Immediate"],
    }
    with pytest.raises(ValueError, match="repeats"):
        await panda.seq[1].table.set(columns)


async def test_reading_one_signal_does_not_disturb_another(panda, hand):
    """Many operations at once, in whatever order they are answered."""
    sets = [panda.pulse[n].width.set(n / 1000) for n in range(2, 5)]
    await asyncio.gather(*(status.task for status in sets))
    values = await asyncio.gather(
        *(panda.pulse[n].width.get_value() for n in range(2, 5))
    )
    assert values == [0.002, 0.003, 0.004]
    await panda._session.link.send(Put("BITS.D", 1))
    await assert_value(panda.bits.outd, True)
