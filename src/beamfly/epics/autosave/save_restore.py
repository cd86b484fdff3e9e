"""`AutoSaver`, `save_pvs`, `restore_pvs`: PVs to and from files.

A file has one line `name value` for each PV, `name @array@ [1, 2]` for arrays, and ends
with `<END>`. Arrays as IOCs write them, `@array@ { "1" "2" }`, are read too.
"""

import datetime
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beamfly.epics import ca, dbr
from beamfly.epics.autosave.request_files import names_in
from beamfly.epics.pv import PV, get_pv
from beamfly.errors import BadValue, BeamflyError

ARRAY = "@array@"
END = "<END>"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class AutoSaver:
    """The PVs of a request file."""

    def __init__(self, request_file: str | Path | None = None) -> None:
        """Start to look for the PVs.

        Args:
            request_file: See `request_files`; None: `read_request_file` tells later.

        Raises:
            BadValue: The file cannot be understood.
        """
        self.request_file = request_file
        self.pvs: list[PV] = []
        if request_file is not None:
            self.read_request_file(request_file)

    def read_request_file(self, request_file: str | Path | None = None) -> None:
        """Have the PVs of a file, None: of the same file again."""
        if request_file is not None:
            self.request_file = request_file
        if self.request_file is None:
            raise BadValue("there is no request file to read")
        names = dict.fromkeys(names_in(self.request_file))
        self.pvs = [get_pv(name, connect=False) for name in names]

    def save(self, save_file: str | Path | None = None, verbose: bool = False) -> None:
        """Write a file; one that is there is replaced once the new one is complete.

        PVs that are not connected, or do not answer, are printed, and are comments in
        the file.

        Args:
            save_file: The file, None: named like the request file and the time.
            verbose: Whether to print every PV.
        """
        now = datetime.datetime.now()
        if save_file is None:
            stem = str(self.request_file).removesuffix(".req")
            save_file = f"{stem}_{now:%Y%b%d_%H%M%S}.sav"
        lines = [
            f"# File saved by beamfly.epics AutoSaver.save() on {now}",
            "# Edit with extreme care.",
        ]
        end = time.monotonic() + ca.DEFAULT_CONNECTION_TIMEOUT
        for pv in self.pvs:
            there = pv.wait_for_connection(max(0.0, end - time.monotonic()))
            text = _saved(pv) if there else None
            if text is None:
                ca.write(f"PV {pv.pvname} not connected")
                lines.append(f"# {pv.pvname} not connected")
                continue
            lines.append(f"{pv.pvname} {text}")
            if verbose:
                ca.write(f"PV {pv.pvname} = {text}")
        part = Path(f"{save_file}.part")
        part.write_text("\n".join([*lines, END, ""]), "utf-8")
        part.replace(save_file)
        ca.write(f"wrote {save_file}")


def save_pvs(
    request_file: str | Path, save_file: str | Path, debug: bool = False
) -> None:
    """Write the PVs of a request file; see `AutoSaver.save`.

    Args:
        request_file: Which PVs.
        save_file: Where to.
        debug: Whether to print every PV.
    """
    AutoSaver(request_file).save(save_file, verbose=debug)


def restore_pvs(filepath: str | Path, debug: bool = False) -> bool:
    """Put what a file says; nothing is waited for but connections.

    Args:
        filepath: A file of `save_pvs`, or of an IOC.
        debug: Whether to print every PV.

    Returns:
        Whether all could be put; a line is printed for each that could not.

    Raises:
        BadValue: The file cannot be read; nothing was put.
    """
    try:
        lines = Path(filepath).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"{filepath} cannot be read: {error}") from error
    rows: list[tuple[PV, str]] = []
    for line in lines:
        name, gap, text = line.partition(" ")
        if name and gap and not name.startswith(("#", "<")):
            rows.append((get_pv(name, connect=False), text.strip()))
    end = time.monotonic() + ca.DEFAULT_CONNECTION_TIMEOUT
    results = [
        _restored(pv, text, max(0.0, end - time.monotonic()), debug)
        for pv, text in rows
    ]
    return all(results)


def _restored(pv: PV, text: str, seconds: float, debug: bool) -> bool:
    """Whether a PV could be put."""
    name = pv.pvname
    if not pv.wait_for_connection(seconds):
        ca.write(f"Cannot connect to {name}")
        return False
    if not pv.write_access:
        ca.write(f"No write access to {name}")
        return False
    try:
        value = _value(pv, text)
        if debug:
            ca.write(f"Setting {name} to {value}")
        return pv.put(value) == 1
    except (BeamflyError, ValueError) as error:
        ca.write(f"Error restoring {name} to {text:.60}: {error}")
        return False


def _kind(pv: PV) -> int:
    return dbr.native_type(pv.ftype or 0)


def _saved(pv: PV) -> str | None:
    """The value as it stands in a file; None if it does not come."""
    value = pv.get()
    if value is None or pv.nelm == 1:
        return None if value is None else str(value)
    if _kind(pv) == dbr.CHAR:
        text: str = pv.get(as_string=True)
        if text.isprintable():
            return text
    listed: Sequence[Any] = value.tolist() if hasattr(value, "tolist") else value
    return f"{ARRAY} {json.dumps(listed)}"


def _value(pv: PV, text: str) -> Any:
    """What to put."""
    if text.startswith(ARRAY):
        return _items(pv, text.removeprefix(ARRAY).strip())
    if _kind(pv) == dbr.ENUM and text.lstrip("-").isdigit():
        # never the name of a state that looks like a number
        return int(text)
    return text


def _items(pv: PV, text: str) -> Any:
    """Elements of an array, from either way of writing them."""
    if not text.startswith("{"):
        return json.loads(text)
    inner = text.removeprefix("{").removesuffix("}").strip()
    if inner.startswith("["):
        return json.loads(inner)
    words = [re.sub(r"\\(.)", r"\1", word) for word in _QUOTED.findall(inner)]
    kind = _kind(pv)
    if kind == dbr.STRING:
        return words
    return [float(word) if dbr.is_float(kind) else int(word, 0) for word in words]
