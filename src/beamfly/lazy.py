"""Packages whose names are imported when they are first used.

```python
__getattr__, __dir__ = lazily(__name__, {"Client": "beamfly.ca.asyncio"})
```

A script that wants one name does not wait for what all the others need.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the `__getattr__` and the `__dir__` of a package.

    Args:
        package: Its name.
        homes: Name -> module that has it, or is it.
    """
    names = vars(sys.modules[package])

    def get(name: str) -> Any:
        """Import a name from the module that has it, once."""
        home = homes.get(name)
        if home is None:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        module = import_module(home)
        is_it = home == f"{package}.{name}"
        value = names[name] = module if is_it else getattr(module, name)
        return value

    def listed() -> list[str]:
        """All names, imported or not."""
        return sorted({*names, *homes})

    return get, listed
