"""List-append histories as their raw events: transactions, the lists that were read, and what follows what in them.

This shares nothing with the project's reader: it knows elements only, no versions and no merged order of lists.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Key: TypeAlias = int | str
Elements: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Deed:
    """An append of one element, or a read of a list."""

    append: bool
    key: Key
    #: The element appended, alone; or the list read, None where it isn't known.
    elements: Elements | None


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A transaction as its two events tell it."""

    process: int
    #: "ok", "fail" or "info".
    type: str
    #: The index of its last event, as the file has it.
    index: int
    #: Places of its events in the history; None where it never ended, or nobody knows how.
    invoke: int
    complete: int | None
    deeds: tuple[Deed, ...]

    def appended(self, key: Key) -> list[int]:
        """The elements that it appended to a key, in program order."""
        return [deed.elements[0] for deed in self.deeds if deed.append and deed.key == key and deed.elements]

    def read(self, key: Key) -> list[Elements]:
        """The lists that it read of a key, in program order."""
        return [
            deed.elements for deed in self.deeds if not deed.append and deed.key == key and deed.elements is not None
        ]


@dataclass(frozen=True, kw_only=True)
class Events:
    """A whole history, and what its lists show."""

    transactions: tuple[Raw, ...]
    #: Lists to be taken as the order of appends to a key, where another choice is to be tried.
    orders: Mapping[Key, Elements] = field(default_factory=dict)

    @cached_property
    def committed(self) -> tuple[Raw, ...]:
        """Those that ended ok, and those whose end isn't known but of which an element was read."""
        ok = [t for t in self.transactions if t.type == "ok"]
        seen = {(d.key, e) for t in ok for d in t.deeds if not d.append for e in d.elements or ()}
        return tuple(
            t
            for t in self.transactions
            if t.type == "ok"
            or (
                t.type == "info"
                and any(self.appenders(d.key, d.elements[0]) == [t] for d in t.deeds if _shows(d, seen) and d.elements)
            )
        )

    @cached_property
    def lists(self) -> dict[Key, list[Elements]]:
        """All lists that were read of each key by those who ended ok, as they ended, each once."""
        found: dict[Key, dict[Elements, None]] = {}
        for t in sorted((t for t in self.transactions if t.type == "ok"), key=lambda t: t.complete or 0):
            for deed in t.deeds:
                if not deed.append and deed.elements is not None:
                    found.setdefault(deed.key, {})[deed.elements] = None
        return {key: list(lists) for key, lists in found.items()}

    def longest(self, key: Key) -> list[Elements]:
        """The longest lists of a key that were read, the first first: where lists agree there is one."""
        lists = self.lists.get(key, [()])
        length = max(len(elements) for elements in lists)
        return [elements for elements in lists if len(elements) == length]

    def order(self, key: Key) -> Elements:
        """What counts as the order of a key's appends: the given list, or else the first of the longest."""
        return self.orders.get(key) or self.longest(key)[0]

    @cached_property
    def _appenders(self) -> dict[tuple[Key, int], list[Raw]]:
        found: dict[tuple[Key, int], list[Raw]] = {}
        for t in self.transactions:
            for deed in t.deeds:
                if deed.append and deed.elements and t not in found.get((deed.key, deed.elements[0]), ()):
                    found.setdefault((deed.key, deed.elements[0]), []).append(t)
        return found

    def appenders(self, key: Key, element: int) -> list[Raw]:
        """Those who appended an element, whatever became of them."""
        return self._appenders.get((key, element), [])

    def follows(self, key: Key, element: int | None, later: int) -> bool:
        """Whether an element comes right after another in the key's order; None stands before the first.

        What isn't in the order comes after it, if it is there at all: else the list would show it.
        """
        order = tuple(dict.fromkeys(self.order(key)))
        if later in order:
            place = order.index(later)
            return element == (order[place - 1] if place else None)
        return element == (order[-1] if order else None)


def _shows(deed: Deed, seen: set[tuple[Key, int]]) -> bool:
    return deed.append and deed.elements is not None and (deed.key, deed.elements[0]) in seen


def read(path: Path) -> Events:
    """The history in a file: JSON, JSON lines, or EDN with one event a line; plain or gzip."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if text.startswith("["):
        return _pair(json.loads(text))
    lines = [line for line in text.splitlines() if line.strip()]
    return _pair([_from_edn(line) if line.startswith("{:") else json.loads(line) for line in lines])


def _from_edn(line: str) -> dict[str, Any]:
    """One event of EDN, as far as such histories need it."""
    numbers = {name: int(number) for name, number in re.findall(r":(index|process)\s+(\d+)", line)}
    (outcome,) = re.findall(r":type\s+:(\w+)", line)
    deeds = re.findall(r"\[\s*:(append|r)\s+(\d+)\s+(nil|\d+|\[[\d\s]*\])\s*\]", line)
    value = [[kind, int(key), _edn_value(word)] for kind, key, word in deeds]
    return {**numbers, "type": outcome, "value": value}


def _edn_value(word: str) -> int | list[int] | None:
    """An element, a list, or nothing."""
    if word == "nil":
        return None
    return [int(element) for element in re.findall(r"\d+", word)] if word.startswith("[") else int(word)


def _pair(events: Sequence[dict[str, Any]]) -> Events:
    """Each invocation with the event that ended it."""
    pending: dict[int, int] = {}
    found: list[Raw] = []
    for place, event in enumerate(events):
        if event["type"] == "invoke":
            pending[event["process"]] = place
        else:
            began = pending.pop(event["process"])
            found.append(_raw(events[began], event, began, place))
    found += [_raw(events[began], events[began], began, None) for began in pending.values()]
    return Events(transactions=tuple(sorted(found, key=lambda t: t.invoke)))


def _raw(invoked: dict[str, Any], ended: dict[str, Any], began: int, place: int | None) -> Raw:
    """A transaction; what one that didn't end ok read isn't known."""
    outcome = "info" if place is None else ended["type"]
    told = ended if outcome == "ok" else invoked
    return Raw(
        process=ended["process"],
        type=outcome,
        index=ended["index"],
        invoke=began,
        complete=place if outcome == "ok" else None,
        deeds=tuple(_deed(kind, key, value, outcome) for kind, key, value in told["value"]),
    )


def _deed(kind: str, key: Key, value: int | list[int] | None, outcome: str) -> Deed:
    """One micro-operation; an empty list may be written as nothing."""
    if kind == "append":
        return Deed(append=True, key=key, elements=(value,) if isinstance(value, int) else None)
    if outcome != "ok":
        return Deed(append=False, key=key, elements=None)
    return Deed(append=False, key=key, elements=tuple(value) if isinstance(value, list) else ())
