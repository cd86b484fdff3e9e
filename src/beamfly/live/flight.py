"""Callbacks for a RunEngine: `LiveFlight` shows, `StreamEvents` feeds a callback.

Both do next to nothing in the RunEngine's loop. Each run whose values go to files has
a thread of its own, which reads the files while they grow and ends with the run.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from beamfly.live.announced import Document, external_keys
from beamfly.live.drawing import Drawing, PngFile
from beamfly.live.events import Callback, EventFeed
from beamfly.live.flown import FlownRun
from beamfly.live.notebook import Cell, is_notebook
from beamfly.live.picture import warm_up
from beamfly.live.rows import RowReader
from beamfly.live.stats import FlyStats
from beamfly.live.table import RowTable
from beamfly.live.terminal import LogLines, TerminalLines, is_terminal, say
from beamfly.live.viewer import Viewer, report
from beamfly.live.window import Window, has_windows, make_windows_possible
from beamfly.live.words import run_name

PATIENCE = 5.0
"""Seconds that the RunEngine waits at most, at the end, for all to be said."""
NOTEBOOK_PATIENCE = 20.0
"""The same in a notebook, where what comes after the end of a cell may be lost."""


class Follower:
    """Follows the runs of a RunEngine, several at a time if need be.

    Args:
        x: Data key on the horizontal axis; `auto` for motor, encoder, time or row,
            whichever there is first; or `time`, or `row`.
        y: Data keys to draw, none for what detectors hint at.
        root_map: Where directories are on this machine, by where documents say.
    """

    def __init__(
        self,
        *,
        x: str = "auto",
        y: Sequence[str] = (),
        root_map: Mapping[str, str | Path] | None = None,
    ) -> None:
        self._x = x
        self._y = (y,) if isinstance(y, str) else tuple(y)
        self._reader = RowReader(root_map)
        self._runs: dict[str, FlownRun] = {}
        self._owners: dict[str, FlownRun] = {}
        self._last: FlownRun | None = None

    def __call__(self, name: str, doc: Document) -> None:
        """Take a document; never raises, hardly takes time."""
        try:
            self._take(name, doc)
        except Exception as error:
            self._forget(doc, error)

    def feeds(self) -> Sequence[EventFeed]:
        """Callbacks that take all documents of a run; made anew for each."""
        return []

    def viewers(self, start: Document) -> Sequence[Viewer]:
        """What shows a flight; made anew for each, in its thread."""
        return []

    @property
    def stats(self) -> Mapping[str, FlyStats]:
        """Figures of the latest flight by name of the detector, also after its end."""
        return {} if self._last is None else self._last.stats

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait until the last picture of the latest flight has been drawn.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it has.
        """
        return self._last is None or self._last.wait(timeout)

    def close(self) -> None:
        """End the threads of runs that have not stopped."""
        runs, self._runs = list(self._runs.values()), {}
        self._owners.clear()
        for run in runs:
            run.close()

    def _take(self, name: str, doc: Document) -> None:
        if name == "start":
            self._runs[str(doc["uid"])] = FlownRun(
                doc, self.feeds(), self.viewers, self._reader, self._x, self._y
            )
            return
        run = self._run_of(doc)
        if run is None:
            return
        if name in ("descriptor", "stream_resource"):
            self._owners[str(doc["uid"])] = run
        if name == "descriptor" and not run.flies and external_keys(doc):
            self._last = run
            run.begin()
        run.take(name, doc, time.time())
        if name == "stop":
            self._end(run)

    def _run_of(self, doc: Document) -> FlownRun | None:
        run = self._runs.get(str(doc.get("run_start")))
        keys = ("descriptor", "stream_resource")
        owners = (self._owners.get(str(doc.get(key))) for key in keys)
        return run or next((owner for owner in owners if owner), None)

    def _end(self, run: FlownRun) -> None:
        self._drop(run)
        if run.flies:
            # else the prompt would come before the last line
            run.told.wait(NOTEBOOK_PATIENCE if is_notebook() else PATIENCE)

    def _drop(self, run: FlownRun) -> None:
        self._runs = {u: r for u, r in self._runs.items() if r is not run}
        self._owners = {u: r for u, r in self._owners.items() if r is not run}

    def _forget(self, doc: Document, error: Exception) -> None:
        """Something of ours is wrong: show no more of this run."""
        run = self._run_of(doc)
        name = run_name(run.start if run else doc)
        report("the live view", name, error, say)
        if run is not None:
            self._drop(run)
            run.close()


