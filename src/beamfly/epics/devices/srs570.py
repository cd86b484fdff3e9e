"""`SRS570`: Stanford Research Systems' current amplifier."""

from beamfly.epics.device import Device
from beamfly.errors import BadValue

VALID_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500]
VALID_UNITS = ["pA/V", "nA/V", "uA/V", "mA/V"]
ALLOWED = len(VALID_STEPS) * len(VALID_UNITS) - 8
"""Sensitivities: 1 pA/V to 1 mA/V."""
OFFSET_STEPS = 3
"""The offset follows that many steps below the sensitivity: a tenth of it."""


class SRS570(Device):
    """Sensitivity, offset, filter of the amplifier."""

    attrs = (
        *("sens_num", "sens_unit", "offset_num", "offset_unit", "offset_sign"),
        *("offset_on", "off_u_put", "bias_put", "gain_mode", "filter_type"),
        *("invert_on", "init.PROC"),
    )

    def __init__(self, prefix: str) -> None:
        """Set it to low noise, no filter, no bias, not inverted."""
        super().__init__(prefix, self.attrs, mutable=False)
        self.initialize()

    def initialize(
        self,
        bias: float = 0,
        gain_mode: int = 0,
        filter_type: int = 0,
        invert: bool = False,
    ) -> None:
        """Set what is seldom changed.

        Args:
            bias: Bias voltage.
            gain_mode: 0: low noise.
            filter_type: 0: none.
            invert: Whether the output is inverted.
        """
        self.put("gain_mode", gain_mode)
        self.put("filter_type", filter_type)
        self.put("invert_on", int(invert))
        self.put("bias_put", bias)

    def set_sensitivity(
        self,
        value: int,
        units: str,
        offset: float | None = None,
        scale_offset: bool = True,
    ) -> None:
        """Set the sensitivity.

        Args:
            value: One of `VALID_STEPS`.
            units: One of `VALID_UNITS`; of mA/V there is only 1.
            offset: Fine offset.
            scale_offset: Whether the offset becomes a tenth of the sensitivity; where
                that is below 1 pA it becomes 1 pA.
        """
        place = _place(value, units)
        self._put_pair("sens", place)
        if scale_offset:
            self._put_pair("offset", max(0, place - OFFSET_STEPS))
        if offset is not None:
            self.set_offset(offset)
        self.put("init.PROC", 1)

    def _put_pair(self, what: str, place: int) -> None:
        unit, number = divmod(place, len(VALID_STEPS))
        self.put(f"{what}_num", number)
        self.put(f"{what}_unit", unit)

    def set_offset(self, value: float) -> None:
        """Set the fine offset."""
        self.put("off_u_put", value)

    def increase_sensitivity(self) -> None:
        """One step more sensitive; nothing happens at 1 pA/V."""
        self._step(-1)

    def decrease_sensitivity(self) -> None:
        """One step less sensitive; nothing happens at 1 mA/V."""
        self._step(1)

    def _step(self, by: int) -> None:
        here: int = self.get("sens_unit") * len(VALID_STEPS) + self.get("sens_num")
        place = here + by
        unit, number = divmod(min(max(place, 0), ALLOWED - 1), len(VALID_STEPS))
        self.set_sensitivity(VALID_STEPS[number], VALID_UNITS[unit])


def _place(value: int, units: str) -> int:
    """Which sensitivity it is, counted from 1 pA/V."""
    if value in VALID_STEPS and units in VALID_UNITS:
        place = VALID_UNITS.index(units) * len(VALID_STEPS) + VALID_STEPS.index(value)
        if place < ALLOWED:
            return place
    msg = f"an SRS570 has 1 2 5 10 ... 500 pA/V to uA/V and 1 mA/V, not {value} {units}"
    raise BadValue(msg)
