"""What was found of a statement so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.controlled import footprint_text
from orchestrator.controlled.footprint_keys import SCOPES, Scope, folded
from orchestrator.controlled.footprint_rows import Row

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect

    from orchestrator.controlled.catalog import Catalog, Table


class Everything(Exception):
    """The statement may touch anything."""


class Touches:
    """Rows by what is done to them, and what tells which rows those are."""

    def __init__(self, catalog: Catalog, dialect: str, reader: Dialect, depth: int = 0) -> None:
        self.catalog, self.dialect, self.reader = catalog, dialect, reader
        self.reads: list[Row] = []
        self.writes: list[Row] = []
        self.locks: list[Row] = []
        self.shares: list[Row] = []
        #: It may free a lock though its transaction goes on.
        self.frees = False
        #: Views within views.
        self.depth = depth

    def change(self, row: Row) -> None:
        """Note rows that are changed."""
        for rows in (self.reads, self.writes, self.locks):
            rows.append(row)

    def share(self, row: Row) -> None:
        """Note rows that must stay as they are: they are read, and nobody else may lock them."""
        self.reads.append(row)
        self.shares.append(row)

    def find(self, node: exp.Table) -> Table | None:
        """Look a table up; None where nothing is known of any."""
        name, schema = folded(node.this, self.dialect), folded(node.args.get("db"), self.dialect)
        found = self.catalog.find(name, schema)
        if found is None and self.catalog.known:
            raise Everything
        return found

    def row(self, node: exp.Table, table: Table | None) -> Row:
        """Say which of a table's rows its scope means."""
        scope = node.find_ancestor(*SCOPES)
        if table is None or scope is None:
            return Row(table.place if table is not None else folded(node.this, self.dialect))
        return Scope(scope, self.catalog, self.dialect).row(node, table)

    def parsed(self, sql: str) -> exp.Expr | None:
        """Parse a text from the catalog."""
        trees = footprint_text.trees(self.reader, self.reader.tokenize(sql), sql)
        return next((tree for tree in trees if tree is not None), None)
