"""Stories: each anomaly's pattern is found and told, and what only looks like it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.model import EVERY, Footprint, Place, Point
from orchestrator.explorer.stories import tell
from tests.unit.executions import ACCOUNT, BALANCE, SET_BALANCE, Draft, lost_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.explorer.judging import Anomaly
    from orchestrator.explorer.model import Execution

OTHER = ("account", 2)
MEMBERS = ("member", EVERY)
FIND = "SELECT 1 FROM member WHERE email = %s"
ADD = "INSERT INTO member (email) VALUES (%s)"
BUMP = "UPDATE account SET balance = balance + %s WHERE id = %s"


def _told(execution: Execution) -> list[tuple[str, str]]:
    return [(each.name, each.witness) for each in tell(execution)]


def _only(draft: Draft) -> Anomaly:
    (anomaly,) = tell(draft.done())
    return anomaly


# lost update


def test_lost_update_is_told_with_its_values() -> None:
    """Who read what, who committed what, and whose update is gone."""
    (anomaly,) = tell(lost_update())
    expected = (
        "lost update",
        (
            "A read account/1 (balance 100), B read it too and committed 110; then A wrote its own 110 over it:"
            " B's update is lost."
        ),
        "account/1",
    )
    assert expected == anomaly


def test_workers_have_their_names() -> None:
    """The names given are those told."""
    (anomaly,) = tell(lost_update(), ["pay", "refund"])
    assert anomaly.sentence.startswith("pay read account/1 (balance 100), refund read it too")


def _interleaved(write: str = SET_BALANCE, between: str = SET_BALANCE, count: int = 1) -> Draft:
    """A reads, B writes and commits, A writes."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, between, 110, 1)
    draft.commit(1)
    draft.write(0, ACCOUNT, write, 120, 1, count=count)
    draft.commit(0)
    return draft


def test_blind_write_is_lost_too() -> None:
    """The other one need not have read."""
    expected = "A read account/1 (balance 100), B committed 110; then A wrote its own 120 over it: B's update is lost."
    assert expected == _only(_interleaved()).sentence


def test_change_without_text_is_lost_too() -> None:
    """Where the statements do not say what they set, the rows are enough."""
    expected = "A read account/1 (balance 100), B committed its own change; then A wrote its own value over it"
    draft = _interleaved("UPDATE account", "UPDATE account")
    assert _only(draft).sentence.startswith(expected)


@pytest.mark.parametrize(
    "draft",
    [
        _interleaved(BUMP),
        _interleaved("UPDATE account SET name = %s WHERE id = %s"),
        _interleaved(count=0),
        _interleaved(between="DELETE FROM account WHERE balance = %s AND id = %s"),
    ],
    ids=["adds in the database", "sets another column", "matches no row", "finds the row gone"],
)
def test_what_only_looks_like_a_lost_update(draft: Draft) -> None:
    """A write that does not rest on what was read, or changes nothing, loses nothing."""
    assert [] == _told(draft.done())


def test_uncommitted_writes_lose_nothing() -> None:
    """A write that is rolled back, or whose COMMIT fails, has overwritten nobody."""
    undone, failed = _interleaved(), _interleaved()
    undone.records[-1].point = Point("rollback")
    failed.records[-1].error = "SerializationFailure: could not serialize"
    assert ([], []) == (_told(undone.done()), _told(failed.done()))


def test_reading_again_is_enough() -> None:
    """Who reads again after the other's commit knows what it overwrites."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, BUMP, 10, 1)
    draft.commit(1)
    draft.read(0, ACCOUNT, f"{BALANCE} FOR UPDATE", [(110,)], 1)
    draft.write(0, ACCOUNT, SET_BALANCE, 120, 1)
    draft.commit(0)
    assert [] == _told(draft.done())


def test_wait_does_not_save_an_update() -> None:
    """A write that waited for the other's COMMIT overwrites what it committed."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.read(1, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, SET_BALANCE, 110, 1)
    waiting = draft.write(0, ACCOUNT, SET_BALANCE, 110, 1)
    draft.waits(waiting, until=draft.commit(1).number)
    draft.commit(0)
    assert [("lost update", "account/1")] == _told(draft.done())


