"""A simulated PandA flown by the plans, and what the catalog gives back of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from databroker import Broker
from ophyd_async.core import init_devices
from ophyd_async.fastcs.panda import (
    SeqTable,
    SeqTableInfo,
    StaticSeqTableFlyableLogic,
)
from ophyd_async.sim import SimMotor

from beamfly.catalog import Catalog, make_db
from beamfly.devices import HDFPanda
from beamfly.plans import fly, fly_grid
from flying import Hand

COUNTER = "panda-COUNTER1-OUT-Value"
CLOCK = "panda-PCAP-TS_TRIG-Value"


@pytest.fixture
def db(RE: RunEngine, tmp_path: Path) -> Iterator[Broker]:
    db = make_db(tmp_path / "catalog")
    RE.subscribe(db.insert)
    yield db
    db.v2.close()


def when_complete(RE: RunEngine, act: Any) -> None:
    """Have `act` called when the flight waits for its end."""

    def hook(msg: Any) -> None:
        if msg.command == "complete":
            RE.msg_hook = None
            act()

    RE.msg_hook = hook


def test_a_flight_comes_back_as_h5py_reads_it(
    RE: RunEngine, db: Broker, panda: HDFPanda, hand: Hand
) -> None:
    before = time.time()
    when_complete(RE, lambda: hand.pulse(300))
    RE(fly(panda, num=300, md={"sample": "gold"}))
    after = time.time()
    (header,) = db(sample="gold")
    table = header.table(fill=True)
    assert len(table) == 300
    (resource,) = [
        doc
        for name, doc in header.documents()
        if name == "stream_resource" and doc["data_key"] == COUNTER
    ]
    with h5py.File(resource["uri"].removeprefix("file://localhost"), swmr=True) as file:
        written = file[resource["parameters"]["dataset"]][:]
        steps = file["PCAP.TS_TRIG.Value"][:]
    np.testing.assert_array_equal(table[COUNTER], written)
    assert set(header.fields("primary")) >= {COUNTER, CLOCK}

    data = header.xarray()
    times = data["time"].values
    assert before - 1 < times[0] < times[-1] < after + 1
    np.testing.assert_allclose(times - times[0], steps - steps[0], atol=1e-6)
    np.testing.assert_allclose(np.diff(times), 1e-4, atol=1e-6)
    assert abs(table["time"][1].timestamp() - times[0]) < 1e-3


def test_rows_are_there_before_the_flight_is_over(
    RE: RunEngine, db: Broker, panda: HDFPanda, hand: Hand, tmp_path: Path
) -> None:
    other = Catalog(tmp_path / "catalog")
    seen: list[int] = []

    def look(name: str, doc: dict[str, Any]) -> None:
        run = other[-1]
        assert run.stop == {}
        seen.append(dict(run.primary.read().sizes)["time"])
        if len(seen) == 1:
            hand.pulse(20)

    RE.subscribe(look, "stream_datum")
    when_complete(RE, lambda: hand.pulse(30))
    RE(fly(panda, num=50))
    assert seen == sorted(seen)
    assert seen[0] <= 30
    assert len(other[-1].primary.read()[COUNTER]) == 50
    other.close()


def test_rows_of_a_grid_have_the_time_of_their_own_flight(
    RE: RunEngine, db: Broker, panda: HDFPanda, hand: Hand
) -> None:
    hand.put({"PCAP.ENABLE": "SEQ1.ACTIVE", "PCAP.TRIG": "SEQ1.OUTA"})
    with init_devices():
        slow = SimMotor(instant=True)
    table = SeqTable.row(repeats=5, time1=500, outa1=True, time2=500)
    info = SeqTableInfo(sequence_table=table, repeats=1)
    logic = StaticSeqTableFlyableLogic(panda.seq[1])
    RE(fly_grid(panda, slow, 0.0, 2.0, 3, num=5, flyers=[(logic, info)]))
    header = db[-1]
    assert set(header.stream_names) == {"primary", "rows", "report"}
    times = header.xarray()["time"].values.reshape(3, 5)
    # within a row by the PandA's clock, from row to row by the time of its arming
    np.testing.assert_allclose(np.diff(times), 1e-3, atol=1e-6)
    assert (times[1:, 0] > times[:-1, -1]).all()
    slow_times = header.table("rows", convert_times=False, localize_times=False)
    assert len(slow_times) == 3
    assert header.table("rows")["slow"].tolist() == [0, 1, 2]


def test_a_step_scan_has_the_times_of_its_events(
    RE: RunEngine, db: Broker, panda: HDFPanda, hand: Hand
) -> None:
    RE(bp.count([panda], 3))
    header = db[-1]
    table = header.table(fill=True)
    documents = header.v2.documents()
    events = [doc["time"] for name, doc in documents if name == "event"]
    assert [time.timestamp() for time in table["time"]] == pytest.approx(events)
    assert len(table[COUNTER]) == 3
    assert list(header.events()) == []  # databroker leaves out events without data
