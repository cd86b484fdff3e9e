"""Scan server: a client for scripts and coroutines, and a server of our own.

`from beamfly.scan import *` gives scripts everything that they know: commands,
`ScanClient`, tables of logged data, table, N-dimensional and alignment scans, and
device settings. `AsyncScanClient` is the client for coroutines; the server is
`beamfly.scan.server.ScanServer`, or `beamfly scan serve` on the command line.
"""

from beamfly.scan.aioclient import AsyncScanClient
from beamfly.scan.alignment import AlignmentScan
from beamfly.scan.client import ScanClient
from beamfly.scan.commands import (
    Command,
    CommandSequence,
    Comment,
    ConfigLog,
    Delay,
    If,
    Include,
    Log,
    Loop,
    Parallel,
    Script,
    Sequence,
    Set,
    Wait,
)
from beamfly.scan.data import (
    Data,
    alignSerial,
    alignTime,
    createTable,
    getDatetime,
    getTable,
    getTimeSeries,
    iterateSamples,
    iterateTable,
    parseXMLData,
)
from beamfly.scan.info import ScanInfo
from beamfly.scan.ndim import createNDimScan
from beamfly.scan.settings import (
    DeviceSettings,
    ScanSettings,
    SettingsBasedLoop,
    SettingsBasedSet,
    SettingsBasedWait,
    getScanSettings,
    setScanSettings,
)
from beamfly.scan.spreadsheet import readSpreadsheet, writeSpreadsheet
from beamfly.scan.table import TableScan, loadTableScan
from beamfly.scan.values import formatSecondsAsTime, parseSeconds

__all__ = [
    "AlignmentScan",
    "AsyncScanClient",
    "Command",
    "CommandSequence",
    "Comment",
    "ConfigLog",
    "Data",
    "Delay",
    "DeviceSettings",
    "If",
    "Include",
    "Log",
    "Loop",
    "Parallel",
    "ScanClient",
    "ScanInfo",
    "ScanSettings",
    "Script",
    "Sequence",
    "Set",
    "SettingsBasedLoop",
    "SettingsBasedSet",
    "SettingsBasedWait",
    "TableScan",
    "Wait",
    "alignSerial",
    "alignTime",
    "createNDimScan",
    "createTable",
    "formatSecondsAsTime",
    "getDatetime",
    "getScanSettings",
    "getTable",
    "getTimeSeries",
    "iterateSamples",
    "iterateTable",
    "loadTableScan",
    "parseSeconds",
    "parseXMLData",
    "readSpreadsheet",
    "setScanSettings",
    "writeSpreadsheet",
]
