"""The reader of command lines that needs no click understands what click does."""

from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamfly.cli import ca
from beamfly.cli.ca_tools import TOOLS
from beamfly.cli.tool_options import parse

WORDS = st.one_of(
    st.sampled_from(["PV", "1", "-3.5", "-5", "-1e5", "-.5", "-", "--", "-inf", ""]),
    st.sampled_from(["3", "x", "1e3", "-1", "100", "-f3", "-w.5", "-tn", "-h", "-p99"]),
    st.sampled_from([o.flag for tool in TOOLS.values() for o in tool.options]),
    st.text("-abcdefghnw0123.", max_size=4),
)


def as_click(name: str, words: list[str]) -> dict[str, Any] | None:
    """What click gives to the tool, None if it does not call it."""
    called: list[dict[str, Any]] = []
    tool = TOOLS[name]._replace(run=lambda **values: called.append(values))
    command = ca.command(name, tool)
    try:
        command.main(words, prog_name=name, standalone_mode=False)
    except click.ClickException:
        return None
    return called[0] if called else None


@pytest.mark.parametrize("name", TOOLS)
@given(words=st.lists(WORDS, max_size=7))
@settings(deadline=None)
def test_what_is_read_is_what_click_reads(name: str, words: list[str]) -> None:
    read = parse(TOOLS[name], words)
    if read is not None:
        assert read == as_click(name, words)


@pytest.mark.parametrize(
    ("name", "line", "given"),
    [
        ("caget", "PV", {"pvs": ("PV",), "wait": None, "count": 0, "separator": " "}),
        ("caget", "-t A -w 5 B", {"terse": True, "pvs": ("A", "B"), "wait": 5.0}),
        ("caget", "-w2.5 -#3 -lx PV", {"wait": 2.5, "count": 3, "round_x": True}),
        ("caget", "-F - PV", {"separator": "-", "pvs": ("PV",)}),
        ("caput", "PV -3.5", {"pv": "PV", "values": ("-3.5",), "terse": False}),
        ("caput", "-a PV 2 -1 -2e3", {"as_array": True, "values": ("2", "-1", "-2e3")}),
        ("caput", "-c PV -inf -n", {"wait_for_it": True, "values": ("-inf", "-n")}),
        ("cainfo", "PV -p 99", {"priority": 99, "pvs": ("PV",)}),
        ("camonitor", "-m v --duration 1 PV", {"mask": "v", "duration": 1.0}),
    ],
)
def test_usual_lines_are_read_without_click(
    name: str, line: str, given: dict[str, Any]
) -> None:
    read = parse(TOOLS[name], line.split())
    assert read is not None and given.items() <= read.items()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        *(("caget", ""), ("caget", "-h"), ("caget", "--help"), ("caget", "-Z PV")),
        *(("caget", "-w x PV"), ("caget", "PV -w"), ("caget", "-p 100 PV")),
        *(
            ("caget", "-3.5 PV"),
            ("caput", "PV"),
            ("caput", "-x PV 1"),
            ("caget", "-w -1 PV"),
            ("cainfo", "--"),
        ),
    ],
)
def test_help_and_mistakes_are_for_click(name: str, line: str) -> None:
    assert parse(TOOLS[name], line.split()) is None
