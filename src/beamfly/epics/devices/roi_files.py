"""Files with regions of interest, calibrations and settings of many detectors.

    [rois]
    ROI00 = Fe Ka | 630 650 628 648
    [calibration]
    OFFSET = 0.0 0.0

Each region has first and last channel for one detector after the other.
"""

from collections.abc import Iterable, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import NamedTuple

from beamfly.errors import BadValue


class Region(NamedTuple):
    """A region of interest, in channels."""

    NM: str
    """Its name."""
    LO: int
    """Its first channel."""
    HI: int
    """Its last channel."""


def region_lines(rows: Iterable[tuple[str, Sequence[tuple[int, int]]]]) -> list[str]:
    """The section of regions.

    Args:
        rows: Name of each region, then its first and last channel on each detector.
    """
    lines = ["[rois]"]
    for number, (name, edges) in enumerate(rows):
        channels = " ".join(f"{low} {high}" for low, high in edges)
        lines.append(f"ROI{number:02d} = {name} | {channels}")
    return lines


def calibration_lines(
    calibrations: Sequence[Sequence[float]], digits: str = ".7g"
) -> list[str]:
    """The section of energy scales.

    Args:
        calibrations: Offset, slope and quadratic term of each detector.
        digits: How numbers are written.
    """
    lines = ["[calibration]"]
    for name, column in zip(("OFFSET", "SLOPE", "QUAD"), range(3), strict=True):
        numbers = " ".join(f"{row[column]:{digits}}" for row in calibrations)
        lines.append(f"{name:6s} = {numbers}")
    return lines


def read_regions(roifile: str | Path) -> list[Region]:
    """Regions of the first detector, from a file.

    Args:
        roifile: The file.

    Raises:
        BadValue: It has no regions, or is not such a file; nothing was put.
    """
    # an ini file as it was written: names may contain %
    parser = ConfigParser(interpolation=None)
    try:
        with Path(roifile).open(encoding="utf-8") as file:
            parser.read_file(file)
        return [
            _region(text)
            for option, text in parser.items("rois")
            if option.startswith("roi")
        ]
    except (ConfigError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        raise BadValue(f"{roifile}: {reason}; no region was changed") from error


def _region(text: str) -> Region:
    name, _, channels = text.partition("|")
    low, high = (int(word) for word in channels.split()[:2])
    return Region(name.strip(), low, high)
