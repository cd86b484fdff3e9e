"""A fake PandA: a control port that knows its name, a data port that replays frames.

Frames are made once and sent over and over, so that it costs as little of the machine
as it can: what is measured is who receives. Runs in a process of its own:

    with replay(case="b", frame_bytes=2 << 20, total_bytes=600_000_000) as ports: ...
"""

import argparse
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

CASES = {
    # name, type, capture, scaled; the word counts are those of real set-ups
    "a": [("PCAP.BITS0", "uint32", "Value", False)],
    "b": [
        ("PCAP.GATE_DURATION", "int32", "Value", True),
        ("PCAP.BITS0", "uint32", "Value", False),
        ("COUNTER1.OUT", "int32", "Value", True),
        ("COUNTER2.OUT", "int32", "Min", True),
        ("PCAP.TS_TRIG", "int64", "Value", True),
        ("COUNTER2.OUT", "int64", "Mean", True),
    ],
    "c": [
        ("PCAP.GATE_DURATION", "int32", "Value", True),
        *[(f"PCAP.BITS{n}", "uint32", "Value", False) for n in range(4)],
        *[(f"INENC{n}.VAL", "int32", "Value", True) for n in range(16)],
        ("PCAP.TS_TRIG", "int64", "Value", True),
        *[(f"COUNTER{n}.OUT", "int64", "Sum", True) for n in range(4)],
        *[(f"INENC{n}.VAL", "int64", "Mean", True) for n in range(5)],
    ],
}
"""1, 6 and 31 fields; 4, 32 and 164 bytes per sample."""
TYPES = {"int32": "<i4", "uint32": "<u4", "int64": "<i8"}


def dtype_of(case: str) -> np.dtype:
    return np.dtype([(f"{n}.{c}", TYPES[t]) for n, t, c, _ in CASES[case]])


def header(case: str) -> bytes:
    lines = [
        "<header>",
        '<data arm_time="2026-11-20T06:28:17.497251178Z" '
        'start_time="2026-11-20T06:28:17.604065505Z" missed="0" process="Raw" '
        f'format="Framed" sample_bytes="{dtype_of(case).itemsize}" />',
        "<fields>",
    ]
    for index, (name, kind, capture, scaled) in enumerate(CASES[case]):
        scaling = f' scale="{0.001 * (index + 1):g}" offset="0" units="mm"'
        lines.append(
            f'<field name="{name}" type="{kind}" capture="{capture}"'
            f"{scaling if scaled else ''} />"
        )
    return "\n".join([*lines, "</fields>", "</header>", "", ""]).encode()


def frames(case: str, frame_bytes: int) -> tuple[bytes, int]:
    """Some megabytes of whole frames, and how many samples they hold."""
    dtype = dtype_of(case)
    per_frame = max(1, frame_bytes // dtype.itemsize)
    count = max(1, (8 << 20) // (per_frame * dtype.itemsize))
    rows = np.arange(per_frame * count)
    samples = np.zeros(len(rows), dtype)
    for index, name in enumerate(dtype.names):
        samples[name] = 62500 if "GATE" in name else rows * (index + 1)
    length = (per_frame * dtype.itemsize + 8).to_bytes(4, "little")
    parts = []
    for first in range(0, len(rows), per_frame):
        parts += [b"BIN ", length, samples[first : first + per_frame].tobytes()]
    return b"".join(parts), len(rows)


@dataclass(frozen=True)
class Ports:
    control: int
    data: int
    bytes: int
    """That each data connection receives."""
    samples: int


@contextmanager
def replay(
    case: str, frame_bytes: int, total_bytes: int, rate: float = 0.0
) -> Iterator[Ports]:
    """Run the fake PandA; `rate` limits it to so many bytes per second."""
    command = [
        sys.executable,
        __file__,
        case,
        *map(str, (frame_bytes, total_bytes, rate)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        yield Ports(*map(int, process.stdout.readline().split()))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


def serve_control(client: socket.socket) -> None:
    with client:
        text = b""
        while got := client.recv(4096):
            text += got
            while b"\n" in text:
                line, _, text = text.partition(b"\n")
                known = line == b"*IDN?"
                client.sendall(
                    b"OK =PandA SW: 4.1 FPGA: 4.1.0 0 0 rootfs: replay\n" if known
                    else b"OK\n"
                )  # fmt: skip


def serve_data(
    client: socket.socket,
    start: bytes,
    block: bytes,
    repeats: int,
    end: bytes,
    rate: float,
) -> None:
    with client:
        try:
            while not client.recv(4096).endswith(b"\n"):
                pass
            client.sendall(b"OK\n" + start)
            began = time.monotonic()
            for done in range(1, repeats + 1):
                client.sendall(block)
                if rate:
                    time.sleep(
                        max(0, began + done * len(block) / rate - time.monotonic())
                    )
            client.sendall(end)
            # until the client goes
            while client.recv(4096):
                pass
        except OSError as exc:
            print(f"replay: {exc}", file=sys.stderr)


def accept(listener: socket.socket, serve, *args: object) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, *args), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    for name in ("frame_bytes", "total_bytes", "rate"):
        parser.add_argument(name, type=float)
    args = parser.parse_args()
    block, samples = frames(args.case, int(args.frame_bytes))
    repeats = max(1, round(args.total_bytes / len(block)))
    start, end = header(args.case), b"END %d Ok\n" % (repeats * samples)
    control = socket.create_server(("127.0.0.1", 0))
    data = socket.create_server(("127.0.0.1", 0))
    print(
        control.getsockname()[1], data.getsockname()[1], len(block) * repeats,
        samples * repeats, flush=True,
    )  # fmt: skip
    threading.Thread(target=accept, args=(control, serve_control), daemon=True).start()
    threading.Thread(
        target=accept,
        args=(data, serve_data, start, block, repeats, end, args.rate),
        daemon=True,
    ).start()
    # ends with the process that started it
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
