"""Which rows of a table a condition leaves: those whose primary key it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from orchestrator.controlled.footprint_rows import Constant, Row, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.controlled.catalog import Catalog, Table
    from orchestrator.controlled.footprint_rows import Value

    #: Says whether an expression is the column that is asked for.
    Is = Callable[[exp.Expr], bool]

#: Nodes that have tables of their own to look names up in.
SCOPES: Final = (exp.Select, exp.Update, exp.Delete, exp.Insert, exp.Merge)

#: Casts that change nothing about a key, by its kind.
_CASTS: Final = {
    "integer": frozenset({exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.SMALLINT}),
    "text": frozenset({exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR}),
    "uuid": frozenset({exp.DataType.Type.UUID}),
}


def folded(node: exp.Expr | None, dialect: str) -> str:
    """Write an identifier as the dialect understands it."""
    if not isinstance(node, exp.Identifier):
        return ""
    return node.name if node.args.get("quoted") and dialect == "postgres" else node.name.lower()


def value_of(node: exp.Expr | None, kind: str) -> Value | None:
    """Read a literal or a parameter; None for anything that has to be computed."""
    if isinstance(node, exp.Paren):
        return value_of(node.this, kind)
    if isinstance(node, exp.Cast):
        to = node.to
        plain = to.this in _CASTS.get(kind, ()) and not to.expressions
        return value_of(node.this, kind) if plain else None
    if isinstance(node, exp.Literal):
        return _literal(node)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        found = _literal(node.this)
        return Constant(-found.value) if found is not None and isinstance(found.value, int) else None
    return Constant(None) if isinstance(node, exp.Null) else slot_of(node)


def _literal(node: exp.Literal) -> Constant | None:
    if node.is_string:
        return Constant(node.name)
    return Constant(int(node.name)) if node.name.isdigit() else None


def slot_of(node: exp.Expr | None) -> Slot | None:
    """Read a mark: $1 on Postgres, :p0 on SQLite."""
    if isinstance(node, exp.Parameter) and node.name.isdigit():
        return Slot(int(node.name) - 1)
    if isinstance(node, exp.Placeholder) and node.name[:1] == "p" and node.name[1:].isdigit():
        return Slot(int(node.name[1:]))
    return None


class Scope:
    """One SELECT, UPDATE or DELETE with the tables that its names are looked up in."""

    def __init__(self, node: exp.Expr, catalog: Catalog, dialect: str) -> None:
        self._catalog, self._dialect = catalog, dialect
        self._node = node
        #: By alias; None where it is no table of the catalog.
        self._sources: dict[str, Table | None] = {}
        for each in sources(node):
            self._sources[folded_alias(each, dialect)] = self._table(each)

    def row(self, node: exp.Table, table: Table) -> Row:
        """Say which rows of a table the scope's conditions leave."""
        whole = Row(table.place)
        alias = node.args.get("alias")
        if not table.key or (isinstance(alias, exp.TableAlias) and alias.columns):
            return whole
        conditions = list(self._conditions(node))
        name = folded_alias(node, self._dialect)
        candidates = []
        for column, kind in zip(table.key, table.kinds, strict=True):
            values = _narrowest(_values(each, self._column(name, column), kind) for each in conditions)
            if values is None:
                return whole
            candidates.append(values)
        return Row(table.place, table.kinds, tuple(candidates), absent=True)

    def _table(self, node: exp.Expr) -> Table | None:
        if not isinstance(node, exp.Table):
            return None
        return self._catalog.find(folded(node.this, self._dialect), folded(node.args.get("db"), self._dialect))

    def _conditions(self, node: exp.Table) -> Iterator[exp.Expr]:
        """Give what must be true of each row of the table that counts."""
        where = self._node.args.get("where")
        if where is not None:
            yield where.this
        for join in self._node.args.get("joins") or ():
            on = join.args.get("on")
            if on is not None and ((not join.side and join.kind in {"", "INNER"}) or join.this is node):
                yield on

    def _column(self, alias: str, column: str) -> Is:
        """Make the question whether an expression is one table's column."""
        dialect = self._dialect

        def is_column(node: exp.Expr) -> bool:
            if not isinstance(node, exp.Column) or folded(node.this, dialect) != column:
                return False
            if node.args.get("table") is not None:
                return folded(node.args["table"], dialect) == alias and node.args.get("db") is None
            return self._owners(column) == [alias]

        return is_column

    def _owners(self, column: str) -> list[str]:
        """Name the tables that a bare column may belong to."""
        return [alias for alias, table in self._sources.items() if table is None or column in table.columns]


