"""Readings of all kinds as numbers and as texts."""

import math

import numpy as np
import pytest

from beamfly.scan.channels import Reading
from beamfly.scan.conditions import Condition, listed_values
from beamfly.scan.values import EnumValue


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (3.0, "3.0", 3),
        (np.float32(0.5), "0.5", 0.5),
        (np.int16(-7), "-7", -7),
        (7, "7", 7),
        ("5", "5", 5),
        ("Idle", "Idle", math.nan),
        (EnumValue(1, "Run"), "Run", 1),
        (np.array([1.5, 2]), "[1.5, 2.0]", 1.5),
        ([4], "4", 4),
        (np.array([9], np.uint8), "9", 9),
        (["a", "b"], "[a, b]", math.nan),
        ([], "[]", math.nan),
        (np.array([]), "[]", math.nan),
        (True, "true", 1),
    ],
)
def test_readings(value: object, text: str, number: float):
    reading = Reading(value, 0)
    assert reading.text == text
    assert reading.number == pytest.approx(number, nan_ok=True)


def test_conditions_with_nothing_to_compare():
    nothing = Reading("Idle", 0)
    for comparison in ("=", "!=", ">", ">=", "<", "<=", "increase by", "decrease by"):
        assert not Condition(comparison, 1.0).met(nothing, 0.0)
    assert not Condition("increase by", "a").met(nothing)


def test_lists_of_values():
    assert listed_values('"a, b", c,d ') == ["a, b", "c", "d"]
    assert listed_values("") == [""]
