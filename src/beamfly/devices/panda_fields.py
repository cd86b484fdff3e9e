"""From the fields of a PandA to the signals of a device: one table, looked up by type.

`field_signals` gives the specs of one field: attribute names, addresses, codecs.
Nothing here talks to a PandA; `panda_tree` asks for the fields, `panda_backend`
makes signals of the specs.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

from ophyd_async.fastcs.panda import PandaBitMux, PandaPosMux, PandaTimeUnits

from beamfly.devices.panda_tables import TableCodec, make_table
from beamfly.devices.panda_values import (
    ArmCodec,
    BoolCodec,
    Codec,
    EnumCodec,
    FloatCodec,
    GroupCaptureCodec,
    IntCodec,
    TextCodec,
    VersionCodec,
    make_enum,
)
from beamfly.panda.commands import ChangeGroup
from beamfly.panda.responses import (
    BitMuxFieldInfo,
    BitOutFieldInfo,
    EnumFieldInfo,
    ExtOutFieldInfo,
    FieldInfo,
    PosMuxFieldInfo,
    PosOutFieldInfo,
    ScalarFieldInfo,
    TableFieldInfo,
    UintFieldInfo,
)


class Access(Enum):
    """What can be done with a signal."""

    READ = "r"
    READ_WRITE = "rw"
    WRITE = "w"
    TRIGGER = "x"
    """A command without a value."""
    LOCAL = "local"
    """Kept here, never sent."""


@dataclass(frozen=True)
class SignalSpec:
    """One signal (or command) of a block."""

    name: str
    """Attribute of the device, before an underscore is added to reserved names."""
    target: str
    """What is asked for and written, such as COUNTER1.OUT.SCALE."""
    codec: Codec[Any]
    """How its values travel."""
    access: Access = Access.READ_WRITE
    """What can be done with it."""
    groups: tuple[ChangeGroup, ...] = ()
    """Change groups that tell of it; none if it cannot be monitored."""
    triggers: tuple[str, ...] = ()
    """Fields whose change means that it is to be asked for again; if there are none
    a change report states its value.
    """
    units: str | None = None
    """Fixed units, None if there are none or they can change."""
    units_field: str = ""
    """Field that has the units, empty if they are fixed."""
    precision: int | None = None
    """Digits after the point, None if it is none or follows the units or scale."""
    scale_field: str = ""
    """Field whose value is one step of this one, empty if steps are known."""
    capture: str = ""
    """For a dataset name: the field that is captured under it."""
    starts: bool = False
    """Whether writing it may start something that shows in bits."""


_TICK = 8e-9
TIME_UNITS: Mapping[str, float] = MappingProxyType(
    {"min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
)
"""Units of a time -> seconds in one of them."""


def digits_of_step(step: float) -> int:
    """Digits after the point that tell two neighbouring multiples of `step` apart."""
    if not step or not math.isfinite(step):
        return 0
    return min(15, max(0, math.ceil(-math.log10(abs(step)) - 1e-9)))


def digits_of_time(units: str) -> int:
    """Digits after the point that show one 8 ns tick in these units."""
    return digits_of_step(_TICK / TIME_UNITS.get(units, 1.0))


def attribute_name(name: str) -> str:
    """The attribute for a block or field: lower case, no dashes or dots."""
    return re.sub(r"\W", "_", name.lower())


def _class_name(block: str, field: str) -> str:
    words = re.split(r"[_\W]+", f"{block}_{field}")
    return "".join(word.capitalize() for word in words)


@dataclass(frozen=True)
class Field:
    """One field of one block, about to become signals."""

    block: str
    """Kind of block, such as COUNTER."""
    number: str
    """Its number as text, empty if it is the only one."""
    name: str
    """Such as OUT."""
    info: Any
    """The FieldInfo that belongs to its type."""

    @property
    def path(self) -> str:
        """Such as COUNTER1.OUT."""
        return f"{self.block}{self.number}.{self.name}"

    def signal(
        self, codec: Codec[Any], access: Access, *groups: ChangeGroup, **more: Any
    ) -> SignalSpec:
        """The signal of the field itself."""
        name = attribute_name(self.name)
        return SignalSpec(name, self.path, codec, access, groups, **more)

    def attribute(
        self, attribute: str, codec: Codec[Any], *groups: ChangeGroup, **more: Any
    ) -> SignalSpec:
        """The signal of one of its attributes."""
        return SignalSpec(
            attribute_name(f"{self.name}_{attribute}"),
            f"{self.path}.{attribute}",
            codec,
            groups=groups,
            **more,
        )

    def enum(self, labels: list[str], suffix: str = "") -> EnumCodec:
        """A codec for these labels, with an enum named after the field."""
        known = [unit.value for unit in PandaTimeUnits]
        if labels == known:
            return EnumCodec(PandaTimeUnits, tuple(labels))
        name = _class_name(self.block, self.name) + suffix
        return EnumCodec(make_enum(name, tuple(labels)), tuple(labels))


Specs: TypeAlias = list[SignalSpec]
_Maker: TypeAlias = Callable[[Field, Access, tuple[ChangeGroup, ...]], Specs]


def _plain(codec: Codec[Any], starts: bool = False) -> _Maker:
    def make(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
        return [field.signal(codec, access, *groups, starts=starts)]

    return make


def _uint(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: UintFieldInfo = field.info
    return [field.signal(IntCodec(low=0, high=info.max_val), access, *groups)]


def _scalar(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: ScalarFieldInfo = field.info
    digits = digits_of_step(info.scale)
    return [
        field.signal(FloatCodec(), access, *groups, units=info.units, precision=digits)
    ]


def _enum(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: EnumFieldInfo = field.info
    return [field.signal(field.enum(info.labels), access, *groups)]


def _action(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    return [field.signal(TextCodec(), Access.TRIGGER)]


def _time(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    units = field.attribute(
        "UNITS", field.enum(field.info.units_labels, "Units"), ChangeGroup.ATTR
    )
    value = field.signal(FloatCodec(), access, *groups, units_field=units.target)
    return [value, units]


def _bit_out(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: BitOutFieldInfo = field.info
    capture = SignalSpec(
        attribute_name(f"{field.name}_capture"),
        f"{info.capture_word}.CAPTURE",
        GroupCaptureCodec(),
        groups=(ChangeGroup.ATTR,),
    )
    return [field.signal(BoolCodec(), Access.READ, ChangeGroup.BITS), capture]


def _dataset(field: Field) -> SignalSpec:
    return field.attribute(
        "DATASET", TextCodec(), access=Access.LOCAL, capture=field.path
    )


def _pos_out(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: PosOutFieldInfo = field.info
    units, scale, offset = (f"{field.path}.{a}" for a in ("UNITS", "SCALE", "OFFSET"))
    scaled = SignalSpec(
        attribute_name(f"{field.name}_scaled"),
        f"{field.path}.SCALED",
        FloatCodec(),
        Access.READ,
        (ChangeGroup.POSN, ChangeGroup.ATTR),
        triggers=(field.path, scale, offset),
        units_field=units,
        scale_field=scale,
    )
    attr = ChangeGroup.ATTR
    return [
        field.signal(IntCodec(), Access.READ, ChangeGroup.POSN),
        field.attribute("SCALE", FloatCodec(), attr),
        field.attribute(
            "OFFSET", FloatCodec(), attr, units_field=units, scale_field=scale
        ),
        field.attribute("UNITS", TextCodec(), attr),
        scaled,
        field.attribute("CAPTURE", field.enum(info.capture_labels, "Capture"), attr),
        _dataset(field),
    ]


def _ext_out(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: ExtOutFieldInfo = field.info
    codec = field.enum(info.capture_labels, "Capture")
    return [field.attribute("CAPTURE", codec, ChangeGroup.ATTR), _dataset(field)]


def _bit_mux(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: BitMuxFieldInfo = field.info
    delay = IntCodec(low=0, high=info.max_delay)
    return [
        field.signal(
            EnumCodec(PandaBitMux, tuple(info.labels)),
            access,
            ChangeGroup.CONFIG,
            starts=True,
        ),
        field.attribute("DELAY", delay, ChangeGroup.ATTR),
    ]


def _pos_mux(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: PosMuxFieldInfo = field.info
    codec = EnumCodec(PandaPosMux, tuple(info.labels))
    return [field.signal(codec, access, ChangeGroup.CONFIG)]


def _table(field: Field, access: Access, groups: tuple[ChangeGroup, ...]) -> Specs:
    info: TableFieldInfo = field.info
    table = make_table(_class_name(field.block, field.name), info)
    codec = TableCodec(table, info=info)
    return [
        field.signal(codec, access, ChangeGroup.TABLE, triggers=(field.path,)),
    ]


_SUBTYPES: Mapping[str | None, _Maker] = MappingProxyType(
    {
        "uint": _uint,
        "int": _plain(IntCodec()),
        "scalar": _scalar,
        "bit": _plain(BoolCodec(), starts=True),
        "action": _action,
        "lut": _plain(TextCodec()),
        "enum": _enum,
        "time": _time,
    }
)
"""Subtype of a param, read or write field -> what makes its signals."""

_TYPES: Mapping[str, _Maker] = MappingProxyType(
    {
        "time": _time,
        "bit_out": _bit_out,
        "pos_out": _pos_out,
        "ext_out": _ext_out,
        "bit_mux": _bit_mux,
        "pos_mux": _pos_mux,
        "table": _table,
    }
)
"""Type of any other field -> what makes its signals."""

_ACCESS: Mapping[str, tuple[Access, tuple[ChangeGroup, ...]]] = MappingProxyType(
    {
        "param": (Access.READ_WRITE, (ChangeGroup.CONFIG,)),
        "read": (Access.READ, (ChangeGroup.READ,)),
        "write": (Access.WRITE, ()),
    }
)
"""Type with subtypes -> what can be done with it, and what tells of its changes."""


def field_signals(block: str, number: str, name: str, info: FieldInfo) -> Specs:
    """The signals that one field becomes; none for a type that is not known."""
    maker = _TYPES.get(info.type)
    if maker is None and info.type in _ACCESS:
        maker = _SUBTYPES.get(info.subtype)
    if maker is None:
        return []
    config = (Access.READ_WRITE, (ChangeGroup.CONFIG,))
    access, groups = _ACCESS.get(info.type, config)
    return maker(Field(block, number, name, info), access, groups)


def label_signal(key: str) -> SignalSpec:
    """The label that users gave a block, kept under this metadata key."""
    target = f"*METADATA.{key}"
    return SignalSpec(
        "label", target, TextCodec(), Access.READ, (ChangeGroup.METADATA,)
    )


ARM = SignalSpec(
    "arm",
    "*PCAP.STATUS",
    ArmCodec(),
    groups=(ChangeGroup.BITS,),
    triggers=("PCAP.ACTIVE",),
    starts=True,
)
"""Armed or not, of the block PCAP."""

VERSIONS = tuple(
    SignalSpec(name, "*IDN", VersionCodec(pattern=pattern), Access.READ)
    for name, pattern in (
        ("panda_sw", r"SW: (.*?) FPGA:"),
        ("fpga", r"FPGA: (.*?) rootfs:"),
        ("rootfs", r"rootfs: (.*)$"),
    )
)
"""Versions of a PandA's software."""
