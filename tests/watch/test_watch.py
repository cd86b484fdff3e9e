"""`watch` on signals: what is printed, logged and called."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import SignalRW, soft_signal_rw

from beamfly.errors import BadValue
from beamfly.watch import Change, Notice, notify, watch

Put = Callable[[SignalRW[Any], Any], None]
Until = Callable[..., None]


class Sentences(list[str]):
    """What would be printed, without the time."""

    def __call__(self, text: str) -> None:
        self.append(text.split(" ", 1)[1])


def test_beginning_and_end_are_told(
    ring: SignalRW[float], put: Put, until: Until
) -> None:
    shown, notices = Sentences(), list[Notice]()
    with watch(
        ring, "< 50", hysteresis=30, level="error", then=notices.append, show=shown
    ) as it:
        until(lambda: it._listening.units)
        for current in (40.0, 60.0, 30.0, 80.0):
            put(ring, current)
        until(lambda: len(notices) == 2)
    assert shown == ["error: ring is 40 mA: < 50", "error: ring is 80 mA: < 50 is over"]
    assert [one.change for one in notices] == [Change.BEGAN, Change.ENDED]
    assert [str(one) for one in notices] == [text[7:] for text in shown]
    assert (notices[0].name, notices[0].value, notices[0].level) == (
        *("ring", 40.0),
        "error",
    )


def test_what_holds_already_is_told_at_once(
    ring: SignalRW[float], put: Put, until: Until
) -> None:
    put(ring, 10.0)
    shown = Sentences()
    with watch(ring, "< 50", show=shown) as it:
        until(lambda: shown)
        assert it.holding == ["warning"]
        assert repr(it) == "<Watch ring {'warning': '< 50'}: warning>"
    assert repr(it) == "<Watch ring {'warning': '< 50'}: closed>"
    put(ring, 90.0)
    assert len(shown) == 1


def test_levels_are_told_each_for_itself(
    ring: SignalRW[float], put: Put, until: Until
) -> None:
    shown = Sentences()
    with watch(ring, {"warning": "< 80", "error": "< 50"}, show=shown) as it:
        until(lambda: it._listening.units)
        for current in (70.0, 20.0, 60.0, 90.0):
            put(ring, current)
    assert shown == [
        "warning: ring is 70 mA: < 80",
        "error: ring is 20 mA: < 50",
        "error: ring is 60 mA: < 50 is over",
        "warning: ring is 90 mA: < 80 is over",
    ]


def test_what_began_in_the_quiet_time_is_told_after_it(
    ring: SignalRW[float], put: Put, until: Until
) -> None:
    notices: list[Notice] = []
    with watch(ring, "< 50", quiet=0.3, then=notices.append, show=None):
        for current in (40.0, 90.0, 30.0):
            put(ring, current)
        until(lambda: len(notices) == 3)
        until(lambda: len(notices) == 4)
    began, again = Change.BEGAN, Change.AGAIN
    assert [one.change for one in notices] == [began, Change.ENDED, began, again]
    assert [one.value for one in notices] == [40.0, 90.0, 30.0, 30.0]


def test_action_that_fails_does_not_end_the_watch(
    ring: SignalRW[float], put: Put, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Notice] = []

    def fail_once(notice: Notice) -> None:
        told.append(notice)
        if len(told) == 1:
            raise OSError("no mail today")

    with watch(ring, "< 50", then=fail_once, show=None):
        put(ring, 10.0)
        put(ring, 90.0)
        until(lambda: len(told) == 2)
    assert "no mail today" in caplog.text


def test_action_never_holds_up_the_event_loop(
    RE: RunEngine, ring: SignalRW[float], put: Put, until: Until
) -> None:
    go, threads = threading.Event(), list[threading.Thread]()

    def slow(notice: Notice) -> None:
        threads.append(threading.current_thread())
        assert go.wait(30)

    with watch(ring, "< 50", then=slow, show=None):
        put(ring, 10.0)
        until(lambda: threads)
        put(ring, 90.0), put(ring, 10.0), put(ring, 90.0)
        assert asyncio.run_coroutine_threadsafe(ring.get_value(), RE.loop).result(30)
        assert len(threads) == 1
        go.set()
        until(lambda: len(threads) == 4)
    assert RE._th not in threads


def test_command_gets_the_sentence(
    ring: SignalRW[float], put: Put, until: Until, tmp_path: Path
) -> None:
    mail = tmp_path / "mail"
    script = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    action = notify([sys.executable, "-c", script, str(mail)])
    with watch(ring, "< 50", then=action, show=None):
        put(ring, 10.0)
        until(lambda: mail.exists() and "< 50" in mail.read_text())


def test_it_is_logged_with_its_level(
    ring: SignalRW[float], put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with watch(ring, "< 50", level="critical", show=None):
        put(ring, 10.0)
        put(ring, 90.0)
    levels = [r.levelname for r in caplog.records if "ring is" in r.getMessage()]
    assert levels == ["CRITICAL", "INFO"]


def test_function_that_cannot_tell_counts_as_lost(
    ring: SignalRW[float], put: Put, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    notices: list[Notice] = []
    with watch(
        ring, lambda v: 1 / v < 0.001, grace=0.0, then=notices.append, show=None
    ):
        put(ring, 0.0)
        until(lambda: notices and notices[-1].change is Change.LOST)
        put(ring, 2000.0)
        until(lambda: notices[-1].change is Change.BACK)
    assert "ZeroDivisionError" in notices[-3].text + caplog.text
    assert Change.BEGAN in [one.change for one in notices]


def test_nan_is_a_doubt(ring: SignalRW[float], put: Put, until: Until) -> None:
    shown = Sentences()
    with watch(ring, "< 50", grace=0.0, show=shown):
        put(ring, float("nan"))
        until(lambda: "warning: ring is lost: it is not a number" in shown)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No RunEngine, whatever other tests have left running."""
    monkeypatch.setattr("beamfly.watch.watching.get_bluesky_event_loop", lambda: None)


@pytest.mark.usefixtures("no_engine")
async def test_it_runs_in_the_loop_that_is_running() -> None:
    door = soft_signal_rw(str, "closed", name="door")
    await door.connect()
    shown = Sentences()
    with watch(door, "!= closed", show=shown):
        await door.set("open")
    assert shown == ["warning: door is open: != closed"]


async def test_in_a_notebook_it_runs_in_the_loop_of_the_run_engine(
    RE: RunEngine, ring: SignalRW[float], put: Put
) -> None:
    """There cells run in a loop, too, in which no device is connected."""
    shown = Sentences()
    with watch(ring, "< 50", show=shown) as it:
        assert it._loop is RE.loop
        await asyncio.to_thread(put, ring, 10.0)
    assert len(shown) == 1


@pytest.mark.usefixtures("no_engine")
def test_without_any_loop_it_says_so() -> None:
    door = soft_signal_rw(str, "closed", name="door")
    with pytest.raises(BadValue, match="there is no RunEngine yet"):
        watch(door, "== open")


@pytest.mark.usefixtures("no_engine")
async def test_what_makes_no_sense_is_refused() -> None:
    door = soft_signal_rw(str, "closed", name="door")
    await door.connect()
    with pytest.raises(BadValue, match="door is a text, so '> 3' makes no sense"):
        watch(door, "> 3")
    with pytest.raises(BadValue, match="no level 'loud', there are info, warning"):
        watch(door, "== open", level="loud")
