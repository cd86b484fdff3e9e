"""Servers that come and go, callbacks that lag, contexts that end, forks."""

import contextlib
import logging
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import beamfly.epics as epics
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.epics import dispatch
from beamfly.epics.context import current_context, session
from beamfly.epics.dispatch import Dispatcher
from beamfly.errors import CADisconnected
from ca.c_ioc import free_port
from conftest import environment, records, until


def test_a_server_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for name, value in environment(port, free_port()).items():
        monkeypatch.setenv(name, value)
    told: list[Any] = []
    with serve_in_thread(records(), port=port):
        pv = epics.PV("T:ao", connection_callback=lambda conn, **kw: told.append(conn))
        pv.add_callback(lambda value, **kw: told.append(value))
        until(lambda: told == [True, 1.5])
        pv.get_ctrlvars()
        assert pv.precision == 3
    until(lambda: not pv.connected)
    assert pv.get(timeout=0.01) is None
    until(lambda: told[-1] is False)
    served = records() | {"T:ao": 2.5}
    with serve_in_thread(served, port=port):
        until(lambda: told == [True, 1.5, False, True, 2.5])
        assert pv.get() == 2.5
        until(lambda: pv.precision == 0)
        assert pv.units == "", "metadata is that of the new server"


def test_callbacks_that_lag(
    server: ThreadedServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dispatch, "MOST_UPDATES", 5)
    busy, go = threading.Event(), threading.Event()
    told: list[float] = []

    def slow(value: float, **kw: Any) -> None:
        busy.set()
        go.wait(30)
        told.append(value)

    pv = epics.PV("T:ao", callback=slow)
    assert busy.wait(30)
    for step in range(50):
        server.post("T:ao", step / 10)
        until(lambda at=step: pv.get() == at / 10)
    go.set()
    until(lambda: told[-1:] == [4.9])
    assert len(told) <= 7 and told[1:] == sorted(told[1:])
    assert pv.merged_updates == 51 - len(told)
    assert caplog.text.count("do not keep up") == 1


def test_large_updates_wait_in_small_numbers() -> None:
    dispatcher = Dispatcher()
    lane = dispatcher.lane("X")
    busy, go = threading.Event(), threading.Event()
    told: list[int] = []
    with contextlib.closing(dispatcher):
        lane.post(lambda: (busy.set(), go.wait(30)))
        busy.wait(30)
        for number in range(10):
            lane.update(lambda at=number: told.append(at), dispatch.MOST_BYTES // 2)
        lane.post(lambda: told.append(-1))
        lane.update(lambda: told.append(10), dispatch.MOST_BYTES // 2)
        go.set()
        until(lambda: 10 in told)
    assert told == [0, 9, -1, 10], "what is no update keeps its place"
    assert lane.merged == 8


def test_a_callback_that_raises(
    server: ThreadedServer, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []

    def bad(**kw: Any) -> None:
        raise KeyError("mine")

    pv = epics.PV("T:ao", callback=[bad, lambda **kw: told.append(kw["cb_info"][0])])
    until(lambda: told == [1])
    assert "bad" in caplog.text and "KeyError" in caplog.text
    assert pv.get() == 1.5


def test_verbose(server: ThreadedServer, capsys: pytest.CaptureFixture[str]) -> None:
    pv = epics.PV("T:ao", verbose=True)
    pv.wait_for_connection()
    printed: list[str] = []
    until(lambda: printed.append(capsys.readouterr().out) or "T:ao: 1.5" in printed[-1])
    server.close()
    until(lambda: printed.append(capsys.readouterr().out) or "disconn" in printed[-1])
    assert not pv.connected


def test_a_session(server: ThreadedServer) -> None:
    with session() as context:
        assert current_context() is context
        pv = epics.PV("T:ao")
        assert pv.wait_for_connection()
        assert context.links["T:ao"].connected and "1 channels" in repr(context)
    assert context.closed and not pv.connected
    pv.connection_timeout = 0.01
    assert pv.get(timeout=0.01) is None and pv.put(1) is None
    with pytest.raises(CADisconnected, match="context is closed"):
        context.submit(lambda: None)
    pv.disconnect()
    pv.connection_timeout = 20
    assert pv.reconnect(), "into the context that is there now"
    assert pv.get() == 1.5


def test_nothing_is_left_of_many(server: ThreadedServer) -> None:
    for _ in range(5):
        pvs = [epics.PV("T:ao"), epics.PV("T:long")]
        for pv in pvs:
            pv.wait_for_connection()
            pv.disconnect()
    context = current_context()
    assert context.links == {} and context.by_number == {}
    assert context.call(lambda: len(context.client.core.channels)) == 0


SCRIPT = """
import beamfly.epics as epics, os, sys, threading, time
assert threading.active_count() == 1, "importing starts nothing"
pv = epics.PV("T:ao", callback=lambda **kw: None)
assert pv.wait_for_connection(30)
{body}
"""


def run(body: str) -> str:
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT.format(body=body)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr
    assert time.monotonic() - start < 40
    return result.stdout


def test_a_script_ends_after_its_last_put(server: ThreadedServer) -> None:
    run("pv.put(7.25)")
    until(lambda: server.value("T:ao") == 7.25)


def test_a_script_that_closes(server: ThreadedServer) -> None:
    body = "epics.ca.finalize_libca(); print(threading.active_count())"
    assert run(body) == "1\n"


def test_a_forked_process(server: ThreadedServer) -> None:
    body = """
child = os.fork()
if not child:
    try:
        pv.put(1)
    except Exception as error:
        print(type(error).__name__, flush=True)
    print(epics.caget("T:long"), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(pv.get(use_monitor=False, timeout=30))
"""
    assert run(body) == "ChannelAccessException\n7\n1.5\n"


def test_logging_is_quiet(
    server: ThreadedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert epics.caget("T:ao") == 1.5
        epics.caput("T:ao", 2.0)
    assert not caplog.records


def test_a_context_that_ends_while_it_is_used(server: ThreadedServer) -> None:
    """Everybody who waits is told, at once, whatever the moment."""
    for _ in range(20):
        pv = epics.get_pv("T:ao", connect=True)
        ended: list[Any] = []

        def use(pv: epics.PV = pv, ended: list[Any] = ended) -> None:
            while pv.get(use_monitor=False, timeout=40) is not None and pv.put(1.5):
                pass
            ended.append(pv.connected)

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        epics.ca.finalize_libca()
        for thread in threads:
            thread.join(30)
        assert ended == [False] * 3 and time.monotonic() - start < 30
