"""What a client says once for each of thousands of PVs: SEARCH, CREATE_CHAN, EVENT_ADD.

These are packed in one step; `beamfly.ca.messages` says the same in general.
"""

import struct
from collections.abc import Callable
from functools import cache

from beamfly.ca.header import HEADER_BYTES, shape
from beamfly.ca.message import MINOR_VERSION, Command

SILENT = 5
"""In a search: nothing is to be said by those who have not got the PV."""
_WATCH = struct.Struct(">QII12xH2x")
_WATCH_SHAPE = shape(Command.EVENT_ADD, _WATCH.size - HEADER_BYTES, 0, 0)


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


def watch_message(code: int, count: int, sid: int, number: int, mask: int) -> bytes:
    """Subscribe, as EventAdd says it, to less than 65535 elements."""
    return _WATCH.pack(_WATCH_SHAPE | code << 16 | count, sid, number, mask)
