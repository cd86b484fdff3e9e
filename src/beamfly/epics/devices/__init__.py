"""Devices for records and areaDetector plugins, under PyEpics' names.

Its module names lead here too: `from beamfly.epics.devices.ad_image import ...`.
"""

import sys

from beamfly.epics.devices import area_detector, records
from beamfly.epics.devices.ad_mca import ADMCA, ADMCAROI
from beamfly.epics.devices.ad_perkinelmer import AD_PerkinElmer
from beamfly.epics.devices.area_detector import (
    AD_Camera,
    AD_FilePlugin,
    AD_ImagePlugin,
    AD_OverlayPlugin,
)
from beamfly.epics.devices.mca import DXP, MCA, ROI, MultiXMAP
from beamfly.epics.devices.records import ai, ao, bi, bo
from beamfly.epics.devices.scaler import Scaler
from beamfly.epics.devices.scan import Scan
from beamfly.epics.devices.srs570 import SRS570
from beamfly.epics.devices.struck import Struck
from beamfly.epics.devices.transform import Transform
from beamfly.epics.devices.xspress3 import Xspress3, Xspress310

Mca = MCA
ad_base = ad_fileplugin = ad_image = ad_overlay = area_detector
_PLACES = {
    **dict.fromkeys(("ad_base", "ad_fileplugin"), area_detector),
    **dict.fromkeys(("ad_image", "ad_overlay"), area_detector),
    **dict.fromkeys(("ai", "ao", "bi", "bo"), records),
}
sys.modules.update({f"{__name__}.{name}": room for name, room in _PLACES.items()})

__all__ = [
    "ADMCA",
    "ADMCAROI",
    "DXP",
    "MCA",
    "ROI",
    "SRS570",
    "AD_Camera",
    "AD_FilePlugin",
    "AD_ImagePlugin",
    "AD_OverlayPlugin",
    "AD_PerkinElmer",
    "Mca",
    "MultiXMAP",
    "Scaler",
    "Scan",
    "Struck",
    "Transform",
    "Xspress3",
    "Xspress310",
    "ai",
    "ao",
    "bi",
    "bo",
]
