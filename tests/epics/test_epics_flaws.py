"""What scripts on other clients suffer from: each has been seen, none is here."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import beamfly.epics as epics
from beamfly.ca.server_thread import ThreadedServer
from beamfly.epics.context import close_context, current_context
from ca.c_ioc import CIoc
from conftest import until


class Busy:
    """A callback that takes as long as one likes."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self, **keywords: Any) -> None:
        self.entered.set()
        self.leave.wait(30)


@pytest.fixture
def busy() -> Iterator[Busy]:
    callback = Busy()
    yield callback
    callback.leave.set()


def test_a_slow_callback_holds_nobody_else_up(served: str, busy: Busy) -> None:
    slow = epics.PV("T:ao", callback=busy)
    assert busy.entered.wait(30)
    start = time.monotonic()
    assert slow.get(use_monitor=False) is not None and slow.put(2.5, wait=True) == 1
    told: list[Any] = []
    # connection callbacks have to wait for their turn, those who connect need not
    other = epics.PV(
        "T:long",
        connection_callback=lambda **kw: told.append(kw["conn"]),
        connection_timeout=25,
    )
    assert other.wait_for_connection() and other.put(31, wait=True) == 1
    assert epics.caget("T:long", use_monitor=False) == 31
    assert epics.caget_many(["T:long", "T:string"])[0] == 31
    assert epics.Device("T:", ["enum"]).get("enum") is not None
    until(lambda: other.get() == 31)
    assert time.monotonic() - start < 25 and not told
    busy.leave.set()
    until(lambda: told == [True])


def test_the_end_does_not_wait_for_ever_for_a_callback(
    server: ThreadedServer, busy: Busy, caplog: pytest.LogCaptureFixture
) -> None:
    pv = epics.PV("T:ao", callback=busy)
    assert busy.entered.wait(30)
    epics.ca.finalize_libca(maxtime=0.05)
    assert "a callback still runs after 0.05 s" in caplog.text
    assert not pv.connected
    busy.leave.set()
    names = ("beamfly-epics-callbacks", "beamfly-epics-client")
    until(lambda: not [one for one in threading.enumerate() if one.name in names])


def test_all_updates_come_in_their_order(served: str) -> None:
    told: list[tuple[str, Any]] = []

    def record(pvname: str, value: Any, **keywords: Any) -> None:
        told.append((pvname, value))

    pvs = [epics.PV(name, callback=record) for name in ("T:ao", "T:long")]
    until(lambda: len({name for name, _ in told}) == 2)
    for step in range(100):
        for pv in pvs:
            assert pv.put(step % 8, wait=True) == 1
    until(lambda: told[-1:] == [("T:long", 99 % 8)] and len(told) >= 200)
    wanted = [(pv.pvname, step % 8) for step in range(100) for pv in pvs]
    # the first value may have been there before
    assert told[-199:] == wanted[-199:]


def test_callbacks_may_do_everything(served: str) -> None:
    """Gets, puts, new PVs and devices, and the end of the PV that calls."""
    done: list[Any] = []
    pv = epics.PV("T:ao")
    assert pv.wait_for_connection(20)

    def work(value: float, cb_info: Any, **keywords: Any) -> None:
        index, me = cb_info
        if value != 4.0:
            return
        me.remove_callback(index)
        me.add_callback(lambda **kw: None)
        device = epics.Device("T:", ["long", "enum"])
        device.put("long", 17, wait=True)
        done.append(device.PV("long").get(use_monitor=False))
        done.append(epics.caget("T:bool") in (0, 1))
        done.append(epics.caput_many(["T:long"], [18], wait="all"))
        done.append(me.put(5.0, wait=True))
        done.append(me.get(use_monitor=False))
        me.disconnect()
        done.append(me.connected)

    pv.add_callback(work)
    pv.put(4.0)
    until(lambda: len(done) == 6, 20)
    assert done == [17, True, [1], 1, 5.0, False]


