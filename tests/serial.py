"""A serial order of a valid history: the transactions one after another, as data, sessions and time allow."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestrator.history.transactions import COMMITTED, NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random


@dataclass(kw_only=True)
class Access:
    """A read or write of a version of a row."""

    row: int
    write: bool
    version: int


@dataclass(kw_only=True, eq=False)
class Transaction:
    """A transaction that can be changed; no two are equal."""

    status: int = COMMITTED
    session: int = -1
    invoke: int = 0
    complete: int = NEVER
    accesses: list[Access] = field(default_factory=list)
    #: Its number in the history that was there; -1: it was planted.
    original: int = -1


def serial_order(
    transactions: Sequence[Transaction],
    edges: Iterable[tuple[Transaction, Transaction, int, int]],
    random: Random,
) -> list[Transaction]:
    """One of the orders, by chance; ValueError where there is none, since the history isn't valid."""
    after: dict[Transaction, set[Transaction]] = {t: set() for t in transactions}
    pairs = [*_by_versions(transactions), *_by_sessions(transactions), *_by_time(transactions)]
    pairs += [(source, target) for source, target, _, _ in edges]
    for first, second in pairs:
        if first is not second and first in after and second in after:
            after[first].add(second)
    waits = dict.fromkeys(transactions, 0)
    for later in after.values():
        for transaction in later:
            waits[transaction] += 1
    ready = [(random.random(), t) for t in transactions if not waits[t]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, transaction = heapq.heappop(ready)
        order.append(transaction)
        for later_one in after[transaction]:
            waits[later_one] -= 1
            if not waits[later_one]:
                heapq.heappush(ready, (random.random(), later_one))
    if len(order) < len(transactions):
        raise ValueError("the history has no serial order")
    return order


def _by_versions(transactions: Iterable[Transaction]) -> Iterator[tuple[Transaction, Transaction]]:
    """Each version's writer before its readers, and both before the next version's writer."""
    touched: dict[int, dict[int, tuple[list[Transaction], list[Transaction]]]] = defaultdict(dict)
    for transaction in transactions:
        for access in transaction.accesses:
            if access.version >= 0:
                both = touched[access.row].setdefault(access.version, ([], []))
                both[access.write].append(transaction)
    for versions in touched.values():
        behind: list[Transaction] = []
        for _, (readers, writers) in sorted(versions.items()):
            yield from ((first, writer) for first in behind for writer in writers)
            yield from ((writer, reader) for writer in writers for reader in readers)
            # Whoever waits for the next writer: with a writer in between, its readers and itself are enough.
            behind = [*writers, *readers] if writers else [*behind, *readers]


def _by_sessions(transactions: Iterable[Transaction]) -> Iterator[tuple[Transaction, Transaction]]:
    sessions: dict[int, list[Transaction]] = defaultdict(list)
    for transaction in transactions:
        sessions[transaction.session].append(transaction)
    for session, members in sessions.items():
        yield from pairwise(members) if session >= 0 else ()


def _by_time(transactions: Iterable[Transaction]) -> Iterator[tuple[Transaction, Transaction]]:
    return ((a, b) for a in transactions for b in transactions if a.complete < b.invoke)
