"""Names and signatures are those that scripts written for PyScanClient rely on."""

# ruff: noqa: N803 - names are those that scripts have used for years

import inspect
from typing import Any

import pytest

import beamfly.scan as scan
from beamfly.scan import ranges, settings

EXPORTED = {
    *("ScanClient", "Data", "getDatetime", "iterateSamples", "iterateTable"),
    *("createTable", "getTimeSeries", "alignSerial", "getTable", "Command"),
    *("CommandSequence", "Comment", "ConfigLog", "Delay", "If", "Include", "Log"),
    *("Loop", "Script", "Set", "Wait", "Parallel", "Sequence", "ScanSettings"),
    *("setScanSettings", "SettingsBasedLoop", "SettingsBasedSet"),
    *("SettingsBasedWait", "createNDimScan", "TableScan", "loadTableScan"),
}
"""What `from scan import *` gives, its history of versions apart."""
ELSEWHERE = {
    *("ScanInfo", "AlignmentScan", "DeviceSettings", "getScanSettings"),
    *("parseSeconds", "formatSecondsAsTime", "readSpreadsheet", "writeSpreadsheet"),
    *("alignTime", "parseXMLData"),
}
"""What had to be imported from its modules."""

SIGNATURES = {
    "ScanClient": lambda host="localhost", port=4810: 0,
    "ScanClient.serverInfo": lambda self: 0,
    "ScanClient.simulate": lambda self, cmds: 0,
    "ScanClient.submit": lambda self, cmds, name="UnNamed", queue=True, timeout=0,
    deadline=None, pre_post=True: 0,
    "ScanClient.scanInfos": lambda self, timeout=None: 0,
    "ScanClient.scanInfo": lambda self, scanID, timeout=None: 0,
    "ScanClient.scanCmds": lambda self, scanID: 0,
    "ScanClient.lastSerial": lambda self, scanID: 0,
    "ScanClient.scanDevices": lambda self, scanID=-1: 0,
    "ScanClient.waitUntilDone": lambda self, scanID: 0,
    "ScanClient.pause": lambda self, scanID=-1: 0,
    "ScanClient.resume": lambda self, scanID=-1: 0,
    "ScanClient.abort": lambda self, scanID=-1: 0,
    "ScanClient.delete": lambda self, scanID: 0,
    "ScanClient.clear": lambda self: 0,
    "ScanClient.patch": lambda self, scanID, address, property, value: 0,
    "ScanClient.getData": lambda self, scanID: 0,
    "ScanInfo.isDone": lambda self: 0,
    "ScanInfo.percentage": lambda self: 0,
    "ScanInfo.createdDatetime": lambda self: 0,
    "getDatetime": lambda time: 0,
    "parseXMLData": lambda xml_text: 0,
    "iterateSamples": lambda data, device: 0,
    "iterateTable": lambda *iters: 0,
    "createTable": lambda data, *devices: 0,
    "getTimeSeries": lambda data, name, convert="plain": 0,
    "alignSerial": lambda data, channel: 0,
    "alignTime": lambda data, channel, intv=0: 0,
    "getTable": lambda data, *devices, with_id=False, with_time=False: 0,
    "Data": lambda xml: 0,
    "Data.PVlist": lambda self: 0,
    "Data.PV": lambda self, n: 0,
    "Data.PVvalue": lambda self, n: 0,
    "Data.PVtime": lambda self, n: 0,
    "Data.__getitem__": lambda self, n: 0,
    "Command.genXML": lambda self: 0,
    "Command.indent": lambda self, level: 0,
    "Command.format": lambda self, level=0: 0,
    "CommandSequence": lambda *commands: 0,
    "CommandSequence.append": lambda self, *commands: 0,
    "CommandSequence.genSCN": lambda self: 0,
    "CommandSequence.format": lambda self: 0,
    "Comment": lambda text="This is an example comment.": 0,
    "ConfigLog": lambda auto, errhandler=None: 0,
    "Delay": lambda seconds, errhandler=None: 0,
    "If": lambda device, comparison, value, body=None, *args, tolerance=0.1,
    errhandler=None: 0,
    "If.getDevice": lambda self: 0,
    "If.getBody": lambda self: 0,
    "Include": lambda scan, macros=None, errhandler=None: 0,
    "Log": lambda devices=None, *args, errhandler=None: 0,
    "Loop": lambda device, start, end, step, body=None, *args, completion=False,
    readback=False, tolerance=None, timeout=0, errhandler=None: 0,
    "Loop.getDevice": lambda self: 0,
    "Loop.setCompletion": lambda self, completion: 0,
    "Loop.setReadback": lambda self, readback: 0,
    "Loop.setTolerance": lambda self, tolerance: 0,
    "Loop.setTimeout": lambda self, timeout: 0,
    "Loop.getBody": lambda self: 0,
    "Parallel": lambda body=None, *args, timeout=0, errhandler=None: 0,
    "Parallel.getBody": lambda self: 0,
    "Parallel.append": lambda self, *commands: 0,
    "Script": lambda script="the_script.py", *args, errHandler=None: 0,
    "Sequence": lambda body=None, *args, errhandler=None: 0,
    "Sequence.append": lambda self, *commands: 0,
    "Set": lambda device, value, completion=False, readback=False,
    readback_value=None, tolerance=0.0, timeout=0.0, errhandler=None: 0,
    "Set.getDevice": lambda self: 0,
    "Set.setCompletion": lambda self, completion: 0,
    "Set.setReadback": lambda self, readback: 0,
    "Set.setTolerance": lambda self, tolerance: 0,
    "Set.setTimeout": lambda self, timeout: 0,
    "Wait": lambda device, value, comparison="=", tolerance=0.0, timeout=0.0,
    errhandler=None: 0,
    "Wait.getDevice": lambda self: 0,
    "Wait.setComparison": lambda self, comparison: 0,
    "Wait.setTolerance": lambda self, tolerance: 0,
    "Wait.setTimeout": lambda self, timeout: 0,
    "createNDimScan": lambda *parameters: 0,
    "TableScan": lambda headers, rows, pre=None, post=None, start=None, stop=None,
    log_always=None, special=None: 0,
    "TableScan.createScan": lambda self, lineinfo=True: 0,
    "TableScan.save": lambda self, filename: 0,
    "loadTableScan": lambda filename, pre=None, post=None, start=None, stop=None: 0,
    "AlignmentScan": lambda device, value_start, value_end, value_step,
    condition_device, condition_value, log, find_command=None, normalize=False,
    prefix="Demo:CS:Scan:Fit", pre=None, post=None, start=None, stop=None: 0,
    "AlignmentScan.createScan": lambda self: 0,
    "DeviceSettings": lambda name, completion=False, readback=False,
    readback_value=None, timeout=0.0, tolerance=None, comparison=">=",
    parallel=False: 0,
    "ScanSettings": lambda: 0,
    "ScanSettings.getReadbackName": lambda self, device_name: 0,
    "ScanSettings.defineDeviceClass": lambda self, pattern, completion=False,
    readback=False, readback_value=None, timeout=0.0, tolerance=None,
    comparison=">=": 0,
    "ScanSettings.getDefaultSettings": lambda self, name: 0,
    "ScanSettings.parseDeviceSettings": lambda self, prefixed_device: 0,
    "ScanSettings.loadDeviceClasses": lambda self, filename: 0,
    "getScanSettings": lambda: 0,
    "setScanSettings": lambda settings: 0,
    "SettingsBasedSet": lambda device, value, **overrides: 0,
    "SettingsBasedLoop": lambda device, start, end, step, body=None, *args,
    **overrides: 0,
    "SettingsBasedWait": lambda device, value, **overrides: 0,
    "parseSeconds": lambda text: 0,
    "formatSecondsAsTime": lambda seconds: 0,
    "readSpreadsheet": lambda filename: 0,
    "writeSpreadsheet": lambda filename, rows: 0,
}  # fmt: skip
"""What scripts can say, in PyScanClient's own words."""
FREE_NAMES = {
    *("Data.PV", "Data.PVvalue", "Data.PVtime", "Data.__getitem__"),
    *("getDatetime", "parseXMLData", "getTimeSeries"),
}
"""What nobody calls with the names of its arguments."""


