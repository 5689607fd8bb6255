"""What a single transaction on lists shows by itself: whether it saw its own effects, and none too early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.history.list_append.events import Append, Read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.history.list_append.events import Word


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A read that its transaction's earlier micro-operations rule out."""

    key: Word
    elements: Sequence[Word]
    #: What the transaction had read of the key before, if anything, and had appended since.
    before: Sequence[Word] | None
    appended: Sequence[Word]


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """A read that shows what its transaction appended only afterwards."""

    key: Word
    elements: Sequence[Word]
    element: Word


def first_broken(value: Sequence[Append | Read]) -> Broken | None:
    """The first read that isn't what the transaction itself must see (axiom INT of Cerone, Bernardi and Gotsman)."""
    states: dict[Word, tuple[list[Word] | None, list[Word]]] = {}
    for operation in value:
        state = states.get(operation.key)
        if isinstance(operation, Append):
            if state is None:
                states[operation.key] = (None, [operation.element])
            else:
                state[1].append(operation.element)
            continue
        elements = operation.elements or []
        if state is not None and not _follows(elements, *state):
            return Broken(key=operation.key, elements=elements, before=state[0], appended=state[1])
        states[operation.key] = (elements, [])
    return None


def first_foretold(value: Sequence[Append | Read]) -> Foretold | None:
    """The first append whose element the transaction had read before."""
    reads: dict[Word, list[list[Word]]] = {}
    for operation in value:
        if isinstance(operation, Read):
            reads.setdefault(operation.key, []).append(operation.elements or [])
            continue
        for elements in reads.get(operation.key, ()):
            if operation.element in elements:
                return Foretold(key=operation.key, elements=elements, element=operation.element)
    return None


def _follows(elements: list[Word], before: list[Word] | None, appended: list[Word]) -> bool:
    """Whether a list can be read after `before` (None: unknown) was read and these were appended."""
    known = len(elements) - len(appended)
    if known < 0 or elements[known:] != appended:
        return False
    return before is None or elements[:known] == before
