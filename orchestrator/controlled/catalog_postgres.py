"""A Postgres database's tables, by pg_catalog."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.controlled.catalog_table import Reference, Table
from orchestrator.explorer.model import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    #: Runs a bound query and gives plain tuples.
    Ask = Callable[..., list[tuple[Any, ...]]]

_PATH = "SELECT unnest(current_schemas(false))::text"

_RELATIONS = """
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
        c.relrowsecurity OR c.relkind = 'f'
            OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
        CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) ELSE '' END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY c.oid
"""

_COLUMNS = """
    SELECT a.attrelid, a.attnum, a.attname::text,
        CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'integer'
            WHEN a.atttypid = 'uuid'::regtype THEN 'uuid'
            WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype)
                AND coalesce(l.collisdeterministic, true) THEN 'text'
            ELSE '' END,
        a.attgenerated <> '',
        CASE WHEN a.attidentity <> '' THEN format('nextval(%%L)', quote_ident(s.relname))
            WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END
    FROM pg_attribute a
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_depend p ON a.attidentity <> '' AND p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid
        AND p.refobjsubid = a.attnum AND p.classid = 'pg_class'::regclass AND p.deptype = 'i'
    LEFT JOIN pg_class s ON s.oid = p.objid
    WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""

_INDEXES = """
    SELECT indrelid, indisprimary, indkey::int2[], indexprs IS NOT NULL OR indpred IS NOT NULL
    FROM pg_index WHERE indrelid = ANY(%s) AND (indisunique OR indisexclusion)
"""

_FOREIGN = """
    SELECT f.conrelid, f.conkey, f.confrelid, f.confkey,
        f.confdeltype NOT IN ('a', 'r') OR f.confupdtype NOT IN ('a', 'r'),
        n.nspname::text, c.relname::text
    FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE f.contype = 'f' AND f.conrelid = ANY(%s)
    ORDER BY f.oid
"""

_TRIGGERS = """
    SELECT tgrelid FROM pg_trigger
    WHERE tgrelid = ANY(%s) AND NOT tgisinternal AND tgenabled <> 'D' AND NOT tgname = ANY(%s)
"""

_INHERITS = "SELECT inhrelid, inhparent FROM pg_inherits WHERE inhrelid = ANY(%s) OR inhparent = ANY(%s)"

#: Functions that may do more than compute: not immutable, not an extension's, not a trigger's.
_FUNCTIONS = """
    SELECT p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.provolatile <> 'i'
        AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        AND NOT EXISTS (
            SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        )
"""

#: libpq's PQTRANS_IDLE.
_IDLE = 0


class _Column(NamedTuple):
    name: str
    kind: str
    generated: bool
    default: str | None


class _Found(NamedTuple):
    """What was read, by the relations' oids."""

    columns: Mapping[int, Mapping[int, _Column]]
    indexes: Mapping[int, Sequence[tuple[bool, Sequence[int], bool]]]
    parents: Mapping[int, Sequence[tuple[Any, ...]]]
    opaque: frozenset[int]
    #: The topmost parent of each partition or heir, and of the parents themselves.
    roots: Mapping[int, int]


