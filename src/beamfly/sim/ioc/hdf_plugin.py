"""The HDF5 file plugin of the simulated camera: it really writes files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.ca import PV, Put
from beamfly.errors import BadValue, BeamflyError
from beamfly.hdf.images import ImageWriter
from beamfly.sim.ioc.area_pvs import COMPRESSIONS, NO_YES, WRITE_MODES, plugin_pvs

DATASET = "/entry/data/data"
_ATTRIBUTES = "/entry/instrument/NDAttributes/"
_NUMBERS: dict[str, npt.DTypeLike] = {
    f"{_ATTRIBUTES}NDArrayUniqueId": np.int32,
    f"{_ATTRIBUTES}NDArrayTimeStamp": np.float64,
}
_STATUS = ("Write OK", "Write error")


class HdfPlugin:
    """Writes images to files while Capture is 1; a put of 1 waits for the end of that.

    Args:
        source: Port that images come from.
        shape: Height and width of an image.
        dtype: Of a pixel.
    """

    def __init__(
        self, source: str, shape: tuple[int, int], dtype: npt.DTypeLike
    ) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._file: ImageWriter | None = None
        self._waiting: list[Put] = []
        area = self.area = plugin_pvs("HDF1:", "FileHDF1", source)
        area.text("FilePath", on_put=self._set_path)
        area.text("FileName")
        area.text("FileTemplate", "%s%s_%3.3d.h5", on_put=self._check_template)
        area.shown("FilePathExists", 0, states=NO_YES)
        area.only("FullFileName_RBV", PV("", type="char", length=256, writable=False))
        area.pair("FileNumber", 0)
        area.pair("AutoIncrement", 1, states=NO_YES)
        area.pair("FileWriteMode", 2, states=WRITE_MODES)
        area.pair("NumCapture", 0)
        area.shown("NumCaptured", 0)
        area.pair("Capture", 0, self._capture, states=("Done", "Capture"))
        area.pair("CreateDirectory", 0)
        area.pair("PositionMode", 0, states=("Off", "On"))
        area.pair("Compression", 0, self._compress, states=COMPRESSIONS)
        area.pair("NumExtraDims", 0)
        area.pair("SWMRMode", 1, states=("Off", "On"))
        area.pair("FlushNow", 0, states=("Done", "Flush"), on_put=_button)
        area.text("XMLFileName")
        area.pair("NumFramesChunks", 1)
        area.pair("ChunkSizeAuto", 1, states=NO_YES)
        area.pair("LazyOpen", 1, states=NO_YES)
        area.shown("WriteStatus", 0, states=_STATUS)
        area.only("WriteMessage_RBV", PV("", type="char", length=256, writable=False))

    @property
    def capturing(self) -> bool:
        """Whether images that come are written."""
        return bool(self.area["Capture"])

    def take(self, image: npt.NDArray[Any], number: int, seconds: float) -> None:
        """An image has come.

        Args:
            image: Shape (height, width).
            number: Its unique id.
            seconds: When it was taken, since 1990 as EPICS counts.
        """
        if not self.area["EnableCallbacks"]:
            return
        self.area.post(UniqueId=number, ArrayCounter=self.area["ArrayCounter"] + 1)
        if not self.capturing:
            return
        try:
            file = self._file or self._open()
            numbers = dict(zip(_NUMBERS, (number, seconds), strict=True))
            file.append(image, numbers)
        except BeamflyError as error:
            self._failed(error)
            return
        self.area.post(NumCaptured=file.frames)
        if 0 < self.area["NumCapture"] <= file.frames:
            self._end()

    def close(self) -> None:
        """Close the file, if one is open."""
        if self.capturing:
            self._end()

    # ---- puts

    def _set_path(self, put: Put) -> None:
        """FilePath: with a slash at its end; made if CreateDirectory says so."""
        text = _text(put.value)
        if text and not text.endswith("/"):
            text += "/"
        put.value = text
        depth = -self.area["CreateDirectory"]
        path = Path(text or "/nowhere/")
        missing = sum(not each.exists() for each in (path, *path.parents))
        if text and 0 < missing <= depth:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self._say(f"{text} cannot be made: {error.strerror}")
        self.area.post(FilePathExists=int(bool(text) and path.is_dir()))

    def _check_template(self, put: Put) -> None:
        """FileTemplate takes path, name and, if it wants one, number."""
        text = _text(put.value)
        try:
            _file_name(text, "/", "name", 1)
        except (TypeError, ValueError) as error:
            msg = f"{put.name} cannot be {text!r}: {error}; it was not changed"
            raise BadValue(msg) from None

    def _compress(self, put: Put) -> None:
        """Small images are not compressed, and the file says what is in it."""
        if put.value:
            msg = f"{put.name} can only be None here; it was not changed"
            raise BadValue(msg)

    def _capture(self, put: Put) -> None:
        """Capture: 1 begins, and the put waits for the end; 0 ends."""
        if not put.value:
            put.accept()
            self._end()
            return
        put.hold()
        self._waiting.append(put)
        if self.capturing:
            return
        put.accept()
        self.area.post(Capture=1, NumCaptured=0, WriteStatus=0)
        self._say("")
        if not self.area["LazyOpen"]:
            try:
                self._open()
            except BeamflyError as error:
                self._failed(error)

    # ---- files

    def _open(self) -> ImageWriter:
        area = self.area
        name = _file_name(
            area["FileTemplate"],
            area["FilePath"],
            area["FileName"],
            area["FileNumber"],
        )
        # areaDetector replaces files of the same name, too
        self._file = ImageWriter(
            name, DATASET, self._shape, self._dtype, _NUMBERS, overwrite=True
        )
        area.post(FullFileName=name)
        if area["AutoIncrement"]:
            area.post(FileNumber=area["FileNumber"] + 1)
        return self._file

    def _end(self) -> None:
        """No more images are written."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except BeamflyError as error:
            self._say(str(error))
        self.area.post(Capture=0)
        waiting, self._waiting = self._waiting, []
        for put in waiting:
            put.finish()

    def _failed(self, error: BeamflyError) -> None:
        self.area.post(WriteStatus=1)
        self._say(str(error))
        self._end()

    def _say(self, text: str) -> None:
        self.area.post(WriteMessage=text)


def _text(value: Any) -> str:
    """What a client has put as characters or as a string."""
    if isinstance(value, str):
        return value
    return bytes(value).partition(b"\0")[0].decode(errors="replace")


def _button(put: Put) -> None:
    """It is done at once: every image is flushed as it comes."""
    put.value = 0


def _file_name(template: str, path: str, name: str, number: int) -> str:
    """What a template of areaDetector makes of path, name and number."""
    # the number may be left out at the end, which C allows
    wanted = template.replace("%%", "").count("%")
    return template % (path, name, number)[:wanted]
