"""A recording of a real PandA as input: `fly_recorded`, and what it has to give.

`real_panda.bin` is what the data port of a PandA sent in 10 000 samples, recorded by
the PandABlocks-client project (Apache License 2.0): COUNTER1 counts up by one per
sample, COUNTER2 twice and COUNTER3 three times as fast, every 250 ticks of 8 ns.
"""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from bluesky import RunEngine

from beamfly.devices import HDFPanda
from beamfly.errors import CaptureError
from beamfly.panda.simulator.recording import Recording
from beamfly.panda.simulator.replay import Replay
from beamfly.panda.simulator.server import serve_in_thread
from beamfly.plans import fly

Array = npt.NDArray[np.float64]

ROWS = 10_000
"""Samples in the recording."""
_TICK = 8e-9


def expected_columns() -> dict[str, Array]:
    """What is known of the recording, by the end of the data key."""
    count = np.arange(1.0, ROWS + 1)
    return {
        "COUNTER1-OUT-Min": count,
        "COUNTER1-OUT-Max": count,
        "COUNTER1-OUT-Mean": count,
        "COUNTER2-OUT-Mean": 2 * count,
        "COUNTER3-OUT-Value": 3 * count,
        "PCAP-TS_START-Value": (250 * count - 241) * _TICK,
        "PCAP-BITS2-Value": 0 * count,
        "PCAP-GATE_DURATION-Value": 0 * count + 125,
    }


def fly_recorded(
    RE: RunEngine, output: Path, connect: Callable[[Callable[[], Any]], None]
) -> str:
    """Fly a PandA whose captures are the recording.

    Args:
        RE: Runs the plan.
        output: Directory for the file.
        connect: Runs a coroutine function on the RunEngine's event loop.

    Returns:
        The unique id of the run.
    """
    stream = (files("beamfly.demo") / "real_panda.bin").read_bytes()
    replay = Replay(Recording.parse(stream))
    with serve_in_thread(replay=replay) as server:
        panda = HDFPanda(
            server.host,
            output,
            name="panda",
            control_port=server.control_port,
            data_port=server.data_port,
        )
        connect(cast(Any, panda).connect)
        result = cast(Any, RE(fly(panda, num=ROWS, md={"purpose": "replay"})))
        connect(panda.disconnect)
    return result.run_start_uids[0]


def check_recorded(columns: dict[str, Array]) -> str:
    """Compare what was read back with what is known of the recording.

    Args:
        columns: By name of the data key.

    Raises:
        CaptureError: A column is missing, or a value differs.
    """
    expected = expected_columns()
    for name, values in expected.items():
        found = [column for key, column in columns.items() if key.endswith(name)]
        if len(found) != 1:
            raise CaptureError(f"{name} is not among {', '.join(columns)}")
        if len(found[0]) != ROWS or not np.allclose(found[0], values, rtol=1e-12):
            raise CaptureError(f"{name} differs from what was recorded")
    return f"all {ROWS} rows of {len(expected)} fields are as known from the recording"
