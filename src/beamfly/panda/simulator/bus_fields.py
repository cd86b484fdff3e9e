"""Fields on the bit and position buses, those that select from them, and captures."""

from collections.abc import Sequence
from typing import ClassVar

from beamfly.errors import CommandError
from beamfly.panda.simulator.catalogue import BlockSpec, FieldSpec
from beamfly.panda.simulator.fields import Attribute, Field, Group, Surroundings
from beamfly.panda.simulator.literals import double, format_double, integer, read_name

CAPTURE_OPTIONS = ("Value", "Diff", "Sum", "Min", "Max", "Mean", "StdDev")
"""What PCAP can capture of a position, in the order in which it is reported."""
CAPTURE_LABELS = (
    "No",
    "Value",
    "Diff",
    "Sum",
    "Mean",
    "Min",
    "Max",
    "Min Max",
    "Min Max Mean",
    "StdDev",
    "Mean StdDev",
)
"""The usual combinations of them."""
MAX_DELAY = 31
"""Largest delay of a bit mux, in ticks."""


class OutField(Field):
    """A bit or a position that a block puts on its bus."""

    changes = 0
    """How often it had changed when that was last looked at."""

    @property
    def value(self) -> int:
        """What is on the bus now."""
        return self.around.registers.read(self.name)

    def refresh(self) -> None:
        """Notice whether it changed, even if it changed back."""
        changes = self.around.registers.count_changes(self.name)
        if changes != self.changes:
            self.changes = changes
            self.changed = self.around.journal.mark()


class BitOutField(OutField):
    """A bit on the bit bus."""

    group: ClassVar = Group.BITS
    attributes: ClassVar = Field.attributes | {
        "CAPTURE_WORD": Attribute(
            "Field that captures this bit",
            lambda field: f"PCAP.BITS{field.place // 32}",
        ),
        "OFFSET": Attribute(
            "Place of this bit in that field", lambda field: str(field.place % 32)
        ),
    }

    @property
    def place(self) -> int:
        """Its place on the bit bus."""
        return self.around.bit_index[self.name]


class PosOutField(OutField):
    """A position on the position bus."""

    group: ClassVar = Group.POSN
    attributes: ClassVar = Field.attributes | {
        "CAPTURE": Attribute(
            "Capture options",
            lambda field: field.capture_text(),
            lambda field, text: field.write_capture(text),
            reported=True,
            labels=lambda _: CAPTURE_LABELS,
        ),
        "SCALE": Attribute(
            "Units per count",
            lambda field: format_double(field.scale),
            lambda field, text: setattr(field, "scale", double(text)),
            reported=True,
        ),
        "OFFSET": Attribute(
            "Position at count 0",
            lambda field: format_double(field.offset),
            lambda field, text: setattr(field, "offset", double(text)),
            reported=True,
        ),
        "UNITS": Attribute(
            "Units of the scaled position",
            lambda field: field.units,
            lambda field, text: field.write_units(text),
            reported=True,
        ),
        "SCALED": Attribute(
            "Position in units",
            lambda field: format_double(field.value * field.scale + field.offset),
        ),
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.scale = 1.0
        self.offset = 0.0
        self.units = ""
        self.captured: frozenset[str] = frozenset()

    def capture_text(self) -> str:
        """Its capture options in canonical order, or No."""
        return " ".join(o for o in CAPTURE_OPTIONS if o in self.captured) or "No"

    def write_capture(self, text: str) -> None:
        """Take capture options in any order."""
        chosen: set[str] = set()
        rest = "" if text == "No" else text
        while rest:
            option, rest = read_name(rest)
            rest = rest.lstrip(" \t")
            if option not in CAPTURE_OPTIONS:
                raise CommandError(f'Unknown capture option "{option}"')
            chosen.add(option)
        self.captured = frozenset(chosen)

    def write_units(self, text: str) -> None:
        """Take any valid UTF-8."""
        self.units = valid_utf8(text)

    def reset_capture(self) -> None:
        """Capture nothing."""
        if self.captured:
            self.captured = frozenset()
            self.attribute_was_changed("CAPTURE")


class ExtOutField(Field):
    """Something that exists in captured data only."""

    group: ClassVar = Group.NONE
    attributes: ClassVar = Field.attributes | {
        "CAPTURE": Attribute(
            "Capture options",
            lambda field: field.capture_text(),
            lambda field, text: field.write_capture(text),
            reported=True,
            labels=lambda _: ("No", "Value"),
        )
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.readable = False
        self.captured: frozenset[str] = frozenset()

    def capture_text(self) -> str:
        """No or Value."""
        return "Value" if self.captured else "No"

    def write_capture(self, text: str) -> None:
        """Take No or Value."""
        if text not in ("No", "Value"):
            raise CommandError("Invalid capture option")
        self.captured = frozenset() if text == "No" else frozenset(("Value",))

    def reset_capture(self) -> None:
        """Capture nothing."""
        if self.captured:
            self.captured = frozenset()
            self.attribute_was_changed("CAPTURE")


class ExtBitsField(ExtOutField):
    """A quarter of the bit bus."""

    attributes: ClassVar = ExtOutField.attributes | {
        "BITS": Attribute("Names of its bits", lambda field: field.bits())
    }

    def bits(self) -> list[str]:
        """Names of its 32 bits, empty where there is none."""
        first = 32 * self.spec.word
        names = list(self.around.bits[first : first + 32])
        return names + [""] * (32 - len(names))


CaptureField = PosOutField | ExtOutField
"""A field that has a CAPTURE attribute."""


class BitMuxField(Field):
    """An input that follows any bit on the bit bus."""

    attributes: ClassVar = Field.attributes | {
        "DELAY": Attribute(
            "Clock delay on input",
            lambda field: str(field.delay),
            lambda field, text: field.write_delay(text),
            reported=True,
        ),
        "MAX_DELAY": Attribute("Maximum valid input delay", lambda _: str(MAX_DELAY)),
    }

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.writeable = True
        self.delay = 0
        self.choices = (*around.bits, "ZERO", "ONE")
        self.raw = around.bit_index["ZERO"]

    def labels(self) -> Sequence[str]:
        """All bits, ZERO and ONE."""
        return self.choices

    def format(self, value: int) -> str:
        """Name of the bit."""
        return self.choices[value]

    def parse(self, text: str) -> int:
        """Index of the bit."""
        if text not in self.around.bit_index:
            raise CommandError("Invalid bit bus selection")
        return self.around.bit_index[text]

    def write_delay(self, text: str) -> None:
        """Take a number of ticks."""
        delay = integer(text) % 2**32
        if delay > MAX_DELAY:
            raise CommandError("Delay too long")
        self.delay = delay
        self.around.registers.write_delay(self.name, delay)


class PosMuxField(Field):
    """An input that follows any position on the position bus."""

    def __init__(
        self, spec: FieldSpec, block: BlockSpec, number: int, around: Surroundings
    ) -> None:
        super().__init__(spec, block, number, around)
        self.writeable = True
        self.choices = (*around.positions, "ZERO")
        self.raw = around.position_index["ZERO"]

    def labels(self) -> Sequence[str]:
        """All positions and ZERO."""
        return self.choices

    def format(self, value: int) -> str:
        """Name of the position."""
        return self.choices[value]

    def parse(self, text: str) -> int:
        """Index of the position."""
        if text not in self.around.position_index:
            raise CommandError("Invalid position selection")
        return self.around.position_index[text]


def valid_utf8(text: str) -> str:
    """The text, unless it was not UTF-8 when it was received."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CommandError("Malformed UTF-8 string") from None
    return text
