"""Starting and ending the context, and what little there is to do about threads."""

import threading
import time
from collections.abc import Callable
from typing import Any

from beamfly.epics import dbr
from beamfly.epics.channel_ids import clear_all
from beamfly.epics.context import (
    Context,
    close_context,
    current_context,
    running_context,
)

_clearing: list[Callable[[], object]] = []


def poll(evt: float = 1.0e-5, iot: float = 1.0) -> int:
    """Give callbacks a moment; updates and callbacks come without it too.

    Args:
        evt: Seconds.
        iot: Not used; what was put has been sent.
    """
    time.sleep(max(evt, 0.0))
    return dbr.ECA_NORMAL


def pend_event(timeout: float = 1.0e-5) -> int:
    """Wait so many seconds while callbacks run."""
    time.sleep(max(timeout, 0.0))
    return dbr.ECA_TIMEOUT


def pend_io(timeout: float = 1.0) -> int:
    """Nothing to do: what was put has been sent."""
    return dbr.ECA_NORMAL


def flush_io() -> int:
    """Nothing to do: what was put has been sent."""
    return dbr.ECA_NORMAL


def initialize_libca() -> Context:
    """Start the context; the first PV does so too."""
    return current_context()


def finalize_libca(maxtime: float = 10.0) -> None:
    """Disconnect everything and end the threads; the next use starts them again.

    Args:
        maxtime: Not used; nothing is waited for but a callback that runs.
    """
    clear_cache()
    close_context()


def use_initial_context() -> int:
    """Nothing to do: all threads use one context."""
    current_context()
    return dbr.ECA_NORMAL


def create_context(ctx: Any = None) -> int:
    """As `use_initial_context`."""
    return use_initial_context()


def attach_context(context: Any) -> int:
    """As `use_initial_context`."""
    return dbr.ECA_ISATTACHED


def detach_context() -> int:
    """Nothing to do: threads are not attached to contexts."""
    return dbr.ECA_NORMAL


def destroy_context() -> None:
    """As `finalize_libca`, but only in the main thread: the others share a context."""
    if threading.current_thread() is threading.main_thread():
        finalize_libca()


def disable_ca_messages() -> None:
    """Nothing to do: messages go to the logger `beamfly.ca`."""


def clear_cache() -> None:
    """Disconnect all PVs that `get_pv` made, and close channels that are left over."""
    for callback in tuple(_clearing):
        callback()
    context = running_context()
    if context is None or context.closed:
        return
    clear_all(context)


def register_clear_cache(callback: Callable[[], None]) -> None:
    """Have something called by `clear_cache`."""
    _clearing.append(callback)


class CAThread(threading.Thread):
    """A thread; every thread can use PVs."""
