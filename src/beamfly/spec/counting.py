"""How a count time reaches a detector: by `prepare`, or by a signal that holds it.

A PandA exposes for it, a scaler record gets its TP, other detectors of ophyd-async what
their trigger logic does; what is no more than triggered may have a signal such as
`acquire_time`. What is only read, such as a ring current, has nothing to count.
"""

from collections.abc import Sequence
from typing import Any, cast

import bluesky.plan_stubs as bps
from bluesky.protocols import Preparable, Triggerable
from bluesky.utils import (
    MsgGenerator,
    short_uid,  # pyright: ignore[reportUnknownVariableType]
)
from ophyd_async.core import DetectorTrigger, StandardDetector, TriggerInfo

from beamfly.errors import BadValue
from beamfly.plans.flight import ask

TIME_SIGNALS = ("acquire_time", "exposure_time", "count_time", "preset_time")
"""Attributes that hold the count time of what is triggered and not prepared."""


def time_signal(detector: Any) -> Any:
    """The signal with the count time of a detector, None if there is none."""
    found = (getattr(detector, name, None) for name in TIME_SIGNALS)
    return next((signal for signal in found if hasattr(signal, "set")), None)


def check_counting(command: str, detectors: Sequence[Any]) -> MsgGenerator[None]:
    """BadValue names the detectors that cannot count for a given time."""
    unable: list[str] = []
    for detector in detectors:
        if not isinstance(detector, Triggerable):
            continue
        if isinstance(detector, StandardDetector):
            answer = yield from ask(cast(Any, detector).get_trigger_deadtime)
            logic = getattr(detector, "_trigger_logic", None)
            able = logic is not None and DetectorTrigger.INTERNAL in answer[0]
        else:
            able = isinstance(detector, Preparable) or bool(time_signal(detector))
        if not able:
            unable.append(str(cast(Any, detector).name))
    if unable:
        msg = (
            f"{command}: {', '.join(unable)} cannot be told how long to count; leave "
            "the time out or the detector; nothing was done"
        )
        raise BadValue(msg)


def set_time(detectors: Sequence[Any], seconds: float) -> MsgGenerator[None]:
    """Have all detectors count for so long; they are staged."""
    group = short_uid("count_time")
    for detector in detectors:
        if not isinstance(detector, Triggerable):
            continue
        if isinstance(detector, Preparable):
            info = TriggerInfo(livetime=seconds)
            yield from bps.prepare(cast(Any, detector), info, group=group)
        else:
            yield from bps.abs_set(time_signal(detector), seconds, group=group)
    yield from bps.wait(group=group)
