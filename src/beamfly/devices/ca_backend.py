"""Signals and commands of ophyd-async over beamfly's own Channel Access.

`CaSignalBackend` and `CaCommandBackend` take the arguments, have the attributes and
keep the rules of those in `ophyd_async.epics.core`, so that any EPICS device of
ophyd-async can be built of them: see `beamfly.devices.ca_transport`. Neither aioca nor
libca is needed.

A PV is looked for in the event loop that uses the signal, so a device that was
connected in the RunEngine's loop can be read in another one too.
"""

import math
import os
from typing import Any, Generic, cast

import numpy as np
from bluesky.protocols import Reading
from event_model import DataKey, Limits, LimitsRange
from ophyd_async.core import (
    Callback,
    SignalDatatypeT,
    SignalMetadata,
    make_datakey,
)
from ophyd_async.epics.core import EpicsCommandBackend, EpicsOptions

# not among the public names, but what EpicsDevice fills in is defined by it
from ophyd_async.epics.core._util import EpicsSignalBackend

from beamfly.ca.asyncio_channel import Channel
from beamfly.ca.asyncio_channel import Reading as CaReading
from beamfly.ca.dbr import ENUM_STRING_BYTES, LIMITS, Dbr, Family, promote
from beamfly.ca.message import Access
from beamfly.ca.payloads import Value
from beamfly.ca.readings import readable
from beamfly.ca.status import ECA_NOWTACCESS
from beamfly.devices.ca_channels import ChannelHold, hold_channel, server_of
from beamfly.devices.ca_converters import Converter, make_converter
from beamfly.devices.ca_finder import find, find_each
from beamfly.devices.ca_lost import found_again
from beamfly.devices.ca_subscription import CaSubscription
from beamfly.errors import CADisconnected, CAError, CARefused

COMMAND_TYPES = (Dbr.SHORT, Dbr.ENUM, Dbr.CHAR, Dbr.LONG)
"""What a PV that does something when it is written can be."""
KEEP_ALL_UPDATES = "OPHYD_ASYNC_EPICS_CA_KEEP_ALL_UPDATES"
"""Environment: anything but "True" merges updates that arrive together."""


def limits_of(value: Value) -> Limits:
    """Those of a PV that are set; nan, and 0 for both, mean that they are not."""
    numbers: dict[str, float] = dict(zip(LIMITS, value.limits, strict=False))
    limits = Limits()
    for name, key in (
        ("alarm", "alarm"),
        ("ctrl", "control"),
        ("disp", "display"),
        ("warning", "warning"),
    ):
        low = float(numbers.get(f"lower_{name}_limit", math.nan))
        high = float(numbers.get(f"upper_{name}_limit", math.nan))
        if (math.isnan(low) and math.isnan(high)) or low == high == 0:
            continue
        limits[key] = LimitsRange(
            low=None if math.isnan(low) else numbers[f"lower_{name}_limit"],
            high=None if math.isnan(high) else numbers[f"upper_{name}_limit"],
        )
    return limits


def metadata_of(value: Value, converter: Converter) -> SignalMetadata:
    """Units, precision, limits, choices, as far as the datatype has a use for them."""
    metadata = SignalMetadata()
    if converter.choices:
        metadata["choices"] = list(converter.choices)
    if not value.limits or converter.datatype in (str, bool):
        return metadata
    metadata["units"] = readable(value.units)
    if value.base in (Dbr.FLOAT, Dbr.DOUBLE) and converter.datatype is not int:
        metadata["precision"] = value.precision
    limits = limits_of(value)
    if limits:
        metadata["limits"] = limits
    return metadata


def shown(value: Any) -> str:
    """A value as messages have it."""
    if isinstance(value, np.generic):
        value = cast(Any, value).item()
    return f"{value!r:.60}"


