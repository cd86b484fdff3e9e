"""Receiving and parsing alone: data() of both clients, and bare recv_into.

python benchmarks/panda/data.py [--cases a b c] [--rounds 3] [--megabytes 600]

"""

import argparse
from pathlib import Path

from rounds import compare, table

PEERS = {
    "beamfly_data": "pandablocks_data",
    "beamfly_blocking": "pandablocks_blocking",
    "beamfly_connection": "pandablocks_data",
}
FLOOR = "receive_only"
NAMES = [*PEERS, *dict.fromkeys(PEERS.values()), FLOOR]


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
            for name, peer in PEERS.items():
                for other in (peer, FLOOR):
                    if name in medians and other in medians:
                        ratio(medians, name, other)


def ratio(medians: dict[str, dict[str, float]], name: str, other: str) -> None:
    speed = medians[name]["MB/s"] / medians[other]["MB/s"]
    work = medians[other]["CPU s/GB"] / medians[name]["CPU s/GB"]
    print(f"    {name}: {speed:.2f} x {other}'s speed, 1/{work:.2f} of its processor")


if __name__ == "__main__":
    main()
