"""OTV: a transaction whose effect was seen is unseen a moment later.

Definition: Bailis et al., "Highly Available Transactions: Virtues and Limitations" (extended version), 2014.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from orchestrator.hermitage.case import Case, read, transaction, write

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Connection, Outcome

#: What each writer leaves in rows 1 and 2.
_FIRST, _SECOND = {1: 11, 2: 19}, {1: 12, 2: 18}
#: The rows that the reader reads, in this order.
_READS = (1, 2, 2, 1)


@transaction
def _writes_11_19(connection: Connection) -> None:
    for key, value in _FIRST.items():
        write(connection, key, value)


@transaction
def _writes_12_18(connection: Connection) -> None:
    for key, value in _SECOND.items():
        write(connection, key, value)


@transaction
def _reads_1_2_2_1(connection: Connection) -> list[int | None]:
    return [read(connection, key) for key in _READS]


def vanished(outcome: Outcome) -> bool:
    """OTV is to read one row from a transaction and, after that, another row older than the same one's write of it.

    Both writers write both rows, so the one whose values stand at the end comes second in each row's version order;
    what the reader saw is then version 0, 1 or 2 of its row, and it must not go down from one row to another.
    """
    seen = outcome.values[2]
    if not isinstance(seen, list):
        return False
    orders = {key: _versions(key, outcome.rows[key]) for key in (1, 2)}
    ranks = [(key, orders[key].index(value)) for key, value in zip(_READS, seen, strict=True)]
    return any(key != later and rank > after for (key, rank), (later, after) in combinations(ranks, 2))


def _versions(key: int, last: int) -> list[int]:
    """Give a row's values in the order in which they were committed."""
    before = {1: 10, 2: 20}[key]
    return [before, *sorted((_FIRST[key], _SECOND[key]), key=lambda value: value == last)]


CASES = (Case("OTV", "OTV", "observed transaction vanishes", (_writes_11_19, _writes_12_18, _reads_1_2_2_1), vanished),)
