"""Scripts on a real server: builtin ones, those of a script path, their context."""

from pathlib import Path

import numpy as np
import pytest

from beamfly.errors import ScanAborted, ScanError, ScanFailed, ScanServerError
from beamfly.scan import (
    AlignmentScan,
    AsyncScanClient,
    Delay,
    Log,
    Loop,
    Script,
    Set,
    Wait,
    createTable,
)
from beamfly.scan.builtin_scripts import find_peak
from beamfly.scan.config import ScanConfig
from beamfly.scan.info import ScanInfo
from beamfly.scan.scripts import ScriptHost
from beamfly.scan.server import ScanServer
from beamfly.scan.store import MemoryStore

AVERAGE = """
from org.csstudio.scan.command import ScanScript
from numjy import array

class ComputeAverage(ScanScript):
    def __init__(self, device, result):
        self.device = device
        self.result = result
    def getDeviceNames(self):
        return [self.result]
    def run(self, context):
        data = array(context.getData(self.device)[0])
        context.write(self.result, data.mean())
        assert context.read(self.result) == data.mean()
        context.logData("all", data * 2)
"""
OTHERS = """
class Failing:
    def getDeviceNames(self):
        return []
    def run(self, context):
        raise ValueError("no light")
"""
EVERY = """
class Every:
    def getDeviceNames(self):
        return ["loc://w(0)", "loc://never(0)", 'loc://s("a")']
    def run(self, context):
        context.write("loc://w(0)", 3, completion=True)
        context.write("loc://w(0)", 4, "loc://w(0)")
        context.write("loc://w(0)", 5, readback=True, wait=False)
        assert context.read("loc://w(0)") == 5
        assert context.read('loc://s("a")') == "a"
        try:
            context.write("loc://w(0)", "abc")
        except Exception as error:
            assert "Failed to write" in str(error), error
        else:
            raise AssertionError("that did not fail")
        try:
            context.write("loc://never(0)", 1, "loc://w(0)", timeout=0.05)
        except Exception as error:
            assert "Timeout while waiting for loc://w(0) (5.0) = 1.0" in str(error)
        else:
            raise AssertionError("that did not fail")
        assert list(context.getScanData()) == ["loc://x(0)"]
"""
WAITING = """
class Waiting:
    def getDeviceNames(self):
        return ["loc://never(0)"]
    def run(self, context):
        context.write("loc://never(0)", 1, "loc://other(0)", timeout=0.0)
"""


