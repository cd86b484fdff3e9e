"""`ADMCA`, `ADMCAROI`: one channel of an areaDetector MCA with an ROIStat plugin."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from beamfly.epics.device import Device
from beamfly.epics.pv import PV, get_pv
from beamfly.errors import BadValue

MAX_CHAN = 4096
MAX_ROIS = 48
TOOMANY_ROIS = f"Too many ROIS, only {MAX_ROIS} ROIS allowed."
PUT_SECONDS = 5.0


class ADMCAROI(Device):
    """One region of interest, `SizeX` channels from `MinX` on."""

    attrs = (
        *("Use", "Name", "MinX", "SizeX", "BgdWidth", "SizeX_RBV", "MinX_RBV"),
        *("Total_RBV", "Net_RBV"),
    )
    names: ClassVar[dict[str, str]] = {
        "left": "MinX",
        "width": "SizeX",
        "name": "Name",
        "sum": "Total_RBV",
        "net": "Net_RBV",
    }

    def __init__(
        self,
        prefix: str,
        roi: int = 1,
        bgr_width: int = 3,
        data_pv: PV | None = None,
        with_poll: bool = False,
    ) -> None:
        """Look for name and first channel.

        Args:
            prefix: Of the plugin, without the colon.
            roi: Its number, from 1 on.
            bgr_width: Channels at either side that are taken for the background.
            data_pv: Where the spectrum is, None: use the plugin's sums.
            with_poll: Not used.
        """
        self.bgr_width = bgr_width
        self.data_pv = data_pv
        super().__init__(f"{prefix}:{roi}", ("Name", "MinX"), delim=":")
        # aliases are looked for when they are used
        self.__dict__["_aliases"] = self.names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ADMCAROI) and (
            (self.MinX, self.SizeX, self.BgdWidth)
            == (other.MinX, other.SizeX, other.BgdWidth)
        )

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: "ADMCAROI") -> bool:
        return self.MinX < other.MinX

    def __le__(self, other: "ADMCAROI") -> bool:
        return self.MinX <= other.MinX

    def __repr__(self) -> str:
        where = f"range=[{self.MinX}:{self.right}]"
        return f"<ADMCAROI '{self._prefix}', name='{self.Name}', {where}>"

    @property
    def right(self) -> int:
        """The channel behind its last; setting it changes `SizeX`."""
        return self.MinX + self.SizeX

    @right.setter
    def right(self, val: int) -> None:
        self.put("SizeX", val - self.MinX)

    def get_right(self) -> int:
        """The same as `right`."""
        return self.right

    def set_right(self, val: int) -> None:
        """Set `right`."""
        self.right = val

    @property
    def center(self) -> int:
        """The channel in its middle; setting it changes `MinX`."""
        return round(self.MinX + self.SizeX / 2)

    @center.setter
    def center(self, val: float) -> None:
        self.put("MinX", round(val - self.SizeX / 2))

    def get_center(self) -> int:
        """The same as `center`."""
        return self.center

    def set_center(self, val: float) -> None:
        """Set `center`."""
        self.center = val

    def clear(self) -> None:
        """Remove it."""
        self.write("", 0, 0)

    def write(self, name: str, first: int, size: int) -> None:
        """Put name, first channel and number of channels, and wait for that."""
        for attr, value in (("Name", name), ("MinX", first), ("SizeX", size)):
            self.put(attr, value, wait=True, timeout=PUT_SECONDS)

    def read(self) -> tuple[str, int, int]:
        """Name, first channel and number of channels as they are now."""
        name = self.PV("Name").get(as_string=True, use_monitor=False)
        first, size = (
            self.PV(attr).get(use_monitor=False) for attr in ("MinX", "SizeX")
        )
        if not isinstance(name, str) or first is None or size is None:
            return "", 0, 0
        return name.strip(), first, size

    def get_counts(self, data: Any = None, net: bool = False) -> Any:
        """Counts in the region.

        Args:
            data: Array of counts, None: that of `data_pv`, or the plugin's sums.
            net: Whether to subtract the background: the mean of the channels at either
                side, for each channel of the region.
        """
        if data is None and self.data_pv is not None:
            data = self.data_pv.get()
        if not isinstance(data, np.ndarray):
            return self.get("Net_RBV" if net else "Total_RBV")
        counts = cast(Any, data)
        low, high = self.MinX, self.right
        total = counts[low:high].sum()
        if not net:
            return total
        before = counts[max(0, low - self.bgr_width) : low]
        sides: Any = np.concatenate((before, counts[high : high + self.bgr_width]))
        background = sides.mean() if sides.size else 0.0
        return total - background * (high - low)


class ADMCA(Device):
    """One channel: its spectrum, its regions, its energy scale."""

    attrs = ("AcquireTime", "Acquire", "NumImages")
    calibration: tuple[float, float, float] = (0.0, 0.01, 0.0)
    """Offset, slope, quadratic term; areaDetector has no PVs for them."""

    def __init__(
        self,
        prefix: str,
        data_pv: str | None = None,
        nrois: int | None = None,
        roi_prefix: str | None = None,
    ) -> None:
        """Look for settings and regions.

        Args:
            prefix: Of the detector.
            data_pv: Where the spectrum is; None: there is no `VAL`.
            nrois: Most regions, None: 48.
            roi_prefix: Of the ROIStat plugin, without the colon; None: no regions.
        """
        self._nrois = MAX_ROIS if nrois is None else nrois
        self._roi_prefix = roi_prefix
        self.rois: list[ADMCAROI] = []
        super().__init__(prefix, self.attrs)
        if data_pv is not None:
            self.add_pv(data_pv, "VAL")
        if roi_prefix is not None:
            # all of them connect while the first are read
            for number in range(1, self._nrois + 1):
                for attr in ("Name", "MinX", "SizeX"):
                    get_pv(f"{roi_prefix}:{number}:{attr}")
            self.get_rois()

    def start(self) -> Any:
        """Start; what the PV is then."""
        self.put("Acquire", 1)
        return self.get("Acquire")

    def stop(self) -> Any:
        """Stop; what the PV is then."""
        self.put("Acquire", 0)
        return self.get("Acquire")

    def get_calib(self) -> tuple[float, float, float]:
        """Offset, slope and quadratic term of the energy scale."""
        return self.calibration

    def get_energy(self) -> Any:
        """Energy of each channel, an array of the length of the spectrum."""
        channels = np.arange(self._length(), dtype=float)
        offset, slope, quadratic = self.calibration
        return offset + channels * (slope + channels * quadratic)

    def _length(self) -> int:
        """Channels of the spectrum."""
        data = self.get("VAL") if "VAL" in self._pvs else None
        return MAX_CHAN if data is None else len(data)

    # ---- regions

    def _roi(self, number: int) -> ADMCAROI:
        return ADMCAROI(
            str(self._roi_prefix), number, data_pv=self._pvs.get("VAL", None)
        )

    def get_rois(self, nrois: int | None = None) -> list[ADMCAROI]:
        """Regions of interest, up to the first without a name or channels."""
        self.rois = []
        if self._roi_prefix is None:
            return self.rois
        for number in range(1, 1 + (self._nrois if nrois is None else nrois)):
            roi = self._roi(number)
            name, _, size = roi.read()
            if not name or size <= 0:
                break
            self.rois.append(roi)
        return self.rois

    def clear_rois(self, nrois: int | None = None) -> None:
        """Remove all regions."""
        for roi in self.get_rois(nrois):
            roi.clear()
        self.rois = []

    def del_roi(self, roiname: str) -> None:
        """Remove a region by its name, whatever its case; others move up."""
        name = roiname.strip().lower()
        self._write([row for row in self._rows() if row[0].lower() != name])

    def add_roi(
        self,
        roiname: str,
        lo: int | None,
        wid: int | None = None,
        hi: int | None = None,
        sort: bool = True,
    ) -> None:
        """Add a region; nothing happens without limits.

        Args:
            roiname: Its name.
            lo: First channel.
            wid: Number of channels; `hi` goes before it.
            hi: The channel behind the last.
            sort: Whether to put regions in order.

        Raises:
            BadValue: There is no room for another one.
        """
        if lo is None or (hi is None and wid is None):
            return
        rows = self._rows()
        if len(rows) >= self._nrois:
            raise BadValue(f"{TOOMANY_ROIS} {roiname} was not added")
        most = self._length()
        low = min(most - 1, lo)
        high = min(most, low + (wid or 0) if hi is None else hi)
        self._write([*rows, (roiname.strip(), low, high - low)], sort)

    def sort_rois(self) -> None:
        """Put regions in the order of their first channels."""
        self._write(self._rows())

    def set_rois(self, roidata: Iterable[tuple[str, int, int]]) -> None:
        """Have these regions and no others, in the order of their first channels.

        Args:
            roidata: Name, first channel, and the channel behind the last.

        Raises:
            BadValue: They are too many; none was changed.
        """
        rows = [
            (name.strip(), low, high - low)
            for name, low, high in roidata
            if name and high > low and high > 0
        ]
        if len(rows) > self._nrois:
            raise BadValue(f"{TOOMANY_ROIS} None was changed.")
        self._write(rows)

    def _rows(self) -> list[tuple[str, int, int]]:
        return [roi.read() for roi in self.get_rois()]

    def _write(self, rows: Sequence[tuple[str, int, int]], sort: bool = True) -> None:
        """Have these regions, and remove what stands behind them."""
        kept = sorted(rows, key=lambda row: row[1]) if sort else list(rows)
        for number, row in enumerate(kept, start=1):
            self._roi(number).write(*row)
        for number in range(len(kept) + 1, self._nrois + 1):
            roi = self._roi(number)
            if not roi.read()[0]:
                break
            roi.clear()
        self.get_rois()
