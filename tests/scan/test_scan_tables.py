"""Table, N-dimensional and alignment scans, device settings, spreadsheets, seconds."""

import gzip
import json
from pathlib import Path

import pytest

from beamfly.errors import BadValue
from beamfly.scan.alignment import AlignmentScan
from beamfly.scan.commands import Comment, Delay, Include, Set
from beamfly.scan.ndim import createNDimScan
from beamfly.scan.ranges import expandRanges, getIterable
from beamfly.scan.settings import (
    DeviceSettings,
    ScanSettings,
    SettingsBasedLoop,
    SettingsBasedSet,
    SettingsBasedWait,
    getScanSettings,
    setScanSettings,
)
from beamfly.scan.spreadsheet import readSpreadsheet, writeSpreadsheet
from beamfly.scan.table import TableScan, loadTableScan
from beamfly.scan.values import formatSecondsAsTime, parseSeconds


class Site(ScanSettings):
    def __init__(self):
        super().__init__()
        self.defineDeviceClass("My:.*", readback=True)
        self.defineDeviceClass(
            "My:Lakeshore.*", completion=True, timeout=300, tolerance=10
        )
        self.defineDeviceClass(".*Motor.*", completion=True, readback=True, timeout=100)
        self.defineDeviceClass("PerpetualCounter", comparison="increase by")

    def getReadbackName(self, device_name: str) -> str:  # noqa: N802
        return device_name + ".RBV" if "Motor" in device_name else device_name


@pytest.fixture(autouse=True)
def site():
    before = getScanSettings()
    setScanSettings(Site())
    yield getScanSettings()
    setScanSettings(before)


def test_device_settings():
    assert DeviceSettings("d").getReadback() is None
    assert DeviceSettings("d", readback=True).getReadback() == "d"
    assert DeviceSettings("d", readback="o").getReadback() == "o"
    assert not DeviceSettings("d", completion=False).getCompletion()


def test_last_matching_class_counts(site: Site):
    settings = site.getDefaultSettings("My:Lakeshore1")
    assert settings.getReadback() is None
    assert (settings.getTimeout(), settings.getTolerance()) == (300, 10)
    assert site.getDefaultSettings("My:Valve").getReadback() == "My:Valve"
    assert site.getDefaultSettings("Not My:Valve").getReadback() is None
    assert site.getDefaultSettings("My:Motor:47").getReadback() == "My:Motor:47.RBV"
    assert site.getDefaultSettings("PerpetualCounter").comparison == "increase by"


@pytest.mark.parametrize(
    ("spec", "completion", "readback", "parallel"),
    [
        ("My:Motor", True, "My:Motor.RBV", False),
        ("+p My:Motor", True, "My:Motor.RBV", True),
        ("-c My:Motor", False, "My:Motor.RBV", False),
        ("+p-c+r My:Motor", False, "My:Motor", True),
        ("+pr My:Motor", True, "My:Motor", True),
        ("+p-cr My:Motor", False, None, True),
        ("+pc-p  My:Motor ", True, "My:Motor.RBV", False),
    ],
)
def test_modifiers(site: Site, spec: str, completion: bool, readback, parallel: bool):
    settings = site.parseDeviceSettings(spec)
    assert settings.getName() == "My:Motor"
    assert settings.getCompletion() is completion
    assert settings.getReadback() == readback
    assert settings.getParallel() is parallel


def test_names_that_only_look_modified(site: Site):
    assert site.parseDeviceSettings("+pump").getName() == "+pump"


def test_commands_that_suit_the_device():
    assert str(SettingsBasedSet("My:Motor1", 42)) == (
        "Set('My:Motor1', 42, completion=True, timeout=100, "
        "readback='My:Motor1.RBV', tolerance=0.100000)"
    )
    assert str(SettingsBasedSet("My:Motor1", 42, readback=False, timeout=0)) == (
        "Set('My:Motor1', 42, completion=True)"
    )
    tail = "completion=True, readback='My:Motor1.RBV', tolerance=0.2, timeout=100)"
    assert str(SettingsBasedLoop("My:Motor1", 1, 10, 2, Delay(1), Delay(2))) == (
        f"Loop('My:Motor1', 1, 10, 2, [ Delay(1), Delay(2) ], {tail}"
    )
    assert str(SettingsBasedLoop("x", 1, 10, 2)) == "Loop('x', 1, 10, 2)"
    assert str(SettingsBasedWait("SomePV", 42)) == (
        "Wait('SomePV', 42, comparison='>=', tolerance=0.1)"
    )
    assert str(SettingsBasedWait("PerpetualCounter", 42)) == (
        "Wait('PerpetualCounter', 42, comparison='increase by', tolerance=0.1)"
    )
    assert str(SettingsBasedSet("-cr My:Motor1", 1)) == (
        "Set('My:Motor1', 1, timeout=100)"
    )


