"""Kinds of statements on an embedded PostgreSQL: each waits, reads and fails as it does between real sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column  # noqa: TC002 - mappings are read when run

from orchestrator.controlled.postgres_scratch import scratch
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.postgres_ground import Order, add, ground, replayed, shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services
    from tests.postgres_ground import Body, Ground

    Connection = psycopg.Connection[Any]

SET_UP = """
    CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
    INSERT INTO account VALUES (1, 100), (2, 100);
    CREATE TABLE child (id serial PRIMARY KEY, account int NOT NULL REFERENCES account, note text UNIQUE);
    CREATE TABLE log (line text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN UPDATE log SET line = line || '.'; RETURN NULL; END $$;
    CREATE TABLE noted (id int PRIMARY KEY);
    CREATE TRIGGER noting AFTER INSERT ON noted FOR EACH ROW EXECUTE FUNCTION note();
    INSERT INTO log VALUES ('');
    CREATE TABLE job (id int PRIMARY KEY, done bool NOT NULL DEFAULT false);
    INSERT INTO job VALUES (1), (2);
"""


@pytest.fixture(scope="module")
def scratch_url(services: Services) -> Iterator[str]:
    """URL of a database for this module's tests alone."""
    with scratch(services.database_url) as url:
        yield url


@pytest.fixture
def tables(scratch_url: str) -> Iterator[Ground]:
    """Accounts with children, a table with a trigger, and jobs."""
    with ground(scratch_url, SET_UP) as opened:
        yield opened


def sends(*texts: str, commit: bool = True) -> Body:
    """Make a body of plain statements; what the last one read is its value."""

    def body(connection: Connection) -> object:
        for text in texts:
            cursor = connection.execute(text)
        value = cursor.fetchall() if cursor.description else cursor.rowcount
        if commit:
            connection.commit()
        return value

    return body


def blocked(opened: Ground, order: tuple[int, ...], bodies: list[Body]) -> tuple[list[int], list[object]]:
    """Give the steps that had to wait, and what the bodies gave or raised."""
    execution = opened.run(Order(*order), bodies)
    again = opened.run(Replay(execution.choices), bodies)
    assert shape(execution) == shape(again)
    ends = [type(each.error).__name__ if each.error else each.value for each in execution.endings]
    return [each.number for each in execution.records if each.blocked], ends


def test_skip_locked_takes_another_job(tables: Ground) -> None:
    """Two takers get one job each, and neither waits."""
    take = sends("SELECT id FROM job WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    assert ([], [[(1,)], [(2,)]]) == blocked(tables, (0, 1), [take, take])


def test_on_conflict_waits_and_does_nothing(tables: Ground) -> None:
    """An upsert of a key that another transaction has just inserted waits for its COMMIT."""
    insert = sends("INSERT INTO job VALUES (3) ON CONFLICT DO NOTHING")
    assert ([1], [1, 0]) == blocked(tables, (0, 1, 0), [insert, insert])


def test_a_unique_value_waits_for_its_first_owner(tables: Ground) -> None:
    """The second insert of a unique value waits, and fails once the first is committed."""
    first = sends("INSERT INTO child (account, note) VALUES (1, 'a')")
    assert ([1], [1, "UniqueViolation"]) == blocked(tables, (0, 1, 0), [first, first])


def test_a_unique_value_is_free_after_a_rollback(tables: Ground) -> None:
    """Where the first owner rolls back, the second insert goes through."""

    def undo(connection: Connection) -> None:
        connection.execute("INSERT INTO child (account, note) VALUES (1, 'a')")
        connection.rollback()

    insert = sends("INSERT INTO child (account, note) VALUES (1, 'a')")
    assert ([1], [None, 1]) == blocked(tables, (0, 1, 0), [undo, insert])


def test_a_foreign_key_waits_for_the_parents_deletion(tables: Ground) -> None:
    """A child of a parent that is being deleted waits, and fails when it is gone."""
    delete, insert = sends("DELETE FROM account WHERE id = 2"), sends("INSERT INTO child (account) VALUES (2)")
    assert ([1], [1, "ForeignKeyViolation"]) == blocked(tables, (0, 1, 0), [delete, insert])


def test_a_trigger_waits_where_its_text_says_nothing(tables: Ground) -> None:
    """Two inserts of different rows wait for each other, since a trigger of both writes one row."""
    one, two = sends("INSERT INTO noted VALUES (1)"), sends("INSERT INTO noted VALUES (2)")
    execution = tables.run(Order(0, 1, 0), [one, two])
    assert ([1], ((("..",),))) == (
        [each.number for each in execution.records if each.blocked],
        execution.state["log"],
    )


def test_advisory_locks_wait_and_are_gone_in_the_next_schedule(tables: Ground) -> None:
    """A session's lock holds others up across COMMIT until it is given back, and ends with its schedule."""
    lock, unlock = "SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)"
    both, keeps = sends(lock, unlock), sends(lock)
    assert ([1], [[(True,)], [(True,)]]) == blocked(tables, (0, 1, 0), [both, both])
    assert ([], [[("",)]]) == blocked(tables, (0,), [keeps])


def test_sequences_are_put_back(tables: Ground) -> None:
    """Each schedule draws the same numbers."""
    draw = sends("INSERT INTO child (account) VALUES (1) RETURNING id")
    values = [tables.run(Order(0, 1), [draw, draw]).endings for _ in range(3)]
    assert [[[(1,)], [(2,)]]] * 3 == [[end.value for end in each] for each in values]


def test_a_savepoint_gives_back_what_it_locked(tables: Ground) -> None:
    """Rolling back to a savepoint frees its rows while the transaction goes on."""

    def partly(connection: Connection) -> None:
        with connection.transaction():
            connection.execute("UPDATE account SET balance = 0 WHERE id = 1")
            with connection.transaction(force_rollback=True):
                connection.execute("UPDATE account SET balance = 0 WHERE id = 2")
            connection.execute("UPDATE account SET balance = 1 WHERE id = 1")

    execution = tables.run(Order(0, 0, 1, 0, 1, 0), [partly, add(2)])
    kinds = [(each.worker, each.point.statement.split(" ")[0], each.blocked) for each in execution.records]
    expected = [
        (0, "UPDATE", False),
        (0, "UPDATE", False),
        (1, "UPDATE", True),
        (0, "ROLLBACK", False),
        (1, "COMMIT", False),
        (0, "UPDATE", False),
        (0, "COMMIT", False),
    ]
    assert (expected, ((1, 1), (2, 110))) == (kinds, execution.state["account"])


def test_autocommit_is_a_step_of_its_own(tables: Ground) -> None:
    """Outside of a transaction a statement holds nothing, and no COMMIT is stood before."""

    def alone(connection: Connection) -> None:
        connection.autocommit = True
        connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")
        connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

    execution = tables.run(Order(0, 1, 0, 1), [alone, alone])
    told = [(each.point.kind, each.point.alone, each.blocked) for each in execution.records]
    assert ([("statement", True, False)] * 4, (1, 104)) == (told, execution.state["account"][0])


def test_begin_and_commit_as_text_are_seen(tables: Ground) -> None:
    """A transaction that is written out is the same as the driver's."""

    def written(connection: Connection) -> None:
        connection.autocommit = True
        for text in ("BEGIN", "UPDATE account SET balance = balance + 1 WHERE id = 1", "COMMIT"):
            connection.execute(text)

    execution = tables.run(Order(0, 1, 0, 1), [written, written])
    told = [(each.worker, each.point.kind, each.blocked) for each in execution.records]
    assert [
        (0, "statement", False),
        (1, "statement", True),
        (0, "commit", False),
        (1, "commit", False),
    ] == told


def test_a_server_side_cursor_is_read_step_by_step(tables: Ground) -> None:
    """Opening a cursor and each reading of it are steps, and it sees the rows as of its opening."""

    def read(connection: Connection) -> list[object]:
        with connection.cursor(name="reader") as cursor:
            cursor.execute("SELECT balance FROM account ORDER BY id")
            rows = [cursor.fetchone(), cursor.fetchone()]
        connection.commit()
        return rows

    execution = tables.run(Order(0, 1, 1, 0), [read, add(1)])
    texts = [each.point.statement.split(" ")[0] for each in execution.records if each.worker == 0]
    assert ([(100,), (100,)], ["SELECT", "FETCH", "FETCH", "COMMIT"]) == (execution.endings[0].value, texts)


def test_copy_waits_for_a_unique_value(tables: Ground) -> None:
    """COPY is one step, blocked where one of its rows is, and its error is that step's."""

    def copies(connection: Connection) -> None:
        with connection.cursor().copy("COPY job (id) FROM STDIN") as copy:
            copy.write_row((3,))
            copy.write_row((4,))
        connection.commit()

    execution = tables.run(Order(0, 1, 0), [copies, copies])
    told = [(each.worker, each.point.kind, each.blocked, each.error.partition(":")[0]) for each in execution.records]
    assert [(0, "statement", False, ""), (1, "statement", True, "UniqueViolation"), (0, "commit", False, "")] == told


def test_executemany_is_one_step(tables: Ground) -> None:
    """All rows of an executemany are changed in one step, which knows each of them."""

    def many(connection: Connection) -> None:
        connection.cursor().executemany("UPDATE account SET balance = %s WHERE id = %s", [(1, 1), (2, 2)])
        connection.commit()

    execution = tables.run(Order(0, 1, 0), [many, many])
    told = [(each.worker, each.point.kind, each.blocked, each.count) for each in execution.records]
    expected = [
        (0, "statement", False, 2),
        (1, "statement", True, 2),
        (0, "commit", False, -1),
        (1, "commit", False, -1),
    ]
    assert expected == told
    assert {"1", "2"} == {place.key for place in execution.events[0].footprint.writes}


def test_a_stream_is_one_step(tables: Ground) -> None:
    """Rows that are read one by one from one statement need one choice."""

    def streams(connection: Connection) -> list[object]:
        rows = list(connection.cursor().stream("SELECT id FROM account ORDER BY id"))
        connection.commit()
        return rows

    execution = tables.run(Order(), [streams])
    kinds = [each.point.kind for each in execution.records]
    assert ([(1,), (2,)], ["statement", "commit"]) == (execution.endings[0].value, kinds)


VERSIONED = """
    CREATE TABLE versioned (id int PRIMARY KEY, balance int, version int);
    INSERT INTO versioned VALUES (1, 100, 1);
"""


class Base(DeclarativeBase):
    """The mapping's own root."""


class Account(Base):
    """An account with a version that SQLAlchemy checks."""

    __tablename__ = "versioned"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy documents it


def test_an_orm_session_over_an_engine(scratch_url: str) -> None:
    """Sessions over a pool that knows nothing of an exploration: a stale version is found, and every walk replays."""
    with ground(scratch_url, VERSIONED) as opened:
        engine = sa.create_engine(opened.url.replace("postgresql://", "postgresql+psycopg://"))

        def body() -> None:
            with Session(engine) as session:
                account = session.get_one(Account, 1)
                account.balance += 10
                session.commit()

        try:
            ends = set()
            for seed in range(20):
                walk = opened.go(RandomWalk(seed), [body, body])
                assert shape(walk) == shape(opened.go(Replay(walk.choices), [body, body]))
                ends.add((tuple(end.shown for end in walk.endings), walk.state["versioned"]))
        finally:
            engine.dispose()
        stale = {("None", "StaleDataError"), ("StaleDataError", "None")}
        one, both = ((1, 110, 2),), ((1, 120, 3),)
        assert {(("None", "None"), both)} | {(end, one) for end in stale} == ends


def test_walks_with_savepoints_and_upserts_replay(tables: Ground) -> None:
    """Savepoints, upserts, advisory locks, sequences and jobs among four workers: nothing differs in a replay."""

    def tries(connection: Connection) -> None:
        with connection.transaction():
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO child (account, note) VALUES (1, 'a')")
            except psycopg.errors.UniqueViolation:
                connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

    bodies = [
        tries,
        tries,
        sends(
            "SELECT pg_advisory_xact_lock(1)", "INSERT INTO job VALUES (3) ON CONFLICT (id) DO UPDATE SET done = true"
        ),
        sends("SELECT pg_advisory_xact_lock(1)", "SELECT id FROM job ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"),
    ]
    walks = replayed(tables, bodies, 30)
    assert {(101,)} == {(walk.state["account"][0][1],) for walk in walks}
