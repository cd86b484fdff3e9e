"""What makes IPython a good prompt for scans: magics, Tab key, await, plots.

All of it is left out where there is no IPython, as in scripts and in a queue server's
worker.
"""

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, cast

from bluesky import RunEngine, RunEngineInterrupted
from bluesky.utils import FailedStatus

from beamfly.errors import BeamflyError
from beamfly.live.notebook import is_notebook


def current_shell() -> Any:
    """The IPython that this process is, None if it is none."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    # a queue server's worker has something that only looks like one
    return shell if shell is not None and hasattr(shell, "register_magics") else None


def draws() -> bool:
    """Whether plots can be seen: in a notebook, or at a prompt with a display."""
    if current_shell() is None:
        return False
    if is_notebook():
        return True
    if os.environ.get("MPLBACKEND", "").lower() in ("agg", "pdf", "svg", "template"):
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def prepare_plots() -> bool:
    """Have plots where they can be seen; returns whether they can.

    At a prompt they are in windows of Qt: only those can be drawn during a scan.
    """
    if not draws():
        return False
    if is_notebook():
        return True
    try:
        # choosing a backend does not find out whether it is there
        import_module("matplotlib.backends.qt_compat")
    except ImportError:
        sys.stdout.write("There are no plots, as there is no Qt: pip install PyQt6\n")
        return False
    current_shell().enable_matplotlib("qt")
    return True


def set_up_prompt(names: Mapping[str, Any], detectors: Iterable[Any] = ()) -> None:
    """Prepare the IPython of this process for these names, if it is one.

    Args:
        names: Of a session; `RE` among them, or only further devices.
        detectors: What `%ct`, `%ascan` and the like count with.
    """
    shell = current_shell()
    if shell is None:
        return
    shell.push(dict(names), interactive=False)
    if "RE" not in names:
        return
    from bluesky import run_engine

    from beamfly.ipython.magics import install_magics

    install_magics(names["RE"], shell, detectors)
    _let_tab_look_up_devices(shell)
    _log_no_failed_plans()
    if not is_notebook():
        _tell_errors_in_a_line(shell, names["RE"])
    # `await x.locate()` then works at the prompt
    cast(Any, run_engine).autoawait_in_bluesky_event_loop()


def _tell_errors_in_a_line(shell: Any, RE: RunEngine) -> None:
    """Show what beamfly raises as its sentence, not as pages of traceback."""

    def tell(
        shell: Any, kind: type[Exception], error: Exception, tb: Any, tb_offset: Any = 0
    ) -> None:
        if isinstance(error, FailedStatus):
            # what a device said, which bluesky wraps
            if not isinstance(error.__cause__, BeamflyError):
                shell.showtraceback((kind, error, tb), tb_offset)
                return
            kind, error = type(error.__cause__), error.__cause__
        text = f"{kind.__name__}: {error}"
        if kind is RunEngineInterrupted:
            over = "Interrupted: the run was ended, and the RunEngine is ready."
            text = over if RE.state == "idle" else str(error).strip()
        # what %tb shows
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, tb
        sys.stdout.write(f"{text}\n")

    told = (BeamflyError, RunEngineInterrupted, FailedStatus)
    shell.set_custom_exc(told, tell)


def _log_no_failed_plans() -> None:
    """Keep bluesky from logging, with a traceback, what it raises at the prompt."""
    log = logging.getLogger("bluesky")
    if not any(isinstance(each, _NotRaisedAnyway) for each in log.filters):
        log.addFilter(_NotRaisedAnyway())


class _NotRaisedAnyway(logging.Filter):
    """Lets pass what is not raised at the prompt as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "Run aborted"


def _let_tab_look_up_devices(shell: Any) -> None:
    """Have Tab complete `panda.seq[1].re`, by looking at what is there."""
    # jedi reads source code, in which there are no fields of a PandA
    shell.Completer.use_jedi = False
    from IPython.core.guarded_eval import EVALUATION_POLICIES

    limited: Any = EVALUATION_POLICIES["limited"]
    limited.allowed_getitem_external.add(("ophyd_async", "core", "DeviceVector"))
    ours = ("beamfly", "ipython", "devices", "Devices")
    limited.allowed_getattr_external.add(ours)
    limited.allowed_getitem_external.add(ours)
