"""A SQLite database's tables, by its pragmas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.controlled.catalog_table import Reference, Table
from orchestrator.explorer.model import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    #: Runs a bound query and gives plain tuples.
    Ask = Callable[..., list[tuple[Any, ...]]]

_RELATIONS = """
    SELECT name, type, rootpage, sql FROM sqlite_master
    WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_'
"""
_TRIGGERS = "SELECT lower(tbl_name), name FROM sqlite_master WHERE type = 'trigger'"
_COLUMNS = "SELECT name, type, dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid"
_INDEXES = 'SELECT name, origin, partial FROM pragma_index_list(?) WHERE "unique" ORDER BY seq'
_INDEXED = "SELECT cid, name, coll FROM pragma_index_xinfo(?) WHERE key"
_FOREIGN = 'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq'
_RESTRICTING = frozenset({"NO ACTION", "RESTRICT"})
#: Of table_xinfo's `hidden`: generated columns.
_GENERATED = frozenset({2, 3})
#: Of index_xinfo's `cid`: an expression.
_EXPRESSION = -2


def tables(connection: Any, harmless: frozenset[str]) -> list[Table]:  # noqa: ANN401 - sqlite3's, or one like it
    """Read every table and view."""

    def ask(query: str, *parameters: str) -> list[tuple[Any, ...]]:
        cursor = connection.cursor()
        cursor.row_factory = None
        found: list[tuple[Any, ...]] = cursor.execute(query, parameters).fetchall()
        return found

    triggered = {table for table, name in ask(_TRIGGERS) if name not in harmless}
    found = [
        Table(name.lower(), "main", columns=_names(ask, name), view=sql)
        if kind == "view"
        else _table(ask, name, opaque=name.lower() in triggered or not root)  # a virtual table has no root page
        for name, kind, root, sql in ask(_RELATIONS)
    ]
    keys = {table.name: table.key for table in found}
    return [
        table._replace(
            parents=tuple(each._replace(targets=each.targets or keys.get(each.parent, ())) for each in known)
        )
        if (known := table.parents)
        else table
        for table in found
    ]


def _names(ask: Ask, table: str) -> tuple[str, ...]:
    return tuple(name.lower() for name, _type, _default, _pk, hidden in ask(_COLUMNS, table) if not hidden)


def _table(ask: Ask, name: str, *, opaque: bool) -> Table:
    columns = ask(_COLUMNS, name)
    indexes = ask(_INDEXES, name)
    generated = {column.lower() for column, _type, _default, _pk, hidden in columns if hidden in _GENERATED}
    unique: set[str] = set()
    plain = True
    for index, origin, partial in indexes:
        parts = ask(_INDEXED, index)
        unique |= {str(column).lower() for _cid, column, _coll in parts}
        if partial or any(cid == _EXPRESSION or str(column).lower() in generated for cid, column, _coll in parts):
            unique.add(EVERY)
        if origin == "pk":
            plain = all(coll == "BINARY" for _cid, _column, coll in parts)
    keyed = sorted((pk, column.lower(), affinity(kind)) for column, kind, _default, pk, _hidden in columns if pk)
    usable = plain and all(kind for _pk, _column, kind in keyed)
    return Table(
        name.lower(),
        "main",
        columns=tuple(column.lower() for column, _type, _default, _pk, hidden in columns if not hidden),
        key=tuple(column for _pk, column, _kind in keyed) if usable else (),
        kinds=tuple(kind for _pk, _column, kind in keyed) if usable else (),
        unique=frozenset(unique | {column for _pk, column, _kind in keyed}),
        more=any(origin != "pk" for _index, origin, _partial in indexes),
        parents=_parents(ask, name),
        defaults=tuple((column.lower(), text) for column, _type, text, _pk, _hidden in columns if text is not None),
        opaque=opaque,
    )


def _parents(ask: Ask, name: str) -> tuple[Reference, ...]:
    """Read the foreign keys; without targets they refer to the parent's primary key."""
    rows = ask(_FOREIGN, name)
    return tuple(
        _reference(name.lower(), [row for row in rows if row[0] == number]) for number in sorted({r[0] for r in rows})
    )


def _reference(child: str, rows: Sequence[tuple[Any, ...]]) -> Reference:
    _id, parent, _from, _to, update, delete = rows[0]
    return Reference(
        child,
        columns=tuple(row[2].lower() for row in rows),
        parent=parent.lower(),
        targets=tuple(row[3].lower() for row in rows if row[3] is not None),
        passes=not {update, delete} <= _RESTRICTING,
        schema="main",
    )


def affinity(declared: str) -> str:
    """Say how values of a declared type compare; "" where not by their text alone."""
    upper = declared.upper()
    if "INT" in upper:
        return "integer"
    if not upper or any(part in upper for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    return ""
