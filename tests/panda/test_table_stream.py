"""Long tables in blocks, with a PandA that uses them up at its own pace."""

from typing import Any

import numpy as np
import pytest

from beamfly.errors import BadValue, TimedOut, VersionError
from beamfly.panda.commands import Append, GetLine, Put
from beamfly.panda.responses import TableFieldDetails, TableFieldInfo
from beamfly.panda.table_stream import stream_steps

INFO = TableFieldInfo(
    "table",
    None,
    None,
    64,
    {
        "A": TableFieldDetails("uint", 0, 31),
        "B": TableFieldDetails("uint", 32, 63),
    },
    2,
    True,
)


class Sequencer:
    """Queues rows, and uses some at each look."""

    def __init__(self, per_look: int) -> None:
        self.per_look = per_look
        self.queued = 0
        self.most = 0
        self.writes: list[tuple[int, bool]] = []
        self.words: list[int] = []
        self.waited = 0.0

    def run(self, steps: Any) -> int:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            if isinstance(step, Append):
                self.queued += len(step.value) // 2
                self.most = max(self.most, self.queued)
                self.writes.append((len(step.value) // 2, step.last))
                self.words += [int(word) for word in step.value]
            elif step == GetLine("SEQ1.TABLE.QUEUED_LINES"):
                answer = str(self.queued)
                self.queued = max(self.queued - self.per_look, 0)
            elif isinstance(step, float):
                self.waited += step
            else:
                assert step == Put("SEQ1.TABLE", [])
                assert not self.writes


def columns(rows: int, start: int = 0) -> dict[str, Any]:
    numbers = np.arange(start, start + rows)
    return {"A": numbers, "B": numbers + 1000}


def test_blocks_follow_as_there_is_room() -> None:
    sequencer = Sequencer(per_look=3)
    blocks = (columns(8, start) for start in range(0, 40, 8))
    written = sequencer.run(stream_steps("SEQ1.TABLE", blocks, INFO))
    assert written == 40
    assert sequencer.words[::2] == list(range(40))
    assert sequencer.words[1::2] == list(range(1000, 1040))
    assert sequencer.writes == [(8, False)] * 4 + [(8, True)]
    # half of 32 rows
    assert sequencer.most <= 16
    assert sequencer.waited > 0


def test_a_block_longer_than_there_is_room_is_cut() -> None:
    sequencer = Sequencer(per_look=16)
    sequencer.run(stream_steps("SEQ1.TABLE", [columns(40)], INFO, max_queued=10))
    assert sequencer.writes == [(10, False)] * 3 + [(10, True)]
    assert sequencer.most <= 10


def test_words_and_columns_mix() -> None:
    sequencer = Sequencer(per_look=100)
    blocks = [np.array([1, 2, 3, 4]), [5, 6], columns(1)]
    assert sequencer.run(stream_steps("SEQ1.TABLE", blocks, INFO)) == 4
    assert sequencer.words == [1, 2, 3, 4, 5, 6, 0, 1000]


def test_a_short_table_still_ends_with_a_last_row() -> None:
    sequencer = Sequencer(per_look=100)
    sequencer.run(stream_steps("SEQ1.TABLE", [columns(5)], INFO))
    assert sequencer.writes == [(4, False), (1, True)]
    sequencer = Sequencer(per_look=100)
    sequencer.run(stream_steps("SEQ1.TABLE", [columns(1)], INFO))
    assert sequencer.writes == [(1, True)]


def test_drain_waits_until_all_is_used() -> None:
    sequencer = Sequencer(per_look=1)
    steps = stream_steps("SEQ1.TABLE", [columns(5)], INFO, drain=True)
    assert sequencer.run(steps) == 5
    assert sequencer.queued == 0


def test_a_block_that_does_not_run_times_out() -> None:
    sequencer = Sequencer(per_look=0)
    blocks = [columns(10), columns(10), columns(10)]
    steps = stream_steps("SEQ1.TABLE", blocks, INFO, stall_timeout=2.0)
    with pytest.raises(TimedOut, match=r"none of its 10 queued rows in 2.0 s: 10 rows"):
        sequencer.run(steps)
    assert 1.9 < sequencer.waited < 2.2


def test_a_slow_block_does_not_time_out() -> None:
    sequencer = Sequencer(per_look=1)
    blocks = [columns(10), columns(10), columns(10)]
    steps = stream_steps("SEQ1.TABLE", blocks, INFO, stall_timeout=0.1)
    assert sequencer.run(steps) == 30


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "no rows to stream to SEQ1.TABLE"),
        ([[1, 2, 3]], "not whole rows of 2 words"),
        ([[[1, 2]]], "not whole rows of 2 words"),
        ([{"A": [2**32]}], "Column A row 0"),
    ],
)
def test_blocks_that_cannot_be_sent(blocks: Any, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        Sequencer(1).run(stream_steps("SEQ1.TABLE", blocks, INFO))


def test_an_old_server() -> None:
    old = TableFieldInfo("table", None, None, 64, INFO.fields, 2, False)
    with pytest.raises(VersionError, match=r"needs a PandA server 4\.0 or later"):
        Sequencer(1).run(stream_steps("SEQ1.TABLE", [columns(1)], old))