def test_read_before_a_crash_is_forgotten() -> None:
    """What a worker read before it crashed is not what its next delivery writes."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.crash(0, "statement", statement=SET_BALANCE)
    draft.write(1, ACCOUNT, SET_BALANCE, 110, 1)
    draft.commit(1)
    draft.write(0, ACCOUNT, SET_BALANCE, 120, 1)
    draft.commit(0)
    assert [] == _told(draft.done())


# write skew


@pytest.mark.parametrize("alone", [False, True], ids=["in its transaction", "before its transaction"])
def test_write_skew_is_told(alone: bool) -> None:  # noqa: FBT001 - a parameter
    """Both read both rows, each changes one."""
    draft = Draft()
    for worker in (0, 1):
        for key in (1, 2):
            record = draft.read(worker, ("account", key), BALANCE, [(100,)], key)
            record.point = record.point._replace(alone=alone)
    for worker in (0, 1):
        draft.write(worker, ("account", worker + 1), BUMP, -100, worker + 1)
        draft.commit(worker)
    expected = (
        "write skew",
        (
            "A read account/1 and account/2 and changed account/1; B read the same and changed account/2."
            " Both committed, and neither saw what the other had changed."
        ),
        "account/1 and account/2",
    )
    assert expected == _only(draft)


def test_serial_transactions_have_no_skew() -> None:
    """Who read after the other's COMMIT has seen it."""
    draft = Draft()
    for worker in (0, 1):
        draft.read(worker, OTHER if worker == 0 else ACCOUNT, BALANCE, [(100,)], 1)
        draft.write(worker, ("account", worker + 1), BUMP, -100, worker + 1)
        draft.commit(worker)
    assert [] == _told(draft.done())


# inserts


def _members(*, late: Callable[[Draft], object]) -> Draft:
    draft = Draft()
    draft.read(0, MEMBERS, FIND, [], "ann")
    draft.read(1, MEMBERS, FIND, [], "ann")
    draft.write(1, MEMBERS, ADD, "ann")
    draft.commit(1)
    late(draft)
    draft.commit(0)
    return draft


def test_duplicate_insert_is_told() -> None:
    """Both looked, both found nothing, both inserted."""
    draft = _members(late=lambda draft: draft.write(0, MEMBERS, ADD, "ann"))
    expected = (
        "duplicate insert",
        (
            "A looked into member (SELECT 1 FROM member WHERE email = 'ann') and found nothing, B looked too and found"
            " nothing; both inserted a row (email 'ann') and committed: now it is there twice."
        ),
        "member",
    )
    assert expected == _only(draft)


def test_inserts_of_different_rows_are_no_duplicates() -> None:
    """Who looked for something else may insert it."""
    draft = _members(late=lambda draft: draft.write(0, MEMBERS, ADD, "ben"))
    draft.records[0].point = draft.records[0].point._replace(parameters=("ben",))
    assert [] == _told(draft.done())


def test_refused_insert_is_told() -> None:
    """A unique key refuses the second insert."""

    def late(draft: Draft) -> None:
        draft.write(0, MEMBERS, ADD, "ann", count=-1).error = "UniqueViolation: duplicate key"

    expected = (
        "lost insert",
        (
            "A looked into member and found nothing, B inserted a row (email 'ann') and committed; then A's own INSERT"
            " failed with UniqueViolation: what A meant to insert is lost."
        ),
        "member",
    )
    assert expected == _only(_members(late=late))


def test_insert_that_does_nothing_is_told() -> None:
    """ON CONFLICT DO NOTHING loses the second insert without a word."""
    draft = _members(late=lambda draft: draft.write(0, MEMBERS, ADD, "ann", count=0))
    assert "changed no row" in _only(draft).sentence


# reads


def test_read_skew_is_told() -> None:
    """One row is read before, the other after a commit that changed both."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, SET_BALANCE, 90, 1)
    draft.write(1, OTHER, SET_BALANCE, 110, 2)
    draft.commit(1)
    draft.read(0, OTHER, BALANCE, [(110,)], 2)
    draft.commit(0)
    expected = (
        "read skew",
        (
            "A read account/1 (balance 100) before, and account/2 (balance 110) after B had committed its change of"
            " both: A saw half of it."
        ),
        "account/1, account/2",
    )
    assert expected == _only(draft)


def test_snapshot_has_no_read_skew() -> None:
    """Who is given the old value after the commit reads from a snapshot."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, SET_BALANCE, 90, 1)
    draft.write(1, OTHER, SET_BALANCE, 110, 2)
    draft.commit(1)
    draft.read(0, OTHER, BALANCE, [(100,)], 2)
    assert [] == _told(draft.done())


