"""Who installed which version: settled transactions, and a slot for each version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from orchestrator.history.transactions import ABORTED, COMMITTED, UNKNOWN
from orchestrator.verifier.dependencies.compiled import run
from orchestrator.verifier.dependencies.kernels import installing
from orchestrator.verifier.dependencies.kernels.layout import NOBODY, Operations, Slots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.history.transactions import Bools, Int32s, Int64s, Transactions

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, kw_only=True, eq=False)
class Versions:
    """A history with its versions in slots."""

    history: Transactions
    ops: Operations
    slots: Slots
    #: Per row: the highest version that anybody read or wrote.
    top: Int32s
    #: Versions with several committed writers.
    duplicates: int


def versions(history: Transactions) -> Versions:
    """Place every committed write in its slot."""
    history = _frozen(history)
    rows = int(history.row.max()) + 1 if history.size else 0
    top = np.zeros(rows, dtype=np.int32)
    run(installing.highest, history.size, history.row, history.version, top)
    base = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(top.astype(np.int64) + 2, out=base[1:])
    ops = Operations(
        first=_first(history.txn, len(history.status)),
        txn=history.txn,
        row=history.row,
        write=history.write,
        version=history.version,
        committed=settled(history, base),
    )
    slots = Slots(
        base=base,
        writer=np.full(int(base[-1]), NOBODY, dtype=np.int32),
        flags=np.zeros(int(base[-1]), dtype=np.uint8),
        following=np.zeros(0, dtype=np.int64),
    )
    stamp, last = np.full(rows, -1, dtype=np.int32), np.full(rows, -1, dtype=np.int64)
    duplicates = run(installing.install, history.size, ops, slots, stamp, last)
    if run(installing.gaps, len(slots.writer), top, slots):
        slots = slots._replace(following=np.full(len(slots.writer), -1, dtype=np.int64))
        run(installing.follow, len(slots.writer), top, slots)
    return Versions(history=history, ops=ops, slots=slots, top=top, duplicates=duplicates)


def _frozen(history: Transactions) -> Transactions:
    """The same with arrays that can't be written to: compiled code is made for one kind of arrays only."""
    return replace(
        history,
        status=_read_only(history.status),
        session=_read_only(history.session),
        invoke=_read_only(history.invoke),
        complete=_read_only(history.complete),
        txn=_read_only(history.txn),
        row=_read_only(history.row),
        write=_read_only(history.write),
        version=_read_only(history.version),
    )


def _read_only(column: NDArray[Scalar]) -> NDArray[Scalar]:
    view: NDArray[Scalar] = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def settled(history: Transactions, base: Int64s) -> Bools:
    """Committed transactions, and unknown ones of which something was seen or overwritten (Jepsen's info)."""
    committed: Bools = history.status == COMMITTED
    open_ = (history.status == UNKNOWN)[history.txn] & history.write & (history.version > 0)
    if not open_.any():
        return committed
    alone = _alone(history, base, open_)
    chosen = np.flatnonzero(alone)
    known = np.flatnonzero(history.version >= 0)
    seen = np.full(len(base) - 1, -1, dtype=np.int32)
    while True:
        evidence = known[committed[history.txn[known]]]
        np.maximum.at(seen, history.row[evidence], history.version[evidence])
        reached = history.txn[chosen[history.version[chosen] <= seen[history.row[chosen]]]]
        if committed[reached].all():
            return committed
        committed[reached] = True


def _alone(history: Transactions, base: Int64s, open_: Bools) -> Bools:
    """Unknown writes whose version no other transaction, unknown or committed, wrote too."""
    writes = np.flatnonzero(history.write & (history.version > 0) & (history.status != ABORTED)[history.txn])
    slots = base[history.row[writes]] + history.version[writes]
    order = np.lexsort((history.txn[writes], slots))
    writes, slots = writes[order], slots[order]
    fresh = np.ones(len(writes), dtype=np.bool_)
    fresh[1:] = (np.diff(slots) != 0) | (np.diff(history.txn[writes]) != 0)
    _, group, authors = np.unique(slots[fresh], return_inverse=True, return_counts=True)
    single = np.zeros(history.size, dtype=np.bool_)
    single[writes] = (authors[group] == 1)[np.cumsum(fresh) - 1]
    alone: Bools = open_ & single
    return alone


def _first(txn: Int32s, size: int) -> Int64s:
    counts = np.bincount(txn, minlength=size) if len(txn) else np.zeros(size, dtype=np.int64)
    first = np.zeros(size + 1, dtype=np.int64)
    np.cumsum(counts, out=first[1:])
    return first