def test_device_classes_from_json(tmp_path: Path):
    path = tmp_path / "scan.json"
    path.write_text(
        json.dumps({"setpoint": {"readback": "rb", "tolerance": 0.5}, "m_.": {}})
    )
    settings = ScanSettings()
    settings.loadDeviceClasses(path)
    assert settings.getDefaultSettings("setpoint").getReadback() == "rb"
    for wrong in ("[]", "{", '{"a": {"color": 1}}', '{"a": 3}', '{"(": {}}'):
        path.write_text(wrong)
        with pytest.raises(BadValue):
            settings.loadDeviceClasses(path)
    with pytest.raises(BadValue):
        settings.loadDeviceClasses(tmp_path / "none.json")


def table(headers, *rows, **options) -> str:
    return str(TableScan(headers, list(rows), **options).createScan(lineinfo=False))


def test_basic_table():
    headers = ("Comment", "X ", "Y", "Speed")
    rows = (["Setup", "  1", 2, "30"], ["", "", "", ""], ["[see log]", "", "", "a"])
    scan = TableScan(headers, rows)
    assert str(scan.createScan()) == (
        "[Comment('# Line 1'), Comment('Setup'), Set('X', 1.0), Set('Y', 2.0), "
        "Set('Speed', 30.0), Comment('# Line 2'), Comment('[see log]'), "
        "Set('Speed', 'a'), Comment('# End')]"
    )
    assert scan.cols == 4
    assert repr(scan).splitlines()[0] == "Comment   | X | Y | Speed"


def test_line_numbers_are_those_of_the_table_and_shown_in_a_pv(site: Site):
    site.table_scan_row = "row"
    scan = TableScan(["X"], [["range(2)"], ["7"]])
    assert str(scan.createScan()) == (
        "[Comment('# Line 1'), Set('row', 1), Set('X', 0.0), Set('X', 1.0), "
        "Comment('# Line 2'), Set('row', 2), Set('X', 7.0), Comment('# End')]"
    )


def test_wait_for():
    headers = ("X", "Wait For", "Value", "Or Time")
    assert table(headers, [1, "seconds", 10, ""], [3, "Time", "00:01:00", ""]) == (
        "[Set('X', 1.0), Delay(10), Log('X'), Set('X', 3.0), Delay(60), Log('X')]"
    )
    handler = "errhandler='OnErrorContinue'"
    assert table(headers, ["1", "n", "10", "60"]) == (
        "[Set('X', 1.0), Wait('n', 10.0, comparison='>=', tolerance=0.1, timeout=60, "
        f"{handler}), Log('X', 'n')]"
    )
    lower = [header.lower() for header in headers]
    assert f"timeout=60, {handler}" in table(lower, ["1", "n", "10", "60"])
    assert table(headers[:3], ["", "PerpetualCounter", "5"], log_always=["a"]) == (
        "[Wait('PerpetualCounter', 5.0, comparison='increase by', tolerance=0.1), "
        "Log('a', 'PerpetualCounter')]"
    )


def test_pre_post_start_stop():
    options = {
        "pre": Set("shutter", 1),
        "post": Set("shutter", 0),
        "start": [Set("reset", 1), Set("run", 1)],
        "stop": Set("run", 0),
    }
    assert table(("X", "Wait For", "Value"), [1, "n", 2], **options) == (
        "[Set('shutter', 1), Set('X', 1.0), Set('reset', 1), Set('run', 1), "
        "Wait('n', 2.0, comparison='>=', tolerance=0.1), Log('X', 'n'), "
        "Set('run', 0), Set('shutter', 0)]"
    )


