"""Fields whose text is not the number that the block sees: scalars, LUTs, times."""

from typing import ClassVar

from beamfly.errors import CommandError
from beamfly.panda.simulator import lut
from beamfly.panda.simulator.catalogue import CLOCK_FREQUENCY, BlockSpec, FieldSpec
from beamfly.panda.simulator.fields import Attribute, Field, Surroundings
from beamfly.panda.simulator.literals import double, format_double, integer, signed


class ScalarField(Field):
    """A float on top of an integer."""

    attributes: ClassVar = Field.attributes | {
        "RAW": Attribute(
            "Underlying integer",
            lambda field: str(field.value),
            lambda field, text: field.write_raw(text),
        ),
        "UNITS": Attribute("Units of the value", lambda field: field.spec.units),
        "SCALE": Attribute(
            "Units per count", lambda field: format_double(field.spec.scale)
        ),
        "OFFSET": Attribute(
            "Value at count 0", lambda field: format_double(field.spec.offset)
        ),
    }

    def format(self, value: int) -> str:
        """A count in units."""
        return format_double(value * self.spec.scale + self.spec.offset)

    def parse(self, text: str) -> int:
        """Units to the nearest count."""
        raw = (double(text) - self.spec.offset) / self.spec.scale
        if not -(2**31) <= raw < 2**31:
            raise CommandError("Value out of range")
        return round(raw)

    def write_raw(self, text: str) -> None:
        """Take a count."""
        if not self.writeable:
            raise CommandError("Attribute not writeable")
        self.store(signed(integer(text)))


class LutField(Field):
    """The function of a LUT."""

    attributes: ClassVar = Field.attributes | {
        "RAW": Attribute("Function as a number", lambda field: f"0x{field.raw:08X}")
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.text = "0x00000000"

    def format(self, value: int) -> str:
        """As it was written."""
        return self.text

    def parse(self, text: str) -> int:
        """An expression or a number."""
        value = lut.evaluate(text)
        self.text = text
        return value


_UNITS = {
    "min": 60 * CLOCK_FREQUENCY,
    "s": CLOCK_FREQUENCY,
    "ms": CLOCK_FREQUENCY / 1e3,
    "us": CLOCK_FREQUENCY / 1e6,
}


class TimeField(Field):
    """A number of clock ticks, shown in a unit of choice."""

    attributes: ClassVar = Field.attributes | {
        "UNITS": Attribute(
            "Units of the value",
            lambda field: field.units,
            lambda field, text: field.write_units(text),
            reported=True,
            labels=lambda _: tuple(_UNITS),
        ),
        "RAW": Attribute(
            "Number of clock ticks",
            lambda field: str(field.value),
            lambda field, text: field.write_raw(text),
        ),
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.units = "s"
        self.limit = 2**48 if spec.type == "time" else 2**32

    def format(self, value: int) -> str:
        """Ticks in units."""
        return format_double(value / _UNITS[self.units])

    def parse(self, text: str) -> int:
        """Units to the nearest tick."""
        ticks = double(text) * _UNITS[self.units]
        if not 0 <= ticks <= self.limit - 1:  # nan is in no range
            raise CommandError("Time setting out of range")
        return int(ticks + 0.5)

    def write_units(self, text: str) -> None:
        """Choose a unit; the ticks stay, so the value reads differently."""
        if text not in _UNITS:
            raise CommandError("Invalid time units")
        self.units = text
        self.changed = self.around.journal.mark()

    def write_raw(self, text: str) -> None:
        """Take a number of ticks."""
        if not self.writeable:
            raise CommandError("Attribute not writeable")
        value = integer(text)
        if not 0 <= value < self.limit:
            raise CommandError("Time setting out of range")
        self.store(value)
