"""SEQ: a table of lines, each a condition to wait for and then two phases."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.rows import Line, Table
from beamfly.panda.simulator.traces import NEVER, Bits, Ticks, bits_from

UNREADY, WAIT_ENABLE, WAIT_TRIGGER, PHASE1, PHASE2 = range(5)
"""Values of STATE."""
UNDERRUN, OVERWRITTEN = 1, 2
"""Values of HEALTH."""
MOST_EVENTS = 200_000
"""Phases after which a span is cut, to keep memory small."""
_FOR_EVER = 2**60
_OUTPUTS = tuple(f"OUT{letter}" for letter in "ABCDEF")


@dataclass(frozen=True)
class SeqState:
    """Where a SEQ is."""

    tables: tuple[Table, ...] = ()
    """The table in use, and those that are queued after it."""
    state: int = UNREADY
    table_repeat: int = 0
    table_line: int = 0
    line_repeat: int = 0
    """All three from 1, and 0 while it is not enabled."""
    until: int = 0
    """End of the current phase."""
    outputs: int = 0
    """Outputs as they should be, A is the lowest bit."""
    active: int = 0
    health: int = 0
    shown: int = 0
    """Outputs as they were last put out."""
    shown_active: int = 0

    def stopped(self, health: int = 0) -> "SeqState":
        """The same, not running; a stream is over."""
        tables = () if self.tables and self.tables[0].queued else self.tables
        return replace(
            self,
            tables=tables,
            state=WAIT_ENABLE if tables else UNREADY,
            table_repeat=0,
            table_line=0,
            line_repeat=0,
            outputs=0,
            active=0,
            health=health or self.health,
        )


class Seq(Block):
    """SEQ: the sequencer."""

    bit_inputs = ("ENABLE", "BITA", "BITB", "BITC")
    position_inputs = ("POSA", "POSB", "POSC")
    bit_outputs = ("ACTIVE", *_OUTPUTS)
    read_fields = ("TABLE_REPEAT", "TABLE_LINE", "LINE_REPEAT", "STATE", "HEALTH")

    def initial(self) -> SeqState:
        """Without a table."""
        return SeqState()

    def due(self) -> int:
        """The end of the current phase."""
        return self.state.until if self.state.state >= PHASE1 else NEVER

    def read(self, field: str) -> int:
        """TABLE_REPEAT, TABLE_LINE, LINE_REPEAT, STATE or HEALTH."""
        return int(getattr(self.state, field.lower()))

    def write_table(self, words: Sequence[int], *, more: bool, stream: bool) -> None:
        """Take a new table; one that is in use is stopped."""
        running = self.state.state >= WAIT_TRIGGER
        table = Table(words, 4, more, stream)
        tables = (table,) if len(table) else ()
        stopped = replace(self.state, tables=tables).stopped(OVERWRITTEN * running)
        ready = WAIT_ENABLE if tables else UNREADY
        self.state = replace(stopped, tables=tables, state=ready)
        self.touched = True

    def append_table(self, words: Sequence[int], *, more: bool) -> None:
        """Take a further table, after those that are queued."""
        tables = (*self.state.tables, Table(words, 4, more, True))
        state = WAIT_ENABLE if self.state.state == UNREADY else self.state.state
        self.state = replace(self.state, tables=tables, state=state)
        self.touched = True

    def queued_lines(self) -> int:
        """Lines of a stream that were not begun yet."""
        state: SeqState = self.state
        queued = sum(len(table) for table in state.tables if table.queued)
        return queued - state.table_line if queued else 0

    def evaluate(self, inputs: Inputs) -> Outcome:
        """Go through the lines."""
        run = _Run(self, inputs)
        run.go()
        return run.outcome()


class _Run:
    """One span of a sequencer."""

    def __init__(self, seq: Seq, inputs: Inputs) -> None:
        self.seq = seq
        self.inputs = inputs
        self.start, self.stop = inputs.span.start, inputs.span.stop
        self.given_up = NEVER
        state: SeqState = seq.state
        self.first = state
        self.tables = list(state.tables)
        self.state = state.state
        self.table_repeat = state.table_repeat
        self.table_line = state.table_line
        self.line_repeat = state.line_repeat
        self.until = state.until
        self.active = state.active
        self.health = state.health
        self.prescale = seq["PRESCALE"] or 1
        self.repeats = seq["REPEATS"]
        enable = inputs.bits["ENABLE"]
        self.rises: list[int] = enable.rising().tolist()
        self.falls: list[int] = enable.falling().tolist()
        self.ticks = [self.start]
        self.masks = [state.outputs]
        self.chunks: list[tuple[Ticks, Ticks]] = []
        self.events = 0
        self.active_ticks = [self.start]
        self.active_levels = [state.active]
        if self.state >= WAIT_TRIGGER:
            self.line = self.tables[0].lines[self.table_line - 1]

    def go(self) -> None:
        """From event to event, to the end of the span."""
        tick = self.start
        fall = self._next(self.falls, tick)
        while tick < self.stop:
            if self.state <= WAIT_ENABLE:
                tick = self._next(self.rises, tick)
                fall = self._next(self.falls, tick)
                if tick < self.stop and self.tables:
                    self._begin(tick, fall)
                tick += self.state <= WAIT_ENABLE
                continue
            if self.state == WAIT_TRIGGER:
                event = self._trigger(self.line, tick)
            else:
                event = self.until
            if min(event, fall) >= self.stop:
                return
            tick = min(event, fall)
            if fall <= event:
                self._disable(tick)
            elif self.state == WAIT_TRIGGER:
                self._phases(tick, fall)
            elif self.state == PHASE1:
                self._phase2(tick)
            else:
                self._next_repeat(tick, fall)
            if self.events + len(self.ticks) > MOST_EVENTS:
                self.given_up = (self.ticks or [tick])[-1] + 1
                return

    @staticmethod
    def _next(ticks: list[int], tick: int) -> int:
        """The first of some ticks that is not before a tick."""
        place = bisect_left(ticks, tick)
        return ticks[place] if place < len(ticks) else NEVER

    def _begin(self, tick: int, fall: int) -> None:
        """ENABLE rose."""
        self.health = 0
        self.table_repeat = self.table_line = 1
        self._set_active(tick, 1)
        self._enter(tick, fall)

    def _disable(self, tick: int) -> None:
        """ENABLE fell."""
        if self.tables and self.tables[0].queued:
            self.tables.clear()
        self.table_repeat = self.table_line = self.line_repeat = 0
        self._end(tick)

    def _end(self, tick: int) -> None:
        """Outputs go low."""
        self.state = WAIT_ENABLE if self.tables else UNREADY
        self._show(tick, 0)
        self._set_active(tick, 0)

    def _enter(self, tick: int, fall: int) -> None:
        """Begin the current line."""
        self.line = self.tables[0].lines[self.table_line - 1]
        self.line_repeat = 1
        self._try(tick, fall)

    def _try(self, tick: int, fall: int) -> None:
        """Begin the phases, or wait for the trigger."""
        if self._trigger(self.line, tick) == tick:
            self._phases(tick, fall)
        else:
            self.state = WAIT_TRIGGER

    def _phases(self, tick: int, fall: int) -> None:
        """The trigger came: as many repeats at once as need no decision."""
        line = self.line
        left = (line.repeats or _FOR_EVER) - self.line_repeat
        if not line.trigger and left > 1:
            tick = self._whole_repeats(tick, left, min(fall, self.stop))
        if line.time1:
            self.state = PHASE1
            self._show(tick, line.out1)
            self.until = tick + line.time1 * self.prescale
        else:
            self._phase2(tick)

    def _whole_repeats(self, tick: int, left: int, end: int) -> int:
        """Put out repeats that are over before `end`; when the next begins."""
        line = self.line
        first, second = line.time1 * self.prescale, line.time2 * self.prescale
        period = first + second
        room = max(0, MOST_EVENTS - self.events) // 2
        count = min(left, (end - tick) // period, room)
        if count < 2:
            return tick
        begins = tick + period * np.arange(count, dtype=np.int64)
        if first:
            ticks = np.stack((begins, begins + first), axis=1).ravel()
            masks = np.tile(np.array([line.out1, line.out2], np.int64), count)
        else:
            ticks, masks = begins[:1], np.array([line.out2], np.int64)
        self._flush()
        self.chunks.append((ticks, masks))
        self.events += len(ticks)
        self.line_repeat += count
        return tick + period * count

    def _phase2(self, tick: int) -> None:
        """Begin phase 2."""
        self.state = PHASE2
        self._show(tick, self.line.out2)
        self.until = tick + self.line.time2 * self.prescale

    def _next_repeat(self, tick: int, fall: int) -> None:
        """Phase 2 is over: the next repeat, line or table."""
        if not self.line.repeats or self.line_repeat < self.line.repeats:
            self.line_repeat += 1
            self._try(tick, fall)
        elif self.table_line < len(self.tables[0]):
            self.table_line += 1
            self._enter(tick, fall)
        elif self.tables[0].more:
            self._next_table(tick, fall)
        elif not self.repeats or self.table_repeat < self.repeats:
            self.table_repeat += 1
            self.table_line = 1
            self._enter(tick, fall)
        else:
            if self.tables[0].queued:
                self.tables.clear()
            self._end(tick)

    def _next_table(self, tick: int, fall: int) -> None:
        """Go on with the next table of a stream, or fail if there is none."""
        del self.tables[0]
        self.table_line = 1
        if self.tables:
            self._enter(tick, fall)
        else:
            self.health = UNDERRUN
            self.table_repeat = self.table_line = self.line_repeat = 0
            self._end(tick)

    def _trigger(self, line: Line, tick: int) -> int:
        """When the condition of a line is met; NEVER if not in this span."""
        kind = line.trigger - 1
        if kind < 0 or kind > 11:
            return tick
        if kind < 6:
            bit: Bits = self.inputs.bits["BIT" + "ABC"[kind // 2]]
            place = bisect_right(bit.edge_list, tick)
            if bit.level ^ (place & 1) == kind % 2:
                return tick
            return bit.edge_list[place] if place < len(bit.edge_list) else NEVER
        position = self.inputs.positions["POS" + "ABC"[(kind - 6) // 2]]
        upwards = kind % 2 == 0
        return position.first_reaching(line.position, upwards, tick, self.stop)

    def _show(self, tick: int, mask: int) -> None:
        """Set the outputs."""
        self.ticks.append(tick)
        self.masks.append(mask)

    def _set_active(self, tick: int, level: int) -> None:
        """Set ACTIVE."""
        self.active = level
        self.active_ticks.append(tick)
        self.active_levels.append(level)

    def _flush(self) -> None:
        """Make arrays of what was put out one by one."""
        if self.ticks:
            ticks = np.array(self.ticks, np.int64)
            self.chunks.append((ticks, np.array(self.masks, np.int64)))
            self.events += len(ticks)
            self.ticks, self.masks = [], []

    def outcome(self) -> Outcome:
        """What came of it."""
        self._flush()
        ticks = np.concatenate([chunk[0] for chunk in self.chunks])
        masks = np.concatenate([chunk[1] for chunk in self.chunks])
        shown = self.first.shown
        bits = {
            name: bits_from((shown >> place) & 1, ticks, (masks >> place) & 1)
            for place, name in enumerate(_OUTPUTS)
        }
        bits["ACTIVE"] = bits_from(
            self.first.shown_active,
            np.array(self.active_ticks, np.int64),
            np.array(self.active_levels, np.int64),
        )
        mask = int(masks[-1])
        state = SeqState(
            tables=tuple(self.tables),
            state=self.state,
            table_repeat=self.table_repeat,
            table_line=self.table_line,
            line_repeat=self.line_repeat,
            until=self.until,
            outputs=mask,
            active=self.active,
            health=self.health,
            shown=mask,
            shown_active=self.active,
        )
        return Outcome(state, bits, stop=self.given_up)
