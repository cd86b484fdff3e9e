"""Saving and restoring settings."""

import logging
from typing import Any

import pytest

from beamfly.errors import CommandError
from beamfly.panda.commands import GetState, SetState, StateFailure
from drive import run_command

CHANGES: dict[str, Any] = {
    "*CHANGES.ATTR=S": "OK",
    "*CHANGES.ATTR?": [
        "PULSE1.WIDTH.UNITS=ms",
        "SEQ1.TABLE.QUEUED_LINES=0",
        "COUNTER1.OUT.UNITS=(null)",
    ],
    "*CHANGES.CONFIG=S": "OK",
    "*CHANGES.CONFIG?": ["PULSE1.WIDTH=1.5", "LUT1.FUNC=A=>B", "SEQ1.BAD (error)"],
    "*CHANGES.METADATA=S": "OK",
    "*CHANGES.METADATA?": [
        "*METADATA.DESIGN=a<b",
        "*METADATA.LAYOUT<",
        "*METADATA.APPNAME=pandabox",
    ],
    "*CHANGES.TABLE=S": "OK",
    "*CHANGES.TABLE?": ["SEQ1.TABLE<"],
    "SEQ1.TABLE.B?": ["AQAAAA==", "AgAAAA=="],
    "*METADATA.LAYOUT?": ["one", "two"],
}
STATE = [
    "PULSE1.WIDTH.UNITS=ms",
    "COUNTER1.OUT.UNITS=",
    "PULSE1.WIDTH=1.5",
    "LUT1.FUNC=A=>B",
    "*METADATA.DESIGN=a<b",
    "SEQ1.TABLE<B",
    "AQAAAA==",
    "AgAAAA==",
    "",
    "*METADATA.LAYOUT<",
    "one",
    "two",
    "",
]


def test_only_what_can_be_written_back_is_saved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        state, writes = run_command(GetState(), CHANGES)
    assert state == STATE
    assert [len(write) for write in writes] == [8, 2]
    assert "cannot tell its SEQ1.BAD: it is not saved" in caplog.text


def test_a_server_that_cannot_report_everything_again() -> None:
    old = {k: "ERR no" if k.endswith("=S") else v for k, v in CHANGES.items()}
    assert run_command(GetState(), old)[0] == STATE


def test_restoring_is_one_write_with_units_first() -> None:
    state = ["PULSE1.WIDTH=1.5", "SEQ1.TABLE<B", "AQAAAA==", "", "PULSE1.WIDTH.UNITS=s"]
    accept = dict.fromkeys(state, "OK")
    failures, writes = run_command(SetState(state), accept)
    assert failures == []
    assert writes == [["PULSE1.WIDTH.UNITS=s", "PULSE1.WIDTH=1.5", "SEQ1.TABLE<B"]]


def test_what_was_saved_is_restored() -> None:
    accept = dict.fromkeys(STATE, "OK")
    failures, writes = run_command(SetState(STATE, strict=True), accept)
    assert failures == []
    (write,) = writes
    assert write == [
        "PULSE1.WIDTH.UNITS=ms",
        "COUNTER1.OUT.UNITS=",
        "PULSE1.WIDTH=1.5",
        "LUT1.FUNC=A=>B",
        "*METADATA.DESIGN=a<b",
        "SEQ1.TABLE<B",
        "*METADATA.LAYOUT<",
    ]


def test_blank_lines_and_a_missing_last_one_do_no_harm() -> None:
    commands = list(SetState(["", "A.B=1", "", "T<", "1"]).execute((4, 1)))
    assert [exchange.to_send for exchange in commands[0]] == [
        ["A.B=1"],
        ["T<", "1", ""],
    ]


REFUSED = {"A.B=1": "OK", "A.C=2": "ERR No such field", "A.D?": "OK =1"}


def test_refusals_are_returned_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        failures, _ = run_command(SetState(list(REFUSED)), REFUSED)  # type: ignore[arg-type]
    assert failures == [
        StateFailure("A.C=2", "ERR No such field"),
        StateFailure("A.D?", "OK =1"),
    ]
    assert "refused to restore A.C=2: ERR No such field" in caplog.text


def test_refusals_raise_if_strict() -> None:
    with pytest.raises(CommandError, match="2 of 3 settings were refused: A"):
        run_command(SetState(list(REFUSED), strict=True), REFUSED)  # type: ignore[arg-type]
    many: dict[str, Any] = {f"A.B={n}": "ERR no" for n in range(9)}
    with pytest.raises(CommandError, match="and 4 more"):
        run_command(SetState(list(many), strict=True), many)
