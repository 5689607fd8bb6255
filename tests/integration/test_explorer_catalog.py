"""Catalogs as SQLite and Postgres have them, and the footprints that follow."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

from orchestrator.controlled.catalog import Reference, of_postgres, of_sqlite
from orchestrator.controlled.footprints import Footprints
from orchestrator.explorer.model import EVERYTHING, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.controlled.catalog import Catalog

_SQLITE = """
    CREATE TABLE Parents (Id INTEGER PRIMARY KEY, name TEXT DEFAULT 'x', twice INT GENERATED ALWAYS AS (id * 2));
    CREATE TABLE children (
        id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES parents ON DELETE CASCADE, code TEXT UNIQUE
    );
    CREATE TABLE pairs (a INT, b VARCHAR(5), n REAL, PRIMARY KEY (b, a)) WITHOUT ROWID;
    CREATE TABLE folded (id TEXT COLLATE NOCASE PRIMARY KEY);
    CREATE TABLE numbers (id DECIMAL PRIMARY KEY);
    CREATE TABLE shifts (id INTEGER PRIMARY KEY, doctor INT, active INT);
    CREATE UNIQUE INDEX one_active ON shifts (doctor) WHERE active;
    CREATE TABLE heap (n, FOREIGN KEY (n, n) REFERENCES pairs (b, a));
    CREATE VIEW named AS SELECT id, name FROM parents WHERE id < 5;
    CREATE TRIGGER watched AFTER INSERT ON heap BEGIN DELETE FROM folded; END;
    CREATE TRIGGER stamped AFTER UPDATE ON Pairs BEGIN DELETE FROM folded; END;
    CREATE VIRTUAL TABLE searched USING fts5(word);
"""


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    """A database in memory with tables of many kinds."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SQLITE)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def test_sqlite_tells_keys_and_uniqueness(sqlite: sqlite3.Connection) -> None:
    """Keys have the order of the index; what compares otherwise than by text or number is no key."""
    tables = of_sqlite(sqlite).tables
    assert {
        "parents": (("id",), ("integer",), {"id"}, False),
        "children": (("id",), ("integer",), {"id", "code"}, True),
        "pairs": (("b", "a"), ("text", "integer"), {"a", "b"}, False),
        "folded": ((), (), {"id"}, False),
        "numbers": ((), (), {"id"}, False),
        "shifts": (("id",), ("integer",), {"id", "doctor", "*"}, True),
        "heap": ((), (), set(), False),
    } == {
        name: (table.key, table.kinds, set(table.unique), table.more)
        for name, table in tables.items()
        if not table.view and not name.startswith("searched")
    }


def test_sqlite_tells_the_rest(sqlite: sqlite3.Connection) -> None:
    """Columns without the computed ones, defaults, foreign keys with the targets that they leave out, and views."""
    tables = of_sqlite(sqlite).tables
    assert (("id", "name"), (("name", "'x'"),)) == (tables["parents"].columns, tables["parents"].defaults)
    assert (Reference("children", ("parent",), "parents", ("id",), passes=True, schema="main"),) == tables[
        "children"
    ].parents
    assert (Reference("heap", ("n", "n"), "pairs", ("b", "a"), passes=False, schema="main"),) == tables["heap"].parents
    assert "CREATE VIEW named AS SELECT id, name FROM parents WHERE id < 5" == tables["named"].view


def test_sqlite_triggers_are_opaque_unless_harmless(sqlite: sqlite3.Connection) -> None:
    """A table with a trigger, or a virtual one, may do anything when it is changed."""
    assert {"heap", "pairs", "searched"} == {name for name, table in of_sqlite(sqlite).tables.items() if table.opaque}
    assert {"heap", "searched"} == {
        name for name, table in of_sqlite(sqlite, frozenset({"stamped"})).tables.items() if table.opaque
    }


