"""A simulated camera with the PVs of an areaDetector: `SimulatedCamera`.

It sees the beam behind the sample: a spot that is as bright as the beam is, and moves
with the stage. A put of 1 to Acquire is complete when all images have been taken.
"""

from collections.abc import Callable
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from beamfly.ca import PV, Put
from beamfly.errors import BadValue
from beamfly.sim.ioc.area_pvs import (
    COLOR_MODES,
    IMAGE_MODES,
    NO_YES,
    STATES,
    AreaPvs,
    plugin_pvs,
    statistics_pvs,
)
from beamfly.sim.ioc.hdf_plugin import HdfPlugin

if TYPE_CHECKING:
    from beamfly.sim.stage import SampleStage

HEIGHT, WIDTH = 48, 64
"""Pixels."""
_PIXELS_PER_MM = 4.0
_SPOT = 6.0
"""Width of the spot in pixels, sigma."""
_BRIGHT = 2.0e4
"""Counts per second in the middle of the spot, in a full beam."""
_DARK = 20.0
"""Counts that are in every pixel of every image, on average."""
_EPOCH = 631152000.0
"""1990, from where EPICS counts seconds, in seconds since 1970."""
_PORT = "CAM1"
_LEAST_PERIOD = 1e-3
_AT_ONCE = 20
"""Images that are made in one go by a camera that is late."""


class Mode(IntEnum):
    """ImageMode."""

    SINGLE = 0
    MULTIPLE = 1
    CONTINUOUS = 2


class SimulatedCamera:
    """Driver, statistics, HDF5 file writer and the last image.

    Args:
        stage: What it looks at.
        wall_clock: Seconds since 1970, for time stamps of images.
        seed: Of the noise.
    """

    def __init__(
        self,
        stage: "SampleStage",
        wall_clock: Callable[[], float],
        seed: int = 1,
    ) -> None:
        self.wake: Callable[[], object] = lambda: None
        self._stage = stage
        self._wall_clock = wall_clock
        self._noise = np.random.default_rng(seed)
        self._waiting: list[Put] = []
        self._begun = 0.0
        self._taken = 0
        self.driver = _driver_pvs(self._acquire)
        self.statistics = statistics_pvs("Stats1:", _PORT)
        self.hdf = HdfPlugin(_PORT, (HEIGHT, WIDTH), np.uint16)
        self._image = _image_pvs()
        parts = (self.driver, self.statistics, self.hdf.area, self._image)
        for part in parts:
            part.post(ArraySizeX=WIDTH, ArraySizeY=HEIGHT)
            part.post(ArraySize0=WIDTH, ArraySize1=HEIGHT)
        self.pvs = {f":{name}": pv for part in parts for name, pv in part.pvs.items()}
        self.summary = f"camera of {WIDTH} x {HEIGHT} pixels: cam1:, Stats1:, HDF1:"

    def next_wakeup(self) -> float:
        """When the next image is complete."""
        if not self.driver["Acquire"]:
            return inf
        return self._begun + self._taken * self._period + self.driver["AcquireTime"]

    def advance(self, now: float) -> None:
        """Take the images that are due, but leave time for clients."""
        for _ in range(_AT_ONCE):
            if (due := self.next_wakeup()) > now:
                return
            self._take(due)

    def close(self) -> None:
        """Close the file, if one is open."""
        self.hdf.close()

    @property
    def _period(self) -> float:
        """Seconds from one image to the next."""
        driver = self.driver
        return max(driver["AcquirePeriod"], driver["AcquireTime"], _LEAST_PERIOD)

    @property
    def _wanted(self) -> float:
        """How many images to take."""
        mode = self.driver["ImageMode"]
        if mode == Mode.CONTINUOUS:
            return inf
        return 1 if mode == Mode.SINGLE else max(1, self.driver["NumImages"])

    def _acquire(self, put: Put) -> None:
        """Acquire."""
        if not put.value:
            put.accept()
            self._end()
            return
        put.hold()
        self._waiting.append(put)
        if self.driver["Acquire"]:
            return
        self._begun, self._taken = self._stage.now(), 0
        put.accept()
        self.driver.post(Acquire=1, DetectorState="Acquire", NumImagesCounter=0)
        self.wake()

    def _end(self) -> None:
        """No more images."""
        self.driver.post(DetectorState="Idle", Acquire=0)
        waiting, self._waiting = self._waiting, []
        for put in waiting:
            put.finish()

    def _take(self, due: float) -> None:
        """An image that is complete at a time."""
        exposure = self.driver["AcquireTime"]
        image = self.image(due - exposure / 2, exposure)
        self._taken += 1
        count = self.driver["ArrayCounter"] + 1
        stamp = self._wall_clock() - _EPOCH - (self._stage.now() - due)
        self.hdf.take(image, count, stamp)
        self._show(image, count)
        self.driver.post(
            UniqueId=count, ArrayCounter=count, NumImagesCounter=self._taken
        )
        if self._taken >= self._wanted:
            self._end()

    def image(self, when: float, exposure: float) -> npt.NDArray[np.uint16]:
        """What it sees.

        Args:
            when: The middle of the exposure, on the clock of the stage.
            exposure: In seconds.

        Returns:
            Counts, of shape (height, width).
        """
        x, y = (axis.position(when) for axis in self._stage.axes.values())
        share = float(self._stage.beam.share(np.array([when]))[0])
        across = np.arange(WIDTH) - (WIDTH / 2 + x * _PIXELS_PER_MM)
        down = np.arange(HEIGHT) - (HEIGHT / 2 + y * _PIXELS_PER_MM)
        spot = np.exp(-(across**2 + down[:, np.newaxis] ** 2) / (2 * _SPOT**2))
        mean = _BRIGHT * share * exposure * spot + _DARK
        return np.minimum(self._noise.poisson(mean), 65535).astype(np.uint16)

    def _show(self, image: npt.NDArray[np.uint16], number: int) -> None:
        """Statistics and the image itself."""
        if self._image["EnableCallbacks"]:
            self._image.pvs["image1:ArrayData"].post(image.ravel())
            self._image.post(UniqueId=number, ArrayCounter=number)
        if self.statistics["EnableCallbacks"]:
            self.statistics.post(**_statistics(image), UniqueId=number)


