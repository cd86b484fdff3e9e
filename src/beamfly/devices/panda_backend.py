"""Signals and commands of a PandA device: what ophyd-async calls, as PandA commands.

A backend is empty until `fill` gives it the PandA and the spec of its field. A write
is followed by a read in the same round trip when somebody listens, so that what
listeners see is what the PandA made of it, at once.
"""

import inspect
import time
from typing import Any, Generic

from bluesky.protocols import Reading
from event_model import DataKey
from ophyd_async.core import (
    NO_ARG_VOID_SIGNATURE,
    Callback,
    CommandBackend,
    NotConnectedError,
    SignalBackend,
    SignalDatatypeT,
    SignalMetadata,
    SignalRW,
    make_datakey,
)

from beamfly.devices.panda_fields import (
    Access,
    SignalSpec,
    digits_of_step,
    digits_of_time,
)
from beamfly.devices.panda_link import PandaLink
from beamfly.devices.panda_poller import Monitor, PandaPoller, block_of
from beamfly.devices.panda_values import Codec
from beamfly.errors import BadValue, BeamflyError, RemoteProtocolError
from beamfly.panda.commands import Command, GetLine, Put

INVALID = 3
"""Alarm severity of a reading that could not be brought up to date."""


class PandaSession:
    """One PandA as its signals know it: the link, and the poller on top."""

    def __init__(self, link: PandaLink) -> None:
        self.link = link
        self.poller = PandaPoller(link)
        self.dataset_signals: dict[str, SignalRW[str]] = {}
        """By captured field: what its dataset is to be called, empty if no matter."""

    async def chosen_names(self) -> dict[str, str]:
        """Names chosen for datasets, by captured field; those left empty are not in."""
        names = {
            field: await signal.get_value()
            for field, signal in self.dataset_signals.items()
        }
        return {field: name for field, name in names.items() if name}

    def source(self, target: str) -> str:
        """Where a value comes from, such as panda://panda:8888/PULSE1.WIDTH."""
        return f"panda://{self.link.address}/{target}"

    async def write(
        self,
        tell: Command[None],
        ask: Command[Any] | None = None,
        starts: str = "",
    ) -> Any:
        """Write, and have the poller look what came of it.

        Args:
            tell: What writes.
            ask: What reads in the same round trip, None not to.
            starts: The block in which this may start something, empty if it cannot.

        Returns:
            What was read.
        """
        before = [self.poller.before_write()] if starts else []
        after = [] if ask is None else [ask]
        answers = await self.link.send_each(*before, tell, *after)
        if starts:
            self.poller.wrote(starts, answers.pop(0))
        self.poller.poke()
        for answer in answers:
            if isinstance(answer, BeamflyError):
                raise answer
        return answers[-1]


