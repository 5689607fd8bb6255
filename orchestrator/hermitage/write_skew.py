"""G2-item and G2: transactions that each miss what another one writes.

Definitions: Adya, "Weak Consistency", 1999: a cycle with anti-dependencies; from items only, it is G2-item.  The case
of three: Fekete et al., "A Read-Only Transaction Anomaly Under Snapshot Isolation", 2004.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.hermitage.case import Case, read_all, transaction, write

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Connection, Outcome, Rows


def _reads_both(connection: Connection) -> Rows:
    return connection.execute("SELECT id, value FROM test WHERE id IN (1, 2) ORDER BY id").fetchall()


@transaction
def _reads_both_writes_1(connection: Connection) -> Rows:
    seen = _reads_both(connection)
    write(connection, 1, 11)
    return seen


@transaction
def _reads_both_writes_2(connection: Connection) -> Rows:
    seen = _reads_both(connection)
    write(connection, 2, 21)
    return seen


def skewed(outcome: Outcome) -> bool:
    """G2-item, two anti-dependencies: each read the row that the other one wrote as it was before."""
    if not outcome.all_committed:
        return False
    first, second = outcome.values
    return (2, 20) in first and (1, 10) in second


def _reads_thirds(connection: Connection) -> Rows:
    return connection.execute("SELECT id, value FROM test WHERE value % 3 = 0 ORDER BY id").fetchall()


@transaction
def _reads_thirds_inserts_30(connection: Connection) -> Rows:
    seen = _reads_thirds(connection)
    connection.execute("INSERT INTO test (id, value) VALUES (3, 30)")
    return seen


@transaction
def _reads_thirds_inserts_42(connection: Connection) -> Rows:
    seen = _reads_thirds(connection)
    connection.execute("INSERT INTO test (id, value) VALUES (4, 42)")
    return seen


def skewed_by_predicate(outcome: Outcome) -> bool:
    """G2, two anti-dependencies by predicate: each inserted a row that the other one's predicate matches and missed."""
    if not outcome.all_committed:
        return False
    first, second = outcome.values
    return (4, 42) not in first and (3, 30) not in second


@transaction
def _reads_all_writes_1(connection: Connection) -> dict[int, int]:
    seen = read_all(connection)
    write(connection, 1, 0)
    return seen


@transaction
def _adds_5_to_2(connection: Connection) -> None:
    connection.execute("UPDATE test SET value = value + 5 WHERE id = 2")


@transaction
def _reads_all(connection: Connection) -> dict[int, int]:
    return read_all(connection)


def read_only_skew(outcome: Outcome) -> bool:
    """G2, two anti-dependencies over three: the reader saw the second and not the first, who had missed the second."""
    if not outcome.all_committed:
        return False
    first, _, third = outcome.values
    return bool(first[2] == 20 and third == {1: 10, 2: 25})  # noqa: PLR2004 - the case's value


CASES = (
    Case("G2-item", "G2-item", "write skew, items", (_reads_both_writes_1, _reads_both_writes_2), skewed),
    Case(
        "G2", "G2", "write skew, predicates", (_reads_thirds_inserts_30, _reads_thirds_inserts_42), skewed_by_predicate
    ),
    Case(
        "G2-two-edges",
        "G2",
        "two anti-dependencies, a reader among three",
        (_reads_all_writes_1, _adds_5_to_2, _reads_all),
        read_only_skew,
    ),
)
