"""What detectors with a file plugin beside them have in common."""

# the names are those that scripts for PyEpics use
# ruff: noqa: N802

import posixpath
import time
from collections.abc import Callable
from typing import Any

from beamfly.epics.device import Device

STEP_SECONDS = 0.02


def happens(predicate: Callable[[], Any], seconds: float) -> bool:
    """Whether something comes true within so many seconds; it is tried at least once.

    Args:
        predicate: Looks.
        seconds: How long to look.
    """
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() >= end:
            return False
        time.sleep(STEP_SECONDS)
    return True


class FileSaver(Device):
    """A detector whose file plugin is at `filesaver`, behind the same prefix."""

    filesaver: str = ""
    """Such as `HDF1:`."""
    fileroot: str = ""
    """Folder in which all paths are, as the IOC sees it."""

    def _file_attr(self, attr: str) -> str:
        """The attribute that one of the plugin's is known by."""
        return f"{self.filesaver}{attr}"

    def filePut(self, attr: str, value: Any, **kw: Any) -> int | None:
        """Put to the file plugin; arguments are those of `put`."""
        return self.put(self._file_attr(attr), value, **kw)

    def fileGet(self, attr: str, **kw: Any) -> Any:
        """Get from the file plugin; arguments are those of `get`."""
        return self.get(self._file_attr(attr), **kw)

    def setFilePath(self, pathname: str) -> int | None:
        """Set the folder, below `fileroot` if there is one."""
        return self.filePut("FilePath", posixpath.join(self.fileroot, pathname))

    def setFileTemplate(self, fmt: str) -> int | None:
        """Set how path, name and number become a file name."""
        return self.filePut("FileTemplate", fmt)

    def setFileWriteMode(self, mode: int | str) -> int | None:
        """Set whether images go into one file (2: as they come) or several."""
        return self.filePut("FileWriteMode", mode)

    def setFileName(self, fname: str) -> int | None:
        """Set the name of files."""
        return self.filePut("FileName", fname)

    def setFileNumCapture(self, n: int) -> int | None:
        """Set the images of one capture."""
        return self.filePut("NumCapture", n)

    def setFileNumber(self, fnum: int | None = None) -> int | None:
        """Set the number of the next file; None: have them count up by themselves."""
        self.filePut("AutoIncrement", int(fnum is None))
        return None if fnum is None else self.filePut("FileNumber", fnum)

    def nextFileNumber(self) -> None:
        """Count files up by one."""
        self.setFileNumber(1 + self.fileGet("FileNumber"))

    def FileCaptureOn(self) -> int | None:
        """Start to capture."""
        return self.filePut("Capture", 1)

    def FileCaptureOff(self) -> int | None:
        """Stop capturing."""
        return self.filePut("Capture", 0)

    def FileWriteComplete(self) -> bool:
        """Whether the file is written."""
        return self.fileGet("WriteFile_RBV") == 0

    def getLastFileName(self) -> Any:
        """The whole name of the last file."""
        return self.fileGet("FullFileName_RBV", as_string=True)

    def getFileTemplate(self) -> Any:
        """How path, name and number become a file name."""
        return self.fileGet("FileTemplate_RBV", as_string=True)

    def getFileName(self) -> Any:
        """The name of files."""
        return self.fileGet("FileName_RBV", as_string=True)

    def getFileNumber(self) -> Any:
        """The number of the next file."""
        return self.fileGet("FileNumber_RBV")

    def getFilePath(self) -> Any:
        """The folder."""
        return self.fileGet("FilePath_RBV", as_string=True)

    def getFileNameByIndex(self, index: int) -> str:
        """The whole name of the file of a number."""
        return self.getFileTemplate() % (self.getFilePath(), self.getFileName(), index)
