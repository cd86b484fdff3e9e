"""Frozen dataclasses that cost next to nothing to import.

    @frozen
    class Point(Frozen):
        x: float
        y: float = 0.0

is what `@dataclass(frozen=True, slots=True)` makes of it, for `dataclasses.replace` and
`fields` as well. But that decorator compiles six methods for each class, after an
import of half the standard library's tools for source code: for the forty classes of a
client, longer than to read a PV. Here the methods are the same ones for all.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform


class _Fields:
    """What `dataclasses` looks for in a class, made when it does."""

    def __get__(self, instance: object, owner: "type[Frozen]") -> dict[str, Any]:
        from dataclasses import MISSING, field, make_dataclass

        rows = [
            (
                name,
                owner.__annotations__[name],
                field(
                    default=owner.DEFAULTS.get(name, MISSING),
                    compare=name not in owner.UNCOMPARED,
                ),
            )
            for name in owner.__match_args__
        ]
        twin: Any = make_dataclass(owner.__name__, rows)
        return twin.__dataclass_fields__


class Frozen:
    """The methods of what `frozen` decorates."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    """Attribute -> what it is when not given."""
    UNCOMPARED: ClassVar[tuple[str, ...]] = ()
    """Attributes that make no difference between two objects."""
    COMPARED: ClassVar[tuple[str, ...]] = ()
    """All others."""
    SETTERS: ClassVar[tuple[Callable[[Any, Any], None], ...]] = ()
    """What sets each attribute, in order, of an object that cannot be changed."""
    __dataclass_fields__ = _Fields()

    def __init__(self, *values: Any, **named: Any) -> None:
        setters = self.SETTERS
        if named or len(values) != len(setters):
            values = self._complete(values, named)
        for setter, value in zip(setters, values, strict=False):
            setter(self, value)

    def _complete(self, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any]:
        """All values in order: those given by position, by name, and the defaults."""
        names, defaults = self.__match_args__, self.DEFAULTS
        rest = names[len(values) :]
        try:
            found = [named[x] if x in named else defaults[x] for x in rest]
        except KeyError:
            found = []
        unknown = [name for name in named if name not in rest]
        if unknown or len(values) + len(found) != len(names):
            took = ", ".join(names)
            msg = f"{type(self).__name__}({took}) cannot be made of {values}, {named}"
            raise TypeError(msg)
        return *values, *found

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
        raise _refusal(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise _refusal(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)


def _refusal(text: str) -> AttributeError:
    """What dataclasses raise."""
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(text)


_Kind = TypeVar("_Kind", bound=Frozen)


@dataclass_transform(frozen_default=True)
def frozen(kind: type[_Kind]) -> type[_Kind]:
    """Make a frozen dataclass with slots of a class; what is annotated is a field."""
    names = tuple(kind.__annotations__)
    body = dict(vars(kind))
    defaults = {name: body.pop(name) for name in names if name in body}
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body |= {"__slots__": names, "__match_args__": names, "DEFAULTS": defaults}
    made: Any = type(kind)(kind.__name__, kind.__bases__, body)
    made.__qualname__ = kind.__qualname__
    made.COMPARED = tuple(name for name in names if name not in made.UNCOMPARED)
    made.SETTERS = tuple(getattr(made, name).__set__ for name in names)
    return made
