"""What tests of devices and plans share: a hand at a PandA's inputs, and documents.

`Hand` pulses a simulated PandA: PCAP is enabled by BITS.B and triggered by as many
pulses as the test asks for, 100 us apart, so that no row is a matter of luck.
`Documents` collects what a RunEngine emits, checks each document against its schema,
and that rows are announced only when a reader of the file can see them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from bluesky.run_engine import RunEngine
from event_model import DocumentNames, schema_validators

from beamfly.hdf import open_columns
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.commands import Get, Put
from beamfly.panda.simulator.server import SimulatedPandA


class Hand:
    """Somebody who sits at the PandA and pushes its buttons."""

    def __init__(self, sim: SimulatedPandA) -> None:
        self.sim = sim
        self.client = BlockingClient(sim.host, sim.control_port)
        self.client.connect()

    def wire(self) -> None:
        """PCAP enabled by BITS.B, triggered by PULSE1; a counter counts triggers."""
        self.put(
            {
                "BITS.A": 0,
                "BITS.B": 1,
                "PULSE1.ENABLE": "ONE",
                "PULSE1.TRIG": "BITS.OUTA",
                "PULSE1.WIDTH.UNITS": "us",
                "PULSE1.WIDTH": 50,
                "PULSE1.STEP.UNITS": "us",
                "PULSE1.STEP": 100,
                "PCAP.ENABLE": "BITS.OUTB",
                "PCAP.GATE": "ONE",
                "PCAP.TRIG": "PULSE1.OUT",
                "COUNTER1.ENABLE": "ONE",
                "COUNTER1.TRIG": "PULSE1.OUT",
                "COUNTER1.OUT.CAPTURE": "Value",
                "COUNTER1.OUT.SCALE": 0.5,
                "COUNTER1.OUT.UNITS": "mm",
                "PCAP.TS_TRIG.CAPTURE": "Value",
                "PCAP.BITS0.CAPTURE": "Value",
            }
        )

    def put(self, values: dict[str, Any]) -> None:
        """Write several fields in order."""
        self.client.send([Put(field, value) for field, value in values.items()])

    def get(self, field: str) -> Any:
        """Read a field."""
        return self.client.send(Get(field))

    def pulse(self, count: int = 1) -> None:
        """Trigger so many rows, and wait until they are through."""
        before = int(self.get("*PCAP.CAPTURED"))
        self.put({"PULSE1.PULSES": count, "BITS.A": 1})
        self.put({"BITS.A": 0})
        while int(self.get("*PCAP.CAPTURED")) < before + count:
            assert self.get("*PCAP.STATUS").startswith("Busy")

    def drop(self) -> None:
        """End the acquisition: PCAP.ENABLE falls."""
        self.put({"BITS.B": 0})

    def close(self) -> None:
        """Leave."""
        self.client.close()


def cut_data(sim: SimulatedPandA) -> None:
    """Break all data connections."""
    sim.run(lambda: [connection.abort() for connection in list(sim._data)])


def cut_control(sim: SimulatedPandA) -> None:
    """Break all control connections."""
    sim.run(lambda: [connection.abort() for connection in list(sim._control)])


def path_of(uri: str) -> Path:
    """The file that a stream resource is in."""
    return Path(unquote(urlparse(uri).path))


class Documents:
    """Documents of one or several runs, checked as they come."""

    def __init__(self) -> None:
        self.docs: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.names: list[str] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        schema_validators[DocumentNames[name]].validate(doc)
        self.names.append(name)
        self.docs[name].append(doc)
        if name == "stream_datum" and "swmr" in self.resource(doc)["parameters"]:
            self._check_rows(doc)

    def _check_rows(self, datum: dict[str, Any]) -> None:
        resource = self.resource(datum)
        with open_columns(path_of(resource["uri"])) as columns:
            dataset = columns[resource["parameters"]["dataset"].strip("/")]
            per_event = self.shape(resource["data_key"])[0]
            assert len(dataset) >= datum["indices"]["stop"] * per_event
            assert dataset.dtype.str == self.key(resource["data_key"])["dtype_numpy"]
            assert dataset.chunks == tuple(resource["parameters"]["chunk_shape"])

    def __getitem__(self, name: str) -> list[dict[str, Any]]:
        return self.docs[name]

    def clear(self) -> None:
        self.docs.clear()
        self.names.clear()

    def resource(self, datum: dict[str, Any]) -> dict[str, Any]:
        (found,) = [
            resource
            for resource in self["stream_resource"]
            if resource["uid"] == datum["stream_resource"]
        ]
        return found

    def key(self, name: str) -> dict[str, Any]:
        """The data key of that name in the last descriptor that has it."""
        return [d for d in self["descriptor"] if name in d["data_keys"]][-1][
            "data_keys"
        ][name]

    def shape(self, name: str) -> list[int]:
        return self.key(name)["shape"]

    @property
    def stop(self) -> dict[str, Any]:
        """The stop document of the last run."""
        return self["stop"][-1]

    @property
    def rows(self) -> int:
        """Events announced by all stream datums of one data key; they have no gap."""
        ends = defaultdict(int)
        for datum in self["stream_datum"]:
            key = datum["stream_resource"]
            assert datum["indices"]["start"] == ends[key]
            ends[key] = datum["indices"]["stop"]
        assert len(set(ends.values())) <= 1
        return next(iter(ends.values()), 0)

    def read(self, key: str) -> list[float]:
        """Values of a data key, as a reader of the file gets them."""
        (resource,) = [r for r in self["stream_resource"] if r["data_key"] == key]
        with open_columns(path_of(resource["uri"])) as columns:
            name = resource["parameters"]["dataset"].strip("/")
            return columns.read(name)[: self.rows * self.shape(key)[0]].tolist()

    @property
    def report(self) -> dict[str, Any]:
        """The frame report of the last run, without the device's name in front."""
        streams = {d["uid"]: d["name"] for d in self["descriptor"]}
        events = [e for e in self["event"] if streams[e["descriptor"]] == "report"]
        return {k.rpartition("-")[2]: v for k, v in events[-1]["data"].items()}


async def statuses_end() -> None:
    """Wait for what a plan that has failed did not wait for, such as cancellations."""
    name = "wait_with_error_message"
    tasks = [task for task in asyncio.all_tasks() if name in repr(task.get_coro())]
    if tasks:
        await asyncio.wait(tasks, timeout=1)


@contextmanager
def run_engine() -> Iterator[RunEngine]:
    """A RunEngine whose thread and event loop end with the test."""
    engine = RunEngine({}, call_returns_result=True)
    try:
        yield engine
    finally:
        if engine.state != "idle":
            engine.halt()
        asyncio.run_coroutine_threadsafe(statuses_end(), engine.loop).result(30)
        # as asyncio.run does: clients that live as long as their loop close now
        ending = engine.loop.shutdown_asyncgens()
        asyncio.run_coroutine_threadsafe(ending, engine.loop).result(30)
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(30)
        assert not engine._th.is_alive()
        engine.loop.close()
