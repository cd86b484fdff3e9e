"""SPEC's names in an IPython shell."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky.run_engine import RunEngine
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from beamfly.errors import BadValue
from beamfly.spec import Spec, install
from beamfly.spec.prompt import arguments, tokens, without_percent
from flying import Documents

Type = Callable[[str], str]


@pytest.fixture
def shell(x: Any, y: Any) -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config, user_ns={"x": x, "y": y})
    yield shell
    shell.reset()


@pytest.fixture
def spec(shell: InteractiveShell, RE: RunEngine, diode: Any) -> Spec:
    return install(shell, RE, detectors=[diode])


@pytest.fixture
def type_(
    shell: InteractiveShell, spec: Spec, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Type a line; gives what is printed."""

    def type_line(line: str) -> str:
        shell.run_cell(line)
        return capsys.readouterr().out

    return type_line


@pytest.mark.parametrize("percent", ["%", ""])
def test_scan_runs_in_the_users_run_engine(
    type_: Type, docs: Documents, percent: str
) -> None:
    told = type_(f"{percent}ascan x 0 1 10 .05")
    assert told == (
        "RE(ascan(x, 0, 1, 10, 0.05))\n"
        "ascan x 0 1 10 0.05: 11 points of 0.05 s, 0.55 s of counting\n"
    )
    assert len(docs["event"]) == 11
    assert "RE(" not in type_("ascan x 0 1 2 .05"), "the Python is shown once"


def test_options_and_names_of_devices(
    type_: Type, docs: Documents, RE: RunEngine
) -> None:
    told = type_("mesh x 0 1 2 y -1 0 1 .01 breaks=row snake=True extra=[y]")
    assert told.startswith(
        "RE(mesh(x, 0, 1, 2, y, -1, 0, 1, 0.01, breaks='row', snake=True, extra=[y]))"
    )
    assert docs["start"][0]["shape"] == [2, 3]


def test_same_names_are_plans(
    shell: InteractiveShell, spec: Spec, RE: RunEngine, docs: Documents
) -> None:
    shell.user_ns["RE"] = RE
    result = shell.run_cell("RE(ascan(x, 0, 1, 10, 0.1))")
    assert result.success and len(docs["event"]) == 11


def test_name_that_is_taken_stays(
    shell: InteractiveShell,
    RE: RunEngine,
    x: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell.user_ns["ct"] = 42
    install(shell, RE)
    assert shell.user_ns["ct"] == 42
    shell.run_cell("ct")
    shell.run_cell("ct - 1")
    told = capsys.readouterr().out
    assert "42" in told and "41" in told
    shell.run_cell("%ct 1")
    assert "no detectors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ascan z 0 1 10 .1", "there is no z; motors are x, y; nothing was done\n"),
        ("ascan x 0 1", "it is: ascan motor start finish intervals time; nothing"),
        (
            "ascan x 0 99 9 1",
            "not started, nothing moved: point 2 of 10 is x at 11",
        ),
        ("mv x", "'mv x' does not fit, it is: mv motor position ...; nothing was"),
        ("ct 1 2 3", "'ct 1 2 3' does not fit, it is: ct [time]; nothing was done"),
        ("ct __import__('os')", "there is no __import__('os')"),
        ("wm 3", "3 is no motor"),
        ("cen", "there was no scan yet"),
    ],
)
def test_mistake_gets_a_sentence_and_no_traceback(
    type_: Type,
    docs: Documents,
    caplog: pytest.LogCaptureFixture,
    line: str,
    told: str,
) -> None:
    out = type_(line)
    assert told in out and "Traceback" not in out and not docs["start"]
    assert "Traceback" not in caplog.text


def test_where_all_is(type_: Type, shell: InteractiveShell) -> None:
    type_("mv x 1.5 y -2")
    table = (
        "motor  position  target  low  high  units\n"
        "x           1.5     1.5             mm\n"
        "y            -2      -2             mm\n"
    )
    assert type_("wa") == table == type_("wa()")
    assert type_("wm y") == "".join(table.splitlines(keepends=True)[::2])


def test_motor_that_does_not_answer_is_shown_so(
    type_: Type, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, x: Any
) -> None:
    async def never(motor: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("beamfly.spec.positions.SECONDS", 0.05)
    monkeypatch.setattr(type(x), "locate", never)
    assert "\nx      no answer\ny      no answer\n" in type_("wa")


def test_motor_that_is_broken_does_not_hide_the_others(
    type_: Type,
    monkeypatch: pytest.MonkeyPatch,
    x: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    locate = type(x).locate

    async def broken(motor: Any) -> Any:
        if motor.name == "x":
            raise KeyError("readback")
        return await locate(motor)

    monkeypatch.setattr(type(x), "locate", broken)
    shown = type_("wa")
    assert "\nx      KeyError\n" in shown.replace("  \n", "\n")
    assert "\ny " in shown
    assert "where x is: 'readback'" in caplog.text


def test_counters_are_shown(type_: Type) -> None:
    assert "  diode-counts = " in type_("ct .01")


def test_scan_that_is_paused_comes_first(
    type_: Type, RE: RunEngine, shell: InteractiveShell, docs: Documents
) -> None:
    import bluesky.plan_stubs as bps

    shell.user_ns["wait"] = bps.pause
    out = type_("ascan x 0 1 4 .01 breaks=2 at_break=wait")
    assert "Paused: RE.resume() goes on" in out
    assert type_("ascan x 0 1 4 .01").startswith("a scan is paused: RE.resume()")
    RE.abort()
    assert docs.stop["exit_status"] == "abort"


def test_extension_needs_a_run_engine(
    shell: InteractiveShell, RE: RunEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%load_ext beamfly.spec")
    assert "there is no RunEngine called RE here" in capsys.readouterr().out
    shell.user_ns["RE"] = RE
    assert shell.run_cell("%load_ext beamfly.spec").success
    assert isinstance(shell.user_ns["spec"], Spec)


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("ascan x 0 1 2 .1", "%ascan x 0 1 2 .1"),
        ("ct .5", "%ct .5"),
        ("ct -5", "%ct -5"),
        ("wa", "%wa"),
        ("ascan", "ascan"),
        ("ascan(x)", "ascan(x)"),
        ("ascan = 3", "ascan = 3"),
        ("ct - 5", "ct - 5"),
        ("ct if x else y", "ct if x else y"),
        ("ct in [1]", "ct in [1]"),
        ("mv [x]", "mv [x]"),
        ("scanner x", "scanner x"),
        ("  ct 5", "  ct 5"),
    ],
)
def test_what_could_be_python_stays_python(line: str, becomes: str) -> None:
    transform = without_percent(["ascan", "ct", "mv", "wa"], {})
    assert transform([f"{line}\n"]) == [f"{becomes}\n"]
    assert transform([f"{line}\n", "pass\n"]) == [f"{line}\n", "pass\n"]


def test_arguments_are_literals_and_names() -> None:
    class Stage:
        x = 7

    args, options = arguments(
        "stage.x -1.5 'a b' [1,stage.x] num=3 breaks=[2, 4]", {"stage": Stage()}
    )
    assert args == [7, -1.5, "a b", [1, 7]] and options == {"num": 3, "breaks": [2, 4]}
    assert tokens("x 0 [1, 2] k=[a, b]") == ["x", "0", "[1, 2]", "k=[a, b]"]
    with pytest.raises(BadValue, match=r"there is no stage\.y"):
        arguments("stage.y", {"stage": Stage()})
