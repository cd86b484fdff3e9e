"""The simulated beamline as a whole: `SimulatedBeamline`, and `fly_map` to scan it.

A PandA on real TCP ports, a stage with two axes on its encoders, a sample, and a
photon counter, all on one clock. `devices` are what Bluesky sees of it.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import bluesky.plan_stubs as bps
from bluesky.utils import (
    MsgGenerator,
    plan,  # pyright: ignore[reportUnknownVariableType]
)
from ophyd_async.core import PathProvider
from ophyd_async.fastcs.panda import (
    PosOutScaleOffset,
    ScanSpecInfo,
    ScanSpecSeqTableFlyableLogic,
)
from scanspec.specs import Fly, Linspace

from beamfly.devices import HDFPanda
from beamfly.errors import BadValue
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread
from beamfly.plans import fly
from beamfly.sim.axis import SimulatedAxis, StageFlyer
from beamfly.sim.ioc import BeamlineIOC
from beamfly.sim.stage import COUNTS_PER_MM, SampleStage

if TYPE_CHECKING:
    from beamfly.devices.scan_server_thread import ThreadedScanServer

DEADTIME = 5e-6
"""Seconds between two gates; whole microseconds of it and of the frame survive float
errors, which ophyd-async rounds down."""


class SimulatedBeamline:
    """A beamline to try things on; use it as a context manager.

    Args:
        control_port: Of the PandA, 0 for any that is free.
        data_port: Of the PandA, 0 for any that is free.
        ioc_port: Of an IOC, 0 for any that is free; None: there is no IOC.
        motors: Motors that the IOC has besides x and y of the stage.
        prefix: What the names of the IOC's PVs begin with.
        scan_port: Of a scan server that uses the IOC's PVs, 0 for any that is free;
            None: there is no scan server.
    """

    panda: SimulatedPandA
    """The PandA, which runs in a thread of its own."""

    def __init__(
        self,
        control_port: int = 0,
        data_port: int = 0,
        *,
        ioc_port: int | None = None,
        motors: int = 8,
        prefix: str = "BL:",
        scan_port: int | None = None,
    ) -> None:
        self.stage = SampleStage()
        self._ports = {"control_port": control_port, "data_port": data_port}
        self._stack = ExitStack()
        self._scan_port = scan_port
        self._scans: ThreadedScanServer | None = None
        self._ioc: BeamlineIOC | None = None
        if ioc_port is not None:
            self._ioc = BeamlineIOC(
                self.stage, motors=motors, prefix=prefix, port=ioc_port
            )

    @property
    def ioc(self) -> BeamlineIOC:
        """The IOC, whose motors x and y are the stage's; RuntimeError without one."""
        if self._ioc is None:
            raise RuntimeError("this beamline was made without an IOC (ioc_port)")
        return self._ioc

    @property
    def scan_server(self) -> "ThreadedScanServer":
        """The scan server; RuntimeError without one."""
        if self._scans is None:
            raise RuntimeError("this beamline has no scan server (scan_port)")
        return self._scans

    def __enter__(self) -> "SimulatedBeamline":
        """Start all parts."""
        try:
            server = serve_in_thread(motors=self.stage.encoders, **self._ports)
            self.panda = self._stack.enter_context(server)
            self.stage.attach(self.panda)
            if self._ioc is not None:
                self._stack.enter_context(self._ioc)
            if self._scan_port is not None:
                self._scans = self._serve_scans(self._scan_port)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop all parts."""
        self._stack.close()

    def _serve_scans(self, port: int) -> "ThreadedScanServer":
        # imported here, as it imports a web server
        from beamfly.sim.scans import serve_scans_on

        ioc = self._ioc
        scans = serve_scans_on(
            None if ioc is None else ioc.port,
            port,
            [] if ioc is None else ioc.speeds().items(),
        )
        return self._stack.enter_context(scans)

    def devices(self, path_provider: PathProvider | Path | str) -> "BeamlineDevices":
        """Devices for this beamline, not connected yet.

        Args:
            path_provider: Where the PandA's files go.
        """
        panda = HDFPanda(
            self.panda.host,
            path_provider,
            name="panda",
            control_port=self.panda.control_port,
            data_port=self.panda.data_port,
        )
        return BeamlineDevices(
            panda, SimulatedAxis(self.stage, "x"), SimulatedAxis(self.stage, "y")
        )


@dataclass
class BeamlineDevices:
    """What Bluesky moves and reads."""

    panda: HDFPanda
    """The PandA: INENC1 is on x, INENC2 on y, INENC3 counts photons."""
    x: SimulatedAxis
    """Horizontal position of the sample, mm."""
    y: SimulatedAxis
    """Vertical position of the sample, mm."""
    flyer: StageFlyer = field(init=False)
    """Flies x and y along a scanspec."""

    def __post_init__(self) -> None:
        """Make the flyer."""
        self.flyer = StageFlyer(self.x.mechanics)

    async def connect(self) -> None:
        """Connect all devices."""
        everything: tuple[Any, ...] = (self.panda, self.x, self.y)
        for device in everything:
            await device.connect()


def wire(devices: BeamlineDevices) -> MsgGenerator[None]:
    """Set the PandA up for `fly_map`: SEQ1 gates PCAP, which captures all encoders."""
    panda: Any = devices.panda
    scale = 1 / COUNTS_PER_MM
    settings: list[tuple[Any, Any]] = [
        (panda.pcap.enable, "SEQ1.ACTIVE"),
        (panda.pcap.gate, "SEQ1.OUTA"),
        (panda.pcap.trig, "SEQ1.OUTA"),
        (panda.pcap.trig_edge, "Falling"),
        (panda.seq[1].bita, "TTLIN1.VAL"),
        (panda.inenc[1].val_capture, "Mean"),
        (panda.inenc[2].val_capture, "Mean"),
        (panda.inenc[3].val_capture, "Diff"),
        (panda.inenc[1].val_dataset, "x_encoder"),
        (panda.inenc[2].val_dataset, "y_encoder"),
        (panda.inenc[3].val_dataset, "photons"),
        (panda.pcap.ts_trig_capture, "Value"),
        (panda.pcap.ts_trig_dataset, "time_since_arm"),
    ]
    for encoder in (1, 2):
        settings.append((panda.inenc[encoder].val_scale, scale))
        settings.append((panda.inenc[encoder].val_units, "mm"))
    settings.append((panda.inenc[3].val_units, "photons"))
    for signal, value in settings:
        yield from bps.abs_set(signal, value, group="wire")
    yield from bps.wait(group="wire")


@plan
def fly_map(
    devices: BeamlineDevices,
    *,
    shape: tuple[int, int] = (100, 100),
    size: tuple[float, float] = (10.0, 10.0),
    frame_time: float = 5e-4,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Map the sample in one flight, line after line, there and back.

    The sequencer waits for x at the start of each line and then gates PCAP.

    Args:
        devices: Of a simulated beamline.
        shape: Lines, and points per line: 2 points or more in all.
        size: Height and width of the map in mm, around 0.
        frame_time: Seconds per point.
        md: Goes into the start document.

    Returns:
        The unique id of the run.

    Raises:
        BadValue: The map has no points, or one, for which nothing flies.
    """
    x, y, panda = devices.x, devices.y, devices.panda
    (lines, points), (height, width) = shape, size
    if min(shape) < 1 or lines * points < 2:
        msg = (
            f"a map of {lines} x {points} points is no flight: it takes 1 line or more "
            "of 1 point or more, and 2 points in all; nothing was moved"
        )
        raise BadValue(msg)
    half = [height / 2 * (lines - 1) / lines, width / 2 * (points - 1) / points]
    # the sequencer's logic asks for Motor in its types, but nothing of a Motor
    slow: Any = Linspace(y, -half[0], half[0], lines)
    fast: Any = Linspace(x, -half[1], half[1], points)
    inenc: tuple[Any, int] = (x, 1)
    if points == 1:
        # a column is one line along y
        slow, fast, inenc = fast, slow, (y, 2)
    # one line that turned round would go on where it ends: the sequencer's logic would
    # see no gap, and so no line
    snaking = min(shape) > 1
    spec: Any = Fly(frame_time @ (slow * (~fast if snaking else fast)))
    encoders: dict[Any, Any] = {inenc[0]: PosOutScaleOffset.from_inenc(panda, inenc[1])}
    sequencer = ScanSpecSeqTableFlyableLogic(panda.seq[1], encoders)
    yield from wire(devices)
    return (
        yield from fly(
            panda,
            num=lines * points,
            flyers=[
                (sequencer, ScanSpecInfo(spec=spec, deadtime=DEADTIME)),
                (devices.flyer, spec),
            ],
            md={
                "shape": list(shape),
                "extents": [[-end, end] for end in half],
                "snaking": [False, snaking],
                **(md or {}),
            },
        )
    )
