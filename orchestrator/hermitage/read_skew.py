"""G-single: a transaction that sees a part of what another one did.

Definition: Adya, "Weak Consistency", 1999: a cycle of dependencies with exactly one anti-dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.hermitage.case import Case, read, read_all, transaction, write

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Connection, Outcome, Rows


@transaction
def _reads_1_and_2(connection: Connection) -> tuple[int | None, int | None]:
    return read(connection, 1), read(connection, 2)


@transaction
def _reads_and_writes_both(connection: Connection) -> None:
    read(connection, 1)
    read(connection, 2)
    write(connection, 1, 12)
    write(connection, 2, 18)


def half_seen(outcome: Outcome) -> bool:
    """G-single, items: of the two rows that the other transaction wrote, one was read as before it and one as after."""
    return outcome.all_committed and outcome.values[0] in {(10, 18), (12, 20)}


@transaction
def _reads_fifths_and_thirds(connection: Connection) -> tuple[Rows, Rows]:
    fifths = connection.execute("SELECT id, value FROM test WHERE value % 5 = 0 ORDER BY id").fetchall()
    thirds = connection.execute("SELECT id, value FROM test WHERE value % 3 = 0 ORDER BY id").fetchall()
    return fifths, thirds


@transaction
def _turns_10_into_12(connection: Connection) -> None:
    connection.execute("UPDATE test SET value = 12 WHERE value = 10")


def half_matched(outcome: Outcome) -> bool:
    """G-single, read predicates: one predicate was answered as before the update of row 1, the other as after it."""
    if not outcome.all_committed:
        return False
    fifths, thirds = outcome.values[0]
    return ((1, 10) not in fifths) != ((1, 12) in thirds)


@transaction
def _reads_1_and_deletes_20(connection: Connection) -> tuple[int | None, int]:
    return read(connection, 1), connection.execute("DELETE FROM test WHERE value = 20").rowcount


@transaction
def _reads_all_and_writes_both(connection: Connection) -> tuple[dict[int, int], int]:
    seen = read_all(connection)
    write(connection, 1, 12)
    return seen, write(connection, 2, 18)


def half_deleted(outcome: Outcome) -> bool:
    """G-single, a write predicate: one read as before the other, and its write found the rows as after the other.

    Either the deleter read 10 and then found no 20 left, or the writer saw row 2 and then found it gone.
    """
    if not outcome.all_committed:
        return False
    (one, deleted), (seen, written) = outcome.values
    return (one == 10 and deleted == 0) or (2 in seen and written == 0)  # noqa: PLR2004 - the case's value


CASES = (
    Case("G-single", "G-single", "read skew, items", (_reads_1_and_2, _reads_and_writes_both), half_seen),
    Case(
        "G-single-predicate",
        "G-single",
        "read skew, read predicates",
        (_reads_fifths_and_thirds, _turns_10_into_12),
        half_matched,
    ),
    Case(
        "G-single-write",
        "G-single",
        "read skew, a delete's predicate",
        (_reads_1_and_deletes_20, _reads_all_and_writes_both),
        half_deleted,
    ),
)
