"""Have `import epics` mean `beamfly.epics`, for scripts that are not to be changed.

    from beamfly.epics.stand_in import stand_in

    stand_in()
    import somebodys_script

`python -m beamfly.epics script.py` does this for one script. PyEpics need not be
installed; if it is, it is not imported in this process.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from beamfly.epics.exceptions import ChannelAccessException

THEIRS = "epics"
OURS = "beamfly.epics"


class _Loader(Loader):
    """Gives a module of ours under another name."""

    def __init__(self) -> None:
        self._spec: Any = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(OURS + spec.name.removeprefix(THEIRS))
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # it has run under its own name, whose spec importing has just replaced
        module.__spec__ = self._spec
        # names that are more than files, such as devices.ai, a module and a class
        for name, found in tuple(sys.modules.items()):
            if name.startswith(f"{OURS}."):
                sys.modules.setdefault(THEIRS + name.removeprefix(OURS), found)


class _Finder(MetaPathFinder):
    """Finds `epics` and everything in it."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] != THEIRS:
            return None
        return ModuleSpec(fullname, _Loader())


def stand_in() -> None:
    """Have `import epics` give this package in this process from now on.

    Raises:
        ChannelAccessException: PyEpics has been imported already.
    """
    known = sys.modules.get(THEIRS)
    if known is not None and known.__name__ != OURS:
        msg = f"{THEIRS} is {known.__file__} already; call stand_in() before importing"
        raise ChannelAccessException(msg)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
