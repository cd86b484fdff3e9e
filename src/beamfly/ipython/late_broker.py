"""A `databroker.Broker` that is imported when somebody first asks it: `LateBroker`.

Importing databroker takes seconds, half of what a session needs to start. Storing runs
does not need it, so `RE.subscribe(db.insert)` works without.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beamfly.catalog import Catalog, RunWriter

if TYPE_CHECKING:
    from databroker import Broker


class LateBroker:
    """All that a Broker is, later.

    Args:
        directory: Of the catalog.
    """

    def __init__(self, directory: Path) -> None:
        self._catalog = Catalog(directory)

    @property
    def insert(self) -> RunWriter:
        """The callback that stores a document."""
        return self._catalog.writer()

    @property
    def v2(self) -> Catalog:
        """The catalog itself, which needs no databroker."""
        return self._catalog

    @cached_property
    def broker(self) -> "Broker":
        """The Broker, imported now."""
        return self._catalog.v1

    def __getattr__(self, name: str) -> Any:
        """What a Broker has."""
        if name.startswith("__"):
            # who looks for such a name asks what kind of thing this is
            raise AttributeError(name)
        return getattr(self.broker, name)

    def __getitem__(self, key: Any) -> Any:
        """A run, or several; see Broker."""
        return self.broker[key]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Search; see Broker."""
        return self.broker(*args, **kwargs)

    def __dir__(self) -> list[str]:
        """What a Broker has, for the Tab key."""
        return sorted({*super().__dir__(), *dir(self.broker)})

    def __repr__(self) -> str:
        """Where the runs are."""
        return f"<Broker of {self._catalog!r}>"
