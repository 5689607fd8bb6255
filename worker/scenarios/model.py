"""What a scenario is: one relation of rows with one value each, and the kinds of operations that change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.sql.expression import ClauseElement
    from sqlalchemy.types import TypeEngine

    from worker.contract import Operation

#: A literal 1, so that adding it binds no parameter.
ONE: Any = sa.literal_column("1", sa.Integer())


class Step(NamedTuple):
    """One atomic statement of an operation, by its name, and the rows that it must match."""

    statement: str
    params: Mapping[str, Any]
    keys: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of operation; every function takes the operation's params first."""

    #: Rows touched, ascending: every strategy takes them in this order, so that none deadlocks.
    keys: Callable[[Mapping[str, Any]], tuple[int, ...]]
    #: New values by key from old values by key; pure; raises Refused.
    change: Callable[[Mapping[str, Any], Mapping[int, Any]], dict[int, Any]]
    #: Atomic statements for a dialect; where there are several they share a transaction.
    steps: Callable[[Mapping[str, Any], str], tuple[Step, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A relation, its initial rows (keys 0 to rows - 1), and the kinds that change them."""

    name: str
    relation: str
    #: Column that holds a row's value.
    column: str
    type: TypeEngine[Any]
    initial: Any
    kinds: Mapping[str, Kind]
    #: Statements that the kinds' steps name, for a table and a dialect.
    atomic: Callable[[sa.Table, str], Mapping[str, ClauseElement]]
    #: The request, a row of the schema's table `requests`, that must be there before an operation is done, by the
    #: operation's params; None: operations need none.
    request: Callable[[Mapping[str, Any]], int] | None = None

    def table(self, schema: str | None) -> sa.Table:
        """Describe the relation in a schema, in a metadata of its own."""
        return sa.Table(
            self.relation,
            sa.MetaData(),
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column(self.column, self.type, nullable=False),
            sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("seq", sa.BigInteger, nullable=False, server_default="0"),
            sa.Column("writer", sa.BigInteger, nullable=False, server_default="0"),
            schema=schema,
            postgresql_with={"fillfactor": 50},  # room on the page for the next version of a hot row
        )

    def change(self, operation: Operation) -> Change:
        """Bind a planned operation to its kind."""
        kind = self.kinds[operation.kind]
        return Change(kind.keys(operation.params), kind, operation.params)


class Change(NamedTuple):
    """What a body gets to do: the rows, the pure change, and the same as atomic statements."""

    keys: tuple[int, ...]
    kind: Kind
    params: Mapping[str, Any]

    def new(self, values: Mapping[int, Any]) -> dict[int, Any]:
        """Compute new values from old ones; raises Refused."""
        return self.kind.change(self.params, values)

    def steps(self, dialect: str) -> tuple[Step, ...]:
        """Name the atomic statements that do the same on this dialect."""
        return self.kind.steps(self.params, dialect)
