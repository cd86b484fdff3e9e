"""What camonitor does between an update and a callback."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beamfly import ca
from beamfly.ca.dbr import Dbr
from beamfly.ca.default_client import NextTurn
from beamfly.ca.readings import EPOCH_NS, NANO
from beamfly.ca.values import time_fields

from .loopback import Loopback, serving
from .rig import Pv, Server

NAMES = [f"x{n}" for n in range(5)]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_time_stamps_are_rounded_as_python_does(seconds: int, nanoseconds: int) -> None:
    fields = time_fields(seconds * NANO + nanoseconds + EPOCH_NS, 1, 2)
    whole, rest = fields["raw_stamp"]
    assert whole * NANO + rest == seconds * NANO + nanoseconds + EPOCH_NS
    assert fields["timestamp"] == round(whole + rest * 1e-9, 6)
    assert isinstance(fields["timestamp"], float)


async def test_calls_of_the_next_turn_keep_their_order() -> None:
    told: list[int] = []
    next_turn = NextTurn(asyncio.get_running_loop())
    next_turn.soon(lambda: (told.append(1), next_turn.soon(lambda: told.append(4))))
    next_turn.soon(lambda: told.append(2))
    asyncio.get_running_loop().call_soon(told.append, 3)
    assert told == []
    await asyncio.sleep(0)
    assert told == [1, 2, 3]
    await asyncio.sleep(0)
    assert told == [1, 2, 3, 4]


def test_calls_survive_one_that_ends_the_loop() -> None:
    told: list[int] = []

    def end() -> None:
        raise KeyboardInterrupt

    async def turns(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    next_turn = NextTurn(loop)
    for call in (lambda: told.append(1), end, lambda: told.append(2)):
        next_turn.soon(call)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert told == [1]
    loop.run_until_complete(turns(2))
    assert told == [1, 2]
    loop.close()


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server with some PVs, which clients find by their environment."""
    pvs = {name: Pv(Dbr.LONG, 0) for name in NAMES}
    with serving(Server(("", 0), pvs)) as loopback:
        ((host, port),) = loopback.config.addresses
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"{host}:{port}")
        monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        monkeypatch.setenv("EPICS_CA_REPEATER_PORT", str(port))
        yield loopback


async def until(predicate: Any) -> None:
    end = time.monotonic() + 30
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.001)


async def post(loopback: Loopback, *updates: tuple[str, int]) -> None:
    """Changes of PVs that reach the client in one piece."""

    async def send() -> None:
        (connection,) = loopback.connections
        circuit = connection.circuit
        rows = circuit.ledger.subscriptions
        numbers = {row.link.name: number for number, row in rows.items()}
        for name, value in updates:
            loopback.server.pvs[name].value = value
            if name in numbers:
                loopback.server.post(circuit, numbers[name])
        connection.flush()

    await asyncio.to_thread(loopback.call, send())


async def watching(seen: list[Any], **options: Any) -> list[Any]:
    def told(value: Any) -> None:
        seen.append((value.name, int(value)))

    monitors = [ca.camonitor(name, told, **options) for name in NAMES]
    await until(lambda: len(seen) == len(NAMES))
    seen.clear()
    return monitors


async def test_subscriptions_are_served_in_the_order_of_their_first_update(
    loopback: Loopback,
) -> None:
    seen: list[Any] = []
    await watching(seen, all_updates=True)
    await post(loopback, ("x1", 1), ("x0", 2), ("x1", 3), ("x2", 4))
    await until(lambda: len(seen) == 4)
    assert seen == [("x1", 1), ("x1", 3), ("x0", 2), ("x2", 4)]


async def test_merged_updates_are_counted(loopback: Loopback) -> None:
    seen: list[Any] = []
    monitors = await watching(seen)
    await post(loopback, *(("x1", n) for n in range(10)), ("x2", 1))
    await until(lambda: ("x2", 1) in seen)
    assert seen == [("x1", 9), ("x2", 1)]
    assert [one.dropped_callbacks for one in monitors] == [0, 9, 0, 0, 0]


async def test_a_callback_closes_another_that_is_due(loopback: Loopback) -> None:
    seen: list[Any] = []
    monitors = await watching(seen)
    first, _, third, *_ = monitors
    really = first.callback

    def close(value: Any) -> None:
        really(value)
        third.close()

    first.callback = close
    await post(loopback, *((name, 7) for name in NAMES))
    await until(lambda: ("x4", 7) in seen)
    assert seen == [(name, 7) for name in NAMES if name != "x2"]


async def test_a_callback_that_raises_closes_only_its_own(
    loopback: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    monitors = await watching(seen)

    def bad(value: Any) -> None:
        raise ZeroDivisionError

    monitors[1].callback = bad
    await post(loopback, *((name, 7) for name in NAMES))
    await until(lambda: ("x4", 7) in seen)
    assert seen == [(name, 7) for name in NAMES if name != "x1"]
    assert monitors[1].state == monitors[1].CLOSED
    assert "Subscription x1 closed" in capsys.readouterr().err
