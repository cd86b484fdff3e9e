"""How far a scan is, as progress bars show it."""

from ophyd_async.core import WatcherUpdate

from beamfly.scan.info import ScanInfo


def progress_of(name: str, info: ScanInfo | None) -> WatcherUpdate[int] | None:
    """Progress in the server's own units of work.

    Args:
        name: Of the flyer.
        info: What the server told last.

    Returns:
        None where the server does not know how much there is to do.
    """
    if info is None or info.total_work_units <= 0:
        return None
    total = info.total_work_units
    done = min(info.performed_work_units, total)
    elapsed = info.runtime / 1000
    return WatcherUpdate(
        name=name,
        current=done,
        initial=0,
        target=total,
        unit="",
        precision=0,
        fraction=done / total,
        time_elapsed=elapsed,
        time_remaining=elapsed * (total - done) / done if done else None,
    )
