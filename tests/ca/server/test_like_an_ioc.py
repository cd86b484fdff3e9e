"""The same puts and reads on a C IOC and on our server end the same way."""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from tests.ca.c_ioc import CIoc, free_port, running

from beamfly.ca.asyncio import Channel, Client
from beamfly.ca.config import Config
from beamfly.ca.dbr import Dbr
from beamfly.ca.payloads import Value
from beamfly.ca.pv import PV
from beamfly.ca.server_asyncio import Server
from beamfly.errors import CARefused

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

RECORDS = """
record(ao, "C:ao") { field(PREC, "4") field(EGU, "mm") field(HOPR, "50")
  field(LOPR, "-50") field(DRVH, "900") field(DRVL, "-900") field(HIHI, "80")
  field(HIGH, "60") field(LOW, "-60") field(LOLO, "-80") field(HHSV, "MAJOR")
  field(HSV, "MINOR") field(LSV, "MINOR") field(LLSV, "MAJOR") field(HYST, "5")
  field(PINI, "YES") }
record(longout, "C:lo") { field(PINI, "YES") field(EGU, "counts") }
record(mbbo, "C:mb") { field(ZRST, "zero") field(ONST, "one") field(TWST, "two")
  field(PINI, "YES") }
record(stringout, "C:so") { field(PINI, "YES") }
record(waveform, "C:wd") { field(FTVL, "DOUBLE") field(NELM, "6") field(PREC, "2") }
record(waveform, "C:wf") { field(FTVL, "FLOAT") field(NELM, "6") field(PREC, "2") }
record(waveform, "C:wl") { field(FTVL, "LONG") field(NELM, "6") }
record(waveform, "C:ws") { field(FTVL, "SHORT") field(NELM, "6") }
record(waveform, "C:wc") { field(FTVL, "UCHAR") field(NELM, "6") }
record(waveform, "C:wS") { field(FTVL, "STRING") field(NELM, "6") }
"""


def make_pvs() -> dict[str, PV]:
    limits = {"hihi": 80, "high": 60, "low": -60, "lolo": -80, "hyst": 5}
    ao = {"precision": 4, "units": "mm", "hopr": 50, "lopr": -50, "drvh": 900}
    return {
        "C:ao": PV(0.0, **ao, **limits, drvl=-900),  # pyright: ignore
        "C:lo": PV(0, units="counts"),
        "C:mb": PV(0, states=("zero", "one", "two")),
        "C:so": PV(""),
        "C:wd": PV(type="double", length=6, precision=2),
        "C:wf": PV(type="float", length=6, precision=2),
        "C:wl": PV(type="long", length=6),
        "C:ws": PV(type="short", length=6),
        "C:wc": PV(type="char", length=6),
        "C:wS": PV(type="string", length=6),
    }


@pytest.fixture(scope="module")
def records_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    """An IOC with a record for each of the tests."""
    with running(tmp_path_factory.mktemp("ioc"), RECORDS) as ioc:
        yield ioc


@pytest.fixture
async def both(records_ioc: CIoc) -> AsyncIterator[dict[str, tuple[Channel, Channel]]]:
    """Each PV on the IOC and on our server."""
    quiet = Config(cas_beacon_addresses=(("127.0.0.1", free_port()),))
    async with (
        Server(make_pvs(), config=quiet, port=0) as server,
        Client(records_ioc.config) as theirs,
        Client(
            Config(addresses=(("127.0.0.1", server.port),), auto_addresses=False)
        ) as ours,
    ):
        yield {
            name: (
                await theirs.connect(name, timeout=30),
                await ours.connect(name, timeout=30),
            )
            for name in make_pvs()
        }


async def status_of(channel: Channel, code: Dbr, value: Any) -> int:
    try:
        await channel.put(value, dbr=code, wait=True)
    except CARefused as error:
        return error.status
    return 1


