"""PandAs as ophyd-async devices: `HDFPanda`, and `Panda` for those with other blocks.

```
async with init_devices():
    panda = HDFPanda("panda.example", "/data/today")

RE(bps.abs_set(panda.counter[1].out_capture, "Value", wait=True))
RE(fly(panda, num=1000))
```

All blocks and fields of the PandA are children of the device; their names are those
of the IOC-based device of ophyd-async, and so are the logics that work with them. The
modules next to this one: `panda_connector` makes the children, `panda_fields` says
which, `panda_backend` talks for them, `detector` makes a detector of it all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    Device,
    DeviceMock,
    PathProvider,
    SignalR,
    StaticPathProvider,
    UUIDFilenameProvider,
    callback_on_mock_put,  # pyright: ignore[reportUnknownVariableType]
    default_mock_class,  # pyright: ignore[reportUnknownVariableType]
    set_mock_value,
    walk_devices,
)
from ophyd_async.fastcs.panda import CommonPandaBlocks, PcapBlock

from beamfly.devices.detector import PandaDetector
from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_connector import PandaConnector
from beamfly.devices.panda_data import PandaData
from beamfly.devices.panda_link import PandaLink
from beamfly.errors import BadValue

CONTROL_PORT, DATA_PORT = 8888, 8889
CONFIGURATION = (
    "versions.panda_sw",
    "versions.fpga",
    "pcap.enable",
    "pcap.gate",
    "pcap.trig",
    "pcap.trig_edge",
    "pcap.shift_sum",
)
"""Signals that a descriptor has as configuration."""
LOCAL_CHILDREN = ("data", "report")
"""Children that a class declares but that are no blocks of the PandA."""


class ArmingMock(DeviceMock["Panda"]):
    """In mock mode arming makes PCAP active, and any directory will do."""

    async def connect(self, device: "Panda") -> None:
        """Couple the two."""
        set_mock_value(device.data.directory_exists, True)

        def follow(on: bool) -> None:
            set_mock_value(device.pcap.active, on)

        callback_on_mock_put(device.pcap.arm, follow)


@default_mock_class(ArmingMock)
class Panda(PandaDetector):
    """A PandA with PCAP, whatever its other blocks are.

    Args:
        host: Name or address, with `:port` if the control port is not the usual one.
        path_provider: Where files go; a directory gets files with unique names.
        name: Of the device.
        control_port: TCP port for commands.
        data_port: TCP port for frames.
    """

    pcap: PcapBlock
    data: PandaData
    _configured = False

    def __init__(
        self,
        host: str,
        path_provider: PathProvider | Path | str,
        name: str = "",
        *,
        control_port: int = CONTROL_PORT,
        data_port: int = DATA_PORT,
    ) -> None:
        host, control_port = split_port(host, control_port)
        session = PandaSession(PandaLink(host, control_port, data_port))
        hint = "use beamfly.devices.Panda, which needs no block but PCAP"
        connector = PandaConnector(session, LOCAL_CHILDREN, hint)
        # the logics need some of them
        connector.create_children_from_annotations(self)
        self.data.attach(session)
        self.add_pcap_logics(session, as_path_provider(path_provider))
        super().__init__(name=name, connector=connector)

    async def connect(
        self,
        mock: bool | DeviceMock[Any] = False,
        timeout: float = DEFAULT_TIMEOUT,
        force_reconnect: bool = False,
    ) -> None:
        """Connect, and find out what the PandA is made of; see `Device.connect`.

        Raises:
            PandaNotConnected: It cannot be reached, or lacks a block of the class.
        """
        await super().connect(mock, timeout, force_reconnect)  # pyright: ignore[reportUnknownMemberType]
        if not mock and not self._configured:
            self._configured = True
            self.add_config_signals(*signals_at(self, CONFIGURATION))  # pyright: ignore[reportUnknownMemberType]

    @property
    def address(self) -> str:
        """Host and control port of the PandA."""
        return self._session.link.address

    async def disconnect(self) -> None:
        """Close the connection; `connect(force_reconnect=True)` makes it again."""
        await self.data.capture.set(False)
        await self._session.link.close()


class HDFPanda(CommonPandaBlocks, Panda):
    """A PandA with the blocks that most have: PULSE, SEQ, PCOMP, PCAP.

    Takes the place of ophyd-async's device of that name, with a host where that has
    a PV prefix; see `Panda` for what else it takes.
    """

    data: PandaData  # pyright: ignore[reportIncompatibleVariableOverride]


def signals_at(device: Device, paths: Sequence[str]) -> list[SignalR[Any]]:
    """Signals below a device by their path, those that there are."""
    devices = walk_devices(device)
    found = (devices.get(path) for path in paths)
    return [signal for signal in found if isinstance(signal, SignalR)]


def split_port(host: str, port: int) -> tuple[str, int]:
    """Host and port from `host` or `host:port`; BadValue if that is no port."""
    name, colon, number = host.rpartition(":")
    # an IPv6 address has colons of its own
    if not colon or (":" in name and not name.startswith("[")):
        return host, port
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise BadValue(f"{host!r} should be host or host:port; no device was made")
    return name.strip("[]"), int(number)


def as_path_provider(where: PathProvider | Path | str) -> PathProvider:
    """A path provider, also for a plain directory: unique names, made if need be."""
    if not isinstance(where, Path | str):
        return where
    directory = Path(where).expanduser().absolute()
    return StaticPathProvider(UUIDFilenameProvider(), directory, create_dir_depth=-1)
