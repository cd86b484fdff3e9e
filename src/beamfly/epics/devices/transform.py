"""`Transform`: the transform record, a table of 16 calculations."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from beamfly.epics.devices.records import Record
from beamfly.errors import BadValue

ROWS = "ABCDEFGHIJKLMNOP"


def _fields(forms: Iterable[str]) -> list[str]:
    """Fields of all rows."""
    return [form.replace("%s", row) for form in forms for row in ROWS]


class Transform(Record):
    """Rows A to P, each with value, input, expression, output and comment."""

    attr_fmts: ClassVar[Mapping[str, str]] = {
        "Value": "%s",
        "Input": "INP%s",
        "Input_Valid": "I%sV",
        "Expression": "CLC%s",
        "Output": "OUT%s",
        "Output_Valid": "O%sV",
        "Comment": "CMT%s",
        "Expression_Valid": "C%sV",
        "Previous_Value": "L%s",
    }
    rows = ROWS
    attrs = ("COPT", "PREC", *_fields(attr_fmts.values()))

    def _field(self, row: str, label: str) -> str:
        if len(row) != 1 or row not in self.rows:
            raise BadValue(f"a transform has rows A to P, not {row!r}")
        return self.attr_fmts[label].replace("%s", row)

    def get_row(self, row: str = "A") -> dict[str, Any]:
        """All of a row by label, such as Value, Input, Expression."""
        return {label: self.get(self._field(row, label)) for label in self.attr_fmts}

    def set_row(self, row: str = "A", data: Mapping[str, Any] | None = None) -> None:
        """Put what `get_row` gave, where we may write; other labels are left out."""
        for label, value in (data or {}).items():
            if label in self.attr_fmts:
                pv = self.PV(self._field(row, label))
                if pv.connected and pv.write_access:
                    pv.put(value)

    def set_calc(self, row: str = "A", calc: str = "") -> None:
        """Set the expression of a row."""
        self.put(self._field(row, "Expression"), calc)

    def set_comment(self, row: str = "A", comment: str = "") -> None:
        """Set the comment of a row."""
        self.put(self._field(row, "Comment"), comment)

    def set_input(self, row: str = "A", input: str = "") -> None:
        """Set the PV that a row is read from."""
        self.put(self._field(row, "Input"), input)
