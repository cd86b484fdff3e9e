"""What the simulated PandA sustains while a client reads over TCP.

    python benchmarks/panda/simulator.py [--seconds 3]

A sequencer triggers captures of 15 columns (68 bytes a row); the PandA is in another
process. `behind` is the time that it could not keep up with; a rate is sustained if
there is none. `cpu` is of its process, in cores. Then a recording is replayed.
"""

import argparse
import multiprocessing
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from beamfly.panda.simulator.recording import Recording
from beamfly.panda.simulator.replay import Replay
from beamfly.panda.simulator.server import SimulatedPandA, serve_in_thread

RECORDED = Path(__file__).parents[2] / "tests" / "golden" / "panda" / "raw_dump.bin"
SETUP = [
    "COUNTER1.ENABLE=ONE",
    "COUNTER2.ENABLE=ONE",
    "COUNTER3.ENABLE=ONE",
    "COUNTER1.TRIG=SEQ1.OUTA",
    "COUNTER2.TRIG=SEQ1.OUTA",
    "COUNTER3.TRIG=SEQ1.OUTA",
    "COUNTER1.OUT.CAPTURE=Value",
    "COUNTER2.OUT.CAPTURE=Min Max Mean",
    "COUNTER3.OUT.CAPTURE=Sum Diff",
    "PCAP.TS_START.CAPTURE=Value",
    "PCAP.TS_END.CAPTURE=Value",
    "PCAP.TS_TRIG.CAPTURE=Value",
    "PCAP.BITS0.CAPTURE=Value",
    "PCAP.BITS1.CAPTURE=Value",
    "PCAP.ENABLE=SEQ1.ACTIVE",
    "PCAP.GATE=SEQ1.OUTA",
    "PCAP.TRIG=SEQ1.OUTA",
    "PCAP.TRIG_EDGE=Falling",
    "SEQ1.ENABLE=BITS.OUTA",
    "SEQ1.REPEATS=1",
]
IMMEDIATE, BITA = 0, 2 << 16


def serve(pipe: Connection, options: dict[str, Any]) -> None:
    """A PandA in a process of its own; answers with its lag and its CPU time."""
    if "replay" in options:
        recording = Recording.parse(RECORDED.read_bytes())
        options["replay"] = Replay(recording, hold=0.0, **options["replay"])
    with serve_in_thread(**options) as sim:
        pipe.send((sim.control_port, sim.data_port))
        while pipe.recv():
            pipe.send((time.process_time(), lag(sim)))


def lag(sim: SimulatedPandA) -> float:
    """Seconds by which the PandA is behind."""
    return sim.run(lambda: sim.lost + max(0.0, sim.clock() - sim.core.now - 0.2))


class Panda:
    """A PandA in another process, and the sockets to it."""

    def __init__(self, **options: Any) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(theirs, options))
        self.process.start()
        control, data = self.pipe.recv()
        self.control = socket.create_connection(("127.0.0.1", control))
        self.data = socket.create_connection(("127.0.0.1", data))
        self.data.sendall(b"FRAMED RAW NO_HEADER\n")
        assert self.data.recv(3, socket.MSG_WAITALL) == b"OK\n"

    def ask(self, *commands: str) -> None:
        """Send commands, a table being one, and see that all are accepted."""
        self.control.sendall("".join(f"{line}\n" for line in commands).encode())
        replies = b""
        while replies.count(b"\n") < len(commands):
            replies += self.control.recv(2**16)
        assert set(replies.split(b"\n")) == {b"OK", b""}, replies

    def state(self) -> tuple[float, float]:
        """CPU seconds so far, and seconds behind."""
        self.pipe.send(True)
        return self.pipe.recv()

    def close(self) -> None:
        self.pipe.send(False)
        self.control.close()
        self.data.close()
        self.process.join()


def read_for(panda: Panda, seconds: float) -> int:
    """Bytes that arrive in a time."""
    buffer, size = bytearray(2**20), 0
    panda.data.settimeout(0.2)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            size += panda.data.recv_into(buffer)
        except TimeoutError:
            continue
    return size


def triggers(rate: float, trigger: int, seconds: float) -> str:
    """One row of the table: triggers at a rate."""
    panda = Panda()
    half = round(125e6 / rate / 2)
    panda.ask(*SETUP)
    if trigger:  # each repeat waits for its own edge of a clock
        panda.ask(f"CLOCK1.PERIOD.RAW={2 * half}", "CLOCK1.ENABLE=ONE")
        panda.ask("SEQ1.BITA=CLOCK1.OUT")
        half //= 2
    panda.ask(f"SEQ1.TABLE<\n{trigger | 1 << 20} 0 {half} {half}\n")
    panda.ask("*PCAP.ARM=", "BITS.A=1")
    read_for(panda, 0.5)
    before, _ = panda.state()
    begin = time.perf_counter()
    size = read_for(panda, seconds)
    after, behind = panda.state()
    took = time.perf_counter() - begin
    panda.close()
    kind = "BITA=1" if trigger else "Immediate"
    rows = size / 68 / took
    cpu = (after - before) / took
    return f"{kind:10} {rate:9,.0f} {rows:11,.0f} {cpu:6.2f} {behind:8.2f}"


def replay(rows: int, frame_bytes: int) -> str:
    """One row of the table of replays."""
    panda = Panda(replay={"rows": rows, "frame_bytes": frame_bytes})
    buffer, size, begin = bytearray(2**21), 0, time.perf_counter()
    panda.ask("*PCAP.ARM=")
    while size < rows * 44:
        size += panda.data.recv_into(buffer)
    took = time.perf_counter() - begin
    panda.close()
    return (
        f"{frame_bytes // 1024:6} KiB {size / 1e6:8,.0f} MB {size / took / 1e6:8,.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    print("trigger         per s   rows per s    cpu   behind s")
    for trigger, rates in ((IMMEDIATE, (1e3, 5e4, 2e5, 5e5)), (BITA, (5e4, 2e5))):
        for rate in rates:
            print(triggers(rate, trigger, seconds))
    print("\nreplay, frames of            MB per s")
    for frame_bytes in (2**16, 2**21):
        print(replay(20_000_000, frame_bytes))


if __name__ == "__main__":
    main()
