"""`Xspress3`, `Xspress310`: Quantum Detectors' Xspress3, with its file plugin."""

# the names are those that scripts for PyEpics use
# ruff: noqa: N802

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beamfly.epics.devices.ad_mca import ADMCA
from beamfly.epics.devices.file_saver import FileSaver
from beamfly.epics.devices.mca_record import MCA
from beamfly.epics.devices.roi_files import (
    calibration_lines,
    read_regions,
    region_lines,
)

MAX_ROIS = 32
FILE_ATTRS = (
    *("FilePath", "FileTemplate", "FileName", "FileNumber", "Capture", "NumCapture"),
)
FILE_ROOT = "/home/xspress3/cars5/Data"
INTERNAL_TRIGGER, EXTERNAL_TRIGGER = 1, 3
SCAS = 8
WHOLE_SPECTRUM = (50, 4050)
FIXED_SCALE = (0.0, 0.01, 0.0)
ADFileMixin = FileSaver


class Xspress3BaseMixin(FileSaver):
    """What both generations have."""

    mcas: Any
    """Its channels."""
    nmca: int
    """Number of channels."""
    pathattrs = FILE_ATTRS

    def useExternalTrigger(self) -> None:
        """Count while a TTL input is high."""
        self.setTriggerMode(EXTERNAL_TRIGGER)

    def useInternalTrigger(self) -> None:
        """Count by its own clock."""
        self.setTriggerMode(INTERNAL_TRIGGER)

    def setTriggerMode(self, mode: int | str) -> None:
        """Set what it counts with."""
        self.put("TriggerMode", mode)

    def start(self, capture: bool = True) -> None:
        """Start to acquire.

        Args:
            capture: Whether to have the file plugin capture before.
        """
        if capture:
            self.FileCaptureOn()
        self.put("Acquire", 1)

    def stop(self) -> None:
        """Stop acquiring and capturing."""
        self.put("Acquire", 0)
        self.FileCaptureOff()

    def get_rois(self) -> list[Any]:
        """Regions of interest of each channel."""
        return [mca.get_rois() for mca in self.mcas]

    def _info(self, rows: Iterable[tuple[str, list[tuple[int, int]]]]) -> list[str]:
        """Lines of a file with regions; the energy scale is fixed."""
        scale = calibration_lines([FIXED_SCALE] * self.nmca, ".3f")
        return [*region_lines(rows), *scale, "[dxp]"]


class Xspress3(Xspress3BaseMixin):
    """The present one: regions are those of ROIStat plugins."""

    det_attrs = (
        *("NumImages", "NumImages_RBV", "Acquire", "Acquire_RBV", "ArrayCounter_RBV"),
        *("ERASE", "UPDATE", "AcquireTime", "TriggerMode", "StatusMessage_RBV"),
        "DetectorState_RBV",
    )

    def __init__(
        self,
        prefix: str,
        nmca: int = 4,
        filesaver: str = "HDF1:",
        fileroot: str = FILE_ROOT,
    ) -> None:
        """Look for settings, channels and their regions.

        Args:
            prefix: What its PVs start with, with or without the colon.
            nmca: Number of channels.
            filesaver: What those of its file plugin start with, after the prefix.
            fileroot: Folder in which all paths are, as the IOC sees it.
        """
        prefix = prefix if prefix.endswith(":") else f"{prefix}:"
        self.nmca = nmca
        self.filesaver = filesaver
        self.fileroot = fileroot
        channels = range(1, nmca + 1)
        self.mcas = [
            ADMCA(
                f"{prefix}det1:",
                data_pv=f"{prefix}MCA{channel}:ArrayData",
                roi_prefix=f"{prefix}MCA{channel}ROI",
            )
            for channel in channels
        ]
        super().__init__(prefix, [f"{filesaver}{attr}" for attr in FILE_ATTRS])
        for attr in self.det_attrs:
            self.add_pv(f"{prefix}det1:{attr}", attr)
        for channel in channels:
            self._add_channel(prefix, channel)

    def _add_channel(self, prefix: str, channel: int) -> None:
        """Scalers and time series of a channel."""
        for sca in range(1, SCAS + 1):
            name = f"C{channel}SCA{sca}"
            self.add_pv(f"{prefix}{name}:Value_RBV", name)
        for attr in ("TSNumPoints", "TSControl"):
            self.add_pv(f"{prefix}MCA{channel}ROI:{attr}", f"MCA{channel}{attr}")
            self.add_pv(f"{prefix}C{channel}SCA:{attr}", f"SCA{channel}{attr}")

    def _put_series(self, attr: str, value: int) -> None:
        for channel in range(1, self.nmca + 1):
            for kind in ("MCA", "SCA"):
                self.put(f"{kind}{channel}{attr}", value)

    def TimeSeriesCaptureOn(self, npts: int | None = None) -> None:
        """Erase and start time series.

        Args:
            npts: Points, None: as they are set.
        """
        if npts is not None:
            self._put_series("TSNumPoints", npts)
        self._put_series("TSControl", 0)

    def TimeSeriesCaptureOff(self) -> None:
        """Stop time series."""
        self._put_series("TSControl", 2)

    def roi_calib_info(self) -> list[str]:
        """Lines of a file with the first channel's regions, for all channels."""
        rows = [roi.read() for roi in self.mcas[0].get_rois()]
        return self._info(
            (name, [(first, first + size)] * self.nmca) for name, first, size in rows
        )

    def restore_rois(self, roifile: str | Path) -> None:
        """Have the regions of a file on all channels."""
        rois = read_regions(roifile)
        for mca in self.mcas:
            mca.set_rois(rois)


