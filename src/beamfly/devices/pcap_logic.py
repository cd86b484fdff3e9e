"""Trigger, acquire and data logic of PCAP, for the detector in `detector`.

These two are the only modules that know ophyd-async's detector API, which still moves.

- EXTERNAL_LEVEL and EXTERNAL_EDGE: whatever the PandA is wired to triggers; starting
  to acquire arms. The dead time is one tick of its clock.
- INTERNAL: points are taken from here, see `pcap_wiring`; this is what step scans do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from event_model import DataKey
from ophyd_async.core import (
    DetectorAcquireLogic,
    DetectorDataLogic,
    DetectorTriggerLogic,
    PathProvider,
    SignalDict,
    StreamableDataProvider,
    StreamResourceDataProvider,
    StreamResourceInfo,
    TriggerInfo,
)
from ophyd_async.fastcs.panda import PandaCaptureMode, PcapBlock

from beamfly.devices.panda_backend import PandaSession
from beamfly.devices.panda_data import PandaData
from beamfly.devices.pcap_wiring import PcapWiring
from beamfly.errors import CommandError, Disconnected, HdfError

log = logging.getLogger(__name__)

DEADTIME = 8e-9
"""Seconds between two triggers at least: one tick of a PandA's clock."""
ARM_AGAIN = 0.02
"""Seconds between attempts to arm while the PandA clears up the last acquisition."""
ARM_TIMEOUT = 5.0
"""Seconds for which that is tried."""
_NOT_YET = ("Data clients still taking data", "Unexpected error at")


class PcapTriggerLogic(DetectorTriggerLogic):
    """Which trigger PCAP waits for."""

    def __init__(self, wiring: PcapWiring, data: PandaData) -> None:
        self.wiring = wiring
        self._data = data
        self.livetime = 0.0
        self.deadtime = 0.0

    def get_deadtime(self, config_values: SignalDict) -> float:
        """One tick of the clock, whatever the settings."""
        return DEADTIME

    async def prepare_level(self, num: int) -> None:
        """As the PandA is wired."""
        await self.wiring.restore()

    async def prepare_edge(self, num: int, livetime: float) -> None:
        """As the PandA is wired; what a live time is, is up to its GATE."""
        await self.wiring.restore()

    async def prepare_internal(
        self, num: int, livetime: float, deadtime: float
    ) -> None:
        """Triggered from here: take over PCAP's inputs until unstaged."""
        self.livetime, self.deadtime = livetime, deadtime
        if not self._data.mocked:
            await self.wiring.take()

    async def default_trigger_info(self) -> TriggerInfo:
        """One point, as short as can be."""
        return TriggerInfo()


