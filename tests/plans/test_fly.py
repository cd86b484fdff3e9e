"""`fly`: documents, files, reports, and every way in which a flight can end."""

import asyncio
import inspect
import itertools
import os
import signal
import threading
import time
import typing
from contextlib import ExitStack
from dataclasses import replace

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import (
    FlyMotorInfo,
    StaticFilenameProvider,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
)
from ophyd_async.fastcs.panda import (
    SeqTable,
    SeqTableInfo,
    SeqTrigger,
    StaticSeqTableFlyableLogic,
)
from ophyd_async.sim import SimBlobDetector, SimMotor
from pydantic import create_model

from beamfly.devices import HDFPanda
from beamfly.errors import (
    BadValue,
    CaptureError,
    CommandError,
    FrameTimeout,
    HdfError,
    PandaDisconnected,
)
from beamfly.hdf import ColumnWriter, open_columns
from beamfly.panda.capture import HdfCapture
from beamfly.panda.simulator.server import serve_in_thread
from beamfly.plans import fly, fly_grid
from flying import Hand, cut_control, cut_data

COUNTER = "panda-COUNTER1-OUT-Value"


def at(RE, command, act, times=1):
    """Have `act` called when the RunEngine comes to a message, once or so."""
    left = [times]

    def hook(msg):
        if msg.command == command and left[0]:
            left[0] -= 1
            act()

    RE.msg_hook = hook


def test_a_flight_is_a_valid_run_with_all_its_rows(RE, panda, hand, docs, capsys):
    at(RE, "complete", lambda: hand.pulse(50))
    result = RE(fly(panda, num=50, md={"sample": "gold"}))
    assert result.exit_status == "success"
    assert result.plan_result == docs["start"][0]["uid"]
    assert docs["start"][0]["sample"] == "gold"
    assert docs["start"][0]["plan_name"] == "fly"
    assert docs["start"][0]["detectors"] == ["panda"]
    assert docs.rows == 50
    assert docs.read(COUNTER) == [0.5 * n for n in range(1, 51)]
    assert docs.stop["num_events"] == {"primary": 50, "report": 1}
    report = docs.report
    assert (report["expected"], report["written"], report["missed"]) == (50, 50, 0)
    assert report["end_reason"] in ("Disarmed", "Ok")
    # pulses are 100 us apart, however long the rows were under way
    assert report["rate"] == pytest.approx(10000, rel=1e-3)
    assert "panda: 50 of 50 frames in 0.005 s (1e+04 Hz)" in capsys.readouterr().out
    assert hand.get("*PCAP.STATUS").startswith("Idle")


def test_data_keys_have_type_units_and_source(RE, panda, hand, docs):
    at(RE, "complete", lambda: hand.pulse(3))
    RE(fly(panda, num=3))
    key = docs.key(COUNTER)
    assert (key["dtype_numpy"], key["units"], key["shape"]) == ("<f8", "mm", [1])
    assert key["source"].endswith("/COUNTER1.OUT.Value")
    assert docs.key("panda-PCAP-TS_TRIG-Value")["units"] == "s"
    # what an IOC describes as a float is what it is
    assert docs.key("panda-PCAP-BITS0-Value")["dtype_numpy"] == "<u4"
    resource = docs["stream_resource"][0]
    assert resource["mimetype"] == "application/x-hdf5"
    assert resource["uri"].startswith("file://localhost/")
    assert resource["parameters"]["swmr"] is True


def test_chosen_dataset_names_are_names_of_data(RE, panda, hand, docs):
    RE(bps.abs_set(panda.counter[1].out_dataset, "theta", wait=True))
    RE(bps.abs_set(panda.counter[1].out_capture, "Min Max Mean", wait=True))
    at(RE, "complete", lambda: hand.pulse(4))
    RE(fly(panda, num=4))
    keys = set(docs.key("theta") and docs["descriptor"][0]["data_keys"])
    assert {"theta", "theta-min", "theta-max"} <= keys
    assert len(docs.read("theta-max")) == 4
    datasets = panda.data.session.datasets
    assert "theta-min" in [dataset.name for dataset in datasets]


