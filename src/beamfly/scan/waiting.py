"""Waiting for the end of a scan: what was seen and `now` in, what to do out.

Both clients poll with this, so they give up, retry and report alike.
"""

from beamfly.errors import BeamflyError, ScanAborted, ScanFailed, ScanTimeout
from beamfly.scan.info import ScanInfo

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
SETTLE = 10.0
"""Seconds that a scan may look ended while its post-scan is still running."""


class Waiting:
    """One wait for one scan.

    Args:
        scan: id of the scan.
        now: any clock that counts seconds.
        timeout: seconds until `ScanTimeout`, None for ever.
        patience: seconds that the server may be out of reach before its error is
            raised.
    """

    def __init__(
        self, scan: int, now: float, timeout: float | None, patience: float
    ) -> None:
        self.scan = scan
        self._end = None if timeout is None else now + timeout
        self._timeout = timeout
        self._patience = patience
        self._lost_at: float | None = None
        self._ended_at: float | None = None
        self._pause = FIRST_PAUSE
        self._last: ScanInfo | None = None

    def saw(self, info: ScanInfo, now: float) -> bool:
        """Take in an answer; whether the wait is over.

        Raises:
            ScanFailed, ScanAborted: the scan ended so.
            ScanTimeout: the time is up.
        """
        self._lost_at = None
        self._last = info
        if info.isDone() and self._settled(info, now):
            self._judge(info)
            return True
        self._check_time(now)
        return False

    def lost(self, error: BeamflyError, now: float) -> None:
        """Take in that there was no answer; the error is raised when it is enough."""
        if self._lost_at is None:
            self._lost_at = now
        if now - self._lost_at >= self._patience:
            raise error
        self._check_time(now)

    def pause(self, now: float) -> float:
        """Seconds until the next question."""
        pause = self._pause
        self._pause = min(LONGEST_PAUSE, pause * 1.3)
        return pause if self._end is None else max(0.0, min(pause, self._end - now))

    def _settled(self, info: ScanInfo, now: float) -> bool:
        """Servers of CS-Studio say Aborted before the post-scan is through."""
        if info.command in (None, "- end -"):
            return True
        if self._ended_at is None:
            self._ended_at = now
        return now - self._ended_at >= SETTLE

    def _check_time(self, now: float) -> None:
        if self._end is not None and now >= self._end:
            state = "never seen" if self._last is None else self._last.state
            msg = (
                f"Scan {self.scan} was not done after {self._timeout:g} s "
                f"(state {state}); it goes on"
            )
            raise ScanTimeout(msg)

    def _judge(self, info: ScanInfo) -> None:
        why = f": {info.error}" if info.error not in (None, "", info.state) else ""
        if info.state == "Failed":
            raise ScanFailed(f"Scan {info.id} '{info.name}' failed{why}", info)
        if info.state == "Aborted":
            raise ScanAborted(f"Scan {info.id} '{info.name}' was aborted{why}", info)
