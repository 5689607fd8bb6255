"""Gathering: what the database holds of a group, and its plan, into the history's files, a piece at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
from psycopg import sql

from orchestrator.history.model import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg
    from numpy.typing import NDArray

    from orchestrator.history.files import Writer
    from worker.contract import Operation

#: Rows held at a time.
_PIECE: Final = 10_000

#: Scenario to the one relation whose rows it changes.
RELATIONS: Final = {"credits": "users", "config": "configs"}

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


def columns(writer: Writer, table: str, data: Mapping[str, list[Any]]) -> None:
    """Append columns of plain values to a table of the history."""
    writer.append(table, pa.Table.from_pydict(dict(data), schema=TABLES[table]))


def operations(writer: Writer, plan: Iterable[Operation], confirmed: NDArray[Any]) -> None:
    """Write the plan down, with what the broker confirmed of it."""
    stream = iter(plan)
    while piece := list(islice(stream, _PIECE)):
        first = piece[0].operation
        data = {
            "operation": [each.operation for each in piece],
            "kind": [each.kind for each in piece],
            "params": [msgspec.json.encode(each.params).decode() for each in piece],
            "confirmed": confirmed[first : first + len(piece)].tolist(),
        }
        columns(writer, "operations", data)


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
    while piece := cursor.fetchmany(_PIECE):
        columns(writer, table, dict(zip(names, map(list, zip(*piece, strict=True)), strict=True)))
