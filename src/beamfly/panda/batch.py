"""What the clients share: the results of commands sent together, and their messages."""

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from beamfly.errors import BeamflyError, PandaDisconnected, TimedOut
from beamfly.panda.control import Outcome
from beamfly.panda.exchange import Command

__all__ = [
    "Batch",
    "closed_here",
    "distribute",
    "no_answer",
    "not_connected",
    "unreachable",
]


class Batch:
    """Results of some commands, as they come in."""

    __slots__ = ("errors", "missing", "results")

    def __init__(self, count: int) -> None:
        self.missing = count
        """How many results are outstanding."""
        self.results: list[Any] = [None] * count
        self.errors: dict[int, Exception] = {}

    def set(self, index: int, result: Any, error: Exception | None) -> None:
        """Take the result, or the error, of the command at that place."""
        self.results[index] = result
        if error is not None:
            self.errors[index] = error
        self.missing -= 1

    def collect(self) -> list[Any]:
        """Results in the order of the commands; raises the first error instead."""
        if self.errors:
            raise self.errors[min(self.errors)]
        return self.results


def distribute(outcomes: Iterator[Outcome]) -> None:
    """Give each outcome to the (batch, index) that its command was tagged with."""
    for _, (batch, index), result, error in outcomes:
        batch.set(index, result, error)


def _names(commands: Sequence[Command[Any]]) -> str:
    text = ", ".join(map(repr, commands[:3]))
    text = text if len(text) <= 200 else f"{text[:197]}..."
    more = len(commands) - 3
    return f"{text} and {more} more" if more > 0 else text


def not_connected(peer: str, commands: Sequence[Command[Any]]) -> PandaDisconnected:
    """The error of a client that was never connected, or is closed."""
    return PandaDisconnected(
        f"There is no connection to {peer}: {_names(commands)} was not sent; "
        "connect first"
    )


def closed_here(peer: str) -> str:
    """Why a connection ended that was closed by `close`."""
    return f"The connection to {peer} was closed on this side"


def no_answer(
    peer: str, commands: Sequence[Command[Any]], timeout: float | None
) -> TimedOut:
    """The error of commands whose time is up."""
    return TimedOut(
        f"{peer} did not answer {_names(commands)} in {timeout} s; it may still be done"
    )


def unreachable(where: str, error: OSError, timeout: float) -> BeamflyError:
    """The error of a connection that could not be made."""
    if isinstance(error, TimeoutError):
        return TimedOut(f"{where} could not be reached in {timeout} s")
    # asyncio puts an address where the cause should be
    code = 0 if isinstance(error, socket.gaierror) else error.errno or 0
    cause = os.strerror(code) if code > 0 else error.strerror or error
    return PandaDisconnected(f"{where} cannot be reached: {cause}")
