"""Frozen dataclasses that cost next to nothing to import.

    @frozen
    class Point(Frozen):
        x: float
        y: float = 0.0

is what `@dataclass(frozen=True, slots=True)` makes of it, `dataclasses.replace` and
`fields` included. But that decorator compiles six methods for each class, and for the
forty classes of a client this takes longer than to read a PV; here the methods are the
same ones for all.
"""

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform


class Frozen:
    """The methods of what `frozen` decorates."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    """Attribute -> what it is when not given."""
    COMPARED: ClassVar[tuple[str, ...]] = ()
    """Attributes that make a difference."""
    SETTERS: ClassVar[tuple[Callable[[Any, Any], None], ...]] = ()
    """What sets each attribute, in order, of an object that cannot be changed."""

    def __init__(self, *values: Any, **named: Any) -> None:
        setters = self.SETTERS
        if named or len(values) != len(setters):
            values = self._complete(values, named)
        for setter, value in zip(setters, values, strict=False):
            setter(self, value)

    def _complete(self, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any]:
        """All values in order: those given by position, by name, and the defaults."""
        names = self.__match_args__
        rest = names[len(values) :]
        known = self.DEFAULTS | named
        if len(values) > len(names) or not named.keys() <= set(rest) <= known.keys():
            took = ", ".join(names)
            msg = f"{type(self).__name__}({took}) cannot be made of {values}, {named}"
            raise TypeError(msg)
        return *values, *map(known.__getitem__, rest)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, x) == getattr(other, x) for x in self.COMPARED)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.COMPARED))

    def __repr__(self) -> str:
        shown = ", ".join(f"{x}={getattr(self, x)!r}" for x in self.__match_args__)
        return f"{type(self).__name__}({shown})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)


_Kind = TypeVar("_Kind", bound=Frozen)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[_Kind]) -> type[_Kind]:
    """Make a frozen dataclass with slots of a class; fields may have a `default`."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    parts = fields(made)
    made.DEFAULTS = {x.name: x.default for x in parts if x.default is not MISSING}
    made.COMPARED = tuple(x.name for x in parts if x.compare)
    made.SETTERS = tuple(getattr(made, x.name).__set__ for x in parts)
    return made
