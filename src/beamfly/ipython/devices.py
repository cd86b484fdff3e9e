"""The devices of a session, those that answer and those that do not: `Devices`.

A device that does not answer must not keep a session from coming up: it is left out,
with the reason, and can be tried again later.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ophyd_async.core import NotConnectedError

from beamfly.devices import HDFPanda, Panda, ScanServerFlyer
from beamfly.ipython.config import Beamline, DeviceEntry, PandaPlace, ScanServerPlace
from beamfly.ipython.paths import TemplatePaths

GRACE = 5.0
"""Seconds that a device gets on top of the time it was told to take."""


@dataclass(frozen=True)
class Wanted:
    """A device that a session ought to have."""

    name: str
    """At the prompt."""
    kind: str
    """Name of its class."""
    place: str
    """Where it is: its PV, or host."""
    make: Callable[[], Any]
    """Makes it, not connected."""

    def __str__(self) -> str:
        """As messages have it: `theta (Motor BL99:M1)`."""
        return f"{self.name} ({self.kind} {self.place})".replace(" )", ")")


class Devices(Mapping[str, Any]):
    """Devices by name: `devices["theta"]` or `devices.theta`.

    Args:
        wanted: What there ought to be.
        timeout: Seconds that each may take to connect.
    """

    def __init__(self, wanted: Iterable[Wanted], timeout: float = 10.0) -> None:
        self._wanted = {each.name: each for each in wanted}
        self._there: dict[str, Any] = {}
        self._missing: dict[str, str] = {}
        self._timeout = timeout

    @property
    def missing(self) -> dict[str, str]:
        """Why devices are not there, by name."""
        return dict(self._missing)

    async def connect(self) -> dict[str, Any]:
        """Connect all that are not connected, at the same time; returns those new."""
        todo = [each for each in self._wanted.values() if each.name not in self._there]
        found = await asyncio.gather(*(self._connect(each) for each in todo))
        new: dict[str, Any] = {}
        for each, (device, reason) in zip(todo, found, strict=True):
            if reason:
                self._missing[each.name] = reason
            else:
                self._missing.pop(each.name, None)
                new[each.name] = device
        self._there |= new
        return new

    async def _connect(self, wanted: Wanted) -> tuple[Any, str]:
        """The device, or why there is none."""
        try:
            device = wanted.make()
            connecting = device.connect(timeout=self._timeout)
            await asyncio.wait_for(connecting, self._timeout + GRACE)
        except Exception as error:
            return None, reason_of(error)
        return device, ""

    def complaints(self) -> list[str]:
        """A sentence on each device that is missing."""
        return [
            f"{self._wanted[name]} did not connect: {reason}"
            for name, reason in self._missing.items()
        ]

    def __getitem__(self, name: str) -> Any:
        """The device; KeyError if it is missing."""
        return self._there[name]

    def __iter__(self) -> Iterator[str]:
        """Names of those that are connected."""
        return iter(self._there)

    def __len__(self) -> int:
        """How many are connected."""
        return len(self._there)

    def __getattr__(self, name: str) -> Any:
        """The device, as an attribute."""
        there, missing = self.__dict__.get("_there", {}), self.__dict__.get("_missing")
        if name in there:
            return there[name]
        if missing and name in missing:
            raise AttributeError(f"{name} did not connect: {missing[name]}")
        raise AttributeError(f"there is no device {name!r}")

    def __dir__(self) -> list[str]:
        """Names of devices, for the Tab key, and of methods."""
        return [*self._there, *super().__dir__()]

    def __repr__(self) -> str:
        """A table of all of them."""
        rows = [
            (w.name, w.kind, w.place, self._missing.get(w.name, "connected"))
            for w in self._wanted.values()
        ]
        if not rows:
            return "no devices"
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
        return "\n".join(
            "  ".join(
                [*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]
            )
            for row in rows
        )


def reason_of(error: BaseException) -> str:
    """One line on why a device did not connect, however many PVs it has."""
    if isinstance(error, TimeoutError) and not str(error):
        return "it did not answer in time"
    leaves = list(_leaves(error))
    first = " ".join(str(leaves[0]).split()) or type(leaves[0]).__name__
    others = len(leaves) - 1
    if not others:
        return first
    return f"{first} (and {others} more PV{'s' if others > 1 else ''})"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What an error of a device is made of."""
    below = getattr(error, "sub_errors", None)
    if isinstance(error, NotConnectedError) and below:
        for each in below.values():
            yield from _leaves(each)
    else:
        yield error


def wanted_devices(beamline: Beamline, paths: TemplatePaths) -> list[Wanted]:
    """What a beamline's file asks for."""
    wanted = [_panda(place, paths) for place in beamline.pandas]
    wanted += [_device(entry) for entry in beamline.devices]
    if beamline.scan_server is not None:
        wanted.append(_scan_server(beamline.scan_server))
    return wanted


def _panda(place: PandaPlace, paths: TemplatePaths) -> Wanted:
    made = {"HDFPanda": HDFPanda, "Panda": Panda}[place.kind]

    def make() -> Any:
        return made(
            place.host,
            paths,
            name=place.name,
            control_port=place.control_port,
            data_port=place.data_port,
        )

    return Wanted(place.name, place.kind, place.host, make)


def _device(entry: DeviceEntry) -> Wanted:
    def make() -> Any:
        return entry.device_class(entry.name, **entry.arguments)

    return Wanted(entry.name, entry.device_class.name, entry.place, make)


def _scan_server(place: ScanServerPlace) -> Wanted:
    def make() -> Any:
        return ScanServerFlyer(place.host, place.port, place.name)

    return Wanted(place.name, "ScanServerFlyer", f"{place.host}:{place.port}", make)