def read(
    connection: Any,  # noqa: ANN401 - psycopg's, which this file does not import
    harmless: frozenset[str],
    schemas: Sequence[str],
) -> tuple[tuple[str, ...], list[Table], frozenset[str]]:
    """Give the path, the tables and the functions; a transaction that this opened is closed again."""
    idle = connection.info.transaction_status == _IDLE

    def ask(query: str, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = connection.cursor()
        cursor.row_factory = lambda _cursor: tuple
        found: list[tuple[Any, ...]] = cursor.execute(query, parameters or None).fetchall()
        return found

    try:
        path = tuple(schemas) or tuple(name for (name,) in ask(_PATH))
        relations = ask(_RELATIONS, list(path))
        found = _found(ask, relations, harmless)
        names = {oid: name for oid, _schema, name, *_rest in relations}
        tables = [_table(found, names, *relation) for relation in relations]
        return path, tables, frozenset(name for (name,) in ask(_FUNCTIONS))
    finally:
        if idle and not connection.autocommit:
            connection.rollback()


def _found(ask: Ask, relations: Sequence[tuple[Any, ...]], harmless: frozenset[str]) -> _Found:
    oids = [relation[0] for relation in relations]
    columns: dict[int, dict[int, _Column]] = defaultdict(dict)
    for oid, number, *column in ask(_COLUMNS, oids):
        columns[oid][number] = _Column(*column)
    indexes: dict[int, list[tuple[bool, Sequence[int], bool]]] = defaultdict(list)
    for oid, primary, numbers, more in ask(_INDEXES, oids):
        indexes[oid].append((primary, numbers, more))
    parents: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for oid, *reference in ask(_FOREIGN, oids):
        parents[oid].append(tuple(reference))
    roots = _roots(ask(_INHERITS, oids, oids))
    triggered = {oid for (oid,) in ask(_TRIGGERS, oids, sorted(harmless))}
    opaque = triggered | {relation[0] for relation in relations if relation[4]}
    families = {roots[oid] for oid in opaque if oid in roots}
    opaque |= {oid for oid, root in roots.items() if root in families}
    return _Found(columns, indexes, parents, frozenset(opaque), roots)


def _roots(inherits: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Find the topmost parent of each; of several parents the one with the smallest oid."""
    above = dict(sorted(inherits, reverse=True))
    roots = {}
    for oid in {*above, *above.values()}:
        top = oid
        while top in above:
            top = above[top]
        roots[oid] = top
    return roots


def _table(found: _Found, names: Mapping[int, str], oid: int, schema: str, name: str, *rest: str) -> Table:
    columns = found.columns[oid]
    indexes = found.indexes[oid]
    key, kinds = _key(columns, indexes) if oid not in found.roots else ((), ())
    unique = {columns[number].name for _primary, numbers, _more in indexes for number in numbers if number in columns}
    return Table(
        name,
        schema,
        columns=tuple(column.name for column in columns.values() if not column.generated),
        key=key,
        kinds=kinds,
        unique=frozenset(unique | {EVERY}) if any(_wide(columns, *index) for index in indexes) else frozenset(unique),
        more=not all(primary for primary, _numbers, _more in indexes),
        parents=tuple(_reference(found, name, columns, each) for each in found.parents[oid]),
        defaults=tuple((each.name, each.default) for each in columns.values() if each.default is not None),
        opaque=oid in found.opaque,
        view=rest[2],
        root=names.get(found.roots.get(oid, 0), ""),
    )


def _key(
    columns: Mapping[int, _Column], indexes: Sequence[tuple[bool, Sequence[int], bool]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the primary key's columns and kinds, where all of them compare plainly."""
    numbers = next((numbers for primary, numbers, _more in indexes if primary), ())
    parts = [columns[number] for number in numbers]
    if not all(part.kind and not part.generated for part in parts):
        return (), ()
    return tuple(part.name for part in parts), tuple(part.kind for part in parts)


def _wide(columns: Mapping[int, _Column], _primary: bool, numbers: Sequence[int], more: bool) -> bool:  # noqa: FBT001 - a row's fields
    """Say whether an index looks at more than its own columns."""
    return more or any(number not in columns or columns[number].generated for number in numbers)


def _reference(found: _Found, child: str, columns: Mapping[int, _Column], row: tuple[Any, ...]) -> Reference:
    numbers, parent, targets, passes, schema, name = row
    theirs = found.columns[parent]
    return Reference(
        child,
        columns=tuple(columns[number].name for number in numbers),
        parent=name,
        targets=tuple(theirs[number].name if number in theirs else "" for number in targets),
        passes=passes,
        schema=schema,
    )
