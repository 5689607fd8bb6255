"""What INSERT, UPDATE, DELETE and MERGE touch beside what they read: rows, unique keys, foreign keys, defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from orchestrator.controlled.footprint_keys import folded, value_of
from orchestrator.controlled.footprint_rows import Row
from orchestrator.controlled.footprint_touches import Everything
from orchestrator.explorer.model import EVERY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orchestrator.controlled.catalog import Reference, Table
    from orchestrator.controlled.footprint_rows import Value
    from orchestrator.controlled.footprint_walk import Walk

    #: Columns that are given a value, and the value where it is an expression of their own.
    Given = Mapping[str, exp.Expr | None]


def take(walk: Walk, node: exp.Insert | exp.Update | exp.Delete | exp.Merge) -> None:
    """Note what a statement changes."""
    target = node.this.this if isinstance(node.this, exp.Schema) else node.this
    if not isinstance(target, exp.Table) or not isinstance(target.this, exp.Identifier):
        raise Everything
    table = walk.find(target)
    if table is None:
        walk.change(walk.row(target, None))
    elif table.opaque or table.view:
        raise Everything
    elif isinstance(node, exp.Insert):
        _insert(walk, node, table)
    elif isinstance(node, exp.Update):
        walk.change(walk.row(target, table))
        _set(walk, table, _assigned(node.expressions, walk.dialect))
    elif isinstance(node, exp.Delete):
        walk.change(walk.row(target, table))
        _removed(walk, table, None, set())
    else:
        _wholly(walk, table)


def _wholly(walk: Walk, table: Table) -> None:
    """Note that any row may come, change or go."""
    walk.change(Row(table.place))
    for _column, text in table.defaults:
        walk.expression(text)
    for reference in table.parents:
        walk.share(_parent(walk, reference, {}))
    _removed(walk, table, None, set())


# INSERT


def _insert(walk: Walk, node: exp.Insert, table: Table) -> None:
    """Note the new rows, what they refer to, and what an ON CONFLICT or OR REPLACE does to those in their way."""
    columns = _columns(walk, node, table)
    rows = _rows(node, columns)
    for row in rows or [dict.fromkeys(columns)]:
        walk.change(_new(table, row))
        for reference in table.parents:
            if all(column in row or _filled(table, column) for column in reference.columns):
                walk.share(_parent(walk, reference, row))
    for column, text in table.defaults:
        if column not in columns or any(row.get(column) is None for row in rows):
            walk.expression(text)
    conflict = node.args.get("conflict")
    if conflict is not None and conflict.expressions:
        _set(walk, table, _assigned(conflict.expressions, walk.dialect))
    if str(node.args.get("alternative") or "").upper() == "REPLACE":
        _removed(walk, table, None, set())


def _columns(walk: Walk, node: exp.Insert, table: Table) -> Sequence[str]:
    if isinstance(node.this, exp.Schema):
        return [folded(each, walk.dialect) for each in node.this.expressions]
    return () if node.args.get("default") else table.columns


def _rows(node: exp.Insert, columns: Sequence[str]) -> list[Given]:
    """Give each row of VALUES by column, DEFAULT as None; no rows where they come from elsewhere."""
    if node.args.get("default"):
        return [{}]
    if not isinstance(node.expression, exp.Values):
        return []
    rows: list[Given] = []
    for each in node.expression.expressions:
        values = each.expressions if isinstance(each, exp.Tuple) else [each]
        given = (None if isinstance(value, exp.Var) else value for value in values)
        rows.append(dict(zip(columns, given, strict=False)))
    return rows


def _new(table: Table, given: Given) -> Row:
    """Say which row an INSERT writes: known only by a primary key that is given and the only unique one."""
    if table.more:
        return Row(table.place)
    return _keyed(table, dict(zip(table.key, table.key, strict=True)), given, absent=False)


def _keyed(table: Table, names: Mapping[str, str], given: Given, *, absent: bool) -> Row:
    """Name a row by its key, whose columns are given under other names; the whole table where one is not."""
    candidates: list[tuple[Value, ...]] = []
    for column, kind in zip(table.key, table.kinds, strict=True):
        value = value_of(given.get(names[column]), kind)
        if value is None:
            return Row(table.place)
        candidates.append((value,))
    return Row(table.place, table.kinds, tuple(candidates), absent=absent)


def _filled(table: Table, column: str) -> bool:
    """Say whether a column that is not given may have a value all the same: by default, or since it is computed."""
    return column not in table.columns or any(column == name for name, _text in table.defaults)


# UPDATE and DELETE


def _assigned(expressions: Sequence[exp.Expr], dialect: str) -> Given:
    """Give the columns that SET names; without a value where it is part of a row, or changes part of the column."""
    given: dict[str, exp.Expr | None] = {}
    for each in expressions:
        target = each.this
        if isinstance(target, exp.Column):
            given[folded(target.this, dialect)] = each.expression
        else:
            given |= {folded(name, dialect): None for name in target.find_all(exp.Identifier)}
    return given


def _set(walk: Walk, table: Table, given: Given) -> None:
    """Note what it means to change these columns: unique ones may meet any row, foreign keys a parent or children."""
    wide = EVERY in table.unique or not given.keys() <= set(table.columns)
    if wide or not table.unique.isdisjoint(given):
        walk.change(Row(table.place))
    for reference in table.parents:
        if wide or not given.keys().isdisjoint(reference.columns):
            walk.share(_parent(walk, reference, given))
    _removed(walk, table, None if wide else given.keys(), set())


def _removed(walk: Walk, table: Table, columns: Collection[str] | None, seen: set[str]) -> None:
    """Note the children of rows that are gone, or whose columns have changed; None: any of them."""
    if table.name in seen:
        return
    seen.add(table.name)
    for reference in walk.catalog.children(table):
        if columns is not None and "" not in reference.targets and not set(columns) & set(reference.targets):
            continue
        child = walk.catalog.tables[reference.child]
        row = Row(child.place)
        walk.reads.append(row)
        walk.locks.append(row)
        if reference.passes:
            if child.opaque:
                raise Everything
            walk.change(row)
            for each in child.parents:
                walk.share(_parent(walk, each, {}))
            _removed(walk, child, None, seen)


def _parent(walk: Walk, reference: Reference, given: Given) -> Row:
    """Name the row that a foreign key refers to; NULL refers to none."""
    parent = walk.catalog.tables.get(reference.parent)
    if parent is None:
        return Row(reference.parent)
    names = dict(zip(reference.targets, reference.columns, strict=True))
    if not parent.key or names.keys() != set(parent.key):
        return Row(parent.place)
    return _keyed(parent, names, given, absent=True)
