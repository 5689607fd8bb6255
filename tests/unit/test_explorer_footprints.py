"""What statements read and lock, over a catalog written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.controlled.catalog import Catalog, Table
from orchestrator.controlled.footprints import Footprints
from orchestrator.explorer.model import EVERYTHING, Footprint, Place

if TYPE_CHECKING:
    from orchestrator.explorer.model import Places

_CATALOG = Catalog(
    {
        "accounts": Table("accounts", "public", ("id", "balance", "owner"), ("id",), ("integer",), frozenset({"id"})),
        "words": Table("words", "public", ("word", "n"), ("word",), ("text",), frozenset({"word"})),
        "tokens": Table("tokens", "public", ("token", "n"), ("token",), ("uuid",), frozenset({"token"})),
        "Mixed": Table("Mixed", "public", ("Id", "n"), ("Id",), ("integer",), frozenset({"Id"})),
        "pairs": Table("pairs", "public", ("a", "b", "n"), ("a", "b"), ("integer", "text"), frozenset({"a", "b"})),
        "heap": Table("heap", "public", ("n",)),
        "a.twice": Table("a.twice", "a", ("id",), ("id",), ("integer",), frozenset({"id"})),
        "b.twice": Table("b.twice", "b", ("id",), ("id",), ("integer",), frozenset({"id"})),
        "rich": Table("rich", "public", ("id",), view="SELECT id FROM accounts WHERE balance > 9"),
        "richest": Table("richest", "public", ("id",), view="SELECT id FROM rich r WHERE r.id = 1"),
        "endless": Table("endless", "public", ("id",), view="SELECT id FROM endless"),
        "calling": Table("calling", "public", ("id",), view="SELECT somebodys(1)"),
        "part": Table("part", "public", ("id",), root="whole"),
    },
    path=("public", "b", "a"),
)
_POSTGRES = Footprints("postgres", _CATALOG)
_SQLITE = Footprints(
    "sqlite", Catalog({name: table._replace(schema="main") for name, table in _CATALOG.tables.items()})
)


def _places(text: str) -> Places:
    """Read "accounts:1 words:*" as places; a composite key is written 1/x."""
    places = set()
    for each in text.split():
        table, _, key = each.partition(":")
        places.add(Place(table, tuple(key.split("/")) if "/" in key else key))
    return frozenset(places)


@pytest.mark.parametrize(
    ("sql", "parameters", "expected"),
    [
        ("SELECT 1", None, ""),
        ("SELECT balance FROM accounts WHERE id = 1", None, "accounts:1"),
        ("SELECT balance FROM accounts WHERE id = '1'", None, "accounts:1"),
        ("SELECT balance FROM accounts WHERE 1 = accounts.id", None, "accounts:1"),
        ("SELECT balance FROM accounts WHERE id = -1", None, "accounts:-1"),
        ("SELECT balance FROM accounts WHERE (id = (1))", None, "accounts:1"),
        ("SELECT balance FROM accounts WHERE id = 1.0", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id = '1.0'", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id = NULL", None, ""),
        ("SELECT balance FROM accounts WHERE id = balance", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id + 1 = 1", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id = %s", (1,), "accounts:1"),
        ("SELECT balance FROM accounts WHERE id = %s::bigint", ("1",), "accounts:1"),
        ("SELECT balance FROM accounts WHERE id = CAST(%s AS INTEGER)", (1,), "accounts:1"),
        ("SELECT balance FROM accounts WHERE id::text = %s", (1,), "accounts:*"),
        ("SELECT balance FROM accounts WHERE id > 1", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id BETWEEN 1 AND 2", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE NOT id = 1", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE (id = 1) IS NOT TRUE", None, "accounts:*"),
        ("SELECT balance FROM accounts", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE owner = 1", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE balance > 0 AND id = 1 AND owner = 3", None, "accounts:1"),
        ("SELECT balance FROM accounts WHERE id = 1 OR id = 2", None, "accounts:1 accounts:2"),
        ("SELECT balance FROM accounts WHERE id = 1 OR owner = 2", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE (id = 1 OR id = 2) AND id = 1", None, "accounts:1"),
        ("SELECT balance FROM accounts WHERE id IN (1, %s)", ("2",), "accounts:1 accounts:2"),
        ("SELECT balance FROM accounts WHERE id IN (1, owner)", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id NOT IN (1, 2)", None, "accounts:*"),
        ("SELECT balance FROM accounts WHERE id = ANY(%s)", ([1, 2],), "accounts:1 accounts:2"),
        ("SELECT balance FROM accounts WHERE id = ANY(%s::int[])", ((3,),), "accounts:3"),
        ("SELECT balance FROM accounts WHERE id = ANY(%s)", ("{1,2}",), "accounts:*"),
        ("SELECT balance FROM accounts WHERE id = ANY(ARRAY[1, 2])", None, "accounts:1 accounts:2"),
        ("SELECT balance FROM accounts WHERE id > ANY(%s)", ([1],), "accounts:*"),
        ("SELECT n FROM words WHERE word = %s", ("x",), "words:x"),
        ("SELECT n FROM words WHERE word = %s::varchar", ("x",), "words:x"),
        ("SELECT n FROM words WHERE word = %s::varchar(3)", ("x",), "words:*"),
        ("SELECT n FROM words WHERE word = 'x' COLLATE \"C\"", None, "words:*"),
        ("SELECT n FROM words WHERE lower(word) = 'x'", None, "words:*"),
        ("SELECT n FROM words WHERE word = 'it''s'", None, "words:it's"),
        (
            "SELECT n FROM tokens WHERE token = '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'",
            None,
            "tokens:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("SELECT n FROM tokens WHERE token = 'x'", None, "tokens:*"),
        ("SELECT n FROM pairs WHERE a = 1 AND b = 'x'", None, "pairs:1/x"),
        ("SELECT n FROM pairs WHERE a = 1", None, "pairs:*"),
        ("SELECT n FROM pairs WHERE (a, b) = (1, 'x')", None, "pairs:1/x"),
        ("SELECT n FROM pairs WHERE (b, a) IN (('x', 1), ('y', 1))", None, "pairs:1/x pairs:1/y"),
        ("SELECT n FROM pairs WHERE a IN (1, 2) AND b = %s", ("x",), "pairs:1/x pairs:2/x"),
        ("SELECT n FROM heap WHERE n = 1", None, "heap:*"),
        ("SELECT n FROM part WHERE id = 1", None, "whole:*"),
        ('SELECT n FROM "Mixed" WHERE "Id" = 1', None, "Mixed:1"),
        ('SELECT n FROM "Mixed" WHERE Id = 1', None, "Mixed:*"),
        ("SELECT BALANCE FROM ACCOUNTS WHERE ID = 1", None, "accounts:1"),
        ("SELECT 1 FROM public.accounts WHERE id = 1", None, "accounts:1"),
        ("SELECT 1 FROM twice WHERE id = 1", None, "b.twice:1"),
        ("SELECT 1 FROM a.twice WHERE id = 1", None, "a.twice:1"),
        ("SELECT a.n FROM words a, words b WHERE a.word = 'x' AND b.word = 'y'", None, "words:x words:y"),
        ("SELECT 1 FROM accounts a JOIN words w ON w.n = a.id WHERE a.id = 1", None, "accounts:1 words:*"),
        ("SELECT 1 FROM accounts JOIN words ON id = 1 WHERE word = 'x'", None, "accounts:1 words:x"),
        ("SELECT 1 FROM accounts a LEFT JOIN words w ON w.word = 'x' AND a.id = 1", None, "accounts:* words:x"),
        ("SELECT 1 FROM accounts a JOIN accounts b ON true WHERE id = 1", None, "accounts:*"),
        ("SELECT 1 FROM accounts, (SELECT 1 AS id) s WHERE id = 1", None, "accounts:*"),
        ("SELECT 1 FROM (accounts a JOIN words w ON a.owner = w.n) WHERE a.id = 1", None, "accounts:1 words:*"),
        ("SELECT 1 FROM accounts AS x(balance, id) WHERE id = 1", None, "accounts:*"),
        ("SELECT 1 FROM words WHERE word = 'x' AND n IN (SELECT id FROM accounts)", None, "words:x accounts:*"),
        ("SELECT (SELECT balance FROM accounts WHERE id = 1), n FROM heap", None, "accounts:1 heap:*"),
        (
            "SELECT 1 FROM accounts WHERE EXISTS (SELECT 1 FROM words WHERE word = 'x' AND n = id)",
            None,
            "accounts:* words:x",
        ),
        ("SELECT 1 FROM accounts, LATERAL (SELECT 1 FROM words WHERE n = accounts.id) l", None, "accounts:* words:*"),
        ("SELECT n FROM heap UNION ALL SELECT id FROM accounts WHERE id = 2", None, "heap:* accounts:2"),
        ("(SELECT n FROM heap) EXCEPT (SELECT n FROM words) ORDER BY 1", None, "heap:* words:*"),
        ("WITH x AS (SELECT n FROM heap) SELECT n FROM x", None, "heap:*"),
        ("WITH heap AS (SELECT n FROM heap) SELECT n FROM heap", None, "heap:*"),
        ("WITH accounts AS (SELECT 1 AS id) SELECT id FROM accounts", None, ""),
        ("WITH a AS (SELECT n FROM words), words AS (SELECT 1) SELECT 1 FROM words", None, "words:*"),
        ("WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT n FROM x, heap) SELECT * FROM x", None, "heap:*"),
        ("TABLE heap", None, "heap:*"),
        ("VALUES (1), (2)", None, ""),
        ("SELECT * FROM generate_series(1, 3) g, unnest(%s::int[]) u", ([1],), ""),
        ("SELECT id FROM rich WHERE id = 1", None, "accounts:*"),
        ("SELECT id FROM richest", None, "accounts:*"),
        ("SELECT 1 FROM pg_catalog.pg_class", None, "pg_class:*"),
        ("SELECT 1 FROM pg_stat_activity", None, "pg_stat_activity:*"),
        ("SELECT accounts FROM accounts TABLESAMPLE BERNOULLI (1)", None, "accounts:*"),
    ],
)
def test_reads_meet_whom_they_read_and_lock_nobody(sql: str, parameters: object, expected: str) -> None:
    """A plain read has the rows that its primary key names, otherwise the whole table; it holds nothing."""
    reading = _POSTGRES.read(sql, parameters)
    assert ("statement", Footprint(_places(expected)), False) == (reading.kind, reading.footprint, reading.writes)


@pytest.mark.parametrize(
    ("sql", "locks", "shares"),
    [
        ("SELECT 1 FROM accounts WHERE id = 1 FOR UPDATE", "accounts:1", ""),
        ("SELECT 1 FROM accounts WHERE id = 1 FOR NO KEY UPDATE NOWAIT", "accounts:1", ""),
        ("SELECT 1 FROM accounts WHERE id = 1 FOR SHARE", "", "accounts:1"),
        ("SELECT 1 FROM accounts WHERE id = 1 FOR KEY SHARE", "", "accounts:1"),
        ("SELECT 1 FROM accounts ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", "accounts:*", ""),
        ("SELECT 1 FROM accounts WHERE id IN (1, 2) ORDER BY id FOR UPDATE", "accounts:1 accounts:2", ""),
        ("SELECT 1 FROM accounts a, words w WHERE a.id = 1 FOR UPDATE", "accounts:1 words:*", ""),
        ("SELECT 1 FROM accounts a, words w WHERE a.id = 1 FOR UPDATE OF a", "accounts:1", ""),
        ("SELECT 1 FROM accounts a, words w WHERE a.id = 1 FOR UPDATE OF a FOR SHARE OF w", "accounts:1", "words:*"),
        ("SELECT 1 FROM (SELECT n FROM words WHERE word = 'x') s FOR UPDATE", "words:x", ""),
        ("WITH x AS (SELECT 1 FROM words) SELECT 1 FROM x, heap FOR UPDATE", "heap:*", ""),
        ("SELECT 1 FROM heap WHERE n IN (SELECT id FROM accounts WHERE id = 1 FOR UPDATE)", "accounts:1", ""),
        ("SELECT 1 FROM rich FOR UPDATE", "accounts:*", ""),
        ("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE", "accounts:*", ""),
        ("LOCK accounts, words IN EXCLUSIVE MODE NOWAIT", "accounts:* words:*", ""),
        ("LOCK TABLE ONLY accounts IN ROW EXCLUSIVE MODE", "", "accounts:*"),
    ],
)
def test_locking_reads_hold_what_they_read(sql: str, locks: str, shares: str) -> None:
    """FOR UPDATE locks its rows, FOR SHARE shares them, LOCK TABLE has the whole table."""
    footprint = _POSTGRES.read(sql).footprint
    assert (_places(locks), _places(shares), frozenset()) == (footprint.locks, footprint.shares, footprint.writes)


@pytest.mark.parametrize("mode", ["", " IN ACCESS EXCLUSIVE MODE"])
def test_a_lock_that_keeps_readers_out_counts_as_a_change(mode: str) -> None:
    """ACCESS EXCLUSIVE meets plain reads as what can't be read does."""
    whole = _places("accounts:*")
    assert Footprint(whole, whole, whole | EVERYTHING.locks) == _POSTGRES.read(f"LOCK TABLE accounts{mode}").footprint


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nonsense FROM FROM",
        "SELECT 'unclosed",
        "SELECT $$dollars$$",
        "SELECT $x$dollars, $1$x$ FROM accounts",
        "SELECT 1 FROM unheard_of",
        "SELECT 1 FROM elsewhere.accounts",
        "SELECT 1 FROM endless",
        "SELECT 1 FROM calling",
        "SELECT 1 FROM pg_locks",
        "SELECT somebodys(1)",
        "SELECT 1 FROM accounts WHERE id = somebodys(1)",
        "SELECT * FROM somebodys(1)",
        "SELECT * FROM ROWS FROM (somebodys(1))",
        "SELECT a.lower('x')",
        "SELECT a.now()",
        "SELECT id INTO other FROM accounts",
        "CREATE TABLE x (id int)",
        "ALTER TABLE accounts ADD COLUMN x int",
        "DROP TABLE accounts",
        "TRUNCATE accounts",
        "CREATE FUNCTION f() RETURNS int AS $$ BEGIN; RETURN 1; END $$ LANGUAGE plpgsql",
        "DO $$ BEGIN NULL; END $$",
        "CALL p(1)",
        "COPY accounts FROM STDIN",
        "EXPLAIN ANALYZE DELETE FROM accounts",
        "EXECUTE prepared(1)",
        "FETCH 1 FROM c",
        "REFRESH MATERIALIZED VIEW v",
        "VACUUM accounts",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "LOCK TABLE rich",
        "LOCK TABLE",
        "UPDATE accounts SET balance = 1 WHERE CURRENT OF c",
        "SELECT nextval(%s)",
        "(" * 3000 + "SELECT 1" + ")" * 3000,
    ],
)
def test_what_cannot_be_read_may_do_anything(sql: str) -> None:
    """Text that can't be read, DDL, procedures and unknown functions meet every place."""
    reading = _POSTGRES.read(sql)
    assert ("statement", EVERYTHING, True) == (reading.kind, reading.footprint, reading.writes)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ('SELECT 1 FROM "ACCOUNTS" WHERE [ID] = 1', "accounts:1"),
        ("SELECT 1 FROM main.accounts WHERE `id` == 1", "accounts:1"),
        ("SELECT 1 FROM accounts WHERE id IS 1", "accounts:1"),
        ("SELECT 1 FROM accounts INDEXED BY i WHERE id = 1", "accounts:1"),
        ('SELECT 1 FROM words WHERE word = "x"', "words:*"),
        ("SELECT 1 FROM words WHERE word = CAST(5 AS INTEGER)", "words:*"),
        ("SELECT 1 FROM words WHERE word = 5", "words:5"),
        ("SELECT 1 FROM accounts WHERE rowid = 1", "accounts:*"),
        ("SELECT name FROM sqlite_master", "sqlite_master:*"),
        ("SELECT rowrace_now(), json_each.value FROM json_each('[1]')", ""),
        ("SELECT * FROM pragma_table_info('accounts')", ""),
    ],
)
def test_sqlite_reads_in_its_own_dialect(sql: str, expected: str) -> None:
    """Names are quoted and folded as SQLite does, and a read locks nothing."""
    assert Footprint(_places(expected)) == _SQLITE.read(sql).footprint


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM accounts WHERE id IN words",
        "SELECT seq FROM sqlite_sequence",
        "SELECT 1 FROM other.accounts",
        "SELECT load_extension('x')",
        "ATTACH 'x' AS other",
        "VACUUM",
        "CREATE TRIGGER a AFTER INSERT ON accounts BEGIN DELETE FROM heap; END",
    ],
)
def test_sqlite_has_texts_that_may_do_anything_too(sql: str) -> None:
    """A table in the place of a list, attached databases and triggers are not looked into."""
    assert EVERYTHING == _SQLITE.read(sql).footprint


def test_without_a_catalog_every_statement_has_whole_tables() -> None:
    """Nothing is known of keys then, and every name is taken for a table."""
    bare = Footprints("postgres")
    whole = _places("t:*")
    assert Footprint(whole) == bare.read("SELECT 1 FROM s.t WHERE id = %s", (1,)).footprint
    assert Footprint(whole, whole, whole) == bare.read("UPDATE t SET n = 1 WHERE id = %s", (1,)).footprint


def test_a_function_of_a_user_is_met_under_any_name() -> None:
    """A user's function may be called as one that only computes is called elsewhere."""
    reader = Footprints("postgres", _CATALOG._replace(functions=frozenset({"lower"})))
    assert EVERYTHING == reader.read("SELECT LOWER('x')").footprint
    assert Footprint() == reader.read("SELECT upper('x'), 'lower'").footprint
