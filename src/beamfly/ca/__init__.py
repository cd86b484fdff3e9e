"""EPICS Channel Access without libca.

`caget`, `caput`, `camonitor`, `connect` and `cainfo` are coroutines for asyncio;
`beamfly.ca.asyncio.Client` is the same without a cache per event loop;
`beamfly.ca.blocking` is for scripts and threads; `Server` serves PVs;
`beamfly.ca.client` is the protocol without input and output. Names are imported when
they are first used, so that this package costs nothing to import.
"""

from typing import TYPE_CHECKING

from beamfly.lazy import lazily

if TYPE_CHECKING:
    from beamfly.ca.access import AccessRules, Rule
    from beamfly.ca.array_values import ca_array
    from beamfly.ca.asyncio import Channel, Client
    from beamfly.ca.catools import (
        CAInfo,
        ChannelInfo,
        caget,
        cainfo,
        camonitor,
        caput,
        connect,
        get_channel_infos,
        run,
    )
    from beamfly.ca.config import Config
    from beamfly.ca.dbr_names import (
        DBE_ALARM,
        DBE_LOG,
        DBE_PROPERTY,
        DBE_VALUE,
        DBR_CHAR,
        DBR_CHAR_BYTES,
        DBR_CHAR_STR,
        DBR_CHAR_UNICODE,
        DBR_CLASS_NAME,
        DBR_DOUBLE,
        DBR_ENUM,
        DBR_ENUM_STR,
        DBR_FLOAT,
        DBR_LONG,
        DBR_PUT_ACKS,
        DBR_PUT_ACKT,
        DBR_SHORT,
        DBR_STRING,
        DBR_STSACK_STRING,
        FORMAT_CTRL,
        FORMAT_RAW,
        FORMAT_TIME,
        ca_extra_fields,
    )
    from beamfly.ca.default_client import get_channel, purge_channel_caches
    from beamfly.ca.monitors import Subscription
    from beamfly.ca.nothing import CANothing
    from beamfly.ca.puts import Put
    from beamfly.ca.pv import PV
    from beamfly.ca.records import RecordGroup
    from beamfly.ca.server_asyncio import Server
    from beamfly.ca.server_thread import serve_in_thread
    from beamfly.ca.values import ca_bytes, ca_float, ca_int, ca_str

_HOMES = {
    "beamfly.ca.access": ("AccessRules", "Rule"),
    "beamfly.ca.array_values": ("ca_array",),
    "beamfly.ca.asyncio": ("Channel", "Client"),
    "beamfly.ca.catools": (
        *("CAInfo", "ChannelInfo", "caget", "cainfo", "camonitor", "caput"),
        *("connect", "get_channel_infos", "run"),
    ),
    "beamfly.ca.config": ("Config",),
    "beamfly.ca.dbr_names": (
        *("DBE_ALARM", "DBE_LOG", "DBE_PROPERTY", "DBE_VALUE", "DBR_CHAR"),
        *("DBR_CHAR_BYTES", "DBR_CHAR_STR", "DBR_CHAR_UNICODE", "DBR_CLASS_NAME"),
        *("DBR_DOUBLE", "DBR_ENUM", "DBR_ENUM_STR", "DBR_FLOAT", "DBR_LONG"),
        *("DBR_PUT_ACKS", "DBR_PUT_ACKT", "DBR_SHORT", "DBR_STRING"),
        *("DBR_STSACK_STRING", "FORMAT_CTRL", "FORMAT_RAW", "FORMAT_TIME"),
        "ca_extra_fields",
    ),
    "beamfly.ca.default_client": ("get_channel", "purge_channel_caches"),
    "beamfly.ca.monitors": ("Subscription",),
    "beamfly.ca.nothing": ("CANothing",),
    "beamfly.ca.puts": ("Put",),
    "beamfly.ca.pv": ("PV",),
    "beamfly.ca.records": ("RecordGroup",),
    "beamfly.ca.server_asyncio": ("Server",),
    "beamfly.ca.server_thread": ("serve_in_thread",),
    "beamfly.ca.values": ("ca_bytes", "ca_float", "ca_int", "ca_str"),
}
_HOME = {
    **{name: module for module, names in _HOMES.items() for name in names},
    **{name: f"beamfly.ca.{name}" for name in ("cadef", "dbr", "types")},
}
__all__ = [
    "DBE_ALARM",
    "DBE_LOG",
    "DBE_PROPERTY",
    "DBE_VALUE",
    "DBR_CHAR",
    "DBR_CHAR_BYTES",
    "DBR_CHAR_STR",
    "DBR_CHAR_UNICODE",
    "DBR_CLASS_NAME",
    "DBR_DOUBLE",
    "DBR_ENUM",
    "DBR_ENUM_STR",
    "DBR_FLOAT",
    "DBR_LONG",
    "DBR_PUT_ACKS",
    "DBR_PUT_ACKT",
    "DBR_SHORT",
    "DBR_STRING",
    "DBR_STSACK_STRING",
    "FORMAT_CTRL",
    "FORMAT_RAW",
    "FORMAT_TIME",
    "PV",
    "AccessRules",
    "CAInfo",
    "CANothing",
    "Channel",
    "ChannelInfo",
    "Client",
    "Config",
    "Put",
    "RecordGroup",
    "Rule",
    "Server",
    "Subscription",
    "ca_array",
    "ca_bytes",
    "ca_extra_fields",
    "ca_float",
    "ca_int",
    "ca_str",
    "caget",
    "cainfo",
    "camonitor",
    "caput",
    "connect",
    "get_channel",
    "get_channel_infos",
    "purge_channel_caches",
    "run",
    "serve_in_thread",
]


__getattr__, __dir__ = lazily(__name__, _HOME)
