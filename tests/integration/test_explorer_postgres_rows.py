"""Rows that are put back between schedules on an embedded PostgreSQL, and what the explorer refuses there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus

from orchestrator.controlled import postgres
from orchestrator.controlled.arena import BodiesArena
from orchestrator.controlled.database import ELSEWHERE, Uncontrolled
from orchestrator.controlled.embedded import embedded
from orchestrator.controlled.postgres import PostgresDatabase
from orchestrator.controlled.postgres_scratch import scratch
from tests.postgres_ground import ACCOUNTS, Ground, Order, ground, naive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services

    Connection = psycopg.Connection[Any]

SET_UP = """
    CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
    INSERT INTO account VALUES (1, 100), (2, 100);
    CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account int REFERENCES account ON DELETE CASCADE,
        twice int GENERATED ALWAYS AS (account * 2) STORED, data json);
    INSERT INTO item (account, data) VALUES (1, '{"a": 1}'), (2, null);
    CREATE TABLE log (line text);
    INSERT INTO log VALUES ('one'), ('one'), (null);
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log VALUES ('!'); RETURN NULL; END $$;
    CREATE TRIGGER shouting AFTER INSERT OR UPDATE OR DELETE ON account FOR EACH ROW EXECUTE FUNCTION shout();
    CREATE TABLE "Odd name" ("the key" text, part int, n int, PRIMARY KEY (part, "the key"));
    INSERT INTO "Odd name" VALUES ('a', 1, 1);
"""

CHANGES = [
    ["DELETE FROM account"],
    ["UPDATE account SET balance = balance - 1"],
    ["DELETE FROM item WHERE id = 1", "INSERT INTO item (account) VALUES (1)"],
    ["UPDATE item SET data = '[]'"],
    ["DELETE FROM log", "INSERT INTO log VALUES ('two')"],
    ['UPDATE "Odd name" SET "the key" = \'b\'', "INSERT INTO \"Odd name\" VALUES ('c', 2, 3)"],
    ["TRUNCATE account CASCADE"],
    ["WITH gone AS (DELETE FROM item RETURNING id) INSERT INTO log SELECT id::text FROM gone"],
]


@pytest.fixture(scope="module")
def scratch_url(services: Services) -> Iterator[str]:
    """URL of a database for this module's tests alone."""
    with scratch(services.database_url) as url:
        yield url


class _Interrupted:
    """libpq's part of a connection, where Ctrl-C comes with one of its results."""

    def __init__(self, pgconn: Any, after: int) -> None:  # noqa: ANN401 - psycopg's
        self._pgconn, self._after = pgconn, after

    def get_result(self) -> object:
        """Lose a result that was there."""
        result = self._pgconn.get_result()
        self._after -= 1
        if self._after == -1:
            raise KeyboardInterrupt
        return result

    def __getattr__(self, name: str) -> object:
        return getattr(self._pgconn, name)


@pytest.fixture
def tables(scratch_url: str) -> Iterator[Ground]:
    """Tables of many kinds."""
    with ground(scratch_url, SET_UP) as opened:
        yield opened


@pytest.mark.parametrize("hard", [False, True], ids=["mended", "filled again"])
@pytest.mark.parametrize("texts", CHANGES, ids=lambda texts: texts[0])
def test_every_change_is_put_back(scratch_url: str, texts: list[str], hard: bool) -> None:  # noqa: FBT001 - pytest gives it
    """Deleted, inserted and changed rows of touched tables are as kept before the next schedule, triggers or not."""

    def body(connection: Connection) -> None:
        for text in texts:
            connection.execute(text)
        connection.commit()

    with ground(scratch_url, SET_UP, hard=hard) as opened:
        before = opened.database.rows()
        changed = opened.run(Order(), [body]).state
        opened.database.reset()
        with psycopg.connect(opened.url) as outside:
            seen = {
                name: tuple(sorted(outside.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))), key=repr))
                for name in before
            }
        expected = {name: tuple(sorted(rows, key=repr)) for name, rows in before.items()}
        assert (expected, True) == (seen, changed != before)


def test_rows_that_were_not_touched_are_as_kept(tables: Ground) -> None:
    """The end state holds every table, the touched ones as they are now."""
    state = tables.run(Order(), [naive]).state
    assert (
        ["Odd name", "account", "item", "log"],
        ((1, 110), (2, 100)),
        ((1, 1, 2, {"a": 1}), (2, 2, 4, None)),
        ((None,), ("!",), ("one",), ("one",)),
    ) == (sorted(state), state["account"], state["item"], tuple(sorted(state["log"], key=lambda row: row[0] or "")))


def test_what_a_body_left_open_is_rolled_back(tables: Ground) -> None:
    """A transaction that a body forgot holds nothing in the next schedule."""

    def forgets(connection: Connection) -> None:
        connection.execute("UPDATE account SET balance = 0")

    runs = [tables.run(Order(1, 1, 1, 0), [forgets, naive]) for _ in range(2)]
    assert [((1, 110), (2, 100))] * 2 == [each.state["account"] for each in runs]


