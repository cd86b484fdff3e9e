"""PVs from a TOML or JSON file, and from NAME=VALUE.

    "X:mode" = "idle"                 # just a first value

    ["X:temp"]                        # or arguments of PV by name
    value = 21.5
    units = "degC"
    hihi = 40

    ["BL:M1"]                         # or a record with fields
    record = "motor"
    [ "BL:M1".fields ]
    VAL = { value = 0.0, units = "mm" }
    RBV = 0.0

A JSON file holds the same as an object.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup
from beamfly.errors import BadValue


def load_pvs(path: str | Path) -> dict[str, PV | RecordGroup]:
    """The PVs of a file, by name; BadValue says what is wrong with which."""
    path = Path(path)
    try:
        raw = path.read_text(encoding="utf-8")
        read = json.loads if path.suffix.lower() == ".json" else tomllib.loads
        content: Any = read(raw)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{path} cannot be read: {reason}; nothing is served"
        raise BadValue(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds no names with values; nothing is served"
        raise BadValue(msg)
    return make_pvs(cast("dict[str, Any]", content))


def make_pvs(content: Mapping[str, Any]) -> dict[str, PV | RecordGroup]:
    """PVs from their descriptions; BadValue says what is wrong with which."""
    found: dict[str, PV | RecordGroup] = {}
    for name, description in content.items():
        try:
            found[name] = _make(description)
        except (BadValue, TypeError, ValueError) as error:
            msg = f"{name} cannot be served: {error}"
            raise BadValue(msg) from error
    return found


def _make(description: Any) -> PV | RecordGroup:
    """A PV or a record from its description."""
    if isinstance(description, Mapping) and "fields" in description:
        record = dict(cast("Mapping[str, Any]", description))
        fields = {
            field: _pv(value) if isinstance(value, Mapping) else value
            for field, value in record.pop("fields").items()
        }
        return RecordGroup(record.pop("record", "unknown"), fields, **record)
    return _pv(description)


def _pv(description: Any) -> PV:
    """A PV from arguments or from its first value."""
    if not isinstance(description, Mapping):
        return PV(description)
    options = dict(cast("Mapping[str, Any]", description))
    return PV(options.pop("value", None), **options)


def parse_assignment(text: str) -> tuple[str, PV]:
    """NAME=VALUE, where VALUE is a number, true, false, [1, 2], or text."""
    name, equals, raw = text.partition("=")
    if not name or not equals:
        msg = f"{text!r} is no NAME=VALUE; nothing is served"
        raise BadValue(msg)
    try:
        value: Any = json.loads(raw)
    except ValueError:
        value = raw
    try:
        return name, _pv(value)
    except BadValue as error:
        msg = f"{name} cannot be served: {error}"
        raise BadValue(msg) from error
