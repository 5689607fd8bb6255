"""Rows of an SQLite file: kept, read, and put back after whatever a schedule did to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.sqlite import SqliteDatabase
from orchestrator.explorer.random_walk import RandomWalk
from tests.unit.exploring_sqlite import ACCOUNTS, explored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.exploring_sqlite import Explored

TABLES = """
    CREATE TABLE person (name TEXT PRIMARY KEY, mail TEXT UNIQUE, boss TEXT REFERENCES person ON DELETE CASCADE);
    INSERT INTO person VALUES ('zoe', 'z@x', NULL), ('adam', 'a@x', 'zoe'), (NULL, NULL, NULL);
    CREATE TABLE pair (a INT, b INT, value, PRIMARY KEY (b, a)) WITHOUT ROWID;
    INSERT INTO pair VALUES (1, 2, 'x'), (2, 1, x'00ff'), (3, 3, 1.0);
    CREATE TABLE heap (value, twice AS (value * 2));
    INSERT INTO heap VALUES (3), (1), (3), (NULL);
    CREATE TABLE "odd ""name" (rowid, "a b" TEXT);
    INSERT INTO "odd ""name" VALUES (5, 'five'), (5, 'six');
    CREATE TABLE ticket (id INTEGER PRIMARY KEY AUTOINCREMENT, text);
    INSERT INTO ticket (text) VALUES ('first'), ('second');
    CREATE TABLE watched (id INTEGER PRIMARY KEY, value);
    INSERT INTO watched VALUES (1, 'kept');
    CREATE TABLE log (text);
    CREATE TRIGGER watch AFTER UPDATE ON watched BEGIN INSERT INTO log VALUES (old.value || new.value); END;
    CREATE TRIGGER guard BEFORE DELETE ON watched BEGIN SELECT RAISE(ABORT, 'never'); END;
    CREATE VIEW rich AS SELECT * FROM account WHERE balance > 50;
    CREATE INDEX by_value ON heap (value);
