"""PMP: one transaction's overlapping predicates are answered from two states.

Definition: Bailis et al., "Highly Available Transactions: Virtues and Limitations" (extended version), 2014: of two
predicate reads of one transaction whose ranges overlap, different transactions changed the matches in the overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.hermitage.case import ABORTED, Case, transaction

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Connection, Outcome, Rows


@transaction
def _reads_30_and_thirds(connection: Connection) -> tuple[Rows, Rows]:
    narrow = connection.execute("SELECT id, value FROM test WHERE value = 30 ORDER BY id").fetchall()
    wide = connection.execute("SELECT id, value FROM test WHERE value % 3 = 0 ORDER BY id").fetchall()
    return narrow, wide


@transaction
def _inserts_30(connection: Connection) -> None:
    connection.execute("INSERT INTO test (id, value) VALUES (3, 30)")


def two_answers(outcome: Outcome) -> bool:
    """PMP, read predicates: the inserted row matches both predicates, and only one of the two reads saw it."""
    if not outcome.all_committed:
        return False
    narrow, wide = outcome.values[0]
    return ((3, 30) in narrow) != ((3, 30) in wide)


@transaction
def _adds_10_to_all(connection: Connection) -> None:
    connection.execute("UPDATE test SET value = value + 10")


@transaction
def _deletes_20_and_looks(connection: Connection) -> tuple[int, Rows]:
    deleted = connection.execute("DELETE FROM test WHERE value = 20").rowcount
    return deleted, connection.execute("SELECT id, value FROM test WHERE value = 20 ORDER BY id").fetchall()


def left_after_delete(outcome: Outcome) -> bool:
    """PMP, a write predicate: a row that matches is there right after all that match were deleted."""
    if outcome.values[1] is ABORTED:
        return False
    _, left = outcome.values[1]
    return bool(left)


CASES = (
    Case("PMP", "PMP", "predicate-many-preceders, reads", (_reads_30_and_thirds, _inserts_30), two_answers),
    Case(
        "PMP-write",
        "PMP",
        "predicate-many-preceders, a delete's predicate",
        (_adds_10_to_all, _deletes_20_and_looks),
        left_after_delete,
    ),
)
