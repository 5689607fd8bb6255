"""A group's schema on Postgres: what it holds, what its triggers record, and who may drop it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestrator import schema as group
from orchestrator.errors import UsageError
from orchestrator.schema.postgres import run_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services

LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture
def credits_schema(database: psycopg.Connection[Any], fresh_schema: str) -> str:
    """A group of credits with three users, guarded and recorded."""
    group.create(database, fresh_schema, "credits", 3, idempotency=True, recording=True)
    return fresh_schema


@pytest.fixture
def second(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A second connection in autocommit mode."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _ask(connection: psycopg.Connection[Any], schema: str, text: str, *params: object) -> psycopg.Cursor[Any]:
    """Run a statement in which {} stands for the schema."""
    return connection.execute(text.replace("{}", schema), params or None)


def _effects(database: psycopg.Connection[Any], schema: str) -> list[Any]:
    names = "key, seq, version_before, version_after, before, after, writer, operation"
    return _ask(database, schema, f"SELECT {names} FROM {{}}.effects ORDER BY at").fetchall()  # noqa: S608 - as it stands


def _apply(connection: psycopg.Connection[Any], schema: str, writer: str, *keys: int, level: str = LEVELS[0]) -> None:
    with connection.transaction():
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        connection.execute("SELECT set_config('rowrace.writer', %s, true)", (writer,))
        for key in keys:
            text = "UPDATE {}.users SET credits = credits - 1, version = version + 1 WHERE id = %s"
            _ask(connection, schema, text, key)


def test_rows_start_as_the_scenario_says(database: psycopg.Connection[Any], credits_schema: str) -> None:
    """Keys from 0, a hundred credits, version and seq 0, and no effect yet."""
    rows = _ask(database, credits_schema, "SELECT * FROM {}.users ORDER BY id").fetchall()
    assert [(key, 100, 0, 0, 0) for key in range(3)] == rows
    assert [] == _effects(database, credits_schema)


def test_every_write_is_recorded_whoever_makes_it(database: psycopg.Connection[Any], credits_schema: str) -> None:
    """A session that names no writer is nobody, and is never blocked; insert, update and delete are all recorded."""
    for statement in (
        "UPDATE {}.users SET credits = 7 WHERE id = 1",
        "INSERT INTO {}.users (id, credits) VALUES (9, 5)",
        "DELETE FROM {}.users WHERE id = 9",
    ):
        _ask(database, credits_schema, statement)
    assert [
        ("1", 1, 0, 0, {"id": 1, "credits": 100}, {"id": 1, "credits": 7}, 0, -1),
        ("9", 1, None, 0, None, {"id": 9, "credits": 5}, 0, -1),
        ("9", 2, 0, None, {"id": 9, "credits": 5}, None, 0, -1),
    ] == _effects(database, credits_schema)


def test_a_body_cannot_lie_about_seq_and_writer(database: psycopg.Connection[Any], credits_schema: str) -> None:
    """The trigger stamps both, whatever the statement says."""
    _ask(database, credits_schema, "UPDATE {}.users SET seq = 99, writer = 99 WHERE id = 0")
    rows = _ask(database, credits_schema, "SELECT seq, writer FROM {}.users WHERE id = 0").fetchall()
    assert [(1, 0)] == rows


@pytest.mark.parametrize("garbage", ["", "x", "1", "1:", ":1", "1:x", "-1:2", "0:1"])
def test_a_garbled_writer_is_nobody(database: psycopg.Connection[Any], credits_schema: str, garbage: str) -> None:
    """A setting that is no writer blocks nothing."""
    _apply(database, credits_schema, garbage, 0)
    assert [(0, -1)] == [effect[-2:] for effect in _effects(database, credits_schema)]


def test_an_effect_names_its_attempt_and_operation(database: psycopg.Connection[Any], credits_schema: str) -> None:
    """Writer and operation are what the session carried; two rows in one transaction are one application."""
    _apply(database, credits_schema, "77:5", 0, 1, 0)
    effects = _effects(database, credits_schema)
    assert [("0", 1, 77, 5), ("1", 1, 77, 5), ("0", 2, 77, 5)] == [(e[0], e[1], e[6], e[7]) for e in effects]


@pytest.mark.parametrize("level", LEVELS)
def test_a_second_application_is_rolled_back_whole(
    database: psycopg.Connection[Any], credits_schema: str, level: str
) -> None:
    """The guard raises its own SQLSTATE, and nothing partial stays."""
    _apply(database, credits_schema, "77:5", 0, level=level)
    with pytest.raises(psycopg.Error) as caught:
        _apply(database, credits_schema, "78:5", 1, 0, level=level)
    assert caught.value.sqlstate == "RR001"
    assert [("0", 77)] == [(effect[0], effect[6]) for effect in _effects(database, credits_schema)]


def test_an_application_that_was_rolled_back_may_be_tried_again(
    database: psycopg.Connection[Any], credits_schema: str
) -> None:
    """The guard's memory is part of the transaction."""
    with database.transaction(force_rollback=True):
        database.execute("SELECT set_config('rowrace.writer', '77:5', true)")
        _ask(database, credits_schema, "UPDATE {}.users SET credits = 1 WHERE id = 0")
    _apply(database, credits_schema, "78:5", 0)
    assert [78] == [effect[6] for effect in _effects(database, credits_schema)]


