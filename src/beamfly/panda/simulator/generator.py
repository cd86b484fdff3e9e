"""PGEN: positions from a table, one at each trigger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.rows import Table
from beamfly.panda.simulator.traces import bits_from, steps

UNREADY, WAIT_ENABLE, RUNNING = range(3)
"""Values of STATE."""
UNDERRUN, NOT_READY = 1, 2
"""Values of HEALTH."""


@dataclass(frozen=True)
class PgenState:
    """Where a PGEN is."""

    tables: tuple[Table, ...] = ()
    """The table in use, and those that are queued after it."""
    state: int = UNREADY
    row: int = 0
    """Row that comes next, from 0."""
    repeat: int = 1
    """Repeat of the table, from 1."""
    value: int = 0
    """What is on OUT."""
    active: int = 0
    """Level of ACTIVE as it was last put out."""
    health: int = 0


class Pgen(Block):
    """PGEN: the position generator."""

    bit_inputs = ("ENABLE", "TRIG")
    bit_outputs = ("ACTIVE",)
    position_outputs = ("OUT",)
    read_fields = ("STATE", "HEALTH")

    def initial(self) -> PgenState:
        """Without a table."""
        return PgenState()

    def read(self, field: str) -> int:
        """STATE or HEALTH."""
        return int(getattr(self.state, field.lower()))

    def write_table(self, words: Sequence[int], *, more: bool, stream: bool) -> None:
        """Take a new table; one that is in use is stopped."""
        table = Table(words, 1, more, stream)
        health = NOT_READY if self.state.state == RUNNING else self.state.health
        tables = (table,) if len(table) else ()
        ready = WAIT_ENABLE if tables else UNREADY
        self.state = replace(self.state, tables=tables, state=ready, health=health)
        self.touched = True

    def append_table(self, words: Sequence[int], *, more: bool) -> None:
        """Take a further table, after those that are queued."""
        tables = (*self.state.tables, Table(words, 1, more, True))
        state = max(WAIT_ENABLE, self.state.state)
        self.state = replace(self.state, tables=tables, state=state)
        self.touched = True

    def queued_lines(self) -> int:
        """Rows of a stream that were not used yet."""
        state: PgenState = self.state
        queued = sum(len(table) for table in state.tables if table.queued)
        return queued - state.row if queued else 0

    def evaluate(self, inputs: Inputs) -> Outcome:
        """One event after the other: ENABLE and triggers."""
        span, enable = inputs.span, inputs.bits["ENABLE"]
        events = [(tick, 1) for tick in enable.rising().tolist()]
        events += [(tick, 0) for tick in enable.falling().tolist()]
        events += [(tick, 2) for tick in inputs.bits["TRIG"].rising().tolist()]
        first: PgenState = self.state
        state = first
        ticks, values = [span.start], [state.value]
        active_ticks, levels = [span.start], [int(state.state == RUNNING)]
        for tick, event in sorted(events):
            if event == 2 and state.state == RUNNING:
                state = self._next(state)
                ticks.append(tick)
                values.append(state.value)
            elif event == 1 and state.tables:
                state = replace(state, state=RUNNING, row=0, repeat=1, health=0)
            elif event == 0 and state.state == RUNNING:
                state = _ended(state)
            active_ticks.append(tick)
            levels.append(int(state.state == RUNNING))
        out = steps(span.start, values[0], np.array(ticks, np.int64), values)
        active = bits_from(
            first.active, np.array(active_ticks, np.int64), np.array(levels)
        )
        state = replace(state, active=active.final)
        return Outcome(state, {"ACTIVE": active}, {"OUT": out})

    def _next(self, state: PgenState) -> PgenState:
        """Put out the next row."""
        table = state.tables[0]
        if state.row == len(table):  # the rest of a stream did not come in time
            return replace(_ended(state), health=UNDERRUN)
        state = replace(state, value=table.positions[state.row], row=state.row + 1)
        if state.row < len(table):
            return state
        if len(state.tables) > 1:
            return replace(state, tables=state.tables[1:], row=0)
        if table.more:
            return state
        if self["REPEATS"] and state.repeat >= self["REPEATS"]:
            return _ended(state)
        return replace(state, row=0, repeat=state.repeat + 1)


def _ended(state: PgenState) -> PgenState:
    """Not running any more; a stream is over."""
    tables = () if state.tables and state.tables[0].queued else state.tables
    ready = WAIT_ENABLE if tables else UNREADY
    return replace(state, tables=tables, state=ready, row=0)
