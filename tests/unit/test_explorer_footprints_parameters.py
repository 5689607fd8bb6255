"""Parameters of every style, and that what SQLite does to rows is in their footprints."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.controlled.catalog import Catalog, Table, of_sqlite
from orchestrator.controlled.footprints import Footprints
from orchestrator.explorer.model import EVERYTHING, Place, meet

_CATALOG = Catalog(
    {
        "t": Table("t", "main", ("id", "v"), ("id",), ("integer",), frozenset({"id"})),
        "w": Table("w", "main", ("id", "v"), ("id",), ("text",), frozenset({"id"})),
        "u": Table("u", "main", ("id", "v"), ("id",), ("uuid",), frozenset({"id"})),
        "p": Table("p", "main", ("a", "b"), ("a", "b"), ("integer", "integer"), frozenset({"a", "b"})),
    },
    path=("main",),
)
_POSTGRES = Footprints("postgres", _CATALOG)
_SQLITE = Footprints("sqlite", _CATALOG)


class _Plain(Enum):
    ONE = 1


class _Number(IntEnum):
    ONE = 1


def _select(table: str, condition: str) -> str:
    return f"SELECT 1 FROM {table} WHERE {condition}"  # noqa: S608 - the tests' own text


def _keys(reader: Footprints, sql: str, parameters: object) -> set[object]:
    return {key for _table, key in reader.read(sql, parameters).footprint.reads}


@pytest.mark.parametrize(
    ("where", "parameters"),
    [
        ("v = %s AND id = %s", (5, 1)),
        ("v = %s AND id = %s", [5, "1"]),
        ("v = %b AND id = %t", (5, 1)),
        ("v = %(new)s AND id = %(key)s", {"key": 1, "new": 5}),
        ("v = %(new)s AND id = %(key)s::BIGINT AND v <> %(new)s", {"key": 1, "new": 5}),
        ("v = %(key)s AND id = %(key)s", {"key": 1}),
        ("v LIKE '%%s' AND id = %s", (1,)),
        ("v %% 2 = %s AND id = %s", (5, 1)),
        ("v = 5 % 2 AND id = 1", None),
        ("v = '%s' AND id = %s", (5, 1)),
        ("v = $1 AND id = $2", (5, 1)),
        ("v IN ($1,$2,$3) AND id=$4", (5, 5, 5, 1)),
        ("v = '$9' AND id = $1::int8", (1,)),
        ("v % 2 = 1 AND id = $1", (1,)),
    ],
)
def test_psycopg_parameters_are_found(where: str, parameters: object) -> None:
    """%s, %(name)s and $1, as psycopg takes them, wherever a string or an operator looks like one."""
    assert {"1"} == _keys(_POSTGRES, _select("t", where), parameters)


@pytest.mark.parametrize(
    ("where", "parameters"),
    [
        ("v = ? AND id = ?", (5, 1)),
        ("v = ?2 AND id = ?1", (1, 5)),
        ("v = ?2 AND id = ?", (5, 5, 1)),
        ("v = :new AND id = :key", {"key": 1, "new": 5}),
        ("v = :new AND id = :key AND v <> :new", (5, 1)),
        ("v = :order AND id = :select", {"select": 1, "order": 5}),
        ("v = @new AND id = $key", {"key": 1, "new": 5}),
        ("v = '?' AND v <> ':x' AND id = ?", (1,)),
        ("v = ? /* ? */ AND id=? -- ?", (5, 1)),
    ],
)
def test_sqlite_parameters_are_found(where: str, parameters: object) -> None:
    """?, ?1, :name, @name and $name, as sqlite3 takes them, and none in strings and comments."""
    assert {"1"} == _keys(_SQLITE, _select("t", where), parameters)


@pytest.mark.parametrize("parameters", [None, (), {}, {"other": 1}, 7, (object(),), (1.5,), (b"1",), (_Plain.ONE,)])
def test_a_parameter_that_is_not_understood_means_every_row(parameters: object) -> None:
    """Missing ones, and those of types whose text is the driver's business."""
    assert {"*"} == _keys(_SQLITE, "SELECT 1 FROM t WHERE id = ?", parameters)


