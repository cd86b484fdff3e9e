"""The data port, fed by blocks that run: as recorded, and in all that was not."""

from base64 import b64decode
from pathlib import Path

import numpy as np
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


STEADY = """PCAP.ENABLE=ONE
PCAP.TRIG=CLOCK1.OUT
CLOCK1.PERIOD=0.001
CLOCK1.ENABLE=ONE
PCAP.TS_TRIG.CAPTURE=Value
"""
"""A row every millisecond, for ever."""


def numbers(stream: bytes) -> list[int]:
    """Times in rows of an UNFRAMED RAW NO_HEADER stream, in triggers."""
    body = stream.removeprefix(b"OK\n")
    body = body[: body.rindex(b"END")] if b"END " in body else body
    return np.rint(np.frombuffer(body, "<i8") / 125_000).astype(int).tolist()


def test_base64_comes_in_lines_with_a_nul():
    bench = Bench()
    bench.put(GOLDEN_SETUP + GOLDEN_CAPTURES)
    raw, text = bench.data("BARE"), bench.data("BASE64 RAW NO_HEADER")
    run(bench)
    lines = everything(text).split(b"\n")
    assert (lines[0], lines[-2:]) == (b"OK", [b"END 5 Ok", b""])
    encoded = lines[1:-2]
    assert {len(line) for line in encoded[:-1]} == {78}
    assert all(line[:1] == b" " and line[-1:] == b"\0" for line in encoded)
    decoded = b"".join(b64decode(line[1:-1]) for line in encoded)
    assert decoded == everything(raw)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("RAW ", "No name found"),
        ("RAW FRAMED\r", "Cannot process CR character"),
        ("UNSCALED", "Invalid data capture option"),
        ("raw", "Invalid data capture option"),
        ("XML  9", "No name found"),
    ],
)
def test_options_that_are_refused(line: str, error: str):
    session = Bench().data(line)
    assert everything(session) == f"ERR {error}\n".encode()
    assert session.closed


def test_what_comes_after_the_options_does_not_matter():
    session = Bench().data("  XML\tFRAMED RAW\nARM\nERR")
    session.receive(b"anything")
    assert everything(session) == b"OK\n"
    assert not session.closed


def test_an_acquisition_without_rows():
    bench = Bench()
    bench.put(GOLDEN_SETUP + GOLDEN_CAPTURES)
    bench.put("PCAP.ENABLE=BITS.OUTB\n")
    session = bench.data("XML FRAMED RAW")
    bench.put("*PCAP.ARM=\n")
    bench.wait(1.0)
    assert everything(session) == b"OK\n"  # the header waits for the start
    bench.put("BITS.B=1\nBITS.B=0\n")
    bench.wait(0.1)
    stream = everything(session)
    assert stream.startswith(b"<header>")
    assert stream.endswith(b"</header>\n\nEND 0 Ok\n")


