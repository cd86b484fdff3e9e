"""What tests of flights with a scan server share: a scan, and a look at its rows."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from bluesky.run_engine import RunEngine
from bluesky.utils import RunEngineInterrupted

from beamfly.scan import Delay, Log, Loop, Set
from flying import Documents

POINTS = 40


def slow(points: int = POINTS, delay: float = 0.01) -> list[Loop]:
    """A scan of so many points that takes its time."""
    body = [Set("loc://y(0)", 1), Delay(delay), Log("loc://x(0)", "loc://y(0)")]
    return [Loop("loc://x(0)", 1, points, 1, body)]


def column(docs: Documents, key: str) -> list[float]:
    """Values of one data key in the order of the documents, which count them right."""
    if docs["stream_resource"]:
        return docs.read(key)
    values: list[float] = []
    for page in docs["event_page"]:
        assert page["seq_num"][0] == len(values) + 1
        assert page["seq_num"] == list(
            range(len(values) + 1, len(values) + 1 + len(page["time"]))
        )
        values += page["data"][key]
    return values


def check_rows(docs: Documents, rows: int | None = POINTS) -> list[float]:
    """All rows are there, once, in order."""
    xs = column(docs, "scan-x")
    assert xs == list(range(1, len(xs) + 1))
    assert column(docs, "scan-serial") == list(range(len(xs)))
    assert docs.stop["num_events"].get("primary", 0) == len(xs)
    if rows is not None:
        assert len(xs) == rows
    return xs


def report(docs: Documents) -> dict:
    streams = {d["uid"]: d["name"] for d in docs["descriptor"]}
    (event,) = [e for e in docs["event"] if streams[e["descriptor"]] == "scan"]
    return {k.removeprefix("scan-"): v for k, v in event["data"].items()}


def ask_for_pause(RE: RunEngine) -> None:
    """As Ctrl-C does, from any thread, without waiting for anything."""
    RE.loop.call_soon_threadsafe(lambda: RE.loop.create_task(RE._request_pause_coro()))


def resumed(RE: RunEngine) -> None:
    """Resume until the plan has ended."""
    while RE.state == "paused":
        with suppress(RunEngineInterrupted):
            RE.resume()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something, in a thread; the test fails if it never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def quiet(RE: RunEngine) -> None:
    """Wait until the RunEngine's loop is idle: who halts does not wait for that."""

    async def others() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    asyncio.run_coroutine_threadsafe(others(), RE.loop).result(30)
