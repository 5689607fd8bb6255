"""The Core statements that bodies run, and their compilation: once per dialect and schema, never per call."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from worker.scenarios import SCENARIOS
from worker.scenarios.model import ONE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.expression import ClauseElement

    from worker.scenarios.model import Scenario


class Statements(NamedTuple):
    """One scenario's statements in one schema; parameters are `key`, `new` and `seen`."""

    scenario: Scenario
    schema: str | None
    table: sa.Table
    #: Value, version, seq and writer of the row `key`.
    read: ClauseElement
    #: The same, locking the row.
    read_locking: ClauseElement
    #: Write the value `new`, whatever is there.
    write: ClauseElement
    #: Write the value `new` where the version is still `seen`.
    write_checked: ClauseElement
    #: By the names that the scenario's steps use.
    atomic: Mapping[str, ClauseElement]


@lru_cache(maxsize=256)
def statements(scenario: str, schema: str | None, dialect: str) -> Statements:
    """Build a scenario's statements; kept, since the compiled forms are found by the statement's identity."""
    model = SCENARIOS[scenario]
    table = model.table(schema)
    key = sa.bindparam("key", type_=sa.BigInteger())
    value = table.c[model.column]
    read = sa.select(value, table.c.version, table.c.seq, table.c.writer).where(table.c.id == key)
    write = (
        sa.update(table)
        .where(table.c.id == key)
        .values({model.column: sa.bindparam("new", type_=model.type), "version": table.c.version + ONE})
    )
    return Statements(
        scenario=model,
        schema=schema,
        table=table,
        read=read,
        read_locking=read.with_for_update(),
        write=write,
        write_checked=write.where(table.c.version == sa.bindparam("seen", type_=sa.BigInteger())),
        atomic=model.atomic(table, dialect),
    )


@lru_cache(maxsize=256)
def effects_of(schema: str) -> ClauseElement:
    """Select the effects of one `operation`."""
    effects = sa.table("effects", sa.column("operation", sa.BigInteger()), schema=schema)
    wanted = sa.bindparam("operation", type_=sa.BigInteger())
    return sa.select(effects.c.operation).where(effects.c.operation == wanted)


@lru_cache(maxsize=256)
def request_of(schema: str | None) -> ClauseElement:
    """Select the request `request`, if it is there."""
    requests = sa.table("requests", sa.column("id", sa.BigInteger()), schema=schema)
    return sa.select(requests.c.id).where(requests.c.id == sa.bindparam("request", type_=sa.BigInteger()))


_LOCK = sa.bindparam("lock", type_=sa.BigInteger())

#: Advisory lock `lock` until the transaction ends.
LOCK_TRANSACTION: ClauseElement = sa.select(sa.func.pg_advisory_xact_lock(_LOCK))
#: Advisory lock `lock` until it is given back; the option lets a link know what its session holds.
LOCK_SESSION: ClauseElement = sa.select(sa.func.pg_advisory_lock(_LOCK)).execution_options(rowrace_holds=1)
UNLOCK_SESSION: ClauseElement = sa.select(sa.func.pg_advisory_unlock(_LOCK)).execution_options(rowrace_holds=-1)


@lru_cache(maxsize=4096)
def lock_number(schema: str | None, relation: str, key: int) -> int:
    """Hash a row's name to an advisory lock's 64 bits; locks are the database's, so the schema is part of it."""
    digest = hashlib.blake2b(f"{schema}/{relation}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Compiled(NamedTuple):
    """A statement in a driver's own words."""

    sql: str
    #: It answers with rows.
    returns: bool
    #: Parameters that need conversion, and how.
    binds: tuple[tuple[str, Callable[[Any], Any]], ...]
    #: Conversion per result column; empty where the driver's own is right.
    results: tuple[Callable[[Any], Any] | None, ...]
    #: Session-level advisory locks that it takes (1) or gives back (-1).
    holds: int


@lru_cache(maxsize=4096)
def compiled(statement: ClauseElement, dialect: Dialect) -> Compiled:
    """Compile a statement for a dialect object; every parameter must be named by the statement's author."""
    form: Any = statement.compile(dialect=dialect)  # its type doesn't name the binds
    binds = ((name, _binder(bind, dialect)) for name, bind in form.binds.items())
    columns = getattr(statement, "exported_columns", ())
    options: Mapping[str, int] = getattr(statement, "get_execution_options", dict)()
    results = tuple(column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
    return Compiled(
        sql=str(form),
        returns=len(columns) > 0,
        binds=tuple((name, binder) for name, binder in binds if binder is not None),
        results=results if any(results) else (),
        holds=options.get("rowrace_holds", 0),
    )


def _binder(bind: sa.BindParameter[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return bind.type.dialect_impl(dialect).bind_processor(dialect)