def folded_alias(node: exp.Expr, dialect: str) -> str:
    """Give the name by which a scope's conditions call a table."""
    alias = node.args.get("alias")
    if isinstance(alias, exp.TableAlias):
        return folded(alias.this, dialect)
    return folded(node.this, dialect) if isinstance(node.this, exp.Identifier) else f"\0{id(node)}"


def sources(scope: exp.Expr) -> Iterator[exp.Expr]:
    """Give what stands in a scope's FROM, USING and joins, and what it changes."""
    target = scope.args.get("this")
    if isinstance(target, exp.Table):
        yield from _with_joins(target)
    for name in ("from_", "using", "joins", "laterals"):
        found = scope.args.get(name)
        for each in found if isinstance(found, list) else (found,):
            if isinstance(each, exp.From | exp.Join):
                yield from _with_joins(each.this)
            elif isinstance(each, exp.Expr):
                yield from _with_joins(each)


def _with_joins(node: exp.Expr) -> Iterator[exp.Expr]:
    """Give a source, and those that are joined to it within parentheses."""
    inner = node.this if isinstance(node, exp.Subquery | exp.Paren) and node.args.get("alias") is None else None
    if isinstance(inner, exp.Table | exp.Subquery | exp.Paren):
        yield from _with_joins(inner)
    else:
        yield node
    for join in node.args.get("joins") or ():
        yield from _with_joins(join.this)


def _narrowest(found: Iterator[tuple[Value, ...] | None]) -> tuple[Value, ...] | None:
    known = [values for values in found if values is not None]
    return min(known, key=len) if known else None


def _values(node: exp.Expr, is_column: Is, kind: str) -> tuple[Value, ...] | None:
    """Give every value that the column may have where the condition is true; None where it says nothing."""
    if isinstance(node, exp.Paren):
        return _values(node.this, is_column, kind)
    if isinstance(node, exp.And | exp.Or):
        sides = [_values(each, is_column, kind) for each in (node.left, node.right)]
        return _narrowest(iter(sides)) if isinstance(node, exp.And) else _either(sides)
    if isinstance(node, exp.EQ):
        return _equal(node.left, node.right, is_column, kind)
    if isinstance(node, exp.NullSafeEQ):  # a parameter may be NULL, which is equal to NULL here
        values = _equal(node.left, node.right, is_column, kind) or ()
        return (
            values if values and all(isinstance(each, Constant) and each.value is not None for each in values) else None
        )
    if isinstance(node, exp.In) and not any(node.args.get(name) for name in ("query", "unnest", "field", "is_global")):
        return _in(node.this, node.expressions, is_column, kind)
    return None


def _either(sides: Sequence[tuple[Value, ...] | None]) -> tuple[Value, ...] | None:
    known = [side for side in sides if side is not None]
    return tuple(value for side in known for value in side) if len(known) == len(sides) else None


def _equal(left: exp.Expr, right: exp.Expr, is_column: Is, kind: str) -> tuple[Value, ...] | None:
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple) and len(left.expressions) == len(right.expressions):
        pairs = zip(left.expressions, right.expressions, strict=True)
        return _narrowest(_equal(one, other, is_column, kind) for one, other in pairs)
    if is_column(right):
        left, right = right, left
    if not is_column(left):
        return None
    if isinstance(right, exp.Any):
        return _any(right.this, kind)
    value = value_of(right, kind)
    return None if value is None else (value,)


def _any(node: exp.Expr, kind: str) -> tuple[Value, ...] | None:
    """Read = ANY of a parameter, or of an array that is written out."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Array):
        return _all_values(node.expressions, kind)
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.ARRAY:
        plain = all(part.this in _CASTS[kind] and not part.expressions for part in node.to.expressions)
        node = node.this if plain else node
    slot = slot_of(node)
    return None if slot is None else (slot._replace(each=True),)


def _in(node: exp.Expr, values: Sequence[exp.Expr], is_column: Is, kind: str) -> tuple[Value, ...] | None:
    if is_column(node):
        return _all_values(values, kind)
    if isinstance(node, exp.Tuple):
        return _either([_equal(node, each, is_column, kind) for each in values])
    return None


def _all_values(nodes: Sequence[exp.Expr], kind: str) -> tuple[Value, ...] | None:
    values = [value_of(node, kind) for node in nodes]
    known = [value for value in values if value is not None]
    return tuple(known) if len(known) == len(values) else None
