"""Feed a table that is longer than a PandA's memory, or not known to its end yet.

`stream_table` and `stream_table_blocking` append blocks of rows while the block runs,
never more than it has room for: they follow QUEUED_LINES and wait. The steps, which
both share, are a generator of commands to send and of seconds to wait.
"""

import asyncio
from collections.abc import Generator, Iterable, Mapping
from time import sleep
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from beamfly.errors import BadValue, TimedOut, VersionError
from beamfly.panda.asyncio import AsyncioClient
from beamfly.panda.blocking import BlockingClient
from beamfly.panda.exchange import Command
from beamfly.panda.responses import TableFieldInfo
from beamfly.panda.tables import pack_table
from beamfly.panda.values import Append, GetLine, Put

__all__ = ["Block", "stream_steps", "stream_table", "stream_table_blocking"]

Block: TypeAlias = Mapping[str, Any] | npt.ArrayLike
"""Some rows: columns by name, as for `table_to_words`, or words."""

Steps: TypeAlias = Generator[Command[Any] | float, Any, int]


async def stream_table(
    client: AsyncioClient,
    field: str,
    blocks: Iterable[Block],
    info: TableFieldInfo,
    *,
    max_queued: int | None = None,
    poll_period: float = 0.05,
    stall_timeout: float | None = None,
    drain: bool = False,
) -> int:
    """Write a table block by block, waiting while enough rows are queued.

    The table is emptied first. Enable the block once some rows are in it.

    Args:
        client: A connected client.
        field: The table, such as SEQ1.TABLE.
        blocks: Rows; taken one block ahead of what is sent, so a generator may make
            them as they are needed.
        info: What `GetFieldInfo` says of the table.
        max_queued: Rows that may be queued at most, None for half of the table.
        poll_period: Seconds between looks at QUEUED_LINES while waiting.
        stall_timeout: Seconds without a row being used until TimedOut, None for no
            limit, since a block may have to wait for its trigger.
        drain: Whether to wait at the end until all rows are used.

    Returns:
        Rows written.

    Raises:
        BadValue: There are no rows, or one cannot be written; rows before it were.
        VersionError: The server is older than 4.0; nothing was sent.
        CommandError: The PandA refused, for example since the table is too short to
            be streamed.
        TimedOut: No row was used in `stall_timeout`.
    """
    steps = stream_steps(
        field, blocks, info, max_queued, poll_period, stall_timeout, drain
    )
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        if isinstance(step, Command):
            answer = await client.send(step)
        else:
            answer = await asyncio.sleep(step)


def stream_table_blocking(
    client: BlockingClient,
    field: str,
    blocks: Iterable[Block],
    info: TableFieldInfo,
    *,
    max_queued: int | None = None,
    poll_period: float = 0.05,
    stall_timeout: float | None = None,
    drain: bool = False,
) -> int:
    """Like `stream_table`, for scripts and threads."""
    steps = stream_steps(
        field, blocks, info, max_queued, poll_period, stall_timeout, drain
    )
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = client.send(step) if isinstance(step, Command) else sleep(step)


def stream_steps(
    field: str,
    blocks: Iterable[Block],
    info: TableFieldInfo,
    max_queued: int | None = None,
    poll_period: float = 0.05,
    stall_timeout: float | None = None,
    drain: bool = False,
) -> Steps:
    """What `stream_table` does, as commands to send and seconds to wait.

    Send it the result of each command; it returns the number of rows written.
    """
    if not info.has_mode:
        # without a last row there is no end to what is streamed
        msg = f"Streaming {field} needs a PandA server 4.0 or later; nothing was sent"
        raise VersionError(msg)
    limit = info.max_length // info.row_words // 2
    limit = max(limit if max_queued is None else max_queued, 1)
    yield Put(field, [])
    written = 0
    pieces = _pieces(field, blocks, info, limit)
    piece = next(pieces, None)
    if piece is None:
        raise BadValue(f"There are no rows to stream to {field}; it is empty now")
    while piece is not None:
        following = next(pieces, None)
        rows = len(piece) // info.row_words
        yield from _await_room(field, limit - rows, poll_period, stall_timeout, written)
        if following is None and not written and rows > 1:
            # a table that starts with its last rows is not taken for a stream
            yield Append(field, piece[: -info.row_words])
            piece = piece[-info.row_words :]
        yield Append(field, piece, last=following is None)
        written += rows
        piece = following
    if drain:
        yield from _await_room(field, 0, poll_period, stall_timeout, written)
    return written


def _pieces(
    field: str, blocks: Iterable[Block], info: TableFieldInfo, limit: int
) -> Generator[npt.NDArray[Any], None, None]:
    """Words of whole rows, never more than `limit` rows together."""
    size = limit * info.row_words
    for block in blocks:
        if isinstance(block, Mapping):
            words = pack_table(block, info)
        else:
            words = np.asarray(block)
        if words.ndim != 1 or len(words) % info.row_words:
            msg = (
                f"A block for {field} has shape {words.shape}, which is not whole rows "
                f"of {info.row_words} words"
            )
            raise BadValue(msg)
        for start in range(0, len(words), size):
            yield words[start : start + size]


def _await_room(
    field: str,
    most: int,
    poll_period: float,
    stall_timeout: float | None,
    written: int,
) -> Generator[Command[Any] | float, Any, None]:
    """Wait until at most `most` rows are queued."""
    waited, before = 0.0, None
    while (queued := int((yield GetLine(f"{field}.QUEUED_LINES")))) > most:
        # a row was used: start to count anew
        waited = 0.0 if before is not None and queued < before else waited
        before = queued
        if stall_timeout is not None and waited >= stall_timeout:
            msg = (
                f"{field} used none of its {queued} queued rows in {stall_timeout} s: "
                f"{written} rows are written, the rest is not"
            )
            raise TimedOut(msg)
        yield poll_period
        waited += poll_period
