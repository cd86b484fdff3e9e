"""What may be in which table of a beamline's TOML file, and what it has to be.

Each key has a check, which gives nothing for a value that is right, and else the words
that end the sentence "it has to be ...".
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value.strip() else "a text"


def _port(value: Any) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return "" if whole and 0 < value < 65536 else "a whole number from 1 to 65535"


def _seconds(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and value > 0 else "a number of seconds above 0"


def _yes_no(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _table(value: Any) -> str:
    return "" if isinstance(value, dict) else "a table"


def _url(value: Any) -> str:
    try:
        url = urlsplit(value if isinstance(value, str) else "")
        right = url.scheme == "http" and url.hostname and (url.port or 1) > 0
    except ValueError:
        right = False
    return "" if right else "a URL such as http://scans.example:4810"


def _panda_class(value: Any) -> str:
    return "" if value in ("HDFPanda", "Panda") else "HDFPanda or Panda"


Check = Callable[[Any], str]
"""Gives what a value has to be, or nothing if it is that."""

TABLES: Mapping[str, Mapping[str, Check]] = {
    "": {
        "name": _text,
        "data": _table,
        "metadata": _table,
        "epics": _table,
        "connect": _table,
        "pandas": _table,
        "devices": _table,
        "scan_server": _table,
    },
    "data": {"catalog": _text, "files": _text, "tiled": _yes_no},
    "epics": {"address_list": _text, "auto_address_list": _yes_no, "port": _port},
    "connect": {"timeout": _seconds},
    "scan_server": {"url": _url, "name": _text},
    "pandas.*": {
        "host": _text,
        "control_port": _port,
        "data_port": _port,
        "class": _panda_class,
    },
}
"""What may be in each table, and what it has to be."""
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "": ("data",),
    "data": ("catalog",),
    "scan_server": ("url",),
    "pandas.*": ("host",),
}
"""What must be there."""
