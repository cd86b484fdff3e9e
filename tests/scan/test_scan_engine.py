"""The engine on virtual time: life of scans, pre and post scans, any control."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_recording import GOLDEN
from scan_rig import Rig

from beamfly.errors import BadValue
from beamfly.scan.channels import Reading
from beamfly.scan.commands import (
    Command,
    CommandSequence,
    Comment,
    ConfigLog,
    Delay,
    If,
    Log,
    Loop,
    Parallel,
    Sequence,
    Set,
    Wait,
)
from beamfly.scan.config import PVConfig, ScanConfig, read_config
from beamfly.scan.points import (
    count_logs,
    count_loop,
    loop_generation,
    loop_points,
    step_for,
)
from beamfly.scan.sqlite import SqliteStore
from beamfly.scan.store import MemoryStore

STATUS = ("Active", "Status", "State", "Progress", "Finish")


def submit(rig: Rig, *commands: Command, query: str = "") -> int:
    return rig.submit(CommandSequence(*commands).genSCN().decode(), query=query)


def states(rig: Rig, scan: int, seconds: float) -> list[str | None]:
    """States in the order in which they were seen, watched closely."""
    seen: list[str | None] = []
    end = rig.now + seconds
    while rig.now < end:
        state = rig.info(scan)["state"]
        if state not in seen[-1:]:
            seen.append(state)
        rig.sleep(0.02)
    return seen


def with_pre_and_post(**options: object) -> Rig:
    config = read_config((GOLDEN / "scan_config_pre_post.xml").read_bytes())
    fields = {**vars(config), "paths": [str(GOLDEN)], "status_pv_prefix": "", **options}
    return Rig(ScanConfig(**fields))


def test_pre_and_post_scan():
    rig = with_pre_and_post()
    scan = submit(rig, Log("loc://main(0)"), Delay(1))
    rig.sleep(0.3)
    info = rig.info(scan)
    assert (info["state"], info["address"]) == ("Running", "-1")
    assert (info["performed_work_units"], info["total_work_units"]) == ("0", "2")
    assert (info["command"] or "").startswith("Delay 0.6 sec")
    rig.sleep(1.5)
    assert rig.info(scan)["performed_work_units"] == "2"
    info = rig.wait(scan)
    assert info["state"] == "Finished"
    assert abs(int(info["runtime"] or 0) - 2600) < 30
    assert rig.data(scan) == {
        "loc://pre(0)": [(0, "1.0")],
        "loc://main(0)": [(1, "0.0")],
        "loc://post(0)": [(2, "1.0")],
    }


def test_without_pre_and_post_scan():
    rig = with_pre_and_post()
    scan = submit(rig, Log("loc://main(0)"), query="?pre_post=false")
    assert list(rig.data(scan)) == ["loc://main(0)"]
    assert int(rig.wait(scan)["runtime"] or 0) < 10


def test_an_aborted_scan_is_running_until_its_post_scan_is_over():
    """The genuine server may say Aborted, Running and Aborted again."""
    rig = with_pre_and_post()
    scan = submit(rig, Delay(20))
    rig.sleep(1)
    rig.put(scan, "abort")
    assert states(rig, scan, 2) == ["Running", "Aborted"]
    info = rig.info(scan)
    assert info["error"] == "Aborted"
    assert "loc://post(0)" in rig.data(scan)


def test_a_second_abort_ends_the_post_scan():
    rig = with_pre_and_post()
    scan = submit(rig, Delay(20))
    rig.sleep(1)
    rig.put(scan, "abort")
    rig.sleep(0.1)
    rig.put(scan, "abort")
    assert rig.info(scan)["state"] == "Aborted"
    assert "loc://post(0)" not in rig.data(scan)


def test_a_failed_scan_has_its_post_scan():
    rig = with_pre_and_post()
    scan = submit(rig, Wait("loc://x(0)", 1, timeout=0.1))
    assert states(rig, scan, 3) == ["Running", "Failed"]
    assert "loc://post(0)" in rig.data(scan)


def test_a_post_scan_that_fails_fails_the_scan(tmp_path: Path):
    (tmp_path / "post.scn").write_text(
        "<commands><wait><device>loc://x(0)</device><value>1</value>"
        "<timeout>0.1</timeout></wait></commands>"
    )
    rig = Rig(ScanConfig(paths=[str(tmp_path)], post_scan=["post.scn"]))
    info = rig.wait(submit(rig, Delay(0)))
    assert info["state"] == "Failed"
    assert "Timeout while waiting" in (info["error"] or "")
    rig = Rig(ScanConfig(paths=[str(tmp_path)], pre_scan=["none.scn"]))
    with pytest.raises(AssertionError, match="post-scan 'none"):
        submit(rig, Delay(0))
    assert rig.engine.infos() == []


def test_the_examples_of_a_genuine_configuration_are_there():
    config = read_config((GOLDEN / "scan_config.xml").read_bytes())
    rig = Rig(config)
    assert rig.wait(submit(rig, Delay(0)))["state"] == "Finished"


def test_status_pvs():
    prefix = "loc://Scan:"
    rig = Rig(ScanConfig(status_pv_prefix=prefix))
    watch = "".join(f"<device>{prefix}{name}</device>" for name in STATUS)
    scan = rig.submit(
        "<comment><text>x</text></comment><delay><seconds>1.5</seconds></delay>"
        f"<log><devices>{watch}</devices></log>"
    )
    rig.sleep(0.2)
    rig.put(scan, "pause")
    rig.sleep(0.1)
    read = {device.name: device.status for device in rig.engine.devices(scan)}
    assert read[f"{prefix}State"] == "2.0" or read[f"{prefix}State"] == "2"
    rig.put(scan, "resume")
    rig.wait(scan)
    data = {name.removeprefix(prefix): rows[0][1] for name, rows in
            rig.data(scan).items()}  # fmt: skip
    assert data["Active"] == "1"
    assert (data["State"], data["Progress"]) == ("1", "33")
    assert data["Status"].startswith("Delay 1.5 sec")
    assert data["Finish"].startswith("20")


def test_status_pvs_that_cannot_be_written_end_the_scan():
    rig = Rig(ScanConfig(status_pv_prefix="sim://ramp"))
    info = rig.wait(submit(rig, Delay(5)))
    assert info["state"] == "Failed"
    assert "no such simulation" in (info["error"] or "")


def test_pause_takes_effect_before_the_next_command():
    rig = Rig()
    scan = submit(rig, Set("setpoint", 1, readback="readback", tolerance=0.01),
                  Set("loc://x(0)", 1), Log("loc://x(0)"))  # fmt: skip
    rig.sleep(0.5)
    rig.put(scan, "pause")
    rig.sleep(3)
    info = rig.info(scan)
    assert (info["state"], info["performed_work_units"]) == ("Paused", "1")
    rig.put(scan, "resume")
    assert rig.wait(scan)["state"] == "Finished"


def test_pause_between_the_steps_of_a_loop():
    rig = Rig()
    loop = Loop("setpoint", 0.2, 1, 0.2, completion=True)
    scan = submit(rig, loop)
    rig.sleep(0.3)
    rig.put(scan, "pause")
    rig.sleep(5)
    assert rig.info(scan)["performed_work_units"] == "2"
    rig.put(scan, "resume")
    assert rig.wait(scan)["performed_work_units"] == "5"


def test_immediate_scans_do_not_wait_and_are_not_waited_for():
    rig = Rig()
    first = submit(rig, Delay(1))
    now = submit(rig, Delay(5), query="?queue=false")
    second = submit(rig, Delay(1))
    rig.sleep(1.5)
    assert [rig.info(s)["state"] for s in (first, now, second)] == [
        "Finished",
        "Running",
        "Running",
    ]


def test_a_deadline_that_passes_in_the_queue():
    rig = Rig()
    submit(rig, Delay(10))
    scan = rig.engine.submit(
        CommandSequence(Delay(1)).genSCN(), rig.now, deadline=rig.now + 5
    )
    info = rig.wait(scan)
    assert (info["state"], info["error"]) == ("Aborted", "Aborted (stale deadline)")


def test_culling():
    rig = Rig(ScanConfig(log_limit=3))
    scans = [submit(rig, Delay(0)) for _ in range(6)]
    assert [info.id for info in rig.engine.infos()] == scans[:1:-1]
    rig = Rig(ScanConfig(scans_in_memory=2))
    scans = [submit(rig, Log(f"loc://x({i})")) for i in range(5)]
    assert [info.state for info in rig.engine.infos()] == ["Finished"] * 3 + [
        "Logged"
    ] * 2
    assert rig.data(scans[0]) == {"loc://x(0)": [(0, "0.0")]}


def test_parallel_branches_are_ended_together():
    rig = Rig()
    scan = submit(
        rig,
        Parallel(
            Loop("setpoint", 1, 9, 1, completion=True),
            Sequence(Delay(0.5), Wait("loc://x(0)", 1, timeout=0.1)),
            Parallel(Delay(20), Delay(30)),
        ),
        Comment("not reached"),
    )
    info = rig.wait(scan)
    assert info["error"] == (
        "Timeout while waiting for loc://x(0) (0.0) = 1.0 (Parallel)"
    )
    assert abs(int(info["runtime"] or 0) - 600) < 20
    reached = rig.ioc.pvs["setpoint"].value
    rig.sleep(5)
    assert rig.ioc.pvs["setpoint"].value == reached


def test_if_and_automatic_log():
    rig = Rig()
    scan = submit(
        rig,
        ConfigLog(True),
        Set("loc://x(0)", 3),
        If("loc://x(0)", "=", 3, Set("loc://y(0)", "1"), tolerance=0),
        ConfigLog(False),
        Set("loc://x(0)", 4),
        errhandled := If("mode", "=", "Run", Set("loc://x(0)", 5)),
    )
    assert errhandled.getBody()
    info = rig.wait(scan)
    assert info["state"] == "Finished"
    assert rig.data(scan) == {"loc://x(0)": [(0, "3.0")], "loc://y(0)": [(1, "1.0")]}


def test_aliases_reach_the_same_pv():
    config = ScanConfig(pvs=[PVConfig("motor_x", alias="xpos")])
    rig = Rig(config)
    scan = submit(rig, Set("motor_x", 7, readback="xpos"), Log("xpos"))
    rig.wait(scan)
    assert rig.data(scan) == {"motor_x": [(0, "7.0")]}


def test_a_device_that_cannot_be_read():
    rig = Rig()
    scan = submit(rig, Delay(1), Log("motor_x"))
    for device in rig.engine._runs[scan]._devices._by_pv.values():
        device.channel.read = lambda answer: None
    info = rig.wait(scan)
    assert (info["state"], info["error"]) == ("Failed", "Failed to read motor_x")
    assert abs(int(info["runtime"] or 0) - 6000) < 150


def test_what_the_engine_did_not_expect_fails_the_scan_and_no_more():
    rig = Rig()
    scan = submit(rig, Delay(1), Log("motor_x"))
    for device in rig.engine._runs[scan]._devices._by_pv.values():
        device.channel.read = lambda answer: 1 / 0
    following = submit(rig, Delay(0))
    assert rig.wait(scan)["error"] == "ZeroDivisionError: division by zero"
    assert rig.wait(following)["state"] == "Finished"


def test_simulated_and_typed_local_pvs():
    rig = Rig()
    names = [
        "sim://ramp(0, 3, 1, 0.5)", "sim://const(4)", "sim://flipflop(0.5)",
        "sim://sine(-1, 1, 4, 0.5)", "loc://i<VLong>(3)", "loc://s<VString>",
        'loc://e<VEnum>(1, "Idle", "Run")', "loc://a(1, 2)", "loc://u",
        'loc://q("a, b")', 'loc://t("x", "y")',
    ]  # fmt: skip
    scan = submit(
        rig,
        Delay(0.6),
        Log(names),
        Set(names[4], 7.9), Set(names[5], 5), Set(names[6], "Idle"),
        Set(names[7], "[3, 4.5]"), Set(names[8], "text"),
        Log(names),
    )  # fmt: skip
    info = rig.wait(scan)
    assert info.get("error") is None
    values = {name: [text for _, text in rows] for name, rows in rig.data(scan).items()}
    assert [values[name] for name in names] == [
        ["1.0", "1.0"], ["4.0", "4.0"], ["1.0", "1.0"], ["1.0", "1.0"],
        ["3", "7"], ["", "5.0"], ["Run", "Idle"], ["[1.0, 2.0]", "[3.0, 4.5]"],
        ["0.0", "text"], ["a, b", "a, b"], ["[x, y]", "[x, y]"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["loc://", "loc://a b", "loc://x(", "sim://what", "sim://ramp(1,2,3,0)",
             'loc://e<VEnum>(5, "a")']
)  # fmt: skip
def test_names_of_local_pvs_that_make_no_sense(name: str):
    rig = Rig()
    info = rig.wait(submit(rig, Log(name)))
    assert info["state"] == "Failed"
    assert (info["error"] or "").startswith("Error for PV")


def test_writes_that_do_not_fit_local_pvs():
    for name, value in (
        ("loc://n(0)", "abc"), ('loc://e<VEnum>(0, "a")', "b"), ("sim://const(1)", 2),
    ):  # fmt: skip
        rig = Rig()
        info = rig.wait(submit(rig, Set(name, value)))
        assert (info["error"] or "").startswith("Failed to write")


def test_points_and_counts():
    assert count_loop(0, 1, 0.1) == 11
    assert count_loop(3, 3, -1) == 1
    assert list(loop_points(0, 2, -1, 1)) == [0, 1, 2]
    commands = [Loop("x", 0, 1, 0.1, Loop("y", 1, 3, 1, Log("x"), Log("y"))), Log("z")]
    assert count_logs(commands) == 11 * 3 * 2 + 1
    for wrong in ((float("inf"), 1, 1), (0, float("nan"), 1)):
        with pytest.raises(BadValue):
            count_loop(*wrong)
        with pytest.raises(AssertionError, match="never ends"):
            submit(Rig(), Loop("loc://x(0)", *wrong))


FINITE = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@settings(deadline=None)
@given(FINITE, FINITE, st.floats(0.01, 1e3), st.booleans(), st.integers(0, 3))
def test_points_of_any_loop(start, end, size, down, execution):
    if count_loop(start, end, size) > 10_000:
        return
    step = -size if down else size
    points = list(loop_points(start, end, step, execution))
    assert len(points) == count_loop(start, end, step)
    assert {points[0], points[-1]} == {float(start), float(end)}
    assert len(set(points)) == len(points)
    gaps = [abs(b - a) for a, b in pairwise(points)]
    assert all(gap <= size * (1 + 1e-6) + 1e-9 for gap in gaps)


def test_generations_of_loops():
    line = "00:00:00 - Loop 'loc://beamfly_probe(0)' = {}\n"
    first = line.format("1.0")
    assert loop_generation(first) == 1
    assert loop_generation(first + line.format("6.0")) == 2
    assert loop_generation(first + line.format("1.1 [was 1.0]")) == 3


@settings(deadline=None)
@given(FINITE, FINITE, st.integers(2, 5000))
def test_steps_for_a_number_of_points(start, end, points):
    if start == end:
        with pytest.raises(BadValue):
            step_for(start, end, points)
        return
    step = step_for(start, end, points)
    assert math.ceil(abs((end - start) / step)) == points - 1
    assert count_loop(start, end, step) == points
    assert step == pytest.approx((end - start) / (points - 1), rel=1e-12)


@settings(deadline=None)
@given(FINITE, st.integers(1, 200), st.sampled_from([0.1, 0.2, 0.3, 0.05, 0.01]))
def test_as_many_points_as_were_meant(start, count, step):
    assert count_loop(start, start + count * step, step) == count + 1


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_stores(kind: str, tmp_path: Path):
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "log")
    first, second = store.create("one", 1000), store.create("two", 2000)
    assert second > first
    assert (store.rows(first), store.last_serial(first)) == ([], -1)
    store.log(first, 0, "b", Reading(1.5, 10))
    store.log(first, 0, "a", Reading([1.0, 2.0], 11))
    store.log(first, 2, "a", Reading("x<", 12))
    store.log(first, 1, "a", Reading(7, 13))
    store.log(first, 1, "a", Reading(8, 14))
    rows = [("a", 0, 11, "[1.0, 2.0]"), ("a", 1, 13, "7"), ("a", 1, 14, "8"),
            ("a", 2, 12, "x<"), ("b", 0, 10, "1.5")]  # fmt: skip
    assert store.rows(first) == rows
    assert store.rows(first, after=1) == [("a", 2, 12, "x<")]
    assert (store.last_serial(first), store.last_serial(second)) == (2, -1)
    infos = [(info.id, info.name, info.created, info.state) for info in store.known()]
    assert infos == [(first, "one", 1000, "Logged"), (second, "two", 2000, "Logged")]
    store.delete(second)
    store.delete(999)
    assert [info.id for info in store.known()] == [first]
    store.flush()
    store.close()


LOCAL = st.sampled_from(["loc://a(0)", "loc://b(0)", "sim://flipflop(0.3)"])
SMALL = st.integers(0, 2)
HANDLERS = st.sampled_from([None, "OnErrorContinue", "OnErrorRetryThenAbort"])
LEAVES = st.one_of(
    st.just(Comment("c")),
    st.builds(Delay, st.sampled_from([0, 0.2, 1])),
    st.builds(Set, LOCAL, SMALL, errhandler=HANDLERS),
    st.builds(
        lambda d, v, c, h: Wait(d, v, c, timeout=0.4, errhandler=h),
        LOCAL, SMALL, st.sampled_from(["=", ">", "increase by"]), HANDLERS,
    ),
    st.builds(lambda names: Log(names), st.lists(LOCAL, min_size=1, max_size=2)),
    st.builds(ConfigLog, st.booleans()),
)  # fmt: skip


def nested(inner):
    bodies = st.lists(inner, max_size=3)
    return st.one_of(
        st.builds(Sequence, bodies, errhandler=HANDLERS),
        st.builds(Parallel, bodies, timeout=st.sampled_from([0, 0.5])),
        st.builds(lambda body: If("loc://a(0)", "=", 1, body), bodies),
        st.builds(
            lambda d, end, step, body: Loop(d, 0, end, step, body),
            st.sampled_from(["loc://a(0)", "loc://b(0)"]),
            SMALL, st.sampled_from([1, -1]), bodies,
        ),
    )  # fmt: skip


TREES = st.lists(st.recursive(LEAVES, nested, max_leaves=8), max_size=4)
ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["pause", "resume", "next", "abort", "move/1", "move/-1"]),
        st.integers(-1, 3),
        st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    ),
    max_size=8,
)
FINAL = {"Aborted", "Failed", "Finished"}


@settings(deadline=None, max_examples=150)
@given(st.lists(TREES, min_size=1, max_size=3), ORDERS, st.booleans())
def test_whatever_is_ordered_every_scan_ends_once_and_for_all(trees, orders, post):
    rig = with_pre_and_post() if post else Rig()
    scans = [submit(rig, *tree) for tree in trees]
    ended: dict[int, str] = {}

    def look() -> None:
        for info in rig.engine.infos():
            assert 0 <= info.performed_work_units <= max(0, info.total_work_units)
            if info.id in ended:
                assert info.state == ended[info.id]
            elif info.state in FINAL:
                ended[info.id] = info.state

    for verb, index, pause in orders:
        scan = -1 if index < 0 else scans[index % len(scans)]
        rig.put(scan, verb)
        look()
        rig.sleep(pause)
        look()
    for scan in scans:
        rig.put(scan, "resume")
    rig.sleep(200)
    look()
    assert set(ended) == set(scans)
    assert rig.engine.idle
    assert rig.engine.next_wakeup() is None
    for scan in scans:
        serials = {i for rows in rig.data(scan).values() for i, _ in rows}
        assert serials == set(range(len(serials)))


def test_numbers_beyond_measure():
    rig = Rig()
    forever = "<commands><delay><seconds>Infinity</seconds></delay></commands>"
    text = rig.request("POST", "/simulate", forever)
    assert b"for ever   Total estimated execution time" in text.body
    scan = rig.submit(forever)
    rig.sleep(1)
    assert "Remaining: for ever" in (rig.info(scan)["command"] or "")
    rig.put(scan, "abort")
    assert rig.wait(scan)["state"] == "Aborted"
    deep: Command = Comment("x")
    for _ in range(30):
        deep = Loop("loc://x(0)", 0, 1e11, 1, deep)
    busy = Rig()
    scan = busy.engine.submit(CommandSequence(deep).genSCN(), busy.now)
    for step in range(1, 20):
        busy.engine.advance(busy.now + step)
    info = busy.engine.info(scan)
    assert info.state == "Running"
    assert 0 < info.performed_work_units < info.total_work_units == 10**15
    assert busy.engine.next_wakeup() == busy.now + 19
    busy.engine.abort(scan, busy.now + 20)
    assert busy.engine.info(scan).state == "Aborted"
    for wrong in ((0, 1e13, 1), (-1e308, 1e308, 1), (0, 1, float("nan"))):
        with pytest.raises(AssertionError, match="never ends"):
            submit(rig, Loop("loc://x(0)", *wrong))


def test_a_scan_of_too_many_commands():
    rig = Rig()
    body = "<comment/>" * 100_001
    reply = rig.request("POST", "/scan/x", f"<commands>{body}</commands>")
    assert reply.status == 400
    assert b"100000 commands" in reply.body
