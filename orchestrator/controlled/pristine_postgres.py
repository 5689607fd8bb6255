"""The rows as they were before the first schedule, kept beside the tables and put back after each."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.adapt import Transformer

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.pristine_postgres_text import Sequence, Table, reset_function, rows_of
from orchestrator.explorer.model import EVERY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from psycopg.abc import Transformer as Loader
    from psycopg.pq.abc import PGresult

    from orchestrator.controlled.database import Rows
    from orchestrator.controlled.postgres_waits import Monitor
    from orchestrator.explorer.model import Footprint

#: More rows than this are no set-up for a search that puts them back a thousand times a second.
MOST_ROWS: Final = 100_000

_NOT_ON_PATH: Final = (
    "A body changes {0}, whose rows are not put back: its schema is not on the search path of the URL. Put it there, "
    "as in postgresql://…?options=-csearch_path%3Dapp,public."
)

#: What footprints call places that are no tables.
_ADVISORY: Final = "advisory"
_SEQUENCE: Final = "sequence "

_OWN_SCHEMAS: Final = "n.nspname = ANY (current_schemas(false)) AND n.nspname NOT LIKE 'rowrace\\_kept\\_%'"

_TABLES: Final = f"""
    SELECT c.oid, n.nspname, c.relname,
        ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped ORDER BY a.attnum),
        ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped AND a.attgenerated <> '' ORDER BY a.attnum),
        ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity = 'a'),
        ARRAY(SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (number, place)
            JOIN pg_attribute a ON a.attnum = k.number
            WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid ORDER BY k.place)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_OWN_SCHEMAS}
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY n.nspname, c.relname
"""  # noqa: S608 - a constant is put in

_SEQUENCES: Final = f"""
    SELECT n.nspname, c.relname, s.seqcache > 1
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relpersistence <> 't' AND {_OWN_SCHEMAS} ORDER BY n.nspname, c.relname
"""  # noqa: S608 - a constant is put in

#: Tables that are not kept: by their full name, and the bare one where no kept one may be meant.
_OUTSIDE: Final = f"""
    WITH tables AS (
        SELECT n.nspname, c.relname, {_OWN_SCHEMAS} AS own
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
            AND n.nspname !~ '^(pg_|rowrace_kept_)' AND n.nspname <> 'information_schema'
    )
    SELECT nspname || '.' || relname FROM tables WHERE NOT own
    UNION SELECT relname FROM tables GROUP BY relname HAVING NOT bool_or(own)
"""  # noqa: S608 - a constant is put in

#: Which tables are changed where another one's rows are deleted, or their keys changed.
_FOLLOWING: Final = """
    SELECT confrelid, conrelid FROM pg_constraint
    WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
