"""Who receives what the fake PandA replays; each is measured in a fresh process.

    python receivers.py NAME CONTROL_PORT DATA_PORT FILE

prints one line of JSON: seconds of wall clock and of processor, peak memory, rows.
"""

import asyncio
import importlib
import json
import resource
import socket
import sys
import time
from pathlib import Path

HOST = "127.0.0.1"


def receive_only(data: int) -> int:
    """Floor of data(): bytes from the socket and nothing else."""
    sock = connect(data)
    buffer = bytearray(1 << 20)
    total = 0
    while count := sock.recv_into(buffer):
        total += count
        if buffer[:count].endswith(b" Ok\n"):
            break
    sock.close()
    return total


def floor_hdf(data: int, path: Path) -> int:
    """Floor of writing: the same bytes into one contiguous dataset."""
    import h5py
    import numpy as np

    sock = connect(data)
    buffer = np.empty(1 << 20, np.uint8)
    with h5py.File(path, "w", libver="latest") as file:
        dataset = file.create_dataset("bytes", (2_000_000_000,), np.uint8)
        total = filled = 0
        ended = False
        while not ended:
            filled += sock.recv_into(buffer[filled:])
            ended = buffer[max(0, filled - 4) : filled].tobytes() == b" Ok\n"
            if ended or filled == len(buffer):
                dataset[total : total + filled] = buffer[:filled]
                total += filled
                filled = 0
    sock.close()
    return total


def connect(data: int) -> socket.socket:
    sock = socket.create_connection((HOST, data))
    sock.sendall(b"XML FRAMED RAW\n")
    return sock


def beamfly_connection(data: int) -> int:
    """DataConnection on a blocking socket."""
    from beamfly.panda.data import DataConnection
    from beamfly.panda.responses import EndData, FrameData

    connection = DataConnection()
    with socket.create_connection((HOST, data)) as sock:
        sock.sendall(connection.connect(False))
        rows = 0
        while count := sock.recv_into(connection.get_buffer()):
            for item in connection.received(count):
                if isinstance(item, FrameData):
                    rows += len(item.data)
                elif isinstance(item, EndData):
                    return rows
    raise SystemExit("no END")


async def beamfly_data(control: int, data: int, **options: float) -> int:
    """AsyncioClient.data()."""
    from beamfly.panda.asyncio import AsyncioClient
    from beamfly.panda.responses import EndData, FrameData

    rows = 0
    async with AsyncioClient(HOST, control, data) as client:
        async for item in client.data(scaled=False, **options):
            if isinstance(item, FrameData):
                rows += len(item.data)
            elif isinstance(item, EndData):
                return rows
    raise SystemExit("no END")


def beamfly_blocking(control: int, data: int) -> int:
    """BlockingClient.data()."""
    from beamfly.panda.blocking import BlockingClient
    from beamfly.panda.responses import EndData, FrameData

    rows = 0
    with BlockingClient(HOST, control, data) as client:
        for item in client.data(scaled=False):
            if isinstance(item, FrameData):
                rows += len(item.data)
            elif isinstance(item, EndData):
                return rows
    raise SystemExit("no END")


def beamfly_capture(data: int, path: Path) -> int:
    """HdfCapture."""
    from beamfly.panda.capture import HdfCapture

    with HdfCapture(HOST, data, path=path) as capture:
        capture.wait_end(600)
        report = capture.stop()
    print("stalls", report.stalls, round(report.stalled, 3), file=sys.stderr)
    return report.rows


async def beamfly_write(control: int, data: int, path: Path) -> int:
    """write_hdf_files of beamfly."""
    from beamfly.panda.asyncio import AsyncioClient
    from beamfly.panda.hdf import write_hdf_files

    async with AsyncioClient(HOST, control, data) as client:
        await write_hdf_files(client, iter([str(path)]))
    return rows_of(path)


def pandablocks_client(control: int, data: int):
    """pandablocks' client, which knows two ports only: have it use ours."""
    import pandablocks.asyncio as peer

    helper = peer._StreamHelper  # noqa: SLF001
    real = helper.connect

    async def connect(self, host: str, port: int) -> None:
        await real(self, host, {8888: control, 8889: data}[port])

    helper.connect = connect
    return peer.AsyncioClient(HOST)


async def pandablocks_data(control: int, data: int) -> int:
    """AsyncioClient.data() of pandablocks."""
    from pandablocks.responses import EndData, FrameData

    rows = 0
    async with pandablocks_client(control, data) as client:
        async for item in client.data(scaled=False):
            if isinstance(item, FrameData):
                rows += len(item.data)
            elif isinstance(item, EndData):
                return rows
    raise SystemExit("no END")


def pandablocks_blocking(control: int, data: int) -> int:
    """BlockingClient.data() of pandablocks."""
    import pandablocks.blocking as peer
    from pandablocks.responses import EndData, FrameData

    helper = peer._SocketHelper  # noqa: SLF001
    real = helper.connect

    def connect(self, host: str, port: int) -> None:
        real(self, host, {8888: control, 8889: data}[port])

    helper.connect = connect
    rows = 0
    with peer.BlockingClient(HOST) as client:
        for item in client.data(scaled=False):
            if isinstance(item, FrameData):
                rows += len(item.data)
            elif isinstance(item, EndData):
                return rows
    raise SystemExit("no END")


async def pandablocks_write(control: int, data: int, path: Path) -> int:
    """write_hdf_files of pandablocks."""
    from pandablocks.hdf import write_hdf_files

    async with pandablocks_client(control, data) as client:
        await write_hdf_files(client, iter([str(path)]))
    return rows_of(path)


def rows_of(path: Path) -> int:
    import h5py

    with h5py.File(path) as file:
        return min(
            len(item) for item in file.values() if isinstance(item, h5py.Dataset)
        )


def main() -> None:
    name, control, data, path = sys.argv[1], *map(int, sys.argv[2:4]), Path(sys.argv[4])
    before = import_first(name)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = run(name, control, data, path)
    result = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rss_before": before,
        "rows": rows,
    }
    print(json.dumps(result))


def import_first(name: str) -> float:
    """Imports are not what is measured; returns the memory that they take, in MB."""
    modules = ["h5py", "numpy"]
    if name.startswith("pandablocks"):
        modules += ["pandablocks.asyncio", "pandablocks.blocking", "pandablocks.hdf"]
    elif name.startswith("beamfly"):
        modules += [
            "beamfly.panda.asyncio",
            "beamfly.panda.blocking",
            "beamfly.panda.capture",
            "beamfly.panda.hdf",
        ]
    for module in modules:
        importlib.import_module(module)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str, control: int, data: int, path: Path) -> int:
    ports = (control, data)
    receivers = {
        "receive_only": lambda: receive_only(data),
        "floor_hdf": lambda: floor_hdf(data, path),
        "beamfly_connection": lambda: beamfly_connection(data),
        "beamfly_data": lambda: asyncio.run(beamfly_data(*ports)),
        "beamfly_blocking": lambda: beamfly_blocking(*ports),
        "beamfly_capture": lambda: beamfly_capture(data, path),
        "beamfly_write": lambda: asyncio.run(beamfly_write(*ports, path)),
        "pandablocks_data": lambda: asyncio.run(pandablocks_data(*ports)),
        "pandablocks_blocking": lambda: pandablocks_blocking(*ports),
        "pandablocks_write": lambda: asyncio.run(pandablocks_write(*ports, path)),
    }
    if name not in receivers:
        raise SystemExit(f"no receiver {name}")
    return receivers[name]()


if __name__ == "__main__":
    main()
