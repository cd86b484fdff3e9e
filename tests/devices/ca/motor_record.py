"""A motor record for tests: moves, stops, sets, homes, has limits."""

import asyncio
from typing import Any

from beamfly.ca.puts import Put
from beamfly.ca.pv import PV
from beamfly.ca.records import RecordGroup

STEPS = 8
STEP_SECONDS = 0.002


class MotorRecord:
    """Serve `record` under the motor's name."""

    def __init__(self, low: float = -100.0, high: float = 100.0, at: float = 0.0):
        self._stop = asyncio.Event()
        self._wake: asyncio.Event | None = None
        self.stuck = False
        """Moves take for ever."""
        self.early = False
        """Puts are complete before the motor has arrived."""
        self.moves: list[float] = []
        """Where it was sent to."""
        double = PV(at, units="mm", precision=3, on_put=self._move, drvl=0, drvh=0)
        self.record = RecordGroup(
            "motor",
            VAL=double,
            RBV=at,
            DVAL=at,
            DRBV=at,
            OFF=PV(0.0, units="mm", precision=3),
            DIR=PV(0, states=("Pos", "Neg")),
            VELO=10.0,
            VMAX=20.0,
            VBAS=0.1,
            ACCL=0.01,
            BDST=0.25,
            JVEL=2.0,
            MRES=0.001,
            ERES=0.001,
            UREV=1.0,
            SREV=1000,
            RDBD=0.01,
            DMOV=PV(1, type="short"),
            MOVN=PV(0, type="short"),
            LVIO=PV(0, type="short"),
            HLS=PV(0, type="short"),
            LLS=PV(0, type="short"),
            LLM=low,
            HLM=high,
            DLLM=low,
            DHLM=high,
            FOFF=PV(0, states=("Variable", "Frozen")),
            SET=PV(0, states=("Use", "Set")),
            SPMG=PV(3, states=("Stop", "Pause", "Move", "Go")),
            OUT="@asyn(SIM,0)",
            TWV=0.5,
            TWF=PV(0, type="short", on_put=self._tweak),
            TWR=PV(0, type="short", on_put=self._tweak),
            JOGF=PV(0, type="short", on_put=self._jog),
            JOGR=PV(0, type="short", on_put=self._jog),
            HOMF=PV(0, type="short", on_put=self._home),
            HOMR=PV(0, type="short", on_put=self._home),
            ATHM=PV(0, type="short"),
            STOP=PV(0, type="short", on_put=self._stopped),
            MSTA=0,
        )
        self.record.main.configure(description="sample, horizontal")

    async def _move(self, put: Put) -> None:
        record = self.record
        if record["SET"]:
            change = put.value - record["RBV"]
            record.post(OFF=record["OFF"] + change, RBV=put.value)
            return
        await self._go(put.value, put)

    async def _go(self, target: float, put: Put | None = None) -> None:
        record = self.record
        dial_limits = record["DLLM"], record["DHLM"]
        if dial_limits != (0, 0) and not record["LLM"] <= target <= record["HLM"]:
            record["LVIO"] = 1
            if put is not None:
                put.value = record["VAL"]
            return
        if put is not None:
            put.accept()
        self.moves.append(target)
        start = record["RBV"]
        self._stop.clear()
        record.post(LVIO=0, DMOV=0, MOVN=1)
        if self.early and put is not None:
            put.finish()
        step = 0
        while (self.stuck or step < STEPS) and not self._stop.is_set():
            step += 1
            await asyncio.sleep(STEP_SECONDS)
            here = start + (target - start) * min(step, STEPS) / STEPS
            record.post(RBV=here, DRBV=here - record["OFF"])
        where = record["RBV"] if self._stop.is_set() else target
        record.post(VAL=where, DVAL=where - record["OFF"], MOVN=0, DMOV=1)

    async def _tweak(self, put: Put) -> None:
        if put.value:
            sign = 1 if put.name.endswith("TWF") else -1
            await self._go(self.record["VAL"] + sign * self.record["TWV"])
            put.value = 0

    async def _jog(self, put: Put) -> None:
        if not put.value:
            self._stop.set()
            return
        put.accept()
        sign = 1 if put.name.endswith("JOGF") else -1
        record = self.record
        self._stop.clear()
        record.post(DMOV=0, MOVN=1)
        while not self._stop.is_set():
            await asyncio.sleep(STEP_SECONDS)
            record["RBV"] = record["RBV"] + sign * record["JVEL"] * STEP_SECONDS
        record.post(VAL=record["RBV"], MOVN=0, DMOV=1)

    async def _home(self, put: Put) -> None:
        if put.value:
            await self._go(0.0)
            self.record["ATHM"] = 1
            put.value = 0

    async def _stopped(self, put: Put) -> None:
        # a coroutine as the moves are, or it would overtake one that is about to begin
        if put.value:
            self._stop.set()
        put.value = 0


def motor_pvs(names: list[str], **options: Any) -> dict[str, RecordGroup]:
    """Motor records by name."""
    return {name: MotorRecord(**options).record for name in names}
