"""Recordings of a genuine scan server, and what of them varies from run to run."""

import re
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden" / "scan"

_VARYING = [
    (r"'(id|created|finish|runtime)': '\d+'", r"'\1': '#'"),
    (r"<(id|created|finish|runtime|time)>\d+<", r"<\1>#<"),
    (r"(Remaining|Elapsed): [\d:.]+", r"\1: #"),
    (r"\(\d{13}, ", "(#, "),
]


def recorded(name: str) -> list[tuple[str, str, int, bytes]]:
    """Method, path, status and body of each request in a recording."""
    text = (GOLDEN / f"{name}.out.txt").read_text()
    parts = re.split(r"^--- (\w+) (\S+) -> (\d+) .*$", text, flags=re.M)[1:]
    return [
        (method, path, int(status), re.split(r"\n#####", body)[0].strip().encode())
        for method, path, status, body in zip(*[iter(parts)] * 4, strict=True)
    ]


def documents(name: str, method: str, path: str) -> list[str]:
    """Bodies of all replies to a request, ids in the path given as `#`."""
    return [
        normal(body.decode())
        for m, p, _, body in recorded(name)
        if m == method and re.sub(r"/\d+", "/#", p) == path
    ]


def section(name: str, title: str) -> list[str]:
    """Lines that a probe printed under a title, normalised."""
    text = (GOLDEN / f"{name}.out.txt").read_text()
    found = re.search(
        rf"^##### {re.escape(title)}.*\n((?:(?!#####).*\n?)*)", text, flags=re.M
    )
    assert found is not None, title
    return [normal(line) for line in found[1].splitlines() if line.strip()]


def normal(text: str) -> str:
    """Text without ids and times."""
    for pattern, replacement in _VARYING:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def runtimes(name: str, title: str) -> list[int]:
    """Run times in milliseconds that a probe printed under a title."""
    text = (GOLDEN / f"{name}.out.txt").read_text()
    start = text.index(f"##### {title}")
    end = text.find("#####", start + 5)
    return [int(x) for x in re.findall(r"'runtime': '(\d+)'", text[start:end])]
