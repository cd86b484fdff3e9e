"""Names, arguments and defaults: the same as those of aioca and of caproto's client.

Both are asked by introspection, so that a new release of theirs shows what has changed.
"""

import inspect
import typing
from typing import Any

import pytest

from beamfly import ca
from beamfly.ca import blocking
from beamfly.ca.channel_type import ChannelType

aioca = pytest.importorskip("aioca")
caproto_client = pytest.importorskip("caproto.sync.client")
caproto = pytest.importorskip("caproto")

Row = tuple[str, Any, Any]


def rows(function: Any, skip: int = 0) -> list[Row]:
    """Name, kind and default of every argument."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters][skip:]


@pytest.mark.parametrize("name", ["caget", "connect", "cainfo", "run", "CANothing"])
def test_arguments_of_aioca(name: str) -> None:
    assert rows(getattr(ca, name)) == rows(getattr(aioca, name))
    assert inspect.iscoroutinefunction(getattr(ca, name)) == (
        name in ("caget", "connect", "cainfo")
    )


def test_arguments_of_camonitor() -> None:
    theirs = rows(aioca.camonitor)
    assert rows(ca.Subscription) == [("name", *theirs[0][1:]), *theirs[1:]]
    for overload in typing.get_overloads(ca.camonitor):
        assert [row[0] for row in rows(overload)] == [row[0] for row in theirs]


def test_arguments_of_caput() -> None:
    one, many = typing.get_overloads(ca.caput)
    theirs = rows(aioca.caput)
    assert [row[:2] for row in rows(one)] == [row[:2] for row in theirs]
    # repeat_value comes third for lists, and then what there is for one PV
    assert [row[0] for row in rows(many)] == [
        *("pv", "value", "repeat_value"),
        *[row[0] for row in theirs[2:]],
    ]
    ours = {row[0]: row[2] for row in rows(ca.caput)}
    assert {name: ours[name] for name in ("timeout", "throw")} == {
        row[0]: row[2] for row in theirs if row[1] is inspect.Parameter.KEYWORD_ONLY
    }


def test_names_and_numbers_of_aioca() -> None:
    for name in set(aioca.__all__) - {"__version__"}:
        theirs, ours = getattr(aioca, name), getattr(ca, name)
        if isinstance(theirs, (int, list, tuple)):
            assert ours == theirs, name
    for kind in ("Subscription", "CAInfo"):
        theirs, ours = getattr(aioca, kind), getattr(ca, kind)
        constants = {
            name: value
            for name, value in vars(theirs).items()
            if isinstance(value, (int, list, tuple)) and not name.startswith("_")
        }
        assert constants
        for name, value in constants.items():
            mine = getattr(ours, name)
            assert (mine if isinstance(mine, int) else list(mine)) == value, name


@pytest.mark.parametrize(
    "name", ["read", "write", "subscribe", "block", "interrupt", "read_write_read"]
)
def test_arguments_of_caproto(name: str) -> None:
    assert rows(getattr(blocking, name)) == rows(getattr(caproto_client, name))


def test_subscription_of_caproto() -> None:
    theirs, ours = caproto_client.Subscription, blocking.Subscription
    for name in ("interrupt", "clear", "add_callback", "remove_callback", "process"):
        assert len(rows(getattr(ours, name))) == len(rows(getattr(theirs, name)))
    # the time to find a PV is the same for one subscription and for several
    wanted = [
        (r[0], r[1], 2.0 if r[0] == "timeout" else r[2]) for r in rows(theirs.block)
    ]
    assert rows(ours.block) == wanted


def test_types_of_caproto() -> None:
    for member in caproto.ChannelType:
        assert ChannelType[member.name] == member.value
    assert len(ChannelType) == len(caproto.ChannelType)
