"""Connect a device to a PandA: introspect, then fill the tree of devices in one go.

The connector of the whole device owns the session; those of its blocks are filled by
it and only pass things on. The blocks and signals that a device class declares are
created at once, so that they can be referred to; all others appear on connection. A
later connection to the same PandA keeps every signal, so references stay good.
"""

from collections.abc import Iterable
from typing import Any, cast, get_origin, get_type_hints

from ophyd_async.core import (
    Command,
    Device,
    DeviceConnector,
    DeviceFiller,
    DeviceMock,
    DeviceVector,
    Signal,
    SignalR,
    SignalRW,
    SignalW,
    TriggerableCommand,
    soft_signal_rw,
)

from beamfly.devices.panda_backend import (
    PandaCommandBackend,
    PandaSession,
    PandaSignalBackend,
)
from beamfly.devices.panda_fields import Access, SignalSpec
from beamfly.devices.panda_link import PandaNotConnected
from beamfly.devices.panda_tree import (
    VERSIONS_NODE,
    BlockNode,
    Introspect,
    PandaTree,
)
from beamfly.errors import BeamflyError

_SIGNALS: dict[Access, type[Signal[Any]]] = {
    Access.READ: SignalR,
    Access.READ_WRITE: SignalRW,
    Access.WRITE: SignalW,
}

Filler = DeviceFiller[PandaSignalBackend[Any], "BlockConnector", PandaCommandBackend]


