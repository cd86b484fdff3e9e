"""What a capture is said to write is what it writes."""

import numpy as np
import pytest
from data_streams import options, recording
from test_data import play

from beamfly.errors import BadValue
from beamfly.panda.columns import ColumnPlan
from beamfly.panda.datasets import (
    dataset_infos,
    default_plot,
    difference,
    file_columns,
)
from beamfly.panda.responses import FieldCapture, StartData

FIVE_TRIGGERS = [
    # in the order in which the server lists captures
    ("PCAP.TS_TRIG", "Value"),
    ("PCAP.BITS0", "Value"),
    ("COUNTER1.OUT", "Value"),
    ("COUNTER2.OUT", "Min Max Mean"),
    ("COUNTER3.OUT", "Sum Diff"),
]
DEVIATIONS = [("COUNTER1.OUT", "StdDev"), ("COUNTER2.OUT", "Mean StdDev")]
MEAN = [("COUNTER2.OUT", "Mean")]


def start_of(name: str) -> StartData:
    data, _ = play(recording(name), options(name), [1 << 20])
    return next(item for item in data if isinstance(item, StartData))


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("name", "captured", "scaled"),
    [
        ("xml_framed_raw", FIVE_TRIGGERS, False),
        ("xml_framed_scaled", FIVE_TRIGGERS, True),
        ("stddev_raw", DEVIATIONS, False),
        ("mean_raw", MEAN, False),
        ("mean_scaled", MEAN, True),
    ],
)
def test_infos_say_what_the_header_will_say(
    name: str, captured: list[tuple[str, str]], scaled: bool, raw: bool
) -> None:
    names = {"COUNTER2.OUT": {"Mean": "x", "Min": "x-min"}}
    start = start_of(name)
    plan = ColumnPlan(start, raw)
    columns = file_columns(start, plan, names, raw)
    infos = dataset_infos(captured, names, raw, scaled_by_server=scaled)
    assert [info.name for info in infos] == [column.name for column in columns]
    assert [info.dtype for info in infos] == [column.dtype for column in columns]
    assert [info.column for info in infos] == [f.column_name for f in start.fields]
    assert {info.chunk_rows for info in infos} == {16384}


def test_gate_duration_asked_for_keeps_its_place() -> None:
    captured = [("PCAP.GATE_DURATION", "Value"), ("PCAP.BITS1", "Value"), *MEAN]
    columns = [info.column for info in dataset_infos(captured)]
    assert columns == [
        "PCAP.BITS1.Value",
        "PCAP.GATE_DURATION.Value",
        "COUNTER2.OUT.Mean",
    ]


def test_nothing_captured_and_unknown_options() -> None:
    assert dataset_infos([]) == []
    with pytest.raises(BadValue, match="cannot be captured as 'Median'"):
        dataset_infos([("COUNTER1.OUT", "Median")])


def test_attributes_say_whether_values_are_scaled() -> None:
    start = start_of("xml_framed_raw")
    columns = {
        c.name: c for c in file_columns(start, ColumnPlan(start, False), None, False)
    }
    assert columns["COUNTER2.OUT.Mean"].attrs == {
        "field": "COUNTER2.OUT",
        "capture": "Mean",
        "units": 'mm "x" <&>',
        "scale": 0.5,
        "offset": 10.0,
        "scaled": True,
    }
    assert set(columns["PCAP.BITS0.Value"].attrs) == {"field", "capture"}


def test_plots_are_against_time_and_not_of_bits() -> None:
    start = start_of("xml_framed_raw")
    columns = file_columns(start, ColumnPlan(start))
    plot = default_plot(start.fields, columns)
    assert plot is not None
    assert (plot.signal, plot.axis) == ("COUNTER1.OUT.Value", "PCAP.TS_TRIG.Value")
    bits = FieldCapture("PCAP.BITS0", np.dtype("<u4"), "Value")
    only = StartData([bits], 0, "Raw", "Framed", 4)
    plot = default_plot([bits], file_columns(only, ColumnPlan(only)))
    assert plot is not None
    assert (plot.signal, plot.axis) == ("PCAP.BITS0.Value", None)


def test_differences_are_named() -> None:
    old = start_of("xml_framed_raw")
    again = start_of("two_a")
    assert old.arm_time != again.arm_time
    assert difference(old, again) == ""
    assert difference(old, start_of("xml_framed_scaled")) == (
        "Scaled data instead of Raw"
    )
    assert "with COUNTER1.OUT.Mean" in difference(old, start_of("stddev_raw"))
    turned = StartData(old.fields[::-1], 0, "Raw", "Framed", 48)
    assert difference(old, turned) == "in another order"