"""


class _Known(NamedTuple):
    """What was kept."""

    tables: tuple[Table, ...]
    #: Table's number -> those whose rows change with its own, itself among them.
    with_it: dict[int, frozenset[int]]
    #: A table's name as statements have it -> numbers.
    named: dict[str, frozenset[int]]
    rows: Rows
    oids: frozenset[int]
    #: Names of tables that are not kept.
    outside: frozenset[str]


class Pristine:
    """Keeps and resets; `monitor` is a superuser's connection, whose writes fire no triggers and check no keys."""

    def __init__(self, monitor: Monitor, *, hard: bool = False) -> None:
        """With `hard`, touched tables are emptied and filled again, so that their rows lie in the order kept."""
        self._monitor, self._hard = monitor, hard
        self._schema = f"rowrace_kept_{secrets.token_hex(6)}"
        self._known: _Known | None = None
        self._sequences: list[tuple[Sequence, tuple[int, bool]]] = []
        #: Numbers of tables that may have changed since the last reset.
        self._touched: set[int] = set()
        self._places: dict[frozenset[Any], frozenset[int] | None] = {}
        #: What makes values of a table's columns, by its number.
        self._loaders: dict[int, Loader] = {}
        #: Something was touched that can't be told.
        self.all_touched = False
        #: Sessions keep numbers of sequences for themselves.
        self.caches = False

    def keep(self) -> None:
        """Copy every table of the search path's schemas."""
        self.close()
        connection = self._monitor.connection
        tables = _tables(connection)
        _check_size(connection, tables)
        sequences = [Sequence(*row[:2]) for row in connection.execute(_SEQUENCES)]
        self.caches = any(row[2] for row in connection.execute(_SEQUENCES))
        with connection.transaction():
            schema = sql.Identifier(self._schema)
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            for table in tables:
                connection.execute(
                    sql.SQL("CREATE UNLOGGED TABLE {}.{} AS SELECT * FROM ONLY {}").format(
                        schema, sql.Identifier(table.kept), table.identifier
                    )
                )
            self._sequences = [(each, _state(connection, each)) for each in sequences]
            connection.execute(reset_function(self._schema, tables, self._sequences, hard=self._hard))
        self._learn(tables)

    def harden(self) -> bool:
        """Put rows back in the order in which they were kept, from now on; False: it is done so already."""
        if self._hard:
            return False
        self._hard = True
        if self._known is not None:
            tables = self._known.tables
            self._monitor.connection.execute(reset_function(self._schema, tables, self._sequences, hard=True))
            self.all_touched = True
        return True

    @property
    def kept(self) -> bool:
        """Whether there are rows to put back."""
        return self._known is not None

    def touched(self, footprint: Footprint) -> None:
        """Note what a statement may have changed."""
        writes = footprint.writes
        if not writes or self._known is None:
            return
        if writes in self._places:
            numbers = self._places[writes]
        else:
            numbers = self._numbers({place.table for place in writes})
            if len(self._places) < MOST_ROWS:
                self._places[writes] = numbers
        if numbers is None:
            self.all_touched = True
        else:
            self._touched |= numbers

    def reset(self) -> None:
        """Have the server put the touched tables and all sequences back; whoever needs them so settles the monitor."""
        known = self._kept()
        if self.all_touched:
            self._check_tables(known)
        if self.all_touched or self._touched or self._sequences:
            which = None if self.all_touched else _array(self._touched)
            self._monitor.start(b"reset", which, failed=self._not_put_back)
        self._touched.clear()
        self.all_touched = False

    def _not_put_back(self, error: BaseException) -> BaseException:
        """Have everything put back the next time; gives what to raise, which must not look like a body's own error."""
        self.all_touched = True
        if not isinstance(error, psycopg.Error):
            return error
        locked = isinstance(error, psycopg.errors.LockNotAvailable)
        return Uncontrolled(f"Rows can't be put back{', somebody else holds a lock on them' * locked}: {error}")

    def rows(self) -> Rows:
        """Read what may have changed; the rest is as it was kept."""
        known = self._kept()
        if self.all_touched:
            self._check_tables(known)
        changed = known.tables if self.all_touched else [known.tables[number] for number in self._touched]
        return {**known.rows, **self._read(changed)}

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name each table's columns."""
        return {table.label: table.columns for table in self._kept().tables}

    def close(self) -> None:
        """Drop the copies."""
        known, self._known = self._known, None
        if known is not None:
            self._loaders.clear()
            self._monitor.run(f'DROP SCHEMA IF EXISTS "{self._schema}" CASCADE'.encode())
            self._monitor.run(b"DEALLOCATE reset")
            self._monitor.run(b"".join(b"DEALLOCATE %s;" % _reading(table) for table in known.tables) or b"SELECT")

    def _learn(self, tables: tuple[Table, ...]) -> None:
        self._monitor.prepare(b"reset", f'SELECT "{self._schema}".reset($1)'.encode())
        for table in tables:
            self._monitor.prepare(_reading(table), rows_of(table).as_bytes(self._monitor.connection))
        following = self._monitor.connection.execute(_FOLLOWING).fetchall()
        self._known = _Known(
            tables,
            _closure(tables, following),
            _named(tables),
            self._read(tables),
            frozenset(table.oid for table in tables),
            frozenset(name for (name,) in self._monitor.connection.execute(_OUTSIDE)),
        )
        self._places.clear()
        self._touched.clear()
        self.all_touched = False

    def _kept(self) -> _Known:
        if self._known is None:
            raise Uncontrolled("No rows were kept yet: call keep() once the set-up is done.")
        return self._known

    def _numbers(self, names: set[str]) -> frozenset[int] | None:
        """Give the tables that change with those of these names; None where one of them can't be told."""
        known = self._kept()
        found: frozenset[int] = frozenset()
        for name in names:
            numbers = known.named.get(name)
            if numbers is None and (name == _ADVISORY or name.startswith(_SEQUENCE)):
                continue  # sequences are put back each time, and sessions let go of their locks
            if name in known.outside and numbers is None:
                raise Uncontrolled(_NOT_ON_PATH.format(name))
            if name == EVERY or numbers is None:
                return None
            found = found.union(*(known.with_it[number] for number in numbers))
        return found

    def _read(self, tables: Collection[Table]) -> Rows:
        results = self._monitor.ask_all([_reading(table) for table in tables])
        return {table.label: self._loaded(table, result) for table, result in zip(tables, results, strict=True)}

    def _loaded(self, table: Table, result: PGresult) -> tuple[tuple[Any, ...], ...]:
        loader = self._loaders.get(table.number)
        if loader is None:
            loader = self._loaders[table.number] = Transformer(self._monitor.connection)
            loader.set_pgresult(result)
        else:  # of the same columns as before
            loader.set_pgresult(result, set_loaders=False)
        rows = loader.load_rows(0, result.ntuples, tuple)
        return tuple(rows if table.key else sorted(rows, key=repr))

    def _check_tables(self, known: _Known) -> None:
        """Refuse a body's DDL."""
        now = _tables(self._monitor.connection)
        if frozenset(table.oid for table in now) != known.oids or [t.columns for t in now] != [
            t.columns for t in known.tables
        ]:
            raise Uncontrolled(
                "A body creates, drops or alters tables; only rows can be put back, so make all tables in the set-up."
            )


