"""How a run with a flight ends: why, with which status, and whether frames lack."""

import logging

from bluesky.utils import FailedPause, FailedStatus, RunEngineControlException

from beamfly.errors import CaptureError
from beamfly.plans.flight import Flight

log = logging.getLogger(__name__)


def cause_of(error: BaseException) -> BaseException:
    """What a status failed with, rather than that it did."""
    if isinstance(error, FailedStatus) and error.__cause__ is not None:
        return error.__cause__
    return error


def exit_status_of(error: BaseException) -> str:
    """What a run that ends with this error is in its stop document."""
    if isinstance(error, RunEngineControlException):
        return str(getattr(error, "exit_status", "abort"))
    return "abort" if isinstance(error, FailedPause) else "fail"


def missing_frames(flight: Flight, on_missed: str) -> CaptureError | None:
    """An error if frames are missing and that is not to be tolerated."""
    for panda in flight.pandas:
        report = panda.report.last
        if panda.captured and report.lost:
            if on_missed == "fail":
                return CaptureError(str(report))
            log.warning("%s", report)
    return None
