"""Multi-channel analyzers, where `epics.devices.mca` has them."""

from beamfly.epics.devices.mca_record import DXP, MAX_ROIS, MCA, ROI
from beamfly.epics.devices.xmap import MultiXMAP

__all__ = ["DXP", "MAX_ROIS", "MCA", "ROI", "MultiXMAP"]
