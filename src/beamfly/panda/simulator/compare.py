"""PCOMP: pulses at positions."""

from dataclasses import dataclass, replace

import numpy as np

from beamfly.panda.simulator.block import Block, Inputs, Outcome
from beamfly.panda.simulator.traces import NEVER, bits_from

WAIT_ENABLE, WAIT_DIR, WAIT_PRE_START, WAIT_RISING, WAIT_FALLING = range(5)
"""Values of STATE."""
JUMPED, CANNOT_GUESS = 1, 2
"""Values of HEALTH."""
POSITIVE, NEGATIVE, EITHER = range(3)
"""Values of DIR."""


@dataclass(frozen=True)
class PcompState:
    """Where a PCOMP is."""

    state: int = WAIT_ENABLE
    since: int = 0
    """Tick from which the next condition is looked at."""
    unseen: bool = False
    """Whether that tick is still to come."""
    forward: bool = True
    """Whether positions are passed upwards."""
    latched: int = 0
    """Position from which a relative one counts."""
    last: int = 0
    """Position of the last edge."""
    next: int = 0
    """Position of the next edge."""
    out: int = 0
    active: int = 0
    produced: int = 0
    health: int = 0


class Pcomp(Block):
    """PCOMP: position compare."""

    bit_inputs = ("ENABLE",)
    position_inputs = ("INP",)
    bit_outputs = ("ACTIVE", "OUT")
    read_fields = ("HEALTH", "PRODUCED", "STATE")

    def initial(self) -> PcompState:
        """Not enabled."""
        return PcompState()

    def due(self) -> int:
        """The tick at which a condition is looked at for the first time."""
        return self.state.since if self.state.unseen else NEVER

    def read(self, field: str) -> int:
        """HEALTH, PRODUCED or STATE."""
        return int(getattr(self.state, field.lower()))

    def evaluate(self, inputs: Inputs) -> Outcome:
        """From condition to condition."""
        run = _Run(self, inputs)
        run.go(inputs.bits["ENABLE"].edge_list, inputs.bits["ENABLE"].level)
        state: PcompState = self.state
        waits = run.state.state != WAIT_ENABLE
        after = replace(run.state, unseen=waits and run.state.since >= run.stop)
        ticks = np.array(run.ticks, np.int64)
        active = bits_from(state.active, ticks, np.array(run.active))
        out = bits_from(state.out, ticks, np.array(run.out))
        return Outcome(after, {"ACTIVE": active, "OUT": out})


