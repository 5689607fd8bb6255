"""What kinds of statements there are, and what functions do."""

from __future__ import annotations

import pytest

from orchestrator.controlled.catalog import Catalog, Table
from orchestrator.controlled.footprints import DATABASE, Footprints, Reading
from orchestrator.explorer.model import EVERYTHING, NOTHING, Footprint, Place

_CATALOG = Catalog({"t": Table("t", "main", ("id", "v"), ("id",), ("integer",), frozenset({"id"}))}, path=("main",))
_POSTGRES = Footprints("postgres", _CATALOG)
_SQLITE = Footprints("sqlite", _CATALOG)
_ROW = frozenset([Place("t", "1")])


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("BEGIN", "begin"),
        ("begin;", "begin"),
        ("-- opened\nBEGIN ISOLATION LEVEL REPEATABLE READ", "begin"),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "begin"),
        ("BEGIN; SET LOCAL lock_timeout = 5", "begin"),
        ("COMMIT", "commit"),
        ("/* done */ commit work", "commit"),
        ("END", "commit"),
        ("ROLLBACK", "rollback"),
        ("ABORT TRANSACTION", "rollback"),
        ("SAVEPOINT a", "quiet"),
        ("RELEASE SAVEPOINT a", "quiet"),
        ("RELEASE a", "quiet"),
        ("SET search_path = x", "quiet"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "quiet"),
        ("RESET ALL", "quiet"),
        ("SHOW search_path", "quiet"),
        ("LISTEN x", "quiet"),
        ("UNLISTEN *", "quiet"),
        ("NOTIFY x, 'y'", "quiet"),
        ("DEALLOCATE ALL", "quiet"),
        ("CLOSE c", "quiet"),
        ("", "quiet"),
        ("; -- nothing", "quiet"),
    ],
)
def test_postgres_statements_are_told_apart(sql: str, kind: str) -> None:
    """What begins and ends a transaction, and what nobody else can notice."""
    assert Reading(kind) == _POSTGRES.read(sql)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("BEGIN", "begin"),
        ("BEGIN DEFERRED TRANSACTION", "begin"),
        ("COMMIT TRANSACTION", "commit"),
        ("END", "commit"),
        ("ROLLBACK", "rollback"),
        ("SAVEPOINT a", "quiet"),
        ("RELEASE a", "quiet"),
        ("PRAGMA foreign_keys = ON", "quiet"),
        ("PRAGMA main.table_info(t)", "quiet"),
    ],
)
def test_sqlite_statements_are_told_apart(sql: str, kind: str) -> None:
    """A transaction begins without a lock, unless it asks for one."""
    assert Reading(kind) == _SQLITE.read(sql)


@pytest.mark.parametrize("sql", ["BEGIN IMMEDIATE", "begin exclusive transaction"])
def test_sqlite_may_begin_with_the_lock(sql: str) -> None:
    """BEGIN IMMEDIATE waits for whoever writes."""
    assert Reading("begin", Footprint(locks=frozenset([DATABASE]))) == _SQLITE.read(sql)


@pytest.mark.parametrize("sql", ["PRAGMA user_version = 5", "PRAGMA main.wal_checkpoint(FULL)", "PRAGMA data_version"])
def test_some_pragmas_are_noticed(sql: str) -> None:
    """What is written into the file's header, or read from it, is no setting."""
    assert EVERYTHING == _SQLITE.read(sql).footprint


@pytest.mark.parametrize(
    ("reader", "to"), [(_POSTGRES, "TO SAVEPOINT"), (_POSTGRES, "TO"), (_SQLITE, "TRANSACTION TO")]
)
def test_rolling_back_to_a_savepoint_may_free_locks(reader: Footprints, to: str) -> None:
    """Locks that were taken since are given back, while the transaction goes on."""
    assert Reading("statement", frees=True) == reader.read(f"ROLLBACK {to} a")


@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("SELECT pg_advisory_lock(7)", "7"),
        ("SELECT pg_advisory_xact_lock(%s)", "5"),
        ("SELECT pg_advisory_xact_lock(%s::bigint)", "5"),
        ("SELECT pg_try_advisory_lock(1, %s)", ("1", "5")),
        ("SELECT pg_try_advisory_xact_lock('7')", "7"),
        ("SELECT pg_advisory_lock(hashtext('x'))", "*"),
        ("SELECT pg_catalog.pg_advisory_lock(7)", "7"),
    ],
)
def test_advisory_locks_are_places(sql: str, key: object) -> None:
    """One number or two; a computed one may be any."""
    expected = Reading("statement", Footprint(locks=frozenset([Place("advisory", key)])))
    assert expected == _POSTGRES.read(sql, (5,) if "%s" in sql else None)


@pytest.mark.parametrize("sql", ["pg_advisory_lock_shared(7)", "pg_try_advisory_xact_lock_shared(7)"])
def test_shared_advisory_locks_are_shared(sql: str) -> None:
    """Others may share them."""
    assert Footprint(shares=frozenset([Place("advisory", "7")])) == _POSTGRES.read(f"SELECT {sql}").footprint


