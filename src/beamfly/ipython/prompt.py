"""What makes IPython a good prompt for scans: magics, Tab key, await, plots.

All of it is left out where there is no IPython, as in scripts and in a queue server's
worker.
"""

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, cast

from bluesky import RunEngine, RunEngineInterrupted

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
    if not is_notebook():
        _tell_errors_in_a_line(shell, names["RE"])
    # `await x.locate()` then works at the prompt
    cast(Any, run_engine).autoawait_in_bluesky_event_loop()
    if draws() and not is_notebook():
        _enable_windows(shell)


def _tell_errors_in_a_line(shell: Any, RE: RunEngine) -> None:
    """Show what beamfly raises as its sentence, not as pages of traceback."""

    def tell(
        shell: Any, kind: type[Exception], error: Exception, tb: Any, tb_offset: Any = 0
    ) -> None:
        text = f"{kind.__name__}: {error}"
        if kind is RunEngineInterrupted:
            over = "Interrupted: the run was ended, and the RunEngine is ready."
            text = over if RE.state == "idle" else str(error).strip()
        # what %tb shows
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, tb
        sys.stdout.write(f"{text}\n")

    shell.set_custom_exc((BeamflyError, RunEngineInterrupted), tell)
    # bluesky logs with a traceback what the prompt is about to show
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


def _enable_windows(shell: Any) -> None:
    """Have matplotlib's windows live while the prompt waits."""
    try:
        shell.enable_matplotlib()
    except (ImportError, RuntimeError, AttributeError) as error:
        sys.stdout.write(f"No windows with plots: {error}\n")