def test_one_name_for_two_things_is_refused(RE, panda, docs):
    RE(bps.abs_set(panda.counter[1].out_dataset, "x", wait=True))
    RE(bps.abs_set(panda.pcap.ts_trig_dataset, "x", wait=True))
    with pytest.raises(BadValue, match="would both be written as 'x'"):
        RE(fly(panda, num=1))
    assert docs.stop["exit_status"] == "fail"


def test_a_panda_that_refuses_to_arm_leaves_no_file_behind(
    RE, panda, sim, docs, tmp_path
):
    sim.faults.arm_error = "No bits or positions configured for capture"
    with pytest.raises(CommandError, match="No bits or positions"):
        RE(fly(panda, num=1))
    assert docs.stop["exit_status"] == "fail"
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("name", ["runs", ".", "a//b"])
def test_a_name_that_no_dataset_can_have_is_refused_before_arming(
    RE, panda, hand, docs, name
):
    RE(bps.abs_set(panda.counter[1].out_dataset, name, wait=True))
    with pytest.raises(BadValue, match=r"COUNTER1.OUT.Value cannot be written as"):
        RE(fly(panda, num=1))
    assert panda.data.session.arms == 0
    assert not panda.captured


def test_a_panda_that_triggers_all_the_time_gives_as_many_as_asked(
    RE, panda, hand, docs
):
    """Rows that come before kickoff count, rows after the last are not announced."""
    at(RE, "kickoff", lambda: hand.pulse(7))
    hook = RE.msg_hook

    def both(msg):
        hook(msg)
        if msg.command == "complete":
            hand.pulse(20)

    RE.msg_hook = both
    RE(fly(panda, num=10))
    assert docs.rows == 10
    assert docs.stop["num_events"]["primary"] == 10
    assert docs.report["written"] == 10
    assert docs.report["surplus"] == 17
    assert docs.read(COUNTER)[0] == 0.5


def test_without_a_number_it_flies_until_pcap_ends(RE, panda, hand, docs):
    def program():
        hand.pulse(33)
        hand.drop()

    at(RE, "complete", program)
    RE(fly(panda))
    assert docs.rows == 33
    assert docs.report["expected"] == -1
    assert docs.report["end_reason"] == "Ok"


def test_frames_can_be_gathered_into_events(RE, panda, hand, docs):
    at(RE, "complete", lambda: hand.pulse(20))
    RE(fly(panda, num=4, frames_per_event=5))
    assert docs.rows == 4
    assert docs.shape(COUNTER) == [5]
    assert len(docs.read(COUNTER)) == 20


def test_internal_triggers_need_no_wiring(RE, panda, hand, docs):
    before = {f: hand.get(f"PCAP.{f}") for f in ("ENABLE", "GATE", "TRIG", "TRIG_EDGE")}
    RE(fly(panda, num=3, livetime=0.01, deadtime=0.01, trigger="internal"))
    assert docs.rows == 3
    times = docs.read("panda-PCAP-TS_TRIG-Value")
    # no two are closer than a live time, however busy this computer is
    assert all(b - a > 0.0099 for a, b in itertools.pairwise(times))
    assert before == {f: hand.get(f"PCAP.{f}") for f in before}


def test_step_scans_append_to_one_file(RE, panda, hand, docs):
    hand.put({"PCAP.GATE_DURATION.CAPTURE": "Value"})
    RE(bp.count([panda], 3))
    assert docs.rows == 3
    assert docs.stop["exit_status"] == "success"
    assert len(docs["stream_resource"]) == len(
        {d["stream_resource"] for d in docs["stream_datum"]}
    )
    (uri,) = {resource["uri"] for resource in docs["stream_resource"]}
    assert hand.get("PCAP.TRIG") == "PULSE1.OUT"
    assert panda.report.last.written == 3
    assert panda.report.last.lost == 0
    docs.clear()
    RE(bp.count([panda], 1))
    assert {resource["uri"] for resource in docs["stream_resource"]} != {uri}


