"""The same records from our server and from a C IOC, for tests that take either."""

from collections.abc import AsyncIterator, Iterator

import ca_records
import pytest
from ca_rig import database, environment, like_the_database, serving

from beamfly.ca.server_thread import ThreadedServer, serve_in_thread
from beamfly.devices.record_fields import OnDemandFields
from ca.c_ioc import CIoc, free_port, running


@pytest.fixture(scope="session")
def ophyd_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    """A C IOC with ophyd-async's test records."""
    with running(
        tmp_path_factory.mktemp("ophyd_ioc"), database("ca:") + ca_records.RECORDS
    ) as ioc:
        yield ioc


@pytest.fixture
def c_ioc(ophyd_ioc: CIoc, monkeypatch: pytest.MonkeyPatch) -> CIoc:
    """The same, with the environment set so that clients find it."""
    for name, value in ophyd_ioc.environment.items():
        monkeypatch.setenv(name, value)
    return ophyd_ioc


@pytest.fixture(params=["beamfly", pytest.param("c", marks=pytest.mark.peer)])
async def records(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """Serve ophyd-async's test records under `ca:`; which server it is."""
    if request.param == "c":
        request.getfixturevalue("c_ioc")
        yield "c"
        return
    async with serving(
        like_the_database("ca:") | ca_records.like_the_database(), monkeypatch
    ):
        yield "beamfly"


@pytest.fixture
def ca_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedServer]:
    """The test records from our server in a thread, for plans."""
    pvs = like_the_database("ca:") | ca_records.like_the_database()
    with serve_in_thread(pvs, port=0) as server:
        for name, value in environment(server.port, free_port()).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(autouse=True)
def patient_search_for_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields that are there are found on a busy machine, too."""
    monkeypatch.setattr(OnDemandFields, "field_seconds", 30.0)