class Xspress310(Xspress3BaseMixin):
    """The older one: regions are those of mca records."""

    attrs = Xspress3.det_attrs

    def __init__(
        self,
        prefix: str,
        nmca: int = 4,
        filesaver: str = "HDF5:",
        fileroot: str = FILE_ROOT,
    ) -> None:
        """Look for settings; arguments are those of `Xspress3`.

        Args:
            prefix: What its PVs start with.
            nmca: Number of channels.
            filesaver: What those of its file plugin start with, after the prefix.
            fileroot: Folder in which all paths are, as the IOC sees it.
        """
        self.nmca = nmca
        self.filesaver = filesaver
        self.fileroot = fileroot
        self.mcas = [MCA(prefix, mca=channel) for channel in range(1, nmca + 1)]
        self._save_rois: list[str] = []
        files = [f"{filesaver}{attr}" for attr in FILE_ATTRS]
        super().__init__(prefix, [*self.attrs, *files])

    def select_rois_to_save(self, roilist: Iterable[str | tuple[int, int]]) -> None:
        """Have counts of regions saved with the data, of all channels.

        Args:
            roilist: Names of regions of the first channel, or first and last channel
                of each; what is not known becomes the whole spectrum, which is added
                if there are fewer than four.
        """
        wanted = list(roilist)
        if len(wanted) < 4:
            wanted.append(WHOLE_SPECTRUM)
        known = {
            roi.NM.strip().lower(): (roi.LO, roi.HI) for roi in self.mcas[0].get_rois()
        }
        self._save_rois = []
        for number, roi in enumerate(wanted, start=1):
            if isinstance(roi, str):
                label = roi
                low, high = known.get(roi.strip().lower(), WHOLE_SPECTRUM)
            else:
                low, high = roi
                label = f"[{low}:{high}]"
            self._save_rois.append(label)
            for channel in range(1, self.nmca + 1):
                limit = f"C{channel}_MCA_ROI{number}_"
                self.put(f"{limit}HLM", high)
                self.put(f"{limit}LLM", low)

    def roi_calib_info(self) -> list[str]:
        """Lines of a file with the regions of all channels."""
        return self._info(
            (rois[0].NM, [(roi.LO, roi.HI) for roi in rois])
            for rois in zip(*self.get_rois(), strict=False)
        )

    def restore_rois(self, roifile: str | Path) -> None:
        """Have the regions of a file: on other channels than the first, by energy."""
        rois = read_regions(roifile)
        first, *others = self.mcas
        first.set_rois(rois)
        for mca in others:
            mca.set_rois(rois, calib=first.get_calib())
