"""`MCA`, `ROI`, `DXP`: the mca record, its regions of interest, its energy scale."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from beamfly.epics.device import Device
from beamfly.epics.devices.roi_files import Region
from beamfly.epics.pv import PV, get_pv
from beamfly.errors import BadValue

MAX_ROIS = 32
LEFT_OUT_SECONDS = 5.0


class DXP(Device):
    """Settings of one channel of a digital x-ray processor."""

    attrs = (
        *("PreampGain", "MaxEnergy", "ADCPercentRule", "BaselineCutPercent"),
        *("BaselineThreshold", "BaselineFilterLength", "BaselineCutEnable"),
        *("InputCountRate", "OutputCountRate", "GapTime", "PeakingTime"),
        *("EnergyThreshold", "MaxWidth", "PresetMode", "TriggerPeakingTime"),
        *("TriggerGapTime", "TriggerThreshold"),
    )
    _attrs = attrs

    def __init__(self, prefix: str, mca: int = 1) -> None:
        """Make settings attributes, when they are used.

        Args:
            prefix: Of the detector.
            mca: Number of the channel.
        """
        super().__init__(f"{prefix}dxp{mca}", delim=":")


class ROI(Device):
    """One region of interest of an mca record, in channels."""

    def __init__(
        self,
        prefix: str,
        roi: int = 0,
        bgr_width: int = 3,
        data_pv: str | PV | None = None,
    ) -> None:
        """Look for its name and limits.

        Args:
            prefix: Name of the mca record.
            roi: Its number, 0 to 31.
            bgr_width: Channels at either side that are taken for the background.
            data_pv: Where the spectrum is, None: use the record's own sums.
        """
        self.address = f"{prefix}.R{roi}"
        self.bgr_width = bgr_width
        names = {"left": "LO", "right": "HI", "name": "NM"}
        super().__init__(self.address, ("NM", "LO", "HI"), aliases=names)
        if data_pv is None:
            data_pv = self.address
        data = get_pv(data_pv) if isinstance(data_pv, str) else data_pv
        self._pvs["_dat_"] = data
        self._pvs["_net_"] = get_pv(f"{self.address}N")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ROI) and (self.LO, self.HI, self.bgr_width) == (
            other.LO,
            other.HI,
            other.bgr_width,
        )

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: "ROI") -> bool:
        return self.LO < other.LO

    def __repr__(self) -> str:
        where = f"range=[{self.LO}:{self.HI}]"
        return f"<ROI '{self.address}', name='{self.NM}', {where}>"

    @property
    def total(self) -> Any:
        """Counts."""
        return self.get_counts()

    sum = total

    @property
    def net(self) -> Any:
        """Counts without background."""
        return self.get_counts(net=True)

    @property
    def center(self) -> int:
        """The channel in its middle."""
        return int((self.HI + self.LO) / 2.0)

    @property
    def width(self) -> int:
        """Channels from its first to its last."""
        return int(self.HI - self.LO)

    def clear(self) -> None:
        """Remove it."""
        for attr, value in (("NM", ""), ("LO", -1), ("HI", -1)):
            self.put(attr, value, wait=True)

    def get_counts(self, data: Any = None, net: bool = False) -> Any:
        """Counts of a spectrum in the region.

        Args:
            data: Array of counts, None: the record's.
            net: Whether to subtract the background: the mean of the channels at either
                side, for each channel of the region.
        """
        if data is None:
            data = self._pvs["_dat_"].get()
            if net and not isinstance(data, np.ndarray):
                return self._pvs["_net_"].get()
        if not isinstance(data, np.ndarray):
            return data
        low, high = self.LO, self.HI + 1
        counts = cast(Any, data)
        total = counts[low:high].sum()
        if not net:
            return total
        before = counts[max(0, low - self.bgr_width) : low]
        sides: Any = np.concatenate((before, counts[high : high + self.bgr_width]))
        background = sides.mean() if sides.size else 0.0
        return total - background * (high - low)


class MCA(Device):
    """One multi-channel analyzer."""

    attrs = (
        *("CALO", "CALS", "CALQ", "TTH", "EGU", "PRTM", "PLTM", "ACQG", "NUSE"),
        *("DWEL", "ERTM", "ELTM", "IDTIM"),
    )

    def __init__(
        self,
        prefix: str,
        mca: int | None = None,
        nrois: int | None = None,
        data_pv: str | None = None,
    ) -> None:
        """Look for its settings; the spectrum is read when it is asked for.

        Args:
            prefix: Name of the record, or what stands before `mca<number>`.
            mca: The number.
            nrois: Most regions of interest, None: 32.
            data_pv: Where the spectrum for regions is, None: use the record's sums.
        """
        self._nrois = MAX_ROIS if nrois is None else nrois
        self._record = prefix if mca is None else f"{prefix}mca{mca}"
        self.rois: list[ROI] = []
        super().__init__(self._record, self.attrs, delim=".")
        self.add_pv(f"{self._record}.VAL", "VAL", auto_monitor=False)
        self._data = None if data_pv is None else get_pv(data_pv)

    def _roi(self, number: int) -> ROI:
        return ROI(self._record, number, data_pv=self._data)

    def get_rois(self, nrois: int | None = None) -> list[ROI]:
        """Regions of interest, up to the first without a name or limits."""
        self.rois = []
        for number in range(self._nrois if nrois is None else nrois):
            roi = self._roi(number)
            name, high = roi.get("NM"), roi.get("HI")
            if not name or not name.strip() or high is None or high <= 0:
                break
            self.rois.append(roi)
        return self.rois

    def del_roi(self, roiname: str) -> None:
        """Remove a region by its name, whatever its case; others move up."""
        name = roiname.strip().lower()
        rows = [row for row in self._rows() if row[0].strip().lower() != name]
        self._write(rows)

    def add_roi(
        self,
        roiname: str,
        lo: float = -1,
        hi: float = -1,
        calib: Sequence[float] | None = None,
    ) -> None:
        """Add a region; nothing happens without limits.

        Args:
            roiname: Its name.
            lo: First channel.
            hi: Last channel.
            calib: Calibration of another MCA whose channels these are: the region is
                put where the same energies are here.

        Raises:
            BadValue: There is no room for another one.
        """
        if lo < 0 or hi < 0:
            return
        rows = self._rows()
        if len(rows) >= MAX_ROIS:
            raise BadValue(
                f"{self._record} has {MAX_ROIS} ROIs already; none was added"
            )
        low, high = (self._channel(edge, calib) for edge in (lo, hi))
        self._write([*rows, (roiname, low, high)])

    def set_rois(
        self, rois: Sequence[ROI | Region], calib: Sequence[float] | None = None
    ) -> None:
        """Have these regions and no others, ordered by their first channel.

        Args:
            rois: Regions, perhaps of another MCA.
            calib: Its calibration: they are put where the same energies are here.
        """
        self._write(
            [
                (roi.NM, self._channel(roi.LO, calib), self._channel(roi.HI, calib))
                for roi in rois
            ]
        )

    def clear_rois(self, nrois: int | None = None) -> None:
        """Remove all regions."""
        for roi in self.get_rois(nrois):
            roi.clear()
        self.rois = []

    def _rows(self) -> list[tuple[str, int, int]]:
        return [(roi.NM, roi.LO, roi.HI) for roi in self.get_rois()]

    def _channel(self, channel: float, calib: Sequence[float] | None) -> int:
        """The channel here of what is a channel of another calibration."""
        if calib is None:
            return round(channel)
        offset, slope, _ = self.get_calib()
        energy = calib[0] + calib[1] * channel
        return round((energy - offset) / slope)

    def _write(self, rows: list[tuple[str, int, int]]) -> None:
        """Put regions in order, and remove what stands behind them."""
        kept = [row for row in rows if row[0].strip() and row[1] >= 0 and row[2] >= 0]
        self.rois = []
        for number, (name, low, high) in enumerate(
            sorted(kept, key=lambda row: row[1])
        ):
            roi = self._roi(number)
            for attr, value in (("NM", name.strip()), ("LO", low), ("HI", high)):
                roi.put(attr, value, wait=True, timeout=LEFT_OUT_SECONDS)
            self.rois.append(roi)
        for number in range(len(self.rois), self._nrois):
            roi = self._roi(number)
            low = roi.PV("LO").get(use_monitor=False)
            if low is None or low < 0:
                break
            roi.clear()

    def get_calib(self) -> list[Any]:
        """Offset, slope and quadratic term of the energy scale."""
        return [self.get(field) for field in ("CALO", "CALS", "CALQ")]

    def get_energy(self) -> Any:
        """Energy of each channel, an array of the length of the spectrum."""
        channels = np.arange(len(self.get("VAL")), dtype=float)
        offset, slope, quadratic = self.get_calib()
        return offset + channels * (slope + channels * quadratic)
