"""The REST vocabulary, recorded answers of a genuine server, logged data."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.errors import (
    BadValue,
    RemoteProtocolError,
    ScanAborted,
    ScanFailed,
    ScanServerDisconnected,
    ScanServerError,
    ScanTimeout,
    UnknownScan,
)
from beamfly.scan import rest
from beamfly.scan.call import HttpReply, refusal_reason
from beamfly.scan.data import (
    Data,
    _any_data,
    _regular_data,
    alignSerial,
    alignTime,
    createTable,
    getDatetime,
    getTable,
    getTimeSeries,
    iterateSamples,
    iterateTable,
    parse_array,
    parseXMLData,
)
from beamfly.scan.documents import data_document
from beamfly.scan.info import ScanInfo
from beamfly.scan.store import Row
from beamfly.scan.waiting import Waiting

GOLDEN = Path(__file__).parent.parent / "golden" / "scan"


def recorded(name: str) -> list[tuple[str, str, int, bytes]]:
    """Method, path, status and body of each request in a recording."""
    text = (GOLDEN / f"{name}.out.txt").read_text()
    parts = re.split(r"^--- (\w+) (\S+) -> (\d+) .*$", text, flags=re.M)[1:]
    return [
        (method, path, int(status), re.split(r"\n#####", body)[0].strip().encode())
        for method, path, status, body in zip(*[iter(parts)] * 4, strict=True)
    ]


def answer(name: str, method: str, path: str) -> HttpReply:
    status, body = next(
        (status, body)
        for m, p, status, body in recorded(name)
        if (m, p) == (method, path)
    )
    return HttpReply(status, body)


def test_values_can_be_left_as_they_were_logged():
    body = (
        b"<data><device><name>n</name><samples><sample id='0'><time>1</time>"
        b"<value>007</value></sample></samples></device></data>"
    )
    regular = body.replace(b"'", b'"')
    for document in (body, regular):
        assert rest.GetData(1, texts=True).read(document)["n"]["value"] == ["007"]
        assert rest.GetData(1).read(document)["n"]["value"] == [7.0]


def test_recorded_scan_info():
    running, finished = [
        rest.GetScan(220).answer(HttpReply(status, body))
        for method, path, status, body in recorded("t2")
        if path == "/scan/220"
    ]
    assert running == ScanInfo(
        220, "My First Scan", 1795157723455, "Running", 704, 4, 2, 1795157724865, 2,
        "Delay 1.0 sec. Remaining: 00:00:00.399",
    )  # fmt: skip
    assert str(running) == "'My First Scan' [220]: Running, 50 %"
    assert not running.isDone()
    assert finished.isDone()
    assert (finished.percentage(), finished.error) == (100, None)
    aborted = rest.GetScan(319).answer(answer("t5", "GET", "/scan/319"))
    assert (aborted.command, aborted.finish, aborted.address) == (None, 0, -1)
    assert str(aborted) == "'t' [319]: Aborted"


def test_scan_info_survives_both_ways():
    for method, path, status, body in recorded("t2") + recorded("t5"):
        if method == "GET" and re.fullmatch(r"/scan/\d+", path) and status == 200:
            body = body[: body.index(b"</scan>") + 7]
            info = rest.GetScan(1).answer(HttpReply(status, body))
            assert ScanInfo.from_xml(info.to_xml()) == info


def test_percentage_is_clamped():
    info = ScanInfo(1, "x", 0, "Running", 0, 4, 7)
    assert info.percentage() == 100
    assert ScanInfo(1, "x", 0, "Logged").percentage() == 0
    assert ScanInfo(1, "x", 5000, "Idle").createdDatetime() == getDatetime(5000)


def test_recorded_lists_serials_and_simulation():
    (info,) = rest.ListScans().answer(answer("t2", "GET", "/scans"))
    assert (info.id, info.state) == (220, "Finished")
    serial = rest.GetLastSerial(240).answer(
        answer("t3", "GET", "/scan/240/last_serial")
    )
    assert serial == 5
    simulation = rest.Simulate(b"").answer(answer("t8", "POST", "/simulate"))
    assert simulation["seconds"] == pytest.approx(82)
    assert simulation["simulation"].startswith("Simulation:\n--------\nERROR:")
    path = "/scan/My%20First%20Scan"
    assert rest.Submit(b"").answer(answer("t2", "POST", path)) == 220


def test_recorded_data():
    data = rest.GetData(220).answer(answer("t2", "GET", "/scan/220/data"))
    assert data["motor_x"] == {"id": [0], "time": [1795157723469], "value": [3.0]}
    assert data["mode"]["value"] == ["Idle"]
    assert data["ctext"]["value"] == [""]
    assert data["wf"]["value"] == ["[1.5, 2.0, 3.0, 0.0]"]
    assert parse_array(data["wf"]["value"][0]) == [1.5, 2.0, 3.0, 0.0]
    assert rest.GetData(220, after=0).read(answer("t2", "GET", "/scan/220/data").body)[
        "wf"
    ] == {"id": [], "time": [], "value": []}


@pytest.mark.parametrize(
    ("name", "method", "path", "kind", "reason"),
    [
        ("t1", "GET", "/scan/999", UnknownScan, "Unknown scan ID 999"),
        ("t1", "GET", "/scan/999/data", ScanServerError, "Error retrieving log data"),
        ("t1", "GET", "/scan/abc", ScanServerError, "Cannot parse path element 'abc'"),
        ("t1", "PUT", "/scan/999/pause", ScanServerError, ""),
        (
            "t1", "POST", "/scan/x?timeout=-1", ScanServerError,
            "Invalid timeout '-1'",
        ),
        (
            "t1", "POST", "/simulate", ScanServerError,
            "Unknown scan command ID bogus",
        ),
    ],
)  # fmt: skip
def test_recorded_refusals(name, method, path, kind, reason):
    reply = answer(name, method, path)
    if reply.body.startswith(b"<error>"):  # recorded up to a length
        reply = HttpReply(reply.status, reply.body + b"</trace></error>")
    with pytest.raises(ScanServerError) as caught:
        rest.Control(999, "pause").answer(reply)
    assert type(caught.value) is kind
    assert (caught.value.reason, caught.value.status) == (reason, reply.status)
    assert "/scan/999/pause" in str(caught.value)
    said = "has no scan 999" if kind is UnknownScan else reason or "gave no reason"
    assert said in str(caught.value)


def test_a_truncated_error_document_is_shown_as_it_is():
    body = b"<error><message>x</message><trace>java.lang.Ex"
    assert refusal_reason(body) == body.decode()


def test_requests_on_the_wire():
    submit = rest.Submit(b"<c/>", "a b/c", False, 5, None, False)
    assert submit.request().target == (
        "/scan/a%20b%2Fc?queue=false&timeout=5&pre_post=false"
    )
    assert rest.Submit(b"", deadline=rest.NO_DEADLINE).request().query == {}
    deadline = rest.Submit(b"", deadline="2030-01-01 00:00:00").request().target
    assert deadline == "/scan/UnNamed?deadline=2030-01-01%2000%3A00%3A00"
    assert rest.GetData(3, 7).request().target == "/scan/3/data?after=7"
    patch = rest.Patch(1, 2, "value", 'a<b & "c"').request()
    assert patch.body == (
        b"<patch><address>2</address><property>value</property>"
        b'<value>a&lt;b &amp; "c"</value></patch>'
    )


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_garbage_in_answers(body: bytes):
    calls = (
        rest.GetScan(1), rest.ListScans(), rest.GetData(1), rest.GetLastSerial(1),
        rest.Submit(b""), rest.Simulate(b""),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(RemoteProtocolError):
            call.answer(HttpReply(200, body))
        with pytest.raises(ScanServerError):
            call.answer(HttpReply(500, body))


def test_answers_of_the_wrong_kind():
    for call, body in (
        (rest.GetScan(1), b"<scans/>"),
        (rest.GetScan(1), b"<scan><id>x</id></scan>"),
        (rest.GetData(1), b"<scan/>"),
        (rest.GetData(1), b"<data><device><sample id='a'/></device></data>"),
        (rest.GetLastSerial(1), b"<serial>x</serial>"),
        (rest.Submit(b""), b"<serial>1</serial>"),
        (rest.Simulate(b""), b"<simulation><seconds>x</seconds></simulation>"),
    ):
        with pytest.raises(RemoteProtocolError):
            call.answer(HttpReply(200, body))


def info(state: str, command: str | None = "- end -", error: str | None = None):
    return ScanInfo(7, "n", 0, state, command=command, error=error)


def test_waiting_for_the_end():
    waiting = Waiting(7, 0.0, None, 30)
    assert not waiting.saw(info("Idle"), 0)
    assert not waiting.saw(info("Running"), 1)
    assert waiting.saw(info("Finished"), 2)
    assert Waiting(7, 0.0, None, 30).saw(info("Logged", None), 0)
    pauses = [waiting.pause(0) for _ in range(30)]
    assert pauses[0] <= 0.05 and pauses[-1] == 1.0


def test_waiting_for_what_goes_wrong():
    with pytest.raises(ScanFailed, match="Scan 7 'n' failed: no motor") as caught:
        Waiting(7, 0.0, None, 30).saw(info("Failed", error="no motor"), 0)
    assert caught.value.info.error == "no motor"
    with pytest.raises(ScanAborted):
        Waiting(7, 0.0, None, 30).saw(info("Aborted", None), 0)
    waiting = Waiting(7, 0.0, 5.0, 30)
    assert not waiting.saw(info("Running"), 4.9)
    assert waiting.pause(4.9) <= 0.11
    with pytest.raises(ScanTimeout, match="state Running"):
        waiting.saw(info("Running"), 5)


def test_waiting_until_a_state_is_settled():
    waiting = Waiting(7, 0.0, None, 30)
    assert not waiting.saw(info("Aborted", "Set 'post' = 1.0"), 0)
    assert not waiting.saw(info("Running", "Set 'post' = 1.0"), 1)
    with pytest.raises(ScanAborted):
        waiting.saw(info("Aborted"), 2)
    waiting = Waiting(7, 0.0, None, 30)
    assert not waiting.saw(info("Aborted", "stuck"), 0)
    with pytest.raises(ScanAborted):
        waiting.saw(info("Aborted", "stuck"), 10)


def test_waiting_outlasts_a_restart_but_not_for_ever():
    gone = ScanServerDisconnected("gone")
    waiting = Waiting(7, 0.0, None, 30)
    waiting.lost(gone, 0)
    waiting.lost(gone, 29)
    assert not waiting.saw(info("Running"), 29.5)
    waiting.lost(gone, 40)
    with pytest.raises(ScanServerDisconnected):
        waiting.lost(gone, 70)


TWO = {
    "x": {"id": [0, 3, 6], "time": [10, 40, 70], "value": [1.0, 2.0, 3.0]},
    "y": {"id": [1, 3, 7], "time": [20, 45, 80], "value": [5.0, "b", 7.0]},
}


def test_tables():
    assert createTable(TWO, "x", "y") == [
        [1.0, 1.0, 2.0, 3.0, 3.0],
        [None, 5.0, "b", "b", 7.0],
    ]
    assert getTable(TWO, "y", "x", with_id=True, with_time=True) == [
        [0, 1, 3, 6, 7],
        [10, 20, 45, 70, 80],
        [None, 5.0, "b", "b", 7.0],
        [1.0, 1.0, 2.0, 3.0, 3.0],
    ]
    assert createTable(TWO) == []
    with pytest.raises(BadValue, match="'z' was not logged in this scan; it has x, y"):
        createTable(TWO, "z")


def test_table_rows_are_lists_of_their_own():
    rows = list(iterateTable(iterateSamples(TWO, "x"), iterateSamples(TWO, "y")))
    assert rows[0] == [(0, 10, 1.0), None]
    assert rows[-1] == [(6, 70, 3.0), (7, 80, 7.0)]
    assert len({id(row) for row in rows}) == len(rows)
    assert list(iterateTable()) == []
    twice = [(0, 1, "a"), (0, 2, "b")]
    assert list(iterateTable(twice)) == [[(0, 2, "b")]]


def test_series_and_alignment():
    assert getTimeSeries(TWO, "x") == [[10, 40, 70], [1.0, 2.0, 3.0]]
    assert getTimeSeries(TWO, "x", "datetime")[0][0] == getDatetime(10)
    assert alignSerial(TWO, "y") == [[1, 3, 7], [5.0, "b", 7.0], [20, 45, 80]]
    assert alignTime(TWO, "x") == [[10, 40, 70], [1.0, 2.0, 3.0]]
    assert alignTime(TWO, "x", 0.05) == [[10, 70], [1.0, 3.0]]
    with pytest.raises(BadValue):
        getTimeSeries(TWO, "x", "iso")


def test_data_class():
    data = Data(answer("t2", "GET", "/scan/220/data").body)
    assert data.PVlist()[0] == "count"
    assert data.PVvalue("count") == [7.0]
    assert data.PVtime("motor_x") == [1795157723469]
    assert data["wf"] == data.PV("wf")
    assert '"motor_x"' in str(data)


def test_arrays():
    assert parse_array("[]") == []
    assert parse_array("[a, b]") == ["a", "b"]
    with pytest.raises(BadValue):
        parse_array("1, 2")
    with pytest.raises(BadValue):
        parseXMLData("<foo/>")


NAMES = st.text("ab:_&<\r\n é()\"'", min_size=1, max_size=4)
VALUES = st.text("12.eE- ab[],&<>]\r\n\tNaN", max_size=6)
ROWS = st.lists(
    st.tuples(NAMES, st.integers(-1, 50), st.integers(-5, 2**45), VALUES), max_size=8
)


def written(rows: list[Row]) -> bytes:
    return "".join(data_document([row] for row in rows)).encode()


@settings(deadline=None, max_examples=300)
@given(ROWS, st.sampled_from([b"", b" ", b"<!-- x -->", b"<x/>", b"x", b"<"]))
def test_the_fast_way_to_read_data_equals_the_slow_one(rows, junk):
    text = written(sorted(rows, key=lambda row: row[0]))
    for document in (text, text.replace(b"</sample>", b"</sample>" + junk, 1)):
        fast = _regular_data(document)
        try:
            slow = _any_data(document)
        except BadValue:
            assert fast is None
        else:
            assert fast is None or repr(fast) == repr(slow)  # NaN is not NaN


def test_the_fast_way_is_taken():
    assert _regular_data(answer("t2", "GET", "/scan/220/data").body) is not None
    assert _regular_data(written([("x", 0, 1, "[1.0, 2.0]")])) is not None
    assert _regular_data(written([])) == {}
    assert _regular_data(b"<data>\xff</data>") is None
