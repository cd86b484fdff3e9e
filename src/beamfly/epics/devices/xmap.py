"""`MultiXMAP`: XIA's xMAP, several MCAs and signal processors, with a file plugin."""

# the names are those that scripts for PyEpics use
# ruff: noqa: N802

import time
from pathlib import Path
from typing import Any

from beamfly.epics.devices.file_saver import FileSaver, happens
from beamfly.epics.devices.mca_record import DXP, MCA, ROI
from beamfly.epics.devices.roi_files import (
    calibration_lines,
    read_regions,
    region_lines,
)

MAPPING_BYTES = 16384
"""A buffer of mapping mode has more, one of spectra has fewer."""
SPECTRA, MAPPING, SCA_MAPPING = range(3)
"""Collect modes."""
STREAM = 2
READY_SECONDS = 10.0


class MultiXMAP(FileSaver):
    """Several channels of a digital x-ray processor that work together."""

    attrs = (
        *("PresetReal", "Dwell", "Acquiring", "EraseStart", "StopAll", "PresetMode"),
        *("PixelsPerBuffer_RBV", "NextPixel", "PixelsPerRun", "Apply", "AutoApply"),
        *("CollectMode", "SyncCount", "BufferSize_RBV"),
    )
    pathattrs = (
        *("FilePath", "FileTemplate", "FileWriteMode", "FileName", "FileNumber"),
        *("FullFileName_RBV", "Capture", "NumCapture", "WriteFile_RBV", "AutoSave"),
        *("EnableCallbacks", "ArraySize0_RBV", "FileTemplate_RBV", "FileName_RBV"),
        "AutoIncrement",
    )

    def __init__(self, prefix: str, filesaver: str = "netCDF1:", nmca: int = 4) -> None:
        """Look for its settings.

        Args:
            prefix: What its PVs start with.
            filesaver: What those of its file plugin start with, after the prefix.
            nmca: Number of channels.
        """
        self.filesaver = filesaver
        self.nmca = nmca
        self.dxps = [DXP(prefix, mca=number) for number in range(1, nmca + 1)]
        self.mcas = [MCA(prefix, mca=number) for number in range(1, nmca + 1)]
        super().__init__(prefix, self.attrs)
        for attr in self.pathattrs:
            self.add_pv(f"{prefix}{filesaver}{attr}", attr=attr)

    # ---- regions and calibration

    def get_calib(self) -> list[list[Any]]:
        """Offset, slope and quadratic term of each channel."""
        return [mca.get_calib() for mca in self.mcas]

    def get_rois(self) -> list[list[ROI]]:
        """Regions of interest of each channel."""
        return [mca.get_rois() for mca in self.mcas]

    def roi_calib_info(self) -> list[str]:
        """Lines of a file with regions, calibrations, and settings of processors."""
        first, *others = self.get_rois()
        rows = [
            (roi.NM, [(one.LO, one.HI) for one in (roi, *rest)])
            for roi, *rest in zip(first, *others, strict=False)
        ]
        settings = ["[dxp]"]
        for attr in DXP.attrs:
            texts = [str(dxp.get(attr, as_string=True)) for dxp in self.dxps]
            line = " ".join(text.replace(" ", "_") for text in texts)
            settings.append(f"{attr} = {line}")
        calibration = calibration_lines(self.get_calib())
        return [*region_lines(rows), *calibration, *settings]

    def restore_rois(self, roifile: str | Path) -> None:
        """Have the regions of a file: on other channels than the first, by energy."""
        rois = read_regions(roifile)
        first, *others = self.mcas
        first.set_rois(rois)
        for mca in others:
            mca.set_rois(rois, calib=first.get_calib())

    def Write_CurrentConfig(self, filename: str | Path | None = None) -> str:
        """Regions, calibrations and settings as text.

        Args:
            filename: A file that is written, None: none.
        """
        general = [
            f"#Multi-Element xMAP Settings saved: {time.ctime()}",
            "[general]",
            f"prefix= {self._prefix}",
            f"nmcas = {self.nmca}",
            f"filesaver= {self.filesaver}",
        ]
        text = "\n".join([*general, *self.roi_calib_info()])
        if filename is not None:
            Path(filename).write_text(text, "utf-8")
        return text

    # ---- collecting

    def start(self) -> Any:
        """Erase and start; what the PV is then."""
        self.put("EraseStart", 1)
        if self.get("Acquiring") == 0:
            # it may have been busy with its settings
            self.put("EraseStart", 1)
        return self.get("EraseStart")

    def stop(self) -> Any:
        """Stop; what the PV is then."""
        self.put("StopAll", 1)
        return self.get("StopAll")

    def next_pixel(self) -> Any:
        """Advance by one pixel; what the PV is then."""
        self.put("NextPixel", 1)
        return self.get("NextPixel")

    def _missing_pixels(self) -> int:
        return self.get("PixelsPerRun") - self.dxps[0].get("CurrentPixel")

    def finish_pixels(self, timeout: float = 2) -> tuple[bool, int]:
        """Wait for the last pixel, and advance by those that do not come.

        Args:
            timeout: Seconds to wait.

        Returns:
            Whether all came by themselves, and how many did not.
        """
        if happens(lambda: self._missing_pixels() <= 0, timeout):
            return True, self._missing_pixels()
        missing = self._missing_pixels()
        for _ in range(missing):
            self.put("NextPixel", 1, wait=True)
        self.FileCaptureOff()
        return False, missing

    def readmca(self, n: int = 1) -> Any:
        """Counts of a channel, from 1 on; an array."""
        return self.mcas[n - 1].get("VAL")

    def SCAMode(self) -> None:
        """Map regions."""
        self.put("CollectMode", SCA_MAPPING)

    def SpectraMode(self) -> None:
        """Collect one spectrum; returns when the buffers are those of spectra."""
        self.stop()
        self.put("CollectMode", SPECTRA)
        self.put("PresetMode", 0)
        happens(lambda: self.get("BufferSize_RBV") < MAPPING_BYTES, READY_SECONDS / 2)

    def MCAMode(
        self,
        filename: str | None = None,
        filenumber: int | None = None,
        npulses: int = 11,
    ) -> None:
        """Map spectra into one file; returns when buffers and file plugin agree.

        Args:
            filename: Name of the file, None: as it is.
            filenumber: Its number, None: counted up.
            npulses: Pixels of one run, 2 at least.
        """
        npulses = max(2, npulses)
        self.put("AutoApply", 1)
        self.stop()
        self.put("PresetMode", 0)
        self.setFileWriteMode(STREAM)
        self.put("CollectMode", MAPPING)
        self.put("PixelsPerRun", npulses)
        # the file plugin knows the size of a buffer only once it has seen one
        self.FileCaptureOff()
        self.start()
        happens(self._buffer_seen, READY_SECONDS)
        self.put("SyncCount", 1)
        self.setFileNumber(filenumber)
        if filename is not None:
            self.setFileName(filename)
        self.put("Apply", 1, wait=True)
        self.put("CollectMode", MAPPING)
        self.put("PixelsPerRun", npulses)
        happens(lambda: self.get("BufferSize_RBV") > MAPPING_BYTES, READY_SECONDS)
        pixels = self.get("PixelsPerBuffer_RBV") or 124
        self.setFileNumCapture(1 + (npulses - 1) // pixels)
        happens(
            lambda: self.get("BufferSize_RBV") == self.fileGet("ArraySize0_RBV"),
            READY_SECONDS / 2,
        )

    def _buffer_seen(self) -> bool:
        if self.fileGet("ArraySize0_RBV") >= MAPPING_BYTES:
            return True
        self.put("NextPixel", 1)
        return False