class PcapAcquireLogic(DetectorAcquireLogic):
    """Arms and disarms PCAP, and takes points if they are triggered from here."""

    def __init__(
        self,
        session: PandaSession,
        pcap: PcapBlock,
        data: PandaData,
        trigger: PcapTriggerLogic,
    ) -> None:
        self.session = session
        self.pcap = pcap
        self.data = data
        self.trigger = trigger
        self.exposures = 1
        """How many points the next start takes, if they are triggered from here."""
        self._armed = False
        self._exposing: asyncio.Task[None] | None = None

    async def start_acquiring(self) -> None:
        """Arm, unless we did and PCAP is still at it."""
        busy = await self.pcap.arm.get_value()
        if busy and not self._armed:
            # somebody else's acquisition, of which we have missed the start
            await self.pcap.arm.set(False)
        if not (busy and self._armed):
            await self._arm()
        wiring, trigger = self.trigger.wiring, self.trigger
        if wiring.taken:
            self._exposing = asyncio.create_task(
                wiring.expose_all(self.exposures, trigger.livetime, trigger.deadtime)
            )
            # whoever waits for rows looks whether there is any point in it
            self._exposing.add_done_callback(lambda _: self.data.session.nudge())

    def check_exposing(self) -> None:
        """Raise what went wrong with points that are taken from here."""
        task = self._exposing
        if task is not None and task.done() and not task.cancelled():
            error = task.exception()
            if error is not None:
                raise error

    async def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ARM_TIMEOUT
        while True:
            try:
                await self.pcap.arm.set(True)
                break
            except CommandError as error:
                clearing = any(text in str(error) for text in _NOT_YET)
                if not clearing or loop.time() > deadline:
                    raise
            await asyncio.sleep(ARM_AGAIN)
        self.data.session.arms += 1
        if not self._armed:
            self._armed = True
            self.session.poller.hold(True)

    async def wait_for_idle(self) -> None:
        """Wait for the points that are taken from here; PCAP stays armed."""
        if self._exposing is not None:
            await self._exposing

    async def ensure_ready(self) -> None:
        """Disarm, whoever armed it."""
        await self._stop_exposing()
        await self._disarm()

    async def ensure_stopped(self) -> None:
        """Disarm, and restore PCAP's inputs; a PandA that is gone is reported."""
        await self._stop_exposing()
        try:
            await self._disarm()
            await self.trigger.wiring.restore()
        except Disconnected as error:
            # what was under way has failed with it; staging will try again
            log.warning("PCAP could not be disarmed: %s", error)

    async def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self.session.poller.hold(False)
        await self.pcap.arm.set(False)

    async def _stop_exposing(self) -> None:
        exposing, self._exposing = self._exposing, None
        if exposing is not None:
            exposing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Disconnected):
                await exposing


class PandaStreamProvider(StreamResourceDataProvider):
    """Stream documents of a PandA's file; their data keys have units."""

    def __init__(
        self,
        data: PandaData,
        uri: str,
        resources: Sequence[StreamResourceInfo],
        units: Mapping[str, str],
    ) -> None:
        super().__init__(
            uri=uri,
            resources=resources,
            mimetype="application/x-hdf5",
            collections_written_signal=data.num_captured,
        )
        self._units = units

    async def make_datakeys(self, collections_per_event: int) -> dict[str, DataKey]:
        """One per dataset, with its true type and its units."""
        keys = await super().make_datakeys(collections_per_event)
        for name, key in keys.items():
            key["units"] = self._units[name]
        return keys


class PcapDataLogic(DetectorDataLogic):
    """Where rows go: a file per stage, written in this process."""

    def __init__(
        self, path_provider: PathProvider, data: PandaData, address: str
    ) -> None:
        self.path_provider = path_provider
        self.data = data
        self.source = f"panda://{address}"

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        """Start to capture into a new file.

        Raises:
            HdfError: The directory or file cannot be written.
            BadValue: The PandA has nothing to capture.
        """
        where = self.path_provider(datakey_name)
        data = self.data
        # first, as it says what setting the directory may create
        await data.create_directory.set(where.create_dir_depth)
        await asyncio.gather(
            data.hdf_directory.set(str(where.directory_path)),
            data.hdf_file_name.set(f"{where.filename}.h5"),
            data.capture_mode.set(PandaCaptureMode.FOREVER),
        )
        if not await data.directory_exists.get_value():
            msg = (
                f"{where.directory_path} does not exist or cannot be written; no "
                "capture was started"
            )
            raise HdfError(msg)
        await data.capture.set(True)
        # until there is a goal: see `prepare` of the detector
        data.announce(0)
        datasets = {
            dataset.data_key(datakey_name): dataset
            for dataset in await data.describe_datasets()
        }
        resources = [
            StreamResourceInfo(
                data_key=key,
                shape=(),
                chunk_shape=(dataset.chunk_rows,),
                dtype_numpy=dataset.dtype,
                parameters={"dataset": f"/{dataset.name}", "swmr": True},
                source=f"{self.source}/{dataset.column}",
            )
            for key, dataset in datasets.items()
        ]
        units = {key: dataset.units for key, dataset in datasets.items()}
        uri = f"{where.directory_uri}{where.filename}.h5"
        return PandaStreamProvider(data, uri, resources, units)

    async def stop(self) -> None:
        """End the capture; the file is closed when this returns."""
        await self.data.capture.set(False)
