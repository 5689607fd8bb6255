"""Rows, columns and values in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.explorer.model import EVERY, meet
from orchestrator.explorer.names import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.explorer.model import Place, Places

#: More columns than these say less.
_MOST: Final = 3


def row(place: Place) -> str:
    """Name a row as "account/1", a whole table by its name."""
    table = "any table" if place.table == EVERY else place.table.replace("\0", "the ")  # what is no table has a \0
    if place.key == EVERY:
        return table
    key = place.key if isinstance(place.key, tuple) else (place.key,)
    return f"{table}/{','.join(map(str, key))}"


def rows(places: Iterable[Place]) -> str:
    """Name rows as "account/1 and account/2"."""
    return listed(sorted(map(row, places)))


def finest(places: Places, others: Places) -> Places:
    """Give those places of either that meet one of the other; the row where the other side names only its table."""
    met = {
        one if EVERY not in one else other
        for one in places
        for other in others
        if meet(frozenset((one,)), frozenset((other,)))
    }
    return frozenset(met)


def together(some: Iterable[Places]) -> Places:
    """Put several sets of places into one."""
    return frozenset(place for places in some for place in places)


def values(given: Mapping[str, str], columns: Iterable[str] = ()) -> str:
    """Say columns' values as "balance 100, version 0", of the columns that matter where they are known."""
    wanted = {name: given[name] for name in columns if name in given} or given
    return ", ".join(f"{name} {value}" for name, value in list(wanted.items())[:_MOST])


def bracketed(text: str) -> str:
    """Add a text in brackets, if there is one."""
    return f" ({text})" if text else ""
