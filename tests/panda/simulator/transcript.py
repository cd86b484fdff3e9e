"""The recorded conversation with a genuine server, ready to be repeated."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

RECORDED = Path(__file__).parents[2] / "golden" / "panda" / "control_transcript.txt"

_LONG = re.compile(r"(.*?)(x)x*\.\.\.\[(\d+) chars\]")
_ELIDED = re.compile(r"\.\.\.(\d+) lines; last \[.*'(.*)', '\.'\]")
_ARBITRARY_ORDER = re.compile(r"\*BLOCKS\?|\*METADATA\.\*\?|.*\.\*\?|\*CHANGES.*")


@dataclass
class Exchange:
    """One request and its reply."""

    section: str
    request: bytes = b""
    reply: list[str] = field(default_factory=list)

    @property
    def closes(self) -> bool:
        """Whether the server closes the connection."""
        return self.reply == ["<EOF>"]

    def same(self, reply: list[str], known: set[str]) -> bool:
        """Whether a reply is what was recorded, as far as that can be said.

        Args:
            reply: Its lines.
            known: Lines that this connection has had before: the genuine server may
                report them again, nobody can say when.
        """
        first = self.request.decode().split("\n")[0]
        if first == "*WHO?":
            stamp = re.compile(r"!\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z config [\d.]+:\d+ ")
            return reply[-1] == "." and all(map(stamp.fullmatch, reply[:-1]))
        expected = self.reply
        elided = [line for line in expected if _ELIDED.match(line)]
        if elided:
            return self._same_elided(reply, _ELIDED.match(elided[0]), first)
        if first.startswith("*CHANGES") and "SYSTEM.VCCINT" in "".join(expected):
            expected = [line for line in expected if "VCCINT" not in line]
        if first.startswith("*CHANGES"):
            expected = [line for line in expected if line in reply or line not in known]
        if _ARBITRARY_ORDER.fullmatch(first):
            return sorted(reply) == sorted(expected) and reply[-1] == expected[-1]
        if len(expected[0]) > 190:  # cut in the recording
            return reply[0].startswith(expected[0])
        return reply == expected

    def _same_elided(self, reply: list[str], elided, first: str) -> bool:
        count, last = int(elided[1]), elided[2]
        shown = self.reply[:-1]
        if len(reply) != count or reply[-1] != ".":
            return False
        if _ARBITRARY_ORDER.fullmatch(first):
            return set(shown) <= set(reply) and last in reply
        return reply[: len(shown)] == shown and reply[-2] == last


def exchanges() -> Iterator[Exchange]:
    """Every exchange of the recording, in order."""
    section, current = "", Exchange("")
    for line in [*RECORDED.read_text("utf-8").splitlines(), ""]:
        if line.startswith("### "):
            section = line[4:]
        elif line.startswith("<"):
            current.section = section
            current.request += f"{_expanded(line[2:])}\n".encode()
        elif line.startswith(">"):
            current.reply.append(line[2:])
        elif current.reply:
            # the recording could not show the carriage return that was sent
            if current.request == b"*IDN?\n" and current.reply[0].startswith("ERR"):
                current.request = b"*IDN?\r\n"
            yield current
            current = Exchange(section)


def _expanded(line: str) -> str:
    """A line that was cut in the recording, at its full length."""
    match = _LONG.fullmatch(line)
    if match is None:
        return line
    start, char, length = match[1], match[2], int(match[3])
    tail = "?" if start.startswith("*ECHO") else ""
    return start + char * (length - len(start) - len(tail)) + tail
