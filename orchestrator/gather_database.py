"""Gathering from PostgreSQL: what the database holds of a group, into the history's files, a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psycopg import sql

from orchestrator.gather import PIECE, columns
from orchestrator.history.model import TABLES
from worker.scenarios import SCENARIOS

if TYPE_CHECKING:
    import psycopg
    from numpy.typing import NDArray

    from orchestrator.history.files import Writer

#: Scenario to the one relation whose rows it changes.
RELATIONS: Final = {"credits": "users", "config": "configs", "requests": "users"}

_EFFECTS: Final = """
    SELECT relation, key, seq, version_before, version_after, before::text, after::text, writer, operation,
           txid::text::bigint, round(extract(epoch FROM at) * 1000000)::bigint
    FROM {schema}.effects ORDER BY relation, key, seq
"""

#: A row's value is what effects have of it: without what the run adds.
_ROWS: Final = """
    SELECT {relation}, i.id::text, (to_jsonb(i) - ARRAY['version', 'seq', 'writer'])::text, i.version,
           (to_jsonb(f) - ARRAY['version', 'seq', 'writer'])::text, f.version, f.seq, f.writer
    FROM {schema}.initial i LEFT JOIN {schema}.{table} f USING (id) ORDER BY i.id
"""


def snapshot(connection: psycopg.Connection[Any], schema: str, scenario: str) -> None:
    """Keep the rows as they stand before the first operation, in a table beside them."""
    table = sql.Identifier(schema, RELATIONS[scenario])
    kept = sql.Identifier(schema, "initial")
    connection.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(kept, table))


def requested(connection: psycopg.Connection[Any], schema: str, scenario: str, count: int) -> NDArray[np.bool_] | None:
    """Say of each operation whether its request is committed; None where the scenario needs none."""
    if SCENARIOS[scenario].request is None:
        return None
    found = np.zeros(count, dtype=np.bool_)
    query = sql.SQL("SELECT operation FROM {}").format(sql.Identifier(schema, "requests"))
    with connection.transaction(), connection.cursor(name="rowrace_requests") as cursor:
        cursor.execute(query)
        while piece := cursor.fetchmany(PIECE):
            found[[number for (number,) in piece]] = True
    return found


def database(connection: psycopg.Connection[Any], schema: str, scenario: str, writer: Writer) -> None:
    """Write effects and rows down as one moment shows them, so that the rows are the fold of the effects."""
    table = RELATIONS[scenario]
    names = {"schema": sql.Identifier(schema), "table": sql.Identifier(table), "relation": sql.Literal(table)}
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name, query in (("effects", _EFFECTS), ("rows", _ROWS)):
            with connection.cursor(name=f"rowrace_{name}") as cursor:
                cursor.execute(sql.SQL(query).format(**names))
                _copy(cursor, name, writer)


def _copy(cursor: psycopg.ServerCursor[Any], table: str, writer: Writer) -> None:
    names = TABLES[table].names
    while piece := cursor.fetchmany(PIECE):
        columns(writer, table, dict(zip(names, map(list, zip(*piece, strict=True)), strict=True)))
