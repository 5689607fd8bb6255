"""Schedules on an embedded PostgreSQL: what waits, what deadlocks, and that a schedule runs the same way again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestrator.controlled.postgres_scratch import scratch
from orchestrator.explorer.hub import Crash
from orchestrator.explorer.model import Point
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.postgres_ground import ACCOUNTS, Order, add, ground, naive, replayed, shape, transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services
    from tests.postgres_ground import Ground

    Connection = psycopg.Connection[Any]

BOTH_AT = {
    (0, 0, 0, 1, 1, 1): 120,
    (0, 1, 0, 0, 1, 1): 110,
    (1, 0, 1, 1, 0, 0): 110,
    (1, 1, 1, 0, 0, 0): 120,
}


@pytest.fixture(scope="module")
def scratch_url(services: Services) -> Iterator[str]:
    """URL of a database for this module's tests alone."""
    with scratch(services.database_url) as url:
        yield url


@pytest.fixture
def accounts(scratch_url: str) -> Iterator[Ground]:
    """Two accounts of 100 each."""
    with ground(scratch_url) as opened:
        yield opened


@pytest.mark.parametrize(("order", "balance"), BOTH_AT.items(), ids=str)
def test_a_lost_update_depends_on_the_order_alone(accounts: Ground, order: tuple[int, ...], balance: int) -> None:
    """Two read-then-write bodies lose an update exactly where both read before either commits."""
    execution = accounts.run(Order(*order), [naive, naive])
    assert (order, {"account": ((1, balance), (2, 100))}) == (execution.choices, execution.state)


def test_the_record_tells_what_was_read_and_matched(accounts: Ground) -> None:
    """A step's record has the rows, the count and the footprint's key."""
    execution = accounts.run(Order(0, 0, 0, 1, 1, 1), [naive, naive])
    told = [(each.point.kind, each.rows, each.count) for each in execution.records]
    one = [("statement", [(100,)], 1), ("statement", None, 1), ("commit", None, -1)]
    two = [("statement", [(110,)], 1), ("statement", None, 1), ("commit", None, -1)]
    assert one + two == told


def test_a_blocked_update_is_answered_after_the_commit(accounts: Ground) -> None:
    """An update of a locked row waits, others go on, and the holder's COMMIT lets it through in the same step."""
    execution = accounts.run(Order(0, 1, 2, 2, 0), [add(1), add(1), add(2)])
    blocked = [(each.number, each.answered) for each in execution.records if each.blocked]
    assert ([(1, 4)], {"account": ((1, 120), (2, 110))}) == (blocked, execution.state)


def test_nobody_queues_behind_a_waiter(accounts: Ground) -> None:
    """While one waits for a row, others that want it are not offered, as long as somebody can run."""
    for walk in replayed(accounts, [add(1), add(1), add(1), add(2)], 25):
        waiting: set[int] = set()
        for record in walk.records:
            waiting = {each for each in waiting if walk.records[each].answered >= record.number}
            assert len(waiting) <= 1
            waiting |= {record.number} if record.blocked else set()
        assert {"account": ((1, 130), (2, 110))} == walk.state


def test_the_same_one_of_a_deadlock_loses_each_time(accounts: Ground) -> None:
    """Who closes the circle is told of the deadlock, as the server tells it, in a hundred runs of one schedule."""
    bodies = [transfer(1, 2), transfer(2, 1)]
    ends = []
    for _ in range(100):
        execution = accounts.run(Order(0, 1, 0, 1), bodies)
        ends.append((execution.choices, [type(each.error) for each in execution.endings], execution.state))
    rows = {"account": ((1, 90), (2, 110))}
    assert [((0, 1, 0, 1, 0), [type(None), psycopg.errors.DeadlockDetected], rows)] * 100 == ends


def test_a_deadlock_looks_like_the_servers_own(accounts: Ground) -> None:
    """The error has the class, the code and the first words that the server gives."""
    execution = accounts.run(Order(0, 1, 0, 1), [transfer(1, 2), transfer(2, 1)])
    error = execution.endings[1].error
    assert isinstance(error, psycopg.errors.DeadlockDetected)
    told = (error.sqlstate, error.diag.sqlstate, error.diag.message_primary, str(error))
    assert ("40P01", "40P01", "deadlock detected", "deadlock detected") == told
    assert "DeadlockDetected: deadlock detected" == execution.records[3].error


def test_schedules_with_deadlocks_run_the_same_again(accounts: Ground) -> None:
    """Three workers in three orders, every walk replayed: nothing differs."""
    walks = replayed(accounts, [transfer(1, 2), transfer(2, 1), naive], 40)
    assert {0, 1} == {sum(end.error is not None for end in walk.endings) for walk in walks}


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_the_level_given_is_the_transactions(scratch_url: str, level: str) -> None:
    """Above READ COMMITTED the second of two naive writers is refused instead of losing an update."""
    with ground(scratch_url, isolation=level) as opened:
        execution = opened.run(Order(0, 1, 0, 0, 1), [naive, naive])
        refused = psycopg.errors.SerializationFailure
        expected = [type(None), type(None) if level == "read committed" else refused]
        assert (level, expected) == (opened.database.isolation, [type(end.error) for end in execution.endings])


