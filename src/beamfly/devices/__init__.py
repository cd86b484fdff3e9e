"""Devices for Bluesky: PandAs, EPICS records, scan servers, as ophyd-async has them.

Start with `HDFPanda`. Importing this package connects to nothing.
"""

from beamfly.devices.detector import PandaTriggerInfo
from beamfly.devices.panda import HDFPanda, Panda

__all__ = ["HDFPanda", "Panda", "PandaTriggerInfo"]
