"""Where HDF5 files go: `TemplatePaths`, a path provider with one line of text.

`{catalog}/{date}/{device}_{scan_id:05}_{uid}` makes
`/data/BL99/2026-11-20/panda_00042_3f1c9a2e.h5`. The directories are made.
"""

import string
from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import uuid4

from ophyd_async.core import PathInfo

from beamfly.errors import BadValue

FIELDS = ("catalog", "date", "year", "month", "day", "device", "scan_id", "uid")
"""What may stand in braces in a template."""
_EXAMPLE: dict[str, Any] = {
    **{"catalog": "/data", "date": "2026-11-20", "device": "panda", "uid": "3f1c9a2e"},
    **{"year": 2026, "month": 11, "day": 20, "scan_id": 1},
}


def check_template(name: str, template: str) -> list[str]:
    """Say what is wrong with a template, one sentence each.

    Args:
        name: Of the template, for the sentences.
        template: To look at.
    """
    try:
        parts = list(string.Formatter().parse(template))
        used = [field for _, field, _, _ in parts if field is not None]
    except ValueError as error:
        return [f'"{name}" has a brace too few or too many: {error}']
    mistakes: list[str] = []
    for field in used:
        if field not in FIELDS:
            near = get_close_matches(field, FIELDS, 1, 0.5)
            hint = f"did you mean {{{near[0]}}}?" if near else f"known are {FIELDS}"
            mistakes.append(f'{{{field}}} of "{name}" is unknown; {hint}')
    if "uid" not in used:
        mistakes.append(f'"{name}" lacks {{uid}}, without which files would collide')
    if mistakes:
        return mistakes
    try:
        filled = template.format(**_EXAMPLE)
    except ValueError as error:
        return [f'"{name}" cannot be filled in: {error}']
    if not Path(filled).expanduser().is_absolute():
        mistakes.append(f'"{name}" has to begin with {{catalog}}, ~ or /')
    return mistakes


class TemplatePaths:
    """A path provider of ophyd-async that fills in a template.

    Args:
        template: With fields of `FIELDS`.
        catalog: What `{catalog}` is.
        scan_id: Gives the scan_id of the run that is going on.

    Raises:
        BadValue: The template makes no sense.
    """

    def __init__(
        self, template: str, catalog: Path, scan_id: Callable[[], int]
    ) -> None:
        mistakes = check_template("files", template)
        if mistakes:
            raise BadValue("; ".join(mistakes))
        self.template = template.removesuffix(".h5")
        self._catalog, self._scan_id = catalog, scan_id

    def __call__(self, datakey_name: str | None = None) -> PathInfo:
        """Directory and name for the next file of a device."""
        now = datetime.now().astimezone()
        filled = self.template.format(
            catalog=self._catalog,
            date=f"{now:%Y-%m-%d}",
            year=now.year,
            month=now.month,
            day=now.day,
            device=datakey_name or "data",
            scan_id=self._scan_id(),
            uid=uuid4().hex[:8],
        )
        path = Path(filled).expanduser()
        depth = len(path.parent.parts)
        return PathInfo(
            directory_path=path.parent, filename=path.name, create_dir_depth=-depth
        )
