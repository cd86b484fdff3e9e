"""The same records from our server and from a C IOC, and a context that ends."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from beamfly import epics
from beamfly.ca import pv as served_pv
from beamfly.ca.puts import Put
from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.epics import channel_io
from beamfly.epics.context import close_context
from ca.c_ioc import CIoc, free_port, running

SYNC = "T:sync"


class Served(ThreadedServer):
    """Our server, and what it has once all is there that was put before."""

    def value(self, name: str) -> Any:
        # the answer to a read comes after what was put over the same circuit is done
        assert epics.caget(SYNC, use_monitor=False, timeout=30) == 0
        return super().value(name)


Serve = Callable[[dict[str, Any]], ThreadedServer]


def environment(port: int, repeater: int) -> dict[str, str]:
    """Variables with which a client finds the server on a port, and no other."""
    return {
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CA_REPEATER_PORT": str(repeater),
    }


def until(predicate: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def records() -> dict[str, Any]:
    """What the C IOC of the tests serves, as far as it matters here."""

    async def slow(put: Put) -> None:
        await asyncio.sleep(0.3)

    async def never(put: Put) -> None:
        await asyncio.Event().wait()

    alarms = {"hihi": 8.0, "high": 7.0, "low": -7.0, "lolo": -8.0}
    limits = {"hopr": 10.0, "lopr": -10.0, "drvh": 9.0, "drvl": -9.0}
    return {
        "T:ao": served_pv.PV(1.5, units="mm", precision=3, **alarms, **limits),
        "T:long": served_pv.PV(7, units="µm"),
        "T:string": served_pv.PV("hello"),
        "T:enum": served_pv.PV(0, states=("zero", "one", "two")),
        "T:bool": served_pv.PV(0, states=("off", "on")),
        "T:double": served_pv.PV(np.zeros(0), length=1_000_000),
        "T:float": served_pv.PV(np.zeros(0, np.float32), length=10),
        "T:longs": served_pv.PV(np.zeros(0, np.int32), length=100),
        "T:short": served_pv.PV(np.zeros(0, np.int16), length=10),
        "T:char": served_pv.PV("", type="char", length=200),
        "T:strings": served_pv.PV([""], length=5),
        "T:slow": served_pv.PV(0, on_put=slow),
        "T:never": served_pv.PV(0, on_put=never),
        "T:readonly": served_pv.PV(0.0, writable=False),
    }


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may stop a server for longer than a script waits by default."""
    monkeypatch.setattr(channel_io, "seconds_for", lambda count: 30.0)


@pytest.fixture(autouse=True)
def context_ends() -> Iterator[None]:
    """No test leaves the client's threads behind."""
    yield
    close_context()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    """Our server, with the environment set so that clients find it."""
    with serve_in_thread(records(), port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server
        close_context()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve PVs of one's own, with the environment set so that clients find them."""
    servers: list[ThreadedServer] = []

    def start(pvs: dict[str, Any]) -> ThreadedServer:
        servers.append(Served({**pvs, SYNC: 0}, port=0))
        for name, value in environment(servers[-1].port, free_port()).items():
            monkeypatch.setenv(name, value)
        return servers[-1]

    yield start
    close_context()
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def epics_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    """A C IOC for all tests that leave it running."""
    with running(tmp_path_factory.mktemp("epics_ioc")) as ioc:
        yield ioc


@pytest.fixture
def c_ioc(epics_ioc: CIoc, monkeypatch: pytest.MonkeyPatch) -> CIoc:
    """The same, with the environment set so that clients find it."""
    for name, value in epics_ioc.environment.items():
        monkeypatch.setenv(name, value)
    return epics_ioc


@pytest.fixture(params=["beamfly", pytest.param("c", marks=pytest.mark.peer)])
def served(request: pytest.FixtureRequest) -> str:
    """Records under `T:` from either server; which one it is."""
    request.getfixturevalue("server" if request.param == "beamfly" else "c_ioc")
    return request.param