def _tables(connection: psycopg.Connection[Any]) -> tuple[Table, ...]:
    found = connection.execute(_TABLES).fetchall()
    several = len({row[1] for row in found}) > 1
    return tuple(
        Table(
            number=number,
            oid=oid,
            schema=schema,
            name=name,
            label=f"{schema}.{name}" if several else name,
            columns=tuple(columns),
            generated=frozenset(generated),
            always=frozenset(always),
            key=tuple(key),
        )
        for number, (oid, schema, name, columns, generated, always, key) in enumerate(found)
        if columns
    )


def _check_size(connection: psycopg.Connection[Any], tables: Iterable[Table]) -> None:
    left = MOST_ROWS
    for table in tables:
        text = sql.SQL("SELECT count(*) FROM (SELECT FROM ONLY {} LIMIT {}) AS counted").format(
            table.identifier, sql.Literal(left + 1)
        )
        row = connection.execute(text).fetchone()
        left -= row[0] if row else 0
        if left < 0:
            msg = f"The tables hold more than {MOST_ROWS:,} rows; explore on a smaller set-up, a few rows are enough."
            raise Uncontrolled(msg)


def _state(connection: psycopg.Connection[Any], sequence: Sequence) -> tuple[int, bool]:
    row = connection.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sequence.identifier)).fetchone()
    return (row[0], row[1]) if row else (1, False)


def _closure(tables: tuple[Table, ...], following: list[tuple[int, int]]) -> dict[int, frozenset[int]]:
    """Find what changes with each table, over foreign keys that act on their own."""
    number = {table.oid: table.number for table in tables}
    next_to: dict[int, set[int]] = {}
    for parent, child in following:
        if parent in number and child in number:
            next_to.setdefault(number[parent], set()).add(number[child])
    whole = {}
    for table in tables:
        seen, todo = {table.number}, [table.number]
        while todo:
            more = next_to.get(todo.pop(), set()) - seen
            seen |= more
            todo += more
        whole[table.number] = frozenset(seen)
    return whole


def _named(tables: tuple[Table, ...]) -> dict[str, frozenset[int]]:
    named: dict[str, set[int]] = {}
    for table in tables:
        for name in {table.name, table.name.lower(), f"{table.schema}.{table.name}"}:
            named.setdefault(name, set()).add(table.number)
    return {name: frozenset(numbers) for name, numbers in named.items()}


def _reading(table: Table) -> bytes:
    """Name the prepared statement that reads a table."""
    return b"rows%d" % table.number


def _array(numbers: Iterable[int]) -> bytes:
    return b"{%s}" % b",".join(b"%d" % number for number in numbers)