def test_parallel():
    headers = ("+p A", "+p B", "C", "+p D", "+p E", "F")
    assert table(headers, list("123456")) == (
        "[Parallel(Set('A', 1.0), Set('B', 2.0)), Set('C', 3.0), "
        "Parallel(Set('D', 4.0), Set('E', 5.0)), Set('F', 6.0)]"
    )
    headers = ("+p A", "C", "+p D", "Wait For", "Value")
    options = {"start": Comment("go"), "stop": Comment("halt")}
    rows = ([*"123", "completion", "10"], [*"689", "Seconds", "10"])
    assert table(headers, *rows, **options) == (
        "[Parallel(Set('A', 1.0)), Set('C', 2.0), Comment('go'), "
        "Parallel(Set('D', 3.0)), Log('A', 'C', 'D'), Comment('halt'), "
        "Parallel(Set('A', 6.0)), Set('C', 8.0), Parallel(Set('D', 9.0)), "
        "Comment('go'), Delay(10), Log('A', 'C', 'D'), Comment('halt')]"
    )
    headers = ("+p A", "Wait For", "Value", "Or Time")
    assert table(headers, ["1", "Completion", "", "00:05:00"]) == (
        "[Parallel(Set('A', 1.0), timeout=300, errhandler='OnErrorContinue'), Log('A')]"
    )
    headers = ("+p X", "+p Y", "Z", "Wait For", "Value")
    assert table(headers, ["Loop(3)", "Loop(5)", "", "time", "00:01:00"]) == (
        "[Parallel(Loop('X', 0, 3, 1), Loop('Y', 0, 5, 1)), Delay(60), Log('X', 'Y')]"
    )


def test_ranges():
    assert table([" X ", "Y"], ["[ 0, 1]", "range(2)"], ["", "range(3)"]) == (
        "[Set('X', 0.0), Set('Y', 0.0), Set('X', 0.0), Set('Y', 1.0), "
        "Set('X', 1.0), Set('Y', 0.0), Set('X', 1.0), Set('Y', 1.0), "
        "Set('Y', 0.0), Set('Y', 1.0), Set('Y', 2.0)]"
    )
    assert table(["X"], ["range(175,246,70)"]) == "[Set('X', 175.0), Set('X', 245.0)]"
    assert table(["X"], ["range(175,245,70)"]) == "[Set('X', 175.0)]"
    assert table(["X", "Y"], ["range(1,0,2)", "2"]) == "[Set('Y', 2.0)]"
    assert table(["X", "Y"], ["3", "[]"]) == "[Set('X', 3.0)]"
    assert table(["X"], ["range(0.2, 5.4, 0.7)"]) == (
        "[Set('X', 0.2), Set('X', 0.9), Set('X', 1.6), Set('X', 2.3), Set('X', 3.0), "
        "Set('X', 3.7), Set('X', 4.4), Set('X', 5.1)]"
    )
    assert table(["X"], ["Range(.5, 0, -.25)"]) == "[Set('X', 0.5), Set('X', 0.25)]"
    assert table(["X"], ["('in', 'out')"]) == "[Set('X', 'in'), Set('X', 'out')]"


def test_iterables():
    assert getIterable("[ 2, 4 ]") == [2, 4]
    assert str(getIterable("range(5)")) == "[0, 1, 2, 3, 4]"
    assert getIterable("range(2, 5, 2)") == [2.0, 4.0]
    assert getIterable("range(175,0,70)") == []
    assert getIterable("range(2,0,-1)") == [2.0, 1.0]
    assert getIterable("range(0, 0.3, 0.1)") == [0.0, 0.1, 0.2]
    assert getIterable("'Fred'") is None
    assert getIterable("[ 'a', 'b' ]") == ["a", "b"]
    assert getIterable("(3)") == [3]
    rows = [["L", "range(3)", "s", "range(2)"], ["( 2, 4)", "[0, 90]", "s", "1"]]
    expanded = expandRanges(rows)
    assert len(expanded) == 10
    assert expanded[1] == ["L", "0", "s", "1"]


def test_cells_are_never_executed(tmp_path: Path):
    trap = tmp_path / "trap"
    attack = f"[__import__('pathlib').Path({str(trap)!r}).touch()]"
    with pytest.raises(BadValue):
        table(["X"], [attack])
    assert not trap.exists()


