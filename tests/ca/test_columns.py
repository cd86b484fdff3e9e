"""numpy is imported once that pays, and used once it is there."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from beamfly.ca.columns import WORTH, Columns


def test_numpy_is_used_where_it_is_there() -> None:
    fetches: list[Callable[[], None]] = []
    columns = Columns(fetches.append)
    assert columns.ready(1)
    assert columns.ready(WORTH)
    assert fetches == []


def test_numpy_is_imported_once_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    fetches: list[Callable[[], None]] = []
    columns = Columns(fetches.append)
    assert not columns.ready(WORTH // 2)
    assert not columns.ready(WORTH - WORTH // 2 - 1)
    assert fetches == []
    assert not columns.ready(1)
    assert len(fetches) == 1
    # a module that another thread is importing is listed before it can be used
    monkeypatch.setitem(sys.modules, "numpy", np)
    assert not columns.ready(WORTH)
    fetches[0]()
    assert columns.ready(1)
    assert len(fetches) == 1


def test_somebody_else_may_import_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    columns = Columns()
    assert not columns.ready(1)
    monkeypatch.setitem(sys.modules, "numpy", np)
    assert columns.ready(1)
