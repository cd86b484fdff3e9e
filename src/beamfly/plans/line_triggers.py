"""What makes a PandA take a point: where the motor is, or how much time has passed.

Three ways, each a class with the wiring that it needs and the flyers of a line:

- `ByPosition`: PCOMP compares each point's position with the encoder;
- `BySequence`: SEQ waits for the position of the first point, time does the others;
- `ByTime`: SEQ makes all points by time as soon as the motor is fast enough.

PCAP is enabled by BITS.B throughout, and GATE is high while a point is passed, so that
means over it can be captured; it is taken when GATE falls.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from ophyd_async.core import FlyableLogic, FlyMotorInfo, SignalRW
from ophyd_async.fastcs.panda import (
    PandaBitMux,
    PandaPcompDirection,
    PcompInfo,
    PosOutScaleOffset,
    ScanSpecInfo,
    ScanSpecSeqTableFlyableLogic,
    StaticPcompFlyableLogic,
)

from beamfly.devices.panda import Panda
from beamfly.errors import BadValue
from beamfly.plans.encoders import Encoder, encoder_block
from beamfly.plans.lines import Line

Pairs = list[tuple[Any, Any]]
"""Flyers and what they are prepared for, in the order in which they start."""

MARGIN_SECONDS = 0.02
"""Flown at full speed before the first point and after the last one."""
LATENCY_SECONDS = 0.3
"""Flown at full speed in addition, where points begin when this computer says so."""
_MARGIN_COUNTS = 4.0
"""Counts before the first point at least, so that it is certain to be passed."""
_DEADTIME = 5
"""Microseconds between two points of a sequencer."""
_MOST_POINTS = 65535
"""Of a line that a sequencer makes."""
_LEAST_MICROSECONDS = 2 * _DEADTIME
_LEAST_COUNTS = 2
_DRIFT = 0.5
"""Counts that the last position may be off because steps are whole counts."""


@dataclass
class BitLogic(FlyableLogic[None, None]):
    """A bit of BITS that goes up when it is kicked off."""

    bit: SignalRW[bool]
    lower_first: bool
    """Whether it goes down when it is prepared, or stays until all is over."""

    async def on_prepare(self, value: None) -> None:
        """Down, unless it stays up from line to line."""
        if self.lower_first:
            await self.bit.set(False)

    async def on_kickoff(self, ctx: None) -> None:
        """Up."""
        await self.bit.set(True)

    async def on_complete(self, ctx: None) -> None:
        """There is nothing to wait for."""

    async def stop(self) -> None:
        """Down."""
        await self.bit.set(False)


class LineTrigger(ABC):
    """How points of a line are triggered.

    Args:
        panda: Where.
        encoder: Of the motor; None: nothing is compared with it.
        block: Number of the PCOMP or SEQ.
    """

    lead = lag = MARGIN_SECONDS
    """Seconds at full speed before and after the points."""

    def __init__(self, panda: Panda, encoder: Encoder | None, block: int) -> None:
        self.panda: Any = panda
        self.encoder = encoder
        bits = getattr(panda, "bits", None)
        if bits is None:
            msg = f"{panda.name} has no block BITS to be started by; nothing was moved"
            raise BadValue(msg)
        self.enable = self._flyer(BitLogic(bits.b, lower_first=False), "enable")
        self.go = self._flyer(BitLogic(bits.a, lower_first=True), "go")
        self.block = self._block(block)

    def _flyer(self, logic: FlyableLogic[Any, Any], name: str) -> Any:
        """A device that flies by a logic."""
        device: Any = logic.with_device(f"{self.panda.name}-{name}")  # pyright: ignore
        return device

    @abstractmethod
    def _block(self, number: int) -> Any:
        """The block that triggers."""

    def _found(self, kind: str, number: int) -> Any:
        blocks = getattr(self.panda, kind, {})
        if number not in blocks:
            msg = f"{self.panda.name} has no {kind.upper()}{number}; nothing was moved"
            raise BadValue(msg)
        return blocks[number]

    @abstractmethod
    def check(self, line: Line) -> None:
        """BadValue if it cannot trigger such points."""

    def motion(self, line: Line) -> FlyMotorInfo:
        """How the motor flies: further than the points, as they are at full speed."""
        before, after = self.lead * line.speed, self.lag * line.speed
        if self.encoder is not None:
            least = _MARGIN_COUNTS * abs(self.encoder.scale)
            before, after = max(before, least), max(after, least)
        return FlyMotorInfo(
            start_position=line.begin - line.direction * before,
            end_position=line.end + line.direction * after,
            time_for_move=line.seconds + (before + after) / line.speed,
        )

    def wiring(self) -> list[tuple[SignalRW[Any], Any]]:
        """Signals and what they have to be."""
        output, settings = self._wiring()
        pcap = self.panda.pcap
        return [
            *settings,
            (pcap.enable, "BITS.OUTB"),
            (pcap.gate, output),
            (pcap.trig, output),
            (pcap.trig_edge, "Falling"),
        ]

    @abstractmethod
    def _wiring(self) -> tuple[str, list[tuple[SignalRW[Any], Any]]]:
        """Output of the block, and what it needs."""

    @abstractmethod
    def flyers(self, line: Line, motion: FlyMotorInfo) -> Pairs:
        """Flyers of a line."""


class ByPosition(LineTrigger):
    """PCOMP compares each position."""

    def _block(self, number: int) -> Any:
        self._number = number
        block = self._found("pcomp", number)
        self._compare = self._flyer(StaticPcompFlyableLogic(block), f"pcomp{number}")
        return block

    def _exact(self) -> Encoder:
        if self.encoder is None:
            msg = "trigger='position' needs the encoder of the motor; nothing was moved"
            raise BadValue(msg)
        return self.encoder

    def check(self, line: Line) -> None:
        """BadValue unless steps are whole counts, or very nearly."""
        encoder = self._exact()
        exact = abs(line.step / encoder.scale)
        whole = round(exact)
        if whole < _LEAST_COUNTS:
            msg = (
                f"a point would be {exact:g} counts of {encoder.output}, and PCOMP "
                f"needs {_LEAST_COUNTS}: is its scale of {encoder.scale:g} right? If "
                "not, match_encoder sets it; nothing was moved"
            )
            raise BadValue(msg)
        if abs(exact - whole) * line.num > _DRIFT:
            first = line.begin + line.step / 2
            step = line.direction * whole * abs(encoder.scale)
            msg = (
                f"a point would be {exact:.6g} counts of {encoder.output}, and PCOMP "
                f"makes steps of whole counts: go from {first:g} to "
                f"{first + step * (line.num - 1):g}, or take trigger='sequence'; "
                "nothing was moved"
            )
            raise BadValue(msg)

    def _wiring(self) -> tuple[str, list[tuple[SignalRW[Any], Any]]]:
        block = self.block
        return f"PCOMP{self._number}.OUT", [
            (block.inp, self._exact().output),
            (block.pre_start, 0),
            (block.relative, "Absolute"),
        ]

    def flyers(self, line: Line, motion: FlyMotorInfo) -> Pairs:
        """PCOMP waits before the motor starts."""
        encoder = self._exact()
        step = round(abs(line.step / encoder.scale))
        up = line.step / encoder.scale > 0
        info = PcompInfo(
            start_position=round(encoder.counts(line.begin)),
            pulse_width=step - 1,
            rising_edge_step=step,
            number_of_pulses=line.num,
            direction=PandaPcompDirection.POSITIVE
            if up
            else PandaPcompDirection.NEGATIVE,
        )
        return [(self.enable, None), (self._compare, info), (line.axis, motion)]


class BySequence(LineTrigger):
    """SEQ waits for the first position, then for time."""

    def _block(self, number: int) -> Any:
        self._number = number
        block = self._found("seq", number)
        self._table = ScanSpecSeqTableFlyableLogic(block)
        self._sequencer = self._flyer(self._table, f"seq{number}")
        return block

    def check(self, line: Line) -> None:
        """BadValue unless a line of a sequencer table can hold the points."""
        exact = line.duration * 1e6
        if abs(exact - round(exact)) > 1e-3 or exact < _LEAST_MICROSECONDS:
            msg = (
                f"a point of {line.duration!r} s is not a whole number of microseconds,"
                f" {_LEAST_MICROSECONDS} or more; nothing was moved"
            )
            raise BadValue(msg)
        if line.num > _MOST_POINTS:
            msg = f"a line has {line.num} points, a sequencer makes {_MOST_POINTS}"
            raise BadValue(f"{msg}; nothing was moved")

    def _wiring(self) -> tuple[str, list[tuple[SignalRW[Any], Any]]]:
        return f"SEQ{self._number}.OUTA", [(self.block.bita, PandaBitMux("BITS.OUTA"))]

    def _outputs(self, line: Line) -> dict[Any, PosOutScaleOffset]:
        if self.encoder is None:
            msg = "trigger='sequence' needs the encoder of the motor; nothing was moved"
            raise BadValue(msg)
        inenc = encoder_block(self.panda, self.encoder.number)
        name = self.encoder.output
        return {line.axis: PosOutScaleOffset(name, inenc.val_scale, inenc.val_offset)}

    def _points(self, line: Line) -> tuple[Any, ScanSpecInfo]:
        """The sequencer, and what to prepare it for."""
        self._table.motor_pos_outs = self._outputs(line)
        # ophyd-async cuts parts of microseconds off, and float errors make some
        spec: Any = line.spec(more_time=0.5e-6)
        info = ScanSpecInfo(spec=spec, deadtime=(_DEADTIME + 0.25) * 1e-6)
        return self._sequencer, info

    def flyers(self, line: Line, motion: FlyMotorInfo) -> Pairs:
        """SEQ is let go, and waits, before the motor starts."""
        return [
            (self.enable, None),
            self._points(line),
            (self.go, None),
            (line.axis, motion),
        ]


class ByTime(BySequence):
    """SEQ makes points when the motor is fast enough."""

    lag = MARGIN_SECONDS + LATENCY_SECONDS

    def _outputs(self, line: Line) -> dict[Any, PosOutScaleOffset]:
        return {}

    def flyers(self, line: Line, motion: FlyMotorInfo) -> Pairs:
        """SEQ is let go when the motor has its speed."""
        return [
            (self.enable, None),
            self._points(line),
            (line.axis, motion),
            (self.go, None),
        ]


TRIGGERS: dict[str, type[LineTrigger]] = {
    "position": ByPosition,
    "sequence": BySequence,
    "time": ByTime,
}
"""What plans call them."""
