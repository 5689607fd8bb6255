"""Statements for reading: shorter than they were sent, with their values, and never wrong about what they say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.explorer.statement_text import Assigned, assigned, compact, printable, selected, value_text, verb

ORM = (
    "SELECT account.id AS account_id, account.balance AS account_balance \nFROM account \n"
    "WHERE account.id = %(pk_1)s::INTEGER"
)


@pytest.mark.parametrize(
    ("statement", "parameters", "expected"),
    [
        ("SELECT 1", None, "SELECT 1"),
        ("  SELECT\n a,\tb -- why\nFROM t /* not\nthis */ ;", (), "SELECT a, b FROM t"),
        (ORM, {"pk_1": 1}, "SELECT id, balance FROM account WHERE id = 1"),
        ("UPDATE a SET b = ? WHERE c = ?", (1, "x"), "UPDATE a SET b = 1 WHERE c = 'x'"),
        ("UPDATE a SET b = $2 WHERE c = $1", ("x", 1), "UPDATE a SET b = 1 WHERE c = 'x'"),
        ("UPDATE a SET b = :b WHERE c = :c", {"b": None, "c": True}, "UPDATE a SET b = NULL WHERE c = true"),
        ("UPDATE a SET b = :b WHERE c = :c", (1, 2), "UPDATE a SET b = 1 WHERE c = 2"),
        ("SELECT %s::TIMESTAMP WITH TIME ZONE AND x", (1,), "SELECT 1 AND x"),
        ("SELECT %s::VARCHAR(20), b::text", ("a",), "SELECT 'a', b::text"),
        ("SELECT '?', \"?\" WHERE a = ?", (1,), "SELECT '?', \"?\" WHERE a = 1"),
        ("SELECT a ? %s WHERE b LIKE '%%'", ("k",), "SELECT a ? 'k' WHERE b LIKE '%%'"),
        ("SELECT a %% %s", (2,), "SELECT a % 2"),
        ("SELECT ?, ?", (1,), "SELECT ?, ?"),
        ("SELECT :a", {"b": 1}, "SELECT :a"),
        ("INSERT INTO t VALUES (?)", [(1,), (2,)], "INSERT INTO t VALUES (1) (2 times)"),
        ("SELECT a.x, b.y FROM a JOIN b ON a.id = b.a", None, "SELECT a.x, b.y FROM a JOIN b ON a.id = b.a"),
        ("SELECT t.x FROM public.t WHERE t.x > 1", None, "SELECT x FROM public.t WHERE x > 1"),
        ("SELECT f(1) AS total FROM t", None, "SELECT f(1) AS total FROM t"),
        ("SELECT $tag$ a ? $tag$, ?", (1,), "SELECT $tag$ a ? $tag$, 1"),
    ],
)
def test_statements_are_made_short(statement: str, parameters: object, expected: str) -> None:
    """White space, comments, an ORM's names and casts go; parameters stand in their places, or nothing is filled in."""
    assert expected == compact(statement, parameters).text


def test_filled_in_values_are_known() -> None:
    """A statement says whether values stand in it that were sent apart."""
    assert (True, False) == (compact("SELECT ?", (1,)).filled, compact("SELECT 1", ()).filled)


@settings(deadline=None)
@given(st.text(), st.one_of(st.none(), st.lists(st.integers()), st.dictionaries(st.text(), st.text())))
def test_any_text_stays_on_one_line(text: str, parameters: object) -> None:
    """Whatever is sent is shown on one printable line."""
    assert compact(text, parameters).text.isprintable()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "NULL"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        ("it's", '"it\'s"'),
        (dt.date(2024, 1, 2), "'2024-01-02'"),
        (UUID(int=1), "'00000000-0000-0000-0000-000000000001'"),
        (b"\x00", r"b'\x00'"),
        ("x" * 99, f"'{'x' * 38}…"),
    ],
)
def test_values_are_short(value: object, expected: str) -> None:
    """A value is written as SQL does, and cut where it is long."""
    assert expected == value_text(value)


def test_control_characters_are_escaped() -> None:
    """Nothing that is shown can steer a terminal; not even half a character breaks it."""
    assert r"a\x1b[31m\n\ud800é" == printable("a\x1b[31m\n\ud800é")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select 1", "SELECT"),
        ("WITH x AS (SELECT 1) UPDATE a SET b = 1", "UPDATE"),
        ("INSERT INTO a SELECT 1", "INSERT"),
        ("LOCK TABLE a", "LOCK"),
        ("", ""),
    ],
)
def test_verbs_are_found(statement: str, expected: str) -> None:
    """The word that counts stands outside of brackets."""
    assert expected == verb(compact(statement))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (ORM, ("id", "balance")),
        ("SELECT sum(a, b) AS total, c FROM t", ("total", "c")),
        ("UPDATE t SET a = 1 RETURNING a, b", ("a", "b")),
        ("SELECT * FROM t", ()),
        ("SELECT count(*) FROM t", ()),
        ("DELETE FROM t", ()),
    ],
)
def test_columns_read_are_named(statement: str, expected: tuple[str, ...]) -> None:
    """The columns are those the text names; where it does not name each, none."""
    assert expected == selected(compact(statement, {"pk_1": 1}))


def _fixed(text: str) -> Assigned:
    return Assigned(text, fixed=True)


def _worked_out(text: str) -> Assigned:
    return Assigned(text, fixed=False)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE t SET a = ?, b = b + 1 WHERE c = 2", {"a": _fixed("7"), "b": _worked_out("b + 1")}),
        ('INSERT INTO t (a, "B") VALUES (?, f(x))', {"a": _fixed("7"), "B": _worked_out("f(x)")}),
        ("INSERT INTO t (a, b) VALUES (NULL, 1), (2, 3)", {"a": _fixed("NULL"), "b": _fixed("1")}),
        ("INSERT INTO t SELECT 1", {}),
        ("DELETE FROM t WHERE a = 1", {}),
    ],
)  # fmt: skip
def test_columns_written_are_named(statement: str, expected: dict[str, Assigned]) -> None:
    """What is written is known, and whether it was decided before the statement was sent."""
    assert expected == assigned(compact(statement, (7,)))
