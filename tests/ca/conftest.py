from collections.abc import Iterator

import pytest

from .c_ioc import CIoc, running


@pytest.fixture(scope="session")
def shared_ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CIoc]:
    """One C IOC for all tests that leave it running."""
    with running(tmp_path_factory.mktemp("ioc")) as ioc:
        yield ioc


@pytest.fixture
def ioc(shared_ioc: CIoc, monkeypatch: pytest.MonkeyPatch) -> CIoc:
    """The C IOC, with the environment set so that clients find it."""
    for name, value in shared_ioc.environment.items():
        monkeypatch.setenv(name, value)
    return shared_ioc
