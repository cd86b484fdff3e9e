"""Fields of EPICS records: which there are, and the English names that PyEpics has.

`field_of(kind, name)` turns either into the field. Only fields that a record has in
EPICS 7 are listed; a field that is not, in capitals, is taken as it is.
"""

import difflib

from beamfly.ca.motor_fields import MOTOR_FIELDS
from beamfly.errors import BadValue

COMMON = (
    "NAME DESC ASG SCAN PINI PHAS EVNT TSE TSEL DTYP DISV DISA SDIS DISS PRIO FLNK "
    "STAT SEVR ACKS ACKT UDF RTYP"
).split()
"""Fields that every record has."""
_ALARM_LIMITS = "HIHI LOLO HIGH LOW HHSV LLSV HSV LSV HYST ADEL MDEL"
_DISPLAY = "EGU HOPR LOPR"
_LINEAR = "LINR RVAL ROFF EGUF EGUL AOFF ASLO ESLO EOFF"
_SIMULATION = "SIOL SIML SIMM SIMS"
_STATES = (
    "ZRST ONST TWST THST FRST FVST SXST SVST EIST NIST TEST ELST TVST TTST FTST FFST"
)
_ARGUMENTS = " ".join(f"INP{letter}" for letter in "ABCDEFGHIJKL")
ALIASES: dict[str, dict[str, str]] = {
    "motor": MOTOR_FIELDS,
}
"""Kind of record -> English name -> field."""
FIELDS: dict[str, tuple[str, ...]] = {
    kind: tuple(dict.fromkeys((*text.split(), *COMMON)))
    for kind, text in {
        "ai": f"VAL {_DISPLAY} PREC INP {_LINEAR} SMOO {_ALARM_LIMITS} {_SIMULATION}",
        "ao": f"VAL {_DISPLAY} PREC OUT {_LINEAR} {_ALARM_LIMITS} OMSL DOL OIF DRVH "
        f"DRVL OROC OVAL IVOA IVOV {_SIMULATION}",
        "longin": f"VAL {_DISPLAY} INP {_ALARM_LIMITS} {_SIMULATION}",
        "longout": f"VAL {_DISPLAY} OUT {_ALARM_LIMITS} OMSL DOL DRVH DRVL IVOA IVOV "
        f"{_SIMULATION}",
        "bi": f"VAL INP ZNAM ONAM RVAL ZSV OSV COSV MASK ORAW LALM MLST {_SIMULATION}",
        "bo": f"VAL OUT DOL OMSL ZNAM ONAM RVAL HIGH ZSV OSV COSV MASK ORAW RBV ORBV "
        f"LALM MLST IVOA IVOV {_SIMULATION}",
        "mbbi": f"VAL INP RVAL {_STATES} UNSV COSV MASK ORAW NOBT SHFT {_SIMULATION}",
        "mbbo": f"VAL OUT DOL OMSL RVAL {_STATES} UNSV COSV MASK ORAW NOBT SHFT RBV "
        f"ORBV IVOA IVOV {_SIMULATION}",
        "stringin": f"VAL INP OVAL {_SIMULATION}",
        "stringout": f"VAL OUT DOL OMSL OVAL IVOA IVOV {_SIMULATION}",
        "calc": f"VAL CALC {_ARGUMENTS} A B C D E F G H I J K L {_DISPLAY} PREC "
        f"{_ALARM_LIMITS}",
        "scaler": "VAL FREQ CNT CONT TP TP1 T RATE RAT1 DLY DLY1 NCH OUT COUT COUTP "
        "PREC EGU VERS CARD US PCNT",
        "transform": " ".join(
            field.format(row)
            for field in ("{}", "INP{}", "CLC{}", "OUT{}", "CMT{}", "L{}")
            for row in "ABCDEFGHIJKLMNOP"
        )
        + " COPT PREC",
        "mca": "VAL NMAX NORD NUSE FTVL PREC EGU HOPR LOPR STRT ERST STOP ACQG READ "
        "RDNG ERAS CHAS SEQ DWEL PSCL PRTM PLTM PCT PCTL PCTH PSWP MODE CALO CALS CALQ "
        "TTH ERTM ELTM DTIM IDTIM STIM RTIM ACT NACK INP VERS",
        "motor": " ".join(ALIASES["motor"].values()),
    }.items()
}
FIELDS["struck"] = tuple(
    "ChannelAdvance Prescale EraseStart EraseAll StartAll StopAll PresetReal "
    "ElapsedReal Dwell Acquiring NuseAll CurrentChannel MaxChannels CountOnStart "
    "InitialChannelAdvance SoftwareChannelAdvance Channel1Source ReadAll DoReadAll "
    "InputMode OutputMode MUXOutput AcquireMode Model Firmware".split()
)
"""Kind of record -> its fields, those of every record last.

A multi-channel scaler is several records, and these are what their names end with.
"""


def field_of(kind: str, name: str) -> str:
    """The field that is meant; BadValue with suggestions if nobody can know.

    Args:
        kind: Key of FIELDS.
        name: Such as BDST, backlash, or another field in capitals, with $ for long
            text.
    """
    aliases = ALIASES.get(kind, {})
    if name in aliases:
        return aliases[name]
    if name in FIELDS.get(kind, ()):
        return name
    if name.isascii() and name.rstrip("$").isalnum() and name == name.upper():
        return name
    known = [*aliases, *FIELDS.get(kind, ()), *COMMON]
    near = difflib.get_close_matches(name, known) or difflib.get_close_matches(
        name.upper(), known
    )
    hint = f" (do you mean {' or '.join(near)}?)" if near else ""
    msg = (
        f"{with_article(kind)} record has no field {name!r}{hint}; nothing was read or "
        "written"
    )
    raise BadValue(msg)


def with_article(record_type: str) -> str:
    """Such as `an ai`, and `an mca`, which is spelled when it is read."""
    spelled = record_type.startswith(("mb", "mc", "ls"))
    return f"{'an' if spelled or record_type[:1] in 'aeiou' else 'a'} {record_type}"
