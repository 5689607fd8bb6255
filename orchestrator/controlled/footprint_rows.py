"""Rows as a statement names them, before its parameters are known, and the places they are afterwards."""

from __future__ import annotations

from enum import Enum
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from orchestrator.explorer.model import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: More places than these are the whole table.
_MANY: Final = 64


class Constant(NamedTuple):
    """A value that stands in the text: a str, an int, or None for NULL."""

    value: str | int | None


class Slot(NamedTuple):
    """A value that is a parameter."""

    number: int
    #: The parameter is a list, and any of its elements may be the value.
    each: bool = False


Value = Constant | Slot


class Row(NamedTuple):
    """Rows of one table, by their key; without candidates every row."""

    table: str
    #: How each of the key's values compares.
    kinds: tuple[str, ...] = ()
    #: What each of the key's values may be.
    candidates: tuple[tuple[Value, ...], ...] = ()
    #: Where a value is NULL no row is meant at all; otherwise it may be any.
    absent: bool = False

    @property
    def slots(self) -> Iterator[int]:
        """The parameters that it needs."""
        return (each.number for part in self.candidates for each in part if isinstance(each, Slot))

    def places(self, given: Mapping[int, Any]) -> Iterator[Place]:
        """Name the places, `given` the parameters by their marks; an unknown value means every row."""
        keys: list[list[str]] = []
        for kind, part in zip(self.kinds, self.candidates, strict=True):
            values = [value for each in part for value in _values(each, given)]
            if self.absent:
                values = [value for value in values if value is not None]
            texts = [normal(kind, value) for value in values]
            known = [text for text in texts if text is not None]
            if len(known) != len(texts):
                yield Place(self.table)
                return
            keys.append(known)
        yield from self._all(keys)

    def _all(self, keys: list[list[str]]) -> Iterator[Place]:
        size = 1
        for part in keys:
            size *= len(part)
        if not keys or size > _MANY:
            yield Place(self.table)
        elif len(keys) == 1:
            yield from (Place(self.table, key) for key in keys[0])
        else:
            yield from (Place(self.table, key) for key in product(*keys))


class _Unknown:
    """A parameter that was not given, or that can't be looked into."""


UNKNOWN: Final = _Unknown()


def _values(value: Value, given: Mapping[int, Any]) -> Sequence[Any]:
    """Give what a value may be."""
    if isinstance(value, Constant):
        return (value.value,)
    found = given[value.number]
    if not value.each:
        return (found,)
    return found if isinstance(found, list | tuple) else (UNKNOWN,)


def normal(kind: str, value: object) -> str | None:
    """Write a value so that values which the database takes for equal are equal; None where that can't be told."""
    if isinstance(value, Enum):  # what a driver sends for it is the driver's business
        return None
    if kind == "integer":
        return _integer(value)
    if kind == "uuid":
        return _uuid(value)
    if isinstance(value, str):
        return None if value.endswith(" ") else value  # varchar(n) may cut blanks off
    return _integer(value) if isinstance(value, int) else None


def _integer(value: object) -> str | None:
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        text = value.strip()
        digits = text[1:] if text[:1] in {"-", "+"} else text
        return str(int(text)) if digits.isascii() and digits.isdigit() else None
    return None


def _uuid(value: object) -> str | None:
    if isinstance(value, UUID):
        return str(value)
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None
