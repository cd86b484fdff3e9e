"""Devices for Bluesky: PandAs, EPICS records, scan servers, as ophyd-async has them.

Start with `HDFPanda`, with `Motor`, `AnalogIn` and its like for EPICS records, with
`ca_signal_rw` for any PV, with `ScanServerFlyer` for a scan server, or with
`use_native_ca`, which lets every EPICS device of ophyd-async run without libca.
Importing this package connects to nothing; names are imported when they are first used,
so that a signal of Channel Access does not wait for all that a PandA needs.
"""

from typing import TYPE_CHECKING

from beamfly.lazy import lazily

if TYPE_CHECKING:
    from beamfly.devices.ca import (
        CaConnector,
        ca_signal_r,
        ca_signal_rw,
        ca_signal_w,
        ca_signal_x,
    )
    from beamfly.devices.ca_transport import (
        native_ca_in_use,
        transport_of,
        use_native_ca,
    )
    from beamfly.devices.detector import PandaTriggerInfo
    from beamfly.devices.mca import Mca
    from beamfly.devices.motor import Motor
    from beamfly.devices.panda import HDFPanda, Panda
    from beamfly.devices.record import Severity
    from beamfly.devices.record_plans import (
        fields,
        get_field,
        home,
        jog,
        set_field,
        set_position,
        tweak,
    )
    from beamfly.devices.records import (
        AnalogIn,
        AnalogOut,
        BinaryIn,
        BinaryOut,
        Calc,
        LongIn,
        LongOut,
        MultiIn,
        MultiOut,
        StringIn,
        StringOut,
        pv,
    )
    from beamfly.devices.scaler import Scaler
    from beamfly.devices.scan_flyer import ScanServerFlyer
    from beamfly.devices.scan_hdf_flyer import ScanServerHdfFlyer
    from beamfly.devices.scan_plan import ScanPlan
    from beamfly.devices.struck import Struck
    from beamfly.devices.transform import Transform

_HOMES = {
    "beamfly.devices.ca": (
        *("CaConnector", "ca_signal_r", "ca_signal_rw", "ca_signal_w"),
        "ca_signal_x",
    ),
    "beamfly.devices.ca_transport": (
        *("native_ca_in_use", "transport_of", "use_native_ca"),
    ),
    "beamfly.devices.detector": ("PandaTriggerInfo",),
    "beamfly.devices.mca": ("Mca",),
    "beamfly.devices.motor": ("Motor",),
    "beamfly.devices.panda": ("HDFPanda", "Panda"),
    "beamfly.devices.record": ("Severity",),
    "beamfly.devices.record_plans": (
        *("fields", "get_field", "home", "jog", "set_field", "set_position", "tweak"),
    ),
    "beamfly.devices.records": (
        *("AnalogIn", "AnalogOut", "BinaryIn", "BinaryOut", "Calc", "LongIn"),
        *("LongOut", "MultiIn", "MultiOut", "StringIn", "StringOut", "pv"),
    ),
    "beamfly.devices.scaler": ("Scaler",),
    "beamfly.devices.scan_flyer": ("ScanServerFlyer",),
    "beamfly.devices.scan_hdf_flyer": ("ScanServerHdfFlyer",),
    "beamfly.devices.scan_plan": ("ScanPlan",),
    "beamfly.devices.struck": ("Struck",),
    "beamfly.devices.transform": ("Transform",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = [
    "AnalogIn",
    "AnalogOut",
    "BinaryIn",
    "BinaryOut",
    "CaConnector",
    "Calc",
    "HDFPanda",
    "LongIn",
    "LongOut",
    "Mca",
    "Motor",
    "MultiIn",
    "MultiOut",
    "Panda",
    "PandaTriggerInfo",
    "Scaler",
    "ScanPlan",
    "ScanServerFlyer",
    "ScanServerHdfFlyer",
    "Severity",
    "StringIn",
    "StringOut",
    "Struck",
    "Transform",
    "ca_signal_r",
    "ca_signal_rw",
    "ca_signal_w",
    "ca_signal_x",
    "fields",
    "get_field",
    "home",
    "jog",
    "native_ca_in_use",
    "pv",
    "set_field",
    "set_position",
    "transport_of",
    "tweak",
    "use_native_ca",
]


__getattr__, __dir__ = lazily(__name__, _HOME)