class BlockConnector(DeviceConnector):
    """Of a block, or of a vector of blocks: filled from above."""

    mock_vector_children = (1, 2)
    """Which instances a declared vector has in mock mode."""

    filler: Filler | None = None
    _filled = False

    def create_children_from_annotations(self, device: Device) -> None:
        """Create what the class of the device declares; further calls do nothing."""
        if self.filler is not None:
            return
        self.filler = filler = DeviceFiller(
            device=device,
            signal_backend_factory=PandaSignalBackend,
            device_connector_factory=BlockConnector,
            command_backend_factory=PandaCommandBackend.of_signature,
        )
        for creation in (
            filler.create_signals_from_annotations(filled=False),
            filler.create_commands_from_annotations(filled=False),
            filler.create_devices_from_annotations(filled=False),
        ):
            list(creation)
        filler.check_created()

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Give a declared vector two instances to play with."""
        if isinstance(device, DeviceVector) and self.filler is not None:
            if not cast(DeviceVector[Any], device):
                children = list(self.mock_vector_children)
                self.filler.create_device_dict_entries_to_mock(children)
            device.set_name(device.name)
        await super().connect_mock(  # pyright: ignore[reportUnknownMemberType]
            cast(Device, device), mock
        )

    def fill_vector(
        self, device: DeviceVector[Any], session: PandaSession, node: BlockNode
    ) -> None:
        """Make one child per instance of the block and fill it."""
        filler = self._open_filler()
        for number, specs in node.instances.items():
            connector = filler.fill_child_device(device.name, map_key=number)
            connector.fill_block(device[number], session, specs, node.name)
        # what mock mode made up and the PandA does not have
        for number in set(device) - set(node.instances):
            del device[number]

    def fill_block(
        self,
        device: Device,
        session: PandaSession,
        specs: Iterable[SignalSpec],
        source: str,
    ) -> None:
        """Make or fill the signals of one block."""
        filler = self._open_filler()
        for spec in specs:
            if spec.access is Access.LOCAL:
                name = session.dataset_signals.setdefault(
                    spec.capture, soft_signal_rw(str)
                )
                setattr(device, spec.name, name)
            elif spec.access is Access.TRIGGER:
                _fill_command(filler, spec.name).fill(session, spec)
            else:
                _fill_signal(filler, spec).fill(session, spec)
        filler.check_filled(f"block {source} of PandA {session.link.address}")

    def _open_filler(self) -> Filler:
        if self.filler is None:
            raise RuntimeError("The connector was given to no device")
        return self.filler


def _free(name: str) -> str:
    """The name, with an underscore if every device has something of that name."""
    return f"{name}_" if hasattr(Device, name) else name


def _fill_signal(filler: Filler, spec: SignalSpec) -> PandaSignalBackend[Any]:
    kind = _SIGNALS[spec.access]
    return filler.fill_child_signal(_free(spec.name), kind)  # pyright: ignore[reportUnknownMemberType]


def _fill_command(filler: Filler, name: str) -> PandaCommandBackend:
    try:
        return filler.fill_child_command(_free(name), TriggerableCommand)  # pyright: ignore[reportUnknownMemberType]
    except NameError:
        # a word of bluesky's; for signals the filler sees to that itself
        return filler.fill_child_command(f"{name}_", TriggerableCommand)  # pyright: ignore[reportUnknownMemberType]


def _needed_blocks(device_class: type[Device]) -> set[str]:
    """Children that a class declares, but for signals and what may be None."""
    return {
        name
        for name, hint in get_type_hints(device_class).items()
        if isinstance(kind := get_origin(hint) or hint, type)
        and issubclass(kind, Device)
        and not issubclass(kind, Signal | Command)
        and not name.startswith("_")
    }


class PandaConnector(BlockConnector):
    """Of the whole device: connects, introspects, fills everything below.

    Args:
        session: The PandA.
        local: Names of declared children that are not blocks of the PandA.
        hint: What to do if a declared block is missing, for the error message.
    """

    def __init__(
        self, session: PandaSession, local: Iterable[str] = (), hint: str = ""
    ) -> None:
        self.session = session
        self.tree: PandaTree | None = None
        self._local = tuple(local)
        self._hint = hint

    async def connect_real(
        self, device: Device, timeout: float, force_reconnect: bool
    ) -> None:
        """Connect; the first time fill the device, later check that it still fits.

        Raises:
            PandaNotConnected: The PandA cannot be reached, is none, or lacks a block
                that the device class declares.
        """
        await self.session.link.open(timeout)
        try:
            tree = await self.session.link.send(Introspect())
        except BeamflyError as error:
            raise PandaNotConnected(str(error)) from error
        if self.tree is None:
            self._fill(device, tree)
        elif tree.blocks != self.tree.blocks:
            raise PandaNotConnected(self._changed(tree, self.tree))
        self.tree = tree
        self.session.poller.restart()
        await super().connect_real(device, timeout, force_reconnect)

    def _changed(self, now: PandaTree, before: PandaTree) -> str:
        names = sorted(
            name
            for name in {*now.blocks, *before.blocks}
            if now.blocks.get(name) != before.blocks.get(name)
        )
        return (
            f"PandA {self.session.link.address} is not what it was: its blocks "
            f"{', '.join(names)} changed; make a new device for it"
        )

    def _fill(self, device: Device, tree: PandaTree) -> None:
        self._check_declared(device, tree)
        filler = self._open_filler()
        # without a name, or each further child would name all others again
        name = device.name
        device.set_name("")
        try:
            for child in self._local:
                filler.fill_child_device(child)
            self._fill_child(device, VERSIONS_NODE)
            for node in tree.blocks.values():
                self._fill_child(device, node)
            filler.check_filled(f"PandA {self.session.link.address}")
        except (TypeError, RuntimeError) as error:
            msg = f"PandA {self.session.link.address} does not fit the device: {error}"
            raise PandaNotConnected(msg) from error
        finally:
            device.set_name(name)

    def _check_declared(self, device: Device, tree: PandaTree) -> None:
        needed = _needed_blocks(type(device)) - set(self._local)
        missing = sorted(needed - set(tree.blocks))
        if missing:
            msg = (
                f"PandA {self.session.link.address} has no block "
                f"{', '.join(missing).upper()}, which {type(device).__name__} needs"
            )
            raise PandaNotConnected(f"{msg}; {self._hint}" if self._hint else msg)

    def _fill_child(self, device: Device, node: BlockNode) -> None:
        declared: Any = getattr(device, node.attribute, None)
        count = len(node.instances)
        if declared is None:
            kind = cast(type[Device], DeviceVector) if count > 1 else Device
        else:
            kind = type(cast(Device, declared))
        filler = self._open_filler()
        connector = filler.fill_child_device(node.attribute, kind)
        child: Any = getattr(device, node.attribute)
        if isinstance(child, DeviceVector):
            vector = cast(DeviceVector[Any], child)
            connector.fill_vector(vector, self.session, node)
        elif count == 1:
            connector.fill_block(child, self.session, node.instances[1], node.name)
        else:
            msg = f"there are {count} blocks {node.name}, the class declares one"
            raise TypeError(msg)