class PandaSignalBackend(SignalBackend[SignalDatatypeT], Generic[SignalDatatypeT]):
    """One field or attribute of a PandA as the value of a signal."""

    def __init__(self, datatype: type[SignalDatatypeT] | None) -> None:
        super().__init__(datatype)
        self._declared = datatype
        self._session: PandaSession | None = None
        self._spec: SignalSpec | None = None
        self._codec: Codec[SignalDatatypeT] | None = None
        self._monitor: Monitor | None = None
        self._callback: Callback[Reading[SignalDatatypeT]] | None = None
        self._last: Any = None
        self._reading: Reading[SignalDatatypeT] | None = None
        self._setpoint: SignalDatatypeT | None = None

    def fill(self, session: PandaSession, spec: SignalSpec) -> None:
        """Say which field it is; TypeError if the declared datatype is not its own."""
        codec = spec.codec
        if self._declared is not None:
            codec = codec.declared_as(self._declared, spec.target)
        self._session, self._spec, self._codec = session, spec, codec
        self.datatype = codec.datatype

    def _filled(self) -> tuple[PandaSession, SignalSpec, Codec[SignalDatatypeT]]:
        if self._session is None or self._spec is None or self._codec is None:
            raise NotConnectedError("The signal has no PandA yet: connect its device")
        return self._session, self._spec, self._codec

    def source(self, name: str, read: bool) -> str:
        """Such as panda://panda:8888/PULSE1.WIDTH, empty until connected."""
        if self._session is None or self._spec is None:
            return ""
        return self._session.source(self._spec.target)

    async def connect(self, timeout: float) -> None:
        """Check that the device has filled it; the device made the connection."""
        self._filled()

    async def put(self, value: SignalDatatypeT | None) -> None:
        """Write; what the PandA makes of it goes to the listener at once."""
        session, spec, codec = self._filled()
        if value is None:
            raise BadValue(f"{spec.target} needs a value; nothing was sent")
        ask = codec.ask(spec.target) if self._callback is not None else None
        starts = block_of(spec.target) if spec.starts else ""
        answer = await session.write(codec.tell(spec.target, value), ask, starts)
        self._setpoint = value
        if ask is not None:
            self._deliver(answer)

    async def get_value(self) -> SignalDatatypeT:
        """Ask the PandA."""
        session, spec, codec = self._filled()
        return self._decode(await session.link.send(codec.ask(spec.target)))

    async def get_reading(self) -> Reading[SignalDatatypeT]:
        """Ask the PandA; the time is that of the answer."""
        return _reading(await self.get_value())

    async def get_setpoint(self) -> SignalDatatypeT:
        """What was last written from here, else the value itself."""
        if self._setpoint is None:
            return await self.get_value()
        return self._setpoint

    async def get_datakey(self, source: str) -> DataKey:
        """Data type, limits or choices, and units as they are now."""
        session, spec, codec = self._filled()
        fields = [name for name in (spec.units_field, spec.scale_field) if name]
        answer, *texts = await session.link.send_each(
            codec.ask(spec.target), *map(GetLine, fields)
        )
        for result in (answer, *texts):
            if isinstance(result, BeamflyError):
                raise result
        known = dict(zip(fields, texts, strict=True))
        metadata = _metadata(spec, codec, known)
        return make_datakey(codec.datatype, self._decode(answer), source, metadata)

    def set_callback(self, callback: Callback[Reading[SignalDatatypeT]] | None) -> None:
        """Have the poller tell of changes, or no longer; the first reading follows."""
        session, spec, codec = self._filled()
        if callback is not None and self._callback is not None:
            raise RuntimeError("Cannot set a callback when one is already set")
        if self._monitor is not None:
            session.poller.remove(self._monitor)
            self._monitor = None
        self._callback = callback
        self._last = None
        self._reading = None
        if callback is not None:
            self._monitor = Monitor(
                spec.target,
                spec.groups,
                spec.triggers,
                codec.ask(spec.target),
                self._deliver,
                self._fail,
            )
            session.poller.add(self._monitor)

    def _decode(self, answer: Any) -> SignalDatatypeT:
        session, spec, codec = self._filled()
        try:
            return codec.decode(answer)
        except ValueError as error:
            msg = (
                f"PandA {session.link.address} answered {str(answer)[:80]!r} for "
                f"{spec.target}, which is no {codec.datatype.__name__}"
            )
            raise RemoteProtocolError(msg) from error

    def _deliver(self, answer: Any) -> None:
        """Tell the listener, unless it knows."""
        stale = self._reading is not None and self._reading.get("alarm_severity")
        if self._callback is None or (answer == self._last and not stale):
            return
        self._last = answer
        self._reading = _reading(self._decode(answer))
        self._callback(self._reading)

    def _fail(self, error: BeamflyError) -> None:
        """Tell the listener, once, that what it has is out of date."""
        reading = self._reading
        if self._callback is None or reading is None or reading.get("alarm_severity"):
            return
        self._reading = Reading(
            value=reading["value"],
            timestamp=time.time(),
            alarm_severity=INVALID,
            message=str(error),
        )
        self._callback(self._reading)


def _reading(value: SignalDatatypeT) -> Reading[SignalDatatypeT]:
    return Reading(value=value, timestamp=time.time(), alarm_severity=0)


def _metadata(
    spec: SignalSpec, codec: Codec[Any], known: dict[str, str]
) -> SignalMetadata:
    """Units, precision, limits, choices; `known` has the fields they depend on."""
    units = known.get(spec.units_field, spec.units)
    # what was never set reads back as this
    units = "" if units == "(null)" else units
    precision = spec.precision
    if spec.scale_field:
        precision = digits_of_step(float(known[spec.scale_field]))
    elif spec.units_field:
        precision = digits_of_time(units or "s")
    metadata = codec.metadata(spec.access is Access.READ_WRITE)
    if units is not None:
        metadata["units"] = units
    if precision is not None:
        metadata["precision"] = precision
    return metadata


class PandaCommandBackend(CommandBackend[[], None]):
    """An action of a PandA."""

    def __init__(self) -> None:
        super().__init__(NO_ARG_VOID_SIGNATURE)
        self._session: PandaSession | None = None
        self._target = ""

    @classmethod
    def of_signature(cls, signature: inspect.Signature | None) -> "PandaCommandBackend":
        """For a declared command; actions of a PandA take and return nothing."""
        if signature is not None and signature != NO_ARG_VOID_SIGNATURE:
            raise TypeError(f"Actions of a PandA take and return nothing: {signature}")
        return cls()

    def fill(self, session: PandaSession, spec: SignalSpec) -> None:
        """Say which field it is."""
        self._session, self._target = session, spec.target

    def source(self, name: str) -> str:
        """Such as panda://panda:8888/SFP3_SYNC_IN.SYNC_RESET, empty until connected."""
        return "" if self._session is None else self._session.source(self._target)

    def _filled(self) -> PandaSession:
        if self._session is None:
            raise NotConnectedError("The command has no PandA yet: connect its device")
        return self._session

    async def connect(self, timeout: float) -> None:
        """Check that the device has filled it."""
        self._filled()

    async def execute(self) -> None:
        """Do it."""
        await self._filled().write(Put(self._target), starts=block_of(self._target))