@pytest.mark.parametrize(
    "cell", ["range()", "range(1,2,3,4)", "range(a)", "loop(x)", "range(1,5,0)",
             "[1, two]", "range(1e9)"]
)  # fmt: skip
def test_cells_that_are_meant_otherwise(cell: str):
    with pytest.raises(BadValue):
        table(["X"], [cell])


def test_loops():
    assert table(["p", "camera"], ["Loop(0, 3, 0.5)", "snap"]) == (
        "[Loop('p', 0, 3, 0.5, [ Set('camera', 'snap') ])]"
    )
    assert table(["X", "Y", "C"], ["loop(1,10)", "Loop(2,5)", "s"]) == (
        "[Loop('X', 1, 10, 1, [ Loop('Y', 2, 5, 1, [ Set('C', 's') ]) ])]"
    )
    assert table(["X", "Y"], ["Loop(3)", "[1, 2]"]) == (
        "[Loop('X', 0, 3, 1, [ Set('Y', 1.0) ]), Loop('X', 0, 3, 1, [ Set('Y', 2.0) ])]"
    )
    assert table(["X", "Wait For", "Value"], ["loop(2)", "seconds", "1"]) == (
        "[Loop('X', 0, 2, 1, [ Delay(1), Log('X') ])]"
    )


def test_special_columns():
    special = {
        "Run": lambda cell: Include(cell + ".scn"),
        "Delay": lambda cell: [Delay(parseSeconds(cell))],
    }
    headers = ("Run", "+p X", "Delay", "Wait For", "Value")
    rows = (["Start", "10", "00:01:00", "N", "10"], ["Stop", "", "", "", ""])
    assert table(headers, *rows, special=special) == (
        "[Include('Start.scn'), Parallel(Set('X', 10.0)), Delay(60), "
        "Wait('N', 10.0, comparison='>=', tolerance=0.1), Log('X', 'N'), "
        "Include('Stop.scn')]"
    )


def test_bad_tables():
    with pytest.raises(BadValue, match="Table needs list of rows"):
        TableScan(["X", "Y"], ["1", "2"])
    with pytest.raises(BadValue, match="Table has 5 columns but row 1 has only 4"):
        TableScan(list("abcde"), [[1] * 5, [1] * 4])
    with pytest.raises(BadValue, match="must be followed by Value"):
        table(["X", "Wait For"], [1, "time"])
    with pytest.raises(BadValue, match="must be followed by Value"):
        table(["X", "Wait For", "ShouldBeValue"], [1, "time", 1])
    with pytest.raises(BadValue, match="must follow a Wait For"):
        table(["X", "Value"], [1, 2])
    with pytest.raises(BadValue, match="no Wait For in its row"):
        table(["X", "Wait For", "Value"], [1, "", 2])
    with pytest.raises(BadValue, match="needs \\+p columns"):
        table(["X", "Wait For", "Value"], [1, "completion", ""])
    with pytest.raises(BadValue):
        table(["Wait For", "Value"], ["seconds", "soon"])


def test_ndim():
    assert str(createNDimScan(("x", 1, 10), "rb", "x")) == (
        "[Loop('x', 1, 10, 1, [ Log('x', 'rb') ])]"
    )
    commands = createNDimScan(
        Comment("go"), ("My:Motor", 1, 10), ("y", 1, 5, 0.2), [Set("z", 1)], "n"
    )
    assert str(commands) == (
        "[Comment('go'), Loop('My:Motor', 1, 10, 1, [ Loop('y', 1, 5, 0.2, "
        "[ Set('z', 1), Log('My:Motor', 'y', 'n') ]) ], completion=True, "
        "readback='My:Motor.RBV', tolerance=0.1, timeout=100)]"
    )
    assert createNDimScan() == []
    for wrong in (("x",), ("x", 1), ("x", 1, 2, 3, 4), (1, 2, 3), (), 3, [3]):
        with pytest.raises(BadValue):
            createNDimScan(wrong)


def test_ndim_leaves_its_arguments_alone():
    body = [Set("z", 1)]
    createNDimScan(("x", 1, 2), body)
    assert body == [Set("z", 1)]