def _reads_twice(sql: str, where: tuple[str, object], first: list[tuple[int]], second: list[tuple[int]]) -> Draft:
    draft = Draft()
    draft.read(0, where, sql, first, 1)
    draft.write(1, where, BUMP, 10, 1)
    draft.commit(1)
    draft.read(0, where, sql, second, 1)
    return draft


def test_non_repeatable_read_is_told() -> None:
    """A row is another one when it is read again."""
    expected = (
        "non-repeatable read",
        (
            "A read account/1 (balance 100), B changed it and committed, and A read it again in the same transaction"
            " (balance 110)."
        ),
        "account/1",
    )
    assert expected == _only(_reads_twice(BALANCE, ACCOUNT, [(100,)], [(110,)]))


def test_phantom_is_told() -> None:
    """A condition finds more rows when it is asked again."""
    expected = (
        "phantom",
        "A read account and found 1 rows; B committed; A read it again in the same transaction and found 2.",
        "account",
    )
    draft = _reads_twice("SELECT balance FROM account", ("account", EVERY), [(100,)], [(100,), (5,)])
    assert expected == _only(draft)


def test_dirty_read_is_told() -> None:
    """A value is read that its writer has not committed."""
    draft = Draft()
    draft.read(1, ACCOUNT, BALANCE, [(100,)], 1)
    draft.write(1, ACCOUNT, SET_BALANCE, 110, 1)
    draft.read(0, ACCOUNT, BALANCE, [(110,)], 1)
    draft.step(1, "rollback")
    expected = (
        "dirty read",
        "B changed account/1 to balance 110, and A read that before B had committed.",
        "account/1",
    )
    assert expected == _only(draft)


# waits and crashes


def test_deadlock_is_told() -> None:
    """Who waited for whose row, and whose statement was ended."""
    draft = Draft()
    draft.write(0, ACCOUNT, BUMP, 1, 1)
    draft.write(1, OTHER, BUMP, 1, 2)
    waiting = draft.write(0, OTHER, BUMP, 1, 2)
    closer = draft.write(1, ACCOUNT, BUMP, 1, 1, count=-1)
    closer.blocked, closer.error = True, "DeadlockDetected: deadlock detected"
    draft.waits(waiting, until=closer.number)
    draft.step(1, "rollback")
    draft.commit(0)
    expected = (
        "deadlock",
        (
            "A waited for B's account/2, B waited for A's account/1; the database ended B's statement with"
            " DeadlockDetected."
        ),
        "account/1 and account/2",
    )
    assert expected == _only(draft)


def test_work_done_twice_is_told() -> None:
    """A crash between COMMIT and acknowledgement makes the message come again."""
    draft = Draft()
    for again in (False, True):
        draft.write(0, ACCOUNT, BUMP, 10, 1)
        draft.commit(0)
        if not again:
            draft.crash(0, "acknowledge")
    expected = (
        "done twice after a crash",
        (
            "A committed its change of account/1, crashed before its message was acknowledged, and did the same again"
            " when the message came again."
        ),
        "account/1",
    )
    assert expected == _only(draft)


def test_crash_before_commit_is_harmless() -> None:
    """What was rolled back by the crash is done once."""
    draft = Draft()
    draft.write(0, ACCOUNT, BUMP, 10, 1)
    draft.crash(0, "commit")
    draft.write(0, ACCOUNT, BUMP, 10, 1)
    draft.commit(0)
    assert [] == _told(draft.done())


def test_commit_after_a_failed_statement_commits_nothing() -> None:
    """Postgres takes the COMMIT of a failed transaction as a ROLLBACK."""
    draft = _interleaved()
    draft.records[-1].point = Point("statement", "SELECT 1 / 0", None, Footprint(frozenset([Place("account", 1)])))
    draft.records[-1].error = "DivisionByZero: division by zero"
    draft.commit(0)
    assert [] == _told(draft.done())
