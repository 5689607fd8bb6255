"""SQLite's driver under control: what is a step, who waits, and what comes of it."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections import UserList
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.explorer.model import Place
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.unit.exploring_sqlite import explored, steps, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.exploring_sqlite import Explored

SELECT = "SELECT balance FROM account WHERE id = ?"
UPDATE = "UPDATE account SET balance = ? WHERE id = ?"


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Explored]:
    """Two accounts with 100 each."""
    with explored(tmp_path / "bank.db") as exploration:
        yield exploration


def deposit(connection: sqlite3.Connection, *before: str) -> str:
    """Add 10 as most people would first write it, after some statements."""
    for each in before:
        connection.execute(each)
    (balance,) = connection.execute(SELECT, (1,)).fetchone()
    connection.execute(UPDATE, (balance + 10, 1))
    connection.commit()
    return "done"


def on(bank: Explored, body: Callable[[sqlite3.Connection], object], **options: Any) -> Callable[[], object]:  # noqa: ANN401 - sqlite3's
    """Make a body that opens a connection for itself."""

    def opened() -> object:
        with closing(sqlite3.connect(bank.path, **options)) as connection:
            return body(connection)

    return opened


def test_driver_s_own_transactions(bank: Explored) -> None:
    """By default a SELECT is a transaction of its own, and a change opens one: an update is lost."""
    body = on(bank, deposit)
    execution = bank.run(Replay([0, 1, 0, 0, 1, 1]), body, body)
    assert [f"0 {SELECT}", f"1 {SELECT}", f"0 {UPDATE}", "0 commit", f"1 {UPDATE}", "1 commit"] == steps(execution)
    assert [True, True, False, False, False, False] == [record.point.alone for record in execution.records]
    assert [([(100,)], 1), (None, 1)] == [(each.rows, each.count) for each in execution.records[1:3]]
    assert {"account": ((1, 110, 0), (2, 100, 0))} == execution.state


def test_one_after_the_other(bank: Explored) -> None:
    """Without a switch in between, nothing is lost."""
    body = on(bank, deposit)
    assert ((1, 120, 0), (2, 100, 0)) == bank.run(Replay([0] * 3 + [1] * 3), body, body).state["account"]


def test_autocommit(bank: Explored) -> None:
    """With isolation_level None every statement is a transaction, and commit() does nothing."""
    body = on(bank, deposit, isolation_level=None)
    execution = bank.run(Replay([0, 1, 0, 1]), body, body)
    assert [f"0 {SELECT}", f"1 {SELECT}", f"0 {UPDATE}", f"1 {UPDATE}"] == steps(execution)
    assert all(record.point.alone for record in execution.records)


def test_waits_for_the_write_lock(bank: Explored) -> None:
    """A change waits for another one's transaction, and is answered when that ends."""
    body = on(bank, deposit)
    execution = bank.run(Replay([0, 1, 0, 1, 0, 1]), body, body)
    assert [f"0 {SELECT}", f"1 {SELECT}", f"0 {UPDATE}", f"1 {UPDATE}?", "0 commit", "1 commit"] == steps(execution)
    assert [3, 4] == [execution.records[3].number, execution.records[3].answered]
    assert ["done", "done"] == values(execution)


def test_immediate_is_a_step(bank: Explored) -> None:
    """BEGIN IMMEDIATE takes the write lock, so that it is a step and may wait."""
    body = on(bank, lambda connection: deposit(connection, "BEGIN IMMEDIATE"), isolation_level=None)
    execution = bank.run(Replay([0, 1, 0, 0, 0, 1, 1, 1]), body, body)
    assert ["0 BEGIN IMMEDIATE", "1 BEGIN IMMEDIATE?", f"0 {SELECT}", f"0 {UPDATE}", "0 commit"] == steps(execution)[:5]
    assert ((1, 120, 0), (2, 100, 0)) == execution.state["account"]


