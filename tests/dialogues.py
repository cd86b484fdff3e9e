"""Recorded conversations, as lists of what is asked and what is answered."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"

_ELIDED_LIST = re.compile(r"\.\.\.(\d+) lines; last \['(.*)', '\.'\]")
_ELIDED_TEXT = re.compile(r"^(.*?)(x+)\.\.\.\[(\d+) chars\]$")


@dataclass(frozen=True)
class Dialogue:
    """One question and its answer, as lines without their ends."""

    asked: tuple[str, ...]
    """A multi-line one ends with an empty line."""
    answered: tuple[str, ...]
    """Empty if the server hung up instead."""

    @property
    def question(self) -> bytes:
        return "".join(f"{line}\n" for line in self.asked).encode()

    @property
    def answer(self) -> bytes:
        return "".join(f"{line}\n" for line in self.answered).encode()

    def __str__(self) -> str:
        return self.asked[0][:40]


def control_transcript() -> list[Dialogue]:
    """The recorded conversation with the control port of a genuine server.

    Lists that the recording cut short are as long as they were, with made up lines
    in the place of those that are missing.
    """
    path = GOLDEN / "panda" / "control_transcript.txt"
    with path.open(encoding="utf-8", newline="\n") as file:
        text = file.read()
    dialogues: list[Dialogue] = []
    for paragraph in re.split(r"\n(?=\n(?:<|###))|^(?=###)", text):
        asked, answered = _sides(paragraph)
        if asked:
            dialogues += _pair(asked, answered)
    return dialogues


def _sides(paragraph: str) -> tuple[list[str], list[str]]:
    asked: list[str] = []
    answered: list[str] = []
    for line in paragraph.split("\n"):
        if line.startswith("< "):
            asked.append(_restore_text(line[2:]))
        elif line == "> <EOF>":
            continue
        elif line.startswith("> ") and (elided := _ELIDED_LIST.fullmatch(line[2:])):
            missing = int(elided[1]) - len(answered) - 2
            answered += [f"!MADE_UP{n}=0" for n in range(missing)]
            answered += [elided[2], "."]
        elif line.startswith("> "):
            answered.append(line[2:])
    return asked, answered


def _restore_text(line: str) -> str:
    if elided := _ELIDED_TEXT.fullmatch(line):
        start, _, length = elided.groups()
        end = "?" if start else ""
        return start + "x" * (int(length) - len(start) - len(end)) + end
    return line


def _pair(asked: list[str], answered: list[str]) -> Iterator[Dialogue]:
    """Dialogues of a paragraph, which may hold a table and a further question."""
    questions = list(_questions(asked))
    if len(questions) == 1:
        yield Dialogue(questions[0], tuple(answered))
        return
    for question, answer in zip(questions, answered, strict=True):
        yield Dialogue(question, (answer,))


def _questions(asked: list[str]) -> Iterator[tuple[str, ...]]:
    question: list[str] = []
    for line in asked:
        question.append(line)
        is_table = re.match(r"[^?=]*<", question[0]) is not None
        if not is_table or not line:
            yield tuple(question)
            question = []
    assert not question, f"{question} is not ended by a blank line"