def test_sqlite_footprints_follow(sqlite: sqlite3.Connection) -> None:
    """What the catalog says is what statements touch."""
    reader = Footprints("sqlite", of_sqlite(sqlite))
    assert {Place("parents", "3")} == reader.read("INSERT INTO parents (id) VALUES (?)", (3,)).footprint.writes
    assert {Place("children"), Place("parents", "3")} == reader.read(
        "INSERT INTO children (parent) VALUES (?)", (3,)
    ).footprint.reads
    assert {Place("parents", "3"), Place("children")} == reader.read(
        "DELETE FROM parents WHERE id = 3"
    ).footprint.writes
    assert {Place("parents")} == reader.read("SELECT * FROM named").footprint.reads
    assert EVERYTHING == reader.read("INSERT INTO heap VALUES (1)").footprint


_POSTGRES = """
    CREATE SCHEMA {0}; CREATE SCHEMA {0}_b; SET search_path = {0}, {0}_b;
    CREATE TABLE parents (
        id bigint PRIMARY KEY, name text DEFAULT 'x', twice bigint GENERATED ALWAYS AS (id * 2) STORED
    );
    CREATE TABLE children (
        id serial PRIMARY KEY, parent bigint REFERENCES parents ON DELETE CASCADE, code text UNIQUE,
        other int GENERATED ALWAYS AS IDENTITY
    );
    CREATE TABLE pairs (a int, b varchar(5), n real, PRIMARY KEY (b, a));
    CREATE TABLE "Tokens" (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
    CREATE TABLE numbers (id numeric PRIMARY KEY);
    CREATE TABLE blanks (id char(5) PRIMARY KEY);
    CREATE TABLE shifts (id int PRIMARY KEY, doctor int, active bool);
    CREATE UNIQUE INDEX ON shifts (doctor) WHERE active;
    CREATE TABLE booked (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
    CREATE TABLE logs (id int, day int, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
    CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1) PARTITION BY LIST (id);
    CREATE TABLE logs_1_1 PARTITION OF logs_1 FOR VALUES IN (1);
    CREATE VIEW named AS SELECT id, name FROM parents WHERE id < 5;
    CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * $1';
    CREATE FUNCTION acts() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TRIGGER stamped BEFORE INSERT ON pairs FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE TABLE ruled (id int PRIMARY KEY);
    CREATE RULE refused AS ON INSERT TO ruled DO INSTEAD NOTHING;
    CREATE TABLE guarded (id int PRIMARY KEY);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE TABLE {0}_b.parents (id int PRIMARY KEY);
    CREATE TABLE {0}_b.far (
        id int PRIMARY KEY, parent int REFERENCES {0}_b.parents, near bigint REFERENCES {0}.parents
    );
"""