def test_driver_s_immediate_transactions(bank: Explored) -> None:
    """With isolation_level IMMEDIATE a change begins and writes in one step."""
    body = on(bank, deposit, isolation_level="IMMEDIATE")
    execution = bank.run(Replay([0, 1, 0, 1, 0, 1]), body, body)
    assert [f"0 {SELECT}", f"1 {SELECT}", f"0 {UPDATE}", f"1 {UPDATE}?", "0 commit", "1 commit"] == steps(execution)


def test_old_snapshot_can_not_write(bank: Explored) -> None:
    """Who has read in a transaction, and finds the file changed since, gets SQLite's own error."""
    body = on(bank, lambda connection: deposit(connection, "BEGIN"), isolation_level=None)
    execution = bank.run(Replay([0, 1, 0, 0, 1, 1]), body, body)
    assert [f"0 {SELECT}", f"1 {SELECT}", f"0 {UPDATE}", "0 commit", f"1 {UPDATE}!", "1 rollback"] == steps(execution)
    error = execution.endings[1].error
    assert isinstance(error, sqlite3.OperationalError)
    assert "SQLITE_BUSY_SNAPSHOT" == error.sqlite_errorname


def test_readers_with_a_snapshot_do_not_wait(bank: Explored) -> None:
    """SQLite does not wait for a lock that it could only get too late: the error comes at once."""
    body = on(bank, lambda connection: deposit(connection, "BEGIN"), isolation_level=None)
    execution = bank.run(Replay([0, 1, 0, 1, 1, 0]), body, body)
    assert [f"0 {SELECT}", f"1 {SELECT}", f"0 {UPDATE}", f"1 {UPDATE}!", "1 rollback", "0 commit"] == steps(execution)
    assert ["done", "OperationalError"] == values(execution)


def test_sqlite_itself_does_not_wait_there(tmp_path: Path) -> None:
    """The fact that the explorer goes by; if it were not so, this would take an hour."""
    with explored(tmp_path / "plain.db") as bank:
        path = bank.path
    first, second = (sqlite3.connect(path, timeout=3600, isolation_level=None) for _ in range(2))
    with closing(first), closing(second):
        first.execute("PRAGMA journal_mode = wal")
        second.execute("BEGIN")
        assert 100 == second.execute(SELECT, (1,)).fetchone()[0]
        first.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as raised:
            second.execute(UPDATE, (1, 1))
        assert "SQLITE_BUSY" == raised.value.sqlite_errorname


@pytest.mark.parametrize("patience", [{"timeout": 0}, {}])
def test_who_waits_for_nobody_gets_the_error(bank: Explored, patience: dict[str, Any]) -> None:
    """A busy timeout of 0, by option or by PRAGMA, is kept: its error comes at once."""

    def impatient(connection: sqlite3.Connection) -> None:
        if not patience:
            connection.execute("PRAGMA busy_timeout = 0")
        connection.execute(UPDATE, (1, 1))

    execution = bank.run(Replay([0, 0, 1, 1, 0]), on(bank, deposit), on(bank, impatient, **patience))
    assert f"1 {UPDATE}!" in steps(execution)
    assert ["done", "OperationalError"] == values(execution)


def test_busy_timeout_of_a_body_s_own(bank: Explored) -> None:
    """PRAGMA busy_timeout, which would let the one thread wait for itself, is answered and then taken back."""

    def body(connection: sqlite3.Connection) -> str:
        assert (60_000,) == connection.execute("PRAGMA busy_timeout = 60000").fetchone()
        return deposit(connection)

    execution = bank.run(Replay([0, 1, 0, 1, 0, 1]), on(bank, body), on(bank, body))
    assert ["done", "done"] == values(execution)


