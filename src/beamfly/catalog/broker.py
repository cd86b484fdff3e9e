"""`make_db`: a catalog behind `databroker.Broker`.

Importing databroker takes seconds, so it is imported here and not before it is needed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beamfly.catalog.directory import Catalog

if TYPE_CHECKING:
    from databroker import Broker


def broker_for(catalog: Catalog) -> "Broker":
    """Wrap a catalog in a Broker."""
    from databroker import Broker

    class DirectoryBroker(Broker):
        """A Broker whose `insert` can be subscribed without keeping the Broker.

        A RunEngine holds methods weakly: it would drop those of a Broker that
        nothing else refers to, and store nothing more without a word.
        """

        @property
        def insert(self) -> Callable[[str, dict[str, Any]], None]:
            """The callback that stores a document."""
            return catalog.writer()

    return DirectoryBroker(catalog)


def make_db(
    directory: str | Path, *, root_map: Mapping[str, str | Path] | None = None
) -> "Broker":
    """Open the catalog in a directory as a `databroker.Broker`.

    ```python
    db = make_db("~/data")
    RE.subscribe(db.insert)
    RE(count([detector]))
    db[-1].table()
    ```

    Args:
        directory: The catalog's directory; it is made when the first run is stored.
        root_map: Where directories with data files are now, by where they were when
            the data was written. Not needed when data moved with the catalog.
    """
    return Catalog(directory, root_map=root_map).v1
