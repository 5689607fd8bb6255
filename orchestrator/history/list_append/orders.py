"""The order in which each key's elements were appended, and what it makes of appends and reads.

A key's order is its longest list that was read, an element that stands in it twice at its first place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.history.list_append.gather import NO_READ
from orchestrator.history.transactions import COMMITTED, NO_VERSION, UNKNOWN

if TYPE_CHECKING:
    from orchestrator.history.list_append.events import Word
    from orchestrator.history.list_append.gather import Gathered
    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s

#: Who appended an element that nobody appended.
NOBODY: Final = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Every trunk's elements, one trunk after another: a place each."""

    #: A trunk's first place.
    start: Int64s
    #: At each place: the micro-operation that appended the element, or NOBODY.
    writer: Int32s
    #: At each place: the version that the element has in its key's order, or NO_VERSION.
    version: Int32s
    #: The places at which a list has an element for the second time or more.
    repeats: Int64s
    #: The places that make the orders, key after key.
    ordered: Int64s


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """What was gathered, as arrays, with versions."""

    #: n: how each transaction ended as the file says, and what became of it as reads show.
    told: Int8s
    status: Int8s
    #: m.
    txn: Int32s
    row: Int32s
    trunk: Int32s
    length: Int32s
    version: Int32s
    #: m: what was appended; None for a read.
    elements: list[Word | None]
    places: Places
    #: A row's elements in order.
    orders: list[list[Word]]

    @property
    def write(self) -> Bools:
        """m: whether it appends."""
        return np.asarray(self.length == NO_READ)

    def last_places(self, reads: Int64s) -> Int64s:
        """The place of the last element of reads that aren't empty."""
        return np.asarray(self.places.start[self.trunk[reads]] + self.length[reads] - 1)


def ordered(gathered: Gathered) -> Columns:
    """Give every append and read the version that its key's order shows."""
    orders: list[list[Word]] = []
    places = _places(gathered, orders)
    told = np.array(gathered.status, dtype=np.int8)
    txn, row, trunk, length = (
        np.array(column, dtype=np.int32) for column in (gathered.txn, gathered.row, gathered.trunk, gathered.length)
    )
    status = told.copy()
    seen = txn[places.writer[places.writer != NOBODY]]
    status[seen[told[seen] == UNKNOWN]] = COMMITTED
    version = np.full(len(txn), NO_VERSION, dtype=np.int32)
    known = places.ordered[places.writer[places.ordered] != NOBODY]
    version[places.writer[known]] = places.version[known]
    version[length == 0] = 0
    columns = Columns(
        told=told, status=status, txn=txn, row=row, trunk=trunk, length=length, version=version, places=places,
        elements=gathered.element, orders=orders,
    )  # fmt: skip
    reads = np.flatnonzero(length > 0)
    version[reads] = places.version[columns.last_places(reads)]
    return columns


def _places(gathered: Gathered, orders: list[list[Word]]) -> Places:
    total = sum(len(trunk.elements) for trunk in gathered.trunks)
    writer, version = np.empty(total, dtype=np.int32), np.empty(total, dtype=np.int32)
    start = np.zeros(len(gathered.trunks), dtype=np.int64)
    repeats: list[int] = []
    ordered = [np.zeros(0, dtype=np.int64)]
    at = 0
    for key in gathered.keys.values():
        order = list(dict.fromkeys(key.longest.elements)) if key.longest else []
        orders.append(order)
        numbers: dict[Word, int] = {}
        for trunk in key.trunks:
            end = at + len(trunk.elements)
            start[trunk.number] = at
            writer[at:end] = [key.writers.get(element, NOBODY) for element in trunk.elements]
            firsts, later = _firsts(trunk.elements, at)
            repeats += later
            if trunk is key.longest:
                ordered.append(firsts)
            if trunk is key.longest and not later:
                version[at:end] = np.arange(1, end - at + 1)
            else:
                numbers = numbers or {element: number for number, element in enumerate(order, 1)}
                version[at:end] = [numbers.get(element, NO_VERSION) for element in trunk.elements]
            at = end
    return Places(
        start=start, writer=writer, version=version, repeats=np.array(repeats, dtype=np.int64),
        ordered=np.concatenate(ordered),
    )  # fmt: skip


def _firsts(elements: list[Word], at: int) -> tuple[Int64s, list[int]]:
    """The places of a list that begins at `at` where an element is new, and those where it is there again."""
    if len(set(elements)) == len(elements):
        return np.arange(at, at + len(elements)), []
    seen: set[Word] = set()
    firsts: list[int] = []
    later: list[int] = []
    for place, element in enumerate(elements, at):
        (later if element in seen else firsts).append(place)
        seen.add(element)
    return np.array(firsts, dtype=np.int64), later