async def shown(channel: Channel, code: Dbr) -> str:
    """Value and metadata that two servers should agree on."""
    try:
        answer = await channel.get(code)
    except CARefused as error:
        return f"refused {error.status}"
    if isinstance(answer, Value):
        row = (answer.units, answer.precision, answer.limits, answer.enum_strings)
        elements = answer.strings() if answer.base is Dbr.STRING else answer.elements()
        return f"{elements} {answer.severity} {answer.status} {row}"
    value, _, severity, status = answer
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return f"{value} {severity} {status}"


NUMBERS = (
    *(0.0, 1.0, 2.0, -1.0, 0.5, 1.9, -1.9, 61.0, 58.0, 54.0, 81.0, 76.0, -70.0),
    *(300.0, 70000.0, -40000.0, 1e9, 3e9, -3e9, 1e20, 1e39, -1e39, 1e-40, 0.12345),
    *(float("inf"), float("-inf"), float("nan"), 9999999.5, 10000000.5, 99999999.0),
)
TEXTS = (
    *("1", "2.5", "-3", "0x1f", " 7 ", "12 mm", "zero", "two", "1e2.5", "nonsense"),
    *("99999999999", "-1", "65536", "256", "-.5", "+4"),
)
BETTER = {
    # 1e2 is 100 for us and 1 for an IOC; -.5 is 0 and no number at all
    "C:lo": ("1e2.5", "-.5"),
    "C:wl": ("1e2.5", "-.5"),
    "C:ws": ("1e2.5", "-.5"),
    "C:wc": ("1e2.5", "-.5"),
}
READ = (
    *(Dbr.TIME_STRING, Dbr.TIME_SHORT, Dbr.TIME_FLOAT, Dbr.TIME_ENUM, Dbr.TIME_CHAR),
    *(Dbr.TIME_LONG, Dbr.TIME_DOUBLE),
)

TEXT_READ = (Dbr.TIME_STRING, Dbr.TIME_FLOAT, Dbr.TIME_DOUBLE)
"""Text that is no plain integer is read as one in better ways than by an IOC."""


def to_type(code: Dbr, value: float) -> Any:
    """A number that a client can send as a type."""
    if code in (Dbr.FLOAT, Dbr.DOUBLE):
        with np.errstate(over="ignore"):
            return float(np.float32(value)) if code is Dbr.FLOAT else value
    if not np.isfinite(value):
        return 0
    lowest, highest = {
        Dbr.SHORT: (-(2**15), 2**15 - 1),
        Dbr.ENUM: (0, 2**16 - 1),
        Dbr.CHAR: (0, 255),
        Dbr.LONG: (-(2**31), 2**31 - 1),
    }[code]
    return int(min(max(value, lowest), highest))


def cases(name: str, dice: random.Random) -> list[tuple[Dbr, Any]]:
    """Puts to one PV, in an order that changes from PV to PV."""
    codes = (Dbr.SHORT, Dbr.FLOAT, Dbr.ENUM, Dbr.CHAR, Dbr.LONG, Dbr.DOUBLE)
    found: list[tuple[Dbr, Any]] = [
        (code, to_type(code, value)) for code in codes for value in NUMBERS
    ]
    found += [(Dbr.STRING, text) for text in TEXTS if text not in BETTER.get(name, ())]
    if name.startswith("C:w"):
        found += [
            (code, [to_type(code, value) for value in dice.sample(NUMBERS, count)])
            for code in codes
            for count in (1, 3, 6, 9)
        ]
    dice.shuffle(found)
    return found


@pytest.mark.parametrize("name", [*make_pvs()])
async def test_puts_and_reads(
    both: dict[str, tuple[Channel, Channel]], name: str
) -> None:
    dice = random.Random(name)
    theirs, ours = both[name]
    different: list[str] = []
    for code, value in cases(name, dice):
        expected = await status_of(theirs, code, value)
        got = await status_of(ours, code, value)
        if expected != got:
            different.append(f"put {code.name} {value}: IOC {expected}, ours {got}")
        for read in TEXT_READ if name in ("C:so", "C:wS") else READ:
            wanted, found = await shown(theirs, read), await shown(ours, read)
            if wanted != found:
                different.append(
                    f"put {code.name} {value}, read {read.name}: "
                    f"IOC {wanted}, ours {found}"
                )
    assert different == []