class CaSignalBackend(EpicsSignalBackend[SignalDatatypeT], Generic[SignalDatatypeT]):
    """One PV, or one to read and one to write, as the value of a signal."""

    def __init__(
        self,
        datatype: type[SignalDatatypeT] | None,
        read_pv: str = "",
        write_pv: str = "",
        options: EpicsOptions[SignalDatatypeT] | None = None,
    ) -> None:
        """Prepare a signal; nothing is looked for yet.

        Args:
            datatype: Checked on connection; None: whatever the PV is.
            read_pv: Its value; may be set later, as `EpicsDevice` does.
            write_pv: What is written; mostly the same.
            options: Whether a put waits for completion; as a rule it does.
        """
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            datatype, read_pv, write_pv, options
        )
        self.initial_values: dict[str, Any] = {}
        """PV -> what it was when it connected: a number, bytes, or several of them."""
        self.neighbour = ""
        """A PV that is connected as a rule and most likely on the same server."""
        self.subscription: CaSubscription[SignalDatatypeT] | None = None
        """While somebody listens."""
        self._converter: Converter | None = None
        self._holds: dict[str, ChannelHold] = {}

    @property
    def converter(self) -> Converter:
        """How values travel; NotImplementedError before the first connection."""
        if self._converter is None:
            msg = "No PV has been set as connect() has not been called"
            raise NotImplementedError(msg)
        return self._converter

    def source(self, name: str, read: bool) -> str:
        """`ca://PV`, whatever implementation of Channel Access is at work."""
        return f"ca://{self.read_pv if read else self.write_pv}"

    async def connect(self, timeout: float) -> None:
        """Find the PVs and learn what they are.

        Raises:
            NotConnectedError: Names every PV that is not there, and says why.
            TypeError: A PV cannot be what is declared.
        """
        digits = self.datatype is int
        if self.read_pv == self.write_pv:
            guess = server_of(self.neighbour) if self.neighbour else None
            found = [await find(self.read_pv, timeout, digits, guess)]
        else:
            pvs = {"read_pv": self.read_pv, "write_pv": self.write_pv}
            found = await find_each(pvs, timeout, digits)
        facts = [one for _, one in found]
        self._converter = make_converter(self.datatype, facts)
        self._holds = {one.pv: hold for hold, one in found}
        self.initial_values = {one.pv: one.initial for one in facts}

    @property
    def usable(self) -> bool:
        """Whether it has connected, and nothing has to be looked for in this loop."""
        hold = self._holds.get(self.read_pv)
        return hold is not None and hold.usable and hold.channel.connected

    async def connect_and_get(self, timeout: float) -> SignalDatatypeT:
        """The value that is read on connection, as `get_value` would give it."""
        await self.connect(timeout)
        initial = self.initial_values[self.read_pv]
        converter = self.converter
        if converter.read_type is not Dbr.STRING:
            return converter.decode(initial)
        if isinstance(initial, bytes):
            return converter.decode(readable(initial))
        if isinstance(initial, int) and initial < len(converter.choices):
            state = converter.choices[initial]
            # a longer one may have been cut off
            if 0 < len(state.encode()) < ENUM_STRING_BYTES - 1:
                return converter.decode(state)
        return await self.get_value_within(timeout)

    async def get_value_within(self, timeout: float) -> SignalDatatypeT:
        """Ask the server; CATimeout if it does not answer in so many seconds."""
        return await self._get(self.read_pv, timeout)

    def _channel(self, pv: str) -> Channel:
        """The channel of a PV in the running loop."""
        hold = self._holds.get(pv)
        if hold is None or not hold.usable:
            hold = self._holds[pv] = hold_channel(pv)
        return hold.channel

    async def _ask(self, pv: str, code: Dbr, timeout: float | None = None) -> Any:
        """Read a PV; CADisconnected names it if it is not there any more."""
        channel = self._channel(pv)
        if not channel.connected:
            await found_again(channel, "it was not read")
        try:
            return await channel.get(code, timeout=timeout)
        except CADisconnected as error:
            msg = f"{pv} was not read: {error}"
            raise CADisconnected(msg, name=pv, status=error.status) from error

    async def put(self, value: SignalDatatypeT | None) -> None:
        """Write; None writes what the PV was when it connected.

        Raises:
            ValueError: It is no choice of an enum, or does not fit.
            CARefused: The server did not accept it.
            CADisconnected: The connection broke, so it is not known whether it was.
        """
        converter = self.converter
        channel = self._channel(self.write_pv)
        if value is None:
            write_type, to_send = None, self.initial_values[self.write_pv]
        else:
            write_type, to_send = converter.write_type, converter.encode(value)
        options: EpicsOptions[Any] = cast(Any, self).options
        wait = options.wait(value) if callable(options.wait) else options.wait
        if channel.connected and not channel.access & Access.WRITE:
            msg = (
                f"{self.write_pv} may not be written: the server at {channel.host} "
                f"denies it; {shown(value)} was not written"
            )
            raise CARefused(msg, name=self.write_pv, status=ECA_NOWTACCESS)
        if not channel.connected:
            await found_again(channel, f"{shown(value)} was not written")
        try:
            await channel.put(to_send, write_type, wait=wait, timeout=None)
        except CARefused as error:
            raise self._explained(error, value) from error
        except CADisconnected as error:
            msg = (
                f"{self.write_pv} was lost while {shown(value)} was written, and it "
                f"is not known what became of it: {error}"
            )
            raise CADisconnected(
                msg, name=self.write_pv, status=error.status
            ) from error

    def _explained(self, error: CAError, value: Any) -> Exception:
        """Why a put failed, if we know better than the server says."""
        choices = self.converter.choices
        if choices and isinstance(value, str) and value not in choices:
            return ValueError(
                f"{value} is not a valid choice for {self.write_pv}, "
                f"valid choices: {list(choices)}"
            )
        return error

    async def get_datakey(self, source: str) -> DataKey:
        """Data type, shape, units, limits, precision and choices as they are now."""
        converter = self.converter
        channel = self._channel(self.read_pv)
        family = Family.STS if converter.read_type is Dbr.STRING else Family.CTRL
        value: Value = await self._ask(
            self.read_pv, promote(converter.read_type, family)
        )
        return make_datakey(
            converter.datatype,
            converter.of_value(value, channel.count == 1),
            source,
            metadata_of(value, converter),
        )

    async def get_reading(self) -> Reading[SignalDatatypeT]:
        """Ask the server; the time stamp is that of the record."""
        converter = self.converter
        time_type = promote(converter.read_type, Family.TIME)
        reading: CaReading = await self._ask(self.read_pv, time_type)
        return make_reading(converter, *reading)

    async def get_value(self) -> SignalDatatypeT:
        """Ask the server."""
        return await self._get(self.read_pv)

    async def get_setpoint(self) -> SignalDatatypeT:
        """Ask the server for the PV that is written."""
        return await self._get(self.write_pv)

    async def _get(self, pv: str, timeout: float | None = None) -> Any:
        converter = self.converter
        return converter.decode(await self._ask(pv, converter.read_type, timeout))

    def set_callback(self, callback: Callback[Reading[SignalDatatypeT]] | None) -> None:
        """Be told of the value now and of every change, in order, or no longer."""
        converter = self.converter
        if callback is not None and self.subscription is not None:
            raise RuntimeError("Cannot set a callback when one is already set")
        if self.subscription is not None:
            self.subscription.close()
            self.subscription = None
        if callback is not None:
            self.subscription = CaSubscription(
                self._channel(self.read_pv),
                converter.read_type,
                lambda *reading: make_reading(converter, *reading),
                callback,
                all_updates=os.environ.get(KEEP_ALL_UPDATES, "True") == "True",
            )


