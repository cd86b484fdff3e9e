"""areaDetector: `AD_Camera`, `AD_FilePlugin`, `AD_ImagePlugin`, `AD_OverlayPlugin`."""

# the names are those that scripts for PyEpics use
# ruff: noqa: N801, N802

from typing import Any

from beamfly.epics.device import Device


def _with_readback(*names: str) -> tuple[str, ...]:
    """Each name, and its readback."""
    return tuple(name + end for name in names for end in ("", "_RBV"))


class Plugin(Device):
    """A part of an areaDetector; only the attributes in its list exist."""

    attrs: tuple[str, ...] = ()

    def __init__(self, prefix: str) -> None:
        """Look for the attributes.

        Args:
            prefix: What its PVs start with, such as `BL:image1:`.
        """
        super().__init__(prefix, self.attrs, mutable=False)

    def ensure_value(self, attr: str, value: Any, wait: bool = False) -> int | None:
        """Put a value unless the readback has it already.

        Args:
            attr: The attribute.
            value: What to put; compared with the readback as text.
            wait: Whether to wait for completion.
        """
        readback = f"{attr}_RBV"
        known = readback in self.attrs and self.get(readback, as_string=True)
        return None if known == str(value) else self.put(attr, value, wait=wait)


class AD_Camera(Plugin):
    """The detector itself."""

    attrs = (
        *_with_readback("AcquirePeriod", "AcquireTime", "ArrayCallbacks"),
        *_with_readback("ArrayCounter", "BinX", "BinY", "ColorMode", "DataType"),
        *_with_readback("Gain", "ImageMode", "MinX", "MinY", "NumImages"),
        *_with_readback("SizeX", "SizeY", "TriggerMode"),
        *("Acquire", "ArrayRate_RBV", "ArraySizeX_RBV", "ArraySizeY_RBV"),
        *("ArraySize_RBV", "DetectorState_RBV", "MaxSizeX_RBV", "MaxSizeY_RBV"),
        *("NumImagesCounter_RBV", "TimeRemaining_RBV", "TriggerSoftware"),
    )


class AD_ImagePlugin(Plugin):
    """The plugin with the pixels."""

    attrs = (
        "ArrayData",
        *_with_readback("UniqueId", "NDimensions", "ArraySize0", "ArraySize1"),
        *_with_readback("ArraySize2", "ColorMode"),
    )


class AD_OverlayPlugin(Plugin):
    """A shape drawn over images."""

    attrs = (
        *_with_readback("Name", "Use", "PositionX", "PositionY", "SizeX", "SizeY"),
        *_with_readback("Shape", "DrawMode", "Red", "Green", "Blue"),
        *("PositionXLink", "PositionYLink", "SizeXLink", "SizeYLink"),
    )


class AD_FilePlugin(Plugin):
    """A plugin that writes files."""

    attrs = (
        *_with_readback("AutoIncrement", "AutoSave", "Capture", "EnableCallbacks"),
        *_with_readback("FileName", "FileNumber", "FilePath", "FileTemplate"),
        *_with_readback("FileWriteMode", "NDArrayPort", "NumCapture", "ReadFile"),
        *_with_readback("WriteFile"),
        *("FilePathExists_RBV", "FullFileName_RBV", "NumCaptured_RBV"),
        *("WriteMessage", "WriteStatus"),
    )

    def setFileName(self, fname: str) -> int | None:
        """Set the name of files."""
        return self.put("FileName", fname)

    def nextFileNumber(self) -> None:
        """Count files up by one."""
        self.setFileNumber(1 + self.get("FileNumber"))

    def setFileNumber(self, fnum: int | None = None) -> int | None:
        """Set the number of the next file; None: have them count up by themselves."""
        self.put("AutoIncrement", int(fnum is None))
        return None if fnum is None else self.put("FileNumber", fnum)

    def setPath(self, pathname: str) -> int | None:
        """Set the folder."""
        return self.put("FilePath", pathname)

    def setTemplate(self, fmt: str) -> int | None:
        """Set how path, name and number become a file name."""
        return self.put("FileTemplate", fmt)

    def setWriteMode(self, mode: int | str) -> int | None:
        """Set whether images go into one file or several."""
        return self.put("FileWriteMode", mode)

    def setNumCapture(self, n: int) -> int | None:
        """Set the images of one capture."""
        return self.put("NumCapture", n)

    def CaptureOn(self) -> int | None:
        """Start to capture."""
        return self.put("Capture", 1)

    def CaptureOff(self) -> int | None:
        """Stop capturing."""
        return self.put("Capture", 0)

    def WriteComplete(self) -> bool:
        """Whether the file is written."""
        return self.get("WriteFile_RBV") == 0

    def getLastFileName(self) -> Any:
        """The whole name of the last file."""
        return self.get("FullFileName_RBV", as_string=True)

    def getTemplate(self) -> Any:
        """How path, name and number become a file name."""
        return self.get("FileTemplate_RBV", as_string=True)

    def getName(self) -> Any:
        """The name of files."""
        return self.get("FileName_RBV", as_string=True)

    def getNumber(self) -> Any:
        """The number of the next file."""
        return self.get("FileNumber_RBV")

    def getPath(self) -> Any:
        """The folder."""
        return self.get("FilePath_RBV", as_string=True)

    def getFileNameByIndex(self, index: int) -> str:
        """The whole name of the file of a number."""
        return self.getTemplate() % (self.getPath(), self.getName(), index)