def test_step_scans_can_expose(RE, panda, hand, docs):
    hand.put({"PCAP.GATE_DURATION.CAPTURE": "Value"})

    def scan():
        yield from bps.prepare(panda, TriggerInfo(livetime=0.05), wait=True)
        yield from bps.trigger_and_read([panda])
        yield from bps.trigger_and_read([panda])

    def staged():
        yield from bps.stage(panda, wait=True)
        yield from bps.open_run()
        yield from scan()
        yield from bps.close_run()
        yield from bps.unstage(panda, wait=True)

    RE(staged())
    gates = docs.read("panda-PCAP-GATE_DURATION-Value")
    assert len(gates) == 2
    assert all(gate > 0.0499 for gate in gates)


def test_a_sequencer_flies_by_ophyds_own_logic(RE, panda, hand, docs):
    hand.put({"PCAP.ENABLE": "SEQ1.ACTIVE", "PCAP.TRIG": "SEQ1.OUTA"})
    table = SeqTable.row(
        repeats=40, trigger=SeqTrigger.IMMEDIATE, time1=500, outa1=True, time2=500
    )
    info = SeqTableInfo(sequence_table=table, repeats=1)
    RE(fly(panda, num=40, flyers=[(StaticSeqTableFlyableLogic(panda.seq[1]), info)]))
    assert docs.rows == 40
    assert docs.stop["exit_status"] == "success"
    times = docs.read("panda-PCAP-TS_TRIG-Value")
    assert times[-1] - times[0] == pytest.approx(0.039, abs=1e-6)
    assert docs.report["end_reason"] == "Ok"
    assert docs["start"][0]["flyers"] == ["flyer1"]
    assert hand.get("SEQ1.ENABLE") == "ZERO"


def test_a_grid_is_one_run_and_one_file(RE, panda, hand, docs):
    hand.put({"PCAP.ENABLE": "SEQ1.ACTIVE", "PCAP.TRIG": "SEQ1.OUTA"})
    with init_devices():
        slow = SimMotor()
    table = SeqTable.row(repeats=5, time1=500, outa1=True, time2=500)
    info = SeqTableInfo(sequence_table=table, repeats=1)
    logic = StaticSeqTableFlyableLogic(panda.seq[1])
    RE(fly_grid(panda, slow, 0.0, 2.0, 3, num=5, flyers=[(logic, info)]))
    assert docs.stop["exit_status"] == "success"
    assert docs.rows == 15
    assert docs["start"][0]["shape"] == [3, 5]
    assert docs.stop["num_events"] == {"primary": 15, "rows": 3, "report": 1}
    names = {d["uid"]: d["name"] for d in docs["descriptor"]}
    rows = [e for e in docs["event"] if names[e["descriptor"]] == "rows"]
    assert [row["data"]["slow"] for row in rows] == [0.0, 1.0, 2.0]
    assert docs.report["arms"] == 3
    assert docs.report["expected"] == 15


# every way to end


def test_an_early_end_fails_at_once_and_keeps_the_rows(RE, panda, hand, docs):
    def program():
        hand.pulse(60)
        hand.drop()

    at(RE, "complete", program)
    begin = time.monotonic()
    with pytest.raises(CaptureError, match=r"PCAP ended \(Ok\) after 60 of 100 rows"):
        RE(fly(panda, num=100))
    assert time.monotonic() - begin < 5
    assert docs.rows == 60
    assert docs.stop["exit_status"] == "fail"
    assert "after 60 of 100 rows" in docs.stop["reason"]
    assert docs.report["written"] == 60


def test_missing_rows_can_be_a_mere_warning(RE, panda, hand, docs, caplog):
    def program():
        hand.pulse(6)
        hand.drop()

    at(RE, "complete", program)
    RE(fly(panda, num=10, on_missed="warn"))
    assert docs.stop["exit_status"] == "success"
    assert docs.rows == 6
    assert "6 of 10 frames" in caplog.text
    assert "4 missing" in caplog.text


