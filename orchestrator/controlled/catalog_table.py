"""One table as footprints see it."""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """A foreign key."""

    child: str
    columns: tuple[str, ...]
    parent: str
    #: The parent's columns that it refers to.
    targets: tuple[str, ...]
    #: A change of the parent changes the child: CASCADE, SET NULL, SET DEFAULT.
    passes: bool = False
    #: The parent's schema.
    schema: str = ""


class Table(NamedTuple):
    """A table, or a view."""

    name: str
    schema: str = ""
    #: In the order in which INSERT without names fills them.
    columns: tuple[str, ...] = ()
    #: The primary key's columns; () where rows can't be told apart by it.
    key: tuple[str, ...] = ()
    #: How each of the key's values compares: "integer", "text" or "uuid".
    kinds: tuple[str, ...] = ()
    #: Columns of every unique index, EVERY where an index looks at more than columns.
    unique: frozenset[str] = frozenset()
    #: There is a unique index beside the primary key.
    more: bool = False
    parents: tuple[Reference, ...] = ()
    #: Columns with defaults, and what those say in SQL.
    defaults: tuple[tuple[str, str], ...] = ()
    #: A change of it may do anything: triggers, rules, policies.
    opaque: bool = False
    #: A view's query, in SQL.
    view: str = ""
    #: The topmost table that this one is a part of: a partition, an heir.
    root: str = ""

    @property
    def place(self) -> str:
        """The table that statements meet at."""
        return self.root or self.name
