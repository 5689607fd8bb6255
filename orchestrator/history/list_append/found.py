"""Anomalies that a list-append history shows by its lists alone, as Elle defines them, each told in words.

Only transactions that are ok tell what they read; their reads are what is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from orchestrator.history.list_append.gather import KEPT
from orchestrator.history.list_append.orders import NOBODY
from orchestrator.history.list_append.text import listed, several, shown
from orchestrator.history.transactions import ABORTED, UNKNOWN, Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.history.list_append.events import Word
    from orchestrator.history.list_append.gather import Gathered
    from orchestrator.history.list_append.orders import Columns
    from orchestrator.history.list_append.within import Broken
    from orchestrator.history.transactions import Int64s

#: How many cases of an anomaly there are, and the first of them.
_Cases: TypeAlias = tuple[int, list[Found]]


def found(gathered: Gathered, columns: Columns) -> tuple[tuple[Found, ...], dict[str, int]]:
    """The first cases of each anomaly, and how many cases of each there are."""
    cases: list[Found] = []
    counts: dict[str, int] = {}
    for anomaly, search in _SEARCHES.items():
        count, first = search(gathered, columns)
        cases += first
        if count:
            counts[anomaly] = count
    return tuple(cases), counts


def _internal(gathered: Gathered, _: Columns) -> _Cases:
    """A read that isn't what its transaction must see after its own reads and appends; one a transaction."""
    cases = [
        Found(
            anomaly="internal",
            transactions=(number,),
            row=gathered.keys[case.key].row,
            sentence=f"T1 read key {shown(case.key)} as {listed(case.elements)}, {_why_broken(case)}.",
        )
        for number, case in gathered.broken
    ]
    return gathered.broken_count, cases


def _why_broken(case: Broken) -> str:
    if case.before is None:
        return f"though it had itself appended {several(case.appended)} before"
    if not case.appended:
        return f"though it had itself read it as {listed(case.before)} before"
    return f"but had itself appended {several(case.appended)} after reading {listed(case.before)}"


def _future_reads(gathered: Gathered, _: Columns) -> _Cases:
    """A read of what the transaction itself appends only later; one a transaction."""
    cases = [
        Found(
            anomaly="future-read",
            transactions=(number,),
            row=gathered.keys[case.key].row,
            sentence=f"T1 read key {shown(case.key)} as {listed(case.elements)}, "
            f"though it appended {shown(case.element)} only afterwards.",
        )
        for number, case in gathered.foretold
    ]
    return gathered.foretold_count, cases


def _aborted_reads(gathered: Gathered, columns: Columns) -> _Cases:
    """A read whose list has an element of a failed transaction."""
    writer = columns.places.writer
    marked = np.flatnonzero((writer != NOBODY) & (columns.told[columns.txn[writer]] == ABORTED))
    reads, places = _holding(columns, marked)
    cases = [
        Found(
            anomaly="G1a",
            transactions=(_reader(columns, read), int(columns.txn[writer[place]])),
            row=int(columns.row[read]),
            sentence=f"{_told(gathered, columns, read)}, with {_element(gathered, columns, read, place)}, "
            "which T2 appended, and T2 failed.",
        )
        for read, place in _first(reads, places)
    ]
    return len(reads), cases


def _intermediate_reads(gathered: Gathered, columns: Columns) -> _Cases:
    """A read that ends with an append to which its transaction, another one, added a later one."""
    intermediate = np.zeros(len(columns.txn), dtype=np.bool_)
    intermediate[np.array(gathered.intermediate, dtype=np.int32)] = True
    reads = np.flatnonzero(columns.length > 0)
    writer = columns.places.writer[columns.last_places(reads)]
    torn = (writer != NOBODY) & intermediate[writer] & (columns.txn[writer] != columns.txn[reads])
    reads, writer = reads[torn], writer[torn]
    cases = [
        Found(
            anomaly="G1b",
            transactions=(_reader(columns, read), int(columns.txn[append])),
            row=int(columns.row[read]),
            sentence=f"{_told(gathered, columns, read)}, which ends with {_appended(columns, append)} of T2, "
            f"but T2 appended {_appended(columns, _next_append(columns, append))} to it as well.",
        )
        for read, append in _first(reads, writer)
    ]
    return len(reads), cases


