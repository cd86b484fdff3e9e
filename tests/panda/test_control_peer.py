"""The same commands through pandablocks and beamfly, on the same PandA."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from beamfly.panda import commands as ours
from beamfly.panda import tables
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread

pytestmark = pytest.mark.peer


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    with serve_in_thread(control_port=0, data_port=0) as sim:
        yield sim


@pytest.fixture
def client(sim: SimulatedPandA) -> Iterator[BlockingClient]:
    with BlockingClient(sim.host, sim.control_port) as client:
        yield client


@pytest.fixture
def other(sim: SimulatedPandA, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from pandablocks import blocking

    connect = blocking._SocketHelper.connect

    def connect_here(self: Any, host: str, port: int) -> None:
        # it knows no other port than 8888
        connect(self, host, sim.control_port)

    monkeypatch.setattr(blocking._SocketHelper, "connect", connect_here)
    with blocking.BlockingClient(sim.host) as other:
        yield other


SETTINGS = [
    "PULSE1.WIDTH.UNITS=ms",
    "PULSE1.WIDTH=1.5",
    "COUNTER1.OUT.UNITS=µm",
    "COUNTER2.OUT.CAPTURE=Min Max Mean",
    "SEQ1.TABLE<B",
    "AQAQAAAAAAD0AQAA9AEAAA==",
    "",
    "*METADATA.LAYOUT<",
    "one",
    "",
]


def plain(value: Any) -> Any:
    """A result without the classes of its package."""
    if isinstance(value, dict):
        return {
            name: (type(item).__name__, asdict(item))
            if hasattr(item, "__dataclass_fields__")
            else item
            for name, item in value.items()
        }
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def test_results_are_the_same(client: BlockingClient, other: Any) -> None:
    from pandablocks import commands as theirs

    client.send(ours.SetState(SETTINGS))
    blocks = client.send(ours.GetBlockInfo())
    asked: list[tuple[str, tuple[Any, ...]]] = [
        ("Get", ("*IDN",)),
        ("Get", ("PULSE1.WIDTH",)),
        ("Get", ("SEQ1.TABLE",)),
        ("GetLine", ("COUNTER1.OUT.UNITS",)),
        ("GetMultiline", ("*CAPTURE",)),
        ("Raw", (["*CLOCK_FREQ?"],)),
        ("Raw", (["COUNTER1.OUT=5"],)),
        ("GetBlockInfo", ()),
        ("GetBlockInfo", (True,)),
        ("GetPcapBitsLabels", ()),
        *(("GetFieldInfo", (block, False)) for block in blocks),
        # pandablocks asks the scalars of a block without its number
        *(("GetFieldInfo", (block,)) for block in blocks),
    ]
    for name, arguments in asked:
        mine = client.send(getattr(ours, name)(*arguments))
        their = other.send(getattr(theirs, name)(*arguments))
        assert plain(mine) == plain(their), (name, arguments)


def test_changes_are_the_same(client: BlockingClient, other: Any) -> None:
    from pandablocks import commands as theirs

    client.send(ours.SetState(SETTINGS))
    for group in ours.ChangeGroup:
        mine = client.send(ours.GetChanges(group, True))
        their = other.send(theirs.GetChanges(theirs.ChangeGroup(group.value), True))
        assert plain(mine) == plain(their)


def test_saved_state_is_the_same_but_for_what_cannot_be_restored(
    client: BlockingClient, other: Any
) -> None:
    from pandablocks import commands as theirs

    client.send(ours.SetState(SETTINGS))
    mine = client.send(ours.GetState())
    their = other.send(theirs.GetState())
    extra = [line for line in their if line not in mine]
    assert extra and all(".QUEUED_LINES=" in line for line in extra)
    assert mine == [line for line in their if line not in extra]
    assert client.send(ours.SetState(their, strict=False))
    assert client.send(ours.SetState(mine, strict=True)) == []


def test_tables_are_the_same(client: BlockingClient) -> None:
    from pandablocks import utils

    info: Any = client.send(ours.GetFieldInfo("SEQ"))["TABLE"]
    words = [str(n * 2654435761 % 2**32) for n in range(400)]
    # triggers that have a label
    words[::4] = [str(int(word) & 0xFFF3FFFF) for word in words[::4]]
    for labels in (False, True):
        mine = tables.words_to_table(words, info, labels)
        their = utils.words_to_table(words, info, labels)
        assert list(mine) == list(their)
        for name, column in mine.items():
            assert list(column) == list(their[name])
            assert getattr(column, "dtype", None) == getattr(their[name], "dtype", None)
        assert tables.table_to_words(mine, info) == words
