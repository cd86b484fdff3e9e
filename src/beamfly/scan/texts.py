"""Commands in words, as a running scan and a simulation show them."""

from collections.abc import Callable
from typing import Any

from beamfly.scan import commands as scan
from beamfly.scan.moves import Written
from beamfly.scan.values import Scalar, java_double, scalar_text

Names = Callable[[str], str]
"""Replaces the macros in a text."""


def _seconds(seconds: float) -> str:
    return f"{java_double(float(seconds))} sec"


def _check_text(command: Written, names: Names, wanted: Scalar | None) -> str:
    """How the readback is checked."""
    if not command.wait:
        return ""
    word = "check" if command.completion else "wait"
    value = "" if wanted is None else f" = {scalar_text(wanted)}"
    text = f" ({word} for '{names(command.readback)}'{value}"
    text += f" +-{java_double(float(command.tolerance))}"
    if command.timeout > 0 and not command.completion:
        text += f", {_seconds(command.timeout)} timeout"
    return f"{text})"


def write_text(
    command: Written, names: Names, value: Any, wanted: Scalar | None = None
) -> str:
    """A `Set`, or one step of a `Loop`."""
    word = "Loop" if isinstance(command, scan.Loop) else "Set"
    shown = scalar_text(value) if isinstance(value, (str, int, float)) else str(value)
    text = f"{word} '{names(command.device)}' = {shown}"
    if command.completion:
        text += " with completion"
        if command.timeout > 0:
            text += f" in {_seconds(command.timeout)}"
    return text + _check_text(command, names, wanted)


def set_text(command: scan.Set, names: Names) -> str:
    """A `Set`."""
    return write_text(command, names, command.value, command.readback_value)


def wait_text(command: scan.Wait, names: Names) -> str:
    """A `Wait`."""
    words = {"increase by": "to increase by", "decrease by": "to decrease by"}
    compared = words.get(command.comparison, command.comparison)
    value = command.value
    listed = command.comparison in ("in", "not in")
    quoted = isinstance(value, str) and not listed
    shown = f'"{value}"' if quoted else scalar_text(value)
    text = f"Wait for '{names(command.device)}' {compared} {shown}"
    if command.comparison == "=":
        text += f" (+-{java_double(float(command.tolerance))})"
    return f"{text}{timeout_text(command.timeout)}"


def timeout_text(seconds: float) -> str:
    """A time-out in brackets; empty if there is none."""
    return f" ({_seconds(seconds)} timeout)" if seconds > 0 else ""


def loop_text(command: scan.Loop, names: Names) -> str:
    """A `Loop` as a whole."""
    numbers = [java_double(float(x)) for x in (command.start, command.end)]
    step = java_double(float(command.step))
    device = names(command.device)
    return f"Loop '{device}' = {numbers[0]} ... {numbers[1]}, step {step}"


def log_text(command: scan.Log, names: Names) -> str:
    """A `Log`."""
    return "Log " + ", ".join(f"'{names(device)}'" for device in command.devices)


def if_text(command: scan.If, names: Names) -> str:
    """An `If`."""
    value = command.value
    shown = f'"{value}"' if isinstance(value, str) else scalar_text(value)
    text = f"If '{names(command.device)}' {command.comparison} {shown}"
    if command.comparison == "=":
        text += f" (+-{java_double(float(command.tolerance))})"
    return f"{text}:"


def include_text(command: scan.Include, names: Names) -> str:
    """An `Include`."""
    del names
    return f"Include '{command.scan}'" + (
        f", {command.macros}" if command.macros else ""
    )


def script_text(command: scan.Script, names: Names) -> str:
    """A `Script`."""
    del names
    given = ", ".join(f"'{item}'" for item in command.arguments)
    return f"Script '{command.path}'" + (f" ({given})" if given else "")


def config_text(command: scan.ConfigLog, names: Names) -> str:
    """A `ConfigLog`."""
    del names
    return f"Log mode: {'automatically' if command.automatic else 'on demand'}"


def delay_text(command: scan.Delay, names: Names) -> str:
    """A `Delay`."""
    del names
    return f"Delay {_seconds(command.seconds)}"


_TEXTS: dict[type, Callable[[Any, Names], str]] = {
    scan.Comment: lambda command, names: names(command.text),
    scan.ConfigLog: config_text,
    scan.Delay: delay_text,
    scan.If: if_text,
    scan.Include: include_text,
    scan.Log: log_text,
    scan.Loop: loop_text,
    scan.Parallel: lambda command, names: "Parallel",
    scan.Script: script_text,
    scan.Sequence: lambda command, names: "Sequence",
    scan.Set: set_text,
    scan.Wait: wait_text,
}


def command_text(command: scan.Command, names: Names) -> str:
    """Any command."""
    return _TEXTS[type(command)](command, names)