@pytest.fixture
def postgres(database_url: str, fresh_schema: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """An autocommit connection whose search path has two schemas with tables of many kinds."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            connection.execute(_POSTGRES.format(fresh_schema))
            yield connection, fresh_schema
        finally:
            connection.execute(f"DROP SCHEMA IF EXISTS {fresh_schema}, {fresh_schema}_b CASCADE")


def _tables(catalog: Catalog, schema: str) -> dict[str, str]:
    """Give the names without the test's own schema in them."""
    return {name.replace(schema, "a"): name for name in catalog.tables}


def test_postgres_tells_keys_and_uniqueness(postgres: tuple[psycopg.Connection, str]) -> None:
    """Keys are those whose values compare by text or number; partitions and their parent have none."""
    connection, schema = postgres
    catalog = of_postgres(connection)
    tables = {short: catalog.tables[name] for short, name in _tables(catalog, schema).items()}
    assert {
        "a.parents": (("id",), ("integer",), {"id"}, False),
        "a_b.parents": (("id",), ("integer",), {"id"}, False),
        "far": (("id",), ("integer",), {"id"}, False),
        "children": (("id",), ("integer",), {"id", "code"}, True),
        "pairs": (("b", "a"), ("text", "integer"), {"a", "b"}, False),
        "Tokens": (("id",), ("uuid",), {"id"}, False),
        "numbers": ((), (), {"id"}, False),
        "blanks": ((), (), {"id"}, False),
        "shifts": (("id",), ("integer",), {"id", "doctor", "*"}, True),
        "booked": (("id",), ("integer",), {"id", "during"}, True),
        "logs": ((), (), {"id", "day"}, False),
        "logs_1": ((), (), {"id", "day"}, False),
        "logs_1_1": ((), (), {"id", "day"}, False),
        "ruled": (("id",), ("integer",), {"id"}, False),
        "guarded": (("id",), ("integer",), {"id"}, False),
        "named": ((), (), set(), False),
        "kept": ((), (), set(), False),
    } == {name: (table.key, table.kinds, set(table.unique), table.more) for name, table in tables.items()}


def test_postgres_tells_the_rest(postgres: tuple[psycopg.Connection, str]) -> None:
    """Columns without the computed ones, defaults with identities' sequences, foreign keys over schemas, functions."""
    connection, schema = postgres
    catalog = of_postgres(connection)
    tables = catalog.tables
    parents = tables[f"{schema}.parents"]
    assert (("id", "name"), (("name", "'x'::text"),)) == (parents.columns, parents.defaults)
    assert (("id", "nextval('children_id_seq'::regclass)"), ("other", "nextval('children_other_seq')")) == tables[
        "children"
    ].defaults
    assert [(f"{schema}_b.parents", False), (f"{schema}.parents", False)] == [
        (each.parent, each.passes) for each in tables["far"].parents
    ]
    assert [("children", True), ("far", False)] == [(each.child, each.passes) for each in catalog.children(parents)]
    assert {"logs"} == {tables[name].place for name in ("logs", "logs_1", "logs_1_1")}
    assert {"pairs", "ruled", "guarded"} == {name for name, table in tables.items() if table.opaque}
    assert {"pairs", "ruled", "guarded"} - {"pairs"} == {
        name for name, table in of_postgres(connection, frozenset({"stamped"})).tables.items() if table.opaque
    }
    assert {"acts"} == {"acts", "twice", "noted"} & catalog.functions


def test_postgres_footprints_follow(postgres: tuple[psycopg.Connection, str]) -> None:
    """What the catalog says is what statements touch."""
    connection, schema = postgres
    reader = Footprints("postgres", of_postgres(connection))
    near = f"{schema}.parents"
    insert = reader.read("INSERT INTO children (id, parent, code) VALUES (%s, %s, %s)", (1, 3, "x")).footprint
    assert {Place("children"), Place("sequence children_other_seq")} == insert.writes
    assert {Place(near, "3")} == insert.shares
    assert {Place(near, "3")} == reader.read("INSERT INTO parents (id) VALUES (%s)", (3,)).footprint.writes
    assert {Place(f"{schema}_b.parents", "3")} == reader.read(
        f"SELECT 1 FROM {schema}_b.parents WHERE id = %s",  # noqa: S608 - it is read, not run
        (3,),
    ).footprint.reads
    assert {Place(near)} == reader.read("SELECT * FROM named").footprint.reads
    assert {Place("logs")} == reader.read("UPDATE logs_1 SET day = 1 WHERE id = 1").footprint.writes
    assert EVERYTHING == reader.read("SELECT acts()").footprint
    assert EVERYTHING == reader.read("SELECT twice(1)").footprint


def test_schemas_off_the_path_may_be_asked_for(postgres: tuple[psycopg.Connection, str]) -> None:
    """A body that names its schema needs no search path."""
    connection, schema = postgres
    connection.execute("SET search_path = public")
    reader = Footprints("postgres", of_postgres(connection, schemas=(schema,)))
    sql = f"SELECT 1 FROM {schema}.parents WHERE id = 3"  # noqa: S608 - it is read, not run
    assert {Place("parents", "3")} == reader.read(sql).footprint.reads


def test_reading_the_catalog_leaves_no_transaction(database_url: str, postgres: tuple[psycopg.Connection, str]) -> None:
    """A transaction that it opened is closed; one that was open goes on; rows of any shape will do."""
    _connection, schema = postgres
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        catalog = of_postgres(connection, schemas=(schema,))
        states = [connection.info.transaction_status]
        connection.execute("SELECT 1")
        assert catalog == of_postgres(connection, schemas=(schema,))
        states.append(connection.info.transaction_status)
    assert [psycopg.pq.TransactionStatus.IDLE, psycopg.pq.TransactionStatus.INTRANS] == states
