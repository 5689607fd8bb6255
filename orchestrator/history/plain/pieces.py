"""Lines of the plain form, some at a time, as arrays over transactions and micro-operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.history.plain.columns import MISSING, OPS, OUTCOMES, Fault, Lines, whole
from orchestrator.history.transactions import COMMITTED, NO_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s

READ, WRITE, PREDICATE = range(len(OPS))

_INT32: Final = np.iinfo(np.int32).max


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """Some whole transactions."""

    #: Of each transaction: its name, the row of its first line, and what its first line says of it.
    name: pa.Array
    first: Int64s
    session: pa.Array | None
    status: Int8s
    start: pa.Array | None
    end: pa.Array | None
    #: Of each line with a micro-operation: its transaction, READ, WRITE or PREDICATE, and the rest of the line.
    txn: Int32s
    op: Int8s
    key: pa.Array
    version: Int64s | Int32s
    value: pa.Array | None
    predicate: pa.Array | None
    matches: pa.Array | None


def pieces(tables: Iterable[pa.Table]) -> Iterator[Piece]:
    """Tables as pieces; transactions are numbered through."""
    before = 0
    for lines in _whole_transactions(tables):
        made = _piece(lines, before)
        before += len(made.first)
        yield made


def _whole_transactions(tables: Iterable[pa.Table]) -> Iterator[Lines]:
    """Cut tables anew, so that no transaction is in two."""
    base = 0
    held: list[pa.Table] = []
    for table in tables:
        if not table.num_rows:
            continue
        begins = _begins(Lines(table=table, base=base + sum(each.num_rows for each in held)))
        if held:
            begins[0] = _name(held[-1], -1) != _name(table, 0)
        last = int(np.flatnonzero(begins)[-1]) if begins.any() else None
        if last is not None and (held or last):
            lines = _joined([*held, table.slice(0, last)])
            yield Lines(table=lines, base=base)
            base += lines.num_rows
            held = []
        held.append(table.slice(last or 0))
    if held:
        yield Lines(table=_joined(held), base=base)


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table of several, in which a column may be of integers here and of text there."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.concat_tables([_as_text(table) for table in tables], promote_options="permissive")


def _as_text(table: pa.Table) -> pa.Table:
    for name in ("txn", "key", "session"):
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table.column(name).cast(pa.string()))
    return table


def _name(table: pa.Table, row: int) -> str:
    return str(table.column("txn")[row].as_py())


def _begins(lines: Lines) -> Bools:
    """Say of each line whether it is the first of its transaction."""
    names = _names(lines)
    begins = np.ones(len(names), dtype=np.bool_)
    begins[1:] = pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    return begins


def _names(lines: Lines) -> pa.Array:
    column = lines.table.column("txn")
    if column.null_count:
        lines.need("txn", pc.is_null(column).to_numpy(), "is missing")
    return lines.names("txn")


def _piece(lines: Lines, before: int) -> Piece:
    begins = _begins(lines)
    first = np.flatnonzero(begins)
    op = lines.codes("op", OPS)
    if op is None:
        op = np.full(len(begins), MISSING, dtype=np.int8)
    key, version = _touched(lines, op)
    status = lines.codes("outcome", OUTCOMES)
    _same(lines, "outcome", lines.column("outcome"), begins)
    lone = bool((op != MISSING).all())
    number = np.cumsum(begins, dtype=np.int32) + np.int32(before - 1)

    def told(name: str, column: pa.Array | None) -> pa.Array | None:
        _same(lines, name, column, begins)
        return None if column is None else column.take(pa.array(first))

    def kept(column: pa.Array | None) -> pa.Array | None:
        return column if lone or column is None else column.filter(pa.array(op != MISSING))

    return Piece(
        name=_names(lines).take(pa.array(first)),
        first=first + lines.base,
        session=told("session", lines.labels("session")),
        status=np.full(len(first), COMMITTED, dtype=np.int8)
        if status is None
        else np.maximum(status[first], COMMITTED),
        start=told("start", lines.numbers("start")),
        end=told("end", lines.numbers("end")),
        txn=number if lone else number[op != MISSING],
        op=op if lone else op[op != MISSING],
        key=kept(key),
        version=version if lone else version[op != MISSING],
        value=kept(lines.text("value")),
        predicate=kept(_only(lines, "predicate", op, PREDICATE)),
        matches=kept(_only(lines, "matches", op, WRITE)),
    )


def _touched(lines: Lines, op: Int8s) -> tuple[pa.Array, Int64s | Int32s]:
    """Keys and versions, where they must be and only there."""
    key = lines.labels("key")
    if key is None:
        key = pa.nulls(len(op), pa.int64())
    if key.null_count:
        missing = pc.is_null(key).to_numpy(zero_copy_only=False)
        lines.need("key", missing & ((op == READ) | (op == WRITE)), "is missing")
    given = lines.integers("version")
    if given is None:
        given = pa.nulls(len(op), pa.int64())
    version: Int64s = given.fill_null(NO_VERSION).to_numpy()
    if int(version.min(initial=0)) < 0:
        valid = pc.is_valid(given).to_numpy(zero_copy_only=False)
        lines.need("version", valid & (version < 0), "is negative")
    lines.need("version", (version == 0) & (op == WRITE), "is 0 in a write; 0 is the initial state, which nobody wrote")
    if (op == MISSING).any():
        stray = pc.is_valid(key).to_numpy(zero_copy_only=False) | (version != NO_VERSION)
        lines.need("op", (op == MISSING) & stray, f"is missing; it is one of {', '.join(OPS)}")
    if key.null_count:
        lines.need("version", missing & (version != NO_VERSION), "is there without a key")
    return key, version if int(version.max(initial=0)) > _INT32 else version.astype(np.int32)


def _same(lines: Lines, name: str, column: pa.Array | None, begins: Bools) -> None:
    """Raise Fault where a transaction's later line says something else than its first."""
    if column is None:
        return
    told = pc.is_valid(column).to_numpy(zero_copy_only=False)
    later = np.flatnonzero(told & ~begins)
    if not len(later):
        return
    first = np.flatnonzero(begins)[np.cumsum(begins)[later] - 1]
    column = whole(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    same = pc.equal(column.take(pa.array(later)), column.take(pa.array(first))).fill_null(False)  # noqa: FBT003
    wrong = later[~same.to_numpy(zero_copy_only=False)]
    if len(wrong):
        raise Fault(f"{name} isn't what the transaction's first line says", lines.base + int(wrong[0]))


def _only(lines: Lines, name: str, op: Int8s, kind: int) -> pa.Array | None:
    """Give a column that only one kind of line may have."""
    column = lines.text(name)
    valid = np.zeros(len(op), dtype=np.bool_)
    if column is not None:
        valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    lines.need(name, valid & (op != kind), f"stands on lines with op {OPS[kind]} only")
    if kind == PREDICATE:
        lines.need(name, (op == kind) & ~valid, "is missing")
    return column
