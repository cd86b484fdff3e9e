"""Recordings of data ports, what each holds, and streams made to measure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from beamfly.panda.data_options import DataFormat, DataOptions
from beamfly.panda.responses import Data, FieldCapture, FrameData

GOLDEN = Path(__file__).parent.parent / "golden" / "panda"
TEXT = DataOptions(xml=False)

NO_STATUS = DataOptions(scaled=True, status=False)
OPTIONS = {
    "bare": DataOptions.bare(),
    "no_header": DataOptions(scaled=True, header=False),
    "no_status": NO_STATUS,
    "xml_framed_raw_oneshot": DataOptions(one_shot=True),
    "unframed_scaled": DataOptions(DataFormat.UNFRAMED, scaled=True, xml=False),
}
"""What was asked for, where it is not what DataOptions() asks for."""
NAMES = sorted(path.stem for path in GOLDEN.glob("*.bin"))


def recording(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()


def options(name: str) -> DataOptions:
    return OPTIONS.get(name, DataOptions())


def frames(data: Iterable[Data]) -> npt.NDArray[Any]:
    """All samples, as one structured array."""
    arrays = [item.data for item in data if isinstance(item, FrameData)]
    return np.concatenate(arrays) if arrays else np.empty(0)


def others(data: Iterable[Data]) -> list[Data]:
    """All but the samples."""
    return [item for item in data if not isinstance(item, FrameData)]


@dataclass(frozen=True)
class Stream:
    """A data port's answer, made to measure."""

    fields: Sequence[FieldCapture]
    process: str = "Raw"
    missed: int = 0

    def header(self, arm_time: str = "2026-11-20T06:28:17.497251178Z") -> bytes:
        size = self.dtype.itemsize
        lines = [
            "<header>",
            f'<data arm_time="{arm_time}" start_time="2026-11-20T06:28:18Z" '
            f'missed="{self.missed}" process="{self.process}" format="Framed" '
            f'sample_bytes="{size}" />',
            "<fields>",
        ]
        names = {
            "<i4": "int32",
            "<u4": "uint32",
            "<i8": "int64",
            "<f8": "double",
            "|V12": "int96",
        }
        for f in self.fields:
            scaling = (
                ""
                if f.scale is None
                else f' scale="{f.scale:.12g}" offset="{f.offset:.12g}" '
                f'units="{f.units}"'
            )
            lines.append(
                f'<field name="{f.name}" type="{names[f.type.str]}" '
                f'capture="{f.capture}"{scaling} />'
            )
        return "\n".join([*lines, "</fields>", "</header>", "", ""]).encode()

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype([(f.column_name, f.type) for f in self.fields])

    def acquisition(
        self,
        samples: npt.NDArray[Any],
        per_frame: int = 1000,
        reason: str = "Ok",
        **header: str,
    ) -> bytes:
        parts = [self.header(**header)]
        for first in range(0, len(samples), per_frame):
            parts.append(frame(samples[first : first + per_frame].tobytes()))
        return b"".join([*parts, f"END {len(samples)} {reason}\n".encode()])


def frame(payload: bytes) -> bytes:
    return b"BIN " + (len(payload) + 8).to_bytes(4, "little") + payload
