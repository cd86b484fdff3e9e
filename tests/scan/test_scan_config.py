"""Macros and the configuration file."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_recording import GOLDEN

from beamfly.errors import BadValue
from beamfly.scan.config import read_config
from beamfly.scan.macros import expand, parse_macros

MACROS = {"A": "1", "B": "$(A)", "N": "A", "LOOP": "$(LOOP)", "E": ""}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)-${A}", "1-1"),
        ("$(B)", "1"),
        ("$($(N))", "1"),
        ("$(X=5)", "5"),
        ("$(A=5)", "1"),
        ("$(X=$(A))", "1"),
        ("$(E)", ""),
        ("loc://$(undef)(0)", "loc://$(undef)(0)"),
        ("$(undef$(A))", "$(undef1)"),
        ("\\$(A)", "$(A)"),
        ("$A $( ) $()", "$A $( ) $()"),
        ("$(A}", "$(A}"),
    ],
)
def test_macros(text: str, expanded: str):
    assert expand(text, MACROS) == expanded


def test_macros_without_end():
    with pytest.raises(BadValue, match="for ever"):
        expand("$(LOOP)", MACROS)
    with pytest.raises(BadValue):
        expand("$(T)", {"T": "$(T)$(T)"})


@settings(deadline=None)
@given(st.text("$(){}=AB\\ \0", max_size=12))
def test_any_text_is_expanded_or_refused(text: str):
    try:
        assert isinstance(expand(text, {"A": "B", "B": "x"}), str)
    except BadValue as error:
        assert "Macros" in str(error)


def test_lists_of_macros():
    assert parse_macros("") == {}
    assert parse_macros(" A = 1 , B=x y") == {"A": "1", "B": "x y"}
    assert parse_macros('A="1, 2", B=') == {"A": "1, 2", "B": ""}
    for wrong in ("A", "=1", "A=1, B"):
        with pytest.raises(BadValue):
            parse_macros(wrong)


def test_a_genuine_configuration():
    config = read_config((GOLDEN / "scan_config.xml").read_bytes(), "file:/x")
    assert (config.port, config.data_log, config.read_timeout) == (4810, "log_db", 5.0)
    assert config.pre_scan == ["examples:pre_scan.scn"]
    assert config.paths == ["scripts", "examples:"]
    assert config.macros == {"DemoDevice": "motor_x"}
    assert config.aliases == {"xpos": "motor_x"}
    assert config.status_pv_prefix == ""
    rates = [config.slew_rate(name) for name in ("motor_x", "motor_y", "neutrons", "z")]
    assert rates == [0.1, 10, 7, 0.05]


@pytest.mark.parametrize(
    "text",
    [
        "<foo/>",
        "<scan_config><port>x</port></scan_config>",
        "<scan_config><pv/></scan_config>",
        "<scan_config><pv><name_pattern>(</name_pattern></pv></scan_config>",
        "<scan_config><macros>x</macros></scan_config>",
    ],
)
def test_configurations_that_make_no_sense(text: str):
    with pytest.raises(BadValue):
        read_config(text)