def test_callbacks_of_connections_and_puts_may_do_everything(served: str) -> None:
    done: list[Any] = []

    def connected(pv: epics.PV, **keywords: Any) -> None:
        done.append(pv.put(3.0, wait=True))
        done.append(pv.get(use_monitor=False))

    def put(pvname: str, **keywords: Any) -> None:
        done.append(epics.caget(pvname, use_monitor=False))

    pv = epics.PV("T:ao", connection_callback=connected)
    until(lambda: len(done) == 2, 20)
    pv.put(3.5, callback=put)
    until(lambda: len(done) == 3, 20)
    assert done == [1, 3.0, 3.5]


def test_the_end_may_come_from_a_callback(server: ThreadedServer) -> None:
    ended = threading.Event()

    def end(**keywords: Any) -> None:
        epics.ca.finalize_libca()
        ended.set()

    pv = epics.PV("T:ao", callback=end)
    assert ended.wait(30)
    until(lambda: not pv.connected)
    assert epics.caget("T:long") == 7, "a new context"


def test_a_pv_outlives_the_thread_that_made_it(served: str) -> None:
    made: list[epics.PV] = []
    told: list[Any] = []

    def work() -> None:
        pv = epics.PV("T:ao", callback=lambda value, **kw: told.append(value))
        assert pv.wait_for_connection(20)
        made.append(pv)

    for kind in (threading.Thread, epics.ca.CAThread):
        thread = kind(target=work)
        thread.start()
        thread.join()
    first, second = made
    assert first.put(6.5, wait=True) == 1 and second.get(use_monitor=False) == 6.5
    until(lambda: told.count(6.5) == 2)
    assert first == second and first.chid == second.chid


@pytest.mark.peer
def test_an_ioc_is_killed_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ioc = CIoc(tmp_path)
    for name, value in ioc.environment.items():
        monkeypatch.setenv(name, value)
    ioc.start()
    try:
        told: list[Any] = []
        pv = epics.PV("T:ao", connection_callback=lambda conn, **kw: told.append(conn))
        pv.add_callback(lambda value, **kw: told.append(value))
        device = epics.Device("T:", ["long"])
        lines: list[str] = []
        epics.camonitor("T:ao", writer=lines.append)
        until(lambda: told[-1:] == [1.5], 20)
        assert pv.put(2.5, wait=True) == 1 and device.long == 7
        ioc.stop()
        until(lambda: not pv.connected and told[-1:] == [False], 20)
        assert epics.caget("T:ao", connection_timeout=0.05) is None
        ioc.start()
        until(lambda: told[-2:] == [True, 1.5], 30)
        assert pv.put(3.5, wait=True) == 1
        until(lambda: told[-1] == pv.get() == epics.caget("T:ao") == 3.5, 20)
        until(lambda: device.long == 7, 20)
        until(lambda: lines[-1].endswith(" 3.500"), 20)
    finally:
        close_context()
        ioc.stop()
    assert "cannot connect to T:ao" in capsys.readouterr().out


def test_a_context_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the first PV is made leaves no thread behind."""
    before = set(threading.enumerate())
    wait = threading.Event.wait

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread():
            monkeypatch.setattr(threading.Event, "wait", wait)
            raise KeyboardInterrupt
        return wait(event, timeout)

    current = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        current(thread)
        monkeypatch.setattr(threading.Event, "wait", interrupted)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        current_context()
    monkeypatch.undo()
    until(lambda: set(threading.enumerate()) <= before)


def test_ctrl_c_in_the_middle_of_a_request(
    server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pv = epics.get_pv("T:ao", connect=True)
    context = current_context()

    class Interrupted:
        """A socket at which Ctrl-C comes."""

        def send(self, data: bytes) -> int:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(context._handover, "_bell", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            pv.put(2.0)
    assert pv.get(use_monitor=False, timeout=20) in (1.5, 2.0), "the next one goes on"
    assert pv.put(2.5, wait=True) == 1
