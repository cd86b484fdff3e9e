"""A RunEngine that ends with the test, signals to turn bad, and a way to wait."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import SignalRW, init_devices, soft_signal_rw

from flying import Documents, run_engine


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    with run_engine() as engine:
        # plans run in a thread here, where there is no Ctrl-C to handle
        engine.context_managers = []
        yield engine


@pytest.fixture
def docs(RE: RunEngine) -> Documents:
    documents = Documents()
    RE.subscribe(documents)
    return documents


@pytest.fixture
def ring(RE: RunEngine) -> SignalRW[float]:
    """The ring current, which is fine."""
    with init_devices():
        ring = soft_signal_rw(float, 100.0, units="mA", name="ring")
    return ring


@pytest.fixture
def vacuum(RE: RunEngine) -> SignalRW[float]:
    """A pressure, which is fine."""
    with init_devices():
        vacuum = soft_signal_rw(float, 1e-9, units="mbar", name="vacuum")
    return vacuum


@pytest.fixture
def put(RE: RunEngine) -> Callable[[SignalRW[Any], Any], None]:
    """Set a signal from the test's thread; it is done when this returns."""

    def put(signal: SignalRW[Any], value: Any) -> None:
        async def set_it() -> None:
            await signal.set(value)

        asyncio.run_coroutine_threadsafe(set_it(), RE.loop).result(30)

    return put


def _until(predicate: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for something to come true."""
    return _until
