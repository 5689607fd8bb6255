"""What footprints need to know of the tables: keys, foreign keys, triggers, views; read from SQLite or Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.controlled import catalog_postgres, catalog_sqlite
from orchestrator.controlled.catalog_table import Reference, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NO_CATALOG", "Catalog", "Reference", "Table", "of_postgres", "of_sqlite"]


class Catalog(NamedTuple):
    """The tables and views that a statement's names may mean."""

    #: By the name of their place: the bare name, or "schema.name" where two schemas have it.
    tables: Mapping[str, Table] = {}
    #: Functions that users defined and that may do anything.
    functions: frozenset[str] = frozenset()
    #: The schemas in which a bare name is looked up, in order.
    path: tuple[str, ...] = ()
    #: False: nothing is known, and a table's rows can't be told apart.
    known: bool = True

    def find(self, name: str, schema: str = "") -> Table | None:
        """Look a table up, as a statement names it."""
        if schema:
            found = self.tables.get(f"{schema}.{name}") or self.tables.get(name)
            return found if found is not None and found.schema == schema else None
        return self.tables.get(name) or next(
            (self.tables[full] for each in self.path if (full := f"{each}.{name}") in self.tables), None
        )

    def children(self, table: Table) -> tuple[Reference, ...]:
        """Give the foreign keys that refer to a table."""
        return tuple(each for child in self.tables.values() for each in child.parents if each.parent == table.name)


#: Nothing is known: each statement meets whole tables.
NO_CATALOG: Final = Catalog(known=False)


def of_sqlite(connection: Any, harmless: frozenset[str] = frozenset()) -> Catalog:  # noqa: ANN401 - sqlite3's, or one like it
    """Read the main database; triggers called as in `harmless` touch nothing that matters."""
    return _named(catalog_sqlite.tables(connection, harmless), frozenset(), ("main",))


def of_postgres(
    connection: Any,  # noqa: ANN401 - psycopg's, which this file does not import
    harmless: frozenset[str] = frozenset(),
    schemas: Sequence[str] = (),
) -> Catalog:
    """Read the schemas on the search path, or the given ones; triggers in `harmless` touch nothing that matters."""
    path, tables, functions = catalog_postgres.read(connection, harmless, schemas)
    return _named(tables, functions, path)


def _named(tables: Sequence[Table], functions: frozenset[str], path: tuple[str, ...]) -> Catalog:
    """Call each table by its bare name, or with its schema where the bare name is not its own."""
    counts: dict[str, int] = {}
    for table in tables:
        counts[table.name] = counts.get(table.name, 0) + 1

    def name(schema: str, bare: str) -> str:
        return bare if counts.get(bare, 0) == 1 else f"{schema}.{bare}"

    named = {}
    for table in tables:
        own = name(table.schema, table.name)
        parents = tuple(
            each._replace(child=own, parent=name(each.schema or table.schema, each.parent)) for each in table.parents
        )
        root = name(table.schema, table.root) if table.root else ""
        named[own] = table._replace(name=own, root=root, parents=parents)
    return Catalog(named, functions, path)
