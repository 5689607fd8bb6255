"""One parsed statement's touches: which rows it reads, writes, locks and shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from orchestrator.controlled import footprint_changes, footprint_functions
from orchestrator.controlled.footprint_keys import folded, folded_alias, sources, value_of
from orchestrator.controlled.footprint_rows import Row
from orchestrator.controlled.footprint_touches import Everything, Touches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.controlled.catalog import Table

#: What a statement may be; anything else is not understood.
_ROOTS: Final = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge)
#: Nodes that do what no footprint says.
_OPAQUE: Final = (exp.Command, exp.Into, exp.DDL, exp.Copy, exp.TruncateTable)
#: Views within views.
_DEEP: Final = 16


class Walk(Touches):
    """Walks over a statement's tree; `Everything` is raised where the touches can't be told."""

    def statement(self, root: exp.Expr | None) -> None:
        """Take a whole statement."""
        if not isinstance(root, _ROOTS):
            raise Everything
        for node in root.walk():
            self._node(node)

    def expression(self, sql: str) -> None:
        """Take what an expression from the catalog does: a column's default."""
        self.statement(self.parsed(f"SELECT {sql}"))

    def _node(self, node: exp.Expr) -> None:
        if isinstance(node, exp.Table):
            self._table(node)
        elif isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            if not isinstance(node.parent, exp.When):
                footprint_changes.take(self, node)
        elif isinstance(node, exp.Select):
            for lock in node.args.get("locks") or ():
                self._lock(node, lock)
        elif isinstance(node, exp.Dot):
            self._qualified(node)
        elif isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
            self._function(node)
        elif isinstance(node, _OPAQUE) or (isinstance(node, exp.In) and node.args.get("field") is not None):
            raise Everything

    # tables

    def _table(self, node: exp.Table) -> None:
        """Note a table that is read."""
        if _names_only(node) or not isinstance(node.this, exp.Identifier) or self.is_cte(node):
            return
        if self._system(node):
            return
        table = self.find(node)
        if table is not None and table.view:
            self._view(table, locked=False)
        else:
            self.reads.append(self.row(node, table))

    def _system(self, node: exp.Table) -> bool:
        """Take a table of the system's own."""
        name, schema = folded(node.this, self.dialect), folded(node.args.get("db"), self.dialect)
        own = name.startswith(footprint_functions.SYSTEM_NAMES[self.dialect]) and not schema
        if self.catalog.find(name, schema) is not None or not (own or schema in footprint_functions.SYSTEM):
            return False
        if name in footprint_functions.LIVE:
            raise Everything
        self.reads.append(Row(name))
        return True

    def _view(self, view: Table, *, locked: bool) -> None:
        """Take what a view reads; a locking read locks all of it."""
        if self.depth > _DEEP:
            raise Everything
        inner = Walk(self.catalog, self.dialect, self.reader, self.depth + 1)
        tree = self.parsed(view.view)
        inner.statement(tree.expression if isinstance(tree, exp.Create) else tree)
        self.reads += inner.reads
        self.writes += inner.writes
        self.locks += inner.locks
        self.shares += inner.shares
        if locked:
            self.locks += [Row(row.table) for row in inner.reads]

    def is_cte(self, node: exp.Table) -> bool:
        """Say whether a name is that of a WITH query that is in sight."""
        if node.args.get("db") is not None:
            return False
        name = folded(node.this, self.dialect)
        inside: exp.Expr = node
        parent = node.parent
        while parent is not None:
            with_ = parent.args.get("with_")
            if isinstance(with_, exp.With) and name in self._visible(with_, inside):
                return True
            if isinstance(parent, exp.With) and name in self._visible(parent, inside):
                return True
            inside, parent = parent, parent.parent
        return False

    def _visible(self, with_: exp.With, inside: exp.Expr) -> Iterator[str]:
        """Name the WITH queries that can be seen from within a part of the statement."""
        for each in with_.expressions:
            if each is inside and not with_.args.get("recursive"):
                return
            if inside is not with_:
                yield folded_alias(each, self.dialect)

    # locks

    def _lock(self, select: exp.Select, lock: exp.Lock) -> None:
        """Note the rows that FOR UPDATE or FOR SHARE takes."""
        wanted = {folded(each.this, self.dialect) for each in lock.expressions if isinstance(each, exp.Table)}
        for source in sources(select):
            if wanted and folded_alias(source, self.dialect) not in wanted:
                continue
            for node in source.find_all(exp.Table):
                if isinstance(node.this, exp.Identifier) and not _names_only(node) and not self.is_cte(node):
                    self._lock_table(node, update=bool(lock.args.get("update")))

    def _lock_table(self, node: exp.Table, *, update: bool) -> None:
        table = self.find(node)
        if table is not None and table.view:
            self._view(table, locked=True)
        else:
            (self.locks if update else self.shares).append(self.row(node, table))

    # functions

    def _qualified(self, node: exp.Dot) -> None:
        """Refuse a function of somebody's schema."""
        if isinstance(node.expression, exp.Func) and folded(node.this, self.dialect) != "pg_catalog":
            raise Everything

    def _function(self, node: exp.Expr) -> None:
        name = node.name.lower()
        functions = footprint_functions
        if self.dialect == "postgres":
            if name in functions.ADVISORY_LOCKS:
                (self.shares if functions.ADVISORY_LOCKS[name] else self.locks).append(_advisory(node))
                return
            if name in functions.ADVISORY_UNLOCKS:
                self.locks.append(_advisory(node))
                self.frees = True
                return
            if name in functions.SEQUENCES:
                self._sequence(node)
                return
        if not functions.harmless(name, self.dialect):
            raise Everything

    def _sequence(self, node: exp.Expr) -> None:
        """Note a sequence, whose changes others see at once."""
        argument = node.expressions[0] if node.expressions else None
        while isinstance(argument, exp.Cast | exp.Paren):
            argument = argument.this
        if not isinstance(argument, exp.Literal) or not argument.is_string:
            raise Everything
        parts = exp.to_table(argument.name, dialect=self.reader)
        row = Row(f"sequence {folded(parts.this, self.dialect)}")
        self.writes.append(row)
        self.locks.append(row)


def _names_only(node: exp.Table) -> bool:
    """Say whether a table node is a target, which its statement takes, or just a name."""
    parent = node.parent
    if isinstance(parent, exp.Lock) or node.arg_key == "indexed":
        return True
    if isinstance(parent, exp.Schema):
        parent = parent.parent
    return isinstance(parent, exp.Insert | exp.Update | exp.Delete | exp.Merge) and node.arg_key == "this"


def _advisory(node: exp.Expr) -> Row:
    """Read an advisory lock's key: one number, or two."""
    values = [value_of(each, "integer") for each in node.expressions]
    known = tuple((value,) for value in values if value is not None)
    if not known or len(known) != len(values):
        return Row("advisory")
    return Row("advisory", ("integer",) * len(known), known)