@pytest.mark.parametrize(
    ("sql", "key"),
    [("pg_advisory_unlock(7)", "7"), ("pg_advisory_unlock_shared(7)", "7"), ("pg_advisory_unlock_all()", "*")],
)
def test_giving_an_advisory_lock_back_frees_it(sql: str, key: object) -> None:
    """It meets whoever wants that lock, and may let them go on."""
    expected = Reading("statement", Footprint(locks=frozenset([Place("advisory", key)])), frees=True)
    assert expected == _POSTGRES.read(f"SELECT {sql}")


def test_discarding_a_session_frees_its_advisory_locks() -> None:
    """DISCARD ALL gives every one of them back."""
    assert _POSTGRES.read("SELECT pg_advisory_unlock_all()") == _POSTGRES.read("DISCARD ALL")


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("nextval('numbers')", "numbers"),
        ("nextval('public.numbers'::regclass)", "numbers"),
        ("nextval('Numbers')", "numbers"),
        ("nextval('\"Numbers\"')", "Numbers"),
        ("setval('numbers', 5)", "numbers"),
    ],
)
def test_sequences_are_places_that_change_at_once(sql: str, name: str) -> None:
    """Two draws from one sequence meet."""
    place = frozenset([Place(f"sequence {name}")])
    assert Reading("statement", Footprint(writes=place, locks=place), writes=True) == _POSTGRES.read(f"SELECT {sql}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_sleep(1), now(), random(), clock_timestamp(), txid_current(), pg_current_xact_id()::text, version()",
        "SELECT set_config('a.b', %s, true), current_setting('a.b'), pg_backend_pid(), pg_catalog.now()",
        "SELECT jsonb_build_object('a', 1), jsonb_set('{}', '{a}', '1'), to_jsonb(1), jsonb_array_elements('[]')",
        "SELECT count(*), sum(1) FILTER (WHERE true), array_agg(1), string_agg('a', ','), row_number() OVER ()",
        "SELECT coalesce(1, 2), nullif(1, 2), greatest(1, 2), lower('A'), md5('a'), hashtext('a'), gen_random_uuid()",
        "SELECT extract(epoch FROM now()), date_trunc('day', now()), to_char(now(), 'YYYY'), now() - interval '1 day'",
        "SELECT CASE WHEN true THEN 1 END, 'a' LIKE '%%', ARRAY[1], 1 = ANY(ARRAY[1]), currval('x'), lastval()",
    ],
)
def test_functions_that_compute_touch_nothing(sql: str) -> None:
    """The database's own functions have no footprint."""
    assert Reading("statement") == _POSTGRES.read(sql, ("x",) if "%s" in sql else None)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT datetime('now'), strftime('%s', 'now'), unixepoch(), julianday('now'), date('now'), random()",
        "SELECT last_insert_rowid(), changes(), total_changes(), sqlite_version(), hex(randomblob(8)), rowrace_txid()",
        "SELECT ifnull(1, 2), iif(1, 2, 3), typeof(1), printf('%d', 1), json_extract('{}', '$.a'), total(1), max(1, 2)",
    ],
)
def test_functions_of_sqlite_that_compute_touch_nothing(sql: str) -> None:
    """SQLite's own functions have no footprint, nor have those of rowrace's connections."""
    assert Reading("statement") == _SQLITE.read(sql)


def test_several_statements_are_one_with_everything_that_they_touch() -> None:
    """A text that opens a transaction, sets something and changes a row is a statement."""
    sql = "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT set_config('x', %s, true); UPDATE t SET v = 1 WHERE id = %s;"
    expected = Reading("statement", Footprint(_ROW, _ROW, _ROW), writes=True)
    assert expected == _POSTGRES.read(sql, ("1:2", 1))


def test_a_semicolon_in_a_string_ends_nothing() -> None:
    """Texts are split by tokens, and comments are none."""
    assert Footprint(_ROW) == _POSTGRES.read("SELECT ';' /* ; */ FROM t -- ;\n WHERE id = 1; ;").footprint


@pytest.mark.parametrize(
    ("sql", "frees"), [("UPDATE t SET v = 1 WHERE id = 1; COMMIT", True), ("SELECT 1; SELECT 2", False)]
)
def test_a_text_that_ends_its_transaction_frees_locks(sql: str, *, frees: bool) -> None:
    """A change and its COMMIT in one text is a statement after which others may go on."""
    reading = _POSTGRES.read(sql)
    assert ("statement", frees) == (reading.kind, reading.frees)


def test_one_unreadable_statement_makes_the_text_unreadable() -> None:
    """The union with everything is everything."""
    assert EVERYTHING == _POSTGRES.read("SELECT 1; VACUUM").footprint
    assert NOTHING == _POSTGRES.read("SELECT 1; SELECT 2").footprint
