"""`pulses`: a train of pulses from a sequencer, ready to be a flyer."""

from ophyd_async.fastcs.panda import (
    SeqBlock,
    SeqTable,
    SeqTableInfo,
    SeqTrigger,
    StaticSeqTableFlyableLogic,
)

from beamfly.errors import BadValue

MOST_REPEATS = 65535
"""Repeats that one line of a sequencer table can hold."""
MOST_UNITS = 2**32 - 1
"""Longest phase, in units of the prescaler."""
PRESCALERS = (1.0, 0.2, 0.04, 0.008)
"""Units of time to choose from, in microseconds; all are whole ticks of 8 ns."""
_CLOSE_ENOUGH = 1e-6


def pulses(
    seq: SeqBlock,
    num: int,
    period: float,
    width: float | None = None,
    *,
    trigger: str = SeqTrigger.IMMEDIATE,
    output: str = "a",
) -> tuple[StaticSeqTableFlyableLogic, SeqTableInfo]:
    """A flyer that makes pulses, for `fly(..., flyers=[pulses(...)])`.

    Wire PCAP.TRIG to its output and PCAP.ENABLE to its ACTIVE, or whatever is to be
    triggered. More pulses than a line of the table holds take several lines.

    Args:
        seq: The sequencer, such as panda.seq[1].
        num: How many pulses.
        period: Seconds from one to the next, in steps of 8 ns.
        width: Seconds that each lasts, None for half the period.
        trigger: What each pulse waits for, such as BITA=1.
        output: Which output, a to f.

    Raises:
        BadValue: It cannot make such pulses; says why.
    """
    width = period / 2 if width is None else width
    if num < 1 or not 0 < width < period or output not in tuple("abcdef"):
        msg = (
            f"{num} pulses of {width} s every {period} s on output {output!r} cannot "
            "be: at least one pulse, shorter than the period, on output a to f"
        )
        raise BadValue(msg)
    prescale, high, low = _units(width, period - width)
    table = SeqTable.empty()
    for start in range(0, num, MOST_REPEATS):
        table += SeqTable.row(
            repeats=min(MOST_REPEATS, num - start),
            trigger=SeqTrigger(trigger),
            time1=high,
            time2=low,
            **{f"out{output}1": True},
        )
    info = SeqTableInfo(sequence_table=table, repeats=1, prescale_as_us=prescale)
    return StaticSeqTableFlyableLogic(seq), info


def _units(high: float, low: float) -> tuple[float, int, int]:
    """Prescaler in microseconds and both phases in its units; BadValue if none fits."""
    for prescale in PRESCALERS:
        exact = [seconds * 1e6 / prescale for seconds in (high, low)]
        units = [round(value) for value in exact]
        close = all(
            abs(value - unit) <= _CLOSE_ENOUGH * value
            for value, unit in zip(exact, units, strict=True)
        )
        if close and min(units) >= 1 and max(units) <= MOST_UNITS:
            return prescale, units[0], units[1]
    msg = (
        f"phases of {high} s and {low} s are not whole multiples of 8 ns, or too long "
        f"for a sequencer, which counts to {MOST_UNITS}"
    )
    raise BadValue(msg)
