"""A PandA on real sockets: served in a thread or a task, made to fail, replaying."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_panda import GOLDEN_CAPTURES, GOLDEN_SETUP, Bench, everything, without_times

from beamfly.errors import BadValue
from beamfly.panda.responses import EndReason
from beamfly.panda.simulator.recording import Recording
from beamfly.panda.simulator.replay import Replay
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread

GOLDEN = Path(__file__).parents[2] / "golden" / "panda"
RAW = Recording.parse((GOLDEN / "raw_dump.bin").read_bytes())
SLOW = Recording.parse((GOLDEN / "slow_dump.bin").read_bytes())


@pytest.fixture
def sim() -> Iterator[SimulatedPandA]:
    with serve_in_thread(dma_timeout=0.01) as sim:
        yield sim


class Wire:
    """A socket to a PandA."""

    def __init__(self, sim: SimulatedPandA, port: int) -> None:
        self.socket = socket.create_connection((sim.host, port), timeout=10)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self, text: str) -> None:
        self.socket.sendall(f"{text}\n".encode())

    def until(self, end: bytes) -> bytes:
        """All bytes up to, and with, some."""
        received = bytearray()
        while not received.endswith(end):
            data = self.socket.recv(2**20)
            if not data:
                raise EOFError(bytes(received[-100:]))
            received += data
        return bytes(received)

    def rest(self) -> bytes:
        """All bytes until the connection ends."""
        received = b""
        try:
            while data := self.socket.recv(2**20):
                received += data
        except ConnectionError:
            pass
        return received

    def ask(self, text: str) -> str:
        """The reply to one line."""
        self.send(text)
        return self.until(b"\n").decode().strip()


def control(sim: SimulatedPandA) -> Wire:
    return Wire(sim, sim.control_port)


def data(sim: SimulatedPandA, options: str) -> Wire:
    wire = Wire(sim, sim.data_port)
    wire.send(options)
    assert wire.until(b"OK\n") == b"OK\n"
    return wire


def prepare(sim: SimulatedPandA) -> None:
    lines = (GOLDEN_SETUP + GOLDEN_CAPTURES).split("\n")[:-1]
    assert set(sim.ask(*lines)) == {"OK"}


def test_an_acquisition_over_tcp(sim: SimulatedPandA):
    prepare(sim)
    with data(sim, "XML FRAMED RAW") as wire, control(sim) as ctrl:
        assert ctrl.ask("*PCAP.ARM=") == "OK"
        assert ctrl.ask("BITS.A=1") == "OK"
        stream = wire.until(b"END 5 Ok\n")
    expected = (GOLDEN / "xml_framed_raw.bin").read_bytes()
    assert b"OK\n" + without_times(stream) == without_times(expected)


async def test_in_a_task_of_its_own_loop():
    async with SimulatedPandA(control_port=0, data_port=0) as sim:
        reader, writer = await asyncio.open_connection(sim.host, sim.control_port)
        writer.write(b"*IDN?\n")
        assert (await reader.readline()).startswith(b"OK =PandA SW: 4.1 ")
        sim.set_ttlin(3, True)
        writer.write(b"TTLIN3.VAL?\n")
        assert await reader.readline() == b"OK =1\n"
        writer.close()
        await writer.wait_closed()


async def test_ports_that_are_taken_are_said_so():
    async with SimulatedPandA(control_port=0, data_port=0) as sim:
        with pytest.raises(OSError, match="address already in use"):
            async with SimulatedPandA(control_port=sim.control_port, data_port=0):
                pass
    with pytest.raises(OSError), serve_in_thread(host="256.0.0.1"):
        pass


def test_long_lines_end_the_connection(sim: SimulatedPandA):
    with control(sim) as wire:
        wire.send("x" * 1023)
        assert wire.rest() == b""
    with control(sim) as wire:
        assert wire.ask("*ECHO hello?") == "OK =hello"


def test_a_flood_of_commands_with_no_one_reading(sim: SimulatedPandA):
    with control(sim) as wire:
        sender = threading.Thread(
            target=wire.socket.sendall, args=(b"PCAP.*?\n" * 20_000,)
        )
        sender.start()
        with control(sim) as other:
            for _ in range(50):
                assert other.ask("*ECHO alive?") == "OK =alive"
        rest, count = b"", 0
        while count < 20_000:
            # an end may be cut in two
            received = rest + wire.socket.recv(2**20)
            count += received.count(b"\n.\n")
            rest = received[-2:]
        sender.join()


def test_inputs_outputs_and_watching(sim: SimulatedPandA):
    seen: list[tuple[list[float], list[int]]] = []
    told = threading.Event()

    def watcher(times: Any, levels: Any) -> None:
        seen.append((times.tolist(), levels.tolist()))
        told.set()

    sim.ask("TTLOUT2.VAL=LUT1.OUT", "LUT1.INPA=TTLIN1.VAL", "LUT1.FUNC=~A")
    assert sim.ttlout(2)
    stop = sim.watch("TTLOUT2.VAL", watcher)
    before = time.monotonic()
    sim.set_ttlin(1, True)
    assert not sim.ttlout(2)
    assert told.wait(30)
    stop()
    sim.set_ttlin(1, False)
    assert sim.level("LUT1.OUT")
    ((times, levels),) = seen
    assert levels == [0]
    assert abs(times[0] - before) < 30
    for name in ("TTLOUT11.VAL", "TTLIN1.TERM", "NONE"):
        with pytest.raises(BadValue, match="no level"):
            sim.level(name)
    with pytest.raises(BadValue, match="no input"):
        sim.set_ttlin(7, True)


def test_a_pulse_train_reaches_a_watcher_complete(sim: SimulatedPandA):
    counts: list[int] = []
    sim.watch("TTLOUT1.VAL", lambda times, levels: counts.append(int(levels.sum())))
    sim.ask("PULSE1.ENABLE=ONE", "PULSE1.TRIG=TTLIN1.VAL", "PULSE1.WIDTH=1e-5")
    sim.ask("PULSE1.STEP=2e-5", "PULSE1.PULSES=5000", "TTLOUT1.VAL=PULSE1.OUT")
    sim.set_ttlin(1, True)
    deadline = time.monotonic() + 30
    while sum(counts) < 5000 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum(counts) == 5000


@pytest.mark.parametrize("reason", [r for r in EndReason if r.value[0] in "OEDFU"])
def test_every_reason_to_end(sim: SimulatedPandA, reason: EndReason):
    prepare(sim)
    sim.ask("PCAP.ENABLE=ONE")
    with data(sim, "FRAMED RAW NO_HEADER") as wire:
        sim.ask("*PCAP.ARM=", "BITS.A=1")
        frames = wire.socket.recv(4)
        sim.end_capture(reason)
        stream = frames + wire.until(f" {reason.value}\n".encode())
        assert stream.startswith(b"BIN ")
    assert sim.ask("*PCAP.COMPLETION?") == [f"OK ={reason.value}"]


def test_faults_of_the_control_port(sim: SimulatedPandA):
    sim.faults.arm_error = "Unexpected error at /src/data_server.c:254"
    assert sim.ask("*PCAP.ARM=") == [f"ERR {sim.faults.arm_error}"]
    sim.faults.unreadable.add("SYSTEM.TEMP_PSU")
    assert "!SYSTEM.TEMP_PSU (error)" in sim.ask("*CHANGES.READ?")
    with control(sim) as wire:
        assert wire.ask("*ECHO a?") == "OK =a"
        sim.faults.silent = True
        wire.send("*ECHO b?")
        wire.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        sim.faults.silent = False
        wire.socket.settimeout(10)
        assert wire.ask("*ECHO c?") == "OK =c"
        sim.cut_control()
        assert wire.rest() == b""
    sim.faults.refuse_control = True
    with control(sim) as wire:
        assert wire.rest() == b""
    sim.faults.refuse_control = False
    with control(sim) as wire:
        assert wire.ask("*ECHO d?") == "OK =d"


def test_faults_of_the_data_port(sim: SimulatedPandA):
    prepare(sim)
    sim.faults.refuse_data = True
    with Wire(sim, sim.data_port) as wire:
        assert wire.rest() == b""
    sim.faults.refuse_data = False
    with data(sim, "XML FRAMED RAW") as wire:
        sim.cut_data()
        assert wire.rest() == b""
    with data(sim, "UNFRAMED RAW NO_HEADER") as wire:
        sim.faults.drop_after_rows = 3
        sim.ask("*PCAP.ARM=", "BITS.A=1")
        assert len(wire.rest()) == 3 * 48
    assert sim.ask("*PCAP.STATUS?")[0].endswith(" 0 0")
    with data(sim, "FRAMED RAW NO_HEADER") as wire:
        sim.faults.drop_inside_frame = True
        sim.ask("*PCAP.ARM=", "BITS.A=0", "BITS.A=1")
        stream = wire.rest()
        assert int.from_bytes(stream[4:8], "little") > len(stream)
        assert len(stream) == 8 + 3 * 48 + 24


def test_a_slow_line(sim: SimulatedPandA):
    prepare(sim)
    sim.faults.data_rate = 4000.0
    with data(sim, "XML FRAMED RAW") as wire:
        begin = time.monotonic()
        sim.ask("*PCAP.ARM=", "BITS.A=1")
        stream = wire.until(b"END 5 Ok\n")
        assert time.monotonic() - begin > 0.8 * len(stream) / 4000


def test_a_client_that_leaves_does_not_matter(sim: SimulatedPandA):
    prepare(sim)
    with data(sim, "XML FRAMED RAW") as stays, data(sim, "XML FRAMED RAW") as leaves:
        sim.ask("*PCAP.ARM=")
        leaves.socket.close()
        sim.ask("BITS.A=1")
        assert stays.until(b"END 5 Ok\n")
    assert sim.ask("*PCAP.ARM=") == ["OK"]


def test_recordings_are_taken_apart():
    assert (RAW.rows, len(RAW.frames), RAW.raw) == (10_000, 8, True)
    assert (SLOW.rows, len(SLOW.frames), SLOW.raw) == (5, 5, False)
    assert RAW.reason is SLOW.reason is EndReason.DISARMED
    with pytest.raises(BadValue, match="no XML header"):
        Recording.parse((GOLDEN / "default.bin").read_bytes())
    with pytest.raises(BadValue, match="not FRAMED"):
        Recording.parse((GOLDEN / "xml_ascii.bin").read_bytes())


@pytest.mark.parametrize("name", ["raw_dump", "slow_dump", "xml_framed_raw"])
def test_a_recording_is_replayed_byte_for_byte(name: str):
    recorded = (GOLDEN / f"{name}.bin").read_bytes()
    recording = Recording.parse(recorded)
    bench = Bench(replay=Replay(recording, hold=0.2))
    session = bench.data(f"XML FRAMED {'RAW' if recording.raw else 'SCALED'}")
    bench.put("*PCAP.ARM=\n")
    stream = everything(session)
    assert bench.get("PCAP.ACTIVE") == "1"
    bench.wait(0.1)
    assert bench.get("*PCAP.STATUS") == "Busy 1 1"
    bench.wait(0.2)
    stream += everything(session)
    bench.wait(0.01)
    stream += everything(session)
    assert without_times(stream) == without_times(recorded)
    assert bench.get("PCAP.ACTIVE") == "0"
    assert bench.get("*PCAP.COMPLETION") == recording.reason.value
    assert bench.get("*PCAP.CAPTURED") == str(recording.rows)


def test_a_replay_shows_what_it_captured():
    bench = Bench(replay=Replay(RAW))
    assert bench.ask("*CAPTURE?") == [
        "!PCAP.TS_START Value",
        "!PCAP.BITS2 Value",
        "!COUNTER1.OUT Min Max Mean",
        "!COUNTER2.OUT Mean",
        "!COUNTER3.OUT Value",
        ".",
    ]
    golden = Recording.parse((GOLDEN / "xml_framed_raw.bin").read_bytes())
    bench = Bench(replay=Replay(golden))
    assert bench.get("COUNTER2.OUT.UNITS") == 'mm "x" <&>'
    assert bench.get("COUNTER2.OUT.SCALE") == "0.5"


def test_a_raw_recording_is_scaled_on_demand():
    golden = Recording.parse((GOLDEN / "xml_framed_raw.bin").read_bytes())
    bench = Bench(replay=Replay(golden, hold=0.0))
    sessions = {
        name: bench.data(options)
        for name, options in {
            "xml_framed_scaled": "XML FRAMED SCALED",
            "xml_ascii": "XML ASCII",
            "ascii_raw": "ASCII RAW",
            "bare": "BARE",
        }.items()
    }
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.0)
    streams = {name: everything(s) for name, s in sessions.items()}
    bench.wait(0.1)
    for name, session in sessions.items():
        expected = (GOLDEN / f"{name}.bin").read_bytes()
        stream = streams[name] + everything(session)
        assert without_times(stream) == without_times(expected)
    refused = Bench(replay=Replay(SLOW)).data("XML FRAMED RAW")
    assert everything(refused).startswith(b"ERR The recording")


def test_rows_are_repeated_at_a_rate():
    bench = Bench(replay=Replay(RAW, rows=25_000, frame_bytes=44_000, rate=10_000))
    session = bench.data("FRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    stream, sizes = everything(session), []
    while bench.now < 3:
        bench.wait(0.1)
        stream += everything(session)
        if bench.now < 1:
            assert len(stream) <= 44_100 * 10 * (bench.now + 0.1)
    assert stream.endswith(b"END 25000 Disarmed\n")
    place, rows = 3, b""
    while stream[place : place + 4] == b"BIN ":
        size = int.from_bytes(stream[place + 4 : place + 8], "little")
        sizes.append((size - 8) // 44)
        rows += stream[place + 8 : place + size]
        place += size
    assert sizes == [1000] * 25
    once = b"".join(RAW.frames)
    assert len(rows) == 25_000 * 44
    assert np.frombuffer(rows, "<u4")[: 11 * 1000].tobytes() == once[: 44 * 1000]


def test_disarming_ends_a_replay():
    bench = Bench(replay=Replay(RAW, rows=10**9, rate=1000))
    session = bench.data("FRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.5)
    bench.put("*PCAP.DISARM=\n")
    assert everything(session).endswith(b" Disarmed\n")
    assert bench.get("PCAP.ACTIVE") == "0"
    bench = Bench(replay=Replay(RAW, rows=10**9))
    session = bench.data("FRAMED RAW NO_HEADER")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.1)
    some = [session.next_chunk() for _ in range(5)]
    bench.put("*PCAP.DISARM=\n")
    assert None not in some
    assert len(everything(session)) < 100


def test_a_replay_over_tcp_can_be_large():
    rows = 2_000_000
    with serve_in_thread(replay=Replay(RAW, rows=rows, hold=0.0)) as sim:
        end = b"END %d Disarmed\n" % rows
        with data(sim, "FRAMED RAW NO_HEADER") as wire, control(sim) as ctrl:
            assert ctrl.ask("*PCAP.ARM=") == "OK"
            size, tail = 0, b""
            while not tail.endswith(end):
                part = wire.socket.recv(2**20)
                size += len(part)
                tail = (tail + part[-64:])[-64:]
        assert size > rows * 44


def test_levels_can_be_scheduled():
    bench = Bench()
    bench.put("COUNTER1.TRIG=TTLIN1.VAL\nCOUNTER1.ENABLE=ONE\n")
    machine = bench.core.machine
    times = [0.1 * i for i in range(1, 11)]
    machine.schedule_input("TTLIN1.VAL", times, [True, False] * 5)
    bench.wait(0.35)
    assert bench.get("COUNTER1.OUT") == "2"
    machine.schedule_input("TTLIN1.VAL", [0.4, 0.5, 9.0], [False, True, False])
    bench.wait(5.0)
    assert bench.get("COUNTER1.OUT") == "3"
    assert bench.get("TTLIN1.VAL") == "1"
    bench.core.set_input("TTLIN1.VAL", False)
    bench.wait(5.0)
    assert bench.get("TTLIN1.VAL") == "0"
    with pytest.raises(BadValue, match="nothing was scheduled"):
        machine.schedule_input("SEQ1.OUTA", [1.0], [True])


def test_muxes_delay_and_switching_one_is_an_edge():
    bench = Bench()
    bench.put(
        "COUNTER1.ENABLE=ONE\nCOUNTER1.TRIG=ZERO\nCOUNTER1.TRIG=ONE\n"
        "COUNTER1.TRIG=ZERO\nCOUNTER1.TRIG=ONE\nCOUNTER1.TRIG=BITS.OUTA\n"
        "BITS.A=1\nBITS.A=0\nBITS.A=1\n"
    )
    assert bench.get("COUNTER1.OUT") == "4"
    bench.put(
        "PCAP.ENABLE=ONE\nPCAP.GATE=BITS.OUTB\nPCAP.TRIG=BITS.OUTB\n"
        "PCAP.GATE.DELAY=7\nPCAP.TRIG.DELAY=31\nPCAP.TS_START.CAPTURE=Value\n"
        "PCAP.TS_TRIG.CAPTURE=Value\nPCAP.GATE_DURATION.CAPTURE=Value\n"
    )
    session = bench.data("BARE")
    bench.put("*PCAP.ARM=\n")
    bench.wait(0.01)
    bench.put("BITS.B=1\n")
    bench.wait(0.2)
    duration, start, _, trig, _ = np.frombuffer(everything(session), "<u4").tolist()
    assert trig - start == 31 - 7
    assert duration == trig - start


def test_a_panda_with_too_much_to_do_runs_slow(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    sim = SimulatedPandA(clock=lambda: now[0])
    advance = sim.core.advance

    def slowly(until: float) -> None:
        now[0] += 2 * (until - sim.core.now)
        advance(until)

    monkeypatch.setattr(sim.core, "advance", slowly)
    for _ in range(4):
        now[0] += 1.0
        sim.wake()
        # while it works its own time does not go on, so it never has more to do
        assert sim.core.now == pytest.approx(now[0] - sim.lost)
    assert sim.core.now == pytest.approx(4.0)
    assert sim.lost == pytest.approx(8.0)