def test_disarming_ends_an_acquisition():
    bench = Bench()
    bench.put(STEADY)
    session = bench.data("UNFRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.0505)
    assert bench.get("*PCAP.STATUS") == "Busy 1 1"
    assert bench.get("PCAP.ACTIVE") == "1"
    bench.put("*PCAP.DISARM=\n")
    stream = everything(session)
    assert stream.endswith(b"END 50 Disarmed\n")
    assert numbers(stream) == list(range(1, 51))
    assert bench.get("*PCAP.STATUS") == "Idle 1 0"
    assert bench.get("*PCAP.COMPLETION") == "Disarmed"
    assert bench.get("PCAP.ACTIVE") == "0"


def test_rows_are_handed_on_ten_times_a_second():
    bench = Bench()
    bench.put(STEADY)
    session = bench.data("FRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    wakeup = bench.core.next_wakeup()
    assert wakeup is not None
    assert abs(wakeup - 0.1) < 1e-3
    bench.wait(0.09)
    assert everything(session) == b"OK\n"
    bench.wait(0.02)
    frame = everything(session)
    assert frame[:4] == b"BIN "
    assert int.from_bytes(frame[4:8], "little") == len(frame) > 8 * 90


def test_triggers_that_come_too_fast_are_a_framing_error():
    bench = Bench()
    bench.put(GOLDEN_SETUP + GOLDEN_CAPTURES)
    # rows of 12 words, the last of 5 triggers after 8 ticks
    slow, fast = f"{3 | 1 << 20} 0 50 50", f"{2 | 1 << 20} 0 4 4"
    bench.put(f"SEQ1.PRESCALE=0\nSEQ1.TABLE<\n{slow}\n{fast}\n\n")
    session = bench.data("FRAMED RAW NO_HEADER")
    run(bench)
    assert everything(session).endswith(b"END 4 Framing error\n")
    assert bench.get("PCAP.HEALTH") == "Capture events too close together"
    assert bench.get("*PCAP.COMPLETION") == "Framing error"
    bench.put("*PCAP.ARM=\n")
    assert bench.get("PCAP.HEALTH") == "OK"


def test_a_client_that_comes_late_has_all_that_is_kept():
    bench = Bench(ring_bytes=16 * 800, block_bytes=800)
    bench.put(STEADY)
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.35)
    early = bench.data("XML UNFRAMED RAW")
    assert b'missed="0"' in everything(early)
    bench.wait(2.0)
    late = bench.data("XML UNFRAMED RAW")
    stream = everything(late)
    missed = int(stream.split(b'missed="')[1].split(b'"')[0])
    rows = numbers(stream.split(b"</header>\n\n")[1])
    assert missed > 0
    assert rows[0] == missed + 1
    assert rows == list(range(rows[0], rows[-1] + 1))
    # a quarter of the ring is left free, so that it is not overtaken at once
    assert len(rows) <= 12 * 100


def test_only_the_slow_client_is_overrun():
    bench = Bench(ring_bytes=16 * 800, block_bytes=800)
    bench.put(STEADY)
    slow = bench.data("UNFRAMED RAW NO_HEADER")
    fast = bench.data("UNFRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.1505)
    first = everything(slow)
    kept = everything(fast)
    for _ in range(30):
        bench.wait(0.1)
        kept += everything(fast)
    rest = everything(slow)
    assert rest.endswith(b"END %d Data overrun\n" % len(numbers(first)))
    assert bench.get("*PCAP.STATUS") == "Busy 2 1"
    bench.put("PCAP.ENABLE=ZERO\n")
    bench.wait(0.1)
    kept += everything(fast)
    assert numbers(kept) == list(range(1, 3151))
    assert kept.endswith(b"END 3150 Ok\n")


def test_no_new_acquisition_while_a_client_takes_the_last():
    bench = Bench()
    bench.put(GOLDEN_SETUP + GOLDEN_CAPTURES)
    session = bench.data("XML FRAMED RAW")
    run(bench)
    assert bench.ask("*PCAP.ARM=") == ["ERR Data clients still taking data"]
    assert bench.get("*PCAP.STATUS") == "Idle 1 1"
    everything(session)
    assert bench.get("*PCAP.STATUS") == "Idle 1 0"
    assert bench.ask("*PCAP.ARM=") == ["OK"]


def test_rows_of_more_than_63_words_are_refused():
    bench = Bench()
    for number in range(1, 9):
        bench.put(f"COUNTER{number}.OUT.CAPTURE=Value Diff Sum Min Max Mean\n")
    assert bench.ask("*PCAP.ARM=") == ["ERR Too many captures for PCAP"]


def test_scaled_frames_are_at_most_64_kib():
    bench = Bench()
    bench.put(STEADY)
    bench.put("CLOCK1.PERIOD.RAW=1000\n")
    session = bench.data("FRAMED SCALED NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.2)
    bench.put("*PCAP.DISARM=\n")
    stream, sizes = everything(session)[3:], []
    while stream[:4] == b"BIN ":
        sizes.append(int.from_bytes(stream[4:8], "little"))
        stream = stream[sizes[-1] :]
    rows = (sum(sizes) - 8 * len(sizes)) // 8
    assert 24_990 < rows <= 25_000
    assert stream == b"END %d Disarmed\n" % rows
    assert max(sizes) == 65536


def test_shift_sum_and_gate_of_several_spans():
    bench = Bench()
    bench.put(
        "PCAP.ENABLE=ONE\nPCAP.GATE=ONE\nPCAP.TRIG=TTLIN1.VAL\nPCAP.SHIFT_SUM=4\n"
        "COUNTER1.OUT.CAPTURE=Sum Mean\nCOUNTER1.SET=1000\n"
    )
    session = bench.data("UNFRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    for _ in range(10):
        bench.wait(0.05)
    start = bench.core.machine.engine.tick
    bench.core.set_input("TTLIN1.VAL", True)
    bench.wait(0.01)
    bench.put("*PCAP.DISARM=\n")
    words = np.frombuffer(everything(session)[3:-15], "<u4")
    # armed at the tick after the last settings
    assert abs(int(words[0]) - (start >> 4)) <= 1
    total = int(words[1]) + (int(words[2]) << 32)
    assert abs(total - start * 1000 / 16) < 1000


def test_more_gated_ticks_than_can_be_counted():
    bench = Bench()
    bench.put(
        "PCAP.ENABLE=ONE\nPCAP.GATE=ONE\nPCAP.TRIG=BITS.OUTA\n"
        "PCAP.GATE_DURATION.CAPTURE=Value\n*PCAP.ARM=\n"
    )
    bench.wait(40.0)
    assert bench.get("PCAP.HEALTH") == "OK"
    bench.put("BITS.A=1\n")
    bench.wait(0.1)
    assert bench.get("PCAP.HEALTH") == "Samples overflow"


def test_hardware_time_is_in_the_header():
    bench = Bench(hw_time_offset_ns=-1234)
    bench.put("PCAP.ENABLE=ONE\nPCAP.TS_TRIG.CAPTURE=Value\n")
    session = bench.data("XML FRAMED RAW")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.1)
    assert b'Z" hw_time_offset_ns="-1234" missed="0" ' in everything(session)