def test_who_waits_for_a_lock_that_is_never_given_back_is_told(tables: Ground) -> None:
    """A worker that ended with its transaction open leaves the next one waiting, and is told so."""

    def forgets(connection: Connection) -> None:
        connection.execute("UPDATE account SET balance = 0")

    execution = tables.run(Order(0), [forgets, naive])
    ends = [type(end.error) for end in execution.endings]
    assert ((1,), [type(None), psycopg.errors.LockNotAvailable]) == (execution.stuck, ends)


def looks(connection: Connection) -> object:
    """Read the balances, whatever comes of it."""
    try:
        return connection.execute("SELECT balance FROM account ORDER BY id").fetchall()
    except Exception as error:  # noqa: BLE001 - as some bodies do
        return type(error).__name__


def test_what_could_not_be_put_back_is_the_next_time(scratch_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody else locks rows that are to be put back, this is told though a body catches it; later they are."""
    impatient = postgres._MONITOR.replace(b"'10s'", b"'10ms'")
    monkeypatch.setattr(postgres, "_MONITOR", impatient)
    with ground(scratch_url, SET_UP) as opened, psycopg.connect(scratch_url) as outside:
        opened.run(Order(), [naive])
        outside.execute("LOCK TABLE account IN SHARE MODE")
        with pytest.raises(Uncontrolled, match="somebody else holds a lock"):
            opened.run(Order(), [looks])
        outside.rollback()
        assert [(100,), (100,)] == opened.run(Order(), [looks]).endings[0].value


def test_an_error_in_putting_back_is_no_bodys(scratch_url: str) -> None:
    """Whatever the server says when rows are put back, no body is told that its own statement failed so."""
    with ground(scratch_url, SET_UP) as opened, psycopg.connect(scratch_url, autocommit=True) as outside:
        opened.run(Order(), [naive])
        outside.execute("ALTER TABLE account ADD CHECK (balance <> 100) NOT VALID")
        with pytest.raises(Uncontrolled, match=r"Rows can't be put back: .* violates check constraint"):
            opened.run(Order(), [naive])
        outside.execute("ALTER TABLE account DROP CONSTRAINT account_balance_check")
        assert [(100,), (100,)] == opened.run(Order(), [looks]).endings[0].value


@pytest.mark.parametrize("results", range(4))
def test_who_interrupts_leaves_nothing_under_way(
    scratch_url: str, monkeypatch: pytest.MonkeyPatch, results: int
) -> None:
    """Ctrl-C while rows are put back, or read, leaves the explorer's connection ready, and rows to be put back."""

    def both(connection: Connection) -> None:
        connection.execute("UPDATE account SET balance = balance + 10")
        connection.execute("UPDATE other SET n = n + 1")
        connection.commit()

    other = "; CREATE TABLE other (n int PRIMARY KEY); INSERT INTO other VALUES (1)"
    with ground(scratch_url, ACCOUNTS + other) as opened:
        connection = opened.database._monitor._connection
        opened.run(Order(), [both])
        with monkeypatch.context() as patch:
            patch.setattr(connection, "pgconn", _Interrupted(connection.pgconn, results))
            with pytest.raises(KeyboardInterrupt):
                opened.run(Order(), [both])
        assert TransactionStatus.IDLE == connection.pgconn.transaction_status
        assert {"account": ((1, 110), (2, 110)), "other": ((2,),)} == opened.run(Order(), [both]).state


def test_a_bodys_ddl_is_refused(tables: Ground) -> None:
    """Tables that a body creates can't be put back, and are named as the reason."""

    def creates(connection: Connection) -> None:
        connection.execute("CREATE TABLE other (id int)")
        connection.commit()

    with pytest.raises(Uncontrolled, match="creates, drops or alters tables"):
        tables.run(Order(), [creates])


def test_too_many_rows_are_refused(scratch_url: str) -> None:
    """A set-up of more than a hundred thousand rows is told so at once."""
    with (
        pytest.raises(Uncontrolled, match="more than 100,000 rows"),
        ground(scratch_url, "CREATE TABLE big AS SELECT n FROM generate_series(1, 100001) n"),
    ):
        pass


def test_a_user_without_the_right_is_told_which(database_url: str) -> None:
    """Who may not pass triggers by learns which right is missing."""
    with scratch(database_url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE rowrace_nobody LOGIN PASSWORD 'secret'")
        try:
            nobody = psycopg.conninfo.make_conninfo(url, user="rowrace_nobody", password="secret")  # noqa: S106 - for this test
            with pytest.raises(Uncontrolled, match="GRANT SET ON PARAMETER session_replication_role TO rowrace_nobody"):
                PostgresDatabase(nobody)
        finally:
            connection.execute("DROP ROLE rowrace_nobody")


def test_two_workers_on_one_connection_are_refused(tables: Ground) -> None:
    """Workers that share a connection would hang in its lock; they are told instead, and what to do."""
    shared = tables.connection(0)
    with pytest.raises(Uncontrolled, match="threads=True"):
        tables.go(Order(0, 1), [lambda: naive(shared), lambda: naive(shared)])


def test_one_exploration_at_a_time_has_the_driver(tables: Ground) -> None:
    """The driver is one for the process, so a second exploration is refused while the first has it."""
    with pytest.raises(Uncontrolled, match="one at a time"), tables.database.control():
        pass


def test_other_databases_are_left_alone(tables: Ground, database_url: str) -> None:
    """A connection to another database is no worker's step."""

    def elsewhere(_connection: Connection) -> object:
        with psycopg.connect(database_url) as other:
            return other.execute("SELECT 1 FROM pg_class LIMIT 1").fetchone()

    execution = tables.run(Order(), [elsewhere])
    assert ((1,), 0) == (execution.endings[0].value, len(execution.records))


def test_a_pools_own_threads_are_left_alone_and_no_others(tables: Ground) -> None:
    """What a pool sends from a thread of its own is no step; what another thread sends is refused."""
    apart, said = psycopg.connect(tables.url, autocommit=True), []

    def send() -> None:
        try:
            apart.execute("SELECT * FROM account")
        except Uncontrolled as error:
            said.append(str(error))

    def as_a_pool_would() -> None:
        exec("send()", {"__name__": "psycopg_pool.pool", "send": send})  # noqa: S102 - the caller's module is what counts

    def body(_connection: Connection) -> None:
        for each in (as_a_pool_would, send):
            thread = threading.Thread(target=each)
            thread.start()
            thread.join()

    with apart:
        execution = tables.run(Order(), [body])
    assert (None, 0, [ELSEWHERE]) == (execution.endings[0].error, len(execution.records), said)


def test_workers_may_be_threads(tables: Ground) -> None:
    """With a thread per worker the same order gives the same rows, waits among them."""
    execution = tables.run(Order(0, 1, 0, 1, 0), [naive, naive], threads=True)
    blocked = [each.number for each in execution.records if each.blocked]
    assert ((0, 1, 0, 1, 0, 1), [3], (1, 110)) == (execution.choices, blocked, execution.state["account"][0])


def test_the_driver_is_as_before_afterwards(database_url: str) -> None:
    """Nothing of the hook, of a session's settings or of the kept rows stays."""
    wait, lock = psycopg.Connection.wait, psycopg.Connection.__dict__.get("lock")
    with scratch(database_url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SET_UP)
        before = connection.execute("SHOW deadlock_timeout").fetchone()
        database = PostgresDatabase(url)
        database.keep()
        with database.control():
            Ground(url, database).go(Order(), [lambda: connection.execute("SELECT * FROM account")])
        database.close()
        after = connection.execute("SHOW deadlock_timeout").fetchone()
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rowrace%'").fetchall()
    assert (wait, lock, before, []) == (
        psycopg.Connection.wait,
        psycopg.Connection.__dict__.get("lock"),
        after,
        schemas,
    )


def test_the_driver_is_let_go_though_rows_can_not_be_put_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails when an exploration ends is told, and leaves neither the hook nor its settings nor its copies."""
    monkeypatch.setattr(postgres, "_MONITOR", postgres._MONITOR.replace(b"'10s'", b"'10ms'"))
    wait, show = psycopg.Connection.wait, "SHOW synchronous_commit"
    with (
        scratch(database_url) as url,
        psycopg.connect(url, autocommit=True) as own,
        psycopg.connect(url) as outside,
    ):
        own.execute(ACCOUNTS)
        before = own.execute(show).fetchone()
        database = PostgresDatabase(url)
        database.keep()
        arena = BodiesArena(database, [lambda: own.execute("UPDATE account SET balance = 0")])
        with pytest.raises(Uncontrolled, match="somebody else holds a lock"), arena:  # noqa: PT012 - it is the end that fails
            arena.run(Order())
            outside.execute("LOCK TABLE account IN SHARE MODE")
            database.reset()
        outside.rollback()
        assert (wait, before) == (psycopg.Connection.wait, own.execute(show).fetchone())
        database.close()
        rows = own.execute("SELECT balance FROM account").fetchall()
        schemas = own.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rowrace%'").fetchall()
    assert ([(100,), (100,)], []) == (rows, schemas)


def test_a_servers_own_scratch_database() -> None:
    """An embedded server for one exploration gives a database of its own, in which schedules run."""
    with embedded() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SET_UP)
            settings = connection.execute("SELECT current_setting('fsync'), current_setting('autovacuum')").fetchone()
        database = PostgresDatabase(url)
        database.keep()
        opened = Ground(url, database)
        with database.control():
            state = opened.run(Order(0, 1), [naive, naive]).state
        opened.close()
        database.close()
    assert (("off", "off"), (1, 110)) == (settings, state["account"][0])