@pytest.mark.parametrize(
    ("table", "value", "expected"),
    [
        ("t", "1", "1"),
        ("t", " +01 ", "1"),
        ("t", "-0", "0"),
        ("t", True, "1"),
        ("t", "1.0", "*"),
        ("t", "1_0", "*"),
        ("t", "\N{ARABIC-INDIC DIGIT ONE}", "*"),
        ("t", Decimal(1), "*"),
        ("t", _Number.ONE, "*"),
        ("w", "01", "01"),
        ("w", 1, "1"),
        ("w", True, "1"),
        ("w", 1.0, "*"),
        ("w", "x ", "*"),
        ("u", UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("u", UUID(int=5).hex.upper(), "00000000-0000-0000-0000-000000000005"),
        ("u", "x", "*"),
        ("u", 5, "*"),
    ],
)
def test_values_that_the_database_takes_for_equal_are_equal(table: str, value: object, expected: str) -> None:
    """1 and "1" of an integer column are one row; what might be equal to something else is every row."""
    assert {expected} == _keys(_SQLITE, _select(table, "id = ?"), (value,))


def test_no_row_is_null() -> None:
    """A key is never equal to NULL."""
    assert set() == _keys(_SQLITE, "SELECT 1 FROM t WHERE id = ?", (None,))


def test_a_binding_is_never_taken_for_that_of_an_equal_value() -> None:
    """1, True and 1.0 are equal to Python and not to a text column."""
    sql = "SELECT 1 FROM w WHERE id = ?"
    assert [{"1"}, {"*"}, {"1"}, {"1"}] == [_keys(_SQLITE, sql, (value,)) for value in (1, 1.0, True, "1")]


def test_a_repeated_text_is_the_same_reading() -> None:
    """Neither text nor parameters are looked into twice."""
    sql = "UPDATE t SET v = ? WHERE id = ?"
    assert _SQLITE.read(sql, (1, 2)) is _SQLITE.read(sql, (9, 2))
    assert _SQLITE.read(sql, (1, 2)) is not _SQLITE.read(sql, (1, 3))


def test_many_bindings_of_one_text_are_not_all_kept() -> None:
    """What is kept has a bound, and a binding is right whether it was kept or not."""
    sql = "SELECT 1 FROM p WHERE a = ? AND b = ?"
    assert [(str(n), str(n % 7)) for n in range(3000)] == [
        next(iter(_keys(_SQLITE, sql, (n, n % 7)))) for n in range(3000)
    ]


def test_too_many_rows_are_the_whole_table() -> None:
    """A long list of keys costs more to compare than it tells."""
    assert {"*"} == _keys(_POSTGRES, "SELECT 1 FROM t WHERE id = ANY(%s)", (list(range(100)),))


@given(st.text(), st.none() | st.tuples(st.integers()))
@example("%", (1,))
@example("%(", (1,))
@example("$99999999999999999999", (1,))
@example("SELECT :", None)
@example("SELECT ?99999999999", (1,))
def test_any_text_can_be_read(sql: str, parameters: object) -> None:
    """Nothing that a body sends ends in an exception of the reader's own."""
    for reader in (_POSTGRES, _SQLITE):
        assert reader.read(sql, parameters).kind in {"statement", "begin", "commit", "rollback", "quiet"}


_TABLES = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, v);
    CREATE TABLE w (id VARCHAR(9) PRIMARY KEY, v);
    CREATE TABLE n (id PRIMARY KEY, v);
    CREATE TABLE i (id INT PRIMARY KEY, v) WITHOUT ROWID;
    CREATE TABLE p (id INTEGER, v TEXT, PRIMARY KEY (id, v));
    CREATE TABLE d (id DECIMAL PRIMARY KEY, v);
    CREATE TABLE c (id TEXT COLLATE NOCASE PRIMARY KEY, v);
