"""The statements that put rows back: one function for all tables, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

if TYPE_CHECKING:
    from psycopg.sql import Composable, Composed


class Table(NamedTuple):
    """A table whose rows are kept."""

    number: int
    oid: int
    schema: str
    name: str
    #: Its name in results: with its schema where there are several.
    label: str
    columns: tuple[str, ...]
    #: Columns that the server computes.
    generated: frozenset[str]
    #: Columns that only an overriding INSERT may give.
    always: frozenset[str]
    #: Its primary key's columns.
    key: tuple[str, ...]

    @property
    def identifier(self) -> sql.Identifier:
        """Its name for statements."""
        return sql.Identifier(self.schema, self.name)

    @property
    def kept(self) -> str:
        """Its copy's name."""
        return f"t{self.number}"

    @property
    def stored(self) -> tuple[str, ...]:
        """Columns that can be written."""
        return tuple(name for name in self.columns if name not in self.generated)


class Sequence(NamedTuple):
    """A sequence whose state is kept."""

    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        """Its name for statements."""
        return sql.Identifier(self.schema, self.name)


def reset_function(
    schema: str, tables: tuple[Table, ...], sequences: list[tuple[Sequence, tuple[int, bool]]], *, hard: bool
) -> Composed:
    """Write the function; its argument names the tables by number, NULL all."""
    parts = [_refill_all(schema, tables)] if hard and tables else [_put_back(schema, table) for table in tables]
    parts += [_set_back(sequence, *state) for sequence, state in sequences]
    body = sql.SQL("\n").join([sql.SQL("DECLARE rowrace_n bigint; rowrace_c boolean; BEGIN"), *parts, sql.SQL("END")])
    return sql.SQL(
        "CREATE OR REPLACE FUNCTION {}.reset(rowrace_which int[]) RETURNS void LANGUAGE plpgsql AS {}"
    ).format(sql.Identifier(schema), sql.Literal(_text(body)))


def rows_of(table: Table) -> Composable:
    """Write the reading of a table, in its key's order."""
    read = sql.SQL("SELECT {} FROM ONLY {}").format(_list(table.columns), table.identifier)
    return read + sql.SQL(" ORDER BY ") + _list(table.key) if table.key else read


def _put_back(schema: str, table: Table) -> Composable:
    mend = _mend(schema, table) if table.key else _replace(schema, table)
    return sql.SQL("IF rowrace_which IS NULL OR {} = ANY (rowrace_which) THEN {} END IF;").format(
        sql.Literal(table.number), mend
    )


def _mend(schema: str, table: Table) -> Composable:
    """Touch only rows that differ; an update in place costs least, and changes no index."""
    values = {
        "table": table.identifier,
        "kept": sql.Identifier(schema, table.kept),
        "same": sql.SQL(" AND ").join(sql.SQL("a.{0} = b.{0}").format(sql.Identifier(name)) for name in table.key),
        "a": _row("a", table.stored),
        "b": _row("b", table.stored),
    }
    changing = tuple(name for name in table.stored if name not in table.key)
    update: Composable = sql.SQL("")
    if changing and not table.always.intersection(changing):
        update = sql.SQL("UPDATE ONLY {table} a SET {set} FROM {kept} b WHERE {same} AND {a} *<> {b};").format(
            set=sql.SQL(", ").join(sql.SQL("{0} = b.{0}").format(sql.Identifier(name)) for name in changing), **values
        )
    rest = sql.SQL(
        "DELETE FROM ONLY {table} a WHERE NOT EXISTS (SELECT FROM {kept} b WHERE {same} AND {a} *= {b});"
        "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {kept} b "
        "WHERE NOT EXISTS (SELECT FROM ONLY {table} a WHERE {same});"
    ).format(columns=_list(table.stored), **values)
    return update + rest


def _replace(schema: str, table: Table) -> Composable:
    """Write all rows anew where their texts, in order, differ."""
    digest = sql.SQL(
        "(SELECT md5(coalesce(string_agg({row}::text, '|' ORDER BY {row}::text), '')) FROM ONLY {table} a)"
    )
    row = _row("a", table.stored)
    kept = sql.Identifier(schema, table.kept)
    return sql.SQL("IF {now} <> {before} THEN DELETE FROM ONLY {table}; {fill} END IF;").format(
        now=digest.format(row=row, table=table.identifier),
        before=digest.format(row=row, table=kept),
        table=table.identifier,
        fill=_fill(schema, table),
    )


def _refill_all(schema: str, tables: tuple[Table, ...]) -> Composable:
    """Empty all at once, since foreign keys forbid it one by one."""
    names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(table.identifier) for table in tables)
    fill = sql.SQL("").join(_fill(schema, table) for table in tables)
    return sql.SQL("IF rowrace_which IS NULL OR cardinality(rowrace_which) > 0 THEN TRUNCATE {}; {} END IF;").format(
        names, fill
    )


def _fill(schema: str, table: Table) -> Composable:
    return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {};").format(
        table.identifier, _list(table.stored), _list(table.stored), sql.Identifier(schema, table.kept)
    )


def _set_back(sequence: Sequence, last: int, called: bool) -> Composable:  # noqa: FBT001 - the server's own column
    return sql.SQL(
        "SELECT last_value, is_called INTO rowrace_n, rowrace_c FROM {name};"
        "IF (rowrace_n, rowrace_c) <> ({last}, {called}) THEN "
        "PERFORM setval({text}::regclass, {last}, {called}); END IF;"
    ).format(
        name=sequence.identifier,
        text=sql.Literal(_text(sequence.identifier)),
        last=sql.Literal(last),
        called=sql.Literal(called),
    )


def _list(names: tuple[str, ...]) -> Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _row(alias: str, names: tuple[str, ...]) -> Composable:
    return sql.SQL("ROW({})::record").format(sql.SQL(", ").join(sql.Identifier(alias, name) for name in names))


def _text(part: Composable) -> str:
    return part.as_string(None)
