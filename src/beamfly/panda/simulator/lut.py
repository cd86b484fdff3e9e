"""Expressions of a LUT's five inputs, such as `A&~B`, to its 32-bit function.

Bit n of the function is the output for the inputs that n spells in binary, A highest.
Operators, tightest first: `~`, `=`, `&`, `^`, `|`, `=>`, `?:`.
"""

import re
from collections.abc import Callable

from beamfly.errors import CommandError

_ONES = 0xFFFFFFFF
_VALUES = {
    "0": 0,
    "1": _ONES,
    "A": 0xFFFF0000,
    "B": 0xFF00FF00,
    "C": 0xF0F0F0F0,
    "D": 0xCCCCCCCC,
    "E": 0xAAAAAAAA,
}
_BINARY = {"=": 5, "==": 5, "&": 4, "^": 3, "|": 2, "=>": 1}
_TOKEN = re.compile(r" *(?:(=>|==|[01A-E()~&|^?:=])|$)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_MAX_DEPTH = 20
_END = ""


def _equal(a: int, b: int) -> int:
    return ~(a ^ b)


def _implies(a: int, b: int) -> int:
    return ~a | b


_FUNCTIONS: dict[str, Callable[[int, int], int]] = {
    "=": _equal,
    "==": _equal,
    "&": int.__and__,
    "^": int.__xor__,
    "|": int.__or__,
    "=>": _implies,
}


def evaluate(text: str) -> int:
    """The function of an expression, or the number that is given in hex.

    Raises:
        CommandError: It is neither; the text is the server's.
    """
    if text.startswith("0x"):
        if not _HEX.fullmatch(text):
            raise CommandError("Bad LUT number")
        return int(text, 16) & _ONES
    return _Machine(text).run()


class _Machine:
    """An operator precedence parser that evaluates as it goes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.pending: list[str] = [_END]
        """Tokens that wait for what follows them."""
        self.values: list[int] = []

    def run(self) -> int:
        """The value of the whole text."""
        token = self.next_token()
        while len(self.pending) > 1 or token != _END:
            if self.must_wait(self.pending[-1], token):
                if len(self.pending) == _MAX_DEPTH:
                    raise CommandError("Expression too complex")
                self.pending.append(token)
                token = self.next_token()
            else:
                self.reduce(self.pending[-1])
        if len(self.values) != 1:
            raise CommandError("Missing value")
        return self.values[0] & _ONES

    def next_token(self) -> str:
        """The next token of the text, empty at its end."""
        match = _TOKEN.match(self.text, self.place)
        if match is None:
            raise CommandError("Invalid token")
        self.place = match.end()
        return match[1] or _END

    def must_wait(self, last: str, token: str) -> bool:
        """Whether `token` has to be dealt with before `last`."""
        if last in _VALUES or last == ")":
            if token in _VALUES or token == "(":
                raise CommandError("Missing operator between values")
            return False
        if token in _VALUES or token in ("(", "~"):
            return True
        if last in _BINARY:
            return token in _BINARY and _BINARY[token] > _BINARY[last]
        return last != "~" and self.bracket_waits(last, token)

    def bracket_waits(self, last: str, token: str) -> bool:
        """As `must_wait`, after an opening bracket, `?`, `:` or the beginning."""
        if token in _BINARY or token == "?":
            return True
        if token == ":":
            if last != "?":
                raise CommandError("Missing ? before :")
            return True
        if last == "?":
            raise CommandError("Missing : after ?")
        if last == "(" and token == _END:
            raise CommandError("Missing close bracket")
        if last == _END:
            raise CommandError("Missing open bracket")
        return last == "("

    def reduce(self, token: str) -> None:
        """Replace the last token, and what it applies to, by a value."""
        self.pending.pop()
        if token in _VALUES:
            self.values.append(_VALUES[token])
        elif token == ")":
            self.pending.pop()
            self.values.append(self.take(1)[0])
        elif token == "~":
            self.values.append(~self.take(1)[0])
        elif token == ":":
            self.pending.pop()
            condition, yes, no = self.take(3)
            self.values.append((condition & yes) | (~condition & no))
        else:
            self.values.append(_FUNCTIONS[token](*self.take(2)))

    def take(self, count: int) -> list[int]:
        """The last values, removed."""
        if len(self.values) < count:
            raise CommandError("Missing value")
        taken = self.values[-count:]
        del self.values[-count:]
        return taken