def test_no_trigger_is_a_time_out_that_says_so(RE, panda, hand, docs):
    at(RE, "complete", lambda: hand.pulse(3))
    with pytest.raises(FrameTimeout) as error:
        RE(fly(panda, num=10, timeout=0.5))
    text = str(error.value)
    assert "panda: 3 of 10 rows, and no further one in 0.5 s" in text
    assert "PCAP is armed with 3 samples captured" in text
    assert "PCAP.ENABLE is BITS.OUTB, PCAP.TRIG is PULSE1.OUT" in text
    assert docs.rows == 3
    assert docs.stop["exit_status"] == "fail"
    assert hand.get("*PCAP.STATUS").startswith("Idle")


def test_nothing_to_capture_says_what_to_set(RE, panda, hand, docs):
    hand.put({"*CAPTURE": ""})
    with pytest.raises(BadValue, match=r"counter\[1\].out_capture"):
        RE(fly(panda, num=1))
    assert docs.stop["exit_status"] == "fail"


def test_a_broken_data_connection_fails_at_once(RE, sim, panda, hand, docs):
    def program():
        hand.pulse(5)
        until(lambda: panda.data.session.progress.rows_written == 5)
        cut_data(sim)

    at(RE, "complete", program)
    begin = time.monotonic()
    with pytest.raises(PandaDisconnected, match="5 rows received are kept"):
        RE(fly(panda, num=10))
    assert time.monotonic() - begin < 5
    assert docs.rows == 5
    assert docs.stop["exit_status"] == "fail"
    assert docs.report["end_reason"] == "Early disconnect"
    assert hand.get("*PCAP.STATUS").startswith("Idle")


def until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_a_broken_control_connection_does_not_stop_the_data(RE, sim, panda, hand, docs):
    def program():
        hand.pulse(5)
        cut_control(sim)

    at(RE, "complete", program)
    RE(fly(panda, num=5))
    assert docs.rows == 5
    assert docs.stop["exit_status"] == "success"


def test_a_disk_that_fails_fails_the_run_with_its_own_words(
    RE, panda, hand, docs, tmp_path, monkeypatch
):
    def full(self, columns):
        raise HdfError(f"{self.path}: the disk is full; 0 rows are kept")

    monkeypatch.setattr(ColumnWriter, "append", full)
    at(RE, "complete", lambda: hand.pulse(5))
    with pytest.raises(HdfError, match="the disk is full"):
        RE(fly(panda, num=5))
    assert docs.stop["exit_status"] == "fail"
    assert "the disk is full" in docs.stop["reason"]
    assert hand.get("*PCAP.STATUS").startswith("Idle")


def test_a_directory_that_is_not_there_is_named(RE, sim, hand, tmp_path, docs):
    where = StaticPathProvider(StaticFilenameProvider("x"), tmp_path / "not" / "here")
    with init_devices():
        panda = HDFPanda(
            sim.host, where, control_port=sim.control_port, data_port=sim.data_port
        )
    with pytest.raises(HdfError, match=r"not/here does not exist or cannot be written"):
        RE(fly(panda, num=5))
    assert docs.stop["exit_status"] == "fail"
    asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(30)


def test_the_capture_settings_must_not_change_between_arms(RE, panda, hand, docs):
    """Two acquisitions in one stage, the second of other fields."""

    def plan():
        yield from bps.stage(panda, wait=True)
        yield from bps.open_run()
        info = TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=4)
        yield from bps.prepare(panda, info, wait=True)
        yield from bps.declare_stream(panda, name="primary", collect=True)
        for index in range(2):
            yield from bps.abs_set(panda.events_to_kickoff, 2, wait=True)
            yield from bps.kickoff(panda, wait=True)
            hand.pulse(2)
            yield from bps.complete(panda, wait=True)
            hand.drop()
            hand.put({"BITS.B": 1})
            if not index:
                until(lambda: panda.data.session.progress.ended == 1)
                hand.put({"COUNTER2.OUT.CAPTURE": "Value"})

    with pytest.raises(FailedStatus) as error:
        RE(plan())
    assert "fields captured have changed" in str(error.value.__cause__)


