"""Devices for records and areaDetector plugins, under PyEpics' names."""

from beamfly.epics.devices.area_detector import (
    AD_Camera,
    AD_FilePlugin,
    AD_ImagePlugin,
    AD_OverlayPlugin,
)
from beamfly.epics.devices.mca import DXP, MCA, ROI
from beamfly.epics.devices.records import ai, ao, bi, bo
from beamfly.epics.devices.scaler import Scaler
from beamfly.epics.devices.srs570 import SRS570
from beamfly.epics.devices.struck import Struck
from beamfly.epics.devices.transform import Transform

Mca = MCA

__all__ = [
    "DXP",
    "MCA",
    "ROI",
    "SRS570",
    "AD_Camera",
    "AD_FilePlugin",
    "AD_ImagePlugin",
    "AD_OverlayPlugin",
    "Mca",
    "Scaler",
    "Struck",
    "Transform",
    "ai",
    "ao",
    "bi",
    "bo",
]