def _next_append(columns: Columns, operation: int) -> int:
    """The append of the same transaction to the same key that follows a micro-operation; there is one."""
    after = operation + 1
    while not (columns.row[after] == columns.row[operation] and columns.write[after]):
        after += 1
    return after


def _dirty_updates(gathered: Gathered, columns: Columns) -> _Cases:
    """An element of a failed transaction that an ok one's follows in its key's order; unknown ones are passed over."""
    order = columns.places.ordered
    append = columns.places.writer[order[columns.places.writer[order] != NOBODY]]
    append = append[columns.told[columns.txn[append]] != UNKNOWN]
    aborted = columns.told[columns.txn[append]] == ABORTED
    row = columns.row[append]
    followed = np.flatnonzero(aborted[:-1] & ~aborted[1:] & (row[:-1] == row[1:]))
    cases = [
        Found(
            anomaly="dirty-update",
            transactions=(int(columns.txn[one]), int(columns.txn[other])),
            row=int(columns.row[one]),
            sentence=f"T1 failed, but what it appended to key {_key(gathered, columns, one)}, "
            f"{_appended(columns, one)}, stayed, and T2 appended {_appended(columns, other)} after it.",
        )
        for one, other in _first(append[followed], append[followed + 1])
    ]
    return len(followed), cases


def _lost_updates(gathered: Gathered, columns: Columns) -> _Cases:
    """Transactions that all read one list of a key first and appended to it then; all but one of them count."""
    reads = np.array(gathered.updated, dtype=np.int64)
    lists = _same(gathered, columns, reads)
    by_list = np.argsort(lists, kind="stable")
    reads = reads[by_list]
    first = np.flatnonzero(np.diff(lists[by_list], prepend=-1))
    count = np.diff(first, append=len(reads))
    first, count = first[count > 1], count[count > 1]
    rising = np.argsort(reads[first])
    cases = []
    for at in first[rising[:KEPT]].tolist():
        one, other = reads[at : at + 2].tolist()
        appended = (_appended(columns, _next_append(columns, read)) for read in (one, other))
        cases.append(
            Found(
                anomaly="lost-update",
                transactions=(_reader(columns, one), _reader(columns, other)),
                row=int(columns.row[one]),
                sentence=f"{_told(gathered, columns, one)} and appended {next(appended)}; T2 read the same list and "
                f"appended {next(appended)}: neither saw the other's.",
            )
        )
    return int((count - 1).sum()), cases


def _same(gathered: Gathered, columns: Columns, reads: Int64s) -> Int64s:
    """A number for each read, the same exactly where key and list are."""
    odd = np.isin(columns.row[reads], _odd(gathered))
    same = columns.row[reads].astype(np.int64) << 32 | columns.length[reads]
    numbers: dict[tuple[int, tuple[Word, ...]], int] = {}
    base = len(columns.orders) << 32
    for at in np.flatnonzero(odd).tolist():
        read = int(reads[at])
        told = (int(columns.row[read]), tuple(_list(gathered, columns, read)))
        same[at] = base + numbers.setdefault(told, len(numbers))
    return same


def _odd(gathered: Gathered) -> list[int]:
    """The rows of keys whose lists don't all begin one another."""
    return [key.row for key in gathered.keys.values() if len(key.trunks) > 1]


def _incompatible_orders(gathered: Gathered, columns: Columns) -> _Cases:
    """Two lists of a key, of which the longer doesn't begin with the shorter; one a key."""
    odd = _odd(gathered)
    reads = np.flatnonzero(np.isin(columns.row, odd) & (columns.length > 0))
    cases = []
    for row in odd[:KEPT]:
        one, other = _diverging(gathered, columns, reads[columns.row[reads] == row])
        cases.append(
            Found(
                anomaly="incompatible-order",
                transactions=(_reader(columns, one), _reader(columns, other)),
                row=row,
                sentence=f"{_told(gathered, columns, one)}, but T2 read it as "
                f"{listed(_list(gathered, columns, other))}: no order of appends allows both.",
            )
        )
    return len(odd), cases


