"""The fields of a simulated motor record, with the types that EPICS has for them."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from beamfly.ca import PV, RecordGroup

SEVERITIES = ("NO_ALARM", "MINOR", "MAJOR", "INVALID")


class StopGo(IntEnum):
    """SPMG: what the motor may do."""

    STOP = 0
    PAUSE = 1
    MOVE = 2
    """One move, then it pauses."""
    GO = 3


class Status(IntFlag):
    """Bits of MSTA."""

    DIRECTION = 1
    """The last move went up, in dial coordinates."""
    DONE = 2
    PLUS_LIMIT = 4
    HOME_LIMIT = 8
    HOME = 0x80
    PRESENT = 0x100
    """There is an encoder."""
    MOVING = 0x400
    MINUS_LIMIT = 0x2000
    HOMED = 0x4000


@dataclass(frozen=True)
class MotorSettings:
    """What a motor record starts with."""

    description: str = ""
    """DESC"""
    units: str = "mm"
    """EGU"""
    precision: int = 4
    """PREC"""
    velocity: float = 5.0
    """VELO, units per second."""
    fastest: float = 0.0
    """VMAX, units per second; 0 is no limit."""
    start_velocity: float = 0.0
    """VBAS: at which it starts and stops at once, units per second."""
    acceleration_time: float = 0.1
    """ACCL: seconds from VBAS to VELO."""
    limits: tuple[float, float] = (-100.0, 100.0)
    """DLLM and DHLM: soft limits in dial coordinates; equal ones are none."""
    offset: float = 0.0
    """OFF: user coordinates are the dial's times direction plus this."""
    reversed: bool = False
    """DIR: whether user coordinates go the other way than the dial."""
    settle: float = 0.0
    """DLY: seconds from arrival until it counts as done."""


_WHOLE = """
MISS 0 LVIO 0 TDIR 0 ATHM 0 RHLS 0 RLLS 0 HLS 0 LLS 0 DMOV 1 MOVN 0 CARD 0 MIP 0
RCNT 0
"""
"""Whole numbers that clients only read: SHORT."""
_LONG_READ = "RRBV REP RMP RDIF RVEL MSTA LRVL"
_BUTTONS = "STOP TWF TWR JOGF JOGR HOMF HOMR SYNC"
_READ = "RBV DRBV DIFF LVAL LDVL LRLV"
"""Real numbers in the user's units that clients only read."""
_PLAIN = "BDST SDBD RRES"
_GAINS = "PCOF ICOF DCOF"
_YES = ("No", "Yes")
_MENUS: dict[str, tuple[tuple[str, ...], int]] = {
    "SPMG": (("Stop", "Pause", "Move", "Go"), 3),
    "LSPG": (("Stop", "Pause", "Move", "Go"), 3),
    "SET": (("Use", "Set"), 0),
    "FOFF": (("Variable", "Frozen"), 0),
    "DIR": (("Pos", "Neg"), 0),
    "CNEN": (("Disable", "Enable"), 1),
    "UEIP": (_YES, 0),
    "URIP": (_YES, 0),
    "NTM": (("NO", "YES"), 1),
    "OMSL": (("supervisory", "closed_loop"), 0),
    "STUP": (("OFF", "ON", "BUSY"), 0),
    "RMOD": (("Default", "Arithmetic", "Geometric", "In-Position"), 0),
    "HLSV": (SEVERITIES, 0),
    "DTYP": (("Simulated motor",), 0),
}
_READ_MENUS = ("LSPG", "DTYP")
_TEXTS = ("OUT", "RDBL", "DOL", "RLNK", "STOO", "DINP", "RINP", "PREM", "POST", "INIT")
STEPS_PER_TURN = 200


def motor_record(settings: MotorSettings, resolution: float) -> RecordGroup:
    """A motor record at rest at 0, without any behaviour.

    Args:
        settings: What it starts with.
        resolution: MRES and ERES: units per step of the motor and of its encoder.
    """
    speed, unit = settings.velocity, settings.units
    per_second = f"{unit}/s"
    shown: dict[str, Any] = {"units": per_second, "precision": settings.precision}

    def velocity(value: float) -> PV:
        return PV(value, **shown)

    def seconds(value: float) -> PV:
        return PV(value, units="s", precision=3)

    def resolved(value: float) -> PV:
        return PV(value, units=unit, precision=7, writable=False)

    turn = STEPS_PER_TURN * resolution
    fields: dict[str, Any] = {
        "VAL": PV(
            0.0,
            units=unit,
            precision=settings.precision,
            description=settings.description,
        ),
        # real numbers given as such have the units and digits of VAL
        **dict.fromkeys((*_READ.split(), "DVAL", "RLV", *_PLAIN.split()), 0.0),
        **{"HLM": 0.0, "LLM": 0.0, "TWV": 1.0, "OFF": float(settings.offset)},
        "DLLM": float(settings.limits[0]),
        "DHLM": float(settings.limits[1]),
        "RDBD": resolution,
        "RVAL": PV(0, type="long"),
        **{name: PV(0, type="long", writable=False) for name in _LONG_READ.split()},
        **_shorts(),
        **{name: PV(0, type="short") for name in (*_BUTTONS.split(), "RTRY")},
        **{name: velocity(speed) for name in ("VELO", "JVEL", "HVEL", "BVEL")},
        "VBAS": velocity(settings.start_velocity),
        "VMAX": velocity(settings.fastest),
        "ACCL": seconds(settings.acceleration_time),
        "BACC": seconds(settings.acceleration_time),
        "JAR": PV(speed / settings.acceleration_time, units=f"{unit}/s/s", precision=3),
        "DLY": seconds(settings.settle),
        **{"S": PV(speed / turn, units="rev/s"), "SBAK": PV(speed / turn)},
        **{"SBAS": PV(settings.start_velocity / turn), "SMAX": PV(0.0)},
        "MRES": resolved(resolution),
        "ERES": resolved(resolution),
        "UREV": resolved(turn),
        "SREV": PV(STEPS_PER_TURN, type="long", writable=False),
        "FRAC": PV(1.0, precision=2),
        **{name: PV(0.0, precision=3) for name in _GAINS.split()},
        "VERS": PV(7.2, type="float", precision=1, writable=False),
        **{
            name: PV(first, states=states, writable=name not in _READ_MENUS)
            for name, (states, first) in _MENUS.items()
        },
        **{name: PV("", writable=name != "OUT") for name in _TEXTS},
    }
    record = RecordGroup("motor", fields)
    for name in _READ.split():
        record.pvs[name].writable = False
    record["DIR"] = int(settings.reversed)
    return record


def _shorts() -> dict[str, PV]:
    words = _WHOLE.split()
    return {
        name: PV(int(value), type="short", writable=False)
        for name, value in zip(words[::2], words[1::2], strict=True)
    }