def _statistics(image: npt.NDArray[np.uint16]) -> dict[str, float]:
    """What the statistics plugin shows of an image."""
    light = np.maximum(image.astype(float) - 2 * _DARK, 0.0)
    total = float(light.sum()) or 1.0
    return {
        "Total": float(image.sum()),
        "MinValue": float(image.min()),
        "MaxValue": float(image.max()),
        "MeanValue": float(image.mean()),
        "Sigma": float(image.std()),
        "CentroidX": float(light.sum(0) @ np.arange(WIDTH)) / total,
        "CentroidY": float(light.sum(1) @ np.arange(HEIGHT)) / total,
    }


def _image_pvs() -> AreaPvs:
    """The last image, for clients that show it."""
    area = plugin_pvs("image1:", "IMAGE1", _PORT)
    blank = np.zeros(HEIGHT * WIDTH, np.int32)
    area.only("ArrayData", PV(blank, writable=False))
    return area


def _driver_pvs(acquire: Callable[[Put], None]) -> AreaPvs:
    """PVs of the driver."""
    area = AreaPvs("cam1:", _PORT)
    seconds: dict[str, Any] = {"units": "s", "precision": 3}
    area.pair("AcquireTime", 0.05, _positive, **seconds)
    area.pair("AcquirePeriod", 0.06, _not_negative, **seconds)
    area.pair("NumImages", 1, _not_negative)
    area.shown("NumImagesCounter", 0)
    area.pair("ImageMode", int(Mode.MULTIPLE), states=IMAGE_MODES)
    area.pair("ColorMode", 0, states=COLOR_MODES)
    area.shown("DetectorState", 0, states=STATES)
    area.pair("Acquire", 0, acquire, states=("Done", "Acquire"))
    area.pair("ArrayCallbacks", 1, states=("Disable", "Enable"))
    area.only("WaitForPlugins", PV(0, states=NO_YES))
    for name, text in (
        ("Manufacturer", "beamfly"),
        ("Model", "simulated camera"),
        ("SerialNumber", "1"),
        ("SDKVersion", "1.0"),
        ("FirmwareVersion", "1.0"),
    ):
        area.shown(name, text)
    for name, size in (("X", WIDTH), ("Y", HEIGHT)):
        area.shown(f"MaxSize{name}", size)
        area.shown(f"Size{name}", size)
    return area


def _positive(put: Put) -> None:
    if not 0 < put.value < inf:
        msg = f"{put.name} has to be positive, not {put.value}; it was not changed"
        raise BadValue(msg)


def _not_negative(put: Put) -> None:
    if not 0 <= put.value < inf:
        msg = f"{put.name} cannot be {put.value}; it was not changed"
        raise BadValue(msg)
