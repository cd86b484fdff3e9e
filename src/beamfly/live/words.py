"""Words of a run: its name, its line in a log, its summary."""

from beamfly.live.announced import Document
from beamfly.live.stats import FlyStats
from beamfly.live.viewer import Watches


def run_name(start: Document) -> str:
    """How a run is called, such as `scan 12 (fly)`."""
    number = start.get("scan_id")
    name = f"scan {number}" if number is not None else f"run {start.get('uid', '')[:8]}"
    plan = start.get("plan_name")
    return f"{name} ({plan})" if plan else name


def all_stats(watches: Watches) -> list[FlyStats]:
    """Figures of all detectors, in the order of their streams."""
    return [stats for watch in watches.values() for stats in watch.stats.values()]


def summary(watches: Watches, start: Document, stop: Document) -> str:
    """What became of a run, and how to find it again.

    There is a line per detector, unless the plan has told of it already.
    """
    lines = [stats.summary() for stats in all_stats(watches) if not stats.reported]
    status = stop.get("exit_status", "success")
    ended = "" if status == "success" else f" ended with {status}"
    reason = str(stop.get("reason") or "").rstrip(".")
    why = f": {reason}" if ended and reason else ""
    return "\n".join([*lines, f"{run_name(start)}{ended}{why}, uid {start['uid']}"])