def test_several_arms_in_one_stage_go_to_one_file(RE, panda, hand, docs):
    """What makes an IOC's writer give up with `Mismatched StartData`."""

    def plan():
        yield from bps.stage(panda, wait=True)
        yield from bps.open_run()
        info = TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=60)
        yield from bps.prepare(panda, info, wait=True)
        yield from bps.declare_stream(panda, name="primary", collect=True)
        for _ in range(3):
            yield from bps.abs_set(panda.events_to_kickoff, 20, wait=True)
            yield from bps.kickoff(panda, wait=True)
            hand.pulse(20)
            yield from bps.collect_while_completing([panda], [panda], 0.2, "primary")
            # PCAP ends with each flight, and is armed again by the next kickoff
            hand.drop()
            until(lambda: hand.get("*PCAP.STATUS").startswith("Idle"))
            hand.put({"BITS.B": 1})
        yield from bps.unstage(panda, wait=True)
        yield from bps.close_run()

    RE(plan())
    assert docs.rows == 60
    assert docs.read(COUNTER) == [0.5 * n for n in range(1, 61)]
    with open_columns(panda.report.last.file) as columns:
        assert [run.rows for run in columns.runs] == [20, 20, 20]
    assert panda.report.last.arms == 3


@pytest.mark.parametrize("surplus", [0, 3])
def test_rows_between_two_flights_of_one_arm_are_pointed_out(
    RE, panda, hand, docs, caplog, surplus
):
    def plan():
        yield from bps.stage(panda, wait=True)
        yield from bps.open_run()
        info = TriggerInfo(trigger="EXTERNAL_LEVEL", number_of_events=10)
        yield from bps.prepare(panda, info, wait=True)
        yield from bps.declare_stream(panda, name="primary", collect=True)
        for extra in (surplus, 0):
            yield from bps.abs_set(panda.events_to_kickoff, 5, wait=True)
            yield from bps.kickoff(panda, wait=True)
            hand.pulse(5 + extra)
            yield from bps.collect_while_completing([panda], [panda], 0.2, "primary")
            until(lambda: panda.data.session.progress.rows_received >= 5 + surplus)
        yield from bps.unstage(panda, wait=True)
        yield from bps.close_run()

    RE(plan())
    assert docs.rows == 10
    assert ("3 rows came since the last kickoff" in caplog.text) is (surplus > 0)


def test_a_pause_ends_the_run_and_nothing_is_captured_twice(RE, panda, hand, docs):
    def pause():
        hand.pulse(4)
        until(lambda: panda.data.session.progress.rows_written == 4)
        threading.Thread(target=RE.request_pause).start()

    at(RE, "complete", pause)
    with pytest.raises(RunEngineInterrupted):
        RE(fly(panda, num=10))
    assert RE.state == "idle"
    assert docs.stop["exit_status"] == "abort"
    assert docs.stop["reason"].startswith("A flight cannot be paused")
    assert docs.rows == 4
    assert len(docs["start"]) == len(docs["stop"]) == 1
    assert hand.get("*PCAP.STATUS").startswith("Idle")
    assert docs.report["written"] == 4


def test_ctrl_c_twice_ends_the_run_with_what_there_is(RE, panda, hand, docs):
    def interrupt():
        hand.pulse(4)
        until(lambda: panda.data.session.progress.rows_written == 4)
        for _ in range(2):
            threading.Event().wait(0.15)
            os.kill(os.getpid(), signal.SIGINT)

    at(RE, "complete", lambda: threading.Thread(target=interrupt).start())
    with pytest.raises(RunEngineInterrupted):
        RE(fly(panda, num=10))
    assert RE.state == "idle"
    assert docs.stop["exit_status"] == "abort"
    assert docs.rows == 4
    assert hand.get("*PCAP.STATUS").startswith("Idle")
    with open_columns(panda.report.last.file) as columns:
        assert columns.rows == 4


@pytest.mark.parametrize(
    ("method", "status"), [("abort", "abort"), ("stop", "success"), ("halt", "abort")]
)
def test_stopping_from_elsewhere_lands(RE, panda, hand, docs, method, status):
    def end():
        hand.pulse(4)
        until(lambda: panda.data.session.progress.rows_written == 4)
        threading.Thread(target=getattr(RE, method)).start()

    at(RE, "complete", end)
    try:
        RE(fly(panda, num=10))
    except RunEngineInterrupted:
        pass
    until(lambda: hand.get("*PCAP.STATUS").startswith("Idle"))
    assert docs.stop["exit_status"] == status
    assert docs.rows == 4