class LiveFlight(Follower):
    """Shows flights while they fly: `RE.subscribe(LiveFlight())`.

    In a terminal, a line per detector that is rewritten in place, under a table of
    some rows; in a notebook, one output that is updated; elsewhere, lines at every
    10 %. Pictures come in windows if matplotlib has a Qt backend, in notebooks, and in
    a PNG file if you name one. Runs without flown streams are left alone.

    Args:
        x: Data key on the horizontal axis; `auto` for motor, encoder, time or row,
            whichever there is first; or `time`, or `row`.
        y: Data keys to draw, at most four; none for what detectors hint at.
        plot: Whether to draw at all.
        table: Whether to print some of the rows; None to do so in a terminal.
        picture: PNG file that always has the latest picture.
        callbacks: Callbacks that want flown rows as events, such as a
            BestEffortCallback, which is then not to be subscribed itself.
        points_per_second: Rows per second that become lines of a table, or events.
        period: Seconds between two pictures, at least.
        root_map: Where directories are on this machine, by where documents say.
    """

    def __init__(
        self,
        *,
        x: str = "auto",
        y: Sequence[str] = (),
        plot: bool = True,
        table: bool | None = None,
        picture: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        points_per_second: float = 5.0,
        period: float = 0.5,
        root_map: Mapping[str, str | Path] | None = None,
    ) -> None:
        super().__init__(x=x, y=y, root_map=root_map)
        self._plot, self._table, self._period = plot, table, period
        self._callbacks = tuple(callbacks)
        self._points_per_second = points_per_second
        self._picture = None if picture is None else Path(picture).expanduser()
        self._window: Window | None = None
        if plot and has_windows():
            make_windows_possible()
            self._window = Window()
        if plot and (self._picture or is_notebook()):
            warm_up()

    def feeds(self) -> Sequence[EventFeed]:
        """One per callback, and one for the table."""
        rate = self._points_per_second
        found = [EventFeed(each, rate) for each in self._callbacks]
        in_terminal = is_terminal() and not self._callbacks and not is_notebook()
        if in_terminal if self._table is None else self._table:
            found.append(EventFeed(RowTable(), rate, "the table", flown_only=True))
        return found

    def viewers(self, start: Document) -> Sequence[Viewer]:
        """As the place where this runs has it."""
        found: list[Viewer] = []
        if is_notebook():
            found.append(Cell(start, self._plot, self._period))
        else:
            found.append(TerminalLines(start) if is_terminal() else LogLines(start))
        if self._plot and self._picture is not None:
            found.append(Drawing(start, PngFile(self._picture), self._period))
        if self._window is not None and not is_notebook():
            found.append(Drawing(start, self._window, self._period))
        return found


class StreamEvents(Follower):
    """Has a callback see flown streams as events: `RE.subscribe(StreamEvents(table))`.

    Documents of runs that do not fly are passed on as they are. What the callback
    emits or returns goes nowhere; what it raises is shown, and it is called no more
    in that run.

    Args:
        callback: Any callback of bluesky. In a flight it is called in another thread
            than the RunEngine's.
        points_per_second: Rows per second that become events.
        x: See `LiveFlight`.
        y: See `LiveFlight`.
        root_map: Where directories are on this machine, by where documents say.
    """

    def __init__(
        self,
        callback: Callback,
        points_per_second: float = 5.0,
        *,
        x: str = "auto",
        y: Sequence[str] = (),
        root_map: Mapping[str, str | Path] | None = None,
    ) -> None:
        super().__init__(x=x, y=y, root_map=root_map)
        self._callback, self._points_per_second = callback, points_per_second

    def feeds(self) -> Sequence[EventFeed]:
        """The one callback."""
        return [EventFeed(self._callback, self._points_per_second)]
