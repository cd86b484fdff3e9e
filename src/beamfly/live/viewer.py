"""What shows a flight: `Viewer`, and `Guarded`, which keeps its errors from the scan.

Viewers live in the thread of their run and may take their time: whatever comes
meanwhile is joined together.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from beamfly.live.announced import Document
from beamfly.live.rows import Block, Floats
from beamfly.live.watch import StreamWatch

log = logging.getLogger(__name__)

Watches = Mapping[str, StreamWatch]
"""The flown streams of a run, by name."""


class Viewer(Protocol):
    """Shows one run; all calls come from one thread, `finish` last."""

    about: str
    """What it shows at present, for errors."""

    def document(self, name: str, doc: Document, watches: Watches) -> None:
        """Take a document other than the stop; streams are watched by then."""

    def rows(
        self, watch: StreamWatch, block: Block, motors: Mapping[str, Floats]
    ) -> None:
        """Take rows that have been read."""

    def show(self, watches: Watches) -> None:
        """Show how far it is; called about four times a second."""

    def stop(self, watches: Watches, doc: Document) -> None:
        """Say what became of it; the RunEngine waits for this one."""

    def finish(self, watches: Watches) -> None:
        """Draw the last picture; nobody waits any more, nothing comes any more."""


class Guarded:
    """A viewer that is switched off when it raises, so that the scan goes on.

    Args:
        viewer: Which.
        run: How the run is called.
        say: Takes a sentence for the user.
    """

    def __init__(self, viewer: Viewer, run: str, say: Callable[[str], None]) -> None:
        self.viewer, self._run, self._say = viewer, run, say
        self.off = False

    def call(self, act: Callable[[Viewer], None]) -> None:
        """Have the viewer do something, unless it is off."""
        if self.off:
            return
        try:
            act(self.viewer)
        except Exception as error:
            self.off = True
            report(self.viewer.about, self._run, error, self._say)


def report(about: str, run: str, error: Exception, say: Callable[[str], None]) -> None:
    """Show an error once, and log it with what was being shown."""
    kind = type(error).__name__
    if log.hasHandlers():
        log.error("While showing %s of %s", about, run, exc_info=error)
    say(f"{about} of {run} is not shown any more ({kind}: {error}); the scan goes on")
