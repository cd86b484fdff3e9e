"""The clients that ours are compared with, each behind the operations of `clients`.

All are asked in the quickest way that their documentation offers for a job: CaChannel,
pyepics and cothread pipeline many requests, caproto has `Batch`.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.ca.operations import NAMES, Blocking, Coroutines, N


class Aioca(Coroutines):
    async def begin(self) -> None:
        import aioca

        self.module: Any = aioca

    def connect(self, names: list[str]) -> None:
        self.channels = names
        self.do(self.module.connect(names, timeout=30))

    def array(self, name: str) -> None:
        self.array_channel = name

    def get(self, n: int) -> Any:
        return self.module.caget(self.channels[0])

    def get_many(self, n: int) -> Any:
        return self.module.caget(NAMES)

    def put_wait(self, n: int) -> Any:
        return self.module.caput(NAMES[0], n, wait=True)

    def put_wait_many(self, n: int) -> Any:
        return self.module.caput(NAMES, list(range(N)), wait=True)

    def put(self, n: int) -> Any:
        return self.module.caput(NAMES[0], n)

    def put_many(self, n: int) -> Any:
        return self.module.caput(NAMES, list(range(N)))

    def array_get(self, n: int) -> Any:
        return self.module.caget(self.array_channel, timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.module.caput(self.array_channel, array, wait=True, timeout=20)

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        async def subscribe() -> None:
            for name in names:
                self.module.camonitor(name, callback, format=1, all_updates=True)

        self.do(subscribe())


class PyEpics(Blocking):
    def start(self) -> None:
        import epics

        self.ca = epics.ca

    def connect(self, names: list[str]) -> None:
        self.channels = [self.ca.create_channel(name) for name in names]
        for channel in self.channels:
            self.ca.connect_channel(channel, timeout=20)

    def array(self, name: str) -> None:
        self.array_channel = self.ca.create_channel(name, connect=True)

    def get(self, n: int) -> Any:
        return self.ca.get(self.channels[0])

    def get_many(self, n: int) -> Any:
        for channel in self.channels:
            self.ca.get(channel, wait=False)
        self.ca.poll()
        return [self.ca.get_complete(channel) for channel in self.channels]

    def put_wait(self, n: int) -> None:
        self.ca.put(self.channels[0], n, wait=True)

    def put_wait_many(self, n: int) -> None:
        for number, channel in enumerate(self.channels):
            self.ca.put(channel, number, wait=True)

    def put(self, n: int) -> None:
        self.ca.put(self.channels[0], n)

    def put_many(self, n: int) -> None:
        for number, channel in enumerate(self.channels):
            self.ca.put(channel, number)

    def array_get(self, n: int) -> Any:
        return self.ca.get(self.array_channel, timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.ca.put(self.array_channel, array, wait=True, timeout=20)

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        channels = [self.ca.create_channel(name, connect=True) for name in names]
        self.kept = [
            self.ca.create_subscription(channel, use_time=True, callback=callback)
            for channel in channels
        ]
        self.ca.poll()


class CaChannel(Blocking):
    """The C extension, by its functions; `connect` tells of connections."""

    tells = True

    def start(self) -> None:
        from CaChannel import ca

        self.ca = ca
        ca.create_context(True)

    def _connected(self, names: list[str]) -> list[Any]:
        """Channels, when all are connected; a callback per channel is told."""
        up = [0]

        def changed(state: Any) -> None:
            up[0] += 1

        callback = changed if self.tells else None
        channels = [self.ca.create_channel(name, callback)[1] for name in names]
        if not self.tells:
            self.ca.pend_io(30)
            return channels
        self.ca.flush_io()
        end = time.monotonic() + 30
        while up[0] < len(names) and time.monotonic() < end:
            self.ca.pend_event(0.001)
        return channels

    def connect(self, names: list[str]) -> None:
        self.channels = self._connected(names)

    def array(self, name: str) -> None:
        (self.array_channel,) = self._connected([name])

    def _get(self, channels: list[Any]) -> list[Any]:
        results = [self.ca.get(channel, use_numpy=True)[1] for channel in channels]
        self.ca.pend_io(30)
        return [result.get() for result in results]

    def _put_wait(self, channels: list[Any], values: list[Any]) -> None:
        missing = [len(channels)]

        def done(result: Any) -> None:
            missing[0] -= 1

        for channel, value in zip(channels, values, strict=True):
            self.ca.put(channel, value, None, None, done)
        self.ca.flush_io()
        while missing[0]:
            # returns when its time is over, never sooner: a short nap
            self.ca.pend_event(1e-5)

    def get(self, n: int) -> Any:
        return self._get(self.channels[:1])

    def get_many(self, n: int) -> Any:
        return self._get(self.channels)

    def put_wait(self, n: int) -> None:
        self._put_wait(self.channels[:1], [n])

    def put_wait_many(self, n: int) -> None:
        self._put_wait(self.channels, [*range(N)])

    def put(self, n: int) -> None:
        self.ca.put(self.channels[0], n)

    def put_many(self, n: int) -> None:
        for number, channel in enumerate(self.channels):
            self.ca.put(channel, number)
        self.ca.flush_io()

    def array_get(self, n: int) -> Any:
        return self._get([self.array_channel])

    def put_array(self, array: Any) -> Any:
        return self._put_wait([self.array_channel], [array])

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        ca = self.ca
        self.kept = [
            ca.create_subscription(
                *(channel, callback, ca.dbf_type_to_DBR_TIME(ca.field_type(channel))),
                use_numpy=True,
            )
            for channel in self._connected(names)
        ]
        ca.flush_io()


class BareCaChannel(CaChannel):
    """The same, but nobody is told of connections that come and go."""

    tells = False


class FlushedCaChannel(CaChannel):
    """The same, but a value leaves when it is put, not when the buffer is full."""

    def put(self, n: int) -> None:
        super().put(n)
        self.ca.flush_io()


class Cothread(Blocking):
    def start(self) -> None:
        import cothread
        from cothread import catools

        self.cothread, self.module = cothread, catools

    def wait(self, seconds: float) -> None:
        self.cothread.Sleep(seconds)

    def connect(self, names: list[str]) -> None:
        self.channels = names
        self.module.connect(names, timeout=30)

    def array(self, name: str) -> None:
        self.array_channel = name

    def get(self, n: int) -> Any:
        return self.module.caget(self.channels[0])

    def get_many(self, n: int) -> Any:
        return self.module.caget(NAMES)

    def put_wait(self, n: int) -> None:
        self.module.caput(NAMES[0], n, wait=True)

    def put_wait_many(self, n: int) -> None:
        self.module.caput(NAMES, list(range(N)), wait=True)

    def put(self, n: int) -> None:
        self.module.caput(NAMES[0], n)

    def put_many(self, n: int) -> None:
        self.module.caput(NAMES, list(range(N)))

    def array_get(self, n: int) -> Any:
        return self.module.caget(self.array_channel, timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.module.caput(self.array_channel, array, wait=True, timeout=20)

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        for name in names:
            self.module.camonitor(name, callback, format=1, all_updates=True)


class Caproto(Blocking):
    def start(self) -> None:
        from caproto.threading.client import Batch, Context

        self.context, self.batch = Context(), Batch

    def connect(self, names: list[str]) -> None:
        self.channels = self.context.get_pvs(*names, timeout=30)
        for pv in self.channels:
            pv.wait_for_connection(timeout=30)

    def array(self, name: str) -> None:
        (self.array_channel,) = self.context.get_pvs(name, timeout=30)
        self.array_channel.wait_for_connection(timeout=30)

    def get(self, n: int) -> Any:
        return self.channels[0].read()

    def get_many(self, n: int) -> Any:
        self._together(lambda batch, k, pv, done: batch.read(pv, done))

    def put_wait(self, n: int) -> None:
        self.channels[0].write([n], wait=True)

    def put_wait_many(self, n: int) -> None:
        self._together(lambda batch, k, pv, done: batch.write(pv, [k], done))

    def put(self, n: int) -> None:
        self.channels[0].write([n], wait=False)

    def put_many(self, n: int) -> None:
        for number, pv in enumerate(self.channels):
            pv.write([number], wait=False)

    def array_get(self, n: int) -> Any:
        return self.array_channel.read(timeout=20)

    def put_array(self, array: Any) -> Any:
        return self.array_channel.write(array, timeout=20)

    def monitor(self, names: list[str], callback: Callable[..., object]) -> None:
        self.kept = []
        for pv in self.context.get_pvs(*names, timeout=30):
            pv.wait_for_connection(timeout=30)
            self.kept.append(pv.subscribe(data_type="time"))
            self.kept[-1].add_callback(callback)
        # they are held weakly
        self.callback = callback

    def _together(self, add: Callable[[Any, int, Any, Any], None]) -> None:
        missing = [N]

        def done(response: Any) -> None:
            missing[0] -= 1

        with self.batch() as batch:
            for number, pv in enumerate(self.channels):
                add(batch, number, pv, done)
        while missing[0]:
            time.sleep(0.0005)


PEERS: dict[str, type[Any]] = {
    "aioca": Aioca,
    "pyepics": PyEpics,
    "cachannel": CaChannel,
    "cachannel bare": BareCaChannel,
    "cachannel flushed": FlushedCaChannel,
    "cothread": Cothread,
    "caproto": Caproto,
}
