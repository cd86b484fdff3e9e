"""The connections without their sockets, in one place to import from.

`ControlConnection` is the control port: commands in, responses out. `DataConnection`
is the data port: bytes in, frames out. `Buffer` serves who wants to write another.
"""

from beamfly.panda.control import (
    Buffer,
    ControlConnection,
    NeedMoreDataError,
    NoContextAvailableError,
    Outcome,
)
from beamfly.panda.data import DataConnection, Flush
from beamfly.panda.data_options import DataFormat, DataOptions
from beamfly.panda.header import GATE_DURATION_FIELD, SAMPLES_FIELD

__all__ = [
    "GATE_DURATION_FIELD",
    "SAMPLES_FIELD",
    "Buffer",
    "ControlConnection",
    "DataConnection",
    "DataFormat",
    "DataOptions",
    "Flush",
    "NeedMoreData",
    "NeedMoreDataError",
    "NoContextAvailableError",
    "Outcome",
]

NeedMoreData = NeedMoreDataError
"""The name that pandablocks 0.2 had for it."""
