"""`fly_scan` and pauses: whenever they come, no row is lost and none comes twice."""

import asyncio
import threading

import pytest
from bluesky.utils import RunEngineInterrupted

from beamfly.plans.scans import fly_scan
from beamfly.scan import Delay
from scan_flights import (
    POINTS,
    ask_for_pause,
    check_rows,
    resumed,
    slow,
    until,
)
from scan_serving import END

MOMENTS = range(0, POINTS, 2)
"""Rows that the scan has logged when the pause is asked for."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_pause_at_any_row(RE, flyer, docs, scans, moment):
    scans.at_submission(lambda: scans.soon_at_sample(moment, lambda: ask_for_pause(RE)))
    # only the last rows can be so quick that the run ends before the pause
    quick = moment > POINTS - 10
    scan = [*slow(delay=0.005), *([] if quick else [END])]
    try:
        result = RE(fly_scan(flyer, scan, flush_period=0.03))
    except RunEngineInterrupted:
        (before,) = scans.infos()
        assert before.state == "Paused" or (quick and before.state == "Finished")
        scans.turns()
        (after,) = scans.infos()
        assert after.performed_work_units == before.performed_work_units
        ended = 0 if quick else scans.end()
        result = RE.resume()
    else:
        assert quick
        ended = 0
    assert result.exit_status == "success"
    assert len([info for info in scans.infos() if info.id != ended]) == 1
    check_rows(docs)


@pytest.mark.parametrize(
    "command",
    [
        "prepare",
        "declare_stream",
        "kickoff",
        "complete",
        "wait",
        "collect",
        "checkpoint",
    ],
)
def test_a_pause_at_any_message(RE, flyer, docs, scans, command):
    """Paused by the message itself, each time it comes; resumed each time."""
    count = 0

    def hook(msg):
        nonlocal count
        if msg.command == command and count < 4:
            count += 1
            ask_for_pause(RE)

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, slow(), flush_period=0.05))
    resumed(RE)
    assert docs.stop["exit_status"] == "success"
    assert len(scans.infos()) == 1
    check_rows(docs)


def test_many_pauses_in_one_scan(RE, flyer, docs, scans):
    pauses = 0

    def hook(msg):
        # what comes next is a wait, in the middle of which this one comes
        if msg.command == "collect":
            ask_for_pause(RE)

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, [*slow(), END], flush_period=0.05))
    while RE.state == "paused":
        pauses += 1
        if pauses == 8:
            RE.msg_hook = None
            assert len(scans.infos()) == 1
            scans.end()
        try:
            RE.resume()
        except RunEngineInterrupted:
            pass
    assert pauses == 8
    check_rows(docs)


def test_a_suspender_pauses_the_scan(RE, flyer, docs, scans):
    seen: list[str] = []

    async def closed() -> None:
        async with asyncio.timeout(30):
            while flyer.scan.state != "Paused":
                await asyncio.sleep(0.005)
        seen.extend(info.state for info in scans.infos())
        scans.end()

    def hook(msg):
        if msg.command == "collect" and not asked.is_set():
            asked.set()
            RE.request_suspend(closed)

    asked = threading.Event()
    RE.msg_hook = hook
    result = RE(fly_scan(flyer, [*slow(), END], flush_period=0.05))
    assert seen == ["Paused"]
    assert result.exit_status == "success"
    check_rows(docs)


def test_a_deferred_pause_comes_with_the_next_rows(RE, flyer, docs, scans):
    def ask() -> None:
        threading.Thread(target=lambda: RE.request_pause(True)).start()

    scans.at_sample(5, ask)
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, [*slow(), END], flush_period=0.05))
    (info,) = scans.infos()
    assert info.state == "Paused"
    scans.end()
    RE.resume()
    check_rows(docs)


def test_a_pause_while_the_scan_waits_in_the_queue(RE, flyer, docs, scans):
    """It must not start then behind our back."""
    blocker = scans.submit([Delay(100)])
    scans.at_submission(lambda: ask_for_pause(RE))
    with pytest.raises(RunEngineInterrupted):
        RE(fly_scan(flyer, [*slow(), END], flush_period=0.05))
    scans.control("abort", blocker)
    until(lambda: scans.infos()[0].state == "Paused")
    assert scans.infos()[0].performed_work_units <= 3 * POINTS
    scans.end()
    RE.resume()
    check_rows(docs)


def test_a_scan_that_somebody_else_pauses_goes_on_when_they_say_so(
    RE, flyer, docs, scans
):
    number = 1
    scans.at_sample(5, lambda: scans.server.engine.pause(number, scans.server.now()))
    seen: list[str] = []

    def hook(msg):
        if msg.command == "collect" and flyer.scan.state == "Paused" and not seen:
            seen.append("Paused")
            scans.control("resume", number)

    RE.msg_hook = hook
    RE(fly_scan(flyer, slow(), flush_period=0.05))
    assert seen == ["Paused"]
    check_rows(docs)
