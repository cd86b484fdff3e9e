"""Fields of EPICS records: which there are, and the English names that PyEpics has.

`field_of(kind, name)` turns either into the field. Only fields that a record has in
EPICS 7 are listed; a field that is not, in capitals, is taken as it is.
"""

import difflib

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
_MOTOR = """
acceleration ACCL, back_accel BACC, backlash BDST, back_speed BVEL, card CARD,
dial_high_limit DHLM, direction DIR, dial_low_limit DLLM, settle_time DLY,
done_moving DMOV, dial_readback DRBV, description DESC, dial_drive DVAL, units EGU,
encoder_step ERES, freeze_offset FOFF, move_fraction FRAC, hi_severity HHSV,
hi_alarm HIGH, hihi_alarm HIHI, high_limit HLM, high_limit_set HLS, hw_limit HLSV,
home_forward HOMF, home_reverse HOMR, high_op_range HOPR, high_severity HSV,
integral_gain ICOF, jog_accel JAR, jog_forward JOGF, jog_reverse JOGR, jog_speed JVEL,
last_dial_val LDVL, low_limit LLM, low_limit_set LLS, lo_severity LLSV, lolo_alarm LOLO,
low_op_range LOPR, low_alarm LOW, last_rel_val LRLV, last_dial_drive LRVL,
last_SPMG LSPG, low_severity LSV, last_drive LVAL, soft_limit LVIO, in_progress MIP,
missed MISS, moving MOVN, resolution MRES, motor_status MSTA, offset OFF,
output_mode OMSL, output OUT, prop_gain PCOF, precision PREC, readback RBV,
retry_max RTRY, retry_count RCNT, retry_deadband RDBD, dial_difference RDIF,
raw_encoder_pos REP, raw_high_limit RHLS, raw_low_limit RLLS, relative_value RLV,
raw_motor_pos RMP, raw_readback RRBV, readback_res RRES, raw_drive RVAL,
dial_speed RVEL, s_speed S, s_back_speed SBAK, s_base_speed SBAS, s_max_speed SMAX,
set SET, stop_go SPMG, s_revolutions SREV, stop_command STOP, t_direction TDIR,
tweak_forward TWF, tweak_reverse TWR, tweak_val TWV, use_encoder UEIP,
u_revolutions UREV, use_rdbl URIP, drive VAL, base_speed VBAS, slew_speed VELO,
version VERS, max_speed VMAX, use_home ATHM, deriv_gain DCOF, use_torque CNEN,
device_type DTYP, record_type RTYP, status STAT
"""

_MOTOR_WORDS = _MOTOR.replace(",", " ").split()
ALIASES: dict[str, dict[str, str]] = {
    "motor": dict(zip(_MOTOR_WORDS[::2], _MOTOR_WORDS[1::2], strict=True)),
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
