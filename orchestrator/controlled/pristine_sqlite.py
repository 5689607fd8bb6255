"""The rows of an SQLite file as they were kept, and the way back to them.

Rows that differ are replaced one by one, which other connections hardly notice.  Where that would not be exact, or
not be little, the whole image is put back by `backup()`: three times as slow on a few pages, since every connection
then reads the schema and prepares its statements again.
"""

from __future__ import annotations

import marshal
import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.controlled.sqlite_tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.controlled.database import Rows
    from orchestrator.controlled.sqlite_tables import Row, Table

#: Rows of one table that are compared and replaced one by one.
_FEW: Final = 1_000
#: The last version of marshal's format whose bytes tell values only, and not which objects are the same one.
_BY_VALUE: Final = 2


class _State(NamedTuple):
    """The whole file at one moment."""

    schema: int
    tables: tuple[Table, ...]
    #: What each table's `select` read.
    read: list[list[Row]]
    #: The same, one value for each table: equal where every row is equal, and of the same types.
    dumped: list[bytes]


class Pristine:
    """Reads and puts back one file's rows, on a connection of its own that no hook knows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._image = sqlite3.connect(":memory:", check_same_thread=False)
        self._kept: _State | None = None
        self._now: _State | None = None
        #: SQLite's own count of what other connections committed, when `_now` was read.
        self._version = -1

    def close(self) -> None:
        """Drop the image."""
        self._image.close()

    def rows(self) -> Rows:
        """Give each table's rows, in the order of their keys."""
        now = self._read()
        return {
            table.name: table.own(read) for table, read in zip(now.tables, now.read, strict=True) if not table.hidden
        }

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name each table's columns."""
        return {table.name: table.columns for table in self._read().tables if not table.hidden}

    def keep(self) -> None:
        """Remember everything as it stands."""
        self._kept = self._read()
        self._connection.backup(self._image)

    def put_back(self) -> None:
        """Make everything as it was kept; nothing to do where nobody has committed a change."""
        kept, now = self._kept, self._read()
        if kept is None or now is kept:
            return
        if not self._replace(kept, now):
            self._image.backup(self._connection)
            kept = kept._replace(schema=self._pragma("schema_version"))
            self._version = self._pragma("data_version")
        self._kept = self._now = kept

    def _read(self) -> _State:
        """Read what has changed since the last time."""
        version = self._pragma("data_version")
        if self._now is not None and version == self._version:
            return self._now
        schema = self._pragma("schema_version")
        known = self._now.tables if self._now is not None and self._now.schema == schema else tables(self._connection)
        read = [self._select(table) for table in known]
        self._now = _State(schema, known, read, [marshal.dumps(each, _BY_VALUE) for each in read])
        self._version = version
        return self._now

    def _select(self, table: Table) -> list[Row]:
        try:
            return self._connection.execute(table.select).fetchall()
        except sqlite3.OperationalError:  # a text that is none: unlike others, it can only go back as an image
            self._connection.text_factory = lambda text: text.decode(errors="surrogateescape")
            return self._connection.execute(table.select).fetchall()

    def _replace(self, kept: _State, now: _State) -> bool:
        """Replace the rows that differ, in one transaction; False where the image is the better way."""
        if kept.schema != now.schema:
            return False
        differ = [
            (table, kept.read[number], now.read[number])
            for number, table in enumerate(kept.tables)
            if kept.dumped[number] != now.dumped[number]
        ]
        if any(table.delicate or len(before) + len(after) > _FEW for table, before, after in differ):
            return False
        try:
            self._replace_rows(differ)
        except UnicodeEncodeError:
            return False
        return True

    def _replace_rows(self, differ: list[tuple[Table, list[Row], list[Row]]]) -> None:
        """Delete rows that are new, and put back the others.

        REPLACE deletes whatever has a unique value of a kept row: a row that differs, so it is put back as well.
        """
        work = [work for each in differ for work in _work(*each)]
        if len(work) == 1:
            self._connection.executemany(*work[0])
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for each in work:
                self._connection.executemany(*each)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value


def _work(table: Table, before: list[Row], after: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Give the statements that make one table's rows as before, each with its sets of parameters."""
    old = {marshal.dumps(row, _BY_VALUE): row for row in before}
    new = {marshal.dumps(row, _BY_VALUE): row for row in after}
    lost = [row for key, row in old.items() if key not in new]
    known = set(map(table.identify, lost))
    gone = [each for key, row in new.items() if key not in old and (each := table.identify(row)) not in known]
    if gone:
        yield table.delete, gone
    if lost:
        yield table.replace, lost
