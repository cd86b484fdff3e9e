"""A simulated PandA on TCP for the tests of devices, and blocks connected to it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from ophyd_async.core import Device, DeviceVector
from ophyd_async.fastcs.panda import PcapBlock, PcompBlock, PulseBlock, SeqBlock

from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_connector import PandaConnector
from beamfly.devices.panda_link import PandaLink
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread


class Blocks(Device):
    """The blocks that fly logics use, without a writer."""

    pulse: DeviceVector[PulseBlock]
    seq: DeviceVector[SeqBlock]
    pcomp: DeviceVector[PcompBlock]
    pcap: PcapBlock

    def __init__(self, sim: SimulatedPandA, name: str = "panda") -> None:
        self.link = PandaLink(sim.host, sim.control_port, sim.data_port)
        self.session = PandaSession(self.link)
        super().__init__(name, PandaConnector(self.session))


@pytest.fixture(scope="module")
def shared_sim() -> Iterator[SimulatedPandA]:
    """One simulated PandA for the tests of a module that leave no trace in it."""
    with serve_in_thread() as sim:
        yield sim


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    """A simulated PandA of its own for a test that breaks it."""
    with serve_in_thread() as sim:
        yield sim


@pytest.fixture
async def blocks(shared_sim: SimulatedPandA) -> AsyncIterator[Blocks]:
    """Blocks connected to the PandA of the module."""
    device = Blocks(shared_sim)
    await device.connect()
    yield device
    await device.link.close()


@pytest.fixture
def unconnected_blocks(shared_sim: SimulatedPandA) -> Blocks:
    """The same, not connected yet."""
    return Blocks(shared_sim)


@pytest.fixture
async def own_blocks(sim: SimulatedPandA) -> AsyncIterator[Blocks]:
    """Blocks connected to a PandA that the test may break."""
    device = Blocks(sim)
    await device.connect()
    yield device
    await device.link.close()