def test_without_idempotency_an_operation_may_be_applied_twice(
    database: psycopg.Connection[Any], fresh_schema: str
) -> None:
    """The guard is the run's choice; recording is not affected."""
    group.create(database, fresh_schema, "credits", 1, idempotency=False, recording=True)
    _apply(database, fresh_schema, "77:5", 0)
    _apply(database, fresh_schema, "78:5", 0)
    assert [77, 78] == [effect[6] for effect in _effects(database, fresh_schema)]


def test_without_recording_there_is_no_trigger(database: psycopg.Connection[Any], fresh_schema: str) -> None:
    """A benchmark's schema has the tables only."""
    group.create(database, fresh_schema, "config", 1, idempotency=True, recording=False)
    _ask(database, fresh_schema, "UPDATE {}.configs SET version = 3")
    assert [] == _effects(database, fresh_schema)


def test_creation_is_all_or_nothing(database: psycopg.Connection[Any], credits_schema: str) -> None:
    """A schema that exists is an error, and stays as it was."""
    with pytest.raises(psycopg.errors.DuplicateSchema):
        group.create(database, credits_schema, "config", 3, idempotency=True, recording=True)
    assert credits_schema in group.schemas(database)


@pytest.mark.parametrize("name", ["public", "rowrace_x", "rowrace_ABCD_1", 'rowrace_abcd_1"; --', "rowrace_abcd_1\n"])
def test_nothing_but_a_group_s_schema_is_touched(database: psycopg.Connection[Any], name: str) -> None:
    """Names are checked before they reach the database."""
    with pytest.raises(UsageError):
        group.create(database, name, "credits", 1, idempotency=True, recording=True)
    with pytest.raises(UsageError):
        group.drop(database, name)


def test_dropped_schemas_are_gone(database: psycopg.Connection[Any], credits_schema: str) -> None:
    """Dropping twice is harmless."""
    group.drop(database, credits_schema)
    group.drop(database, credits_schema)
    assert credits_schema not in group.schemas(database)


def test_a_run_that_is_held_is_not_abandoned(
    database: psycopg.Connection[Any], second: psycopg.Connection[Any], credits_schema: str
) -> None:
    """A run's groups are abandoned when nobody's connection holds the run any more."""
    run = run_of(credits_schema)
    assert credits_schema in group.abandoned(database)
    assert [True, False] == [group.hold(second, run), group.hold(database, run)]
    assert credits_schema not in group.abandoned(database)
    second.close()
    while credits_schema not in group.abandoned(database):  # the server notices a closed connection shortly after
        pass


def test_runs_do_not_hold_each_other(database: psycopg.Connection[Any], second: psycopg.Connection[Any]) -> None:
    """Two runs are two locks."""
    assert [True, True] == [group.hold(each, secrets.token_hex(6)) for each in (database, second)]


def test_postgresql_15_does_the_same(old_services: Services) -> None:
    """Triggers and guard work on the oldest server that is supported."""
    name = f"rowrace_{secrets.token_hex(6)}_1"
    with psycopg.connect(old_services.database_url, autocommit=True) as connection:
        group.create(connection, name, "credits", 2, idempotency=True, recording=True)
        _apply(connection, name, "77:5", 0, 1)
        with pytest.raises(psycopg.Error, match="operation 5 is applied already"):
            _apply(connection, name, "78:5", 0)
        assert [("0", 77, 5), ("1", 77, 5)] == [(e[0], e[6], e[7]) for e in _effects(connection, name)]
        group.drop(connection, name)
