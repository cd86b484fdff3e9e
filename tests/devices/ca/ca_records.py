"""Records for the tests of record devices: a database, and the same from our server."""

import asyncio
from typing import Any

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup

RECORDS = """
record(ai, "R:ai") { field(VAL, "1.5") field(PINI, "YES") field(EGU, "mbar")
  field(PREC, "2") field(HOPR, "10") field(LOPR, "-10") field(HIHI, "9")
  field(HHSV, "MAJOR") field(DESC, "pressure") }
record(ao, "R:ao") { field(VAL, "1") field(PINI, "YES") field(EGU, "degC")
  field(PREC, "1") field(DRVL, "-5") field(DRVH, "5") field(DESC, "heater") }
record(ao, "R:free") { field(VAL, "1") field(PINI, "YES") field(EGU, "V") }
record(longin, "R:li") { field(VAL, "7") field(PINI, "YES") field(EGU, "cts") }
record(longout, "R:lo") { field(VAL, "7") field(PINI, "YES") field(DRVL, "0")
  field(DRVH, "9") }
record(bi, "R:bi") { field(VAL, "1") field(PINI, "YES") field(ZNAM, "Closed")
  field(ONAM, "Open") }
record(bo, "R:bo") { field(VAL, "0") field(PINI, "YES") field(ZNAM, "Closed")
  field(ONAM, "Open") }
record(bo, "R:pulse") { field(VAL, "0") field(PINI, "YES") field(ZNAM, "Idle")
  field(ONAM, "Fire") field(HIGH, "0.1") }
record(mbbi, "R:mi") { field(VAL, "2") field(PINI, "YES") field(ZRST, "Aaa")
  field(ONST, "Bbb") field(TWST, "Ccc") }
record(mbbo, "R:mo") { field(VAL, "0") field(PINI, "YES") field(ZRST, "Aaa")
  field(ONST, "Bbb") field(TWST, "Ccc") }
record(stringin, "R:si") { field(VAL, "hello") field(PINI, "YES") }
record(stringout, "R:so") { field(VAL, "hello") field(PINI, "YES") }
record(lsi, "R:lsi") { field(SIZV, "100") field(PINI, "YES")
  field(INP, {const:"a string that is just longer than forty characters"}) }
record(int64in, "R:big") { field(VAL, "1099511627776") field(PINI, "YES") }
record(int64out, "R:bigout") { field(VAL, "1") field(PINI, "YES") }
record(lso, "R:lso") { field(SIZV, "100") }
record(calc, "R:calc") { field(A, "20") field(CALC, "A*2") field(EGU, "mm")
  field(PINI, "YES") }
"""
LONG = "a string that is just longer than forty characters"
STATES = ("Aaa", "Bbb", "Ccc")


def like_the_database() -> dict[str, Any]:
    """The same from our server."""

    async def pulse(put: Put) -> None:
        put.accept()

        async def end() -> None:
            await asyncio.sleep(0.1)
            put.pv.post(0)

        if put.value:
            tasks.append(asyncio.ensure_future(end()))

    tasks: list[asyncio.Future[None]] = []
    analog = {"units": "mbar", "precision": 2, "hopr": 10, "lopr": -10, "hihi": 9}
    return {
        "R:ai": PV(1.5, record="ai", description="pressure", **analog),
        "R:ao": PV(
            1.0,
            record="ao",
            units="degC",
            precision=1,
            drvl=-5,
            drvh=5,
            description="heater",
        ),
        "R:free": PV(1.0, record="ao", units="V"),
        "R:li": PV(7, record="longin", units="cts"),
        "R:lo": PV(7, record="longout", drvl=0, drvh=9),
        "R:bi": PV(1, record="bi", states=("Closed", "Open")),
        "R:bo": PV(0, record="bo", states=("Closed", "Open")),
        "R:pulse": RecordGroup(
            "bo",
            VAL=PV(0, states=("Idle", "Fire"), on_put=pulse),
            HIGH=PV(0.1),
        ),
        "R:mi": PV(2, record="mbbi", states=STATES),
        "R:mo": PV(0, record="mbbo", states=STATES),
        "R:si": PV("hello", record="stringin"),
        "R:so": PV("hello", record="stringout"),
        "R:lsi": PV(LONG, record="lsi", size=100),
        "R:lso": PV("", record="lso", size=100),
        "R:calc": RecordGroup("calc", VAL=PV(40.0, units="mm"), CALC="A*2", A=20.0),
    }
