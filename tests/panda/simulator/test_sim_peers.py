"""Genuine pandablocks clients are satisfied with the simulated PandA."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_panda import GOLDEN_CAPTURES, GOLDEN_SETUP

from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread

pytestmark = pytest.mark.peer

START = """
import asyncio, sys
control, data = map(int, sys.argv[1:3])
from pandablocks import asyncio as theirs
connect = asyncio.open_connection
def open_connection(host, port, **kwargs):
    # it knows no other ports than these
    return connect(host, {8888: control, 8889: data}[port], **kwargs)
asyncio.open_connection = open_connection
from pandablocks.cli import cli
cli(sys.argv[3:])
"""


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    with serve_in_thread() as sim:
        yield sim


@pytest.fixture
def client(sim: SimulatedPandA, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pandablocks AsyncioClient that finds the simulated ports."""
    from pandablocks.asyncio import AsyncioClient

    connect = asyncio.open_connection
    ports = {8888: sim.control_port, 8889: sim.data_port}

    def open_connection(host: str, port: int, **kwargs: Any) -> Any:
        return connect(host, ports.get(port, port), **kwargs)

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    return AsyncioClient(sim.host)


def command(sim: SimulatedPandA, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the pandablocks command."""
    ports = [str(sim.control_port), str(sim.data_port)]
    return subprocess.run(
        [sys.executable, "-c", START, *ports, *args],
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )


def prepare(sim: SimulatedPandA) -> None:
    """Have BITS.A start five rows."""
    lines = (GOLDEN_SETUP + GOLDEN_CAPTURES).split("\n")[:-1]
    assert set(sim.ask(*lines)) == {"OK"}


async def test_everything_can_be_introspected(client: Any):
    from pandablocks import commands

    async with client:
        blocks = await client.send(commands.GetBlockInfo())
        assert sum(block.number for block in blocks.values()) == 73
        for name in blocks:
            fields = await client.send(commands.GetFieldInfo(name))
            assert all(info.description is not None for info in fields.values())
        bits = await client.send(commands.GetPcapBitsLabels())
        assert sum(bool(label) for word in bits.values() for label in word) == 105
        changes = await client.send(commands.GetChanges(get_multiline=True))
        assert len(changes.values) + len(changes.multiline_values) == 1041


async def test_a_state_goes_round(client: Any, sim: SimulatedPandA):
    from pandablocks import commands

    prepare(sim)
    sim.ask("*METADATA.LAYOUT<", "a", "b", "", "LUT3.FUNC=A&B|~C")

    async def state() -> list[str]:
        async with client:
            return await client.send(commands.GetState())

    before = await state()
    sim.ask("*CAPTURE=", "SEQ1.TABLE<", "", "LUT3.FUNC=A", "COUNTER2.STEP=9")
    assert await state() != before
    async with client:
        # it sends QUEUED_LINES back, which no PandA takes, and logs that
        await client.send(commands.SetState(before))
    assert await state() == before


@pytest.mark.parametrize("scaled", [True, False])
async def test_rows_arrive(client: Any, sim: SimulatedPandA, scaled: bool):
    from pandablocks import commands
    from pandablocks.responses import EndData, FrameData, ReadyData, StartData

    prepare(sim)
    rows, seen = [], []
    async with client, aclosing(client.data(scaled=scaled)) as items:
        async for item in items:
            seen.append(type(item))
            if isinstance(item, ReadyData):
                await client.send(commands.Arm())
                await client.send(commands.Put("BITS.A", "1"))
            elif isinstance(item, FrameData):
                rows.append(item.data)
            elif isinstance(item, EndData):
                assert item.samples == 5
                assert item.reason.value == "Ok"
                break
    assert seen[:2] == [ReadyData, StartData]
    data = np.concatenate(rows)
    assert data["COUNTER1.OUT.Value"].tolist() == [1, 2, 3, 4, 5]
    expected = np.array([62500, 187500, 312500, 437500, 562500])
    times = data["PCAP.TS_TRIG.Value"]
    np.testing.assert_allclose(times, expected * (8e-9 if scaled else 1))


def test_save_and_load(sim: SimulatedPandA, tmp_path: Path):
    prepare(sim)
    first, second = tmp_path / "first.sav", tmp_path / "second.sav"
    command(sim, "save", sim.host, str(first))
    sim.ask("*CAPTURE=", "COUNTER2.STEP=8")
    command(sim, "load", sim.host, str(first))
    command(sim, "save", sim.host, str(second))
    assert first.read_text() == second.read_text()
    assert "COUNTER2.STEP=3" in first.read_text()


def test_the_tutorial_runs_to_hdf(sim: SimulatedPandA, tmp_path: Path):
    import h5py

    result = command(sim, "load", sim.host, "--tutorial")
    assert "Traceback" not in result.stderr
    # PCAP enables SEQ1, which enables PCAP: 1000 pulses, captured as they end
    scheme = str(tmp_path / "run%d.h5")
    command(sim, "hdf", sim.host, scheme, "--arm")
    with h5py.File(tmp_path / "run1.h5") as file:
        rows = {name: data[()] for name, data in file.items()}
    counted = np.arange(1, 1001)
    np.testing.assert_array_equal(rows["COUNTER3.OUT.Min"], 3 * counted)
    np.testing.assert_array_equal(rows["COUNTER2.OUT.Mean"], 2 * counted)
    # SEQ1 sees PCAP a tick late, which makes a circle of the two possible
    period = np.diff(rows["PCAP.TS_START.Value"])
    np.testing.assert_allclose(period, period[0])