"""
_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 2, -1, "0", "1", "01", "1.0", " 1", "a", "A", 1.0, 0.5, True, None]
)


def _literal(value: Any) -> str:  # noqa: ANN401 - whatever SQLite stores
    return repr(value) if isinstance(value, str) else "NULL" if value is None else str(value)


_ATOMS = st.one_of(
    st.tuples(
        st.sampled_from(["id = {}", "{} = id", "id > {}", "v = {}", "id IS {}", "id <> {}", "id = +{}"]), _VALUES
    ).map(lambda pair: pair[0].format(_literal(pair[1]))),
    st.lists(_VALUES, min_size=1, max_size=3).map(lambda values: f"id IN ({', '.join(map(_literal, values))})"),
    st.tuples(_VALUES, _VALUES).map(lambda pair: f"(id, v) = ({_literal(pair[0])}, {_literal(pair[1])})"),
    st.just("id = CAST('01' AS INTEGER)"),
    st.just("CAST(id AS TEXT) = '1'"),
)
_CONDITIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        inner.map(lambda part: f"NOT ({part})"),
        inner.map(lambda part: f"(({part}))"),
    ),
    max_leaves=4,
)


def _filled() -> tuple[sqlite3.Connection, Footprints]:
    """Make tables of every kind of key, and fill them with whatever they take."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    for table in "twnipdc":
        for value in (0, 1, 2, -1, "0", "1", "01", "1.0", " 1", "a", "A", 0.5, None):
            with suppress(sqlite3.IntegrityError):  # a rowid is an integer
                connection.execute(f"INSERT INTO {table} VALUES (?, 1)", (value,))  # noqa: S608 - the tests' own text
    return connection, Footprints("sqlite", of_sqlite(connection))


_CONNECTION, _READER = _filled()


def _rows(table: str) -> set[tuple[Any, ...]]:
    return set(_CONNECTION.execute(f"SELECT id, typeof(id), v, typeof(v) FROM {table}"))  # noqa: S608 - the tests' own text


def _place(table: str, row: tuple[Any, ...]) -> frozenset[Place]:
    """Name the place of a stored row, as a read of exactly that row has it."""
    if row[0] is None:
        return frozenset([Place(table)])
    return _READER.read(_select(table, "id = ? AND v = ?"), (row[0], row[2])).footprint.reads


@given(st.sampled_from("twnipdc"), _CONDITIONS)
def test_rows_that_sqlite_deletes_are_in_the_footprint(table: str, condition: str) -> None:
    """Whatever the condition, each row that is gone is among the places that are written."""
    sql = f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - drawn
    before = _rows(table)
    _CONNECTION.execute("BEGIN")
    try:
        _CONNECTION.execute(sql)
        gone = before - _rows(table)
    finally:
        _CONNECTION.execute("ROLLBACK")
    written = _READER.read(sql).footprint.writes
    assert [] == [row for row in gone if not meet(written, _place(table, row))]


@given(st.sampled_from("twnipdc"), _VALUES, st.booleans())
def test_rows_that_sqlite_inserts_are_in_the_footprint(table: str, value: Any, bound: bool) -> None:  # noqa: ANN401, FBT001 - drawn
    """Each row that is new or replaced is among the places that are written, its key given either way."""
    sql = f"REPLACE INTO {table} (v, id) VALUES ('new', {'?' if bound else _literal(value)})"  # noqa: S608 - drawn
    parameters = (value,) if bound else ()
    before = _rows(table)
    _CONNECTION.execute("BEGIN")
    try:
        _CONNECTION.execute(sql, parameters)
        changed = before ^ _rows(table)
    except sqlite3.Error:
        changed = set()
    finally:
        _CONNECTION.execute("ROLLBACK")
    written = _READER.read(sql, parameters).footprint.writes
    assert [] == [row for row in changed if not meet(written, _place(table, row))]


def test_footprints_need_no_driver() -> None:
    """Neither psycopg nor SQLAlchemy is imported for them."""
    code = "import sys, orchestrator.controlled.footprints; print({'psycopg', 'sqlalchemy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()\n" == done.stdout


def test_everything_is_everything_on_both() -> None:
    """A text that can't be read is one constant."""
    assert (
        EVERYTHING is _POSTGRES.read("VACUUM", (1,)).footprint or EVERYTHING == _SQLITE.read("VACUUM", (1,)).footprint
    )