class _Run:
    """One span of a PCOMP."""

    def __init__(self, block: Pcomp, inputs: Inputs) -> None:
        self.block = block
        self.position = inputs.positions["INP"]
        self.start, self.stop = inputs.span.start, inputs.span.stop
        self.state: PcompState = block.state
        self.ticks: list[int] = [self.start]
        self.active: list[int] = [self.state.active]
        self.out: list[int] = [self.state.out]

    def go(self, edges: list[int], level: int) -> None:
        """Everything until the end of the span."""
        for edge in edges:
            self._until(edge)
            level = 1 - level
            if level:
                self._begin(edge)
            else:
                self._set(edge, replace(self.state, state=WAIT_ENABLE, out=0, active=0))
        self._until(self.stop)

    def _set(self, tick: int, state: PcompState) -> None:
        """Go to another state; the next condition is looked at a tick later."""
        self.state = replace(state, since=tick + 1)
        self.ticks.append(tick)
        self.active.append(state.active)
        self.out.append(state.out)

    def _begin(self, tick: int) -> None:
        """ENABLE rose."""
        block = self.block
        state = PcompState(
            active=1,
            latched=self.position.count_at(tick),
            forward=block["DIR"] == POSITIVE,
            state=WAIT_DIR if block["DIR"] == EITHER else WAIT_PRE_START,
        )
        at_once = block["RELATIVE"] and not block["START"] and not block["PRE_START"]
        if at_once and block["DIR"] != EITHER:
            state = self._risen(replace(state, last=0, next=0))
        self._set(tick, state)

    def _until(self, end: int) -> None:
        """Follow the conditions up to a tick."""
        while self.state.state != WAIT_ENABLE:
            tick = self._condition(end)
            if tick >= end:
                return
            self._step(tick)

    def _condition(self, end: int) -> int:
        """When the condition of the current state is met; NEVER if not before `end`."""
        state, block = self.state, self.block
        since = max(state.since, self.start)
        if since >= end:
            return NEVER
        if state.state == WAIT_DIR:
            return self._direction_known(since, end)
        if state.state == WAIT_PRE_START:
            edge = self._oriented(block["START"])
            if state.forward:
                return self._reach(edge - block["PRE_START"] - 1, False, since, end)
            return self._reach(edge + block["PRE_START"] + 1, True, since, end)
        return self._reach(state.next, state.next >= state.last, since, end)

    def _direction_known(self, since: int, end: int) -> int:
        """When the direction can be told, or that it cannot."""
        start, before = self.block["START"], self.block["PRE_START"]
        if not self.block["RELATIVE"]:
            up = self._reach(start + 1, True, since, end)
            return min(up, self._reach(start - 1, False, since, end))
        away = start + before
        if away <= 0:
            return since
        up = self._reach(away, True, since, end)
        return min(up, self._reach(-away, False, since, end))

    def _reach(self, count: int, upwards: bool, since: int, end: int) -> int:
        """When the position, relative or not, is at or past some counts."""
        if self.block["RELATIVE"]:
            count += self.state.latched
        return self.position.first_reaching(count, upwards, since, end)

    def _oriented(self, start: int) -> int:
        """START, which in relative mode lies in the direction of travel."""
        return start if self.state.forward or not self.block["RELATIVE"] else -start

    def _way(self, name: str) -> int:
        """STEP or WIDTH in the direction of travel."""
        return self.block[name] if self.state.forward else -self.block[name]

    def _here(self, tick: int) -> int:
        """The position, relative or not."""
        latched = self.state.latched if self.block["RELATIVE"] else 0
        return self.position.count_at(tick) - latched

    def _step(self, tick: int) -> None:
        """The condition of the current state is met."""
        steps = {
            WAIT_DIR: self._guess,
            WAIT_PRE_START: self._ready,
            WAIT_RISING: self._rise,
            WAIT_FALLING: self._fall,
        }
        self._set(tick, steps[self.state.state](tick))

    def _guess(self, tick: int) -> PcompState:
        """The direction is known."""
        state, block, here = self.state, self.block, self._here(tick)
        if not block["RELATIVE"]:
            return replace(state, forward=here < block["START"], state=WAIT_PRE_START)
        if block["START"] + block["PRE_START"] <= 0:
            return replace(state, state=WAIT_ENABLE, active=0, health=CANNOT_GUESS)
        if block["PRE_START"] > 0:
            return replace(state, forward=here < 0, state=WAIT_PRE_START)
        self.state = replace(state, forward=here > 0)
        edge = self._oriented(block["START"])
        return self._risen(replace(self.state, last=edge, next=edge))

    def _ready(self, tick: int) -> PcompState:
        """The position was far enough before START."""
        edge = self._oriented(self.block["START"])
        before = edge - 1 if self.state.forward else edge + 1
        return replace(self.state, last=before, next=edge, state=WAIT_RISING)

    def _risen(self, state: PcompState) -> PcompState:
        """A pulse begins at `next`."""
        width = self.block["WIDTH"] if state.forward else -self.block["WIDTH"]
        return replace(
            state,
            out=1,
            produced=state.produced + 1,
            last=state.next,
            next=state.next + width,
            state=WAIT_FALLING,
        )

    def _rise(self, tick: int) -> PcompState:
        """The position of a rising edge is reached."""
        if self._jumped(tick):
            return replace(self.state, state=WAIT_ENABLE, active=0, health=JUMPED)
        return self._risen(self.state)

    def _fall(self, tick: int) -> PcompState:
        """The position of a falling edge is reached."""
        state = replace(self.state, out=0)
        if state.produced == self.block["PULSES"]:
            return replace(state, state=WAIT_ENABLE, active=0)
        if self._jumped(tick):
            return replace(state, state=WAIT_ENABLE, active=0, health=JUMPED)
        next_edge = state.last + self._way("STEP")
        return replace(state, last=state.next, next=next_edge, state=WAIT_RISING)

    def _jumped(self, tick: int) -> bool:
        """Whether the position has gone past the edge after the one reached."""
        here, last, next_ = self._here(tick), self.state.last, self.state.next
        too_far = last + self._way("STEP")
        return last <= next_ <= too_far <= here or last >= next_ >= too_far >= here