HANDLER = """
from org.csstudio.scan.command import ScanErrorHandler

class Thrice(ScanErrorHandler):
    def __init__(self):
        self.calls = 0
    def handleError(self, command, error, context):
        self.calls += 1
        assert "Timeout while waiting" in str(error)
        if self.calls < 3:
            return ScanErrorHandler.Result.Retry
        context.logData("calls", [self.calls])
        return command.getDevice() == "loc://x(0)" and "Continue"
"""
BAD_HANDLER = """
class Broken_Handler:
    def handleError(self, command, error, context):
        return 1 / 0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (
        ("computeaverage", AVERAGE),
        ("failing", OTHERS),
        ("every", EVERY),
        ("waiting", WAITING),
        ("broken", "1 +"),
        ("thrice", HANDLER),
        ("broken_handler", BAD_HANDLER),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


async def run(*commands: object, path: Path | None = None) -> tuple[ScanInfo, dict]:
    config = ScanConfig(port=0, paths=[str(path)] if path else [])
    async with ScanServer(config) as server:
        async with AsyncScanClient("127.0.0.1", server.port) as client:
            scan = await client.submit(list(commands))
            info = await client.waitUntilDone(scan, timeout=20)
            return info, await client.getData(scan)


async def test_a_script_of_the_site(folder: Path):
    logs = [c for v in (1, 2, 3, 6) for c in (Set("loc://x(0)", v), Log("loc://x(0)"))]
    script = Script("ComputeAverage", "loc://x(0)", "loc://avg(-1)")
    info, data = await run(*logs, script, Log("loc://avg(-1)"), path=folder)
    assert (info.state, info.total_work_units) == ("Finished", 10)
    assert data["loc://avg(-1)"]["value"] == [3.0]
    # further serials, where the original goes back to those in use
    assert data["all"]["id"] == [4, 5, 6, 7]
    assert data["all"]["value"] == [2, 4, 6, 12]


async def test_everything_a_context_can_do(folder: Path):
    info, _ = await run(Log("loc://x(0)"), Script("Every"), path=folder)
    assert info.state == "Finished"


async def test_a_script_that_fails(folder: Path):
    with pytest.raises(ScanFailed, match="Failing: ValueError: no light"):
        await run(Script("Failing"), path=folder)
    info, _ = await run(
        Script("Failing", errhandler="OnErrorContinue"), Delay(0), path=folder
    )
    assert info.state == "Finished"


@pytest.mark.parametrize("verb", ["next", "abort"])
async def test_a_script_that_is_interrupted(folder: Path, verb: str):
    config = ScanConfig(port=0, paths=[str(folder)])
    async with ScanServer(config) as server:
        async with AsyncScanClient("127.0.0.1", server.port) as client:
            scan = await client.submit([Script("Waiting"), Delay(0)])
            while (await client.scanInfo(scan)).address != 0:
                pass
            await getattr(client, verb)(scan)
            if verb == "next":
                assert (await client.waitUntilDone(scan)).state == "Finished"
            else:
                with pytest.raises(ScanAborted):
                    await client.waitUntilDone(scan)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (Script("NoSuch"), "no module named nosuch"),
        (Script("Broken"), "SyntaxError"),
        (Script("Failing", "one too many"), "TypeError"),
        (Script("../failing"), "no class name"),
        (Script("failing"), "has no attribute 'failing'"),
    ],
)
async def test_scripts_that_are_not_there_are_refused_at_once(
    folder: Path, script: Script, why: str
):
    with pytest.raises(ScanServerError, match=why):
        await run(script, path=folder)


async def test_no_scripts_without_a_script_path():
    with pytest.raises(ScanServerError, match="no script path is configured"):
        await run(Script("Failing"))


def test_a_module_outside_of_the_script_path(tmp_path: Path):
    inside = tmp_path / "scripts"
    inside.mkdir()
    (tmp_path / "failing.py").write_text(OTHERS)
    (inside / "failing.py").symlink_to(tmp_path / "failing.py")
    host = ScriptHost([str(inside)], MemoryStore(), lambda work: None)
    with pytest.raises(ValueError, match="no module named failing"):
        host.load("Failing", [])


async def test_an_alignment_scan_finds_its_peak():
    gauss = [100 * np.exp(-((x - 4.2) ** 2) / 2 / 1.1**2) for x in np.arange(0, 9, 0.5)]
    steps = [
        command
        for x, y in zip(np.arange(0, 9, 0.5), gauss, strict=True)
        for command in (
            Set("loc://x(0)", x),
            Set("loc://y(0)", y),
            Log("loc://y(0)", "loc://x(0)"),
        )
    ]
    names = [f"loc://Fit:{name}(0)" for name in ("Pos", "Height", "Width")]
    _, data = await run(
        *steps,
        Script("FindPeak", "loc://x(0)", "loc://y(0)", "-", "1", *names),
        Script("WriteDataToPV", "loc://y(0)", "loc://Fit:Y(0, 0)"),
        Log(*names, "loc://Fit:Y(0, 0)"),
    )
    position, height, width = (column[0] for column in createTable(data, *names))
    assert position == pytest.approx(4.2, abs=0.02)
    assert height == pytest.approx(98, abs=2.5)
    assert width == pytest.approx(1.1 * 2.355, rel=0.05)
    assert data["loc://Fit:Y(0, 0)"]["value"][0].startswith("[")


async def test_the_commands_of_an_alignment_scan_run():
    scan = AlignmentScan(
        "loc://x(0)", 0, 4, 1, "sim://const(7)", 2, "sim://const(7)",
        find_command="FindPeak", normalize=True, prefix="loc://Fit",
    )  # fmt: skip
    with pytest.raises(ScanFailed, match="There is no peak"):
        await run(*scan.createScan())


def test_find_peak():
    x = np.linspace(-5, 5, 201)
    y = 3 + 10 * np.exp(-((x - 1) ** 2) / 2 / 0.7**2)
    position, height, width = find_peak(x[::-1], y[::-1])
    assert (position, height) == (pytest.approx(1, abs=1e-3), pytest.approx(10))
    assert width == pytest.approx(0.7 * 2.3548, rel=0.01)
    for xs, ys in (([1, 2], [1, 2]), ([1, 2, 3], [5, 5, 5]), ([1, 1, 1], [1, 2, 1])):
        with pytest.raises(ScanError):
            find_peak(np.array(xs, float), np.array(ys, float))


async def test_a_script_in_a_loop():
    show = Script("WriteDataToPV", "loc://x(0)", "loc://w(0, 0)")
    info, data = await run(
        Loop("loc://x(0)", 1, 20, 1, Log("loc://x(0)"), show),
        Wait("loc://w(0, 0)", 1),
        Log("loc://w(0, 0)"),
    )
    assert info.state == "Finished"
    assert data["loc://w(0, 0)"]["value"][0].count(",") == 19


async def test_an_error_handler_of_the_site(folder: Path):
    wait = Wait("loc://x(0)", 1, timeout=0.01, errhandler="Thrice")
    info, data = await run(wait, Log("loc://x(0)"), path=folder)
    assert info.state == "Finished"
    assert data["calls"] == {"id": [0], "time": data["calls"]["time"], "value": [3.0]}
    assert data["loc://x(0)"]["id"] == [1]
    other = Wait("loc://y(0)", 1, timeout=0.01, errhandler="Thrice")
    with pytest.raises(ScanFailed, match="Timeout while waiting for loc://y"):
        await run(other, path=folder)


async def test_error_handlers_that_make_no_sense(folder: Path):
    wait = Wait("loc://x(0)", 1, timeout=0.01, errhandler="Broken_Handler")
    with pytest.raises(ScanFailed, match=r"error handler Broken_Handler: ZeroDiv"):
        await run(wait, path=folder)
    wait = Wait("loc://x(0)", 1, timeout=0.01, errhandler="Failing")
    with pytest.raises(ScanServerError, match="it has no handleError"):
        await run(wait, path=folder)