def found(path: str) -> Any:
    name, _, method = path.partition(".")
    owner = getattr(scan, name)
    return getattr(owner, method) if method else owner


def test_everything_can_be_imported():
    assert EXPORTED | ELSEWHERE <= set(scan.__all__)
    assert not {"set", "list", "filter"} & set(scan.__all__)
    for name in scan.__all__:
        assert getattr(scan, name).__doc__, name


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature(path: str):
    """Ours takes what theirs takes, and may take more after that."""
    theirs = inspect.signature(SIGNATURES[path]).parameters
    ours = inspect.signature(found(path)).parameters
    positional = [p for p in ours.values() if p.kind is not p.KEYWORD_ONLY]
    at = 0
    for name, parameter in theirs.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            mine = ours[name]
        else:
            mine, at = positional[at], at + 1
        assert mine.kind is parameter.kind
        variable = parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if not variable and path not in FREE_NAMES:
            assert mine.name == name
        assert mine.default == parameter.default
    for name, parameter in ours.items():
        known = name in theirs or parameter in positional[:at]
        assert known or parameter.default is not parameter.empty


def test_public_attributes():
    info = scan.ScanInfo(1, "n", 0, "Idle")
    for name in (
        *("id", "name", "created", "finish", "state", "runtime", "address", "command"),
        *("total_work_units", "performed_work_units"),
    ):
        assert hasattr(info, name)
    table = scan.TableScan(["a", "b"], [[1, 2]])
    assert (table.headers, table.rows, table.cols, table.name) == (
        ["a", "b"],
        [["1", "2"]],
        2,
        "Table Scan",
    )
    assert len(table.width) == 2
    own = settings.ScanSettings()
    assert own.device_settings == []
    assert own.table_scan_row is None
    device = settings.DeviceSettings("x", parallel=True)
    for getter in (
        *("getName", "getCompletion", "getReadback", "getReadbackValue"),
        *("getTimeout", "getTolerance", "getComparison", "getParallel"),
    ):
        getattr(device, getter)()
    for name in ("getRangeOrLoop", "range_matcher", "loop_matcher", "getIterable"):
        assert hasattr(ranges, name)
    assert hasattr(ranges, "expandRangeInRow") and hasattr(ranges, "expandRanges")
