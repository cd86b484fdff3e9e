"""Interleaved rounds of receivers in fresh processes, medians and ratios."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from replay import replay

RECEIVERS = Path(__file__).parent / "receivers.py"


def warm(where: Path, total: int) -> None:
    """Have the machine give its memory out before it counts, not while it does."""
    with tempfile.TemporaryFile(dir=where) as file:
        block = bytes(1 << 24)
        for _ in range(2 * total // len(block)):
            file.write(block)


def measure(name: str, case: str, frame_bytes: int, total: int, where: Path) -> dict:
    """One receiver, one fresh process, one connection to a fresh fake PandA."""
    with (
        replay(case, frame_bytes, total) as ports,
        tempfile.TemporaryDirectory(dir=where) as folder,
    ):
        out = subprocess.run(
            [
                sys.executable,
                str(RECEIVERS),
                name,
                str(ports.control),
                str(ports.data),
                str(Path(folder) / "out.h5"),
            ],
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
        )
        result = json.loads(out.stdout)
        if (
            not name.startswith(("receive", "floor"))
            and result["rows"] != ports.samples
        ):
            raise SystemExit(f"{name} lost rows: {result['rows']} of {ports.samples}")
        gigabytes = ports.bytes / 1e9
        return {
            "MB/s": gigabytes * 1e3 / result["wall"],
            "CPU s/GB": result["cpu"] / gigabytes,
            "extra MB": result["rss"] - result["rss_before"],
        }


def compare(
    names: list[str], case: str, frame_bytes: int, total: int, rounds: int, where: Path
) -> dict[str, dict[str, float]]:
    """Medians of each receiver over interleaved rounds."""
    results: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            warm(where, total)
            results[name].append(measure(name, case, frame_bytes, total, where))
    return {
        name: {key: statistics.median(one[key] for one in many) for key in many[0]}
        for name, many in results.items()
    }


def table(medians: dict[str, dict[str, float]]) -> None:
    for name, row in medians.items():
        numbers = "".join(f"{key} {value:9.2f}   " for key, value in row.items())
        print(f"    {name:20} {numbers}")