def test_an_abort_in_the_middle_of_preparing_leaves_nothing_armed(
    RE, panda, hand, docs, monkeypatch
):
    """The file is created, and PCAP would be armed, when all is to be stopped."""
    landing = threading.Event()

    def slow(self, real=HdfCapture.start):
        assert landing.wait(30)
        real(self)

    monkeypatch.setattr(HdfCapture, "start", slow)

    def hook(msg):
        if msg.command == "prepare":
            threading.Thread(target=RE.abort).start()
        if msg.command == "unstage":
            landing.set()

    RE.msg_hook = hook
    try:
        RE(fly(panda, num=10))
    except RunEngineInterrupted:
        pass
    assert RE.state == "idle"
    assert docs.stop["exit_status"] == "abort"
    assert hand.get("*PCAP.STATUS").startswith("Idle")
    assert not panda.data.session.running


def test_a_panda_that_disappears_ends_the_run_truthfully(RE, tmp_path, docs):
    with ExitStack() as stack:
        sim = stack.enter_context(serve_in_thread())
        hand = Hand(sim)
        hand.wire()
        ports = {"control_port": sim.control_port, "data_port": sim.data_port}
        with init_devices():
            panda = HDFPanda(sim.host, tmp_path, **ports)

        def vanish():
            hand.pulse(4)
            until(lambda: panda.data.session.progress.rows_written == 4)
            hand.close()
            stack.close()

        at(RE, "complete", lambda: threading.Thread(target=vanish).start())
        with pytest.raises(PandaDisconnected, match="4 rows received are kept"):
            RE(fly(panda, num=10))
    assert docs.stop["exit_status"] == "fail"
    assert docs.rows == 4
    assert docs.report["written"] == 4


def test_a_panda_joined_late_reports_what_it_missed(RE, panda, hand, docs):
    """The server tells of rows that it has overwritten; so does the report."""
    real = HdfCapture.progress.fget

    def late(self):
        progress = real(self)
        runs = tuple(replace(run, missed=12) for run in progress.runs)
        return replace(progress, runs=runs)

    at(RE, "complete", lambda: hand.pulse(5))
    HdfCapture.progress = property(late)
    try:
        with pytest.raises(CaptureError, match=r"12 missing \(12 before row 0\)"):
            RE(fly(panda, num=5))
    finally:
        HdfCapture.progress = property(real)
    assert docs.stop["exit_status"] == "fail"
    assert docs.report["missed"] == 12


