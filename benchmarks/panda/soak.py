"""A long capture at a steady rate: memory must stay, nothing may be lost.

    python benchmarks/panda/soak.py [--seconds 300] [--rate 40] [--case b]

`--rate` is in MB/s as received, 0 for as fast as it goes; the file is larger. Exits
with 1 if a row is lost or memory grows.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from replay import dtype_of, replay

from beamfly.hdf import open_columns
from beamfly.panda.capture import CaptureState, HdfCapture

PAGE = 4096
MOST_MB = 300


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--case", default="b")
    parser.add_argument("--where", type=Path, default=Path("/tmp"))
    args = parser.parse_args()
    total = int(args.seconds * (args.rate or 800) * 1e6)
    with (
        tempfile.TemporaryDirectory(dir=args.where) as folder,
        replay(args.case, 2 << 20, total, args.rate * 1e6) as ports,
    ):
        path = Path(folder) / "soak.h5"
        began, cpu = time.perf_counter(), time.process_time()
        seen: list[float] = []
        with HdfCapture("127.0.0.1", ports.data, path=path) as capture:
            while not capture.progress.ended:
                if capture.progress.state is CaptureState.CLOSED:
                    break
                time.sleep(1)
                seen.append(resident_mb())
                if len(seen) % 30 == 0:
                    progress = capture.progress
                    print(
                        f"{len(seen):5} s {progress.rows_written / 1e6:8.1f} M rows "
                        f"{progress.rate / 1e6:6.1f} MB/s {seen[-1]:6.1f} MB resident "
                        f"{progress.stalls} stalls",
                        flush=True,
                    )
            report = capture.stop(expected=ports.samples)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        with open_columns(path) as columns:
            last = columns.read("PCAP.BITS0.Value", columns.rows - 1)
        early = max(seen[: max(3, len(seen) // 10)])
        gigabytes = report.rows * dtype_of(args.case).itemsize / 1e9
        print(
            f"{report.rows} rows of {ports.samples}, {gigabytes:.1f} GB, {wall:.0f} s, "
            f"{cpu / gigabytes:.2f} CPU s/GB, {cpu / wall:.2f} cores; resident "
            f"{early:.1f} MB early, {max(seen):.1f} MB at most; {report.stalls} stalls "
            f"of {report.stalled:.2f} s; last word {last}"
        )
        grown = max(seen) > early + 20 or max(seen) > MOST_MB
        sys.exit(1 if grown or not report.complete else 0)


if __name__ == "__main__":
    main()
