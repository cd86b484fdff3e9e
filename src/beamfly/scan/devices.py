"""The devices of one scan: PVs in use, under the names that the scan has for them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from beamfly.scan.channels import Channel, Channels
from beamfly.scan.info import DeviceInfo


@dataclass(frozen=True)
class Device:
    """A PV in use by a scan."""

    name: str
    """Name of the PV."""
    alias: str
    """What the scan called it first; logged under this name."""
    channel: Channel
    """The PV itself."""

    @property
    def status(self) -> str:
        """Its value, or `Disconnected`."""
        if not self.channel.connected:
            return "Disconnected"
        reading = self.channel.reading
        return "" if reading is None else reading.text

    def info(self) -> DeviceInfo:
        """What clients are told of it."""
        return DeviceInfo(self.name, self.alias, self.status)


class DeviceTable:
    """Opens PVs once, whatever names a scan has for them.

    Args:
        channels: where PVs come from.
        aliases: alias -> name of the PV.
        changed: called whenever one of them changes.
    """

    def __init__(
        self,
        channels: Channels,
        aliases: Mapping[str, str],
        changed: Callable[[], None],
    ):
        self._channels = channels
        self._aliases = aliases
        self._changed = changed
        self._by_pv: dict[str, Device] = {}
        self._by_name: dict[str, Device] = {}

    def open(self, name: str) -> Device:
        """The device of that name or alias, opened if need be.

        Raises:
            BadValue: there can be no such PV.
        """
        device = self._by_name.get(name)
        if device is not None:
            return device
        pv = self._aliases.get(name, name)
        device = self._by_pv.get(pv)
        if device is None:
            device = Device(pv, name, self._channels.open(pv, self._changed))
            self._by_pv[pv] = device
        self._by_name[name] = device
        return device

    def open_all(self, names: Iterable[str]) -> None:
        """Open several devices."""
        for name in names:
            self.open(name)

    def missing(self) -> Device | None:
        """A device that is not connected, None if all are."""
        for device in self._by_pv.values():
            if not device.channel.connected:
                return device
        return None

    def infos(self) -> list[DeviceInfo]:
        """What clients are told of all devices, by name."""
        return [self._by_pv[name].info() for name in sorted(self._by_pv)]

    def close(self) -> list[DeviceInfo]:
        """Give up all PVs; what clients are told from now on."""
        devices = sorted(self._by_pv.values(), key=lambda device: device.name)
        for device in devices:
            device.channel.close()
        self._by_pv.clear()
        self._by_name.clear()
        return [DeviceInfo(device.name, device.alias) for device in devices]
