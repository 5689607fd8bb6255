"""Small configurations: bodies, rows, backend and level, each small enough to try every schedule there is."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from orchestrator.controlled.arena import BodiesArena
from orchestrator.controlled.postgres import PostgresDatabase
from orchestrator.controlled.sqlite import SqliteDatabase
from tests.small_bodies import (
    advisory,
    alone,
    atomic,
    begun,
    checked_insert,
    claim,
    forgetful,
    impatient,
    naive,
    next_number,
    optimistic,
    reader,
    refusing,
    savepoint,
    sends,
    skew,
    torn,
    transfer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.small_bodies import Body

LEVELS = ("read committed", "repeatable read", "serializable")

ACCOUNT = (
    "CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL, version integer NOT NULL)",
    "INSERT INTO account (id, balance, version) VALUES (1, 100, 0), (2, 100, 0)",
)
BOOKING = ("CREATE TABLE booking (id integer PRIMARY KEY, seat text NOT NULL)",)
UNIQUE = ("CREATE TABLE place (id integer PRIMARY KEY, seat text NOT NULL UNIQUE, taken integer NOT NULL)",)
FAMILY = (
    "CREATE TABLE parent (id integer PRIMARY KEY, name text)",
    "CREATE TABLE child (id integer PRIMARY KEY, parent integer NOT NULL REFERENCES parent (id))",
    "INSERT INTO parent (id, name) VALUES (1, 'a'), (2, 'b')",
)
LATE_FAMILY = (
    FAMILY[0],
    FAMILY[1].replace("(id))", "(id) DEFERRABLE INITIALLY DEFERRED)"),
    FAMILY[2],
)
TOTAL = (
    *ACCOUNT,
    "CREATE TABLE total (id integer PRIMARY KEY, changes integer NOT NULL)",
    "INSERT INTO total (id, changes) VALUES (1, 0)",
)
SQLITE_TRIGGER = (
    "CREATE TRIGGER counting AFTER UPDATE ON account BEGIN UPDATE total SET changes = changes + 1 WHERE id = 1; END",
)
POSTGRES_TRIGGER = (
    """CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE total SET changes = changes + 1 WHERE id = 1; RETURN NEW; END $$""",
    "CREATE TRIGGER counting AFTER UPDATE ON account FOR EACH ROW EXECUTE FUNCTION count_it()",
)
JOURNAL = (*ACCOUNT, "CREATE TABLE journal (id serial PRIMARY KEY, word text NOT NULL)")

#: Statements of foreign keys.
BORN = "INSERT INTO child (id, parent) VALUES (1, 1)"
BORN_TOO = "INSERT INTO child (id, parent) VALUES (2, 1)"
ORPHANED = "DELETE FROM parent WHERE id = 1"
NAMED = "UPDATE parent SET name = 'c' WHERE id = 1"
MOVED = "UPDATE parent SET id = 3 WHERE id = 1"

#: Statements of unique keys.
SEATED = "INSERT INTO place (id, seat, taken) VALUES (1, '1a', 1)"
SEATED_TOO = "INSERT INTO place (id, seat, taken) VALUES (2, '1a', 1)"
IGNORED = " ON CONFLICT DO NOTHING"
COUNTED = " ON CONFLICT (seat) DO UPDATE SET taken = place.taken + 1"


class Configuration(NamedTuple):
    """One exploration small enough for brute force."""

    name: str
    backend: str
    isolation: str
    set_up: tuple[str, ...]
    bodies: tuple[Body, ...]
    #: Too big for every run of the tests.
    long: bool = False


def _sqlite(name: str, set_up: tuple[str, ...], *bodies: Body, long: bool = False) -> list[Configuration]:
    return [Configuration(f"sqlite-{name}", "sqlite", "sqlite", set_up, bodies, long)]


def _postgres(
    name: str, set_up: tuple[str, ...], *bodies: Body, levels: tuple[str, ...] = LEVELS, long: bool = False
) -> list[Configuration]:
    return [
        Configuration(f"postgres-{level.replace(' ', '-')}-{name}", "postgres", level, set_up, bodies, long)
        for level in levels
    ]


def _both(name: str, set_up: tuple[str, ...], *bodies: Body) -> list[Configuration]:
    return _sqlite(name, set_up, *bodies) + _postgres(name, set_up, *bodies)


_READ_COMMITTED = LEVELS[:1]

_STRATEGIES = [
    *_both("naive-2", ACCOUNT, naive(), naive()),
    *_both("naive-two-rows", ACCOUNT, naive(1), naive(2)),
    *_both("torn-2", ACCOUNT, torn(), torn()),
    *_both("optimistic-2", ACCOUNT, optimistic(), optimistic()),
    *_both("optimistic-naive", ACCOUNT, optimistic(), naive()),
    *_both("atomic-2", ACCOUNT, atomic(), atomic()),
    *_both("atomic-3", ACCOUNT, atomic(), atomic(), atomic()),
    *_both("atomic-naive", ACCOUNT, atomic(), naive()),
    *_sqlite("optimistic-twice", ACCOUNT, optimistic(tries=2), optimistic(tries=2)),
    *_postgres("optimistic-twice", ACCOUNT, optimistic(tries=2), optimistic(tries=2), levels=_READ_COMMITTED),
    *_sqlite("naive-3", ACCOUNT, naive(), naive(), naive()),
    *_postgres("naive-3", ACCOUNT, naive(), naive(), naive(), long=True),
    *_sqlite("optimistic-3", ACCOUNT, optimistic(), optimistic(), optimistic(), long=True),
    *_sqlite("naive-begun", ACCOUNT, begun(naive()), begun(naive())),
    *_sqlite("naive-immediate", ACCOUNT, begun(naive(), "BEGIN IMMEDIATE"), begun(naive(), "BEGIN IMMEDIATE")),
    *_sqlite("naive-exclusive", ACCOUNT, begun(naive(), "BEGIN EXCLUSIVE"), naive()),
    *_sqlite("naive-immediate-3", ACCOUNT, *[begun(naive(), "BEGIN IMMEDIATE")] * 3),
    *_postgres("for-update-2", ACCOUNT, naive(lock="FOR UPDATE"), naive(lock="FOR UPDATE")),
    *_postgres("for-update-naive", ACCOUNT, naive(lock="FOR UPDATE"), naive()),
    *_postgres("for-no-key-update", ACCOUNT, naive(lock="FOR NO KEY UPDATE"), naive(lock="FOR UPDATE")),
    *_postgres("for-share", ACCOUNT, naive(lock="FOR SHARE"), naive(lock="FOR SHARE")),
    *_postgres("for-update-3", ACCOUNT, *[naive(lock="FOR UPDATE")] * 3, levels=_READ_COMMITTED, long=True),
    *_postgres("alone", ACCOUNT, alone(naive()), alone(naive()), levels=_READ_COMMITTED),
    *_postgres("alone-optimistic", ACCOUNT, alone(optimistic(tries=2)), atomic(), levels=_READ_COMMITTED),
]

_ROWS = [
    *_both("transfer-same-order", ACCOUNT, transfer(1, 2), transfer(1, 2)),
    *_both("transfer-opposite-order", ACCOUNT, transfer(1, 2), transfer(2, 1)),
    *_both("transfer-read", ACCOUNT, transfer(1, 2), reader(2, 1)),
    *_both("snapshot", ACCOUNT, reader(1, 2), atomic(2)),
    *_sqlite("snapshot-begun", ACCOUNT, begun(reader(1, 2)), atomic(2)),
    *_postgres("three-in-a-row", ACCOUNT, skew(1), atomic(2), reader(1, 2), levels=LEVELS[2:]),
    *_postgres("three-skewed", ACCOUNT, skew(1), skew(2), skew(1), long=True),
    *_both("write-skew", ACCOUNT, skew(1), skew(2)),
    *_sqlite("write-skew-begun", ACCOUNT, begun(skew(1)), begun(skew(2))),
    *_postgres("write-skew-locked", ACCOUNT, skew(1, lock="FOR UPDATE"), skew(2, lock="FOR UPDATE")),
    *_postgres("write-skew-half-locked", ACCOUNT, skew(1, lock="FOR SHARE"), skew(2), levels=_READ_COMMITTED),
    *_sqlite("transfer-read-3", ACCOUNT, transfer(1, 2), reader(2, 1), naive()),
    *_postgres("transfer-read-3", ACCOUNT, transfer(1, 2), reader(2, 1), atomic(), long=True),
    *_both("next-number", ACCOUNT, refusing(next_number), refusing(next_number)),
    *_both("savepoint-undone", ACCOUNT, savepoint(1, undo=True), savepoint(2, undo=True)),
    *_both("savepoint-kept", ACCOUNT, savepoint(1, undo=False), atomic(2)),
    *_both("undone", ACCOUNT, sends("UPDATE account SET balance = 0 WHERE id = 1", undo=True), naive()),
    *_both("deleted", ACCOUNT, sends("DELETE FROM account WHERE id = 1"), optimistic(2), atomic()),
    *_both("whole-table", ACCOUNT, sends("UPDATE account SET balance = balance * 2"), atomic(2)),
    *_both("by-value", ACCOUNT, sends("UPDATE account SET version = 1 WHERE balance = 100"), atomic(1)),
    *_both("forgetful", ACCOUNT, forgetful, atomic()),
]

_CONSTRAINTS = [
    *_both("checked-insert", BOOKING, checked_insert(1), checked_insert(2)),
    *_both("unique", UNIQUE, refusing(sends(SEATED)), refusing(sends(SEATED_TOO))),
    *_both("unique-undone", UNIQUE, sends(SEATED, undo=True), refusing(sends(SEATED_TOO))),
    *_both("unique-3", UNIQUE, *[refusing(sends(SEATED))] * 3),
    *_both("ignored", UNIQUE, sends(SEATED + IGNORED), sends(SEATED_TOO + IGNORED)),
    *_both("counted", UNIQUE, sends(SEATED + COUNTED), sends(SEATED_TOO + COUNTED)),
    *_both("counted-deleted", UNIQUE, sends(SEATED + COUNTED), sends(SEATED + IGNORED, "DELETE FROM place")),
    *_postgres("orphan", FAMILY, refusing(sends(BORN)), refusing(sends(ORPHANED))),
    *_postgres("born-named", FAMILY, refusing(sends(BORN)), sends(NAMED), refusing(sends(BORN_TOO))),
    *_postgres("born-moved", FAMILY, refusing(sends(BORN)), refusing(sends(MOVED)), levels=_READ_COMMITTED),
    *_postgres("late-orphan", LATE_FAMILY, refusing(sends(BORN)), refusing(sends(ORPHANED))),
    *_sqlite(
        "orphan", FAMILY, *[refusing(begun(sends(each), "PRAGMA foreign_keys = ON")) for each in (BORN, ORPHANED)]
    ),
]

_OTHER_LOCKS = [
    *_postgres("claim-2", ACCOUNT, claim, claim),
    *_postgres("claim-3", ACCOUNT, claim, claim, claim, levels=_READ_COMMITTED, long=True),
    *_postgres("impatient", ACCOUNT, impatient, impatient),
    *_postgres("advisory", ACCOUNT, advisory("xact"), advisory("xact")),
    *_postgres("advisory-session", ACCOUNT, advisory("session"), advisory("session"), levels=LEVELS[:2], long=True),
    *_postgres("advisory-try", ACCOUNT, advisory("try"), advisory("try")),
    *_postgres("table", ACCOUNT, sends("LOCK TABLE account", "SELECT balance FROM account ORDER BY id"), atomic()),
    *_sqlite("trigger", TOTAL + SQLITE_TRIGGER, atomic(1), atomic(2), atomic(1)),
    *_postgres("trigger", TOTAL + POSTGRES_TRIGGER, atomic(1), atomic(2)),
    *_postgres("trigger-read", TOTAL + POSTGRES_TRIGGER, atomic(1), sends("SELECT changes FROM total")),
    *_postgres(
        "serial",
        JOURNAL,
        sends("INSERT INTO journal (word) VALUES ('a') RETURNING id"),
        sends("INSERT INTO journal (word) VALUES ('b') RETURNING id", undo=True),
    ),
]

CONFIGURATIONS = (*_STRATEGIES, *_ROWS, *_CONSTRAINTS, *_OTHER_LOCKS)


@contextmanager
def on_sqlite(configuration: Configuration, folder: Path) -> Iterator[BodiesArena]:
    """An arena on a new file with the configuration's rows."""
    path = folder / "explored.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in configuration.set_up:
            connection.execute(statement)
        connection.commit()
    with closing(SqliteDatabase(path)) as database:
        database.keep()
        with BodiesArena(database, configuration.bodies) as arena:
            yield arena


@contextmanager
def on_postgres(configuration: Configuration, url: str) -> Iterator[BodiesArena]:
    """An arena on a schema of its own with the configuration's rows."""
    schema = f"explored_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            connection.execute(f"SET search_path = {schema}")
            for statement in configuration.set_up:
                connection.execute(statement.encode())
            there = make_conninfo(url, options=f"-c search_path={schema}")
            with closing(PostgresDatabase(there, configuration.isolation)) as database:
                database.keep()
                with BodiesArena(database, configuration.bodies) as arena:
                    yield arena
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
