"""PVs of an areaDetector driver and its plugins, with their `_RBV` readbacks."""

from collections.abc import Callable
from typing import Any

from beamfly.ca import PV, Put

DATA_TYPES = (
    *("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"),
    *("Float32", "Float64"),
)
COLOR_MODES = (
    *("Mono", "Bayer", "RGB1", "RGB2", "RGB3", "YUV444", "YUV422", "YUV421"),
)
STATES = (
    *("Idle", "Acquire", "Readout", "Correct", "Saving", "Aborting", "Error"),
    *("Waiting", "Initializing", "Disconnected", "Aborted"),
)
COMPRESSIONS = ("None", "N-bit", "szip", "zlib", "Blosc", "BSLZ4", "LZ4", "JPEG")
IMAGE_MODES = ("Single", "Multiple", "Continuous")
WRITE_MODES = ("Single", "Capture", "Stream")
NO_YES = ("No", "Yes")
DISABLE_ENABLE = ("Disable", "Enable")
_LONGEST_TEXT = 256
_VERSION = "3.14.0"

Hook = Callable[[Put], None]


class AreaPvs:
    """PVs of one driver or plugin.

    Args:
        prefix: What their names begin with, after that of the camera.
        port: Name of its asyn port.
    """

    def __init__(self, prefix: str, port: str) -> None:
        self.prefix = prefix
        self.pvs: dict[str, PV] = {}
        self.shown("PortName", port)
        for name in ("UniqueId", "ArraySizeX", "ArraySizeY", "ArraySizeZ"):
            self.shown(name, 0)
        for axis in range(3):
            self.pair(f"ArraySize{axis}", 0)
        self.text("NDAttributesFile")
        self.shown("ColorMode", 0, states=COLOR_MODES)
        self.shown("DataType", DATA_TYPES.index("UInt16"), states=DATA_TYPES)
        self.pair("ArrayCounter", 0)
        self.shown("ADCoreVersion", _VERSION)
        self.shown("DriverVersion", _VERSION)

    def __getitem__(self, name: str) -> Any:
        """The value of a PV; a text for one that holds text."""
        pv = self._pv(name)
        return str(pv) if pv.text else pv.value

    def post(self, **values: Any) -> None:
        """Give PVs values, and their readbacks the same."""
        for name, value in values.items():
            for each in (name, f"{name}_RBV"):
                pv = self.pvs.get(f"{self.prefix}{each}")
                if pv is not None:
                    pv.post(value)

    def only(self, name: str, pv: PV) -> None:
        """A PV that has no readback of its own."""
        self.pvs[f"{self.prefix}{name}"] = pv

    def shown(self, name: str, first: Any, **options: Any) -> None:
        """A readback, which has no setting."""
        self.only(f"{name}_RBV", PV(first, writable=False, **options))

    def pair(
        self, name: str, first: Any, on_put: Hook | None = None, **options: Any
    ) -> None:
        """A setting and its readback."""
        readback = PV(first, writable=False, **options)

        def put(request: Put) -> None:
            if on_put is not None:
                on_put(request)
            request.accept()
            readback.post(request.pv.value)

        self.only(name, PV(first, on_put=put, **options))
        self.only(f"{name}_RBV", readback)

    def text(self, name: str, first: str = "", on_put: Hook | None = None) -> None:
        """A text of up to 255 bytes, and its readback."""
        self.pair(name, first, on_put, type="char", length=_LONGEST_TEXT)

    def _pv(self, name: str) -> PV:
        found = self.pvs.get(f"{self.prefix}{name}")
        return self.pvs[f"{self.prefix}{name}_RBV"] if found is None else found


def plugin_pvs(prefix: str, port: str, source: str) -> AreaPvs:
    """PVs of a plugin that takes images from a port."""
    pvs = AreaPvs(prefix, port)
    pvs.pair("NDArrayPort", source)
    pvs.pair("EnableCallbacks", 1, states=DISABLE_ENABLE)
    pvs.pair("NDArrayAddress", 0)
    pvs.pair("QueueSize", 20)
    pvs.shown("DroppedArrays", 0)
    return pvs


def statistics_pvs(prefix: str, source: str) -> AreaPvs:
    """PVs of the statistics plugin."""
    pvs = plugin_pvs(prefix, "STATS1", source)
    for name in ("Statistics", "Centroid", "Profiles", "Histogram"):
        computed = int(name in ("Statistics", "Centroid"))
        pvs.pair(f"Compute{name}", computed, states=NO_YES)
    for name in ("BgdWidth", "CursorX", "CursorY", "HistSize"):
        pvs.pair(name, 1)
    for name, first in (("CentroidThreshold", 20.0), ("HistMin", 0.0)):
        pvs.pair(name, first, precision=2)
    pvs.pair("HistMax", 65535.0, precision=2)
    for name in ("ProfileSizeX", "ProfileSizeY"):
        pvs.shown(name, 0)
    for name in ("Total", "MinValue", "MaxValue", "MeanValue", "Sigma"):
        pvs.shown(name, 0.0, precision=2)
    for name in ("CentroidX", "CentroidY"):
        pvs.shown(name, 0.0, precision=2)
    return pvs
