"""The same records from our server and from a C IOC, for tests that take either."""

from collections.abc import AsyncIterator, Iterator

import pytest
from ca_rig import database, like_the_database, serving

from ca.c_ioc import CIoc, running


@pytest.fixture(scope="session")
def ophyd_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    """A C IOC with ophyd-async's test records."""
    with running(tmp_path_factory.mktemp("ophyd_ioc"), database("ca:")) as ioc:
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
    async with serving(like_the_database("ca:"), monkeypatch):
        yield "beamfly"
