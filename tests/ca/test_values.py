"""Augmented values: copies of them know what they know."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from beamfly.ca.values import augment

VALUES = [1.5, 3, "text", b"raw", np.arange(3.0), ["a", "b"]]


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_copies_keep_the_attributes(value: Any, again: Callable[[Any], Any]) -> None:
    first = augment(value, {"name": "T:x", "ok": True, "timestamp": 1.25})
    second = again(first)
    assert type(second) is type(first)
    assert vars(second) == vars(first)
    assert bool(np.all((+second) == (+first)))


def test_a_copy_of_an_array_is_its_own() -> None:
    first = augment(np.arange(3.0), {"name": "T:x"})
    second = copy.copy(first)
    second[0], second.name = 7, "other"
    assert (first[0], first.name) == (0, "T:x")
