"""A PandA that is pulsed by hand, connected in a RunEngine that ends with the test.

Folders that need these import them into their conftest.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from bluesky.run_engine import RunEngine
from ophyd_async.core import init_devices

from beamfly.devices import HDFPanda
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread
from flying import Hand, run_engine


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    with serve_in_thread() as sim:
        yield sim


@pytest.fixture
def hand(sim: SimulatedPandA) -> Iterator[Hand]:
    hand = Hand(sim)
    hand.wire()
    yield hand
    hand.close()


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    with run_engine() as engine:
        yield engine


@pytest.fixture
def panda(
    RE: RunEngine, sim: SimulatedPandA, hand: Hand, tmp_path: Path
) -> Iterator[HDFPanda]:
    with init_devices():
        panda = HDFPanda(
            f"{sim.host}:{sim.control_port}", tmp_path, data_port=sim.data_port
        )
    yield panda
    asyncio.run_coroutine_threadsafe(panda.disconnect(), RE.loop).result(30)
