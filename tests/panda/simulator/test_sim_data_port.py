"""The data port, fed by blocks that run: as recorded, and in all that was not."""

from pathlib import Path

import pytest
from bench_panda import (
    GOLDEN_CAPTURES,
    GOLDEN_SETUP,
    Bench,
    everything,
    without_times,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "panda"

RECORDED = {
    "ascii_raw": "ASCII RAW",
    "bare": "BARE",
    "default": "",
    "default_kw": "XML DEFAULT",
    "framed_text": "FRAMED SCALED",
    "no_header": "FRAMED NO_HEADER",
    "no_status": "FRAMED NO_STATUS XML",
    "two_a": "XML FRAMED RAW",
    "unframed_scaled": "UNFRAMED SCALED",
    "xml_ascii": "XML ASCII",
    "xml_framed_raw": "XML FRAMED RAW",
    "xml_framed_raw_oneshot": "XML FRAMED RAW ONE_SHOT",
    "xml_framed_scaled": "XML FRAMED SCALED",
}
MEAN = "COUNTER2.OUT.CAPTURE=Mean\n"
STDDEV = "COUNTER1.OUT.CAPTURE=StdDev\nCOUNTER2.OUT.CAPTURE=Mean StdDev\n"
CASES = [(name, options, GOLDEN_CAPTURES) for name, options in RECORDED.items()]
CASES += [("mean_raw", "XML FRAMED RAW", MEAN)]
CASES += [("mean_scaled", "XML FRAMED SCALED", MEAN)]
CASES += [("stddev_raw", "XML FRAMED RAW", STDDEV)]


def run(bench: Bench) -> None:
    """One acquisition of five rows."""
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.1)
    bench.put("BITS.A=1\n")
    bench.wait(0.2)
    bench.put("BITS.A=0\n")


@pytest.mark.parametrize(("name", "options", "captures"), CASES)
def test_streams_are_as_recorded(name: str, options: str, captures: str):
    bench = Bench()
    bench.put(GOLDEN_SETUP + captures)
    session = bench.data(options)
    run(bench)
    expected = (GOLDEN / f"{name}.bin").read_bytes()
    assert without_times(everything(session)) == without_times(expected)
    assert session.closed == ("ONE_SHOT" in options or options == "BARE")
    assert bench.get("*PCAP.COMPLETION") == "Ok"
    assert bench.get("*PCAP.CAPTURED") == "5"


def test_a_connection_gets_one_acquisition_after_the_other():
    bench = Bench()
    bench.put(GOLDEN_SETUP + GOLDEN_CAPTURES)
    session = bench.data("XML FRAMED RAW")
    run(bench)
    first = without_times(everything(session))
    bench.put("COUNTER1.ENABLE=ZERO\nCOUNTER1.ENABLE=ONE\n")
    bench.put("COUNTER2.ENABLE=ZERO\nCOUNTER2.ENABLE=ONE\n")
    bench.put("COUNTER3.ENABLE=ZERO\nCOUNTER3.ENABLE=ONE\n")
    run(bench)
    assert b"OK\n" + without_times(everything(session)) == first
