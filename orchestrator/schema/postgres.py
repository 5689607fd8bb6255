"""A group's schema on Postgres; nothing outside schemas of this project's pattern is ever touched."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from orchestrator.errors import UsageError
from worker.contract import DUPLICATE, SCHEMA_PATTERN
from worker.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from sqlalchemy.engine import Dialect

    from worker.scenarios.model import Scenario

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

_DIALECT: Final[Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left its types out

#: What another program's advisory locks don't look like: the first of the lock's two numbers ("rowr").
_SPACE: Final = int.from_bytes(b"rowr")


def create(
    connection: psycopg.Connection[Any], schema: str, scenario: str, rows: int, *, idempotency: bool, recording: bool
) -> None:
    """Create the schema, its tables, the initial rows (keys 0 to rows - 1), then the triggers; all or nothing."""
    model, name = SCENARIOS[scenario], _checked(schema)
    table = model.table(name)
    with connection.transaction():
        connection.execute(_text(f"CREATE SCHEMA {name}"))
        for each in (table, *_records(name), *([_requests(name)] if model.request else [])):
            connection.execute(_text(str(CreateTable(each).compile(dialect=_DIALECT))))
        # Whoever follows the journal looks for files that it doesn't know yet.
        connection.execute(_text(f"CREATE INDEX ON {name}.journal (file) WHERE pos = 0"))
        initial = Jsonb(model.initial) if isinstance(model.type, sa.JSON) else model.initial
        fill = f"INSERT INTO {table.fullname} SELECT g, %s, 0, 0, 0 FROM generate_series(0, %s) AS g"  # noqa: S608 - checked
        connection.execute(_text(fill), (initial, rows - 1))
        if recording:
            for statement in _triggers(name, model, idempotency=idempotency):
                connection.execute(_text(statement))


def drop(connection: psycopg.Connection[Any], schema: str) -> None:
    """Drop a group's schema with everything in it; one that is not there is dropped already."""
    connection.execute(_text(f"DROP SCHEMA IF EXISTS {_checked(schema)} CASCADE"))


def schemas(connection: psycopg.Connection[Any]) -> list[str]:
    """List the groups' schemas in this database."""
    found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rowrace\\_%' ORDER BY nspname")
    return [name for (name,) in found if re.fullmatch(SCHEMA_PATTERN, name)]


def hold(connection: psycopg.Connection[Any], run: str) -> bool:
    """Mark the run as living for as long as this connection lasts; False where another connection does so already."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_SPACE, _number(run))).fetchone()
    return bool(row and row[0])


def abandoned(connection: psycopg.Connection[Any]) -> list[str]:
    """List the schemas whose run nobody holds."""
    held = {number for (number,) in connection.execute(_HELD, (_SPACE,))}
    return [schema for schema in schemas(connection) if _number(run_of(schema)) & 0xFFFFFFFF not in held]


def run_of(schema: str) -> str:
    """Name the run that a group's schema belongs to."""
    return _checked(schema).removeprefix("rowrace_").rpartition("_")[0]


#: Advisory locks with two numbers have objsubid 2; the catalogue shows the numbers unsigned.
_HELD: Final = """
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = %s AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _number(run: str) -> int:
    return int.from_bytes(hashlib.blake2b(run.encode(), digest_size=4).digest(), signed=True)


def _checked(schema: str) -> str:
    """Let only a name pass that needs no quotes and is a group's."""
    if not re.fullmatch(SCHEMA_PATTERN, schema):
        raise UsageError(f"{schema!r} is not the name of a group's schema (rowrace_<run>_<number>).")
    return schema


def _text(statement: str) -> sql.SQL:
    return sql.SQL(statement)


def _records(schema: str) -> Iterator[sa.Table]:
    """Describe effects, applied and journal."""
    metadata, big, text, body = sa.MetaData(schema=schema), sa.BigInteger, sa.Text, postgresql.JSONB
    yield sa.Table(
        "effects",
        metadata,
        *(_column("relation", text), _column("key", text), _column("seq", big)),
        *(sa.Column("version_before", big), sa.Column("version_after", big)),
        *(sa.Column("before", body), sa.Column("after", body)),
        *(_column("writer", big), _column("operation", big), _column("txid", big)),
        _column("at", sa.TIMESTAMP(timezone=True)),
    )
    yield sa.Table("applied", metadata, _key("operation", big), _column("txid", big))
    yield sa.Table("journal", metadata, _key("file", text), _key("pos", big), _column("chunk", text))


def _requests(schema: str) -> sa.Table:
    """Describe what a producer asks for: a row that must be committed before its operation is done."""
    big, time = sa.BigInteger, sa.TIMESTAMP(timezone=True)
    columns = (_key("id", big), _column("operation", big), _column("asked", time))
    return sa.Table("requests", sa.MetaData(schema=schema), *columns)


def _column(name: str, type_: Any) -> sa.Column[Any]:  # noqa: ANN401 - any SQL type
    return sa.Column(name, type_, nullable=False)


def _key(name: str, type_: Any) -> sa.Column[Any]:  # noqa: ANN401 - any SQL type
    return sa.Column(name, type_, primary_key=True, autoincrement=False)


def _triggers(schema: str, model: Scenario, *, idempotency: bool) -> Iterator[str]:
    """Give the triggers' functions and the triggers, in order."""
    statements = _statements()
    names = {"schema": schema, "relation": model.relation, "duplicate": DUPLICATE}
    values = {side: _value(model, row) for side, row in (("before", "old"), ("after", "new"))}
    guard = statements["guard"].format(**names) if idempotency else ""
    for name in ("stamp", "record", "stamp_trigger", "record_trigger"):
        yield statements[name].format(**names, **values, guard=guard)


def _value(model: Scenario, row: str) -> str:
    """Write the SQL that gives a row without version, seq and writer; cheaper than taking them from the whole row."""
    return f"jsonb_build_object('id', {row}.id, '{model.column}', {row}.{model.column})"


def _statements() -> dict[str, str]:
    """Read the statements by name."""
    text = (files("orchestrator.schema") / "triggers.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))
