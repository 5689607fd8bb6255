"""What a worker's open transactions make of its next step."""

from __future__ import annotations

import pytest

from orchestrator.explorer.model import Footprint, Place, Point
from orchestrator.explorer.transactions import Transactions

READ = Footprint(frozenset([Place("t", "1")]))
ADVISORY = frozenset([Place("advisory", "7")])


def _statement(text: str = "SELECT", footprint: Footprint = READ, **more: bool) -> Point:
    return Point("statement", text, footprint=footprint, **more)


def _opens(*texts: str) -> list[bool]:
    """Say of each statement of one transaction whether it may take the snapshot."""
    transactions, opens = Transactions(0), []
    for each in texts:
        opens.append(transactions.event(_statement(each)).opens)
        transactions.take(_statement(each))
    return opens


@pytest.mark.parametrize(
    "first", ["LOCK TABLE t", " set constraints all deferred", "/* why */ LOCK t", "-- why\nSET CONSTRAINTS a DEFERRED"]
)
def test_the_snapshot_is_taken_after_what_needs_none(first: str) -> None:
    """After LOCK TABLE and SET the next statement may take it too, and after that no other."""
    assert [True, True, False] == _opens(first, "SELECT 1", "SELECT 2")


def test_the_snapshot_is_taken_by_the_first_statement() -> None:
    """LOCK TABLE takes none again once there is one, and the next transaction begins anew."""
    assert [True, False, False] == _opens("SELECT 1", "LOCK TABLE t", "SELECT 2")
    transactions = Transactions(0)
    for each in (_statement("LOCK TABLE t"), Point("commit"), _statement("SELECT 1")):
        transactions.take(each)
    assert not transactions.event(_statement("SELECT 2")).opens


def test_a_level_of_its_own_is_told_of_all_that_follows() -> None:
    """COMMIT and the crash after it are as strict as the statement; what was before is not."""
    transactions = Transactions(0)
    assert [False, False] == [transactions.event(_statement()).strict, transactions.crash().strict]
    transactions.take(_statement(strict=True))
    later = [transactions.event(Point("commit")), transactions.event(_statement()), transactions.crash()]
    assert [True, True, True] == [each.strict for each in later]


@pytest.mark.parametrize("footprint", [Footprint(locks=ADVISORY), Footprint(shares=ADVISORY)], ids=["lock", "share"])
def test_a_crash_frees_locks_of_the_session(footprint: Footprint) -> None:
    """An advisory lock may outlive its transaction, but not its connection."""
    transactions = Transactions(0)
    for each in (_statement("SELECT pg_advisory_lock(7)", footprint, alone=True), _statement(), Point("commit")):
        transactions.take(each)
    assert Footprint(locks=ADVISORY) == transactions.crash().footprint
    transactions.drop()
    assert Footprint() == transactions.crash().footprint