# what is refused before anything is done


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num": 0}, "num has to be a whole number, 1 or more, not 0; nothing was"),
        ({"num": 1.5}, "num has to be a whole number"),
        ({"num": "3"}, "num has to be a whole number, 1 or more, not '3'"),
        ({"num": float("inf")}, "num has to be a whole number"),
        ({"num": 1, "frames_per_event": 0}, "frames_per_event has to be a whole"),
        ({"num": 1, "livetime": -1}, "livetime has to be a number, 0 or more"),
        ({"num": 1, "deadtime": None}, "deadtime has to be a number, 0 or more"),
        ({"num": 1, "timeout": 0}, "timeout has to be a number, 0.001 or more"),
        ({"trigger": "internal"}, "trigger='internal' needs num"),
        ({"num": 1, "trigger": "magic"}, "trigger has to be external or internal"),
        ({"num": 1, "on_missed": "cry"}, "on_missed has to be fail or warn"),
        ({"num": 1, "flyers": [3]}, "flyers takes pairs"),
        ({"num": 1, "flyers": [(3, 4)]}, "3 cannot fly"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(RE, panda, docs, arguments, sentence):
    with pytest.raises(BadValue, match=sentence):
        RE(fly(panda, **arguments))
    assert docs.names == []


@pytest.mark.parametrize("count", [{"rows": 0, "num": 5}, {"rows": 2, "num": 1.5}])
def test_a_grid_of_no_size_is_refused(RE, panda, docs, count):
    name = "rows" if count["rows"] == 0 else "num"
    with pytest.raises(BadValue, match=f"^{name} has to be a whole number"):
        RE(fly_grid(panda, SimMotor(instant=True), 0, 1, flyers=[], **count))
    assert docs.names == []


def test_a_detector_that_is_listed_twice_is_refused(RE, panda, docs):
    with pytest.raises(BadValue, match="panda is twice in the list"):
        RE(fly([panda, panda], num=1))
    assert docs.names == []


@pytest.mark.parametrize(
    ("detectors", "sentence"),
    [
        ("panda", "There is no device named"),
        ([], "no detector"),
        ([4], "cannot fly|can fly"),
    ],
)
def test_what_is_no_detector_is_refused(RE, docs, detectors, sentence):
    with pytest.raises(BadValue, match=sentence):
        RE(fly(detectors, num=1))


def test_a_detector_that_cannot_be_triggered_is_named(RE, panda, docs, tmp_path):
    where = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        blob = SimBlobDetector(where)
    with pytest.raises(BadValue, match="blob cannot be triggered by external means"):
        RE(fly([panda, blob], num=1))
    with pytest.raises(BadValue, match="needs num"):
        RE(fly([panda, blob], trigger="internal"))


def test_a_dead_time_that_is_too_short_is_refused(RE, panda, docs):
    with pytest.raises(BadValue, match="panda needs 8e-09 s between frames"):
        RE(fly(panda, num=1, deadtime=1e-9))
    assert docs.names == []


def test_a_panda_that_cannot_be_staged_makes_no_run(RE, tmp_path, docs):
    with serve_in_thread() as sim:
        ports = {"control_port": sim.control_port, "data_port": sim.data_port}
        with init_devices():
            panda = HDFPanda(sim.host, tmp_path, **ports)
    with pytest.raises(PandaDisconnected, match=r"127\.0\.0\.1:"):
        RE(fly(panda, num=1))
    assert docs.names == []


def test_ctrl_c_once_lets_the_flight_finish(RE, panda, hand, docs):
    def program():
        threading.Thread(target=RE.request_pause, args=(True,)).start()
        hand.pulse(5)

    at(RE, "complete", program)
    result = RE(fly(panda, num=5))
    assert result.exit_status == "success"
    assert RE.state == "idle"
    assert docs.rows == 5


def test_two_detectors_fly_together(RE, panda, docs, tmp_path):
    where = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        blob = SimBlobDetector(where)
    RE(fly([panda, blob], num=5, livetime=0.01, trigger="internal"))
    assert docs.stop["exit_status"] == "success"
    assert docs.stop["num_events"]["primary"] == 5


def test_a_motor_flies_along(RE, panda, hand, docs):
    hand.put({"PCAP.ENABLE": "SEQ1.ACTIVE", "PCAP.TRIG": "SEQ1.OUTA"})
    with init_devices():
        x = SimMotor()
    table = SeqTable.row(repeats=10, time1=5000, outa1=True, time2=5000)
    sequence = SeqTableInfo(sequence_table=table, repeats=1)
    move = FlyMotorInfo(start_position=0, end_position=1, time_for_move=0.1)
    RE(bps.abs_set(x.acceleration_time, 0.01, wait=True))
    logic = StaticSeqTableFlyableLogic(panda.seq[1])
    RE(fly(panda, num=10, flyers=[(x, move), (logic, sequence)]))
    assert docs.stop["exit_status"] == "success"
    assert docs["start"][0]["flyers"] == ["x", "flyer1"]
    assert docs.rows == 10


def test_signatures_can_be_resolved_by_a_queue_server():
    for plan in (fly, fly_grid):
        hints = typing.get_type_hints(inspect.unwrap(plan))
        parameters = inspect.signature(plan).parameters
        assert set(parameters) <= set(hints)
        fields = {
            name: (hints[name], ... if p.default is p.empty else p.default)
            for name, p in parameters.items()
        }
        model = create_model(
            plan.__name__, __config__={"arbitrary_types_allowed": True}, **fields
        )
        assert model.model_fields["num"].annotation
        assert plan.__doc__
