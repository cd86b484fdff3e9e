"""ophyd-async's own backend on our functions: every name and value that it leans on."""

import json
import os
import subprocess
import sys

import pytest

from .c_ioc import CIoc

SCRIPT = """
import asyncio, json, sys
import beamfly.ca, beamfly.ca.types, beamfly.ca.dbr
sys.modules["aioca"] = beamfly.ca
sys.modules["aioca.types"] = beamfly.ca.types
import epicscorelibs.ca
sys.modules["epicscorelibs.ca.dbr"] = epicscorelibs.ca.dbr = beamfly.ca.dbr

import numpy as np
from ophyd_async.core import StrictEnum, Array1D, observe_value
from ophyd_async.epics.core import epics_signal_rw, epics_signal_r, _aioca

assert _aioca.caget is beamfly.ca.caget

class State(StrictEnum):
    ZERO = "zero"
    ONE = "one"
    TWO = "two"

async def main():
    number = epics_signal_rw(float, "ca://T:ao")
    state = epics_signal_rw(State, "ca://T:enum")
    flag = epics_signal_rw(bool, "ca://T:bool")
    text = epics_signal_rw(str, "ca://T:char")
    array = epics_signal_rw(Array1D[np.float64], "ca://T:double")
    signals = number, state, flag, text, array
    await asyncio.gather(*(signal.connect() for signal in signals))
    values = [2.5, State.TWO, True, "a text of more than forty characters, as chars"]
    for signal, value in zip(signals, values):
        await signal.set(value)
        assert await signal.get_value() == value, (signal, value)
    await array.set(np.arange(5.0))
    assert (await array.get_value()).tolist() == [0, 1, 2, 3, 4]
    reading = await number.read()
    (one,) = reading.values()
    assert one["value"] == 2.5 and one["timestamp"] > 1e9 and one["alarm_severity"] == 0
    described = await number.describe()
    (key,) = described.values()
    seen = []
    async for value in observe_value(number, done_timeout=30):
        seen.append(value)
        if len(seen) == 3:
            break
        await number.set(value + 1)
    missing = epics_signal_r(float, "ca://T:nothing")
    try:
        await missing.connect(timeout=0.1)
    except Exception as error:
        print(json.dumps([key["units"], key["precision"], seen, type(error).__name__]))

asyncio.run(main())
"""


@pytest.mark.peer
def test_signals(ioc: CIoc) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", SCRIPT],
        env={**os.environ, **ioc.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [
        *("mm", 3, [2.5, 3.5, 4.5], "NotConnectedError")
    ]
    assert "Warning" not in result.stderr
