"""Starting and ending the context, and what little there is to do about threads."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import beamfly.ca
from beamfly.epics import dbr
from beamfly.epics.channel_ids import clear_all
from beamfly.epics.context import (
    Context,
    close_context,
    current_context,
    running_context,
)
from beamfly.epics.exceptions import ChannelAccessException

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
        maxtime: Seconds to wait for a callback that runs; nothing else is waited for.
    """
    clear_cache()
    close_context(maxtime)


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


context_create = create_context
context_destroy = destroy_context


class _Messages(logging.Handler):
    """Gives what is logged to a writer."""

    def __init__(self, writer: Callable[..., object]) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer(self.format(record) + "\n")


def replace_printf_handler(writer: Callable[..., object] | None = None) -> None:
    """Have messages of Channel Access given to a function besides being logged.

    Args:
        writer: Called with a text; None: nobody but the logger `beamfly.ca` gets them.

    Raises:
        ChannelAccessException: It cannot be called.
    """
    if writer is not None and not callable(writer):
        raise ChannelAccessException(f"{writer!r} is no function for messages")
    logger = logging.getLogger("beamfly.ca")
    for handler in tuple(logger.handlers):
        if isinstance(handler, _Messages):
            logger.removeHandler(handler)
    if writer is not None:
        logger.addHandler(_Messages(writer))


def disable_ca_messages() -> None:
    """Have messages logged and no more: `replace_printf_handler(None)`."""
    replace_printf_handler(None)


def enable_ca_messages(
    writer: Callable[..., object] | str | None = "stderr",
) -> None:
    """Have messages of Channel Access written.

    Args:
        writer: stderr, stdout, or a function that is called with each text.
    """
    if not isinstance(writer, str):
        replace_printf_handler(writer)
    elif writer in ("stderr", "stdout"):
        replace_printf_handler(getattr(sys, writer).write)
    else:
        raise ChannelAccessException(f"{writer!r} is neither stderr nor stdout")


def client_status(context: Any = None, level: int = 0) -> None:
    """Write to stderr how many channels there are; from level 1 on, each of them."""
    home = current_context()
    links = sorted(home.links.items())
    found = sum(link.connected for _, link in links)
    lines = [f"{home!r}: {found} of {len(links)} channels are connected"]
    if level > 0:
        lines += [f"  {name} {link.facts.host}".rstrip() for name, link in links]
    sys.stderr.write("\n".join(lines) + "\n")


def version() -> str:
    """Of the Channel Access protocol."""
    return "4.13"


def test_io() -> bool:
    """Whether all answers to `get(wait=False)` are there."""
    return all(waiter.done for waiter in tuple(current_context().asked.values()))


def find_lib(inp_lib_name: str = "ca") -> str:
    """Where what speaks Channel Access is; there is no libca and no libCom."""
    return beamfly.ca.__path__[0]


def find_libca() -> str:
    """The same as `find_lib`."""
    return find_lib("ca")


def find_libCom() -> str:  # noqa: N802
    """The same as `find_lib`."""
    return find_lib("Com")


def clear_cache() -> None:
    """Disconnect all PVs that `get_pv` made, and close channels that are left over."""
    for callback in tuple(_clearing):
        callback()
    context = running_context()
    if context is None or context.closed:
        return
    clear_all(context)


def register_clear_cache(callback: Callable[[], None] | None) -> None:
    """Have something called by `clear_cache`, once however often it is registered.

    Raises:
        ChannelAccessException: It cannot be called.
    """
    if callback is None or callback in _clearing:
        return
    if not callable(callback):
        raise ChannelAccessException(f"clear_cache cannot call {callback!r}")
    _clearing.append(callback)


class CAThread(threading.Thread):
    """A thread; every thread can use PVs."""
