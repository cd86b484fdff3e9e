"""`AD_PerkinElmer`: PerkinElmer's flat panel with areaDetector and a file plugin."""

# the names are those that scripts for PyEpics use
# ruff: noqa: N801, N802

import time

from beamfly.epics.devices.file_saver import FileSaver, happens

SINGLE, MULTIPLE = 0, 1
INTERNAL = 0
TRIGGERS = ("internal", "external", "free", "soft")
STREAM = 2
OPEN, CLOSED = 1, 0


class AD_PerkinElmer(FileSaver):
    """The panel, and the plugin that writes its files."""

    camattrs = (
        *("PEAcquireOffset", "PENumOffsetFrames", "ImageMode", "TriggerMode"),
        *("Acquire", "AcquireTime", "Model_RBV", "NumImages", "ShutterControl"),
        "ShutterMode",
    )
    pathattrs = (
        *("FilePath", "FileTemplate", "FileWriteMode", "FileName", "FileNumber"),
        *("FullFileName_RBV", "Capture", "Capture_RBV", "NumCapture"),
        *("WriteFile_RBV", "AutoSave", "EnableCallbacks", "ArraySize0_RBV"),
        *("FileTemplate_RBV", "FileName_RBV", "AutoIncrement"),
        *("FilePath_RBV", "FileNumber_RBV"),
    )
    shutter_seconds = 0.5
    """What the shutter needs to open or to close."""

    def __init__(self, prefix: str, filesaver: str = "netCDF1:") -> None:
        """Look for its settings.

        Args:
            prefix: What its PVs start with, before `cam1:`.
            filesaver: What those of its file plugin start with, after the prefix.
        """
        super().__init__(f"{prefix}cam1:", self.camattrs, mutable=False)
        self.filesaver = f"{prefix}{filesaver}"
        for attr in self.pathattrs:
            self.add_pv(f"{self.filesaver}{attr}", attr=self._file_attr(attr))

    def _file_attr(self, attr: str) -> str:
        return f"File_{attr}"

    def AcquireOffset(self, timeout: float = 10, open_shutter: bool = True) -> bool:
        """Measure the dark image, with the shutter closed; modes are put back.

        Args:
            timeout: Seconds to wait beyond the frames' exposure.
            open_shutter: Whether to open the shutter afterwards.

        Returns:
            Whether it was over in time.
        """
        kept = {attr: self.get(attr) for attr in ("ImageMode", "TriggerMode")}
        self.put("ShutterMode", 1)
        self.put("ShutterControl", CLOSED)
        try:
            self.put("ImageMode", SINGLE)
            self.put("TriggerMode", INTERNAL)
            time.sleep(self.shutter_seconds)
            exposure = self.get("PENumOffsetFrames") * self.get("AcquireTime")
            self.put("PEAcquireOffset", 1)
            busy = self.PV("PEAcquireOffset")
            return happens(lambda: busy.get(use_monitor=False) == 0, timeout + exposure)
        finally:
            for attr, value in kept.items():
                self.put(attr, value)
            if open_shutter:
                self.put("ShutterControl", OPEN)
            self.put("ShutterMode", 0)
            time.sleep(self.shutter_seconds)

    def SetExposureTime(self, t: float, open_shutter: bool = True) -> None:
        """Set the seconds of an exposure, and measure the dark image for it."""
        self.put("AcquireTime", t)
        self.AcquireOffset(open_shutter=open_shutter)

    def SetMultiFrames(self, n: int, trigger: str = "external") -> None:
        """Take a number of images and write all of them.

        Args:
            n: Images.
            trigger: internal, external, free or soft; what starts so.
        """
        mode = next(
            (at for at, name in enumerate(TRIGGERS) if trigger.lower()[:3] == name[:3]),
            INTERNAL,
        )
        self.put("ImageMode", MULTIPLE)
        self.put("TriggerMode", mode)
        self.put("NumImages", n)
        for attr, value in (
            ("NumCapture", n),
            ("EnableCallbacks", 1),
            ("FileNumber", 1),
            ("AutoIncrement", 1),
        ):
            self.filePut(attr, value, wait=True)

    def StartStreaming(self) -> None:
        """Write images as they come, and start to take them."""
        self.put("ShutterMode", 0)
        self.filePut("AutoSave", 1)
        self.filePut("FileWriteMode", STREAM)
        self.filePut("Capture", 1)
        happens(lambda: self.fileGet("Capture_RBV") == 1, 1.0)
        self.put("Acquire", 1)

    def FinishStreaming(self, timeout: float = 5.0) -> None:
        """Wait until all is written; it is stopped if that does not come.

        Args:
            timeout: Seconds to wait.
        """

        def over() -> bool:
            return self.fileGet("Capture_RBV") == 0

        if not happens(over, timeout):
            self.filePut("Capture", 0)
            happens(over, timeout)
