"""How devices are written by default: with completion, with readback, how patiently.

A site describes its devices once, in a `ScanSettings` that it installs with
`setScanSettings`. `SettingsBasedSet`, `SettingsBasedLoop` and `SettingsBasedWait` then
make commands that suit the device, as do the table and N-dimensional scans.
"""

# ruff: noqa: N802 - names are those that scripts have used for years

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from beamfly.errors import BadValue
from beamfly.scan.containers import Loop
from beamfly.scan.moves import Set, Wait
from beamfly.scan.values import Scalar

_MODIFIED = re.compile(r"\s*((?:[+-][crp]+)+)\s+(\S.*?)\s*")
DEFAULT_TOLERANCE = 0.1


@dataclass
class DeviceSettings:
    """How one device is written and awaited."""

    name: str
    """Name of the device."""
    completion: bool = False
    """Whether the end of processing is awaited."""
    readback: bool | str | None = False
    """False for no check, True for the device itself, or the device to check."""
    readback_value: Scalar | None = None
    """What the readback must show, None for what is written."""
    timeout: float = 0.0
    """Seconds, 0 for ever."""
    tolerance: float | None = None
    """How far a readback may be off, None for what suits the command."""
    comparison: str = ">="
    """How `SettingsBasedWait` compares."""
    parallel: bool = False
    """Whether a table column is written together with its neighbours."""

    def getName(self) -> str:
        """Name of the device."""
        return self.name

    def getCompletion(self) -> bool:
        """Whether the end of processing is awaited."""
        return bool(self.completion)

    def getReadback(self) -> str | None:
        """Device to check, None for no check."""
        if isinstance(self.readback, str):
            return self.readback
        return self.name if self.readback else None

    def getReadbackValue(self) -> Scalar | None:
        """What the readback must show, None for what is written."""
        return self.readback_value

    def getTimeout(self) -> float:
        """Seconds, 0 for ever."""
        return self.timeout

    def getTolerance(self) -> float | None:
        """How far a readback may be off, None for what suits the command."""
        return self.tolerance

    def getComparison(self) -> str:
        """How a wait compares."""
        return self.comparison

    def getParallel(self) -> bool:
        """Whether a table column is written together with its neighbours."""
        return self.parallel


class ScanSettings:
    """Settings of all devices of a site.

    Subclass it, call `defineDeviceClass` in `__init__`, most general pattern first,
    and override `getReadbackName` if readbacks have names of their own.
    """

    def __init__(self) -> None:
        self.device_settings: list[tuple[re.Pattern[str], DeviceSettings]] = []
        """Patterns with their settings; the last that matches counts."""
        self.table_scan_row: str | None = None
        """PV that shows the line of a running table scan, None for none."""

    def getReadbackName(self, device_name: str) -> str:
        """Readback of a device, such as `motor.RBV`; by default the device itself."""
        return device_name

    def defineDeviceClass(
        self,
        pattern: str,
        completion: bool = False,
        readback: bool | str = False,
        readback_value: Scalar | None = None,
        timeout: float = 0.0,
        tolerance: float | None = None,
        comparison: str = ">=",
    ) -> None:
        """Describe the devices whose whole name matches a regular expression.

        Raises:
            BadValue: the pattern is no regular expression.
        """
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            msg = f"{pattern!r} is no regular expression: {error}"
            raise BadValue(msg) from None
        settings = DeviceSettings(
            pattern, completion, readback, readback_value, timeout, tolerance,
            comparison,
        )  # fmt: skip
        self.device_settings.append((compiled, settings))

    def loadDeviceClasses(self, filename: str | Path) -> None:
        """Describe devices as a JSON file does: `{"motor_.": {"readback": true}}`.

        Each pattern has an object with arguments of `defineDeviceClass`.

        Raises:
            BadValue: the file cannot be read or says something else.
        """
        try:
            read = json.loads(Path(filename).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadValue(f"{filename} holds no device classes: {error}") from None
        if not isinstance(read, dict):
            raise BadValue(f"{filename} holds no device classes: it is no JSON object")
        for pattern, options in cast(dict[str, Any], read).items():
            try:
                self.defineDeviceClass(pattern, **options)
            except TypeError as error:
                msg = f"{filename}: {pattern!r} is no device class: {error}"
                raise BadValue(msg) from None

    def getDefaultSettings(self, name: str) -> DeviceSettings:
        """Settings of a device: those of the last pattern that matches its name."""
        for pattern, settings in reversed(self.device_settings):
            if pattern.fullmatch(name):
                readback = settings.readback
                if readback is True:
                    readback = self.getReadbackName(name)
                return replace(settings, name=name, readback=readback)
        return DeviceSettings(name)

    def parseDeviceSettings(self, prefixed_device: str) -> DeviceSettings:
        """Settings of a device whose name may have modifiers in front: `+p-cr name`.

        `c` is completion, `r` readback of the device itself, `p` parallel; `+`
        switches them on, `-` off.
        """
        match = _MODIFIED.fullmatch(prefixed_device)
        if match is None:
            return self.getDefaultSettings(prefixed_device.strip())
        settings = self.getDefaultSettings(match[2])
        on = True
        for letter in match[1]:
            if letter in "+-":
                on = letter == "+"
            elif letter == "c":
                settings.completion = on
            elif letter == "r":
                settings.readback = settings.name if on else False
            else:
                settings.parallel = on
        return settings

    def __str__(self) -> str:
        return "\n".join(str(settings) for _, settings in self.device_settings)


_installed = [ScanSettings()]


def getScanSettings() -> ScanSettings:
    """The settings that are in force."""
    return _installed[0]


def setScanSettings(settings: ScanSettings) -> None:
    """Put settings in force, for everything that is made from now on."""
    _installed[0] = settings


def _options(
    prefixed_device: str, overrides: dict[str, Any], tolerance: float
) -> tuple[str, dict[str, Any]]:
    """Device name and options of a `Set` or `Loop`, overrides applied."""
    settings = getScanSettings().parseDeviceSettings(prefixed_device)
    known = settings.getTolerance()
    options: dict[str, Any] = {
        "completion": settings.getCompletion(),
        "readback": settings.getReadback() or False,
        "tolerance": tolerance if known is None else known,
        "timeout": settings.getTimeout(),
    }
    return settings.getName(), {**options, **overrides}


def SettingsBasedSet(device: str, value: Any, **overrides: Any) -> Set:
    """A `Set` that suits the device; any option of `Set` overrides the settings."""
    settings = getScanSettings().parseDeviceSettings(device)
    overrides.setdefault("readback_value", settings.getReadbackValue())
    name, options = _options(device, overrides, DEFAULT_TOLERANCE)
    return Set(name, value, **options)


def SettingsBasedLoop(
    device: str,
    start: float,
    end: float,
    step: float,
    body: Any = None,
    *args: Any,
    **overrides: Any,
) -> Loop:
    """A `Loop` that suits the device; any option of `Loop` overrides the settings.

    The tolerance is a tenth of the step unless settings say otherwise.
    """
    name, options = _options(device, overrides, abs(step) / 10)
    return Loop(name, start, end, step, body, *args, **options)


def SettingsBasedWait(device: str, value: Scalar, **overrides: Any) -> Wait:
    """A `Wait` that suits the device; any option of `Wait` overrides the settings."""
    settings = getScanSettings().parseDeviceSettings(device)
    known = settings.getTolerance()
    options: dict[str, Any] = {
        "comparison": settings.getComparison(),
        "tolerance": DEFAULT_TOLERANCE if known is None else known,
        "timeout": settings.getTimeout(),
    }
    return Wait(settings.getName(), value, **{**options, **overrides})
