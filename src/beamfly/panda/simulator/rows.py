"""Tables as blocks see them: rows to be used once, or over and over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Line(NamedTuple):
    """One line of a sequencer table."""

    repeats: int
    """How often it repeats, 0 for ever."""
    trigger: int
    """What it waits for, as an index of the labels of TRIGGER."""
    position: int
    time1: int
    """Length of phase 1 in units of PRESCALE."""
    out1: int
    """Outputs in phase 1, A is the lowest bit."""
    time2: int
    """Length of phase 2 in units of PRESCALE, at least 1."""
    out2: int
    """Outputs in phase 2, A is the lowest bit."""


@dataclass(frozen=True, eq=False)
class Table:
    """Words of one table."""

    words: Sequence[int]
    row_words: int
    more: bool = False
    """Whether another table is to follow it."""
    queued: bool = field(default=False)
    """Whether it is part of a stream, to be used once only."""

    def __len__(self) -> int:
        """Rows."""
        return len(self.words) // self.row_words

    @cached_property
    def lines(self) -> list[Line]:
        """Lines of a sequencer table."""
        words = np.array(self.words, np.int64).reshape(-1, 4)
        first = words[:, 0]
        columns = (
            first & 0xFFFF,
            (first >> 16) & 0xF,
            words[:, 1].astype(np.int32),
            words[:, 2],
            (first >> 20) & 0x3F,
            np.maximum(words[:, 3], 1),
            (first >> 26) & 0x3F,
        )
        return [Line(*row) for row in zip(*[c.tolist() for c in columns], strict=True)]

    @cached_property
    def positions(self) -> list[int]:
        """Values of a position table."""
        return np.array(self.words, np.uint32).view(np.int32).tolist()