def _diverging(gathered: Gathered, columns: Columns, reads: Int64s) -> tuple[int, int]:
    """The first read, by length, that the next one doesn't begin with; there is one."""
    lists = columns.trunk[reads].astype(np.int64) << 32 | columns.length[reads]
    reads = np.sort(reads[np.unique(lists, return_index=True)[1]])
    reads = reads[np.argsort(columns.length[reads], kind="stable")]
    pairs = zip(reads[:-1].tolist(), reads[1:].tolist(), strict=True)
    return next(
        (one, other)
        for one, other in pairs
        if _list(gathered, columns, other)[: columns.length[one]] != _list(gathered, columns, one)
    )


def _duplicate_elements(gathered: Gathered, columns: Columns) -> _Cases:
    """A read whose list has an element twice."""
    reads, places = _holding(columns, columns.places.repeats)
    cases = [
        Found(
            anomaly="duplicate-elements",
            transactions=(_reader(columns, read),),
            row=int(columns.row[read]),
            sentence=f"{_told(gathered, columns, read)}, with {_element(gathered, columns, read, place)} "
            "more than once, though it was appended once at most.",
        )
        for read, place in _first(reads, places)
    ]
    return len(reads), cases


def _garbage_reads(gathered: Gathered, columns: Columns) -> _Cases:
    """A read whose list has an element that nobody appended."""
    reads, places = _holding(columns, np.flatnonzero(columns.places.writer == NOBODY))
    cases = [
        Found(
            anomaly="garbage-read",
            transactions=(_reader(columns, read),),
            row=int(columns.row[read]),
            sentence=f"{_told(gathered, columns, read)}, with {_element(gathered, columns, read, place)}, "
            "which nobody appended.",
        )
        for read, place in _first(reads, places)
    ]
    return len(reads), cases


def _holding(columns: Columns, marked: Int64s) -> tuple[Int64s, Int64s]:
    """Reads whose lists hold any of these places, which rise, with the first such place of each."""
    if not len(marked):
        return marked, marked
    reads = np.flatnonzero(columns.length > 0)
    start = columns.places.start[columns.trunk[reads]]
    first = marked[np.minimum(np.searchsorted(marked, start), len(marked) - 1)]
    held = (first >= start) & (first <= columns.last_places(reads))
    return reads[held], first[held]


def _first(one: Int64s, other: Int64s) -> list[tuple[int, int]]:
    return list(zip(one[:KEPT].tolist(), other[:KEPT].tolist(), strict=True))


def _reader(columns: Columns, read: int) -> int:
    return int(columns.txn[read])


def _list(gathered: Gathered, columns: Columns, read: int) -> list[Word]:
    length = int(columns.length[read])
    return gathered.trunks[int(columns.trunk[read])].elements[:length] if length else []


def _told(gathered: Gathered, columns: Columns, read: int) -> str:
    return f"T1 read key {_key(gathered, columns, read)} as {listed(_list(gathered, columns, read))}"


def _key(gathered: Gathered, columns: Columns, operation: int) -> str:
    return shown(gathered.words[columns.row[operation]])


def _element(gathered: Gathered, columns: Columns, read: int, place: int) -> str:
    return shown(_list(gathered, columns, read)[place - int(columns.places.start[columns.trunk[read]])])


def _appended(columns: Columns, append: int) -> str:
    element = columns.elements[append]
    return "" if element is None else shown(element)


#: Elle's names of what is looked for here, and how; garbage-read is a name of ours.
_SEARCHES: Final[dict[str, Callable[[Gathered, Columns], _Cases]]] = {
    "internal": _internal,
    "future-read": _future_reads,
    "G1a": _aborted_reads,
    "G1b": _intermediate_reads,
    "dirty-update": _dirty_updates,
    "lost-update": _lost_updates,
    "incompatible-order": _incompatible_orders,
    "duplicate-elements": _duplicate_elements,
    "garbage-read": _garbage_reads,
}

ANOMALIES: Final = frozenset(_SEARCHES)
