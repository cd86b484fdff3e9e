"""Sessions at an IPython prompt, in a notebook, and in a queue server's worker.

```python
from beamfly.ipython import simulated, beamline

globals().update(simulated())                  # a simulated beamline
globals().update(beamline("beamline.toml"))    # or yours
```

`beamfly shell` does that in an IPython of its own. `session` makes the names, `config`
reads the TOML file, `magics` has %mov, %wa and others. Names are imported when they are
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beamfly.ipython.config import Beamline, read_config
    from beamfly.ipython.magics import install_magics
    from beamfly.ipython.scan_ids import ScanIds
    from beamfly.ipython.session import beamline, simulated

_HOME = {
    "Beamline": "config",
    "ScanIds": "scan_ids",
    "beamline": "session",
    "install_magics": "magics",
    "read_config": "config",
    "simulated": "session",
}
__all__ = [
    "Beamline",
    "ScanIds",
    "beamline",
    "install_magics",
    "read_config",
    "simulated",
]


def __getattr__(name: str) -> Any:
    """Import a name from the module that has it."""
    home = _HOME.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """All names, imported or not."""
    return sorted({*globals(), *_HOME})