"""
CHANGES = {
    "nothing": "SELECT * FROM account",
    "update": "UPDATE account SET balance = balance + 1 WHERE id = 1",
    "every row": "UPDATE account SET balance = 0",
    "insert": "INSERT INTO account (id, balance) VALUES (9, 1)",
    "delete": "DELETE FROM account",
    "other key": "UPDATE account SET id = id + 10",
    "unique values change places": "UPDATE person SET mail = NULL; UPDATE person SET mail = 'z@x' WHERE name = 'adam'; "
    "UPDATE person SET mail = 'a@x' WHERE name = 'zoe'",
    "cascade": "PRAGMA foreign_keys = ON; DELETE FROM person WHERE name = 'zoe'",
    "NULL key": "UPDATE person SET mail = 'n@x' WHERE name IS NULL; INSERT INTO person VALUES (NULL, NULL, NULL)",
    "text that is none": "UPDATE pair SET value = value || 'y'",
    "without rowid": "UPDATE pair SET value = 'y' WHERE a = 3; DELETE FROM pair WHERE a = 1",
    "another type of the same value": "UPDATE pair SET value = 1 WHERE a = 3",
    "no key": "DELETE FROM heap WHERE value = 3; INSERT INTO heap VALUES (3), ('3')",
    "odd names": """UPDATE "odd ""name" SET "a b" = 'x'; DELETE FROM "odd ""name" WHERE rowid = 5""",
    "counter": "INSERT INTO ticket (text) VALUES ('third'); DELETE FROM ticket WHERE text = 'third'",
    "triggers": "UPDATE watched SET value = 'changed'",
    "several tables": "UPDATE account SET balance = 1; DELETE FROM heap; INSERT INTO log VALUES ('x')",
    "many rows": "INSERT INTO heap SELECT value FROM generate; DELETE FROM account",
    "new table": "CREATE TABLE more (id INTEGER PRIMARY KEY); INSERT INTO more VALUES (1)",
    "new column": "ALTER TABLE account ADD COLUMN more TEXT DEFAULT 'x'",
    "dropped table": "DROP TABLE heap",
    "new index": "CREATE INDEX more ON heap (value)",
    "statistics": "ANALYZE",
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Explored]:
    """Tables of every kind."""
    with explored(tmp_path / "shop.db", f"{ACCOUNTS}{TABLES}") as exploration:
        yield exploration


def _sends(exploration: Explored, text: str) -> None:
    with closing(exploration.database.connect()) as connection, connection:
        connection.execute(text)


def everything(path: Path) -> list[str]:
    """Dump the whole file, row ids and counters included."""
    with closing(sqlite3.connect(path)) as connection:
        ids = [
            connection.execute(f'SELECT _rowid_, * FROM "{table}" ORDER BY 1').fetchall()  # noqa: S608 - names of this file
            for table in ("account", "person", "heap", 'odd ""name', "ticket", "sqlite_sequence")
        ]
        return [*connection.iterdump(), *map(repr, ids)]


@pytest.mark.parametrize("what", CHANGES)
def test_put_back(shop: Explored, what: str) -> None:
    """After a reset the file is as it was kept, to the row id and the counter."""
    before, rows = everything(shop.path), shop.database.rows()
    script = CHANGES[what].replace("FROM generate", f"FROM json_each('{list(range(1500))}')")

    def body() -> None:
        with closing(sqlite3.connect(shop.path)) as connection:
            for each in script.split("; "):
                connection.execute(each)
            connection.commit()

    for seed in range(2):
        changed = shop.run(RandomWalk(seed), body).state
        assert (what in {"nothing", "counter", "new index", "statistics"}) == (repr(rows) == repr(changed))
        shop.database.reset()
        assert repr(rows) == repr(shop.database.rows())
        assert before == everything(shop.path)


def test_rows_are_in_the_order_of_their_keys(shop: Explored) -> None:
    """Each table's rows, by primary key, else by how they look; SQLite's own tables are left out."""
    assert {
        "account": ((1, 100, 0), (2, 100, 0)),
        "heap": ((1,), (3,), (3,), (None,)),
        "log": (),
        'odd "name': ((5, "five"), (5, "six")),
        "pair": ((2, 1, b"\x00\xff"), (1, 2, "x"), (3, 3, 1.0)),
        "person": ((None, None, None), ("adam", "a@x", "zoe"), ("zoe", "z@x", None)),
        "ticket": ((1, "first"), (2, "second")),
        "watched": ((1, "kept"),),
    } == shop.database.rows()
    assert ("name", "mail", "boss") == shop.database.columns()["person"]
    assert list(shop.database.rows()) == list(shop.database.columns())


def test_open_transaction_is_rolled_back(shop: Explored) -> None:
    """A reset ends what a schedule has left open, also where rows that nobody saw were changed."""
    kept = shop.database.connect()

    def body() -> None:
        kept.execute("DELETE FROM account")

    assert 2 == len(shop.run(RandomWalk(0), body).state["account"])
    assert kept.in_transaction
    shop.database.reset()
    assert not kept.in_transaction
    assert 2 == len(shop.database.rows()["account"])


def test_nothing_is_written_where_nothing_was(shop: Explored) -> None:
    """A reset after a schedule that only read leaves the file alone."""
    with closing(sqlite3.connect(shop.path)) as watching:
        version = watching.execute("PRAGMA data_version").fetchone()
        shop.run(RandomWalk(0), partial(_sends, shop, "SELECT * FROM account"))
        shop.database.reset()
        assert version == watching.execute("PRAGMA data_version").fetchone()


def test_kept_again(shop: Explored) -> None:
    """What a set-up writes later is kept from then on."""
    with closing(sqlite3.connect(shop.path)) as connection:
        connection.execute("UPDATE account SET balance = 7")
        connection.execute("CREATE TABLE later (id INTEGER PRIMARY KEY)")
        connection.commit()
    shop.database.keep()

    def body() -> None:
        with closing(sqlite3.connect(shop.path)) as connection, connection:
            connection.execute("DELETE FROM account")
            connection.execute("INSERT INTO later VALUES (1)")

    shop.run(RandomWalk(0), body)
    shop.database.reset()
    rows = shop.database.rows()
    assert (((1, 7, 0), (2, 7, 0)), ()) == (rows["account"], rows["later"])


def test_stranger_who_writes(shop: Explored) -> None:
    """Where a connection from before the exploration holds the write lock, the sentence says why rows stay changed."""
    with closing(shop.database._connect(shop.path)) as stranger:
        stranger.execute("UPDATE account SET balance = 1")
        stranger.commit()
        stranger.execute("UPDATE account SET balance = 2")
        with pytest.raises(Uncontrolled, match="a connection that the explorer does not know writes"):
            shop.database.reset()


@pytest.mark.parametrize("mode", ["delete", "wal", "truncate"])
def test_nothing_is_left_behind(tmp_path: Path, mode: str) -> None:
    """The file's journal is as it was found, and the files of WAL mode are gone."""
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.executescript(ACCOUNTS)
    with explored(tmp_path / "plain.db", "") as bank:
        bank.run(RandomWalk(0), partial(_sends, bank, "DELETE FROM account"))
        assert (tmp_path / "plain.db-wal").exists()
    assert ["plain.db"] == [each.name for each in tmp_path.iterdir()]
    with closing(sqlite3.connect(path)) as connection:
        assert ("wal" if mode == "wal" else "delete",) == connection.execute("PRAGMA journal_mode").fetchone()
    assert sqlite3.Connection is type(connection)


def test_connections_are_given_back(tmp_path: Path) -> None:
    """A connection that outlives the exploration waits as long as it was opened to wait."""
    database = SqliteDatabase(tmp_path / "bank.db")
    with database.control():
        connection = sqlite3.connect(database.path, timeout=7)
        assert (0,) == connection.execute("PRAGMA busy_timeout").fetchone()
    database.close()
    with closing(connection):
        assert (7000,) == connection.execute("PRAGMA busy_timeout").fetchone()
        assert [(1,)] == connection.execute("SELECT 1").fetchall()


def test_no_wal_no_exploration(tmp_path: Path) -> None:
    """A file that can't be put into WAL mode is refused by a sentence."""
    path = tmp_path / "bank.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(ACCOUNTS)
        connection.execute("BEGIN IMMEDIATE")
        database = SqliteDatabase(path)
        with pytest.raises(Uncontrolled, match=r"bank.db can't be put into WAL mode"), database.control():
            pass
        database.close()
