"""Ways to make and to mangle Channel Access bytes."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from beamfly.ca import dbr
from beamfly.ca.circuit import Circuit
from beamfly.ca.dbr import Dbr, Family
from beamfly.ca.message import Sender
from beamfly.ca.payloads import Value

FLOATS = {Dbr.FLOAT: st.floats(width=32), Dbr.DOUBLE: st.floats()}
RANGES = {
    Dbr.SHORT: (-(2**15), 2**15 - 1),
    Dbr.ENUM: (0, 2**16 - 1),
    Dbr.CHAR: (0, 255),
    Dbr.LONG: (-(2**31), 2**31 - 1),
}
U32 = st.integers(0, 2**32 - 1)
U16 = st.integers(0, 2**16 - 1)


def numbers(base: Dbr) -> st.SearchStrategy[Any]:
    return FLOATS[base] if base in FLOATS else st.integers(*RANGES[base])


def c_string(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=size).map(lambda raw: raw.replace(b"\0", b"x"))


@st.composite
def values(draw: st.DrawFn) -> Value:
    """A value of any type with all the metadata that its type carries."""
    row = dbr.layout(draw(st.sampled_from(list(Dbr))))
    count = draw(st.integers(0, 5))
    raw = draw(st.binary(min_size=count * row.element, max_size=count * row.element))
    fields: dict[str, Any] = {}
    s16 = st.integers(-(2**15), 2**15 - 1)
    for name in ("status", "severity", "precision"):
        if name in row.names:
            fields[name] = draw(s16)
    for name in ("seconds", "nanoseconds"):
        if name in row.names:
            fields[name] = draw(U32)
    for name in ("acknowledge_transient", "acknowledge_severity"):
        if name in row.names:
            fields[name] = draw(U16)
    if "units" in row.names:
        fields["units"] = draw(c_string(8))
    limits = [name for name in row.names if name in dbr.LIMITS]
    if limits:
        assert len(limits) == (8 if row.family is Family.CTRL else 6)
        limit = numbers(row.base).filter(lambda x: x == x)
        fields["limits"] = tuple(draw(limit) for _ in limits)
    if "enum_strings" in row.names:
        fields["enum_strings"] = tuple(draw(st.lists(c_string(25), max_size=16)))
    return Value(row.code, count, raw, **fields)


def pump(*circuits: Circuit, now: float = 0.0) -> None:
    """Carry bytes between two circuits until both are silent."""
    left, right = circuits
    while left.outbox or right.outbox:
        for source, target in ((left, right), (right, left)):
            for piece in source.output():
                target.receive(piece, now)


def pair(**kwargs: Any) -> tuple[Circuit, Circuit]:
    """A client and a server that have greeted each other."""
    client = Circuit(Sender.CLIENT, user="me", machine="here", **kwargs)
    server = Circuit(Sender.SERVER)
    server.open()
    client.open()
    pump(client, server)
    return client, server


def drain(circuit: Circuit) -> list[Any]:
    """Every event that is waiting."""
    return list(iter(circuit.next_event, None))


def chunks(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The bytes cut at places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]
