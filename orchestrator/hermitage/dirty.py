"""G0 and G1: writes that cross, and reads of what was never committed.

Definitions: Adya, "Weak Consistency", 1999; Adya, Liskov, O'Neil, "Generalized Isolation Level Definitions", 2000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.hermitage.case import Case, read, read_all, transaction, write

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Connection, Outcome

#: A value of row 1 that is never committed as its last.
_PASSING = 101


@transaction
def _writes_11_21(connection: Connection) -> None:
    write(connection, 1, 11)
    write(connection, 2, 21)


@transaction
def _writes_12_22(connection: Connection) -> None:
    write(connection, 1, 12)
    write(connection, 2, 22)


def crossed_writes(outcome: Outcome) -> bool:
    """G0 is a cycle of write dependencies: of two transactions that wrote both rows, each wrote last on one."""
    return outcome.all_committed and outcome.rows in ({1: 11, 2: 22}, {1: 12, 2: 21})


def _writes_101_and_takes_it_back(connection: Connection) -> None:
    write(connection, 1, _PASSING)
    connection.rollback()


@transaction
def _reads_all_twice(connection: Connection) -> list[dict[int, int]]:
    return [read_all(connection), read_all(connection)]


def aborted_read(outcome: Outcome) -> bool:
    """G1a is a committed read of what an aborted transaction wrote; here that is 101, which is taken back."""
    return outcome.all_committed and any(seen[1] == _PASSING for seen in outcome.values[1])


@transaction
def _writes_101_then_11(connection: Connection) -> None:
    write(connection, 1, _PASSING)
    write(connection, 1, 11)


def intermediate_read(outcome: Outcome) -> bool:
    """G1b is a committed read of a value that its writer wrote over before it committed; here that is 101."""
    return outcome.all_committed and any(seen[1] == _PASSING for seen in outcome.values[1])


@transaction
def _writes_1_reads_2(connection: Connection) -> int | None:
    write(connection, 1, 11)
    return read(connection, 2)


@transaction
def _writes_2_reads_1(connection: Connection) -> int | None:
    write(connection, 2, 22)
    return read(connection, 1)


def circular_flow(outcome: Outcome) -> bool:
    """G1c is a cycle of write and read dependencies: each of the two read what the other one wrote."""
    return outcome.values == (22, 11)


CASES = (
    Case("G0", "G0", "write cycle", (_writes_11_21, _writes_12_22), crossed_writes),
    Case("G1a", "G1a", "aborted read", (_writes_101_and_takes_it_back, _reads_all_twice), aborted_read),
    Case("G1b", "G1b", "intermediate read", (_writes_101_then_11, _reads_all_twice), intermediate_read),
    Case("G1c", "G1c", "circular information flow", (_writes_1_reads_2, _writes_2_reads_1), circular_flow),
)
