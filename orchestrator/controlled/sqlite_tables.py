"""How the explorer itself reads and writes each table of an SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    Row = tuple[Any, ...]

_TABLES: Final = """
    SELECT name, type, wr,
        EXISTS (SELECT 1 FROM sqlite_schema AS each WHERE each.type = 'trigger' AND tbl_name = list.name)
    FROM pragma_table_list AS list
    WHERE schema = 'main' AND type IN ('table', 'virtual', 'shadow')
        AND (substr(name, 1, 7) <> 'sqlite_' OR name = 'sqlite_sequence')
    ORDER BY name
"""
_COLUMNS: Final = "SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid"
#: An INTEGER PRIMARY KEY is the row's id itself, and has no index.
_KEY_INDEX: Final = "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'"
_ROW_IDS: Final = ("rowid", "_rowid_", "oid")


class Table(NamedTuple):
    """A table's statements."""

    name: str
    columns: tuple[str, ...]
    #: Reads the columns, then the row's id where it is none of them; in the key's order, where there is a key.
    select: str
    delete: str
    replace: str
    #: Where `select` gives what tells a row from all others.
    identity: tuple[int, ...]
    ordered: bool
    #: A row that is deleted and inserted again may not be as before: there are triggers, or it is no plain table.
    delicate: bool
    #: SQLite's or a virtual table's own, not the user's.
    hidden: bool
    #: `select` reads the columns in the key's order, and nothing else.
    plain: bool

    def own(self, read: Iterable[Row]) -> tuple[Row, ...]:
        """Give what `select` read without the row's id, in an order that the values alone decide."""
        if self.plain:
            return tuple(read)
        width = len(self.columns)
        if not self.ordered:
            return tuple(sorted((row[:width] for row in read), key=repr))
        return tuple(row[:width] for row in read)

    def identify(self, row: Row) -> Row:
        """Give what tells a row from all others."""
        return tuple(row[place] for place in self.identity)


def tables(connection: sqlite3.Connection) -> tuple[Table, ...]:
    """Describe every table of the main database."""
    return tuple(
        _table(connection, name, kind, keyed=bool(without_rowid), triggers=bool(triggers))
        for name, kind, without_rowid, triggers in connection.execute(_TABLES).fetchall()
    )


def _table(connection: sqlite3.Connection, name: str, kind: str, *, keyed: bool, triggers: bool) -> Table:
    found = connection.execute(_COLUMNS, (name,)).fetchall()
    columns = [column for column, _ in found]
    keys = [column for column, place in sorted(found, key=lambda each: each[1]) if place]
    read, identity = columns, keys
    if kind != "virtual" and not keyed and (len(keys) != 1 or connection.execute(_KEY_INDEX, (name,)).fetchone()):
        row_id = _row_id(columns)
        read, identity = [*columns, *row_id], row_id
    return Table(
        name,
        tuple(columns),
        select=f"SELECT {_list(read)} FROM {_quoted(name)}" + (f" ORDER BY {_list(keys)}" if keys else ""),  # noqa: S608 - quoted names
        delete=f"DELETE FROM {_quoted(name)} WHERE {' AND '.join(f'{_quoted(each)} = ?' for each in identity)}",  # noqa: S608 - quoted names
        replace=f"REPLACE INTO {_quoted(name)} ({_list(read)}) VALUES ({', '.join('?' * len(read))})",  # noqa: S608 - quoted names
        identity=tuple(read.index(each) for each in identity),
        ordered=bool(keys),
        delicate=triggers or kind != "table" or not identity,
        hidden=kind == "shadow" or name == "sqlite_sequence",
        plain=bool(keys) and read == columns,
    )


def _row_id(columns: Sequence[str]) -> list[str]:
    """Find a name of the row's id that no column has taken; none, where all are."""
    taken = {column.lower() for column in columns}
    return [each for each in _ROW_IDS if each not in taken][:1]


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
