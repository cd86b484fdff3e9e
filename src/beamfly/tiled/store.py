"""Where a catalog's Tiled database is: `TiledStore`.

```
data/                 the catalog: a directory a day, with the runs' documents
data/tiled/           what is in here can be removed at any time
    server.yml        configuration, for `tiled serve config` too; holds the key
    catalog.db        the database, unless it is a PostgreSQL server's
    internal.db       tables of events, likewise
    feeding.json      runs that have not stopped yet
```

A profile is the same configuration under a name, where Tiled looks for profiles; with
it `Broker.named(name)` opens the database inside the process that asks.
"""

import secrets
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from beamfly.errors import BadValue, CatalogError

_EXPORTER = "bluesky_tiled_plugins.exporters:json_seq_exporter"
_VALIDATOR = "bluesky_tiled_plugins.routers.validator:router"
_HOST = "file://localhost"
INSTALL = "pip install 'beamfly[tiled]'"


@dataclass(frozen=True)
class TiledStore:
    """The Tiled database of one catalog.

    Args:
        directory: The catalog's.
    """

    directory: Path

    def __post_init__(self) -> None:
        """Make the directory absolute: it goes into files that others read."""
        where = Path(self.directory).expanduser().absolute()
        object.__setattr__(self, "directory", where)

    @property
    def folder(self) -> Path:
        """What belongs to Tiled."""
        return self.directory / "tiled"

    @property
    def server_file(self) -> Path:
        """The configuration, which exists if there is a database."""
        return self.folder / "server.yml"

    @property
    def feeding_file(self) -> Path:
        """The runs that were not whole when they were last looked at."""
        return self.folder / "feeding.json"

    @property
    def database(self) -> str:
        """Address of the database."""
        return str(self.config()["catalog"]["uri"])

    def config(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            CatalogError: There is none, or it cannot be read.
        """
        try:
            config = yaml.safe_load(self.server_file.read_text("utf-8"))
        except FileNotFoundError as error:
            msg = (
                f"{self.directory} has no Tiled database yet: run "
                f"`beamfly tiled init {self.directory}`"
            )
            raise CatalogError(msg) from error
        except (OSError, yaml.YAMLError) as error:
            msg = f"{self.server_file} cannot be read: {error}; Tiled was not opened"
            raise CatalogError(msg) from error
        return cast("dict[str, Any]", config)

    def readable(self) -> list[Path]:
        """Directories whose files Tiled may read."""
        places = self.config()["catalog"]["readable_storage"]
        return [Path(place.removeprefix(_HOST)) for place in places]

    def create(
        self, database: str | None = None, data: list[Path] | None = None
    ) -> None:
        """Write the configuration and make the database, which is empty then.

        Args:
            database: A `postgresql://user:password@host/name` address, to be shared by
                many users; None for files beside the catalog.
            data: Directories with HDF5 files, besides the catalog's own.

        Raises:
            CatalogError: The database cannot be made; or Tiled is not installed.
            BadValue: It is neither a PostgreSQL address nor None.
        """
        if database is not None and not database.startswith("postgresql://"):
            msg = f"a database is postgresql://..., not {database}; none was made"
            raise BadValue(msg)
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self._configured(database, data or [])
        self.server_file.touch(mode=0o600)
        self.server_file.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        self._initialise(str(config["catalog"]["uri"]))

    def _configured(self, database: str | None, data: list[Path]) -> dict[str, Any]:
        readable = [self.directory, *(path.expanduser().absolute() for path in data)]
        tables = database or f"sqlite:///{self.folder}/internal.db"
        return {
            "catalog": {
                "uri": database or f"sqlite:///{self.folder}/catalog.db",
                "writable_storage": [_address(self.folder / "internal"), tables],
                "readable_storage": [_address(path) for path in readable],
                # doing so takes seconds each time it is opened
                "init_if_not_exists": False,
                "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
            },
            "media_types": {"BlueskyRun": {"application/json-seq": _EXPORTER}},
            "routers": [_VALIDATOR],
            "streaming_cache": {"uri": "memory"},
            "authentication": {"single_user_api_key": secrets.token_hex(16)},
        }

    def _initialise(self, uri: str) -> None:
        command = [sys.executable, "-m", "tiled", "catalog", "init", "--if-not-exists"]
        done = subprocess.run(
            [*command, uri], capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            why = said.splitlines()[-1] if said else f"exit code {done.returncode}"
            msg = f"no Tiled database was made at {uri}: {why} (needs {INSTALL})"
            raise CatalogError(msg)

    def write_profile(self, name: str, profiles: Path | None = None) -> Path:
        """Let `Broker.named(name)` find this database.

        Args:
            name: Of the profile.
            profiles: Directory for it; None for the one where Tiled looks for a
                user's, which the environment variable TILED_PROFILES can change.

        Returns:
            The file that was written.
        """
        folder = _profiles() if profiles is None else profiles
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.yml"
        path.touch(mode=0o600)
        content = {name: {"direct": self.config()}}
        path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
        return path

    def open(self) -> Any:
        """Open the database in this process, which takes seconds.

        Returns:
            A client as `tiled.client.from_profile` makes one, of all runs.

        Raises:
            CatalogError: There is none, an older Tiled has made it, or Tiled is not
                installed; the message has the command that helps.
        """
        config = self.config()
        try:
            from tiled.alembic_utils import DatabaseUpgradeNeeded, UninitializedDatabase
            from tiled.client import (
                from_context,  # pyright: ignore[reportUnknownVariableType]
            )
            from tiled.client.context import Context
            from tiled.server.app import build_app_from_config
        except ImportError as error:
            raise CatalogError(f"Tiled was not opened ({error}): {INSTALL}") from error
        try:
            with warnings.catch_warnings():
                # of Tiled's way to talk to itself; nobody here can help it
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                app: Any = build_app_from_config(config)
                context: Any = Context.from_app(app)  # pyright: ignore[reportUnknownMemberType]
            return cast(Any, from_context(context))
        except DatabaseUpgradeNeeded as error:
            raise CatalogError(self._outdated()) from error
        except UninitializedDatabase as error:
            msg = (
                f"there is no Tiled database at {self.database}: run "
                f"`beamfly tiled rebuild {self.directory}`, which makes it"
            )
            raise CatalogError(msg) from error

    def _outdated(self) -> str:
        if self.database.startswith("sqlite"):
            remedy = f"`beamfly tiled rebuild {self.directory}` makes it anew"
        else:
            remedy = f"`tiled catalog upgrade-database {self.database}` converts it"
        return (
            f"the Tiled database {self.database} was made by an older version of Tiled "
            f"and was not opened: {remedy}"
        )

    def emptied(self) -> Any:
        """Throw away all that is in the database; the catalog keeps its runs.

        Returns:
            A client as `open` gives it, with no runs. Opening a PostgreSQL database
            for a second time in a process has crashed its driver: use this one.

        Raises:
            CatalogError: There is no database, or it cannot be opened.
        """
        uri = self.database
        if uri.startswith("sqlite"):
            for path in self.folder.iterdir():
                if path != self.server_file:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._initialise(uri)
            return self.open()
        self.feeding_file.unlink(missing_ok=True)
        client = self.open()
        client.delete_contents(recursive=True, external_only=False)
        return client


def _address(path: Path) -> str:
    return f"{_HOST}{path.as_posix()}"


def _profiles() -> Path:
    from tiled.profiles import paths

    return Path(paths[-1])