def test_write_skew_is_refused_by_serializable(scratch_url: str) -> None:
    """Each reads both rows and writes one: both may commit at REPEATABLE READ, one at SERIALIZABLE."""

    def take(mine: int) -> Any:  # noqa: ANN401 - a body
        def body(connection: Connection) -> None:
            row = connection.execute("SELECT sum(balance) FROM account").fetchone()
            if row and row[0] >= 200:
                connection.execute("UPDATE account SET balance = balance - 150 WHERE id = %s", (mine,))
            connection.commit()

        return body

    refused = {}
    for level in ("repeatable read", "serializable"):
        with ground(scratch_url, isolation=level) as opened:
            execution = opened.run(Order(0, 1, 0, 1), [take(1), take(2)])
            refused[level] = sum(end.error is not None for end in execution.endings)
    assert {"repeatable read": 0, "serializable": 1} == refused


def test_walks_of_many_kinds_replay(scratch_url: str) -> None:
    """Unique, foreign-key and trigger waits among five workers: every walk runs the same way again."""
    set_up = f"""
        {ACCOUNTS};
        CREATE TABLE booking (id int PRIMARY KEY, account int NOT NULL REFERENCES account, note text UNIQUE);
        CREATE TABLE total (id int PRIMARY KEY, n int NOT NULL);
        INSERT INTO total VALUES (1, 0);
        CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE total SET n = n + 1 WHERE id = 1; RETURN NULL; END $$;
        CREATE TRIGGER counting AFTER INSERT ON booking FOR EACH ROW EXECUTE FUNCTION count_it();
    """  # noqa: S608 - a constant is put in

    def book(key: int, account: int, note: str) -> Any:  # noqa: ANN401 - a body
        def body(connection: Connection) -> None:
            connection.execute("INSERT INTO booking VALUES (%s, %s, %s)", (key, account, note))
            connection.commit()

        return body

    def remove(connection: Connection) -> None:
        connection.execute("DELETE FROM account WHERE id = 2")
        connection.commit()

    with ground(scratch_url, set_up) as opened:
        bodies = [book(1, 1, "a"), book(2, 2, "a"), book(3, 2, "b"), remove, naive]
        walks = replayed(opened, bodies, 40)
        errors = {type(end.error).__name__ for walk in walks for end in walk.endings if end.error is not None}
        assert {"UniqueViolation", "ForeignKeyViolation"} <= errors
        assert {True} == {
            any(each.blocked for each in walk.records) for walk in walks if walk.choices[:2] == (0, 1)
        } | {True}


def test_a_crash_rolls_back_and_the_body_runs_again(accounts: Ground) -> None:
    """A worker that crashes before its COMMIT leaves no lock and no change; its second delivery adds once."""
    database = accounts.database

    def delivered(number: int) -> Any:  # noqa: ANN401 - a body
        def body() -> str:
            times = 0
            while True:
                times += 1
                assert accounts.hub is not None
                accounts.hub.delivered()
                try:
                    add(1)(accounts.connection(number))
                except Crash:
                    continue
                return f"delivered {times}"

        return body

    execution = accounts.go(Order(0, 1, 2), [delivered(0), delivered(1)], crashes=1)
    assert (
        (0, 1, 2),
        {"account": ((1, 120), (2, 100))},
    ) == (execution.choices[:3], execution.state)
    assert database.columns() == {"account": ("id", "balance")}


def test_an_announced_step_is_one_step(accounts: Ground) -> None:
    """Who stands before a statement by itself and then sends it with libpq's own functions doesn't stand twice."""
    from psycopg import generators  # noqa: PLC0415 - what only this test and the worker's link use

    def raw(connection: Connection) -> None:
        connection.autocommit = True
        text = "UPDATE account SET balance = balance + 1 WHERE id = 1 RETURNING balance"
        point = accounts.database.point(connection, text)
        assert isinstance(point, Point)
        accounts.database.announce(point)
        connection.pgconn.send_query(text.encode())
        connection.wait(generators.execute(connection.pgconn))

    execution = accounts.run(Order(), [raw, add(1)])
    told = [(each.worker, each.point.kind, each.rows, each.count) for each in execution.records]
    assert [(0, "statement", [(101,)], 1), (1, "statement", None, 1), (1, "commit", None, -1)] == told


def test_a_walk_is_what_its_choices_say(accounts: Ground) -> None:
    """A replay of a walk that was cut short of its end diverges loudly instead of going on by itself."""
    walk = accounts.run(RandomWalk(3), [naive, naive])
    again = accounts.run(Replay(walk.choices), [naive, naive])
    assert shape(walk) == shape(again)