def test_alignment():
    scan = AlignmentScan(
        "motor_x", 0, 10, 0.5, "seconds", 0.5, "signal",
        pre=Set("motor_y", 3), find_command="FindPeak",
    )  # fmt: skip
    fit = "Demo:CS:Scan:Fit"
    assert str(scan.createScan()) == (
        f"[Set('{fit}:Height', 0), Set('motor_y', 3), Loop('motor_x', 0, 10, 0.5, "
        "[ Delay(0.5), Log('signal', 'motor_x'), Script('WriteDataToPV', 'motor_x', "
        f"'{fit}:Data:X'), Script('WriteDataToPV', 'signal', '{fit}:Data:Y', '-', "
        f"'1') ]), Script('FindPeak', 'motor_x', 'signal', '-', '1', '{fit}:Pos', "
        f"'{fit}:Height', '{fit}:Width')]"
    )
    scan = AlignmentScan(
        "m", 0, 1, 1, "n", 1e12, "s", normalize=True, prefix="P", log_always=["a", "s"]
    )
    assert str(scan.createScan()) == (
        "[Set('P:Height', 0), Loop('m', 0, 1, 1, [ Wait('n', 1000000000000.0, "
        "comparison='>=', tolerance=0.1), Log('s', 'm', 'a', 'n'), "
        "Script('WriteDataToPV', 'm', 'P:Data:X'), "
        "Script('WriteDataToPV', 's', 'P:Data:Y', 'n', '1e+12') ])]"
    )


@pytest.mark.parametrize("ending", [".csv", ".tab"])
def test_spreadsheets_in_text(tmp_path: Path, ending: str):
    path = tmp_path / f"table{ending}"
    rows = [["XPos", "Y, or\tZ"], ["1", 'say "2"\nor 3'], ["", "é"]]
    writeSpreadsheet(path, rows)
    assert readSpreadsheet(path) == rows
    scan = TableScan(["X", "Y"], [["1", "2"], ["3", "4"]])
    scan.save(path)
    assert ("\t" in path.read_text()) == (ending == ".tab")
    again = loadTableScan(path, log_always=["n"])
    assert (again.headers, again.rows) == (scan.headers, scan.rows)
    path.write_bytes(b"\xef\xbb\xbfX\r\n1\r\n")
    assert readSpreadsheet(path) == [["X"], ["1"]]


def test_gnumeric(tmp_path: Path):
    path = tmp_path / "table.gnumeric"
    text = (
        '<gnm:Workbook xmlns:gnm="http://www.gnumeric.org/v10.dtd"><gnm:Sheets>'
        "<gnm:Sheet><gnm:Cells>"
        '<gnm:Cell Row="0" Col="0">X</gnm:Cell><gnm:Cell Row="0" Col="1">Y</gnm:Cell>'
        '<gnm:Cell Row="3" Col="1"> 2 </gnm:Cell>'
        "</gnm:Cells></gnm:Sheet></gnm:Sheets></gnm:Workbook>"
    )
    path.write_bytes(gzip.compress(text.encode()))
    assert readSpreadsheet(path) == [["X", "Y"], ["", "2"]]
    assert str(loadTableScan(path).createScan(False)) == "[Set('Y', 2.0)]"


def test_files_that_are_no_tables(tmp_path: Path):
    for name in ("none.csv", "a.txt", "b.gnumeric", "c.xls"):
        path = tmp_path / name
        if name != "none.csv":
            path.write_bytes(b"\xff\xfe")
        with pytest.raises(BadValue):
            readSpreadsheet(path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(BadValue, match="empty"):
        loadTableScan(tmp_path / "empty.csv")
    with pytest.raises(BadValue):
        writeSpreadsheet(tmp_path / "x.xls", [])


def test_seconds():
    assert parseSeconds("01:02:03") == 3723
    assert parseSeconds("2:03.5") == 123.5
    assert parseSeconds(" 12.5 ") == parseSeconds(12.5) == 12.5
    for wrong in ("", "1:2:3:4", "soon", "1::2"):
        with pytest.raises(BadValue):
            parseSeconds(wrong)
    assert formatSecondsAsTime(60) == "00:01:00"
    assert formatSecondsAsTime(3723.4) == "01:02:03"