def make_reading(
    converter: Converter, value: Any, time_ns: int, severity: int, status: int
) -> Reading[Any]:
    """A reading as Bluesky has it: seconds since 1970, -1 for an invalid value."""
    return {
        "value": converter.decode(value),
        "timestamp": time_ns / 1e9,
        "alarm_severity": -1 if severity > 2 else severity,
    }


class CaCommandBackend(EpicsCommandBackend):
    """A PV that does something when it is written: `execute` waits until it is done."""

    def __init__(self, write_pv: str = "", execute_value: int = 1) -> None:
        """Prepare a command.

        Args:
            write_pv: The PV; may be set later, as `EpicsDevice` does.
            execute_value: What is written.
        """
        super().__init__(write_pv, execute_value)
        self._hold: ChannelHold | None = None

    def source(self, name: str) -> str:
        """`ca://PV`."""
        return f"ca://{self.write_pv}"

    async def connect(self, timeout: float) -> None:
        """Find the PV; TypeError unless it is a scalar integer or enum."""
        self._hold, facts = await find(self.write_pv, timeout)
        if facts.count != 1:
            msg = (
                f"ca://{self.write_pv} is an array PV; a command requires a scalar "
                "numeric PV"
            )
            raise TypeError(msg)
        if facts.type not in COMMAND_TYPES:
            msg = (
                f"ca://{self.write_pv} is a {facts.type.name}; a command "
                "requires a scalar numeric PV: an integer or an enum"
            )
            raise TypeError(msg)

    async def execute(self) -> None:
        """Write the value, and wait until the server has processed it."""
        if self._hold is None:
            msg = f"{self.source('')} is not connected, so nothing was written"
            raise NotImplementedError(msg)
        if not self._hold.usable:
            self._hold = hold_channel(self.write_pv)
        await self._hold.channel.put(self._execute_value, wait=True, timeout=None)