def test_nobody_is_left_to_free_the_lock(bank: Explored) -> None:
    """Who waits for a transaction that its body has left open gets SQLite's own error."""
    kept = [bank.database.connect() for _ in range(2)]

    def forgets() -> str:
        kept[0].execute(UPDATE, (1, 1))
        return "forgot"

    def waits() -> str:
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            kept[1].execute(UPDATE, (2, 1))
        return "gave up"

    execution = bank.run(Replay([0, 1]), forgets, waits)
    assert [f"0 {UPDATE}", f"1 {UPDATE}?!"] == steps(execution)
    assert (["forgot", "gave up"], (1,)) == (values(execution), execution.stuck)
    assert ((1, 100, 0), (2, 100, 0)) == execution.state["account"]
    assert execution.choices == bank.run(Replay(execution.choices), forgets, waits).choices


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what the body does is worth one
def test_dropped_connection_keeps_its_lock(bank: Explored) -> None:
    """A connection that a body drops lives until garbage is collected, but at least until the schedule's end."""

    def drops() -> None:
        sqlite3.connect(bank.path).execute(UPDATE, (1, 1))
        gc.collect()

    execution = bank.run(Replay([0, 1, 1, 1]), drops, on(bank, deposit))
    assert (f"1 {UPDATE}?!", "1 rollback") == tuple(steps(execution)[2:])
    assert ((1, 100, 0), (2, 100, 0)) == execution.state["account"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BEGIN; UPDATE account SET balance = 1; COMMIT", ["UPDATE account SET balance = 1", "COMMIT"]),
        ("BEGIN TRANSACTION; UPDATE account SET balance = 1; END", ["UPDATE account SET balance = 1", "END"]),
        ("BEGIN; UPDATE account SET balance = 1; ROLLBACK", ["UPDATE account SET balance = 1", "ROLLBACK"]),
        ("BEGIN; COMMIT", []),
        ("SAVEPOINT a; RELEASE a", []),
        ("SAVEPOINT a; DELETE FROM account; RELEASE a", ["DELETE FROM account", "RELEASE a"]),
        ("BEGIN; SAVEPOINT a; DELETE FROM account; RELEASE a; COMMIT", ["DELETE FROM account", "COMMIT"]),
        ("SAVEPOINT a; SAVEPOINT b; DELETE FROM account; RELEASE b; RELEASE a", ["DELETE FROM account", "RELEASE a"]),
        ("SAVEPOINT a; SAVEPOINT A; DELETE FROM account; RELEASE a; RELEASE a", ["DELETE FROM account", "RELEASE a"]),
        ("SAVEPOINT a; DELETE FROM account; ROLLBACK TO a; RELEASE a", ["DELETE FROM account", "RELEASE a"]),
        ("SAVEPOINT a; SAVEPOINT b; DELETE FROM account; RELEASE a", ["DELETE FROM account", "RELEASE a"]),
        ("PRAGMA foreign_keys = ON; SELECT 1", []),
        ("BEGIN EXCLUSIVE; ROLLBACK", ["BEGIN EXCLUSIVE", "ROLLBACK"]),
    ],
)
def test_textual_transactions(bank: Explored, text: str, expected: list[str]) -> None:
    """Transactions may be written out; what can't matter to others is no step."""

    def body(connection: sqlite3.Connection) -> bool:
        for each in text.split("; "):
            connection.execute(each)
        return connection.in_transaction

    execution = bank.run(RandomWalk(0), on(bank, body, isolation_level=None))
    assert ([f"0 {each}" for each in expected], [False]) == (steps(execution), values(execution))


