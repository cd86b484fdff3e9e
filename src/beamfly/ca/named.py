"""The two messages that carry the name of a PV: SEARCH and CREATE_CHAN.

A client says both once for each of thousands of PVs, so they are packed in one step;
`beamfly.ca.messages` says the same in general.
"""

import struct
from collections.abc import Callable
from functools import cache

from beamfly.ca.header import shape
from beamfly.ca.message import MINOR_VERSION, Command

SILENT = 5
"""In a search: nothing is to be said by those who have not got the PV."""


@cache
def _forms(length: int) -> tuple[Callable[..., bytes], int, int]:
    """For names of so many bytes: how to pack, first 8 bytes of SEARCH and CREATE."""
    # a name ends with NUL, and a payload fills multiples of 8 bytes
    size = (length + 8) & ~7
    return (
        struct.Struct(f">QII{size}s").pack,
        shape(Command.SEARCH, size, SILENT, MINOR_VERSION),
        shape(Command.CREATE_CHAN, size, 0, 0),
    )


def search_message(name: str, cid: int) -> bytes:
    """Who has this PV?"""
    raw = name.encode()
    pack, search, _ = _forms(len(raw))
    return pack(search, cid, cid, raw)


def create_message(name: str, cid: int) -> bytes:
    """Open a channel to this PV."""
    raw = name.encode()
    pack, _, create = _forms(len(raw))
    return pack(create, cid, MINOR_VERSION, raw)
