"""Appends that nobody read, and reads that the order doesn't show: what can still be said of them.

An append that isn't in its key's order came after all that is, or the longest list would show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.history.list_append.orders import NOBODY
from orchestrator.history.transactions import COMMITTED, NO_VERSION, RW, WR, WW, Edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.history.list_append.orders import Columns
    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s

#: Explicit dependencies at most: so many per micro-operation, and so many more.
_EACH: Final = 4
_EVER: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Unread:
    """Dependencies that versions don't show, and the rows that would have too many of them."""

    edges: Edges
    left_out: Int64s


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pairs:
    """Transactions of some rows, row after row, none twice in a row."""

    txn: Int64s
    start: Int64s
    count: Int64s


def unread(columns: Columns, *, most: int | None = None) -> Unread:
    """Number the unread appends of each row where one transaction made them all; elsewhere, make dependencies."""
    tail = np.flatnonzero(columns.write & _committed(columns) & (columns.version == NO_VERSION))
    tail = tail[np.argsort(columns.row[tail], kind="stable")]
    lone = _lone(columns.row[tail], columns.txn[tail])
    _number(columns, tail[lone])
    odd = np.flatnonzero(~columns.write & (columns.version == NO_VERSION))
    limit = _EVER + _EACH * len(columns.txn) if most is None else most
    after, left_out = _after_order(columns, tail[~lone], limit)
    return Unread(edges=_joined([_seen(columns, odd), *after]), left_out=left_out)


def _committed(columns: Columns) -> Bools:
    return np.asarray(columns.status[columns.txn] == COMMITTED)


def _lone(row: Int32s, txn: Int32s) -> Bools:
    """Whether each append's row, of appends ordered by row, has appends of its transaction alone."""
    if not len(row):
        return np.zeros(0, dtype=np.bool_)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    alone = np.minimum.reduceat(txn, first) == np.maximum.reduceat(txn, first)
    return np.repeat(alone, np.diff(first, append=len(row)))


def _number(columns: Columns, tail: Int64s) -> None:
    """Append the elements of these appends, ordered by row and place in the transaction, to their rows' orders."""
    for append in tail.tolist():
        order = columns.orders[columns.row[append]]
        element = columns.elements[append]
        if element is not None:
            order.append(element)
        columns.version[append] = len(order)


def _seen(columns: Columns, reads: Int64s) -> Edges:
    """What is read, though no version tells: the last element's writer comes before the reader."""
    writer = columns.places.writer[columns.last_places(reads)]
    reads, writer = reads[writer != NOBODY], writer[writer != NOBODY]
    return _edges(columns.txn[writer], columns.txn[reads], WR, columns.row[reads])


def _after_order(columns: Columns, tail: Int64s, limit: int) -> tuple[list[Edges], Int64s]:
    """Every transaction that made or saw the end of a row's order comes before each that appended unread."""
    rows = np.unique(columns.row[tail]).astype(np.int64)
    end, writer = _ends(columns)
    read = ~columns.write & (columns.version >= end[columns.row]) & np.isin(columns.row, rows)
    readers = _pairs(columns, np.flatnonzero(read), rows)
    targets = _pairs(columns, tail, rows)
    size = targets.count * (readers.count + (writer[rows] != NOBODY))
    rising = np.argsort(size, kind="stable")
    kept = np.sort(rising[np.cumsum(size[rising]) <= limit])
    overwritten = kept[writer[rows[kept]] != NOBODY]
    by_row = np.repeat(overwritten, targets.count[overwritten])
    edges = [
        _edges(writer[rows[by_row]], targets.txn[_ranges(targets, overwritten)], WW, rows[by_row]),
        _product(readers, targets, kept, rows),
    ]
    return edges, np.delete(rows, kept)


def _ends(columns: Columns) -> tuple[Int32s, Int32s]:
    """Per row: the last version that somebody surely made, 0 where there is none, and who did."""
    end = np.zeros(len(columns.orders), dtype=np.int32)
    writer = np.full(len(columns.orders), NOBODY, dtype=np.int32)
    known = np.flatnonzero(columns.write & _committed(columns) & (columns.version > 0))
    np.maximum.at(end, columns.row[known], columns.version[known])
    last = known[columns.version[known] == end[columns.row[known]]]
    writer[columns.row[last]] = columns.txn[last]
    return end, writer


def _pairs(columns: Columns, operations: Int64s, rows: Int64s) -> _Pairs:
    many = max(len(columns.status), 1)
    both = np.unique(columns.row[operations].astype(np.int64) * many + columns.txn[operations])
    start = np.searchsorted(both // many, rows)
    return _Pairs(txn=both % many, start=start, count=np.searchsorted(both // many, rows, side="right") - start)


def _ranges(pairs: _Pairs, which: Int64s) -> Int64s:
    """Where in `pairs` the transactions of these rows stand."""
    count = pairs.count[which]
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(np.repeat(pairs.start[which], count) + within)


def _product(readers: _Pairs, targets: _Pairs, which: Int64s, rows: Int64s) -> Edges:
    """Every reader of a row with every target of it."""
    count = readers.count[which] * targets.count[which]
    row = np.repeat(which, count)
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    source = readers.txn[readers.start[row] + within // targets.count[row]]
    target = targets.txn[targets.start[row] + within % targets.count[row]]
    return _edges(source, target, RW, rows[row])


def _edges(source: Int32s | Int64s, target: Int32s | Int64s, kind: int, row: Int32s | Int64s) -> Edges:
    other = source != target
    return Edges(
        source=source[other].astype(np.int32),
        target=target[other].astype(np.int32),
        kind=np.full(int(other.sum()), kind, dtype=np.int8),
        row=row[other].astype(np.int32),
    )


def _joined(parts: Sequence[Edges]) -> Edges:
    source, target, row = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("source", "target", "row")
    )
    kind: Int8s = np.concatenate([part.kind for part in parts])
    return Edges(source=source, target=target, kind=kind, row=row)
