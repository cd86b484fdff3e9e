"""Every command that a PandA's control port understands, in one place to import from.

Reading and writing: `Get`, `GetLine`, `GetMultiline`, `Put`, `Append`, `Raw`.
Acquiring: `Arm`, `Disarm`. Looking around: `Identify`, `GetBlockInfo`,
`GetFieldInfo`, `GetPcapBitsLabels`. Keeping up: `GetChanges`. Settings: `GetState`,
`SetState`. Give them to the `send` of a client (`beamfly.panda.asyncio`,
`beamfly.panda.blocking`). To make one of your own, derive from `Command`.
"""

from beamfly.errors import CommandError, VersionError
from beamfly.panda.exchange import (
    Command,
    Exchange,
    ExchangeGenerator,
    T,
    interleave,
    is_multiline_command,
)
from beamfly.panda.introspection import (
    GetBlockInfo,
    GetBlockNumbers,
    GetFieldInfo,
    GetFields,
    GetPcapBitsLabels,
)
from beamfly.panda.responses import FieldInfo, FieldType
from beamfly.panda.state import GetState, SetState, StateFailure
from beamfly.panda.values import (
    Append,
    Arm,
    ChangeGroup,
    Disarm,
    Get,
    GetChanges,
    GetLine,
    GetMultiline,
    Identify,
    Put,
    Raw,
)

__all__ = [
    "Append",
    "Arm",
    "ChangeGroup",
    "Command",
    "CommandError",
    "CommandException",
    "Disarm",
    "Exchange",
    "ExchangeGenerator",
    "FieldInfo",
    "FieldType",
    "Get",
    "GetBlockInfo",
    "GetBlockNumbers",
    "GetChanges",
    "GetFieldInfo",
    "GetFields",
    "GetLine",
    "GetMultiline",
    "GetPcapBitsLabels",
    "GetState",
    "Identify",
    "Put",
    "Raw",
    "SetState",
    "StateFailure",
    "T",
    "VersionError",
    "interleave",
    "is_multiline_command",
]

CommandException = CommandError
"""The name that pandablocks 0.2 had for it."""
