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

from typing import TYPE_CHECKING

from beamfly.lazy import lazily

if TYPE_CHECKING:
    from beamfly.ipython.config import Beamline, read_config
    from beamfly.ipython.magics import install_magics
    from beamfly.ipython.scan_ids import ScanIds
    from beamfly.ipython.session import beamline, simulated

_HOME = {
    "Beamline": "beamfly.ipython.config",
    "ScanIds": "beamfly.ipython.scan_ids",
    "beamline": "beamfly.ipython.session",
    "install_magics": "beamfly.ipython.magics",
    "read_config": "beamfly.ipython.config",
    "simulated": "beamfly.ipython.session",
}
__all__ = [
    "Beamline",
    "ScanIds",
    "beamline",
    "install_magics",
    "read_config",
    "simulated",
]


__getattr__, __dir__ = lazily(__name__, _HOME)
