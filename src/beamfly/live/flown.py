"""One run that flies, and the thread that shows it: `FlownRun`.

The thread begins with the first stream whose values are in files and ends with the
run. The RunEngine's loop only ever puts documents into its mailbox.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from beamfly.live.announced import Announced, Document
from beamfly.live.garbage import left_alone
from beamfly.live.mailbox import Mailbox, Post
from beamfly.live.rows import RowReader
from beamfly.live.stats import FlyStats
from beamfly.live.terminal import say
from beamfly.live.viewer import Guarded, Viewer, report
from beamfly.live.watch import StreamWatch
from beamfly.live.words import run_name

POLL = 0.25
"""Seconds between two looks at what has come."""
RUNS_POLL = 1.0
"""Seconds between two looks at what files say of acquisitions."""

MakeViewers = Callable[[Document], Sequence[Viewer]]
"""Makes the viewers of a run from its start document."""


class FlownRun:
    """A run that is being taken.

    Args:
        start: Its start document.
        first: Viewers that take every document, from the start.
        make_viewers: Makes those that only a flight needs; called in its thread.
        reader: Reads files.
        x: Axis that was asked for; see `choose`.
        y: Data keys that were asked for.
    """

    def __init__(
        self,
        start: Document,
        first: Sequence[Viewer],
        make_viewers: MakeViewers,
        reader: RowReader,
        x: str,
        y: tuple[str, ...],
    ) -> None:
        self.start, self._reader = start, reader
        self._x, self._y = x, y
        self._make_viewers = make_viewers
        self._viewers = [Guarded(viewer, run_name(start), say) for viewer in first]
        self._announced = Announced()
        self._mailbox = Mailbox()
        self._watches: dict[str, StreamWatch] = {}
        self._arrived = 0.0
        self._rounds = self._dropped = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self.told = threading.Event()
        """Set when all has been said, and nobody needs to wait any more."""
        self.take("start", start, 0.0)

    @property
    def flies(self) -> bool:
        """Whether there is a thread for it."""
        return self._thread is not None

    @property
    def stats(self) -> Mapping[str, FlyStats]:
        """Figures by name of the detector."""
        return {
            name: stats
            for watch in list(self._watches.values())
            for name, stats in watch.stats.items()
        }

    def begin(self) -> None:
        """Start the thread."""
        name = f"beamfly-live-{str(self.start.get('uid', ''))[:8]}"
        self._announced.add("start", self.start)
        self._thread = threading.Thread(target=self._main, name=name)
        self._thread.start()

    def take(self, name: str, doc: Document, now: float) -> None:
        """Take a document; called in the RunEngine's loop.

        Args:
            name: Its kind.
            doc: The document.
            now: Seconds since 1970.
        """
        if self.flies:
            self._mailbox.put(name, doc, now)
        elif name == "stop":
            self._each(lambda viewer: viewer.stop({}, doc))
        else:
            self._each(lambda viewer: viewer.document(name, doc, {}))

    def close(self) -> None:
        """End the thread, although the run has not stopped."""
        self._closed = True
        self._mailbox.hurry()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def wait(self, timeout: float) -> bool:
        """Wait for its thread to end, so many seconds at most; tell whether it has."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def _each(self, act: Callable[[Viewer], None]) -> None:
        for viewer in self._viewers:
            viewer.call(act)

    def _main(self) -> None:
        try:
            with left_alone():
                self._follow()
        except Exception as error:  # whatever it is, the scan goes on
            report("the live view", run_name(self.start), error, say)
        finally:
            self.told.set()

    def _follow(self) -> None:
        name = run_name(self.start)
        made = self._make_viewers(self.start)
        self._viewers += [Guarded(viewer, name, say) for viewer in made]
        stop = None
        while stop is None and not self._closed and _main_thread_lives():
            stop = self._round(self._mailbox.take(POLL))
        if stop is not None:
            self._land(stop)
            self.told.set()
        self._each(lambda viewer: viewer.finish(self._watches))

    def _round(self, post: Post) -> Document | None:
        self._arrived = post.arrived or self._arrived
        self._dropped += post.dropped
        for name, doc in post.documents:
            self._announced.add(name, doc)
            if name == "descriptor":
                self._watch_streams()
            elif name == "event":
                self._take_event(doc)
            given = (name, doc, self._watches)
            self._each(lambda viewer, given=given: viewer.document(*given))
        for watch in self._watches.values():
            watch.count(post.arrived)
            self._read(watch, last=post.stop is not None)
            if self._rounds % round(RUNS_POLL / POLL) == 0:
                watch.look_at_runs()
        self._rounds += 1
        if post.stop is None:
            self._each(lambda viewer: viewer.show(self._watches))
        return post.stop

    def _watch_streams(self) -> None:
        for name, stream in self._announced.streams.items():
            if name not in self._watches:
                self._watches[name] = StreamWatch(
                    stream, self.start, self._reader, say, self._x, self._y
                )

    def _take_event(self, doc: Document) -> None:
        stream = self._announced.stream_of(str(doc.get("descriptor")))
        for watch in self._watches.values():
            if watch.stream is stream:
                watch.take_event(doc)
            elif stream is None:
                watch.take_other_event(doc)

    def _read(self, watch: StreamWatch, last: bool) -> None:
        while (block := watch.read(self._arrived, last)) is not None:
            given = (watch, block, watch.motors(block))
            self._each(lambda viewer, given=given: viewer.rows(*given))
            if self._closed:
                break

    def _land(self, stop: Document) -> None:
        for watch in self._watches.values():
            watch.land(stop)
        self._each(lambda viewer: viewer.stop(self._watches, stop))
        if self._dropped:
            say(f"{self._dropped} events came too fast for a callback to see them all")


def _main_thread_lives() -> bool:
    """Whether Python is not about to exit, which waits for the last picture only."""
    return threading.main_thread().is_alive()