def test_context_manager_commits_and_rolls_back(bank: Explored) -> None:
    """`with connection:` ends the transaction by a step, and leaves an exception its way."""

    def body(connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute(UPDATE, (1, 1))
        with connection:
            connection.execute(UPDATE, (2, 1))
            raise LookupError

    execution = bank.run(RandomWalk(0), on(bank, body))
    assert [f"0 {UPDATE}", "0 commit", f"0 {UPDATE}", "0 rollback"] == steps(execution)
    assert (["LookupError"], 1) == (values(execution), execution.state["account"][0][1])


def test_error_that_ends_a_transaction(bank: Explored) -> None:
    """After ON CONFLICT ROLLBACK the transaction is over, and the next one is another."""

    def body(connection: sqlite3.Connection) -> None:
        connection.execute(UPDATE, (1, 1))
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT OR ROLLBACK INTO account (id, balance) VALUES (1, 1)")
        connection.rollback()
        connection.execute(UPDATE, (2, 2))
        connection.commit()

    execution = bank.run(RandomWalk(0), on(bank, body))
    assert [0, 0, 1, 1] == [record.point.session for record in execution.records]
    assert ((1, 100, 0), (2, 2, 0)) == execution.state["account"]
    assert execution.events[2].opens


def test_two_connections_of_one_worker(bank: Explored) -> None:
    """Each open transaction of a worker's has a number of its own, whichever connections a pool gives out."""

    def body() -> None:
        with closing(sqlite3.connect(bank.path)) as one, closing(sqlite3.connect(bank.path)) as other:
            other.execute("BEGIN")
            other.execute(SELECT, (1,))
            one.execute(UPDATE, (1, 1))
            one.commit()
            other.commit()
            other.execute(UPDATE, (2, 2))
            other.commit()

    assert [0, 1, 1, 0, 0, 0] == [record.point.session for record in bank.run(RandomWalk(0), body).records]


def test_a_change_of_no_row_waits_for_the_write_lock(bank: Explored) -> None:
    """SQLite locks before it looks for rows, so a change whose key is NULL is a step, and waits as any other does."""

    def changes(connection: sqlite3.Connection) -> None:
        connection.execute(UPDATE, (1, 1))
        connection.commit()

    def body(connection: sqlite3.Connection) -> str:
        connection.execute(SELECT, (1,))
        connection.execute(UPDATE, (1, None))
        connection.commit()
        return "done"

    execution = bank.run(Replay([1, 0, 1, 0, 1]), on(bank, changes), on(bank, body))
    expected = [f"1 {SELECT}", f"0 {UPDATE}", f"1 {UPDATE}?", "0 commit", "1 commit"]
    assert (expected, "done") == (steps(execution), values(execution)[1])


@pytest.mark.parametrize("make", [lambda value: (value,), lambda value: [value], lambda value: {"key": value}])
def test_parameters_that_are_equal_are_not_the_same(tmp_path: Path, make: Callable[[object], Any]) -> None:
    """1, 1.0 and True may name different rows where keys are texts, and are noted as they were sent."""
    given = [1, 1.0, True, 0.0, -0.0, "1", b"1", bytearray(b"1")]

    def body() -> None:
        with closing(sqlite3.connect(tmp_path / "words.db", isolation_level=None)) as connection:
            for value in given:
                connection.execute("UPDATE word SET n = 1 WHERE id = :key", make(value))

    with explored(tmp_path / "words.db", "CREATE TABLE word (id TEXT PRIMARY KEY, n)") as words:
        points = [record.point for _ in range(2) for record in words.run(RandomWalk(0), body).records]
    one, every = Place("word", "1"), Place("word")
    assert [one, every, one, every, every, one, every, every] * 2 == [
        next(iter(each.footprint.writes)) for each in points
    ]
    assert [repr(make(value)) for value in given] * 2 == [repr(each.parameters) for each in points]


@pytest.mark.parametrize("given", [5, "1", b"1", memoryview(b"1"), UserList([1])])
def test_whatever_the_driver_is_given(bank: Explored, given: Any) -> None:  # noqa: ANN401 - for sqlite3 to refuse
    """What is no tuple, list or dictionary is sqlite3's to take or to refuse."""

    def outcome(connection: sqlite3.Connection) -> str:
        try:
            return repr(connection.execute(SELECT, given).fetchall())
        except sqlite3.Error as error:
            return repr(error)

    with closing(sqlite3.connect(bank.path)) as outside:
        expected = outcome(outside)
    assert [expected] == values(bank.run(RandomWalk(0), on(bank, outcome)))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 249's autocommit came with Python 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_pep_249_s_autocommit(bank: Explored, autocommit: bool) -> None:  # noqa: FBT001 - a parameter
    """`autocommit` decides whether statements are transactions of their own."""
    body = on(bank, deposit, autocommit=autocommit)
    execution = bank.run(Replay([0, 0] if autocommit else [0, 0, 0]), body)
    assert [autocommit, autocommit] == [record.point.alone for record in execution.records[:2]]
    assert 110 == execution.state["account"][0][1]
