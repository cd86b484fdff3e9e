"""From the data port to HDF5: beamfly against pandablocks and against the floor.

    python benchmarks/panda/hdf.py [--cases a b c] [--rounds 3] [--megabytes 600]

The floor receives the same bytes and writes them, unparsed, to one contiguous dataset.
What matters on a busy machine is processor seconds per gigabyte.
"""

import argparse
from pathlib import Path

from rounds import compare, table

NAMES = ["beamfly_capture", "beamfly_write", "pandablocks_write", "floor_hdf"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="*", default=["a", "b", "c"])
    parser.add_argument("--frames", nargs="*", type=int, default=[2 << 20, 64 << 10])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--where", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--names", nargs="*", default=NAMES)
    args = parser.parse_args()
    for case in args.cases:
        for frame_bytes in args.frames:
            print(f"case {case}, frames of {frame_bytes >> 10} KiB")
            medians = compare(
                args.names,
                case,
                frame_bytes,
                args.megabytes * 1_000_000,
                args.rounds,
                args.where,
            )
            table(medians)
            for name in ("beamfly_capture", "beamfly_write"):
                for other in ("pandablocks_write", "floor_hdf"):
                    if name in medians and other in medians:
                        ratio(medians, name, other)


def ratio(medians: dict[str, dict[str, float]], name: str, other: str) -> None:
    speed = medians[name]["MB/s"] / medians[other]["MB/s"]
    work = medians[other]["CPU s/GB"] / medians[name]["CPU s/GB"]
    print(f"    {name}: {speed:.2f} x {other}'s speed, 1/{work:.2f} of its processor")


if __name__ == "__main__":
    main()
