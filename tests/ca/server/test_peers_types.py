"""Every DBR type, and arrays of all sizes, as genuine clients get them from our server.

libca is asked for each of the types by number, caproto's client parses what comes by
itself; aioca and PyEpics, which can ask for less, are in `test_peers` and here for
arrays.
"""

from typing import Any

import numpy as np
import pytest

from .test_peers import Peers, peers  # noqa: F401  # the fixture

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]
LIBCA = """
import ctypes, json, struct
from epicscorelibs.path import get_lib
from beamfly.ca.dbr import layout

lib = ctypes.CDLL(get_lib("ca"))
lib.ca_context_create(0)
lib.ca_pend_io.argtypes = [ctypes.c_double]
lib.ca_create_channel.argtypes = [
    ctypes.c_char_p, *[ctypes.c_void_p] * 2, ctypes.c_uint,
    ctypes.POINTER(ctypes.c_void_p)]
lib.ca_array_get.argtypes = [
    ctypes.c_long, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p]
kinds = {1: "h", 2: "f", 3: "H", 4: "B", 5: "i", 6: "d"}
found = {}
for name in "dflhces":
    chid = ctypes.c_void_p()
    assert lib.ca_create_channel(name.encode(), None, None, 0, chid) == 1
    assert lib.ca_pend_io(20.0) == 1
    for code in [*range(35), 37, 38]:
        row = layout(code)
        if name == "s" and row.base:
            continue  # libca waits for the end of the time when a read is refused
        buffer = ctypes.create_string_buffer(1024)
        status = lib.ca_array_get(code, 1, chid, buffer)
        assert status == 1, (name, code, status)
        status = lib.ca_pend_io(20.0)
        at = row.offset
        if row.base == 0:
            value = buffer.raw[at:at + 40].partition(bytes(1))[0].decode()
        else:
            element = struct.Struct("=" + kinds[int(row.base)])
            value = float(element.unpack_from(buffer, at)[0])
        found[f"{name},{code}"] = value if status == 1 else status
print(json.dumps(found))
"""
CAPROTO = """
import json
from caproto import ChannelType, ErrorResponseReceived
from caproto.sync.client import read

found = {}
for name in "dflhces":
    for code in ChannelType:
        if code.name.startswith("PUT_ACK") or code.name == "CTRL_STRING":
            continue  # caproto takes the latter for a type with a time stamp
        try:
            got = read(name, data_type=code, repeater=False, timeout=30)
        except ErrorResponseReceived:
            found[f"{name},{int(code)}"] = "ErrorResponseReceived"
            continue
        assert got.data_type == code and got.data_count == 1, (name, code)
        raw = got.data[0] if len(got.data) else got.metadata.value
        if isinstance(raw, bytes):
            raw = raw.partition(bytes(1))[0].decode()
        failed = got.status.name != "ECA_NORMAL"
        value = raw if isinstance(raw, str) else float(raw)
        found[f"{name},{int(code)}"] = got.status.name if failed else value
print(json.dumps(found))
"""
TEXT = {"d": "21.500", "f": "1.5", "l": "70000", "h": "-3", "c": "200", "e": "two"}
NUMBERS = {
    # as short, float, enum, char, long, double
    "d": (21, 21.5, 21, 21, 21, 21.5),
    "f": (1, 1.5, 1, 1, 1, 1.5),
    "l": (4464, 70000, 4464, 112, 70000, 70000),
    "h": (-3, -3, 65533, 253, -3, -3),
    "c": (200, 200, 200, 200, 200, 200),
    "e": (2, 2, 2, 2, 2, 2),
}
CLASSES = {
    **{"d": "ao", "f": "ao", "l": "longout", "h": "longout", "c": "longout"},
    "e": "mbbo",
}


def expected(name: str, code: int) -> Any:
    """What every client must have got."""
    return TEXT[name] if code % 7 == 0 else NUMBERS[name][code % 7 - 1]


@pytest.mark.parametrize("script", [LIBCA, CAPROTO], ids=["libca", "caproto"])
def test_every_type(peers: Peers, script: str) -> None:  # noqa: F811
    found = peers.run(script)
    codes = [code for code in range(35) if script is LIBCA or code != 28]
    for name in TEXT:
        for code in codes:
            assert found[f"{name},{code}"] == expected(name, code), (name, code)
        assert found[f"{name},37"] == TEXT[name]
        assert found[f"{name},38"] == CLASSES[name]
    for code in codes:
        if code % 7 == 0:
            assert found[f"s,{code}"] == "hello"
        elif script is CAPROTO:
            # no number comes of text
            assert found[f"s,{code}"] == "ECA_GETFAIL"


ARRAYS = {
    "aioca": """
import asyncio, numpy as np
from aioca import caget, caput
async def main():
    for array in arrays:
        await caput("wide", array, wait=True, timeout=30)
        got = await caget("wide", timeout=30)
        check(array, got)
asyncio.run(main())
""",
    "pyepics": """
import epics
chid = epics.ca.create_channel("wide", connect=True)
for array in arrays:
    if not len(array):
        continue  # PyEpics puts zeros instead
    epics.ca.put(chid, array, wait=True, timeout=30)
    check(array, np.atleast_1d(epics.ca.get(chid, count=len(array), timeout=30)))
""",
    "caproto": """
from caproto.sync.client import read, write
for array in arrays:
    if len(array):
        write("wide", array, notify=True, repeater=False, timeout=30)
    else:
        write("wide", [], notify=True, repeater=False, timeout=30)
    check(array, read("wide", repeater=False, timeout=30).data)
""",
}


@pytest.mark.parametrize("client", ARRAYS)
def test_arrays_of_all_sizes(peers: Peers, client: str) -> None:  # noqa: F811
    from beamfly.ca.pv import PV

    def add() -> None:
        peers.server.server.add("wide", PV([0.0], length=1_000_000))

    peers.server.call(add)
    before = """
import json, numpy as np
arrays = [np.arange(float(size)) for size in (0, 1, 7, 1_000_000)]
checked = []
def check(array, got):
    assert np.array_equal(np.asarray(got, float), array), (len(array), len(got))
    checked.append(len(array))
"""
    found = peers.run(before + ARRAYS[client] + "\nprint(json.dumps(checked))\n")
    sizes = [0, 1, 7, 1_000_000]
    assert found == (sizes[1:] if client == "pyepics" else sizes)
    assert np.array_equal(peers.server.server["wide"].value, np.arange(1e6))
