"""What every test gets: loopback only, patient tools, and nothing left behind."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # Nothing is written beside sources, but processes that tests start import much, and
    # would compile all of it every time: half of what they take.
    cache = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = cache
    sys.dont_write_bytecode = False

# A RunEngine imports ophyd if it is there (bluesky-queueserver brings it), only to know
# its version; that would load libca and start its threads in this process.
sys.modules.setdefault("ophyd", None)  # pyright: ignore[reportArgumentType]

LOOPBACK = {
    "EPICS_CA_ADDR_LIST": "127.0.0.1",
    "EPICS_CA_AUTO_ADDR_LIST": "NO",
    "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
    "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
    "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
    "EPICS_PVA_ADDR_LIST": "127.0.0.1",
    "EPICS_PVA_AUTO_ADDR_LIST": "NO",
    # a machine that is busy with other things may stop any process for seconds
    "EPICS_CLI_TIMEOUT": "30",
}
LIVES_ON = ("bluesky-run-engine", "ThreadPoolExecutor-", "asyncio_", "pytest_timeout")
"""Names of threads that others keep for the whole session on purpose."""


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channel Access in tests reaches this machine and no other."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def patient_flights(monkeypatch: pytest.MonkeyPatch) -> None:
    """ophyd-async gives a PandA one second to begin, whatever else a machine does."""
    logic = sys.modules.get("ophyd_async.fastcs.panda._fly_logic")
    if logic is not None:
        wait: Any = logic.wait_for_value  # type: ignore[attr-defined]

        async def wait_for_value(signal: Any, match: Any, timeout: Any) -> None:
            await wait(signal, match, 30 if timeout == 1 else timeout)

        monkeypatch.setattr(logic, "wait_for_value", wait_for_value)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """A test that leaves a thread running has failed."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith(LIVES_ON):
            thread.join(timeout=20)
            assert not thread.is_alive(), f"the test left {thread} running"
