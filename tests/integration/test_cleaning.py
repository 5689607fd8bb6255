"""Cleaning on a real Postgres: what can't be removed is one sentence, and nobody waits for ever."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from orchestrator import clean, distributed, schema
from orchestrator.clean import Leavings
from orchestrator.errors import ServiceError
from worker.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = psycopg.Connection[Any]


@pytest.fixture
def group(database: Connection, fresh_schema: str) -> str:
    """A schema that an ended run has left."""
    schema.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    return fresh_schema


@pytest.fixture
def stranger(database: Connection, database_url: str) -> Iterator[str]:
    """URL of a user without rights."""
    name = f"stranger_{secrets.token_hex(4)}"
    database.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(name)))
    yield psycopg.conninfo.make_conninfo(database_url, user=name, password=name)
    database.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_locked_schema_is_left(
    database: Connection, database_url: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it is not waited for without end."""
    monkeypatch.setattr(clean, "_DROP_WAIT_MS", 10)
    with database.transaction():
        database.execute(sql.SQL("SELECT FROM {} FOR UPDATE").format(sql.Identifier(group, "users")))
        with pytest.raises(ServiceError, match=f"Schema {group} is locked by others"):
            clean.remove(Leavings(schemas=(group,)), database_url, "")
    clean.remove(Leavings(schemas=(group,)), database_url, "")
    assert group not in schema.schemas(database)


def test_another_user_s_schema_is_left(group: str, stranger: str) -> None:
    """Its owner can remove it."""
    with pytest.raises(ServiceError, match="is another user's"):
        clean.remove(Leavings(schemas=(group,)), stranger, "")


def test_a_user_without_rights_is_told_which(fresh_schema: str, stranger: str) -> None:
    """A run needs to create schemas."""
    with (
        pytest.raises(ServiceError, match="grant it CREATE on the database"),
        distributed._told(),
        connect(stranger, "rowrace") as one,
    ):
        schema.create(one, fresh_schema, "credits", 1, idempotency=True, recording=True)
