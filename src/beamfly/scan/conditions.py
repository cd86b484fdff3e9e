"""Comparing a device with a value, as `Wait`, `If` and readbacks do."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass

from beamfly.scan.channels import Reading
from beamfly.scan.values import Scalar, scalar_text

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "!=": lambda shown, wanted: shown != wanted,
    ">": lambda shown, wanted: shown > wanted,
    ">=": lambda shown, wanted: shown >= wanted,
    "<": lambda shown, wanted: shown < wanted,
    "<=": lambda shown, wanted: shown <= wanted,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda shown, wanted: shown == wanted,
    "!=": lambda shown, wanted: shown != wanted,
    ">": lambda shown, wanted: shown > wanted,
    ">=": lambda shown, wanted: shown >= wanted,
    "<": lambda shown, wanted: shown < wanted,
    "<=": lambda shown, wanted: shown <= wanted,
    "in": lambda shown, wanted: shown in listed_values(wanted),
    "not in": lambda shown, wanted: shown not in listed_values(wanted),
}
_WORDS = {"increase by": "to increase by", "decrease by": "to decrease by"}


def listed_values(text: str) -> list[str]:
    """Values in a list with commas, in double quotes or not."""
    (cells,) = csv.reader([text.strip()], skipinitialspace=True) if text else ([""],)
    return [cell.strip() for cell in cells]


@dataclass(frozen=True)
class Condition:
    """What a device must show."""

    comparison: str
    """As scripts write it, such as `>=`."""
    wanted: Scalar
    """A text is compared with the text that is shown."""
    tolerance: float = 0.1
    """For `=` with numbers."""

    @property
    def relative(self) -> bool:
        """Whether it depends on what the device showed first."""
        return self.comparison in _WORDS

    def met(self, reading: Reading, first: float = math.nan) -> bool:
        """Whether a reading will do.

        Args:
            reading: what the device shows.
            first: what it showed when waiting began, if the condition is relative.
        """
        if isinstance(self.wanted, str):
            compare = _TEXTS.get(self.comparison)
            return compare is not None and compare(reading.text, self.wanted)
        shown = reading.number
        if self.comparison == "=":
            return shown == self.wanted or abs(shown - self.wanted) <= self.tolerance
        if self.comparison == "increase by":
            return shown >= first + self.wanted
        if self.comparison == "decrease by":
            return shown <= first - self.wanted
        return not math.isnan(shown) and _NUMBERS[self.comparison](shown, self.wanted)

    def __str__(self) -> str:
        words = _WORDS.get(self.comparison, self.comparison)
        return f"{words} {scalar_text(self.wanted)}"
