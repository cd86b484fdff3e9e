"""Tiled kept up to date by another process: `TiledFollower`, and `follow` in it.

The two talk in lines over pipes. The follower's end of input tells the other process
to end, so that it cannot outlive this one, however this one ends.

```
to it    sync 3
from it  {"kind": "ready"}  {"kind": "fed", "uid": ...}  {"kind": "error", ...}
         {"kind": "synced", "number": 3}
```
"""

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from beamfly.errors import CatalogError
from beamfly.tiled.feeding import DirectoryFeed
from beamfly.tiled.store import TiledStore

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks at the directory."""
_NICE = 10
"""How far a flight goes before Tiled."""
_LAST_WORDS = 20
"""Lines of the process's standard error that are kept."""


class TiledFollower:
    """A process that writes a catalog's runs into Tiled while they are taken.

    What goes wrong there is logged as an error, and raised by `wait`. It ends with
    `close`, or with this process.

    Args:
        directory: The catalog's; it has a database (`beamfly tiled init`).

    Raises:
        CatalogError: There is no database.
    """

    def __init__(self, directory: str | Path) -> None:
        self.store = TiledStore(Path(directory))
        self.store.config()
        self.errors: list[str] = []
        """What went wrong and has not been raised yet."""
        self.stored = 0
        """Runs that are whole in Tiled since the start."""
        self._synced = 0
        self._asked = 0
        self._over = False
        self._news = threading.Condition()
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        command = [sys.executable, "-m", "beamfly", "tiled", "follow", "--pipe"]
        self._process = subprocess.Popen(
            [*command, str(self.store.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a Ctrl-C at the prompt is not meant for it
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=target, name=f"tiled-{name}", daemon=True)
            for name, target in (("news", self._listen), ("stderr", self._overhear))
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        for line in self._stream("stdout"):
            with self._news:
                self._take(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _overhear(self) -> None:
        for line in self._stream("stderr"):
            self._last_words.append(line.rstrip())

    def _stream(self, name: str) -> TextIO:
        return getattr(self._process, name)

    def _take(self, news: dict[str, Any]) -> None:
        if news["kind"] == "error":
            self.errors.append(news["text"])
            log.error("%s", news["text"])
        elif news["kind"] == "fed":
            self.stored += bool(news["stopped"])
        elif news["kind"] == "synced":
            self._synced = news["number"]

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until all documents that are in the directory now are in Tiled.

        Args:
            timeout: Seconds; opening the database takes some after the start.

        Raises:
            CatalogError: Some are not, and why; or the process has ended.
        """
        with self._news:
            self._asked += 1
            number = self._asked
        # if it has ended, that is found out below
        with suppress(OSError):
            print("sync", number, file=self._stream("stdin"), flush=True)
        with self._news:
            there = self._news.wait_for(
                lambda: self._over or self._synced >= number, timeout
            )
            errors, self.errors = self.errors, []
            if errors:
                raise CatalogError("; ".join(errors))
            if self._over:
                raise CatalogError(self._why_over())
            if not there:
                msg = (
                    f"the runs in {self.store.directory} are not all in Tiled after "
                    f"{timeout:g} s; it goes on in the background"
                )
                raise CatalogError(msg)

    def _why_over(self) -> str:
        code = self._process.wait()
        self._threads[1].join()
        said = [line for line in self._last_words if line.strip()]
        why = said[-1] if said else "it said nothing"
        return (
            f"the process that writes {self.store.directory} into Tiled has ended with "
            f"exit code {code}: {why}"
        )

    def close(self) -> None:
        """End the process; what is not written yet it writes when started again."""
        with suppress(OSError):
            self._stream("stdin").close()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        self._stream("stdout").close()
        self._stream("stderr").close()

    def __enter__(self) -> "TiledFollower":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def follow(
    store: TiledStore,
    tell: Callable[[dict[str, Any]], None],
    commands: TextIO | None = None,
    period: float = PERIOD,
) -> None:
    """Write runs into Tiled until `commands` ends.

    Args:
        store: The catalog and its database.
        tell: Called with what happens.
        commands: Lines as shown above; None for no commands and no end.
        period: Seconds between two looks at the directory.
    """
    os.nice(_NICE)
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    if commands is not None:
        threading.Thread(target=_read, args=(commands, asked), daemon=True).start()
    feed = DirectoryFeed(store, store.open())
    tell({"kind": "ready"})
    command = ""
    while command != "end":
        for fed in feed.look():
            if fed.error:
                tell({"kind": "error", "uid": fed.uid, "text": fed.error})
            else:
                tell({"kind": "fed", "uid": fed.uid, "stopped": fed.stopped})
        if command.startswith("sync "):
            tell({"kind": "synced", "number": int(command.removeprefix("sync "))})
        try:
            command = asked.get(timeout=period)
        except queue.Empty:
            command = ""


def _read(commands: TextIO, asked: "queue.SimpleQueue[str]") -> None:
    for line in commands:
        asked.put(line.strip())
    asked.put("end")
