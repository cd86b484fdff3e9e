"""Analog and binary records: `ai`, `ao`, `bi`, `bo`.

Attributes are the fields that PyEpics has, without those that binary records lack (EGU,
HOPR, LOPR, PREC) and with OUT of `bo`. Any other field becomes an attribute when it is
used.
"""

from typing import Any

from beamfly.epics.device import Device

_ANALOG = (
    *("VAL", "EGU", "HOPR", "LOPR", "PREC", "NAME", "DESC", "DTYP", "LINR", "RVAL"),
    *("ROFF", "EGUF", "EGUL", "AOFF", "ASLO", "ESLO", "EOFF", "HIHI", "LOLO", "HIGH"),
    *("LOW", "HHSV", "LLSV", "HSV", "LSV", "HYST"),
)
_BINARY = ("VAL", "RVAL", "ZNAM", "ONAM", "NAME", "DESC", "DTYP")


class Record(Device):
    """Fields of one record as attributes."""

    attrs: tuple[str, ...] = ()
    """Fields that are looked for at once."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        """Look for the fields.

        Args:
            prefix: Name of the record.
            kwargs: For `Device`.
        """
        super().__init__(
            prefix.removesuffix("."), delim=".", attrs=self.attrs, **kwargs
        )


class ai(Record):  # noqa: N801
    """Analog input."""

    attrs = (*_ANALOG, "INP", "SMOO")


class ao(Record):  # noqa: N801
    """Analog output."""

    attrs = (*_ANALOG, "OUT", "OMSL", "DOL", "OIF", "DRVH", "DRVL", "OROC", "OVAL")


class bi(Record):  # noqa: N801
    """Binary input."""

    attrs = (*_BINARY, "INP")


class bo(Record):  # noqa: N801
    """Binary output; HIGH is the seconds after which it goes back to 0."""

    attrs = (*_BINARY, "OUT", "DOL", "OMSL", "HIGH")
