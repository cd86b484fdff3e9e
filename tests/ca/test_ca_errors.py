"""Errors of Channel Access survive the way to another process."""

import pickle

import pytest

from beamfly.ca.cadef import CAException, Disconnected, InvalidString
from beamfly.ca.nothing import CANothing
from beamfly.errors import BadValue, CADisconnected, CAError, CARefused, CATimeout


@pytest.mark.parametrize(
    "error",
    [
        CAException(176, "ca_array_put", "T:x", "there is no room"),
        CAException(376, "ca_array_put"),
        InvalidString("ca_array_put", "T:x", "too long"),
        Disconnected("T:x"),
        CANothing("T:x", 80),
        CANothing("T:x"),
        CATimeout("late", name="T:x", status=80),
        CARefused("no", name="T:x", status=152),
        CADisconnected("gone", name="T:x", status=192),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_pickled(error: CAError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) and vars(again) == vars(error)


def test_what_they_say() -> None:
    error = CAException(376, "ca_array_put", "T:x")
    assert str(error) == "Write access denied calling ca_array_put"
    assert (error.status, error.name, error.why) == (376, "T:x", "")
    invalid = InvalidString("ca_array_put", "T:x", "it is too long")
    assert str(invalid) == "Invalid string calling ca_array_put: it is too long"
    assert isinstance(invalid, BadValue) and invalid.status == 186
    assert str(Disconnected("T:x")) == "Channel T:x disconnected"
