"""The transform device against a transform record of our server."""

from typing import Any

import pytest
from ca_rig import serving
from ophyd_async.core import NotConnectedError

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.devices import Transform
from beamfly.errors import BadValue


async def test_values_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    def double(put: Put) -> None:
        record["B"] = 2 * put.value

    fields: dict[str, Any] = dict.fromkeys("BCDEFGHIJKLMNOP", 0.0)
    fields |= {"VAL": 0, "A": PV(1.0, on_put=double), "CLCB": "A*2", "CMTB": "twice"}
    record = RecordGroup("transform", fields)
    async with serving({"X:t": record, "X:ai": PV(1.0)}, monkeypatch):
        device = Transform("X:t", rows="AB", name="optics")
        await device.connect(timeout=30)
        await device.values["A"].set(21.0)
        values = {name: one["value"] for name, one in (await device.read()).items()}
        assert values == {"optics-A": 21.0, "optics-B": 42.0}
        assert device.hints["fields"] == ["optics-A", "optics-B"]
        assert await device.field("CLCB").get() == "A*2"
        found = await device.read_fields()
        assert found["CMTB"] == "twice" and found["B"] == 42.0
        whole = Transform("X:t", name="t")
        await whole.connect(timeout=30)
        assert len(await whole.read()) == 16
        with pytest.raises(
            NotConnectedError, match="not a transform: Transform cannot"
        ):
            await Transform("X:ai").connect(timeout=30)


def test_rows_that_there_are_not() -> None:
    for rows in ("", "AQ", "a"):
        with pytest.raises(BadValue, match="rows of X:t are out of A to P, not "):
            Transform("X:t", rows=rows)
