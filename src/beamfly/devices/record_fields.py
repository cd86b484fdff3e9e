"""Fields of a record on demand, and the check that a record is what it should be.

A motor has a hundred fields and nobody reads most of them: a device connects the few
that it works with, and `device.field("BDST")` reaches any other. It connects when it is
first used and is kept from then on.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, cast
from weakref import ReferenceType, ref

from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    Device,
    NotConnectedError,
    Signal,
    SignalRW,
    SignalW,
)

from beamfly.ca.client_circuit import ClientCircuit
from beamfly.ca.readings import readable
from beamfly.devices.ca import CaConnector, ca_signal_w, plain_pv
from beamfly.devices.ca_backend import CaSignalBackend
from beamfly.devices.ca_channels import server_of
from beamfly.devices.ca_finder import find
from beamfly.devices.ca_sought import CaAbsent, CaNotConnected
from beamfly.devices.record_names import FIELDS, field_of, with_article

TYPE_SECONDS = 0.5
"""How long RTYP is waited for when everything else of a device has connected."""


class WrongRecord(NotConnectedError):
    """A device was given a record of a type that it does not know how to use."""


class RecordField:
    """One field of a record; see `OnDemandFields.field`."""

    def __init__(self, device: Device, pv: str, field: str) -> None:
        self.name = field
        """Of the field, as EPICS has it."""
        self._device = device
        self._backend: CaSignalBackend[Any] = CaSignalBackend(None, pv, pv)
        self._signal: SignalRW[Any] | None = None
        self._refused_by: ReferenceType[ClientCircuit] | None = None

    async def signal(self) -> SignalRW[Any]:
        """The connected signal; NotConnectedError if there is no such field."""
        if self._signal is None:
            name = f"{self._device.name}-{self.name}"
            self._signal = SignalRW(self._backend, name=name)
        self._backend.neighbour = _neighbour(self._device)
        await _connect(self._signal, self._device)
        return self._signal

    async def get(self) -> Any:
        """The value: int, float, str, or an array."""
        if _is_mock(self._device):
            return await (await self.signal()).get_value()
        # without a signal: a motor has a hundred fields, and a signal has tasks
        backend = self._backend
        if backend.usable:
            return await backend.get_value_within(DEFAULT_TIMEOUT)
        backend.neighbour = _neighbour(self._device)
        device: Any = self._device
        return await backend.connect_and_get(device.field_seconds)

    async def get_if_there(self) -> Any:
        """The value, None if it cannot be had.

        What a server has refused is not asked for again over the same connection: an
        IOC has the fields of its records from the start.
        """
        refused_by = None if self._refused_by is None else self._refused_by()
        server = server_of(_neighbour(self._device))
        if refused_by is not None and refused_by is server:
            return None
        try:
            return await self.get()
        except CaAbsent:
            self._refused_by = None if server is None else ref(server)
            return None
        except (NotConnectedError, TimeoutError):
            return None

    async def set(self, value: Any, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Write a value, and wait until the record has processed it.

        Args:
            value: As the field has it.
            timeout: Seconds that it may take, None for ever.
        """
        await (await self.signal()).set(value, timeout=timeout)

    async def start(self, value: Any) -> None:
        """Write a value, and do not wait for what it sets off."""
        pv = (await self.signal()).source.removeprefix("mock+")
        writer: SignalW[Any] = ca_signal_w(None, pv, wait=False)
        await _connect(writer, self._device)
        await writer.set(value)


def _neighbour(device: Device) -> str:
    """A PV of the record that is connected when the device is."""
    for _, child in device.children():
        if isinstance(child, Signal):
            return child.source.removeprefix("ca://")
    return ""


def _is_mock(device: Any) -> bool:
    """Whether a device is connected to nothing."""
    return device._mock is not None  # noqa: SLF001


async def _connect(signal: Any, device: Any) -> None:
    """Connect a signal like its device: a mock device has mock fields."""
    mock = _is_mock(device)
    # to connect a mock again would make a new one, without what was set
    if not (mock and signal._mock is not None):  # noqa: SLF001
        await signal.connect(mock=mock, timeout=device.field_seconds)


class OnDemandFields:
    """What all devices have that stand for one record."""

    kind: ClassVar[str] = ""
    """Key of `record_names.FIELDS`."""
    field_seconds: float = 2.0
    """How long a field that was not used yet is looked for, if nobody refuses it."""
    record: str
    """Name of the record."""
    _on_demand: dict[str, RecordField]

    def field_pv(self, field: str) -> str:
        """The PV of a field."""
        return f"{self.record}.{field}"

    def field(self, name: str) -> RecordField:
        """A field of the record: `await motor.field("BDST").get()`.

        Args:
            name: As EPICS has it, or as PyEpics does: BDST or backlash.

        Raises:
            BadValue: It is no field.
        """
        field = field_of(self.kind, name)
        found = self._on_demand.get(field)
        if found is None:
            found = RecordField(cast(Device, self), self.field_pv(field), field)
            self._on_demand[field] = found
        return found

    async def read_fields(self) -> Mapping[str, Any]:
        """Every field that this kind of record can have -> value, None if absent."""
        names = FIELDS[self.kind]
        fields = [self.field(name).get_if_there() for name in names]
        return dict(zip(names, await asyncio.gather(*fields), strict=True))


def record_of(prefix: str) -> str:
    """The name of a record without protocol and VAL."""
    return plain_pv(prefix).removesuffix(".VAL")


class RecordConnector(CaConnector):
    """Connects the PVs of one record after a look at its type.

    Args:
        record: Its name.
        types: What RTYP may be; a server that has no RTYP is trusted.
    """

    def __init__(self, record: str, types: tuple[str, ...] = ()) -> None:
        super().__init__(record)
        self._record, self._types = record, types

    async def connect_real(
        self, device: Device, timeout: float, force_reconnect: bool
    ) -> None:
        """Connect everything; WrongRecord as soon as the type is known to be wrong."""
        connecting = asyncio.ensure_future(
            super().connect_real(device, timeout, force_reconnect)
        )
        checking = asyncio.ensure_future(self._check(device, timeout))
        try:
            await asyncio.wait(
                (connecting, checking), return_when=asyncio.FIRST_COMPLETED
            )
            if checking.done():
                checking.result()
            await connecting
            done, _ = await asyncio.wait((checking,), timeout=TYPE_SECONDS)
            if done:
                checking.result()
        finally:
            await _give_up(connecting, checking)
            if connecting.cancelled():
                _forget(device)

    async def _check(self, device: Device, timeout: float) -> None:
        if not self._types:
            return
        try:
            _, facts = await find(f"{self._record}.RTYP", timeout)
        except CaNotConnected:
            return
        if not isinstance(facts.initial, bytes):
            return
        found = readable(facts.initial)
        if found not in self._types:
            wanted = " or ".join(map(with_article, self._types))
            raise WrongRecord(
                f"{self._record} is {with_article(found)}, not {wanted}: "
                f"{type(device).__name__} cannot use it"
            )


async def _give_up(*tasks: "asyncio.Future[None]") -> None:
    """Cancel what is not done; errors of the rest are known or beside the point."""
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


def _forget(device: Device) -> None:
    """Have children connect anew next time: they would hand on the cancellation."""
    for _, child in device.children():
        child._connect_task = None  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        _forget(child)
