"""Reads list-append histories, as Jepsen records them and Elle checks them, as transactions on versions.

Transactions append elements to lists, and read whole lists: a list of n elements is its key's version n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.history.lines import MalformedError
from orchestrator.history.list_append.edges import unread
from orchestrator.history.list_append.events import events
from orchestrator.history.list_append.found import ANOMALIES, found
from orchestrator.history.list_append.gather import Gathered
from orchestrator.history.list_append.orders import ordered
from orchestrator.history.list_append.text import shown
from orchestrator.history.transactions import ABORTED, COMMITTED, UNKNOWN, Transactions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.history.list_append.events import Word
    from orchestrator.history.transactions import Int64s

_TYPES: Final = {COMMITTED: "ok", ABORTED: "fail", UNKNOWN: "info"}

#: Elements are appended once, or the file is refused; a version that nobody made is told as a garbage read.
_NEVER_SHOWN: Final = frozenset({"version-gap", "duplicate-version"})


def read(path: Path) -> Transactions:
    """Read a history in EDN or JSON, plain or gzip; MalformedError where it isn't one."""
    gathered = Gathered(path)
    for line, event in events(path):
        gathered.take(line, event)
    gathered.close()
    if not gathered.status:
        raise MalformedError(path, 0, "holds no transaction: no event has an integer process and a list of appends")
    columns = ordered(gathered)
    cases, counts = found(gathered, columns)
    made = unread(columns)
    names = _Names(gathered, columns.orders)
    return Transactions(
        status=columns.status,
        session=np.array(gathered.session, dtype=np.int32),
        invoke=np.array(gathered.invoke, dtype=np.int64),
        complete=np.array(gathered.complete, dtype=np.int64),
        txn=columns.txn,
        row=columns.row,
        write=columns.write,
        version=columns.version,
        names=names,
        edges=made.edges,
        found=cases,
        counts=counts,
        checked=ANOMALIES | _NEVER_SHOWN,
        not_checked=_not_checked(names, made.left_out),
    )


def _not_checked(names: _Names, rows: Int64s) -> Mapping[str, str]:
    if not len(rows):
        return {}
    others = f" and {len(rows) - 1} more keys" if len(rows) > 1 else ""
    return {
        "dependencies of unread appends": f"too many transactions appended to {names.row(int(rows[0]))}{others} "
        "what nobody read"
    }


class _Names:
    """Tells of transactions by their place in the file, and of versions by their elements."""

    def __init__(self, gathered: Gathered, orders: Sequence[Sequence[Word]]) -> None:
        self._told = gathered.status
        self._invoke = gathered.invoke
        self._complete = gathered.complete
        self._lines = gathered.first_line, gathered.last_line
        self._process = gathered.process
        self._index = gathered.index
        self._position = gathered.last_position
        self._lined = gathered.lined
        self._words = gathered.words
        self._orders = orders

    def transaction(self, number: int) -> str:
        """A transaction by the event that completed it: "index 12, process 3"."""
        place = f"event {self._position[number] + 1}"
        if (index := self._index[number]) is not None:
            place = f"index {index}"
        elif self._lined:
            place = f"line {self._lines[1][number]}"
        return f"{place}, process {self._process[number]}"

    def details(self, number: int) -> Mapping[str, Any]:
        """Its process, index, lines and type."""
        return {
            "process": self._process[number],
            "index": self._index[number],
            "lines": [lines[number] for lines in self._lines],
            "type": _TYPES[self._told[number]],
        }

    def row(self, number: int) -> str:
        """A key as the file has it."""
        return f"key {shown(self._words[number])}"

    def version(self, row: int, version: int) -> str:
        """The element that made a version."""
        order = self._orders[row]
        return f"element {shown(order[version - 1])}" if 0 < version <= len(order) else ""
